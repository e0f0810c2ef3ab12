//! The audit log, as the operator reads it.

use chatsdk_store::AuditEntry;
use chatsdk_testkit::{Database, Deployment};
use serde_json::{Value, json};

use crate::common::binary;

/// The actions that lines tell of, in their order.
fn actions(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["action"].as_str().unwrap())
        .collect()
}

both! {
    /// Beside a serving process, everything that was done is there, newest first, and can be narrowed down.
    async fn who_did_what_can_be_read(database: Database) {
        let site = Deployment::new(binary(), database).await;
        let server = site.serve().await;
        let (backend, app) = (server.backend(), server.app.clone().unwrap());
        let ann = backend.request("POST", "/auth/tokens").header("user-agent", "our backend");
        let ann = ann.json(&json!({ "userId": "ann" })).send().await.ok();
        backend.sign_in("bob").await;
        let ban = backend.request("POST", "/auth/users/bob/ban").json(&json!({ "reason": "spam" }));
        let ban = ban.send().await.ok();
        let leave = backend.request("POST", "/auth/users/ann/revoke").json(&json!({}));
        leave.send().await.ok();
        let other = site.run(&["app", "create", "other"]).await[0].clone();
        let other = other["appId"].as_str().unwrap();

        let all = site.run(&["audit", "list"]).await;
        assert_eq!(
            actions(&all),
            ["app.create", "session.revoke", "user.ban", "token.mint", "token.mint", "app.create"]
        );
        let key = backend.key.split('_').nth(2).unwrap();
        let of_ann = site.run(&["audit", "list", "--app", &app, "--user", "ann"]).await;
        assert_eq!(actions(&of_ann), ["session.revoke", "token.mint"]);
        let minted = &of_ann[1];
        assert_eq!(
            json!([minted["actor"], minted["appId"], minted["userId"], minted["sessionId"], minted["ip"], minted["userAgent"], minted["detail"]]),
            json!([format!("key:{key}"), app, "ann", ann.field("sessionId"), "127.0.0.1", "our backend", null])
        );
        let banned = &site.run(&["audit", "list", "--user", "bob", "--limit", "1"]).await[0];
        assert_eq!((&banned["action"], &banned["detail"]), (&json!("user.ban"), &json!("spam")));
        assert_eq!(banned["requestId"].as_str(), ban.header("x-request-id"));
        assert!(banned["seq"].as_i64() > minted["seq"].as_i64(), "{banned} {minted}");

        assert_eq!(actions(&site.run(&["audit", "list", "--app", other]).await), ["app.create"]);
        assert_eq!(site.run(&["audit", "list", "--since", "1h"]).await.len(), 6);
        assert!(site.run(&["audit", "list", "--since", "2999-01-01"]).await.is_empty());
        assert_eq!(site.run(&["audit", "list", "--since", "2020-02-29 12:00:00Z"]).await.len(), 6);
        assert!(site.run(&["audit", "list", "--limit", "0"]).await.is_empty());
        let nowhere = site.refused(&["audit", "list", "--app", "app_00000000000000000000000000"]).await;
        assert_eq!(nowhere["code"], "not_found");
        let when = site.refused(&["audit", "list", "--since", "yesterday"]).await;
        assert_eq!(when["code"], "invalid_argument");

        let text = site.text(&["audit", "list", "--user", "ann"]).await;
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.contains(&format!("  token.mint  by key:{key}  app {app}  user ann  session ses_")), "{text}");
        assert!(text.contains("  from 127.0.0.1  with our backend  request "), "{text}");
        server.kill().await;
    }

    /// All of a long log is to be had, and a line is a line: what a caller wrote does not drive the terminal.
    async fn a_long_log_is_read_to_its_end(database: Database) {
        let site = Deployment::new(binary(), database).await;
        site.run(&["migrate"]).await;
        let store = site.store().await;
        let appended = store.write(|tx| Box::pin(async move {
            for number in 0..1_100 {
                let entry = AuditEntry {
                    at: number / 7,
                    action: "token.mint".into(),
                    actor: "operator".into(),
                    user_agent: "a\u{1b}[31mb\u{9b}c\u{202e}d\ne\rf\tg".into(),
                    detail: number.to_string(),
                    ..AuditEntry::default()
                };
                tx.append_audit(&entry).await?;
            }
            Ok::<_, chatsdk_store::StoreError>(())
        }));
        appended.await.unwrap();
        store.close().await;
        let numbers = |lines: &[Value]| -> Vec<i64> {
            lines.iter().map(|line| line["detail"].as_str().unwrap().parse().unwrap()).collect()
        };
        let all = site.run(&["audit", "list", "--limit", "2000"]).await;
        assert!(numbers(&all).into_iter().eq((0..1_100).rev()));
        let some = site.run(&["audit", "list", "--limit", "1001"]).await;
        assert!(numbers(&some).into_iter().eq((99..1_100).rev()));
        assert_eq!(site.run(&["audit", "list"]).await.len(), 100);
        let text = site.text(&["audit", "list", "--limit", "3"]).await;
        assert_eq!(text.lines().count(), 3, "{text:?}");
        assert!(text.contains(r"with a\u{1b}[31mb\u{9b}c\u{202e}d e\u{d}f g  detail 1099"), "{text:?}");
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}
