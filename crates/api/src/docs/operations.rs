//! The endpoints.

use serde_json::Value;

use super::html::{escape, line, prose, put};
use super::schemas;

/// The operations of a tag, in the order of their paths: method, path, operation.
fn of_tag<'a>(document: &'a Value, tag: &str) -> Vec<(&'a str, &'a str, &'a Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths
        .flat_map(|(path, item)| {
            let item = item.as_object().into_iter().flatten();
            item.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
        })
        .filter(|(_, _, operation)| operation["tags"][0] == tag)
        .collect()
}

fn tags(document: &Value) -> impl Iterator<Item = (&str, &str)> {
    document["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|tag| {
            (
                tag["name"].as_str().unwrap_or_default(),
                tag["description"].as_str().unwrap_or_default(),
            )
        })
}

fn id(operation: &Value) -> &str {
    operation["operationId"].as_str().unwrap_or_default()
}

/// Links to all of them.
pub(super) fn contents(document: &Value) -> String {
    let mut html = String::from("<nav><ul>");
    for (tag, _) in tags(document) {
        put!(html, "<li>{}<ul>", escape(tag));
        for (method, path, operation) in of_tag(document, tag) {
            put!(
                html,
                "<li><a href=\"#{}\"><b class=\"{method}\">{}</b> <code>{}</code></a> {}</li>",
                id(operation),
                method.to_uppercase(),
                escape(path),
                line(operation["summary"].as_str().unwrap_or_default()),
            );
        }
        html.push_str("</ul></li>");
    }
    html.push_str("<li><a href=\"#schemas\">Shapes</a></li><li><a href=\"#errors\">Errors</a></li></ul></nav>");
    html
}

/// All of them.
pub(super) fn all(document: &Value) -> String {
    let mut html = String::new();
    for (tag, description) in tags(document) {
        put!(html, "<h2>{}</h2>{}", escape(tag), prose(description));
        for (method, path, operation) in of_tag(document, tag) {
            html.push_str(&section(method, path, operation));
        }
    }
    html
}

fn section(method: &str, path: &str, operation: &Value) -> String {
    let mut html = format!(
        "<section id=\"{}\"><h3><b class=\"{method}\">{}</b> <code>{}</code></h3><p class=\"summary\">{}</p>{}{}",
        id(operation),
        method.to_uppercase(),
        escape(path),
        line(operation["summary"].as_str().unwrap_or_default()),
        prose(operation["description"].as_str().unwrap_or_default()),
        proof(operation),
    );
    html.push_str(&parameters(operation, "path", "In the path"));
    html.push_str(&parameters(operation, "query", "In the query"));
    let body = &operation["requestBody"];
    if body.is_object() {
        let required = if body["required"] == true {
            ""
        } else {
            ", may be left out"
        };
        put!(
            html,
            "<h4>Body{required}</h4><p>{}</p>",
            schemas::kind(&body["content"]["application/json"]["schema"])
        );
    }
    html.push_str("<h4>Answers</h4><dl>");
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        html.push_str(&answer(status, response));
    }
    html.push_str("</dl></section>");
    html
}

/// The parameters that go to one place, under a heading; nothing where there are none.
fn parameters(operation: &Value, place: &str, heading: &str) -> String {
    let all = operation["parameters"].as_array().into_iter().flatten();
    let mut html = String::new();
    for parameter in all.filter(|parameter| parameter["in"] == place) {
        put!(
            html,
            "<dt><code>{}</code>{} <span class=\"type\">{}</span></dt><dd>{}</dd>",
            escape(parameter["name"].as_str().unwrap_or_default()),
            if parameter["required"] == true {
                ""
            } else {
                " <em>optional</em>"
            },
            schemas::kind(&parameter["schema"]),
            line(parameter["description"].as_str().unwrap_or_default()),
        );
    }
    if html.is_empty() {
        html
    } else {
        format!("<h4>{heading}</h4><dl>{html}</dl>")
    }
}

/// What a request has to show. An empty requirement beside others says that it may show nothing.
fn proof(operation: &Value) -> String {
    let listed = operation["security"].as_array().into_iter().flatten();
    let html: String = listed
        .filter_map(|required| required.as_object()?.keys().next())
        .map(|scheme| match scheme.as_str() {
            "apiKey" => "<p>Needs an API key: <code>X-API-Key</code>.</p>".to_owned(),
            "accessToken" => {
                "<p>Takes an access token: <code>Authorization: Bearer …</code>.</p>".to_owned()
            }
            "operatorToken" => {
                "<p>Needs the operator token: <code>Authorization: Bearer …</code>.</p>".to_owned()
            }
            // Rather a name that says little than a word that it needs nothing.
            other => format!("<p>Needs <code>{}</code>.</p>", escape(other)),
        })
        .collect();
    if html.is_empty() && operation["tags"][0] == "Realtime" {
        "<p>Needs no header. The connect command holds the access token.</p>".into()
    } else if html.is_empty() {
        "<p>Needs no header.</p>".into()
    } else {
        html
    }
}

fn answer(status: &str, response: &Value) -> String {
    let description = response["description"].as_str().unwrap_or_default();
    let (mut codes, mut shape) = (String::new(), String::new());
    for (code, title) in description
        .split("\n\n")
        .filter_map(|part| part.strip_prefix('`')?.split_once("`: "))
    {
        put!(
            codes,
            "<li><a href=\"#{code}\"><code>{}</code></a> {}</li>",
            escape(code),
            line(title)
        );
    }
    for (kind, content) in response["content"].as_object().into_iter().flatten() {
        put!(
            shape,
            " {} <span class=\"type\">{}</span>",
            schemas::kind(&content["schema"]),
            escape(kind)
        );
    }
    if codes.is_empty() {
        format!("<dt>{status}{shape}</dt><dd>{}</dd>", line(description))
    } else {
        format!("<dt>{status}{shape}</dt><dd><ul>{codes}</ul></dd>")
    }
}
