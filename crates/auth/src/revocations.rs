//! What does not work, in memory: every request and every socket asks here, and none asks the
//! database.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

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
    /// Shared with the exchanges that are under way; `None` where no app is.
    disabled: Option<Arc<HashSet<AppId>>>,
}

impl Sets {
    fn is_disabled(&self, app: &AppId) -> bool {
        self.disabled
            .as_ref()
            .is_some_and(|disabled| disabled.contains(app))
    }
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
        if sets.is_disabled(app) {
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
            sets.is_disabled(app)
        }
    }

    /// The apps of which nothing works, for whoever does not know yet which app it has to do with; `None`
    /// where there is none.
    pub(crate) fn disabled(&self) -> Option<Arc<HashSet<AppId>>> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        sets.disabled.clone()
    }

    pub(crate) fn disable(&self, app: AppId) {
        self.change(|sets| {
            Arc::make_mut(sets.disabled.get_or_insert_default()).insert(app);
        });
    }

    pub(crate) fn enable(&self, app: &AppId) {
        self.change(|sets| {
            if let Some(disabled) = &mut sets.disabled {
                Arc::make_mut(disabled).remove(app);
            }
            sets.disabled.take_if(|disabled| disabled.is_empty());
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
