use serde_json::{Value, json};

use super::{client, get, server};

fn numbers(page: &Value) -> Vec<u64> {
    let connections = page["connections"].as_array().unwrap();
    connections
        .iter()
        .map(|connection| {
            let client = connection["client"].as_str().unwrap();
            client.rsplit('-').next().unwrap().parse().unwrap()
        })
        .collect()
}

#[tokio::test]
async fn a_page_is_filled_in_steps() {
    let (server, node) = server(35).await;
    let page = get(&server, "/admin/connections?limit=24").await.ok();
    assert_eq!(numbers(&page), (0..24).collect::<Vec<_>>());
    assert_eq!(page["next"], "24");
    assert_eq!(
        node.asked(),
        ["0 24", "10 14", "20 4"],
        "no more than there is room for"
    );
    let page = get(&server, "/admin/connections?limit=24&from=24")
        .await
        .ok();
    assert_eq!(numbers(&page), (24..35).collect::<Vec<_>>());
    assert_eq!(page["next"], Value::Null);
    assert_eq!(
        page["connections"][0],
        json!({
            "client": client(24), "app": "app_01h455vb4pex5vsknk084sn02q", "user": "ann",
            "session": "ses_01h455vb4pex5vsknk084sn02q", "transport": "http_stream",
            "encoding": "protobuf", "connectedAt": 7, "topics": 1, "queuedBytes": 0,
        })
    );
    let page = get(&server, "/admin/connections?user=bob&limit=5&from=30")
        .await
        .ok();
    assert_eq!(numbers(&page), [31, 33]);
    let beyond = get(&server, "/admin/connections?from=999999999999999")
        .await
        .ok();
    assert_eq!(beyond, json!({ "connections": [], "next": null }));
}

#[tokio::test]
async fn bad_parameters_are_named() {
    let (server, _) = server(0).await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=", "limit"),
        ("limit=1.5", "limit"),
        ("from=x", "from"),
        ("from=1000000000000000", "from"),
        ("app=app_1", "app"),
        ("session=x", "session"),
        ("user=", "user"),
        ("user=%00", "user"),
        ("topic=", "topic"),
        (&format!("topic={}", "x".repeat(256)), "topic"),
        ("LIMIT=5", "limit"),
    ] {
        get(&server, &format!("/admin/connections?{query}"))
            .await
            .about(field);
    }
    for query in ["limit=1&limit=1", "user=%FF", "user=%4"] {
        let reply = get(&server, &format!("/admin/connections?{query}")).await;
        reply.problem("invalid_request");
    }
    get(&server, "/admin/connections?unknown=1&limit=500")
        .await
        .ok();
}
