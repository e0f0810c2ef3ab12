//! `sub_refresh`: a newer token for a subscription.

use chatsdk_protocol::command::SubRefreshRequest as Request;
use chatsdk_protocol::reply::SubRefreshResult;
use chatsdk_protocol::{DisconnectCode, ErrorCode, ReplyBody};

use crate::authority::{Authority, Denial, Identity, SubRefreshRequest};
use crate::commands::{Session, terms_of};

impl<A: Authority> Session<A> {
    pub(super) async fn sub_refresh(
        &self,
        identity: &Identity,
        request: &Request<'_>,
    ) -> Result<ReplyBody, Denial> {
        let subscriptions = &self.connection.subscriptions;
        let Some(subscription) = subscriptions.get(&request.channel) else {
            return Err(ErrorCode::PermissionDenied.into());
        };
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        if request.token.is_empty() {
            return Err(DisconnectCode::BadRequest.into());
        }
        let question = SubRefreshRequest {
            caller: self.caller(identity),
            channel: &request.channel,
            token: &request.token,
        };
        let expires_at = self.engine.authority().sub_refresh(question).await?;
        let (expires, ttl) = terms_of(expires_at, self.engine.shared().clock.now())?;
        subscription.renew(expires_at);
        self.connection.watch_subscriptions();
        let result = SubRefreshResult {
            expires,
            ttl,
            ..SubRefreshResult::default()
        };
        Ok(result.into())
    }
}
