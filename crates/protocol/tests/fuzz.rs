//! A short run of every fuzz target on the stable toolchain: the golden frames, and some thousand
//! inputs made of them by the same seed each time. `cargo fuzz run -s none <target>` goes on from here.

#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

mod mutation;

use mutation::run;

const FRAMES: &str = include_str!("golden/frames.txt");

fn json(from: &str) -> Vec<Vec<u8>> {
    let frames = FRAMES.lines().filter(|line| line.starts_with(from));
    frames
        .filter_map(|line| line.splitn(3, ' ').nth(2))
        .map(|text| text.as_bytes().to_vec())
        .collect()
}

fn protobuf(from: &str) -> Vec<Vec<u8>> {
    let frames = FRAMES.lines().filter(|line| line.starts_with(from));
    frames
        .filter_map(|line| line.split(' ').nth(1))
        .map(|hex| {
            let digits = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16);
            (0..hex.len()).step_by(2).flat_map(digits).collect()
        })
        .collect()
}

#[test]
fn json_commands() {
    run(targets::json_commands, &json("command"));
}

#[test]
fn protobuf_commands() {
    run(targets::protobuf_commands, &protobuf("command"));
}

#[test]
fn json_server_messages() {
    run(targets::json_server_messages, &json("reply"));
}

#[test]
fn protobuf_server_messages() {
    run(targets::protobuf_server_messages, &protobuf("reply"));
}

#[test]
fn emulation_json() {
    let bodies: Vec<_> = json("command")
        .into_iter()
        .filter_map(|command| String::from_utf8(command).ok())
        .map(|data| serde_json::json!({"session": "s", "node": "n", "data": data}))
        .map(|body| body.to_string().into_bytes())
        .collect();
    run(targets::emulation_json, &bodies);
}

#[test]
fn emulation_protobuf() {
    let bodies: Vec<_> = protobuf("command")
        .into_iter()
        .filter(|data| data.len() < 128)
        .map(|data| [&b"\x0a\x01n\x12\x01s\x1a"[..], &[data.len() as u8], &data].concat())
        .collect();
    run(targets::emulation_protobuf, &bodies);
}

#[test]
fn fossil_apply() {
    let base = b"0123456789abcdef0123456789ABCDEF";
    let mut target = base.to_vec();
    target.extend_from_slice(b", and more");
    let delta = chatsdk_protocol::fossil::create(base, &target).expect("it is shorter");
    run(
        targets::fossil_apply,
        &[[&[base.len() as u8][..], base, &delta].concat()],
    );
}

#[test]
fn fossil_create() {
    let texts = json("reply");
    let pairs: Vec<_> = texts
        .iter()
        .filter(|text| text.len() < 128)
        .flat_map(|base| {
            texts
                .iter()
                .map(|target| [&[base.len() as u8][..], base, target].concat())
        })
        .collect();
    run(targets::fossil_create, &pairs);
}
