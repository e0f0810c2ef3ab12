//! One client: a device with its tabs, its sessions, its people, its thieves, and everything that happens to
//! them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use chatsdk_client::{EndReason, TokenState};
use chatsdk_types::{ErrorCode, Millis, SessionId};

use crate::counts::Counts;
use crate::device::{Device, Fate, Fault, Point, SharedStorage, Traits, access_token};
use crate::lock;
use crate::network::{Weather, Wire};
use crate::population::{Incident, Sabotage, Scheme};
use crate::rng::Rng;
use crate::server::{Server, claims};
use crate::tab::{Manager, Tab};
use crate::theft::{Habit, Theft, Verdict};
use crate::world::{ProcId, World};

/// A second, a minute, an hour and a day, in ms.
pub const SECOND: Millis = 1_000;
/// A minute, in ms.
pub const MINUTE: Millis = 60 * SECOND;
/// An hour, in ms.
pub const HOUR: Millis = 60 * MINUTE;
/// A day, in ms.
pub const DAY: Millis = 24 * HOUR;

/// A Wednesday.
const START: Millis = 1_704_835_200_000;

/// Whose sessions these are. One user each.
pub const USER: &str = "ann";

/// Why the server ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoked {
    /// The user logged out.
    ByUser,
    /// The operator did.
    ByOperator,
    /// A token came back after a later one was in use.
    Reused,
}

/// What changes in the course of a life.
#[derive(Debug)]
pub struct State {
    /// All chance of this life.
    pub rng: Rng,
    /// What was counted.
    pub counts: Counts,
    /// How the network is.
    pub weather: Weather,
    /// The server.
    pub server: Server,
    /// Why sessions were ended.
    pub revoked: HashMap<SessionId, Revoked>,
    /// Sessions that somebody stole from.
    pub thefts: HashMap<SessionId, Theft>,
    /// Sessions that this device knows to be over.
    pub over: HashSet<SessionId>,
    /// Sessions of which a pair was ever in the storage.
    pub kept: HashSet<SessionId>,
    /// The newest session of the device.
    pub current: Option<SessionId>,
    /// The counters that the owner has used, by session: the highest.
    pub used: HashMap<SessionId, i64>,
    /// Sessions whose newest pair the storage refused.
    pub refused: HashSet<SessionId>,
    /// Whether processes may be killed.
    pub peace: bool,
}

/// A client and its world.
#[derive(Debug)]
pub struct Life {
    /// Which of the population.
    pub number: u64,
    /// Time.
    pub world: Arc<World>,
    /// Where pairs are kept.
    pub storage: Arc<SharedStorage>,
    /// Everything else.
    pub state: Mutex<State>,
    /// What it does wrong, to see whether that is noticed.
    pub sabotage: Option<Sabotage>,
    /// Whether to tell, on standard error, what happens.
    pub tells: bool,
}

/// What a device is like.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent traits, drawn one by one"
)]
struct Character {
    most_tabs: usize,
    channel: bool,
    locks: bool,
    storage_events: bool,
    kill: f64,
    storage_trouble: bool,
    thieves: bool,
}

impl Fate for Life {
    fn dies(&self, process: ProcId, point: Point) -> bool {
        let mut state = lock(&self.state);
        if state.peace || !state.rng.chance(0.004) {
            return false;
        }
        state.counts.kills += 1;
        *state.counts.killed_at.entry(point).or_default() += 1;
        drop(state);
        self.tell(|| format!("tab {process} is killed at {point:?}"));
        true
    }

    fn stored(&self, process: ProcId, text: &str) {
        if let Some((session, ..)) = access_token(text).and_then(|token| claims(&token)) {
            let mut state = self.lock();
            state.refused.remove(&session);
            // Tabs that signed in side by side have a session each: what stands there is the last that was saved, and what
            // is lost with it.
            state.kept.clear();
            state.kept.insert(session);
        }
        self.tell(|| {
            let rc = access_token(text).and_then(|token| claims(&token));
            format!("tab {process} saves {:?}", rc.map(|(_, rc, _)| rc))
        });
    }

    fn refused(&self, process: ProcId, text: &str) {
        if let Some((session, rc, _)) = access_token(text).and_then(|token| claims(&token)) {
            self.tell(|| format!("tab {process} cannot save {rc}"));
            self.lock().refused.insert(session);
        }
    }

