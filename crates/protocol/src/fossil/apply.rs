//! From a base and a delta to the target.

use crate::fossil::number::{checksum, read};

/// What is no delta to this base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadDelta {
    /// It breaks the format, or names bytes that the base does not have.
    #[error("not a delta to this base")]
    Malformed,
    /// The target would be longer than the caller allows.
    #[error("the target is too long")]
    TooLong,
    /// It was made for another base.
    #[error("the checksum is of another target")]
    Checksum,
}

/// The target that `delta` makes of `base`, of `longest` bytes at most. No more memory than the target
/// takes is ever used.
pub fn apply(base: &[u8], delta: &[u8], longest: usize) -> Result<Vec<u8>, BadDelta> {
    let (size, mut rest) = number(delta)?;
    if size > longest {
        return Err(BadDelta::TooLong);
    }
    rest = rest.strip_prefix(b"\n").ok_or(BadDelta::Malformed)?;
    // Not reserved at once: a few bytes may claim any size.
    let mut target = Vec::new();
    loop {
        let (count, after) = number(rest)?;
        let (kind, after) = after.split_first().ok_or(BadDelta::Malformed)?;
        let piece;
        (piece, rest) = match kind {
            b'@' => {
                let (offset, after) = number(after)?;
                let copied = base.get(offset..).and_then(|base| base.get(..count));
                (copied, after.strip_prefix(b",").ok_or(BadDelta::Malformed)?)
            }
            b':' => match after.split_at_checked(count) {
                Some((taken, after)) => (Some(taken), after),
                None => return Err(BadDelta::Malformed),
            },
            b';' if target.len() != size || !after.is_empty() => return Err(BadDelta::Malformed),
            b';' if checksum(&target) as usize != count => return Err(BadDelta::Checksum),
            b';' => return Ok(target),
            _ => return Err(BadDelta::Malformed),
        };
        let piece = piece.ok_or(BadDelta::Malformed)?;
        if piece.len() > size - target.len() {
            return Err(BadDelta::Malformed);
        }
        target.extend_from_slice(piece);
    }
}

fn number(bytes: &[u8]) -> Result<(usize, &[u8]), BadDelta> {
    let (value, rest) = read(bytes).ok_or(BadDelta::Malformed)?;
    Ok((value as usize, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_refused() {
        let base = b"0123456789";
        assert_eq!(
            apply(base, b"4\n4@2,2cmGY;", 4).as_deref(),
            Err(&BadDelta::Checksum)
        );
        assert_eq!(apply(base, b"4\n4@2,oFD9D;", 3), Err(BadDelta::TooLong));
        for bad in [
            &b""[..],
            b"4",
            b"4\n",
            b"4\n4@2",
            b"4\n4@9,0;",
            b"4\n4@~~~~~,0;",
            b"4\n5@0,0;",
            b"4\n9:ab",
            b"4\n0;",
            b"4\n4@2,4@2,0;",
            b"0\n0;x",
            b"4\n4?2,",
            b"~~~~~~\n0;",
        ] {
            assert_eq!(
                apply(base, bad, 100),
                Err(BadDelta::Malformed),
                "{}",
                String::from_utf8_lossy(bad)
            );
        }
        assert_eq!(apply(base, b"0\n0;", 0).as_deref(), Ok(&b""[..]));
    }
}
