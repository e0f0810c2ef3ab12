//! A model of one session for exhaustive checking: the server as `rotation` decides, a browser whose tabs
//! share one storage, the network between them, crashes, one database that may be restored, and a
//! thief.
//!
//! - [`rules`]: what the server and the clients go by. Earlier rules that are known to be bad are in
//!   `known_bad.rs`, which only the test program uses.
//! - [`world`]: the state, and how time passes in it.
//! - [`steps`]: everything that can happen next.
//!
//! Time has no end here. A state holds no clock, only how long ago things were, and counters only by their
//! order and by whether they lie in the past; so the states are finitely many, and checking them
//! covers runs of any length. What the clients do is what the design asks of them: see [`rules::Client`].

#![expect(
    unreachable_pub,
    clippy::struct_excessive_bools,
    reason = "shared by a test program and an example; each switch is one rule or one mishap"
)]

pub mod rules;
pub mod steps;
pub mod world;

use rules::{Client, Server};
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::World;

/// What is checked: the rules, and how much may go wrong.
#[derive(Clone)]
pub struct Session {
    /// How the server decides.
    pub server: Server,
    /// How the clients behave.
    pub client: Client,
    /// How many tabs, one to three.
    pub tabs: usize,
    /// How many requests may be on their way whose sender no longer waits.
    pub strays: usize,
    /// How many milliseconds a small step of time has; a large one is a minute and more.
    pub step: i64,
    /// Whether the server reads and writes in two steps, as several nodes do.
    pub two_steps: bool,
    /// Whether the server crashes: what it had only in memory is lost.
    pub crashes: bool,
    /// How often a backup may be taken and restored.
    pub restores: u8,
    /// How long a restore takes, in milliseconds.
    pub downtime: i64,
    /// Whether the session may be revoked.
    pub revocation: bool,
    /// Whether a revocation is carried over a restore by the journal.
    pub journal: bool,
    /// Whether somebody copies a refresh token from the storage, once.
    pub thief: bool,
    /// The highest counter, for rules whose counters are not clock counters and never stop growing.
    pub highest: i64,
}

impl Session {
    /// Our rules with as many tabs, and nothing that goes wrong but the network and killed tabs.
    pub fn new(tabs: usize) -> Self {
        Self {
            server: Server::OURS,
            client: Client::OURS,
            tabs,
            strays: 1,
            step: 8_000,
            two_steps: false,
            crashes: false,
            restores: 0,
            downtime: 16_000,
            revocation: false,
            journal: true,
            thief: false,
            highest: i64::MAX,
        }
    }
}

impl Model for Session {
    type State = World;
    type Action = steps::Step;

    fn init_states(&self) -> Vec<World> {
        vec![World::minted(self)]
    }

    fn actions(&self, world: &World, steps: &mut Vec<steps::Step>) {
        steps::possible(self, world, steps);
    }

    fn next_state(&self, world: &World, step: steps::Step) -> Option<World> {
        let next = steps::take(self, world, step).settled(self);
        (next != *world).then_some(next)
    }

    fn within_boundary(&self, world: &World) -> bool {
        // An excused thief needs no further watching.
        world.row.cur <= self.highest && !world.watch.excused_for(self)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(HONEST, |model: &Self, world: &World| {
                model.thief || !world.told_reused
            }),
            Property::always(REVOKED, |_, world: &World| !world.worked_after_revoke),
            Property::always(CAUGHT, |_, world: &World| !world.watch.got_away(world)),
            Property::always(ONCE, |_, world: &World| !world.issued_twice),
        ]
    }
}

/// A: no honest client is told to sign in again.
pub const HONEST: &str = "an honest client is never answered fatally";
/// B.
pub const REVOKED: &str = "after a revocation nothing works";
/// C.
pub const CAUGHT: &str = "a thief and a victim who are both active end the session";
/// What clock counters are for.
pub const ONCE: &str = "no counter is issued twice";

/// What a check came to.
pub struct Verdict {
    /// How many different states there are.
    pub states: usize,
    /// The shortest way to break each property that breaks.
    pub broken: Vec<(&'static str, Vec<String>)>,
}

/// Visits every state, or stops at the first broken property.
pub fn check(session: Session, threads: usize) -> Verdict {
    let checker = session
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let broken = checker.discoveries().into_iter().map(|(name, path)| {
        let steps = path.into_actions().into_iter();
        (name, steps.map(|step| format!("{step:?}")).collect())
    });
    Verdict {
        states: checker.unique_state_count(),
        broken: broken.collect(),
    }
}
