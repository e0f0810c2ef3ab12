//! The shape of frames (RFC 6455 §5.2): headers in, whole frames out.

use bytes::Bytes;

/// The bit of a frame's first byte that says that the message which begins there is compressed.
const COMPRESSED: u8 = 0x40;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xa => Self::Pong,
            _ => return None,
        })
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    /// Control frames may stand between the fragments of a message; they are short and whole.
    pub(crate) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What a client did that ends the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("{0}")]
    Protocol(&'static str),
    #[error("text that is not UTF-8")]
    NotUtf8,
    #[error("a compressed message that does not inflate")]
    NotDeflate,
    #[error("message too big")]
    TooBig,
}

impl Violation {
    /// The close code that goes with it.
    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::NotUtf8 | Self::NotDeflate => 1007,
            Self::TooBig => 1009,
        }
    }
}

/// The head of a client's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    pub(crate) opcode: Opcode,
    /// The message that begins here is compressed.
    pub(crate) compressed: bool,
    pub(crate) mask: [u8; 4],
    /// How many bytes the header takes.
    pub(crate) size: usize,
    /// How many bytes of payload follow it.
    pub(crate) payload: usize,
}

impl Header {
    /// Reads the header that `bytes` begin with; `None`: there is more of it to come. Payloads are
    /// bounded by `limit`; with `deflate`, messages may be compressed. What is wrong is told as soon as it can
    /// be seen.
    pub(crate) fn read(
        bytes: &[u8],
        limit: usize,
        deflate: bool,
    ) -> Result<Option<Self>, Violation> {
        let Some(&first) = bytes.first() else {
            return Ok(None);
        };
        let compressed = first & COMPRESSED != 0;
        if first & 0x30 != 0 || (compressed && !deflate) {
            return Err(Violation::Protocol("reserved bits are set"));
        }
        let Some(opcode) = Opcode::from_bits(first & 0x0f) else {
            return Err(Violation::Protocol("an unknown opcode"));
        };
        if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(Violation::Protocol(
                "a compressed frame that begins no message",
            ));
        }
        let fin = first & 0x80 != 0;
        if opcode.is_control() && !fin {
            return Err(Violation::Protocol("a control frame in fragments"));
        }
        let Some(&second) = bytes.get(1) else {
            return Ok(None);
        };
        if second & 0x80 == 0 {
            return Err(Violation::Protocol("a frame of a client without a mask"));
        }
        let (length, size) = match second & 0x7f {
            126 | 127 if opcode.is_control() => {
                return Err(Violation::Protocol(
                    "a control frame of more than 125 bytes",
                ));
            }
            126 => match bytes.get(2..4) {
                Some(length) => (number(length), 4),
                None => return Ok(None),
            },
            127 => match bytes.get(2..10) {
                Some(length) => (number(length), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        if length >> 63 != 0 {
            return Err(Violation::Protocol("a length with its highest bit set"));
        }
        if (size == 4 && length < 126) || (size == 10 && length <= 0xffff) {
            return Err(Violation::Protocol("a length in more bytes than it needs"));
        }
        if length > limit as u64 {
            return Err(Violation::TooBig);
        }
        let Some(&[a, b, c, d]) = bytes.get(size..size + 4) else {
            return Ok(None);
        };
        Ok(Some(Self {
            fin,
            opcode,
            compressed,
            mask: [a, b, c, d],
            size: size + 4,
            payload: length as usize,
        }))
    }
}

/// A number in network byte order, of eight bytes at most.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Takes the mask off (or puts it on: it is the same).
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let wide = u64::from(u32::from_ne_bytes(mask));
    let wide = wide << 32 | wide;
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// `payload` as one frame of a server, unmasked.
pub(crate) fn encode(opcode: Opcode, payload: &[u8]) -> Bytes {
    whole(0x80 | opcode.bits(), payload)
}

/// A compressed message as one frame of a server.
pub(crate) fn encode_compressed(opcode: Opcode, payload: &[u8]) -> Bytes {
    whole(0x80 | COMPRESSED | opcode.bits(), payload)
}

fn whole(first: u8, payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(first);
    match payload.len() {
        length @ 0..=125 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame.into()
}

/// A close frame.
pub(crate) fn close(code: u16, reason: &str) -> Bytes {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend(code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    // Two bytes of code and what fits beside them: a control frame carries 125 at most.
    payload.truncate(125);
    encode(Opcode::Close, &payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 65_536;

    fn text(payload: &[u8]) -> Bytes {
        encode(Opcode::Text, payload)
    }

    fn violation(bytes: &[u8]) -> Option<u16> {
        Header::read(bytes, LIMIT, false).err().map(Violation::code)
    }

    #[test]
    fn headers_of_all_lengths() {
        for (bytes, size, payload) in [
            (&[0x81, 0x80, 1, 2, 3, 4][..], 6, 0),
            (&[0x81, 0xfd, 1, 2, 3, 4], 6, 125),
            (&[0x81, 0xfe, 0, 126, 1, 2, 3, 4], 8, 126),
            (&[0x81, 0xfe, 0xff, 0xff, 1, 2, 3, 4], 8, 65_535),
            (
                &[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4],
                14,
                65_536,
            ),
        ] {
            let header = Header {
                fin: true,
                opcode: Opcode::Text,
                compressed: false,
                mask: [1, 2, 3, 4],
                size,
                payload,
            };
            assert_eq!(Header::read(bytes, LIMIT, false), Ok(Some(header)));
            for cut in 0..bytes.len() {
                assert_eq!(
                    Header::read(&bytes[..cut], LIMIT, false),
                    Ok(None),
                    "cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn violations_are_told_at_the_first_byte_that_shows_them() {
        for first in [0xc1, 0xa1, 0x91, 0x83, 0x87, 0x8b, 0x8f, 0x08, 0x09, 0x0a] {
            assert_eq!(violation(&[first]), Some(1002), "{first:#x}");
        }
        assert_eq!(violation(&[0x81, 0x05]), Some(1002), "no mask");
        assert_eq!(violation(&[0x89, 0xfe]), Some(1002), "a ping of 126 bytes");
        assert_eq!(violation(&[0x88, 0xff]), Some(1002), "a giant close");
        assert_eq!(
            violation(&[0x81, 0xfe, 0, 125]),
            Some(1002),
            "two bytes for 125"
        );
        assert_eq!(
            violation(&[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
            Some(1002),
            "eight bytes for 65535"
        );
        assert_eq!(
            violation(&[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0]),
            Some(1002)
        );
        assert_eq!(violation(&[0x81, 0xff, 0, 0, 0, 0, 0, 1, 0, 1]), Some(1009));
        assert_eq!(
            violation(&[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Some(1009)
        );
    }

    #[test]
    fn only_the_beginning_of_a_message_can_say_that_it_is_compressed() {
        for (first, fine) in [
            (0xc1, true),
            (0xc2, true),
            (0x41, true),
            (0xc0, false),
            (0x40, false),
            (0xc8, false),
            (0xc9, false),
            (0xe1, false),
            (0xd1, false),
        ] {
            assert_eq!(
                Header::read(&[first], LIMIT, true).is_ok(),
                fine,
                "{first:#x}"
            );
        }
    }

    #[test]
    fn masks_come_off_at_every_length() {
        for length in 0..40 {
            let plain: Vec<u8> = (0..length).collect();
            let mut masked: Vec<u8> = plain
                .iter()
                .enumerate()
                .map(|(at, byte)| byte ^ [7, 77, 177, 255][at % 4])
                .collect();
            unmask(&mut masked, [7, 77, 177, 255]);
            assert_eq!(masked, plain);
        }
    }

    #[test]
    fn frames_of_the_server() {
        assert_eq!(&text(b"{}")[..], b"\x81\x02{}");
        assert_eq!(&encode(Opcode::Pong, b"hi")[..], b"\x8a\x02hi");
        assert_eq!(&text(&[b'x'; 126])[..4], [0x81, 126, 0, 126]);
        assert_eq!(
            &text("x".repeat(65_536).as_bytes())[..10],
            [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(&close(3001, "shutdown")[..], b"\x88\x0a\x0b\xb9shutdown");
        assert_eq!(close(3503, &"x".repeat(200)).len(), 127);
    }
}
