//! Posts that carry commands beside a connection which goes one way only.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chatsdk_protocol::{EmulationRequest, Encoding};
use chatsdk_types::{Entropy, entropy};
use http::{Request, Response, StatusCode};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

use crate::engine::Shared;
use crate::lock;
use crate::transport::body::Body;
use crate::transport::http_stream::is_protobuf;
use crate::transport::{respond, stream};

/// How many posts may wait for a connection; one more waits with its answer.
const WAITING: usize = 16;

/// The connections that take posts, by their secret.
#[derive(Debug)]
pub(crate) struct Sessions {
    node: Arc<str>,
    open: Mutex<HashMap<Arc<str>, Door>>,
}

#[derive(Debug, Clone)]
struct Door {
    encoding: Encoding,
    inbox: mpsc::Sender<Bytes>,
}

/// The posts of one connection.
#[derive(Debug)]
pub(super) struct Inbox {
    session: Arc<str>,
    commands: mpsc::Receiver<Bytes>,
    /// Kept, so that the channel does not close before the connection does.
    _door: mpsc::Sender<Bytes>,
    shared: Arc<Shared>,
}

impl Sessions {
    pub(crate) fn new(source: &dyn Entropy) -> Self {
        Self {
            node: uuid(source),
            open: Mutex::default(),
        }
    }

    /// The name of this process: posts for another one cannot be taken here.
    pub(super) fn node(&self) -> Arc<str> {
        Arc::clone(&self.node)
    }

    /// Opens an inbox for a connection of `encoding`; it is open until it is dropped.
    pub(super) fn open(&self, shared: &Arc<Shared>, encoding: Encoding) -> Inbox {
        let (sender, commands) = mpsc::channel(WAITING);
        // It is the only thing that a post is authenticated by.
        let session = uuid(&*shared.entropy);
        let door = Door {
            encoding,
            inbox: sender.clone(),
        };
        lock(&self.open).insert(Arc::clone(&session), door);
        Inbox {
            session,
            commands,
            _door: sender,
            shared: Arc::clone(shared),
        }
    }
}

impl Inbox {
    pub(super) fn session(&self) -> Arc<str> {
        Arc::clone(&self.session)
    }

    /// The next post.
    pub(super) async fn next(&mut self) -> Bytes {
        match self.commands.recv().await {
            Some(commands) => commands,
            // Cannot be while the sender is kept; then there is nothing more to wait for.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        lock(&self.shared.sessions.open).remove(&self.session);
    }
}

fn uuid(source: &dyn Entropy) -> Arc<str> {
    let id = uuid::Builder::from_random_bytes(entropy::bytes(source));
    id.into_uuid().to_string().into()
}

/// See [`crate::Engine::emulation`].
pub(crate) async fn serve<B>(shared: &Shared, request: Request<B>) -> Response<Body>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (parts, body) = request.into_parts();
    let refused = respond::at_the_door(
        &parts.method,
        &parts.headers,
        &shared.config,
        "POST, OPTIONS",
    );
    if let Some(response) = refused {
        return response;
    }
    let encoding = if is_protobuf(&parts.headers) {
        Encoding::Protobuf
    } else {
        Encoding::Json
    };
    let response = match stream::read(body, shared).await {
        Err(response) => response,
        Ok(body) => respond::empty(take(shared, encoding, &body).await),
    };
    respond::shared_with(response, &parts.headers, &shared.config)
}

async fn take(shared: &Shared, encoding: Encoding, body: &[u8]) -> StatusCode {
    let Ok(request) = EmulationRequest::decode(encoding, body) else {
        return StatusCode::BAD_REQUEST;
    };
    if *request.node != *shared.sessions.node {
        return StatusCode::NOT_FOUND;
    }
    let door = lock(&shared.sessions.open).get(&*request.session).cloned();
    let Some(door) = door else {
        return StatusCode::NOT_FOUND;
    };
    if door.encoding != encoding {
        return StatusCode::BAD_REQUEST;
    }
    // Waits when the connection is busy: whoever posts faster than it obeys is slowed down. Not for ever,
    // because each post that waits is a request of the host's.
    let most = shared.config.stale_close_delay;
    let sent = door
        .inbox
        .send_timeout(Bytes::copy_from_slice(&request.data), most);
    match sent.await {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(SendTimeoutError::Timeout(_)) => StatusCode::SERVICE_UNAVAILABLE,
        Err(SendTimeoutError::Closed(_)) => StatusCode::NOT_FOUND,
    }
}
