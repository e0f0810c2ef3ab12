//! Commands, replies and pushes into lines, without the newline between two of them.
//!
//! The envelopes are written by hand: a handful of fixed strings around a content that the schema or
//! the application has made, and publications are on the hot path.

use bytes::BytesMut;

use crate::command::Command;
use crate::encoding::Route;
use crate::json::PING;
use crate::object::Publication;
use crate::payload::NotJson;
use crate::push::Push;
use crate::reply::Reply;
use crate::schema::{Encode, write_json_string, write_number};

/// Appends `command`. After an error `out` is as it was.
pub fn encode_command(command: &Command<'_>, out: &mut BytesMut) -> Result<(), NotJson> {
    let Some((_, name, content)) = command.method.member() else {
        out.extend_from_slice(PING.as_bytes());
        return Ok(());
    };
    whole(out, |out| {
        out.extend_from_slice(b"{");
        if command.id != 0 {
            out.extend_from_slice(b"\"id\":");
            write_number(u64::from(command.id), out);
            out.extend_from_slice(b",");
        }
        member(name, content, out)?;
        out.extend_from_slice(b"}");
        Ok(())
    })
}

/// Appends `reply`. The member of the method is always there, even when it holds nothing: clients look
/// for it. After an error `out` is as it was.
pub fn encode_reply(reply: &Reply, out: &mut BytesMut) -> Result<(), NotJson> {
    whole(out, |out| {
        let (_, name, content) = reply.body.member();
        out.extend_from_slice(b"{\"id\":");
        write_number(u64::from(reply.id), out);
        out.extend_from_slice(b",");
        member(name, content, out)?;
        out.extend_from_slice(b"}");
        Ok(())
    })
}

/// Appends `push`. After an error `out` is as it was.
pub fn encode_push(push: &Push, out: &mut BytesMut) -> Result<(), NotJson> {
    let to = if push.id == 0 {
        Route::Channel(&push.channel)
    } else {
        Route::Id(push.id)
    };
    let (_, name, content) = push.body.member();
    encode(to, name, content, out)
}

/// Appends the push of `publication`. After an error `out` is as it was.
pub fn encode_publication(
    to: Route<'_>,
    publication: &Publication,
    out: &mut BytesMut,
) -> Result<(), NotJson> {
    encode(to, "pub", publication, out)
}

fn encode<T: Encode + ?Sized>(
    to: Route<'_>,
    name: &str,
    content: &T,
    out: &mut BytesMut,
) -> Result<(), NotJson> {
    whole(out, |out| {
        out.extend_from_slice(b"{\"push\":{");
        match to {
            Route::Channel("") => {}
            Route::Channel(channel) => {
                out.extend_from_slice(b"\"channel\":");
                write_json_string(channel, out);
                out.extend_from_slice(b",");
            }
            Route::Id(id) => {
                out.extend_from_slice(b"\"id\":");
                id.write_json(out)?;
                out.extend_from_slice(b",");
            }
        }
        member(name, content, out)?;
        out.extend_from_slice(b"}}");
        Ok(())
    })
}

/// `"name":content`
fn member<T: Encode + ?Sized>(name: &str, content: &T, out: &mut BytesMut) -> Result<(), NotJson> {
    out.extend_from_slice(b"\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    content.write_json(out)
}

/// Takes everything back when `write` fails.
fn whole(
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<(), NotJson>,
) -> Result<(), NotJson> {
    let before = out.len();
    write(out).inspect_err(|_| out.truncate(before))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::Payload;
    use crate::push::{Message, Refresh};
    use crate::reply::{ConnectResult, RefreshResult, ReplyBody};
    use crate::{Disconnect, DisconnectCode, ErrorCode, ReplyError};

    fn encoded(reply: &Reply) -> String {
        let mut out = BytesMut::new();
        encode_reply(reply, &mut out).expect("it is JSON");
        String::from_utf8(out.to_vec()).expect("it is UTF-8")
    }

    fn pushed(push: &Push) -> String {
        let mut out = BytesMut::new();
        encode_push(push, &mut out).expect("it is JSON");
        String::from_utf8(out.to_vec()).expect("it is UTF-8")
    }

    #[test]
    fn golden_replies() {
        assert_eq!(
            encoded(&Reply::new(
                1,
                ConnectResult {
                    client: "7a37".into(),
                    version: "1.0.0".into(),
                    expires: true,
                    ttl: 3600,
                    ping: 25,
                    pong: true,
                    time: 1_700_000_000_000,
                    ..ConnectResult::default()
                }
            )),
            r#"{"id":1,"connect":{"client":"7a37","version":"1.0.0","expires":true,"ttl":3600,"ping":25,"pong":true,"time":1700000000000}}"#
        );
        assert_eq!(
            encoded(&Reply::new(
                u32::MAX,
                RefreshResult {
                    expires: true,
                    ttl: 60,
                    ..RefreshResult::default()
                }
            )),
            r#"{"id":4294967295,"refresh":{"expires":true,"ttl":60}}"#
        );
        assert_eq!(
            encoded(&Reply::new(2, RefreshResult::default())),
            r#"{"id":2,"refresh":{}}"#,
            "the member stands there even when it is empty"
        );
        assert_eq!(
            encoded(&Reply::new(3, ReplyBody::Unsubscribe)),
            r#"{"id":3,"unsubscribe":{}}"#
        );
        assert_eq!(
            encoded(&Reply::new(4, ReplyBody::Ping)),
            r#"{"id":4,"ping":{}}"#
        );
    }

    #[test]
    fn golden_errors() {
        assert_eq!(
            encoded(&Reply::new(9, ErrorCode::TokenExpired)),
            r#"{"id":9,"error":{"code":109,"message":"token expired"}}"#
        );
        assert_eq!(
            encoded(&Reply::new(9, ErrorCode::Internal)),
            r#"{"id":9,"error":{"code":100,"message":"internal server error","temporary":true}}"#
        );
        let own = ReplyError::application(418, "a \"teapot\"\n", false).expect("in range");
        assert_eq!(
            encoded(&Reply::new(9, own)),
            r#"{"id":9,"error":{"code":418,"message":"a \"teapot\"\n"}}"#
        );
    }

    #[test]
    fn golden_pushes() {
        assert_eq!(
            pushed(&Push::of_connection(&Disconnect::from(
                DisconnectCode::Shutdown
            ))),
            r#"{"push":{"disconnect":{"code":3001,"reason":"shutdown"}}}"#
        );
        assert_eq!(
            pushed(&Push::of_connection(Refresh {
                expires: true,
                ttl: 5
            })),
            r#"{"push":{"refresh":{"expires":true,"ttl":5}}}"#
        );
        let pretty = Payload::new("{\n  \"a\": \"x\\ny\"\r\n}");
        assert_eq!(
            pushed(&Push::of_connection(Message { data: pretty })),
            r#"{"push":{"message":{"data":{  "a": "x\ny"}}}}"#,
            "a payload never breaks the line"
        );
    }

    #[test]
    fn what_is_not_json_is_refused_whole() {
        let mut out = BytesMut::from(&b"before"[..]);
        let forged = Publication {
            data: Payload::new("1,\"offset\":99"),
            ..Publication::default()
        };
        assert_eq!(
            encode_publication(Route::Channel("news"), &forged, &mut out),
            Err(NotJson)
        );
        assert_eq!(&out[..], b"before");
    }
}
