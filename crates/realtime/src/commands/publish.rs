//! `publish`: a client says something in a topic.

use chatsdk_protocol::command::PublishRequest as Request;
use chatsdk_protocol::{DisconnectCode, ErrorCode, Publication, ReplyBody};

use crate::authority::{Authority, Denial, Identity, PublishRequest, Publishing};
use crate::broker::{Outgoing, TopicName};
use crate::commands::{Session, fits_into_a_frame};
use crate::topics::options::History;

impl<A: Authority> Session<A> {
    pub(super) async fn publish(
        &self,
        identity: &Identity,
        request: &Request<'_>,
    ) -> Result<ReplyBody, Denial> {
        if request.channel.is_empty() {
            return Err(DisconnectCode::BadRequest.into());
        }
        let channel = self.known(&request.channel)?;
        if request.kind != 0 {
            return Err(ErrorCode::NotAvailable.into());
        }
        if request.data.is_empty() {
            return Err(ErrorCode::BadRequest.into());
        }
        let question = PublishRequest {
            caller: self.caller(identity),
            channel,
            data: request.data,
            subscribed: self.connection.subscriptions.has(channel),
        };
        let options = match self.engine.authority().publish(question).await? {
            Publishing::Done => return Ok(ReplyBody::Publish),
            Publishing::Topic(options) => options,
        };
        if options.history == History::Host {
            // Only the host can give it its place.
            return Err(ErrorCode::NotAvailable.into());
        }
        let payload = request.data.to_payload();
        // What the authority was told of the client is what it has allowed.
        let info = self
            .connection
            .subscriptions
            .get(channel)
            .map(|subscription| subscription.info.clone())
            .or_else(|| self.connection.info().cloned());
        let shared = self.engine.shared();
        let publication = Publication {
            data: payload,
            info,
            ..Publication::default()
        };
        if !fits_into_a_frame(&publication, options.delta) {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let outgoing = Outgoing {
            topic: TopicName {
                app: &identity.app,
                channel,
            },
            publication,
            history: options.history,
            delta: options.delta_publish,
            key: None,
            version: None,
            position: None,
            refusable: true,
        };
        shared.publish(outgoing).await?;
        Ok(ReplyBody::Publish)
    }
}
