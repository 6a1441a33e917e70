//! uwsgi, client side: a packet out of variables, and a reply out of what comes back. For gateways in front of uWSGI, and for tests.
//!
//! [`encode`] makes the packet; the request's body, of `CONTENT_LENGTH` bytes, is sent behind it as it is. [`Reply`] understands the answer
//! as it arrives. Both are pure: bytes in, bytes and events out, sockets are someone else's.
//!
//! ```
//! use bytes::BytesMut;
//! use wsgi_uwsgi_proto::client::{self, Event, Reply, ReplyHead};
//!
//! let mut packet = Vec::new();
//! client::encode(client::WSGI, [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("SERVER_PROTOCOL", "HTTP/1.1")], &mut packet)?;
//! assert_eq!(packet[..4], [0, 62, 0, 0]);
//!
//! let (mut reply, mut head) = (Reply::new(), ReplyHead::default());
//! let mut input = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nHello\n");
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::Head);
//! assert_eq!((head.code(), head.field(b"content-type")), (200, Some(&b"text/plain"[..])));
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::Body("Hello\n".into()));
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::End);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **In scope:** requests to applications of any language (the modifier says which), replies that begin with a status line or, as from a CGI
//! script, with fields, a body that is cut short. SCGI's replies are the same, so [`Reply`] reads them too.
//! **Out of scope:** connections, when to give up, and the other kinds of packet: caching, RPC, signals.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use wsgi_core::wire::{BodyLength, HeadError, RequestHead, ResponseHead};

use crate::packet::{self, Header};
use crate::request::{decimal, shown};

/// modifier1 of a request for a WSGI application. Other languages have their own: 5 is PSGI, 7 is Rack, 9 is CGI, 14 is PHP.
pub const WSGI: u8 = packet::WSGI;
/// modifier1 of a request whose `PATH_INFO` still begins with `SCRIPT_NAME`, which the server is to take off.
pub const MANAGE_PATH_INFO: u8 = packet::MANAGE_PATH_INFO;
/// A packet that asks whether a server is there. It answers with [`PONG`] and closes.
pub const PING: [u8; 4] = Header { modifier1: packet::PING, size: 0, modifier2: 0 }.to_bytes();
/// What a server that is well answers to [`PING`]. Where the second and third byte are not 0, uWSGI has a warning of so many bytes
/// (little-endian), which follow.
pub const PONG: [u8; 4] = Header { modifier1: packet::PING, size: 0, modifier2: 1 }.to_bytes();

/// Why variables do not fit into a packet. A front server answers 500 to these, for the client cannot help it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// A variable has no name.
    #[error("uwsgi variable {index} has an empty name")]
    EmptyName {
        /// Which one, counted from 0.
        index: usize,
    },
    /// The variables and their lengths are more than a packet can hold.
    #[error("uwsgi packet would hold at least {bytes} bytes of variables, expected at most 65535")]
    TooLarge {
        /// How much there was when it became too much.
        bytes: usize,
    },
    /// The body has no declared length, without which the server would read none of it.
    #[error("request body has no declared length, which uwsgi needs")]
    UnknownLength,
}

/// Appends a packet with these variables to `out`.
///
/// # Errors
/// An empty name, or more than 65,535 bytes together. `out` is then as it was before.
pub fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(
    modifier1: u8,
    variables: impl IntoIterator<Item = (N, V)>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let mut packet = Packet::begin(modifier1, out);
    for (name, value) in variables {
        packet.push(name.as_ref(), value.as_ref())?;
    }
    packet.end();
    Ok(())
}

/// Appends a packet with the variables of a request that came in some other way, as a gateway does. The body is the caller's to send.
///
/// # Errors
/// As for [`encode`]; and a body of unknown length, which a gateway must gather first.
pub fn encode_head(modifier1: u8, head: &RequestHead, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    if head.body() == BodyLength::Unknown {
        return Err(EncodeError::UnknownLength);
    }
    let mut packet = Packet::begin(modifier1, out);
    for (name, value) in head.iter() {
        packet.push(name.as_bytes(), value)?;
    }
    packet.end();
    Ok(())
}

