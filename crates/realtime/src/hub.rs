//! All connections, by session, user and app, so that a revocation finds them.
//!
//! One lock guards it: it is taken twice in the life of a connection and once per revocation, for about
//! a microsecond each time. Closing is done outside of it.
//!
//! ## The race between a revocation and a connect
//!
//! A session can be revoked after the authority has answered "yes" and before the connection is
//! registered; the revocation would not find it. Therefore whoever asks the authority holds a
//! [`Ticket`], taken before the question. While any ticket is out, orders to disconnect are remembered;
//! registration looks through those that came after its ticket and refuses when one of them fits.
//! Orders older than the oldest ticket are forgotten, so that nothing is kept while nobody connects.
//! What it needs of the host: a revocation is visible to the authority before the order is given.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use chatsdk_protocol::{Disconnect, DisconnectCode, Payload};
use chatsdk_types::Millis;

use crate::authority::Identity;
use crate::broker::order::Target;
use crate::connection::Connection;
use crate::handle::Whom;
use crate::lock;

#[derive(Debug, Default)]
pub(crate) struct Hub(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    draining: bool,
    /// Every open connection, authenticated or not; in order, so that it can be read in steps.
    all: BTreeMap<u64, Arc<Connection>>,
    apps: HashMap<Arc<str>, App>,
    /// How many orders were given so far.
    orders_given: u64,
    /// The orders that a ticket holder may have to obey, by number.
    orders: VecDeque<(u64, Order)>,
    /// How many tickets are out, by the number of the last order before them.
    tickets: BTreeMap<u64, usize>,
}

#[derive(Debug, Default)]
struct App {
    users: HashMap<Arc<str>, Bucket>,
    sessions: HashMap<Arc<str>, Bucket>,
}

/// The connections under one name: mostly one, sometimes ten thousand.
#[derive(Debug)]
#[expect(
    clippy::box_collection,
    reason = "nearly every bucket is a `One`, and all are as large as the largest variant"
)]
enum Bucket {
    One(Arc<Connection>),
    Many(Box<HashMap<u64, Arc<Connection>>>),
}

#[derive(Debug)]
struct Order {
    whom: Target,
    why: Disconnect,
}

/// The right to register a connection later, see the module's text.
#[derive(Debug)]
pub(crate) struct Ticket<'h> {
    hub: &'h Hub,
    since: u64,
}

/// Why a connection was not registered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unregistered {
    /// It was closed in the meantime.
    Closed,
    /// An order came while the authority was thinking.
    Ordered(Disconnect),
    /// The user has as many connections as one may.
    TooMany,
}

impl Hub {
    /// Takes note of a new connection; `false` when no more are accepted.
    pub(crate) fn open(&self, connection: &Arc<Connection>) -> bool {
        let mut inner = lock(&self.0);
        if !inner.draining {
            inner.all.insert(connection.id, Arc::clone(connection));
        }
        !inner.draining
    }

    /// Forgets a connection. Answers whether it was registered under an identity.
    pub(crate) fn forget(&self, connection: &Arc<Connection>) -> bool {
        let mut inner = lock(&self.0);
        inner.all.remove(&connection.id);
        let identity = connection.identity();
        if let Some(identity) = &identity {
            inner.remove(identity, connection.id);
        }
        identity.is_some()
    }

