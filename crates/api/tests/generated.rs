//! The generated reference is what the types say. `make gen` writes it anew.

fn committed(name: &str) -> String {
    let path = format!("{}/../../docs/reference/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn openapi_json() {
    let current = format!("{}\n", chatsdk_api::openapi());
    assert!(
        committed("openapi.json") == current,
        "docs/reference/openapi.json is out of date: run `make gen`"
    );
}

#[test]
fn errors_md() {
    let current = format!("{}\n", chatsdk_api::errors_reference());
    assert!(
        committed("errors.md") == current,
        "docs/reference/errors.md is out of date: run `make gen`"
    );
}
