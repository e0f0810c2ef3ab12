//! How a topic behaves; the authority says so each time that somebody wants something of it.

use std::time::Duration;

/// See the module's text. The default is a topic without memory: whoever listens hears.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, spelled as an operator's configuration spells them"
)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicOptions {
    /// Who is there can be asked.
    pub presence: bool,
    /// Joins and leaves are announced.
    pub join_leave: bool,
    /// Announcements go to every subscriber; otherwise to those that asked for them.
    pub force_push_join_leave: bool,
    /// What is kept.
    pub history: History,
    /// Gaps are watched for, whether a client asks for it or not.
    pub force_positioning: bool,
    /// Clients can go on where they were, whether they ask for it or not.
    pub force_recovery: bool,
    /// What a client that comes back is sent.
    pub recovery: Recovery,
    /// Subscribers may have what changed since the publication before, instead of all of it.
    pub delta: bool,
    /// Publications are fit for that, whether their publisher says so or not.
    pub delta_publish: bool,
    /// Subscribers may choose publications by their tags.
    pub tags_filter: bool,
}

/// What a topic keeps of its publications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum History {
    /// Nothing.
    #[default]
    None,
    /// The newest ones, in this process.
    Memory(Keep),
    /// The host keeps them, gives them their offsets, and answers
    /// [`recover`](crate::Authority::recover).
    Host,
}

/// How much is kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Publications, at least one.
    pub size: usize,
    /// Their bytes; the newest publication is kept in any case.
    pub bytes: usize,
    /// From the last publication until all of them are forgotten.
    pub ttl: Duration,
    /// From the last use until even their count is forgotten, from which clients know that they have missed
    /// something. A count of 0 is not kept: it is not needed to know that nothing was missed.
    pub count_ttl: Duration,
}

/// What a client that comes back is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Recovery {
    /// All that it missed, or word that this cannot be done.
    #[default]
    Stream,
    /// The newest publication, unless it has that already: for topics whose publications each replace
    /// the one before.
    Cache,
}

impl TopicOptions {
    /// Whether publications are numbered.
    pub fn has_history(&self) -> bool {
        self.history != History::None
    }
}
