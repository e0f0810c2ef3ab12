//! Access tokens: JWTs after RFC 9068, signed with Ed25519, verified as strictly as RFC 8725 asks.
//!
//! [`sign`] writes a token with the ring's active key; [`verify`] reads one. The order of verification:
//! size, form, header, key, signature, and only then what is signed; expiry comes last, so that
//! "expired" is said of nothing but a token that was good.

use std::fmt;

use chatsdk_types::{AppId, Lifetime, Millis, SessionId, UserId};
use serde::Deserialize;
use serde::de::{DeserializeSeed as _, Deserializer as _, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::jws::compact::{Compact, append_base64url, array_from_base64url, from_base64url};
use crate::jws::header::Header;
use crate::jws::strict::{MAX_DEPTH, Name, WellFormed, distinct};
use crate::signing::{KeyRing, KeyState, SKEW};

/// A token of this many bytes or more is refused unread.
pub const MAX_LEN: usize = 8 * 1024;

/// The longest token that is signed, in bytes: many proxies take headers of 8 KiB altogether.
pub const MAX_SIGNED_LEN: usize = 4 * 1024;

/// The largest number in a claim: what JSON numbers carry exactly everywhere.
const MAX_NUMBER: i64 = 1 << 53;

/// What a verified access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// Who issued it: the deployment's address.
    pub iss: Box<str>,
    /// Whom it was issued for, among them us.
    pub aud: Vec<Box<str>>,
    /// The app.
    pub client_id: AppId,
    /// The user.
    pub sub: UserId,
    /// The session.
    pub sid: SessionId,
    /// The token's own id.
    pub jti: String,
    /// When it was issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it expires, in seconds since the Unix epoch.
    pub exp: i64,
    /// The counter of the refresh token that it came with.
    pub rc: i64,
    /// The user's name.
    pub name: Option<String>,
    /// The address of the user's picture.
    pub avatar: Option<String>,
    /// The host's own data: one JSON object, as it stands in the token.
    pub custom: Option<Box<str>>,
}

impl AccessClaims {
    /// Whether it has expired at `now`, in milliseconds. There is no leeway: our clock issued it.
    pub fn has_expired(&self, now: Millis) -> bool {
        now >= self.exp.saturating_mul(1000)
    }
}

/// What a new access token is to say.
#[derive(Debug, Clone, Copy)]
pub struct NewAccess<'a> {
    /// Who issues it.
    pub iss: &'a str,
    /// Whom it is for.
    pub aud: &'a str,
    /// The app.
    pub client_id: &'a AppId,
    /// The user.
    pub sub: &'a UserId,
    /// The session.
    pub sid: &'a SessionId,
    /// The token's own id.
    pub jti: &'a str,
    /// When it is issued, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it expires, in seconds since the Unix epoch.
    pub exp: i64,
    /// The counter of the refresh token that it comes with.
    pub rc: i64,
    /// The user's name.
    pub name: Option<&'a str>,
    /// The address of the user's picture.
    pub avatar: Option<&'a str>,
    /// The host's own data: one JSON object, already known to be well formed.
    pub custom: Option<&'a str>,
}

/// Why no token was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// No signing key is active.
    #[error("there is no active signing key")]
    NoActiveKey,
    /// The claims do not fit.
    #[error("the access token would have {0} bytes; it may have {MAX_SIGNED_LEN}")]
    TooLong(
        /// How many bytes it would have.
        usize,
    ),
}

/// Signs an access token with the active key of `ring`.
pub fn sign(ring: &KeyRing, claims: &NewAccess<'_>) -> Result<String, SignError> {
    let signer = ring.signer().ok_or(SignError::NoActiveKey)?;
    let payload = payload(claims);
    // 86 characters of signature and two dots.
    let len = signer.header.len() + (payload.len() * 4).div_ceil(3) + 88;
    if len > MAX_SIGNED_LEN {
        return Err(SignError::TooLong(len));
    }
    let mut token = String::with_capacity(len);
    token.push_str(&signer.header);
    token.push('.');
    append_base64url(&payload, &mut token);
    let signature = signer.sign(token.as_bytes());
    token.push('.');
    append_base64url(signature.as_ref(), &mut token);
    Ok(token)
}

/// The claims as compact JSON, written by hand: one allocation, and no map in between.
fn payload(claims: &NewAccess<'_>) -> Vec<u8> {
    let custom = claims.custom.map_or(0, str::len);
    let mut json = Vec::with_capacity(512 + custom);
    json.push(b'{');
    let texts = [
        ("iss", Some(claims.iss)),
        ("aud", Some(claims.aud)),
        ("client_id", Some(claims.client_id.as_str())),
        ("sub", Some(claims.sub.as_str())),
        ("sid", Some(claims.sid.as_str())),
        ("jti", Some(claims.jti)),
        ("name", claims.name),
        ("avatar", claims.avatar),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            member(&mut json, name, text);
        }
    }
    for (name, number) in [("iat", claims.iat), ("exp", claims.exp), ("rc", claims.rc)] {
        member(&mut json, name, &number);
    }
    if let Some(custom) = claims.custom {
        json.extend_from_slice(b"\"custom\":");
        json.extend_from_slice(custom.as_bytes());
    } else {
        json.pop();
    }
    json.push(b'}');
    json
}

