//! Connecting: who may, on what terms, and what everybody else is told.

use std::time::Duration;

use crate::support::{Heard, START, Server, Socket, connect, masked};
use chatsdk_realtime::{Config, Whom};

#[tokio::test(start_paused = true)]
async fn the_terms_of_a_connection() {
    let server = Server::start().await;
    let (_socket, result) = server.connected("app/ann/s1/3600").await;
    assert_eq!(result["expires"], true);
    assert_eq!(result["ttl"], 3600);
    assert_eq!(result["ping"], 25);
    assert_eq!(result["pong"], true);
    assert_eq!(result["time"], START);
    assert!(!result["version"].as_str().expect("a version").is_empty());
    let client = result["client"].as_str().expect("an id");
    assert_eq!(client.len(), 36, "{client}");
    assert_eq!(&client[14..15], "4", "a random UUID");
    let (_other, other) = server.connected("app/ann/s1/never").await;
    assert_ne!(other["client"], client);
    assert!(other.get("expires").is_none(), "{other}");
    assert!(other.get("ttl").is_none(), "{other}");
    assert_eq!(server.handle().count(&Whom::Everyone), 2);
    assert_eq!(
        server.handle().count(&Whom::User {
            app: "app",
            user: "ann"
        }),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn the_authority_is_told_what_is_known() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    socket
        .say(r#"{"id":9,"connect":{"token":"app/ann/s1/60","data":{"a": [1]},"name":"js","headers":{"x-a":"b"}}}"#)
        .await;
    let reply = socket.hear_json().await;
    assert_eq!(reply["id"], 9);
    assert_eq!(reply["connect"]["data"]["a"][0], 1, "data of the host");
    let seen = server.authority.seen.lock().expect("no panic").remove(0);
    assert_eq!(seen.data.as_deref(), Some(r#"{"a": [1]}"#));
    assert_eq!(seen.name, "js");
    assert_eq!(seen.agent.as_deref(), Some("test"));
    assert_eq!(seen.emulated.as_deref(), Some("b"));
    assert_eq!(seen.remote, socket.stream.local_addr().expect("an address"));
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_is_an_error_that_the_client_mends() {
    let server = Server::start().await;
    for token in ["expired", "app/ann/s1/0", "app/ann/s1/-5"] {
        let mut socket = server.socket().await;
        socket.say(&connect(1, token)).await;
        let reply = socket.hear_json().await;
        assert_eq!(reply["error"]["code"], 109, "{reply}");
        assert!(reply["error"].get("temporary").is_none(), "{reply}");
        // A client that does not hang up is closed, one that goes on talking at once.
        socket.say(&connect(2, "app/ann/s1/60")).await;
        assert_eq!(socket.hear_close().await, (3501, "bad request".into()));
    }
    let mut idle = server.socket().await;
    idle.say(&connect(1, "expired")).await;
    idle.hear_json().await;
    let took = server.pass_until_closed(3502).await;
    assert!(took <= Duration::from_millis(5200), "{took:?}");
    assert_eq!(idle.hear_close().await, (3502, "stale".into()));
    server.empty().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_now_is_temporary() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    socket.say(&connect(1, "unavailable")).await;
    let reply = socket.hear_json().await;
    assert_eq!(reply["error"]["code"], 100);
    assert_eq!(reply["error"]["temporary"], true);
}

#[tokio::test(start_paused = true)]
async fn the_other_refusals_close_for_good() {
    let server = Server::start().await;
    for (token, code, reason) in [
        ("rubbish", 3500, "invalid token"),
        ("revoked", 3503, "session_revoked"),
        ("", 3501, "bad request"),
    ] {
        let mut socket = server.socket().await;
        socket.say(&connect(1, token)).await;
        assert_eq!(socket.hear_close().await, (code, reason.to_owned()));
    }
    server.empty().await;
    assert_eq!(
        server.handle().stats().closes(),
        [(3500, 1), (3501, 1), (3503, 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_is_closed_after_ten_seconds() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    // Neither pings of the transport nor half a frame are a connect.
    socket.frame(0x89, b"").await;
    assert_eq!(socket.hear().await, Heard::Pong(Vec::new()));
    socket.raw(&[0x81, 0xfe, 0x00]).await;
    let took = server.pass_until_closed(3502).await;
    assert!(
        (Duration::from_secs(10)..Duration::from_millis(10_300)).contains(&took),
        "{took:?}"
    );
    assert!(matches!(socket.hear().await, Heard::Close(3502, _)));
}

#[tokio::test(start_paused = true)]
async fn what_is_out_of_place_is_a_bad_request() {
    let server = Server::start().await;
    for first in [
        "",
        "\n",
        "{}",
        "null",
        "{",
        "hello",
        r#"{"id":1}"#,
        r#"{"id":1,"refresh":{"token":"app/ann/s1/60"}}"#,
        r#"{"id":1,"subscribe":{"channel":"a"}}"#,
        r#"{"connect":{"token":"app/ann/s1/60"}}"#,
        r#"{"id":1,"connect":{"token":7}}"#,
        &"[".repeat(60_000),
    ] {
        let mut socket = server.socket().await;
        socket.say(first).await;
        assert_eq!(
            socket.hear_close().await,
            (3501, "bad request".into()),
            "{first:.80}"
        );
    }
    for second in [
        connect(2, "app/ann/s1/60"),
        "{}".to_owned(),
        "{}\n\n{}".to_owned(),
        r#"{"id":2,"refresh":{}}"#.to_owned(),
    ] {
        let (mut socket, _) = server.connected("app/ann/s1/60").await;
        socket.say(&second).await;
        assert_eq!(socket.hear_close().await.0, 3501, "{second}");
    }
    server.empty().await;
}

#[tokio::test(start_paused = true)]
async fn a_stock_client_may_say_everything_in_its_first_frame() {
    let server = Server::start().await;
    let mut socket = server.socket().await;
    let first = format!(
        "{}\n{}\n{}\n",
        connect(1, "app/ann/s1/60"),
        r#"{"id":2,"subscribe":{"channel":"news","flag":1}}"#,
        r#"{"id":3,"rpc":{"method":"m","data":{}}}"#
    );
    socket.say(&first).await;
    assert!(socket.hear_json().await["connect"].is_object());
    let Heard::Text(rest) = socket.hear().await else {
        panic!("replies")
    };
    assert_eq!(
        rest,
        "{\"id\":2,\"error\":{\"code\":108,\"message\":\"not available\"}}\n{\"id\":3,\"error\":{\"code\":108,\"message\":\"not available\"}}"
    );
    // After a refused connect the rest of the frame is dropped.
    let mut refused = server.socket().await;
    refused
        .say(&first.replace("app/ann/s1/60", "expired"))
        .await;
    assert_eq!(refused.hear_json().await["error"]["code"], 109);
    refused.frame(0x88, &1000_u16.to_be_bytes()).await;
    assert_eq!(refused.hear().await, Heard::Close(1000, String::new()));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_offered_is_not_available() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s1/60").await;
    for method in [
        "subscribe",
        "publish",
        "presence",
        "presence_stats",
        "history",
        "rpc",
    ] {
        socket
            .say(&format!(
                r#"{{"id":5,"{method}":{{"channel":"a","data":1}}}}"#
            ))
            .await;
        assert_eq!(socket.hear_json().await["error"]["code"], 108, "{method}");
    }
    socket
        .say(r#"{"id":5,"sub_refresh":{"channel":"a","token":"t"}}"#)
        .await;
    assert_eq!(
        socket.hear_json().await["error"]["code"],
        103,
        "nothing to refresh"
    );
    socket
        .say(r#"{"id":6,"unsubscribe":{"channel":"a"}}"#)
        .await;
    assert_eq!(
        socket.hear().await,
        Heard::Text(r#"{"id":6,"unsubscribe":{}}"#.into())
    );
    socket.say(r#"{"id":7,"ping":{}}"#).await;
    assert_eq!(
        socket.hear().await,
        Heard::Text(r#"{"id":7,"ping":{}}"#.into())
    );
    socket.say(r#"{"send":{"data":1}}"#).await;
    assert_eq!(socket.hear_close().await, (3508, "not available".into()));
}

#[tokio::test(start_paused = true)]
async fn the_upgrade_is_guarded() {
    let server = Server::start().await;
    let ws = "/connection/websocket";
    for (path, headers, status) in [
        ("/ws?token=secret", "", "400"),
        ("/ws?access_token=secret", "", "400"),
        (ws, "Origin: https://evil.example\r\n", "403"),
        (ws, "Origin: null\r\n", "403"),
    ] {
        let (head, _) = Socket::upgrade(server.addr, path, headers).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}")),
            "{path} {headers}: {head}"
        );
        assert!(!head.contains("secret"));
    }
    let own = format!("Origin: http://{}\r\n", server.addr);
    let (head, _) = Socket::upgrade(server.addr, ws, &own).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let (head, _) = Socket::upgrade(
        server.addr,
        ws,
        "Sec-WebSocket-Protocol: centrifuge-json\r\n",
    )
    .await;
    assert!(
        head.to_lowercase()
            .contains("sec-websocket-protocol: centrifuge-json"),
        "{head}"
    );
    let (head, mut protobuf) = Socket::upgrade(
        server.addr,
        ws,
        "Sec-WebSocket-Protocol: centrifuge-protobuf\r\n",
    )
    .await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    // Field 1, the id: 1; field 4, the connect request, with the token in its field 1.
    let token = b"app/ann/s1/60";
    let mut message = vec![
        0x08,
        1,
        0x22,
        token.len() as u8 + 2,
        0x0a,
        token.len() as u8,
    ];
    message.extend(token);
    message.insert(0, message.len() as u8);
    protobuf.frame(0x82, &message).await;
    let Heard::Binary(reply) = protobuf.hear().await else {
        panic!("not a Protobuf reply");
    };
    // Behind its length: the same id, and the connect result in field 5.
    assert_eq!(reply[1..4], [0x08, 1, 0x2a]);
    assert_eq!(
        server
            .handle()
            .stats()
            .upgrades_refused
            .load(std::sync::atomic::Ordering::Relaxed),
        4
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_that_came_with_the_request_is_heard() {
    use tokio::io::AsyncWriteExt;
    let server = Server::start().await;
    let mut stream = tokio::net::TcpStream::connect(server.addr)
        .await
        .expect("it listens");
    let mut bytes = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        server.addr
    )
    .into_bytes();
    bytes.extend(masked(0x81, connect(1, "app/ann/s1/60").as_bytes()));
    stream.write_all(&bytes).await.expect("it reads");
    let user = Whom::User {
        app: "app",
        user: "ann",
    };
    while server.handle().count(&user) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_pings_clients_are_told_so() {
    let server = Server::with(Config {
        ping_interval: Duration::ZERO,
        ..Config::default()
    })
    .await;
    let (_socket, result) = server.connected("app/ann/s1/60").await;
    assert!(result.get("ping").is_none(), "{result}");
    assert!(result.get("pong").is_none(), "{result}");
}
