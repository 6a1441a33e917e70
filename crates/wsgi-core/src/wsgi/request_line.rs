//! What is asked for, in a line of a log: noted at little cost, and made readable when it is written.

use std::fmt;

use crate::wire::{Known, RequestHead};

/// Method and target of a request. Shown, it is safe to be written to a log.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestLine(Vec<u8>);

impl RequestLine {
    /// Notes a request in place of the one before, whose memory is used again.
    pub(super) fn note(&mut self, head: &RequestHead) {
        let value = |name| head.get(name).unwrap_or_default();
        let (uri, script, path) = (value(Known::RequestUri), value(Known::ScriptName), value(Known::PathInfo));
        self.0.clear();
        for part in [value(Known::RequestMethod), b" ", uri] {
            self.put(part);
        }
        if uri.is_empty() {
            self.put(script);
            self.put(path);
        }
    }

    fn put(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&part[..part.len().min(NOTED_BYTES)]);
    }
}

impl fmt::Display for RequestLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        String::from_utf8_lossy(&self.0).escape_debug().fmt(f)
    }
}

/// The same of a request at hand.
pub(super) fn describe(head: &RequestHead) -> String {
    let mut line = RequestLine::default();
    line.note(head);
    line.to_string()
}

/// How much of each part is noted.
const NOTED_BYTES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_short_and_safe_to_be_written() {
        let mut line = RequestLine::default();
        let mut head = RequestHead::default();
        head.set(Known::RequestMethod, b"GET\n");
        head.set(Known::ScriptName, b"/a\x1b");
        head.set(Known::PathInfo, b"/b\"\xff");
        line.note(&head);
        assert_eq!(line.to_string(), "GET\\n /a\\u{1b}/b\\\"\u{fffd}");
        head.set(Known::RequestUri, &[b'x'; 1000]);
        line.note(&head);
        assert_eq!(line.to_string().len(), "GET\\n ".len() + NOTED_BYTES);
    }
}
