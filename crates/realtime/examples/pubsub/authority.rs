//! Who may do what: tokens, namespaces and their switches.

use std::collections::BTreeMap;
use std::sync::Arc;

use chatsdk_realtime::{
    Admission, Authority, Caller, ConnectRequest, Denial, DisconnectCode, ErrorCode, Grant,
    Identity, Inspect, InspectRequest, PublishRequest, Publishing, Refreshed, Refusal,
    SubRefreshRequest, SubscribeRequest, TopicOptions,
};
use chatsdk_types::Clock;

use crate::config::{Config, Namespace};
use crate::token::{self, Bad};

/// All of this server's users are in one app.
pub(crate) const APP: &str = "";

/// See the module's text.
#[derive(Debug)]
pub(crate) struct Namespaces {
    config: Arc<Config>,
    clock: Arc<dyn Clock>,
    app: Arc<str>,
    default: Arc<TopicOptions>,
    named: BTreeMap<String, Arc<TopicOptions>>,
}

impl Namespaces {
    pub(crate) fn new(config: Arc<Config>, clock: Arc<dyn Clock>) -> Self {
        let named = config.namespaces.iter();
        Self {
            clock,
            app: APP.into(),
            default: config.default.options(),
            named: named
                .map(|(name, namespace)| (name.clone(), namespace.options()))
                .collect(),
            config,
        }
    }

    /// How `channel` behaves; `None`: its namespace is unknown.
    pub(crate) fn options(&self, channel: &str) -> Option<Arc<TopicOptions>> {
        self.find(channel).map(|(_, options)| Arc::clone(options))
    }

    fn find(&self, channel: &str) -> Option<(&Namespace, &Arc<TopicOptions>)> {
        let channel = channel.strip_prefix('$').unwrap_or(channel);
        match channel.split_once(':') {
            None => Some((&self.config.default, &self.default)),
            Some((name, _)) => Some((self.config.namespaces.get(name)?, self.named.get(name)?)),
        }
    }

    fn known(&self, channel: &str) -> Result<(&Namespace, &Arc<TopicOptions>), Denial> {
        self.find(channel).ok_or(ErrorCode::UnknownChannel.into())
    }

    fn now(&self) -> i64 {
        self.clock.now() / 1000
    }

    /// What a connection token says: the user, and all that an [`Admission`] has of it.
    fn admission(&self, token: &str) -> Result<Admission, Refusal> {
        let claims: token::Connection =
            token::claims(token, &self.config.token_secret).map_err(refusal)?;
        if claims.channel.is_some() {
            return Err(Refusal::Invalid);
        }
        let expires_at =
            token::timely(claims.exp, claims.nbf, claims.expire_at, self.now()).map_err(refusal)?;
        let mut admission = Admission {
            expires_at,
            info: token::payload(claims.info.as_deref(), &claims.b64info),
            ..Admission::new(self.identity(&claims.sub).with_rights(claims.fingerprint()))
        };
        for channel in claims.channels {
            let grant = self.server_side(&channel)?;
            admission.subscriptions.push((channel.into(), grant));
        }
        for (channel, sub) in claims.subs {
            let grant = Grant {
                info: token::payload(sub.info.as_deref(), &sub.b64info),
                data: token::payload(sub.data.as_deref(), &sub.b64data),
                ..self.server_side(&channel)?
            };
            admission.subscriptions.push((channel.into(), grant));
        }
        if self.config.personal_channels && !claims.sub.is_empty() {
            let channel = format!("#{}", claims.sub);
            let grant = self.server_side(&channel)?;
            admission.subscriptions.push((channel.into(), grant));
        }
        Ok(admission)
    }

    fn server_side(&self, channel: &str) -> Result<Grant, Refusal> {
        let options = self.options(channel).ok_or(Refusal::Invalid)?;
        Ok(Grant::new(options))
    }

    fn identity(&self, user: &str) -> Identity {
        Identity::new(Arc::clone(&self.app), user, "")
    }

