//! Values into JSON and Protobuf.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BytesMut;

use crate::payload::{NotJson, Payload, PayloadRef};
use crate::schema::wire::{
    VARINT, delimited_size, tag_size, varint_size, write_delimited, write_tag, write_varint,
};

/// What can stand in a field.
pub(crate) trait Encode {
    /// Whether it equals the default, and the field can be left out.
    fn is_absent(&self) -> bool;

    /// Appends the value.
    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson>;

    /// How many bytes [`Self::write_field`] appends.
    fn field_size(&self, number: u32) -> usize;

    /// Appends the value as field `number` of a Protobuf message, even when it is absent.
    fn write_field(&self, number: u32, out: &mut BytesMut);
}

/// What has fields.
pub(crate) trait Message: Encode {
    /// How many bytes [`Self::write_content`] appends.
    fn content_size(&self) -> usize;

    /// Appends the fields in Protobuf, without a length in front.
    fn write_content(&self, out: &mut BytesMut);
}

macro_rules! integers {
    ($($type:ty => $wide:ident),+) => { $(
        impl Encode for $type {
            fn is_absent(&self) -> bool {
                *self == 0
            }

            fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
                $wide::from(*self).write_digits(out);
                Ok(())
            }

            fn field_size(&self, number: u32) -> usize {
                // Negative ones of 32 bits take ten bytes: the format extends their sign.
                tag_size(number) + varint_size($wide::from(*self) as u64)
            }

            fn write_field(&self, number: u32, out: &mut BytesMut) {
                write_tag(number, VARINT, out);
                write_varint($wide::from(*self) as u64, out);
            }
        }
    )+ };
}

integers!(u32 => u64, u64 => u64, i32 => i64, i64 => i64);

trait Digits {
    fn write_digits(self, out: &mut BytesMut);
}

impl Digits for u64 {
    fn write_digits(self, out: &mut BytesMut) {
        write_number(self, out);
    }
}

impl Digits for i64 {
    fn write_digits(self, out: &mut BytesMut) {
        if self < 0 {
            out.extend_from_slice(b"-");
        }
        write_number(self.unsigned_abs(), out);
    }
}

impl Encode for bool {
    fn is_absent(&self) -> bool {
        !self
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
        Ok(())
    }

    fn field_size(&self, number: u32) -> usize {
        tag_size(number) + 1
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        write_tag(number, VARINT, out);
        write_varint(u64::from(*self), out);
    }
}

impl Encode for str {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        write_json_string(self, out);
        Ok(())
    }

    fn field_size(&self, number: u32) -> usize {
        delimited_size(number, self.len())
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        write_delimited(number, self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }
}

impl Encode for PayloadRef<'_> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        if !self.is_json() {
            return Err(NotJson);
        }
        write_one_line(self.bytes(), out);
        Ok(())
    }

    fn field_size(&self, number: u32) -> usize {
        delimited_size(number, self.bytes().len())
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        write_delimited(number, self.bytes().len(), out);
        out.extend_from_slice(self.bytes());
    }
}

impl Encode for Payload {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        if !self.is_json() {
            return Err(NotJson);
        }
        write_one_line(self.bytes(), out);
        Ok(())
    }

    fn field_size(&self, number: u32) -> usize {
        self.as_ref().field_size(number)
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        self.as_ref().write_field(number, out);
    }
}

/// What is encoded as the thing that it points to.
macro_rules! pointers {
    ($($($parameter:ident)? => $type:ty),+) => { $(
        impl $(<$parameter: Encode>)? Encode for $type {
            fn is_absent(&self) -> bool {
                (**self).is_absent()
            }

            fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
                (**self).write_json(out)
            }

            fn field_size(&self, number: u32) -> usize {
                (**self).field_size(number)
            }

            fn write_field(&self, number: u32, out: &mut BytesMut) {
                (**self).write_field(number, out);
            }
        }
    )+ };
}