/// A packet that is being written; undone unless it comes to its end.
struct Packet<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    modifier1: u8,
    count: usize,
    ended: bool,
}

impl<'a> Packet<'a> {
    fn begin(modifier1: u8, out: &'a mut Vec<u8>) -> Packet<'a> {
        let start = out.len();
        out.extend_from_slice(&[0; Header::BYTES]);
        Packet { out, start, modifier1, count: 0, ended: false }
    }

    fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), EncodeError> {
        if name.is_empty() {
            return Err(EncodeError::EmptyName { index: self.count });
        }
        self.count += 1;
        let bytes = self.size() + 2 + name.len() + 2 + value.len();
        if bytes > usize::from(u16::MAX) {
            return Err(EncodeError::TooLarge { bytes });
        }
        for part in [name, value] {
            // No more than the whole, which fits.
            self.out.extend_from_slice(&(part.len() as u16).to_le_bytes());
            self.out.extend_from_slice(part);
        }
        Ok(())
    }

    fn size(&self) -> usize {
        self.out.len() - self.start - Header::BYTES
    }

    fn end(mut self) {
        let header = Header { modifier1: self.modifier1, size: self.size() as u16, modifier2: 0 };
        self.out[self.start..self.start + Header::BYTES].copy_from_slice(&header.to_bytes());
        self.ended = true;
    }
}

impl Drop for Packet<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.out.truncate(self.start);
        }
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
    /// The server closed before its reply was complete.
    #[error("server closed the connection inside the {0} of its reply")]
    Truncated(&'static str),
}

/// What [`Reply::poll`] understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet: more bytes are needed.
    NeedInput,
    /// The whole head, which is in the [`ReplyHead`] now.
    Head,
    /// A piece of the body; never empty.
    Body(Bytes),
    /// The reply is complete. Whatever else the server sends is no part of it.
    End,
}

/// One reply, as far as it was understood.
///
/// ```text
///   poll … Head ──▶ poll … Body* ──▶ End
///      └─ the server's end, at any time ─▶ end() until it gives End, or an error
/// ```
#[derive(Clone, Debug)]
pub struct Reply {
    head_bytes: usize,
    head_only: bool,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Where the line begins that is not complete yet, and up to where its end was looked for.
    Head {
        line: usize,
        seen: usize,
    },
    /// So many bytes are still to come.
    Length(u64),
    UntilClose,
    Over,
}

impl Reply {
    /// The reply to a request that is not `HEAD`.
    pub fn new() -> Reply {
        Reply { head_bytes: 64 * 1024, head_only: false, phase: Phase::Head { line: 0, seen: 0 } }
    }

    /// The reply to a request with this method: to `HEAD` it ends with its head, whatever length it declares.
    pub fn to(method: &[u8]) -> Reply {
        Reply { head_only: method == b"HEAD", ..Reply::new() }
    }

    /// Sets how long the head may be; 65,536 bytes by default.
    pub fn head_bytes(mut self, limit: usize) -> Reply {
        self.head_bytes = limit;
        self
    }

    /// Understands one thing in `input` and removes it from there. `head` is written by the call that gives [`Event::Head`].
    ///
    /// # Errors
    /// What the server sent is no reply, or too long a head. The connection is of no more use.
    pub fn poll(&mut self, input: &mut BytesMut, head: &mut ReplyHead) -> Result<Event, ReplyError> {
        match &mut self.phase {
            Phase::Head { .. } => self.head(input, head),
            Phase::Over => Ok(Event::End),
            Phase::Length(0) => {
                self.phase = Phase::Over;
                Ok(Event::End)
            }
            Phase::Length(_) | Phase::UntilClose if input.is_empty() => Ok(Event::NeedInput),
            Phase::Length(left) => {
                let count = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= count as u64;
                Ok(Event::Body(input.split_to(count).freeze()))
            }
            Phase::UntilClose => Ok(Event::Body(input.split().freeze())),
        }
    }