    /// What a subscription token says, and until when it lasts.
    fn subscription(
        &self,
        caller: Caller<'_>,
        channel: &str,
        token: &str,
    ) -> Result<(token::Subscription, Option<i64>), Denial> {
        let denial = |bad| match bad {
            Bad::Invalid => Denial::from(ErrorCode::PermissionDenied),
            Bad::Expired => Denial::from(ErrorCode::TokenExpired),
        };
        let claims: token::Subscription =
            token::claims(token, &self.config.token_secret).map_err(denial)?;
        let until =
            token::timely(claims.exp, claims.nbf, claims.expire_at, self.now()).map_err(denial)?;
        let others = claims.channel != channel
            || claims.sub != *caller.identity.user
            || !(claims.client.is_empty() || claims.client == caller.client);
        if others {
            return Err(DisconnectCode::InvalidToken.into());
        }
        Ok((claims, until))
    }
}

impl Authority for Namespaces {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        if !request.token.is_empty() {
            let mut admission = self.admission(request.token)?;
            if self.config.insecure {
                admission.expires_at = None;
            }
            return Ok(admission);
        }
        if self.config.insecure {
            return Ok(Admission::new(self.identity("")));
        }
        Err(Refusal::Missing)
    }

    async fn refresh(&self, connection: &Identity, token: &str) -> Result<Refreshed, Refusal> {
        let admission = self.admission(token)?;
        if admission.identity.user == connection.user
            && admission.identity.rights != connection.rights
        {
            // Other channels than at connect: they begin with a new connection.
            return Err(Refusal::Changed);
        }
        Ok(Refreshed {
            identity: admission.identity,
            expires_at: admission.expires_at,
        })
    }

    async fn subscribe(&self, request: SubscribeRequest<'_>) -> Result<Grant, Denial> {
        let (namespace, options) = self.known(request.channel)?;
        let insecure = self.config.insecure;
        let mut grant = Grant {
            may_recover: insecure || namespace.allow_history_for_subscriber,
            may_hear_joins: insecure || namespace.allow_presence_for_subscriber,
            ..Grant::new(Arc::clone(options))
        };
        let caller = request.caller;
        if !request.token.is_empty() {
            let (claims, until) = self.subscription(caller, request.channel, request.token)?;
            grant.expires_at = until.filter(|_| !insecure);
            grant.info = token::payload(claims.info.as_deref(), &claims.b64info);
            grant.data = token::payload(claims.data.as_deref(), &claims.b64data);
            return Ok(grant);
        }
        if insecure {
            return Ok(grant);
        }
        // What follows the last one, as in other servers of the protocol.
        let listed = request.channel.rsplit_once('#').map(|(_, users)| users);
        let allowed = match listed {
            _ if request.channel.starts_with('$') => false,
            Some(users) => users
                .split(',')
                .any(|user| !user.is_empty() && *user == *caller.identity.user),
            None => namespace.allow_subscribe_for_client,
        };
        if allowed {
            Ok(grant)
        } else {
            Err(ErrorCode::PermissionDenied.into())
        }
    }

    async fn sub_refresh(&self, request: SubRefreshRequest<'_>) -> Result<Option<i64>, Denial> {
        let (_, until) = self.subscription(request.caller, request.channel, request.token)?;
        Ok(until)
    }

    async fn publish(&self, request: PublishRequest<'_>) -> Result<Publishing, Denial> {
        let (namespace, options) = self.known(request.channel)?;
        let allowed = self.config.insecure
            || namespace.allow_publish_for_client
            || (namespace.allow_publish_for_subscriber && request.subscribed);
        if allowed {
            Ok(Publishing::Topic(Arc::clone(options)))
        } else {
            Err(ErrorCode::PermissionDenied.into())
        }
    }

    async fn inspect(&self, request: InspectRequest<'_>) -> Result<Arc<TopicOptions>, Denial> {
        let (namespace, options) = self.known(request.channel)?;
        let (exists, for_client, for_subscriber) = match request.what {
            Inspect::Presence => (
                options.presence,
                namespace.allow_presence_for_client,
                namespace.allow_presence_for_subscriber,
            ),
            Inspect::History => (
                options.has_history(),
                namespace.allow_history_for_client,
                namespace.allow_history_for_subscriber,
            ),
        };
        if !exists {
            return Err(ErrorCode::NotAvailable.into());
        }
        if self.config.insecure || for_client || (for_subscriber && request.subscribed) {
            Ok(Arc::clone(options))
        } else {
            Err(ErrorCode::PermissionDenied.into())
        }
    }
}

fn refusal(bad: Bad) -> Refusal {
    match bad {
        Bad::Invalid => Refusal::Invalid,
        Bad::Expired => Refusal::Expired,
    }
}
