//! From a base and a target to the delta.

use crate::fossil::number::{checksum, width, write};

/// How many bytes must be equal for a copy to be looked for: as many as an index entry covers.
const BLOCK: usize = 16;

/// How many blocks of the base with one hash are tried. More would find slightly longer copies in bases
/// that repeat themselves, for much more time.
const TRIES: usize = 16;

/// The delta that makes `target` of `base`, or `None` when it is not shorter than `target`. If `target`
/// is UTF-8 then so is the delta: copies begin and end between characters.
///
/// Takes time in proportion to the two sizes, however they repeat themselves.
pub fn create(base: &[u8], target: &[u8]) -> Option<Vec<u8>> {
    // Numbers have 32 bits; and below this nothing can be saved.
    if target.len() < BLOCK || u32::try_from(base.len().max(target.len())).is_err() {
        return None;
    }
    let mut delta = Writer::new(target);
    let head = common_prefix(base, target);
    let tail = common_suffix(&base[head..], &target[head..]);
    delta.copy(0, 0, head);
    let middle = head..target.len() - tail;
    // What stands between changed; parts of it may still come from elsewhere in the base.
    if middle.len() >= BLOCK && base.len() >= BLOCK {
        copies(base, target, middle.clone(), &mut delta);
    }
    delta.copy(middle.end, base.len() - tail, tail);
    delta.finish()
}

/// Writes what `target[middle]` has in common with any part of `base`.
fn copies(base: &[u8], target: &[u8], middle: std::ops::Range<usize>, delta: &mut Writer<'_>) {
    let index = Index::new(base);
    let mut at = middle.start;
    while let Some(block) = target[at..middle.end].first_chunk::<BLOCK>() {
        let longest = index
            .blocks(*block)
            .map(|offset| {
                let size = common_prefix(&base[offset..], &target[at..middle.end]);
                (size, offset)
            })
            .filter(|(size, _)| *size >= BLOCK)
            .max();
        let Some((size, offset)) = longest else {
            at += 1;
            continue;
        };
        // What is equal may begin before the place where it was found, but not by much: else the block
        // before would have been found.
        let back = delta.written.max(at.saturating_sub(2 * BLOCK));
        let before = common_suffix(&base[..offset], &target[back..at]);
        delta.copy(at - before, offset - before, size + before);
        at += size;
    }
}

/// Where in the base each of its blocks stands.
struct Index {
    /// By hash, the last block that has it, plus one.
    heads: Vec<u32>,
    /// By block, the one before with the same hash, plus one.
    before: Vec<u32>,
    shift: u32,
}

impl Index {
    fn new(base: &[u8]) -> Self {
        let (blocks, _) = base.as_chunks::<BLOCK>();
        let bits = (blocks.len() * 2)
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let mut index = Self {
            heads: vec![0; 1 << bits],
            before: vec![0; blocks.len()],
            shift: 64 - bits,
        };
        for (at, block) in blocks.iter().enumerate() {
            let head = index.slot(*block);
            index.before[at] = index.heads[head];
            index.heads[head] = at as u32 + 1;
        }
        index
    }

    /// Where blocks stand that may be `block`.
    fn blocks(&self, block: [u8; BLOCK]) -> impl Iterator<Item = usize> {
        let mut next = self.heads[self.slot(block)];
        std::iter::from_fn(move || {
            let at = next.checked_sub(1)? as usize;
            next = self.before[at];
            Some(at * BLOCK)
        })
        .take(TRIES)
    }

    fn slot(&self, block: [u8; BLOCK]) -> usize {
        let block = u128::from_le_bytes(block);
        let mixed = (block as u64)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .wrapping_add((block >> 64) as u64)
            .wrapping_mul(0xd6e8_feb8_6659_fd93);
        (mixed >> self.shift) as usize
    }
}

struct Writer<'a> {
    target: &'a [u8],
    out: Vec<u8>,
    /// How much of the target is in `out`.
    written: usize,
}

impl<'a> Writer<'a> {
    fn new(target: &'a [u8]) -> Self {
        let mut out = Vec::with_capacity(64);
        write(target.len() as u32, &mut out);
        out.push(b'\n');
        Self {
            target,
            out,
            written: 0,
        }
    }

    /// Takes `target[at..at + size]`, which is not before what is written, from `offset` of the base, if
    /// that is shorter than the bytes themselves.
    fn copy(&mut self, mut at: usize, mut offset: usize, mut size: usize) {
        // No character is longer than four bytes; more than three cuts in a row are not text.
        for _ in 0..3 {
            if size > 0 && self.cuts(at) {
                (at, offset, size) = (at + 1, offset + 1, size - 1);
            }
            if size > 0 && self.cuts(at + size) {
                size -= 1;
            }
        }
        if size <= 2 + width(size as u32) + width(offset as u32) {
            return;
        }
        self.take(at);
        write(size as u32, &mut self.out);
        self.out.push(b'@');
        write(offset as u32, &mut self.out);
        self.out.push(b',');
        self.written = at + size;
    }

    /// Takes the bytes of the target themselves, up to `end`.
    fn take(&mut self, end: usize) {
        if end > self.written {
            write((end - self.written) as u32, &mut self.out);
            self.out.push(b':');
            self.out.extend_from_slice(&self.target[self.written..end]);
        }
    }

    /// Whether a cut before `at` would be inside a character.
    fn cuts(&self, at: usize) -> bool {
        self.target.get(at).is_some_and(|byte| byte & 0xc0 == 0x80)
    }

    fn finish(mut self) -> Option<Vec<u8>> {
        self.take(self.target.len());
        write(checksum(self.target), &mut self.out);
        self.out.push(b';');
        (self.out.len() < self.target.len()).then_some(self.out)
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    // Eight bytes at a time, then the rest.
    let (a_words, b_words) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let words = a_words
        .iter()
        .zip(b_words)
        .take_while(|(a, b)| a == b)
        .count();
    let rest = a[words * 8..].iter().zip(&b[words * 8..]);
    words * 8 + rest.take_while(|(a, b)| a == b).count()
}

fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let (a_words, b_words) = (a.as_rchunks::<8>().1, b.as_rchunks::<8>().1);
    let words = a_words
        .iter()
        .rev()
        .zip(b_words.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let rest = a[..a.len() - words * 8]
        .iter()
        .rev()
        .zip(b[..b.len() - words * 8].iter().rev());
    words * 8 + rest.take_while(|(a, b)| a == b).count()
}
