//! Keeps secrets out of text that people and logs read.

/// The text with everything in it that looks like a token or an API key blotted out.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let found = [("eyJ", true), ("csk_", false)]
            .into_iter()
            .filter_map(|(start, dots)| rest.find(start).map(|at| (at, dots)))
            .min();
        let Some((at, dots)) = found else {
            out.push_str(rest);
            return out;
        };
        out.push_str(&rest[..at]);
        let secret = rest[at..]
            .find(|c: char| {
                !(c.is_ascii_alphanumeric() || c == '_' || (dots && matches!(c, '-' | '.')))
            })
            .unwrap_or(rest.len() - at);
        out.push_str("[redacted]");
        rest = &rest[at + secret..];
    }
}

#[cfg(test)]
mod tests {
    use super::redact;

    #[test]
    fn tokens_and_keys_are_blotted_out() {
        assert_eq!(
            redact("got eyJhbGci.eyJz-dWI.c2ln, sent csk_live_ab12_cd"),
            "got [redacted], sent [redacted]"
        );
        assert_eq!(redact("nothing to hide"), "nothing to hide");
    }
}
