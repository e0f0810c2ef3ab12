//! Clients and backends that ask without a pause, and again whatever was not answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatsdk_testkit::http::{Request, request};
use chatsdk_testkit::{Backend, Reply};
use serde_json::json;
use tokio::sync::{RwLock, RwLockWriteGuard, watch};

use super::ledger::Ledger;

/// What all who ask share.
#[derive(Clone)]
pub(super) struct Load {
    /// Where the server is. Whoever asks holds it until what they were answered is in the ledger: who has it
    /// for writing knows that nothing is under way.
    door: Arc<RwLock<SocketAddr>>,
    key: Arc<str>,
    done: Arc<AtomicBool>,
    answers: watch::Sender<u64>,
    pub(super) ledger: Arc<Ledger>,
}

impl Load {
    pub(super) fn new(backend: &Backend) -> Self {
        Self {
            door: Arc::new(RwLock::new(backend.address)),
            key: backend.key.as_str().into(),
            done: Arc::default(),
            answers: watch::Sender::new(0),
            ledger: Arc::default(),
        }
    }

    /// How many were answered.
    pub(super) fn answered(&self) -> u64 {
        *self.answers.borrow()
    }

    /// Waits until so many were answered.
    pub(super) async fn reaches(&self, answers: u64) {
        let mut seen = self.answers.subscribe();
        seen.wait_for(|answered| *answered >= answers)
            .await
            .unwrap();
    }

    /// Waits until nobody is under way, and lets nobody go until the server has an address again.
    pub(super) async fn shut(&self) -> RwLockWriteGuard<'_, SocketAddr> {
        self.door.write().await
    }

    /// Nobody asks any more.
    pub(super) fn finish(&self) {
        self.done.store(true, Ordering::Release);
    }

    /// Asks until it is answered, and notes the answer. `None` where nobody asks any more.
    async fn ask(
        &self,
        make: impl Fn(SocketAddr) -> Request,
        note: impl Fn(&Ledger, &Reply),
    ) -> Option<Reply> {
        while !self.done.load(Ordering::Acquire) {
            let address = self.door.read().await;
            // A connection that breaks or is refused is weather: the reply is lost.
            let Ok(reply) = make(*address).try_send().await else {
                drop(address);
                tokio::task::yield_now().await;
                continue;
            };
            match reply.status {
                200 => {
                    note(&self.ledger, &reply);
                    self.answers.send_modify(|answers| *answers += 1);
                    return Some(reply);
                }
                503 => {}
                _ => panic!("an honest client was answered {}", reply.text),
            }
        }
        None
    }

    /// One honest client: presents what it has until it is answered, then keeps the successor.
    pub(super) async fn refreshes(self, mut token: String) {
        let exchange = |address, token: &str| {
            request(address, "POST", "/auth/refresh").json(&json!({ "refreshToken": token }))
        };
        while let Some(reply) = self.ask(|at| exchange(at, &token), Ledger::pair).await {
            token = reply.field("refreshToken");
        }
    }

    /// A backend that signs one person after the other in. Every second one stays; the others log out, or are
    /// signed out.
    pub(super) async fn comes_and_goes(self, backend: usize) {
        for person in 0_u64.. {
            let user = format!("guest-{backend}-{person}");
            let mint = |at| {
                let body = json!({ "userId": user });
                self.by_key(at, "POST", "/auth/tokens").json(&body)
            };
            let Some(minted) = self.ask(mint, Ledger::pair).await else {
                return;
            };
            let (session, token) = (minted.field("sessionId"), minted.field("refreshToken"));
            if person % 2 == 0 {
                continue;
            }
            self.ledger.leaving(&session);
            let leave = |at| {
                if person % 4 == 1 {
                    let body = json!({ "refreshToken": token });
                    request(at, "POST", "/auth/revoke").json(&body)
                } else {
                    let path = format!("/auth/users/{user}/sessions/{session}");
                    self.by_key(at, "DELETE", &path)
                }
            };
            let left = self.ask(leave, |ledger, _| ledger.ended(&session)).await;
            if left.is_none() {
                return;
            }
        }
    }

    fn by_key(&self, at: SocketAddr, method: &str, path: &str) -> Request {
        request(at, method, path).header("x-api-key", &self.key)
    }
}
