use serde_json::{Value, json};

use super::{get, server};

#[tokio::test]
async fn topics_come_in_pages() {
    let (server, _) = server(12).await;
    let page = get(&server, "/admin/topics?limit=11").await.ok();
    assert_eq!(page["topics"].as_array().unwrap().len(), 11);
    assert_eq!(
        page["topics"][1],
        json!({ "app": "app_01h455vb4pex5vsknk084sn02q", "topic": "custom:1", "subscribers": 2 })
    );
    let page = get(&server, "/admin/topics?from=11").await.ok();
    assert_eq!(
        (page["topics"].as_array().unwrap().len(), &page["next"]),
        (1, &Value::Null)
    );
    let page = get(&server, &format!("/admin/topics?app={}", server.app))
        .await
        .ok();
    assert_eq!(page, json!({ "topics": [], "next": null }));
    get(&server, "/admin/topics?app=x").await.about("app");
}
