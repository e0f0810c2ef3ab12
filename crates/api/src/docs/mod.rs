//! The reference as pages: made here from the OpenAPI document, once, as plain HTML with one style sheet.
//! Nothing is loaded from elsewhere and nothing runs, so that they read well on a server without a network.

mod html;
mod operations;
mod schemas;

use std::sync::OnceLock;

use chatsdk_types::ErrorCode;
use serde_json::Value;

use html::{escape, prose, put};

/// The style of every page.
pub(crate) const STYLE: &str = include_str!("style.css");

/// `/docs`.
pub(crate) fn reference_page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        let document = serde_json::to_value(crate::openapi::document()).unwrap_or_default();
        let mut body = format!(
            "<h1>ChatSDK API <small>{}</small></h1>{}<p>The same for programs: <a href=\"/openapi.json\">/openapi.json</a>.</p>",
            escape(document["info"]["version"].as_str().unwrap_or_default()),
            prose(document["info"]["description"].as_str().unwrap_or_default()),
        );
        body.push_str(&operations::contents(&document));
        body.push_str(&operations::all(&document));
        body.push_str("<h2 id=\"schemas\">Shapes</h2>");
        body.push_str(&schemas::all(&document));
        body.push_str("<h2 id=\"errors\">Errors</h2><p>Also <a href=\"/docs/errors\">on a page of their own</a>.</p>");
        body.push_str(&error_table());
        page("ChatSDK API", &body)
    })
}

/// `/docs/errors`.
pub(crate) fn errors_page() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        let body = format!(
            "<p><a href=\"/docs\">API reference</a></p><h1>Errors</h1>{}{}",
            prose("Every failure is a problem document (RFC 9457). Decide by `code`, which never changes. The codes marked as ending the session are the only ones on which an app should ask its user to sign in again; everything else passes."),
            error_table()
        );
        page("Errors of the ChatSDK API", &body)
    })
}

/// What `/dev/` says where its page was not built.
pub(crate) fn page_not_built() -> &'static str {
    static PAGE: OnceLock<String> = OnceLock::new();
    PAGE.get_or_init(|| {
        page(
            "The page is not built",
            "<h1>The page is not built</h1><p>This server was built without the page of <code>chatsdk dev</code>. \
             In the project's folder, run</p><pre>npm ci &amp;&amp; npm run build</pre><p>then build and start the server again, or let \
             <code>make run</code> do all of it.</p><p>The API works without the page: see <a href=\"/docs\">its reference</a>.</p>",
        )
    })
}

/// `docs/reference/errors.md`, without a newline at its end.
pub fn errors_reference() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         Every failure is answered as `application/problem+json` (RFC 9457). Decide by `code`, which never\n\
         changes. The codes that end the session are the only ones on which an app should ask its user to\n\
         sign in again; everything else passes.\n\n\
         | code | status | ends the session | what happened | what to do |\n|---|---|---|---|---|",
    );
    for code in ErrorCode::ALL {
        let ends = if code.ends_session() { "yes" } else { "" };
        put!(
            text,
            "\n| `{code}` | {} | {ends} | {} | {} |",
            code.status(),
            code.title(),
            code.hint().replace('|', "\\|")
        );
    }
    text
}

fn error_table() -> String {
    let mut table = String::from(
        "<div class=\"wide\"><table><thead><tr><th>Code</th><th>Status</th><th>What happened</th><th>What to do</th></tr></thead><tbody>",
    );
    for code in ErrorCode::ALL {
        let ends = if code.ends_session() {
            " <em>ends the session</em>"
        } else {
            ""
        };
        put!(
            table,
            "<tr id=\"{code}\"><td><code>{code}</code>{ends}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            code.status(),
            html::line(code.title()),
            html::line(code.hint())
        );
    }
    table.push_str("</tbody></table></div>");
    table
}

fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}</title><link rel=\"icon\" href=\"data:,\"><link rel=\"stylesheet\" href=\"/docs/style.css\"></head>\
         <body><main>{body}</main></body></html>\n",
        escape(title)
    )
}

/// The end of a reference such as `#/components/schemas/TokenReply`.
fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_shows_everything() {
        let page = reference_page();
        let document = serde_json::to_value(crate::openapi::document()).unwrap();
        for path in document["paths"].as_object().unwrap().keys() {
            assert!(page.contains(&escape(path)), "{path}");
        }
        for name in document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
        {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        for code in ErrorCode::ALL {
            assert!(
                page.contains(&format!("<tr id=\"{code}\">"))
                    && errors_page().contains(&format!("<tr id=\"{code}\">")),
                "{code}"
            );
        }
        for (index, _) in page.match_indices("href=\"#") {
            let target = page[index + 7..].split('"').next().unwrap();
            assert!(
                page.contains(&format!("id=\"{target}\"")),
                "#{target} leads nowhere"
            );
        }
        assert!(
            !page.contains("<script") && !page.contains("http://") && !page.contains(" style=")
        );
    }
}
