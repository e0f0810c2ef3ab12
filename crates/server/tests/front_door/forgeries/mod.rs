//! Forged tokens at every door of a real server. Each is refused with the code that is promised there, and a good
//! token passes behind it.

mod forger;
mod table;

use chatsdk_testkit::{Database, Event, Person, Socket, TestServer};
use forger::Forger;
use serde_json::{Value, json};

/// What the four doors say to a token.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    bearer: String,
    refresh: String,
    socket: String,
    introspection: String,
}

/// The most that a body may hold.
const MAX_BODY: usize = 16 * 1024;

/// The most that a message of a socket may hold.
const MAX_MESSAGE: usize = 64 * 1024;

impl Told {
    /// What is said to a forgery. A message that is too large is not looked into.
    fn refused_as(token: &str) -> Self {
        let too_large = || "413 payload_too_large".to_owned();
        let told = Self::refused();
        let fits = |member: &str| json!({ member: token }).to_string().len() <= MAX_BODY;
        Self {
            refresh: if fits("refreshToken") {
                told.refresh
            } else {
                too_large()
            },
            introspection: if fits("token") {
                told.introspection
            } else {
                too_large()
            },
            socket: if token.len() < MAX_MESSAGE {
                told.socket
            } else {
                "1009 message too big".into()
            },
            ..told
        }
    }

    fn refused() -> Self {
        Self {
            bearer: "401 token_invalid".into(),
            refresh: "401 refresh_token_invalid".into(),
            socket: "3500 invalid token".into(),
            introspection: "inactive".into(),
        }
    }
}

async fn bearer(server: &TestServer, token: &str) -> String {
    let header = format!("Bearer {token}");
    let request = server.request("GET", "/auth/sessions");
    request
        .header("authorization", &header)
        .send()
        .await
        .outcome()
}

async fn socket(server: &TestServer, token: &str) -> String {
    match Socket::connect(server.realtime(), token).await.1 {
        Event::Closed(code, reason) => format!("{code} {reason}"),
        Event::Reply(reply) if reply["connect"].is_object() => "connected".into(),
        Event::Reply(reply) => format!("error {}", reply["error"]["code"]),
    }
}

async fn introspection(server: &TestServer, token: &str) -> String {
    let request = server.backend.request("POST", "/auth/introspect");
    let reply = request.json(&json!({ "token": token })).send().await;
    match reply.status {
        200 if reply.json()["active"] == true => "active".into(),
        200 => {
            assert_eq!(
                reply.json(),
                json!({ "active": false }),
                "and why is not told"
            );
            "inactive".into()
        }
        _ => reply.outcome(),
    }
}

async fn all_doors(server: &TestServer, person: &Person, token: &str) -> Told {
    Told {
        bearer: bearer(server, token).await,
        refresh: person.present(token).await.outcome(),
        socket: socket(server, token).await,
        introspection: introspection(server, token).await,
    }
}

/// The person's own tokens still pass. The clock stands still, so that the refresh token is answered with the same
/// successor each time.
async fn good_ones_pass(server: &TestServer, person: &Person, after: &str) {
    assert_eq!(
        bearer(server, &person.access).await,
        "200",
        "after {after:.80}"
    );
    assert_eq!(person.refresh_standing().await, "200", "after {after:.80}");
    assert_eq!(
        socket(server, &person.access).await,
        "connected",
        "after {after:.80}"
    );
    for token in [&person.access, &person.refresh] {
        assert_eq!(
            introspection(server, token).await,
            "active",
            "after {after:.80}"
        );
    }
}

