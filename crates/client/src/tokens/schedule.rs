//! When to refresh: pure functions of lifetimes, all in milliseconds.

use chatsdk_types::Millis;

/// How long before its end a token of this life is refreshed. At least a sliver, even where 0 is asked for.
pub(crate) fn effective_buffer(ttl: Millis, wanted: Millis) -> Millis {
    let sliver = (ttl / 10).min(2_000);
    wanted.min(ttl / 2).max(sliver)
}

/// Added to the moment of refresh, so that clients which were minted together do not come together.
pub(crate) fn jitter(buffer: Millis, random: f64) -> Millis {
    (random * (buffer / 10).min(30_000) as f64) as Millis
}

/// How much later than a program that somebody looks at one in the background refreshes.
pub(crate) fn patience(buffer: Millis) -> Millis {
    (buffer / 5).min(60_000)
}

/// How long after a pair was saved nobody asks for the next one, whatever happens. Longer than a request
/// may be old (15 s) and its estimate of the server's clock ahead (5 s) together: a request of a frozen
/// process that wakes within it is told that it is stale, and never taken for a thief's.
pub(crate) fn floor(ttl: Millis) -> Millis {
    (ttl / 4).min(21_000).max(ttl / 100)
}

/// The longest pause after a failure, in ms, unless somebody asks for longer ones.
pub(crate) const LONGEST: Millis = 60_000;

/// How long to wait after `failures` failures in a row: full jitter, doubling up to `longest`.
pub(crate) fn backoff(failures: u32, random: f64, longest: Millis) -> Millis {
    let ceiling = (1_000_i64 << failures.saturating_sub(1).min(16)).min(longest);
    ((random * ceiling as f64) as Millis).max(250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_fit_the_life_of_the_token() {
        assert_eq!(effective_buffer(3_600_000, 300_000), 300_000);
        assert_eq!(effective_buffer(300_000, 300_000), 150_000);
        assert_eq!(effective_buffer(3_600_000, 0), 2_000);
        assert_eq!(effective_buffer(4_000, 0), 400);
    }

    #[test]
    fn floors_are_longer_than_a_request_may_be_old() {
        assert_eq!(floor(3_600_000), 36_000);
        assert_eq!(floor(84_000), 21_000);
        assert_eq!(floor(4_000), 1_000);
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        assert_eq!(backoff(1, 0.0, LONGEST), 250);
        assert_eq!(backoff(3, 0.5, LONGEST), 2_000);
        assert_eq!(backoff(1_000, 0.5, LONGEST), 30_000);
        assert_eq!(backoff(1_000, 0.5, 3_600_000), 1_800_000);
    }
}
