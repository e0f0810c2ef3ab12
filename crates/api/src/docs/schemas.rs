//! The shapes of bodies.

use serde_json::Value;

use super::html::{escape, line, prose, put};
use super::reference;

/// All of them.
pub(super) fn all(document: &Value) -> String {
    let schemas = document["components"]["schemas"].as_object();
    schemas
        .into_iter()
        .flatten()
        .map(|(name, schema)| section(name, schema))
        .collect()
}

fn section(name: &str, schema: &Value) -> String {
    let mut html = format!(
        "<section id=\"schema-{name}\"><h3>{}</h3>{}",
        escape(name),
        prose(schema["description"].as_str().unwrap_or_default())
    );
    let required = schema["required"].as_array();
    let properties = schema["properties"].as_object();
    if let Some(properties) = properties {
        html.push_str("<dl>");
        for (member, schema) in properties {
            let required = required.is_some_and(|all| all.iter().any(|name| name == member));
            put!(
                html,
                "<dt><code>{}</code>{} <span class=\"type\">{}</span></dt><dd>{}{}</dd>",
                escape(member),
                if required { "" } else { " <em>optional</em>" },
                kind(schema),
                line(
                    &schema["description"]
                        .as_str()
                        .unwrap_or_default()
                        .replace('\n', " ")
                ),
                bounds(schema),
            );
        }
        html.push_str("</dl>");
    } else {
        put!(html, "<p class=\"type\">{}</p>", kind(schema));
    }
    html.push_str("</section>");
    html
}

/// What a schema takes, in few words, as HTML.
pub(super) fn kind(schema: &Value) -> String {
    if let Some(name) = reference(schema) {
        return format!("<a href=\"#schema-{name}\">{}</a>", escape(name));
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(items) = schema[choice].as_array() {
            return items.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    match &schema["type"] {
        Value::String(one) if one == "array" => format!("array of {}", kind(&schema["items"])),
        Value::String(one) => escape(one),
        Value::Array(many) => many
            .iter()
            .filter_map(Value::as_str)
            .map(escape)
            .collect::<Vec<_>>()
            .join(" or "),
        _ => "any".into(),
    }
}

/// The bounds of a value, and an example.
fn bounds(schema: &Value) -> String {
    let mut parts = Vec::new();
    for (key, words) in [
        ("minLength", "characters at least"),
        ("maxLength", "characters at most"),
        ("minimum", "or more"),
        ("maximum", "or less"),
    ] {
        if let Some(bound) = schema[key].as_number() {
            parts.push(format!("{bound} {words}"));
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("<code>{}</code>", escape(value)))
            .collect();
        parts.push(format!("one of {}", values.join(", ")));
    }
    let example = [&schema["example"], &schema["examples"][0]]
        .into_iter()
        .find(|example| !example.is_null());
    if let Some(example) = example {
        parts.push(format!(
            "such as <code>{}</code>",
            escape(&example.to_string())
        ));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!("<p class=\"bounds\">{}.</p>", parts.join("; "))
    }
}
