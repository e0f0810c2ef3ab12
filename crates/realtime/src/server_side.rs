//! Subscriptions that the server makes while a client is connected.

use std::sync::Arc;

use chatsdk_protocol::Push;
use chatsdk_protocol::command::SubscribeRequest;
use chatsdk_protocol::push::Subscribe;

use crate::authority::Grant;
use crate::broker::publication::Position;
use crate::commands::subscribe::enter;
use crate::connection::Connection;

/// Subscribes `connection` to `channel`; `false`: it is already, or cannot have any more.
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
    let Ok((subscription, mut past)) =
        enter(connection, &identity.app, channel, grant, &nothing, true)
    else {
        connection.subscriptions.cancel(reservation);
        return false;
    };
    if let Some(position) = position
        && subscription.terms.positioned
    {
        subscription.resume(position);
        past.top = Some(position.clone());
    }
    if !connection.subscriptions.fulfil(reservation, &subscription) {
        connection.leave(&subscription);
        return false;
    }
    connection.watch_subscriptions();
    let (epoch, offset) = past
        .top
        .map_or((None, 0), |top| (Some(top.epoch), top.offset));
    let body = Subscribe {
        recoverable: subscription.terms.recoverable,
        epoch,
        offset,
        positioned: subscription.terms.positioned,
        data: grant.data.clone(),
    };
    connection.push(&Push::new(Arc::clone(&subscription.topic.channel), body));
    connection.begin(&subscription, 0);
    true
}
