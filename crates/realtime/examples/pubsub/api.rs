//! What other servers may ask: `POST /api/METHOD` with `X-API-Key` and a JSON body. The answer is 200
//! with `{"result":…}` or `{"error":{"code":…,"message":…}}`.

use std::collections::BTreeMap;
use std::convert::Infallible;

use bytes::Bytes;
use chatsdk_realtime::{
    BrokerError, DisconnectCode, ErrorCode, Grant, Handle, History, Kept, Payload, Publish, Range,
    UnsubscribeCode, Whom,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use crate::authority::{APP, Namespaces};
use crate::config::Config;
use crate::http::text;

/// The longest body, in bytes.
const MAX_BODY: usize = 1024 * 1024;

#[derive(Deserialize)]
struct Publication {
    data: Box<RawValue>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    delta: bool,
    #[serde(default)]
    idempotency_key: String,
    #[serde(default)]
    version: u64,
    #[serde(default)]
    version_epoch: String,
}

#[derive(Deserialize)]
struct Broadcast {
    channels: Vec<String>,
}

#[derive(Deserialize)]
struct HistoryCall {
    channel: String,
    #[serde(default)]
    limit: i64,
    since: Option<Since>,
    #[serde(default)]
    reverse: bool,
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    offset: u64,
    #[serde(default)]
    epoch: String,
}

#[derive(Deserialize)]
struct Channel {
    channel: String,
}

#[derive(Deserialize)]
struct User {
    user: String,
}

#[derive(Deserialize)]
struct UserInChannel {
    user: String,
    channel: String,
}

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
    let body = match answer {
        None => return text(StatusCode::NOT_FOUND, "not found\n"),
        Some(Ok(result)) => json!({ "result": result }),
        Some(Err(code)) => json!({ "error": { "code": code.code(), "message": code.message() } }),
    };
    let mut response = text(StatusCode::OK, body.to_string());
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
    async fn call(&self, method: &str, body: &[u8]) -> Option<Result<Value, ErrorCode>> {
        Some(match method {
            "publish" => self.publish_call(body).await,
            "broadcast" => self.broadcast(body).await,
            "history" => self.history(body).await,
            "history_remove" => self.forget(body).await,
            "presence" => self.presence(body).await,
            "presence_stats" => self.presence_stats(body).await,
            "disconnect" => read(body).map(|call: User| {
                let user = whom(&call.user);
                self.handle
                    .disconnect(&user, &DisconnectCode::ForceDisconnect.into());
                json!({})
            }),
            "subscribe" => read(body).and_then(|call: UserInChannel| {
                let options = self.authority.options(&call.channel);
                let grant = Grant::new(options.ok_or(ErrorCode::UnknownChannel)?);
                self.handle
                    .subscribe(&whom(&call.user), &call.channel, &grant, None);
                Ok(json!({}))
            }),
            "unsubscribe" => read(body).map(|call: UserInChannel| {
                self.handle
                    .unsubscribe(&whom(&call.user), &call.channel, UnsubscribeCode::Server);
                json!({})
            }),
            "info" => Ok(json!({
                "connections": self.handle.count(&Whom::Everyone),
                "channels": self.handle.topics(),
                "queued_bytes": self.handle.queued_bytes(),
            })),
            _ => return None,
        })
    }

    // Raw values cannot be flattened; each reader takes its own members.
    async fn publish_call(&self, body: &[u8]) -> Result<Value, ErrorCode> {
        let call: Channel = read(body)?;
        self.publish(&call.channel, &read(body)?).await
    }

    async fn publish(&self, channel: &str, publication: &Publication) -> Result<Value, ErrorCode> {
        let options = self.authority.options(channel);
        let options = options.ok_or(ErrorCode::UnknownChannel)?;
        let published = self.handle.publish(Publish {
            tags: publication.tags.clone(),
            delta: publication.delta,
            idempotency_key: (!publication.idempotency_key.is_empty())
                .then_some(publication.idempotency_key.as_str()),
            version: (publication.version > 0)
                .then_some((publication.version, publication.version_epoch.as_str())),
            ..Publish::new(APP, channel, Payload::from(&*publication.data), &options)
        });
        let position = published.await.map_err(failed)?;
        Ok(position.map_or_else(
            || json!({}),
            |position| json!({ "offset": position.offset, "epoch": &*position.epoch }),
        ))
    }

    async fn broadcast(&self, body: &[u8]) -> Result<Value, ErrorCode> {
        let call: Broadcast = read(body)?;
        let publication = read(body)?;
        let mut responses = Vec::new();
        for channel in &call.channels {
            responses.push(match self.publish(channel, &publication).await {
                Ok(result) => json!({ "result": result }),
                Err(code) => {
                    json!({ "error": { "code": code.code(), "message": code.message() } })
                }
            });
        }
        Ok(json!({ "responses": responses }))
    }

    async fn forget(&self, body: &[u8]) -> Result<Value, ErrorCode> {
        let call: Channel = read(body)?;
        let forgotten = self.handle.forget_history(APP, &call.channel).await;
        forgotten.map_err(failed)?;
        Ok(json!({}))
    }

    async fn history(&self, body: &[u8]) -> Result<Value, ErrorCode> {
        let call: HistoryCall = read(body)?;
        let options = self.authority.options(&call.channel);
        let History::Memory(keep) = options.ok_or(ErrorCode::UnknownChannel)?.history else {
            return Err(ErrorCode::NotAvailable);
        };
        let range = Range {
            since: call.since.as_ref().map(|it| (it.offset, it.epoch.as_str())),
            limit: usize::try_from(call.limit).ok(),
            reverse: call.reverse,
        };
        let kept = self.handle.history(APP, &call.channel, keep, range).await;
        let Kept { top, publications } = kept.map_err(failed)?;
        let publications = publications.ok_or(ErrorCode::UnrecoverablePosition)?;
        let publications: Result<Vec<Value>, ErrorCode> = publications
            .iter()
            .map(|publication| {
                let data: Box<RawValue> = serde_json::from_slice(publication.data.bytes())
                    .or_else(|_| to_raw_value(&Value::Null))
                    .map_err(|_| ErrorCode::Internal)?;
                Ok(json!({ "data": data, "offset": publication.offset }))
            })
            .collect();
        Ok(json!({
            "publications": publications?,
            "offset": top.offset,
            "epoch": &*top.epoch,
        }))
    }

    async fn presence(&self, body: &[u8]) -> Result<Value, ErrorCode> {
        let call: Channel = read(body)?;
        self.check_presence(&call.channel)?;
        let present = self.handle.presence(APP, &call.channel).await;
        let present = present.map_err(failed)?;
        let presence: BTreeMap<&str, Value> = present
            .iter()
            .map(|info| {
                (
                    &*info.client,
                    json!({ "user": &*info.user, "client": &*info.client }),
                )
            })
            .collect();
        Ok(json!({ "presence": presence }))
    }

    async fn presence_stats(&self, body: &[u8]) -> Result<Value, ErrorCode> {
        let call: Channel = read(body)?;
        self.check_presence(&call.channel)?;
        let counted = self.handle.presence_stats(APP, &call.channel).await;
        let (clients, users) = counted.map_err(failed)?;
        Ok(json!({ "num_clients": clients, "num_users": users }))
    }

    fn check_presence(&self, channel: &str) -> Result<(), ErrorCode> {
        let options = self.authority.options(channel);
        if options.ok_or(ErrorCode::UnknownChannel)?.presence {
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

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, ErrorCode> {
    serde_json::from_slice(body).map_err(|_| ErrorCode::BadRequest)
}