    fn removed(&self, process: ProcId) {
        self.tell(|| format!("tab {process} clears the storage"));
    }

    fn storage_delay(&self) -> Millis {
        let mut state = lock(&self.state);
        match state.rng.unit() {
            chance if chance < 0.6 => 0,
            chance if chance < 0.95 => state.rng.between(1, 20),
            _ => state.rng.between(20, 3_000),
        }
    }
}

/// Lives one client from beginning to end.
pub fn live(scheme: &Scheme, number: u64, tells: bool) -> Counts {
    let mut rng = Rng::new(scheme.seed, number + 1);
    let mut server = Server::new(Rng::new(scheme.seed, !number));
    if let Some(decide) = scheme.sabotage.and_then(Sabotage::table) {
        server.decide = decide;
    }
    let character = Character {
        most_tabs: match rng.unit() {
            chance if chance < 0.4 => 1,
            chance if chance < 0.8 => rng.between(2, 5) as usize,
            _ => rng.between(6, 20) as usize,
        },
        channel: rng.chance(0.75),
        locks: rng.chance(0.7),
        storage_events: rng.chance(0.75),
        kill: rng.unit(),
        storage_trouble: rng.chance(0.5),
        thieves: rng.chance(0.25),
    };
    let skew = match rng.unit() {
        chance if chance < 0.4 => rng.between(-2 * SECOND, 2 * SECOND),
        chance if chance < 0.8 => rng.between(-5 * MINUTE, 5 * MINUTE),
        _ => rng.between(-12 * HOUR, 12 * HOUR),
    };
    let weather = Weather::new(&mut rng);
    let world = World::at(START);
    let life = Arc::new(Life {
        number,
        world: world.clone(),
        storage: Arc::default(),
        state: Mutex::new(State {
            rng,
            counts: Counts {
                clients: 1,
                ..Counts::default()
            },
            weather,
            server,
            revoked: HashMap::new(),
            thefts: HashMap::new(),
            over: HashSet::new(),
            kept: HashSet::new(),
            current: None,
            used: HashMap::new(),
            refused: HashSet::new(),
            peace: false,
        }),
        sabotage: scheme.sabotage,
        tells,
    });
    if let Some(fault) = scheme.sabotage.and_then(Sabotage::storage) {
        life.storage.set_fault(fault);
    }
    let wire = Arc::new(Wire(life.clone()));
    let device = Device::new(world.clone(), wire, life.clone(), skew);
    let mut course = Course {
        life: life.clone(),
        device,
        character,
        tabs: Vec::new(),
    };
    for (at, incident) in &scheme.incidents {
        let life = life.clone();
        let incident = *incident;
        world.after(*at, move || life.incident(incident));
    }
    course.run(START + scheme.days * DAY);
    course.end();
    drop(course);
    life.lock().counts.clone()
}

impl Life {
    /// Tells what happens, if anybody wants to know.
    pub fn tell(&self, what: impl FnOnce() -> String) {
        if self.tells {
            let ms = self.world.now() - START;
            let (days, rest) = (ms / DAY, ms % DAY);
            let clock = (
                rest / HOUR,
                rest % HOUR / MINUTE,
                rest % MINUTE / SECOND,
                rest % SECOND,
            );
            eprintln!(
                "{days}d {:02}:{:02}:{:02}.{:03}  {}",
                clock.0,
                clock.1,
                clock.2,
                clock.3,
                what()
            );
        }
    }

    /// What changes.
    pub fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn incident(self: &Arc<Self>, incident: Incident) {
        self.tell(|| format!("{incident:?}"));
        let now = self.world.now();
        let mut state = self.lock();
        match incident {
            Incident::Crash { down } => {
                state.counts.crashes += 1;
                state.weather.server_down_until = now + down;
                if state.server.crash(now) {
                    state.forget();
                }
            }
            Incident::Backup => state.server.back_up(),
            Incident::Restore { down } => {
                if state.server.restore(now) {
                    state.counts.restores += 1;
                    state.weather.server_down_until = now + down;
                    state.forget();
                }
            }
        }
    }

    /// A new session, and its tokens.
    pub fn sign_in(&self) -> chatsdk_client::Tokens {
        let now = self.world.now();
        let mut state = self.lock();
        state.counts.sessions += 1;
        let (session, tokens) = state.server.mint(USER, now);
        state.current = Some(session);
        tokens
    }

