//! Every metric there is: what it is called, what it says, where it comes from. The page in the documentation is
//! made of this list, and so are the lines about each metric on `/metrics`.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use chatsdk_realtime::{Handle, Stats};

/// A metric.
struct Metric {
    name: &'static str,
    /// The names of its labels, as the page shows them.
    labels: &'static str,
    about: &'static str,
    from: Source,
}

/// Where a metric comes from, and by that of what kind it is.
enum Source {
    /// A counter that is kept where it counts.
    Counted,
    /// A histogram that is kept where it measures.
    Measured,
    /// A number of the engine's that goes up and down.
    Gauge(fn(&Handle) -> u64),
    /// A number of the engine's that only grows.
    Counter(fn(&Stats) -> &AtomicU64),
    /// Several such numbers, each under the value of the label `code`.
    ByCode(fn(&Stats) -> Vec<(String, u64)>),
    /// The engine's fan-out latency.
    FanOut,
}

use Source::{ByCode, Counted, Counter, FanOut, Gauge, Measured};

const METRICS: &[Metric] = &[
    Metric {
        name: "http_requests_total",
        labels: "`route`, `method`, `status`",
        about: "Requests that were answered. Routes are templates, never paths.",
        from: Counted,
    },
    Metric {
        name: "http_request_duration_seconds",
        labels: "`route`, `method`, `status`",
        about: "From a request's head until its answer's.",
        from: Measured,
    },
    Metric {
        name: "chatsdk_refreshes_total",
        labels: "`outcome`: `rotated`, `repeated`, `reused`",
        about: "Refresh tokens that were exchanged: for a new pair, for the same pair again, or to the end of their session.",
        from: Counted,
    },
    Metric {
        name: "chatsdk_sessions_swept_total",
        labels: "",
        about: "Sessions that were over for long enough and were deleted.",
        from: Counted,
    },
    Metric {
        name: "chatsdk_sockets_open",
        labels: "",
        about: "Sockets and streams that are open, authenticated or not.",
        from: Gauge(|handle| read(&handle.stats().open)),
    },
    Metric {
        name: "chatsdk_connections",
        labels: "",
        about: "Connections that are authenticated.",
        from: Gauge(|handle| read(&handle.stats().connected)),
    },
    Metric {
        name: "chatsdk_subscriptions",
        labels: "",
        about: "Subscriptions of connections to topics.",
        from: Gauge(|handle| read(&handle.stats().subscriptions)),
    },
    Metric {
        name: "chatsdk_topics",
        labels: "",
        about: "Topics that have subscribers or remember something.",
        from: Gauge(|handle| handle.topics() as u64),
    },
    Metric {
        name: "chatsdk_history_bytes",
        labels: "",
        about: "Bytes that the histories of topics take up.",
        from: Gauge(|handle| handle.history_bytes() as u64),
    },
    Metric {
        name: "chatsdk_queued_bytes",
        labels: "",
        about: "Bytes that wait for clients which do not read.",
        from: Gauge(|handle| handle.queued_bytes() as u64),
    },
    Metric {
        name: "chatsdk_backlog_bytes",
        labels: "",
        about: "Bytes of publications that wait in their topics to be delivered.",
        from: Gauge(|handle| read(&handle.stats().backlog_bytes)),
    },
    Metric {
        name: "chatsdk_fan_out_seconds",
        labels: "",
        about: "From the moment that something came into a topic until its last subscriber was sent it.",
        from: FanOut,
    },
    Metric {
        name: "chatsdk_publications_total",
        labels: "",
        about: "Publications of clients and of the server. What was refused or was a repeat is none.",
        from: Counter(|stats| &stats.publications),
    },
    Metric {
        name: "chatsdk_messages_dropped_total",
        labels: "`code`: `3008`, `none`",
        about: "What somebody was not sent: because they did not read, and were closed with 3008; or because too much waited in the topic.",
        from: ByCode(|stats| {
            [("3008", &stats.overflowed), ("none", &stats.dropped)]
                .map(|(code, counter)| (code.to_owned(), read(counter)))
                .into()
        }),
    },
    Metric {
        name: "chatsdk_closes_total",
        labels: "`code`",
        about: "Connections that ended, by close code. 3000 is an end that the client chose, whatever code it gave.",
        from: ByCode(|stats| {
            let closes = stats.closes().into_iter();
            closes
                .map(|(code, count)| (code.to_string(), count))
                .collect()
        }),
    },
    Metric {
        name: "chatsdk_upgrades_total",
        labels: "",
        about: "Sockets and streams that were accepted.",
        from: Counter(|stats| &stats.upgrades),
    },
    Metric {
        name: "chatsdk_upgrades_refused_total",
        labels: "",
        about: "Sockets and streams that were answered with an error status.",
        from: Counter(|stats| &stats.upgrades_refused),
    },
    Metric {
        name: "chatsdk_connects_total",
        labels: "",
        about: "Connect commands that succeeded.",
        from: Counter(|stats| &stats.connects),
    },
    Metric {
        name: "chatsdk_connects_refused_total",
        labels: "",
        about: "Connect commands that were refused.",
        from: Counter(|stats| &stats.connects_refused),
    },
    Metric {
        name: "chatsdk_socket_refreshes_total",
        labels: "",
        about: "Tokens that connections were refreshed with.",
        from: Counter(|stats| &stats.refreshes),
    },
    Metric {
        name: "chatsdk_socket_refreshes_refused_total",
        labels: "",
        about: "Tokens that connections were to be refreshed with, and that were refused.",
        from: Counter(|stats| &stats.refreshes_refused),
    },
    Metric {
        name: "chatsdk_messages_in_total",
        labels: "",
        about: "Messages that clients sent, pongs included.",
        from: Counter(|stats| &stats.messages_in),
    },
    Metric {
        name: "chatsdk_messages_out_total",
        labels: "",
        about: "Messages that clients were sent, pings included.",
        from: Counter(|stats| &stats.messages_out),
    },
    Metric {
        name: "chatsdk_bytes_in_total",
        labels: "",
        about: "Bytes that were read from sockets after their upgrade.",
        from: Counter(|stats| &stats.bytes_in),
    },
    Metric {
        name: "chatsdk_bytes_out_total",
        labels: "",
        about: "Bytes that were written to sockets after their upgrade.",
        from: Counter(|stats| &stats.bytes_out),
    },
];

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Metric {
    fn kind(&self) -> &'static str {
        match self.from {
            Counted | Counter(_) | ByCode(_) => "counter",
            Gauge(_) => "gauge",
            Measured | FanOut => "histogram",
        }
    }
}

