//! `subscribe`: the client wants to listen to a topic.
//!
//! 1. The channel is reserved and the authority asked.
//! 2. The subscription takes its slot in the topic and learns where the topic stands, both in one step;
//!    events from then on are kept for it.
//! 3. The reply goes out, with what was missed.
//! 4. What was kept follows, then the join is announced.

use std::sync::Arc;

use chatsdk_protocol::command::{SubscribeRequest as Request, flag};
use chatsdk_protocol::filter::Filter;
use chatsdk_protocol::fossil::{self, Delta};
use chatsdk_protocol::reply::SubscribeResult;
use chatsdk_protocol::{ClientInfo, DisconnectCode, Encoding, ErrorCode, Publication, ReplyBody};

use crate::authority::{Authority, Denial, Grant, Identity, RecoverRequest, SubscribeRequest};
use crate::broker::publication::Position;
use crate::commands::{MAX_REPLY, Session, checked, fitting, terms_of};
use crate::connection::Connection;
use crate::stats::Stats;
use crate::subscriptions::{Reservation, Taken};
use crate::topics::options::{History, Recovery, TopicOptions};
use crate::topics::subscription::{Subscription, Terms};
use crate::topics::topic::{Past, Wish};

/// A subscription to be.
pub(super) struct Wanted<'a> {
    pub(super) reservation: Reservation,
    pub(super) channel: &'a str,
    pub(super) grant: &'a Grant,
    /// What the client asked for; where it did not ask for a subscription, where it was.
    pub(super) request: &'a Request<'a>,
    pub(super) server_side: bool,
}

impl<A: Authority> Session<A> {
    pub(super) async fn subscribe(
        &mut self,
        identity: &Identity,
        request: &Request<'_>,
    ) -> Result<ReplyBody, Denial> {
        let channel = checked(&request.channel)?;
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        let limit = self.engine.shared().config.max_channels;
        let reservation = match self.connection.subscriptions.reserve(channel, limit) {
            Ok(reservation) => reservation,
            Err(Taken::Already) => return Err(ErrorCode::AlreadySubscribed.into()),
            Err(Taken::Limit) => return Err(ErrorCode::LimitExceeded.into()),
            Err(Taken::Closed) => return Err(DisconnectCode::ConnectionClosed.into()),
        };
        let answer = self
            .engine
            .authority()
            .subscribe(SubscribeRequest {
                caller: self.caller(identity),
                channel,
                token: &request.token,
                data: request.data,
            })
            .await;
        let mut room = MAX_REPLY;
        let joined = match answer {
            Ok(grant) => {
                let wanted = Wanted {
                    reservation,
                    channel,
                    grant: &grant,
                    request,
                    server_side: false,
                };
                self.join(identity, wanted, &mut room).await
            }
            Err(denial) => Err(denial),
        };
        match joined {
            Ok(result) => Ok(result.into()),
            Err(denial) => {
                self.connection.subscriptions.cancel(reservation);
                Err(denial)
            }
        }
    }

    /// Makes the subscription that was reserved. It begins when the replies so far are out. `room` is how
    /// many bytes of publications the reply can still hold.
    pub(super) async fn join(
        &mut self,
        identity: &Identity,
        wanted: Wanted<'_>,
        room: &mut usize,
    ) -> Result<SubscribeResult, Denial> {
        let Wanted {
            reservation,
            channel,
            grant,
            request,
            server_side,
        } = wanted;
        let (expires, ttl) = terms_of(grant.expires_at, self.engine.shared().clock.now())?;
        let (subscription, mut past) = enter(
            &self.connection,
            &identity.app,
            channel,
            grant,
            request,
            server_side,
        )?;
        let recovering = request.recover && subscription.terms.recoverable;
        if subscription.terms.positioned && grant.options.history == History::Host {
            let asked = self
                .ask_host(
                    identity,
                    &grant.options,
                    channel,
                    recovering.then_some(request),
                )
                .await;
            match asked {
                Ok(answer) => past = answer,
                Err(denial) => {
                    self.connection.leave(&subscription);
                    return Err(denial);
                }
            }
            if let Some(top) = &past.top {
                subscription.resume(top);
            }
        }
        if recovering && past.recovered {
            let encoding = self.connection.shape().encoding();
            let missed = past.missed.iter().map(|missed| &**missed);
            let (fit, bytes) = fitting(missed, encoding, subscription.terms.delta, *room);
            if fit == past.missed.len() {
                *room = room.saturating_sub(bytes);
            } else {
                past.recovered = false;
                past.missed = Vec::new();
            }
        }
        if recovering && !past.recovered && request.flag & flag::STRICT_RECOVERY != 0 {
            self.connection.leave(&subscription);
            return Err(ErrorCode::UnrecoverablePosition.into());
        }
        if !self
            .connection
            .subscriptions
            .fulfil(reservation, &subscription)
        {
            // Whoever took the reservation away did not want the client to have the channel.
            self.connection.leave(&subscription);
            return Err(ErrorCode::PermissionDenied.into());
        }
        self.connection.watch_subscriptions();
        let mut result = result(&subscription, past, request, recovering);
        self.leave_out_what_is_not_json(&mut result.publications);
        subscription.filter(&mut result.publications);
        let base = result.publications.last().map_or(0, |last| last.offset);
        if subscription.terms.delta {
            let encoding = self.connection.shape().encoding();
            result.publications = differences(&result.publications, &grant.options, encoding);
        }
        result.expires = expires;
        result.ttl = ttl;
        result.data = grant.data.clone();
        self.joining.push((subscription, base));
        Ok(result)
    }

