//! Telling whoever listens.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use crate::error::{EndReason, RefreshError, StorageError};
use crate::tokens::{TokenState, User};

/// What a session tells of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event {
    /// The token stands differently.
    State(TokenState),
    /// Another pair is in use.
    Refreshed {
        /// Whom it speaks for.
        user: User,
        /// The session that it belongs to, where the token says.
        session: Option<String>,
    },
    /// An outage outlived the access token. The session is kept, and refreshing goes on by itself.
    RefreshFailed(Arc<RefreshError>),
    /// The session is over. `error` is `None` where the user logged out in another process.
    Ended {
        /// Why.
        reason: EndReason,
        /// What to show.
        error: Option<Arc<RefreshError>>,
    },
    /// The storage failed; the session goes on.
    StorageFailed(Arc<StorageError>),
}

/// The events of one listener, in order, from when it was asked for.
#[derive(Debug)]
pub struct Events(mpsc::UnboundedReceiver<Event>);

impl Events {
    /// The next event; `None` when there can be none any more.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.recv().await
    }

    /// The next event that has happened already.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.try_recv().ok()
    }
}

/// Those who listen.
#[derive(Debug, Default)]
pub(crate) struct Emitter(Mutex<Vec<mpsc::UnboundedSender<Event>>>);

impl Emitter {
    pub(crate) fn listen(&self) -> Events {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.push(sender);
        Events(receiver)
    }

    pub(crate) fn emit(&self, event: &Event) {
        let mut listeners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.send(event.clone()).is_ok());
    }
}
