//! Another deployment secret takes the place of the one in force.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_testkit::http::request;
use chatsdk_testkit::{Backend, Database, Deployment, Person, process};
use serde_json::{Value, json};

const FIRST: &str = "the first secret of this deployment, of more than 32 bytes";
const SECOND: &str = "the second secret of this deployment, of more than 32 bytes";
const THIRD: &str = "the third secret of this deployment, of more than 32 bytes";

/// The environment of a process that has `current`, and `previous` before it.
fn secrets<'a>(current: &'a str, previous: &'a [&'a str]) -> Vec<(&'a str, &'a str)> {
    let mut environment = vec![("CHATSDK_SECRET", current)];
    environment.extend(
        previous
            .iter()
            .map(|secret| ("CHATSDK_SECRET_PREVIOUS", *secret)),
    );
    environment
}

/// What a command that was given these secrets says on its one line.
async fn says(site: &Deployment, environment: &[(&str, &str)], arguments: &[&str]) -> Value {
    let mut command = site.command(arguments);
    command.envs(environment.iter().copied()).arg("--json");
    let output = command.output().await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The key that a refresh token says it was made with.
fn kid(token: &str) -> Value {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap());
    serde_json::from_slice::<Value>(&header.unwrap()).unwrap()["kid"].clone()
}

async fn key_set(server: &process::Process) -> Value {
    let set = request(server.api, "GET", "/.well-known/jwks.json");
    set.send().await.ok().json()
}

