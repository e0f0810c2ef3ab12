//! What an API key may do.

use std::fmt;
use std::str::FromStr;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// One permission of an API key.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Scope { $($(#[$doc])* $name),+ }

        impl Scope {
            /// Every scope there is, in the order in which they are printed.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The scope as it is written in commands, tables and replies.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }

        impl FromStr for Scope {
            type Err = UnknownScope;
            fn from_str(text: &str) -> Result<Self, UnknownScope> {
                match text { $($text => Ok(Self::$name),)+ _ => Err(UnknownScope(text.to_owned())) }
            }
        }
    };
}

scopes! {
    /// Create users and mint tokens for them: `POST /auth/tokens`.
    TokensMint = "tokens:mint",
    /// Ask whether a token is alive: `POST /auth/introspect`.
    TokensIntrospect = "tokens:introspect",
    /// List and end people's sessions.
    SessionsRevoke = "sessions:revoke",
    /// Ban and unban people.
    UsersWrite = "users:write",
}

/// A word that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no scope `{0}`")]
pub struct UnknownScope(pub String);

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of scopes. Written as words separated by single spaces, in the order of [`Scope::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u32);

impl Scopes {
    /// Every scope: what a new key has unless it is narrowed.
    pub fn all() -> Self {
        Scope::ALL.iter().copied().collect()
    }

    /// Whether `scope` is in the set.
    pub fn contains(self, scope: Scope) -> bool {
        self.0 & (1 << scope as u32) != 0
    }

    /// The scopes of the set, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL
            .iter()
            .copied()
            .filter(move |scope| self.contains(*scope))
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(
            scopes
                .into_iter()
                .fold(0, |set, scope| set | 1 << scope as u32),
        )
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, scope) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        text.split_ascii_whitespace().map(Scope::from_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_is_read() {
        assert_eq!(
            Scopes::all().to_string().parse::<Scopes>(),
            Ok(Scopes::all())
        );
        assert_eq!("".parse::<Scopes>(), Ok(Scopes::default()));
        let two: Scopes = [Scope::UsersWrite, Scope::TokensMint].into_iter().collect();
        assert_eq!(two.to_string(), "tokens:mint users:write");
        assert!(two.contains(Scope::TokensMint) && !two.contains(Scope::SessionsRevoke));
    }

    #[test]
    fn an_unknown_word_is_refused() {
        assert_eq!(
            "tokens:mint root".parse::<Scopes>(),
            Err(UnknownScope("root".into()))
        );
    }
}
