//! What the tables hold, as values. Times are [`Millis`]; JSON stays text, because it is stored and
//! returned here and never looked into.

use std::collections::HashSet;
use std::sync::Arc;

use chatsdk_types::{AppId, KeyId, Lifetime, Millis, Scopes, SessionId, UserId};

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Its id.
    pub id: AppId,
    /// What its operator calls it.
    pub name: String,
    /// When it was created.
    pub created_at: Millis,
    /// The lifetimes that it asks for; what it leaves open is the deployment's default.
    pub lifetimes: AppLifetimes,
    /// Since when nothing of it works.
    pub disabled_at: Option<Millis>,
}

/// The token lifetimes of an app, where they differ from the deployment's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppLifetimes {
    /// Of an access token.
    pub access: Option<Lifetime>,
    /// Of a refresh token since its last rotation.
    pub refresh: Option<Lifetime>,
    /// Of a session since its mint, whatever happens.
    pub session: Option<Lifetime>,
}

/// A person, in the host's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The app that it belongs to.
    pub app: AppId,
    /// The host's id of the person.
    pub id: UserId,
    /// The name to show, if there is one.
    pub name: Option<String>,
    /// The address of a picture.
    pub avatar: Option<String>,
    /// The host's own data: one compact JSON object.
    pub custom: Option<String>,
    /// When it was first minted for.
    pub created_at: Millis,
    /// When the row last changed.
    pub updated_at: Millis,
    /// Since when it is banned, if it is.
    pub banned_at: Option<Millis>,
    /// The operator's word on the ban.
    pub ban_reason: Option<String>,
    /// When it was deleted. The row stays, so that the id cannot come alive again by a stray mint.
    pub deleted_at: Option<Millis>,
}

/// What to do with a field: nothing, empty it, or write it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Patch<T> {
    /// Leave what is there.
    #[default]
    Keep,
    /// Empty it.
    Clear,
    /// Replace it as a whole.
    Set(T),
}

/// What a mint says of a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserPatch {
    /// The name; a new user who is given none is called by its id.
    pub name: Patch<String>,
    /// The picture.
    pub avatar: Patch<String>,
    /// The host's data: one compact JSON object.
    pub custom: Patch<String>,
}

/// A session: the one row of a family of refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// The app that it belongs to.
    pub app: AppId,
    /// Whose it is.
    pub user: UserId,
    /// The API key that minted it.
    pub key: Option<KeyId>,
    /// The counter of the newest refresh token.
    pub cur: i64,
    /// The counter that the newest one was exchanged for; 0 before the first rotation.
    pub prev: i64,
    /// The highest counter seen in use, as far as it is written; 0 before any was.
    pub proven: i64,
    /// When `cur` was issued.
    pub rotated_at: Millis,
    /// When the newest refresh token expires.
    pub rt_exp: Millis,
    /// When the session ends whatever happens.
    pub abs_exp: Millis,
    /// The key that the newest refresh token is authenticated with.
    pub rt_kid: String,
    /// How long its access tokens live.
    pub access_ttl: Lifetime,
    /// How long its refresh tokens live.
    pub idle_ttl: Lifetime,
    /// When it was minted.
    pub created_at: Millis,
    /// The host's id of the device, if it gave one.
    pub device_id: Option<String>,
    /// The host's name of the device, if it gave one.
    pub device_name: Option<String>,
    /// When it was ended, if it was.
    pub revoked_at: Option<Millis>,
    /// Why it was ended.
    pub revoke_reason: Option<String>,
}

