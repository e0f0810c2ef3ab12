//! The closed list of errors that a reply can carry.

use std::borrow::Cow;

use bytes::BytesMut;

use crate::NotJson;
use crate::schema::{Encode, message};

macro_rules! error_codes {
    ($($name:ident = $code:literal, $message:literal, $temporary:literal;)+) => {
        /// An error of the protocol itself. Applications have 400–1999 for their own, see
        /// [`ReplyError::application`]; numbers under 100 belong to clients.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $message] $name),+ }

        impl ErrorCode {
            /// Every code there is, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The number on the wire.
            pub const fn code(self) -> u32 {
                match self { $(Self::$name => $code),+ }
            }

            /// The text on the wire.
            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message),+ }
            }

            /// Whether trying the same again later may succeed; clients do so by themselves.
            pub const fn is_temporary(self) -> bool {
                match self { $(Self::$name => $temporary),+ }
            }
        }
    };
}

error_codes! {
    Internal = 100, "internal server error", true;
    Unauthorized = 101, "unauthorized", false;
    UnknownChannel = 102, "unknown channel", false;
    PermissionDenied = 103, "permission denied", false;
    MethodNotFound = 104, "method not found", false;
    AlreadySubscribed = 105, "already subscribed", false;
    LimitExceeded = 106, "limit exceeded", false;
    BadRequest = 107, "bad request", false;
    NotAvailable = 108, "not available", false;
    TokenExpired = 109, "token expired", false;
    Expired = 110, "expired", false;
    TooManyRequests = 111, "too many requests", true;
    UnrecoverablePosition = 112, "unrecoverable position", false;
    ConcurrentPagination = 113, "concurrent pagination", true;
}

/// The `error` member of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplyError {
    /// 100–113 as in [`ErrorCode`], or 400–1999 of the application.
    pub code: u32,
    /// What happened, for people. Never empty.
    pub message: Cow<'static, str>,
    /// Whether the client may try the same again.
    pub temporary: bool,
}

message! {
    /// The same as it stands on the wire.
    pub(crate) struct WireError<'a> {
        [1 "code"] code: u32,
        [2 "message"] message: Cow<'a, str>,
        [3 "temporary"] temporary: bool,
    }
}

impl ReplyError {
    fn wire(&self) -> WireError<'_> {
        WireError {
            code: self.code,
            message: Cow::Borrowed(&self.message),
            temporary: self.temporary,
        }
    }
}

impl From<WireError<'_>> for ReplyError {
    fn from(error: WireError<'_>) -> Self {
        Self {
            code: error.code,
            message: Cow::Owned(error.message.into_owned()),
            temporary: error.temporary,
        }
    }
}

impl Encode for ReplyError {
    fn is_absent(&self) -> bool {
        false
    }

    fn write_json(&self, out: &mut BytesMut) -> Result<(), NotJson> {
        self.wire().write_json(out)
    }

    fn field_size(&self, number: u32) -> usize {
        self.wire().field_size(number)
    }

    fn write_field(&self, number: u32, out: &mut BytesMut) {
        self.wire().write_field(number, out);
    }
}

impl ReplyError {
    /// An error of the application, or `None` unless its code is in 400–1999, the range that
    /// clients leave to applications.
    pub fn application(
        code: u32,
        message: impl Into<Cow<'static, str>>,
        temporary: bool,
    ) -> Option<Self> {
        (400..2000).contains(&code).then(|| Self {
            code,
            message: message.into(),
            temporary,
        })
    }
}

impl From<ErrorCode> for ReplyError {
    fn from(code: ErrorCode) -> Self {
        Self {
            code: code.code(),
            message: Cow::Borrowed(code.message()),
            temporary: code.is_temporary(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_100_to_113_and_three_are_temporary() {
        let codes: Vec<u32> = ErrorCode::ALL.iter().map(|code| code.code()).collect();
        assert_eq!(codes, (100..=113).collect::<Vec<_>>());
        let temporary: Vec<u32> = ErrorCode::ALL
            .iter()
            .filter(|code| code.is_temporary())
            .map(|code| code.code())
            .collect();
        assert_eq!(temporary, [100, 111, 113]);
        assert!(ErrorCode::ALL.iter().all(|code| !code.message().is_empty()));
    }

    #[test]
    fn applications_keep_to_their_range() {
        for code in [0, 99, 100, 399, 2000, 3500] {
            assert_eq!(ReplyError::application(code, "mine", false), None, "{code}");
        }
        for code in [400, 1999] {
            assert!(
                ReplyError::application(code, "mine", true).is_some(),
                "{code}"
            );
        }
    }
}
