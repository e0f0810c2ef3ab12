//! A server of topics without a chat: the engine, with namespaces from a configuration file, tokens in
//! the format that other servers of this protocol use (HS256), and a small HTTP API.
//!
//! ```text
//! cargo run --release -p chatsdk-realtime --example pubsub -- --config FILE
//! ```
//! - [`config`]: the file. `profiles/` has one for the test suites of each stock client.
//! - [`authority`]: who may do what.
//! - [`token`]: connection and subscription tokens.
//! - [`http`]: the routes. [`api`]: those for servers, behind `X-API-Key`; [`calls`]: what they take and answer.

mod api;
mod authority;
mod calls;
mod config;
mod http;
mod token;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use chatsdk_realtime::Engine;
use chatsdk_types::{SystemClock, SystemEntropy};
use tokio::net::{TcpListener, TcpSocket};

use crate::authority::Namespaces;
use crate::config::Config;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, file] = &arguments[..] else {
        return Err("usage: pubsub --config FILE".into());
    };
    if flag != "--config" {
        return Err(format!("unknown option {flag}").into());
    }
    let config = Config::parse(&std::fs::read_to_string(file)?)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if config.threads > 0 {
        runtime.worker_threads(config.threads);
    }
    runtime.enable_all().build()?.block_on(serve(config))
}

async fn serve(config: Config) -> Outcome {
    let listener = listen(config.listen)?;
    let address = listener.local_addr()?;
    let config = Arc::new(config);
    let clock = Arc::new(SystemClock);
    let authority = Arc::new(Namespaces::new(Arc::clone(&config), clock.clone()));
    let engine = Engine::new(
        config.engine(),
        Arc::clone(&authority),
        clock,
        Arc::new(SystemEntropy),
    );
    let handle = engine.handle().clone();
    let accepting = tokio::spawn(http::accept(listener, engine, authority, config));
    println!("listening on {address}");
    stopped().await?;
    accepting.abort();
    handle.drain().await;
    Ok(())
}

/// A listener with room for the connections of a reconnect wave. That of `TcpListener::bind` holds 128;
/// what does not fit is dropped, and tries again after a second.
fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

/// Waits until somebody wants the process to end.
async fn stopped() -> Outcome {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    Ok(())
}
