//! What a server answers: the head of an HTTP/1.1 reply and how its body is framed.
//!
//! Strict, because a reply that is read wrongly would be counted as a success: whatever is not
//! understood is an error, and an error makes a run invalid.

/// Why bytes are not a reply that this reader accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReplyError {
    /// The first line is not `HTTP/1.1`, a three-digit status and a reason.
    #[error("the status line is malformed")]
    StatusLine,
    /// A header line has no colon, an empty name, or does not end in CR LF.
    #[error("a header line is malformed")]
    Header,
    /// `Content-Length` is no number, or comes twice.
    #[error("the content length is malformed")]
    Length,
    /// A `Transfer-Encoding` other than `chunked`, or one beside a `Content-Length`.
    #[error("the transfer encoding is not understood")]
    Encoding,
    /// Neither a length nor chunks: the body would end with the connection, which is to be kept.
    #[error("the reply does not say where it ends")]
    Unframed,
    /// A chunk's size line is no hexadecimal number, or a chunk does not end in CR LF.
    #[error("a chunk is malformed")]
    Chunk,
    /// More than [`MAX_HEAD`] bytes of head, or [`MAX_BODY`] of body.
    #[error("the reply is too large")]
    TooLarge,
    /// Bytes behind the reply to the only request in flight.
    #[error("there are bytes behind the reply")]
    Trailing,
}

/// The longest head that is read.
pub const MAX_HEAD: usize = 16 * 1024;
/// The longest body that is read.
pub const MAX_BODY: usize = 1024 * 1024;

/// How the body of a reply is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(usize),
    /// Chunks, up to one of size 0.
    Chunked,
}

/// The head of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Where the body starts.
    pub length: usize,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the server will close the connection behind this reply.
    pub closes: bool,
}

/// Reads the head at the start of `bytes`: `None` while it is incomplete.
pub fn head(bytes: &[u8]) -> Result<Option<Head>, ReplyError> {
    let Some((first, mut at)) = line(bytes, 0, ReplyError::StatusLine)? else {
        return incomplete(bytes);
    };
    let status = status_line(first)?;
    let mut length = None;
    let mut chunked = false;
    let mut closes = false;
    loop {
        let Some((header, next)) = line(bytes, at, ReplyError::Header)? else {
            return incomplete(bytes);
        };
        at = next;
        if header.is_empty() {
            break;
        }
        let colon = header
            .iter()
            .position(|&b| b == b':')
            .ok_or(ReplyError::Header)?;
        let (name, value) = (&header[..colon], header[colon + 1..].trim_ascii());
        // Only three headers matter, and no two of them have the same length of name.
        match name.len() {
            0 => return Err(ReplyError::Header),
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                let earlier = length.replace(decimal(value)?);
                if earlier.is_some() {
                    return Err(ReplyError::Length);
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(ReplyError::Encoding);
                }
                chunked = true;
            }
            10 if name.eq_ignore_ascii_case(b"connection") => {
                closes |= value.eq_ignore_ascii_case(b"close");
            }
            _ => {}
        }
    }
    let framing = match (status, length, chunked) {
        (_, Some(_), true) => return Err(ReplyError::Encoding),
        (204 | 304, _, false) => Framing::Length(0),
        (_, Some(length), false) => Framing::Length(length),
        (_, None, true) => Framing::Chunked,
        (_, None, false) => return Err(ReplyError::Unframed),
    };
    Ok(Some(Head {
        status,
        length: at,
        framing,
        closes,
    }))
}

