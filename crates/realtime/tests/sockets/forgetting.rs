//! Whoever is told that nothing was missed has missed nothing, whatever is forgotten in the meantime: because it is
//! old, because memory is short, because the host says so.
//!
//! Clients come and go by chance and count as stock ones do; what each has heard is compared with what was said.
//! `SOAK=100` makes it a hundred times as long, as `make soak` does.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chatsdk_realtime::{Config, History, Keep, Payload, Publish, TopicOptions, UnsubscribeCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Server, Socket};
use crate::topics::{ANN, granted, publish};

const CLIENTS: usize = 4;
const TOPICS: u64 = 3;
const STEPS: u64 = 400;

/// How often a client asks whether there is more before it has missed something.
const PATIENCE: usize = 1000;

/// Numbers that are the same each time.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Where a client is in a topic.
struct At {
    listens: bool,
    epoch: Value,
    offset: u64,
    /// How much of what was said it has heard, or knows to have missed.
    heard: usize,
}

struct Client {
    socket: Socket,
    at: HashMap<u64, At>,
}

struct World {
    server: Server,
    options: TopicOptions,
    /// What was said in each topic.
    said: Vec<Vec<u64>>,
    clients: Vec<Client>,
    /// How often somebody went on, and how often somebody was told to have missed something.
    outcomes: [usize; 2],
}

impl Client {
    async fn new(server: &Server) -> Self {
        let (socket, _) = server.connected("app/ann/s1/never").await;
        let at = HashMap::new();
        Self { socket, at }
    }

    /// What `reply` answers, with all that came before it taken note of.
    async fn ask(&mut self, mut command: Value, said: &[Vec<u64>]) -> Value {
        command["id"] = json!(5);
        self.socket.say(&command.to_string()).await;
        loop {
            let line = self.socket.hear_line().await;
            if line["id"] == 5 {
                return line;
            }
            let channel = line["push"]["channel"].as_str().unwrap_or_default();
            let topic = channel.trim_start_matches('t').parse();
            let topic: u64 = topic.unwrap_or_else(|_| panic!("{line}"));
            let at = self.at.get_mut(&topic).expect("it has listened");
            if line["push"]["unsubscribe"].is_object() {
                at.listens = false;
            } else {
                assert!(at.listens, "{line}");
                at.take(&line["push"]["pub"], &said[topic as usize]);
            }
        }
    }

    async fn subscribe(&mut self, topic: u64, said: &[Vec<u64>]) -> Option<bool> {
        let mut wish = json!({ "channel": format!("t{topic}") });
        let before = self.at.remove(&topic);
        if let Some(at) = &before {
            wish["recover"] = json!(true);
            wish["epoch"] = at.epoch.clone();
            wish["offset"] = json!(at.offset);
        }
        let reply = self.ask(json!({ "subscribe": wish }), said).await;
        let result = &reply["subscribe"];
        assert!(result.is_object(), "{reply}");
        let said = &said[topic as usize];
        let recovered = before.as_ref().map(|_| result["recovered"] == true);
        let mut at = At {
            listens: true,
            epoch: result["epoch"].clone(),
            offset: result["offset"].as_u64().unwrap_or(0),
            heard: said.len(),
        };
        if let (Some(before), Some(true)) = (before, recovered) {
            assert_eq!((&before.epoch, before.offset), (&at.epoch, at.offset));
            at.heard = before.heard;
            for publication in result["publications"].as_array().into_iter().flatten() {
                at.take(publication, said);
            }
            assert_eq!(at.heard, said.len(), "there is a gap: {reply}");
        }
        self.at.insert(topic, at);
        recovered
    }
}

impl At {
    /// Takes note of a publication, which must be the next one.
    fn take(&mut self, publication: &Value, said: &[u64]) {
        assert_eq!(publication["offset"], self.offset + 1, "{publication}");
        assert_eq!(publication["data"], said[self.heard], "{publication}");
        self.offset += 1;
        self.heard += 1;
    }
}

