//! Nothing is lost, doubled or reordered, whatever happens to those who listen.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::sync::Arc;

use chatsdk_realtime::{Config, Payload, Publish, TopicOptions};
use serde_json::Value;

use crate::support::{Server, Socket};
use crate::topics::{granted, keeps};

const PUBLISHERS: u64 = 50;
const EACH: u64 = 100;
const SUBSCRIBERS: u64 = 20;

/// Takes note of a publication, which must be the next one.
fn take(publication: &Value, heard: &mut Vec<(u64, u64)>, offset: &mut u64) {
    let at = publication["offset"].as_u64().expect("an offset");
    assert_eq!(at, *offset + 1, "the next one");
    *offset = at;
    let data = publication["data"].as_u64().expect("a number");
    heard.push((at, data));
}

/// Listens until the last publication, cutting its connection now and then. Answers what it heard.
async fn listen(addr: std::net::SocketAddr, seed: u64) -> Vec<(u64, u64)> {
    let (mut heard, mut offset, mut epoch) = (Vec::new(), 0_u64, String::new());
    let mut chance = seed;
    loop {
        let mut socket = Socket::open(addr, "").await;
        socket
            .say(&crate::support::connect(1, "app/ann/s/never"))
            .await;
        assert!(socket.hear_line().await["connect"].is_object());
        let recover = if epoch.is_empty() {
            String::new()
        } else {
            format!(r#","recover":true,"offset":{offset},"epoch":"{epoch}""#)
        };
        let command = format!(r#"{{"id":2,"subscribe":{{"channel":"t"{recover}}}}}"#);
        let reply = socket.ask(&command).await;
        let result = &reply["subscribe"];
        assert_eq!(
            result["was_recovering"], result["recovered"],
            "nothing is out of reach: {reply}"
        );
        epoch = result["epoch"].as_str().expect("an epoch").to_owned();
        for publication in result["publications"].as_array().into_iter().flatten() {
            take(publication, &mut heard, &mut offset);
        }
        // A cut after some publications, a different number each time.
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let cut = chance >> 54;
        for _ in 0..cut {
            if heard.len() as u64 == PUBLISHERS * EACH {
                return heard;
            }
            let push = socket.hear_line().await;
            take(&push["push"]["pub"], &mut heard, &mut offset);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_hears_everything_once_and_in_order() {
    let options = Arc::new(TopicOptions {
        history: keeps(100_000),
        force_recovery: true,
        ..TopicOptions::default()
    });
    let server = Server::with(Config {
        max_publications: 100_000,
        ..Config::default()
    })
    .await;
    server
        .authority
        .topics("t", granted(TopicOptions::clone(&options)));
    let mut listeners = tokio::task::JoinSet::new();
    // All of them are there from the beginning, so that all hear the same.
    for seed in 0..SUBSCRIBERS {
        listeners.spawn(listen(server.addr, seed));
    }
    while server.handle().listeners("app", "t") < SUBSCRIBERS as usize {
        tokio::task::yield_now().await;
    }
    for publisher in 0..PUBLISHERS {
        let (handle, options) = (server.handle().clone(), Arc::clone(&options));
        tokio::spawn(async move {
            for n in 0..EACH {
                let data = Payload::new((publisher * EACH + n).to_string());
                handle.publish(Publish::new("app", "t", data, &options));
                tokio::task::yield_now().await;
            }
        });
    }
    let mut all: Option<Vec<(u64, u64)>> = None;
    while let Some(heard) = listeners.join_next().await {
        let heard = heard.expect("no panic");
        assert_eq!(heard.len() as u64, PUBLISHERS * EACH);
        let first = all.get_or_insert_with(|| heard.clone());
        assert!(*first == heard, "two heard different things");
    }
    // Each publisher's own order is kept, too.
    let heard = all.expect("somebody listened");
    for publisher in 0..PUBLISHERS {
        let own: Vec<u64> = heard
            .iter()
            .map(|(_, data)| *data)
            .filter(|data| data / EACH == publisher)
            .collect();
        assert!(own.is_sorted());
        assert_eq!(own.len() as u64, EACH);
    }
}
