//! Signing and verifying tokens, beside the bare primitives, on one core.

use std::hint::black_box;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use chatsdk_auth::access::{self, Expect, NewAccess};
use chatsdk_auth::refresh_token::{self, RefreshClaims, RefreshKeys};
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_auth::signing::{KeyRing, KeyRow, SigningKeyPair};
use chatsdk_auth::verified::VerifiedTokens;
use chatsdk_types::{AppId, Lifetime, Millis, SessionId, SystemEntropy, UserId};
use serde::{Deserialize, Serialize};

use crate::stats::median;

/// How often each operation is sampled, and for how long; the median counts.
const SAMPLES: usize = 21;
const SAMPLE: Duration = Duration::from_millis(15);

/// The moment at which everything here happens; any would do.
const NOW: Millis = 2_000_000_000_000;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// The bare signature of an access token.
    RawSign,
    /// Signing an access token.
    Sign,
    /// The bare verification of such a signature.
    RawVerify,
    /// Verifying an access token that was not seen before.
    VerifyCold,
    /// The bare hash of an access token.
    RawHash,
    /// Verifying an access token again.
    VerifyCached,
    /// The bare MAC of a refresh token.
    RawMac,
    /// Making a refresh token.
    RefreshEncode,
    /// Reading a refresh token.
    RefreshDecode,
}

