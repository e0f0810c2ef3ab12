//! Text as HTML.

/// Writes more into a page. Writing into a `String` cannot fail.
macro_rules! put {
    ($page:expr, $($text:tt)*) => {{
        use std::fmt::Write as _;
        let _ = write!($page, $($text)*);
    }};
}
pub(crate) use put;

/// Text that is not markup.
pub(crate) fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            other => html.push(other),
        }
    }
    html
}

/// A sentence in which `backticks` are code.
pub(crate) fn line(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            put!(html, "<code>{}</code>", escape(part));
        } else {
            html.push_str(&escape(part));
        }
    }
    html
}

/// Paragraphs, with empty lines between them.
pub(crate) fn prose(text: &str) -> String {
    let mut html = String::new();
    for paragraph in text.split("\n\n").map(str::trim) {
        if !paragraph.is_empty() {
            put!(html, "<p>{}</p>", line(paragraph));
        }
    }
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        assert_eq!(
            escape("<a href=\"x\">&"),
            "&lt;a href=&quot;x&quot;&gt;&amp;"
        );
        assert_eq!(
            prose("a `b<c`\n\nd"),
            "<p>a <code>b&lt;c</code></p><p>d</p>"
        );
    }
}
