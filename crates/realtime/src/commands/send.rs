//! `send`: a message of the application's own, which has no reply.

use chatsdk_protocol::Disconnect;
use chatsdk_protocol::command::SendRequest;

use crate::authority::{Authority, Identity};
use crate::commands::Session;

impl<A: Authority> Session<A> {
    pub(super) async fn message(
        &self,
        identity: &Identity,
        request: &SendRequest<'_>,
    ) -> Result<(), Disconnect> {
        let caller = self.caller(identity);
        self.engine.authority().message(caller, request.data).await
    }
}
