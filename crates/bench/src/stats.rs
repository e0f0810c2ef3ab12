//! One number of several.

/// The middle of `values`, or the mean of the two in the middle; `None` of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// What one run saw, or the medians of several runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Replies per second.
    pub rate: f64,
    /// Median latency in milliseconds.
    pub p50: f64,
    /// 99 % of replies took at most so many milliseconds.
    pub p99: f64,
    /// 99.9 % of replies took at most so many milliseconds.
    pub p999: f64,
    /// CPU of the server per reply, in microseconds.
    pub server_cpu: f64,
    /// CPU of the database server per reply, in microseconds, where there is one.
    pub database_cpu: Option<f64>,
    /// CPU of the generator per reply, in microseconds.
    pub own_cpu: f64,
    /// The rate divided by the floor's of the same round, where there is a floor.
    pub of_floor: Option<f64>,
}

impl Sample {
    /// Field by field, the medians of `rounds`; `None` of no rounds.
    pub fn medians(rounds: &[Self]) -> Option<Self> {
        let field = |of: fn(&Self) -> f64| median(rounds.iter().map(of));
        Some(Self {
            rate: field(|s| s.rate)?,
            p50: field(|s| s.p50)?,
            p99: field(|s| s.p99)?,
            p999: field(|s| s.p999)?,
            server_cpu: field(|s| s.server_cpu)?,
            database_cpu: median(rounds.iter().filter_map(|s| s.database_cpu)),
            own_cpu: field(|s| s.own_cpu)?,
            of_floor: median(rounds.iter().filter_map(|s| s.of_floor)),
        })
    }
}

/// A figure with as many digits as it deserves: three, and thousands set apart.
pub fn figure(value: f64) -> String {
    let size = value.abs();
    if size >= 1000.0 {
        return thousands(value.round() as i64);
    }
    let digits = match size {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::from(if value < 0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median([]), None);
        assert_eq!(median([3.0]), Some(3.0));
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(
            median([1.0, 2.0, 1e9]),
            Some(2.0),
            "one wild run moves nothing"
        );
    }

    #[test]
    fn samples_are_reduced_field_by_field() {
        let sample = |rate: f64, floor: Option<f64>| Sample {
            rate,
            p50: 10.0 - rate,
            p99: 1.0,
            p999: 1.0,
            server_cpu: rate * 2.0,
            database_cpu: None,
            own_cpu: 1.0,
            of_floor: floor,
        };
        let medians = Sample::medians(&[
            sample(3.0, Some(0.3)),
            sample(1.0, Some(0.1)),
            sample(2.0, None),
        ])
        .unwrap();
        assert_eq!(
            (medians.rate, medians.p50, medians.server_cpu),
            (2.0, 8.0, 4.0)
        );
        assert_eq!((medians.database_cpu, medians.of_floor), (None, Some(0.2)));
        assert_eq!(Sample::medians(&[]), None);
    }

    #[test]
    fn figures_have_three_digits() {
        let cases = [
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1234.5, "1 235"),
            (1_234_567.0, "1 234 567"),
            (-12_345.0, "-12 345"),
        ];
        for (value, text) in cases {
            assert_eq!(figure(value), text);
        }
    }
}
