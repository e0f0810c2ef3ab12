//! Writes: each goes on to its end, also one that was given up, and what it lands on late is put right.

use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::{Failure, LATE_PATIENCE, STORAGE_TIMEOUT, Turn, Vault};
use crate::platform::{Platform, Storage as _};
use crate::tokens::lock;
use crate::tokens::record::Record;

impl<P: Platform> Vault<P> {
    /// Writes `record`, which holds a pair of this user of `rank`, or the lowest where it holds none; removes where
    /// there is nothing to write. Goes on to its end, with the right to it, when whoever asked is gone. Gives the right
    /// back otherwise, also where that is not known yet after [`STORAGE_TIMEOUT`].
    pub(super) async fn write(
        self: &Arc<Self>,
        turn: Turn<P>,
        record: Option<Record>,
        rank: i64,
    ) -> (Result<(), Failure>, Option<Turn<P>>) {
        lock(&self.last).clone_from(&record);
        let (done, answer) = oneshot::channel();
        let (vault, platform) = (self.clone(), self.platform.clone());
        self.background.add(async move {
            let text = record.as_ref().map(Record::text);
            let write = Box::pin(async {
                let storage = platform.storage();
                match text {
                    Some(text) => storage.set(text).await,
                    None => storage.remove().await,
                }
            });
            let late = {
                let limit = pin!(platform.sleep(STORAGE_TIMEOUT));
                match select(write, limit).await {
                    Either::Left((written, _)) => {
                        let written = written.map_err(Failure::Fault);
                        vault.wrote(&written, rank);
                        let _gone = done.send((written, turn));
                        return;
                    }
                    Either::Right(((), write)) => write,
                }
            };
            vault.wrote(&Err(Failure::Slow), rank);
            let until = platform.mono() + LATE_PATIENCE;
            vault.seen().late = Some(until);
            // Where nobody waits any more, the turn is let go of with it: not kept until the write lands.
            drop(done.send((Err(Failure::Slow), turn)));
            let landed = late.await;
            vault.seen().late.take_if(|late| *late == until);
            if landed.is_ok() {
                vault.landed(record).await;
            }
        });
        match answer.await {
            Ok((written, turn)) => (written, Some(turn)),
            Err(_) => (Err(Failure::Slow), None),
        }
    }

    /// What came of a write is noted, whoever still waits for it.
    pub(super) fn wrote(&self, written: &Result<(), Failure>, rank: i64) {
        match written {
            Ok(()) => {
                self.note(rank);
                let mut seen = self.seen();
                seen.holds = rank > i64::MIN;
                seen.wasted = false;
            }
            Err(Failure::Slow) => self.note(rank),
            Err(Failure::Fault(_)) => {}
        }
    }

    /// A write was given up long ago, and done all the same: over what was written since, a logout perhaps.
    pub(super) fn landed(
        self: &Arc<Self>,
        record: Option<Record>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            let turn = self.turn().await;
            let last = lock(&self.last).clone();
            let Ok(stands) = self.get().await else {
                return;
            };
            // Of two pairs the newer one stays, whichever was written last: others may go on from it already.
            let stays = self.overtakes(record.as_ref(), last.as_ref());
            let again = if stays {
                self.overtakes(record.as_ref(), stands.as_ref())
            } else {
                last != record && is_same(stands.as_ref(), record.as_ref())
            };
            let next = if stays { record } else { last };
            if !again {
                return;
            }
            let rank = next.as_ref().map_or(i64::MIN, |record| self.rank(record));
            if let (Err(failure), _turn) = self.write(turn, next, rank).await {
                self.fail("it could not be saved", failure);
            }
        })
    }

    /// Whether `one` holds a newer pair than `other` does of the same session, and knows of as many logouts.
    pub(super) fn overtakes(&self, one: Option<&Record>, other: Option<&Record>) -> bool {
        let pair = |record| {
            let mine: &Record = self.mine(record)?;
            Some((mine.pair(self.clock.now(&*self.platform))?, mine.generation))
        };
        let (Some((mine, ours)), Some((theirs, others))) = (pair(one), pair(other)) else {
            return false;
        };
        mine.sid == theirs.sid && mine.rank > theirs.rank && ours >= others
    }
}

/// Whether both say the same of the session, whatever waits to be revoked.
fn is_same(one: Option<&Record>, other: Option<&Record>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one.tokens == other.tokens && one.generation == other.generation
        }
        (None, None) => true,
        _ => false,
    }
}
