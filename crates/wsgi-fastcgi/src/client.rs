//! FastCGI, client side: records out of variables and a body, and a reply out of what comes back. For gateways in front of FastCGI servers, and
//! for tests.
//!
//! [`Request`] makes the records of a request; [`Reply`] understands the answer as it arrives. Both are pure: bytes in, bytes and events out,
//! sockets are someone else's.
//!
//! ```
//! use bytes::BytesMut;
//! use wsgi_core::wire::ResponseHead;
//! use wsgi_fastcgi::client::{Event, Reply, Request};
//!
//! let request = Request::new(1).keep_connection(true);
//! let mut out = Vec::new();
//! request.begin([("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/"), ("CONTENT_LENGTH", "3")], &mut out)?;
//! request.body(b"a=1", &mut out);
//! request.end_body(&mut out);
//!
//! // What a server might answer: one record of STDOUT, the end of STDOUT, END_REQUEST.
//! let (mut reply, mut head) = (Reply::to(request, b"POST"), ResponseHead::default());
//! let mut input = BytesMut::from(
//!     &b"\x01\x06\0\x01\x00\x16\x02\0Status: 404 Gone\r\n\r\nNo\0\0\x01\x06\0\x01\0\0\0\0\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0"[..],
//! );
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::Head);
//! assert_eq!(head.status_line(), b"404 Gone");
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::Body("No".into()));
//! assert!(matches!(reply.poll(&mut input, &mut head)?, Event::End(end) if end.is_complete()));
//! // The connection is good for another request.
//! assert!(input.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **In scope:** the Responder role, bodies of known and unknown length, replies that are cut short, one request at a time.
//! **Out of scope:** connections, when to give up, several requests at once on one connection, which hardly any server takes.

use std::borrow::Cow;

use bytes::{Buf, Bytes, BytesMut};
use http::StatusCode;
use wsgi_core::wire::{HeadError, Limits, RequestHead, ResponseHead};

use crate::params;
use crate::record::{self, FIXED_BYTES, Header, KEEP_CONN, RESPONDER, kind, status};

/// One request of a connection, by its id: makes its records.
///
/// ```text
///   begin ──▶ body* ──▶ end_body
///     └──────── abort, at any time ──▶
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    id: u16,
    keep: bool,
}

/// Why variables cannot be sent. A front server answers 500 to these, for the client cannot help it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A variable has no name.
    #[error("FastCGI variable {index} has an empty name")]
    EmptyName {
        /// Which one, counted from 0.
        index: usize,
    },
    /// A name or a value is longer than its length can say.
    #[error("FastCGI variable {index} is longer than 2147483647 bytes")]
    TooLong {
        /// Which one, counted from 0.
        index: usize,
    },
}

impl Request {
    /// A request with this id, after which the server closes the connection. One at a time, every request of a connection may have the same;
    /// 0 is none, and taken for 1.
    pub fn new(id: u16) -> Request {
        Request { id: id.max(1), keep: false }
    }

    /// Asks the server to keep the connection for another request.
    pub fn keep_connection(mut self, keep: bool) -> Request {
        self.keep = keep;
        self
    }

    /// Appends what begins the request: its role and its variables. The body's records follow, also if there is none.
    ///
    /// # Errors
    /// A variable that cannot be sent. `out` is then as it was before.
    pub fn begin<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        self,
        variables: impl IntoIterator<Item = (N, V)>,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        let mut params = Params::default();
        for (name, value) in variables {
            params.push(name.as_ref(), value.as_ref())?;
        }
        self.open(&params, out);
        Ok(())
    }

    /// Appends what begins a request that came in some other way, as a gateway does.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    pub fn begin_head(self, head: &RequestHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut params = Params::default();
        for (name, value) in head.iter() {
            params.push(name.as_bytes(), value)?;
        }
        self.open(&params, out);
        Ok(())
    }

    fn open(self, params: &Params, out: &mut Vec<u8>) {
        let [role_high, role_low] = RESPONDER.to_be_bytes();
        let flags = if self.keep { KEEP_CONN } else { 0 };
        record::push(kind::BEGIN_REQUEST, self.id, &[role_high, role_low, flags, 0, 0, 0, 0, 0], out);
        record::push_stream(kind::PARAMS, self.id, &params.stream, out);
        record::push_end(kind::PARAMS, self.id, out);
    }

    /// Appends a piece of the body. An empty one is nothing.
    pub fn body(self, piece: &[u8], out: &mut Vec<u8>) {
        record::push_stream(kind::STDIN, self.id, piece, out);
    }

    /// Appends the end of the body, which each request needs.
    pub fn end_body(self, out: &mut Vec<u8>) {
        record::push_end(kind::STDIN, self.id, out);
    }

    /// Appends the wish to have no reply any more. The server still ends the request.
    pub fn abort(self, out: &mut Vec<u8>) {
        record::push_end(kind::ABORT_REQUEST, self.id, out);
    }
}

