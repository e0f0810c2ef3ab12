//! What nodes tell each other about connections: a user's may be on any of them.

use std::sync::Arc;

use chatsdk_protocol::{Disconnect, Payload, UnsubscribeCode};
use chatsdk_types::Millis;

use crate::authority::Grant;
use crate::broker::publication::Position;
use crate::handle::{Handle, Whom};

/// An order that holds on every node.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose connections.
    pub whom: Target,
    /// What becomes of them.
    pub what: Deed,
}

/// What becomes of connections.
#[derive(Debug, Clone)]
pub enum Deed {
    /// They end.
    Disconnect(Disconnect),
    /// They listen to a channel from now on; in a topic whose history the host keeps, it stands at this
    /// position.
    Subscribe(Arc<str>, Box<Grant>, Option<Position>),
    /// They listen to a channel no longer.
    Unsubscribe(Arc<str>, UnsubscribeCode),
    /// Their proofs end at another time; `None`: never.
    Refresh(Option<Millis>),
    /// They are sent a message.
    Message(Payload),
}

/// [`Whom`], kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The connections of a session: app and session.
    Session(Box<str>, Box<str>),
    /// Those of a user: app and user.
    User(Box<str>, Box<str>),
    /// Those of a user but for one session: app, user and session.
    UserExcept(Box<str>, Box<str>, Box<str>),
    /// Those of an app.
    App(Box<str>),
    /// All.
    Everyone,
}

impl Target {
    /// The same, borrowed.
    pub fn whom(&self) -> Whom<'_> {
        match self {
            Self::Session(app, session) => Whom::Session { app, session },
            Self::User(app, user) => Whom::User { app, user },
            Self::UserExcept(app, user, session) => Whom::UserExcept { app, user, session },
            Self::App(app) => Whom::App { app },
            Self::Everyone => Whom::Everyone,
        }
    }
}

impl From<&Whom<'_>> for Target {
    fn from(whom: &Whom<'_>) -> Self {
        match *whom {
            Whom::Session { app, session } => Self::Session(app.into(), session.into()),
            Whom::User { app, user } => Self::User(app.into(), user.into()),
            Whom::UserExcept { app, user, session } => {
                Self::UserExcept(app.into(), user.into(), session.into())
            }
            Whom::App { app } => Self::App(app.into()),
            Whom::Everyone => Self::Everyone,
        }
    }
}

impl Order {
    /// Obeys on the node of `handle`, and answers how many connections that concerns.
    pub(crate) fn obey(&self, handle: &Handle) -> usize {
        let whom = &self.whom.whom();
        match &self.what {
            Deed::Disconnect(why) => handle.disconnect_here(whom, why),
            Deed::Subscribe(channel, grant, position) => {
                handle.subscribe_here(whom, channel, grant, position.as_ref())
            }
            Deed::Unsubscribe(channel, why) => handle.unsubscribe_here(whom, channel, *why),
            Deed::Refresh(expires_at) => handle.refresh_here(whom, *expires_at),
            Deed::Message(data) => handle.message_here(whom, data),
        }
    }
}
