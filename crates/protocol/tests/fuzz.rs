//! A short run of every fuzz target on the stable toolchain: the golden frames, and some thousand
//! inputs made of them by the same seed each time. `cargo fuzz run -s none <target>` goes on from here.

#[expect(unreachable_pub, reason = "it is a crate of its own elsewhere")]
#[path = "../fuzz/src/lib.rs"]
mod targets;

const FRAMES: &str = include_str!("golden/frames.txt");

/// A generator of numbers that look random (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }

    /// Changes a few places of `input`: bits, bytes, lengths, and pieces of `other`.
    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        const TELLING: &[u8] = b"\x00\x7f\x80\xff\"\\{}[]:,\n0-;@";
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            match self.below(6) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.below(256) as u8,
                2 if at < input.len() => drop(input.remove(at)),
                3 => input.insert(at, TELLING[self.below(TELLING.len())]),
                4 => input.truncate(at),
                _ => {
                    let from = self.below(other.len() + 1);
                    let to = from + self.below(other.len() - from + 1);
                    let end = (at + self.below(8)).min(input.len());
                    input.splice(at..end, other[from..to].iter().copied());
                }
            }
        }
    }
}

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

fn run(target: fn(&[u8]), seeds: &[Vec<u8>]) {
    assert!(!seeds.is_empty());
    for seed in seeds {
        target(seed);
    }
    let mut numbers = Numbers(1);
    for _ in 0..20_000 {
        let mut input = seeds[numbers.below(seeds.len())].clone();
        let other = &seeds[numbers.below(seeds.len())];
        numbers.mutate(&mut input, other);
        target(&input);
    }
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