impl World {
    async fn new() -> Self {
        let options = TopicOptions {
            history: History::Memory(Keep {
                size: 5,
                bytes: usize::MAX,
                ttl: Duration::from_mins(1),
                count_ttl: Duration::from_mins(3),
            }),
            force_recovery: true,
            ..TopicOptions::default()
        };
        let server = Server::with(Config {
            ping_interval: Duration::ZERO,
            max_history_bytes: 16 * 1024,
            ..Config::default()
        })
        .await;
        server.authority.topics("t", granted(options.clone()));
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(Client::new(&server).await);
        }
        Self {
            said: vec![Vec::new(); TOPICS as usize],
            server,
            options,
            clients,
            outcomes: [0; 2],
        }
    }

    fn say(&mut self, topic: u64, number: u64) {
        let channel = format!("t{topic}");
        publish(&self.server, &self.options, &channel, &number.to_string());
        self.said[topic as usize].push(number);
    }

    /// One thing that may happen.
    async fn step(&mut self, number: u64, chance: &mut Chance) {
        let client = chance.below(CLIENTS as u64) as usize;
        let topic = chance.below(TOPICS);
        self.server.clock.advance(1);
        match chance.below(20) {
            0..6 => self.say(topic, number),
            6..14 => {
                let client = &mut self.clients[client];
                if client.at.get(&topic).is_some_and(|at| at.listens) {
                    let command = json!({ "unsubscribe": { "channel": format!("t{topic}") } });
                    client.ask(command, &self.said).await;
                    client.at.get_mut(&topic).expect("it listens").listens = false;
                } else if let Some(recovered) = client.subscribe(topic, &self.said).await {
                    self.outcomes[usize::from(!recovered)] += 1;
                }
            }
            14 => {
                // Its network breaks.
                let at = std::mem::take(&mut self.clients[client].at);
                self.clients[client] = Client::new(&self.server).await;
                self.clients[client].at = at;
                for at in self.clients[client].at.values_mut() {
                    at.listens = false;
                }
            }
            15 => {
                let channel = format!("t{topic}");
                let why = UnsubscribeCode::InsufficientState;
                self.server.handle().unsubscribe(&ANN, &channel, why);
            }
            16 => {
                let (handle, channel) = (self.server.handle(), format!("t{topic}"));
                let forgotten = handle.forget_history("app", &channel);
                forgotten.await.expect("it is here");
            }
            17 => {
                // Others need the memory.
                for other in 0..chance.below(60) {
                    let channel = format!("other-{number}-{other}");
                    publish(&self.server, &self.options, &channel, "0");
                }
            }
            18 => {
                // Names that nothing is said in.
                let command =
                    json!({ "history": { "channel": format!("t-{number}"), "limit": 0 } });
                self.clients[client].ask(command, &self.said).await;
            }
            _ => {
                let seconds = chance.below(120);
                self.server.clock.advance(seconds as i64 * 1000);
                tokio::time::advance(Duration::from_secs(seconds)).await;
                tokio::task::yield_now().await;
            }
        }
    }

    /// Has everybody hear what was said.
    async fn catch_up(&mut self) {
        for client in &mut self.clients {
            for asked in 0.. {
                client.ask(json!({ "ping": {} }), &self.said).await;
                let mut listens = client.at.iter().filter(|(_, at)| at.listens);
                if listens.all(|(topic, at)| at.heard == self.said[*topic as usize].len()) {
                    break;
                }
                assert!(asked < PATIENCE, "something was not delivered");
                tokio::task::yield_now().await;
            }
        }
    }
}

fn runs() -> u64 {
    let times = std::env::var("SOAK")
        .ok()
        .and_then(|text| text.parse().ok());
    5 * times.unwrap_or(1_u64)
}

#[tokio::test(start_paused = true)]
async fn who_goes_on_has_missed_nothing() {
    let mut outcomes = [0; 2];
    for seed in 1..=runs() {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::new().await;
        for number in 0..STEPS {
            world.step(number, &mut chance).await;
            // Now and then several things happen before anybody hears of them.
            if chance.below(3) > 0 {
                world.catch_up().await;
            }
        }
        world.catch_up().await;
        outcomes[0] += world.outcomes[0];
        outcomes[1] += world.outcomes[1];
    }
    println!("{outcomes:?} went on, or were told that they had missed something");
    assert!(outcomes.iter().all(|&count| count > 50), "{outcomes:?}");
}

