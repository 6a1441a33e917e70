//! How a reply goes out: the head in CGI form (RFC 3875, 6.3) and the body, as one stream of `STDOUT` records.

use wsgi_core::wire::{Error, ResponseHead};

use crate::record::{self, Header, MOST_UNPADDED, kind, status};

/// The reply to one request, as far as it is queued.
#[derive(Debug)]
pub(crate) struct Reply {
    id: u16,
    state: State,
    /// The `STDERR` stream was used, so it must be ended.
    logged: bool,
    /// The record that was queued last, while nothing of it is sent.
    last: Option<Last>,
    /// What must follow the bytes that were announced as they are.
    raw_padding: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unstarted,
    Open {
        /// How much of the body is still owed, where its length is declared.
        left: Option<u64>,
    },
    /// The body is not to be sent: `HEAD`, 204, 304.
    Silent,
}

/// Where a record stands in the output.
#[derive(Clone, Copy, Debug)]
struct Last {
    start: usize,
    header: Header,
}

impl Last {
    fn end(&self) -> usize {
        self.start + Header::BYTES + self.header.rest()
    }
}

impl Reply {
    pub(crate) fn new(id: u16) -> Reply {
        Reply { id, state: State::Unstarted, logged: false, last: None, raw_padding: 0 }
    }

    pub(crate) fn started(&self) -> bool {
        self.state != State::Unstarted
    }

    pub(crate) fn bodiless(&self) -> bool {
        self.state == State::Silent
    }

    pub(crate) fn start(&mut self, head: &ResponseHead, head_only: bool, out: &mut Vec<u8>) {
        if self.started() {
            return;
        }
        self.state = if head_only || head.bodiless() { State::Silent } else { State::Open { left: head.content_length() } };
        let length = STATUS.len() + head.status_line().len() + b"\r\n".len() + head.lines().len() + b"\r\n".len();
        if length <= usize::from(MOST_UNPADDED) {
            let header = Header::new(kind::STDOUT, self.id, length as u16);
            out.reserve(Header::BYTES + header.rest());
            self.last = Some(Last { start: out.len(), header });
            out.extend_from_slice(&header.to_bytes());
            cgi_head(STATUS, head, out);
            record::pad(header.padding, out);
        } else {
            let mut text = Vec::with_capacity(length);
            cgi_head(STATUS, head, &mut text);
            record::push_stream(kind::STDOUT, self.id, &text, out);
        }
    }

    pub(crate) fn data(&mut self, mut block: &[u8], out: &mut Vec<u8>) {
        let State::Open { left } = &mut self.state else { return };
        if let Some(left) = left {
            // A byte more than was declared would be taken for content by some front servers, and for a broken reply by others.
            block = &block[..usize::try_from(*left).map_or(block.len(), |left| left.min(block.len()))];
            *left -= block.len() as u64;
        }
        if block.is_empty() {
            return;
        }
        if let Some(Last { start, header }) = self.lengthen(block.len(), out) {
            out.extend_from_slice(block);
            record::pad(header.padding, out);
            self.last = Some(Last { start, header });
            return;
        }
        if let Ok(content @ 1..=MOST_UNPADDED) = u16::try_from(block.len()) {
            self.last = Some(Last { start: out.len(), header: Header::new(kind::STDOUT, self.id, content) });
        }
        record::push_stream(kind::STDOUT, self.id, block, out);
    }

    /// Announces a record of bytes that the caller puts there itself.
    pub(crate) fn raw(&mut self, len: u64, out: &mut Vec<u8>) -> bool {
        let State::Open { left } = &mut self.state else { return false };
        let Ok(content @ 1..=MOST_UNPADDED) = u16::try_from(len) else { return false };
        if let Some(left) = left {
            let Some(rest) = left.checked_sub(len) else { return false };
            *left = rest;
        }
        self.raw_padding = match self.lengthen(content.into(), out) {
            Some(Last { header, .. }) => header.padding,
            None => {
                let header = Header::new(kind::STDOUT, self.id, content);
                out.extend_from_slice(&header.to_bytes());
                header.padding
            }
        };
        true
    }

    pub(crate) fn raw_end(&mut self, out: &mut Vec<u8>) {
        record::pad(std::mem::take(&mut self.raw_padding), out);
    }

