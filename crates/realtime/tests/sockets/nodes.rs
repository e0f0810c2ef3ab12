//! Several servers, joined by a broker: what is said on one is heard on the others, and what gets lost on
//! the way comes to light.

#![expect(clippy::expect_used, reason = "a test stops at its first surprise")]

use std::sync::atomic::Ordering;
use std::time::Duration;

use chatsdk_realtime::{
    BrokerError, Config, DisconnectCode, History, Payload, Position, Publication, Publish,
    Recovered, Stats, TopicOptions, UnsubscribeCode, Whom,
};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::support::{Server, Socket, connect};
use crate::topics::{ANN, granted, keeps, listening};

fn recoverable() -> TopicOptions {
    TopicOptions {
        history: keeps(1000),
        force_recovery: true,
        presence: true,
        ..TopicOptions::default()
    }
}

/// Two nodes with topics that begin with `t`.
async fn two(options: &TopicOptions) -> (Cluster, Server, Server) {
    let cluster = Cluster::default();
    // Nobody answers a ping while a test lets time pass.
    let config = Config {
        ping_interval: Duration::ZERO,
        ..Config::default()
    };
    let one = cluster.node(config.clone()).await;
    let two = cluster.node(config).await;
    for node in [&one, &two] {
        node.authority.topics("t", granted(options.clone()));
    }
    (cluster, one, two)
}

/// A client that does as stock ones do: it counts, and comes again where it was.
struct Counting {
    socket: Socket,
    epoch: Value,
    offset: u64,
    heard: Vec<Value>,
}

impl Counting {
    async fn new(server: &Server) -> Self {
        let (socket, _) = server.connected("app/ann/s1/never").await;
        let mut counting = Self {
            socket,
            epoch: Value::Null,
            offset: 0,
            heard: Vec::new(),
        };
        counting.subscribe().await;
        counting
    }

    /// Subscribes, from where it was on; whether it was told all that it missed.
    async fn subscribe(&mut self) -> bool {
        let mut wish = json!({ "id": 2, "subscribe": { "channel": "t" } });
        if !self.epoch.is_null() {
            wish["subscribe"]["recover"] = json!(true);
            wish["subscribe"]["epoch"] = self.epoch.clone();
            wish["subscribe"]["offset"] = json!(self.offset);
        }
        let mut reply = self.socket.ask(&wish.to_string()).await;
        let result = reply["subscribe"].take();
        assert!(result.is_object(), "{reply}");
        self.epoch = result["epoch"].clone();
        self.offset = result["offset"].as_u64().unwrap_or(0);
        for publication in result["publications"].as_array().into_iter().flatten() {
            self.take(publication);
        }
        result["recovered"] == true
    }

    fn take(&mut self, publication: &Value) {
        let offset = publication["offset"].as_u64().expect("an offset");
        assert_eq!(offset, self.offset + 1, "the next one");
        self.offset = offset;
        self.heard.push(publication["data"].clone());
    }

    /// Listens until it has heard `count` publications, or its subscription ends: the code of that.
    async fn listen(&mut self, count: usize) -> Option<u64> {
        while self.heard.len() < count {
            let push = self.socket.hear_line().await;
            let push = &push["push"];
            if push["unsubscribe"].is_object() {
                return push["unsubscribe"]["code"].as_u64();
            }
            self.take(&push["pub"]);
        }
        None
    }
}

/// Publishes as the server, and waits until the broker has it.
async fn say(server: &Server, options: &TopicOptions, data: u64) -> Result<u64, BrokerError> {
    let publish = Publish::new("app", "t", Payload::new(data.to_string()), options);
    let position = server.handle().publish(publish).await?;
    Ok(position.expect("it counts").offset)
}

#[tokio::test(start_paused = true)]
async fn what_is_said_on_one_node_is_heard_on_all_in_one_order() {
    let options = recoverable();
    let (_cluster, one, two) = two(&options).await;
    let (mut here, mut there) = (Counting::new(&one).await, Counting::new(&two).await);
    for data in 0..20 {
        let from = if data % 3 == 0 { &one } else { &two };
        assert_eq!(say(from, &options, data).await, Ok(data + 1));
    }
    let command = r#"{"id":3,"publish":{"channel":"t","data":20}}"#;
    here.socket.say(command).await;
    for client in [&mut here, &mut there] {
        while client.heard.len() < 21 {
            let line = client.socket.hear_line().await;
            if line["push"].is_object() {
                client.take(&line["push"]["pub"]);
            } else {
                assert!(line["publish"].is_object(), "{line}");
            }
        }
        let all: Vec<Value> = (0..21).map(Value::from).collect();
        assert_eq!(client.heard, all);
    }
    let history = r#"{"id":4,"history":{"channel":"t","limit":2,"reverse":true}}"#;
    let reply = there.socket.ask(history).await;
    assert_eq!(reply["history"]["publications"][1]["data"], 19, "{reply}");
}

