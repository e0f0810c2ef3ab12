//! The generator against the engine, and against its floors.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chatsdk_bench::realtime::client::Wants;
use chatsdk_bench::realtime::fan_out::Load;
use chatsdk_bench::realtime::pin::Pinned;
use chatsdk_bench::realtime::server::{Floors, Server};
use chatsdk_bench::realtime::source::Source;
use chatsdk_bench::realtime::swarm::SwarmError;
use chatsdk_bench::realtime::{External, RealtimeError, What, connects, fan_out, idle};
use chatsdk_realtime::{
    Admission, Authority, Config, ConnectRequest, Denial, Engine, ErrorCode, Grant, History,
    Identity, Keep, Payload, Publish, Refreshed, Refusal, SubscribeRequest, TopicOptions,
};
use chatsdk_types::{SystemClock, SystemEntropy};
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;

fn load(clients: usize) -> Load {
    Load {
        clients,
        window: Duration::from_millis(50),
        awake: false,
    }
}

/// Admits who has a token; channels that begin with `kept:` have a history, those with `floor-` are
/// closed if it says so.
struct Rules {
    floors_closed: bool,
}

fn options(channel: &str) -> TopicOptions {
    if !channel.starts_with("kept:") {
        return TopicOptions::default();
    }
    TopicOptions {
        history: History::Memory(Keep {
            size: 100,
            bytes: 1 << 20,
            ttl: Duration::from_mins(5),
            count_ttl: Duration::from_hours(1),
        }),
        force_recovery: true,
        ..TopicOptions::default()
    }
}

impl Authority for Rules {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        assert_eq!(request.token.split('.').count(), 3, "{}", request.token);
        Ok(Admission::new(Identity::new("app", request.token, "s")))
    }

    async fn subscribe(&self, request: SubscribeRequest<'_>) -> Result<Grant, Denial> {
        if self.floors_closed && request.channel.starts_with("floor-") {
            return Err(ErrorCode::PermissionDenied.into());
        }
        Ok(Grant::new(Arc::new(options(request.channel))))
    }

    async fn refresh(&self, connection: &Identity, _: &str) -> Result<Refreshed, Refusal> {
        Ok(Refreshed {
            identity: connection.clone(),
            expires_at: None,
        })
    }
}

/// The engine on threads of its own, which end with the process.
async fn engine(floors_closed: bool, watched: u32) -> Server {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            tell.send(listener.local_addr().unwrap()).unwrap();
            let engine = Engine::new(
                Config::default(),
                Arc::new(Rules { floors_closed }),
                Arc::new(SystemClock),
                Arc::new(SystemEntropy),
            );
            loop {
                let (stream, remote) = listener.accept().await.unwrap();
                let engine = engine.clone();
                tokio::spawn(
                    http1::Builder::new()
                        .serve_connection(
                            TokioIo::new(stream),
                            service_fn(move |request| answer(engine.clone(), request, remote)),
                        )
                        .with_upgrades(),
                );
            }
        });
    });
    let address = told.recv().unwrap();
    Server::at(&External {
        url: format!("http://{address}/connection/websocket"),
        api: format!("http://{address}/api/publish"),
        api_key: "key".into(),
        token_secret: Some("secret".into()),
        pid: watched,
    })
    .await
    .unwrap()
}