    /// Notes why the server has just ended `session` because a token came back.
    pub fn reused(state: &mut State, session: &SessionId) {
        state
            .revoked
            .entry(session.clone())
            .or_insert(Revoked::Reused);
    }

    /// A process was told that its session is over, or (without a reason) found nothing of it in its storage.
    pub fn ended(&self, session: &SessionId, reason: Option<EndReason>) {
        let now = self.world.now();
        let mut guard = self.lock();
        let state = &mut *guard;
        if reason == Some(EndReason::LoggedOut) || !state.over.insert(session.clone()) {
            return;
        }
        let why = state.revoked.get(session).copied();
        let stolen = state.thefts.contains_key(session);
        let refused = state.refused.contains(session);
        let row = state.server.rows.get(session).map(|entry| entry.row);
        let counts = &mut state.counts;
        match (why, row) {
            (Some(Revoked::ByUser | Revoked::ByOperator), _) => {}
            (Some(Revoked::Reused), _) if stolen => {}
            // Nobody ended it: who had its newest pair is gone, and could store nothing.
            (None, _) if reason.is_none() && refused => counts.forgotten_by_storage += 1,
            (None, None) => counts.forgotten += 1,
            (None, Some(row)) if now > row.rt_exp => counts.expired += 1,
            _ => {
                counts.accidental_logouts += 1;
                counts.stories.push(format!(
                    "client {}: {reason:?} at {} ms, {session}: {why:?}, {row:?}",
                    self.number,
                    now - START
                ));
            }
        }
    }
}

impl State {
    fn forget(&mut self) {
        for theft in self.thefts.values_mut() {
            theft.forgotten();
        }
    }
}

/// What happens, one thing after the other.
struct Course {
    life: Arc<Life>,
    device: Arc<Device>,
    character: Character,
    tabs: Vec<(ProcId, Manager)>,
}

/// Something that happens.
type Act = fn(&mut Course);

/// What may happen next, and about how often, in ms.
const HABITS: &[(Millis, Act)] = &[
    (6 * HOUR, Course::sleep),
    (8 * HOUR, Course::outage),
    (8 * HOUR, Course::storage_fault),
    (60 * HOUR, Course::jump),
    (3 * HOUR, Course::freeze),
    (3 * HOUR, Course::kill),
    (36 * HOUR, Course::power_cut),
    (2 * HOUR, Course::open),
    (4 * HOUR, Course::shut),
    (20 * DAY, Course::log_out),
    (30 * DAY, Course::revoke),
    (4 * DAY, Course::steal),
];

impl Course {
    fn run(&mut self, end: Millis) {
        self.open();
        let rate: f64 = HABITS.iter().map(|(mean, _)| 1.0 / *mean as f64).sum();
        while self.life.world.now() < end {
            let (wait, mut choice) = {
                let mut state = self.life.lock();
                let wait = state.rng.wait((1.0 / rate) as Millis);
                (wait, state.rng.unit() * rate)
            };
            self.life
                .world
                .advance(wait.min(end - self.life.world.now()));
            let next = HABITS.iter().find(|(mean, _)| {
                choice -= 1.0 / *mean as f64;
                choice <= 0.0
            });
            if let Some((_, happen)) = next {
                happen(self);
            }
            self.tabs.retain(|(tab, _)| self.life.world.lives(*tab));
            if self.tabs.is_empty() {
                let wait = self.life.lock().rng.wait(30 * MINUTE);
                self.life.world.advance(wait);
                self.open();
            }
        }
    }

