//! Protobuf's own rules: tags, varints, lengths, and how to pass over what is unknown.

use bytes::BytesMut;

use crate::Undecodable;

/// How deep messages may nest. The deepest honest one is a filter.
const MAX_NESTING: u8 = 64;

pub(crate) const VARINT: u32 = 0;
const FIXED64: u32 = 1;
pub(crate) const DELIMITED: u32 = 2;
const GROUP: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED32: u32 = 5;

/// How many bytes `value` takes as a varint.
pub(crate) const fn varint_size(value: u64) -> usize {
    // Seven bits a byte; 9/64 is 1/7 without a division, exact for 1 to 64 bits.
    ((64 - (value | 1).leading_zeros()) as usize * 9 + 64) / 64
}

pub(crate) fn write_varint(mut value: u64, out: &mut BytesMut) {
    let mut bytes = [0_u8; 10];
    let mut size = 0;
    while value >= 0x80 {
        bytes[size] = value as u8 | 0x80;
        value >>= 7;
        size += 1;
    }
    bytes[size] = value as u8;
    out.extend_from_slice(&bytes[..=size]);
}

pub(crate) const fn tag_size(number: u32) -> usize {
    varint_size((number << 3) as u64)
}

pub(crate) fn write_tag(number: u32, kind: u32, out: &mut BytesMut) {
    write_varint(u64::from(number << 3 | kind), out);
}

/// The size of a field that holds `content` bytes.
pub(crate) const fn delimited_size(number: u32, content: usize) -> usize {
    tag_size(number) + varint_size(content as u64) + content
}

/// The head of a field that holds `content` bytes.
pub(crate) fn write_delimited(number: u32, content: usize, out: &mut BytesMut) {
    write_tag(number, DELIMITED, out);
    write_varint(content as u64, out);
}

/// The fields of a message, in the order of the wire.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'de> {
    bytes: &'de [u8],
    nesting: u8,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'de> {
    Varint(u64),
    Delimited(Reader<'de>),
    /// Four or eight bytes, or a group: in no field of this protocol.
    Foreign,
}

impl<'de> Reader<'de> {
    pub(crate) const fn new(bytes: &'de [u8]) -> Self {
        Self { bytes, nesting: 0 }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Undecodable> {
        let mut value = 0_u64;
        for (at, byte) in self.bytes.iter().take(10).enumerate() {
            // The tenth byte has room for one bit.
            if at == 9 && *byte > 1 {
                return Err(Undecodable::Malformed);
            }
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.bytes = &self.bytes[at + 1..];
                return Ok(value);
            }
        }
        Err(Undecodable::Malformed)
    }

    /// The bytes that a length and as many bytes stand for.
    pub(crate) fn delimited(&mut self) -> Result<&'de [u8], Undecodable> {
        let size = self.varint()?;
        usize::try_from(size)
            .ok()
            .and_then(|size| self.take(size))
            .ok_or(Undecodable::Malformed)
    }

    /// The next field: its number and what it holds.
    pub(crate) fn field(&mut self) -> Result<(u32, Value<'de>), Undecodable> {
        let (number, kind) = self.tag()?;
        let value = match kind {
            VARINT => Value::Varint(self.varint()?),
            DELIMITED => Value::Delimited(Reader {
                bytes: self.delimited()?,
                nesting: self.nesting,
            }),
            GROUP => {
                self.skip_group(number)?;
                Value::Foreign
            }
            _ => {
                self.skip_fixed(kind)?;
                Value::Foreign
            }
        };
        Ok((number, value))
    }

    fn take(&mut self, size: usize) -> Option<&'de [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(size)?;
        self.bytes = rest;
        Some(taken)
    }

    fn tag(&mut self) -> Result<(u32, u32), Undecodable> {
        let tag = u32::try_from(self.varint()?).map_err(|_| Undecodable::Malformed)?;
        match tag >> 3 {
            0 => Err(Undecodable::Malformed),
            number => Ok((number, tag & 7)),
        }
    }

    fn skip_fixed(&mut self, kind: u32) -> Result<(), Undecodable> {
        let size = match kind {
            FIXED64 => 8,
            FIXED32 => 4,
            _ => return Err(Undecodable::Malformed),
        };
        self.take(size).map(drop).ok_or(Undecodable::Malformed)
    }

    /// Passes over everything up to the end of the group that was opened by field `number`.
    fn skip_group(&mut self, number: u32) -> Result<(), Undecodable> {
        let mut open = vec![number];
        while let Some(innermost) = open.last() {
            let (number, kind) = self.tag()?;
            match kind {
                VARINT => drop(self.varint()?),
                DELIMITED => drop(self.delimited()?),
                GROUP if open.len() < usize::from(MAX_NESTING) => open.push(number),
                GROUP => return Err(Undecodable::TooDeep),
                GROUP_END if number == *innermost => drop(open.pop()),
                _ => self.skip_fixed(kind)?,
            }
        }
        Ok(())
    }
}

impl<'de> Value<'de> {
    pub(crate) const fn varint(self) -> Result<u64, Undecodable> {
        match self {
            Self::Varint(value) => Ok(value),
            _ => Err(Undecodable::Malformed),
        }
    }

    pub(crate) const fn bytes(self) -> Result<&'de [u8], Undecodable> {
        match self {
            Self::Delimited(reader) => Ok(reader.bytes),
            _ => Err(Undecodable::Malformed),
        }
    }

    pub(crate) fn text(self) -> Result<&'de str, Undecodable> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Undecodable::NotUtf8)
    }

    pub(crate) const fn message(self) -> Result<Reader<'de>, Undecodable> {
        match self {
            Self::Delimited(reader) if reader.nesting < MAX_NESTING => Ok(Reader {
                bytes: reader.bytes,
                nesting: reader.nesting + 1,
            }),
            Self::Delimited(_) => Err(Undecodable::TooDeep),
            _ => Err(Undecodable::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_are_as_long_as_they_say() {
        let mut values: Vec<u64> = (0..64).flat_map(|bit| [1 << bit, (1 << bit) - 1]).collect();
        values.push(u64::MAX);
        for value in values {
            let mut out = BytesMut::new();
            write_varint(value, &mut out);
            assert_eq!(out.len(), varint_size(value), "{value}");
            let mut reader = Reader::new(&out);
            assert_eq!(reader.varint(), Ok(value));
            assert!(reader.is_empty());
        }
    }

    #[test]
    fn varints_end() {
        for bad in [&b""[..], &[0x80], &[0xff; 9], &[0xff; 10], &[0xff; 20]] {
            assert_eq!(Reader::new(bad).varint(), Err(Undecodable::Malformed));
        }
        let mut longest = [0xff; 10];
        longest[9] = 1;
        assert_eq!(Reader::new(&longest).varint(), Ok(u64::MAX));
    }

    #[test]
    fn groups_are_passed_over_and_must_close() {
        // 1: { 2: 5, 3: { }, 4: fixed32 }, then 7: 9.
        let bytes = [0x0b, 0x10, 5, 0x1b, 0x1c, 0x25, 1, 2, 3, 4, 0x0c, 0x38, 9];
        let mut reader = Reader::new(&bytes);
        assert!(matches!(reader.field(), Ok((1, Value::Foreign))));
        assert!(matches!(reader.field(), Ok((7, Value::Varint(9)))));
        for bad in [&[0x0b][..], &[0x0b, 0x14], &[0x0c], &[0x0b; 1000]] {
            assert!(Reader::new(bad).field().is_err(), "{bad:?}");
        }
    }
}
