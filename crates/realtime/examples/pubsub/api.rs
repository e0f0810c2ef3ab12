//! What other servers may ask: `POST /api/METHOD` with `X-API-Key` and a JSON body. The answer is 200
//! with `{"result":…}` or `{"error":{"code":…,"message":…}}`. A call with a member that is not known is refused
//! (107), as is a channel that no client could name, and data that nests deeper than clients take.

use std::convert::Infallible;

use bytes::Bytes;
use chatsdk_realtime::{
    BrokerError, DisconnectCode, ErrorCode, Grant, Handle, History, Payload, Publish, Range,
    UnsubscribeCode, Whom,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};

use crate::authority::{APP, Namespaces};
use crate::calls::{
    Answer, Channel, Done, HistoryCall, Info, Past, Presence, PresenceStats, PublishCall,
    Published, Responses, User, UserInChannel,
};
use crate::config::Config;
use crate::http::text;

/// The longest body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

/// Answers one call.
pub(crate) async fn answer(
    request: Request<Incoming>,
    method: &str,
    handle: &Handle,
    authority: &Namespaces,
    config: &Config,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let key = request
        .headers()
        .get("x-api-key")
        .map_or(&b""[..], HeaderValue::as_bytes);
    let known = aws_lc_rs::constant_time::verify_slices_are_equal(key, config.api_key.as_bytes());
    if config.api_key.is_empty() || known.is_err() {
        return text(StatusCode::UNAUTHORIZED, "unauthorized\n");
    }
    if request.method() != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
    }
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return text(StatusCode::BAD_REQUEST, "bad request\n");
    };
    let answer = Api { handle, authority }
        .call(method, &body.to_bytes())
        .await;
    let Some(answer) = answer else {
        return text(StatusCode::NOT_FOUND, "not found\n");
    };
    let mut response = text(StatusCode::OK, answer);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

struct Api<'a> {
    handle: &'a Handle,
    authority: &'a Namespaces,
}

impl Api<'_> {
    /// The answer's text; `None`: there is no such method.
    async fn call(&self, method: &str, body: &[u8]) -> Option<String> {
        Some(match method {
            "publish" => written(self.publish_call(body).await),
            "broadcast" => written(self.broadcast(body).await),
            "history" => self.history(body).await,
            "history_remove" => written(self.forget(body).await),
            "presence" => self.presence(body).await,
            "presence_stats" => written(self.presence_stats(body).await),
            "disconnect" => written(read(body).map(|call: User| {
                let user = whom(&call.user);
                self.handle
                    .disconnect(&user, &DisconnectCode::ForceDisconnect.into());
                Done {}
            })),
            "subscribe" => written(self.subscribe(body)),
            "unsubscribe" => written(read(body).map(|call: UserInChannel| {
                self.handle
                    .unsubscribe(&whom(&call.user), &call.channel, UnsubscribeCode::Server);
                Done {}
            })),
            "info" => written(Ok(Info {
                connections: self.handle.count(&Whom::Everyone),
                channels: self.handle.topics(),
                queued_bytes: self.handle.queued_bytes(),
            })),
            _ => return None,
        })
    }

    async fn publish_call(&self, body: &[u8]) -> Result<Published, ErrorCode> {
        let call: PublishCall<'_> = read(body)?;
        if !call.channels.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        self.publish(&call.channel, &call).await
    }

    async fn broadcast(&self, body: &[u8]) -> Result<Responses, ErrorCode> {
        let call: PublishCall<'_> = read(body)?;
        if !call.channel.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        let mut responses = Vec::new();
        for channel in &call.channels {
            responses.push(self.publish(channel, &call).await.into());
        }
        Ok(Responses { responses })
    }

    async fn publish(&self, channel: &str, call: &PublishCall<'_>) -> Result<Published, ErrorCode> {
        let options = self.authority.options(channel)?;
        let data = Payload::from(call.data);
        if !data.is_json() {
            return Err(ErrorCode::BadRequest);
        }
        let published = self.handle.publish(Publish {
            tags: call.tags.clone(),
            delta: call.delta,
            idempotency_key: (!call.idempotency_key.is_empty())
                .then_some(call.idempotency_key.as_str()),
            version: (call.version > 0).then_some((call.version, call.version_epoch.as_str())),
            ..Publish::new(APP, channel, data, &options)
        });
        Ok(published.await.map_err(failed)?.into())
    }

    fn subscribe(&self, body: &[u8]) -> Result<Done, ErrorCode> {
        let call: UserInChannel = read(body)?;
        let grant = Grant::new(self.authority.options(&call.channel)?);
        self.handle
            .subscribe(&whom(&call.user), &call.channel, &grant, None);
        Ok(Done {})
    }

    async fn forget(&self, body: &[u8]) -> Result<Done, ErrorCode> {
        let call: Channel = read(body)?;
        let forgotten = self.handle.forget_history(APP, &call.channel).await;
        forgotten.map_err(failed)?;
        Ok(Done {})
    }

    async fn history(&self, body: &[u8]) -> String {
        let kept = async {
            let call: HistoryCall = read(body)?;
            let History::Memory(keep) = self.authority.options(&call.channel)?.history else {
                return Err(ErrorCode::NotAvailable);
            };
            let range = Range {
                since: call.since.as_ref().map(|it| (it.offset, it.epoch.as_str())),
                limit: usize::try_from(call.limit).ok(),
                reverse: call.reverse,
            };
            let kept = self.handle.history(APP, &call.channel, keep, range).await;
            kept.map_err(failed)
        };
        let kept = kept.await;
        let past = kept.as_ref().map_err(|code| *code);
        written(past.and_then(|kept| Past::of(kept).ok_or(ErrorCode::UnrecoverablePosition)))
    }

    async fn presence(&self, body: &[u8]) -> String {
        let present = async {
            let call: Channel = read(body)?;
            self.check_presence(&call.channel)?;
            let present = self.handle.presence(APP, &call.channel).await;
            present.map_err(failed)
        };
        let present = present.await;
        written(
            present
                .as_ref()
                .map(|present| Presence::of(present))
                .map_err(|code| *code),
        )
    }

    async fn presence_stats(&self, body: &[u8]) -> Result<PresenceStats, ErrorCode> {
        let call: Channel = read(body)?;
        self.check_presence(&call.channel)?;
        let counted = self.handle.presence_stats(APP, &call.channel).await;
        let (num_clients, num_users) = counted.map_err(failed)?;
        Ok(PresenceStats {
            num_clients,
            num_users,
        })
    }

    fn check_presence(&self, channel: &str) -> Result<(), ErrorCode> {
        if self.authority.options(channel)?.presence {
            Ok(())
        } else {
            Err(ErrorCode::NotAvailable)
        }
    }
}

fn failed(error: BrokerError) -> ErrorCode {
    match error {
        BrokerError::Unavailable => ErrorCode::Internal,
        BrokerError::Backlogged => ErrorCode::TooManyRequests,
        BrokerError::TooLong => ErrorCode::LimitExceeded,
    }
}

fn whom(user: &str) -> Whom<'_> {
    Whom::User { app: APP, user }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ErrorCode> {
    serde_json::from_slice(body).map_err(|_| ErrorCode::BadRequest)
}

/// An answer's text.
fn written<T: Serialize>(outcome: Result<T, ErrorCode>) -> String {
    let write = |outcome| serde_json::to_string(&Answer::<T>::from(outcome));
    // What answers are made of can be written, whatever clients said; an error would be this program's own.
    write(outcome)
        .or_else(|_| write(Err(ErrorCode::Internal)))
        .unwrap_or_default()
}