/// Decodes the chunks at the start of `bytes` into `body`, which is cleared first. `None` while the
/// last chunk has not arrived; otherwise how many bytes the chunks took.
pub fn chunks(bytes: &[u8], body: &mut Vec<u8>) -> Result<Option<usize>, ReplyError> {
    body.clear();
    let mut at = 0;
    loop {
        let Some((size, data)) = line(bytes, at, ReplyError::Chunk)? else {
            return Ok(None);
        };
        let size = hexadecimal(size)?;
        if size == 0 {
            // Trailers are allowed and skipped.
            at = data;
            loop {
                let Some((trailer, next)) = line(bytes, at, ReplyError::Chunk)? else {
                    return Ok(None);
                };
                at = next;
                if trailer.is_empty() {
                    return Ok(Some(at));
                }
            }
        }
        if body.len() + size > MAX_BODY {
            return Err(ReplyError::TooLarge);
        }
        let Some(chunk) = bytes.get(data..data + size + 2) else {
            return Ok(None);
        };
        if &chunk[size..] != b"\r\n" {
            return Err(ReplyError::Chunk);
        }
        body.extend_from_slice(&chunk[..size]);
        at = data + size + 2;
    }
}

/// The string member `name` of the JSON object in `body`, if it is there and needs no unescaping.
///
/// Looks for the text instead of parsing: the replies are the product's own, quotes inside a JSON
/// string are escaped, so `"name":"` can only be a member.
pub fn string_member<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    let mut rest = text;
    loop {
        let found = rest.find(name)?;
        let before = &rest[..found];
        rest = &rest[found + name.len()..];
        if !before.ends_with('"') {
            continue;
        }
        let Some(behind) = rest.strip_prefix('"') else {
            continue;
        };
        let Some(value) = behind.trim_ascii_start().strip_prefix(':') else {
            continue;
        };
        let value = value.trim_ascii_start().strip_prefix('"')?;
        let value = &value[..value.find('"')?];
        return (!value.contains('\\')).then_some(value);
    }
}

fn incomplete(bytes: &[u8]) -> Result<Option<Head>, ReplyError> {
    if bytes.len() > MAX_HEAD {
        Err(ReplyError::TooLarge)
    } else {
        Ok(None)
    }
}

/// The line at `at` without its CR LF, and where the next one starts.
fn line(
    bytes: &[u8],
    at: usize,
    malformed: ReplyError,
) -> Result<Option<(&[u8], usize)>, ReplyError> {
    let rest = &bytes[at..];
    let Some(end) = rest.iter().position(|&b| b == b'\n') else {
        return Ok(None);
    };
    let line = rest[..end].strip_suffix(b"\r").ok_or(malformed)?;
    Ok(Some((line, at + end + 1)))
}

fn status_line(line: &[u8]) -> Result<u16, ReplyError> {
    let rest = line
        .strip_prefix(b"HTTP/1.1 ")
        .ok_or(ReplyError::StatusLine)?;
    let digits = rest
        .get(..3)
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))
        .ok_or(ReplyError::StatusLine)?;
    if rest.get(3).is_some_and(|&b| b != b' ') || digits[0] == b'0' {
        return Err(ReplyError::StatusLine);
    }
    Ok(digits
        .iter()
        .fold(0, |status, digit| status * 10 + u16::from(digit - b'0')))
}

fn decimal(text: &[u8]) -> Result<usize, ReplyError> {
    if text.is_empty() || text.len() > 8 || !text.iter().all(u8::is_ascii_digit) {
        return Err(ReplyError::Length);
    }
    let value = text
        .iter()
        .fold(0, |value, digit| value * 10 + usize::from(digit - b'0'));
    if value > MAX_BODY {
        Err(ReplyError::TooLarge)
    } else {
        Ok(value)
    }
}

