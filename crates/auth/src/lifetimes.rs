//! How long tokens and sessions may live, and what a mint comes to.

use chatsdk_store::AppLifetimes;
use chatsdk_types::Lifetime;

use crate::AuthConfig;

/// The lifetimes of one session, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of an access token.
    pub access: Lifetime,
    /// Of a refresh token since its last rotation.
    pub refresh: Lifetime,
    /// Of the session since its mint, whatever happens.
    pub session: Lifetime,
}

/// Which of the three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// An access token's.
    Access,
    /// A refresh token's.
    Refresh,
    /// A session's.
    Session,
}

/// A lifetime that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unfit {
    /// Which one: always one that was asked for, where any was.
    pub life: Life,
    /// What is wrong with it, for people.
    pub detail: String,
}

impl AuthConfig {
    /// What the lifetimes `asked` for come to, where those of the app and then those of the deployment stand for what
    /// is not asked for. A default that is too long for what was asked for gives way to it; what was asked for never does.
    pub fn lifetimes(&self, app: &AppLifetimes, asked: &AppLifetimes) -> Result<Lifetimes, Unfit> {
        let session = asked.session.or(app.session).unwrap_or(self.session_ttl);
        let refresh = asked
            .refresh
            .unwrap_or_else(|| app.refresh.unwrap_or(self.refresh_ttl).min(session));
        let access = asked
            .access
            .unwrap_or_else(|| app.access.unwrap_or(self.access_ttl).min(refresh));
        whole_seconds(Life::Access, access)?;
        let least = if asked.access.is_some() {
            self.min_access_ttl
        } else {
            self.min_access_ttl.min(refresh)
        };
        within(Life::Access, access, least, Self::MAX_ACCESS_TTL)?;
        let least = self.min_refresh_ttl.min(session);
        within(Life::Refresh, refresh, least, Self::MAX_REFRESH_TTL)?;
        within(
            Life::Session,
            session,
            self.min_refresh_ttl,
            Self::MAX_SESSION_TTL,
        )?;
        if access > refresh {
            return Err(Unfit {
                life: Life::Access,
                detail: format!(
                    "An access token of {access} would outlive its refresh token of {refresh}."
                ),
            });
        }
        if refresh > session {
            return Err(Unfit {
                life: Life::Refresh,
                detail: format!(
                    "A refresh token of {refresh} would outlive its session of {session}."
                ),
            });
        }
        Ok(Lifetimes {
            access,
            refresh,
            session,
        })
    }

    /// Whether whoever asks for nothing is given what may be asked for.
    pub fn check_lifetimes(&self) -> Result<(), Unfit> {
        let own = AppLifetimes {
            access: Some(self.access_ttl),
            // The default of one setting gives way to another that is set, as it does in a mint.
            refresh: Some(self.refresh_ttl.min(self.session_ttl)),
            session: Some(self.session_ttl),
        };
        self.lifetimes(&AppLifetimes::default(), &own)?;
        within(
            Life::Refresh,
            self.refresh_ttl,
            Lifetime::secs(0),
            Self::MAX_REFRESH_TTL,
        )
    }
}

fn whole_seconds(life: Life, asked: Lifetime) -> Result<(), Unfit> {
    if asked.as_millis() % 1000 == 0 {
        Ok(())
    } else {
        let detail = format!("It is a whole number of seconds; {asked} is not.");
        Err(Unfit { life, detail })
    }
}

fn within(life: Life, asked: Lifetime, min: Lifetime, max: Lifetime) -> Result<(), Unfit> {
    if (min..=max).contains(&asked) {
        Ok(())
    } else {
        let detail = format!("It is between {min} and {max}; {asked} is not.");
        Err(Unfit { life, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(access: Option<u32>, refresh: Option<u32>, session: Option<u32>) -> AppLifetimes {
        AppLifetimes {
            access: access.map(Lifetime::secs),
            refresh: refresh.map(Lifetime::secs),
            session: session.map(Lifetime::secs),
        }
    }

    const DAY: u32 = 24 * 3600;

    #[test]
    fn what_was_not_asked_for_gives_way_and_is_not_blamed() {
        let config = AuthConfig::default();
        let none = AppLifetimes::default();
        let short = config
            .lifetimes(&none, &own(None, None, Some(600)))
            .unwrap();
        assert_eq!(
            (short.access, short.refresh, short.session),
            (
                Lifetime::secs(600),
                Lifetime::secs(600),
                Lifetime::secs(600)
            )
        );
        let short = config
            .lifetimes(&none, &own(None, Some(1800), None))
            .unwrap();
        assert_eq!(short.access, Lifetime::secs(1800));
        let of_app = own(Some(7200), Some(DAY), None);
        let given = config.lifetimes(&of_app, &none).unwrap();
        assert_eq!(
            (given.access, given.refresh),
            (Lifetime::secs(7200), Lifetime::days(1))
        );
    }

    #[test]
    fn what_was_asked_for_is_given_or_refused() {
        let config = AuthConfig::default();
        let none = AppLifetimes::default();
        for (asked, blamed) in [
            (own(Some(30 * DAY), None, None), Life::Access),
            (own(Some(1), None, None), Life::Access),
            (own(Some(DAY), Some(3600), None), Life::Access),
            (own(None, None, Some(60)), Life::Session),
            (own(None, None, Some(9999 * DAY)), Life::Session),
            (own(None, Some(60), None), Life::Refresh),
            (own(None, Some(999 * DAY), None), Life::Refresh),
            (own(None, Some(60 * DAY), Some(30 * DAY)), Life::Refresh),
        ] {
            assert_eq!(
                config.lifetimes(&none, &asked).unwrap_err().life,
                blamed,
                "{asked:?}"
            );
        }
    }

    #[test]
    fn a_deployment_gives_what_may_be_asked_for() {
        AuthConfig::default().check_lifetimes().unwrap();
        let short = AuthConfig {
            session_ttl: Lifetime::days(1),
            ..AuthConfig::default()
        };
        short.check_lifetimes().unwrap();
        let blamed = |config: &AuthConfig| config.check_lifetimes().unwrap_err().life;
        let access = AuthConfig {
            access_ttl: Lifetime::secs(5),
            ..AuthConfig::default()
        };
        assert_eq!(blamed(&access), Life::Access);
        let refresh = AuthConfig {
            refresh_ttl: Lifetime::secs(600),
            ..AuthConfig::default()
        };
        assert_eq!(blamed(&refresh), Life::Access);
        let refresh = AuthConfig {
            refresh_ttl: Lifetime::days(999),
            ..AuthConfig::default()
        };
        assert_eq!(blamed(&refresh), Life::Refresh);
    }
}
