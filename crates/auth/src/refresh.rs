//! Refreshing: a refresh token for the next pair. The rules are [`crate::rotation`]'s; here they
//! meet the database.

use chatsdk_store::{Exchange, Exchanged, Rotation, StoreError};
use chatsdk_types::tokens::TokenReply;
use chatsdk_types::{ErrorCode, Millis};

use crate::audit::Audit;
use crate::refresh_token::RefreshClaims;
use crate::rotation::{self, Decision, Known, Presented, Row};
use crate::{Auth, AuthError, Peer};

/// A row that keeps changing under our hands is another process's turn each time; after this many
/// turns something is wrong, and the client is asked to come again.
const MAX_TURNS: usize = 16;

/// Counts a rotation that is durable.
fn count_rotated() {
    metrics::counter!("chatsdk_refreshes_total", "outcome" => "rotated").increment(1);
}

impl Auth {
    /// Exchanges a refresh token. `sent_at` is the sender's estimate of the server's time when it
    /// sent the request, in milliseconds.
    pub async fn refresh(
        &self,
        token: &str,
        sent_at: Option<Millis>,
        peer: &Peer,
    ) -> Result<TokenReply, AuthError> {
        let inner = &*self.0;
        let Some(claims) = self.refresh_claims(token).await? else {
            return Err(self.refuse(ErrorCode::RefreshTokenInvalid, peer));
        };
        let flight = inner.flights.enter(&claims.sid).await;
        // Behind somebody else's turn the row will rather have been rotated a moment ago.
        if !flight.has_waited()
            && let Some(reply) = self.exchange(&claims, sent_at).await?
        {
            return Ok(reply);
        }
        for turn in 0..MAX_TURNS {
            let row = inner.store.session_for_refresh(&claims.sid).await?;
            let now = inner.clock.now();
            if let (0, Some((session, _))) = (turn, &row) {
                inner
                    .limits
                    .refresh(session.id.as_str(), session.access_ttl.as_secs(), now)?;
            }
            // Before anything is decided: while its app is disabled a session neither goes on nor ends.
            if let Some((session, _)) = &row
                && inner.revocations.is_disabled(&session.app)
            {
                return Err(ErrorCode::AppDisabled.into());
            }
            let presented = Presented {
                n: claims.n,
                exp: claims.exp,
                sent_at,
            };
            let known = Known {
                seen: inner.seen.get(&claims.sid),
                user_banned: row
                    .as_ref()
                    .is_some_and(|(_, user)| user.banned_at.is_some()),
                now,
            };
            let decision = rotation::decide(
                row.as_ref()
                    .map(|(session, user)| Row::of(session, user))
                    .as_ref(),
                &presented,
                &known,
            );
            let (session, user) = match (decision, row) {
                (Decision::Stale, _) => return Err(AuthError::Stale { server_time: now }),
                (Decision::Missing, _) | (_, None) => {
                    return Err(self.refuse(ErrorCode::RefreshTokenInvalid, peer));
                }
                (Decision::Revoked, _) => return Err(ErrorCode::SessionRevoked.into()),
                (Decision::Banned, _) => return Err(ErrorCode::UserBanned.into()),
                (Decision::Expired, _) => return Err(ErrorCode::RefreshTokenExpired.into()),
                (Decision::Repeat(successor), Some((session, user))) => {
                    metrics::counter!("chatsdk_refreshes_total", "outcome" => "repeated")
                        .increment(1);
                    return self.reply(&session, successor.n, successor.exp, &user);
                }
                (Decision::Reused, Some((session, _))) => {
                    self.end_reused(&session, peer).await?;
                    return Err(ErrorCode::RefreshTokenReused.into());
                }
                (Decision::Rotate(plan), Some((mut session, user))) => {
                    let rt_kid = inner.refresh_keys.current().to_owned();
                    let rotation = Rotation {
                        session: session.id.clone(),
                        presented: claims.n,
                        seen: known.seen,
                        next: plan.next,
                        now,
                        grace_since: plan.grace_since,
                        rt_exp: plan.rt_exp,
                        rt_kid: rt_kid.clone(),
                    };
                    let rotated = inner
                        .store
                        .write(move |tx| Box::pin(async move { tx.rotate(&rotation).await }))
                        .await?;
                    if !rotated {
                        // Another process was faster, or a revocation: what the row says now decides.
                        continue;
                    }
                    session.cur = plan.next;
                    session.rt_exp = plan.rt_exp;
                    session.rt_kid = rt_kid;
                    (session, user)
                }
            };
            count_rotated();
            return self.reply(&session, session.cur, session.rt_exp, &user);
        }
        Err(ErrorCode::Unavailable.into())
    }

