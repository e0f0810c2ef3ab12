//! The Ed25519 keys that access tokens are signed with, parsed once.
//!
//! A key is *pending* while verifiers elsewhere learn of it, *active* while it signs, *retired* while
//! the last tokens that it signed run out, then gone. In an emergency a key is withdrawn: its
//! tokens count as expired at once, so that honest clients refresh and nobody is signed out.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use chatsdk_types::{Entropy, Millis, entropy};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::jws::base64url;
use crate::secret::{SealingKey, Unopened};

/// How long a retired key goes on verifying, in milliseconds: no access token lives longer than a day,
/// and clocks differ by up to a minute.
pub const VERIFIES_FOR: Millis = 86_400_000 + SKEW;

/// How far the clocks of nodes may differ, in milliseconds.
pub const SKEW: Millis = 60_000;

/// A signing key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSigningKey {
    /// Its private half does not open.
    #[error("the signing key {kid} cannot be opened: {source}")]
    Sealed {
        /// Which key.
        kid: String,
        /// Why.
        source: Unopened,
    },
    /// Its halves do not belong together, or are no Ed25519 keys.
    #[error("the signing key {0} is no Ed25519 key, or its public half is of another key")]
    Mismatch(String),
}

/// A key pair: what it takes to sign.
pub struct SigningKeyPair {
    kid: Box<str>,
    seed: Zeroizing<[u8; 32]>,
    pair: Ed25519KeyPair,
}

impl SigningKeyPair {
    /// Makes a key pair. Its `kid` is 12 hexadecimal digits of the SHA-256 of the public half.
    pub fn generate(chance: &dyn Entropy) -> Result<Self, BadSigningKey> {
        let seed = Zeroizing::new(entropy::bytes::<32>(chance));
        let pair = Ed25519KeyPair::from_seed_unchecked(&*seed)
            .map_err(|_| BadSigningKey::Mismatch("that was just made".into()))?;
        let hash = digest(&SHA256, pair.public_key().as_ref());
        let kid = hash.as_ref()[..6]
            .iter()
            .fold(String::new(), |kid, byte| kid + &format!("{byte:02x}"));
        Ok(Self {
            kid: kid.into(),
            seed,
            pair,
        })
    }

    /// Its name in the header of a token.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half: 32 bytes.
    pub fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The private half, sealed for the database under the name of the key.
    pub fn seal(&self, key: &SealingKey, chance: &dyn Entropy) -> Result<Vec<u8>, BadSigningKey> {
        Ok(key.seal(&self.kid, &*self.seed, chance))
    }

    /// The key pair of a row of the database.
    pub fn unseal(
        kid: &str,
        public: &[u8],
        sealed: &[u8],
        key: &SealingKey,
    ) -> Result<Self, BadSigningKey> {
        let mismatch = || BadSigningKey::Mismatch(kid.to_owned());
        let opened = key
            .open(kid, sealed)
            .map_err(|source| BadSigningKey::Sealed {
                kid: kid.to_owned(),
                source,
            })?;
        let mut seed = Zeroizing::new([0; 32]);
        if opened.len() != seed.len() {
            return Err(mismatch());
        }
        seed.copy_from_slice(&opened);
        let pair =
            Ed25519KeyPair::from_seed_and_public_key(&*seed, public).map_err(|_| mismatch())?;
        Ok(Self {
            kid: kid.into(),
            seed,
            pair,
        })
    }
}

impl fmt::Debug for SigningKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKeyPair({})", self.kid)
    }
}

/// A signing key as the database has it.
#[derive(Debug, Clone, Copy)]
pub struct KeyRow<'a> {
    /// Its name in the header of a token.
    pub kid: &'a str,
    /// The public half: 32 bytes.
    pub public: &'a [u8],
    /// The private half, sealed.
    pub sealed: &'a [u8],
    /// From when on it signs.
    pub activates_at: Millis,
    /// When it stopped signing, if it did.
    pub retired_at: Option<Millis>,
    /// Whether it was withdrawn in an emergency.
    pub emergency: bool,
}

impl<'a> From<&'a chatsdk_store::SigningKey> for KeyRow<'a> {
    fn from(key: &'a chatsdk_store::SigningKey) -> Self {
        Self {
            kid: &key.kid,
            public: &key.public,
            sealed: &key.sealed,
            activates_at: key.activates_at,
            retired_at: key.retired_at,
            emergency: key.emergency,
        }
    }
}

/// What a key is good for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Its tokens are good.
    Valid,
    /// It was withdrawn: its tokens count as expired.
    Withdrawn,
    /// It does not sign yet: nothing that names it is a token of ours.
    Pending,
    /// It was retired longer ago than any of its tokens lives.
    Gone,
}

/// Every key of a deployment at one moment; replaced as a whole when a key changes.
pub struct KeyRing {
    id: u64,
    signer: Option<Signer>,
    verifiers: Vec<Verifier>,
    jwks: String,
}

/// The key that signs, and the header of the tokens that it signs.
pub(crate) struct Signer {
    pub(crate) pair: SigningKeyPair,
    /// The header as it stands in every token of this key, encoded.
    pub(crate) header: Box<str>,
}

/// The public half of a key, and when it is good.
pub(crate) struct Verifier {
    kid: Box<str>,
    pub(crate) key: ParsedPublicKey,
    activates_at: Millis,
    retired_at: Option<Millis>,
    emergency: bool,
}

