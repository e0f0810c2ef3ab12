//! The topics there are.
//!
//! - `user:ID` is a user's own: the server subscribes each of their connections to it, nobody else can
//!   have it, and only the server publishes there.
//! - `custom:NAME` is for whatever an application wants its clients to tell each other: everybody who is
//!   signed in may listen, and whoever listens may speak, as far as the token's permissions go.
//!   `custom:NAME#ID,ID` is for these users alone: those that stand behind
//!   the last `#`.

use std::time::Duration;

use chatsdk_realtime::{History, Keep, TopicOptions};
use chatsdk_types::UserId;

const PERSONAL: &str = "user:";
const CUSTOM: &str = "custom:";

/// The longest channel that a client can ask for, in bytes.
const MAX_CHANNEL: usize = 255;

/// How long the count of a topic's publications is kept: long enough for a client that comes back a
/// little late to learn what it missed is gone, and not so long that names used once pile up.
const COUNT_TTL: Duration = Duration::from_mins(15);

/// What kind of topic a channel is, for one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    /// Their own.
    Personal,
    /// For clients among themselves.
    Custom,
    /// There is such a topic, but not for them.
    Closed,
    /// There is none.
    Unknown,
}

/// What kind of topic `channel` is for `user`.
pub(crate) fn space(channel: &str, user: &str) -> Space {
    if let Some(owner) = channel.strip_prefix(PERSONAL) {
        return if owner == user {
            Space::Personal
        } else {
            Space::Closed
        };
    }
    match channel.strip_prefix(CUSTOM) {
        None | Some("") => Space::Unknown,
        // The last one counts, as in other servers of the protocol: a name may have others in it.
        Some(name) => match name.rsplit_once('#') {
            None => Space::Custom,
            Some((_, users)) if users.split(',').any(|listed| listed == user) => Space::Custom,
            Some(_) => Space::Closed,
        },
    }
}

/// What kinds of topics the server itself speaks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A user's own.
    Personal,
    /// For clients among themselves.
    Custom,
}

/// What kind of topic `channel` is for the server itself; `None` where there can be no such topic, or
/// nobody could listen to it.
pub(crate) fn of_the_server(channel: &str) -> Option<Kind> {
    if let Some(user) = channel.strip_prefix(PERSONAL) {
        return user.parse::<UserId>().is_ok().then_some(Kind::Personal);
    }
    let name = channel.strip_prefix(CUSTOM)?;
    let fits = !name.is_empty()
        && channel.len() <= MAX_CHANNEL
        && name.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    fits.then_some(Kind::Custom)
}

/// The channel of a user's own topic.
pub(crate) fn personal_of(user: &str) -> String {
    format!("{PERSONAL}{user}")
}

/// How a user's own topic behaves. Only the server publishes there.
pub(crate) fn personal() -> TopicOptions {
    TopicOptions {
        history: kept(100, 1024 * 1024),
        force_recovery: true,
        ..TopicOptions::default()
    }
}

/// How topics for clients among themselves behave. Any client can make any number of them, so that each
/// keeps only what bridges a change of networks.
pub(crate) fn custom() -> TopicOptions {
    TopicOptions {
        presence: true,
        join_leave: true,
        history: kept(50, 128 * 1024),
        delta: true,
        delta_publish: true,
        tags_filter: true,
        ..TopicOptions::default()
    }
}

fn kept(size: usize, bytes: usize) -> History {
    History::Memory(Keep {
        size,
        bytes,
        ttl: Duration::from_mins(5),
        count_ttl: COUNT_TTL,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spaces_by_channel_and_user() {
        for (channel, space_of_ann) in [
            ("user:ann", Space::Personal),
            ("user:bob", Space::Closed),
            ("user:", Space::Closed),
            ("custom:room", Space::Custom),
            ("custom:room#ann,bob", Space::Custom),
            ("custom:room#bob", Space::Closed),
            ("custom:room#bob#ann", Space::Custom),
            ("custom:room#ann#bob", Space::Closed),
            ("custom:room#", Space::Closed),
            ("custom:", Space::Unknown),
            ("room", Space::Unknown),
            ("chat:1", Space::Unknown),
            ("", Space::Unknown),
        ] {
            assert_eq!(space(channel, "ann"), space_of_ann, "{channel}");
        }
    }

    #[test]
    fn the_server_speaks_where_somebody_can_listen() {
        let longest = format!("custom:{}", "x".repeat(248));
        for (channel, kind) in [
            ("user:ann", Some(Kind::Personal)),
            ("user:Жан", Some(Kind::Personal)),
            ("custom:room", Some(Kind::Custom)),
            ("custom:room#bob", Some(Kind::Custom)),
            (&longest, Some(Kind::Custom)),
            (&format!("{longest}x"), None),
            ("custom:ä", None),
            ("custom:a\nb", None),
            ("custom:", None),
            ("user:", None),
            ("user:.", None),
            ("chat:1", None),
            ("", None),
        ] {
            assert_eq!(of_the_server(channel), kind, "{channel}");
        }
    }
}
