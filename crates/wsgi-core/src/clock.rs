//! Time as servers need it: cheap, and coarse to a few milliseconds.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::wire::HttpDate;

/// Milliseconds of the monotonic clock; deadlines are compared with it.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// A deadline that lies `after` from now.
pub(crate) fn deadline(after: Duration) -> u64 {
    now().saturating_add(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
}

/// Renders the date anew if the second has changed.
pub(crate) fn refresh(date: &mut HttpDate) {
    let seconds = clock_gettime(ClockId::RealtimeCoarse).tv_sec as u64;
    if seconds != date.unix_seconds() {
        *date = HttpDate::from_unix(seconds);
    }
}

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;