/// Writes one member and a comma. `name` needs no escapes.
fn member<T: serde::Serialize + ?Sized>(json: &mut Vec<u8>, name: &str, value: &T) {
    json.push(b'"');
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":");
    // Text and numbers can always be written, and writing to a Vec cannot fail.
    let _ = serde_json::to_writer(&mut *json, value);
    json.push(b',');
}

/// What a token has to be.
#[derive(Debug, Clone, Copy)]
pub struct Expect<'a> {
    /// The only issuer.
    pub issuer: &'a str,
    /// The audience that must be among the token's.
    pub audience: &'a str,
    /// The current moment.
    pub now: Millis,
    /// How long a token may live from its `iat` on.
    pub max_ttl: Lifetime,
}

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccessError {
    /// It was good: its time is over, or its key was withdrawn. Its holder should refresh.
    #[error("the access token has expired")]
    Expired,
    /// It is no token of ours. The flaw is for tests and logs, never for the caller.
    #[error("not an access token of this deployment: {0}")]
    Invalid(Flaw),
}

/// What is wrong with a text that is no access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It has [`MAX_LEN`] bytes or more.
    #[error("too long")]
    Size,
    /// It is not three parts of canonical base64url.
    #[error("not a compact JWS")]
    Form,
    /// Its header is not exactly `alg`, `kid` and `typ`.
    #[error("a malformed header")]
    Header,
    /// It is a token for something else.
    #[error("another type of token")]
    Type,
    /// No key has its `kid`.
    #[error("an unknown key")]
    UnknownKey,
    /// Its key does not sign yet, or was retired too long ago.
    #[error("a key out of its time")]
    KeyState,
    /// Its `alg` is not the one of its key.
    #[error("another algorithm than the key's")]
    Algorithm,
    /// The signature is wrong.
    #[error("a wrong signature")]
    Signature,
    /// The payload is no strict JSON object, or a claim is missing or has the wrong type.
    #[error("malformed claims")]
    Claims,
    /// Somebody else issued it.
    #[error("another issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("another audience")]
    Audience,
    /// `iat` or `nbf` lies in the future.
    #[error("not valid yet")]
    Early,
    /// It would live longer than any token may.
    #[error("a lifetime beyond the longest")]
    Lifetime,
}

impl From<Flaw> for AccessError {
    fn from(flaw: Flaw) -> Self {
        Self::Invalid(flaw)
    }
}

/// Reads and verifies an access token.
///
/// `exp` has no leeway, because the clock that issued it is ours: a token has expired when `now` reaches
/// `exp`. `iat` and `nbf` may lie up to a minute ahead, for nodes whose clocks differ.
pub fn verify(
    token: &str,
    ring: &KeyRing,
    expect: &Expect<'_>,
) -> Result<AccessClaims, AccessError> {
    if token.len() >= MAX_LEN {
        return Err(Flaw::Size.into());
    }
    let parts = Compact::split(token).ok_or(Flaw::Form)?;
    let header = from_base64url(parts.header).ok_or(Flaw::Form)?;
    let header = Header::parse(&header).ok_or(Flaw::Header)?;
    if !header.is_typ("at+jwt") {
        return Err(Flaw::Type.into());
    }
    let verifier = ring.verifier(&header.kid).ok_or(Flaw::UnknownKey)?;
    // Every key of the ring is an Ed25519 key; RFC 9864 gives the algorithm its second name.
    if !matches!(&*header.alg, "EdDSA" | "Ed25519") {
        return Err(Flaw::Algorithm.into());
    }
    let state = verifier.state(expect.now);
    if state == KeyState::Pending {
        return Err(Flaw::KeyState.into());
    }
    let signature = array_from_base64url::<64>(parts.signature).ok_or(Flaw::Form)?;
    verifier
        .key
        .verify_sig(parts.signed.as_bytes(), &signature)
        .map_err(|_| Flaw::Signature)?;

    let payload = from_base64url(parts.payload).ok_or(Flaw::Form)?;
    let claims = read(&payload).ok_or(Flaw::Claims)?;
    check(&claims, expect)?;
    // What a withdrawn key signed, and what a key signed that retired longer ago than any token lives, has
    // expired whatever it says: its holder was honest once, and refreshes.
    let key_is_past = matches!(state, KeyState::Withdrawn | KeyState::Gone);
    if key_is_past || claims.access.has_expired(expect.now) {
        return Err(AccessError::Expired);
    }
    Ok(claims.access)
}

