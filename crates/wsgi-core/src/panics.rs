//! What becomes of a panic in code that is not ours.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs what is not our own. None if it panics, which is logged.
pub(crate) fn survive<R>(whose: &str, work: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| tracing::error!(target: "wsgi", "{whose} panicked: {}", text(&*panic))).ok()
}

/// What a panic says.
pub(crate) fn text(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
