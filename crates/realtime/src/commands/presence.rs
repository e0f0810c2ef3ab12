//! `presence` and `presence_stats`: who is there, and how many.

use std::sync::Arc;

use chatsdk_protocol::command::ChannelRequest;
use chatsdk_protocol::reply::{PresenceResult, PresenceStatsResult};
use chatsdk_protocol::{ClientInfo, Encoding, ErrorCode, ReplyBody};

use crate::authority::{Authority, Denial, Identity, Inspect, InspectRequest};
use crate::broker::TopicName;
use crate::commands::{MAX_FRAME, Session, written};
use crate::sayable;

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
        let encoding = self.connection.shape().encoding();
        let present: Vec<_> = match encoding {
            Encoding::Json => present.iter().map(sayable::info).collect(),
            Encoding::Protobuf => present,
        };
        let bytes: usize = present.iter().map(|info| size(info, encoding)).sum();
        if bytes > MAX_FRAME {
            return Err(ErrorCode::LimitExceeded.into());
        }
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

/// How many bytes an entry takes up in a reply, about.
fn size(info: &ClientInfo, encoding: Encoding) -> usize {
    /// The id, which is its name as well, brackets and the names of the members.
    const AROUND: usize = 160;
    let user = written(&info.user, encoding);
    AROUND + user + info.conn_info.bytes().len() + info.chan_info.bytes().len()
}
