//! The deployment's one secret, and the keys that are derived from it.
//!
//! Each use has a key of its own, by HKDF-SHA256 with a label: what leaks from one use says nothing of the
//! others, nor of the secret.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use chatsdk_types::{Entropy, entropy};
use zeroize::Zeroizing;

use crate::jws::base64url;
use crate::refresh_token::RefreshKey;

/// The fewest bytes of text that a secret may have.
pub const MIN_BYTES: usize = 32;

/// A text that is not fit to be the deployment's secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the deployment secret has {0} bytes; it needs at least {MIN_BYTES}")]
pub struct BadSecret(
    /// How many bytes it has.
    pub usize,
);

/// The secret that every other key of a deployment hangs on. Wiped from memory when dropped, and never
/// printed.
pub struct DeploymentSecret(Zeroizing<Vec<u8>>);

impl DeploymentSecret {
    /// Takes the secret from its text, as it stands in a file or in the environment: white space around
    /// it is not part of it.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        let text = text.trim_ascii();
        if text.len() < MIN_BYTES {
            return Err(BadSecret(text.len()));
        }
        Ok(Self(Zeroizing::new(text.as_bytes().to_vec())))
    }

    /// The text of a new secret: 256 random bits in base64url.
    pub fn generate(chance: &dyn Entropy) -> Zeroizing<String> {
        let bytes = Zeroizing::new(entropy::bytes::<32>(chance));
        Zeroizing::new(base64url(&*bytes))
    }

    /// The key that refresh tokens with this `kid` are authenticated with. Derive it once and keep it.
    pub fn refresh_key(&self, kid: &str) -> RefreshKey {
        RefreshKey::new(kid, &self.derive("refresh token", kid))
    }

    /// The key that signing keys are sealed with in the database.
    pub fn sealing_key(&self) -> SealingKey {
        SealingKey::new(&self.derive("sealing", ""))
    }

    /// A text that is equal for equal secrets and tells nothing else of them: safe to store, to notice
    /// that a deployment was started with another secret than its keys were sealed with.
    pub fn fingerprint(&self) -> String {
        base64url(&self.derive("fingerprint", "")[..16])
    }

    /// 256 bits for one use. The label and its detail cannot run into each other: no label has a NUL.
    #[expect(
        clippy::expect_used,
        reason = "HKDF gives out up to 8160 bytes; 32 cannot fail"
    )]
    fn derive(&self, label: &str, detail: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        let info: [&[u8]; 3] = [label.as_bytes(), b"\0", detail.as_bytes()];
        Salt::new(HKDF_SHA256, b"chatsdk deployment secret")
            .extract(&self.0)
            .expand(&info, Bytes32)
            .and_then(|okm| okm.fill(&mut *key))
            .expect("32 bytes of key material");
        key
    }
}

impl fmt::Debug for DeploymentSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeploymentSecret(…)")
    }
}

/// The length of every derived key, in the shape that HKDF asks for it.
struct Bytes32;

impl KeyType for Bytes32 {
    fn len(&self) -> usize {
        32
    }
}

/// Something sealed that does not open: another key, another name, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was sealed with another secret, or for another name, or it was changed")]
pub struct Unopened;

/// Seals small secrets for the database with AES-256-GCM.
pub struct SealingKey(LessSafeKey);

/// The first byte of everything sealed, so that another way of sealing can be told apart one day.
const SEALED_V1: u8 = 1;

impl SealingKey {
    #[expect(
        clippy::expect_used,
        reason = "the key has the length that its type says"
    )]
    fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("32 bytes are an AES-256 key");
        Self(LessSafeKey::new(key))
    }

    /// Seals `plain` for `name`: it opens under that name only. A random nonce of 96 bits is enough for
    /// the few keys that a deployment ever has.
    pub fn seal(&self, name: &str, plain: &[u8], chance: &dyn Entropy) -> Vec<u8> {
        let nonce = entropy::bytes::<NONCE_LEN>(chance);
        let mut text = Zeroizing::new(plain.to_vec());
        self.encrypt(name, nonce, &mut text)
    }

    #[expect(
        clippy::expect_used,
        reason = "AES-GCM fails only beyond 64 GiB of plaintext"
    )]
    fn encrypt(&self, name: &str, nonce: [u8; NONCE_LEN], text: &mut [u8]) -> Vec<u8> {
        let tag = self
            .0
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                text,
            )
            .expect("a few bytes can be sealed");
        let mut sealed = vec![SEALED_V1];
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(text);
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed for `name`.
    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let (&version, rest) = sealed.split_first().ok_or(Unopened)?;
        let (&nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Unopened)?;
        if version != SEALED_V1 {
            return Err(Unopened);
        }
        let mut text = Zeroizing::new(rest.to_vec());
        let length = self
            .0
            .open_in_place(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut text,
            )
            .map_err(|_| Unopened)?
            .len();
        text.truncate(length);
        Ok(text)
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatsdk_types::SystemEntropy;

    fn secret(text: &str) -> DeploymentSecret {
        DeploymentSecret::parse(text).unwrap()
    }

    #[test]
    fn short_secrets_are_refused() {
        for text in [
            "",
            "   ",
            &"x".repeat(31),
            &format!("{}\n\n", "x".repeat(31)),
        ] {
            assert!(DeploymentSecret::parse(text).is_err(), "{text:?}");
        }
        let made = DeploymentSecret::generate(&SystemEntropy);
        assert_eq!(made.len(), 43);
        let (one, two) = (secret(&made), secret(&format!("{}\n", *made)));
        assert_eq!(one.fingerprint(), two.fingerprint());
        assert!(!format!("{one:?}{:?}", one.sealing_key()).contains(&*made));
        assert_ne!(one.fingerprint(), secret(&"y".repeat(32)).fingerprint());
    }

    #[test]
    fn sealed_opens_under_its_name_and_key_only() {
        let key = secret(&"x".repeat(32)).sealing_key();
        let sealed = key.seal("name", b"plain", &SystemEntropy);
        assert_eq!(key.open("name", &sealed).unwrap().as_slice(), b"plain");
        assert_ne!(sealed, key.seal("name", b"plain", &SystemEntropy));
        assert!(key.open("nome", &sealed).is_err());
        assert!(
            secret(&"y".repeat(32))
                .sealing_key()
                .open("name", &sealed)
                .is_err()
        );
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("name", &changed).is_err(), "byte {at}");
            assert!(
                key.open("name", &sealed[..at]).is_err(),
                "cut to {at} bytes"
            );
        }
    }
}
