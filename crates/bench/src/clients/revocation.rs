//! Sockets of one user, and the revocation that closes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{AT_ONCE, ClientsError, PATIENCE, joined, mint, shaken, within};
use crate::load::wire::WireError;
use crate::load::{Script, Wire, script};
use crate::product::Product;
use crate::realtime::frames::{Frames, Message, client_text, is_error};

/// From sending a revocation to the last close frame of `count` sockets of one user; when it was answered; and how many
/// bytes the frame has.
pub(super) async fn revoke(
    server: &Product,
    count: usize,
) -> Result<(f64, f64, u32), ClientsError> {
    let to = server.address("/auth/tokens").await?;
    let head = script::head("POST", &to, &[format!("x-api-key: {}", server.api_key()?)]);
    let mut wire = Wire::connect(to.socket).await?;
    let body = json!({ "userId": "many-sockets" });
    let minted = mint(&mut wire, &head, &body).await?;
    let connect = json!({ "id": 1, "connect": { "token": minted.tokens.access_token } });
    let connect = client_text(&connect.to_string());
    let mut opening = JoinSet::new();
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    for _ in 0..count {
        let (turns, connect) = (turns.clone(), connect.clone());
        let (address, host) = (to.socket, to.host.clone());
        opening.spawn(async move {
            let _turn = turns.acquire().await;
            Open::new(address, &host, &connect).await
        });
    }
    let mut closing = JoinSet::new();
    while let Some(opened) = opening.join_next().await {
        closing.spawn(joined(opened)?.closed());
    }
    let path = format!("/auth/users/{}/sessions", minted.user);
    let to = server.address(&path).await?;
    let head = script::head(
        "DELETE",
        &to,
        &[format!("x-api-key: {}", server.api_key()?)],
    );
    let request = Script::fixed(&head, "").request().to_vec();
    let begun = Instant::now();
    let answer = tokio::spawn(async move {
        let reply = wire.exchange(&request).await?;
        Ok::<_, WireError>((reply.status, Instant::now()))
    });
    let mut last = begun;
    let mut bytes = 0;
    let all = async {
        while let Some(closed) = closing.join_next().await {
            let (at, code, length) = joined(closed)?;
            if code != 3503 {
                return Err(ClientsError::Invalid(format!(
                    "a socket was closed with {code}"
                )));
            }
            last = last.max(at);
            bytes = length;
        }
        Ok::<_, ClientsError>(())
    };
    within(PATIENCE, "sockets to be closed", all).await??;
    let (status, answered) = answer
        .await
        .map_err(|error| ClientsError::Invalid(error.to_string()))??;
    if status != 200 {
        return Err(ClientsError::Invalid(format!(
            "the revocation was answered {status}"
        )));
    }
    let since = |at: Instant| (at - begun).as_secs_f64();
    Ok((since(last), since(answered), bytes))
}

/// A socket that the server has accepted.
struct Open {
    stream: TcpStream,
    frames: Frames,
}

impl Open {
    async fn new(to: SocketAddr, host: &str, connect: &[u8]) -> Result<Self, ClientsError> {
        let mut stream = shaken(to, host).await?;
        stream.write_all(connect).await?;
        let mut open = Self {
            stream,
            frames: Frames::default(),
        };
        let mut accepted = None;
        while accepted.is_none() {
            open.hear(|message| {
                if let Message::Reply(line) = message {
                    accepted = Some(!is_error(line));
                }
            })
            .await?;
        }
        if accepted == Some(true) {
            Ok(open)
        } else {
            Err(ClientsError::Invalid("a connect was refused".to_owned()))
        }
    }

    /// Reads once, and answers how much. Nothing more is an error.
    async fn hear(&mut self, hear: impl FnMut(Message<'_>)) -> Result<usize, ClientsError> {
        let mut bytes = [0; 1024];
        match self.stream.read(&mut bytes).await? {
            0 => Err(ClientsError::Invalid(
                "a socket ended without a close frame".to_owned(),
            )),
            read => {
                self.frames.take(&bytes[..read], hear);
                Ok(read)
            }
        }
    }

    /// When the close frame was read, its code, and how many bytes came with it.
    async fn closed(mut self) -> Result<(Instant, u16, u32), ClientsError> {
        loop {
            let mut code = None;
            let read = self
                .hear(|message| {
                    if let Message::Close(with) = message {
                        code = Some(with);
                    }
                })
                .await?;
            if let Some(code) = code {
                return Ok((Instant::now(), code, read as u32));
            }
        }
    }
}