    /// Makes room for more content in the record that was queued last, if nothing of it is sent and it can hold that much: a head and a short
    /// body are one record. The content and its padding are still to be appended.
    fn lengthen(&mut self, more: usize, out: &mut Vec<u8>) -> Option<Last> {
        let last = self.last.take().filter(|last| last.end() == out.len())?;
        // A caller that keeps to the grammar cannot make these differ; one that does not must not get a broken stream out of it.
        let place = out.get_mut(last.start..last.start + Header::BYTES).filter(|place| **place == last.header.to_bytes())?;
        let content = u16::try_from(usize::from(last.header.content) + more).ok().filter(|content| *content <= MOST_UNPADDED)?;
        let header = Header::new(kind::STDOUT, self.id, content);
        place.copy_from_slice(&header.to_bytes());
        out.truncate(last.end() - usize::from(last.header.padding));
        Some(Last { start: last.start, header })
    }

    /// Queues text for the web server's log. nginx makes one entry of one record and cuts it, so a long text goes out in several, each of
    /// whole lines: the end of a traceback is what says most.
    pub(crate) fn log(&mut self, mut text: &[u8], out: &mut Vec<u8>) {
        self.seal();
        self.logged |= !text.is_empty();
        while !text.is_empty() {
            let (entry, rest) = text.split_at(entry_end(text));
            record::push_stream(kind::STDERR, self.id, entry, out);
            text = rest;
        }
    }

    /// Something else is about to be queued: the record that was queued last stays as it is.
    pub(crate) fn seal(&mut self) {
        self.last = None;
    }

    /// Whether the whole body that was declared is queued.
    pub(crate) fn complete(&self) -> bool {
        matches!(self.state, State::Silent | State::Open { left: None | Some(0) })
    }

    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        self.seal();
        out.reserve(4 * Header::BYTES);
        // Before the end of STDOUT, where nginx stops reading.
        if self.logged {
            record::push_end(kind::STDERR, self.id, out);
        }
        record::push_end(kind::STDOUT, self.id, out);
        record::push_end_request(self.id, status::REQUEST_COMPLETE, out);
    }

    /// Queues what no web server takes for the end of a reply.
    ///
    /// The protocol has no word for a reply that failed. An `END_REQUEST` with whatever status is an end like any other to all of them, and the
    /// mere end of the connection is one to nginx without `fastcgi_keep_conn`. A record that only a web server may send is a protocol error
    /// to nginx; Apache and HAProxy miss the `END_REQUEST` that never comes.
    pub(crate) fn abort(&mut self, out: &mut Vec<u8>) {
        self.seal();
        record::push_end(kind::ABORT_REQUEST, self.id, out);
    }

    /// Queues a whole reply that says why there is no other.
    pub(crate) fn refuse(&mut self, error: &Error, head_only: bool, out: &mut Vec<u8>) {
        let (head, text) = error.reply();
        self.start(&head, head_only, out);
        self.data(text.as_bytes(), out);
        self.finish(out);
    }
}

/// Where the lines end that make one entry of a log; a line that is longer by itself is one.
fn entry_end(text: &[u8]) -> usize {
    if text.len() <= ENTRY_BYTES {
        return text.len();
    }
    let end = |byte: &u8| *byte == b'\n';
    let fitting = text[..ENTRY_BYTES].iter().rposition(end);
    fitting.or_else(|| text.iter().position(end)).map_or(text.len(), |at| at + 1)
}

/// Queues a whole reply outside of any record, for a peer that speaks another protocol.
pub(crate) fn refuse_foreign(status: &[u8], error: &Error, out: &mut Vec<u8>) {
    let (head, text) = error.reply();
    cgi_head(status, &head, out);
    out.extend_from_slice(text.as_bytes());
}

fn cgi_head(status: &[u8], head: &ResponseHead, out: &mut Vec<u8>) {
    for part in [status, head.status_line(), b"\r\n", head.lines(), b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// Always there: without it 200 is meant, or 302 if there is a `Location` (RFC 3875, 6.2).
const STATUS: &[u8] = b"Status: ";
/// nginx cuts an entry of its log after 2 KiB, and the request takes its part of that.
const ENTRY_BYTES: usize = 1024;
