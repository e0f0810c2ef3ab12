//! What happens at the same time, or in the same frame.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use chatsdk_realtime::{
    Grant, History, Payload, Position, Publish, Recovered, TopicOptions, UnsubscribeCode, Whom,
};
use serde_json::Value;

use crate::support::{Heard, START, Server, Stream, connect};
use crate::topics::{ANN, granted, server};

#[tokio::test(start_paused = true)]
async fn what_follows_a_subscribe_in_its_frame_finds_it_done() {
    let server = server(TopicOptions {
        presence: true,
        ..TopicOptions::default()
    })
    .await;
    server.authority.only_subscribers();
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let commands = [
        r#"{"id":2,"subscribe":{"channel":"t"}}"#,
        r#"{"id":3,"publish":{"channel":"t","data":1}}"#,
        r#"{"id":4,"presence":{"channel":"t"}}"#,
    ];
    socket.say(&commands.join("\n")).await;
    let mut replies = Vec::new();
    while replies.len() < 3 {
        let line = socket.hear_line().await;
        if line["id"].is_number() {
            replies.push(line);
        }
    }
    assert!(replies[0]["subscribe"].is_object(), "{replies:?}");
    assert!(replies[1]["publish"].is_object(), "{replies:?}");
    assert!(replies[2]["presence"].is_object(), "{replies:?}");
}

/// A publication of a topic whose history the host keeps.
fn at(options: &TopicOptions, offset: u64) -> Publish<'_> {
    let mut publish = Publish::new("app", "t", Payload::new(offset.to_string()), options);
    publish.position = Some(Position {
        offset,
        epoch: Arc::from("store"),
    });
    publish
}

/// A server whose topics announce joins, and whose history the host keeps.
async fn announcing(options: &TopicOptions) -> Server {
    let server = server(options.clone()).await;
    *server.authority.past.lock().expect("no panic") = Some(Recovered {
        top: Position {
            offset: 0,
            epoch: "store".into(),
        },
        publications: Vec::new(),
        complete: true,
    });
    server
}