    pub(crate) fn ticket(&self) -> Ticket<'_> {
        let mut inner = lock(&self.0);
        let since = inner.orders_given;
        *inner.tickets.entry(since).or_default() += 1;
        Ticket { hub: self, since }
    }

    /// Registers `connection` as `identity`, and makes it live.
    pub(crate) fn register(
        &self,
        ticket: &Ticket<'_>,
        connection: &Arc<Connection>,
        identity: Identity,
        info: Payload,
        expires_at: Option<Millis>,
    ) -> Result<(), Unregistered> {
        let mut inner = lock(&self.0);
        inner.obey(ticket, &identity)?;
        let most = connection.shared.config.max_connections_per_user;
        // Nobody in particular is no user.
        let counted = most > 0 && !identity.user.is_empty();
        if counted && inner.count_user(&identity.app, &identity.user) >= most {
            return Err(Unregistered::TooMany);
        }
        let identity = inner.share_names(identity);
        if !connection.admit(identity.clone(), info, expires_at) {
            return Err(Unregistered::Closed);
        }
        inner.insert(&identity, connection);
        Ok(())
    }

    /// Has a newer proof in force for `connection`, moving it from session `old` to that of `new`.
    pub(crate) fn renew(
        &self,
        ticket: &Ticket<'_>,
        connection: &Arc<Connection>,
        old: &Identity,
        new: Identity,
        expires_at: Option<Millis>,
    ) -> Result<(), Unregistered> {
        let mut inner = lock(&self.0);
        inner.obey(ticket, &new)?;
        let new = inner.share_names(new);
        if !connection.renew(new.clone(), expires_at) {
            return Err(Unregistered::Closed);
        }
        if old.session != new.session {
            inner.remove(old, connection.id);
            inner.insert(&new, connection);
        }
        Ok(())
    }

    /// The connections that an order of now on fits; the order holds for those that are being
    /// registered, too.
    pub(crate) fn order(&self, whom: &Whom<'_>, why: &Disconnect) -> Vec<Arc<Connection>> {
        let mut inner = lock(&self.0);
        inner.orders_given += 1;
        if !inner.tickets.is_empty() {
            let order = Order {
                whom: Target::from(whom),
                why: why.clone(),
            };
            let number = inner.orders_given;
            inner.orders.push_back((number, order));
        }
        inner.find(whom)
    }

    /// Accepts no more connections, and answers those that are open.
    pub(crate) fn drain(&self) -> Vec<Arc<Connection>> {
        lock(&self.0).draining = true;
        self.order(&Whom::Everyone, &DisconnectCode::Shutdown.into())
    }

    pub(crate) fn is_draining(&self) -> bool {
        lock(&self.0).draining
    }

    pub(crate) fn find(&self, whom: &Whom<'_>) -> Vec<Arc<Connection>> {
        lock(&self.0).find(whom)
    }

    /// At most `most` of the connections from number `from` on, in the order of their numbers. What it
    /// takes under the lock does not depend on how many there are.
    pub(crate) fn from(&self, from: u64, most: usize) -> Vec<Arc<Connection>> {
        let inner = lock(&self.0);
        inner
            .all
            .range(from..)
            .take(most)
            .map(|(_, connection)| Arc::clone(connection))
            .collect()
    }

    pub(crate) fn count(&self, whom: &Whom<'_>) -> usize {
        let inner = lock(&self.0);
        match *whom {
            Whom::Everyone => inner.all.len(),
            Whom::Session { app, session } => inner
                .apps
                .get(app)
                .and_then(|app| app.sessions.get(session))
                .map_or(0, Bucket::len),
            Whom::User { app, user } => inner.count_user(app, user),
            Whom::App { app } => inner
                .apps
                .get(app)
                .map_or(0, |app| app.users.values().map(Bucket::len).sum()),
            Whom::UserExcept { .. } => inner.find(whom).len(),
        }
    }
}

impl Inner {
    /// Refuses `identity` when an order that came after `ticket` fits it.
    fn obey(&self, ticket: &Ticket<'_>, identity: &Identity) -> Result<(), Unregistered> {
        self.orders
            .iter()
            .rev()
            .take_while(|(number, _)| *number > ticket.since)
            .find(|(_, order)| fits(&order.whom, identity))
            .map_or(Ok(()), |(_, order)| {
                Err(Unregistered::Ordered(order.why.clone()))
            })
    }

    fn count_user(&self, app: &str, user: &str) -> usize {
        self.apps
            .get(app)
            .and_then(|app| app.users.get(user))
            .map_or(0, Bucket::len)
    }

    /// The same identity with the text of the maps' keys, so that a name is in memory once.
    fn share_names(&self, mut identity: Identity) -> Identity {
        if let Some((key, app)) = self.apps.get_key_value(&identity.app) {
            identity.app = Arc::clone(key);
            if let Some((key, _)) = app.users.get_key_value(&identity.user) {
                identity.user = Arc::clone(key);
            }
            if let Some((key, _)) = app.sessions.get_key_value(&identity.session) {
                identity.session = Arc::clone(key);
            }
        }
        identity
    }

