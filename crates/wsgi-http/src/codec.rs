//! One connection: which request it is at, what of its body is still to come, and how far its reply is.
//!
//! ```text
//!            ┌──────────────────────────── Next::Request ─────────────────────────┐
//!            ▼                                                                    │
//!   Head: poll ──▶ Event::Head ──▶ Exchange ── start ──▶ Reply::Open ── finish ───┤
//!     │                              │  poll: Body*, EndOfBody, at any time        │
//!     │ Err                          │ Err                  abort, short body      │
//!     └──────────▶ refuse ◀──────────┘                            └───────────────▶ Over
//!                    └───────────────────────────────────────────────────────────▶
//! ```
//!
//! Request and reply go on side by side, so a connection has two states: [`Phase`] with the body's decoder in it, and [`Reply`].

use std::sync::Arc;

use bytes::BytesMut;
use wsgi_core::wire::{CloseReason, Error, Event, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};

use crate::Config;
use crate::body::{Decoder, Piece};
use crate::ends::Ends;
use crate::head::{self, Facts, Search};
use crate::reply::{self, Framing, Persistence};

/// The server's half of one HTTP connection.
#[derive(Debug)]
pub(crate) struct Connection {
    config: Arc<Config>,
    ends: Ends,
    phase: Phase,
    reply: Reply,
    /// The server is shutting down.
    closing: bool,
}

#[derive(Debug)]
enum Phase {
    /// Before the end of a head.
    Head(Search),
    Exchange(Exchange),
    /// There is nothing more to read or to say.
    Over,
}

/// A request whose head was understood.
#[derive(Debug)]
struct Exchange {
    facts: Facts,
    body: Decoder,
    /// [`Event::EndOfBody`] was given.
    told: bool,
    /// The peer still waits for `100 Continue`, as far as can be known.
    waiting: bool,
}

#[derive(Debug)]
enum Reply {
    Unstarted,
    Open {
        framing: Framing,
        /// Why the connection closes after this reply, if it does. The head has said so.
        close: Option<CloseReason>,
        /// A chunk that `raw` began is not ended yet.
        raw: bool,
    },
}

impl Connection {
    pub(crate) fn new(config: Arc<Config>, link: &Link) -> Connection {
        Connection { config, ends: Ends::new(link), phase: Phase::Head(Search::default()), reply: Reply::Unstarted, closing: false }
    }

    fn over(&mut self, reason: CloseReason) -> Next {
        self.phase = Phase::Over;
        self.reply = Reply::Unstarted;
        Next::Close(reason)
    }
}

