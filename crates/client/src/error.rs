//! Everything that this crate answers with or reports. Decide by the variant and the code; the text is for
//! people. No error carries a token.

use std::sync::Arc;

use chatsdk_types::ErrorCode;

use crate::platform::StorageFault;

/// Why something was not done.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input cannot work; nothing was changed and nothing was sent.
    #[error("{field}: {why}")]
    InvalidInput {
        /// The argument that is at fault.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The token speaks for another user than was named.
    #[error(
        "The token was made for another user than user_id names. Pass the userId that your backend sent to POST /auth/tokens."
    )]
    UserMismatch,
    /// There is no current user.
    #[error("There is no current user: call connect() first.")]
    NotConnected,
    /// A disconnect, a logout or another user's connect came in between.
    #[error("The connection was closed by this program.")]
    Disconnected,
    /// The session could not be refreshed.
    #[error(transparent)]
    Refresh(#[from] Arc<RefreshError>),
    /// The storage did not tell whether there is a session.
    #[error(transparent)]
    Storage(#[from] Arc<StorageError>),
}

/// What kind of trouble a refresh is in. Only [`RefreshErrorKind::Fatal`] means that the user has to sign
/// in again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshErrorKind {
    /// The session has ended.
    Fatal,
    /// Nothing answered, or something that is not able to just now.
    Network,
    /// What answered cannot be understood, or does not understand us.
    Protocol,
    /// The address seems to be wrong.
    Configuration,
    /// The token storage fails, and without it nothing can be presented, or used.
    Storage,
}

/// Why the session could not be refreshed. With [`RefreshErrorKind::Fatal`] it has ended; with any other
/// kind the message starts with `Network`, the session is kept and refreshing goes on by itself.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct RefreshError {
    /// What stands in the way.
    pub kind: RefreshErrorKind,
    /// Why the session ended; `None` unless it did.
    pub ended: Option<EndReason>,
    /// For people.
    pub message: String,
    /// How many refreshes in a row have failed, this one included.
    pub attempt: u32,
    /// HTTP status, where one was received.
    pub status: Option<u16>,
    /// The server's id of the request, to quote to its operator.
    pub request_id: Option<String>,
}

/// Why a session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndReason {
    /// The server said so, with one of the codes that [`ErrorCode::ends_session`] names.
    Refused(ErrorCode),
    /// The server would not have the access token any more, and there is no refresh token.
    RefreshTokenMissing,
    /// Your backend says that nobody is signed in there: [`HostError::SessionEnded`].
    HostSessionEnded,
    /// The user logged out, in another process.
    LoggedOut,
}

impl EndReason {
    /// What to say of it. Never speaks of the network: apps tell by that word.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Refused(ErrorCode::RefreshTokenExpired) => {
                "Refresh token expired: sign in again."
            }
            Self::Refused(ErrorCode::RefreshTokenReused) => {
                "Refresh token used twice: sign in again."
            }
            Self::Refused(ErrorCode::SessionRevoked) => "The session was ended: sign in again.",
            Self::Refused(ErrorCode::UserBanned) => "This user is banned.",
            Self::Refused(_) => "Refresh token invalid: sign in again.",
            Self::RefreshTokenMissing => "Access token expired, no refresh token: sign in again.",
            Self::HostSessionEnded => "The session was ended by your backend: sign in again.",
            Self::LoggedOut => "The user logged out.",
        }
    }

    /// The stable name of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused(code) => code.as_str(),
            Self::RefreshTokenMissing => "refresh_token_missing",
            Self::HostSessionEnded => "host_session_ended",
            Self::LoggedOut => "logged_out",
        }
    }
}

/// Why your backend gave no pair, where it keeps the refresh token: see
/// [`TokenManagerOptions::refresh_tokens`](crate::TokenManagerOptions::refresh_tokens).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nobody is signed in there any more, which ends the session.
    #[error("your backend says that nobody is signed in")]
    SessionEnded,
    /// Anything else, which passes: it is asked again.
    #[error("{0}")]
    Failed(
        /// For people. What looks like a token in it is blotted out.
        String,
    ),
}

impl From<String> for HostError {
    fn from(why: String) -> Self {
        Self::Failed(why)
    }
}

impl From<&str> for HostError {
    fn from(why: &str) -> Self {
        Self::Failed(why.to_owned())
    }
}

/// The token storage failed. The session goes on.
#[derive(Debug, Clone, thiserror::Error)]
#[error("Token storage: {what}.")]
pub struct StorageError {
    /// What could not be done.
    pub what: &'static str,
    /// Why.
    #[source]
    pub cause: StorageFault,
}

impl Error {
    /// What went wrong, by a name that never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::InvalidInput { .. } => "invalid_input",
            Self::UserMismatch => "user_mismatch",
            Self::NotConnected => "not_connected",
            Self::Disconnected => "disconnected",
            Self::Refresh(error) => error.code(),
            Self::Storage(_) => "storage_failed",
        }
    }
}

impl RefreshErrorKind {
    /// The stable name of it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fatal => "fatal",
            Self::Network => "network",
            Self::Protocol => "protocol",
            Self::Configuration => "configuration",
            Self::Storage => "storage",
        }
    }
}

impl RefreshError {
    /// The server's code where it ended the session, or what stands in the way.
    pub fn code(&self) -> &'static str {
        match (self.ended, self.kind) {
            (Some(reason), _) => reason.as_str(),
            (None, RefreshErrorKind::Storage) => "storage_failed",
            (None, kind) => kind.as_str(),
        }
    }

    /// Whether the session goes on.
    pub fn is_retryable(&self) -> bool {
        self.kind != RefreshErrorKind::Fatal
    }
}
