//! What a connection sends next.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Address;
use super::reply::string_member;

/// Where the current token goes in the body of a refresh, in whatever shape the endpoint has.
pub const TOKEN: &str = "{token}";
/// Where a number that no other request has goes in a numbered body.
pub const NUMBER: &str = "{i}";

/// The requests of one connection, one after the other.
#[derive(Debug, Clone)]
pub enum Script {
    /// The same bytes each time.
    Fixed(Arc<[u8]>),
    /// The same bytes but for a number that is never used twice.
    Numbered(Numbered),
    /// Each request presents the token that the last reply gave.
    Chain(Chain),
}

/// Bytes with a number in them.
#[derive(Debug, Clone)]
pub struct Numbered {
    bytes: Vec<u8>,
    /// Where the number stands; it has [`DIGITS`] digits, so that the length never changes.
    at: usize,
    next: Arc<AtomicU64>,
}

const DIGITS: usize = 12;

/// A session that is refreshed again and again.
#[derive(Debug, Clone)]
pub struct Chain {
    head: Arc<str>,
    before: Arc<str>,
    after: Arc<str>,
    field: Arc<str>,
    token: String,
    bytes: Vec<u8>,
}

/// Why a chain cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ScriptError {
    /// The body has no place for what changes.
    #[error("the body does not contain {0}")]
    NoPlace(&'static str),
}

/// The request line and headers up to, not including, `Content-Length`.
pub fn head(method: &str, to: &Address, headers: &[String]) -> String {
    let mut head = format!("{method} {} HTTP/1.1\r\nhost: {}\r\n", to.path, to.host);
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    head
}

fn whole(head: &str, body: &str) -> Vec<u8> {
    if body.is_empty() {
        return format!("{head}\r\n").into_bytes();
    }
    format!(
        "{head}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

impl Script {
    /// The same request each time; an empty `body` means none.
    pub fn fixed(head: &str, body: &str) -> Self {
        Self::Fixed(whole(head, body).into())
    }

    /// A request whose body has a fresh number, taken from `next`, at [`NUMBER`].
    pub fn numbered(head: &str, body: &str, next: Arc<AtomicU64>) -> Result<Self, ScriptError> {
        let place = "0".repeat(DIGITS);
        let body_at = body.find(NUMBER).ok_or(ScriptError::NoPlace(NUMBER))?;
        let body = body.replacen(NUMBER, &place, 1);
        let bytes = whole(head, &body);
        let at = bytes.len() - body.len() + body_at;
        Ok(Self::Numbered(Numbered { bytes, at, next }))
    }

    /// The bytes to send now.
    pub fn request(&mut self) -> &[u8] {
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Numbered(numbered) => numbered.request(),
            Self::Chain(chain) => chain.request(),
        }
    }

    /// Takes what the next request needs out of a successful reply; `false` if it is not there.
    pub(super) fn learn(&mut self, body: &[u8]) -> bool {
        match self {
            Self::Fixed(_) | Self::Numbered(_) => true,
            Self::Chain(chain) => chain.learn(body),
        }
    }

    /// Whether a refused request leaves something to go on with: a chain has lost its next link.
    pub(super) fn survives_refusal(&self) -> bool {
        !matches!(self, Self::Chain(_))
    }
}

impl Numbered {
    fn request(&mut self) -> &[u8] {
        let mut number = self.next.fetch_add(1, Ordering::Relaxed);
        for place in self.bytes[self.at..self.at + DIGITS].iter_mut().rev() {
            *place = b'0' + (number % 10) as u8;
            number /= 10;
        }
        &self.bytes
    }
}

impl Chain {
    /// A chain that starts with `token`. `body` is what a request carries, with [`TOKEN`] where the
    /// token goes; `field` is the member of the reply that holds its successor.
    pub fn new(head: &str, body: &str, field: &str, token: String) -> Result<Self, ScriptError> {
        let (before, after) = body.split_once(TOKEN).ok_or(ScriptError::NoPlace(TOKEN))?;
        Ok(Self {
            head: format!("{head}content-type: application/json\r\ncontent-length: ").into(),
            before: before.into(),
            after: after.into(),
            field: field.into(),
            token,
            bytes: Vec::with_capacity(1024),
        })
    }

    fn request(&mut self) -> &[u8] {
        self.bytes.clear();
        self.bytes.extend_from_slice(self.head.as_bytes());
        let length = self.before.len() + self.token.len() + self.after.len();
        // Writing to a vector cannot fail.
        let _ = write!(self.bytes, "{length}\r\n\r\n");
        self.bytes.extend_from_slice(self.before.as_bytes());
        self.bytes.extend_from_slice(self.token.as_bytes());
        self.bytes.extend_from_slice(self.after.as_bytes());
        &self.bytes
    }

    fn learn(&mut self, body: &[u8]) -> bool {
        let Some(token) = string_member(body, &self.field) else {
            return false;
        };
        // The same token again would turn the chain into a replay, which costs the server far less.
        if token == self.token {
            return false;
        }
        self.token.clear();
        self.token.push_str(token);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(script: &mut Script) -> String {
        String::from_utf8(script.request().to_vec()).unwrap()
    }

    #[test]
    fn a_fixed_request_is_the_same_each_time() {
        let mut script = Script::fixed("GET / HTTP/1.1\r\nhost: a\r\n", "");
        assert_eq!(text(&mut script), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(text(&mut script), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    }

    #[test]
    fn numbers_are_never_used_twice_and_never_change_the_length() {
        let next = Arc::new(AtomicU64::new(99));
        let mut a =
            Script::numbered("POST / HTTP/1.1\r\n", r#"{"u":"x{i}y"}"#, next.clone()).unwrap();
        let mut b = a.clone();
        let head =
            "POST / HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 22\r\n\r\n";
        assert_eq!(text(&mut a), format!("{head}{{\"u\":\"x000000000099y\"}}"));
        assert_eq!(text(&mut b), format!("{head}{{\"u\":\"x000000000100y\"}}"));
        assert_eq!(text(&mut a), format!("{head}{{\"u\":\"x000000000101y\"}}"));
        assert!(Script::numbered("", "{}", next).is_err());
    }

    #[test]
    fn a_chain_presents_what_it_was_given_last() {
        let mut script = Script::Chain(
            Chain::new(
                "POST / HTTP/1.1\r\n",
                r#"{"t":"{token}"}"#,
                "next",
                "one".into(),
            )
            .unwrap(),
        );
        assert!(text(&mut script).ends_with("content-length: 11\r\n\r\n{\"t\":\"one\"}"));
        assert!(script.learn(br#"{"next":"three"}"#));
        assert!(text(&mut script).ends_with("content-length: 13\r\n\r\n{\"t\":\"three\"}"));
        assert!(!script.learn(br#"{"next":"three"}"#), "a replay is no link");
        assert!(!script.learn(b"{}"));
        assert!(Chain::new("", "{}", "next", String::new()).is_err());
    }
}