impl Protocol for Connection {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, Error> {
        match &mut self.phase {
            Phase::Head(search) => {
                let Some(facts) = head::take(search, input, &self.config, &self.ends, head)? else { return Ok(Event::NeedInput) };
                self.phase = Phase::Exchange(Exchange {
                    facts,
                    body: Decoder::new(head.body()),
                    told: false,
                    // A peer that has sent some of its body already does not wait.
                    waiting: facts.expects_continue && input.is_empty(),
                });
                self.reply = Reply::Unstarted;
                Ok(Event::Head)
            }
            Phase::Exchange(exchange) => exchange.poll(input, &self.config),
            Phase::Over => Ok(Event::Closed),
        }
    }

    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
        match &mut self.phase {
            // An empty line, or the half of one, is no request.
            Phase::Head(_) if matches!(&input[..], b"" | b"\r" | b"\r\n") => Ok(Event::Closed),
            Phase::Head(_) => Err(Error::Truncated("head")),
            Phase::Exchange(exchange) if exchange.told => Ok(Event::Closed),
            Phase::Exchange(exchange) => match exchange.poll(input, &self.config)? {
                Event::NeedInput => Err(Error::Truncated("body")),
                event => Ok(event),
            },
            Phase::Over => Ok(Event::Closed),
        }
    }

    fn expect_body(&mut self, out: &mut Vec<u8>) {
        if let (Phase::Exchange(exchange), Reply::Unstarted) = (&mut self.phase, &self.reply) {
            if std::mem::take(&mut exchange.waiting) {
                out.extend_from_slice(reply::CONTINUE);
            }
        }
    }

    fn inform(&mut self, head: &ResponseHead, out: &mut Vec<u8>) {
        if let (Phase::Exchange(exchange), Reply::Unstarted) = (&self.phase, &self.reply) {
            // HTTP/1.0 has no informational replies (RFC 9110, 15.2).
            if exchange.facts.modern && matches!(head.code(), 100..=199) {
                reply::informational(head, out);
            }
        }
    }

    fn start(&mut self, head: &ResponseHead, date: &HttpDate, out: &mut Vec<u8>) {
        let (Phase::Exchange(exchange), Reply::Unstarted) = (&self.phase, &self.reply) else { return };
        let facts = exchange.facts;
        let framing = match head.content_length() {
            _ if facts.bodiless || head.bodiless() => Framing::Silent,
            Some(length) => Framing::Length(length),
            None if facts.modern => Framing::Chunked,
            None => Framing::UntilClose,
        };
        let close = if !facts.persistent || framing == Framing::UntilClose {
            Some(CloseReason::Peer)
        } else if self.closing {
            Some(CloseReason::Shutdown)
        } else if exchange.waiting || !exchange.body.ended() {
            // A peer that was not told to send its body may or may not do so: what comes next cannot be told (RFC 9110, 10.1.1). One that is
            // sending may be done before the handler is, and take the connection for good if it is not told now: its next request would
            // meet the close.
            Some(CloseReason::UnreadBody)
        } else {
            None
        };
        let persistence = match close {
            Some(_) => Persistence::Close,
            None if facts.modern => Persistence::Implied,
            None => Persistence::KeepAlive,
        };
        reply::head(head, framing, persistence, &self.config.signature, date, out);
        self.reply = Reply::Open { framing, close, raw: false };
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        let Reply::Open { framing, .. } = &mut self.reply else { return };
        match framing {
            _ if block.is_empty() => {}
            Framing::Silent => {}
            Framing::UntilClose => out.extend_from_slice(block),
            Framing::Length(left) => {
                // The last line of defence: a byte more would be the beginning of the next reply.
                let block = &block[..usize::try_from(*left).map_or(block.len(), |left| left.min(block.len()))];
                *left -= block.len() as u64;
                out.extend_from_slice(block);
            }
            Framing::Chunked => {
                out.reserve(block.len() + CHUNK_OVERHEAD);
                reply::chunk_size(block.len() as u64, out);
                out.extend_from_slice(block);
                out.extend_from_slice(reply::CHUNK_END);
            }
        }
    }

    fn bodiless(&self) -> bool {
        matches!(self.reply, Reply::Open { framing: Framing::Silent, .. })
    }

    fn raw(&mut self, len: u64, out: &mut Vec<u8>) -> bool {
        let Reply::Open { framing, raw, .. } = &mut self.reply else { return false };
        match framing {
            _ if len == 0 => false,
            Framing::Silent => false,
            Framing::UntilClose => true,
            Framing::Length(left) if *left < len => false,
            Framing::Length(left) => {
                *left -= len;
                true
            }
            Framing::Chunked => {
                reply::chunk_size(len, out);
                *raw = true;
                true
            }
        }
    }

    fn raw_end(&mut self, out: &mut Vec<u8>) {
        if let Reply::Open { raw, .. } = &mut self.reply {
            if std::mem::take(raw) {
                out.extend_from_slice(reply::CHUNK_END);
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Next {
        let (Phase::Exchange(exchange), Reply::Open { framing, close, raw }) = (&self.phase, &self.reply) else {
            return self.over(CloseReason::Aborted);
        };
        match framing {
            _ if *raw => return self.over(CloseReason::Aborted),
            Framing::Length(1..) => return self.over(CloseReason::Aborted),
            Framing::Chunked => out.extend_from_slice(reply::LAST_CHUNK),
            Framing::Length(0) | Framing::UntilClose | Framing::Silent => {}
        }
        // First, whatever else closes the connection: a peer that is still sending loses the reply unless it is waited for (RFC 9112, 9.6).
        if !exchange.body.ended() {
            return self.over(CloseReason::UnreadBody);
        }
        if let Some(reason) = *close {
            return self.over(reason);
        }
        self.phase = Phase::Head(Search::default());
        self.reply = Reply::Unstarted;
        Next::Request
    }

    fn abort(&mut self, _: &mut Vec<u8>) -> Next {
        // RFC 9112, 8: where the close is the end of the body, an ordinary one would make a part pass for the whole.
        let ends_by_close = matches!(self.reply, Reply::Open { framing: Framing::UntilClose, .. });
        self.over(if ends_by_close { CloseReason::Reset } else { CloseReason::Aborted })
    }

    fn refuse(&mut self, error: &Error, date: &HttpDate, out: &mut Vec<u8>) {
        let silent = match (&self.phase, &self.reply) {
            (Phase::Head(search), _) => search.bodiless(),
            (Phase::Exchange(exchange), Reply::Unstarted) => exchange.facts.bodiless,
            // Whatever were added now would be taken for a part of what was begun.
            (Phase::Exchange(_), Reply::Open { .. }) | (Phase::Over, _) => return,
        };
        reply::refusal(error, silent, &self.config.signature, date, out);
        self.phase = Phase::Over;
    }

    fn last_word(&self) -> Option<&'static [u8]> {
        match (&self.phase, &self.reply) {
            (Phase::Exchange(exchange), Reply::Unstarted) => Some(reply::overdue(exchange.facts.bodiless)),
            _ => None,
        }
    }

    fn idle(&self) -> bool {
        matches!(&self.phase, Phase::Head(search) if search.at_start())
    }

    fn close_after_reply(&mut self) {
        self.closing = true;
    }
}

impl Exchange {
    fn poll(&mut self, input: &mut BytesMut, config: &Config) -> Result<Event, Error> {
        if self.told {
            return Ok(Event::NeedInput);
        }
        self.waiting &= input.is_empty();
        match self.body.poll(input, &config.limits)? {
            Piece::More => Ok(Event::NeedInput),
            Piece::Data(bytes) => Ok(Event::Body(bytes)),
            Piece::End => {
                self.told = true;
                Ok(Event::EndOfBody)
            }
        }
    }
}

/// A chunk's size in at most 16 digits, and two line ends.
const CHUNK_OVERHEAD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// There may be ten thousand of them, nearly all of them idle.
    #[test]
    fn a_connection_is_small() {
        assert!(size_of::<Connection>() <= 128, "{} bytes", size_of::<Connection>());
    }
}