fn check(claims: &Claims, expect: &Expect<'_>) -> Result<(), Flaw> {
    let Claims { access, nbf } = claims;
    if *access.iss != *expect.issuer {
        return Err(Flaw::Issuer);
    }
    if !access.aud.iter().any(|aud| **aud == *expect.audience) {
        return Err(Flaw::Audience);
    }
    let latest = expect.now.saturating_add(SKEW);
    if access.iat * 1000 > latest || nbf.is_some_and(|nbf| nbf * 1000 > latest) {
        return Err(Flaw::Early);
    }
    // Both ends are rounded to seconds, so the longest token may seem one longer.
    if (access.exp - access.iat - 1) * 1000 > expect.max_ttl.as_millis() {
        return Err(Flaw::Lifetime);
    }
    Ok(())
}

/// The claims, and what is looked at once and not kept.
struct Claims {
    access: AccessClaims,
    nbf: Option<i64>,
}

fn read(payload: &[u8]) -> Option<Claims> {
    let mut json = serde_json::Deserializer::from_slice(payload);
    let claims = json.deserialize_map(ClaimsVisitor).ok()?;
    json.end().ok()?;
    Some(claims)
}

/// One audience or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(Box<str>),
    Several(Vec<Box<str>>),
}

impl From<Audience> for Vec<Box<str>> {
    fn from(audience: Audience) -> Self {
        match audience {
            Audience::One(one) => vec![one],
            Audience::Several(several) => several,
        }
    }
}

struct ClaimsVisitor;

impl<'de> Visitor<'de> for ClaimsVisitor {
    type Value = Claims;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the claims of an access token")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Claims, A::Error> {
        let mut iss = None;
        let mut aud = None;
        let mut client_id = None;
        let mut sub = None;
        let mut sid = None;
        let mut jti = None;
        let (mut iat, mut exp, mut nbf, mut rc) = (None, None, None, None);
        let (mut name, mut avatar, mut custom) = (None, None, None);
        // A claim that we do not know was signed by a newer version of us: it is left alone, but it must
        // not stand there twice either.
        let mut unknown: Vec<Name<'de>> = Vec::new();
        while let Some(claim) = members.next_key::<Name<'de>>()? {
            match &*claim.0 {
                "iss" => once(&mut iss, members.next_value()?)?,
                "aud" => once(&mut aud, members.next_value::<Audience>()?.into())?,
                "client_id" => once(&mut client_id, id(&mut members)?)?,
                "sub" => once(&mut sub, id(&mut members)?)?,
                "sid" => once(&mut sid, id(&mut members)?)?,
                "jti" => once(&mut jti, members.next_value()?)?,
                "iat" => once(&mut iat, number(&mut members)?)?,
                "exp" => once(&mut exp, number(&mut members)?)?,
                "nbf" => once(&mut nbf, number(&mut members)?)?,
                "rc" => once(&mut rc, number(&mut members)?)?,
                "name" => once(&mut name, members.next_value()?)?,
                "avatar" => once(&mut avatar, members.next_value()?)?,
                "custom" => once(&mut custom, object(&mut members)?)?,
                _ => {
                    members.next_value_seed(WellFormed(MAX_DEPTH - 1))?;
                    unknown.push(claim);
                }
            }
        }
        distinct(&mut unknown)?;
        let missing = A::Error::missing_field;
        Ok(Claims {
            access: AccessClaims {
                iss: iss.ok_or_else(|| missing("iss"))?,
                aud: aud.ok_or_else(|| missing("aud"))?,
                client_id: client_id.ok_or_else(|| missing("client_id"))?,
                sub: sub.ok_or_else(|| missing("sub"))?,
                sid: sid.ok_or_else(|| missing("sid"))?,
                jti: jti.ok_or_else(|| missing("jti"))?,
                iat: iat.ok_or_else(|| missing("iat"))?,
                exp: exp.ok_or_else(|| missing("exp"))?,
                rc: rc.ok_or_else(|| missing("rc"))?,
                name,
                avatar,
                custom,
            },
            nbf,
        })
    }
}

fn once<T, E: serde::de::Error>(place: &mut Option<T>, value: T) -> Result<(), E> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::custom("a claim stands there twice")),
    }
}

fn number<'de, A: MapAccess<'de>>(members: &mut A) -> Result<i64, A::Error> {
    let number: i64 = members.next_value()?;
    if (0..=MAX_NUMBER).contains(&number) {
        Ok(number)
    } else {
        Err(A::Error::custom("a number out of its bounds"))
    }
}

fn id<'de, T, A>(members: &mut A) -> Result<T, A::Error>
where
    T: std::str::FromStr<Err: fmt::Display>,
    A: MapAccess<'de>,
{
    members
        .next_value::<Name<'de>>()?
        .0
        .parse()
        .map_err(A::Error::custom)
}

/// An object as it stands there, once its form is known to be good.
fn object<'de, A: MapAccess<'de>>(members: &mut A) -> Result<Box<str>, A::Error> {
    let raw: &RawValue = members.next_value()?;
    if !raw.get().starts_with('{') {
        return Err(A::Error::custom("not an object"));
    }
    let mut json = serde_json::Deserializer::from_str(raw.get());
    WellFormed(MAX_DEPTH - 1)
        .deserialize(&mut json)
        .map_err(A::Error::custom)?;
    Ok(raw.get().into())
}
