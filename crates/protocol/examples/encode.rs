//! What the hot path costs: `cargo run --release -p chatsdk-protocol --example encode`.
//!
//! Prints nanoseconds per operation, the median of 31 rounds, for a payload of 100 bytes.

use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use chatsdk_protocol::command::PublishRequest;
use chatsdk_protocol::{
    Command, Encoding, Method, NotJson, Payload, Publication, Route, fossil, json,
};

fn main() -> Result<(), NotJson> {
    let data = format!("{{\"text\":\"{}\"}}", "x".repeat(89));
    let publication = Publication {
        data: Payload::new(data.clone()),
        offset: 1234,
        ..Publication::default()
    };
    let publish = Method::Publish(PublishRequest {
        channel: "chat:room-1234".into(),
        data: publication.data.as_ref(),
        ..PublishRequest::default()
    });
    let command = Command {
        id: 7,
        method: publish,
    };
    for encoding in [Encoding::Json, Encoding::Protobuf] {
        let mut out = BytesMut::with_capacity(4096);
        measure(&format!("{encoding:?}: encode a publication"), || {
            out.clear();
            let to = Route::Channel(black_box("chat:room-1234"));
            black_box(encoding.encode_publication(to, black_box(&publication), &mut out)).is_ok()
        });
        let mut frame = BytesMut::new();
        encoding.encode_command(&command, &mut frame)?;
        measure(&format!("{encoding:?}: decode a publish command"), || {
            encoding
                .commands(black_box(&frame))
                .all(|read| black_box(read).is_ok())
        });
    }
    measure("Json: decode a pong", || {
        json::commands(black_box("{}")).all(|read| black_box(read).is_ok())
    });
    for size in [100, 1000, 10_000] {
        let base = format!(
            "{{\"text\":\"{}\",\"count\":1}}",
            "lorem ipsum ".repeat(size / 12)
        );
        let target = base
            .replace("\"count\":1", "\"count\":2")
            .replace("\"text\"", "\"body\"");
        measure(&format!("a delta of two changes in {size} bytes"), || {
            fossil::create(black_box(base.as_bytes()), black_box(target.as_bytes())).is_some()
        });
    }
    Ok(())
}

fn measure(what: &str, mut operation: impl FnMut() -> bool) {
    const ROUND: u32 = 10_000;
    let mut rounds: Vec<f64> = (0..31)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..ROUND {
                black_box(operation());
            }
            start.elapsed().as_nanos() as f64 / f64::from(ROUND)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{:>9.1} ns  {what}", rounds[rounds.len() / 2]);
}
