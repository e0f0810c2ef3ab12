//! How many commands a connection may send.

/// What is left to a connection: a bucket that fills at the allowed rate and holds four seconds' worth.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rate {
    /// Thousandths of a command that were used up.
    used: u64,
    /// When that was, in milliseconds.
    at: u64,
}

/// How many seconds' worth may come at once.
const BURST: u64 = 4;

impl Rate {
    /// Takes one command; `false`: there is none left. `per_second` 0: any number.
    pub(super) fn allows(&mut self, per_second: u32, now: u64) -> bool {
        if per_second == 0 {
            return true;
        }
        let per_second = u64::from(per_second);
        let refilled = now.saturating_sub(self.at).saturating_mul(per_second);
        let used = self.used.saturating_sub(refilled);
        let allowed = used + 1000 <= per_second * BURST * 1000;
        self.used = if allowed { used + 1000 } else { used };
        self.at = now;
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut rate = Rate::default();
        let count = |rate: &mut Rate, now| (0..100).filter(|_| rate.allows(5, now)).count();
        assert_eq!(count(&mut rate, 0), 20);
        assert_eq!(count(&mut rate, 199), 0);
        assert_eq!(count(&mut rate, 400), 2);
        assert_eq!(count(&mut rate, 1_000_000), 20);
        assert!((0..1000).all(|_| rate.allows(0, 0)));
    }
}
