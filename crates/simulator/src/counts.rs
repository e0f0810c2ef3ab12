//! What is counted.

use std::collections::BTreeMap;
use std::fmt;

use crate::device::Point;

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident: $label:literal,)+) => {
        /// What happened in a run.
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)+
            /// Processes killed, by where they stood.
            pub killed_at: BTreeMap<Point, u64>,
            /// What went wrong, in words, with the client that it happened to.
            pub stories: Vec<String>,
        }

        impl Counts {
            /// Adds what happened elsewhere.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
                for (point, count) in &other.killed_at {
                    *self.killed_at.entry(*point).or_default() += count;
                }
                self.stories.extend_from_slice(&other.stories);
            }
        }

        impl fmt::Display for Counts {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, "{:>12}  {}", self.$name, $label)?;)+
                for (point, count) in &self.killed_at {
                    writeln!(f, "{count:>12}  killed at {point:?}")?;
                }
                for story in self.stories.iter().take(20) {
                    writeln!(f, "{story}")?;
                }
                Ok(())
            }
        }
    };
}

counts! {
    /// Devices.
    clients: "clients",
    /// Processes that were begun.
    processes: "processes (tabs) begun",
    /// Sessions minted.
    sessions: "sessions minted",
    /// Refresh requests that reached the server.
    refreshes: "refresh requests answered",
    /// Answered with a new pair.
    rotated: "  with a new pair",
    /// Answered with the successor that existed.
    repeated: "  with the successor that existed",
    /// Told to look again.
    stale: "  with request_stale",
    /// Access tokens verified.
    uses: "access tokens verified",
    /// Requests lost on the way.
    lost_requests: "requests lost",
    /// Replies lost on the way.
    lost_replies: "replies lost",
    /// Requests that arrived twice.
    doubled: "requests doubled, and late",
    /// Requests that met no server.
    unanswered: "requests while the server was down or the device offline",
    /// Rotations that another node overtook between reading and writing.
    overtaken: "rotations overtaken between reading and writing",
    /// Processes killed.
    kills: "processes killed",
    /// Processes frozen.
    freezes: "processes frozen",
    /// Sleeps of devices.
    sleeps: "sleeps of a device",
    /// Jumps of wall clocks.
    jumps: "jumps of a wall clock",
    /// Outages of a network.
    outages: "outages of a network",
    /// Faults of a storage.
    storage_faults: "faults of a storage",
    /// Crashes of the server.
    crashes: "crashes of the server, by client",
    /// Restores of the server.
    restores: "backups restored, by client",
    /// Users who logged out.
    logouts: "logouts by the user",
    /// Sessions ended by the operator.
    revocations: "sessions ended by the operator",
    /// Sessions that expired.
    expired: "sessions that expired, unused for seven days",
    /// Sessions minted after the backup that was restored.
    forgotten: "sessions that the restored backup did not know",
    /// Sessions that live on the server, whose newest pair the storage refused: a new process found nothing, and
    /// its app asked its backend for another session.
    forgotten_by_storage: "sessions forgotten by a storage that takes nothing",
    /// Thefts.
    thefts: "stolen tokens replayed",
    /// Thefts that ended the session.
    caught: "  caught: the session ended",
    /// Thefts that went unseen because both presented within the grace.
    lock_step: "  not caught, exception 1: in lock-step within the grace",
    /// Thefts that went unseen because the thief came between a rotation and its first use.
    slipped_in: "  not caught, exception 2: between a rotation and the first use of it",
    /// Thefts without two turns of thief and owner.
    one_sided: "  owner or thief was not active afterwards",
    /// Thefts that were to be caught and were not.
    missed: "  MISSED",
    /// Tabs that had no token at the end, though nothing stood in the way.
    stuck: "tabs STUCK without a token at the end",
    /// Sessions that ended for no reason.
    accidental_logouts: "ACCIDENTAL LOGOUTS",
}

impl Counts {
    /// Nobody was signed out by accident, nobody is stuck, and no thief got away.
    pub fn is_clean(&self) -> bool {
        self.accidental_logouts == 0 && self.missed == 0 && self.stuck == 0
    }
}
