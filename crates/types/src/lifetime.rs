//! How long a token lives, and the grammar it is written in.

use std::fmt;
use std::str::FromStr;

use crate::Millis;

/// A positive length of time, kept in milliseconds.
///
/// Written as one to six digits and a unit (`90s`, `15m`, `1h`, `7d`, `2w`, `500ms`), or as a
/// whole number of seconds where JSON or TOML carries a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(Millis);

impl Lifetime {
    /// A lifetime of `milliseconds`, or `None` unless it is positive.
    pub const fn from_millis(milliseconds: Millis) -> Option<Self> {
        if milliseconds > 0 {
            Some(Self(milliseconds))
        } else {
            None
        }
    }

    /// A lifetime of `seconds`; `None` unless it is positive and its milliseconds can be counted.
    pub const fn from_secs(seconds: i64) -> Option<Self> {
        match seconds.checked_mul(1000) {
            Some(milliseconds) => Self::from_millis(milliseconds),
            None => None,
        }
    }

    /// A whole number of days, for constants.
    pub const fn days(days: u16) -> Self {
        Self(days as Millis * 86_400_000)
    }

    /// A whole number of seconds, for constants.
    pub const fn secs(seconds: u32) -> Self {
        Self(seconds as Millis * 1000)
    }

    /// The length in milliseconds.
    pub const fn as_millis(self) -> Millis {
        self.0
    }

    /// The length in whole seconds, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0 / 1000
    }
}

/// A lifetime that is not written as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a lifetime is one to six digits and a unit (ms, s, m, h, d, w), such as 1h or 7d, and more than zero"
)]
pub struct BadLifetime;

impl FromStr for Lifetime {
    type Err = BadLifetime;

    fn from_str(text: &str) -> Result<Self, BadLifetime> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=6).contains(&digits) {
            return Err(BadLifetime);
        }
        let unit: Millis = match &text[digits..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return Err(BadLifetime),
        };
        let count: Millis = text[..digits].parse().map_err(|_| BadLifetime)?;
        Self::from_millis(count * unit).ok_or(BadLifetime)
    }
}

impl fmt::Display for Lifetime {
    /// In the largest unit up to days that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, name) = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1000, "s"),
            (1, "ms"),
        ]
        .into_iter()
        .find(|(unit, _)| self.0 % unit == 0)
        .unwrap_or((1, "ms"));
        write!(f, "{}{name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_exact() {
        for (text, millis) in [
            ("1h", 3_600_000),
            ("90s", 90_000),
            ("7d", 604_800_000),
            ("2w", 1_209_600_000),
            ("500ms", 500),
        ] {
            assert_eq!(
                text.parse::<Lifetime>().map(Lifetime::as_millis),
                Ok(millis),
                "{text}"
            );
        }
        for text in [
            "", "0", "0s", "1 hour", "-1h", "1e3h", "1H", "1.5h", " 1h", "1h ", "1234567s", "h",
            "１h",
        ] {
            assert_eq!(text.parse::<Lifetime>(), Err(BadLifetime), "{text:?}");
        }
    }

    #[test]
    fn it_prints_in_the_largest_unit_that_fits() {
        for text in ["1h", "90s", "7d", "1ms"] {
            assert_eq!(
                text.parse::<Lifetime>()
                    .map(|lifetime| lifetime.to_string()),
                Ok(text.to_owned())
            );
        }
    }
}
