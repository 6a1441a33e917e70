//! How often something took how long, in buckets that are the same everywhere, so that histograms can be added.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The upper bounds of the buckets, in microseconds; behind them comes one without a bound.
pub const BOUNDS_MICROS: [u64; 17] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 60_000_000,
];

/// How often something took how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// How often, in each bucket by itself; the last is beyond all of [`BOUNDS_MICROS`].
    pub counts: [u64; BOUNDS_MICROS.len() + 1],
    /// All times together, in nanoseconds.
    pub sum_nanos: u64,
}

impl Histogram {
    /// How often altogether.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The mean, or zero of nothing.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.checked_div(self.count()).unwrap_or(0))
    }

    /// A bound below which at least this share of the times lies, of 0 to 1; `None` of nothing. Beyond all bounds it is the last of them.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0) as u64;
        let mut below = 0;
        let at = self.counts.iter().position(|count| {
            below += count;
            below >= wanted
        })?;
        Some(Duration::from_micros(BOUNDS_MICROS[at.min(BOUNDS_MICROS.len() - 1)]))
    }

    /// Adds what another has counted.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum_nanos += other.sum_nanos;
    }

    /// What was counted since `earlier`, which is of the same process.
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut counts = self.counts;
        counts.iter_mut().zip(earlier.counts).for_each(|(count, less)| *count = count.saturating_sub(less));
        Histogram { counts, sum_nanos: self.sum_nanos.saturating_sub(earlier.sum_nanos) }
    }
}

/// A histogram that one thread counts and others read.
#[derive(Default)]
pub(super) struct Counting {
    counts: [AtomicU64; BOUNDS_MICROS.len() + 1],
    sum_nanos: AtomicU64,
}

impl Counting {
    /// Counts one. By the one thread only.
    pub(super) fn count(&self, time: Duration) {
        let micros = time.as_micros() as u64;
        let at = BOUNDS_MICROS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS_MICROS.len());
        more(&self.counts[at], 1);
        more(&self.sum_nanos, time.as_nanos() as u64);
    }

    pub(super) fn read(&self) -> Histogram {
        Histogram {
            counts: std::array::from_fn(|at| self.counts[at].load(Ordering::Relaxed)),
            sum_nanos: self.sum_nanos.load(Ordering::Relaxed),
        }
    }
}

/// Adds to a counter that only the calling thread writes: what the processor would do to keep others from it is not needed.
pub(super) fn more(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_fall_into_the_bucket_whose_bound_they_do_not_exceed() {
        let counting = Counting::default();
        for micros in [0, 50, 51, 1000, 60_000_000, 60_000_001] {
            counting.count(Duration::from_micros(micros));
        }
        let histogram = counting.read();
        assert_eq!((histogram.counts[0], histogram.counts[1], histogram.counts[4]), (2, 1, 1));
        assert_eq!((histogram.counts[16], histogram.counts[17], histogram.count()), (1, 1, 6));
        assert_eq!(histogram.sum_nanos, (50 + 51 + 1000 + 60_000_000 + 60_000_001) * 1000);
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(100)));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_secs(60)));
        let mut twice = histogram.clone();
        twice.add(&histogram);
        assert_eq!((twice.count(), twice.since(&histogram)), (12, histogram));
        assert_eq!((Histogram::default().quantile(0.5), Histogram::default().mean()), (None, Duration::ZERO));
    }
}
