//! `connect`: who is this, and on what terms may they stay.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use chatsdk_protocol::command::{ConnectRequest as Request, SubscribeRequest};
use chatsdk_protocol::reply::{ConnectResult, SubscribeResult};
use chatsdk_protocol::{Disconnect, DisconnectCode, ErrorCode, Frame};
use chatsdk_types::entropy;

use crate::authority::{Admission, Authority, ConnectRequest, Denial, Grant, Identity, Refusal};
use crate::commands::subscribe::Wanted;
use crate::commands::{MAX_REPLY, Next, Session, ttl};
use crate::hub::Unregistered;
use crate::stats::Stats;
use crate::subscriptions::Taken;

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
        let shared = &Arc::clone(self.engine.shared());
        // Before the question, so that an order which comes between answer and registration holds.
        let ticket = shared.hub.ticket();
        let answer = self
            .engine
            .authority()
            .connect(ConnectRequest {
                token: &request.token,
                data: request.data,
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
            info,
            subscriptions,
        } = admission;
        match shared.hub.register(
            &ticket,
            &self.connection,
            identity.clone(),
            info,
            expires_at,
        ) {
            Ok(()) => {}
            Err(Unregistered::Closed) => {
                Stats::add(&shared.stats.connects_refused, 1);
                return Next::Stop;
            }
            Err(Unregistered::Ordered(why)) => {
                shared
                    .stats
                    .connects_refused
                    .fetch_add(1, Ordering::Relaxed);
                return self.close(why, replies);
            }
            Err(Unregistered::TooMany) => {
                shared
                    .stats
                    .connects_refused
                    .fetch_add(1, Ordering::Relaxed);
                return self.close(DisconnectCode::ConnectionLimit, replies);
            }
        }
        drop(ticket);
        shared.stats.connects.fetch_add(1, Ordering::Relaxed);
        shared.stats.connected.fetch_add(1, Ordering::Relaxed);
        let mut subs = BTreeMap::new();
        // One reply holds them all: what does not fit any more is said to be lost, and fetched by the client.
        let mut room = MAX_REPLY;
        for (channel, grant) in subscriptions {
            match self
                .join_from_connect(&identity, &channel, &grant, request, &mut room)
                .await
            {
                Ok(result) => subs.extend(result.map(|result| (channel, result))),
                Err(why) => return self.close(why, replies),
            }
        }
        let config = &shared.config;
        let pings = !config.ping_interval.is_zero();
        let (session, node) = opening.posted_to.unzip();
        let next = self.reply(
            id,
            ConnectResult {
                client: Arc::clone(&self.connection.client),
                version: config.version.as_str().into(),
                expires: ttl.is_some(),
                ttl: ttl.unwrap_or(0),
                data,
                subs,
                // Clients count in seconds; 0 would tell them that there are no pings.
                ping: if pings {
                    config.ping_interval.as_secs().max(1) as u32
                } else {
                    0
                },
                pong: pings,
                session,
                node,
                time: now,
            },
            replies,
        );
        if next == Next::Stop {
            return next;
        }
        // At once, because timers and other tasks may talk to the client from here on.
        self.flush(replies).await;
        let jitter = u32::from_be_bytes(entropy::bytes(&*shared.entropy));
        let interval = config.ping_interval.as_millis() as u64;
        // Spread over the second half of the interval: after a restart all clients come at once, and
        // their pings shall not.
        let first = interval / 2 + u64::from(jitter) * (interval - interval / 2) / (1 << 32);
        self.connection.start_timers(pings.then_some(first));
        Next::Command
    }

    /// Subscribes the client to `channel` without its asking, from where its last connection was; `None`: it is
    /// already, because the host names the channel twice, or has just ordered it.
    async fn join_from_connect(
        &mut self,
        identity: &Identity,
        channel: &str,
        grant: &Grant,
        request: &Request<'_>,
        room: &mut usize,
    ) -> Result<Option<SubscribeResult>, Disconnect> {
        let subscriptions = &self.connection.subscriptions;
        let limit = self.engine.shared().config.max_channels;
        let reservation = match subscriptions.reserve(channel, limit) {
            Ok(reservation) => reservation,
            // An error would be told again at every connect.
            Err(Taken::Already) => return Ok(None),
            Err(Taken::Closed) => return Err(DisconnectCode::InternalError.into()),
            Err(Taken::Limit) => return Err(DisconnectCode::ChannelLimit.into()),
        };
        let nowhere = SubscribeRequest::default();
        let position = request.subs.get(channel).unwrap_or(&nowhere);
        let wanted = Wanted {
            reservation,
            channel,
            grant,
            request: position,
            server_side: true,
        };
        let joined = self.join(identity, wanted, room).await;
        if joined.is_err() {
            self.connection.subscriptions.cancel(reservation);
        }
        joined.map(Some).map_err(|denial| match denial {
            Denial::Close(why) => why,
            Denial::Error(error) => {
                tracing::warn!(
                    channel,
                    ?error,
                    "a server-side subscription came to nothing"
                );
                DisconnectCode::InternalError.into()
            }
        })
    }

    fn refuse(&mut self, id: u32, refusal: Refusal, replies: &mut Frame) -> Next {
        let stats = &self.engine.shared().stats;
        stats.connects_refused.fetch_add(1, Ordering::Relaxed);
        let error = match refusal {
            Refusal::Invalid => return self.close(DisconnectCode::InvalidToken, replies),
            Refusal::Changed => return self.close(DisconnectCode::InsufficientState, replies),
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
