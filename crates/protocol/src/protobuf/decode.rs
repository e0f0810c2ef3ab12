//! Frames into commands, and into what a server said.

use crate::Undecodable;
use crate::command::{Command, Method, WireCommand};
use crate::schema::wire::Reader;
use crate::schema::{Fields, read_content};
use crate::server::{ServerMessage, WireReply};

/// The commands of `frame`, in order. After an error there is nothing more to read.
pub fn commands(frame: &[u8]) -> impl Iterator<Item = Result<Command<'_>, Undecodable>> {
    messages(frame).map(|content| {
        let content = content?;
        // By far the most frequent one: the answer to a ping.
        if content.is_empty() {
            return Ok(Command {
                id: 0,
                method: Method::Pong,
            });
        }
        read::<WireCommand<'_>>(content)?.command()
    })
}

/// What a server said in `frame`, in order. After an error there is nothing more to read.
pub fn server_messages(frame: &[u8]) -> impl Iterator<Item = Result<ServerMessage, Undecodable>> {
    messages(frame).map(|content| Ok(read::<WireReply<'_>>(content?)?.message()))
}

pub(crate) fn read<'de, T: Fields<'de> + Default>(content: &'de [u8]) -> Result<T, Undecodable> {
    let mut message = T::default();
    read_content(&mut message, Reader::new(content))?;
    Ok(message)
}

/// The messages of a frame, without their lengths. An empty frame is an error, and an error is the
/// last thing that comes.
fn messages(frame: &[u8]) -> impl Iterator<Item = Result<&[u8], Undecodable>> {
    let mut rest = Some(Reader::new(frame));
    std::iter::from_fn(move || {
        let reader = rest.as_mut()?;
        let message = if frame.is_empty() {
            Err(Undecodable::Empty)
        } else {
            reader.delimited()
        };
        if message.is_err() || reader.is_empty() {
            rest = None;
        }
        Some(message)
    })
}
