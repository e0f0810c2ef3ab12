//! Members of a query string.

/// The value of the member `name`, decoded as forms are; `None`: it is not there, or not UTF-8.
pub(super) fn member(query: &str, name: &str) -> Option<String> {
    query
        .split('&')
        .filter_map(|member| member.split_once('='))
        .find(|(key, _)| *key == name)
        .and_then(|(_, value)| String::from_utf8(decode(value)).ok())
}

/// `text` without its escapes: `%41` is `A`, `+` is a space.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match (
            bytes[at],
            digit(bytes.get(at + 1)),
            digit(bytes.get(at + 2)),
        ) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 3;
            }
            (b'+', ..) => {
                out.push(b' ');
                at += 1;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_decoded() {
        let query = "a=1&cf_connect=%7B%22id%22%3A1%7D+x%2B&b";
        assert_eq!(
            member(query, "cf_connect").as_deref(),
            Some("{\"id\":1} x+")
        );
        assert_eq!(member(query, "b"), None);
        assert_eq!(member("x=%ff", "x"), None, "not UTF-8");
        assert_eq!(member("x=%f&y", "x").as_deref(), Some("%f"));
    }
}
