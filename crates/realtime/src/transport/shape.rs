//! In which shape a connection's messages travel.

use bytes::{BufMut, Bytes, BytesMut};
use chatsdk_protocol::{Disconnect, Encoding, Push};

use crate::transport::websocket::deflate;
use crate::transport::websocket::frame::{self, Opcode};

/// An encoding within a transport. What is sent to several connections is made once for each shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Text frames of a WebSocket.
    SocketJson,
    /// Binary frames of a WebSocket.
    SocketProtobuf,
    /// Text frames of a WebSocket, compressed if they have so many bytes.
    DeflatedJson {
        /// The shortest that are.
        from: u32,
    },
    /// Binary frames of a WebSocket, compressed if they have so many bytes.
    DeflatedProtobuf {
        /// The shortest that are.
        from: u32,
    },
    /// Lines of an HTTP response.
    StreamJson,
    /// Messages of an HTTP response, each behind its length.
    StreamProtobuf,
    /// Server-sent events.
    Events,
}

impl Shape {
    pub(crate) const fn encoding(self) -> Encoding {
        match self {
            Self::SocketJson | Self::DeflatedJson { .. } | Self::StreamJson | Self::Events => {
                Encoding::Json
            }
            Self::SocketProtobuf | Self::DeflatedProtobuf { .. } | Self::StreamProtobuf => {
                Encoding::Protobuf
            }
        }
    }

    pub(crate) fn is_json(self) -> bool {
        self.encoding() == Encoding::Json
    }

    /// Whether messages may be compressed, in both directions.
    pub(crate) const fn is_deflated(self) -> bool {
        matches!(
            self,
            Self::DeflatedJson { .. } | Self::DeflatedProtobuf { .. }
        )
    }

    /// Whether the transport goes from server to client only: commands are posted elsewhere.
    pub(crate) const fn is_one_way(self) -> bool {
        matches!(self, Self::StreamJson | Self::StreamProtobuf | Self::Events)
    }

    /// `messages` (one or several, as the encoding separates them) as one frame of the transport.
    pub(crate) fn frame(self, messages: &[u8]) -> Bytes {
        match self {
            Self::SocketJson => frame::encode(Opcode::Text, messages),
            Self::SocketProtobuf => frame::encode(Opcode::Binary, messages),
            Self::DeflatedJson { from } => deflated(Opcode::Text, messages, from),
            Self::DeflatedProtobuf { from } => deflated(Opcode::Binary, messages, from),
            Self::StreamProtobuf => Bytes::copy_from_slice(messages),
            Self::StreamJson => {
                let mut out = BytesMut::with_capacity(messages.len() + 1);
                out.put_slice(messages);
                out.put_u8(b'\n');
                out.freeze()
            }
            Self::Events => {
                let mut out = BytesMut::with_capacity(messages.len() + 16);
                for line in messages.split(|byte| *byte == b'\n') {
                    out.put_slice(b"data: ");
                    out.put_slice(line);
                    out.put_slice(b"\n\n");
                }
                out.freeze()
            }
        }
    }

    /// The server's ping.
    pub(crate) const fn ping(self) -> Bytes {
        Bytes::from_static(match self {
            Self::SocketJson | Self::DeflatedJson { .. } => b"\x81\x02{}",
            Self::SocketProtobuf | Self::DeflatedProtobuf { .. } => b"\x82\x01\x00",
            Self::StreamJson => b"{}\n",
            Self::StreamProtobuf => b"\x00",
            Self::Events => b"data: {}\n\n",
        })
    }

    /// The last words to a client.
    pub(crate) fn goodbye(self, why: &Disconnect) -> Bytes {
        if !self.is_one_way() {
            return frame::close(why.code(), why.reason());
        }
        // A code and a text: there is nothing in it that could not stand in JSON.
        let push = self.encoding().push(&Push::of_connection(why));
        self.frame(&push.unwrap_or_default())
    }
}

fn deflated(opcode: Opcode, messages: &[u8], from: u32) -> Bytes {
    let compressed = (messages.len() >= from as usize)
        .then(|| deflate::compress(messages))
        .flatten();
    compressed.map_or_else(
        || frame::encode(opcode, messages),
        |compressed| frame::encode_compressed(opcode, &compressed),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_its_own_frame() {
        let lines = b"{\"a\":1}\n{}";
        assert_eq!(
            &Shape::SocketJson.frame(lines)[..],
            b"\x81\x0a{\"a\":1}\n{}"
        );
        assert_eq!(&Shape::StreamJson.frame(lines)[..], b"{\"a\":1}\n{}\n");
        assert_eq!(
            &Shape::Events.frame(lines)[..],
            b"data: {\"a\":1}\n\ndata: {}\n\n"
        );
        assert_eq!(&Shape::SocketProtobuf.frame(b"\x00")[..], b"\x82\x01\x00");
        assert_eq!(&Shape::StreamProtobuf.frame(b"\x00")[..], b"\x00");
        let from = 10;
        let short = Shape::DeflatedJson { from }.frame(b"{\"a\":1}");
        assert_eq!(short, Shape::SocketJson.frame(b"{\"a\":1}"));
        let long = Shape::DeflatedProtobuf { from }.frame(&[7; 1000]);
        assert!(long.len() < 50 && long[0] == 0xc2, "{long:?}");
        for shape in [
            Shape::SocketJson,
            Shape::DeflatedJson { from: 10 },
            Shape::StreamJson,
            Shape::Events,
        ] {
            assert_eq!(shape.frame(b"{}"), shape.ping());
        }
    }
}
