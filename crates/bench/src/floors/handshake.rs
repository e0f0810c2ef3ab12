//! Bare WebSocket handshakes: each connection is sent the answer to its key, and nothing more.

use std::io;
use std::net::Ipv4Addr;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// What RFC 6455 appends to a key.
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Shakes hands on the loopback interface until killed, and says where. On one thread.
pub fn serve() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // The queue of `TcpListener::bind` holds 128 connections, and a wave brings more.
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(4096)?;
        let ready =
            serde_json::json!({ "event": "ready", "sockets": listener.local_addr()?.to_string() });
        println!("{ready}");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(shake(stream));
        }
    })
}

async fn shake(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut request = Vec::with_capacity(512);
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let answer = answer(&request).ok_or(io::ErrorKind::InvalidData)?;
    stream.write_all(answer.as_bytes()).await?;
    drop(request);
    // Until the client hangs up.
    while stream.read(&mut [0; 64]).await? > 0 {}
    Ok(())
}

/// The answer to a handshake; `None` where it has no key.
pub(super) fn answer(request: &[u8]) -> Option<String> {
    let key = std::str::from_utf8(request)
        .ok()?
        .lines()
        .find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key")
                .then(|| value.trim())
        })?;
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.as_bytes());
    hash.update(MAGIC);
    let accept = STANDARD.encode(hash.finish());
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n\r\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_rfc() {
        let request = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let answer = answer(request).unwrap();
        assert!(
            answer.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{answer}"
        );
        assert!(super::answer(b"GET / HTTP/1.1\r\n\r\n").is_none());
    }
}