/// What one client knows of the topic that several threads say numbers in.
#[derive(Default)]
struct Follower {
    epoch: Value,
    offset: u64,
    /// The last number it has heard in this epoch; before that, between which two the first one has to be.
    last: Option<u64>,
    between: (u64, u64),
    /// How often it went on, and how often it was told to have missed something.
    outcomes: [usize; 2],
}

impl Follower {
    fn take(&mut self, publication: &Value) {
        let number = publication["data"].as_u64().expect("a number");
        self.offset += 1;
        assert_eq!(publication["offset"], self.offset, "{publication}");
        if let Some(last) = self.last {
            assert_eq!(number, last + 1, "{publication}");
        } else {
            let (from, to) = self.between;
            assert!((from..=to).contains(&number), "{number}: {from} to {to}");
        }
        self.last = Some(number);
    }

    /// Subscribes, hears a little, and leaves again.
    async fn look_in(&mut self, socket: &mut Socket, said: &AtomicU64) {
        let before = said.load(Ordering::SeqCst);
        let mut wish = json!({ "channel": "t" });
        if self.epoch.is_string() {
            wish["recover"] = json!(true);
            wish["epoch"] = self.epoch.clone();
            wish["offset"] = json!(self.offset);
        }
        let commands = [
            json!({ "id": 2, "subscribe": wish }),
            json!({ "id": 3, "ping": {} }),
            json!({ "id": 4, "unsubscribe": { "channel": "t" } }),
        ];
        let commands = commands.map(|command| command.to_string());
        socket.say(&commands.join("\n")).await;
        loop {
            let line = socket.hear_line().await;
            let result = &line["subscribe"];
            if result["recovered"] == true {
                self.outcomes[0] += 1;
                assert_eq!(result["epoch"], self.epoch);
                for publication in result["publications"].as_array().into_iter().flatten() {
                    self.take(publication);
                }
            } else if result.is_object() {
                self.outcomes[1] += 1;
                self.epoch = result["epoch"].clone();
                self.offset = result["offset"].as_u64().unwrap_or(0);
                self.last = None;
                // The one after the last that may have been said before it was there.
                self.between = (before + 1, said.load(Ordering::SeqCst) + 2);
            } else if line["push"]["pub"].is_object() {
                self.take(&line["push"]["pub"]);
            } else if line["id"] == 4 {
                return;
            } else {
                assert_eq!(line["id"], 3, "{line}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_it_is_while_others_speak_and_memory_is_short() {
    let World {
        server, options, ..
    } = World::new().await;
    let said = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let speaking = {
        let (handle, clock) = (server.handle().clone(), server.clock.clone());
        let (said, done) = (Arc::clone(&said), Arc::clone(&done));
        std::thread::spawn(move || {
            let say = |channel: &str, number: u64| {
                clock.advance(1);
                let data = Payload::new(number.to_string());
                handle.publish(Publish::new("app", channel, data, &options));
            };
            let mut chance = Chance(7);
            for round in 0.. {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                for _ in 0..chance.below(4) {
                    let number = said.load(Ordering::SeqCst) + 1;
                    say("t", number);
                    said.store(number, Ordering::SeqCst);
                }
                // Sometimes so much that nothing of the topic is left when nobody listens.
                let others = if chance.below(2) == 0 { 60 } else { 0 };
                for other in 0..others {
                    say(&format!("other-{round}-{other}"), 0);
                }
                for _ in 0..chance.below(9) {
                    std::thread::yield_now();
                }
            }
        })
    };
    let mut clients = JoinSet::new();
    for _ in 0..2 {
        let (mut socket, _) = server.connected("app/ann/s1/never").await;
        let said = Arc::clone(&said);
        clients.spawn(async move {
            let mut follower = Follower::default();
            for _ in 0..1000 * runs() / 5 {
                follower.look_in(&mut socket, &said).await;
            }
            follower.outcomes
        });
    }
    let mut outcomes = [0; 2];
    while let Some(client) = clients.join_next().await {
        let [went_on, missed] = client.expect("no gap");
        outcomes = [outcomes[0] + went_on, outcomes[1] + missed];
    }
    done.store(true, Ordering::Relaxed);
    speaking.join().expect("no panic");
    println!("{outcomes:?} went on, or were told that they had missed something");
    assert!(outcomes[0] > 0, "{outcomes:?}");
}
