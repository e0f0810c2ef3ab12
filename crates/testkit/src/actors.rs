//! Those who call.

use std::net::SocketAddr;

use chatsdk_client::native::NativeStorage;
use chatsdk_client::{ChatSdk, Credentials};
use serde_json::{Value, json};

use crate::http::{Reply, Request, request};

/// A host's backend: it holds an API key.
#[derive(Debug, Clone)]
pub struct Backend {
    /// The API listener.
    pub address: SocketAddr,
    /// The key.
    pub key: String,
}

impl Backend {
    /// A request with the key.
    pub fn request(&self, method: &str, path: &str) -> Request {
        request(self.address, method, path).header("x-api-key", &self.key)
    }

    /// Mints with `body`.
    pub async fn mint(&self, body: &Value) -> Reply {
        self.request("POST", "/auth/tokens").json(body).send().await
    }

    /// Signs somebody in.
    pub async fn sign_in(&self, user: &str) -> Person {
        self.sign_in_with(&json!({ "userId": user })).await
    }

    /// Signs somebody in with a whole mint body.
    pub async fn sign_in_with(&self, body: &Value) -> Person {
        Person::from_reply(self.address, &self.mint(body).await.ok())
    }
}

impl Backend {
    /// Mints for the Rust client.
    pub async fn credentials(&self, body: &Value) -> Credentials {
        let reply = self.mint(body).await.ok();
        Credentials {
            user_id: body["userId"].as_str().expect("a user").to_owned(),
            token: reply.field("accessToken"),
            refresh_token: Some(reply.field("refreshToken")),
            expires_at: reply.json()["expiresAt"].as_i64(),
        }
    }

    /// The Rust client, not signed in yet: it refreshes and reconnects by itself.
    pub fn device<S: NativeStorage>(&self, storage: S) -> ChatSdk<S> {
        ChatSdk::with_storage(&format!("http://{}", self.address), storage)
    }
}

/// Somebody with tokens.
#[derive(Debug, Clone)]
pub struct Person {
    /// The API listener.
    pub address: SocketAddr,
    /// The newest access token.
    pub access: String,
    /// The newest refresh token.
    pub refresh: String,
    /// The session of both.
    pub session: String,
}

impl Person {
    /// Somebody without tokens.
    pub fn nobody(address: SocketAddr) -> Self {
        Self {
            address,
            access: String::new(),
            refresh: String::new(),
            session: String::new(),
        }
    }

    /// Who the reply to a mint or a refresh speaks of.
    pub fn from_reply(address: SocketAddr, reply: &Reply) -> Self {
        Self {
            address,
            access: reply.field("accessToken"),
            refresh: reply.field("refreshToken"),
            session: reply.field("sessionId"),
        }
    }

    /// The request that exchanges `token`.
    pub fn refresh_request(&self, token: &str) -> Request {
        request(self.address, "POST", "/auth/refresh").json(&json!({ "refreshToken": token }))
    }

    /// Presents `token` and keeps nothing.
    pub async fn present(&self, token: &str) -> Reply {
        self.refresh_request(token).send().await
    }

    /// Presents the newest token and keeps what comes back, as a client would.
    pub async fn refreshed(&self) -> Self {
        Self::from_reply(self.address, &self.present(&self.refresh).await.ok())
    }

    /// A request with the access token.
    pub fn request(&self, method: &str, path: &str) -> Request {
        request(self.address, method, path)
            .header("authorization", &format!("Bearer {}", self.access))
    }

    /// How the access token is answered: `200`, or the status and code.
    pub async fn standing(&self) -> String {
        self.request("GET", "/auth/sessions").send().await.outcome()
    }

    /// How the refresh token is answered.
    pub async fn refresh_standing(&self) -> String {
        self.present(&self.refresh).await.outcome()
    }
}
