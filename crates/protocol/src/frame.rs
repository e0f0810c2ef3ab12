//! Several messages of a server that share a frame.

use bytes::{Bytes, BytesMut};

use crate::encoding::Encoding;
use crate::payload::NotJson;
use crate::push::Push;
use crate::reply::Reply;

/// How many messages share one frame at most.
pub const MAX_BATCH: usize = 16;

/// From how many bytes on a frame is not added to: clients refuse frames of more than a MiB.
pub const FULL: usize = 256 * 1024;

/// Messages that are sent together.
#[derive(Debug)]
pub struct Frame {
    encoding: Encoding,
    bytes: BytesMut,
    count: usize,
}

impl Frame {
    /// A frame without messages.
    pub fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            bytes: BytesMut::new(),
            count: 0,
        }
    }

    /// How its messages are written.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Adds `reply`. After an error the frame is as it was.
    pub fn reply(&mut self, reply: &Reply) -> Result<(), NotJson> {
        self.message(|encoding, out| encoding.encode_reply(reply, out))
    }

    /// Adds `push`. After an error the frame is as it was.
    pub fn push(&mut self, push: &Push) -> Result<(), NotJson> {
        self.message(|encoding, out| encoding.encode_push(push, out))
    }

    /// How many messages there are in it.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// Whether it is time to send it, because [`MAX_BATCH`] messages share it or it has [`FULL`] bytes.
    pub fn is_full(&self) -> bool {
        self.count >= MAX_BATCH || self.bytes.len() >= FULL
    }

    /// The messages so far, or `None` when there are none. The frame is empty afterwards.
    pub fn take(&mut self) -> Option<Bytes> {
        if self.count == 0 {
            return None;
        }
        self.count = 0;
        Some(self.bytes.split().freeze())
    }

    fn message(
        &mut self,
        write: impl FnOnce(Encoding, &mut BytesMut) -> Result<(), NotJson>,
    ) -> Result<(), NotJson> {
        let before = self.bytes.len();
        if self.count > 0 {
            self.bytes.extend_from_slice(self.encoding.separator());
        }
        write(self.encoding, &mut self.bytes).inspect_err(|_| self.bytes.truncate(before))?;
        self.count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;
    use crate::push::Message;
    use crate::reply::ReplyBody;

    #[test]
    fn messages_share_a_frame() {
        for (encoding, size) in [
            (Encoding::Json, 16 * 18 + 7 + 15),
            (Encoding::Protobuf, 16 * 5),
        ] {
            let mut frame = Frame::new(encoding);
            assert_eq!(frame.take(), None);
            for id in 1..=16 {
                assert!(!frame.is_full());
                frame
                    .reply(&Reply::new(id, ReplyBody::Ping))
                    .expect("it is JSON");
            }
            assert!(frame.is_full());
            assert_eq!(frame.take().expect("sixteen").len(), size);
            assert_eq!(frame.take(), None);
        }
    }

    #[test]
    fn a_frame_is_full_by_bytes_too() {
        let mut frame = Frame::new(Encoding::Json);
        let half = Push::of_connection(Message {
            data: Payload::new(vec![b'1'; FULL / 2]),
        });
        frame.push(&half).expect("it is JSON");
        assert!(!frame.is_full());
        frame.push(&half).expect("it is JSON");
        assert!(frame.is_full());
    }

    #[test]
    fn what_is_not_json_leaves_no_trace() {
        let mut frame = Frame::new(Encoding::Json);
        let bytes = Push::of_connection(Message {
            data: Payload::new("\u{1}"),
        });
        assert_eq!(frame.push(&bytes), Err(NotJson));
        assert_eq!(frame.take(), None);
        frame
            .reply(&Reply::new(1, ReplyBody::Ping))
            .expect("it is JSON");
        assert_eq!(frame.push(&bytes), Err(NotJson));
        assert_eq!(
            frame.take().as_deref(),
            Some(&b"{\"id\":1,\"ping\":{}}"[..])
        );
    }
}
