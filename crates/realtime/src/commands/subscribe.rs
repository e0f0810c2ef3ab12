//! `subscribe`: the client wants to listen to a topic.
//!
//! 1. The channel is reserved and the authority asked.
//! 2. The subscription takes its slot in the topic; events from then on are kept for it. Then it learns where
//!    the topic stands, and of those that were kept the later ones count.
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
use crate::broker::{BrokerError, Kept};
use crate::commands::{MAX_REPLY, Session, checked, fitting, terms_of};
use crate::connection::Connection;
use crate::engine::Shared;
use crate::stats::Stats;
use crate::subscriptions::{Reservation, Taken};
use crate::topics::options::{History, Recovery, TopicOptions};
use crate::topics::past::Past;
use crate::topics::subscription::{Subscription, Terms};

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
        let subscription = enter(
            &self.connection,
            &identity.app,
            channel,
            grant,
            request,
            server_side,
        )?;
        let entered = Entered::new(&self.connection, subscription);
        let subscription = &entered.subscription;
        let recovering = request.recover && subscription.terms.recoverable;
        let since = recovering.then_some((request.offset, &*request.epoch));
        let mut past = self.past(subscription, since).await?;
        if let Some(top) = &past.top {
            subscription.resume(top);
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
            return Err(ErrorCode::UnrecoverablePosition.into());
        }
        let Some(subscription) = entered.fulfil(reservation) else {
            // Whoever took the reservation away did not want the client to have the channel.
            return Err(ErrorCode::PermissionDenied.into());
        };
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

    /// What `subscription`, for which events are being kept, is told of the past; of what came after `since`, if
    /// the client wants to go on there.
    async fn past(
        &self,
        subscription: &Subscription,
        since: Option<(u64, &str)>,
    ) -> Result<Past, Denial> {
        let shared = self.engine.shared();
        arrive(shared, subscription).await?;
        if !subscription.terms.positioned {
            return Ok(Past::default());
        }
        let most = shared.config.max_publications;
        let recovery = subscription.options.recovery;
        let range = Past::range(since, recovery, most);
        let topic = subscription.topic.name();
        let kept = match subscription.options.history {
            History::None => return Ok(Past::default()),
            History::Memory(keep) => shared.broker.history(topic, keep, range).await?,
            History::Host => {
                let question = RecoverRequest {
                    app: topic.app,
                    channel: topic.channel,
                    since: range.since,
                    limit: range.limit.unwrap_or(0),
                    reverse: range.reverse,
                };
                let answer = self.engine.authority().recover(question).await?;
                let publications = answer.publications.into_iter().map(Arc::new).collect();
                Kept {
                    top: answer.top,
                    publications: (answer.complete || range.reverse).then_some(publications),
                }
            }
        };
        Ok(Past::new(since, recovery, most, kept))
    }
}

/// A slot in a topic that the connection does not have in its list yet. It is left when this is dropped, be it
/// because the authority has panicked.
struct Entered {
    connection: Arc<Connection>,
    subscription: Arc<Subscription>,
    listed: bool,
}

impl Entered {
    fn new(connection: &Arc<Connection>, subscription: Arc<Subscription>) -> Self {
        Self {
            connection: Arc::clone(connection),
            subscription,
            listed: false,
        }
    }

    /// Puts the subscription where its channel was reserved; `None`: the reservation was taken away.
    fn fulfil(mut self, reservation: Reservation) -> Option<Arc<Subscription>> {
        let subscriptions = &self.connection.subscriptions;
        self.listed = subscriptions.fulfil(reservation, &self.subscription);
        self.listed.then(|| Arc::clone(&self.subscription))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if !self.listed {
            self.connection.leave(&self.subscription);
        }
    }
}

/// Makes sure that what is said in the topic comes to this node, and that other nodes know who is there.
pub(crate) async fn arrive(
    shared: &Shared,
    subscription: &Subscription,
) -> Result<(), BrokerError> {
    if !shared.broker.is_shared() {
        return Ok(());
    }
    let topic = &subscription.topic;
    shared.link(topic).await?;
    if subscription.options.presence {
        let info = Arc::clone(&subscription.info);
        shared.broker.enter(topic.name(), info).await?;
    }
    Ok(())
}

/// Takes a slot in the topic on the terms that the topic, the grant and the client agree on.
pub(crate) fn enter(
    connection: &Arc<Connection>,
    app: &str,
    channel: &str,
    grant: &Grant,
    request: &Request<'_>,
    server_side: bool,
) -> Result<Arc<Subscription>, Denial> {
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
        topic.join(inner, shared, &subscription);
        subscription
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