    /// What the host says of the past; of `since` on, if the client wants to go on there.
    async fn ask_host(
        &self,
        identity: &Identity,
        options: &TopicOptions,
        channel: &str,
        since: Option<&Request<'_>>,
    ) -> Result<Past, Denial> {
        let most = self.engine.shared().config.max_publications;
        let cache = options.recovery == Recovery::Cache;
        let question = RecoverRequest {
            app: &identity.app,
            channel,
            since: since
                .filter(|_| !cache)
                .map(|request| (request.offset, &*request.epoch)),
            limit: match since {
                None => 0,
                Some(_) if cache => 1,
                // One more than can be sent shows that there is more.
                Some(_) => most + 1,
            },
            reverse: cache,
        };
        let answer = self.engine.authority().recover(question).await?;
        let mut past = Past::default();
        if let Some(request) = since {
            let up_to_date =
                request.offset == answer.top.offset && *request.epoch == *answer.top.epoch;
            let newest = answer.publications.last().map(|newest| newest.offset);
            past.recovered = if cache {
                up_to_date || newest == Some(answer.top.offset)
            } else {
                answer.complete && answer.publications.len() <= most
            };
            if past.recovered && !(cache && up_to_date) {
                past.missed = answer.publications.into_iter().map(Arc::new).collect();
            }
        }
        // Events that came since are kept, and go on from the last one that the reply holds.
        past.top = Some(past.missed.last().filter(|_| !cache).map_or_else(
            || answer.top.clone(),
            |last| Position {
                offset: last.offset.max(answer.top.offset),
                epoch: Arc::clone(&answer.top.epoch),
            },
        ));
        Ok(past)
    }
}

/// Takes a slot in the topic on the terms that the topic, the grant and the client agree on.
pub(crate) fn enter(
    connection: &Arc<Connection>,
    app: &str,
    channel: &str,
    grant: &Grant,
    request: &Request<'_>,
    server_side: bool,
) -> Result<(Arc<Subscription>, Past), Denial> {
    let options = &grant.options;
    let shared = &connection.shared;
    let Some(info) = connection.info() else {
        return Err(DisconnectCode::BadRequest.into());
    };
    let info = if grant.info.is_empty() {
        Arc::clone(info)
    } else {
        Arc::new(ClientInfo {
            chan_info: grant.info.clone(),
            ..(**info).clone()
        })
    };
    let filter = match &request.filter {
        None => None,
        Some(_) if !options.tags_filter => return Err(ErrorCode::BadRequest.into()),
        Some(filter) => Some(Filter::new(filter).map_err(|_| Denial::from(ErrorCode::BadRequest))?),
    };
    let wants = |asked: bool, forced: bool, may: bool| forced || (asked && may);
    let history = options.has_history();
    let recoverable = history
        && wants(
            request.recoverable || request.recover,
            options.force_recovery,
            grant.may_recover,
        );
    let positioned = recoverable
        || (history
            && wants(
                request.positioned,
                options.force_positioning,
                grant.may_recover,
            ));
    let terms = Terms {
        positioned,
        recoverable,
        join_leave: options.join_leave
            && wants(
                request.join_leave,
                options.force_push_join_leave,
                grant.may_hear_joins,
            ),
        delta: options.delta && positioned && filter.is_none() && request.delta == fossil::NAME,
        // Not in Protobuf: there the stock JavaScript client decodes numbers of 64 bits as objects, and
        // does not find the channel of a push by them.
        compact: shared.config.compaction
            && connection.shape().is_json()
            && !server_side
            && request.flag & flag::COMPACTION != 0,
        server_side,
    };
    let wish = Wish {
        positioned,
        since: (request.recover && recoverable).then_some((request.offset, &*request.epoch)),
        limit: shared.config.max_publications,
    };
    Stats::add(&shared.stats.subscriptions, 1);
    Ok(shared.topics.open(app, channel, |topic, inner| {
        let subscription = Subscription::new(
            Arc::clone(topic),
            Arc::clone(connection),
            Arc::clone(&info),
            Arc::clone(options),
            terms,
            filter.clone(),
            grant.expires_at,
        );
        let past = topic.join(inner, shared, &subscription, wish);
        (subscription, past)
    }))
}

/// The terms as the client is told.
fn result(
    subscription: &Subscription,
    past: Past,
    request: &Request<'_>,
    recovering: bool,
) -> SubscribeResult {
    let terms = subscription.terms;
    let mut result = SubscribeResult {
        recoverable: terms.recoverable,
        positioned: terms.positioned,
        delta: terms.delta,
        id: if terms.compact {
            subscription.topic.id as i64
        } else {
            0
        },
        ..SubscribeResult::default()
    };
    if let Some(Position { offset, epoch }) = past.top {
        result.offset = offset;
        result.epoch = Some(epoch);
    }
    if recovering {
        result.was_recovering = true;
        result.recovered = past.recovered;
        if past.recovered && subscription.options.recovery == Recovery::Stream {
            // The client advances as it takes the publications.
            result.offset = request.offset;
        }
        let missed = past.missed.iter();
        result.publications = missed.map(|it| Publication::clone(it)).collect();
    }
    result
}

/// `publications` as a client expects them that was promised differences: the first in full, the others
/// as what changed.
fn differences(
    publications: &[Publication],
    options: &TopicOptions,
    encoding: Encoding,
) -> Vec<Publication> {
    let mut before: Option<&Publication> = None;
    publications
        .iter()
        .filter_map(|publication| {
            let base = before
                .replace(publication)
                .filter(|before| options.delta_publish && before.offset + 1 == publication.offset)
                .map(|before| &before.data);
            Delta::new(base, publication).publication(encoding).ok()
        })
        .collect()
}
