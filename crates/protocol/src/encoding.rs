//! The two encodings behind one door, for what does not care which one a connection speaks.

use bytes::{Bytes, BytesMut};

use crate::command::Command;
use crate::object::Publication;
use crate::payload::NotJson;
use crate::push::Push;
use crate::reply::Reply;
use crate::server::ServerMessage;
use crate::{Undecodable, json, protobuf};

/// How a connection's messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encoding {
    /// JSON, one message a line.
    #[default]
    Json,
    /// Protobuf, each message after its length.
    Protobuf,
}

/// Where a publication goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<'a> {
    /// To a channel by its name.
    Channel(&'a str),
    /// To a channel by its number in [`crate::reply::SubscribeResult::id`]; not 0.
    Id(i64),
}

impl Encoding {
    /// What stands between two encoded messages that share a frame.
    pub const fn separator(self) -> &'static [u8] {
        match self {
            Self::Json => b"\n",
            Self::Protobuf => b"",
        }
    }

    /// The server's ping, and the client's answer.
    pub const fn ping(self) -> &'static [u8] {
        match self {
            Self::Json => json::PING.as_bytes(),
            Self::Protobuf => protobuf::PING,
        }
    }

    /// The commands of `frame`, in order. After an error there is nothing more to read.
    pub fn commands(self, frame: &[u8]) -> impl Iterator<Item = Result<Command<'_>, Undecodable>> {
        self.read(frame, json::commands, protobuf::commands)
    }

    /// What a server said in `frame`, in order. After an error there is nothing more to read.
    pub fn server_messages(
        self,
        frame: &[u8],
    ) -> impl Iterator<Item = Result<ServerMessage, Undecodable>> {
        self.read(frame, json::server_messages, protobuf::server_messages)
    }

    fn read<'a, T, J, P>(
        self,
        frame: &'a [u8],
        json: impl FnOnce(&'a str) -> J,
        protobuf: impl FnOnce(&'a [u8]) -> P,
    ) -> impl Iterator<Item = Result<T, Undecodable>>
    where
        J: Iterator<Item = Result<T, Undecodable>>,
        P: Iterator<Item = Result<T, Undecodable>>,
    {
        // One of the three.
        let (lines, not_text, messages) = match self {
            Self::Json => match std::str::from_utf8(frame) {
                Ok(text) => (Some(json(text)), None, None),
                Err(_) => (None, Some(Err(Undecodable::NotUtf8)), None),
            },
            Self::Protobuf => (None, None, Some(protobuf(frame))),
        };
        let lines = lines.into_iter().flatten();
        lines.chain(not_text).chain(messages.into_iter().flatten())
    }

    /// Appends `command`.
    pub fn encode_command(self, command: &Command<'_>, out: &mut BytesMut) -> Result<(), NotJson> {
        match self {
            Self::Json => json::encode_command(command, out),
            Self::Protobuf => {
                protobuf::encode_command(command, out);
                Ok(())
            }
        }
    }

    /// Appends `reply`. After an error `out` is as it was.
    pub fn encode_reply(self, reply: &Reply, out: &mut BytesMut) -> Result<(), NotJson> {
        match self {
            Self::Json => json::encode_reply(reply, out),
            Self::Protobuf => {
                protobuf::encode_reply(reply, out);
                Ok(())
            }
        }
    }

    /// Appends `push`. After an error `out` is as it was.
    pub fn encode_push(self, push: &Push, out: &mut BytesMut) -> Result<(), NotJson> {
        match self {
            Self::Json => json::encode_push(push, out),
            Self::Protobuf => {
                protobuf::encode_push(push, out);
                Ok(())
            }
        }
    }

    /// `push` on its own, to be shared by all who get it.
    pub fn push(self, push: &Push) -> Result<Bytes, NotJson> {
        let mut out = BytesMut::new();
        self.encode_push(push, &mut out)?;
        Ok(out.freeze())
    }

    /// Appends the push of `publication`: the hot path, without a [`Push`] around it. After an error
    /// `out` is as it was.
    pub fn encode_publication(
        self,
        to: Route<'_>,
        publication: &Publication,
        out: &mut BytesMut,
    ) -> Result<(), NotJson> {
        match self {
            Self::Json => json::encode_publication(to, publication, out),
            Self::Protobuf => {
                protobuf::encode_publication(to, publication, out);
                Ok(())
            }
        }
    }

    /// The push of `publication` on its own, to be shared by all who get it.
    pub fn publication(self, to: Route<'_>, publication: &Publication) -> Result<Bytes, NotJson> {
        let mut out = BytesMut::with_capacity(publication.data.bytes().len() + 128);
        self.encode_publication(to, publication, &mut out)?;
        Ok(out.freeze())
    }
}
