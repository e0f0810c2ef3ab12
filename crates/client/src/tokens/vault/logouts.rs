//! Logouts: the tombstone, and what waits to be revoked.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Ended, Vault};
use crate::platform::Platform;
use crate::tokens::lock;
use crate::tokens::pair::Pair;
use crate::tokens::revoke::bearer;

impl<P: Platform> Vault<P> {
    /// Logs out: leaves a tombstone that stops every later save of those who do not know of it yet, and
    /// puts what ends the session, and the one that is stored, into the outbox.
    pub(crate) async fn end(self: &Arc<Self>, current: Option<&Pair>) -> Ended {
        let what = "a logout could not be noted";
        let turn = self.turn().await;
        let record = match self.get().await {
            Ok(record) => record,
            Err(failure) => {
                self.fail(what, failure);
                return self.ended(current, None, Vec::new());
            }
        };
        let mine = self.mine(record.as_ref());
        self.knows(mine);
        let stored = mine.and_then(|record| record.pair(self.clock.now(&*self.platform)));
        let before = record.as_ref().map(|record| record.revoke.clone());
        let ended = self.ended(current, stored.as_deref(), before.unwrap_or_default());
        // In a storage with room for one, another user's pair is not ours to remove.
        let mut kept = match &record {
            Some(record) if mine.is_none() => record.clone(),
            _ => self.record(None, record.as_ref()),
        };
        kept.revoke.clone_from(&ended.revoke);
        let rank = self.rank(&kept);
        if let (Err(failure), turn) = self.write(turn, Some(kept), rank).await {
            self.fail(what, failure);
            // Better no tombstone than a pair.
            if let Some(turn) = turn.filter(|_| mine.is_some()) {
                self.remove(turn).await;
            }
        }
        ended
    }

    /// There is one more logout. Of one session any token will do to revoke it.
    pub(super) fn ended(
        &self,
        current: Option<&Pair>,
        stored: Option<&Pair>,
        before: Vec<String>,
    ) -> Ended {
        let mut revoke = before;
        let same = matches!((current, stored), (Some(a), Some(b)) if a.sid == b.sid);
        for pair in [current.filter(|_| !same), stored].into_iter().flatten() {
            let tokens = &pair.tokens;
            let credential = if tokens.refresh_token.is_empty() {
                bearer(&tokens.access_token)
            } else {
                tokens.refresh_token.clone()
            };
            if !revoke.contains(&credential) {
                revoke.push(credential);
            }
        }
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        Ended { revoke, generation }
    }

    /// The logouts that this manager knows of.
    pub(crate) fn generation(&self) -> i64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Takes note of a logout in another process, which told of it where the storage is not shared with it.
    pub(crate) async fn heed(self: &Arc<Self>, generation: i64) {
        self.generation.fetch_max(generation, Ordering::Relaxed);
        self.alone("a logout could not be noted", (), |record| {
            let older = self
                .mine(record.as_ref())
                .is_some_and(|mine| mine.generation < generation);
            if older {
                return (Some(self.record(None, record.as_ref())), ());
            }
            // Nor is a logout to be taken back.
            *lock(&self.last) = record;
            (None, ())
        })
        .await;
    }

    /// What waits to be revoked.
    pub(crate) async fn outbox(&self) -> Vec<String> {
        match self.get().await {
            Ok(Some(record)) => record.revoke,
            _ => Vec::new(),
        }
    }

    /// The server has answered the revocation of `refresh_token`.
    pub(crate) async fn revoked(self: &Arc<Self>, refresh_token: &str) {
        self.alone("a logout could not be ticked off", (), |record| {
            let Some(mut record) = record else {
                return (None, ());
            };
            let before = record.revoke.len();
            record.revoke.retain(|token| token != refresh_token);
            ((record.revoke.len() < before).then_some(record), ())
        })
        .await;
    }
}
