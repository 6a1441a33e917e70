//! What a client that has a copy already is told: validators, and the conditions that name them (RFC 9110, 8.8 and 13).

use std::time::SystemTime;

use crate::wire::{HttpDate, Known, RequestHead};

/// What tells one state of a file from another.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    /// As it goes out: `"17a3f2c55d1e8b00-3e8"`, or `W/"..."`.
    pub(super) etag: String,
    /// Seconds since the epoch.
    pub(super) modified: u64,
    /// Whether neither can stand for two states any more.
    strong: bool,
}

/// What is to be done with the request after its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send the file; a `Range` counts, if there is one.
    Send,
    /// Send the whole file: the client's part is of another state.
    SendWhole,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

impl Validators {
    /// The validators of a file that was modified then, has so many bytes, and is in this coding (an empty text if in none).
    ///
    /// The tag holds the time of the last change, to the nanosecond, and the size, as that of nginx and Apache does: two machines with copies of
    /// one file agree, as far as copying keeps the time. It is strong, since otherwise no download could be resumed by it, but not for a file
    /// that was changed within the last seconds, which may change again within the resolution of its time (RFC 9110, 8.8.1).
    pub(super) fn new(modified: SystemTime, size: u64, coding: &str, now: SystemTime) -> Validators {
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let strong = now.duration_since(modified).is_ok_and(|age| age.as_secs() >= SETTLED_SECONDS);
        let weak = if strong { "" } else { "W/" };
        let dash = if coding.is_empty() { "" } else { "-" };
        let etag = format!("{weak}\"{:x}-{size:x}{dash}{coding}\"", since.as_nanos());
        // A time to come would keep caches from ever asking again (RFC 9110, 8.8.2.1).
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Validators { etag, modified: since.as_secs().min(now.as_secs()), strong }
    }

    /// Evaluates the conditions of a `GET` or `HEAD`, in the order of RFC 9110, 13.2.2.
    pub(super) fn judge(&self, head: &RequestHead) -> Verdict {
        let date = |name| head.get(name).and_then(HttpDate::parse).map(|date| date.unix_seconds());
        let (matches, unmodified) = (head.get(Known::HttpIfMatch), date(Known::HttpIfUnmodifiedSince));
        let kept = match matches {
            Some(tags) => tags == b"*" || (self.strong && self.among(tags, true)),
            None => unmodified.is_none_or(|since| self.modified <= since),
        };
        if !kept {
            return Verdict::Failed;
        }
        let fresh = match head.get(Known::HttpIfNoneMatch) {
            Some(tags) => tags == b"*" || self.among(tags, false),
            None => date(Known::HttpIfModifiedSince).is_some_and(|since| self.modified <= since),
        };
        if fresh {
            return Verdict::NotModified;
        }
        match head.get(Known::HttpIfRange) {
            Some(condition) if !self.same_state(condition) => Verdict::SendWhole,
            _ => Verdict::Send,
        }
    }

    /// Whether an `If-Range` names this very state (RFC 9110, 13.1.5). A date must be the same, not only as late.
    fn same_state(&self, condition: &[u8]) -> bool {
        let named = match HttpDate::parse(condition) {
            Some(date) => date.unix_seconds() == self.modified,
            None => condition == self.etag.as_bytes(),
        };
        self.strong && named
    }

    /// Whether one of the listed tags is ours. A list that is broken is understood as far as it goes.
    fn among(&self, tags: &[u8], strongly: bool) -> bool {
        let ours = opaque(self.etag.as_bytes());
        let mut rest = tags;
        loop {
            rest = rest.trim_ascii_start();
            if let Some(after) = rest.strip_prefix(b",") {
                rest = after;
                continue;
            }
            let weak = rest.starts_with(b"W/");
            let tag = opaque(rest);
            // The text of a tag may hold a comma, but no quote.
            let Some(end) = tag.strip_prefix(b"\"").and_then(|text| text.iter().position(|&byte| byte == b'"')) else { return false };
            let (tag, after) = tag.split_at(end + 2);
            if tag == ours && !(weak && strongly) {
                return true;
            }
            rest = after;
        }
    }
}

