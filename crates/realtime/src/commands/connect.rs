//! `connect`: who is this, and on what terms may they stay.

use std::sync::atomic::Ordering;

use chatsdk_protocol::command::ConnectRequest as Request;
use chatsdk_protocol::reply::ConnectResult;
use chatsdk_protocol::{Disconnect, DisconnectCode, ErrorCode, Frame};
use chatsdk_types::entropy;

use crate::authority::{Admission, Authority, ConnectRequest, Refusal};
use crate::commands::{Next, Session, ttl};
use crate::hub::Unregistered;

impl<A: Authority> Session<A> {
    pub(super) async fn connect(
        &mut self,
        id: u32,
        request: &Request<'_>,
        replies: &mut Frame,
    ) -> Next {
        let Some(opening) = self.opening.take() else {
            return self.close(DisconnectCode::BadRequest, replies);
        };
        if !self.connection.begin_connect() {
            return self.close(DisconnectCode::BadRequest, replies);
        }
        let shared = self.engine.shared();
        // Before the question, so that an order which comes between answer and registration holds.
        let ticket = shared.hub.ticket();
        let answer = self
            .engine
            .authority()
            .connect(ConnectRequest {
                token: &request.token,
                data: request.data.raw_value(),
                name: &request.name,
                version: &request.version,
                headers: &opening.headers,
                emulated_headers: &request.headers,
                remote_addr: opening.remote,
            })
            .await;
        let now = shared.clock.now();
        let (admission, ttl) = match answer {
            Ok(admission) => match admission.expires_at.map(|at| ttl(at, now)) {
                None => (admission, None),
                Some(Some(ttl)) => (admission, Some(ttl)),
                Some(None) => return self.refuse(id, Refusal::Expired, replies),
            },
            Err(refusal) => return self.refuse(id, refusal, replies),
        };
        let Admission {
            identity,
            expires_at,
            data,
        } = admission;
        match shared
            .hub
            .register(&ticket, &self.connection, identity, expires_at)
        {
            Ok(()) => {}
            Err(Unregistered::Closed) => return Next::Stop,
            Err(Unregistered::Ordered(why)) => {
                shared
                    .stats
                    .connects_refused
                    .fetch_add(1, Ordering::Relaxed);
                return self.close(why, replies);
            }
        }
        drop(ticket);
        shared.stats.connects.fetch_add(1, Ordering::Relaxed);
        shared.stats.connected.fetch_add(1, Ordering::Relaxed);
        let (client, jitter) = chance(&*shared.entropy);
        let config = &shared.config;
        let pings = !config.ping_interval.is_zero();
        let next = self.reply(
            id,
            ConnectResult {
                client: client.into(),
                version: config.version.as_str().into(),
                expires: ttl.is_some(),
                ttl: ttl.unwrap_or(0),
                data: data.map(Into::into).unwrap_or_default(),
                // Clients count in seconds; 0 would tell them that there are no pings.
                ping: if pings {
                    config.ping_interval.as_secs().max(1) as u32
                } else {
                    0
                },
                pong: pings,
                time: now,
                ..ConnectResult::default()
            },
            replies,
        );
        if next == Next::Stop {
            return next;
        }
        // At once, because timers and other tasks may talk to the client from here on.
        self.flush(replies);
        let interval = config.ping_interval.as_millis() as u64;
        // Spread over the second half of the interval: after a restart all clients come at once, and
        // their pings shall not.
        let first = interval / 2 + u64::from(jitter) * (interval - interval / 2) / (1 << 32);
        self.connection.start_timers(pings.then_some(first));
        Next::Command
    }

    fn refuse(&self, id: u32, refusal: Refusal, replies: &mut Frame) -> Next {
        let stats = &self.engine.shared().stats;
        stats.connects_refused.fetch_add(1, Ordering::Relaxed);
        let error = match refusal {
            Refusal::Invalid => return self.close(DisconnectCode::InvalidToken, replies),
            Refusal::Missing => return self.close(DisconnectCode::BadRequest, replies),
            Refusal::Revoked(why) => {
                let why = Disconnect::because(DisconnectCode::ForceDisconnect, why);
                return self.close(why, replies);
            }
            Refusal::Expired => ErrorCode::TokenExpired,
            Refusal::Unavailable => ErrorCode::Internal,
        };
        self.reply(id, error, replies);
        self.connection.refuse();
        Next::Stop
    }
}

/// An id for the client (a random UUID), and 32 bits to spread its first ping by.
fn chance(source: &dyn chatsdk_types::Entropy) -> (String, u32) {
    let [a, b, c, d, id @ ..] = entropy::bytes::<20>(source);
    let client = uuid::Builder::from_random_bytes(id).into_uuid().to_string();
    (client, u32::from_be_bytes([a, b, c, d]))
}
