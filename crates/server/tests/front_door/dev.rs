//! `chatsdk dev`, as programs start it.

use std::process::Stdio;

use chatsdk_testkit::{Backend, Database, Deployment};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

/// Starts it, and answers its lines up to the one that says that it is ready.
async fn dev(site: &Deployment) -> (Child, Vec<Value>) {
    let free = "127.0.0.1:0";
    let mut child = site
        .command(&["dev", "--json", "--listen", free, "--realtime-listen", free])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines: Vec<Value> = Vec::new();
    while lines.last().is_none_or(|line| line["event"] != "ready") {
        let line = out.next_line().await.unwrap().unwrap();
        lines.push(serde_json::from_str(&line).unwrap());
    }
    (child, lines)
}

both! {
    /// A program learns what was made, and at every start which key it may use.
    async fn lines_tell_of_the_key_and_of_what_was_made(database: Database) {
        let site = Deployment::new(crate::common::binary(), database).await;
        let (mut child, lines) = dev(&site).await;
        let [created, ann, bob, ready] = lines.as_slice() else { panic!("{lines:?}") };
        let (app, key) = (&ready["appId"], &ready["apiKey"]);
        assert_eq!(created, &json!({ "event": "created", "appId": app, "apiKey": key }));
        assert_eq!(ann, &json!({ "event": "seeded", "appId": app, "userId": "ann", "name": "Ann" }));
        assert_eq!(bob, &json!({ "event": "seeded", "appId": app, "userId": "bob", "name": "Bob" }));
        let address = ready["api"].as_str().unwrap().strip_prefix("http://").unwrap();
        let backend = Backend { address: address.parse().unwrap(), key: key.as_str().unwrap().to_owned() };
        backend.sign_in("ann").await;
        let page = ready["page"].as_str().unwrap();
        assert!(page.starts_with("http://localhost:") && page.ends_with("/dev/"), "{page}");
        let shown = site.run(&["user", "show", "ann", "--app", app.as_str().unwrap()]).await;
        assert_eq!(shown[0]["name"], "Ann");
        child.kill().await.unwrap();

        // The next start makes nothing, and has the same key.
        let (mut child, lines) = dev(&site).await;
        let [again] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&again["appId"], &again["apiKey"]), (app, key));
        child.kill().await.unwrap();

        // A key that was revoked is replaced, with an app of its own.
        let id = key.as_str().unwrap().split('_').nth(2).unwrap();
        site.run(&["key", "revoke", id]).await;
        let (mut child, lines) = dev(&site).await;
        assert_eq!(lines[0]["event"], "created");
        assert!(lines[0]["apiKey"] != *key && lines[0]["appId"] != *app, "{lines:?}");
        child.kill().await.unwrap();
    }
}