/// The stream of a request's parameters, which is gathered before any of it is queued.
#[derive(Default)]
struct Params {
    stream: Vec<u8>,
    count: usize,
}

impl Params {
    fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
        let index = self.count;
        self.count += 1;
        if name.is_empty() {
            return Err(EncodeError::EmptyName { index });
        }
        if !params::push(name, value, &mut self.stream) {
            return Err(EncodeError::TooLong { index });
        }
        Ok(())
    }
}

/// What is wrong with a reply. A gateway answers 502 (RFC 9110, 15.6.3), or breaks off what it has begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The bytes are no reply. The text names what was got and what was expected.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// The head did not end within the bound.
    #[error("reply head exceeds {limit} bytes")]
    HeadTooLarge {
        /// The bound that was passed.
        limit: usize,
    },
    /// The reply ended, with its connection or before it, and was not complete.
    #[error("reply ended inside its {0}")]
    Truncated(&'static str),
    /// The server gave the reply up, in the way of this crate's server side.
    #[error("server gave the reply up")]
    GivenUp,
}

/// What [`Reply::poll`] understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet: more bytes are needed.
    NeedInput,
    /// The whole head, which is in the [`ResponseHead`] now.
    Head,
    /// A piece of the body; never empty.
    Body(Bytes),
    /// Text for the log of errors; never empty. May come at any time before the end.
    Log(Bytes),
    /// The request is over. Whatever else the server sends is no part of it.
    End(End),
}

/// How a server says that a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// What a CGI script would have exited with. Most servers always send 0.
    pub app_status: u32,
    /// Whether the server took the request at all.
    pub outcome: Outcome,
}

impl End {
    /// Whether the server took the request and answered it. Only then there was a head.
    pub fn is_complete(&self) -> bool {
        self.outcome == Outcome::Complete
    }
}

/// Whether a server took a request, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered.
    Complete,
    /// Another request is still open on the connection, which takes one at a time.
    CannotMultiplex,
    /// The server has too much to do.
    Overloaded,
    /// The server is no responder.
    UnknownRole,
    /// Something that the specification does not know.
    Other(u8),
}

/// One reply, as far as it was understood.
///
/// ```text
///   poll … Head ──▶ poll … Body* ──▶ End          Log* in between
///     └── End that is not complete    └─ Err ──▶ close
/// ```
#[derive(Clone, Debug)]
pub struct Reply {
    id: u16,
    head_only: bool,
    limits: Limits,
    /// The record whose header was taken: what it is, and how much of it is still to come.
    kind: u8,
    content: u16,
    padding: u8,
    stage: Stage,
    /// How the request ended, once the padding of that record is gone.
    end: Option<End>,
}

#[derive(Clone, Debug)]
enum Stage {
    /// The head, as far as it came.
    Head(Vec<u8>),
    Body {
        /// What came in one piece with the end of the head.
        ahead: Bytes,
        /// How much is still to come, where the length is declared.
        left: Option<u64>,
    },
    /// Nothing more of the reply is wanted, or it has no body, whatever is sent.
    Silent,
}

impl Reply {
    /// The reply to a request with this method: to `HEAD` there is no body, whatever length is declared.
    pub fn to(request: Request, method: &[u8]) -> Reply {
        Reply {
            id: request.id,
            head_only: method == b"HEAD",
            limits: Limits::default(),
            kind: 0,
            content: 0,
            padding: 0,
            stage: Stage::Head(Vec::new()),
            end: None,
        }
    }

    /// Sets the bounds on the head and its fields. The body has none.
    pub fn limits(mut self, limits: Limits) -> Reply {
        self.limits = limits;
        self
    }

    /// Wants no more of the reply, since the request was [aborted](Request::abort): what still comes of it is thrown away, up to and without
    /// [`Event::End`], which means then that the connection is good for another request.
    pub fn discard(&mut self) {
        self.stage = Stage::Silent;
    }

