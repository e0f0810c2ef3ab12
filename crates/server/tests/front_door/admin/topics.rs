//! What is said to topics, and which there are.

use std::collections::HashSet;

use chatsdk_testkit::{Database, TestServer};
use serde_json::{Value, json};

use super::{get, listening, post};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_publishes_where_somebody_can_listen() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    let (mut socket, _) = listening(&server, &ann.access, &["custom:lobby"]).await;
    let body = json!({
        "topic": "custom:lobby", "data": { "text": "at ten" }, "idempotencyKey": "m1",
    });
    let first = post(&server, "/admin/publish", body.clone())
        .await
        .ok()
        .json();
    assert_eq!(
        (&first["offset"], &first["subscribers"]),
        (&json!(1), &json!(1))
    );
    let again = post(&server, "/admin/publish", body).await.ok().json();
    assert_eq!(again, first, "made once");
    let body = json!({ "topic": "user:ann", "data": [1, "two\n"] });
    post(&server, "/admin/publish", body).await.ok();
    let push = socket.push().await;
    assert_eq!(push["pub"]["data"], json!({ "text": "at ten" }));
    assert_eq!(push["pub"]["info"], Value::Null, "in nobody's name");
    let push = socket.push().await;
    assert_eq!(
        (&push["channel"], &push["pub"]["data"]),
        (&json!("user:ann"), &json!([1, "two\n"]))
    );
    let over_lines = "{\"topic\": \"custom:lobby\",\n \"data\": {\n \"lines\":\r\n 2 }}";
    let request = server.operator("POST", "/admin/publish");
    let request = request.header("content-type", "application/json");
    request.body(over_lines).send().await.ok();
    assert_eq!(socket.push().await["pub"]["data"], json!({ "lines": 2 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_listed_page_by_page() {
    let server = TestServer::start(Database::Sqlite).await;
    let publish = async |number: u32| {
        let body = json!({ "topic": format!("custom:{number}"), "data": number });
        post(&server, "/admin/publish", body).await.ok();
    };
    for number in 0..300 {
        publish(number).await;
    }
    for limit in [1, 7, 500] {
        let (mut seen, mut from) = (HashSet::new(), Some("0".to_owned()));
        while let Some(place) = from {
            let page = get(
                &server,
                &format!("/admin/topics?limit={limit}&from={place}"),
            )
            .await;
            let topics = page["topics"].as_array().unwrap();
            assert!(topics.len() <= limit);
            for topic in topics {
                assert_eq!(topic["subscribers"], 0);
                let name = topic["topic"].as_str().unwrap().to_owned();
                assert!(seen.insert(name), "{topic} is there twice");
            }
            from = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(seen.len(), 300, "{limit}");
    }
}
