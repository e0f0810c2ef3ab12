//! Introspection, after RFC 7662: a backend asks whether a token works now.

use chatsdk_store::{Session, User};
use chatsdk_types::ErrorCode;
use chatsdk_types::tokens::Introspection;

use crate::keys::KeyCaller;
use crate::refresh_token::RefreshClaims;
use crate::rotation::{self, Decision, Known, Presented, Row};
use crate::{Auth, AuthError};

impl Auth {
    /// What there is to say of a token of the caller's app. Of anything else, and of whatever does
    /// not work now, only that it is not active: why is nobody's business here.
    pub async fn introspect(
        &self,
        caller: &KeyCaller,
        token: &str,
    ) -> Result<Introspection, AuthError> {
        self.0
            .limits
            .introspect(caller.key.as_str(), self.0.clock.now())?;
        if let Ok(claims) = self.bearer(token) {
            if claims.client_id != caller.app {
                return Ok(Introspection::default());
            }
            return Ok(Introspection {
                active: true,
                token_type: Some("access_token"),
                client_id: Some(claims.client_id.to_string()),
                sub: Some(claims.sub.to_string()),
                sid: Some(claims.sid.to_string()),
                iss: Some(self.0.config.issuer.clone()),
                aud: Some(self.0.config.audience.clone()),
                jti: Some(claims.jti.clone()),
                iat: Some(claims.iat),
                exp: Some(claims.exp),
            });
        }
        let Some(claims) = self.refresh_claims(token).await? else {
            return Ok(Introspection::default());
        };
        let Some((session, user)) = self.0.store.session_for_refresh(&claims.sid).await? else {
            return Ok(Introspection::default());
        };
        if session.app != caller.app
            || self.0.revocations.is_disabled(&session.app)
            || self.standing(&claims, &session, &user).is_some()
        {
            return Ok(Introspection::default());
        }
        Ok(Introspection {
            active: true,
            token_type: Some("refresh_token"),
            client_id: Some(session.app.to_string()),
            sub: Some(session.user.to_string()),
            sid: Some(session.id.to_string()),
            exp: Some(claims.exp / 1000),
            ..Introspection::default()
        })
    }

    /// Why a refresh token would not be exchanged now; `None` where it would. Changes nothing.
    pub async fn refresh_token_standing(
        &self,
        token: &str,
    ) -> Result<Option<ErrorCode>, AuthError> {
        let Some(claims) = self.refresh_claims(token).await? else {
            return Ok(Some(ErrorCode::RefreshTokenInvalid));
        };
        Ok(match self.0.store.session_for_refresh(&claims.sid).await? {
            Some((session, _)) if self.0.revocations.is_disabled(&session.app) => {
                Some(ErrorCode::AppDisabled)
            }
            Some((session, user)) => self.standing(&claims, &session, &user),
            None => Some(ErrorCode::RefreshTokenInvalid),
        })
    }

    /// What the decision table says of a token, without acting on it: a look is no use, and an old
    /// counter that is only looked at is no theft.
    pub(crate) fn standing(
        &self,
        claims: &RefreshClaims,
        session: &Session,
        user: &User,
    ) -> Option<ErrorCode> {
        let known = Known {
            seen: self.0.seen.get(&claims.sid),
            user_banned: user.banned_at.is_some(),
            now: self.0.clock.now(),
        };
        let presented = Presented {
            n: claims.n,
            exp: claims.exp,
            sent_at: None,
        };
        match rotation::decide(Some(&Row::of(session, user)), &presented, &known) {
            Decision::Rotate(_) | Decision::Repeat(_) => None,
            Decision::Banned => Some(ErrorCode::UserBanned),
            Decision::Expired => Some(ErrorCode::RefreshTokenExpired),
            Decision::Revoked => Some(ErrorCode::SessionRevoked),
            Decision::Reused | Decision::Missing | Decision::Stale => {
                Some(ErrorCode::RefreshTokenInvalid)
            }
        }
    }
}
