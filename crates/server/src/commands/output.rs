//! What commands print: text for people, JSON lines for programs; and how they fail.

use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

use chatsdk_auth::AuthError;
use serde::Serialize;

/// A command that did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Cow<'static, str>,
    detail: String,
}

impl Failure {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            detail: detail.into(),
        }
    }

    /// What a server refused, with its code.
    pub(crate) fn told(code: &str, detail: String) -> Self {
        Self {
            code: Cow::Owned(code.to_owned()),
            detail,
        }
    }

    /// A value that the service did not take, blamed on the flag that brought it.
    pub(crate) fn of_flag(error: AuthError) -> Self {
        match error {
            AuthError::Field { field, detail } => {
                let flag = field.replace('_', "-");
                Self::new("invalid_field", format!("--{flag}: {detail}"))
            }
            error => error.into(),
        }
    }

    /// Nothing is called that.
    pub(crate) fn not_found(what: &str, name: impl std::fmt::Display) -> Self {
        Self::new("not_found", format!("there is no {what} `{name}`"))
    }

    /// Why, as a sentence.
    pub(crate) fn detail(self) -> String {
        self.detail
    }

    /// Says why on standard error, for programs on standard output as well.
    pub(crate) fn report(self, json: bool) -> ExitCode {
        if json {
            print_json(
                &serde_json::json!({ "error": { "code": self.code, "detail": self.detail } }),
            );
        }
        eprintln!("chatsdk: {}", visible(&self.detail));
        ExitCode::FAILURE
    }
}

macro_rules! failures {
    ($($error:ty => $code:literal),+ $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::new($code, error.to_string())
            }
        }
    )+};
}

failures! {
    crate::config::ConfigError => "config",
    crate::secret::SecretError => "secret",
    crate::operator_token::OperatorTokenError => "operator_token",
    crate::StartError => "start",
    chatsdk_store::StoreError => "database",
    AuthError => "auth",
    chatsdk_types::ids::BadId => "invalid_id",
    std::io::Error => "io",
}

/// One JSON line on standard output. A reader that is gone is no failure of the command.
pub(crate) fn print_json(value: &impl Serialize) {
    if let Ok(line) = serde_json::to_string(value) {
        write(&line);
    }
}

/// Text on standard output, for people.
pub(crate) fn print_line(text: &str) {
    write(&visible(text));
}

/// The text with what would drive a terminal, or turn the text around it, written out.
fn visible(text: &str) -> Cow<'_, str> {
    let drives = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t'))
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(drives) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if drives(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn write(line: &str) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::debug!("standard output is closed");
    }
}

/// Prints `value` as a JSON line, or what `text` makes of it.
pub(crate) fn print<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) {
    if json {
        print_json(value);
    } else {
        print_line(&text(value));
    }
}

/// A moment as people read it: UTC, to the second.
pub(crate) fn moment(at: chatsdk_types::Millis) -> String {
    let (days, seconds) = (at.div_euclid(86_400_000), at.rem_euclid(86_400_000) / 1000);
    // Civil date of a day number: Howard Hinnant's algorithm, in eras of 400 years.
    let z = days + 719_468;
    let (era, day_of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments_read_as_dates() {
        assert_eq!(moment(0), "1970-01-01 00:00:00Z");
        assert_eq!(moment(1_704_835_200_000), "2024-01-09 21:20:00Z");
        assert_eq!(moment(951_782_399_999), "2000-02-28 23:59:59Z");
        assert_eq!(moment(951_782_400_000), "2000-02-29 00:00:00Z");
    }
}