/// A refresh token that is put to its session in one visit, without having read the row before:
/// `design.md` §5, line 6, or nothing. What it comes to is for [`Exchange::decide`] to say.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The session.
    pub session: SessionId,
    /// The counter that was presented.
    pub presented: i64,
    /// The expiry that the token says.
    pub exp: Millis,
    /// The highest counter that memory saw in use; 0 where it saw none.
    pub seen: i64,
    /// The moment at which it is decided.
    pub now: Millis,
    /// `now` less the grace of line 5, as in [`Rotation::grace_since`].
    pub grace_since: Millis,
    /// The key that the successor is authenticated with.
    pub rt_kid: String,
    /// The apps whose sessions stay as they are, whatever the table says; `None` where there is no such app.
    pub disabled: Option<Arc<HashSet<AppId>>>,
    /// The table itself: the successor that line 6 gives for the row, or `None` where another line
    /// decides. A pure function. Where the database can ask it between the read and the write, it
    /// does; where both are one statement, that statement asks for the same, and its outcome is held
    /// to this.
    pub decide: fn(&Exchange, &Session, &User) -> Option<Successor>,
}

/// What line 6 gives for a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Successor {
    /// The counter of the next token.
    pub next: i64,
    /// When that expires.
    pub rt_exp: Millis,
}

/// An exchange that changed its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchanged {
    /// The session as it was.
    pub before: Session,
    /// Whose it is.
    pub user: User,
    /// What it was given.
    pub successor: Successor,
}

impl Exchange {
    /// Whether the sessions of `app` stay as they are.
    pub(crate) fn is_disabled(&self, app: &AppId) -> bool {
        self.disabled
            .as_ref()
            .is_some_and(|disabled| disabled.contains(app))
    }

    /// The change of the row, once it is known what the row comes to.
    pub(crate) fn rotation(&self, successor: Successor) -> Rotation {
        Rotation {
            session: self.session.clone(),
            presented: self.presented,
            seen: self.seen,
            next: successor.next,
            now: self.now,
            grace_since: self.grace_since,
            rt_exp: successor.rt_exp,
            rt_kid: self.rt_kid.clone(),
        }
    }
}

/// One rotation to be made durable: `design.md` §5, line 6. It changes the row only where the session
/// is not revoked, no higher counter than `presented` was seen in use, and line 5 does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The session.
    pub session: SessionId,
    /// The counter that was presented: becomes `prev`, and `proven` where it is higher.
    pub presented: i64,
    /// The highest counter that memory saw in use; 0 where it saw none.
    pub seen: i64,
    /// The counter of the successor: becomes `cur`. The row does not change where `cur` is not lower: two
    /// nodes that read the same row in the same millisecond must not issue one counter twice.
    pub next: i64,
    /// The moment of the rotation: becomes `rotated_at`.
    pub now: Millis,
    /// `prev` presented again after this moment is answered with the successor that exists, not with
    /// another: `now` less the grace of line 5. The row must not change where
    /// `prev = presented AND rotated_at >= grace_since`.
    pub grace_since: Millis,
    /// When the successor expires: becomes `rt_exp`.
    pub rt_exp: Millis,
    /// The key that the successor is authenticated with: becomes `rt_kid`.
    pub rt_kid: String,
}

/// An API key, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The part of it that names it.
    pub id: KeyId,
    /// The app that it speaks for.
    pub app: AppId,
    /// `live` or `test`.
    pub env: String,
    /// SHA-256 of the whole key.
    pub hash: [u8; 32],
    /// The last four characters, for people to tell keys apart.
    pub last4: String,
    /// What its operator calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
    /// When it was created.
    pub created_at: Millis,
    /// When it stops working, if it does.
    pub expires_at: Option<Millis>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Millis>,
    /// When it was last used, within a minute or so.
    pub last_used_at: Option<Millis>,
}

/// A key that access tokens are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its name in the header of a token.
    pub kid: String,
    /// The public half: 32 bytes of Ed25519.
    pub public: Vec<u8>,
    /// The private half, sealed with a key that is derived from the deployment's secret.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Millis,
    /// From when on it signs.
    pub activates_at: Millis,
    /// When it stopped signing, if it did; it verifies for one more access-token lifetime.
    pub retired_at: Option<Millis>,
    /// Whether it was withdrawn in an emergency: its tokens count as expired at once.
    pub emergency: bool,
}