async fn server_and_forger() -> (TestServer, Person, Forger) {
    let server = TestServer::start(Database::Sqlite).await;
    let profile = json!({ "userId": "ann", "name": "Ann", "custom": { "role": "user" } });
    let ann = server.backend.sign_in_with(&profile).await;
    let forger = Forger::new(&server, &ann).await;
    (server, ann, forger)
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_access_tokens_pass_no_door() {
    let (server, ann, forger) = server_and_forger().await;
    let forgeries = table::access(&forger);
    assert!(forgeries.len() > 150, "{}", forgeries.len());
    for (name, token) in forgeries {
        assert_eq!(
            all_doors(&server, &ann, &token).await,
            Told::refused_as(&token),
            "{name:.80}"
        );
        good_ones_pass(&server, &ann, &name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_refresh_tokens_pass_no_door() {
    let (server, ann, forger) = server_and_forger().await;
    for (name, token) in table::refresh(&forger) {
        assert_eq!(
            all_doors(&server, &ann, &token).await,
            Told::refused_as(&token),
            "{name:.80}"
        );
        good_ones_pass(&server, &ann, &name).await;
    }
}

/// J14: each kind of token at the other's doors; the session does not end for it.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_do_not_stand_in_for_each_other() {
    let (server, ann, _) = server_and_forger().await;
    let refused = Told::refused();
    assert_eq!(bearer(&server, &ann.refresh).await, refused.bearer);
    assert_eq!(socket(&server, &ann.refresh).await, refused.socket);
    assert_eq!(ann.present(&ann.access).await.outcome(), refused.refresh);
    good_ones_pass(&server, &ann, "each other").await;
}

/// What the rules allow is allowed at the doors, so that they do not refuse everything that is made by hand.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_within_the_rules_passes() {
    let (server, ann, forger) = server_and_forger().await;
    let iat = forger.claims["iat"].as_i64().unwrap();
    let good = [
        forger.with_header("typ", json!("AT+JWT")),
        forger.with_header("typ", json!("application/at+jwt")),
        forger.with_header("alg", json!("Ed25519")),
        forger.with_claim("aud", json!(["other", "chatsdk"])),
        forger.with_claim("iat", json!(iat + 59)),
        forger.with_claim("nbf", json!(iat + 59)),
        forger.with_claim("unknown", json!({ "x": [1, 2.5, null] })),
        table::sized(&forger, chatsdk_auth::access::MAX_LEN - 4),
    ];
    for token in good {
        let told = Told {
            bearer: "200".into(),
            socket: "connected".into(),
            introspection: "active".into(),
            ..Told::refused()
        };
        assert_eq!(all_doors(&server, &ann, &token).await, told, "{token:.200}");
    }
}

/// J18: a good token whose time is over is told so, that its client refreshes; a bad one is bad all the same.
#[tokio::test(flavor = "multi_thread")]
async fn expired_is_said_of_good_tokens_only() {
    let (server, ann, forger) = server_and_forger().await;
    let iat = forger.claims["iat"].as_i64().unwrap();
    let now = forger.with_claim("exp", json!(iat));
    let told = Told {
        bearer: "401 token_expired".into(),
        socket: "error 109".into(),
        ..Told::refused()
    };
    assert_eq!(all_doors(&server, &ann, &now).await, told);
    let mut claims = forger.claims.clone();
    claims["exp"] = json!(iat);
    claims["iss"] = json!("https://evil.example");
    let wrong = forger.signed(forger.header.to_string(), claims.to_string());
    assert_eq!(all_doors(&server, &ann, &wrong).await, Told::refused());
}

/// J28: what no door can be asked, because the message around it is too large, or is no message.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_no_header_is_refused_before_it_is_read() {
    let (server, ann, _) = server_and_forger().await;
    for size in [20 * 1024, 1 << 20, 100 << 20] {
        let token = "e".repeat(size);
        if size < 1 << 20 {
            assert_eq!(bearer(&server, &token).await, "401 token_invalid");
            assert_eq!(socket(&server, &token).await, "3500 invalid token");
        } else {
            let heading = server
                .request("GET", "/auth/sessions")
                .header("authorization", &format!("Bearer {token}"));
            // A reset is a refusal, too: the server does not read what it will not answer.
            if let Ok(reply) = heading.try_send().await {
                assert_eq!(reply.status, 431, "{size}");
            }
            // Masking more than that takes the test's client seconds.
            let closed = socket(&server, &token[..1 << 20]).await;
            assert!(!closed.contains("connected"), "{size}: {closed}");
        }
        for (path, member) in [
            ("/auth/refresh", "refreshToken"),
            ("/auth/introspect", "token"),
        ] {
            let request = server.backend.request("POST", path);
            if let Ok(reply) = request.json(&json!({ member: token })).try_send().await {
                assert_eq!(reply.outcome(), "413 payload_too_large", "{path} {size}");
            }
        }
        good_ones_pass(&server, &ann, "too large a token").await;
    }
    // Signs that no header can carry, and JSON can.
    for token in [
        "\u{0}",
        "a\nb",
        "a.b.c\u{0}",
        "\u{ff0e}\u{ff0e}",
        "\u{feff}a.b.c",
    ] {
        let refused = Told::refused();
        assert_eq!(
            ann.present(token).await.outcome(),
            refused.refresh,
            "{token:?}"
        );
        assert_eq!(socket(&server, token).await, refused.socket, "{token:?}");
        assert_eq!(
            introspection(&server, token).await,
            refused.introspection,
            "{token:?}"
        );
        let told = bearer(&server, token).await;
        assert!(
            told == "401 token_invalid" || told == "400",
            "{token:?}: {told}"
        );
    }
    for (path, member) in [
        ("/auth/refresh", "refreshToken"),
        ("/auth/introspect", "token"),
    ] {
        for value in [Value::Null, json!(1), json!([ann.refresh]), json!({})] {
            let request = server.backend.request("POST", path);
            let reply = request.json(&json!({ member: value })).send().await;
            assert_eq!(reply.outcome(), "400 invalid_field", "{path} {value}");
        }
    }
    good_ones_pass(&server, &ann, "what is no token").await;
}
