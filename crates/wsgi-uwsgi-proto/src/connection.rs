//! A connection that carries one request and its reply and ends, as uwsgi and SCGI have it. They differ in their [`Envelope`] alone.
//!
//! ```text
//!   Head: poll ──▶ Event::Head ──▶ Exchange ── start ──▶ Reply::Open ── finish ──▶ Over
//!     │ │                            │  poll: Body*, EndOfBody, at any time         ▲
//!     │ └─ a ping is answered ───────┼──────────────────────────────────────────────┤
//!     └─ Err ─▶ refuse ◀──── Err ────┘                                              │
//!                  └────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The request's body is `CONTENT_LENGTH` bytes, as they are. So is the reply's, which ends where the connection ends; there is no framing
//! of the body in either protocol, so none is ever made, and `Connection` and `Transfer-Encoding` are never sent: front servers hand such
//! fields on without understanding them.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::BytesMut;
use wsgi_core::wire::{
    BodyLength, CloseReason, Ends, Error, Event, Foreign, HttpDate, Known, Limits, Link, Next, Protocol, RequestHead, ResponseHead,
};

use crate::request::Settings;

/// How a protocol packs the variables of a request, and how its reply begins.
pub(crate) trait Envelope: Send + 'static {
    /// What stands before the status: a status line's version, or the `Status` field of CGI.
    const STATUS: &'static [u8];
    /// The protocol itself, among those that are told by their first bytes.
    const KIND: Foreign;
    /// What it is called, and how nginx calls it.
    const NAMES: [&'static str; 2];

    /// Takes the variables from the front of `input`, which holds at least four bytes, into an empty `head`. Of an incomplete envelope
    /// nothing is taken.
    fn open(input: &mut BytesMut, limits: &Limits, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Opened, Error>;
}

/// What came of opening an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// It is not all there yet.
    Incomplete,
    /// The variables are in the head. `split`: `SCRIPT_NAME` and `PATH_INFO` are as they are to be, and no front server's habit.
    Request { split: bool },
    /// It was no request, and its answer is in `out`. That is the end of the connection.
    Answered,
}

/// The server's half of one such connection.
#[derive(Debug)]
pub(crate) struct Connection<E> {
    settings: Arc<Settings>,
    ends: Ends,
    phase: Phase,
    /// The peer speaks HTTP and is to be answered so that a browser shows it.
    browser: bool,
    envelope: PhantomData<fn() -> E>,
}

#[derive(Debug)]
enum Phase {
    Head,
    Exchange(Exchange),
    Over,
}

/// A request whose variables were understood.
#[derive(Debug)]
struct Exchange {
    /// The bytes of the body that are still to come.
    left: u64,
    /// [`Event::EndOfBody`] was given.
    told: bool,
    /// The method is `HEAD`.
    head_only: bool,
    reply: Reply,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reply {
    Unstarted,
    /// So many bytes of a declared length are still owed.
    Length(u64),
    /// The body is what comes until the end of the connection.
    UntilClose,
    /// There is no body to send: `HEAD`, 204, 304.
    Silent,
}

impl<E: Envelope> Connection<E> {
    pub(crate) fn boxed(settings: &Arc<Settings>, link: &Link) -> Box<dyn Protocol> {
        let connection: Connection<E> =
            Connection { settings: Arc::clone(settings), ends: Ends::of(link), phase: Phase::Head, browser: false, envelope: PhantomData };
        Box::new(connection)
    }

    fn open(&mut self, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Event, Error> {
        let Some(&first) = input.first_chunk() else { return Ok(Event::NeedInput) };
        if let Some(foreign) = Foreign::recognise(first).filter(|&foreign| foreign != E::KIND) {
            self.browser = foreign == Foreign::Http;
            let [protocol, pass] = E::NAMES;
            return Err(foreign.refusal(protocol, pass));
        }
        match E::open(input, &self.settings.limits, head, out)? {
            Opened::Incomplete => Ok(Event::NeedInput),
            Opened::Answered => {
                self.phase = Phase::Over;
                Ok(Event::Closed)
            }
            Opened::Request { split } => {
                let paths = (!split).then_some(&self.settings.paths);
                // Without a length there is no body: what follows could not be told from it.
                let left = self.ends.complete(head, &self.settings.limits, paths)?.unwrap_or(0);
                head.set_body(if left == 0 { BodyLength::Empty } else { BodyLength::Known(left) });
                let head_only = head.get(Known::RequestMethod) == Some(b"HEAD");
                self.phase = Phase::Exchange(Exchange { left, told: false, head_only, reply: Reply::Unstarted });
                Ok(Event::Head)
            }
        }
    }

    fn over(&mut self, reason: CloseReason) -> Next {
        self.phase = Phase::Over;
        Next::Close(reason)
    }
}

impl<E: Envelope> Protocol for Connection<E> {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Event, Error> {
        match &mut self.phase {
            Phase::Head => self.open(input, head, out),
            Phase::Exchange(exchange) => Ok(exchange.body(input)),
            Phase::Over => Ok(Event::Closed),
        }
    }

    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
        match &mut self.phase {
            // Someone looked whether the port is open.
            Phase::Head if input.is_empty() => Ok(Event::Closed),
            Phase::Head => Err(Error::Truncated("head")),
            Phase::Exchange(exchange) if exchange.told => Ok(Event::Closed),
            Phase::Exchange(exchange) => match exchange.body(input) {
                Event::NeedInput => Err(Error::Truncated("body")),
                event => Ok(event),
            },
            Phase::Over => Ok(Event::Closed),
        }
    }