async fn answer(
    engine: Engine<Rules>,
    mut request: Request<Incoming>,
    remote: SocketAddr,
) -> Result<Response<Full<bytes::Bytes>>, Infallible> {
    if request.uri().path() != "/api/publish" {
        return Ok(engine.upgrade(&mut request, remote));
    }
    assert_eq!(request.headers()["x-api-key"], "key");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let call: Value = serde_json::from_slice(&body).unwrap();
    let channel = call["channel"].as_str().unwrap();
    let data = Payload::new(call["data"].to_string());
    engine
        .handle()
        .publish(Publish::new("app", channel, data, &options(channel)));
    Ok(Response::new(Full::from(r#"{"result":{}}"#)))
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("chatsdk-bench-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn floors(&self) -> Floors {
        let own = Path::new(env!("CARGO_BIN_EXE_chatsdk-bench"));
        Floors::start(own, &self.0, &Pinned::nowhere()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn everybody_hears_everything_of_the_engine_and_of_the_floor() {
    let scratch = Scratch::new("fan-out");
    let floors = scratch.floors();
    let server = engine(false, std::process::id()).await;
    measured(&floors, &server);
}

#[tokio::test]
async fn the_floor_has_sockets_of_its_own_where_it_cannot_borrow_any() {
    let scratch = Scratch::new("fan-out-own");
    let floors = scratch.floors();
    let server = engine(false, floors.handshake_pid()).await;
    measured(&floors, &server);
}

fn measured(floors: &Floors, server: &Server) {
    let frame = fan_out::frame(server).unwrap();
    let text = String::from_utf8_lossy(&frame[2..]).into_owned();
    assert!(frame[0] == 0x81 && text.contains("everybody"), "{text}");
    let found = fan_out::measure(floors, server, &frame, load(20)).unwrap();
    let works: Vec<What> = found.iter().map(|(what, ..)| *what).collect();
    assert_eq!(works, [What::Single, What::Burst, What::HalfLoad]);
    for (_, own, floor) in &found {
        assert!([own, floor].iter().all(|it| it.rate > 0.0 && it.p50 > 0.0));
    }
}

#[tokio::test]
async fn those_who_come_back_are_told_what_they_missed() {
    let scratch = Scratch::new("wave");
    let floors = scratch.floors();
    let server = engine(false, floors.sends_pid()).await;
    assert!(connects::wave(&server, 30).unwrap().rate > 0.0);
    assert!(
        connects::handshakes(&floors, What::Wave, 30).unwrap().rate > 0.0,
        "and the floor shakes hands"
    );
}

#[tokio::test]
async fn a_refused_subscription_makes_a_run_invalid() {
    let scratch = Scratch::new("refused");
    let floors = scratch.floors();
    let server = engine(true, floors.sends_pid()).await;
    let failure = fan_out::measure(&floors, &server, b"", load(5)).unwrap_err();
    let RealtimeError::Bare(SwarmError::Unexpected { said, .. }) = &failure else {
        unreachable!("{failure}")
    };
    assert!(said.contains("permission denied"), "{said}");
}

#[tokio::test]
async fn a_message_too_many_is_noticed() {
    let scratch = Scratch::new("doubled");
    let floors = scratch.floors();
    let (mut swarm, mut orders) = floors.receivers(3, 10).unwrap();
    orders.some(1).unwrap();
    swarm.attach(Source::Orders(orders)).unwrap();
    swarm.publish(1, Instant::now()).unwrap();
    // Three of the four messages that were sent are all that is waited for here, so look again.
    swarm.hear_all().unwrap();
    swarm.publish(1, Instant::now()).unwrap();
    swarm.hear_all().unwrap();
    while swarm.heard().messages < 7 {
        swarm
            .hear_until(Instant::now() + Duration::from_millis(1))
            .unwrap();
    }
    let failure = swarm.check().unwrap_err();
    let SwarmError::Count {
        connection: 0,
        got: 3,
        wanted: 2,
    } = failure
    else {
        unreachable!("{failure}")
    };
}

#[tokio::test]
async fn an_idle_client_costs_memory() {
    let scratch = Scratch::new("idle");
    let floors = scratch.floors();
    let server = engine(false, std::process::id()).await;
    let idle = idle::server(&server, 50, false).unwrap();
    assert!(idle.before > 0.0 && idle.cpu.is_none());
    drop(floors);
}

#[tokio::test]
async fn a_first_frame_is_admitted_with_its_token() {
    let scratch = Scratch::new("first");
    let floors = scratch.floors();
    let server = engine(false, floors.sends_pid()).await;
    let mut swarm = server.swarm().unwrap();
    let opened = swarm.open(server.first_frames(3, Wants::News), 2).unwrap();
    assert_eq!(opened.latencies.count(), 3);
    assert_eq!(swarm.replies().len(), 6, "{:?}", swarm.replies());
    assert!(swarm.replies()[0].starts_with(r#"{"id":1,"connect":"#));
}
