//! Which bytes of a file a `Range` field asks for (RFC 9110, 14).

use std::ops::Range;

/// What a `Range` field comes to for a representation of a certain size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it: there is no field, or none that counts.
    Whole,
    /// These, in the order in which they were asked for. At least one, each with at least one byte, all within the size.
    Parts(Vec<Range<u64>>),
    /// Nothing that is there.
    Nothing,
}

/// Understands the value of a `Range` field.
///
/// What is not understood does not count (14.2): another unit, a range that ends before it begins, anything that is not a range. Nor do ranges
/// that are an attack rather than a wish (14.2, 17.15): more than a few dozen, or more bytes in sum than there are, which only overlapping ones
/// can come to. nginx counts in the same way.
pub(super) fn parse(value: &[u8], size: u64) -> Asked {
    let mut parts = Vec::new();
    let mut given = 0;
    let mut sum = 0;
    let Some(ranges) = strip_unit(value) else { return Asked::Whole };
    for range in ranges.split(|&byte| byte == b',').map(|range| range.trim_ascii()).filter(|range| !range.is_empty()) {
        given += 1;
        let Some(range) = one(range, size) else { return Asked::Whole };
        sum += range.end - range.start;
        if given > MOST_RANGES || sum > size {
            return Asked::Whole;
        }
        if !range.is_empty() {
            parts.push(range);
        }
    }
    match (given, parts.is_empty()) {
        (0, _) => Asked::Whole,
        // No `Content-Range` can say that all of nothing was sent.
        (_, true) if size == 0 && ranges.trim_ascii().starts_with(b"-") => Asked::Whole,
        (_, true) => Asked::Nothing,
        (_, false) => Asked::Parts(parts),
    }
}

fn strip_unit(value: &[u8]) -> Option<&[u8]> {
    let at = value.iter().position(|&byte| byte == b'=')?;
    value[..at].eq_ignore_ascii_case(b"bytes").then_some(&value[at + 1..])
}

/// One range, cut to the size; empty if none of it is there. `None` if it is not a range at all.
fn one(text: &[u8], size: u64) -> Option<Range<u64>> {
    let at = text.iter().position(|&byte| byte == b'-')?;
    match (&text[..at], &text[at + 1..]) {
        (b"", suffix) => Some(size - number(suffix)?.min(size)..size),
        (first, b"") => Some(number(first)?.min(size)..size),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // Two numbers that are both too large to be told apart are still a range.
            (first <= last).then(|| first.min(size)..last.saturating_add(1).min(size))
        }
    }
}

/// A decimal number; what is beyond all sizes is the largest.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))))
}

/// Players and readers of documents ask for a handful.
const MOST_RANGES: usize = 64;

#[cfg(test)]
mod tests {
    use super::super::testing::Random;
    use super::*;

    fn parts(ranges: &[(u64, u64)]) -> Asked {
        Asked::Parts(ranges.iter().map(|&(start, end)| start..end).collect())
    }

    #[test]
    fn ranges_of_a_hundred_bytes() {
        for (value, asked) in [
            ("bytes=0-0", parts(&[(0, 1)])),
            ("bytes=0-99", parts(&[(0, 100)])),
            ("bytes=0-100", parts(&[(0, 100)])),
            ("bytes=10-", parts(&[(10, 100)])),
            ("bytes=99-", parts(&[(99, 100)])),
            ("bytes=-1", parts(&[(99, 100)])),
            ("bytes=-100", parts(&[(0, 100)])),
            ("bytes=-101", parts(&[(0, 100)])),
            ("bytes=5-99999999999999999999999999", parts(&[(5, 100)])),
            ("bytes=-99999999999999999999999999", parts(&[(0, 100)])),
            ("BYTES=0-1", parts(&[(0, 2)])),
            ("bytes= 0-1 , , -5", parts(&[(0, 2), (95, 100)])),
            ("bytes=50-59,0-9", parts(&[(50, 60), (0, 10)])),
            ("bytes=0-9,200-300", parts(&[(0, 10)])),
            ("bytes=100-", Asked::Nothing),
            ("bytes=100-200,300-", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=99999999999999999999999998-99999999999999999999999999", Asked::Nothing),
            ("bytes=0-99,0-0", Asked::Whole),
            ("bytes=", Asked::Whole),
            ("bytes=,", Asked::Whole),
            ("bytes", Asked::Whole),
            ("", Asked::Whole),
            ("lines=0-1", Asked::Whole),
            ("bytes =0-1", Asked::Whole),
            ("bytes=2-1", Asked::Whole),
            ("bytes=0-1,2-1", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=--1", Asked::Whole),
            ("bytes=1", Asked::Whole),
            ("bytes=a-b", Asked::Whole),
            ("bytes=+1-2", Asked::Whole),
            ("bytes=1-2-3", Asked::Whole),
            ("bytes=0x1-2", Asked::Whole),
            ("bytes=0 -1", Asked::Whole),
        ] {
            assert_eq!(parse(value.as_bytes(), 100), asked, "{value:?}");
        }
    }

    #[test]
    fn nothing_has_no_parts() {
        for (value, asked) in [("bytes=0-", Asked::Nothing), ("bytes=0-0", Asked::Nothing), ("bytes=-5", Asked::Whole)] {
            assert_eq!(parse(value.as_bytes(), 0), asked, "{value:?}");
        }
    }

    #[test]
    fn too_many_ranges_do_not_count() {
        let ranges = |count: u64| (0..count).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",");
        assert!(matches!(parse(format!("bytes={}", ranges(64)).as_bytes(), 1000), Asked::Parts(parts) if parts.len() == 64));
        assert_eq!(parse(format!("bytes={}", ranges(65)).as_bytes(), 1000), Asked::Whole);
        assert_eq!(parse(format!("bytes={}", "5000-,".repeat(100)).as_bytes(), 1000), Asked::Whole);
    }

    #[test]
    fn whatever_is_asked_for_is_there() {
        let mut random = Random::new(1);
        for _ in 0..200_000 {
            let size = random.below(30);
            let text: Vec<u8> = (0..random.below(12)).map(|_| *random.of(b"0123456789-,- =")).collect();
            let value = [b"bytes=".as_slice(), &text].concat();
            if let Asked::Parts(parts) = parse(&value, size) {
                assert!(
                    !parts.is_empty() && parts.iter().all(|part| part.start < part.end && part.end <= size),
                    "{value:?} of {size}: {parts:?}"
                );
                assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= size);
            }
        }
    }
}
