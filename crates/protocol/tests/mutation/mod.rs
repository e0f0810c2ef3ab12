//! Inputs made of others, by the same seed each time. For the fuzz tests of this crate and of others.
#![allow(unreachable_pub, reason = "other crates' tests take it in by its path")]

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

/// Runs `target` on the seeds, and on some thousand inputs that are made of them.
pub fn run(target: fn(&[u8]), seeds: &[Vec<u8>]) {
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
