//! Rate limits: token buckets in memory, in the form of one timestamp each (GCRA).
//!
//! A bucket is the moment at which it would be full again. That makes a check one addition and one
//! comparison, lets each call bring its own rate (a session's follows from its access tokens'
//! life), and means that a bucket which lies in the past can be forgotten: the map stays small.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use chatsdk_types::Millis;

use crate::AuthError;

/// A rate: `burst` at once, and one more every `interval_us` microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) burst: u32,
    pub(crate) interval_us: i64,
}

impl Rate {
    pub(crate) const fn per_second(count: u32, burst: u32) -> Self {
        Self {
            burst,
            interval_us: 1_000_000 / count as i64,
        }
    }

    pub(crate) const fn per_minute(count: u32, burst: u32) -> Self {
        Self {
            burst,
            interval_us: 60_000_000 / count as i64,
        }
    }

    pub(crate) const fn per_hour(count: i64, burst: u32) -> Self {
        Self {
            burst,
            interval_us: 3_600_000_000 / count,
        }
    }
}

const SHARDS: usize = 16;
/// Past this many buckets a shard drops those that are full again, then, if none is, all of them:
/// forgetting a limit for a moment is better than growing without bound.
const SHARD_LIMIT: usize = 16 * 1024;

/// Buckets of one kind.
#[derive(Debug)]
pub(crate) struct Limiter {
    what: &'static str,
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, i64>>; SHARDS],
}

impl Limiter {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Whether the bucket of `key` has one, by this rate and by every slower one with the same burst.
    pub(crate) fn has_one(&self, key: impl Hash, rate: Rate, now: Millis) -> bool {
        let hash = self.hasher.hash_one(key);
        let shard = self.shards[hash as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shard.get(&hash).is_none_or(|full_at| {
            full_at - now.saturating_mul(1000) <= rate.interval_us * i64::from(rate.burst - 1)
        })
    }

    /// Takes one from the bucket of `key`, or says when there will be one.
    pub(crate) fn take(&self, key: impl Hash, rate: Rate, now: Millis) -> Result<(), AuthError> {
        // Keyed by a seeded 64-bit hash: who shares a bucket by accident cannot be chosen.
        let hash = self.hasher.hash_one(key);
        let now_us = now.saturating_mul(1000);
        let mut shard = self.shards[hash as usize % SHARDS]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let full_at = shard.get(&hash).copied().unwrap_or(now_us).max(now_us);
        let next = full_at + rate.interval_us;
        let wait_us = next - now_us - rate.interval_us * i64::from(rate.burst);
        if wait_us > 0 {
            let retry_after = (wait_us + 999) / 1000;
            return Err(AuthError::RateLimited {
                what: self.what,
                limit: rate.burst,
                retry_after,
            });
        }
        if shard.len() >= SHARD_LIMIT && !shard.contains_key(&hash) {
            shard.retain(|_, full_at| *full_at > now_us);
            if shard.len() >= SHARD_LIMIT {
                shard.clear();
            }
        }
        shard.insert(hash, next);
        Ok(())
    }
}

/// Every limit of the service, and whether they are in force.
#[derive(Debug)]
pub(crate) struct Limits {
    enabled: bool,
    mint_by_key: Limiter,
    mint_by_user: Limiter,
    refresh_by_session: Limiter,
    introspect_by_key: Limiter,
    failures_by_ip: Limiter,
}

impl Limits {
    pub(crate) fn new(enabled: bool) -> Self {
        Self {
            enabled,
            mint_by_key: Limiter::new("tokens minted with this API key"),
            mint_by_user: Limiter::new("tokens minted for this user"),
            refresh_by_session: Limiter::new("refreshes of this session"),
            introspect_by_key: Limiter::new("introspections with this API key"),
            failures_by_ip: Limiter::new("refused credentials from this address"),
        }
    }

    fn check(
        &self,
        limiter: &Limiter,
        key: impl Hash,
        rate: Rate,
        now: Millis,
    ) -> Result<(), AuthError> {
        if self.enabled {
            limiter.take(key, rate, now)
        } else {
            Ok(())
        }
    }

