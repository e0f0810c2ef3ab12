//! Parameters of the address, read as strictly as bodies: each at most once, percent-decoded as UTF-8.
//! Those that are not known are ignored.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chatsdk_types::ErrorCode;

use crate::Problem;
use crate::extract::members::plain;

/// A request type, from the parameters of the address.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

/// A request type, made from parameters.
pub(crate) trait FromParameters: Sized {
    /// Takes what it knows.
    fn from_parameters(parameters: &Parameters) -> Result<Self, Problem>;
}

/// The parameters of an address.
#[derive(Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Sync, T: FromParameters> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let parameters = Parameters::parse(parts.uri.query().unwrap_or_default())?;
        T::from_parameters(&parameters).map(Self)
    }
}

impl Parameters {
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut all: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
                return Err(Problem::new(ErrorCode::InvalidRequest)
                    .detail("A parameter is not UTF-8 once its percent signs are decoded."));
            };
            if all.iter().any(|(known, _)| *known == name) {
                return Err(Problem::new(ErrorCode::InvalidRequest)
                    .detail("A parameter is there more than once."));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    /// A parameter as text.
    pub(crate) fn text(&self, name: &'static str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter as what its text is parsed to.
    pub(crate) fn parsed<T>(&self, name: &'static str) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr<Err = chatsdk_types::ids::BadId>,
    {
        self.text(name)
            .map(str::parse)
            .transpose()
            .map_err(|bad| Problem::field(name, format!("{name} is {bad}.")))
    }

    /// A parameter as digits, from `least` to `most`.
    pub(crate) fn number(
        &self,
        name: &'static str,
        least: u64,
        most: u64,
    ) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && (least..=most).contains(&number) => Ok(Some(number)),
            _ => Err(Problem::field(
                name,
                format!("{name} is a whole number from {least} to {most}."),
            )),
        }
    }

    /// Refuses names that are meant to be one of `known` and are not: a filter that is ignored would
    /// show what was not asked for.
    pub(crate) fn no_misspelling(&self, known: &[&'static str]) -> Result<(), Problem> {
        for (name, _) in &self.0 {
            let meant = plain(name);
            let right = known.iter().find(|right| plain(right) == meant);
            if let Some(right) = right.filter(|right| *right != name) {
                return Err(Problem::field(
                    *right,
                    format!("The name of this parameter is `{right}`, written exactly so."),
                ));
            }
        }
        Ok(())
    }
}

/// Text of a query: `+` is a space, and `%` begins two hexadecimal digits. `None` where that is not so,
/// or what comes out is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(rest.next()?)?, digit(rest.next()?)?);
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Vec<(String, String)>, ErrorCode> {
        Parameters::parse(query)
            .map(|parameters| parameters.0)
            .map_err(|problem| problem.code())
    }

    #[test]
    fn parameters_are_decoded_and_there_once() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(
            parse("a=1&b=%C3%A4+%2B&c&&d="),
            Ok(vec![
                pair("a", "1"),
                pair("b", "ä +"),
                pair("c", ""),
                pair("d", "")
            ])
        );
        assert_eq!(parse("a=b=c"), Ok(vec![pair("a", "b=c")]));
        for bad in ["a=1&a=1", "a=%FF", "a=%4", "a=%zz", "%61=1&a=2"] {
            assert_eq!(parse(bad), Err(ErrorCode::InvalidRequest), "{bad}");
        }
    }

    #[test]
    fn numbers_are_digits_within_bounds() {
        let number = |text: &str| {
            let parameters = Parameters::parse(&format!("limit={text}")).unwrap();
            parameters
                .number("limit", 1, 500)
                .map_err(|problem| problem.code())
        };
        assert_eq!((number("1"), number("500")), (Ok(Some(1)), Ok(Some(500))));
        for bad in ["", "0", "501", "-1", "%2B1", "1.0", "99999999999999999999"] {
            assert_eq!(number(bad), Err(ErrorCode::InvalidField), "{bad}");
        }
    }

    #[test]
    fn a_filter_is_not_missed_for_its_spelling() {
        let spelled = |query: &str| {
            let parameters = Parameters::parse(query).unwrap();
            parameters.no_misspelling(&["user", "app"]).is_ok()
        };
        assert!(spelled("user=1&app=2&other=3"));
        assert!(!spelled("User=1") && !spelled("us_er=1"));
    }
}
