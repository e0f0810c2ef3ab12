//! Clients that come, and ten thousand that come back.

use std::time::{Duration, Instant};

use super::client::{Position, Wants};
use super::server::{Floors, Meter, Server, settle};
use super::swarm::Swarm;
use super::{AT_ONCE, RealtimeError, What};
use crate::stats::Sample;

/// How many clients come.
pub const CLIENTS: usize = 5_000;
/// How many messages each client missed.
pub const MISSED: usize = 10;
/// How many connections of a wave are in the making. What does not fit into a listener's queue, which
/// the kernel bounds at 4096 unless told otherwise, waits a second and measures nobody's code.
const WAVE_AT_ONCE: usize = 512;

/// New clients of `server`: handshake, connect with a token, subscriptions.
pub fn new(server: &Server) -> Result<Sample, RealtimeError> {
    let frames = server.first_frames(CLIENTS, Wants::News);
    open(server.swarm()?, server.pid(), frames, AT_ONCE)
}

/// As many handshakes with nothing behind them.
pub fn handshakes(floors: &Floors, what: What, wave: usize) -> Result<Sample, RealtimeError> {
    let (count, at_once) = match what {
        What::Wave => (wave, WAVE_AT_ONCE),
        _ => (CLIENTS, AT_ONCE),
    };
    let frames = vec![Vec::new(); count];
    open(floors.shakers()?, floors.handshake_pid(), frames, at_once)
}

/// `clients` clients that are cut off, miss [`MISSED`] messages, and come back all at once.
pub fn wave(server: &Server, clients: usize) -> Result<Sample, RealtimeError> {
    let mut before = server.swarm()?;
    before.open(server.first_frames(clients, Wants::Kept), AT_ONCE)?;
    let position = position(before.replies()).ok_or(RealtimeError::NoPosition)?;
    drop(before);
    settle(server.pid())?;
    let mut publisher = server.swarm()?;
    publisher.attach(server.publisher(true)?)?;
    publisher.publish(MISSED, Instant::now())?;
    publisher.hear_all()?;
    let frames = server.first_frames(clients, Wants::Missed(&position));
    let wanted = (clients * MISSED) as u64;
    let mut after = server.swarm()?;
    let sample = timed(&mut after, server.pid(), frames, WAVE_AT_ONCE)?;
    let got = after.heard().recovered;
    drop(after);
    settle(server.pid())?;
    if got != wanted {
        return Err(RealtimeError::Recovered { got, wanted });
    }
    Ok(sample)
}

fn open(
    mut swarm: Swarm,
    pid: u32,
    frames: Vec<Vec<u8>>,
    at_once: usize,
) -> Result<Sample, RealtimeError> {
    let sample = timed(&mut swarm, pid, frames, at_once)?;
    drop(swarm);
    settle(pid)?;
    Ok(sample)
}

fn timed(
    swarm: &mut Swarm,
    pid: u32,
    frames: Vec<Vec<u8>>,
    at_once: usize,
) -> Result<Sample, RealtimeError> {
    let count = frames.len() as f64;
    let meter = Meter::start(pid)?;
    let opened = swarm.open(frames, at_once)?;
    let cpu = meter.read()?;
    Ok(super::sample(count, opened.time, &opened.latencies, cpu))
}

/// Where the first client was told to be in the channel with a history, which is its first subscription.
fn position(replies: &[String]) -> Option<Position> {
    let reply = replies.iter().find_map(|line| {
        let reply: serde_json::Value = serde_json::from_str(line).ok()?;
        (reply["id"] == 2).then_some(reply)
    })?;
    let subscription = &reply["subscribe"];
    Some(Position {
        epoch: subscription["epoch"].as_str()?.to_owned(),
        offset: subscription["offset"].as_u64().unwrap_or_default(),
    })
}

/// As long as a wave may take, by the design.
pub const WAVE_LIMIT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_found_in_the_reply_to_the_first_subscription() {
        let replies = [
            r#"{"id":1,"connect":{"client":"a"}}"#,
            r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"ab","offset":7}}"#,
        ]
        .map(str::to_owned);
        let expected = Position {
            epoch: "ab".into(),
            offset: 7,
        };
        assert_eq!(position(&replies), Some(expected));
        let first = [r#"{"id":2,"subscribe":{"recoverable":true,"epoch":"ab"}}"#.to_owned()];
        assert_eq!(position(&first).unwrap().offset, 0, "zeros are left out");
        assert_eq!(position(&[]), None);
    }
}
