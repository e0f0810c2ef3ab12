//! What a server of the protocol says, read as it comes, with few instructions.
//!
//! The generator shares the machine with the server, so it does not parse JSON: it takes frames apart,
//! splits them into lines, and tells lines from each other by how they begin.

use memchr::{memchr, memmem};

/// One thing that a server has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A publication in a channel.
    Publication,
    /// A ping of the protocol, to be answered with a pong.
    Ping,
    /// The reply to a command, whole.
    Reply(&'a [u8]),
    /// Anything else: another push.
    Other(&'a [u8]),
    /// The server closes the connection, with this code; 0 for none.
    Close(u16),
}

/// The frames of one connection.
#[derive(Debug, Default)]
pub struct Frames {
    /// The head of a frame as far as it has come.
    head: [u8; 10],
    head_length: usize,
    /// Whether the payload of a frame is being read, and how much of it is still to come.
    within: bool,
    left: usize,
    /// The beginning of a line whose end has not come. Empty, and without memory, nearly always.
    line: Vec<u8>,
}

const FINAL: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;

impl Frames {
    /// Takes `bytes` as the next of the connection, and gives each thing that they complete to `hear`.
    pub fn take(&mut self, mut bytes: &[u8], mut hear: impl FnMut(Message<'_>)) {
        loop {
            if !self.within {
                let Some(rest) = self.take_head(bytes) else {
                    return;
                };
                bytes = rest;
                self.within = true;
            }
            let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
            bytes = rest;
            self.left -= payload.len();
            let ends = self.left == 0;
            match self.head[0] & 0x0f {
                CONTINUATION | TEXT => {
                    self.lines(payload, ends && self.head[0] & FINAL != 0, &mut hear);
                }
                CLOSE => {
                    self.line.extend_from_slice(payload);
                    if ends {
                        let code = self
                            .line
                            .first_chunk()
                            .map_or(0, |b| u16::from_be_bytes(*b));
                        self.line.clear();
                        hear(Message::Close(code));
                    }
                }
                // Pings of WebSocket itself are not asked for, and binary frames neither.
                _ if ends => hear(Message::Other(b"a frame of another kind")),
                _ => {}
            }
            if !ends {
                return;
            }
            self.within = false;
            self.head_length = 0;
        }
    }

    /// Completes the head of a frame; `None` while it is not whole.
    fn take_head<'a>(&mut self, mut bytes: &'a [u8]) -> Option<&'a [u8]> {
        loop {
            let wanted = match (self.head_length, self.head[1]) {
                (0 | 1, _) => 2,
                (_, 126) => 4,
                (_, 127) => 10,
                _ => 2,
            };
            if self.head_length == wanted {
                break;
            }
            let (&byte, rest) = bytes.split_first()?;
            self.head[self.head_length] = byte;
            self.head_length += 1;
            bytes = rest;
        }
        self.left = match self.head[1] {
            126 => usize::from(u16::from_be_bytes([self.head[2], self.head[3]])),
            127 => self.head[2..10]
                .iter()
                .fold(0, |length, &byte| length << 8 | usize::from(byte)),
            length => usize::from(length),
        };
        Some(bytes)
    }

    fn lines(&mut self, mut payload: &[u8], ends: bool, hear: &mut impl FnMut(Message<'_>)) {
        while let Some(at) = memchr(b'\n', payload) {
            self.line_ends(&payload[..at], hear);
            payload = &payload[at + 1..];
        }
        if ends {
            self.line_ends(payload, hear);
        } else {
            self.line.extend_from_slice(payload);
        }
    }

    fn line_ends(&mut self, end: &[u8], hear: &mut impl FnMut(Message<'_>)) {
        if self.line.is_empty() {
            hear(tell(end));
            return;
        }
        self.line.extend_from_slice(end);
        hear(tell(&self.line));
        self.line.clear();
    }
}

fn tell(line: &[u8]) -> Message<'_> {
    if line.starts_with(br#"{"push":"#) {
        // The channel comes first, so this is found near the beginning.
        return match memmem::find(line, br#""pub":{"#) {
            Some(_) => Message::Publication,
            None => Message::Other(line),
        };
    }
    match line {
        b"{}" => Message::Ping,
        _ if line.starts_with(br#"{"id":"#) => Message::Reply(line),
        _ => Message::Other(line),
    }
}

/// Whether the reply `line` is an error. What servers put into a result does not contain this.
pub fn is_error(line: &[u8]) -> bool {
    memmem::find(line, br#","error":{"#).is_some()
}

/// A text frame of a client, under a mask of zeros, which costs neither side an instruction less but
/// spares the generator the masking.
pub fn client_text(text: &str) -> Vec<u8> {
    let mut frame = vec![FINAL | TEXT];
    match text.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        long => {
            debug_assert!(u16::try_from(long).is_ok(), "servers take 64 KiB");
            frame.push(0x80 | 0x7e);
            frame.extend_from_slice(&(long as u16).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}

/// A pong of the protocol, in its frame.
pub const PONG: [u8; 8] = [FINAL | TEXT, 0x80 | 2, 0, 0, 0, 0, b'{', b'}'];

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH: &str = r#"{"push":{"channel":"everybody","pub":{"data":"x"}}}"#;

    fn server_text(text: &str) -> Vec<u8> {
        let mut frame = client_text(text);
        let mask = if text.len() < 126 { 2 } else { 4 };
        frame[1] &= 0x7f;
        frame.drain(mask..mask + 4);
        frame
    }

    fn heard(frames: &mut Frames, bytes: &[u8]) -> Vec<String> {
        let mut told = Vec::new();
        frames.take(bytes, |message| {
            told.push(match message {
                Message::Publication => "publication".to_owned(),
                Message::Ping => "ping".to_owned(),
                Message::Reply(line) => format!("reply {}", line.len()),
                Message::Other(line) => format!("other {}", line.len()),
                Message::Close(code) => format!("close {code}"),
            });
        });
        told
    }

    #[test]
    fn lines_are_told_from_each_other() {
        let mut bytes = server_text(&format!("{PUSH}\n{PUSH}\n{PUSH}"));
        bytes.extend(server_text("{}"));
        bytes.extend(server_text(r#"{"id":2,"subscribe":{}}"#));
        bytes.extend(server_text(r#"{"push":{"channel":"a","unsubscribe":{}}}"#));
        bytes.extend([0x88, 4, 0x0b, 0xb9, b'n', b'o']);
        let expected = [
            "publication",
            "publication",
            "publication",
            "ping",
            "reply 23",
            "other 41",
            "close 3001",
        ];
        assert_eq!(heard(&mut Frames::default(), &bytes), expected);
        let mut frames = Frames::default();
        let one_by_one: Vec<String> = bytes
            .iter()
            .flat_map(|&byte| heard(&mut frames, &[byte]))
            .collect();
        assert_eq!(one_by_one, expected, "however the bytes are cut");
        assert!(frames.line.capacity() > 0, "lines were put together");
        assert!(frames.line.is_empty() && !frames.within);
    }

    #[test]
    fn long_frames_have_long_heads() {
        let line = format!(r#"{{"id":1,"rpc":{{"data":"{}"}}}}"#, "x".repeat(70_000));
        let mut bytes = vec![0x81, 127];
        bytes.extend((line.len() as u64).to_be_bytes());
        bytes.extend(line.as_bytes());
        let told = heard(&mut Frames::default(), &bytes);
        assert_eq!(told, [format!("reply {}", line.len())]);
    }

    #[test]
    fn a_message_in_fragments_is_one() {
        let (first, rest) = PUSH.split_at(20);
        let mut bytes = server_text(first);
        bytes[0] = TEXT;
        let mut last = server_text(rest);
        last[0] = FINAL;
        bytes.extend(last);
        assert_eq!(heard(&mut Frames::default(), &bytes), ["publication"]);
    }

    #[test]
    fn errors_are_told_from_results() {
        assert!(is_error(
            br#"{"id":2,"error":{"code":103,"message":"permission denied"}}"#
        ));
        assert!(!is_error(br#"{"id":2,"subscribe":{}}"#));
    }

    #[test]
    fn frames_of_clients_are_masked() {
        assert_eq!(client_text("{}"), PONG);
        let long = client_text(&"x".repeat(300));
        assert_eq!(&long[..8], [0x81, 0xfe, 1, 44, 0, 0, 0, 0]);
        assert_eq!(long.len(), 308);
    }
}
