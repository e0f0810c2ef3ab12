//! API keys: `csk_<env>_<id 8>_<secret 30>_<crc 6>`, letters and digits throughout.
//!
//! The prefix and the checksum let secret scanners find a key that leaked, and let us refuse what was
//! never one without asking the database. The secret has 178 bits, so its plain SHA-256 is safe
//! to store.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use chatsdk_types::{Entropy, KeyId};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET_LEN: usize = 30;
const CRC_LEN: usize = 6;

/// Which of a team's environments a key is for. The server treats both alike; people and scanners do
/// not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Env {
    /// Production.
    Live,
    /// Anything else.
    Test,
}

impl Env {
    /// The word in the key.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the environment of an API key is live or test")]
pub struct UnknownEnv;

impl FromStr for Env {
    type Err = UnknownEnv;

    fn from_str(text: &str) -> Result<Self, UnknownEnv> {
        match text {
            "live" => Ok(Self::Live),
            "test" => Ok(Self::Test),
            _ => Err(UnknownEnv),
        }
    }
}

/// A whole key. Wiped from memory when dropped, and not printed by `Debug`.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// The key, to be shown once.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyText(…)")
    }
}

/// A key that was just made.
#[derive(Debug)]
pub struct NewApiKey {
    /// The part that names it.
    pub id: KeyId,
    /// The whole key; kept nowhere.
    pub text: KeyText,
    /// SHA-256 of the whole key: what is stored.
    pub hash: [u8; 32],
    /// The last four characters, for people to tell keys apart. They belong to the checksum.
    pub last4: String,
}

/// A presented text that has the form of a key. Whether it is one, its hash says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// The part that names it.
    pub id: KeyId,
    /// The environment that it says.
    pub env: Env,
    /// SHA-256 of the whole text.
    pub hash: [u8; 32],
}

/// A text that was never a key: its form or its checksum is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not written like an API key")]
pub struct Malformed;

/// Makes a key.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "eight letters and digits are a key id: this cannot panic"
)]
pub fn generate(env: Env, chance: &dyn Entropy) -> NewApiKey {
    let id: KeyId = random::<{ KeyId::LEN }>(chance)
        .parse()
        .expect("eight letters and digits");
    let secret = random::<SECRET_LEN>(chance);
    // Written into a buffer that is large enough: a growing one would leave pieces of the key behind.
    let mut text = Zeroizing::new(String::with_capacity(64));
    for part in ["csk_", env.as_str(), "_", id.as_str(), "_", &secret] {
        text.push_str(part);
    }
    let crc = checksum(&text);
    text.push('_');
    text.push_str(&crc);
    NewApiKey {
        id,
        hash: hash(&text),
        last4: crc[CRC_LEN - 4..].to_owned(),
        text: KeyText(text),
    }
}

/// Takes a presented key apart; refuses what was never one.
pub fn parse(text: &str) -> Result<Presented, Malformed> {
    let (body, crc) = text.rsplit_once('_').ok_or(Malformed)?;
    let mut parts = body.split('_');
    let (Some("csk"), Some(env), Some(id), Some(secret), None) = (
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
        parts.next(),
    ) else {
        return Err(Malformed);
    };
    let env = env.parse().map_err(|_| Malformed)?;
    let id = id.parse().map_err(|_| Malformed)?;
    let is_secret =
        secret.len() == SECRET_LEN && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_secret || crc != checksum(body) {
        return Err(Malformed);
    }
    Ok(Presented {
        id,
        env,
        hash: hash(text),
    })
}

/// Whether two hashes are equal, in a time that does not tell where they differ.
pub fn matches(stored: &[u8; 32], presented: &[u8; 32]) -> bool {
    stored.ct_eq(presented).into()
}

fn hash(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

/// `N` letters and digits, each equally likely.
fn random<const N: usize>(chance: &dyn Entropy) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(N));
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < N {
        chance.fill(&mut *bytes);
        // 248 is four times 62: the bytes above would favour the first eight characters.
        let fair = bytes.iter().filter(|byte| **byte < 248);
        for byte in fair.take(N - text.len()) {
            text.push(char::from(ALPHABET[usize::from(byte % 62)]));
        }
    }
    text
}

/// CRC-32 of `text` in six characters.
fn checksum(text: &str) -> String {
    let mut rest = crc32(text.as_bytes());
    let mut digits = [0_u8; CRC_LEN];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().copied().map(char::from).collect()
}

/// CRC-32 as in Ethernet and zip.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
