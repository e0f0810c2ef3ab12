//! What a session hears of: other processes, the storage, the network, sleep.

use std::sync::Arc;

use chatsdk_types::Millis;

use super::Session;
use crate::platform::{PeerMessage, Platform, Signal};
use crate::tokens::attempt::{Outcome, outcome_of};
use crate::tokens::pair::{Origin, Pair};
use crate::tokens::vault::Stored;

impl<P: Platform> Session<P> {
    pub(super) fn on_signal(self: Arc<Self>, signal: Signal) {
        match signal {
            Signal::Peer(message) => self.on_peer(message),
            Signal::StorageChanged => self.look_soon(),
            // Everybody comes back at the same moment; not everybody has to ask at the same moment.
            Signal::Online(true) => self.resume((self.platform().random() * 3_000.0) as Millis),
            Signal::Online(false) => {}
            Signal::Resumed => {
                self.resume(0);
                // A program that was frozen has heard nothing: of pairs, nor of a logout.
                self.look_soon();
            }
        }
    }

    fn on_peer(self: Arc<Self>, message: PeerMessage) {
        match message {
            PeerMessage::SignedOut {
                generation,
                session,
            } => self.on_logout(generation, session.as_deref()),
            PeerMessage::Who => {
                let pair = self.state().pair.clone();
                if let Some(pair) = pair {
                    self.tell_peers(&pair);
                }
            }
            PeerMessage::Tokens {
                tokens,
                ttl,
                received_at,
                offset,
            } => {
                self.shared.clock.assume(offset);
                let origin = Origin {
                    ttl: Some(ttl),
                    received_at: Some(received_at),
                    ..Origin::default()
                };
                let user = &self.shared.options.user_id;
                if let Some(pair) = Pair::make(user, tokens, self.now(), origin) {
                    self.state().heard = Some(pair.clone());
                    let session = self.clone();
                    self.spawn(async move { session.hear(pair).await });
                }
            }
        }
    }

    /// Somebody tells of a logout: of this session, or of one that came after every logout that this process knows of.
    fn on_logout(&self, generation: i64, session: Option<&str>) {
        let sid = self.state().pair.as_ref().and_then(|pair| pair.sid.clone());
        let ours = session.is_some() && session == sid.as_deref();
        if !ours && generation <= self.vault().generation() {
            return;
        }
        self.signed_out(generation);
    }

    fn look_soon(self: Arc<Self>) {
        let session = self.clone();
        self.spawn(async move { session.look().await });
    }

    pub(super) fn tell_peers(&self, pair: &Pair) {
        self.platform().tell(PeerMessage::Tokens {
            tokens: pair.tokens.clone(),
            ttl: pair.ttl,
            received_at: pair.received_at,
            offset: self.shared.clock.offset(),
        });
    }

    /// Somebody told of a pair. Their storage need not be this process's, so that it is saved before it is used.
    async fn hear(&self, pair: Arc<Pair>) {
        if !self.is_newer(&pair) {
            return;
        }
        let saved = self.vault().save_theirs(&pair).await;
        match outcome_of(saved, pair) {
            Outcome::SignedOut => self.signed_out(0),
            Outcome::Pair { pair, .. } => {
                let kept = self.vault().is_durable();
                self.adopt(pair, kept).await;
            }
            Outcome::Fatal { .. } | Outcome::Trouble(_) => {}
        }
    }

    /// Somebody else may have changed the storage.
    async fn look(&self) {
        match self.vault().read().await {
            Stored::SignedOut => self.signed_out(0),
            Stored::Pair(Some(pair)) => {
                let kept = self.vault().is_durable();
                self.adopt(pair, kept).await;
            }
            Stored::Pair(None) | Stored::Unknown => {}
        }
    }
}