both! {
    /// Whoever was signed in with the first one stays so, for as long as servers are told of it.
    async fn a_secret_is_changed_and_nobody_is_signed_out(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let server = site.serve_with(&secrets(FIRST, &[])).await;
        let (key, set) = (server.key.clone().unwrap(), key_set(&server).await);
        let backend = server.backend();
        let on_device = json!({ "userId": "dan", "deviceId": "phone" });
        let (ann, bob, eve) = (backend.sign_in("ann").await, backend.sign_in("bob").await, backend.sign_in("eve").await);
        let newer = ann.refreshed().await;
        let dan = backend.sign_in_with(&on_device).await;
        assert_eq!(kid(&newer.refresh), "1");
        server.end().await;

        // Beside no server that has changed it, a command does not.
        let why = says(&site, &secrets(SECOND, &[FIRST]), &["app", "list"]).await;
        assert!(why["error"]["detail"].as_str().unwrap().contains("`serve`"), "{why}");

        let server = site.serve_with(&secrets(SECOND, &[FIRST])).await;
        assert_eq!(key_set(&server).await, set);
        let at = |person: &Person| Person { address: server.api, ..person.clone() };
        for token in [&ann, &newer, &bob, &eve] {
            assert_eq!(at(token).standing().await, "200", "access tokens hang on no secret");
        }
        let repeated = at(&ann).refreshed().await;
        assert_eq!(repeated.refresh, newer.refresh, "the same successor, byte for byte");
        let (newest, bob) = (at(&newer).refreshed().await, at(&bob).refreshed().await);
        assert_eq!((kid(&newest.refresh), kid(&bob.refresh)), (json!("2"), json!("2")));
        let backend = Backend { address: server.api, key };
        let again = backend.sign_in_with(&on_device).await;
        assert_eq!((&again.session, &again.refresh), (&dan.session, &dan.refresh));
        let changed = site.command(&["audit", "list", "--limit", "100", "--json"]).envs(secrets(SECOND, &[])).output().await.unwrap();
        let changed = String::from_utf8(changed.stdout).unwrap();
        assert_eq!(changed.matches(r#""action":"secret.change""#).count(), 1, "{changed}");
        server.end().await;

        // Whether the first one can be taken away, `doctor` knows: eve has not been here since.
        let needs = async |environment: Vec<(&str, &str)>| {
            let output = site.command(&["doctor", "--json"]).envs(environment).output().await.unwrap();
            let lines = String::from_utf8(output.stdout).unwrap();
            let mut checks = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            checks.find(|check| check["check"] == "secret").unwrap_or_default()
        };
        let (given, missed) = (needs(secrets(SECOND, &[FIRST])).await, needs(secrets(SECOND, &[])).await);
        assert_eq!((&given["ok"], &missed["ok"]), (&json!(true), &json!(false)), "{given} {missed}");
        // Eve's, and that of the device, whose token was answered again as it was.
        assert!(given["detail"].as_str().unwrap().starts_with("2 sessions"), "{given}");
        assert!(missed["detail"].as_str().unwrap().starts_with("2 sessions"), "{missed}");

        // Only the right ones are taken, and nothing is changed by the others.
        for wrong in [secrets(FIRST, &[]), secrets(THIRD, &[]), secrets(THIRD, &[FIRST]), secrets(SECOND, &[THIRD])] {
            let why = says(&site, &wrong, &["serve"]).await;
            assert!(why["error"]["detail"].as_str().unwrap().contains("secret"), "{wrong:?}: {why}");
        }

        // Told of it no more, servers take what was exchanged since, and nothing older.
        let server = site.serve_with(&secrets(SECOND, &[])).await;
        let at = |person: &Person| Person { address: server.api, ..person.clone() };
        assert_eq!(at(&newest).refreshed().await.standing().await, "200");
        assert_eq!(at(&bob).refresh_standing().await, "200");
        assert_eq!(at(&eve).refresh_standing().await, "401 refresh_token_invalid");
        let backend = Backend { address: server.api, ..backend };
        let anew = backend.sign_in_with(&on_device).await;
        assert_ne!(anew.session, dan.session);
        let anew = anew.refreshed().await;
        assert_eq!(kid(&anew.refresh), "2");
        server.end().await;

        // A third takes its place in the same way.
        let server = site.serve_with(&secrets(THIRD, &[SECOND])).await;
        let anew = Person { address: server.api, ..anew }.refreshed().await;
        assert_eq!((kid(&anew.refresh), anew.standing().await.as_str()), (json!("3"), "200"));
        server.kill().await;
    }
}

/// A node that still has the first secret signs nobody out, and makes nothing that others cannot open.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_the_old_secret_is_weather() {
    let site = Deployment::new(crate::common::binary(), Database::Postgres).await;
    let old = site.serve_with(&secrets(FIRST, &[])).await;
    let (ann, bob) = (
        old.backend().sign_in("ann").await,
        old.backend().sign_in("bob").await,
    );
    let elsewhere = tempfile::tempdir().unwrap();
    let url = ("CHATSDK_DATABASE_URL", site.database_url().unwrap());
    let environment = [secrets(SECOND, &[FIRST]), vec![url]].concat();
    let new = process::serve(
        crate::common::binary(),
        elsewhere.path(),
        &environment,
        &["--rate-limits", "off"],
    )
    .await;
    let at = |node: &process::Process, person: &Person| Person {
        address: node.api,
        ..person.clone()
    };
    // What it cannot know, it does not refuse.
    let ann = at(&new, &ann).refreshed().await;
    assert_eq!(at(&old, &ann).refresh_standing().await, "503 unavailable");
    let leave = request(old.api, "POST", "/auth/revoke");
    let leave = leave.json(&json!({ "refreshToken": ann.refresh }));
    assert_eq!(leave.send().await.outcome(), "503 unavailable");
    let ask = old.backend().request("POST", "/auth/introspect");
    let ask = ask.json(&json!({ "token": ann.refresh }));
    assert_eq!(ask.send().await.outcome(), "503 unavailable");
    assert_eq!(at(&old, &ann).standing().await, "200");
    // What it gives, others take.
    let bob = at(&old, &bob).refreshed().await;
    assert_eq!(at(&new, &bob).refreshed().await.standing().await, "200");
    old.end().await;
    let restarted = site.serve_with(&secrets(SECOND, &[FIRST])).await;
    assert_eq!(
        at(&restarted, &ann).refreshed().await.standing().await,
        "200"
    );
    restarted.kill().await;
    new.kill().await;
}
