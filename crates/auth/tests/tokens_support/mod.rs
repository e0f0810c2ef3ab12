//! Keys whose private halves the tests know, and tokens built by hand.
#![expect(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test program uses a part of it, and a test that cannot go on stops"
)]

use std::fmt::Debug;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_auth::access::{self, AccessClaims, AccessError, Expect, NewAccess};
use chatsdk_auth::refresh_token::RefreshKeys;
use chatsdk_auth::secret::{DeploymentSecret, SealingKey};
use chatsdk_auth::signing::{KeyRing, KeyRow, SigningKeyPair};
use chatsdk_types::{AppId, Entropy, Lifetime, Millis, SessionId, SystemEntropy, UserId};
use serde_json::{Value, json};

/// The moment at which the tests' tokens are issued, in seconds.
pub const IAT: i64 = 1_767_225_600;
/// The same in milliseconds, and a little later.
pub const NOW: Millis = IAT * 1000 + 250;
pub const DAY: Millis = 86_400_000;
pub const ISSUER: &str = "https://chat.example.com";

/// Entropy that answers one byte over and over.
#[derive(Debug)]
pub struct Constant(pub u8);

impl Entropy for Constant {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

/// A signing key whose private half the test knows as well.
pub struct TestKey {
    pub kid: String,
    pub public: Vec<u8>,
    pub sealed: Vec<u8>,
    pub pair: Ed25519KeyPair,
    pub activates_at: Millis,
    pub retired_at: Option<Millis>,
    pub emergency: bool,
}

impl<'a> From<&'a TestKey> for KeyRow<'a> {
    fn from(key: &'a TestKey) -> Self {
        KeyRow {
            kid: &key.kid,
            public: &key.public,
            sealed: &key.sealed,
            activates_at: key.activates_at,
            retired_at: key.retired_at,
            emergency: key.emergency,
        }
    }
}

pub fn secret() -> DeploymentSecret {
    DeploymentSecret::parse("a secret of the tests that is long enough").unwrap()
}

pub fn sealing_key() -> SealingKey {
    secret().sealing_key()
}

pub fn refresh_keys() -> RefreshKeys {
    RefreshKeys::new(&secret())
}

/// A key that signs since a day ago; its private half is `seed` 32 times.
pub fn key(seed: u8) -> TestKey {
    let made = SigningKeyPair::generate(&Constant(seed)).unwrap();
    TestKey {
        kid: made.kid().to_owned(),
        public: made.public().to_vec(),
        sealed: made.seal(&sealing_key(), &SystemEntropy).unwrap(),
        pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap(),
        activates_at: NOW - DAY,
        retired_at: None,
        emergency: false,
    }
}

pub fn ring(keys: &[TestKey]) -> KeyRing {
    KeyRing::build(keys, &sealing_key(), NOW).unwrap()
}

/// A valid base: whatever is tested changes one thing of it.
pub struct Base {
    pub key: TestKey,
    pub ring: KeyRing,
    pub header: Value,
    pub claims: Value,
}

pub fn base() -> Base {
    let key = key(7);
    let ring = KeyRing::build([&key], &sealing_key(), NOW).unwrap();
    Base {
        header: json!({ "alg": "EdDSA", "kid": key.kid, "typ": "at+jwt" }),
        claims: json!({
            "iss": ISSUER,
            "aud": "chatsdk",
            "client_id": "app_01h455vb4pex5vsknk084sn02q",
            "sub": "user-123",
            "sid": "ses_01h455vb4pex5vsknk084sn02q",
            "jti": "AAAAAAAAAAAAAAAAAAAAAA",
            "iat": IAT,
            "exp": IAT + 3600,
            "rc": NOW,
            "name": "Test User",
            "avatar": "https://example.com/a.png",
            "custom": { "role": "admin", "permissions": ["read", "write"] },
        }),
        key,
        ring,
    }
}

impl Base {
    pub fn token(&self) -> String {
        self.signed(&self.header, &self.claims)
    }

    /// A correctly signed token of this header and these claims.
    pub fn signed(&self, header: &Value, claims: &Value) -> String {
        self.signed_bytes(header.to_string().as_bytes(), claims.to_string().as_bytes())
    }

    pub fn signed_bytes(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", b64(header), b64(payload));
        let signature = self.key.pair.sign(input.as_bytes());
        format!("{input}.{}", b64(signature.as_ref()))
    }

    /// A correctly signed token with one claim changed; `Value::Null` takes it away.
    pub fn with_claim(&self, name: &str, value: Value) -> String {
        self.signed(&self.header, &changed(&self.claims, name, value))
    }

    /// A correctly signed token with one member of the header changed; `Value::Null` takes it away.
    pub fn with_header(&self, name: &str, value: Value) -> String {
        self.signed(&changed(&self.header, name, value), &self.claims)
    }

    pub fn verify(&self, token: &str) -> Result<AccessClaims, AccessError> {
        self.verify_at(token, NOW)
    }

    pub fn verify_at(&self, token: &str, now: Millis) -> Result<AccessClaims, AccessError> {
        access::verify(token, &self.ring, &expect(now))
    }

    /// Asserts that the token is refused as invalid, here and as a refresh token, and that the untouched
    /// base still works.
    pub fn refuses(&self, name: impl Debug, token: &str) {
        assert!(
            matches!(self.verify(token), Err(AccessError::Invalid(_))),
            "{name:?}: {token} was {:?}",
            self.verify(token)
        );
        assert!(
            chatsdk_auth::refresh_token::decode(token, &refresh_keys()).is_err(),
            "{name:?} as a refresh token: {token}"
        );
        self.verify(&self.token()).unwrap();
    }
}

pub fn changed(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.as_object().unwrap().clone();
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.into(), value);
    }
    object.into()
}

pub fn expect(now: Millis) -> Expect<'static> {
    Expect {
        issuer: ISSUER,
        audience: "chatsdk",
        now,
        max_ttl: Lifetime::days(1),
    }
}

pub fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub fn hs256(key: &[u8], input: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    b64(hmac::sign(&key, input.as_bytes()).as_ref())
}

/// The ids of a token made by the product itself.
pub struct Ids {
    pub app: AppId,
    pub user: UserId,
    pub session: SessionId,
}

pub fn ids() -> Ids {
    Ids {
        app: AppId::new(NOW, &SystemEntropy),
        user: "user-123".parse().unwrap(),
        session: SessionId::new(NOW, &SystemEntropy),
    }
}

impl Ids {
    pub fn new_access(&self) -> NewAccess<'_> {
        NewAccess {
            iss: ISSUER,
            aud: "chatsdk",
            client_id: &self.app,
            sub: &self.user,
            sid: &self.session,
            jti: "AAAAAAAAAAAAAAAAAAAAAA",
            iat: IAT,
            exp: IAT + 3600,
            rc: NOW,
            name: Some("Test User"),
            avatar: Some("https://example.com/a.png"),
            custom: Some(r#"{"role":"admin"}"#),
        }
    }
}
