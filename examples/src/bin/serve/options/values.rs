//! Values as they are written, read: what options of several groups have in common. Each error says what was expected.

use std::ffi::OsStr;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::configuration;

pub(super) fn text(value: &OsStr) -> Result<&str, String> {
    value.to_str().ok_or_else(|| "expected UTF-8".to_owned()).and_then(|text| non_empty(text, text.is_empty()))
}

pub(super) fn path(value: &OsStr) -> Result<PathBuf, String> {
    non_empty(PathBuf::from(value), value.is_empty())
}

/// The same, where a value need not be given: none if it is missing, or merely turns the option on.
pub(super) fn optional_text(value: &OsStr) -> Result<Option<&str>, String> {
    if configuration::flag(value) == Some(true) { Ok(None) } else { text(value).map(Some) }
}

/// Whether something is wanted. A number is what uWSGI takes for yes, too.
pub(super) fn flag(value: &OsStr) -> Result<bool, String> {
    let on = configuration::flag(value).or_else(|| value.to_str()?.parse::<u64>().ok().map(|number| number > 0));
    on.ok_or_else(|| "expected true or false".to_owned())
}

pub(super) fn non_empty<T>(value: T, empty: bool) -> Result<T, String> {
    if empty { Err("expected a value".to_owned()) } else { Ok(value) }
}

pub(super) fn number<N: FromStr + PartialOrd + Display + Copy>(value: &OsStr, range: RangeInclusive<N>) -> Result<N, String> {
    let number = text(value)?.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
}

pub(super) fn permissions(value: &OsStr) -> Result<u32, String> {
    let mode = u32::from_str_radix(text(value)?, 8).ok().filter(|mode| *mode <= 0o777);
    mode.ok_or_else(|| "expected octal permissions such as 660".to_owned())
}

pub(super) fn seconds(value: &OsStr) -> Result<Duration, String> {
    let seconds = text(value)?.parse().ok().filter(|seconds| (0.001..=LONGEST_TIMEOUT).contains(seconds)).map(Duration::from_secs_f64);
    seconds.ok_or_else(|| format!("expected seconds from 0.001 to {LONGEST_TIMEOUT}"))
}

/// The same, or 0.
pub(super) fn seconds_or_never(value: &OsStr) -> Result<Option<Duration>, String> {
    if value == "0" { Ok(None) } else { seconds(value).map(Some) }
}

pub(super) fn in_seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

/// A year, far below what a deadline can hold.
const LONGEST_TIMEOUT: f64 = 31_536_000.0;
