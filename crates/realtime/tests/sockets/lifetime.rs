//! Staying connected: pings, refreshes, and the deadlines behind both.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Heard, Server, refresh};
use chatsdk_realtime::{TopicOptions, Whom};
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn pings_come_spread_and_pongs_keep_the_connection() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let mut waited = server.pass_until_sent().await;
    assert!(
        (Duration::from_millis(12_400)..Duration::from_millis(25_300)).contains(&waited),
        "the first ping came after {waited:?}"
    );
    for _ in 0..5 {
        assert_eq!(socket.hear().await, Heard::Text("{}".into()));
        socket.say("{}").await;
        socket.settle().await;
        waited = server.pass_until_sent().await;
        assert!(
            (Duration::from_millis(24_900)..Duration::from_millis(25_300)).contains(&waited),
            "the next ping came after {waited:?}"
        );
    }
    assert_eq!(socket.hear().await, Heard::Text("{}".into()));
    socket.say("{}").await;
    // A second pong for one ping is a client out of step.
    socket.say("{}").await;
    assert_eq!(socket.hear_close().await.0, 3501);
}

#[tokio::test(start_paused = true)]
async fn a_command_without_an_id_is_no_pong() {
    let server = crate::topics::server(TopicOptions::default()).await;
    for command in [
        r#"{"publish":{"channel":"t","data":1}}"#,
        r#"{"id":0,"ping":{}}"#,
        r#"{"presence":{"channel":"t"},"send":{"data":1}}"#,
    ] {
        let (mut socket, _) = server.connected("app/ann/s1/never").await;
        server.pass_until_sent().await;
        assert_eq!(socket.hear().await, Heard::Text("{}".into()));
        // A pong is owed, but this is none. What follows is not obeyed.
        let ping = r#"{"id":2,"ping":{}}"#;
        socket.say(&format!("{command}\n{ping}")).await;
        assert_eq!(socket.hear_close().await.0, 3501, "{command}");
    }
    let published = &server.handle().stats().publications;
    assert_eq!(published.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn first_pings_are_not_all_at_once() {
    let server = Server::start().await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(server.connected("app/ann/s1/never").await);
    }
    let mut moments = Vec::new();
    for _ in 0..3 {
        moments.push(server.pass_until_sent().await);
    }
    assert!(
        moments[2] < Duration::from_secs(12) && moments.iter().any(|wait| !wait.is_zero()),
        "{moments:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_missing_pong_closes_after_eight_seconds() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    server.pass_until_sent().await;
    assert_eq!(socket.hear().await, Heard::Text("{}".into()));
    // Only a pong is a pong.
    socket.settle().await;
    let took = server.pass_until_closed(3012).await;
    assert!(
        (Duration::from_millis(7900)..Duration::from_millis(8300)).contains(&took),
        "{took:?}"
    );
    assert_eq!(socket.hear_close().await, (3012, "no pong".into()));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_end_of_the_token_and_25_seconds() {
    let server = Server::start().await;
    let (mut socket, result) = server.connected("app/ann/s1/10").await;
    assert_eq!(result["ttl"], 10);
    server.clock.advance(34_999);
    server.handle().recheck();
    // It is still open a moment before.
    socket.settle().await;
    server.clock.advance(1);
    server.handle().recheck();
    assert_eq!(
        socket.hear_close().await,
        (3005, "connection expired".into())
    );
}

#[tokio::test(start_paused = true)]
async fn the_wheel_finds_the_deadline_by_itself() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s1/3").await;
    // The wall clock is moved first; the timers follow.
    server.clock.advance(28_000);
    let took = server.pass_until_closed(3005).await;
    assert!(took < Duration::from_millis(28_300), "{took:?}");
    assert_eq!(socket.hear_close().await.0, 3005);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_moves_the_deadline() {
    let server = Server::start().await;
    let (mut socket, result) = server.connected("app/ann/s1/10").await;
    let (client, version) = (&result["client"], &result["version"]);
    server.clock.advance(30_000);
    socket.say(&refresh(2, "app/ann/s1/60")).await;
    let expected = json!({ "client": client, "version": version, "expires": true, "ttl": 60 });
    assert_eq!(socket.hear_json().await["refresh"], expected);
    server.clock.advance(84_999);
    server.handle().recheck();
    socket.say(&refresh(3, "app/ann/s1/never")).await;
    let expected = json!({ "client": client, "version": version });
    assert_eq!(socket.hear_json().await["refresh"], expected);
    server.clock.advance(i64::from(u32::MAX));
    server.handle().recheck();
    socket.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_not_good_closes() {
    let server = Server::start().await;
    for (token, code, reason) in [
        ("expired", 3005, "connection expired"),
        ("app/ann/s1/0", 3005, "connection expired"),
        ("rubbish", 3500, "invalid token"),
        ("app/bob/s1/60", 3500, "invalid token"),
        ("other/ann/s1/60", 3500, "invalid token"),
        ("revoked", 3503, "session_revoked"),
        ("", 3501, "bad request"),
    ] {
        let (mut socket, _) = server.connected("app/ann/s1/60").await;
        socket.say(&refresh(2, token)).await;
        assert_eq!(
            socket.hear_close().await,
            (code, reason.to_owned()),
            "{token}"
        );
    }
    let (mut socket, _) = server.connected("app/ann/s1/60").await;
    socket.say(&refresh(2, "unavailable")).await;
    let reply = socket.hear_json().await;
    assert_eq!(reply["error"]["temporary"], true, "{reply}");
    socket.say(&refresh(3, "app/ann/s1/60")).await;
    assert!(socket.hear_json().await["refresh"].is_object());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_with_another_session_moves_the_connection_to_it() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s1/60").await;
    socket.say(&refresh(2, "app/ann/s2/60")).await;
    socket.hear_json().await;
    let count = |session| {
        server.handle().count(&Whom::Session {
            app: "app",
            session,
        })
    };
    assert_eq!((count("s1"), count("s2")), (0, 1));
    assert_eq!(
        server.handle().count(&Whom::User {
            app: "app",
            user: "ann"
        }),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_transports_own_pings_are_answered() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s1/60").await;
    socket.frame(0x89, b"are you there").await;
    assert_eq!(socket.hear().await, Heard::Pong(b"are you there".to_vec()));
    socket.frame(0x8a, b"unasked").await;
    // Between the fragments of a message, too.
    socket.frame(0x01, br#"{"id":2,"#).await;
    socket.frame(0x89, b"").await;
    socket.frame(0x80, br#""ping":{}}"#).await;
    assert_eq!(socket.hear().await, Heard::Pong(Vec::new()));
    assert_eq!(
        socket.hear().await,
        Heard::Text(r#"{"id":2,"ping":{}}"#.into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_jumps_ahead_is_noticed_before_the_next_ping() {
    let server = Server::start().await;
    let (_socket, _) = server.connected("app/ann/s1/60").await;
    server.clock.advance(3_600_000);
    let took = server.pass_until_closed(3005).await;
    assert!(took < Duration::from_secs(6), "{took:?}");
}
