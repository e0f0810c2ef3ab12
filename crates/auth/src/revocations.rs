//! What does not work, in memory: every request and every socket asks here, and none asks the
//! database.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use chatsdk_types::{AppId, ErrorCode, Millis, SessionId, UserId};

use crate::AuthConfig;

/// The sessions that were ended within the life of an access token, the users who are out, and the apps that
/// are disabled.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    /// False until the first entry: most deployments look at one flag.
    any: AtomicBool,
    sets: RwLock<Sets>,
}

#[derive(Debug, Default)]
struct Sets {
    /// Until when each ended session has to be remembered.
    sessions: HashMap<SessionId, Millis>,
    banned: HashMap<AppId, HashSet<UserId>>,
    deleted: HashMap<AppId, HashSet<UserId>>,
    disabled: HashSet<AppId>,
}

impl Revocations {
    /// Why the bearer of an otherwise good access token is refused, if it is.
    pub(crate) fn refusal(
        &self,
        app: &AppId,
        user: &UserId,
        session: &SessionId,
    ) -> Option<ErrorCode> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        let is_in = |set: &HashMap<AppId, HashSet<UserId>>| {
            set.get(app).is_some_and(|users| users.contains(user))
        };
        // First: what the others say is final for a client, and this is not.
        if sets.disabled.contains(app) {
            Some(ErrorCode::AppDisabled)
        } else if is_in(&sets.banned) {
            Some(ErrorCode::UserBanned)
        } else if sets.sessions.contains_key(session) || is_in(&sets.deleted) {
            Some(ErrorCode::TokenRevoked)
        } else {
            None
        }
    }

    /// Whether nothing of `app` works.
    pub(crate) fn is_disabled(&self, app: &AppId) -> bool {
        self.any.load(Ordering::Acquire) && {
            let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
            sets.disabled.contains(app)
        }
    }

    /// Whether nothing of some app works: whoever does not know the app yet has to find out.
    pub(crate) fn has_disabled(&self) -> bool {
        self.any.load(Ordering::Acquire) && {
            let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
            !sets.disabled.is_empty()
        }
    }

    pub(crate) fn disable(&self, app: AppId) {
        self.change(|sets| {
            sets.disabled.insert(app);
        });
    }

    pub(crate) fn enable(&self, app: &AppId) {
        self.change(|sets| {
            sets.disabled.remove(app);
        });
    }

    pub(crate) fn end_session(&self, session: SessionId, now: Millis) {
        self.change(|sets| {
            // A minute more than the longest token lives, for clocks that differ between nodes.
            let until = now + AuthConfig::MAX_ACCESS_TTL.as_millis() + 60_000;
            if sets.sessions.len() % 1024 == 1023 {
                sets.sessions.retain(|_, until| *until > now);
            }
            sets.sessions.insert(session, until);
        });
    }

    pub(crate) fn ban(&self, app: AppId, user: UserId) {
        self.change(|sets| {
            sets.banned.entry(app).or_default().insert(user);
        });
    }

    pub(crate) fn unban(&self, app: &AppId, user: &UserId) {
        self.change(|sets| {
            if let Some(users) = sets.banned.get_mut(app) {
                users.remove(user);
            }
        });
    }

    pub(crate) fn delete(&self, app: AppId, user: UserId) {
        self.change(|sets| {
            sets.deleted.entry(app).or_default().insert(user);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Sets)) {
        change(&mut self.sets.write().unwrap_or_else(PoisonError::into_inner));
        self.any.store(true, Ordering::Release);
    }
}
