//! Who may do what: tokens, namespaces and their switches.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use chatsdk_realtime::{
    Admission, Authority, Caller, ConnectRequest, Denial, DisconnectCode, ErrorCode, Grant,
    Identity, Inspect, InspectRequest, PublishRequest, Publishing, Refreshed, Refusal,
    SubRefreshRequest, SubscribeRequest, TopicOptions,
};
use chatsdk_types::{Clock, Millis};
use serde_json::value::RawValue;

use crate::config::{Config, Namespace};
use crate::token::{self, Bad, Overrides};

/// All of this server's users are in one app.
pub(crate) const APP: &str = "";

/// The longest name of a channel, in bytes.
const MAX_CHANNEL: usize = 255;

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

    /// How `channel` behaves.
    pub(crate) fn options(&self, channel: &str) -> Result<Arc<TopicOptions>, ErrorCode> {
        // The engine sees to that for what clients ask for; servers and tokens may say anything.
        if channel.is_empty() || channel.len() > MAX_CHANNEL || !channel.is_ascii() {
            return Err(ErrorCode::BadRequest);
        }
        let found = self.find(channel).ok_or(ErrorCode::UnknownChannel)?;
        Ok(Arc::clone(found.1))
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

    /// What a connection token says: the user, and all that an [`Admission`] has of it.
    fn admission(&self, token: &str) -> Result<Admission, Refusal> {
        let claims: token::Connection =
            token::claims(token, &self.config.token_secret).map_err(refusal)?;
        if claims.channel.is_some() {
            return Err(Refusal::Invalid);
        }
        let expires_at = token::timely(claims.exp, claims.nbf, claims.expire_at, self.clock.now())
            .map_err(refusal)?;
        let mut admission = Admission {
            expires_at: self.lasting(expires_at),
            info: token::payload(claims.info.as_deref(), &claims.b64info).map_err(refusal)?,
            ..Admission::new(self.identity(&claims.sub).with_rights(claims.fingerprint()))
        };
        // Each of them once, however often it is named; what says most about it counts.
        let mut grants = BTreeMap::new();
        for (channel, sub) in claims.subs {
            let payload =
                |json: Option<&RawValue>, base64| token::payload(json, base64).map_err(refusal);
            let grant = Grant {
                info: payload(sub.info.as_deref(), &sub.b64info)?,
                data: payload(sub.data.as_deref(), &sub.b64data)?,
                ..self.server_side(&channel, sub.overrides)?
            };
            grants.insert(channel, grant);
        }
        let personal = self.config.personal_channels && !claims.sub.is_empty();
        let personal = personal.then(|| format!("#{}", claims.sub));
        for channel in claims.channels.into_iter().chain(personal) {
            if let Entry::Vacant(entry) = grants.entry(channel) {
                let grant = self.server_side(entry.key(), Overrides::default())?;
                entry.insert(grant);
            }
        }
        let subscriptions = grants.into_iter();
        admission.subscriptions = subscriptions
            .map(|(channel, grant)| (channel.into(), grant))
            .collect();
        Ok(admission)
    }

    fn server_side(&self, channel: &str, overrides: Overrides) -> Result<Grant, Refusal> {
        let options = self.options(channel).map_err(|_| Refusal::Invalid)?;
        Ok(Grant::new(overrides.apply(options)))
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
        let claims: token::Subscription =
            token::claims(token, &self.config.token_secret).map_err(denial)?;
        let until = token::timely(claims.exp, claims.nbf, claims.expire_at, self.clock.now())
            .map_err(denial)?;
        let others = claims.channel != channel
            || claims.sub != *caller.identity.user
            || !(claims.client.is_empty() || claims.client == caller.client);
        if others {
            return Err(DisconnectCode::InvalidToken.into());
        }
        Ok((claims, self.lasting(until)))
    }

    /// In the insecure mode nothing ends.
    fn lasting(&self, until: Option<Millis>) -> Option<Millis> {
        until.filter(|_| !self.config.insecure)
    }
}

impl Authority for Namespaces {
    async fn connect(&self, request: ConnectRequest<'_>) -> Result<Admission, Refusal> {
        if !request.token.is_empty() {
            return self.admission(request.token);
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
            let payload =
                |json: Option<&RawValue>, base64| token::payload(json, base64).map_err(denial);
            grant.expires_at = until;
            grant.info = payload(claims.info.as_deref(), &claims.b64info)?;
            grant.data = payload(claims.data.as_deref(), &claims.b64data)?;
            grant.options = claims.overrides.apply(grant.options);
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

fn denial(bad: Bad) -> Denial {
    match bad {
        Bad::Invalid => ErrorCode::PermissionDenied.into(),
        Bad::Expired => ErrorCode::TokenExpired.into(),
    }
}
