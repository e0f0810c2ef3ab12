//! Frames that the reference implementation has encoded (`golden/frames.txt`, written by
//! `golden/main.go`): what we read of either encoding is the same, and we write the same bytes.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at its first surprise"
)]

use std::collections::BTreeMap;

use bytes::BytesMut;
use chatsdk_protocol::{Encoding, ServerMessage, fossil, json, protobuf};

const FRAMES: &str = include_str!("golden/frames.txt");
const DELTAS: &str = include_str!("golden/deltas.json");

/// Who says it, the Protobuf and the JSON of each frame.
fn frames() -> impl Iterator<Item = (&'static str, Vec<u8>, &'static str)> {
    FRAMES.lines().map(|line| {
        let (from, rest) = line.split_once(' ').unwrap();
        let (hex, text) = rest.split_once(' ').unwrap();
        let bytes = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        (from, bytes, text)
    })
}

fn one<T, E: std::fmt::Debug>(mut all: impl Iterator<Item = Result<T, E>>, frame: &str) -> T {
    let first = all.next().unwrap().expect(frame);
    assert!(all.next().is_none(), "{frame}");
    first
}

#[test]
fn commands() {
    let mut count = 0;
    for (_, bytes, text) in frames().filter(|(from, ..)| *from == "command") {
        let from_json = one(json::commands(text), text);
        let from_protobuf = one(protobuf::commands(&bytes), text);
        assert_eq!(from_json, from_protobuf, "{text}");
        for command in [from_json, from_protobuf] {
            let mut out = BytesMut::new();
            json::encode_command(&command, &mut out).expect(text);
            assert_eq!(std::str::from_utf8(&out).unwrap(), text);
            out.clear();
            protobuf::encode_command(&command, &mut out);
            assert_eq!(out, bytes, "{text}");
        }
        count += 1;
    }
    assert_eq!(count, 19);
}

#[test]
fn replies_and_pushes() {
    let mut count = 0;
    for (_, bytes, text) in frames().filter(|(from, ..)| *from == "reply") {
        let message = one(json::server_messages(text), text);
        assert_eq!(message, one(protobuf::server_messages(&bytes), text));
        for (encoding, expected) in [
            (Encoding::Json, text.as_bytes()),
            (Encoding::Protobuf, &bytes),
        ] {
            let mut out = BytesMut::new();
            match &message {
                ServerMessage::Ping => out.extend_from_slice(encoding.ping()),
                ServerMessage::Reply(reply) => encoding.encode_reply(reply, &mut out).expect(text),
                ServerMessage::Push(push) => encoding.encode_push(push, &mut out).expect(text),
                ServerMessage::Unknown => panic!("{text}"),
            }
            assert_eq!(
                out,
                expected,
                "{text} but {}",
                String::from_utf8_lossy(&out)
            );
        }
        count += 1;
    }
    assert_eq!(count, 32);
}

/// All of them in one frame.
#[test]
fn streams() {
    for from in ["command", "reply"] {
        let mut text = String::new();
        let mut bytes = Vec::new();
        let mut count = 0;
        for (_, protobuf, json) in frames().filter(|frame| frame.0 == from) {
            text += json;
            text.push('\n');
            bytes.extend(protobuf);
            count += 1;
        }
        let read = |encoding: Encoding, frame: &[u8]| {
            if from == "command" {
                encoding.commands(frame).filter_map(Result::ok).count()
            } else {
                encoding
                    .server_messages(frame)
                    .filter_map(Result::ok)
                    .count()
            }
        };
        assert_eq!(read(Encoding::Json, text.as_bytes()), count);
        assert_eq!(read(Encoding::Protobuf, &bytes), count);
    }
}

/// Deltas that the stock clients have applied (`golden/verify.py`, `golden/verify.mjs`) are still the ones
/// that we make.
#[test]
fn deltas() {
    let deltas: Vec<BTreeMap<String, String>> = serde_json::from_str(DELTAS).unwrap();
    assert_eq!(deltas.len(), 7);
    for entry in deltas {
        let [base, target, delta] = ["base", "target", "delta"].map(|name| entry[name].as_bytes());
        let made = fossil::create(base, target).unwrap();
        assert_eq!(String::from_utf8_lossy(&made), entry["delta"]);
        assert_eq!(fossil::apply(base, delta, 1 << 16).as_deref(), Ok(target));
    }
}