/// A tag without its mark of weakness.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// File systems give times by the tick of the kernel, some by the second, FAT by two.
const SETTLED_SECONDS: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn head(fields: &[(Known, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        fields.iter().for_each(|(name, value)| head.set(*name, value.as_bytes()));
        head
    }

    const TAG: &str = "\"9184e72a000-64\"";
    const WHEN: &str = "Thu, 01 Jan 1970 02:46:40 GMT";
    const BEFORE: &str = "Thu, 01 Jan 1970 02:46:39 GMT";
    const AFTER: &str = "Thu, 01 Jan 1970 02:46:41 GMT";

    fn settled() -> Validators {
        Validators::new(at(10_000), 100, "", at(20_000))
    }

    #[test]
    fn a_tag_is_of_time_size_and_coding_and_weak_while_the_file_is_new() {
        assert_eq!(settled().etag, TAG);
        assert_eq!(Validators::new(at(10_000), 100, "br", at(20_000)).etag, "\"9184e72a000-64-br\"");
        assert_eq!(Validators::new(at(10_000), 100, "", at(10_002)).etag, format!("W/{TAG}"));
        assert_eq!(Validators::new(at(10_000), 100, "", at(10_003)).etag, TAG);
        let ahead = Validators::new(at(10_000), 100, "", at(9_000));
        assert_eq!((ahead.etag, ahead.modified), (format!("W/{TAG}"), 9_000));
        let ancient = Validators::new(SystemTime::UNIX_EPOCH - Duration::from_secs(5), 100, "", at(9_000));
        assert_eq!((ancient.etag.as_str(), ancient.modified), ("\"0-64\"", 0));
    }

    #[test]
    fn conditions_count_in_the_order_of_the_rfc() {
        use Known::{
            HttpIfMatch as Match, HttpIfModifiedSince as Since, HttpIfNoneMatch as NoneMatch, HttpIfUnmodifiedSince as Unmodified,
        };
        use Verdict::{Failed, NotModified, Send};
        let listed = format!("\"a\", W/\"b,c\" ,, {TAG}");
        let weak = format!("W/{TAG}");
        for (fields, verdict) in [
            (&[][..], Send),
            (&[(Match, "*")], Send),
            (&[(Match, TAG)], Send),
            (&[(Match, &listed)], Send),
            (&[(Match, "\"other\"")], Failed),
            (&[(Match, &weak)], Failed),
            (&[(Match, "")], Failed),
            (&[(Match, "nonsense")], Failed),
            // The tag counts, and the date beside it does not.
            (&[(Match, TAG), (Unmodified, BEFORE)], Send),
            (&[(Match, "\"other\""), (Unmodified, AFTER)], Failed),
            (&[(Unmodified, BEFORE)], Failed),
            (&[(Unmodified, WHEN)], Send),
            (&[(Unmodified, AFTER)], Send),
            (&[(Unmodified, "yesterday")], Send),
            (&[(NoneMatch, "*")], NotModified),
            (&[(NoneMatch, TAG)], NotModified),
            (&[(NoneMatch, &weak)], NotModified),
            (&[(NoneMatch, &listed)], NotModified),
            (&[(NoneMatch, "\"other\"")], Send),
            (&[(NoneMatch, "9184e72a000-64")], Send),
            (&[(NoneMatch, "\"9184e72a000-64")], Send),
            (&[(NoneMatch, "\"other\""), (Since, AFTER)], Send),
            (&[(NoneMatch, TAG), (Since, BEFORE)], NotModified),
            (&[(Since, BEFORE)], Send),
            (&[(Since, WHEN)], NotModified),
            (&[(Since, AFTER)], NotModified),
            (&[(Since, "yesterday")], Send),
            (&[(Since, "Thursday, 01-Jan-70 02:46:40 GMT")], NotModified),
            (&[(Match, TAG), (NoneMatch, TAG)], NotModified),
            (&[(Match, "\"other\""), (NoneMatch, TAG)], Failed),
            (&[(Unmodified, WHEN), (Since, WHEN)], NotModified),
            (&[(Unmodified, BEFORE), (Since, WHEN)], Failed),
        ] {
            assert_eq!(settled().judge(&head(fields)), verdict, "{fields:?}");
        }
    }

    #[test]
    fn a_part_is_sent_only_of_the_very_same_state() {
        let weak = format!("W/{TAG}");
        for (condition, verdict) in [
            (TAG, Verdict::Send),
            (&weak, Verdict::SendWhole),
            ("\"other\"", Verdict::SendWhole),
            ("*", Verdict::SendWhole),
            (WHEN, Verdict::Send),
            (BEFORE, Verdict::SendWhole),
            (AFTER, Verdict::SendWhole),
            ("yesterday", Verdict::SendWhole),
        ] {
            assert_eq!(settled().judge(&head(&[(Known::HttpIfRange, condition)])), verdict, "{condition}");
        }
        // New enough to change once more without a trace.
        let new = Validators::new(at(10_000), 100, "", at(10_001));
        for condition in [TAG, &weak, WHEN] {
            assert_eq!(new.judge(&head(&[(Known::HttpIfRange, condition)])), Verdict::SendWhole, "{condition}");
        }
        assert_eq!(new.judge(&head(&[(Known::HttpIfMatch, TAG)])), Verdict::Failed);
        assert_eq!(new.judge(&head(&[(Known::HttpIfNoneMatch, TAG)])), Verdict::NotModified);
    }
}
