//! The server's rotation logic, without its sockets and its database: rows in memory that are as durable as
//! the real ones, and every decision taken by [`chatsdk_auth::rotation`].

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chatsdk_auth::refresh_token::{self, RefreshClaims, RefreshKey, RefreshKeys};
use chatsdk_auth::rotation::{self, Decision, Known, Plan, Presented, Row};
use chatsdk_auth::secret::DeploymentSecret;
use chatsdk_auth::seen::Seen;
use chatsdk_client::Tokens;
use chatsdk_client::platform::HttpReply;
use chatsdk_types::{ErrorCode, Millis, SessionId};
use serde_json::{Value, json};

use crate::rng::{Rng, SeededEntropy};

/// How long what was seen in use may wait until it is written, in ms.
const FLUSHED_WITHIN: Millis = 5_000;

/// How long tokens live, in ms.
#[derive(Debug, Clone, Copy)]
pub struct Lives {
    /// An access token.
    pub access: Millis,
    /// A session that is not refreshed.
    pub idle: Millis,
    /// Any session.
    pub absolute: Millis,
}

impl Default for Lives {
    fn default() -> Self {
        Self {
            access: 3_600_000,
            idle: 7 * 86_400_000,
            absolute: 90 * 86_400_000,
        }
    }
}

/// What stands in the database of one session.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What rotation hangs on.
    pub row: Row,
    /// Whose it is.
    pub user: String,
    /// How long its access tokens live, in ms.
    pub access: Millis,
}

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// With the pair of this counter, which existed already.
    Repeated(i64),
    /// With a new pair of this counter.
    Rotated(i64),
    /// With this code.
    Refused(ErrorCode),
}

/// A refresh token that was presented, and what came of it.
#[derive(Debug, Clone)]
pub struct Presentation {
    /// Its session; `None` of a forged one.
    pub session: Option<SessionId>,
    /// Its counter.
    pub n: i64,
    /// The answer.
    pub outcome: Outcome,
}

/// A decision that a node has taken and not written yet.
#[derive(Debug, Clone)]
pub struct Undecided {
    claims: RefreshClaims,
    plan: Plan,
}

/// The decision table: the real one, or an earlier one to show that a simulation tells them apart.
pub type Decide = fn(Option<&Row>, &Presented, &Known) -> Decision;

/// A server.
pub struct Server {
    key: RefreshKey,
    keys: RefreshKeys,
    chance: SeededEntropy,
    /// The table that it goes by.
    pub decide: Decide,
    /// What it mints.
    pub lives: Lives,
    /// The database.
    pub rows: HashMap<SessionId, Entry>,
    backup: Option<HashMap<SessionId, Entry>>,
    /// The journal of revocations, which is in no backup.
    revoked: HashSet<SessionId>,
    banned: HashSet<String>,
    seen: Seen,
    seen_since: Option<Millis>,
    tokens: u64,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("sessions", &self.rows.len())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// A server without sessions.
    ///
    /// # Panics
    /// Where the secret in this file is too short.
    #[expect(clippy::expect_used, reason = "the secret is a constant")]
    pub fn new(rng: Rng) -> Self {
        let secret = DeploymentSecret::parse("a deployment secret for simulations, long enough")
            .expect("a secret of 32 bytes");
        let key = secret.refresh_key("1");
        Self {
            keys: RefreshKeys::with(key.clone(), Vec::new()),
            key,
            chance: SeededEntropy(Mutex::new(rng)),
            decide: rotation::decide,
            lives: Lives::default(),
            rows: HashMap::new(),
            backup: None,
            revoked: HashSet::new(),
            banned: HashSet::new(),
            seen: Seen::with_capacity(1 << 12),
            seen_since: None,
            tokens: 0,
        }
    }

    /// A new session.
    pub fn mint(&mut self, user: &str, now: Millis) -> (SessionId, Tokens) {
        let session = SessionId::new(now, &self.chance);
        let row = Row {
            cur: now,
            prev: 0,
            proven: 0,
            rotated_at: now,
            rt_exp: now + self.lives.idle.min(self.lives.absolute),
            abs_exp: now + self.lives.absolute,
            idle_ttl: self.lives.idle,
            revoked: false,
        };
        let entry = Entry {
            row,
            user: user.to_owned(),
            access: self.lives.access,
        };
        let tokens = self.tokens(&session, &entry, now, row.rt_exp, now);
        self.rows.insert(session.clone(), entry);
        (session, tokens)
    }