fn hexadecimal(line: &[u8]) -> Result<usize, ReplyError> {
    // A chunk extension stands behind a semicolon.
    let digits = line
        .split(|&b| b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    if digits.is_empty() || digits.len() > 8 {
        return Err(ReplyError::Chunk);
    }
    let mut value = 0;
    for &digit in digits {
        let digit = char::from(digit).to_digit(16).ok_or(ReplyError::Chunk)?;
        value = value * 16 + digit as usize;
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Head>, ReplyError> {
        head(text.as_bytes())
    }

    #[test]
    fn a_plain_reply_is_understood() {
        let text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\ncontent-LENGTH:  12 \r\n\r\n{\"a\":\"b\"}...";
        let head = parsed(text).unwrap().unwrap();
        assert_eq!(head.status, 200);
        assert_eq!(head.framing, Framing::Length(12));
        assert_eq!(&text[head.length..], "{\"a\":\"b\"}...");
        assert!(!head.closes);
    }

    #[test]
    fn every_prefix_of_a_head_is_incomplete_and_never_an_error() {
        let text = b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(head(&text[..end]), Ok(None), "{end}");
        }
        let head = head(text).unwrap().unwrap();
        assert_eq!(
            (head.status, head.closes, head.length),
            (401, true, text.len())
        );
    }

    #[test]
    fn a_reply_without_a_body_needs_no_length() {
        let head = parsed("HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap();
        assert_eq!(head.framing, Framing::Length(0));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let cases = [
            ("HTTP/1.0 200 OK\r\n\r\n", ReplyError::StatusLine),
            ("HTTP/1.1 2x0 OK\r\n\r\n", ReplyError::StatusLine),
            ("HTTP/1.1 2000\r\n\r\n", ReplyError::StatusLine),
            ("HTTP/1.1 20\r\n\r\n", ReplyError::StatusLine),
            ("HTTP/1.1 200 OK\n\n", ReplyError::StatusLine),
            ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", ReplyError::Header),
            ("HTTP/1.1 200 OK\r\n: empty\r\n\r\n", ReplyError::Header),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\n\r\n",
                ReplyError::Header,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
                ReplyError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
                ReplyError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
                ReplyError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
                ReplyError::TooLarge,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
                ReplyError::Encoding,
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
                ReplyError::Encoding,
            ),
            ("HTTP/1.1 200 OK\r\n\r\n", ReplyError::Unframed),
        ];
        for (text, error) in cases {
            assert_eq!(parsed(text), Err(error), "{text:?}");
        }
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        let mut text = String::from("HTTP/1.1 200 OK\r\nx: ");
        text.push_str(&"y".repeat(MAX_HEAD));
        assert_eq!(parsed(&text), Err(ReplyError::TooLarge));
    }

    #[test]
    fn chunks_are_joined() {
        let mut body = Vec::new();
        let bytes = b"4\r\nwiki\r\nA;ext=1\r\n0123456789\r\n0\r\ntrailer: x\r\n\r\nrest";
        assert_eq!(chunks(bytes, &mut body), Ok(Some(bytes.len() - 4)));
        assert_eq!(body, b"wiki0123456789");
        for end in 0..bytes.len() - 4 {
            assert_eq!(chunks(&bytes[..end], &mut body), Ok(None), "{end}");
        }
    }

    #[test]
    fn broken_chunks_are_refused() {
        let mut body = Vec::new();
        for bytes in [
            &b"x\r\n"[..],
            b"\r\n",
            b"2\r\nabc\r\n",
            b"123456789\r\n",
            b"2\n",
        ] {
            assert_eq!(
                chunks(bytes, &mut body),
                Err(ReplyError::Chunk),
                "{bytes:?}"
            );
        }
        assert_eq!(chunks(b"FFFFFFF\r\n", &mut body), Err(ReplyError::TooLarge));
    }

    #[test]
    fn a_member_is_found_by_its_name_alone() {
        let body = br#"{"a":"refreshToken","refreshTokenX":"no","refreshToken" : "yes","n":1}"#;
        assert_eq!(string_member(body, "refreshToken"), Some("yes"));
        assert_eq!(string_member(body, "missing"), None);
        assert_eq!(string_member(br#"{"n":1}"#, "n"), None);
        assert_eq!(string_member(br#"{"n":"a\u0041"}"#, "n"), None);
        assert_eq!(string_member(br#"{"n":"open"#, "n"), None);
        assert_eq!(string_member(b"\xff", "n"), None);
    }
}
