//! One refresh, from looking whether another process was faster to the saved pair. Runs under the refresh
//! lock where there is one; without it the server's answer to a repeated token is the same pair, so that a
//! race costs a request and nothing else.

use std::sync::Arc;

use chatsdk_types::Millis;

use super::pair::Pair;
use super::request::{Fatal, Trouble, Verdict, is_late};
use super::schedule::floor;
use super::session::Session;
use super::vault::{Saved, Stored};
use crate::error::RefreshErrorKind;
use crate::platform::{PeerMessage, Platform};

/// What one refresh came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The newest pair there is: ours, or one that another process got.
    Pair {
        pair: Arc<Pair>,
        /// Whether it is saved.
        stored: bool,
    },
    Fatal {
        fatal: Fatal,
        /// What was presented.
        pair: Arc<Pair>,
    },
    Trouble(Trouble),
    SignedOut,
}

/// How often one refresh asks again where the server or the clock asks it to.
const ROUNDS: u32 = 3;

/// How long to wait for others to tell of their pairs, in ms.
const ANSWER_TIME: Millis = 100;

/// Gets a pair newer than `old`.
pub(crate) async fn attempt<P: Platform>(session: &Session<P>, old: &Arc<Pair>) -> Outcome {
    let mut base = old.clone();
    let mut reason = "";
    for _round in 0..ROUNDS {
        // Taken before storage is read: a process that freezes in between presents what it read with the
        // time at which it read it, and is told that it is stale instead of being taken for a thief.
        let stamp = session.now();
        let Some((found, known)) = newest(session, &base).await else {
            return Outcome::SignedOut;
        };
        // Somebody was faster. Where their access token has ended too, their refresh token is the one to
        // present.
        if found.rank > old.rank && found.is_usable(session.now()) {
            return stored(found);
        }
        // Somebody has just got it, whatever our clocks make of it: nobody asks for the next one yet. Checked
        // here, because this is the reading that the token to present comes from.
        if found.rank > old.rank && found.age(session.now()) < floor(found.ttl) {
            return stored(found);
        }
        // Others may have gone on from what stood in the storage, long ago, while this process was frozen.
        // Until it can be read, only what never stood there is presented.
        if !known && !session.is_memory_only(&found) {
            let why = "the token storage could not be read";
            return Outcome::Trouble(Trouble::new(RefreshErrorKind::Network, why));
        }
        base = found;

        match session.present(&base, stamp).await {
            Verdict::Pair(pair) => {
                let fresh = || !is_late(stamp, session.now());
                match session.vault().save(&pair, fresh).await {
                    Saved::Kept(pair) | Saved::Newer(pair) => return stored(pair),
                    Saved::SignedOut => return Outcome::SignedOut,
                    Saved::Failed => {
                        return Outcome::Pair {
                            pair,
                            stored: false,
                        };
                    }
                    Saved::Late => reason = "the reply came too late",
                }
            }
            Verdict::Trouble(trouble) => return Outcome::Trouble(trouble),
            Verdict::Again(why) => reason = why,
            Verdict::Fatal(fatal) => {
                let Some((after, _)) = newest(session, &base).await else {
                    return Outcome::SignedOut;
                };
                if after.rank <= base.rank {
                    return Outcome::Fatal { fatal, pair: base };
                }
                if after.is_usable(session.now()) {
                    return stored(after);
                }
                base = after;
            }
        }
    }
    Outcome::Trouble(Trouble::new(RefreshErrorKind::Network, reason))
}

fn stored(pair: Arc<Pair>) -> Outcome {
    Outcome::Pair { pair, stored: true }
}

/// The newest pair that storage, others or this process know of, and whether the storage could be read;
/// `None` where the user logged out.
async fn newest<P: Platform>(session: &Session<P>, base: &Arc<Pair>) -> Option<(Arc<Pair>, bool)> {
    let (stored, known) = match session.vault().read(base.rank).await {
        Stored::SignedOut => return None,
        Stored::Pair(stored) => (stored, true),
        Stored::Unknown => (None, false),
    };
    // Storage may be this process's own, or lag behind; the others are asked before an old token is
    // presented.
    let platform = session.platform();
    if platform.has_peers()
        && stored
            .as_ref()
            .is_none_or(|stored| stored.rank <= base.rank)
    {
        platform.tell(PeerMessage::Who);
        platform.sleep(ANSWER_TIME).await;
    }
    let mut best = base.clone();
    for pair in [stored, session.newest_here()].into_iter().flatten() {
        if pair.rank > best.rank {
            best = pair;
        }
    }
    Some((best, known))
}
