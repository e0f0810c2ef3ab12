//! Commands of the protocol that this engine does not offer, answered in the way from which stock
//! clients take the least harm: what has a reply is told "not available", once and for good.

use chatsdk_protocol::{DisconnectCode, ErrorCode, Frame, Method, ReplyBody};

use crate::authority::Authority;
use crate::commands::{Next, Session};

impl<A: Authority> Session<A> {
    pub(super) fn unavailable(&self, id: u32, method: &Method<'_>, replies: &mut Frame) -> Next {
        match method {
            // To leave a channel that one is not in is no error.
            Method::Unsubscribe(_) => self.reply(id, ReplyBody::Unsubscribe, replies),
            // It has no reply, and to swallow it would be a lie.
            Method::Send(_) => self.close(DisconnectCode::NotAvailable, replies),
            _ => self.reply(id, ErrorCode::NotAvailable, replies),
        }
    }
}
