//! Somebody who has every key of the server, so that what he makes is refused for its form and not for its
//! signature.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_testkit::{Person, SECRET, TestServer};
use serde_json::Value;

/// The keys, and the parts of a good pair of tokens.
pub(super) struct Forger {
    pub(super) pair: Ed25519KeyPair,
    /// What refresh tokens are authenticated with.
    refresh: hmac::Key,
    /// Of the access token.
    pub(super) header: Value,
    /// Of the access token.
    pub(super) claims: Value,
    /// Of the refresh token, as they are written: it has one spelling.
    pub(super) refresh_parts: [String; 2],
}

impl Forger {
    pub(super) async fn new(server: &TestServer, person: &Person) -> Self {
        let keys = server.fresh_store().await.signing_keys().await.unwrap();
        let key = &keys[0];
        let secret = DeploymentSecret::parse(SECRET).unwrap();
        let seed = secret.sealing_key().open(&key.kid, &key.sealed).unwrap();
        let [header, claims] =
            parts(&person.access).map(|part| serde_json::from_str(&part).unwrap());
        let forger = Self {
            pair: Ed25519KeyPair::from_seed_and_public_key(&seed, &key.public).unwrap(),
            refresh: refresh_key(),
            header,
            claims,
            refresh_parts: parts(&person.refresh),
        };
        let [header, payload] = &forger.refresh_parts;
        assert_eq!(
            forger.refresh(header, payload),
            person.refresh,
            "the keys are the server's"
        );
        forger
    }

    pub(super) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// A correctly signed token of these two parts.
    pub(super) fn signed(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        let input = format!("{}.{}", b64(header), b64(payload));
        let signature = self.pair.sign(input.as_bytes());
        format!("{input}.{}", b64(signature))
    }

    /// The good access token with one member of the header changed; `Value::Null` takes it away.
    pub(super) fn with_header(&self, name: &str, value: Value) -> String {
        let header = changed(&self.header, name, value);
        self.signed(header.to_string(), self.claims.to_string())
    }

    /// The good access token with one claim changed; `Value::Null` takes it away.
    pub(super) fn with_claim(&self, name: &str, value: Value) -> String {
        let claims = changed(&self.claims, name, value);
        self.signed(self.header.to_string(), claims.to_string())
    }

    /// A correctly authenticated refresh token of these two parts.
    pub(super) fn refresh(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", b64(header), b64(payload));
        format!(
            "{input}.{}",
            b64(hmac::sign(&self.refresh, input.as_bytes()))
        )
    }
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn hs256(key: &[u8], input: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    format!("{input}.{}", b64(hmac::sign(&key, input.as_bytes())))
}

pub(super) fn changed(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.as_object().unwrap().clone();
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.into(), value);
    }
    object.into()
}

/// Header and payload of a token, decoded.
fn parts(token: &str) -> [String; 2] {
    let mut parts = token
        .split('.')
        .map(|part| String::from_utf8_lossy(&URL_SAFE_NO_PAD.decode(part).unwrap()).into_owned());
    [parts.next().unwrap(), parts.next().unwrap()]
}

/// The key of refresh tokens, derived from the secret as the server does it: it gives none away.
fn refresh_key() -> hmac::Key {
    struct Bytes32;
    impl KeyType for Bytes32 {
        fn len(&self) -> usize {
            32
        }
    }
    let mut key = [0; 32];
    Salt::new(HKDF_SHA256, b"chatsdk deployment secret")
        .extract(SECRET.as_bytes())
        .expand(&[b"refresh token", b"\0", b"1"], Bytes32)
        .unwrap()
        .fill(&mut key)
        .unwrap();
    hmac::Key::new(hmac::HMAC_SHA256, &key)
}