#[tokio::test(start_paused = true)]
async fn who_is_there_is_known_on_all_nodes() {
    let options = TopicOptions {
        join_leave: true,
        force_push_join_leave: true,
        ..recoverable()
    };
    let (cluster, one, two) = two(&options).await;
    let mut here = listening(&one, "s1").await;
    let joined = here.hear_line().await;
    assert!(joined["push"]["join"].is_object(), "itself: {joined}");
    let there = listening(&two, "s2").await;
    let joined = here.hear_line().await;
    let client = joined["push"]["join"]["info"]["client"].clone();
    let reply = here.ask(r#"{"id":3,"presence":{"channel":"t"}}"#).await;
    let present = reply["presence"]["presence"].as_object().expect("a map");
    assert_eq!(present.len(), 2);
    assert!(present.contains_key(client.as_str().expect("an id")));
    let stats = r#"{"id":4,"presence_stats":{"channel":"t"}}"#;
    let reply = here.ask(stats).await;
    let expected = json!({ "num_clients": 2, "num_users": 1 });
    assert_eq!(reply["presence_stats"], expected);
    drop(there);
    let left = here.hear_line().await;
    assert_eq!(left["push"]["leave"]["info"]["client"], client, "{left}");
    let reply = here.ask(stats).await;
    assert_eq!(reply["presence_stats"]["num_clients"], 1);
    // Whoever comes back within a moment finds the topic as it was; then nobody is told any more.
    assert_eq!(cluster.subscribed(1), 1);
    let back = listening(&two, "s2").await;
    tokio::time::advance(Duration::from_millis(1500)).await;
    assert_eq!(cluster.subscribed(1), 1);
    drop(back);
    two.empty().await;
    two.pass_until(|_| cluster.subscribed(1) == 0).await;
    assert_eq!(two.handle().topics(), 0, "and nothing is left of it");
    let _again = listening(&two, "s2").await;
    assert_eq!(cluster.subscribed(1), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_publication_shows_by_the_next_and_is_recovered() {
    let options = recoverable();
    let (cluster, one, two) = two(&options).await;
    let mut client = Counting::new(&two).await;
    say(&one, &options, 0).await.expect("published");
    cluster.lose(1, 2);
    for data in 1..4 {
        say(&one, &options, data).await.expect("published");
    }
    assert_eq!(client.listen(4).await, Some(2500));
    assert!(client.subscribe().await);
    assert_eq!(client.heard, [0, 1, 2, 3].map(Value::from));
    cluster.delay(1);
    for data in 4..7 {
        say(&one, &options, data).await.expect("published");
    }
    cluster.arrive(1, |order| order.swap(0, 1));
    assert_eq!(client.listen(7).await, Some(2500), "out of order");
    assert!(client.subscribe().await);
    assert_eq!(client.heard.len(), 7);
    cluster.delay(1);
    say(&one, &options, 7).await.expect("published");
    cluster.arrive(1, |order| order.push(0));
    say(&one, &options, 8).await.expect("published");
    assert_eq!(client.listen(9).await, None, "twice is as good as once");
    assert_eq!(client.heard.last(), Some(&json!(8)));
}

#[tokio::test(start_paused = true)]
async fn names_leave_nothing_on_any_node_and_who_was_there_goes_on_at_another() {
    let options = recoverable();
    let (cluster, one, two) = two(&options).await;
    let mut client = Counting::new(&one).await;
    for n in 0..1000 {
        for command in [
            format!(r#"{{"id":3,"history":{{"channel":"t-other-{n}","limit":0}}}}"#),
            format!(r#"{{"id":4,"subscribe":{{"channel":"t-{n}"}}}}"#),
            format!(r#"{{"id":5,"unsubscribe":{{"channel":"t-{n}"}}}}"#),
        ] {
            let reply = client.socket.ask(&command).await;
            assert!(reply["error"].is_null(), "{reply}");
        }
    }
    one.pass_until(|_| one.handle().topics() == 1).await;
    assert_eq!((cluster.subscribed(0), cluster.subscribed(1)), (1, 0));
    assert_eq!(two.handle().topics(), 0);
    (client.socket, _) = two.connected("app/ann/s1/never").await;
    one.pass_until(|_| one.handle().topics() == 0).await;
    assert!(client.subscribe().await, "nothing was missed");
    (client.socket, _) = one.connected("app/ann/s1/never").await;
    two.pass_until(|_| two.handle().topics() == 0).await;
    for data in 0..3 {
        say(&two, &options, data).await.expect("published");
    }
    assert!(client.subscribe().await);
    assert_eq!(client.heard, [0, 1, 2].map(Value::from));
}

/// Lets time pass until a subscription on `server` is ended, which must be within ten seconds.
async fn found_out(server: &Server) {
    let count = |stats: &Stats| stats.subscriptions.load(Ordering::Relaxed);
    let before = count(server.handle().stats());
    let took = server.pass_until(|stats| count(stats) < before).await;
    assert!(took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_publication_that_none_follows_is_found_out_within_ten_seconds() {
    let options = recoverable();
    let (cluster, one, two) = two(&options).await;
    let mut client = Counting::new(&two).await;
    for data in 0..3 {
        cluster.lose(1, 1);
        say(&one, &options, data).await.expect("published");
        found_out(&two).await;
        assert_eq!(client.listen(3).await, Some(2500));
        assert!(client.subscribe().await);
        assert_eq!(client.offset, data + 1);
    }
    assert_eq!(client.heard, [0, 1, 2].map(Value::from));
}

#[tokio::test(start_paused = true)]
async fn what_the_server_subscribed_to_ends_with_its_connection() {
    let options = recoverable();
    let (cluster, one, two) = two(&options).await;
    two.authority
        .server_side
        .lock()
        .expect("no panic")
        .push("t");
    let (mut socket, _) = two.connected("app/ann/s1/never").await;
    cluster.lose(1, 1);
    say(&one, &options, 0).await.expect("published");
    let took = two.pass_until_closed(3010).await;
    assert!(took <= Duration::from_secs(10), "{took:?}");
    assert_eq!(socket.hear_close().await.0, 3010);
}

/// Lets so much time pass on `server` as two comparisons take.
async fn two_comparisons(server: &Server) {
    let begin = tokio::time::Instant::now();
    server
        .pass_until(|_| begin.elapsed() > Duration::from_secs(20))
        .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_not_lost_and_a_broker_that_fails_says_nothing() {
    let options = recoverable();
    let (cluster, one, two) = two(&options).await;
    let mut client = Counting::new(&two).await;
    // Late by half a second, at every moment of the time between two comparisons.
    for data in 0..20 {
        cluster.delay(1);
        say(&one, &options, data).await.expect("published");
        let begin = tokio::time::Instant::now();
        two.pass_until(|_| begin.elapsed() >= Duration::from_millis(500))
            .await;
        cluster.arrive(1, |_| {});
        assert_eq!(client.listen(data as usize + 1).await, None);
    }
    cluster.fail(true);
    two_comparisons(&two).await;
    cluster.fail(false);
    two_comparisons(&two).await;
    say(&one, &options, 20).await.expect("published");
    assert_eq!(client.listen(21).await, None);
}

#[tokio::test(start_paused = true)]
async fn another_epoch_and_a_count_that_went_back_are_found_out() {
    let options = recoverable();
    let (cluster, one, two) = two(&options).await;
    let mut client = Counting::new(&two).await;
    for data in 0..2 {
        say(&one, &options, data).await.expect("published");
    }
    assert_eq!(client.listen(2).await, None);
    cluster.step_back("t");
    found_out(&two).await;
    assert_eq!(client.listen(3).await, Some(2500));
    assert!(!client.subscribe().await, "what it had is gone");
    assert_eq!(client.offset, 1);
    cluster.forget_epoch("t");
    found_out(&two).await;
    assert_eq!(client.listen(3).await, Some(2500));
    assert!(!client.subscribe().await);
    assert_eq!((client.offset, &client.epoch), (0, &json!("second")));
    cluster.forget_epoch("t");
    say(&one, &options, 2).await.expect("published");
    assert_eq!(client.listen(3).await, None, "it goes on counting");
}

#[tokio::test(start_paused = true)]
async fn without_a_broker_clients_are_told_to_try_again() {
    let options = recoverable();
    let (cluster, one, _two) = two(&options).await;
    let mut client = Counting::new(&one).await;
    cluster.fail(true);
    let (mut other, _) = one.connected("app/ann/s2/never").await;
    for command in [
        r#""publish":{"channel":"t","data":1}"#,
        r#""presence":{"channel":"t"}"#,
        r#""presence_stats":{"channel":"t"}"#,
        r#""history":{"channel":"t"}"#,
        r#""subscribe":{"channel":"t2"}"#,
    ] {
        let reply = other.ask(&format!("{{\"id\":3,{command}}}")).await;
        let error = json!({ "code": 100, "message": "internal server error", "temporary": true });
        assert_eq!(reply["error"], error, "{command}");
    }
    let unavailable = Err(BrokerError::Unavailable);
    assert_eq!(say(&one, &options, 0).await, unavailable);
    one.authority
        .server_side
        .lock()
        .expect("no panic")
        .push("t");
    let mut refused = one.socket().await;
    refused.say(&connect(1, "app/ann/s3/never")).await;
    assert_eq!(refused.hear_close().await.0, 3004);
    assert_eq!(one.handle().listeners("app", "t"), 1, "who was there is");
    cluster.fail(false);
    let reply = other.ask(r#"{"id":4,"subscribe":{"channel":"t2"}}"#).await;
    assert!(
        reply["subscribe"].is_object(),
        "the channel is free: {reply}"
    );
    say(&one, &options, 1).await.expect("published");
    assert_eq!(client.listen(1).await, None);
    // Nobody waits for the answer to the last one.
    let unawaited = Publish::new("app", "t", Payload::new("2"), &options);
    drop(one.handle().publish(unawaited));
    let publications = &one.handle().stats().publications;
    assert_eq!(
        publications.load(Ordering::Relaxed),
        2,
        "what was refused is none"
    );
}

/// What the host's store holds.
fn stored(top: u64) -> Recovered {
    Recovered {
        top: Position {
            offset: top,
            epoch: "store".into(),
        },
        publications: (1..=top)
            .map(|offset| Publication {
                data: Payload::new(offset.to_string()),
                offset,
                ..Publication::default()
            })
            .collect(),
        complete: true,
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_host_keeps_is_healed_from_its_store() {
    let options = TopicOptions {
        history: History::Host,
        force_recovery: true,
        ..TopicOptions::default()
    };
    let (cluster, one, two) = two(&options).await;
    *two.authority.past.lock().expect("no panic") = Some(stored(0));
    let mut client = Counting::new(&two).await;
    // Committed and published, but the broker loses it; then committed by a node that dies before it publishes.
    cluster.lose(1, 1);
    let mut publish = Publish::new("app", "t", Payload::new("1"), &options);
    publish.position = Some(stored(1).top);
    one.handle().publish(publish).await.expect("published");
    for top in 1..3 {
        *two.authority.past.lock().expect("no panic") = Some(stored(top));
        found_out(&two).await;
        assert_eq!(client.listen(3).await, Some(2500));
        // The store is asked for what came after; this one answers what it is told to.
        let mut missed = stored(top);
        missed.publications.drain(..client.offset as usize);
        *two.authority.past.lock().expect("no panic") = Some(missed);
        assert!(client.subscribe().await);
        assert_eq!(client.offset, top);
    }
    assert_eq!(client.heard, [1, 2].map(Value::from));
    *two.authority.past.lock().expect("no panic") = None;
    two_comparisons(&two).await;
    client.socket.settle().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_is_asked_in_one_process_as_well() {
    let options = TopicOptions {
        history: History::Host,
        force_positioning: true,
        ..TopicOptions::default()
    };
    let server = crate::topics::server(options).await;
    *server.authority.past.lock().expect("no panic") = Some(stored(0));
    let mut socket = listening(&server, "s1").await;
    *server.authority.past.lock().expect("no panic") = Some(stored(1));
    found_out(&server).await;
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2500, "{push}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_panics_when_asked_is_asked_again() {
    let options = TopicOptions {
        history: History::Host,
        force_positioning: true,
        ..TopicOptions::default()
    };
    // Nobody answers a ping while the test lets time pass.
    let server = Server::with(Config {
        ping_interval: Duration::ZERO,
        ..Config::default()
    })
    .await;
    server.authority.topics("t", granted(options));
    *server.authority.past.lock().expect("no panic") = Some(stored(0));
    let mut socket = listening(&server, "s1").await;
    *server.authority.past.lock().expect("no panic") = Some(stored(1));
    server.authority.panics.store(true, Ordering::Relaxed);
    two_comparisons(&server).await;
    server.authority.panics.store(false, Ordering::Relaxed);
    found_out(&server).await;
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2500, "{push}");
}

#[tokio::test(start_paused = true)]
async fn orders_hold_on_every_node() {
    let options = recoverable();
    let (_cluster, one, two) = two(&options).await;
    let (mut socket, _) = two.connected("app/ann/s1/never").await;
    let grant = granted(options.clone());
    assert_eq!(one.handle().subscribe(&ANN, "t", &grant, None), 0);
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["subscribe"]["recoverable"], true, "{push}");
    say(&one, &options, 7).await.expect("published");
    assert_eq!(socket.hear_line().await["push"]["pub"]["data"], 7);
    one.handle().unsubscribe(&ANN, "t", UnsubscribeCode::Server);
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2000, "{push}");
    one.handle().message(&ANN, &Payload::new("\"psst\""));
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["message"]["data"], "psst", "{push}");
    let until = crate::support::START + 60_000;
    one.handle().refresh(&ANN, Some(until));
    let push = socket.hear_line().await;
    let expected = json!({ "expires": true, "ttl": 60 });
    assert_eq!(push["push"]["refresh"], expected, "{push}");
    two.clock.advance(60_000 + 26_000);
    two.handle().recheck();
    assert_eq!(socket.hear_close().await.0, 3005);
    let (mut socket, _) = two.connected("app/ann/s1/never").await;
    one.handle()
        .disconnect(&ANN, &DisconnectCode::ForceDisconnect.into());
    assert_eq!(socket.hear_close().await.0, 3503);
    let (mut socket, _) = two.connected("app/ann/s1/never").await;
    one.handle()
        .disconnect_here(&ANN, &DisconnectCode::ForceDisconnect.into());
    socket.settle().await;
}

#[tokio::test(start_paused = true)]
async fn what_got_lost_in_many_topics_is_found_out_in_all_of_them_in_time() {
    const TOPICS: usize = 1000;
    let options = recoverable();
    let cluster = Cluster::default();
    let config = Config {
        ping_interval: Duration::ZERO,
        max_channels: TOPICS,
        max_commands_per_second: 0,
        ..Config::default()
    };
    let one = cluster.node(config.clone()).await;
    let two = cluster.node(config).await;
    two.authority.topics("t", granted(options.clone()));
    let (mut socket, _) = two.connected("app/ann/s1/never").await;
    for topic in 0..TOPICS {
        let wish = json!({ "id": 2, "subscribe": { "channel": format!("t{topic}") } });
        assert!(socket.ask(&wish.to_string()).await["subscribe"].is_object());
    }
    cluster.lose(1, TOPICS);
    for topic in 0..TOPICS {
        let channel = format!("t{topic}");
        let publish = Publish::new("app", &channel, Payload::new("1"), &options);
        one.handle().publish(publish).await.expect("published");
    }
    let listens = |stats: &Stats| stats.subscriptions.load(Ordering::Relaxed) > 0;
    let reading = tokio::spawn(async move {
        for _ in 0..TOPICS {
            let push = socket.hear_line().await;
            assert_eq!(push["push"]["unsubscribe"]["code"], 2500, "{push}");
        }
    });
    let took = two.pass_until(|stats| !listens(stats)).await;
    reading.await.expect("each is told");
    assert!(took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_its_delivery_here_is_not_lost() {
    let options = TopicOptions {
        presence: false,
        ..recoverable()
    };
    let (cluster, one, two) = two(&options).await;
    let mut clients = Vec::new();
    for _ in 0..1800 {
        clients.push(Counting::new(&two).await);
    }
    let begin = tokio::time::Instant::now();
    let mut said = 0;
    // A delivery to so many takes turns with other tasks; time passes between them, as on a busy machine.
    while begin.elapsed() < Duration::from_secs(40) {
        cluster.delay(1);
        say(&one, &options, said).await.expect("published");
        said += 1;
        tokio::time::advance(Duration::from_millis(100)).await;
        cluster.arrive(1, |_| {});
        for _ in 0..12 {
            tokio::time::advance(Duration::from_millis(600)).await;
        }
    }
    let listening = two.handle().stats().subscriptions.load(Ordering::Relaxed);
    assert_eq!(listening, clients.len() as u64);
    for client in &mut clients {
        assert_eq!(client.listen(said as usize).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_stays_linked_for_a_moment_after_the_last_one_has_left() {
    let options = recoverable();
    let (cluster, _one, two) = two(&options).await;
    let pass = async |millis| {
        let begin = tokio::time::Instant::now();
        let wait = Duration::from_millis(millis);
        two.pass_until(|_| begin.elapsed() >= wait).await;
    };
    // Each comes back within a second, though not within one of the first one's leaving.
    for _ in 0..3 {
        drop(listening(&two, "s2").await);
        two.empty().await;
        pass(700).await;
        assert_eq!(cluster.subscribed(1), 1);
    }
    pass(500).await;
    assert_eq!(cluster.subscribed(1), 0);
    assert_eq!(two.handle().topics(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_late_leaves_nothing_behind() {
    let options = recoverable();
    let (cluster, _one, two) = two(&options).await;
    let (mut client, _) = two.connected("app/ann/s1/never").await;
    let (mut pushed, _) = two.connected("app/bob/s2/never").await;
    let gate = cluster.hold();
    client.say(r#"{"id":2,"subscribe":{"channel":"t"}}"#).await;
    let bob = Whom::User {
        app: "app",
        user: "bob",
    };
    let grant = granted(options.clone());
    assert_eq!(two.handle().subscribe(&bob, "t", &grant, None), 1);
    while two.handle().listeners("app", "t") < 2 {
        tokio::task::yield_now().await;
    }
    // One is gone, and of the other it is taken back, before the broker answers.
    two.handle().unsubscribe(&bob, "t", UnsubscribeCode::Server);
    drop(client);
    gate.close();
    let listens = |stats: &Stats| stats.subscriptions.load(Ordering::Relaxed) > 0;
    two.pass_until(|stats| !listens(stats)).await;
    two.pass_until(|_| cluster.subscribed(1) == 0).await;
    assert_eq!((two.handle().topics(), cluster.present("t")), (0, 0));
    pushed.settle().await;
    // It all works as before.
    cluster.hold().close();
    let mut again = Counting::new(&two).await;
    say(&two, &options, 7).await.expect("published");
    assert_eq!(again.listen(1).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_client_is_not_told_of_an_end_that_is_still_coming() {
    let options = recoverable();
    let (cluster, _one, two) = two(&options).await;
    let slow = TopicOptions {
        history: History::Host,
        force_positioning: true,
        ..TopicOptions::default()
    };
    two.authority.topics("slow", granted(slow));
    *two.authority.past.lock().expect("no panic") = Some(stored(0));
    two.authority.past_gate.forget_permits(1);
    let (mut socket, _) = two.connected("app/ann/s1/never").await;
    let commands = [
        r#"{"id":2,"subscribe":{"channel":"t"}}"#,
        r#"{"id":3,"subscribe":{"channel":"slow"}}"#,
    ];
    socket.say(&commands.join("\n")).await;
    two.authority.recovering.notified().await;
    // The first one ends before its reply is out, and whoever ends it does not come further than to say so.
    let barrier = cluster.stop_who_leaves();
    let handle = two.handle().clone();
    let ending = std::thread::spawn(move || {
        handle.unsubscribe(&ANN, "t", UnsubscribeCode::InsufficientState)
    });
    barrier.wait();
    two.authority.past_gate.add_permits(1);
    for id in [2, 3] {
        let reply = socket.hear_line().await;
        assert_eq!(reply["id"], id, "{reply}");
        assert!(reply["subscribe"].is_object(), "{reply}");
    }
    // What it was told of it would begin anew, and be refused, because it has the channel still.
    socket.say(r#"{"id":77,"ping":{}}"#).await;
    let first = socket.hear_line().await;
    barrier.wait();
    assert_eq!(first["id"], 77, "{first}");
    let push = socket.hear_line().await;
    assert_eq!(push["push"]["unsubscribe"]["code"], 2500, "{push}");
    assert_eq!(ending.join().expect("no panic"), 1);
    let again = socket.ask(r#"{"id":4,"subscribe":{"channel":"t"}}"#).await;
    assert!(again["subscribe"].is_object(), "{again}");
    socket.settle().await;
}
