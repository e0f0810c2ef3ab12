//! The reference page, as people read it.

use chatsdk_testkit::{Database, TestServer};
use serde_json::Value;

/// What the page says of an operation.
fn section<'a>(page: &'a str, operation: &str) -> &'a str {
    let begin = page
        .find(&format!("<section id=\"{operation}\">"))
        .unwrap_or_else(|| panic!("{operation} is not on the page"));
    let rest = &page[begin..];
    &rest[..rest.find("</section>").unwrap()]
}

/// What stands under a heading of a section.
fn under<'a>(section: &'a str, heading: &str) -> &'a str {
    let heading = format!("<h4>{heading}</h4>");
    let rest = section.split_once(&heading).map_or("", |(_, rest)| rest);
    rest.split("<h4>").next().unwrap()
}

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let paths = document["paths"].as_object().unwrap().values();
    paths.flat_map(|item| item.as_object().unwrap().values())
}

/// Whoever reads the page knows which header to send, and where each parameter goes.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_names_each_header_and_where_parameters_go() {
    let server = TestServer::start(Database::Sqlite).await;
    let document = server.request("GET", "/openapi.json").send().await.json();
    let page = server.request("GET", "/docs").send().await.ok().text;
    let (mut secured, mut queries) = (0, 0);
    for operation in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        let section = section(&page, id);
        let schemes: Vec<&str> = operation["security"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|required| required.as_object().unwrap().keys())
            .map(String::as_str)
            .collect();
        for scheme in &schemes {
            let words = match *scheme {
                "apiKey" => "Needs an API key: <code>X-API-Key</code>",
                "accessToken" => "Takes an access token: <code>Authorization: Bearer …</code>",
                "operatorToken" => "Needs the operator token: <code>Authorization: Bearer …</code>",
                other => panic!("the page has no word on {other}"),
            };
            assert!(section.contains(words), "{id}: {section}");
            secured += 1;
        }
        assert_eq!(
            section.contains("Needs no header."),
            schemes.is_empty(),
            "{id}: {section}"
        );
        let parameters = operation["parameters"].as_array();
        for parameter in parameters.into_iter().flatten() {
            let name = format!("<dt><code>{}</code>", parameter["name"].as_str().unwrap());
            let (in_path, in_query) = (
                under(section, "In the path").contains(&name),
                under(section, "In the query").contains(&name),
            );
            let goes_there = parameter["in"] == "query";
            assert_eq!(
                (in_path, in_query),
                (!goes_there, goes_there),
                "{id}: {name}"
            );
            queries += usize::from(goes_there);
        }
    }
    assert!(secured >= 15 && queries >= 9, "{secured}, {queries}");
}

/// The names of shapes are ours, not those of a programming language.
#[tokio::test(flavor = "multi_thread")]
async fn no_shape_is_called_as_a_machines_number() {
    let server = TestServer::start(Database::Sqlite).await;
    let document = server.request("GET", "/openapi.json").send().await.json();
    for name in document["components"]["schemas"]
        .as_object()
        .unwrap()
        .keys()
    {
        assert!(name.starts_with(char::is_uppercase), "{name}");
    }
}
