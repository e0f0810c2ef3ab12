//! The live node, looked at and acted on by its operator: over HTTP, and by command.

mod access;
mod commands;
mod connections;
mod input;
mod topics;

use std::collections::BTreeSet;

use chatsdk_testkit::{Reply, Socket, TestServer};
use serde_json::{Value, json};

async fn get(server: &TestServer, path: &str) -> Value {
    server.operator("GET", path).send().await.ok().json()
}

async fn post(server: &TestServer, path: &str, body: Value) -> Reply {
    server.operator("POST", path).json(&body).send().await
}

/// A socket that listens to `topics`, and its id.
async fn listening(server: &TestServer, access: &str, topics: &[&str]) -> (Socket, String) {
    let (mut socket, event) = Socket::connect(server.realtime(), access).await;
    let chatsdk_testkit::Event::Reply(reply) = event else {
        panic!("{event:?}")
    };
    for topic in topics {
        let reply = socket.ask("subscribe", json!({ "channel": topic })).await;
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
    let client = reply["connect"]["client"].as_str().unwrap().to_owned();
    (socket, client)
}

fn clients(list: &Value) -> BTreeSet<String> {
    let connections = list["connections"].as_array().unwrap();
    connections
        .iter()
        .map(|connection| connection["client"].as_str().unwrap().to_owned())
        .collect()
}
