//! Why a call was refused, each reason with its stable code.

use chatsdk_store::StoreError;
use chatsdk_types::{ErrorCode, Millis, Scope};

/// A refusal. [`AuthError::code`] names it for the wire.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A refusal that its code says whole.
    #[error("{}", .0.title())]
    Refused(ErrorCode),
    /// A field of the request is out of its bounds.
    #[error("{field}: {detail}")]
    Field {
        /// The member of the body.
        field: &'static str,
        /// What it takes, as a sentence.
        detail: String,
    },
    /// The request makes no sense as a whole.
    #[error("{0}")]
    Request(&'static str),
    /// The API key lacks a scope.
    #[error("The API key has no scope `{0}`.")]
    Scope(Scope),
    /// Too many of something.
    #[error("Too many requests: {what}.")]
    RateLimited {
        /// What there was too much of.
        what: &'static str,
        /// How many of them a full window holds.
        limit: u32,
        /// When to try again, in milliseconds from now.
        retry_after: Millis,
    },
    /// A refresh request that is too old to be answered, or whose sender's clock is wrong.
    #[error("The request was sent at a moment that is too far from the server's time.")]
    Stale {
        /// The server's clock.
        server_time: Millis,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The revocation journal could not be written.
    #[error("the revocation journal: {0}")]
    Journal(std::io::Error),
    /// A fault of ours: a key that cannot be used, a row that makes no sense.
    #[error("{0}")]
    Internal(String),
}

impl AuthError {
    /// The stable code of the refusal.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Refused(code) => *code,
            Self::Field { .. } => ErrorCode::InvalidField,
            Self::Request(_) => ErrorCode::InvalidRequest,
            Self::Scope(_) => ErrorCode::ApiKeyScope,
            Self::RateLimited { .. } => ErrorCode::RateLimited,
            Self::Stale { .. } => ErrorCode::RequestStale,
            // A store that cannot be reached comes back; so does a full disk. Callers try again.
            Self::Store(error) if error.is_transient() => ErrorCode::Unavailable,
            Self::Journal(_) => ErrorCode::Unavailable,
            Self::Store(_) | Self::Internal(_) => ErrorCode::Internal,
        }
    }
}

impl From<ErrorCode> for AuthError {
    fn from(code: ErrorCode) -> Self {
        Self::Refused(code)
    }
}
