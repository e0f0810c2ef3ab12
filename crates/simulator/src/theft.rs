//! Thieves: they copy what stands in a storage, and present it beside its owner.
//!
//! A theft has to end the session as soon as both have presented by turns, unless one of the two
//! exceptions holds: both presented within the grace of each other, or the thief slipped in between a rotation
//! of the owner and the first use of what came of it. What a crash or a restored backup makes the server
//! forget has to be shown to it again.

use chatsdk_auth::rotation::GRACE;
use chatsdk_types::Millis;

/// Who presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Party {
    /// The device that the session was minted for.
    Owner,
    /// Somebody else.
    Thief,
}

/// How a thief goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    /// Like a client: refreshes and uses, in its own rhythm.
    Careless,
    /// Presents whatever it has soon after the owner has refreshed, within the grace.
    LockStep,
    /// Presents whatever it has a good minute after the owner has refreshed.
    Lurking,
}

/// A stolen session, and the books on it.
#[derive(Debug)]
pub struct Theft {
    /// How the thief goes about it.
    pub habit: Habit,
    /// Its newest refresh token.
    pub token: String,
    /// The counter that was stolen.
    stolen: i64,
    presented: bool,
    last: Option<Party>,
    turns: u8,
    owner_at: Millis,
    thief_at: Millis,
    /// The counter that the owner was given and has not used yet; 0 for none.
    unused: i64,
    lock_step: u64,
    slipped_in: u64,
    missed: bool,
}

/// What a theft came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was never presented.
    Unused,
    /// The session ended.
    Caught,
    /// Exception 1.
    LockStep,
    /// Exception 2.
    SlippedIn,
    /// There were no two turns.
    OneSided,
    /// It should have been caught.
    Missed,
}

impl Theft {
    /// The refresh token of counter `n` was copied. `unused`: its owner has not used what came with it yet.
    pub fn new(habit: Habit, token: String, n: i64, unused: bool) -> Self {
        Self {
            habit,
            token,
            stolen: n,
            presented: false,
            last: None,
            turns: 0,
            owner_at: Millis::MIN / 2,
            thief_at: Millis::MIN / 2,
            unused: if unused { n } else { 0 },
            lock_step: 0,
            slipped_in: 0,
            missed: false,
        }
    }

    /// A token was presented and not put off, and answered with the pair `given`, if with any. `lives` says whether the session still does.
    pub fn presented(&mut self, by: Party, n: i64, given: Option<i64>, lives: bool, now: Millis) {
        let others = match by {
            Party::Owner => self.thief_at,
            Party::Thief => self.owner_at,
        };
        match by {
            Party::Owner => self.owner_at = now,
            Party::Thief => {
                self.thief_at = now;
                self.presented = true;
            }
        }
        // What the owner presents counts from the stolen token on: an older one says nothing new.
        if by == Party::Thief || n >= self.stolen {
            let in_lock_step = now - others <= GRACE;
            let slipped_in = by == Party::Thief && self.unused != 0;
            self.lock_step += u64::from(in_lock_step);
            self.slipped_in += u64::from(slipped_in && !in_lock_step);
            if in_lock_step || slipped_in {
                // Both may have the same token now, as on the day of the theft.
                self.forgotten();
            } else {
                self.turns += u8::from(self.last.is_some_and(|last| last != by));
                self.last = Some(by);
            }
            self.missed |= self.turns >= 2 && lives;
        }
        if by == Party::Owner {
            if n >= self.unused {
                self.unused = 0;
            }
            if let Some(next) = given {
                self.unused = next;
            }
        }
    }

    /// An access token of counter `rc` was used by its owner.
    pub fn used(&mut self, rc: i64) {
        if rc >= self.unused {
            self.unused = 0;
        }
    }

    /// The server forgot what it had seen.
    pub fn forgotten(&mut self) {
        self.turns = 0;
        self.last = None;
    }

    /// What it came to. `reused`: the session ended because a token came back.
    pub fn verdict(&self, reused: bool) -> Verdict {
        match () {
            () if !self.presented => Verdict::Unused,
            () if self.missed => Verdict::Missed,
            () if reused => Verdict::Caught,
            () if self.lock_step > 0 && self.lock_step >= self.slipped_in => Verdict::LockStep,
            () if self.slipped_in > 0 => Verdict::SlippedIn,
            () => Verdict::OneSided,
        }
    }
}
