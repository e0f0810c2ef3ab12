//! Ending connections: by revocation, by shutdown, by the client, and for cause.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::support::{Heard, START, Server, Socket, connect, masked, refresh};
use crate::topics::{granted, keeps};
use chatsdk_realtime::{Config, Disconnect, DisconnectCode, History, Payload, TopicOptions, Whom};

fn revoked() -> Disconnect {
    Disconnect::because(DisconnectCode::ForceDisconnect, "session_revoked")
}

const SESSION: Whom<'_> = Whom::Session {
    app: "app",
    session: "s1",
};

#[tokio::test(start_paused = true)]
async fn a_revocation_closes_what_it_names_and_nothing_else() {
    let server = Server::start().await;
    let (mut first, _) = server.connected("app/ann/s1/60").await;
    let (mut second, _) = server.connected("app/ann/s1/60").await;
    let (mut sibling, _) = server.connected("app/ann/s2/60").await;
    let (mut bob, _) = server.connected("app/bob/s3/60").await;
    let (mut namesake, _) = server.connected("other/ann/s1/60").await;
    let stranger = server.socket().await;
    let handle = server.handle();

    assert_eq!(handle.disconnect(&SESSION, &revoked()), 2);
    for socket in [&mut first, &mut second] {
        assert_eq!(socket.hear_close().await, (3503, "session_revoked".into()));
    }
    while handle.count(&SESSION) > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(handle.disconnect(&SESSION, &revoked()), 0);

    let spare = Whom::UserExcept {
        app: "app",
        user: "ann",
        session: "s2",
    };
    assert_eq!(handle.disconnect(&spare, &revoked()), 0);
    let (mut third, _) = server.connected("app/ann/s4/60").await;
    assert_eq!(handle.disconnect(&spare, &revoked()), 1);
    assert_eq!(third.hear_close().await.0, 3503);

    let ann = Whom::User {
        app: "app",
        user: "ann",
    };
    assert_eq!(handle.disconnect(&ann, &revoked()), 1);
    assert_eq!(sibling.hear_close().await.0, 3503);
    let app = Whom::App { app: "app" };
    assert_eq!(
        handle.disconnect(&app, &DisconnectCode::ConnectionExpired.into()),
        1
    );
    assert_eq!(bob.hear_close().await.0, 3005);
    namesake.say(r#"{"id":2,"ping":{}}"#).await;
    assert!(namesake.hear_json().await["ping"].is_object());
    drop((stranger, namesake));
    server.empty().await;
    assert_eq!(handle.stats().open.load(Ordering::Relaxed), 0);
    assert_eq!(handle.stats().connected.load(Ordering::Relaxed), 0);
}

/// What the server has subscribed to cannot be ended by itself, and what is not JSON cannot be said in it.
#[tokio::test(start_paused = true)]
async fn each_cause_has_its_code() {
    let options = || TopicOptions {
        history: keeps(10),
        ..TopicOptions::default()
    };
    for (cause, code, reason) in [
        (
            "an expired server-side subscription",
            3006,
            "subscription expired",
        ),
        (
            "more server-side channels than one may have",
            3505,
            "channel limit",
        ),
        ("a message that is not JSON", 3506, "inappropriate protocol"),
        ("a reply that is not JSON", 3506, "inappropriate protocol"),
    ] {
        let server = Server::with(Config {
            max_channels: 2,
            ..Config::default()
        })
        .await;
        let mut grant = granted(options());
        let mut server_side = vec!["t1", "t2"];
        match code {
            3006 => grant.expires_at = Some(START + 60_000),
            3505 => server_side.push("t3"),
            _ => {
                grant.data = Payload::new(&b"\xff"[..]);
                server_side.clear();
            }
        }
        server.authority.topics("t", grant);
        *server.authority.server_side.lock().expect("no panic") = server_side;
        let mut socket = server.socket().await;
        socket.say(&connect(1, "app/ann/s1/never")).await;
        if code != 3505 {
            assert!(socket.hear_json().await["connect"].is_object());
        }
        match cause {
            "an expired server-side subscription" => {
                server.clock.advance(84_999);
                server.handle().recheck();
                socket.settle().await;
                server.clock.advance(1);
                server.handle().recheck();
            }
            "a message that is not JSON" => {
                let message = Payload::new(&b"\xff"[..]);
                server.handle().message(&SESSION, &message);
            }
            "a reply that is not JSON" => {
                socket.say(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
            }
            _ => {}
        }
        assert_eq!(socket.hear_close().await, (code, reason.into()), "{cause}");
        server.empty().await;
        assert_eq!(server.handle().stats().closes(), [(code, 1)], "{cause}");
        assert_eq!(server.handle().topics(), 0, "{cause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_between_answer_and_registration_holds() {
    let server = Server::start().await;
    server.authority.hold();
    let mut socket = server.socket().await;
    socket.say(&connect(1, "app/ann/s1/60")).await;
    server.authority.asked.notified().await;
    // The authority has made up its mind; now the session is revoked.
    assert_eq!(server.handle().disconnect(&SESSION, &revoked()), 0);
    let other = Whom::Session {
        app: "app",
        session: "s9",
    };
    server.handle().disconnect(&other, &revoked());
    server.authority.release();
    assert_eq!(socket.hear_close().await, (3503, "session_revoked".into()));
    // The order is not remembered for those who ask later.
    let (_later, _) = server.connected("app/ann/s1/60").await;
    assert_eq!(server.handle().count(&SESSION), 1);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_of_the_session_that_a_refresh_moves_to_holds() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s2/60").await;
    server.authority.asked.notified().await;
    server.authority.hold();
    socket.say(&refresh(2, "app/ann/s1/60")).await;
    server.authority.asked.notified().await;
    assert_eq!(server.handle().disconnect(&SESSION, &revoked()), 0);
    server.authority.release();
    assert_eq!(socket.hear_close().await.0, 3503);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_authority_thinks_leaves_nothing_behind() {
    let server = Server::start().await;
    server.authority.hold();
    let mut socket = server.socket().await;
    socket.say(&connect(1, "app/ann/s1/60")).await;
    server.authority.asked.notified().await;
    drop(socket);
    server.authority.release();
    server.empty().await;
    assert_eq!(server.handle().count(&SESSION), 0);
    assert_eq!(server.handle().stats().connected.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn draining_closes_all_and_accepts_no_more() {
    let server = Server::start().await;
    let (mut ann, _) = server.connected("app/ann/s1/60").await;
    let mut stranger = server.socket().await;
    let drained = server.handle().drain();
    let ((), (), ()) = tokio::join!(
        drained,
        async { assert_eq!(ann.hear_close().await, (3001, "shutdown".into())) },
        async { assert_eq!(stranger.hear_close().await.0, 3001) },
    );
    assert!(server.handle().is_draining());
    let (head, _) = Socket::upgrade(server.addr, "/ws", "").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_answer_the_close_is_broken_off() {
    let server = Server::start().await;
    let (mut socket, _) = server.connected("app/ann/s1/60").await;
    server.handle().disconnect(&SESSION, &revoked());
    assert!(matches!(socket.hear().await, Heard::Close(3503, _)));
    // Whatever it still says is not heard.
    socket.say(r#"{"id":2,"ping":{}}"#).await;
    let took = server
        .pass_until(|stats| stats.open.load(Ordering::Relaxed) == 0)
        .await;
    assert!(
        (Duration::from_secs(5)..Duration::from_millis(5300)).contains(&took),
        "{took:?}"
    );
    assert_eq!(socket.hear().await, Heard::End);
}

#[tokio::test(start_paused = true)]
async fn a_client_may_close() {
    let server = Server::start().await;
    for (payload, code) in [
        (&b"\x03\xe8done"[..], 1000),
        (b"", 1005),
        (b"\x0f\xa0", 4000),
    ] {
        let (mut socket, _) = server.connected("app/ann/s1/60").await;
        socket.frame(0x88, payload).await;
        assert_eq!(socket.hear().await, Heard::Close(code, String::new()));
        assert_eq!(socket.hear().await, Heard::End);
    }
    let (socket, _) = server.connected("app/ann/s1/60").await;
    drop(socket);
    server.empty().await;
    assert_eq!(server.handle().stats().closes(), [(3000, 4)]);
}

#[tokio::test(start_paused = true)]
async fn broken_framing_is_told_by_its_code() {
    let server = Server::start().await;
    for (bytes, code) in [
        (b"\x81\x02{}".to_vec(), 1002),
        (masked(0xc1, b"{}"), 1002),
        (masked(0x83, b"{}"), 1002),
        (masked(0x09, b"{}"), 1002),
        (masked(0x80, b"{}"), 1002),
        (masked(0x89, &[b'x'; 126]), 1002),
        (masked(0x88, b"\x03\xed"), 1002),
        (masked(0x81, b"\xff\xfe"), 1007),
        (masked(0x81, &vec![b'x'; 65_537]), 1009),
    ] {
        let (mut socket, _) = server.connected("app/ann/s1/60").await;
        socket.raw(&bytes).await;
        assert_eq!(socket.hear_close().await.0, code, "{:x?}", &bytes[..2]);
    }
    server.empty().await;
    // A message of just the bound is one; it only is no command.
    let (mut socket, _) = server.connected("app/ann/s1/60").await;
    let longest = format!(
        r#"{{"id":2,"rpc":{{"data":"{}"}}}}"#,
        "x".repeat(65_536 - 26)
    );
    assert_eq!(longest.len(), 65_536);
    socket.say(&longest).await;
    assert_eq!(socket.hear_json().await["error"]["code"], 108);
}

/// A client that stops reading: its socket fills up, then the queue, and it hears why it is closed.
#[tokio::test(start_paused = true)]
async fn a_slow_client_is_closed_and_nobody_waits_for_it() {
    let server = Server::with(Config {
        max_queue_bytes: 64 * 1024,
        // The clock stands still only for timers; the queue is what is tested.
        write_timeout: Duration::from_hours(1),
        close_wait: Duration::from_hours(1),
        ping_interval: Duration::ZERO,
        ..Config::default()
    })
    .await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let payload = [b'x'; 125];
    let frame = masked(0x89, &payload);
    let pings = frame.repeat(500);
    let closed = |code| {
        let closes = server.handle().stats().closes();
        closes.iter().any(|(closed, _)| *closed == code)
    };
    while !closed(3008) {
        socket.raw(&pings).await;
        tokio::task::yield_now().await;
    }
    loop {
        match socket.hear().await {
            Heard::Pong(pong) => assert_eq!(pong, payload, "frames stay whole"),
            Heard::Close(code, reason) => {
                assert_eq!((code, reason.as_str()), (3008, "slow"));
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    drop(socket);
    server.empty().await;
}

/// The same client against the clock: what does not move for a second is broken off.
#[tokio::test(start_paused = true)]
async fn a_stuck_client_is_broken_off_after_the_write_timeout() {
    let server = Server::with(Config {
        max_queue_bytes: usize::MAX,
        ping_interval: Duration::ZERO,
        ..Config::default()
    })
    .await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let pings = masked(0x89, &[b'x'; 125]).repeat(500);
    let stats = server.handle().stats();
    // More than both socket buffers hold: the last of them wait in the queue.
    for _ in 0..20 {
        socket.raw(&pings).await;
    }
    while stats.messages_out.load(Ordering::Relaxed) < 10_001 {
        tokio::task::yield_now().await;
    }
    let took = server
        .pass_until(|stats| stats.open.load(Ordering::Relaxed) == 0)
        .await;
    assert!(took < Duration::from_millis(1300), "{took:?}");
    assert_eq!(stats.closes(), [(3009, 1)]);
}

/// More than one batch of them; `examples/idle.rs` measures it with ten thousand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sockets_of_one_user_are_closed_by_one_order() {
    let server = Server::start().await;
    let mut sockets = Vec::new();
    for number in 0..400 {
        let (socket, _) = server
            .connected(&format!("app/ann/s{}/60", number % 7))
            .await;
        sockets.push(socket);
    }
    let ann = Whom::User {
        app: "app",
        user: "ann",
    };
    assert_eq!(server.handle().count(&ann), 400);
    assert_eq!(server.handle().disconnect(&ann, &revoked()), 400);
    for mut socket in sockets {
        assert_eq!(socket.hear_close().await, (3503, "session_revoked".into()));
    }
    server.empty().await;
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_panics_leaves_nothing_behind() {
    let options = TopicOptions {
        history: History::Host,
        force_recovery: true,
        ..TopicOptions::default()
    };
    let server = crate::topics::server(options).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    server.authority.panics.store(true, Ordering::Relaxed);
    socket.say(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    assert_eq!(socket.hear().await, Heard::End);
    server.empty().await;
    let handle = server.handle();
    assert_eq!((handle.listeners("app", "t"), handle.topics()), (0, 0));
    let stats = handle.stats();
    assert_eq!(stats.subscriptions.load(Ordering::Relaxed), 0);
    assert_eq!(stats.open.load(Ordering::Relaxed), 0);
}
