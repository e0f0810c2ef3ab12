//! Subscriptions that the server makes while a client is connected.

use std::sync::Arc;

use chatsdk_protocol::command::SubscribeRequest;
use chatsdk_protocol::push::Subscribe;
use chatsdk_protocol::{DisconnectCode, Payload, Push};

use crate::authority::Grant;
use crate::broker::BrokerError;
use crate::broker::memory::stream::Range;
use crate::broker::publication::Position;
use crate::commands::subscribe::{arrive, enter};
use crate::connection::Connection;
use crate::subscriptions::Reservation;
use crate::topics::options::History;
use crate::topics::subscription::Subscription;

/// Subscribes `connection` to `channel`; `false`: it is already, or cannot have any more. Where the broker has
/// to be waited for, it is done a little later.
pub(crate) fn subscribe(
    connection: &Arc<Connection>,
    channel: &str,
    grant: &Grant,
    position: Option<&Position>,
) -> bool {
    let Some(identity) = connection.identity() else {
        return false;
    };
    let limit = connection.shared.config.max_channels;
    let Ok(reservation) = connection.subscriptions.reserve(channel, limit) else {
        return false;
    };
    let nothing = SubscribeRequest::default();
    let Ok(subscription) = enter(connection, &identity.app, channel, grant, &nothing, true) else {
        connection.subscriptions.cancel(reservation);
        return false;
    };
    let data = grant.data.clone();
    let finishing = finish(reservation, subscription, data, position.cloned());
    connection.shared.run(finishing).unwrap_or(true)
}

async fn finish(
    reservation: Reservation,
    subscription: Arc<Subscription>,
    data: Payload,
    position: Option<Position>,
) -> bool {
    let connection = &subscription.connection;
    let top = match top(&subscription, position).await {
        Ok(top) => top,
        Err(error) => {
            tracing::warn!(%error, "a server-side subscription came to nothing");
            connection.subscriptions.cancel(reservation);
            connection.leave(&subscription);
            // The client comes back, and is subscribed at connect if it still is to be.
            connection.close(&DisconnectCode::InternalError.into());
            return false;
        }
    };
    if let Some(top) = &top {
        subscription.resume(top);
    }
    if !connection.subscriptions.fulfil(reservation, &subscription) {
        connection.leave(&subscription);
        return false;
    }
    connection.watch_subscriptions();
    let (epoch, offset) = top.map_or((None, 0), |top| (Some(top.epoch), top.offset));
    let body = Subscribe {
        recoverable: subscription.terms.recoverable,
        epoch,
        offset,
        positioned: subscription.terms.positioned,
        data,
    };
    connection.push(&Push::new(Arc::clone(&subscription.topic.channel), body));
    connection.begin(&subscription, 0);
    true
}

/// Where the topic stands, if that matters; `known` is what the caller knows.
async fn top(
    subscription: &Subscription,
    known: Option<Position>,
) -> Result<Option<Position>, BrokerError> {
    let shared = &subscription.connection.shared;
    arrive(shared, subscription).await?;
    match subscription.options.history {
        _ if !subscription.terms.positioned => Ok(None),
        History::Memory(keep) if known.is_none() => {
            let nothing = Range {
                limit: Some(0),
                ..Range::default()
            };
            let topic = subscription.topic.name();
            let kept = shared.broker.history(topic, keep, nothing).await?;
            Ok(Some(kept.top))
        }
        _ => Ok(known),
    }
}