    /// Everything is well again: who lives has to have a token soon.
    fn end(&mut self) {
        let world = self.life.world.clone();
        {
            let mut state = self.life.lock();
            state.peace = true;
            state.weather.clear(world.now());
        }
        if self.life.sabotage.is_none() {
            self.life.storage.set_fault(Fault::None);
        }
        self.device
            .signal(None, &chatsdk_client::platform::Signal::Online(true));
        world.advance(2 * HOUR);
        self.open();
        for (tab, _) in &self.tabs {
            world.freeze(*tab, false);
        }
        world.advance(10 * MINUTE);
        let without = |manager: &Manager| {
            !matches!(manager.state(), TokenState::Valid | TokenState::Refreshing)
        };
        let stuck: Vec<_> = self
            .tabs
            .iter()
            .filter(|(tab, manager)| world.lives(*tab) && without(manager))
            .map(|(tab, manager)| (*tab, manager.state()))
            .collect();
        let mut state = self.life.lock();
        let state = &mut *state;
        for (tab, at) in stuck {
            state.counts.stuck += 1;
            let story = format!("client {}: tab {tab} is stuck: {at:?}", self.life.number);
            state.counts.stories.push(story);
        }
        for (session, theft) in &state.thefts {
            let reused = matches!(state.revoked.get(session), Some(Revoked::Reused));
            let counts = &mut state.counts;
            let verdict = theft.verdict(reused);
            if verdict == Verdict::Unused {
                continue;
            }
            counts.thefts += 1;
            match verdict {
                Verdict::Unused => {}
                Verdict::Caught => counts.caught += 1,
                Verdict::LockStep => counts.lock_step += 1,
                Verdict::SlippedIn => counts.slipped_in += 1,
                Verdict::OneSided => counts.one_sided += 1,
                Verdict::Missed => {
                    counts.missed += 1;
                    let story = format!("client {}: {session} missed: {theft:?}", self.life.number);
                    counts.stories.push(story);
                }
            }
        }
        let thieves = &state.thefts;
        // Ended because a token came back, and nobody had stolen any.
        for (session, why) in &state.revoked {
            if *why == Revoked::Reused
                && !thieves.contains_key(session)
                && state.over.insert(session.clone())
            {
                state.counts.accidental_logouts += 1;
                let story = format!("client {}: {session} reused, untold", self.life.number);
                state.counts.stories.push(story);
            }
        }
    }

    fn chance(&self, probability: f64) -> bool {
        self.life.lock().rng.chance(probability)
    }

    fn some_tab(&self) -> Option<ProcId> {
        let place = self.life.lock().rng.draw() as usize;
        let tabs: Vec<_> = self
            .tabs
            .iter()
            .map(|(tab, _)| *tab)
            .filter(|tab| self.life.world.lives(*tab))
            .collect();
        tabs.get(place % tabs.len().max(1)).copied()
    }

    fn open(&mut self) {
        if self.tabs.len() >= self.character.most_tabs {
            return;
        }
        self.life.lock().counts.processes += 1;
        let traits = self.traits();
        self.tabs.push(Tab::open(&self.life, &self.device, traits));
    }

    fn traits(&self) -> Traits {
        Traits {
            channel: self.character.channel.then(|| "all".to_owned()),
            locks: self.character.locks,
            storage_events: self.character.storage_events,
            tick: 10 * MINUTE,
        }
    }

    fn shut(&mut self) {
        if self.tabs.len() > 1
            && let Some(tab) = self.some_tab()
        {
            self.life.world.kill(tab);
        }
    }

    fn kill(&mut self) {
        if self.chance(self.character.kill)
            && let Some(tab) = self.some_tab()
        {
            self.life.lock().counts.kills += 1;
            self.life.tell(|| format!("tab {tab} is killed"));
            self.life.world.kill(tab);
        }
    }

    fn power_cut(&mut self) {
        if self.chance(self.character.kill) {
            self.life.lock().counts.kills += self.tabs.len() as u64;
            for (tab, _) in self.tabs.drain(..) {
                self.life.world.kill(tab);
            }
        }
    }

    fn freeze(&mut self) {
        if let Some(tab) = self.some_tab() {
            let mut state = self.life.lock();
            state.counts.freezes += 1;
            let time = match state.rng.unit() {
                chance if chance < 0.5 => state.rng.wait(20 * SECOND),
                chance if chance < 0.9 => state.rng.wait(20 * MINUTE),
                _ => state.rng.wait(12 * HOUR),
            };
            drop(state);
            self.life
                .tell(|| format!("tab {tab} freezes for {time} ms"));
            let world = self.life.world.clone();
            world.freeze(tab, true);
            let thawing = world.clone();
            world.after(time, move || thawing.freeze(tab, false));
        }
    }

    fn sleep(&mut self) {
        let time = {
            let mut state = self.life.lock();
            state.counts.sleeps += 1;
            match state.rng.unit() {
                chance if chance < 0.3 => state.rng.wait(MINUTE),
                chance if chance < 0.96 => state.rng.between(HOUR / 2, 10 * HOUR),
                chance if chance < 0.998 => state.rng.between(DAY, 6 * DAY),
                _ => 8 * DAY,
            }
        };
        self.life
            .tell(|| format!("the device sleeps for {time} ms"));
        self.life.world.sleep_device(time);
        // Some platforms say that they slept, some do not.
        if self.chance(0.7) {
            self.device
                .signal(None, &chatsdk_client::platform::Signal::Resumed);
        }
    }

