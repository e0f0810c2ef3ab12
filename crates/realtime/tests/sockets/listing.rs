//! What operators see.

use chatsdk_realtime::{DisconnectCode, Encoding, Listed, TopicOptions, Transport, listing::STEP};

use crate::support::Server;
use crate::topics::granted;

/// A step is bounded, whatever there is: that bounds how long a list holds the hub.
#[tokio::test(start_paused = true)]
async fn a_list_is_read_in_steps() {
    let server = Server::start().await;
    let mut sockets = Vec::new();
    for _ in 0..=STEP {
        sockets.push(server.connected("app/ann/s1/never").await);
    }
    let handle = server.handle();
    let (first, next) = handle.connections(0);
    assert_eq!(first.len(), STEP);
    let place = next.unwrap();
    assert!(first.iter().all(|connection| connection.place() < place));
    // Who goes between two steps does not move the others.
    drop(sockets.remove(0));
    let (last, end) = handle.connections(place);
    assert_eq!((last.len(), end), (1, None));
    assert!(handle.connections(u64::MAX).0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_seen_while_it_may_talk() {
    let server = Server::start().await;
    server
        .authority
        .topics("", granted(TopicOptions::default()));
    let silent = server.socket().await;
    let (mut socket, _) = server.connected("app/ann/s1/60").await;
    let reply = socket.ask(r#"{"id":2,"subscribe":{"channel":"a"}}"#).await;
    assert!(reply["subscribe"].is_object(), "{reply}");
    let (listed, _) = server.handle().connections(0);
    let seen: Vec<_> = listed.iter().filter_map(Listed::view).collect();
    assert_eq!(
        (listed.len(), seen.len()),
        (2, 1),
        "one has said nothing yet"
    );
    let view = &seen[0];
    assert_eq!(
        (
            &*view.identity.app,
            &*view.identity.user,
            &*view.identity.session
        ),
        ("app", "ann", "s1")
    );
    assert_eq!(
        (view.transport, view.encoding),
        (Transport::WebSocket, Encoding::Json)
    );
    assert_eq!(view.expires_at, Some(view.opened_at + 60_000));
    assert_eq!((view.topics, view.queued_bytes), (1, 0));
    let found = listed
        .iter()
        .find(|listed| listed.client() == &*view.client)
        .unwrap();
    assert!(found.listens_to("a") && !found.listens_to("b"));
    assert_eq!(&*found.channels()[0], "a");
    let (topics, next) = server.handle().list_topics(0, 10);
    assert_eq!((topics.len(), topics[0].subscribers, next), (1, 1, None));
    assert_eq!((&*topics[0].app, &*topics[0].channel), ("app", "a"));
    assert!(found.disconnect(&DisconnectCode::ForceReconnect.into()));
    assert!(!found.disconnect(&DisconnectCode::ForceReconnect.into()));
    assert!(found.view().is_none(), "it is closing");
    // Who looks at a connection keeps its socket, until they look away.
    drop(listed);
    assert_eq!(socket.hear_close().await.0, 3011);
    drop(silent);
}
