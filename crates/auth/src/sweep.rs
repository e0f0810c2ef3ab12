//! Keeping the tables small: what nobody can use any more goes, a hundred rows at a time.

use std::sync::Mutex;
use std::sync::PoisonError;

use chatsdk_types::{Lifetime, SessionId};

use crate::{Auth, AuthConfig, AuthError};

/// How many sessions one step looks at: small enough that no refresh waits behind it.
const STEP: u32 = 100;

/// How long the control log keeps its rows: longer than any process is away and comes back with
/// what it knew.
const CONTROL_KEPT: Lifetime = Lifetime::days(30);

/// How long the audit log keeps its rows.
const AUDIT_KEPT: Lifetime = Lifetime::days(365);

/// Where a sweep of the sessions stands.
#[derive(Debug, Default)]
pub struct Sweep(Mutex<Option<SessionId>>);

impl Auth {
    /// Looks at the next sessions and deletes those that nobody can refresh any more, also not after a
    /// backup as old as [`AuthConfig::RESTORE_WINDOW`] was restored. Answers whether the walk
    /// reached the end of the table.
    pub async fn sweep_sessions(&self, sweep: &Sweep) -> Result<bool, AuthError> {
        let now = self.0.clock.now();
        let after = sweep
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let (deleted, next) = self
            .0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.sweep_sessions(
                        after.as_ref(),
                        STEP,
                        now,
                        AuthConfig::RESTORE_WINDOW.as_millis(),
                    )
                    .await
                })
            })
            .await?;
        if deleted > 0 {
            metrics::counter!("chatsdk_sessions_swept_total").increment(deleted);
        }
        let ended = next.is_none();
        *sweep.0.lock().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(ended)
    }

    /// Forgets old rows of the control log and the audit log, and old lines of the journal.
    pub async fn prune_logs(&self) -> Result<(), AuthError> {
        let now = self.0.clock.now();
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    tx.prune_control(now - CONTROL_KEPT.as_millis()).await?;
                    tx.prune_audit(now - AUDIT_KEPT.as_millis()).await
                })
            })
            .await?;
        self.prune_journal().await
    }
}
