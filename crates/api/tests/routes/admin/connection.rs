use super::{client, get, server};

#[tokio::test]
async fn one_is_found_wherever_it_stands() {
    let (server, _) = server(35).await;
    for number in [0, 9, 10, 34] {
        let shown = get(&server, &format!("/admin/connections/{}", client(number)))
            .await
            .ok();
        assert_eq!(shown["client"], client(number).as_str());
        assert_eq!(shown["expiresAt"], serde_json::Value::Null);
        assert_eq!(shown["subscriptions"][0], "user:ann");
    }
    for nobody in [&client(35), "x", "%20"] {
        get(&server, &format!("/admin/connections/{nobody}"))
            .await
            .problem("connection_not_found");
    }
    get(&server, "/admin/connections/%FF")
        .await
        .problem("invalid_request");
}
