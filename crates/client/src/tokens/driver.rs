//! The future that keeps a session alive.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::lock;
use super::manager::{Command, Reply, Shared, TokenState};
use super::pair::{Origin, Pair, Tokens};
use super::session::{Session, Task};
use super::vault::Ended;
use crate::error::Error;
use crate::platform::{PeerMessage, Platform};

/// Does the work of a [`TokenManager`](super::TokenManager): one future, which owns everything that the session waits for.
#[must_use = "nothing happens unless it is polled"]
pub struct Driver<P> {
    shared: Arc<Shared<P>>,
    commands: mpsc::UnboundedReceiver<Command>,
    session: Option<Arc<Session<P>>>,
    /// What the session does; dropped with it.
    tasks: FuturesUnordered<Task>,
    /// What outlives it: the end of a logout.
    background: FuturesUnordered<Task>,
}

impl<P> fmt::Debug for Driver<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}

impl<P: Platform> Driver<P> {
    pub(super) fn new(shared: Arc<Shared<P>>, commands: mpsc::UnboundedReceiver<Command>) -> Self {
        Self {
            shared,
            commands,
            session: None,
            tasks: FuturesUnordered::new(),
            background: FuturesUnordered::new(),
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Start(given, reply) => self.start(given, reply),
            Command::Resume(reply) => self.resume(reply),
            Command::Token(min_ttl, reply) => match &self.session {
                Some(session) => session.spawn(session.clone().token(min_ttl, reply)),
                None => self.refuse(reply),
            },
            Command::OtherThan { not, ending, reply } => match &self.session {
                Some(session) => session.token_other_than(not, ending, reply),
                None => self.refuse(reply),
            },
            Command::Stop(done) => {
                self.leave();
                let _gone = done.send(());
            }
            Command::Logout { noted, asked } => {
                let starting = self.session.as_ref().and_then(|session| session.starting());
                let pair = lock(&self.shared.view).pair.clone().or(starting);
                self.leave();
                let shared = self.shared.clone();
                self.shared.background.add(async move {
                    let Ended { revoke, generation } = shared.vault.end(pair.as_deref()).await;
                    // After the tombstone: who hears of it may sign in anew at once, and has to find it.
                    shared.platform.tell(PeerMessage::SignedOut {
                        generation,
                        session: pair.and_then(|pair| pair.sid.clone()),
                    });
                    let _gone = noted.send(());
                    shared.revoker.present(&shared, revoke).await;
                    let _gone = asked.send(());
                    shared.revoker.go_on(&shared).await;
                });
            }
        }
    }

    fn start(&mut self, given: Tokens, reply: Reply<()>) {
        let shared = &self.shared;
        let now = shared.clock.now(&*shared.platform);
        let user = &shared.options.user_id;
        let Some(pair) = Pair::make(user, given, now, Origin::default()) else {
            let _gone = reply.send(Err(Error::InvalidInput {
                field: "token",
                why: "The token is not an access token of this user.".to_owned(),
            }));
            return;
        };
        if let Some(session) = &self.session
            && (lock(&shared.view).pair.is_some() || session.starting().is_some())
        {
            let again = session.clone();
            session.spawn(async move {
                again.offer(pair).await;
                let _gone = reply.send(Ok(()));
            });
            return;
        }
        let session = self.open();
        session.start_with(&pair);
        let first = session.clone();
        session.spawn(async move {
            first.begin(pair).await;
            let _gone = reply.send(Ok(()));
        });
    }

    fn resume(&mut self, reply: Reply<bool>) {
        if self.session.is_some() && lock(&self.shared.view).pair.is_some() {
            let _gone = reply.send(Ok(true));
            return;
        }
        if let Some(session) = &self.session
            && session.starting().is_some()
        {
            let begun = session.clone();
            session.spawn(async move {
                begun.begun().await;
                let _gone = reply.send(Ok(true));
            });
            return;
        }
        let session = self.open();
        let first = session.clone();
        session.spawn(async move {
            let found = first.vault().resume().await;
            let answer = found.map_err(Error::from).map(|pair| {
                let is_there = pair.is_some();
                if let Some(pair) = pair {
                    first.begin_with(&pair);
                }
                is_there
            });
            let _gone = reply.send(answer);
        });
    }

    fn open(&mut self) -> Arc<Session<P>> {
        self.leave();
        let session = Arc::new(Session::new(self.shared.clone()));
        self.session = Some(session.clone());
        session
    }

    fn leave(&mut self) {
        self.forget();
        self.shared.over(TokenState::Unauthenticated, None);
    }

    fn forget(&mut self) {
        self.tasks.clear();
        if let Some(session) = self.session.take() {
            session.close(&Error::Disconnected);
            session.take_spawned();
        }
    }

    fn refuse(&self, reply: Reply<String>) {
        let _gone = reply.send(Err(self.shared.why_not()));
    }
}

impl<P: Platform> Future for Driver<P> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let mut handles_gone = false;
            let mut progressed = false;
            while let Poll::Ready(command) = this.commands.poll_recv(context) {
                let Some(command) = command else {
                    handles_gone = true;
                    break;
                };
                progressed = true;
                this.obey(command);
            }
            if handles_gone {
                this.forget();
            }
            // Before the session: a logout is to stand in the storage before the start that came after it is.
            this.background.extend(this.shared.background.take());
            while let Poll::Ready(Some(())) = this.background.poll_next_unpin(context) {
                progressed = true;
            }
            if let Some(session) = &this.session {
                this.tasks.extend(session.take_spawned());
                while let Poll::Ready(Some(())) = this.tasks.poll_next_unpin(context) {
                    progressed = true;
                }
                progressed |= this.tasks_were_begun();
            }
            // What goes on in the background begins more of it.
            progressed |= !this.shared.background.is_empty();
            if this
                .session
                .as_ref()
                .is_some_and(|session| session.is_closed())
            {
                this.forget();
                progressed = true;
            }
            if handles_gone && this.background.is_empty() && this.shared.background.is_empty() {
                return Poll::Ready(());
            }
            if !progressed {
                return Poll::Pending;
            }
        }
    }
}

impl<P> Driver<P> {
    fn tasks_were_begun(&self) -> bool {
        self.session
            .as_ref()
            .is_some_and(|session| session.has_spawned())
    }
}

impl<P> Drop for Driver<P> {
    fn drop(&mut self) {
        // Tasks that were never polled hold the session that holds them.
        if let Some(session) = &self.session {
            session.take_spawned();
        }
        drop(self.shared.background.take());
    }
}