impl Operation {
    /// What a reader is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::RawSign => "bare Ed25519 signature",
            Self::Sign => "access token, sign",
            Self::RawVerify => "bare Ed25519 verification",
            Self::VerifyCold => "access token, verify cold",
            Self::RawHash => "bare SHA-256 of the token",
            Self::VerifyCached => "access token, verify cached",
            Self::RawMac => "bare HMAC-SHA256 of the token",
            Self::RefreshEncode => "refresh token, encode",
            Self::RefreshDecode => "refresh token, decode and check",
        }
    }

    /// The bare primitive that it contains; itself a primitive if `None`.
    pub fn floor(self) -> Option<Self> {
        match self {
            Self::RawSign | Self::RawVerify | Self::RawHash | Self::RawMac => None,
            Self::Sign => Some(Self::RawSign),
            Self::VerifyCold => Some(Self::RawVerify),
            Self::VerifyCached => Some(Self::RawHash),
            Self::RefreshEncode | Self::RefreshDecode => Some(Self::RawMac),
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Crypto {
    /// The core it ran on, where it was held to one.
    pub core: Option<usize>,
    /// The length of the access token, in bytes.
    pub access_bytes: usize,
    /// The length of the refresh token, in bytes.
    pub refresh_bytes: usize,
    /// Each operation with the microseconds that one takes.
    pub micros: Vec<(Operation, f64)>,
}

impl Crypto {
    /// The microseconds that `operation` takes.
    pub fn of(&self, operation: Operation) -> Option<f64> {
        self.micros
            .iter()
            .find(|(other, _)| *other == operation)
            .map(|(_, micros)| *micros)
    }
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum CryptoError {
    /// A part of the set-up failed.
    #[error("cannot set up the tokens: {0}")]
    SetUp(String),
    /// The process that was to do it on one core failed.
    #[error("cannot measure on one core: {0}")]
    Pinned(String),
}

/// Measures in a process of its own that taskset(1) holds to the last core, so that neither the
/// scheduler nor this process's threads come in between. Without taskset, as it is.
pub fn pinned() -> Result<Crypto, CryptoError> {
    let pinned = |error: &dyn std::fmt::Display| CryptoError::Pinned(error.to_string());
    let core = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
    let program = std::env::current_exe().map_err(|error| pinned(&error))?;
    let output = Command::new("taskset")
        .args(["-c", &core.to_string()])
        .arg(program)
        .args(["crypto", "--here"])
        .output();
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => measure(),
        Err(error) => Err(pinned(&error)),
        Ok(output) if !output.status.success() => {
            Err(pinned(&String::from_utf8_lossy(&output.stderr)))
        }
        Ok(output) => {
            let crypto: Crypto =
                serde_json::from_slice(&output.stdout).map_err(|error| pinned(&error))?;
            Ok(Crypto {
                core: Some(core),
                ..crypto
            })
        }
    }
}

/// Measures in this process, on whatever core it runs.
pub fn measure() -> Result<Crypto, CryptoError> {
    let set_up = |error: &dyn std::fmt::Display| CryptoError::SetUp(error.to_string());
    let chance = SystemEntropy;
    let secret = DeploymentSecret::parse(&DeploymentSecret::generate(&chance))
        .map_err(|error| set_up(&error))?;

    let pair = SigningKeyPair::generate(&chance).map_err(|error| set_up(&error))?;
    let sealing = secret.sealing_key();
    let sealed = pair
        .seal(&sealing, &chance)
        .map_err(|error| set_up(&error))?;
    let row = KeyRow {
        kid: pair.kid(),
        public: pair.public(),
        sealed: &sealed,
        activates_at: 0,
        retired_at: None,
        emergency: false,
    };
    let ring = KeyRing::build([row], &sealing, NOW).map_err(|error| set_up(&error))?;

    let app = AppId::new(NOW, &chance);
    let user: UserId = "user-123".parse().map_err(|error| set_up(&error))?;
    let session = SessionId::new(NOW, &chance);
    let claims = NewAccess {
        iss: "http://localhost:5500",
        aud: "chatsdk",
        client_id: &app,
        sub: &user,
        sid: &session,
        jti: "Zm9ydHktdHdvLWJ5dGVz",
        iat: NOW / 1000,
        exp: NOW / 1000 + 3600,
        rc: NOW,
        name: Some("Test User"),
        avatar: Some("https://example.com/avatar.jpg"),
        custom: Some(r#"{"email":"test@example.com","role":"user"}"#),
    };
    let token = access::sign(&ring, &claims).map_err(|error| set_up(&error))?;

    let expect = Expect {
        issuer: claims.iss,
        audience: claims.aud,
        now: NOW,
        max_ttl: Lifetime::days(1),
    };
    let verified =
        Arc::new(access::verify(&token, &ring, &expect).map_err(|error| set_up(&error))?);
    let cache = VerifiedTokens::default();
    cache.insert(&token, &ring, &verified);

    let keys = RefreshKeys::new(&secret);
    let key = keys
        .get(keys.current())
        .ok_or_else(|| set_up(&"no refresh key"))?;
    let refresh_claims = RefreshClaims {
        sid: session.clone(),
        n: NOW,
        exp: NOW + 604_800_000,
    };
    let refresh = refresh_token::encode(&refresh_claims, key);

    let raw_pair = Ed25519KeyPair::generate().map_err(|error| set_up(&error))?;
    let raw_public = ParsedPublicKey::new(&ED25519, raw_pair.public_key().as_ref())
        .map_err(|error| set_up(&error))?;
    // What is signed is the token up to its second dot.
    let signed = token
        .rsplit_once('.')
        .map_or(&*token, |(signed, _)| signed)
        .as_bytes();
    let raw_signature = raw_pair.sign(signed);
    let raw_key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
    let authenticated = refresh
        .rsplit_once('.')
        .map_or(&*refresh, |(signed, _)| signed)
        .as_bytes();

    let mut micros = Vec::new();
    let mut take = |operation, value: f64| micros.push((operation, value));
    take(
        Operation::RawSign,
        time(|| raw_pair.sign(black_box(signed))),
    );
    take(
        Operation::Sign,
        time(|| access::sign(&ring, black_box(&claims))),
    );
    take(
        Operation::RawVerify,
        time(|| raw_public.verify_sig(black_box(signed), raw_signature.as_ref())),
    );
    take(
        Operation::VerifyCold,
        time(|| access::verify(black_box(&token), &ring, &expect)),
    );
    take(
        Operation::RawHash,
        time(|| digest(&SHA256, black_box(token.as_bytes()))),
    );
    take(
        Operation::VerifyCached,
        time(|| cache.get(black_box(&token), &ring, NOW)),
    );
    take(
        Operation::RawMac,
        time(|| hmac::sign(&raw_key, black_box(authenticated))),
    );
    take(
        Operation::RefreshEncode,
        time(|| refresh_token::encode(black_box(&refresh_claims), key)),
    );
    take(
        Operation::RefreshDecode,
        time(|| refresh_token::decode(black_box(&refresh), &keys)),
    );
    Ok(Crypto {
        core: None,
        access_bytes: token.len(),
        refresh_bytes: refresh.len(),
        micros,
    })
}

/// The microseconds that one call takes: the median of several samples of many calls each.
fn time<T>(mut call: impl FnMut() -> T) -> f64 {
    let mut batch = 1_u32;
    let run = |batch: u32, call: &mut dyn FnMut() -> T| {
        let started = Instant::now();
        for _ in 0..batch {
            black_box(call());
        }
        started.elapsed()
    };
    while run(batch, &mut call) < SAMPLE {
        batch *= 2;
    }
    median((0..SAMPLES).map(|_| run(batch, &mut call).as_secs_f64() * 1e6 / f64::from(batch)))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_measured_and_nothing_is_free() {
        let crypto = measure().unwrap();
        assert_eq!(crypto.micros.len(), 9);
        assert!(crypto.micros.iter().all(|(_, micros)| *micros > 0.0));
        let text = serde_json::to_string(&crypto).unwrap();
        let back: Crypto = serde_json::from_str(&text).unwrap();
        assert!(back.of(Operation::VerifyCached).is_some() && back.access_bytes > 400);
    }
}
