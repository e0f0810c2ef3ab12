//! Saving a pair, and what becomes of the older one where that fails.

use std::sync::Arc;

use super::{Failure, Saved, Stored, Turn, Vault};
use crate::platform::{Platform, Storage as _};
use crate::tokens::pair::Pair;
use crate::tokens::record::Record;

impl<P: Platform> Vault<P> {
    /// Saves a pair that another process has, and may go on from. See [`Self::save`].
    pub(crate) async fn save_theirs(self: &Arc<Self>, given: &Arc<Pair>) -> Saved {
        self.note(given.rank);
        self.save(given, || true).await
    }

    /// Saves a pair that the server has just given, unless somebody was faster or it is not `fresh` any
    /// more when the lock is ours. From the moment of saving on, nobody asks for the next pair for a while.
    pub(crate) async fn save(
        self: &Arc<Self>,
        given: &Arc<Pair>,
        fresh: impl FnOnce() -> bool,
    ) -> Saved {
        let saved = self.try_save(given, fresh).await;
        if let Saved::Failed { safe } = saved {
            self.seen().wasted = !safe;
        }
        saved
    }

    /// Whether the storage takes a pair, as far as one can try beforehand: none is got only to be lost like the
    /// last one.
    pub(crate) async fn ready(self: &Arc<Self>) -> bool {
        let (wasted, holds, late) = {
            let seen = self.seen();
            (seen.wasted, seen.holds, seen.late)
        };
        if !wasted {
            return true;
        }
        if late.is_some_and(|until| self.platform.mono() < until) {
            // The lost one may land yet: what stands there now is not to be written over it.
            return !holds;
        }
        let what = "it could not be saved";
        self.alone(what, !holds, |record| (record, true)).await
    }

    pub(super) async fn try_save(
        self: &Arc<Self>,
        given: &Arc<Pair>,
        fresh: impl FnOnce() -> bool,
    ) -> Saved {
        let what = "a refreshed pair could not be saved";
        let turn = self.turn().await;
        let record = match self.get().await {
            Ok(record) => record,
            Err(failure) => {
                self.fail(what, failure);
                let safe = self.is_alone() && !self.seen().holds;
                return Saved::Failed { safe };
            }
        };
        if !fresh() {
            return Saved::Late;
        }
        let pair = given.received(given.received_at.max(self.platform.wall()));
        // Another user signed in here since, into a storage with room for one: theirs stays.
        if record
            .as_ref()
            .is_some_and(|record| record.user_id != self.user_id)
        {
            return Saved::Kept(pair);
        }
        match self.judge(record.as_ref()) {
            Stored::SignedOut => return Saved::SignedOut,
            Stored::Pair(Some(stored))
                if stored.rank >= pair.rank && !self.is_worse(&stored, &pair) =>
            {
                let same = stored.tokens.access_token == pair.tokens.access_token;
                return if same {
                    Saved::Kept(pair)
                } else {
                    Saved::Newer(stored)
                };
            }
            Stored::Pair(_) | Stored::Unknown => {}
        }
        let next = self.record(Some(&pair), record.as_ref());
        let (written, turn) = self.write(turn, Some(next), pair.rank).await;
        let Err(failure) = written else {
            return Saved::Kept(pair);
        };
        // A write that hangs may win over a removal, or lose against it: nobody knows what a restart would read.
        let hangs = matches!(failure, Failure::Slow);
        self.fail(what, failure);
        let safe = match turn {
            Some(turn) if !hangs && self.is_alone() => self.withdraw(turn, record.as_ref()).await,
            _ => self.is_alone() && !self.seen().holds,
        };
        Saved::Failed { safe }
    }

    /// Whether nobody goes on from an older pair when one is used unsaved: others who have it can be told of the newer
    /// one, or there was none for them to have, or there are no others.
    pub(super) fn is_alone(&self) -> bool {
        let storage = self.platform.storage();
        self.platform.has_peers() || self.seen().stood == i64::MIN || !storage.is_shared()
    }

    /// A pair could not be saved. Takes the older one out of the storage, so that no later start presents a token
    /// that the server has seen overtaken. Answers whether none is there any more.
    pub(super) async fn withdraw(self: &Arc<Self>, turn: Turn<P>, record: Option<&Record>) -> bool {
        if record.is_none_or(|record| record.tokens.is_none()) {
            return true;
        }
        // A shorter text may fit where the pair did not.
        let empty = self.record(None, record);
        match self.write(turn, Some(empty), i64::MIN).await {
            (Ok(()), _) => true,
            (Err(_), Some(turn)) => self.remove(turn).await,
            (Err(_), None) => false,
        }
    }

    pub(super) async fn remove(self: &Arc<Self>, turn: Turn<P>) -> bool {
        match self.write(turn, None, i64::MIN).await {
            (Ok(()), _) => true,
            (Err(failure), _) => {
                self.fail("it could not be cleared", failure);
                false
            }
        }
    }

    /// Forgets `dead`, which the server refused for good, unless a newer pair has taken its place.
    pub(crate) async fn discard(self: &Arc<Self>, dead: &Pair) {
        self.alone("a dead pair could not be removed", (), |record| {
            let Some(record) = record.filter(|record| record.user_id == self.user_id) else {
                return (None, ());
            };
            match self.judge(Some(&record)) {
                Stored::Pair(Some(stored)) if stored.rank <= dead.rank => {
                    (Some(self.record(None, Some(&record))), ())
                }
                _ => (None, ()),
            }
        })
        .await;
    }
}
