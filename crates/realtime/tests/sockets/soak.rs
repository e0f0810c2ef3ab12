//! Nothing is lost, doubled or reordered, whatever happens to those who listen: their connections are cut,
//! some read slowly, and between nodes messages get lost.
//!
//! `SOAK=100` makes it a hundred times as long, as `make soak` does.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chatsdk_realtime::{Config, Payload, Publish, TopicOptions};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::support::{Heard, Server, Socket, connect};
use crate::topics::{granted, keeps};

const PUBLISHERS: u64 = 50;
const SUBSCRIBERS: u64 = 20;

/// How many publications nobody has to be behind by: fewer than a reply holds, so that whoever comes back goes on.
const AHEAD: usize = 5000;

/// How much each publisher says.
fn each() -> u64 {
    let times = std::env::var("SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    100 * times.unwrap_or(1_u64)
}

/// Takes note of a publication, which must be the next one.
fn take(publication: &Value, heard: &mut Vec<u64>, offset: &mut u64) {
    let at = publication["offset"].as_u64().expect("an offset");
    assert_eq!(at, *offset + 1, "the next one");
    *offset = at;
    heard.push(publication["data"].as_u64().expect("a number"));
}

/// The pushes and replies of the next frame; `None`: the connection has ended.
async fn lines(socket: &mut Socket) -> Option<Vec<Value>> {
    loop {
        match socket.hear().await {
            Heard::Text(ping) if ping == "{}" => socket.frame(0x81, b"{}").await,
            Heard::Text(text) => {
                let lines = text.split('\n').filter(|line| *line != "{}");
                return Some(
                    lines
                        .map(|line| serde_json::from_str(line).expect("JSON"))
                        .collect(),
                );
            }
            Heard::Close(..) | Heard::End | Heard::Cut => return None,
            other => panic!("heard {other:?}"),
        }
    }
}

/// How far everybody is.
#[derive(Default)]
struct Progress {
    published: AtomicUsize,
    heard: [AtomicUsize; SUBSCRIBERS as usize],
}

impl Progress {
    /// Waits until one more may be published.
    async fn publish(&self) {
        let number = self.published.fetch_add(1, Ordering::Relaxed);
        let is_behind = |heard: &AtomicUsize| heard.load(Ordering::Relaxed) + AHEAD < number;
        while self.heard.iter().any(is_behind) {
            tokio::task::yield_now().await;
        }
    }
}

/// Listens until it has heard `count` publications, cutting its connection now and then. Answers what it heard.
/// It adds to `there` when it has been told where the stream begins.
async fn listen(
    addr: SocketAddr,
    seed: u64,
    count: usize,
    there: Arc<Semaphore>,
    progress: Arc<Progress>,
) -> Vec<u64> {
    let (mut heard, mut offset, mut epoch) = (Vec::new(), 0_u64, String::new());
    let mut chance = seed;
    loop {
        let mut socket = Socket::open(addr, "").await;
        socket.say(&connect(1, "app/ann/s/never")).await;
        // A cut after some frames, a different number each time.
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut cut = chance >> 54;
        let mut subscribe = true;
        while heard.len() < count && cut > 0 {
            if subscribe {
                let recover = if epoch.is_empty() {
                    String::new()
                } else {
                    format!(r#","recover":true,"offset":{offset},"epoch":"{epoch}""#)
                };
                let command = format!(r#"{{"id":2,"subscribe":{{"channel":"t"{recover}}}}}"#);
                socket.say(&command).await;
                subscribe = false;
            }
            if seed.is_multiple_of(4) {
                // One that reads slowly: others have their turn many times in between.
                for _ in 0..(chance >> 58) {
                    tokio::task::yield_now().await;
                }
            }
            let Some(lines) = lines(&mut socket).await else {
                break;
            };
            cut -= 1;
            for line in &lines {
                let result = &line["subscribe"];
                if result.is_object() {
                    assert_eq!(
                        result["was_recovering"], result["recovered"],
                        "nothing is out of reach: {line}"
                    );
                    if epoch.is_empty() {
                        there.add_permits(1);
                    }
                    result["epoch"]
                        .as_str()
                        .expect("an epoch")
                        .clone_into(&mut epoch);
                    for publication in result["publications"].as_array().into_iter().flatten() {
                        take(publication, &mut heard, &mut offset);
                    }
                } else if line["push"]["unsubscribe"]["code"] == 2500 {
                    subscribe = true;
                } else if line["push"]["pub"].is_object() {
                    take(&line["push"]["pub"], &mut heard, &mut offset);
                } else {
                    assert!(line["connect"].is_object(), "{line}");
                }
            }
            progress.heard[seed as usize].store(heard.len(), Ordering::Relaxed);
        }
        if heard.len() == count {
            return heard;
        }
    }
}

/// Has all publishers say everything to `handles` in turns, while `SUBSCRIBERS` listen at `addresses`.
async fn soak(
    servers: &[Server],
    options: &Arc<TopicOptions>,
    trouble: impl Fn(u64) + Clone + Send + 'static,
) {
    let each = each();
    let count = (PUBLISHERS * each) as usize;
    let mut listeners = JoinSet::new();
    let there = Arc::new(Semaphore::new(0));
    let progress = Arc::new(Progress::default());
    for seed in 0..SUBSCRIBERS {
        let server = &servers[seed as usize % servers.len()];
        let (there, progress) = (Arc::clone(&there), Arc::clone(&progress));
        listeners.spawn(listen(server.addr, seed, count, there, progress));
    }
    // All of them are there from the beginning, so that all hear the same.
    let all = there.acquire_many(SUBSCRIBERS as u32).await;
    all.expect("nobody closes it").forget();
    for publisher in 0..PUBLISHERS {
        let handle = servers[publisher as usize % servers.len()].handle().clone();
        let (options, trouble) = (Arc::clone(options), trouble.clone());
        let progress = Arc::clone(&progress);
        tokio::spawn(async move {
            for n in 0..each {
                progress.publish().await;
                let number = publisher * each + n;
                trouble(number);
                let data = Payload::new(number.to_string());
                let published = handle.publish(Publish::new("app", "t", data, &options));
                published.await.expect("published");
                tokio::task::yield_now().await;
            }
        });
    }
    let mut all: Option<Vec<u64>> = None;
    while let Some(heard) = listeners.join_next().await {
        let heard = heard.expect("no panic");
        let first = all.get_or_insert_with(|| heard.clone());
        assert!(*first == heard, "two heard different things");
    }
    // Each publisher's own order is kept, too.
    let heard = all.expect("somebody listened");
    for publisher in 0..PUBLISHERS {
        let own: Vec<u64> = heard
            .iter()
            .copied()
            .filter(|data| data / each == publisher)
            .collect();
        assert!(own.is_sorted());
        assert_eq!(own.len() as u64, each);
    }
    println!("{SUBSCRIBERS} subscribers have heard {count} publications each, once and in order");
}

fn recoverable() -> Arc<TopicOptions> {
    Arc::new(TopicOptions {
        history: keeps(10_000_000),
        force_recovery: true,
        ..TopicOptions::default()
    })
}

fn config() -> Config {
    Config {
        max_publications: 10_000_000,
        // One reply holds half a MiB: who is away for longer than that cannot go on.
        max_history_bytes: 0,
        max_history_bytes_per_app: 0,
        max_queue_bytes: 32 * 1024,
        position_check: Duration::from_millis(500),
        ..Config::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_hears_everything_once_and_in_order() {
    let options = recoverable();
    let server = Server::with(config()).await;
    let grant = granted(TopicOptions::clone(&options));
    server.authority.topics("t", grant);
    soak(&[server], &options, |_| {}).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_between_nodes_that_lose_messages() {
    let options = recoverable();
    let cluster = Cluster::default();
    let servers = [cluster.node(config()).await, cluster.node(config()).await];
    for server in &servers {
        let grant = granted(TopicOptions::clone(&options));
        server.authority.topics("t", grant);
    }
    soak(&servers, &options, move |number| {
        if number.is_multiple_of(97) {
            cluster.lose(number as usize % 2, 1);
        }
    })
    .await;
}
