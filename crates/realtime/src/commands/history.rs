//! `history`: what was said in a topic.

use std::sync::Arc;

use chatsdk_protocol::command::HistoryRequest;
use chatsdk_protocol::reply::HistoryResult;
use chatsdk_protocol::{ErrorCode, Publication, ReplyBody};

use crate::authority::{Authority, Denial, Identity, Inspect, InspectRequest, RecoverRequest};
use crate::broker::TopicName;
use crate::broker::memory::stream::Range;
use crate::broker::publication::Position;
use crate::commands::{MAX_REPLY, Session, fitting};
use crate::sayable;
use crate::topics::options::History;

impl<A: Authority> Session<A> {
    pub(super) async fn history(
        &self,
        identity: &Identity,
        request: &HistoryRequest<'_>,
    ) -> Result<ReplyBody, Denial> {
        let channel = self.known(&request.channel)?;
        let question = InspectRequest {
            caller: self.caller(identity),
            channel,
            what: Inspect::History,
            subscribed: self.connection.subscriptions.has(channel),
        };
        let authority = self.engine.authority();
        let options = authority.inspect(question).await?;
        let shared = self.engine.shared();
        let most = shared.config.max_publications;
        // A negative limit means all.
        let limit = usize::try_from(request.limit).map_or(most, |limit| limit.min(most));
        let since = request
            .since
            .as_ref()
            .map(|since| (since.offset, &*since.epoch));
        let (top, mut publications) = match options.history {
            History::None => return Err(ErrorCode::NotAvailable.into()),
            History::Memory(keep) => {
                let range = Range {
                    since,
                    limit: Some(limit),
                    reverse: request.reverse,
                };
                let topic = TopicName {
                    app: &identity.app,
                    channel,
                };
                let kept = shared.broker.history(topic, keep, range).await?;
                let read = kept.publications;
                let read = read.ok_or(ErrorCode::UnrecoverablePosition)?;
                let read = read.iter().map(|it| Publication::clone(it)).collect();
                (kept.top, read)
            }
            History::Host => {
                let recovered = authority
                    .recover(RecoverRequest {
                        app: &identity.app,
                        channel,
                        since,
                        limit,
                        reverse: request.reverse,
                    })
                    .await?;
                if since.is_some() && !recovered.complete {
                    return Err(ErrorCode::UnrecoverablePosition.into());
                }
                (recovered.top, recovered.publications)
            }
        };
        self.leave_out_what_is_not_json(&mut publications);
        let encoding = self.connection.shape().encoding();
        let (fit, _) = fitting(&publications, encoding, false, MAX_REPLY);
        publications.truncate(fit);
        let Position { offset, epoch } = top;
        Ok(HistoryResult {
            publications,
            epoch: Arc::clone(&epoch),
            offset,
        }
        .into())
    }

    /// Takes away what could not stand in a reply to a client that speaks JSON (see [`sayable`]).
    pub(super) fn leave_out_what_is_not_json(&self, publications: &mut Vec<Publication>) {
        if self.connection.shape().is_json() {
            publications.retain(|publication| publication.data.is_json());
            publications.iter_mut().for_each(sayable::tidy);
        }
    }
}
