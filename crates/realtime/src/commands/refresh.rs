//! `refresh`: a newer token, without a new connection.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chatsdk_protocol::command::RefreshRequest;
use chatsdk_protocol::reply::RefreshResult;
use chatsdk_protocol::{Disconnect, DisconnectCode, ErrorCode, Frame, UnsubscribeCode};

use crate::authority::{Authority, Identity, Refreshed, Refusal};
use crate::commands::{Next, Session, ttl};
use crate::hub::Unregistered;

impl<A: Authority> Session<A> {
    pub(super) async fn refresh(
        &mut self,
        id: u32,
        request: &RefreshRequest<'_>,
        replies: &mut Frame,
    ) -> Next {
        let shared = &Arc::clone(self.engine.shared());
        let Some(current) = self.connection.identity() else {
            return self.close(DisconnectCode::BadRequest, replies);
        };
        if request.token.is_empty() {
            return self.decline(id, Refusal::Missing, replies);
        }
        // As at connect: an order that comes while the authority thinks holds for the new session too.
        let ticket = shared.hub.ticket();
        let answer = self
            .engine
            .authority()
            .refresh(&current, &request.token)
            .await;
        let Refreshed {
            identity,
            expires_at,
        } = match answer {
            Ok(refreshed) => refreshed,
            Err(refusal) => return self.decline(id, refusal, replies),
        };
        // A connection is somebody's; it cannot become somebody else's.
        if identity.app != current.app || identity.user != current.user {
            return self.decline(id, Refusal::Invalid, replies);
        }
        let ttl = match expires_at.map(|at| ttl(at, shared.clock.now())) {
            None => None,
            Some(Some(ttl)) => Some(ttl),
            Some(None) => return self.decline(id, Refusal::Expired, replies),
        };
        match shared.hub.renew(
            &ticket,
            &self.connection,
            &current,
            identity.clone(),
            expires_at,
        ) {
            Ok(()) => {}
            Err(Unregistered::Closed | Unregistered::TooMany) => return Next::Stop,
            Err(Unregistered::Ordered(why)) => return self.close(why, replies),
        }
        drop(ticket);
        shared.stats.refreshes.fetch_add(1, Ordering::Relaxed);
        if identity != current {
            self.end_what_is_no_longer_allowed(&identity).await;
        }
        self.reply(
            id,
            RefreshResult {
                client: Some(Arc::clone(&self.connection.client)),
                version: Some(shared.config.version.as_str().into()),
                expires: ttl.is_some(),
                ttl: ttl.unwrap_or(0),
            },
            replies,
        )
    }

    /// Asks again for each subscription: rights that a newer proof has not end with the older one.
    async fn end_what_is_no_longer_allowed(&self, identity: &Identity) {
        for subscription in self.connection.subscriptions.all() {
            let channel = &subscription.topic.channel;
            let authority = self.engine.authority();
            if !authority.may_stay(self.caller(identity), channel).await {
                self.connection
                    .unsubscribe(channel, UnsubscribeCode::Server);
            }
        }
    }

    fn decline(&mut self, id: u32, refusal: Refusal, replies: &mut Frame) -> Next {
        let stats = &self.engine.shared().stats;
        stats.refreshes_refused.fetch_add(1, Ordering::Relaxed);
        let why = match refusal {
            Refusal::Expired => DisconnectCode::ConnectionExpired.into(),
            Refusal::Invalid => DisconnectCode::InvalidToken.into(),
            Refusal::Changed => DisconnectCode::InsufficientState.into(),
            Refusal::Missing => DisconnectCode::BadRequest.into(),
            Refusal::Revoked(why) => Disconnect::because(DisconnectCode::ForceDisconnect, why),
            // The present token still holds: the client asks again in a few seconds.
            Refusal::Unavailable => return self.reply(id, ErrorCode::Internal, replies),
        };
        self.close(why, replies)
    }
}
