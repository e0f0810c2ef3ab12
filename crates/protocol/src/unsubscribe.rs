//! The closed list of codes that a server ends a subscription with, and what a client does then.

macro_rules! unsubscribe_codes {
    ($($name:ident = $code:literal, $reason:literal;)+) => {
        /// Why the server ends a subscription.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum UnsubscribeCode { $(#[doc = $reason] $name),+ }

        impl UnsubscribeCode {
            /// Every code there is, in ascending order.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The number on the wire.
            pub const fn code(self) -> u32 {
                match self { $(Self::$name => $code),+ }
            }

            /// The text on the wire; never empty.
            pub const fn reason(self) -> &'static str {
                match self { $(Self::$name => $reason),+ }
            }
        }
    };
}

unsubscribe_codes! {
    Server = 2000, "server unsubscribe";
    InsufficientState = 2500, "insufficient state";
    Expired = 2501, "subscription expired";
    StateInvalidated = 2502, "state invalidated";
}

impl UnsubscribeCode {
    /// Whether a client subscribes again by itself after this code.
    pub const fn resubscribes(self) -> bool {
        resubscribes(self.code())
    }
}

/// Whether a client subscribes again by itself after an unsubscribe with `code`.
pub const fn resubscribes(code: u32) -> bool {
    code >= 2500
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_come_back_from_2500() {
        assert!(!UnsubscribeCode::Server.resubscribes());
        assert!(!resubscribes(2499));
        for code in &UnsubscribeCode::ALL[1..] {
            assert!(code.resubscribes(), "{code:?}");
        }
        assert!(
            UnsubscribeCode::ALL
                .iter()
                .all(|code| !code.reason().is_empty())
        );
    }
}
