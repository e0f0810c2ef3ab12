//! One publisher, many subscribers.

use std::time::{Duration, Instant};

use super::client::Wants;
use super::server::{Floors, Meter, Server, settle};
use super::source::Source;
use super::swarm::Swarm;
use super::{AT_ONCE, RealtimeError, What};
use crate::stats::Sample;

/// How many messages a burst has.
pub const BURST: usize = 16;
const WARM_UP: Duration = Duration::from_millis(300);

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

/// How many bytes a message has on the wire, in its frame: what the floor is to send.
pub fn frame_bytes(server: &Server) -> Result<usize, RealtimeError> {
    let mut swarm = server.swarm()?;
    swarm.open(server.first_frames(1, Wants::News), 1)?;
    swarm.attach(server.publisher(false)?)?;
    let before = swarm.heard().bytes;
    swarm.publish(1, Instant::now())?;
    swarm.hear_all()?;
    Ok((swarm.heard().bytes - before) as usize)
}

/// Everything that is measured of the subscribers of `server`, once.
pub fn server(server: &Server, load: Load) -> Result<Vec<(What, Sample)>, RealtimeError> {
    let mut swarm = server.swarm()?;
    swarm.open(server.first_frames(load.clients, Wants::News), AT_ONCE)?;
    swarm.attach(server.publisher(false)?)?;
    settle(server.pid())?;
    let samples = all(&mut swarm, server.pid(), load)?;
    drop(swarm);
    settle(server.pid())?;
    Ok(samples)
}

/// The same of the loop of `send()`, with messages of `bytes` bytes.
pub fn floor(
    floors: &Floors,
    bytes: usize,
    load: Load,
) -> Result<Vec<(What, Sample)>, RealtimeError> {
    let (mut swarm, orders) = floors.receivers(load.clients, bytes)?;
    swarm.attach(Source::Orders(orders))?;
    let samples = all(&mut swarm, floors.sends_pid(), load)?;
    drop(swarm);
    settle(floors.sends_pid())?;
    Ok(samples)
}

fn all(swarm: &mut Swarm, pid: u32, load: Load) -> Result<Vec<(What, Sample)>, RealtimeError> {
    let Load {
        clients,
        window,
        awake,
    } = load;
    if awake {
        swarm.stay_awake();
    }
    let single = closed(swarm, pid, 1, window)?;
    let burst = closed(swarm, pid, BURST, window)?;
    let half = paced(swarm, pid, single.rate / 2.0 / clients as f64, window)?;
    swarm.check()?;
    Ok(vec![
        (What::Single, single),
        (What::Burst, burst),
        (What::HalfLoad, half),
    ])
}

/// `burst` messages, and as soon as everybody has heard them, the next.
fn closed(
    swarm: &mut Swarm,
    pid: u32,
    burst: usize,
    window: Duration,
) -> Result<Sample, RealtimeError> {
    let rounds = |swarm: &mut Swarm, window: Duration| {
        let begin = Instant::now();
        while begin.elapsed() < window {
            swarm.publish(burst, Instant::now())?;
            swarm.hear_all()?;
        }
        Ok::<_, RealtimeError>(begin.elapsed())
    };
    rounds(swarm, WARM_UP)?;
    watched(swarm, pid, |swarm| rounds(swarm, window))
}

/// `rate` messages a second, whether or not the last was heard.
fn paced(
    swarm: &mut Swarm,
    pid: u32,
    rate: f64,
    window: Duration,
) -> Result<Sample, RealtimeError> {
    watched(swarm, pid, |swarm| {
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
    })
}

fn watched(
    swarm: &mut Swarm,
    pid: u32,
    run: impl FnOnce(&mut Swarm) -> Result<Duration, RealtimeError>,
) -> Result<Sample, RealtimeError> {
    swarm.take_latencies();
    let before = swarm.heard().messages;
    let meter = Meter::start(pid)?;
    let time = run(swarm)?;
    let [server, own] = meter.read()?;
    let messages = (swarm.heard().messages - before) as f64;
    let latencies = swarm.take_latencies();
    Ok(super::sample(messages, time, &latencies, [server, own]))
}
