//! One client: a device with its tabs, its sessions, its people, its thieves, and everything that happens to
//! them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use chatsdk_client::EndReason;
use chatsdk_types::{ErrorCode, Millis, SessionId};

use crate::counts::Counts;
use crate::device::{Fate, Point, SharedStorage, access_token};
use crate::lock;
use crate::network::Weather;
use crate::population::{Incident, Sabotage};
use crate::rng::Rng;
use crate::server::{Server, claims};
use crate::theft::Theft;
use crate::world::{ProcId, World};

/// A second, a minute, an hour and a day, in ms.
pub const SECOND: Millis = 1_000;
/// A minute, in ms.
pub const MINUTE: Millis = 60 * SECOND;
/// An hour, in ms.
pub const HOUR: Millis = 60 * MINUTE;
/// A day, in ms.
pub const DAY: Millis = 24 * HOUR;

/// A Wednesday.
pub(crate) const START: Millis = 1_704_835_200_000;

/// Whose sessions these are. One user each.
pub const USER: &str = "ann";

/// Why the server ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The user logged out.
    ByUser,
    /// The operator did.
    ByOperator,
    /// A token came back after a later one was in use.
    Reused,
}

/// What changes in the course of a life.
#[derive(Debug)]
pub struct State {
    /// All chance of this life.
    pub rng: Rng,
    /// What was counted.
    pub counts: Counts,
    /// How the network is.
    pub weather: Weather,
    /// The server.
    pub server: Server,
    /// Why sessions were ended.
    pub revoked: HashMap<SessionId, Revoked>,
    /// Sessions that somebody stole from.
    pub thefts: HashMap<SessionId, Theft>,
    /// Sessions that this device knows to be over.
    pub over: HashSet<SessionId>,
    /// Sessions of which a pair was ever in the storage.
    pub kept: HashSet<SessionId>,
    /// The newest session of the device.
    pub current: Option<SessionId>,
    /// The counters that the owner has used, by session: the highest.
    pub used: HashMap<SessionId, i64>,
    /// Sessions whose newest pair the storage refused.
    pub refused: HashSet<SessionId>,
    /// Whether processes may be killed.
    pub peace: bool,
}

/// A client and its world.
#[derive(Debug)]
pub struct Life {
    /// Which of the population.
    pub number: u64,
    /// Time.
    pub world: Arc<World>,
    /// Where pairs are kept.
    pub storage: Arc<SharedStorage>,
    /// Everything else.
    pub state: Mutex<State>,
    /// What it does wrong, to see whether that is noticed.
    pub sabotage: Option<Sabotage>,
    /// Whether to tell, on standard error, what happens.
    pub tells: bool,
}

impl Fate for Life {
    fn dies(&self, process: ProcId, point: Point) -> bool {
        let mut state = lock(&self.state);
        if state.peace || !state.rng.chance(0.004) {
            return false;
        }
        state.counts.kills += 1;
        *state.counts.killed_at.entry(point).or_default() += 1;
        drop(state);
        self.tell(|| format!("tab {process} is killed at {point:?}"));
        true
    }

    fn stored(&self, process: ProcId, text: &str) {
        if let Some((session, ..)) = access_token(text).and_then(|token| claims(&token)) {
            let mut state = self.lock();
            state.refused.remove(&session);
            // Tabs that signed in side by side have a session each: what stands there is the last that was saved, and what
            // is lost with it.
            state.kept.clear();
            state.kept.insert(session);
        }
        self.tell(|| {
            let rc = access_token(text).and_then(|token| claims(&token));
            format!("tab {process} saves {:?}", rc.map(|(_, rc, _)| rc))
        });
    }

    fn refused(&self, process: ProcId, text: &str) {
        if let Some((session, rc, _)) = access_token(text).and_then(|token| claims(&token)) {
            self.tell(|| format!("tab {process} cannot save {rc}"));
            self.lock().refused.insert(session);
        }
    }

    fn removed(&self, process: ProcId) {
        self.tell(|| format!("tab {process} clears the storage"));
    }

    fn storage_delay(&self) -> Millis {
        let mut state = lock(&self.state);
        match state.rng.unit() {
            chance if chance < 0.6 => 0,
            chance if chance < 0.95 => state.rng.between(1, 20),
            _ => state.rng.between(20, 3_000),
        }
    }
}

impl Life {
    /// Tells what happens, if anybody wants to know.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            let ms = self.world.now() - START;
            let (days, rest) = (ms / DAY, ms % DAY);
            let clock = (
                rest / HOUR,
                rest % HOUR / MINUTE,
                rest % MINUTE / SECOND,
                rest % SECOND,
            );
            eprintln!(
                "{days}d {:02}:{:02}:{:02}.{:03}  {}",
                clock.0,
                clock.1,
                clock.2,
                clock.3,
                what()
            );
        }
    }

    /// What changes.
    pub fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// What may go wrong with the server goes wrong, for everybody at the same time.
    pub(crate) fn incident(self: &Arc<Self>, incident: Incident) {
        self.tell(|| format!("{incident:?}"));
        let now = self.world.now();
        let mut state = self.lock();
        match incident {
            Incident::Crash { down } => {
                state.counts.crashes += 1;
                state.weather.server_down_until = now + down;
                if state.server.crash(now) {
                    state.forget();
                }
            }
            Incident::Backup => state.server.back_up(),
            Incident::Restore { down } => {
                if state.server.restore(now) {
                    state.counts.restores += 1;
                    state.weather.server_down_until = now + down;
                    state.forget();
                }
            }
        }
    }

    /// A new session, and its tokens.
    pub fn sign_in(&self) -> chatsdk_client::Tokens {
        let now = self.world.now();
        let mut state = self.lock();
        state.counts.sessions += 1;
        let (session, tokens) = state.server.mint(USER, now);
        state.current = Some(session);
        tokens
    }

    /// Notes why the server has just ended `session` because a token came back.
    pub fn reused(state: &mut State, session: &SessionId) {
        state
            .revoked
            .entry(session.clone())
            .or_insert(Revoked::Reused);
    }

    /// A process was told that its session is over, or (without a reason) found nothing of it in its storage.
    pub fn ended(&self, session: &SessionId, reason: Option<EndReason>) {
        let now = self.world.now();
        let mut guard = self.lock();
        let state = &mut *guard;
        if reason == Some(EndReason::LoggedOut) || !state.over.insert(session.clone()) {
            return;
        }
        let why = state.revoked.get(session).copied();
        let stolen = state.thefts.contains_key(session);
        let refused = state.refused.contains(session);
        let row = state.server.rows.get(session).map(|entry| entry.row);
        let counts = &mut state.counts;
        match (why, row) {
            (Some(Revoked::ByUser | Revoked::ByOperator), _) => {}
            (Some(Revoked::Reused), _) if stolen => {}
            // Nobody ended it: who had its newest pair is gone, and could store nothing.
            (None, _) if reason.is_none() && refused => counts.forgotten_by_storage += 1,
            (None, None) => counts.forgotten += 1,
            (None, Some(row)) if now > row.rt_exp => counts.expired += 1,
            _ => {
                counts.accidental_logouts += 1;
                counts.stories.push(format!(
                    "client {}: {reason:?} at {} ms, {session}: {why:?}, {row:?}",
                    self.number,
                    now - START
                ));
            }
        }
    }
}

impl State {
    fn forget(&mut self) {
        for theft in self.thefts.values_mut() {
            theft.forgotten();
        }
    }
}

/// Whether a code speaks about the access token alone.
pub(crate) fn about_the_access_token(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TokenExpired | ErrorCode::TokenRevoked | ErrorCode::TokenInvalid
    )
}
