//! What `/metrics` says, and what its page says of that.

use std::collections::BTreeMap;

use chatsdk_testkit::{Database, Socket, TestServer};
use serde_json::{Value, json};

/// What one look at `/metrics` showed.
struct Exposed {
    /// Kinds by metric.
    kinds: BTreeMap<String, String>,
    /// What is said about each metric.
    about: BTreeMap<String, String>,
    /// Values by series, as they are spelled.
    values: BTreeMap<String, f64>,
}

impl Exposed {
    async fn by(server: &TestServer) -> Self {
        let reply = server.request("GET", "/metrics").send().await.ok();
        let mut it = Self {
            kinds: BTreeMap::new(),
            about: BTreeMap::new(),
            values: BTreeMap::new(),
        };
        for line in reply.text.lines().filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "TYPE", name, kind] => {
                    let twice = it.kinds.insert(name.to_owned(), kind.to_owned());
                    assert_eq!(twice, None, "{name}");
                }
                ["#", "HELP", name, about] => {
                    it.about.insert(name.to_owned(), about.to_owned());
                }
                _ => {
                    let (series, value) = line.rsplit_once(' ').unwrap();
                    it.values.insert(series.to_owned(), value.parse().unwrap());
                }
            }
        }
        it
    }

    fn value(&self, series: &str) -> f64 {
        self.values.get(series).copied().unwrap_or(0.0)
    }
}

/// Kinds and descriptions by metric, as the page has them.
fn page() -> BTreeMap<String, (String, String)> {
    let text = include_str!("../../../../docs/reference/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, _, about] = cells[..] else {
            panic!("{row}")
        };
        (
            name.trim_matches('`').to_owned(),
            (kind.to_owned(), about.to_owned()),
        )
    })
    .collect()
}

async fn operator(server: &TestServer, path: &str, body: Value) -> Value {
    let token = std::fs::read_to_string(server.dir.path().join("operator-token")).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let request = server
        .request("POST", path)
        .header("authorization", &bearer);
    request.json(&body).send().await.ok().json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_counted_once() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await.refreshed().await;
    let mut socket = Socket::connected(server.realtime(), &ann.access).await;
    let lobby = json!({ "channel": "custom:lobby" });
    socket.ask("subscribe", lobby).await;
    let (stranger, _) = Socket::connect(server.realtime(), "garbage").await;
    drop(stranger);
    let said = json!({ "topic": "custom:lobby", "data": 1, "idempotencyKey": "once" });
    for _ in 0..3 {
        operator(&server, "/admin/publish", said.clone()).await;
    }
    let unheard = json!({ "topic": "custom:nobody", "data": 1 });
    operator(&server, "/admin/publish", unheard).await;
    socket.push().await;
    let refused = json!({ "channel": "user:bob", "data": 1 });
    let refused = socket.ask("publish", refused).await;
    assert_eq!(refused["error"]["code"], 103);

    let now = Exposed::by(&server).await;
    for (series, value) in [
        ("chatsdk_sockets_open", 1.0),
        ("chatsdk_connections", 1.0),
        // To what was asked for, and to the user's own topic.
        ("chatsdk_subscriptions", 2.0),
        ("chatsdk_publications_total", 2.0),
        ("chatsdk_upgrades_total", 2.0),
        ("chatsdk_connects_total", 1.0),
        ("chatsdk_connects_refused_total", 1.0),
        ("chatsdk_closes_total{code=\"3500\"}", 1.0),
        ("chatsdk_messages_dropped_total{code=\"3008\"}", 0.0),
        ("chatsdk_messages_dropped_total{code=\"none\"}", 0.0),
    ] {
        assert!(
            (now.value(series) - value).abs() < f64::EPSILON,
            "{series} is {}, not {value}",
            now.value(series)
        );
    }
    for grown in ["messages_in", "messages_out", "bytes_in", "bytes_out"] {
        assert!(
            now.value(&format!("chatsdk_{grown}_total")) > 0.0,
            "{grown}"
        );
    }
    assert!(now.value("chatsdk_history_bytes") > 0.0);
    assert_eq!(now.kinds["chatsdk_fan_out_seconds"], "histogram");
    let all = now.value("chatsdk_fan_out_seconds_count");
    assert!(all >= 1.0);
    let below = now.value("chatsdk_fan_out_seconds_bucket{le=\"+Inf\"}");
    assert!((all - below).abs() < f64::EPSILON);
    assert!(now.value("chatsdk_fan_out_seconds_sum") > 0.0);

    let end = json!({ "user": "ann", "app": server.app.as_str(), "code": 3011 });
    operator(&server, "/admin/disconnect", end).await;
    assert_eq!(socket.closed().await.0, 3011);
    let mut now = Exposed::by(&server).await;
    while now.value("chatsdk_sockets_open") > 0.0 {
        tokio::task::yield_now().await;
        now = Exposed::by(&server).await;
    }
    assert!((now.value("chatsdk_closes_total{code=\"3011\"}") - 1.0).abs() < f64::EPSILON);
    assert!(now.value("chatsdk_subscriptions").abs() < f64::EPSILON);
}

/// Clients that do not read are closed, and what they were not sent is counted under the code that they are closed
/// with.
#[tokio::test(flavor = "multi_thread")]
async fn drops_are_counted_by_code() {
    let server = TestServer::start(Database::Sqlite).await;
    let ann = server.backend.sign_in("ann").await;
    // Nothing reads it from here on.
    let deaf = async || Socket::cramped(server.realtime(), &ann.access).await;
    let mut socket = deaf().await;
    let message = json!({ "topic": "user:ann", "data": "x".repeat(15_000) });
    let slow = "chatsdk_closes_total{code=\"3008\"}";
    let dropped = "chatsdk_messages_dropped_total{code=\"3008\"}";
    let mut now = Exposed::by(&server).await;
    while now.value(slow) < 1.0 {
        if now.value("chatsdk_connections") < 1.0 {
            // It answers no pings either, which may be found out first where all of this is slow.
            socket = deaf().await;
        }
        operator(&server, "/admin/publish", message.clone()).await;
        now = Exposed::by(&server).await;
    }
    assert!(now.value(dropped) >= 1.0);
    drop(socket);
}

/// The page and `/metrics` have the same metrics, of the same kinds, with the same words; of what has not happened
/// in this process there may be nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_lists_every_metric_there_is() {
    let server = TestServer::start(Database::Sqlite).await;
    server.backend.sign_in("ann").await.refreshed().await;
    let (now, page) = (Exposed::by(&server).await, page());
    for (name, kind) in &now.kinds {
        let (listed, about) = page.get(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!((listed, about), (kind, &now.about[name]), "{name}");
    }
    let missing: Vec<&String> = page
        .keys()
        .filter(|name| !now.kinds.contains_key(*name))
        .collect();
    assert!(
        missing
            .iter()
            .all(|name| *name == "chatsdk_sessions_swept_total"),
        "{missing:?}"
    );
}