/// What `socket` hears of others, as join or leave and the client's id, until `count` of them.
async fn announcements(
    socket: &mut crate::support::Socket,
    count: usize,
) -> Vec<(&'static str, String)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        let push = socket.hear_line().await;
        for kind in ["join", "leave"] {
            if let Some(client) = push["push"][kind]["info"]["client"].as_str() {
                heard.push((kind, client.to_owned()));
            }
        }
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn who_is_lost_in_a_gap_is_said_to_have_left() {
    let options = TopicOptions {
        history: History::Host,
        join_leave: true,
        ..TopicOptions::default()
    };
    let server = announcing(&options).await;
    let (mut ann, _) = server.connected("app/ann/s1/never").await;
    let wish = r#"{"id":2,"subscribe":{"channel":"t","join_leave":true}}"#;
    assert!(ann.ask(wish).await["subscribe"].is_object());
    announcements(&mut ann, 1).await;
    let (mut bob, connected) = server.connected("app/bob/s2/never").await;
    let client = connected["client"].as_str().expect("an id").to_owned();
    let wish = r#"{"id":2,"subscribe":{"channel":"t","positioned":true}}"#;
    assert!(bob.ask(wish).await["subscribe"].is_object());
    server.handle().publish(at(&options, 2));
    assert_eq!(
        announcements(&mut ann, 2).await,
        [("join", client.clone()), ("leave", client)]
    );
    assert_eq!(bob.hear_line().await["push"]["unsubscribe"]["code"], 2500);
}

#[tokio::test(start_paused = true)]
async fn who_is_closed_for_a_gap_is_said_to_have_left() {
    let options = TopicOptions {
        history: History::Host,
        join_leave: true,
        force_positioning: true,
        ..TopicOptions::default()
    };
    let server = announcing(&options).await;
    server
        .authority
        .topics("u", granted(TopicOptions::default()));
    let (mut ann, _) = server.connected("app/ann/s1/never").await;
    let plain = TopicOptions {
        history: History::None,
        force_push_join_leave: true,
        ..options.clone()
    };
    let watch = Whom::User {
        app: "app",
        user: "ann",
    };
    assert_eq!(
        server
            .handle()
            .subscribe(&watch, "t", &granted(plain), None),
        1
    );
    announcements(&mut ann, 1).await;
    let (mut bob, connected) = server.connected("app/bob/s2/never").await;
    let client = connected["client"].as_str().expect("an id").to_owned();
    let bobs = Whom::User {
        app: "app",
        user: "bob",
    };
    let position = Position {
        offset: 0,
        epoch: "store".into(),
    };
    let grant = granted(options.clone());
    let subscribed = server
        .handle()
        .subscribe(&bobs, "t", &grant, Some(&position));
    assert_eq!(subscribed, 1);
    assert!(bob.hear_line().await["push"]["subscribe"].is_object());
    server.handle().publish(at(&options, 2));
    assert_eq!(bob.hear_close().await.0, 3010);
    assert_eq!(
        announcements(&mut ann, 2).await,
        [("join", client.clone()), ("leave", client)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_is_ended_while_it_begins_is_told_to_have_ended() {
    let options = TopicOptions {
        join_leave: true,
        force_push_join_leave: true,
        ..TopicOptions::default()
    };
    let server = server(options.clone()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let (mut watcher, _) = server.connected("app/bob/s2/never").await;
    let wish = r#"{"id":2,"subscribe":{"channel":"t"}}"#;
    assert!(watcher.ask(wish).await["subscribe"].is_object());
    announcements(&mut watcher, 1).await;
    let grant = granted(options);
    let handle = server.handle();
    let (mut joins, mut leaves) = (0, 0);
    for _ in 0..2000 {
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                barrier.wait();
                handle.subscribe(&ANN, "t", &grant, None);
            });
            scope.spawn(|| {
                barrier.wait();
                for _ in 0..60 {
                    if handle.unsubscribe(&ANN, "t", UnsubscribeCode::Server) > 0 {
                        break;
                    }
                }
            });
        });
        handle.unsubscribe(&ANN, "t", UnsubscribeCode::Server);
        let (begun, ended) = heard_until_ping(&mut socket, ["subscribe", "unsubscribe"]).await;
        assert_eq!(begun, ended, "the client believes what is so");
        let (came, went) = heard_until_ping(&mut watcher, ["join", "leave"]).await;
        joins += came;
        leaves += went;
    }
    // Events of a topic have one order: what comes before this is all that there was.
    server.handle().publish(Publish::new(
        "app",
        "t",
        Payload::new("\"done\""),
        &grant.options,
    ));
    loop {
        let push = watcher.hear_line().await;
        joins += usize::from(push["push"]["join"].is_object());
        leaves += usize::from(push["push"]["leave"].is_object());
        if push["push"]["pub"].is_object() {
            break;
        }
    }
    assert_eq!(joins, leaves, "who has come has gone");
}

/// How many pushes of two kinds come before the answer to a ping.
async fn heard_until_ping(socket: &mut crate::support::Socket, kinds: [&str; 2]) -> (usize, usize) {
    socket.say(r#"{"id":77,"ping":{}}"#).await;
    let mut counts = [0; 2];
    loop {
        let line = socket.hear_line().await;
        if line["id"] == 77 {
            return (counts[0], counts[1]);
        }
        for (count, kind) in counts.iter_mut().zip(kinds) {
            *count += usize::from(line["push"][kind].is_object());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_authority_does_not_cost_a_client_that_answers_its_connection() {
    let server = server(TopicOptions::default()).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    server.authority.asked.notified().await;
    server.authority.hold();
    socket.say(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    server.authority.asked.notified().await;
    // Two pings, so that the second comes while the answer to the first is not read yet.
    for _ in 0..2 {
        server.pass_until_sent().await;
        assert_eq!(socket.hear().await, Heard::Text("{}".into()));
        socket.say("{}").await;
    }
    server.authority.release();
    let reply = socket.hear_line().await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    socket.settle().await;
    assert!(server.handle().stats().closes().is_empty());
    // From here on it is a client as any other.
    server.pass_until_sent().await;
    assert_eq!(socket.hear().await, Heard::Text("{}".into()));
    server.pass_until_closed(3012).await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_authority_does_not_cost_a_stream_its_connection() {
    let server = server(TopicOptions::default()).await;
    let commands = connect(1, "app/ann/s1/never");
    let mut stream = Stream::open(server.addr, "/connection/http_stream", "", &commands).await;
    let connected: Value = stream.message().await.expect("a reply")["connect"].take();
    server.authority.asked.notified().await;
    server.authority.hold();
    let subscribe = r#"{"id":2,"subscribe":{"channel":"t"}}"#;
    assert_eq!(stream.post(&connected, subscribe).await, 204);
    server.authority.asked.notified().await;
    server.pass_until_sent().await;
    let ping = stream.message().await.expect("a ping");
    assert!(ping.as_object().is_some_and(serde_json::Map::is_empty));
    assert_eq!(stream.post(&connected, "{}").await, 204);
    for _ in 0..100 {
        tokio::time::advance(std::time::Duration::from_millis(100)).await;
        tokio::task::yield_now().await;
    }
    server.authority.release();
    let reply = stream.message().await.expect("a reply");
    assert!(reply["subscribe"].is_object(), "{reply}");
    assert!(server.handle().stats().closes().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_expires_before_its_reply_is_out_ends_after_it() {
    let server = server(TopicOptions::default()).await;
    server.authority.topics(
        "short",
        Grant {
            expires_at: Some(START + 60_000),
            ..granted(TopicOptions::default())
        },
    );
    let slow = TopicOptions {
        history: History::Host,
        force_positioning: true,
        ..TopicOptions::default()
    };
    server.authority.topics("slow", granted(slow));
    *server.authority.past.lock().expect("no panic") = Some(Recovered {
        top: Position {
            offset: 0,
            epoch: "store".into(),
        },
        publications: Vec::new(),
        complete: true,
    });
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    server.authority.past_gate.forget_permits(1);
    let commands = [
        r#"{"id":2,"subscribe":{"channel":"short"}}"#,
        r#"{"id":3,"subscribe":{"channel":"slow"}}"#,
    ];
    socket.say(&commands.join("\n")).await;
    server.authority.recovering.notified().await;
    server.clock.advance(60_000 + 26_000);
    server.handle().recheck();
    server.authority.past_gate.add_permits(1);
    for id in [2, 3] {
        let reply = socket.hear_line().await;
        assert_eq!(reply["id"], id, "{reply}");
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["channel"], "short", "{push}");
    assert_eq!(push["push"]["unsubscribe"]["code"], 2501, "{push}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_subscription_is_told_before_the_next_one_begins() {
    let options = TopicOptions {
        presence: true,
        ..TopicOptions::default()
    };
    let server = server(options).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    let (mut other, _) = server.connected("app/bob/s2/never").await;
    let wish = r#"{"id":2,"subscribe":{"channel":"t"}}"#;
    assert!(other.ask(wish).await["subscribe"].is_object());
    let done = AtomicBool::new(false);
    let (handle, done) = (server.handle().clone(), Arc::new(done));
    let ending = {
        let (handle, done) = (handle.clone(), Arc::clone(&done));
        std::thread::spawn(move || {
            let mut rest = 0_usize;
            while !done.load(Ordering::Relaxed) {
                handle.unsubscribe(&ANN, "t", UnsubscribeCode::InsufficientState);
                rest = (rest + 377) % 10_000;
                (0..rest).for_each(|_| std::hint::spin_loop());
            }
        })
    };
    // Locks the topic again and again.
    let looking = {
        let done = Arc::clone(&done);
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                handle.listeners("app", "t");
            }
        })
    };
    let mut listens = false;
    for _ in 0..4000 {
        // As a stock client does: what it was told has ended, it does not leave.
        let leave = listens.then_some(r#"{"id":2,"unsubscribe":{"channel":"t"}}"#);
        let come = r#"{"id":3,"subscribe":{"channel":"t"}}"#;
        let ping = r#"{"id":77,"ping":{}}"#;
        let commands: Vec<&str> = leave.into_iter().chain([come, ping]).collect();
        socket.say(&commands.join("\n")).await;
        loop {
            let line = socket.hear_line().await;
            if line["id"] == 3 {
                // What is ended while the authority thinks is refused.
                listens = line["error"]["code"] != 103;
                assert!(line["subscribe"].is_object() || !listens, "{line}");
            } else if line["push"]["unsubscribe"].is_object() {
                listens = false;
            } else if line["id"] == 77 {
                break;
            }
        }
    }
    done.store(true, Ordering::Relaxed);
    for thread in [ending, looking] {
        thread.join().expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_for_a_new_subscriber_is_not_too_much_for_it() {
    let options = TopicOptions {
        history: History::Host,
        delta: true,
        ..TopicOptions::default()
    };
    let server = announcing(&options).await;
    let (mut socket, _) = server.connected("app/ann/s1/never").await;
    server.authority.past_gate.forget_permits(1);
    let wish = r#"{"id":2,"subscribe":{"channel":"t","positioned":true,"delta":"fossil"}}"#;
    socket.say(wish).await;
    server.authority.recovering.notified().await;
    // In a string, as clients get them that were promised differences, they are twice as long.
    let data = format!("[{}\"\"]", "\"\",".repeat(14_000));
    for offset in 1..=16 {
        let mut publish = Publish::new("app", "t", Payload::new(data.clone()), &options);
        publish.position = at(&options, offset).position;
        server.handle().publish(publish);
    }
    // All of them are delivered, which is to say kept.
    let waiting = &server.handle().stats().backlog_bytes;
    while waiting.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    server.authority.past_gate.add_permits(1);
    // They are more than it could be sent at once: it is asked to come again.
    loop {
        let Heard::Text(frame) = socket.hear().await else {
            panic!("no text");
        };
        assert!(frame.len() < 1024 * 1024, "{}", frame.len());
        if frame.contains(r#""code":2500"#) {
            break;
        }
    }
    socket.settle().await;
}