    /// Front servers answer `100 Continue` themselves.
    fn expect_body(&mut self, _: &mut Vec<u8>) {}

    /// The date is the front server's to add, as is its `Server`.
    fn start(&mut self, head: &ResponseHead, _: &HttpDate, out: &mut Vec<u8>) {
        let Phase::Exchange(exchange) = &mut self.phase else { return };
        if exchange.reply != Reply::Unstarted {
            return;
        }
        exchange.reply = match head.content_length() {
            _ if exchange.head_only || head.bodiless() => Reply::Silent,
            Some(length) => Reply::Length(length),
            None => Reply::UntilClose,
        };
        reply_head(E::STATUS, head, out);
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        match &mut self.phase {
            Phase::Exchange(Exchange { reply: Reply::UntilClose, .. }) => out.extend_from_slice(block),
            Phase::Exchange(Exchange { reply: Reply::Length(left), .. }) => {
                // The last line of defence: nginx warns of bytes beyond the length, and others hand them on.
                let block = &block[..usize::try_from(*left).map_or(block.len(), |left| left.min(block.len()))];
                *left -= block.len() as u64;
                out.extend_from_slice(block);
            }
            _ => {}
        }
    }

    fn bodiless(&self) -> bool {
        matches!(self.phase, Phase::Exchange(Exchange { reply: Reply::Silent, .. }))
    }

    fn raw(&mut self, len: u64, _: &mut Vec<u8>) -> bool {
        match &mut self.phase {
            Phase::Exchange(Exchange { reply: Reply::UntilClose, .. }) => true,
            Phase::Exchange(Exchange { reply: Reply::Length(left), .. }) if len <= *left => {
                *left -= len;
                true
            }
            _ => false,
        }
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Next {
        let reason = match &self.phase {
            Phase::Exchange(Exchange { reply: Reply::Length(1..), .. }) => CloseReason::Reset,
            Phase::Exchange(Exchange { reply: Reply::Unstarted, .. }) | Phase::Head | Phase::Over => CloseReason::Aborted,
            Phase::Exchange(Exchange { left: 1.., .. }) => CloseReason::UnreadBody,
            Phase::Exchange(_) => CloseReason::EndOfReply,
        };
        self.over(reason)
    }

    /// Always by a reset, also where a length was declared: Apache does not hold CGI-like protocols to their `Content-Length`, and takes any
    /// orderly end for the end of the body.
    fn abort(&mut self, _: &mut Vec<u8>) -> Next {
        self.over(CloseReason::Reset)
    }

    fn refuse(&mut self, error: &Error, _: &HttpDate, out: &mut Vec<u8>) {
        let silent = match &self.phase {
            Phase::Head => false,
            Phase::Exchange(Exchange { reply: Reply::Unstarted, head_only, .. }) => *head_only,
            // Whatever were added now would be taken for a part of what was begun.
            Phase::Exchange(_) | Phase::Over => return,
        };
        self.phase = Phase::Over;
        let (head, text) = error.reply();
        reply_head(if self.browser { HTTP_STATUS } else { E::STATUS }, &head, out);
        if !silent {
            out.extend_from_slice(text.as_bytes());
        }
    }

    fn idle(&self) -> bool {
        matches!(self.phase, Phase::Head)
    }

    /// It closes anyway.
    fn close_after_reply(&mut self) {}
}

impl Exchange {
    fn body(&mut self, input: &mut BytesMut) -> Event {
        if self.left > 0 {
            let count = usize::try_from(self.left).map_or(input.len(), |left| left.min(input.len()));
            if count == 0 {
                return Event::NeedInput;
            }
            self.left -= count as u64;
            return Event::Body(input.split_to(count).freeze());
        }
        if std::mem::replace(&mut self.told, true) { Event::NeedInput } else { Event::EndOfBody }
    }
}

fn reply_head(status: &[u8], head: &ResponseHead, out: &mut Vec<u8>) {
    out.reserve(status.len() + head.status_line().len() + head.lines().len() + 4);
    out.extend_from_slice(status);
    out.extend_from_slice(head.status_line());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(head.lines());
    out.extend_from_slice(b"\r\n");
}

/// Whatever version the request came in: a server names the highest that it speaks (RFC 9110, 2.5), and Apache takes no `HTTP/2`.
pub(crate) const HTTP_STATUS: &[u8] = b"HTTP/1.1 ";
