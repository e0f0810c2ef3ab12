//! One publisher, many subscribers.

use std::time::{Duration, Instant};

use super::client::Wants;
use super::server::{Floors, Meter, Server, settle};
use super::source::Source;
use super::swarm::Swarm;
use super::{AT_ONCE, RealtimeError, What};
use crate::load::histogram::Histogram;
use crate::stats::{Sample, median};

/// How many messages a burst has.
pub const BURST: usize = 16;
/// How often server and floor take turns within a run.
const TURNS: usize = 10;
const WARM_UP: Duration = Duration::from_millis(20);

/// What is asked of a server and of the floor.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many subscribers.
    pub clients: usize,
    /// How long each kind of work counts.
    pub window: Duration,
    /// The generator has a core of its own, and does not sleep ([`Swarm::stay_awake`]).
    pub awake: bool,
}

/// What a message looks like on the wire, in its frame: what the floor is to send.
pub fn frame(server: &Server) -> Result<Vec<u8>, RealtimeError> {
    let mut swarm = server.swarm()?;
    swarm.open(server.first_frames(1, Wants::News), 1)?;
    swarm.attach(server.publisher(false)?)?;
    let before = swarm.heard().bytes;
    swarm.publish(1, Instant::now())?;
    swarm.hear_all()?;
    let length = (swarm.heard().bytes - before) as usize;
    Ok(swarm.last_read(length).to_vec())
}

/// What was measured of a server, and of the floor beside it. The ratio is the median of those of the turns: a moment in
/// which the machine stood still is a turn's alone.
pub type Beside = (What, Sample, Sample);

/// Everything that is measured of the subscribers of `server`, once, with messages that look like `frame`.
///
/// The loop of `send()` takes turns with it, over the same sockets to the same readers, so that neither the place of a
/// socket in memory nor the machine's mood makes a difference between them. Where the system does not lend
/// sockets, the loop has its own and its turn comes before.
pub fn measure(
    floors: &Floors,
    server: &Server,
    frame: &[u8],
    load: Load,
) -> Result<Vec<Beside>, RealtimeError> {
    let mut swarm = server.swarm()?;
    swarm.open(server.first_frames(load.clients, Wants::News), AT_ONCE)?;
    swarm.attach(server.publisher(false)?)?;
    let own = Side::of(server.pid());
    let sides = match floors.borrowers(&swarm, server, frame)? {
        Some(orders) => {
            let floor = Side {
                source: Some(Source::Orders(orders)),
                pid: floors.sends_pid(),
            };
            vec![own, floor]
        }
        None => vec![own],
    };
    settle(server.pid())?;
    let mut found = all(&mut swarm, sides, load)?;
    drop(swarm);
    settle(server.pid())?;
    if found.len() == 1 {
        settle(floors.sends_pid())?;
        let (mut swarm, orders) = floors.receivers(load.clients, frame.len())?;
        swarm.attach(Source::Orders(orders))?;
        found.extend(all(&mut swarm, vec![Side::of(floors.sends_pid())], load)?);
        drop(swarm);
    }
    settle(floors.sends_pid())?;
    let [server, floor] = &found[..] else {
        unreachable!("one server and one floor")
    };
    let pairs = server.iter().zip(floor);
    Ok(pairs
        .map(|((what, own), (_, floor))| {
            let ratios = own.rates.iter().zip(&floor.rates);
            let sample = Sample {
                of_floor: median(ratios.map(|(own, floor)| own / floor)),
                ..own.sample()
            };
            (*what, sample, floor.sample())
        })
        .collect())
}

/// Who sends to the subscribers.
#[derive(Debug)]
struct Side {
    /// Where its messages come from, while it is not its turn.
    source: Option<Source>,
    pid: u32,
}

impl Side {
    /// The one whose turn it is.
    fn of(pid: u32) -> Self {
        Self { source: None, pid }
    }
}

/// What one side has done in its turns.
#[derive(Debug, Default)]
struct Tally {
    /// Messages a second, turn by turn.
    rates: Vec<f64>,
    messages: u64,
    time: Duration,
    latencies: Histogram,
    cpu: [f64; 2],
}

