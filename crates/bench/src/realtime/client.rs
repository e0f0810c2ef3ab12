//! What clients say: the handshake, and the first frame, which connects and subscribes to five channels.

use std::fmt::Write as _;

use super::frames::client_text;
use super::token::Signer;

/// How many channels a client listens to.
pub const SUBSCRIPTIONS: u32 = 5;
/// How many replies answer the first frame.
pub const REPLIES: u32 = SUBSCRIPTIONS + 1;
/// The channel that everybody listens to.
pub const EVERYBODY: &str = "everybody";
/// The channel that everybody listens to when they are to be told what they missed.
pub const KEPT: &str = "kept:everybody";

/// Where a client was in [`KEPT`] when it was cut off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The history's name.
    pub epoch: String,
    /// The last publication that was seen.
    pub offset: u64,
}

/// What a client wants to hear of everybody's channel.
#[derive(Debug, Clone, Copy)]
pub enum Wants<'a> {
    /// What is published from now on.
    News,
    /// The same, of the channel with a history.
    Kept,
    /// What was published since then, too.
    Missed(&'a Position),
}

/// The request that makes a WebSocket of a connection.
pub fn handshake(host: &str, path: &str) -> Vec<u8> {
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes()
}

/// The first frame of client `number`, as the JavaScript client sends it: connect and all subscriptions
/// at once. Every client is a user of its own and listens to one channel that all share, one of its
/// own, and three that it shares with some.
pub fn first_frame(number: usize, signer: Option<&Signer>, wants: Wants<'_>) -> Vec<u8> {
    let token = signer.map_or_else(String::new, |signer| {
        format!(r#""token":"{}""#, signer.token(&format!("bench-{number}")))
    });
    let mut text = format!(r#"{{"id":1,"connect":{{{token}}}}}"#);
    let shared = match wants {
        Wants::News => EVERYBODY,
        Wants::Kept | Wants::Missed(_) => KEPT,
    };
    let channels = [
        shared.to_owned(),
        format!("only-{number}"),
        format!("room-{}", number / 10),
        format!("floor-{}", number / 100),
        format!("house-{}", number / 1000),
    ];
    for (index, channel) in channels.iter().enumerate() {
        let recover = match wants {
            Wants::Missed(Position { epoch, offset }) if index == 0 => {
                format!(r#","recover":true,"epoch":"{epoch}","offset":{offset}"#)
            }
            _ => String::new(),
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{{\"id\":{},\"subscribe\":{{\"channel\":\"{channel}\"{recover}}}}}",
            index + 2
        );
    }
    client_text(&text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn commands(frame: &[u8]) -> Vec<Value> {
        let head = if frame[1] & 0x7f < 126 { 6 } else { 8 };
        std::str::from_utf8(&frame[head..])
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn a_client_connects_and_subscribes_at_once() {
        let signer = Signer::new("secret", 1);
        let commands = commands(&first_frame(1234, Some(&signer), Wants::News));
        assert_eq!(commands.len(), REPLIES as usize);
        assert_eq!(commands[0]["connect"]["token"], signer.token("bench-1234"));
        let channels: Vec<&Value> = commands[1..]
            .iter()
            .map(|command| &command["subscribe"]["channel"])
            .collect();
        let expected = ["everybody", "only-1234", "room-123", "floor-12", "house-1"];
        assert_eq!(channels, expected);
    }

    #[test]
    fn a_client_that_comes_back_says_where_it_was() {
        let position = Position {
            epoch: "abcd".into(),
            offset: 7,
        };
        let commands = commands(&first_frame(0, None, Wants::Missed(&position)));
        let subscribe = &commands[1]["subscribe"];
        assert_eq!(subscribe["channel"], KEPT);
        assert_eq!(subscribe["recover"], true);
        assert_eq!(
            (&subscribe["epoch"], &subscribe["offset"]),
            (&"abcd".into(), &7.into())
        );
        assert!(commands[2]["subscribe"].get("recover").is_none());
    }
}