pointers!(=> String, => Cow<'_, str>, => Arc<str>, T => Arc<T>, T => Box<T>);

impl<T: Encode> Encode for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        if let Some(value) = self {
            value.write_json(out)
        } else {
            out.extend_from_slice(b"null");
            Ok(())
        }
    }

    fn field_size(&self, number: u32) -> usize {
        self.as_ref().map_or(0, |value| value.field_size(number))
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        if let Some(value) = self {
            value.write_field(number, out);
        }
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        out.extend_from_slice(b"[");
        for (at, element) in self.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b",");
            }
            element.write_json(out)?;
        }
        out.extend_from_slice(b"]");
        Ok(())
    }

    fn field_size(&self, number: u32) -> usize {
        self.iter().map(|element| element.field_size(number)).sum()
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        for element in self {
            element.write_field(number, out);
        }
    }
}

impl<K: AsRef<str>, V: Encode> Encode for BTreeMap<K, V> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        out.extend_from_slice(b"{");
        for (at, (key, value)) in self.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b",");
            }
            write_json_string(key.as_ref(), out);
            out.extend_from_slice(b":");
            value.write_json(out)?;
        }
        out.extend_from_slice(b"}");
        Ok(())
    }

    fn field_size(&self, number: u32) -> usize {
        self.iter()
            .map(|(key, value)| delimited_size(number, entry_size(key.as_ref(), value)))
            .sum()
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        for (key, value) in self {
            write_delimited(number, entry_size(key.as_ref(), value), out);
            key.as_ref().write_field(1, out);
            value.write_field(2, out);
        }
    }
}

/// A map is a repeated message of key 1 and value 2.
fn entry_size(key: &str, value: &impl Encode) -> usize {
    key.field_size(1) + value.field_size(2)
}

/// Appends `text` as a JSON string.
pub(crate) fn write_json_string(text: &str, out: &mut BytesMut) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(text.len() + 2);
    out.extend_from_slice(b"\"");
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !matches!(byte, 0..0x20 | b'"' | b'\\') {
            continue;
        }
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            b'"' | b'\\' => *byte,
            _ => {
                let [high, low] = [byte >> 4, byte & 15].map(|half| HEX[usize::from(half)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&bytes[written..]);
    out.extend_from_slice(b"\"");
}

/// Appends well-formed JSON without its line breaks, which separate replies. Inside strings JSON has
/// none, so they are only ever white space between tokens.
fn write_one_line(json: &[u8], out: &mut BytesMut) {
    let mut rest = json;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Appends the digits of `value`.
pub(crate) fn write_number(value: u64, out: &mut BytesMut) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(value: &impl Encode) -> String {
        let mut out = BytesMut::new();
        value.write_json(&mut out).expect("it is JSON");
        String::from_utf8(out.to_vec()).expect("it is UTF-8")
    }

    #[test]
    fn numbers_keep_every_digit() {
        assert_eq!(json(&u64::MAX), "18446744073709551615");
        assert_eq!(json(&i64::MIN), "-9223372036854775808");
        assert_eq!(json(&i64::MAX), "9223372036854775807");
        assert_eq!(json(&-1_i32), "-1");
        assert_eq!(json(&i32::MIN), "-2147483648");
        assert_eq!(json(&0_u32), "0");
    }

    #[test]
    fn strings_read_back() {
        let every: String = (0..0x300)
            .filter_map(char::from_u32)
            .chain("💬\u{2028}".chars())
            .collect();
        let text = json(&every);
        assert!(!text.contains('\n') && !text.contains('\r'));
        assert_eq!(
            serde_json::from_str::<String>(&text).expect("it is JSON"),
            every
        );
    }

    #[test]
    fn payloads_lose_their_line_breaks_only() {
        let pretty = Payload::new("{\n  \"a\": \"x\\ny\"\r\n}\n");
        assert_eq!(json(&pretty), "{  \"a\": \"x\\ny\"}");
        assert_eq!(
            Payload::new("{} {}").write_json(&mut BytesMut::new()),
            Err(NotJson)
        );
    }
}
