//! `unsubscribe`: the client no longer listens.

use chatsdk_protocol::ReplyBody;
use chatsdk_protocol::command::UnsubscribeRequest;

use crate::authority::Authority;
use crate::commands::Session;

impl<A: Authority> Session<A> {
    pub(super) fn unsubscribe(&mut self, request: &UnsubscribeRequest<'_>) -> ReplyBody {
        // To leave a channel that one is not in is no error.
        if let (_, Some(subscription)) = self.connection.subscriptions.take(&request.channel) {
            self.joining
                .retain(|(joining, _)| !std::sync::Arc::ptr_eq(joining, &subscription));
            self.connection.leave(&subscription);
        }
        ReplyBody::Unsubscribe
    }
}