    pub(crate) fn mint_by_key(&self, key: &str, now: Millis) -> Result<(), AuthError> {
        self.check(&self.mint_by_key, key, Rate::per_second(100, 500), now)
    }

    pub(crate) fn mint_by_user(&self, app: &str, user: &str, now: Millis) -> Result<(), AuthError> {
        self.check(
            &self.mint_by_user,
            (app, user),
            Rate::per_minute(30, 30),
            now,
        )
    }

    /// A session may be refreshed four times as often as its access tokens expire, and 60 times an
    /// hour at least; the burst holds a hundred tabs that wake together.
    pub(crate) fn refresh(
        &self,
        session: &str,
        access_ttl_secs: i64,
        now: Millis,
    ) -> Result<(), AuthError> {
        let rate = refresh_rate(access_ttl_secs);
        self.check(&self.refresh_by_session, session, rate, now)
    }

    /// Whether a session may be refreshed whatever the life of its access tokens, which only its row
    /// tells. [`Limits::refresh`], asked at the same moment, then says yes.
    pub(crate) fn refresh_is_free(&self, session: &str, now: Millis) -> bool {
        !self.enabled
            || self
                .refresh_by_session
                .has_one(session, refresh_rate(1), now)
    }

    pub(crate) fn introspect(&self, key: &str, now: Millis) -> Result<(), AuthError> {
        self.check(
            &self.introspect_by_key,
            key,
            Rate::per_second(1000, 1000),
            now,
        )
    }

    /// Counts a refused credential. Only the request that fails is answered 429, never one whose
    /// credentials are good: an office behind one address is not locked out by one of its own.
    pub(crate) fn failure(
        &self,
        ip: Option<std::net::IpAddr>,
        now: Millis,
    ) -> Result<(), AuthError> {
        match ip {
            Some(ip) => self.check(&self.failures_by_ip, ip, Rate::per_minute(30, 30), now),
            None => Ok(()),
        }
    }
}

/// The rate of a session whose access tokens live for so long. It is the faster the shorter they live.
fn refresh_rate(access_ttl_secs: i64) -> Rate {
    Rate::per_hour((4 * 3600 / access_ttl_secs.max(1)).max(60), 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refresh that was let through before its session's rate was known is not refused by it.
    #[test]
    fn what_is_free_at_every_rate_is_free_at_each() {
        for ttl in [1, 2, 60, 90, 300, 3600, 86_400] {
            let limits = Limits::new(true);
            let (mut free, mut taken) = (0, 0);
            for turn in 0..200 {
                let now = turn * 10;
                let is_free = limits.refresh_is_free("a", now);
                let took = limits.refresh("a", ttl, now).is_ok();
                assert!(took || !is_free, "ttl {ttl}, turn {turn}");
                (free, taken) = (free + i32::from(is_free), taken + i32::from(took));
            }
            assert!(free > 0 && taken >= 120, "ttl {ttl}: {free}, {taken}");
            assert!(limits.refresh_is_free("a", 86_400_000));
        }
        assert!(Limits::new(false).refresh_is_free("a", 0));
    }

    #[test]
    fn a_burst_then_the_rate() {
        let limiter = Limiter::new("tries");
        let rate = Rate::per_minute(30, 30);
        for _ in 0..30 {
            limiter.take("a", rate, 0).unwrap();
        }
        let Err(AuthError::RateLimited { retry_after, .. }) = limiter.take("a", rate, 0) else {
            panic!("the burst is over")
        };
        assert_eq!(retry_after, 2000);
        limiter.take("b", rate, 0).unwrap();
        assert!(limiter.take("a", rate, 1999).is_err());
        limiter.take("a", rate, 2000).unwrap();
        assert!(limiter.take("a", rate, 2001).is_err());
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::new("tries");
        let rate = Rate::per_minute(1, 1);
        for key in 0..SHARDS * SHARD_LIMIT * 2 {
            limiter.take(key, rate, 0).unwrap();
        }
        let held: usize = limiter
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum();
        assert!(held <= SHARDS * SHARD_LIMIT);
    }
}