impl Verifier {
    /// What the key is good for at `now`, whatever it was when the ring was built.
    pub(crate) fn state(&self, now: Millis) -> KeyState {
        match self.retired_at {
            Some(_) if self.emergency => KeyState::Withdrawn,
            Some(at) if now > at.saturating_add(VERIFIES_FOR) => KeyState::Gone,
            // Retired before its time came: it never signed.
            Some(at) if at < self.activates_at => KeyState::Pending,
            None if now < self.activates_at.saturating_sub(SKEW) => KeyState::Pending,
            Some(_) | None => KeyState::Valid,
        }
    }
}

impl KeyRing {
    /// A ring without keys: signs nothing, verifies nothing.
    pub fn empty() -> Self {
        Self {
            id: next_id(),
            signer: None,
            verifiers: Vec::new(),
            jwks: jwks([].into_iter()),
        }
    }

    /// The ring of the database's keys at `now`. The newest key whose time has come signs; where there
    /// is none, because another node with a faster clock made the only one, a key whose time comes
    /// within [`SKEW`].
    pub fn build<'a, R: Into<KeyRow<'a>>>(
        rows: impl IntoIterator<Item = R>,
        sealing_key: &SealingKey,
        now: Millis,
    ) -> Result<Self, BadSigningKey> {
        let rows: Vec<KeyRow<'a>> = rows.into_iter().map(Into::into).collect();
        Ok(Self {
            signer: signing_row(&rows, now)
                .map(|row| Signer::new(row, sealing_key))
                .transpose()?,
            ..Self::verifying(rows, now)?
        })
    }

    /// The same ring, which signs nothing: its private halves stay sealed.
    pub fn verifying<'a, R: Into<KeyRow<'a>>>(
        rows: impl IntoIterator<Item = R>,
        now: Millis,
    ) -> Result<Self, BadSigningKey> {
        let rows: Vec<KeyRow<'a>> = rows.into_iter().map(Into::into).collect();
        let verifiers = rows
            .iter()
            .map(|row| {
                let key = ParsedPublicKey::new(&ED25519, row.public)
                    .map_err(|_| BadSigningKey::Mismatch(row.kid.to_owned()))?;
                Ok(Verifier {
                    kid: row.kid.into(),
                    key,
                    activates_at: row.activates_at,
                    retired_at: row.retired_at,
                    emergency: row.emergency,
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        let published = rows.iter().zip(&verifiers).filter(|(_, verifier)| {
            // A pending key is published so that it is known everywhere before it signs.
            verifier.retired_at.is_none() || verifier.state(now) == KeyState::Valid
        });
        Ok(Self {
            id: next_id(),
            signer: None,
            jwks: jwks(published.map(|(row, _)| (row.kid, row.public))),
            verifiers,
        })
    }

    /// A number of this very ring; no other ring of the process has it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Whether it has no keys at all.
    pub fn is_empty(&self) -> bool {
        self.verifiers.is_empty()
    }

    /// The name of the key that signs.
    pub fn active_kid(&self) -> Option<&str> {
        self.signer.as_ref().map(|signer| signer.pair.kid())
    }

    /// Whether a key is withdrawn here that was not in `before`: tokens that were good are no longer.
    pub fn withdraws_more_than(&self, before: &Self) -> bool {
        self.verifiers.iter().any(|verifier| {
            let was_good = |before: &Verifier| !before.is_withdrawn();
            verifier.is_withdrawn() && before.verifier(&verifier.kid).is_some_and(was_good)
        })
    }

    /// The public halves of the keys that sign, will sign, or signed tokens which may still be alive:
    /// a JSON Web Key Set.
    pub fn jwks(&self) -> String {
        self.jwks.clone()
    }

    pub(crate) fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }

    pub(crate) fn verifier(&self, kid: &str) -> Option<&Verifier> {
        self.verifiers.iter().find(|verifier| *verifier.kid == *kid)
    }
}

impl Verifier {
    fn is_withdrawn(&self) -> bool {
        self.emergency && self.retired_at.is_some()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kids = self.verifiers.iter().map(|verifier| &*verifier.kid);
        f.debug_struct("KeyRing")
            .field("active", &self.active_kid())
            .field("keys", &kids.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

fn signing_row<'r, 'a>(rows: &'r [KeyRow<'a>], now: Millis) -> Option<&'r KeyRow<'a>> {
    let unretired = || rows.iter().filter(|row| row.retired_at.is_none());
    unretired()
        .filter(|row| row.activates_at <= now)
        .max_by_key(|row| (row.activates_at, row.kid))
        .or_else(|| {
            unretired()
                .filter(|row| row.activates_at <= now.saturating_add(SKEW))
                .min_by_key(|row| (row.activates_at, row.kid))
        })
}

impl Signer {
    fn new(row: &KeyRow<'_>, sealing_key: &SealingKey) -> Result<Self, BadSigningKey> {
        let pair = SigningKeyPair::unseal(row.kid, row.public, row.sealed, sealing_key)?;
        let header = serde_json::json!({ "alg": "EdDSA", "kid": row.kid, "typ": "at+jwt" });
        Ok(Self {
            pair,
            header: base64url(header.to_string().as_bytes()).into(),
        })
    }

    /// The Ed25519 signature of `message`.
    pub(crate) fn sign(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        self.pair.pair.sign(message)
    }
}

/// A key in a JSON Web Key Set (RFC 7517, RFC 8037).
#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    key_ops: [&'static str; 1],
    kid: &'a str,
    x: String,
}

fn jwks<'a>(keys: impl Iterator<Item = (&'a str, &'a [u8])>) -> String {
    let keys: Vec<Jwk<'_>> = keys
        .map(|(kid, public)| Jwk {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            key_ops: ["verify"],
            kid,
            x: base64url(public),
        })
        .collect();
    serde_json::json!({ "keys": keys }).to_string()
}

fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