    /// The server closed the connection and `input` holds what is left of what it sent: gives what `poll` would, and then [`Event::End`] or
    /// an error, never [`Event::NeedInput`].
    ///
    /// Of a reply without a declared length only a reset of the connection can tell that it is cut short. That is no orderly end: do not call
    /// this then.
    ///
    /// # Errors
    /// As for [`poll`](Self::poll), and [`ReplyError::Truncated`].
    pub fn end(&mut self, input: &mut BytesMut, head: &mut ReplyHead) -> Result<Event, ReplyError> {
        match self.poll(input, head)? {
            Event::NeedInput => match self.phase {
                Phase::Head { .. } => Err(ReplyError::Truncated("head")),
                Phase::Length(_) => Err(ReplyError::Truncated("body")),
                Phase::UntilClose | Phase::Over => {
                    self.phase = Phase::Over;
                    Ok(Event::End)
                }
            },
            event => Ok(event),
        }
    }

    fn head(&mut self, input: &mut BytesMut, head: &mut ReplyHead) -> Result<Event, ReplyError> {
        let Phase::Head { mut line, mut seen } = self.phase else { return Ok(Event::NeedInput) };
        let limit = self.head_bytes;
        while let Some(end) = input[seen..].iter().position(|&byte| byte == b'\n').map(|at| seen + at) {
            seen = end + 1;
            if seen > limit {
                return Err(ReplyError::HeadTooLarge { limit });
            }
            let empty = matches!(&input[line..end], b"" | b"\r");
            line = seen;
            if empty {
                head.parse(&input.split_to(seen))?;
                (line, seen) = (0, 0);
                if head.code >= 200 {
                    self.phase = self.body(head);
                    return Ok(Event::Head);
                }
                // An informational reply says nothing that a gateway has to wait for (RFC 9110, 15.2).
            }
        }
        if input.len() > limit {
            return Err(ReplyError::HeadTooLarge { limit });
        }
        self.phase = Phase::Head { line, seen: input.len() };
        Ok(Event::NeedInput)
    }

    fn body(&self, head: &ReplyHead) -> Phase {
        match head.content_length {
            _ if self.head_only || matches!(head.code, 204 | 304) => Phase::Length(0),
            Some(length) => Phase::Length(length),
            None => Phase::UntilClose,
        }
    }
}

impl Default for Reply {
    fn default() -> Reply {
        Reply::new()
    }
}

/// The head of a reply, in memory that the next one reuses.
#[derive(Clone, Default)]
pub struct ReplyHead {
    text: Vec<u8>,
    code: u16,
    reason: Range<usize>,
    /// Name and value.
    fields: Vec<(Range<usize>, Range<usize>)>,
    content_length: Option<u64>,
}

impl ReplyHead {
    /// The status code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The reason that came with it, which may be empty.
    pub fn reason(&self) -> &[u8] {
        &self.text[self.reason.clone()]
    }

