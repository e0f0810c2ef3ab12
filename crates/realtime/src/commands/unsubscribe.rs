//! `unsubscribe`: the client no longer listens.

use chatsdk_protocol::ReplyBody;
use chatsdk_protocol::command::UnsubscribeRequest;

use crate::authority::Authority;
use crate::commands::Session;

impl<A: Authority> Session<A> {
    pub(super) fn unsubscribe(&mut self, request: &UnsubscribeRequest<'_>) -> ReplyBody {
        // To leave a channel that one is not in is no error.
        if let Some(subscription) = self.connection.subscriptions.take(&request.channel) {
            self.connection.leave(&subscription);
        }
        // One whose reply is not out yet does not begin; nor is the client told of its end any more.
        self.joining
            .retain(|(joining, _)| *joining.topic.channel != *request.channel);
        ReplyBody::Unsubscribe
    }
}