impl Tally {
    fn sample(&self) -> Sample {
        super::sample(self.messages as f64, self.time, &self.latencies, self.cpu)
    }
}

/// All works of all sides.
fn all(
    swarm: &mut Swarm,
    mut sides: Vec<Side>,
    load: Load,
) -> Result<Vec<Vec<(What, Tally)>>, RealtimeError> {
    if load.awake {
        swarm.stay_awake();
    }
    let single = take_turns(swarm, &mut sides, load, |swarm, _, turn| {
        closed(swarm, 1, turn)
    })?;
    let burst = take_turns(swarm, &mut sides, load, |swarm, _, turn| {
        closed(swarm, BURST, turn)
    })?;
    let rate = |side: usize| single[side].sample().rate / 2.0 / load.clients as f64;
    let half = take_turns(swarm, &mut sides, load, |swarm, side, turn| {
        paced(swarm, rate(side), turn)
    })?;
    swarm.check()?;
    let works = single.into_iter().zip(burst).zip(half);
    let works = works.map(|((single, burst), half)| {
        vec![
            (What::Single, single),
            (What::Burst, burst),
            (What::HalfLoad, half),
        ]
    });
    Ok(works.collect())
}

/// Has each of `sides` do `work`, which takes its number and for how long, in turn.
fn take_turns(
    swarm: &mut Swarm,
    sides: &mut [Side],
    load: Load,
    work: impl Fn(&mut Swarm, usize, Duration) -> Result<Duration, RealtimeError>,
) -> Result<Vec<Tally>, RealtimeError> {
    let mut tallies: Vec<Tally> = sides.iter().map(|_| Tally::default()).collect();
    for turn in 0..TURNS {
        for step in 0..sides.len() {
            // There and back, so that nobody always comes after the same.
            let number = if turn % 2 == 0 {
                step
            } else {
                sides.len() - 1 - step
            };
            let (side, tally) = (&mut sides[number], &mut tallies[number]);
            let others = side.source.take().and_then(|own| swarm.swap_source(own));
            // What the other has left in the caches is not this one's.
            work(swarm, number, WARM_UP)?;
            watched(swarm, side.pid, tally, |swarm| {
                work(swarm, number, load.window / TURNS as u32)
            })?;
            if let Some(others) = others {
                side.source = swarm.swap_source(others);
            }
        }
    }
    Ok(tallies)
}

/// `burst` messages, and as soon as everybody has heard them, the next.
fn closed(swarm: &mut Swarm, burst: usize, window: Duration) -> Result<Duration, RealtimeError> {
    let begin = Instant::now();
    while begin.elapsed() < window {
        swarm.publish(burst, Instant::now())?;
        swarm.hear_all()?;
    }
    Ok(begin.elapsed())
}

/// `rate` messages a second, whether or not the last was heard.
fn paced(swarm: &mut Swarm, rate: f64, window: Duration) -> Result<Duration, RealtimeError> {
    let begin = Instant::now();
    let count = (rate * window.as_secs_f64()).ceil().max(2.0) as u32;
    for number in 0..count {
        // Latencies count from here: a generator that is late must not hide it.
        let due = begin + Duration::from_secs_f64(f64::from(number) / rate);
        swarm.hear_until(due)?;
        swarm.publish(1, due)?;
    }
    swarm.hear_all()?;
    Ok(begin.elapsed())
}

fn watched(
    swarm: &mut Swarm,
    pid: u32,
    tally: &mut Tally,
    run: impl FnOnce(&mut Swarm) -> Result<Duration, RealtimeError>,
) -> Result<(), RealtimeError> {
    swarm.take_latencies();
    let before = swarm.heard().messages;
    let meter = Meter::start(pid)?;
    let time = run(swarm)?;
    let [server, own] = meter.read()?;
    tally.cpu[0] += server;
    tally.cpu[1] += own;
    let messages = swarm.heard().messages - before;
    tally.rates.push(messages as f64 / time.as_secs_f64());
    tally.messages += messages;
    tally.time += time;
    tally.latencies.merge(&swarm.take_latencies());
    Ok(())
}
