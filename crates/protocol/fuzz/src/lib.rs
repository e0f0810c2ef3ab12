//! What is fuzzed: one function a decoder. None of them may panic, whatever the input. They are driven
//! by libFuzzer (`fuzz_targets`) and, for a short while, by an ordinary test (`tests/fuzz.rs`).

use bytes::BytesMut;
use chatsdk_protocol::filter::Filter;
use chatsdk_protocol::{Command, EmulationRequest, Encoding, Method, ServerMessage, fossil};

/// A frame of a client, in JSON.
pub fn json_commands(input: &[u8]) {
    commands(Encoding::Json, input);
}

/// A frame of a client, in Protobuf.
pub fn protobuf_commands(input: &[u8]) {
    commands(Encoding::Protobuf, input);
}

/// A frame of a server, in JSON.
pub fn json_server_messages(input: &[u8]) {
    server_messages(Encoding::Json, input);
}

/// A frame of a server, in Protobuf.
pub fn protobuf_server_messages(input: &[u8]) {
    server_messages(Encoding::Protobuf, input);
}

/// A post to `/emulation`, in JSON.
pub fn emulation_json(input: &[u8]) {
    emulation(Encoding::Json, input);
}

/// A post to `/emulation`, in Protobuf.
pub fn emulation_protobuf(input: &[u8]) {
    emulation(Encoding::Protobuf, input);
}

/// A delta, after a base and the byte that tells the base's length.
pub fn fossil_apply(input: &[u8]) {
    const LONGEST: usize = 1 << 16;
    let (base, delta) = halves(input);
    if let Ok(target) = fossil::apply(base, delta, LONGEST) {
        assert!(target.len() <= LONGEST);
    }
}

/// A target, after a base and the byte that tells the base's length.
pub fn fossil_create(input: &[u8]) {
    let (base, target) = halves(input);
    if let Some(delta) = fossil::create(base, target) {
        assert!(delta.len() < target.len());
        assert_eq!(
            fossil::apply(base, &delta, target.len()).as_deref(),
            Ok(target)
        );
        assert!(std::str::from_utf8(target).is_err() || std::str::from_utf8(&delta).is_ok());
    }
}

/// What is understood can be said again, and is understood the same.
fn commands(encoding: Encoding, input: &[u8]) {
    for command in encoding.commands(input).flatten() {
        if let Method::Subscribe(request) = &command.method
            && let Some(filter) = &request.filter
            && let Ok(filter) = Filter::new(filter)
        {
            filter.matches(&[("k".to_owned(), "1".to_owned())].into());
        }
        let again = said(encoding, &command);
        let mut read = encoding.commands(&again);
        let read = read.next().and_then(Result::ok);
        let read = read.unwrap_or_else(|| panic!("{command:?} is not understood"));
        assert!(said(encoding, &read) == again, "{command:?} but {read:?}");
    }
}

fn said(encoding: Encoding, command: &Command<'_>) -> BytesMut {
    let mut out = BytesMut::new();
    let said = encoding.encode_command(command, &mut out);
    assert!(said.is_ok(), "what came in as JSON is JSON");
    out
}

fn server_messages(encoding: Encoding, input: &[u8]) {
    for message in encoding.server_messages(input).flatten() {
        let mut out = BytesMut::new();
        let said = match &message {
            ServerMessage::Reply(reply) => encoding.encode_reply(reply, &mut out),
            ServerMessage::Push(push) => {
                // A push that has a number leaves its channel out.
                if push.id != 0 && !push.channel.is_empty() {
                    continue;
                }
                encoding.encode_push(push, &mut out)
            }
            ServerMessage::Ping | ServerMessage::Unknown => continue,
        };
        assert!(said.is_ok(), "what came in as JSON is JSON");
        let read = encoding.server_messages(&out).next().and_then(Result::ok);
        let mut again = BytesMut::new();
        let said = match &read {
            Some(ServerMessage::Reply(reply)) => encoding.encode_reply(reply, &mut again),
            Some(ServerMessage::Push(push)) => encoding.encode_push(push, &mut again),
            _ => panic!("{message:?} is not understood"),
        };
        assert!(said.is_ok() && again == out, "{message:?} but {read:?}");
    }
}

fn emulation(encoding: Encoding, input: &[u8]) {
    if let Ok(request) = EmulationRequest::decode(encoding, input) {
        commands(encoding, &request.data);
    }
}

fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((size, rest)) = input.split_first() else {
        return (&[], &[]);
    };
    rest.split_at(usize::from(*size).min(rest.len()))
}
