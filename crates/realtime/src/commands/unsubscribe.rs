//! `unsubscribe`: the client no longer listens.

use chatsdk_protocol::command::UnsubscribeRequest;
use chatsdk_protocol::{ErrorCode, ReplyBody};

use crate::authority::{Authority, Denial};
use crate::commands::Session;
use crate::subscriptions::NotOwn;

impl<A: Authority> Session<A> {
    pub(super) fn unsubscribe(
        &mut self,
        request: &UnsubscribeRequest<'_>,
    ) -> Result<ReplyBody, Denial> {
        match self.connection.subscriptions.take_own(&request.channel) {
            Ok(subscription) => self.connection.leave(&subscription),
            // To leave a channel that one is not in is no error.
            Err(NotOwn::Nobodys) => {}
            // The client could not have it back.
            Err(NotOwn::Servers) => return Err(ErrorCode::PermissionDenied.into()),
        }
        // One whose reply is not out yet does not begin; nor is the client told of its end any more.
        self.joining
            .retain(|(joining, _)| *joining.topic.channel != *request.channel);
        Ok(ReplyBody::Unsubscribe)
    }
}
