//! Connections on which nothing happens but pings.

use std::time::{Duration, Instant};

use super::client::Wants;
use super::server::{Floors, Meter, Server, settle};
use super::{AT_ONCE, RealtimeError};
use crate::process;

/// How often servers ping, unless told otherwise: in this time every client is pinged once.
pub const INTERVAL: Duration = Duration::from_secs(25);
/// How many bytes a ping is, in its frame.
const PING: usize = 4;
/// How often the floor is told to send pings; each time to the next few sockets.
const STEP: Duration = Duration::from_millis(250);

/// What idle connections cost.
#[derive(Debug, Clone, Copy)]
pub struct Idle {
    /// How many there were.
    pub clients: usize,
    /// Resident memory before the first, in MiB.
    pub before: f64,
    /// Resident memory that each added, in bytes.
    pub bytes: f64,
    /// Share of a core that the server used while pings went to and fro, in percent, where that was
    /// looked at.
    pub cpu: Option<f64>,
    /// How many pings each client heard meanwhile.
    pub pings: Option<f64>,
}

/// Opens `clients` connections to a server that has had none, and watches it for one ping each if
/// `pings` says so.
pub fn server(server: &Server, clients: usize, pings: bool) -> Result<Idle, RealtimeError> {
    settle(server.pid())?;
    let resident = || Ok::<_, RealtimeError>(process::memory(server.pid())?.resident as f64);
    let before = resident()?;
    let mut swarm = server.swarm()?;
    swarm.open(server.first_frames(clients, Wants::News), AT_ONCE)?;
    // What the handshakes needed is given back by now.
    swarm.hear_until(Instant::now() + Duration::from_secs(2))?;
    let bytes = (resident()? - before) * 1024.0 / clients as f64;
    let mut idle = Idle {
        clients,
        before: before / 1024.0,
        bytes,
        cpu: None,
        pings: None,
    };
    if pings {
        let heard = swarm.heard().pings;
        let meter = Meter::start(server.pid())?;
        swarm.hear_until(Instant::now() + INTERVAL)?;
        let [used, _] = meter.read()?;
        idle.cpu = Some(percent(used));
        idle.pings = Some((swarm.heard().pings - heard) as f64 / clients as f64);
    }
    Ok(idle)
}

/// The share of a core, in percent, that sending one ping to each of `clients` sockets takes.
pub fn floor(floors: &Floors, clients: usize) -> Result<f64, RealtimeError> {
    let (mut swarm, mut orders) = floors.receivers(clients, PING)?;
    let steps = (INTERVAL.as_millis() / STEP.as_millis()) as usize;
    let begin = Instant::now();
    let meter = Meter::start(floors.sends_pid())?;
    for step in 0..steps {
        orders.some(clients * (step + 1) / steps - clients * step / steps)?;
        swarm.hear_until(begin + STEP * (step as u32 + 1))?;
    }
    let [used, _] = meter.read()?;
    let heard = swarm.heard().messages as usize;
    drop((swarm, orders));
    settle(floors.sends_pid())?;
    if heard == clients {
        Ok(percent(used))
    } else {
        Err(RealtimeError::Pings {
            got: heard,
            wanted: clients,
        })
    }
}

fn percent(micros: f64) -> f64 {
    micros / INTERVAL.as_micros() as f64 * 100.0
}
