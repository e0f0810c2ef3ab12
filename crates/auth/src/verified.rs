//! Access tokens that were verified before: looking one up costs a hash instead of a signature.
//!
//! An entry is good for the keys that it was verified with and until the token expires. Whether its
//! session is still welcome is not remembered here; ask that after every hit.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use chatsdk_types::Millis;
use quick_cache::sync::Cache;

use crate::access::AccessClaims;
use crate::signing::KeyRing;

/// How many tokens are remembered; about 40 MiB when all are in use, and nothing before.
const CAPACITY: usize = 65_536;

/// The cache of verified access tokens, by the SHA-256 of their text.
#[derive(Debug)]
pub struct VerifiedTokens(Cache<[u8; 32], Entry>);

#[derive(Debug, Clone)]
struct Entry {
    /// [`KeyRing::id`] of the keys that it was verified with.
    ring: u64,
    claims: Arc<AccessClaims>,
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self::with_capacity(CAPACITY)
    }
}

impl VerifiedTokens {
    /// A cache of at most so many tokens.
    pub fn with_capacity(tokens: usize) -> Self {
        Self(Cache::new(tokens))
    }

    /// The claims of a token that was verified with these very keys and has not expired.
    pub fn get(&self, token: &str, ring: &KeyRing, now: Millis) -> Option<Arc<AccessClaims>> {
        let key = key(token);
        let entry = self.0.get(&key)?;
        if entry.ring != ring.id() || entry.claims.has_expired(now) {
            self.0.remove(&key);
            return None;
        }
        Some(entry.claims)
    }

    /// Remembers a token that was verified with `ring`. Naming the keys makes it harmless that they
    /// may have been replaced while the token was being verified.
    pub fn insert(&self, token: &str, ring: &KeyRing, claims: &Arc<AccessClaims>) {
        let entry = Entry {
            ring: ring.id(),
            claims: Arc::clone(claims),
        };
        self.0.insert(key(token), entry);
    }

    /// How many tokens are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn key(token: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    key
}
