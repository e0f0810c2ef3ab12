//! The audit log: who did what, never with which secret.
//!
//! Each decision is a row, written in the unit of work that makes it. Successful refreshes are not
//! rows, they would be most of the database; they are counted in the metrics. Refused credentials
//! are counted in memory and written as one row a minute, so that guessing cannot fill the disk.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use chatsdk_store::{AuditEntry, AuditFilter, AuditLine};
use chatsdk_types::{AppId, ErrorCode, Millis, SessionId, UserId};

use crate::{Auth, AuthError, Peer};

/// An audit row in the making.
#[derive(Clone)]
pub(crate) struct Audit(AuditEntry);

impl Audit {
    pub(crate) fn new(action: &str, actor: impl Into<String>, at: Millis) -> Self {
        Self(AuditEntry {
            at,
            action: action.into(),
            actor: actor.into(),
            ..AuditEntry::default()
        })
    }

    pub(crate) fn app(mut self, app: &AppId) -> Self {
        self.0.app = app.to_string();
        self
    }

    pub(crate) fn user(mut self, user: &UserId) -> Self {
        self.0.user = user.to_string();
        self
    }

    pub(crate) fn session(mut self, session: &SessionId) -> Self {
        self.0.session = session.to_string();
        self
    }

    pub(crate) fn peer(mut self, peer: &Peer) -> Self {
        self.0.ip = peer.ip.map(|ip| ip.to_string()).unwrap_or_default();
        self.0.user_agent.clone_from(&peer.user_agent);
        self.0.request_id.clone_from(&peer.request_id);
        self
    }

    pub(crate) fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The row. What callers wrote freely may hold a credential by mistake; it is not kept.
    pub(crate) fn entry(mut self) -> AuditEntry {
        for text in [&mut self.0.user_agent, &mut self.0.detail] {
            if text.contains("csk_") || text.contains("eyJ") {
                *text = text
                    .split(' ')
                    .map(|word| {
                        let secret = word.contains("csk_") || word.contains("eyJ");
                        if secret { "[redacted]" } else { word }
                    })
                    .collect::<Vec<_>>()
                    .join(" ");
            }
        }
        self.0
    }
}

/// Refused credentials since the last row, by code.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<HashMap<&'static str, u64>>);

impl Auth {
    /// The newest lines of the audit log that `filter` lets through, newest first, up to `limit`; only those that
    /// stand behind `after`, the last line of an earlier answer, where one is given.
    pub async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&AuditLine>,
        limit: u32,
    ) -> Result<Vec<AuditLine>, AuthError> {
        Ok(self.0.store.audit(filter, after, limit).await?)
    }

    /// Notes a refused credential: for the audit log, and for the limit by address. Answers the
    /// refusal itself, or that there were too many of them.
    pub fn refuse(&self, code: ErrorCode, peer: &Peer) -> AuthError {
        let mut failures = self
            .0
            .failures
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *failures.entry(code.as_str()).or_default() += 1;
        drop(failures);
        match self.0.limits.failure(peer.bucket(), self.0.clock.now()) {
            Ok(()) => code.into(),
            Err(limited) => limited,
        }
    }

    /// Writes the counts of refused credentials. Called once a minute.
    pub async fn flush_failures(&self) -> Result<(), AuthError> {
        let counts = std::mem::take(
            &mut *self
                .0
                .failures
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if counts.is_empty() {
            return Ok(());
        }
        let now = self.0.clock.now();
        self.0
            .store
            .write(move |tx| {
                Box::pin(async move {
                    for (code, count) in counts {
                        let row = Audit::new("auth.failed", "server", now)
                            .detail(format!("{code} {count}"));
                        tx.append_audit(&row.entry()).await?;
                    }
                    Ok::<_, chatsdk_store::StoreError>(())
                })
            })
            .await?;
        Ok(())
    }
}
