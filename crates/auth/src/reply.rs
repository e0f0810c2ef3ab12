//! The pair that a mint and a refresh answer.

use chatsdk_store::{Session, User};
use chatsdk_types::Millis;
use chatsdk_types::tokens::TokenReply;

use crate::access::{self, NewAccess};
use crate::refresh_token::{self, RefreshClaims};
use crate::{Auth, AuthError};

impl Auth {
    /// The pair for counter `n` of `session`, with an access token that begins now.
    pub(crate) fn reply(
        &self,
        session: &Session,
        n: i64,
        rt_exp: Millis,
        user: &User,
    ) -> Result<TokenReply, AuthError> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let iat = now / 1000;
        // No access token outlives its session.
        let life = session
            .access_ttl
            .as_millis()
            .min((session.abs_exp - now).max(1000));
        // A token ends so many seconds after it was issued, and both moments are cut to seconds. Of the
        // shortest tokens, which are for development, that would take a good part; they end a moment later.
        let exp = if life < 60_000 {
            (now + life + 999) / 1000
        } else {
            iat + life / 1000
        };
        let jti = crate::base64url(&chatsdk_types::entropy::bytes::<16>(&*inner.entropy));
        let access_token = access::sign(
            &self.ring(),
            &NewAccess {
                iss: &inner.config.issuer,
                aud: &inner.config.audience,
                client_id: &session.app,
                sub: &session.user,
                sid: &session.id,
                jti: &jti,
                iat,
                exp,
                rc: n,
                name: user.name.as_deref(),
                avatar: user
                    .avatar
                    .as_deref()
                    .filter(|avatar| avatar.len() <= crate::profile::MAX_AVATAR_IN_TOKEN),
                custom: user.custom.as_deref(),
            },
        );
        let access_token = match access_token {
            Ok(token) => token,
            Err(error) => {
                inner.generation.is_in_force()?;
                return Err(AuthError::Internal(error.to_string()));
            }
        };
        let Some(key) = inner.refresh_keys.get(&session.rt_kid) else {
            inner.generation.is_in_force()?;
            return Err(AuthError::Internal(format!(
                "there is no refresh key `{}`",
                session.rt_kid
            )));
        };
        let refresh_token = refresh_token::encode(
            &RefreshClaims {
                sid: session.id.clone(),
                n,
                exp: rt_exp,
            },
            key,
        );
        Ok(TokenReply {
            access_token,
            refresh_token,
            expires_at: exp * 1000,
            expires_in: (life / 1000).max(1),
            refresh_expires_at: rt_exp,
            server_time: now,
            session_id: session.id.to_string(),
            user: view(user)?,
        })
    }
}

/// A user, as replies show one.
pub(crate) fn view(user: &User) -> Result<chatsdk_types::tokens::User, AuthError> {
    let custom = match &user.custom {
        Some(text) => Some(
            serde_json::value::RawValue::from_string(text.clone()).map_err(|_| {
                AuthError::Internal("the stored custom data of a user is not JSON".into())
            })?,
        ),
        None => None,
    };
    Ok(chatsdk_types::tokens::User {
        id: user.id.to_string(),
        name: user.name.clone(),
        avatar: user.avatar.clone(),
        custom,
    })
}
