//! What the server has answered, and so has to know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use chatsdk_store::Store;
use chatsdk_testkit::Reply;

/// A session, as its owners were told of it.
#[derive(Debug, Clone)]
struct Told {
    /// The newest refresh token.
    refresh: String,
    /// The counter of that token.
    counter: i64,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Nobody asked for its end.
    Live,
    /// Its end was asked for, and not answered: it may have come.
    Leaving,
    /// Its end was answered.
    Ended,
}

/// All sessions, and those of which something was said since they were last looked at.
#[derive(Debug, Default)]
struct Sessions {
    all: BTreeMap<String, Told>,
    touched: BTreeSet<String>,
}

/// The ledger of all clients.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Sessions>);

impl Ledger {
    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap()
    }

    /// A mint or a refresh was answered.
    pub(super) fn pair(&self, reply: &Reply) {
        let (id, refresh) = (reply.field("sessionId"), reply.field("refreshToken"));
        let counter = crate::common::claims(&refresh)["n"].as_i64().unwrap();
        let mut sessions = self.sessions();
        sessions.touched.insert(id.clone());
        let told = Told {
            refresh,
            counter,
            standing: Standing::Live,
        };
        let before = sessions.all.insert(id.clone(), told);
        assert!(
            before
                .is_none_or(|before| before.counter < counter && before.standing == Standing::Live),
            "{id}: a counter that was there before"
        );
    }

    /// The end of a session is asked for.
    pub(super) fn leaving(&self, id: &str) {
        self.stands(id, Standing::Leaving);
    }

    /// The end of a session was answered.
    pub(super) fn ended(&self, id: &str) {
        self.stands(id, Standing::Ended);
    }

    fn stands(&self, id: &str, standing: Standing) {
        let mut sessions = self.sessions();
        sessions.touched.insert(id.to_owned());
        sessions.all.get_mut(id).unwrap().standing = standing;
    }

    /// Looks for everything that was answered since the last look. Answers the refresh tokens of the sessions
    /// that are over.
    pub(super) async fn holds(&self, store: &Store) -> Vec<String> {
        let touched = std::mem::take(&mut self.sessions().touched);
        self.compare(store, touched, Standing::Ended).await
    }

    /// Looks for everything that was ever answered. Answers the refresh tokens of the sessions that live.
    pub(super) async fn all_holds(&self, store: &Store) -> Vec<String> {
        let all = self.sessions().all.keys().cloned().collect();
        self.compare(store, all, Standing::Live).await
    }

    async fn compare(
        &self,
        store: &Store,
        which: BTreeSet<String>,
        wanted: Standing,
    ) -> Vec<String> {
        let mut tokens = Vec::new();
        for id in which {
            let told = self.sessions().all[&id].clone();
            let row = store.session(&id.parse().unwrap()).await.unwrap();
            let row = row.unwrap_or_else(|| panic!("{id} was minted and is not there: {told:?}"));
            assert!(
                row.cur >= told.counter,
                "{id}: {} was answered, {} is there",
                told.counter,
                row.cur
            );
            let over = row.revoked_at.is_some();
            match told.standing {
                Standing::Live => assert!(!over, "{id} is over, and nobody asked for it: {row:?}"),
                Standing::Leaving => {}
                Standing::Ended => assert!(over, "{id} was ended and lives: {row:?}"),
            }
            if told.standing == wanted {
                tokens.push(told.refresh);
            }
        }
        tokens
    }
}
