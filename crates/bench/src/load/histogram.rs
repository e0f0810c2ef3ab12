//! Latencies, counted in buckets.

/// Buckets per doubling: a value is known to one part in 64, 1.6 %.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.trailing_zeros();
/// Values up to 2³⁶ ns (69 s) have a bucket of their own; longer ones share the last.
const TOP_BITS: u32 = 36;
const BUCKETS: usize = (STEPS as usize) * (TOP_BITS - STEP_BITS + 1) as usize;

/// A histogram of nanoseconds whose buckets grow with the value.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u32>,
    total: u64,
    max: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max: 0,
        }
    }
}

impl Histogram {
    /// Counts one value.
    pub fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
        self.max = self.max.max(nanos);
    }

    /// Adds all values of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max = self.max.max(other.max);
    }

    /// How many values were counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The largest value.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The value that a share `quantile` (0…1) of all values does not exceed, rounded up to the end
    /// of its bucket; 0 when nothing was counted.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((quantile * self.total as f64).ceil() as u64).clamp(1, self.total.max(1));
        let mut seen = 0;
        for (index, &count) in self.counts.iter().enumerate() {
            seen += u64::from(count);
            if seen >= rank {
                return upper_bound(index).min(self.max);
            }
        }
        self.max
    }
}

fn bucket(nanos: u64) -> usize {
    if nanos < STEPS {
        return nanos as usize;
    }
    // The top bit picks the doubling, the STEP_BITS bits behind it the step within it.
    let shift = nanos.ilog2() - STEP_BITS;
    let index = u64::from(shift + 1) * STEPS + (nanos >> shift) - STEPS;
    (index as usize).min(BUCKETS - 1)
}

fn upper_bound(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let shift = index / STEPS - 1;
    ((index % STEPS + STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_its_value_within_one_part_in_64() {
        let mut value = 1_u64;
        while value < 1 << 35 {
            for value in [value, value + value / 3, value * 2 - 1] {
                let upper = upper_bound(bucket(value));
                assert!(
                    upper >= value && upper - value <= value / 64,
                    "{value} {upper}"
                );
            }
            value *= 2;
        }
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        for index in 0..BUCKETS - 1 {
            assert_eq!(bucket(upper_bound(index)), index);
            assert_eq!(bucket(upper_bound(index) + 1), index + 1);
        }
    }

    #[test]
    fn quantiles_are_ranks() {
        let mut histogram = Histogram::default();
        for value in 1..=1000 {
            histogram.record(value * 1000);
        }
        let near = |got: u64, want: u64| {
            assert!(got >= want && got - want <= want / 64 + 1, "{got} {want}");
        };
        near(histogram.quantile(0.5), 500_000);
        near(histogram.quantile(0.99), 990_000);
        near(histogram.quantile(0.999), 999_000);
        assert_eq!(histogram.quantile(1.0), 1_000_000);
        assert_eq!(histogram.max(), 1_000_000);
    }

    #[test]
    fn an_empty_histogram_answers_zero() {
        assert_eq!(Histogram::default().quantile(0.99), 0);
    }

    #[test]
    fn merging_is_adding() {
        let (mut a, mut b) = (Histogram::default(), Histogram::default());
        a.record(10);
        b.record(20);
        b.record(u64::MAX);
        a.merge(&b);
        assert_eq!((a.count(), a.max(), a.quantile(0.5)), (3, u64::MAX, 20));
    }
}
