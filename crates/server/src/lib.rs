//! The composition root: the one place that knows every part and puts them together.
//!
//! - [`commands`]: what `chatsdk` can be told to do, a file each. `serve` is the one to read first.
//! - [`config`]: defaults, file, environment, flags.
//! - [`Server`]: a running server; `serve`, `dev` and the tests start one.
//! - `authority`: what the realtime engine may ask: of the token service, and who may do what in which
//!   topic. `topics`: which there are. `rights`: what a token allows in them.
//! - `sockets`: where realtime connections enter. `listen`: where connections do.
//! - `operators`: what they see of a live node. `operator_token`, `node_file`: how they and their commands
//!   come to it.
//! - `jobs`, `lifecycle`, `telemetry`, `secret`: time, the end, what is said, what is kept. `measures`: every
//!   metric there is.

pub mod commands;
pub mod config;
pub mod operator_token;
pub mod secret;
pub mod telemetry;

mod authority;
mod jobs;
mod lifecycle;
mod listen;
mod measures;
mod node_file;
mod operators;
mod rights;
mod running;
mod sockets;
mod topics;
mod workers;

pub use lifecycle::asked_to_end;
pub use running::{Server, StartError};

/// Says that opening the service carried revocations into an older database.
pub(crate) fn report_replayed(opened: &chatsdk_auth::Opened) {
    if opened.replayed > 0 {
        tracing::warn!(
            count = opened.replayed,
            "the database is older than the revocation journal: {} revocations were carried into it",
            opened.replayed
        );
    }
}

/// What a restore without a journal leaves unknown, as a sentence.
pub(crate) fn unknown_period(since: chatsdk_types::Millis) -> String {
    format!(
        "the database was restored from the backup of {}, and there is no revocation journal in the data directory: \
         what was revoked or banned between then and now is unknown; end sessions by user where in doubt",
        commands::moment(since)
    )
}

/// Says what is unknown of the past.
pub(crate) fn report_unknown(opened: &chatsdk_auth::Opened) {
    if let Some(since) = opened.unknown_since {
        tracing::warn!(since, "{}", unknown_period(since));
    } else if opened.journal_missing {
        tracing::warn!(
            "there is no revocation journal in the data directory. That is as it should be on a new node; if the \
             database was restored, what was revoked or banned since its last change is unknown"
        );
    }
}
