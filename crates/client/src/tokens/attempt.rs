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

const LATE: &str = "the reply came too late";
const UNSAVED: &str = "the new tokens could not be saved";

/// Gets a pair newer than `old`.
pub(crate) async fn attempt<P: Platform>(session: &Session<P>, old: &Arc<Pair>) -> Outcome {
    let mut base = old.clone();
    let mut reason = "";
    for _round in 0..ROUNDS {
        // Taken before storage is read: a process that freezes in between presents what it read with the
        // time at which it read it, and is told that it is stale instead of being taken for a thief.
        let stamp = session.now();
        let found = match newest(session, &base, false).await {
            Newest::SignedOut => return Outcome::SignedOut,
            Newest::Withheld => return troubled("the storage cannot be read"),
            Newest::Pair(found) => found,
        };
        // Somebody was faster. Where their access token has ended too, their refresh token is the one to
        // present: but not right after it was got, whatever the clocks make of it. That is looked at in the
        // reading that the token comes from. Where they have none, there is nothing to present.
        let now = session.now();
        let early = found.is_usable(now) || found.age(now) < floor(found.ttl);
        if found.rank > old.rank && (early || !session.can_refresh(&found)) {
            // Their storage need not be this process's.
            return outcome_of(session.vault().save_theirs(&found).await, found);
        }
        base = found;
        if !session.vault().ready().await {
            return troubled(UNSAVED);
        }

        match session.present(&base, stamp).await {
            // Replayed by a proxy, or out of a cache of the host's: asked again at once, it would be the same.
            Verdict::Pair(pair) if pair.rank <= old.rank => {
                let kind = RefreshErrorKind::Protocol;
                return Outcome::Trouble(Trouble::new(kind, "the reply is not newer"));
            }
            Verdict::Pair(pair) => {
                let fresh = || !is_late(stamp, session.now());
                match session.vault().save(&pair, fresh).await {
                    Saved::Late => reason = LATE,
                    saved => return outcome_of(saved, pair),
                }
            }
            Verdict::Trouble(trouble) => return Outcome::Trouble(trouble),
            Verdict::Again(why) => reason = why,
            Verdict::Fatal(fatal) => {
                let after = match newest(session, &base, true).await {
                    Newest::SignedOut => return Outcome::SignedOut,
                    Newest::Pair(after) if after.rank > base.rank => after,
                    Newest::Pair(_) | Newest::Withheld => {
                        return Outcome::Fatal { fatal, pair: base };
                    }
                };
                base = after;
            }
        }
    }
    Outcome::Trouble(Trouble::new(RefreshErrorKind::Network, reason))
}

/// What it comes to that `pair` was saved, or was not. Nobody uses a pair before.
pub(crate) fn outcome_of(saved: Saved, pair: Arc<Pair>) -> Outcome {
    match saved {
        Saved::Kept(pair) | Saved::Newer(pair) => Outcome::Pair { pair, stored: true },
        Saved::SignedOut => Outcome::SignedOut,
        Saved::Late => Outcome::Trouble(Trouble::new(RefreshErrorKind::Network, LATE)),
        Saved::Failed { safe: true } => Outcome::Pair {
            pair,
            stored: false,
        },
        // As if the reply had been lost. Used unsaved, it would make the server take the older pair, which the
        // next start finds in the storage, for a thief's; unused, the older one is as good as ever.
        Saved::Failed { safe: false } => troubled(UNSAVED),
    }
}

fn troubled(why: &'static str) -> Outcome {
    Outcome::Trouble(Trouble::new(RefreshErrorKind::Storage, why))
}

enum Newest {
    Pair(Arc<Pair>),
    SignedOut,
    /// The storage cannot be read, and may hold a newer one.
    Withheld,
}

/// The newest pair that storage, others or this process know of. What nothing can replace is passed over for what can
/// be refreshed; where `base` was `refused` for good, it will do for as long as it lives.
async fn newest<P: Platform>(session: &Session<P>, base: &Arc<Pair>, refused: bool) -> Newest {
    let (stored, unknown) = match session.vault().read().await {
        Stored::SignedOut => return Newest::SignedOut,
        Stored::Pair(stored) => (stored, false),
        Stored::Unknown => (None, true),
    };
    let will_do = |pair: &Arc<Pair>| {
        let otherwise = if refused {
            pair.is_usable(session.now())
        } else {
            !session.can_refresh(base)
        };
        session.can_refresh(pair) || otherwise
    };
    let stored = stored.filter(will_do);
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
    let spare = session.vault().spare().filter(|_| refused);
    for pair in [stored, session.newest_here(), spare].into_iter().flatten() {
        if pair.rank > best.rank && will_do(&pair) {
            best = pair;
        }
    }
    if unknown && session.vault().withholds(&best) {
        return Newest::Withheld;
    }
    Newest::Pair(best)
}