/// Something that every serving process has to know within a second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlEntry {
    /// Its place in the log; grows, in the order of commits.
    pub seq: i64,
    /// What happened.
    pub kind: ControlKind,
    /// The app that it concerns; empty for the whole deployment.
    pub app: String,
    /// What it happened to: a session, a user, a key. Empty where the kind says it all.
    pub subject: String,
    /// When it happened.
    pub at: Millis,
}

/// The kinds of [`ControlEntry`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlKind {
    /// A session was ended; the subject is its id.
    SessionRevoked,
    /// A person was banned; the subject is the user id.
    UserBanned,
    /// A ban was lifted; the subject is the user id.
    UserUnbanned,
    /// A person was deleted; the subject is the user id.
    UserDeleted,
    /// An app was created or its lifetimes changed; the subject is the app id.
    AppChanged,
    /// Nothing of an app works any more; the subject is the app id.
    AppDisabled,
    /// An app works again; the subject is the app id.
    AppEnabled,
    /// An API key was created or rotated; the subject is the key id.
    KeyChanged,
    /// An API key was revoked; the subject is the key id.
    KeyRevoked,
    /// An API key was given an end; the subject is the key id, a space and the moment.
    KeyExpires,
    /// The signing keys changed.
    SigningKeysChanged,
    /// A signing key was withdrawn in an emergency; the subject is its `kid`.
    SigningKeyWithdrawn,
    /// The deployment secret was changed.
    SecretChanged,
    /// Something that this version does not know, written by a newer one. Is never appended.
    Unknown,
}

impl ControlKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::SessionRevoked,
        Self::UserBanned,
        Self::UserUnbanned,
        Self::UserDeleted,
        Self::AppChanged,
        Self::AppDisabled,
        Self::AppEnabled,
        Self::KeyChanged,
        Self::KeyRevoked,
        Self::KeyExpires,
        Self::SigningKeysChanged,
        Self::SigningKeyWithdrawn,
        Self::SecretChanged,
        Self::Unknown,
    ];

    /// The kind as it is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SessionRevoked => "session_revoked",
            Self::UserBanned => "user_banned",
            Self::UserUnbanned => "user_unbanned",
            Self::UserDeleted => "user_deleted",
            Self::AppChanged => "app_changed",
            Self::AppDisabled => "app_disabled",
            Self::AppEnabled => "app_enabled",
            Self::KeyChanged => "key_changed",
            Self::KeyRevoked => "key_revoked",
            Self::KeyExpires => "key_expires",
            Self::SigningKeysChanged => "signing_keys_changed",
            Self::SigningKeyWithdrawn => "signing_key_withdrawn",
            Self::SecretChanged => "secret_changed",
            Self::Unknown => "unknown",
        }
    }
}

/// A line of the audit log. Never a token, a key or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditEntry {
    /// When.
    pub at: Millis,
    /// The app, or empty for the deployment.
    pub app: String,
    /// What was done: `token.mint`, `session.revoke`, `refresh.reused`, `key.create`, …
    pub action: String,
    /// Who did it: `key:<id>`, `user:<id>`, `operator`, `server`.
    pub actor: String,
    /// The user that it concerns, or empty.
    pub user: String,
    /// The session that it concerns, or empty.
    pub session: String,
    /// The caller's address, or empty.
    pub ip: String,
    /// The caller's program, or empty.
    pub user_agent: String,
    /// The request that did it, or empty.
    pub request_id: String,
    /// What else there is to say, or empty: a reason, a count.
    pub detail: String,
}

/// A line that stands in the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number. Later lines have higher ones.
    pub seq: i64,
    /// What it says.
    pub entry: AuditEntry,
}

/// Which lines of the audit log are wanted: those that fit all that is given.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Those about this app.
    pub app: Option<AppId>,
    /// Those about this user.
    pub user: Option<UserId>,
    /// Those that are not older.
    pub since: Option<Millis>,
}

impl std::str::FromStr for ControlKind {
    type Err = UnknownControlKind;

    fn from_str(text: &str) -> Result<Self, UnknownControlKind> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| UnknownControlKind(text.to_owned()))
    }
}

/// A kind of control entry that this version does not know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no kind of control entry `{0}`")]
pub struct UnknownControlKind(pub String);
