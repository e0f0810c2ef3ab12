//! One refresh of a session at a time, in this process.
//!
//! A hundred tabs that wake with the same token would otherwise all read the row, all try to rotate
//! it, and all but one read it again. Behind a turn each, the first rotates and the others find
//! its successor: one write. Across processes the condition of the UPDATE does the same job; this
//! only saves the work.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use chatsdk_types::SessionId;

const SHARDS: usize = 16;

type Turn = Arc<tokio::sync::Mutex<()>>;

/// The sessions that are being refreshed now.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    hasher: RandomState,
    shards: [Mutex<HashMap<SessionId, Turn>>; SHARDS],
}

impl Flights {
    /// Waits for the turn of `session`. It ends when what is returned is dropped.
    pub(crate) async fn enter(&self, session: &SessionId) -> Flight<'_> {
        let turn = Arc::clone(self.shard(session).entry(session.clone()).or_default());
        // Made before waiting, so that a caller who gives up while it waits cleans up as well.
        let mut flight = Flight {
            flights: self,
            session: session.clone(),
            turn: Some(Arc::clone(&turn)),
            guard: None,
            waited: false,
        };
        flight.guard = Some(if let Ok(guard) = Arc::clone(&turn).try_lock_owned() {
            guard
        } else {
            flight.waited = true;
            turn.lock_owned().await
        });
        flight
    }

    fn shard(&self, session: &SessionId) -> std::sync::MutexGuard<'_, HashMap<SessionId, Turn>> {
        let shard = self.hasher.hash_one(session) as usize % SHARDS;
        self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The turn of one session.
#[derive(Debug)]
pub(crate) struct Flight<'a> {
    flights: &'a Flights,
    session: SessionId,
    turn: Option<Turn>,
    guard: Option<tokio::sync::OwnedMutexGuard<()>>,
    waited: bool,
}

impl Flight<'_> {
    /// Whether somebody else had the turn just before.
    pub(crate) fn has_waited(&self) -> bool {
        self.waited
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut shard = self.flights.shard(&self.session);
        self.guard = None;
        self.turn = None;
        // Everyone else who wants this turn holds a clone: with the map's own as the only one left,
        // nobody does, and nobody can take one while the shard is locked.
        if shard
            .get(&self.session)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            shard.remove(&self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatsdk_types::SystemEntropy;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn one_at_a_time_and_nothing_left_behind() {
        let flights = Arc::new(Flights::default());
        let session = SessionId::new(1, &SystemEntropy);
        let inside = Arc::new(AtomicUsize::new(0));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (flights, session, inside) =
                (Arc::clone(&flights), session.clone(), Arc::clone(&inside));
            tasks.spawn(async move {
                let _flight = flights.enter(&session).await;
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.unwrap();
        }
        assert!(
            flights
                .shards
                .iter()
                .all(|shard| shard.lock().unwrap().is_empty())
        );
    }
}
