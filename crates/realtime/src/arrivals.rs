//! How many connections may come.

use std::sync::Mutex;

use crate::engine::Shared;
use crate::lock;

/// How many came lately: a bucket that fills at the allowed rate and holds one second's worth.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<Bucket>);

#[derive(Debug, Default)]
struct Bucket {
    /// Thousandths of a connection that were used up.
    used: u64,
    /// When that was, in milliseconds.
    at: u64,
}

impl Bucket {
    fn takes(&mut self, per_second: u64, now: u64) -> bool {
        let refilled = now.saturating_sub(self.at).saturating_mul(per_second);
        self.used = self.used.saturating_sub(refilled);
        self.at = now;
        let takes = self.used + 1000 <= per_second * 1000;
        if takes {
            self.used += 1000;
        }
        takes
    }
}

impl Shared {
    /// Whether one more connection may come now.
    pub(crate) fn has_room(&self) -> bool {
        let most = self.config.max_connections;
        if most > 0 && self.hub.count(&crate::handle::Whom::Everyone) >= most {
            return false;
        }
        let per_second = u64::from(self.config.max_connections_per_second);
        per_second == 0 || lock(&self.arrivals.0).takes(per_second, self.wheel.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_its_number() {
        let mut bucket = Bucket::default();
        let count = |bucket: &mut Bucket, now| (0..100).filter(|_| bucket.takes(5, now)).count();
        assert_eq!(count(&mut bucket, 0), 5);
        assert_eq!(count(&mut bucket, 199), 0);
        assert_eq!(count(&mut bucket, 400), 2);
        assert_eq!(count(&mut bucket, 60_000), 5);
    }
}