    fn insert(&mut self, identity: &Identity, connection: &Arc<Connection>) {
        let app = self.apps.entry(Arc::clone(&identity.app)).or_default();
        Bucket::insert(&mut app.users, &identity.user, connection);
        Bucket::insert(&mut app.sessions, &identity.session, connection);
    }

    fn remove(&mut self, identity: &Identity, connection: u64) {
        if let Some(app) = self.apps.get_mut(&identity.app) {
            Bucket::remove(&mut app.users, &identity.user, connection);
            Bucket::remove(&mut app.sessions, &identity.session, connection);
            if app.users.is_empty() && app.sessions.is_empty() {
                self.apps.remove(&identity.app);
            }
        }
    }

    fn find(&self, whom: &Whom<'_>) -> Vec<Arc<Connection>> {
        match *whom {
            Whom::Everyone => self.all.values().map(Arc::clone).collect(),
            Whom::Session { app, session } => self
                .apps
                .get(app)
                .and_then(|app| app.sessions.get(session))
                .map_or_else(Vec::new, Bucket::to_vec),
            Whom::User { app, user } => self
                .apps
                .get(app)
                .and_then(|app| app.users.get(user))
                .map_or_else(Vec::new, Bucket::to_vec),
            Whom::UserExcept {
                app,
                user,
                session: spared,
            } => {
                let mut found = self.find(&Whom::User { app, user });
                found.retain(|connection| {
                    connection
                        .identity()
                        .is_none_or(|identity| *identity.session != *spared)
                });
                found
            }
            Whom::App { app } => self.apps.get(app).map_or_else(Vec::new, |app| {
                app.users.values().flat_map(Bucket::to_vec).collect()
            }),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let mut inner = lock(&self.hub.0);
        if let Some(count) = inner.tickets.get_mut(&self.since) {
            *count -= 1;
            if *count == 0 {
                inner.tickets.remove(&self.since);
            }
        }
        match inner.tickets.first_key_value().map(|(since, _)| *since) {
            None => inner.orders = VecDeque::new(),
            Some(oldest) => {
                while inner
                    .orders
                    .front()
                    .is_some_and(|(number, _)| *number <= oldest)
                {
                    inner.orders.pop_front();
                }
            }
        }
    }
}

impl Bucket {
    fn insert(
        buckets: &mut HashMap<Arc<str>, Self>,
        name: &Arc<str>,
        connection: &Arc<Connection>,
    ) {
        match buckets.entry(Arc::clone(name)) {
            Entry::Vacant(vacant) => {
                vacant.insert(Self::One(Arc::clone(connection)));
            }
            Entry::Occupied(mut occupied) => match occupied.get_mut() {
                Self::Many(many) => {
                    many.insert(connection.id, Arc::clone(connection));
                }
                Self::One(one) => {
                    let many = [
                        (one.id, Arc::clone(one)),
                        (connection.id, Arc::clone(connection)),
                    ];
                    occupied.insert(Self::Many(Box::new(HashMap::from(many))));
                }
            },
        }
    }

    fn remove(buckets: &mut HashMap<Arc<str>, Self>, name: &str, connection: u64) {
        let Some(bucket) = buckets.get_mut(name) else {
            return;
        };
        let empty = match bucket {
            Self::One(one) => one.id == connection,
            Self::Many(many) => {
                many.remove(&connection);
                many.is_empty()
            }
        };
        if empty {
            buckets.remove(name);
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    fn to_vec(&self) -> Vec<Arc<Connection>> {
        match self {
            Self::One(one) => vec![Arc::clone(one)],
            Self::Many(many) => many.values().map(Arc::clone).collect(),
        }
    }
}

fn fits(whom: &Target, identity: &Identity) -> bool {
    let (app, user, session) = (&*identity.app, &*identity.user, &*identity.session);
    match whom.whom() {
        Whom::Session { app: a, session: s } => (app, session) == (a, s),
        Whom::User { app: a, user: u } => (app, user) == (a, u),
        Whom::UserExcept {
            app: a,
            user: u,
            session: spared,
        } => (app, user) == (a, u) && session != spared,
        Whom::App { app: a } => app == a,
        Whom::Everyone => true,
    }
}