    /// Every field, in order, without the `Status` of a CGI reply.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.fields.iter().map(|(name, value)| (&self.text[name.clone()], &self.text[value.clone()]))
    }

    /// The value of the first field with this name, in any case.
    pub fn field(&self, name: &[u8]) -> Option<&[u8]> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The length of the body, where it is declared.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// The same head in the form in which an [`Exchange`](wsgi_core::Exchange) is answered. Fields that belong to the connection with the
    /// server, such as `Connection`, are left out.
    ///
    /// # Errors
    /// A status or a field that must not be sent on.
    pub fn response(&self) -> Result<ResponseHead, HeadError> {
        let reason = match self.reason() {
            b"" => StatusCode::from_u16(self.code).ok().and_then(|code| code.canonical_reason()).unwrap_or("Unknown").as_bytes(),
            reason => reason,
        };
        let mut head = ResponseHead::new(&[self.code.to_string().as_bytes(), b" ", reason].concat())?;
        for (name, value) in self.fields() {
            match head.field(name, value) {
                Ok(()) | Err(HeadError::HopByHop) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(head)
    }

    /// Takes a whole head, up to and with its empty line.
    fn parse(&mut self, text: &[u8]) -> Result<(), ReplyError> {
        self.text.clear();
        self.text.extend_from_slice(text);
        self.fields.clear();
        self.content_length = None;
        let mut status = None;
        let mut location = false;
        let mut at = 0;
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let start = at;
            at += line.len();
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if start == 0 && line.starts_with(b"HTTP/") {
                let version = version(line).ok_or_else(|| malformed("reply has the status line", line, "HTTP/1.1 and three digits"))?;
                status = Some(self.status(&line[version..], version)?);
                continue;
            }
            let colon = line.iter().position(|&byte| byte == b':').filter(|&colon| colon > 0 && line[..colon].iter().all(|&b| is_token(b)));
            let colon =
                colon.ok_or_else(|| malformed("reply has the line", line, if start == 0 { "a status or a field" } else { "a field" }))?;
            let value = trim(line, colon + 1);
            if line[value.clone()].iter().any(|&byte| byte < 0x20 && byte != b'\t' || byte == 0x7f) {
                return Err(malformed("reply has the field", line, "no control characters"));
            }
            let (name, text) = (&line[..colon], &line[value.clone()]);
            let range = start + value.start..start + value.end;
            if name.eq_ignore_ascii_case(b"Status") {
                // RFC 3875, 6.3.3. With a status line in front it is an ordinary field.
                if status.is_none() {
                    status = Some(self.status(text, range.start)?);
                    continue;
                }
            } else if name.eq_ignore_ascii_case(b"Content-Length") {
                let length = decimal(text).ok_or_else(|| malformed("reply has the field", line, "a decimal number"))?;
                if self.content_length.replace(length).is_some() {
                    return Err(ReplyError::Malformed("reply has more than one Content-Length".into()));
                }
            } else if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
                // Handed on, the chunks would be taken for content.
                return Err(malformed("reply has the field", line, "a body without transfer coding, which uwsgi does not have"));
            }
            location |= name.eq_ignore_ascii_case(b"Location");
            self.fields.push((start..start + colon, range));
        }
        if status.is_none() && self.fields.is_empty() {
            return Err(ReplyError::Malformed("reply begins with an empty line, expected a status or a field".into()));
        }
        // RFC 3875, 6.2: a redirection without a status is 302, any other reply without one is 200.
        (self.code, self.reason) = status.unwrap_or((if location { 302 } else { 200 }, 0..0));
        if self.code == 101 {
            return Err(ReplyError::Malformed("reply switches protocols, which was not asked for".into()));
        }
        Ok(())
    }

    /// The code, and where the reason is, from `404 Not Found` that begins at `start`.
    fn status(&self, text: &[u8], start: usize) -> Result<(u16, Range<usize>), ReplyError> {
        let error = || malformed("reply has the status", text, "three digits and a reason");
        let (digits, rest) = text.split_at_checked(3).ok_or_else(error)?;
        let code = decimal(digits).and_then(|code| u16::try_from(code).ok()).filter(|&code| code >= 100).ok_or_else(error)?;
        let (b"" | [b' ', ..]) = rest else { return Err(error()) };
        let reason = trim(text, 3);
        if text[reason.clone()].iter().any(|&byte| byte < 0x20 || byte == 0x7f) {
            return Err(error());
        }
        Ok((code, start + reason.start..start + reason.end))
    }
}

impl std::fmt::Debug for ReplyHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        write!(f, "{} {} ", self.code, text(self.reason()))?;
        f.debug_list().entries(self.fields().map(|(name, value)| (text(name), text(value)))).finish()
    }
}

/// Where the code begins in a status line such as `HTTP/1.1 200 OK`.
fn version(line: &[u8]) -> Option<usize> {
    let [b'H', b'T', b'T', b'P', b'/', major, rest @ ..] = line else { return None };
    let rest = match rest {
        [b'.', minor, rest @ ..] if minor.is_ascii_digit() => rest,
        rest => rest,
    };
    let [b' ', code @ ..] = rest else { return None };
    major.is_ascii_digit().then_some(line.len() - code.len())
}

/// What is left of `line` from `start` on without white space around it.
fn trim(line: &[u8], start: usize) -> Range<usize> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = line.iter().rposition(|byte| !is_space(byte)).map_or(start, |last| (last + 1).max(start));
    let start = line[start..end].iter().position(|byte| !is_space(byte)).map_or(end, |first| start + first);
    start..end
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn malformed(what: &str, got: &[u8], expected: &str) -> ReplyError {
    ReplyError::Malformed(format!("{what} \"{}\", expected {expected}", shown(got).escape_ascii()).into())
}