    /// Understands one thing in `input` and removes it from there. `head` is written by the call that gives [`Event::Head`].
    ///
    /// Fields that belong to the connection with the server, such as `Connection`, are left out of it; and what goes beyond a declared
    /// `Content-Length` is left out of the body. After [`Event::End`] the same is given again, and nothing is taken any more.
    ///
    /// # Errors
    /// What the server sent is no reply, or not a whole one. The connection is of no more use.
    pub fn poll(&mut self, input: &mut BytesMut, head: &mut ResponseHead) -> Result<Event, ReplyError> {
        loop {
            if let Stage::Body { ahead, .. } = &mut self.stage {
                let ahead = std::mem::take(ahead);
                if let Some(event) = self.body(ahead) {
                    return Ok(event);
                }
            }
            while self.content > 0 {
                let count = usize::from(self.content).min(input.len());
                if count == 0 {
                    return Ok(Event::NeedInput);
                }
                self.content -= count as u16;
                let piece = input.split_to(count).freeze();
                let event = match self.kind {
                    kind::STDERR => Some(Event::Log(piece)),
                    kind::STDOUT if matches!(self.stage, Stage::Head(_)) => self.head(&piece, head)?,
                    kind::STDOUT => self.body(piece),
                    _ => None,
                };
                if let Some(event) = event {
                    return Ok(event);
                }
            }
            let count = usize::from(self.padding).min(input.len());
            input.advance(count);
            self.padding -= count as u8;
            if self.padding > 0 {
                return Ok(Event::NeedInput);
            }
            if let Some(end) = self.end {
                return Ok(Event::End(end));
            }
            let header = Header::parse(input).map_err(|error| ReplyError::Malformed(error.to_string().into()))?;
            let Some(header) = header else { return Ok(Event::NeedInput) };
            match header.kind {
                // Of a request that is over, or of none.
                _ if header.id != self.id => {}
                kind::STDOUT | kind::STDERR => {}
                kind::END_REQUEST => {
                    let Some(content) = input.get(Header::BYTES..Header::BYTES + usize::from(FIXED_BYTES)) else {
                        return Ok(Event::NeedInput);
                    };
                    self.end = Some(self.ended(header, content)?);
                }
                kind::ABORT_REQUEST => return Err(ReplyError::GivenUp),
                other => {
                    return Err(malformed(format!("FastCGI reply has a record of type {other}, expected STDOUT, STDERR or END_REQUEST")));
                }
            }
            input.advance(Header::BYTES);
            (self.kind, self.content, self.padding) = (if header.id == self.id { header.kind } else { 0 }, header.content, header.padding);
        }
    }

    /// The server closed the connection and `poll` has seen all of `input`: what is missing.
    pub fn end(&self) -> Result<End, ReplyError> {
        match (self.end, &self.stage) {
            (Some(end), _) => Ok(end),
            (None, Stage::Head(_)) => Err(ReplyError::Truncated("head")),
            (None, _) => Err(ReplyError::Truncated("body")),
        }
    }

    /// Takes a piece of the head.
    fn head(&mut self, piece: &Bytes, head: &mut ResponseHead) -> Result<Option<Event>, ReplyError> {
        let Stage::Head(text) = &mut self.stage else { return Ok(None) };
        let limit = self.limits.head_bytes;
        let before = text.len();
        text.extend_from_slice(piece);
        let end = end_of_head(text, before);
        if end.unwrap_or(text.len()) > limit {
            return Err(ReplyError::HeadTooLarge { limit });
        }
        let Some(end) = end else { return Ok(None) };
        parse(&text[..end], self.limits.fields, head)?;
        self.stage = if self.head_only || head.bodiless() {
            Stage::Silent
        } else {
            Stage::Body { ahead: piece.slice(end - before..), left: head.content_length() }
        };
        Ok(Some(Event::Head))
    }

    fn body(&mut self, mut piece: Bytes) -> Option<Event> {
        match &mut self.stage {
            Stage::Body { left: Some(left), .. } => {
                piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= piece.len() as u64;
            }
            Stage::Body { left: None, .. } => {}
            Stage::Head(_) | Stage::Silent => return None,
        }
        Some(Event::Body(piece)).filter(|event| !matches!(event, Event::Body(piece) if piece.is_empty()))
    }