    fn outage(&mut self) {
        let now = self.life.world.now();
        let mut state = self.life.lock();
        state.counts.outages += 1;
        let time = match state.rng.unit() {
            chance if chance < 0.7 => state.rng.wait(2 * MINUTE),
            _ => state.rng.wait(2 * HOUR),
        };
        let noticed = state.rng.chance(0.6);
        self.life.tell(|| format!("offline for {time} ms"));
        state.weather.offline_until = now + time;
        state.weather.knows = noticed;
        drop(state);
        if noticed {
            self.device
                .signal(None, &chatsdk_client::platform::Signal::Online(false));
            let device = self.device.clone();
            self.life.world.after(time, move || {
                device.signal(None, &chatsdk_client::platform::Signal::Online(true));
            });
        }
    }

    fn storage_fault(&mut self) {
        if !self.character.storage_trouble || self.life.storage.fault() != Fault::None {
            return;
        }
        let mut state = self.life.lock();
        state.counts.storage_faults += 1;
        let all = [
            Fault::Reads,
            Fault::Writes,
            Fault::Full,
            Fault::Both,
            Fault::Hangs,
            Fault::Slow,
            Fault::Late,
        ];
        // What has no locks has a storage that takes no time. What writes after it was given up, and after the lock was let
        // go of, is at most one's own: nobody can tell what two of them come to.
        let possible = match (self.character.locks, self.character.most_tabs) {
            (false, _) => 4,
            (true, 1) => 7,
            (true, _) => 6,
        };
        let fault = state.rng.pick(&all[..possible]);
        let time = match state.rng.unit() {
            chance if chance < 0.7 => state.rng.wait(10 * SECOND),
            chance if chance < 0.95 => state.rng.wait(5 * MINUTE),
            _ => state.rng.wait(3 * HOUR),
        };
        drop(state);
        self.life
            .tell(|| format!("storage: {fault:?} for {time} ms"));
        self.life.storage.set_fault(fault);
        let storage = self.life.storage.clone();
        self.life
            .world
            .after(time, move || storage.set_fault(Fault::None));
    }

    fn jump(&mut self) {
        let mut state = self.life.lock();
        state.counts.jumps += 1;
        let by = match state.rng.unit() {
            chance if chance < 0.7 => state.rng.between(-MINUTE, MINUTE),
            _ => state.rng.between(-3 * HOUR, 3 * HOUR),
        };
        drop(state);
        self.life
            .tell(|| format!("the wall clock jumps by {by} ms"));
        self.device.shift_wall(by);
    }

    fn log_out(&mut self) {
        Tab::log_out(&self.life, &self.device, self.traits());
    }

    fn revoke(&mut self) {
        let mut state = self.life.lock();
        if let Some(session) = state.current.clone()
            && !state.revoked.contains_key(&session)
        {
            state.counts.revocations += 1;
            state.server.revoke(&session);
            state.revoked.insert(session, Revoked::ByOperator);
        }
    }

    fn steal(&mut self) {
        if !self.character.thieves {
            return;
        }
        let Some(text) = self.life.storage.text() else {
            return;
        };
        let Ok(record) = serde_json::from_str::<serde_json::Value>(&text) else {
            return;
        };
        let Some(token) = record["refreshToken"].as_str() else {
            return;
        };
        let mut state = self.life.lock();
        let Some(stolen) = state.server.read(token) else {
            return;
        };
        if state.thefts.contains_key(&stolen.sid) {
            return;
        }
        let all = [
            Habit::Careless,
            Habit::Careless,
            Habit::LockStep,
            Habit::Lurking,
        ];
        let habit = state.rng.pick(&all);
        let used = state.used.get(&stolen.sid).copied().unwrap_or(0);
        let theft = Theft::new(habit, token.to_owned(), stolen.n, used < stolen.n);
        state.thefts.insert(stolen.sid.clone(), theft);
        let wait = state.rng.wait(HOUR);
        drop(state);
        crate::network::thief_presents_later(&self.life, &stolen.sid, wait);
    }
}

/// Whether a code speaks about the access token alone.
pub(crate) fn about_the_access_token(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::TokenExpired | ErrorCode::TokenRevoked | ErrorCode::TokenInvalid
    )
}
