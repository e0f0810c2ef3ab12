//! Moments of the past, as people name them.

use std::str::FromStr;

use chatsdk_types::{Lifetime, Millis};

/// Since when: so long ago, or a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Since {
    Ago(Lifetime),
    Moment(Millis),
}

/// A text that names no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "say how long ago, such as 24h or 7d, or when in UTC, such as 2024-01-09 or 2024-01-09T21:20:00Z"
)]
pub(super) struct NoMoment;

impl Since {
    /// The moment, as seen from `now`.
    pub(super) fn before(self, now: Millis) -> Millis {
        match self {
            Self::Ago(length) => now - length.as_millis(),
            Self::Moment(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = NoMoment;

    fn from_str(text: &str) -> Result<Self, NoMoment> {
        if let Ok(length) = text.parse() {
            return Ok(Self::Ago(length));
        }
        moment(text).map(Self::Moment).ok_or(NoMoment)
    }
}

/// `2024-01-09`, `2024-01-09T21:20:00Z`, or with a space between, as lists print it.
fn moment(text: &str) -> Option<Millis> {
    let (date, time) = match text.split_once(['T', ' ']) {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let there_is = (1..=length).contains(&day) && hour < 24 && minute < 60 && second < 60;
    // Days since 1970, with years that begin in March: the leap day is their last.
    let (shifted_year, shifted_month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let leap_days =
        shifted_year.div_euclid(4) - shifted_year.div_euclid(100) + shifted_year.div_euclid(400);
    let days = shifted_year * 365 + leap_days + (153 * shifted_month + 2) / 5 + day - 1 - 719_468;
    there_is.then_some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Three numbers with so many digits each.
fn numbers(text: &str, between: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(between);
    let mut numbers = [0; 3];
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != digits || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::{Since, moment};
    use crate::commands::output;

    #[test]
    fn what_lists_print_is_understood() {
        for seconds in (0..4_000_000_000_i64).step_by(12_345_677) {
            let at = seconds * 1000;
            assert_eq!(moment(&output::moment(at)), Some(at));
        }
        assert_eq!(moment("2024-01-09T21:20:00Z"), Some(1_704_835_200_000));
        assert_eq!(moment("2000-02-29"), Some(951_782_400_000));
        assert_eq!("24h".parse::<Since>().unwrap().before(86_400_001), 1);
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "yesterday",
            "2023-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-00",
            "2024-01-32",
            "2024-1-9",
            "2024-01-09T24:00:00Z",
            "2024-01-09T21:20:00",
            "2024-01-09T21:20Z",
            "2024-01-09-01",
            "+024-01-01",
            "1704835200000",
        ] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