    /// The usual case in one visit to the database: the token is the newest, and line 6 decides. `None`,
    /// and nothing was changed, where another line does or it is not certain.
    async fn exchange(
        &self,
        claims: &RefreshClaims,
        sent_at: Option<Millis>,
    ) -> Result<Option<TokenReply>, AuthError> {
        let inner = &*self.0;
        let now = inner.clock.now();
        let is_fresh = sent_at.is_none_or(|sent_at| rotation::is_fresh(sent_at, now));
        if !is_fresh || !inner.limits.refresh_is_free(claims.sid.as_str(), now) {
            return Ok(None);
        }
        let exchange = Exchange {
            session: claims.sid.clone(),
            presented: claims.n,
            exp: claims.exp,
            seen: inner.seen.get(&claims.sid),
            now,
            grace_since: now.saturating_sub(rotation::GRACE),
            rt_kid: inner.refresh_keys.current().to_owned(),
            // Whose app the session is of is not known before its row is read.
            disabled: inner.revocations.disabled(),
            decide: rotation::line_6,
        };
        let replied = inner.store.exchange(exchange, |exchanged| {
            let Exchanged {
                before: mut session,
                user,
                successor,
            } = exchanged;
            session.cur = successor.next;
            session.rt_exp = successor.rt_exp;
            inner.refresh_keys.current().clone_into(&mut session.rt_kid);
            let reply = self.reply(&session, session.cur, session.rt_exp, &user);
            (session, reply)
        });
        let Some((session, reply)) = replied.await? else {
            return Ok(None);
        };
        // It was free, and whoever else refreshes the session waits for this turn.
        let _ = inner
            .limits
            .refresh(claims.sid.as_str(), session.access_ttl.as_secs(), now);
        count_rotated();
        // A ban may have been answered while the statement waited for a lock: it saw the user as before.
        match inner
            .revocations
            .refusal(&session.app, &session.user, &session.id)
        {
            None => reply.map(Some),
            Some(ErrorCode::TokenRevoked) => Err(ErrorCode::SessionRevoked.into()),
            Some(code) => Err(code.into()),
        }
    }

    /// A token came back after a later one was seen in use: two parties hold the session, and it is not
    /// known which is the owner. It ends for both, durably, before either is told.
    async fn end_reused(
        &self,
        session: &chatsdk_store::Session,
        peer: &Peer,
    ) -> Result<(), AuthError> {
        metrics::counter!("chatsdk_refreshes_total", "outcome" => "reused").increment(1);
        let now = self.0.clock.now();
        let (app, user, id) = (
            session.app.clone(),
            session.user.clone(),
            session.id.clone(),
        );
        let audit = Audit::new("refresh.reuse_detected", "server", now)
            .app(&app)
            .user(&user)
            .session(&id)
            .peer(peer);
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    if tx
                        .revoke_session(&app, &id, "refresh_token_reused", now)
                        .await?
                    {
                        tx.append_control_sessions(&app, &[id], now).await?;
                        tx.append_audit(&audit.entry()).await?;
                    }
                    Ok::<_, StoreError>(())
                })
            })
            .await?;
        self.catch_up().await
    }

    /// Writes what was seen in use since the last time. Called every few seconds; what a crash loses
    /// errs towards answering.
    pub async fn flush_seen(&self) -> Result<(), AuthError> {
        let batch = self.0.seen.dirty();
        if !batch.is_empty() {
            self.0.store.raise_proven(batch.clone()).await?;
            self.0.seen.written(&batch);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chatsdk_store::Location;
    use chatsdk_types::ManualClock;

    use super::*;
    use crate::testing;

    /// An app that is disabled takes no other off the short way, and none of its own sessions takes it.
    #[tokio::test]
    async fn one_visit_is_enough_whichever_other_app_is_disabled() {
        let directory = tempfile::tempdir().unwrap();
        let at = Location::Sqlite(directory.path().join("chatsdk.db"));
        let clock = ManualClock::at(1_800_000_000_000);
        let auth = testing::open(at, directory.path(), &clock).await;
        let ((shut, of_shut), (_, of_other)) = (
            testing::sign_in(&auth, "shut").await,
            testing::sign_in(&auth, "other").await,
        );
        let visit = async |token: &str| {
            clock.advance(120_000);
            let claims = auth.refresh_claims(token).await.unwrap().unwrap();
            let reply = auth.exchange(&claims, None).await.unwrap();
            reply.map(|reply| reply.refresh_token)
        };

        auth.disable_app(&shut, true, "test").await.unwrap();
        let of_other = visit(&of_other.refresh_token).await.unwrap();
        let of_shut = of_shut.refresh_token;
        assert_eq!(visit(&of_shut).await, None);
        let refused = auth.refresh(&of_shut, None, &Peer::default()).await;
        assert_eq!(refused.unwrap_err().code(), ErrorCode::AppDisabled);

        auth.disable_app(&shut, false, "test").await.unwrap();
        assert!(visit(&of_shut).await.is_some());
        assert!(visit(&of_other).await.is_some());
        auth.0.store.close().await;
    }
}
