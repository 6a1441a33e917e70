//! uwsgi, client side: a packet out of variables, and a reply out of what comes back. For gateways in front of uWSGI, and for tests.
//!
//! [`encode`] makes the packet; the request's body, of `CONTENT_LENGTH` bytes, is sent behind it as it is. [`Reply`] understands the answer
//! as it arrives. Both are pure: bytes in, bytes and events out, sockets are someone else's.
//!
//! ```
//! use bytes::BytesMut;
//! use wsgi_core::wire::ResponseHead;
//! use wsgi_uwsgi_proto::client::{self, Event, Reply};
//!
//! let mut packet = Vec::new();
//! client::encode(client::WSGI, [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("SERVER_PROTOCOL", "HTTP/1.1")], &mut packet)?;
//! assert_eq!(packet[..4], [0, 62, 0, 0]);
//!
//! let (mut reply, mut head) = (Reply::to(b"GET"), ResponseHead::default());
//! let mut input = BytesMut::from("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nHello\n");
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::Head);
//! assert_eq!((head.status_line(), head.content_length()), (&b"200 OK"[..], Some(6)));
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::Body("Hello\n".into()));
//! assert_eq!(reply.poll(&mut input, &mut head)?, Event::End);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **In scope:** requests to applications of any language (the modifier says which), replies that begin with a status line or, as from a CGI
//! script, with fields, a body that is cut short. SCGI's replies are the same, so [`Reply`] reads them too.
//! **Out of scope:** connections, when to give up, and the other kinds of packet: caching, RPC, signals.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use wsgi_core::wire::{BodyLength, HeadError, Limits, RequestHead, ResponseHead};

use crate::packet::{self, Header};
use crate::request::shown;

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
    /// The whole head, which is in the [`ResponseHead`] now.
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
    limits: Limits,
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
    /// The reply to a request with this method: to `HEAD` it ends with its head, whatever length it declares.
    pub fn to(method: &[u8]) -> Reply {
        Reply { limits: Limits::default(), head_only: method == b"HEAD", phase: Phase::Head { line: 0, seen: 0 } }
    }

    /// Sets the bounds on the head and its fields. The body has none.
    pub fn limits(mut self, limits: Limits) -> Reply {
        self.limits = limits;
        self
    }

    /// Understands one thing in `input` and removes it from there. `head` is written by the call that gives [`Event::Head`].
    ///
    /// Fields that belong to the connection with the server, such as `Connection`, are left out of it, and so is the `Status` of a reply in
    /// the form of CGI. After [`Event::End`] the same is given again, and nothing is taken any more.
    ///
    /// # Errors
    /// What the server sent is no reply, or has too long a head. The connection is of no more use.
    pub fn poll(&mut self, input: &mut BytesMut, head: &mut ResponseHead) -> Result<Event, ReplyError> {
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
    pub fn end(&mut self, input: &mut BytesMut, head: &mut ResponseHead) -> Result<Event, ReplyError> {
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

    fn head(&mut self, input: &mut BytesMut, head: &mut ResponseHead) -> Result<Event, ReplyError> {
        let Phase::Head { mut line, mut seen } = self.phase else { return Ok(Event::NeedInput) };
        let limit = self.limits.head_bytes;
        while let Some(end) = input[seen..].iter().position(|&byte| byte == b'\n').map(|at| seen + at) {
            seen = end + 1;
            if seen > limit {
                return Err(ReplyError::HeadTooLarge { limit });
            }
            let empty = matches!(&input[line..end], b"" | b"\r");
            line = seen;
            if empty {
                let last = parse(&input.split_to(seen), self.limits.fields, head)?;
                (line, seen) = (0, 0);
                if last {
                    self.phase = match head.content_length() {
                        _ if self.head_only || head.bodiless() => Phase::Length(0),
                        Some(length) => Phase::Length(length),
                        None => Phase::UntilClose,
                    };
                    return Ok(Event::Head);
                }
            }
        }
        if input.len() > limit {
            return Err(ReplyError::HeadTooLarge { limit });
        }
        self.phase = Phase::Head { line, seen: input.len() };
        Ok(Event::NeedInput)
    }
}

/// Reads a head, up to and with its empty line. False if it is informational and another follows: such a one says nothing that a gateway has to
/// wait for (RFC 9110, 15.2).
fn parse(text: &[u8], most_fields: usize, head: &mut ResponseHead) -> Result<bool, ReplyError> {
    let lines =
        || text.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line)).take_while(|line| !line.is_empty());
    let first = lines().next().ok_or_else(|| malformed("reply begins with an empty line, expected a status or a field"))?;
    let (status, fields_from) = if first.starts_with(b"HTTP/") {
        (after_version(first).ok_or_else(|| about("reply has the status line", first, "expected HTTP/1.1 and a status"))?, 1)
    } else {
        (status_of_cgi(lines()), 0)
    };
    let status = trim_end(status);
    match status {
        b"101" | [b'1', b'0', b'1', b' ', ..] => return Err(malformed("reply switches protocols, which was not asked for")),
        [b'1', a, b] | [b'1', a, b, b' ', ..] if a.is_ascii_digit() && b.is_ascii_digit() => return Ok(false),
        // The reason may be missing, and then it is the usual one.
        [_, _, _] => {
            let code =
                StatusCode::from_bytes(status).map_err(|_| about("reply has the status", status, "expected three digits and a reason"))?;
            head.reset(ResponseHead::of(code).status_line())
        }
        _ => head.reset(status),
    }
    .map_err(|error| about("reply has the status", status, &error.to_string()))?;
    for (count, line) in lines().skip(fields_from).enumerate() {
        if count == most_fields {
            return Err(malformed(format!("reply head has more than {most_fields} fields")));
        }
        let (name, value) = field(line).ok_or_else(|| about("reply has the line", line, "expected a field"))?;
        if name.eq_ignore_ascii_case(b"Status") && fields_from == 0 {
            continue;
        }
        if name.eq_ignore_ascii_case(b"Transfer-Encoding") {
            // Handed on, the chunks would be taken for content.
            return Err(about("reply has the field", line, "expected a body without transfer coding"));
        }
        // A tab may stand within a value, and a space in its place (RFC 9110, 5.5).
        let value: Cow<'_, [u8]> = match value.contains(&b'\t') {
            true => value.iter().map(|&byte| if byte == b'\t' { b' ' } else { byte }).collect(),
            false => value.into(),
        };
        match head.field(name, &value) {
            Ok(()) | Err(HeadError::HopByHop) => {}
            Err(error) => return Err(about("reply has the field", line, &error.to_string())),
        }
    }
    Ok(true)
}

