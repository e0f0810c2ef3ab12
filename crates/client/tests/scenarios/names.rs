//! What pairs are called: by session and order.

use std::collections::HashMap;

use chatsdk_client::Tokens;
use chatsdk_simulator::server::{Server, claims};
use chatsdk_types::SessionId;

use super::format::Fallible;

#[derive(Default)]
pub(crate) struct Names {
    sessions: HashMap<String, SessionId>,
    labels: HashMap<SessionId, String>,
    /// The pairs of each session by counter, in the order in which they were issued.
    pairs: HashMap<SessionId, Vec<(i64, Tokens)>>,
}

impl Names {
    pub(crate) fn begin(&mut self, label: &str, session: &SessionId) {
        self.sessions.insert(label.to_owned(), session.clone());
        self.labels.insert(session.clone(), label.to_owned());
    }

    /// A pair was issued, for the first time or again.
    pub(crate) fn note(&mut self, tokens: &Tokens) {
        if let Some((session, n, _)) = claims(&tokens.access_token) {
            let pairs = self.pairs.entry(session).or_default();
            if !pairs.iter().any(|(known, _)| *known == n) {
                pairs.push((n, tokens.clone()));
            }
        }
    }

    pub(crate) fn session(&self, label: &str) -> Fallible<SessionId> {
        let found = self.sessions.get(label).cloned();
        found.ok_or_else(|| format!("there is no session {label}"))
    }

    pub(crate) fn pair(&self, name: &str) -> Fallible<Tokens> {
        let missing = || format!("there is no pair {name} yet");
        let (label, index) = name.split_once('.').ok_or_else(missing)?;
        let index: usize = index.parse().map_err(|_| missing())?;
        let pairs = self.pairs.get(&self.session(label)?).ok_or_else(missing)?;
        pairs
            .get(index)
            .map(|(_, pair)| pair.clone())
            .ok_or_else(missing)
    }

    /// The newest pair of a session.
    pub(crate) fn newest(&self, label: &str) -> Fallible<Tokens> {
        let pairs = self.pairs.get(&self.session(label)?);
        let newest = pairs.and_then(|pairs| pairs.last());
        newest
            .map(|(_, pair)| pair.clone())
            .ok_or_else(|| format!("{label} has no pair"))
    }

    /// What a token of either kind belongs to.
    pub(crate) fn of(&self, server: &Server, token: &str) -> String {
        match server.read(token) {
            Some(claims) => self.name(&claims.sid, claims.n),
            None => self.of_access_token(token),
        }
    }

    pub(crate) fn of_access_token(&self, token: &str) -> String {
        claims(token).map_or_else(
            || token.to_owned(),
            |(session, n, _)| self.name(&session, n),
        )
    }

    pub(crate) fn name(&self, session: &SessionId, n: i64) -> String {
        let label = self.labels.get(session).map_or("?", String::as_str);
        let pairs = self.pairs.get(session).map_or(&[][..], Vec::as_slice);
        match pairs.iter().position(|(known, _)| *known == n) {
            Some(index) => format!("{label}.{index}"),
            None => format!("{label}.?"),
        }
    }
}
