//! Numbers in base 64, the most significant digit first, and the checksum that ends a delta.

const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~";

/// How many digits `value` takes.
pub(super) const fn width(value: u32) -> usize {
    (32 - (value | 1).leading_zeros()).div_ceil(6) as usize
}

pub(super) fn write(value: u32, out: &mut Vec<u8>) {
    for digit in (0..width(value)).rev() {
        out.push(DIGITS[(value >> (6 * digit)) as usize & 63]);
    }
}

/// The number that `bytes` begins with, and the rest; `None` when there is none, or more than fits.
pub(super) fn read(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0_u32;
    let mut rest = bytes;
    while let Some((digit, after)) = rest
        .split_first()
        .and_then(|(byte, after)| Some((digit(*byte)?, after)))
    {
        value = value.checked_mul(64)?.checked_add(digit)?;
        rest = after;
    }
    (rest.len() < bytes.len()).then_some((value, rest))
}

const fn digit(byte: u8) -> Option<u32> {
    Some(match byte {
        b'0'..=b'9' => (byte - b'0') as u32,
        b'A'..=b'Z' => (byte - b'A') as u32 + 10,
        b'_' => 36,
        b'a'..=b'z' => (byte - b'a') as u32 + 37,
        b'~' => 63,
        _ => return None,
    })
}

/// The sum of the big-endian words of `bytes`, the last one filled up with zeros.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().chain([&last]).fold(0_u32, |sum, word| {
        sum.wrapping_add(u32::from_be_bytes(*word))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for value in [
            0,
            1,
            36,
            37,
            63,
            64,
            4095,
            4096,
            1 << 24,
            1 << 30,
            u32::MAX - 1,
            u32::MAX,
        ] {
            let mut out = Vec::new();
            write(value, &mut out);
            assert_eq!(out.len(), width(value));
            out.push(b'@');
            assert_eq!(read(&out), Some((value, &b"@"[..])));
        }
        assert_eq!(read(b""), None);
        assert_eq!(read(b"@1"), None);
        assert_eq!(read(b"40000000"), None, "2^44");
        assert_eq!(read(b"000000000001,"), Some((1, &b","[..])));
    }

    #[test]
    fn every_digit_is_its_place() {
        for (place, byte) in DIGITS.iter().enumerate() {
            assert_eq!(digit(*byte), Some(place as u32));
        }
    }

    #[test]
    fn the_last_word_is_filled_up() {
        assert_eq!(checksum(b""), 0);
        assert_eq!(checksum(&[1]), 0x0100_0000);
        assert_eq!(
            checksum(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 2, 1, 2]),
            0x0102_0001
        );
    }
}
