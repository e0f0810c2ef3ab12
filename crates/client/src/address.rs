//! The addresses of a deployment.

use hyper::Uri;

use crate::error::Error;

/// Whether these can be the addresses of the API and of the socket. Who speaks to the API in secret never sends the same
/// tokens through an open socket.
pub(crate) fn check(api_url: &str, ws_url: &str) -> Result<(), Error> {
    judge(api_url, ws_url, cfg!(feature = "tls")).map_err(|(field, why)| Error::InvalidInput {
        field,
        why: why.to_owned(),
    })
}

const NO_TLS: &str =
    "chatsdk-client was built without its feature `tls`, which https and wss need.";

/// `tls` says whether this program can do that. What is wrong otherwise is the first, and why the second.
fn judge(api_url: &str, ws_url: &str, tls: bool) -> Result<(), (&'static str, &'static str)> {
    let api = read(api_url, "http", "https").ok_or((
        "api_url",
        "Expected the address of the API, like https://chat.example.com.",
    ))?;
    let socket = read(ws_url, "ws", "wss").ok_or((
        "ws_url",
        "Expected the address of the socket, like wss://chat.example.com/ws.",
    ))?;
    match (api, socket) {
        // No weather: it would never connect.
        (true, _) if !tls => Err(("api_url", NO_TLS)),
        (_, true) if !tls => Err(("ws_url", NO_TLS)),
        (true, false) => Err(("ws_url", "It is not encrypted, and the API is: use wss.")),
        _ => Ok(()),
    }
}

/// The address of the socket that the API itself offers.
pub(crate) fn socket_of(api_url: &str) -> String {
    let (scheme, rest) = api_url.split_once("://").unwrap_or(("", api_url));
    let scheme = if scheme.eq_ignore_ascii_case("https") {
        "wss"
    } else {
        "ws"
    };
    format!("{scheme}://{rest}/connection/websocket")
}

/// Whether what is sent to `address` is encrypted; `None` where it is no address of either scheme.
fn read(address: &str, open: &str, encrypted: &str) -> Option<bool> {
    // A query would end up in the middle of addresses, and nobody sends what stands before an `@`.
    if address.contains(['?', '#', '@']) {
        return None;
    }
    let uri = address.parse::<Uri>().ok()?;
    let port = uri.authority()?.as_str().strip_prefix(uri.host()?)?;
    // A port that is none would be taken for the usual one.
    if !port.is_empty() && uri.port_u16().is_none() {
        return None;
    }
    match uri.scheme_str()? {
        scheme if scheme == open => Some(false),
        scheme if scheme == encrypted => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{judge, socket_of};

    fn fault(api_url: &str, ws_url: &str) -> Option<&'static str> {
        judge(api_url, ws_url, true).err().map(|(field, _)| field)
    }

    #[test]
    fn the_socket_of_an_api_goes_with_it() {
        let pairs = [
            ("http://[::1]:5500", "ws://[::1]:5500/connection/websocket"),
            (
                "https://a.example/http",
                "wss://a.example/http/connection/websocket",
            ),
            ("HTTPS://a.example", "wss://a.example/connection/websocket"),
        ];
        for (api, socket) in pairs {
            assert_eq!(socket_of(api), socket);
            assert_eq!(fault(api, socket), None, "{api}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        for api in [
            "a.example",
            "ftp://a.example",
            "https://",
            "https://a.example:99999",
            "https://a.example:",
            "https://a.example?app=1",
            "https://a.example#app",
            "https://ann:secret@a.example",
        ] {
            assert_eq!(fault(api, "wss://a.example/ws"), Some("api_url"), "{api}");
        }
        for socket in [
            "a.example/ws",
            "https://a.example/ws",
            "wss://a.example:0x50/ws",
        ] {
            assert_eq!(
                fault("https://a.example", socket),
                Some("ws_url"),
                "{socket}"
            );
        }
    }

    #[test]
    fn tokens_that_go_by_tls_go_through_no_open_socket() {
        let open = "ws://localhost:8001/ws";
        assert_eq!(fault("https://a.example", open), Some("ws_url"));
        assert_eq!(fault("http://localhost:5500", open), None);
        assert_eq!(fault("http://localhost:5500", "wss://a.example/ws"), None);
    }

    #[test]
    fn what_cannot_be_done_without_tls_is_said_at_once() {
        let field = |api, socket| judge(api, socket, false).err().map(|(field, _)| field);
        let (api, socket) = ("http://localhost:5500", "ws://localhost:8001/ws");
        assert_eq!(
            field("https://a.example", "wss://a.example/ws"),
            Some("api_url")
        );
        assert_eq!(field(api, "wss://a.example/ws"), Some("ws_url"));
        assert_eq!(field(api, socket), None);
    }
}
