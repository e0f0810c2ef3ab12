//! What is fuzzed: one function for each thing that strangers send to be read. None of them may panic,
//! whatever the input. They are driven by libFuzzer (`fuzz_targets`) and, for a short while, by an ordinary
//! test (`tests/fuzz.rs`).

use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_auth::access::{self, Expect};
use chatsdk_auth::refresh_token::{self, RefreshClaims, RefreshKeys};
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_auth::signing::{KeyRing, KeyRow, SigningKeyPair};
use chatsdk_auth::{api_key, profile};
use chatsdk_types::{Entropy, Lifetime, SessionId};
use serde_json::Value;
use serde_json::value::RawValue;

/// When every token here is read, in seconds.
pub const NOW: i64 = 1_767_225_600;

/// Entropy that answers one byte over and over.
#[derive(Debug)]
struct Sevens;

impl Entropy for Sevens {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(7);
    }
}

/// One signing key of which both halves are known, and what hangs on the secret.
struct Keys {
    ring: KeyRing,
    pair: Ed25519KeyPair,
    header: String,
    refresh: RefreshKeys,
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let secret = DeploymentSecret::parse("a secret of the tests that is long enough").unwrap();
    let made = SigningKeyPair::generate(&Sevens).unwrap();
    let sealing = secret.sealing_key();
    let sealed = made.seal(&sealing, &Sevens).unwrap();
    let row = KeyRow {
        kid: made.kid(),
        public: made.public(),
        sealed: &sealed,
        activates_at: 0,
        retired_at: None,
        emergency: false,
    };
    Keys {
        ring: KeyRing::build([row], &sealing, NOW * 1000).unwrap(),
        pair: Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap(),
        header: format!(r#"{{"alg":"EdDSA","kid":"{}","typ":"at+jwt"}}"#, made.kid()),
        refresh: RefreshKeys::new(&secret),
    }
});

/// The header of a good access token.
pub fn header() -> &'static str {
    &KEYS.header
}

/// A correctly signed token of these two parts.
pub fn signed(header: &[u8], payload: &[u8]) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature = KEYS.pair.sign(input.as_bytes());
    format!("{input}.{}", encode(signature.as_ref()))
}

fn verified(token: &str) -> Option<access::AccessClaims> {
    let expect = Expect {
        issuer: "https://chat.example.com",
        audience: "chatsdk",
        now: NOW * 1000,
        max_ttl: Lifetime::days(1),
    };
    access::verify(token, &KEYS.ring, &expect).ok()
}

/// Whether a token is a good one.
pub fn accepts(token: &str) -> bool {
    verified(token).is_some()
}

/// The text of an access token.
pub fn access_tokens(input: &[u8]) {
    let Ok(token) = std::str::from_utf8(input) else {
        return;
    };
    if verified(token).is_some() {
        assert!(token.is_ascii() && token.len() < access::MAX_LEN);
        assert_eq!(token.split('.').count(), 3);
    }
}

/// The payload of a correctly signed access token, or its header and its payload with a NUL between them: so
/// it is the strict reading of JSON that is met, and not the signature.
pub fn access_claims(input: &[u8]) {
    let nul = input.iter().position(|byte| *byte == 0);
    let (header, payload) = match nul {
        Some(at) => (&input[..at], &input[at + 1..]),
        None => (KEYS.header.as_bytes(), input),
    };
    if let Some(claims) = verified(&signed(header, payload)) {
        // What is accepted is what every other reader of JSON would see.
        let header: Value = serde_json::from_slice(header).unwrap();
        let seen: Value = serde_json::from_slice(payload).unwrap();
        assert_eq!(header.as_object().unwrap().len(), 3);
        assert_eq!(seen["sub"], claims.sub.as_str());
        assert_eq!(seen["sid"], claims.sid.as_str());
        assert_eq!(seen["exp"], claims.exp);
    }
}

/// The text of a refresh token. It has one spelling.
pub fn refresh_tokens(input: &[u8]) {
    let Ok(token) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(claims) = refresh_token::decode(token, &KEYS.refresh) {
        let key = KEYS.refresh.get(KEYS.refresh.current()).unwrap();
        assert_eq!(refresh_token::encode(&claims, key), token);
    }
}

/// Counter and expiry of a refresh token, 16 bytes. What is issued is read again.
pub fn refresh_claims(input: &[u8]) {
    let Some((n, rest)) = input.split_first_chunk::<8>() else {
        return;
    };
    let Some(exp) = rest.first_chunk::<8>() else {
        return;
    };
    let claims = RefreshClaims {
        sid: SessionId::new(NOW * 1000, &Sevens),
        n: i64::from_be_bytes(*n),
        exp: i64::from_be_bytes(*exp),
    };
    let token = refresh_token(&claims);
    let read = refresh_token::decode(&token, &KEYS.refresh);
    if claims.n > 0 && claims.exp > 0 {
        assert_eq!(read, Ok(claims));
    } else {
        assert!(read.is_err(), "{claims:?}");
    }
}

/// The refresh token that says `claims`.
pub fn refresh_token(claims: &RefreshClaims) -> String {
    refresh_token::encode(claims, KEYS.refresh.get(KEYS.refresh.current()).unwrap())
}

/// The text of an API key.
pub fn api_keys(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(key) = api_key::parse(text) {
        let begin = format!("csk_{}_{}_", key.env.as_str(), key.id.as_str());
        assert!(text.starts_with(&begin) && text.is_ascii());
        assert_eq!(text.len(), begin.len() + 37);
    }
}

/// What a host says of a person.
pub fn custom_data(input: &[u8]) {
    let Ok(json) = serde_json::from_slice::<Box<RawValue>>(input) else {
        return;
    };
    if let Ok(kept) = profile::custom(Some(Some(json))) {
        let text = format!("{kept:?}");
        assert!(text.len() <= 8 * profile::MAX_CUSTOM);
    }
}
