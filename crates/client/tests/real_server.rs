//! The client with real sockets, real files and a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::path::Path;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_client::native::{FileStorage, MemoryStorage, NativeStorage};
use chatsdk_client::platform::{Storage, StorageFault};
use chatsdk_client::realtime::ConnectionState;
use chatsdk_client::{ChatSdk, Credentials, EndReason, Error, Event, Events, User};
use chatsdk_testkit::{Backend, Database, Person, TestServer};
use chatsdk_types::ErrorCode;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// How long a test waits for an event before it fails. Not a delay: events end the wait.
const PATIENCE: Duration = Duration::from_secs(45);

/// Tokens of a few seconds, so that refreshes come by themselves.
fn short() -> Value {
    json!({ "userId": "ann", "accessTokenExpiry": "4s" })
}

async fn until<T>(mut events: Events, wanted: impl Fn(&Event) -> Option<T>) -> T {
    let found = async {
        loop {
            let event = events.next().await.unwrap();
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.unwrap()
}

fn refreshed(event: &Event) -> Option<()> {
    matches!(event, Event::Refreshed { .. }).then_some(())
}

fn ended(event: &Event) -> Option<EndReason> {
    match event {
        Event::Ended { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// How the server answers the client's access token.
async fn standing<S: NativeStorage>(backend: &Backend, sdk: &ChatSdk<S>) -> String {
    let person = Person {
        address: backend.address,
        access: sdk.access_token().await.unwrap(),
        refresh: String::new(),
        session: String::new(),
    };
    person.standing().await
}

#[tokio::test(flavor = "multi_thread")]
async fn signs_in_stays_signed_in_and_logs_out() {
    let server = TestServer::start(Database::Sqlite).await;
    let sdk = server.backend.device(MemoryStorage::default());
    assert!(matches!(sdk.access_token().await, Err(Error::NotConnected)));

    let user = sdk
        .connect(&server.backend.credentials(&short()).await)
        .await
        .unwrap();
    assert_eq!(user.id, "ann");
    assert_eq!(sdk.connectivity().await, Some(ConnectionState::Connected));
    assert_eq!(standing(&server.backend, &sdk).await, "200");

    let first = sdk.access_token().await.unwrap();
    until(sdk.events().await.unwrap(), refreshed).await;
    let second = sdk.access_token().await.unwrap();
    assert_ne!(first, second, "by itself");
    assert_ne!(
        sdk.refresh().await.unwrap(),
        second,
        "because it was asked for"
    );
    assert_eq!(sdk.connectivity().await, Some(ConnectionState::Connected));

    let person = Person {
        address: server.api(),
        access: sdk.access_token().await.unwrap(),
        refresh: String::new(),
        session: String::new(),
    };
    sdk.logout().await;
    assert_eq!(person.standing().await, "401 token_revoked");
    assert!(matches!(sdk.access_token().await, Err(Error::NotConnected)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_s_word_ends_a_session() {
    let server = TestServer::start(Database::Sqlite).await;
    let sdk = server.backend.device(MemoryStorage::default());
    sdk.connect(&server.backend.credentials(&short()).await)
        .await
        .unwrap();
    let events = sdk.events().await.unwrap();
    server
        .backend
        .request("POST", "/auth/users/ann/revoke")
        .json(&json!({}))
        .send()
        .await
        .ok();
    let reason = until(events, ended).await;
    assert_eq!(reason, EndReason::Refused(ErrorCode::SessionRevoked));
    let Err(Error::Refresh(error)) = sdk.access_token().await else {
        panic!("a session that has ended gives no token")
    };
    assert_eq!(error.code(), "session_revoked");
    assert!(!error.message.contains("Network"));
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_that_share_a_file_share_the_session() {
    let server = TestServer::start(Database::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.json");
    let open = || server.backend.device(FileStorage::new(&path).unwrap());

    let first = open();
    first
        .connect(&server.backend.credentials(&short()).await)
        .await
        .unwrap();
    until(first.events().await.unwrap(), refreshed).await;
    let second = open();
    assert_eq!(second.resume("ann").await.unwrap().unwrap().id, "ann");
    for _ in 0..2 {
        until(second.events().await.unwrap(), refreshed).await;
    }
    assert_eq!(standing(&server.backend, &first).await, "200");
    assert_eq!(standing(&server.backend, &second).await, "200");

    // Gone without a word, as a killed process is; another one goes on from the file.
    drop(first);
    let third = open();
    assert!(third.resume("ann").await.unwrap().is_some());
    assert_eq!(standing(&server.backend, &third).await, "200");
    assert!(open().resume("bob").await.unwrap().is_none());

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let events = second.events().await.unwrap();
    third.logout().await;
    assert_eq!(until(events, ended).await, EndReason::LoggedOut);
    assert!(!std::fs::read_to_string(&path).unwrap().contains("eyJ"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_server_ends_nothing() {
    let mut server = TestServer::start(Database::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.json");
    let sdk = server.backend.device(FileStorage::new(&path).unwrap());
    sdk.connect(&server.backend.credentials(&short()).await)
        .await
        .unwrap();
    let mut events = sdk.events().await.unwrap();
    server.stop().await;
    let failed = async {
        loop {
            if let Some(Event::State(state)) = events.next().await
                && state == chatsdk_client::TokenState::Expired
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, failed).await.unwrap();
    let Err(Error::Refresh(error)) = sdk.access_token().await else {
        panic!("nobody is there to ask")
    };
    assert!(error.message.starts_with("Network"), "{error}");
    assert!(error.is_retryable());
    drop(sdk);

    // It comes back at another port; the client begins again from its file.
    server.start_again().await;
    let sdk = server.backend.device(FileStorage::new(&path).unwrap());
    assert!(sdk.resume("ann").await.unwrap().is_some());
    assert_eq!(standing(&server.backend, &sdk).await, "200");
    assert_eq!(sdk.connectivity().await, Some(ConnectionState::Connected));
}

#[tokio::test(flavor = "multi_thread")]
async fn signs_in_anew_after_an_end_with_a_socket_of_the_new_session() {
    let server = TestServer::start(Database::Sqlite).await;
    let sdk = server.backend.device(MemoryStorage::default());
    let body = json!({ "userId": "ann" });
    sdk.connect(&server.backend.credentials(&body).await)
        .await
        .unwrap();
    let over = sdk.events().await.unwrap();
    let response = server
        .backend
        .request("DELETE", "/auth/users/ann/sessions")
        .send()
        .await;
    response.ok();
    until(over, ended).await;

    let tokens = server.backend.credentials(&body).await;
    sdk.connect(&tokens).await.unwrap();
    assert_eq!(sdk.connectivity().await, Some(ConnectionState::Connected));
    assert_eq!(standing(&server.backend, &sdk).await, "200");

    // Another session of the same user: what is open belongs to it from now on.
    let first = sdk.access_token().await.unwrap();
    server.clock.advance(1_000);
    sdk.connect(&server.backend.credentials(&body).await)
        .await
        .unwrap();
    assert_ne!(sdk.access_token().await.unwrap(), first);
    assert_eq!(standing(&server.backend, &sdk).await, "200");
    sdk.logout().await;
    assert!(matches!(sdk.access_token().await, Err(Error::NotConnected)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_stored_is_logged_out_without_a_connect() {
    let server = TestServer::start(Database::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ann.tokens");
    let sdk = server.backend.device(FileStorage::new(&path).unwrap());
    sdk.connect(
        &server
            .backend
            .credentials(&json!({ "userId": "ann" }))
            .await,
    )
    .await
    .unwrap();
    let token = sdk.access_token().await.unwrap();
    sdk.disconnect().await;

    let other = server.backend.device(FileStorage::new(&path).unwrap());
    other.logout_user("ann").await;
    assert_eq!(sdk.resume("ann").await.unwrap(), None);
    let person = Person {
        address: server.backend.address,
        access: token,
        refresh: String::new(),
        session: String::new(),
    };
    assert_eq!(person.standing().await, "401 token_revoked");
}

#[tokio::test]
async fn an_address_that_is_none_is_said_at_once() {
    let fault = async |sdk: ChatSdk| match sdk.resume("ann").await {
        Err(Error::InvalidInput { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault(ChatSdk::new("chat.example.com")).await, "api_url");
    let sdk = ChatSdk::new("http://localhost:5500").ws_url("http://localhost:8001/ws");
    assert_eq!(fault(sdk).await, "ws_url");
}

/// The next socket that comes in, and what it says first.
async fn accepted(listener: &TcpListener) -> (WebSocketStream<TcpStream>, String) {
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = accept_async(stream).await.unwrap();
    let said = socket.next().await.unwrap().unwrap();
    (socket, said.into_text().unwrap().to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connect_that_is_not_answered_is_given_up_though_pings_come() {
    let server = TestServer::start(Database::Sqlite).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let sdk = server.backend.device(MemoryStorage::default()).ws_url(&url);
    let tokens = server.backend.credentials(&short()).await;
    let connecting = tokio::spawn(async move {
        sdk.connect(&tokens).await.unwrap();
        sdk
    });

    let (mut deaf, said) = accepted(&listener).await;
    assert!(said.contains("\"connect\""), "{said}");
    tokio::spawn(async move {
        // As often as keeps the silence of a connection from being noticed; ends with the connection.
        while deaf.send(Message::text("{}")).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let again = tokio::time::timeout(PATIENCE, accepted(&listener)).await;
    let (mut well, said) = again.unwrap();
    assert!(said.contains("\"connect\""), "{said}");
    let answer = r#"{"id":1,"connect":{"client":"c","version":"v"}}"#;
    well.send(Message::text(answer)).await.unwrap();
    let sdk = connecting.await.unwrap();
    assert!(sdk.user().await.is_some());
}

/// A storage that nothing can be kept in.
struct Full;

impl Storage for Full {
    async fn get(&self) -> Result<Option<String>, StorageFault> {
        Ok(None)
    }

    async fn set(&self, _text: String) -> Result<(), StorageFault> {
        Err(StorageFault("it is full".to_owned()))
    }

    async fn remove(&self) -> Result<(), StorageFault> {
        Ok(())
    }

    fn is_shared(&self) -> bool {
        false
    }
}

impl NativeStorage for Full {
    type Guard = ();
    type Seen = ();

    async fn lock(&self, _name: &str) {}

    async fn changed(&self, _seen: &mut ()) {
        std::future::pending::<()>().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_signed_in_resumes_what_is_in_use() {
    let server = TestServer::start(Database::Sqlite).await;
    let sdk = server.backend.device(Full);
    let body = json!({ "userId": "ann" });
    sdk.connect(&server.backend.credentials(&body).await)
        .await
        .unwrap();
    let token = sdk.access_token().await.unwrap();

    // The storage knows nothing of the session; it is alive all the same.
    assert_eq!(sdk.resume("ann").await.unwrap().unwrap().id, "ann");
    assert_eq!(sdk.access_token().await.unwrap(), token);
    assert_eq!(sdk.connectivity().await, Some(ConnectionState::Connected));

    assert_eq!(sdk.resume("bob").await.unwrap(), None);
    assert!(sdk.user().await.is_none());
}

/// Two clients that share what stands at `path`: the second brings the copy of before, and is told of the newer pair while it
/// connects: then `react` is called with it.
async fn told_while_it_connects<F>(
    server: &TestServer,
    path: &Path,
    react: impl Fn(Arc<OnceLock<ChatSdk<FileStorage>>>) -> F + Send + Sync + Clone + 'static,
) -> (Arc<OnceLock<ChatSdk<FileStorage>>>, Result<User, Error>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let stale = server.backend.credentials(&short()).await;
    let first = server.backend.device(FileStorage::new(path).unwrap());
    first.connect(&stale).await.unwrap();
    until(first.events().await.unwrap(), refreshed).await;
    first.disconnect().await;

    let client = Arc::new(OnceLock::new());
    let own = client.clone();
    let sdk = server
        .backend
        .device(FileStorage::new(path).unwrap())
        .configure(move |options| {
            let (own, react) = (own.clone(), react.clone());
            options.on_token_refresh(move |_| {
                let reaction = react(own.clone());
                async move {
                    reaction.await;
                    Ok(())
                }
            })
        });
    let connected = client.get_or_init(|| sdk).connect(&stale).await;
    (client, connected)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_may_ask_the_client() {
    let server = TestServer::start(Database::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let (asked, answers) = mpsc::channel();
    let path = folder.path().join("ann.tokens");
    let (sdk, connected) = told_while_it_connects(&server, &path, move |own| {
        let asked = asked.clone();
        async move {
            let user = own.get().unwrap().user().await;
            asked.send(user.is_some()).unwrap();
        }
    })
    .await;
    assert_eq!(connected.unwrap().id, "ann");
    assert_eq!(answers.try_recv(), Ok(false), "not signed in yet");
    assert_eq!(sdk.get().unwrap().user().await.unwrap().id, "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_may_leave() {
    let server = TestServer::start(Database::Sqlite).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ann.tokens");
    let (sdk, connected) = told_while_it_connects(&server, &path, |own| async move {
        own.get().unwrap().disconnect().await;
    })
    .await;
    assert!(matches!(connected, Err(Error::Disconnected)));
    assert_eq!(sdk.get().unwrap().user().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn is_offline_while_a_token_that_has_expired_cannot_be_replaced() {
    // Nobody listens there any more.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let exp = 1_704_835_200;
    let claims = json!({ "sub": "ann", "sid": "ses_1", "rc": 1, "iat": exp - 3_600, "exp": exp });
    let sdk = ChatSdk::new(&format!("http://{address}"));
    let user = sdk
        .connect(&Credentials {
            user_id: "ann".to_owned(),
            token: format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims.to_string())),
            refresh_token: Some("refresh".to_owned()),
            expires_at: None,
        })
        .await
        .unwrap();
    assert_eq!(user.id, "ann");
    assert_eq!(sdk.connectivity().await, Some(ConnectionState::Offline));
}