/// What comes behind the version in a status line such as `HTTP/1.1 200 OK`.
fn after_version(line: &[u8]) -> Option<&[u8]> {
    match line.strip_prefix(b"HTTP/")? {
        [major, b' ', status @ ..] if major.is_ascii_digit() => Some(status),
        [major, b'.', minor, b' ', status @ ..] if major.is_ascii_digit() && minor.is_ascii_digit() => Some(status),
        _ => None,
    }
}

/// The first `Status` field; without one, a redirection is 302, and any other reply is 200 (RFC 3875, 6.2 and 6.3.3).
fn status_of_cgi<'a>(lines: impl Iterator<Item = &'a [u8]>) -> &'a [u8] {
    let mut status: &[u8] = b"200 OK";
    for (name, value) in lines.filter_map(field) {
        if name.eq_ignore_ascii_case(b"Status") {
            return value;
        }
        if name.eq_ignore_ascii_case(b"Location") {
            status = b"302 Found";
        }
    }
    status
}

/// Name and value of a field. Whether they are sound is for [`ResponseHead::field`] to say.
fn field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = line.split_at(line.iter().position(|&byte| byte == b':')?);
    let value = &value[1..];
    let start = value.iter().take_while(|&&byte| is_space(byte)).count();
    Some((name, trim_end(&value[start..])))
}

/// Without spaces and tabs behind it. A bare CR is no white space but an error.
fn trim_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| !is_space(byte)).map_or(0, |last| last + 1);
    &text[..end]
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn malformed(text: impl Into<Cow<'static, str>>) -> ReplyError {
    ReplyError::Malformed(text.into())
}

fn about(what: &str, got: &[u8], rule: &str) -> ReplyError {
    malformed(format!("{what} \"{}\": {rule}", shown(got).escape_ascii()))
}
