//! `presence` and `presence_stats`: who is there, and how many.

use std::sync::Arc;

use chatsdk_protocol::command::ChannelRequest;
use chatsdk_protocol::reply::{PresenceResult, PresenceStatsResult};
use chatsdk_protocol::{ErrorCode, ReplyBody};

use crate::authority::{Authority, Denial, Identity, Inspect, InspectRequest};
use crate::broker::TopicName;
use crate::commands::Session;

impl<A: Authority> Session<A> {
    pub(super) async fn presence(
        &self,
        identity: &Identity,
        request: &ChannelRequest<'_>,
    ) -> Result<ReplyBody, Denial> {
        self.may_see_presence(identity, &request.channel).await?;
        let most = match self.engine.shared().config.max_presence {
            0 => usize::MAX,
            most => most,
        };
        let topic = TopicName {
            app: &identity.app,
            channel: &request.channel,
        };
        let present = self.engine.shared().broker.present(topic, most).await?;
        let present = present.ok_or(ErrorCode::LimitExceeded)?;
        let presence = present
            .iter()
            .map(|info| (Arc::clone(&info.client), (**info).clone()))
            .collect();
        Ok(PresenceResult { presence }.into())
    }

    pub(super) async fn presence_stats(
        &self,
        identity: &Identity,
        request: &ChannelRequest<'_>,
    ) -> Result<ReplyBody, Denial> {
        self.may_see_presence(identity, &request.channel).await?;
        let topic = TopicName {
            app: &identity.app,
            channel: &request.channel,
        };
        let (clients, users) = self.engine.shared().broker.count_present(topic).await?;
        let result = PresenceStatsResult {
            num_clients: clients as u32,
            num_users: users as u32,
        };
        Ok(result.into())
    }

    async fn may_see_presence(&self, identity: &Identity, channel: &str) -> Result<(), Denial> {
        let question = InspectRequest {
            caller: self.caller(identity),
            channel: self.known(channel)?,
            what: Inspect::Presence,
            subscribed: self.connection.subscriptions.has(channel),
        };
        let options = self.engine.authority().inspect(question).await?;
        if options.presence {
            Ok(())
        } else {
            Err(ErrorCode::NotAvailable.into())
        }
    }
}