    fn ended(&self, header: Header, content: &[u8]) -> Result<End, ReplyError> {
        let (FIXED_BYTES, &[a, b, c, d, protocol, ..]) = (header.content, content) else {
            return Err(malformed(format!("FastCGI END_REQUEST has {} bytes, expected {FIXED_BYTES}", header.content)));
        };
        let outcome = match protocol {
            status::REQUEST_COMPLETE => Outcome::Complete,
            status::CANT_MPX_CONN => Outcome::CannotMultiplex,
            status::OVERLOADED => Outcome::Overloaded,
            status::UNKNOWN_ROLE => Outcome::UnknownRole,
            other => Outcome::Other(other),
        };
        match &self.stage {
            Stage::Head(_) if outcome == Outcome::Complete => Err(ReplyError::Truncated("head")),
            Stage::Body { left: Some(1..), .. } => Err(ReplyError::Truncated("body")),
            _ => Ok(End { app_status: u32::from_be_bytes([a, b, c, d]), outcome }),
        }
    }
}

/// Where the empty line ends that ends a head. The first `seen` bytes were looked at before.
fn end_of_head(text: &[u8], seen: usize) -> Option<usize> {
    let mut at = seen;
    while let Some(line_end) = text[at..].iter().position(|&byte| byte == b'\n') {
        at += line_end + 1;
        if matches!(text[..at - 1], [] | [.., b'\n'] | [b'\r'] | [.., b'\n', b'\r']) {
            return Some(at);
        }
    }
    None
}

/// Reads a head in the form of CGI (RFC 3875, 6.2 and 6.3), up to and with its empty line.
fn parse(text: &[u8], most_fields: usize, head: &mut ResponseHead) -> Result<(), ReplyError> {
    let lines = || text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).filter(|line| !line.is_empty());
    let fields = || {
        lines().map(|line| {
            let colon = line.iter().position(|&byte| byte == b':');
            let colon = colon.ok_or_else(|| about("reply has the line", line, "a field"))?;
            Ok((line, &line[..colon], line[colon + 1..].trim_ascii()))
        })
    };
    let (mut status, mut location) = (None, false);
    for (count, field) in fields().enumerate() {
        let (_, name, value) = field?;
        if count == most_fields {
            return Err(malformed(format!("reply head has more than {most_fields} fields")));
        }
        if name.eq_ignore_ascii_case(b"Status") && status.replace(value).is_some() {
            return Err(malformed("reply has more than one Status"));
        }
        location |= name.eq_ignore_ascii_case(b"Location");
    }
    if lines().next().is_none() {
        return Err(malformed("reply begins with an empty line, expected a field"));
    }
    // RFC 3875, 6.2: a redirection without a status is 302, any other reply without one is 200.
    let status = status.unwrap_or(if location { b"302 Found" } else { b"200 OK" });
    let wrong = |error: &str| about("reply has the status", status, error);
    match status {
        // The reason may be missing, and then it's the usual one.
        [_, _, _] => {
            let code = StatusCode::from_bytes(status).map_err(|_| wrong("three digits and a reason"))?;
            head.reset(ResponseHead::of(code).status_line())
        }
        _ => head.reset(status),
    }
    .map_err(|error| wrong(&error.to_string()))?;
    for field in fields() {
        let (line, name, value) = field?;
        if name.eq_ignore_ascii_case(b"Status") {
            continue;
        }
        if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
            // Handed on, the chunks would be taken for content.
            return Err(about("reply has the field", line, "a body without transfer coding, which FastCGI does not have"));
        }
        // RFC 9110, 5.5: a tab may stand within a value.
        let value: Cow<'_, [u8]> = match value.contains(&b'\t') {
            true => value.iter().map(|&byte| if byte == b'\t' { b' ' } else { byte }).collect(),
            false => value.into(),
        };
        match head.field(name, &value) {
            Ok(()) | Err(HeadError::HopByHop) => {}
            Err(error) => return Err(about("reply has the field", line, &error.to_string())),
        }
    }
    Ok(())
}

fn malformed(text: impl Into<Cow<'static, str>>) -> ReplyError {
    ReplyError::Malformed(text.into())
}

fn about(what: &str, got: &[u8], expected: &str) -> ReplyError {
    let some = &got[..got.len().min(SHOWN_BYTES)];
    malformed(format!("{what} \"{}\": {expected}", some.escape_ascii()))
}

/// As much of a server's text as an error quotes.
const SHOWN_BYTES: usize = 80;
