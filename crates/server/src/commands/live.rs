//! Calls to the live node: what `connections`, `disconnect` and `publish` have in common.

use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

use super::Global;
use super::output::Failure;
use crate::config::Config;
use crate::node_file;
use crate::operator_token::{self, OperatorToken};

/// How long the node may take for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer, in bytes: a page of connections is a tenth of it.
const MAX_ANSWER: usize = 4 * 1024 * 1024;

/// Which node.
#[derive(Debug, Args)]
pub(super) struct NodeFlags {
    /// Address of the node, such as http://10.0.0.5:5500; without it the server of the data directory
    #[arg(long, value_name = "URL")]
    url: Option<Uri>,
}

/// A node that answers operators.
pub(super) struct LiveNode {
    /// Host and port.
    authority: String,
    token: HeaderValue,
}

impl NodeFlags {
    /// Finds the node and its token.
    pub(super) fn find(&self, global: &Global) -> Result<LiveNode, Failure> {
        let config = Config::parse(&global.layers()?)?;
        let authority = if let Some(url) = &self.url {
            authority(url)?
        } else {
            let found = node_file::find(&config.data_dir)?.ok_or_else(|| {
                Failure::new(
                    "no_node",
                    format!(
                        "no server serves from {}; start one, or name a node with --url",
                        config.data_dir.display()
                    ),
                )
            })?;
            found.api.trim_start_matches("http://").to_owned()
        };
        let env = std::env::var(operator_token::ENVIRONMENT).ok();
        let token = OperatorToken::find(&config.data_dir, env.as_deref())?;
        let mut token = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|error| Failure::new("operator_token", error.to_string()))?;
        token.set_sensitive(true);
        Ok(LiveNode { authority, token })
    }
}

/// Host and port of an address without more to it.
fn authority(url: &Uri) -> Result<String, Failure> {
    let plain = url.scheme_str() == Some("http") && matches!(url.path(), "" | "/");
    match (plain && url.query().is_none(), url.host()) {
        (true, Some(host)) => Ok(format!("{host}:{}", url.port_u16().unwrap_or(80))),
        _ => Err(Failure::new(
            "usage",
            "--url takes the plain HTTP address of a node without a path, such as http://10.0.0.5:5500; a proxy that ends TLS is passed by",
        )),
    }
}

impl LiveNode {
    /// Asks for `path`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    /// Sends `body` to `path`.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(body).map_err(|error| Failure::new("usage", error.to_string()))?;
        self.call(Method::POST, path, body.into()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, Failure> {
        let unreachable = |why: String| {
            let node = &self.authority;
            Failure::new(
                "unreachable",
                format!("the node at {node} does not answer: {why}"),
            )
        };
        let answer = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
        let (status, answer) = answer
            .map_err(|_| unreachable("it takes too long".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        if status.is_success()
            && let Ok(answer) = serde_json::from_slice(&answer)
        {
            return Ok(answer);
        }
        Err(refusal(status, &answer))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, &self.token)
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER);
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>((
                status,
                body.collect().await?.to_bytes(),
            ))
        };
        tokio::pin!(connection, exchange);
        tokio::select! {
            answer = &mut exchange => answer,
            // It may end, with the last byte of the answer, before the answer is looked at.
            ended = &mut connection => {
                ended?;
                exchange.await
            }
        }
    }
}

/// What an answer that is no success says.
fn refusal(status: StatusCode, answer: &[u8]) -> Failure {
    let problem: Value = serde_json::from_slice(answer).unwrap_or_default();
    let detail = problem["detail"].as_str();
    match (problem["code"].as_str(), detail) {
        (Some(code), Some(detail)) => {
            let hint = problem["hint"].as_str().unwrap_or_default();
            let words = match code {
                // Its hint names the very things that this command has looked at.
                "operator_token_invalid" => format!("{detail} {hint}"),
                _ => detail.to_owned(),
            };
            Failure::told(code, words)
        }
        _ => Failure::new(
            "unreachable",
            format!(
                "what answers there is no ChatSDK node: HTTP status {}",
                status.as_u16()
            ),
        ),
    }
}

/// Text as it stands in a query.
pub(super) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_a_host_and_a_port() {
        let read = |text: &str| authority(&text.parse().unwrap()).ok();
        assert_eq!(
            read("http://10.0.0.5:5500").as_deref(),
            Some("10.0.0.5:5500")
        );
        assert_eq!(read("http://node/").as_deref(), Some("node:80"));
        assert_eq!(read("http://[::1]:5500").as_deref(), Some("[::1]:5500"));
        for bad in [
            "https://node",
            "http://node/admin",
            "http://node/?a=1",
            "node:5500",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn text_is_encoded_for_queries() {
        assert_eq!(encoded("a b&c=ä+%"), "a%20b%26c%3D%C3%A4%2B%25");
    }
}