/// Tells the recorder what the metrics mean that are kept where they count.
pub(crate) fn describe() {
    for metric in METRICS {
        match metric.from {
            Counted => metrics::describe_counter!(metric.name, metric.about),
            Measured => metrics::describe_histogram!(metric.name, metric.about),
            Gauge(_) | Counter(_) | ByCode(_) | FanOut => {}
        }
    }
}

/// What one engine counted, in the text format of Prometheus. It goes past the recorder, which belongs to the
/// whole process and cannot take over a histogram that somebody else has counted.
pub(crate) fn of_engine(handle: &Handle) -> String {
    let mut text = String::new();
    let stats = handle.stats();
    for metric in METRICS {
        let name = metric.name;
        if matches!(metric.from, Counted | Measured) {
            continue;
        }
        put(format_args!("# HELP {name} {}", metric.about), &mut text);
        put(format_args!("# TYPE {name} {}", metric.kind()), &mut text);
        match metric.from {
            Counted | Measured => {}
            Gauge(now) => put(format_args!("{name} {}", now(handle)), &mut text),
            Counter(counter) => put(format_args!("{name} {}", read(counter(stats))), &mut text),
            ByCode(counts) => {
                for (code, count) in counts(stats) {
                    put(format_args!("{name}{{code=\"{code}\"}} {count}"), &mut text);
                }
            }
            FanOut => {
                let mut all = 0;
                for (bound, count) in stats.fan_out.buckets() {
                    let bound = if bound.is_infinite() {
                        "+Inf".to_owned()
                    } else {
                        bound.to_string()
                    };
                    put(
                        format_args!("{name}_bucket{{le=\"{bound}\"}} {count}"),
                        &mut text,
                    );
                    all = count;
                }
                put(
                    format_args!("{name}_sum {}", stats.fan_out.sum()),
                    &mut text,
                );
                put(format_args!("{name}_count {all}"), &mut text);
            }
        }
        text.push('\n');
    }
    text
}

/// All metrics, for programs.
pub(crate) fn listed() -> impl Iterator<Item = serde_json::Value> {
    METRICS.iter().map(|metric| {
        serde_json::json!({
            "metric": metric.name,
            "kind": metric.kind(),
            "labels": metric.labels,
            "about": metric.about,
        })
    })
}

/// The reference page of all metrics, in Markdown.
pub(crate) fn reference() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `GET /metrics` answers in the text format of Prometheus. Each node tells of itself. No label carries a\n\
         token, a key or a person's id. What has not happened yet may be absent.\n\n\
         | metric | kind | labels | what it says |\n|---|---|---|---|\n",
    );
    for metric in METRICS {
        let Metric {
            name,
            labels,
            about,
            ..
        } = metric;
        put(
            format_args!("| `{name}` | {} | {labels} | {about} |", metric.kind()),
            &mut text,
        );
    }
    text
}

fn put(line: std::fmt::Arguments<'_>, text: &mut String) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}
