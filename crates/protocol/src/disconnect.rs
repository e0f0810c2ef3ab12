//! The closed list of codes that a connection ends with, and what a client does then.

use std::borrow::Cow;

macro_rules! disconnect_codes {
    ($($name:ident = $code:literal, $reason:literal;)+) => {
        /// Why the server ends a connection.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum DisconnectCode { $(#[doc = $reason] $name),+ }

        impl DisconnectCode {
            /// Every code there is, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The number on the wire: the code of the WebSocket's close frame.
            pub const fn code(self) -> u16 {
                match self { $(Self::$name => $code),+ }
            }

            /// The text on the wire.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason),+ }
            }
        }
    };
}

disconnect_codes! {
    ConnectionClosed = 3000, "connection closed";
    Shutdown = 3001, "shutdown";
    InternalError = 3004, "internal server error";
    ConnectionExpired = 3005, "connection expired";
    SubscriptionExpired = 3006, "subscription expired";
    Slow = 3008, "slow";
    WriteError = 3009, "write error";
    InsufficientState = 3010, "insufficient state";
    ForceReconnect = 3011, "force reconnect";
    NoPong = 3012, "no pong";
    TooManyRequests = 3013, "too many requests";
    StateInvalidated = 3014, "state invalidated";
    InvalidToken = 3500, "invalid token";
    BadRequest = 3501, "bad request";
    Stale = 3502, "stale";
    ForceDisconnect = 3503, "force disconnect";
    ConnectionLimit = 3504, "connection limit";
    ChannelLimit = 3505, "channel limit";
    InappropriateProtocol = 3506, "inappropriate protocol";
    PermissionDenied = 3507, "permission denied";
    NotAvailable = 3508, "not available";
    TooManyErrors = 3509, "too many errors";
}

impl DisconnectCode {
    /// Whether a client comes back by itself after this code.
    pub const fn reconnects(self) -> bool {
        reconnects(self.code())
    }
}

/// Whether a client comes back by itself after a close with `code`. A code in the wrong range makes
/// a loop without end, or a client that stays away for ever.
pub const fn reconnects(code: u16) -> bool {
    !matches!(code, 3500..=3999 | 4500..=4999)
}

/// How a connection ends: a code and a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    code: u16,
    reason: Cow<'static, str>,
}

impl Disconnect {
    /// The longest reason, in bytes: what fits into a close frame beside the code.
    pub const MAX_REASON: usize = 123;

    /// `code` with a reason of its own. A reason that is too long is cut at a character; an empty
    /// one becomes the code's usual text, because clients index into it.
    pub fn because(code: DisconnectCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let mut reason = reason.into();
        if reason.is_empty() {
            reason = Cow::Borrowed(code.reason());
        }
        if reason.len() > Self::MAX_REASON {
            let end = reason.floor_char_boundary(Self::MAX_REASON);
            reason.to_mut().truncate(end);
        }
        Self {
            code: code.code(),
            reason,
        }
    }

    /// The number on the wire.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// The text on the wire: 1 to [`Self::MAX_REASON`] bytes.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<DisconnectCode> for Disconnect {
    fn from(code: DisconnectCode) -> Self {
        Self {
            code: code.code(),
            reason: Cow::Borrowed(code.reason()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_by_range() {
        for code in [0, 1000, 1006, 2999, 3000, 3499, 4000, 4499, 5000] {
            assert!(reconnects(code), "{code}");
        }
        for code in [3500, 3503, 3999, 4500, 4999] {
            assert!(!reconnects(code), "{code}");
        }
        assert!(DisconnectCode::ConnectionExpired.reconnects());
        assert!(!DisconnectCode::ForceDisconnect.reconnects());
    }

    #[test]
    fn codes_ascend_and_have_reasons() {
        assert!(
            DisconnectCode::ALL
                .windows(2)
                .all(|pair| pair[0].code() < pair[1].code())
        );
        assert!(
            DisconnectCode::ALL
                .iter()
                .all(|code| !code.reason().is_empty())
        );
    }

    #[test]
    fn reasons_fit_a_close_frame() {
        let long = Disconnect::because(DisconnectCode::ForceDisconnect, "é".repeat(100));
        assert_eq!(
            long.reason().len(),
            122,
            "an odd number of bytes would cut a character"
        );
        assert_eq!(
            Disconnect::because(DisconnectCode::ForceDisconnect, "").reason(),
            "force disconnect"
        );
        assert_eq!(
            Disconnect::because(DisconnectCode::ForceDisconnect, "session_revoked").reason(),
            "session_revoked"
        );
    }
}
