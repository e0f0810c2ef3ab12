//! Chance that can be had again: everything random in a run follows from its seed.

use std::fmt;
use std::sync::Mutex;

use chatsdk_types::{Entropy, Millis};

/// SplitMix64. Small, fast, and good enough to shake a simulation with.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The generator of `seed`; each `stream` of it is another.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        rng.draw();
        rng
    }

    /// 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True so often.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A time between two, in ms.
    pub fn between(&mut self, least: Millis, most: Millis) -> Millis {
        least + (self.unit() * (most - least + 1) as f64) as Millis
    }

    /// A time until something that happens once in `mean` ms.
    pub fn wait(&mut self, mean: Millis) -> Millis {
        (-(1.0 - self.unit()).ln() * mean as f64) as Millis + 1
    }

    /// One of `all`.
    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[(self.unit() * all.len() as f64) as usize % all.len()]
    }
}

/// The same as a source of identifiers.
pub struct SeededEntropy(pub Mutex<Rng>);

impl fmt::Debug for SeededEntropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeededEntropy")
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, buffer: &mut [u8]) {
        let mut rng = crate::lock(&self.0);
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&rng.draw().to_le_bytes()[..chunk.len()]);
        }
    }
}
