//! A POST by hyper. One connection a request: a client refreshes once an hour.

use std::io;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, RETRY_AFTER};
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;

use super::dial;
use crate::platform::HttpReply;

/// The longest reply that is read, in bytes. Token replies have a few thousand.
const MAX_BODY: usize = 1 << 20;

pub(super) async fn post(
    url: &str,
    authorization: Option<&str>,
    body: String,
) -> io::Result<HttpReply> {
    let uri: Uri = url.parse().map_err(io::Error::other)?;
    let stream = dial(&uri).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let target = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut head = Request::builder().method(Method::POST);
    if let Some(authorization) = authorization {
        head = head.header(AUTHORIZATION, authorization);
    }
    let request = head
        .uri(target)
        .header(HOST, host.rsplit('@').next().unwrap_or_default())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(io::Error::other)?;
    let exchange = async {
        let reply = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let (head, body) = reply.into_parts();
        let body = Limited::new(body, MAX_BODY)
            .collect()
            .await
            .map_err(io::Error::other)?;
        let text = |name: HeaderName| {
            let value = head.headers.get(name);
            value
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned()
        };
        Ok(HttpReply {
            status: head.status.as_u16(),
            content_type: text(CONTENT_TYPE),
            retry_after: text(RETRY_AFTER),
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
        })
    };
    // The connection is driven beside the exchange, and dropped with it.
    tokio::select! {
        biased;
        done = exchange => done,
        ended = connection => Err(ended.err().map_or_else(
            || io::ErrorKind::UnexpectedEof.into(),
            io::Error::other,
        )),
    }
}