    /// The body of a token reply.
    pub fn reply(&mut self, session: &SessionId, n: i64, now: Millis) -> Option<Value> {
        let entry = self.rows.get(session)?.clone();
        let tokens = self.tokens(session, &entry, n, entry.row.rt_exp, now);
        Some(json!({
            "accessToken": tokens.access_token,
            "refreshToken": tokens.refresh_token,
            "expiresAt": tokens.expires_at,
            "expiresIn": entry.access / 1_000,
            "refreshExpiresAt": entry.row.rt_exp,
            "serverTime": now,
            "sessionId": session.as_str(),
            "user": { "id": entry.user, "name": null, "avatar": null, "custom": null },
        }))
    }

    fn tokens(
        &mut self,
        session: &SessionId,
        entry: &Entry,
        n: i64,
        rt_exp: Millis,
        now: Millis,
    ) -> Tokens {
        self.tokens += 1;
        let claims = RefreshClaims {
            sid: session.clone(),
            n,
            exp: rt_exp,
        };
        let exp = (now + entry.access) / 1_000;
        let payload = json!({
            "sub": entry.user, "sid": session.as_str(), "rc": n,
            "iat": exp - entry.access / 1_000, "exp": exp, "jti": self.tokens.to_string(),
        });
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        Tokens {
            // Nobody forges one here, so nobody signs them.
            access_token: format!(
                "{}.{}.c2ln",
                part(r#"{"alg":"EdDSA","typ":"at+jwt"}"#),
                part(&payload.to_string())
            ),
            refresh_token: refresh_token::encode(&claims, &self.key),
            expires_at: now + entry.access,
        }
    }

    /// What a refresh token says, where it is one of ours.
    pub fn read(&self, token: &str) -> Option<RefreshClaims> {
        refresh_token::decode(token, &self.keys).ok()
    }

    /// Decides on a presented token: the answer, or what has to be written first.
    pub fn decide(
        &mut self,
        token: &str,
        sent_at: Option<Millis>,
        now: Millis,
    ) -> Result<Presentation, Undecided> {
        self.flush_if_due(now);
        let Some(claims) = self.read(token) else {
            return Ok(Presentation {
                session: None,
                n: 0,
                outcome: Outcome::Refused(ErrorCode::RefreshTokenInvalid),
            });
        };
        let entry = self.rows.get_mut(&claims.sid);
        let presented = Presented {
            n: claims.n,
            exp: claims.exp,
            sent_at,
        };
        let known = Known {
            seen: self.seen.get(&claims.sid),
            user_banned: entry
                .as_ref()
                .is_some_and(|entry| self.banned.contains(&entry.user)),
            now,
        };
        let refused = Outcome::Refused;
        let outcome =
            match (self.decide)(entry.as_ref().map(|entry| &entry.row), &presented, &known) {
                Decision::Stale => refused(ErrorCode::RequestStale),
                Decision::Missing => refused(ErrorCode::RefreshTokenInvalid),
                Decision::Revoked => refused(ErrorCode::SessionRevoked),
                Decision::Banned => refused(ErrorCode::UserBanned),
                Decision::Expired => refused(ErrorCode::RefreshTokenExpired),
                Decision::Repeat(successor) => Outcome::Repeated(successor.n),
                Decision::Reused => {
                    self.revoke(&claims.sid);
                    refused(ErrorCode::RefreshTokenReused)
                }
                Decision::Rotate(plan) => return Err(Undecided { claims, plan }),
            };
        Ok(Presentation {
            session: Some(claims.sid),
            n: claims.n,
            outcome,
        })
    }

    /// Writes what was decided; `None` where somebody else was faster, and it has to be decided again.
    pub fn write(&mut self, undecided: &Undecided) -> Option<Presentation> {
        let Undecided { claims, plan } = undecided;
        let entry = self.rows.get_mut(&claims.sid)?;
        if !plan.applies_to(&entry.row) {
            return None;
        }
        entry.row = plan.apply(&entry.row);
        Some(Presentation {
            session: Some(claims.sid.clone()),
            n: claims.n,
            outcome: Outcome::Rotated(plan.next),
        })
    }

    /// Decides and writes at once.
    pub fn refresh(&mut self, token: &str, sent_at: Option<Millis>, now: Millis) -> Presentation {
        loop {
            match self.decide(token, sent_at, now) {
                Ok(presentation) => return presentation,
                Err(undecided) => {
                    if let Some(presentation) = self.write(&undecided) {
                        return presentation;
                    }
                }
            }
        }
    }

    /// The HTTP reply that says so.
    pub fn answer(&mut self, presentation: &Presentation, now: Millis) -> HttpReply {
        match (&presentation.outcome, &presentation.session) {
            (Outcome::Repeated(n) | Outcome::Rotated(n), Some(session)) => {
                match self.reply(session, *n, now) {
                    Some(body) => http(200, "application/json", &body),
                    None => problem(ErrorCode::Internal, now),
                }
            }
            (Outcome::Refused(code), _) => problem(*code, now),
            _ => problem(ErrorCode::Internal, now),
        }
    }

    /// `POST /auth/revoke` with a refresh token, however old.
    pub fn revoke_by(&mut self, token: &str, now: Millis) -> HttpReply {
        match self.read(token) {
            Some(claims) => {
                self.revoke(&claims.sid);
                http(200, "application/json", &json!({ "ok": true }))
            }
            None => problem(ErrorCode::RefreshTokenInvalid, now),
        }
    }

    /// Verifies an access token, as every request does: its session and counter, and what is wrong.
    pub fn verify(&mut self, token: &str, now: Millis) -> Result<(SessionId, i64), ErrorCode> {
        self.flush_if_due(now);
        let (session, rc, exp) = claims(token).ok_or(ErrorCode::TokenInvalid)?;
        if now >= exp * 1_000 {
            return Err(ErrorCode::TokenExpired);
        }
        // Whatever the status: it was shown to us.
        self.seen.note(&session, rc);
        self.seen_since.get_or_insert(now);
        match self.rows.get(&session) {
            None => Err(ErrorCode::TokenRevoked),
            Some(entry) if entry.row.revoked => Err(ErrorCode::TokenRevoked),
            Some(entry) if self.banned.contains(&entry.user) => Err(ErrorCode::UserBanned),
            Some(_) => Ok((session, rc)),
        }
    }

    /// Ends a session, durably.
    pub fn revoke(&mut self, session: &SessionId) {
        if let Some(entry) = self.rows.get_mut(session) {
            entry.row.revoked = true;
            self.revoked.insert(session.clone());
        }
    }

    /// Bans a user, or lifts the ban.
    pub fn ban(&mut self, user: &str, banned: bool) {
        if banned {
            self.banned.insert(user.to_owned());
        } else {
            self.banned.remove(user);
        }
    }

    /// Dies, and starts again: what was in memory alone is lost. Answers whether anything was.
    pub fn crash(&mut self, now: Millis) -> bool {
        self.flush_if_due(now);
        let lost = self.seen_since.take().is_some();
        self.seen = Seen::with_capacity(1 << 12);
        lost
    }

    /// Copies the database.
    pub fn back_up(&mut self) {
        self.backup = Some(self.rows.clone());
    }

    /// The database is what the copy was. Revocations outlive it, in the journal.
    pub fn restore(&mut self, now: Millis) -> bool {
        let Some(backup) = self.backup.clone() else {
            return false;
        };
        self.crash(now);
        self.rows = backup;
        for session in &self.revoked {
            if let Some(entry) = self.rows.get_mut(session) {
                entry.row.revoked = true;
            }
        }
        true
    }

    fn flush_if_due(&mut self, now: Millis) {
        if self
            .seen_since
            .is_some_and(|since| now - since >= FLUSHED_WITHIN)
        {
            let batch = self.seen.dirty();
            for (session, counter) in &batch {
                if let Some(entry) = self.rows.get_mut(session) {
                    entry.row.proven = entry.row.proven.max(*counter);
                }
            }
            self.seen.written(&batch);
            self.seen_since = None;
        }
    }
}

/// The session, counter and expiry (in seconds) of an access token.
pub fn claims(token: &str) -> Option<(SessionId, i64, i64)> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    let session = claims["sid"].as_str()?.parse().ok()?;
    Some((session, claims["rc"].as_i64()?, claims["exp"].as_i64()?))
}

/// A problem document of ours.
pub fn problem(code: ErrorCode, now: Millis) -> HttpReply {
    let mut body = json!({
        "type": "about:blank", "title": code.title(), "status": code.status(),
        "code": code.as_str(), "detail": code.title(), "requestId": "req_1",
    });
    if code == ErrorCode::RequestStale {
        body["serverTime"] = now.into();
    }
    http(code.status(), "application/problem+json", &body)
}

/// A reply with a JSON body.
pub fn http(status: u16, content_type: &str, body: &Value) -> HttpReply {
    HttpReply {
        status,
        content_type: content_type.to_owned(),
        retry_after: String::new(),
        body: body.to_string(),
    }
}
