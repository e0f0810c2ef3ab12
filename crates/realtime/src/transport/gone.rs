//! The end of every connection.

use std::sync::Arc;

use chatsdk_protocol::DisconnectCode;

use crate::connection::{Connection, Phase};
use crate::stats::Stats;

/// Takes the connection out of the books however its task ends.
pub(super) struct Gone(pub(super) Arc<Connection>);

impl Drop for Gone {
    fn drop(&mut self) {
        let shared = &self.0.shared;
        if shared.hub.forget(&self.0) {
            Stats::subtract(&shared.stats.connected, 1);
        }
        Stats::subtract(&shared.stats.open, 1);
        self.0.leave_all();
        if self.0.phase() != Phase::Closing {
            // The socket ended without a close frame.
            self.0.kill(Some(DisconnectCode::ConnectionClosed));
        }
    }
}
