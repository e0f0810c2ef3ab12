//! The course of a life: what happens to a device, its tabs and its people, one thing after the other, drawn by chance.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use chatsdk_client::TokenState;
use chatsdk_types::Millis;

use crate::counts::Counts;
use crate::device::{Device, Fault, Traits};
use crate::life::{DAY, HOUR, Life, MINUTE, Revoked, SECOND, START, State};
use crate::network::{Weather, Wire};
use crate::population::{Sabotage, Scheme};
use crate::rng::Rng;
use crate::server::Server;
use crate::tab::{Manager, Tab};
use crate::theft::{Habit, Theft, Verdict};
use crate::world::{ProcId, World};

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
