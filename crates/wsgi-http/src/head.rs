//! The head of a request: where it ends, whether it may be believed, and what it says (RFC 9112, 2 to 6).
//!
//! A head that arrives whole, as nearly all do, is read by `httparse` at once. Only if that does not succeed (there is more to come, or
//! something is wrong) is it looked at line by line. [`Search`] does that and remembers where it stopped, so that a head which trickles in is
//! looked at once and not once per byte; and since it alone finds fault with a head as such, the fault is the same however the bytes came.
//!
//! `httparse` is laxer than RFC 9112 lets a server be. It takes LF for CR LF, any number of empty lines before a request, and any UTF-8 in a
//! target. These are looked for here.

use std::mem::MaybeUninit;
use std::net::Ipv6Addr;

use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Header, Status};
use memchr::{memchr, memchr_iter};
use wsgi_core::wire::{BodyLength, Error, Known, Limits, RequestHead, Underscores, is_token, parse_decimal};

use crate::Config;
use crate::ends::Ends;

/// What the codec must remember of a request, beyond its variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// HTTP/1.1, which has chunks, informational replies and connections that stay open.
    pub(crate) modern: bool,
    /// The method is `HEAD`.
    pub(crate) bodiless: bool,
    /// The peer is content to keep the connection.
    pub(crate) persistent: bool,
    /// The peer waits to be told to send its body.
    pub(crate) expects_continue: bool,
}

/// Takes a whole head from `input`; none if there is more of it to come.
pub(crate) fn take(
    search: &mut Search,
    input: &mut BytesMut,
    config: &Config,
    ends: &Ends,
    head: &mut RequestHead,
) -> Result<Option<Facts>, Error> {
    if search.at_start() && input.first().is_some_and(|&byte| is_token(byte)) {
        if let Some((end, result)) = at_once(input, config, ends, head) {
            search.bodiless = input.starts_with(b"HEAD ");
            let facts = result?;
            input.advance(end);
            return Ok(Some(facts));
        }
    }
    if input.is_empty() {
        return Ok(None);
    }
    let Some(end) = search.run(input, &config.limits)? else { return Ok(None) };
    let facts = line_by_line(&input[..end], config, ends, head)?;
    input.advance(end);
    Ok(Some(facts))
}

/// Where a head that arrives in pieces has been searched for its end.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// As far as there is certainly no end.
    seen: usize,
    /// The request line was seen, and is sound.
    fields: bool,
    /// An empty line was skipped before it.
    skipped: bool,
    /// The method is `HEAD`.
    bodiless: bool,
}

impl Search {
    /// Whether no byte of a head has been seen.
    pub(crate) fn at_start(&self) -> bool {
        self.seen == 0
    }

    /// Whether the method is known to be `HEAD`, the reply to which has no body.
    pub(crate) fn bodiless(&self) -> bool {
        self.bodiless
    }

    /// Finds the end of the head, which is that of its empty line. What is before it is then known to be lines ended by CR LF, and the first of
    /// them to be a request line.
    fn run(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<Option<usize>, Error> {
        if !self.fields && !self.request_line(input, limits)? {
            return Ok(None);
        }
        let (view, full) = bounded(input, limits);
        for at in memchr_iter(b'\n', &view[self.seen..]) {
            let line_end = self.seen + at;
            if view[line_end - 1] != b'\r' {
                return Err(bare_lf());
            }
            if view[line_end - 2] == b'\n' {
                // Counted before they are read: what is read needs room.
                let fields = memchr_iter(b'\n', &view[..line_end]).count() - 1;
                if fields > limits.fields {
                    return Err(Error::TooManyFields { limit: limits.fields });
                }
                return Ok(Some(line_end + 1));
            }
        }
        self.seen = view.len();
        if full { Err(Error::HeadTooLarge { limit: limits.head_bytes }) } else { Ok(None) }
    }

    /// Finds the end of the request line; true if it is there.
    fn request_line(&mut self, input: &mut BytesMut, limits: &Limits) -> Result<bool, Error> {
        // One empty line is skipped: some old programs end the body of a POST with one (RFC 9112, 2.2).
        if input.starts_with(b"\r\n") && !self.skipped {
            input.advance(2);
            *self = Search { skipped: true, ..Search::default() };
        }
        let (view, full) = bounded(input, limits);
        self.bodiless = view.starts_with(b"HEAD ");
        opening(view)?;
        match memchr(b'\n', &view[self.seen..]) {
            Some(at) => {
                let end = self.seen + at + 1;
                request_line(&mut input[..end])?;
                self.seen = end;
                self.fields = true;
                Ok(true)
            }
            None if full => Err(Error::TargetTooLong { limit: limits.head_bytes }),
            None => {
                self.seen = view.len();
                Ok(false)
            }
        }
    }
}

/// What of the input may be the head, and whether that is all that may.
fn bounded<'a>(input: &'a BytesMut, limits: &Limits) -> (&'a [u8], bool) {
    (&input[..input.len().min(limits.head_bytes)], input.len() >= limits.head_bytes)
}

/// Looks at the first bytes of a request line that has not ended yet, so that what is no HTTP at all is refused without waiting for a line.
fn opening(view: &[u8]) -> Result<(), Error> {
    let method = view.iter().take(METHOD_BYTES + 1).take_while(|&&byte| is_token(byte)).count();
    if method > METHOD_BYTES {
        return Err(Error::NotImplemented(format!("a method of more than {METHOD_BYTES} bytes").into()));
    }
    match (method, view.get(method)) {
        (1.., None | Some(b' ' | b'\r' | b'\n')) | (0, None) => Ok(()),
        (1.., Some(byte)) => Err(Error::malformed(format!("request method contains byte 0x{byte:02x}"))),
        // The record types of a TLS handshake and of a FastCGI request, and the modifier of a uwsgi packet for WSGI.
        (0, Some(0x16)) => Err(Error::malformed("this port speaks plain HTTP, got a TLS handshake")),
        (0, Some(0)) => Err(Error::malformed("this port speaks plain HTTP, got a uwsgi packet")),
        (0, Some(1)) => Err(Error::malformed("this port speaks plain HTTP, got a FastCGI record")),
        (0, Some(b'\r')) => match view.get(1) {
            None => Ok(()),
            Some(b'\n') => Err(Error::malformed("more than one empty line before the request line")),
            Some(_) => Err(bare_cr()),
        },
        (0, Some(b'\n')) => Err(bare_lf()),
        (0, Some(byte)) => Err(Error::malformed(format!("request begins with byte 0x{byte:02x}, expected a method"))),
    }
}

/// Checks a request line, with its LF, as to its form. A later minor version than ours is made ours.
fn request_line(line: &mut [u8]) -> Result<(), Error> {
    let Some(content) = line.strip_suffix(b"\r\n") else { return Err(bare_lf()) };
    if memchr(b'\r', content).is_some() {
        return Err(bare_cr());
    }
    let mut parts = content.splitn(3, |&byte| byte == b' ');
    let method = parts.next().unwrap_or_default();
    let target = parts.next().ok_or_else(|| Error::malformed(format!("request line {} has no target", quoted(method))))?;
    if target.is_empty() {
        return Err(Error::malformed("request line has no target after its method, or more than one space"));
    }
    if let Some(byte) = target.iter().find(|&&byte| !is_target(byte)) {
        return Err(Error::malformed(format!("request target contains byte 0x{byte:02x}, which must be percent-encoded")));
    }
    let version = match parts.next() {
        Some(version @ [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']) => version,
        Some(other) => return Err(Error::malformed(format!("request line ends with {}, expected HTTP/1.1", quoted(other)))),
        // RFC 1945, 5: a method and a target alone.
        None => return Err(Error::Version("HTTP/0.9".into())),
    };
    match version[5..] {
        [b'1', _, b'0' | b'1'] => {}
        // RFC 9110, 2.5: a higher minor version is to be treated as the highest that is implemented.
        [b'1', _, _] => line[line.len() - 3] = b'1',
        _ => return Err(Error::Version(String::from_utf8_lossy(version).into_owned().into())),
    }
    Ok(())
}

/// Reads a head that is whole and of ordinary size. None if it is not, or if anything about its form is not as it should be: it is for
/// [`Search`] to say what. On an answer, `usize` is where the head ends.
fn at_once(input: &[u8], config: &Config, ends: &Ends, head: &mut RequestHead) -> Option<(usize, Result<Facts, Error>)> {
    let mut fields = [const { MaybeUninit::uninit() }; STACK_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let Ok(Status::Complete(end)) = request.parse_with_uninit_headers(input, &mut fields) else { return None };
    let line = Line { method: request.method?, target: request.path?, minor: request.version? };
    let sound = end <= config.limits.head_bytes
        && request.headers.len() <= config.limits.fields
        && line.method.len() <= METHOD_BYTES
        && line.target.bytes().fold(true, |sound, byte| sound & is_target(byte))
        && !has_bare_lf(&input[..end]);
    sound.then(|| (end, understand(&line, request.headers, config, ends, head)))
}

/// Reads a head that [`Search`] found no fault with.
fn line_by_line(bytes: &[u8], config: &Config, ends: &Ends, head: &mut RequestHead) -> Result<Facts, Error> {
    let mut fields = vec![EMPTY_HEADER; memchr_iter(b'\n', bytes).count()];
    let mut request = httparse::Request::new(&mut fields);
    match (request.parse(bytes), request.method, request.path, request.version) {
        (Ok(Status::Complete(_)), Some(method), Some(target), Some(minor)) => {
            understand(&Line { method, target, minor }, request.headers, config, ends, head)
        }
        _ => Err(fault_of_fields(bytes).unwrap_or_else(|| Error::malformed(UNEXPLAINED))),
    }
}

struct Line<'a> {
    method: &'a str,
    target: &'a str,
    minor: u8,
}

/// Makes variables of a head whose form is sound, and decides how the body is framed.
///
/// On an error the head is empty.
fn understand(line: &Line<'_>, fields: &[Header<'_>], config: &Config, ends: &Ends, head: &mut RequestHead) -> Result<Facts, Error> {
    head.clear();
    let result = fill(line, fields, config, ends, head);
    if result.is_err() {
        head.clear();
    }
    result
}

fn fill(line: &Line<'_>, fields: &[Header<'_>], config: &Config, ends: &Ends, head: &mut RequestHead) -> Result<Facts, Error> {
    let modern = line.minor == 1;
    head.set(Known::RequestMethod, line.method.as_bytes());
    head.set(Known::ServerProtocol, if modern { b"HTTP/1.1" } else { b"HTTP/1.0" });
    let absolute = target(line, head)?;
    ends.fill(config.server_name.as_deref(), head);
    head.set(Known::ServerSoftware, config.signature.software());
    head.set(Known::GatewayInterface, b"CGI/1.1");

    let mut framing = Framing::default();
    for field in fields {
        let name = field.name.as_bytes();
        if framing.field(name, field.value, config.underscores)? && absolute {
            continue;
        }
        head.field(name, field.value, config.underscores)?;
    }
    // RFC 9112, 3.2: also with an absolute target, which it then gives way to.
    if modern && !framing.has_host {
        return Err(Error::malformed("request of HTTP/1.1 has no Host field"));
    }
    let length = framing.length(modern, &config.limits)?;
    head.set_body(length);
    Ok(Facts {
        modern,
        bodiless: line.method == "HEAD",
        persistent: !framing.close && (modern || framing.keep_alive),
        // RFC 9110, 10.1.1: an HTTP/1.0 peer is not to be answered, and where there is no body there is nothing to wait for.
        expects_continue: framing.expects_continue && modern && length != BodyLength::Empty,
    })
}

/// Takes the target; true if it is an absolute one.
fn target(line: &Line<'_>, head: &mut RequestHead) -> Result<bool, Error> {
    if line.method == "CONNECT" {
        return Err(Error::NotImplemented("the method CONNECT".into()));
    }
    // RFC 9112, 3.2.4: the asterisk is for OPTIONS alone.
    if line.target == "*" && line.method != "OPTIONS" {
        return Err(Error::malformed(format!("request target \"*\" is for OPTIONS, got {}", quoted(line.method.as_bytes()))));
    }
    head.target(line.target.as_bytes())?;
    let absolute = !line.target.starts_with(['/', '*']);
    if absolute {
        // RFC 9110, 4.2.1: an empty host is invalid in a URI, though not in a Host field.
        match head.get(Known::HttpHost) {
            Some(authority) if !authority.is_empty() && is_authority(authority) => {}
            other => return Err(Error::malformed(format!("request target has the authority {}", quoted(other.unwrap_or_default())))),
        }
    }
    Ok(absolute)
}

/// What the fields say of the body and the connection.
#[derive(Default)]
struct Framing {
    has_host: bool,
    content_length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
}

impl Framing {
    /// Looks at one field; true if it is `Host`.
    fn field(&mut self, name: &[u8], value: &[u8], underscores: Underscores) -> Result<bool, Error> {
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        // By length first: this runs for every field of every request.
        match name.len() {
            4 if is(b"host") => {
                // RFC 9112, 3.2.
                if std::mem::replace(&mut self.has_host, true) {
                    return Err(Error::malformed("request has more than one Host field"));
                }
                if !is_authority(value) {
                    return Err(Error::malformed(format!("Host field is {}, expected a host and perhaps a port", quoted(value))));
                }
                return Ok(true);
            }
            6 if is(b"expect") => {
                // RFC 9110, 10.1.1.
                for expectation in members(value) {
                    if !expectation.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Error::Expectation(shortened(expectation)));
                    }
                    self.expects_continue = true;
                }
            }
            10 if is(b"connection") => {
                for option in members(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if is(b"content-length") => {
                // RFC 9112, 6.3: also of two that agree, and of a list, one need not be believed.
                let length = parse_decimal(value)
                    .ok_or_else(|| Error::malformed(format!("Content-Length is {}, expected a decimal number", quoted(value))))?;
                if self.content_length.replace(length).is_some() {
                    return Err(Error::malformed("request has more than one Content-Length field"));
                }
            }
            17 if is(b"transfer-encoding") => {
                if std::mem::replace(&mut self.chunked, true) {
                    return Err(Error::malformed("request has more than one Transfer-Encoding field"));
                }
                transfer_encoding(value)?;
            }
            14 if underscores == Underscores::Keep && is(b"content_length") => return Err(imitation(name)),
            17 if underscores == Underscores::Keep && is(b"transfer_encoding") => return Err(imitation(name)),
            _ => {}
        }
        Ok(false)
    }

    /// The decision of RFC 9112, 6.3.
    fn length(&self, modern: bool, limits: &Limits) -> Result<BodyLength, Error> {
        match (self.chunked, self.content_length) {
            (true, Some(_)) => Err(Error::malformed("request has both Content-Length and Transfer-Encoding")),
            (true, None) if !modern => Err(Error::malformed("request of HTTP/1.0 has Transfer-Encoding")),
            (true, None) => Ok(BodyLength::Unknown),
            (false, None | Some(0)) => Ok(BodyLength::Empty),
            (false, Some(length)) => match limits.body_bytes {
                Some(limit) if length > limit => Err(Error::BodyTooLarge { limit }),
                _ => Ok(BodyLength::Known(length)),
            },
        }
    }
}

/// The members of a list, without the white space around them; empty ones left out (RFC 9110, 5.6.1).
fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim).filter(|member| !member.is_empty())
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Lets pass what is exactly `chunked`.
///
/// A coding that is unknown here is a 501 (RFC 9112, 6.1). Where `chunked` is there but does not frame the body, the length cannot be told and it
/// is a 400 (RFC 9112, 6.3), as for what is no list of codings at all.
fn transfer_encoding(value: &[u8]) -> Result<(), Error> {
    if value.eq_ignore_ascii_case(b"chunked") {
        return Ok(());
    }
    let malformed = || Error::malformed(format!("Transfer-Encoding is {}, expected chunked", quoted(value)));
    let mut unknown = None;
    let mut framed = false;
    // Not `members`: an empty member would be another way to hide something.
    for coding in value.split(|&byte| byte == b',').map(trim) {
        let name = coding.split(|&byte| byte == b';').next().map(trim).unwrap_or_default();
        if framed || name.is_empty() || !name.iter().all(|&byte| is_token(byte)) {
            return Err(malformed());
        }
        if name.eq_ignore_ascii_case(b"chunked") {
            framed = true;
        } else {
            unknown = Some(name);
        }
    }
    match unknown {
        Some(name) => Err(Error::NotImplemented(format!("transfer coding {}", quoted(name)).into())),
        None => Err(malformed()),
    }
}

/// Whether this is a host and perhaps a port, or nothing (RFC 9110, 7.2; RFC 3986, 3.2.2).
pub(crate) fn is_authority(value: &[u8]) -> bool {
    let (host_ends, host_is_valid) = match value {
        [] => return true,
        [b'[', rest @ ..] => match memchr(b']', rest) {
            Some(at) => (at + 2, std::str::from_utf8(&rest[..at]).is_ok_and(|ip| ip.parse::<Ipv6Addr>().is_ok())),
            None => return false,
        },
        _ => {
            let end = memchr(b':', value).unwrap_or(value.len());
            (end, is_reg_name(&value[..end]))
        }
    };
    let port_is_valid = match &value[host_ends..] {
        [] => true,
        [b':', port @ ..] => port.len() <= 5 && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    host_is_valid && port_is_valid
}

fn is_reg_name(name: &[u8]) -> bool {
    // As nearly all names are.
    if name.iter().fold(true, |plain, &byte| plain & (byte.is_ascii_alphanumeric() | (byte == b'.') | (byte == b'-'))) {
        return !name.is_empty();
    }
    let mut rest = name;
    while let [byte, tail @ ..] = rest {
        rest = match (byte, tail) {
            (b'%', [a, b, tail @ ..]) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => tail,
            (b'%', _) => return false,
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) => tail,
            _ => return false,
        };
    }
    true
}

/// Whether a line of this head ends with LF alone. All lines are looked at in one go, without a branch for each, as this runs for every request.
fn has_bare_lf(head: &[u8]) -> bool {
    head.iter().zip(&head[1..]).fold(false, |bare, (&before, &byte)| bare | ((byte == b'\n') & (before != b'\r')))
}

/// What is wrong with the fields of this head, whose lines end with CR LF and whose request line is sound.
///
/// This is the whole of RFC 9112, 5 and RFC 9110, 5.1 and 5.5 a second time, and slowly: `httparse` says that something is wrong, this says what.
pub(crate) fn fault_of_fields(head: &[u8]) -> Option<Error> {
    let lines = head.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    for (at, line) in lines.enumerate().skip(1).take_while(|(_, line)| !line.is_empty()) {
        if line.contains(&b'\r') {
            return Some(bare_cr());
        }
        if let [b' ' | b'\t', ..] = line {
            return Some(Error::malformed(match at {
                1 => "white space before the first field",
                _ => "field line begins with white space, which is an obsolete line folding",
            }));
        }
        let Some(colon) = memchr(b':', line) else {
            return Some(Error::malformed(format!("field line {} has no colon", quoted(line))));
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        match name {
            [] => return Some(Error::malformed("field line has no name")),
            [.., b' ' | b'\t'] => {
                return Some(Error::malformed(format!("white space between the field name {} and its colon", quoted(trim(name)))));
            }
            _ => {}
        }
        if let Some(byte) = name.iter().find(|&&byte| !is_token(byte)) {
            return Some(Error::malformed(format!("field name {} contains byte 0x{byte:02x}", quoted(name))));
        }
        if let Some(byte) = value.iter().find(|&&byte| !is_text(byte)) {
            return Some(Error::malformed(format!("value of the field {} contains byte 0x{byte:02x}", quoted(name))));
        }
    }
    None
}

/// What a field value may hold: visible ASCII, space, tab, and bytes beyond ASCII (RFC 9110, 5.5).
pub(crate) fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// What a target may hold. More than RFC 3986 has, since browsers leave some characters as they are, but never a fragment.
fn is_target(byte: u8) -> bool {
    (byte > 0x20) & (byte < 0x7f) & (byte != b'#')
}

fn bare_lf() -> Error {
    Error::malformed("line in the request head ends with LF, expected CR LF")
}

fn bare_cr() -> Error {
    Error::malformed("request head contains CR without LF")
}

fn imitation(name: &[u8]) -> Error {
    Error::malformed(format!("field name {} imitates the one that frames the body", quoted(name)))
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", shortened(bytes))
}

/// So much of what was sent as helps to find it, without control characters.
fn shortened(bytes: &[u8]) -> String {
    match bytes.get(..QUOTED_BYTES) {
        Some(start) if bytes.len() > QUOTED_BYTES => format!("{}...", start.escape_ascii()),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// Methods that are registered have at most 17 bytes (`UPDATEREDIRECTREF`). A longer one than any that is implemented is a 501 (RFC 9112, 3).
const METHOD_BYTES: usize = 64;
/// As many as the default limit allows.
const STACK_FIELDS: usize = 128;
const QUOTED_BYTES: usize = 40;
/// Not to be seen: [`fault_of_fields`] finds whatever `httparse` does.
pub(crate) const UNEXPLAINED: &str = "request head is not understood";

#[cfg(test)]
mod tests {
    use wsgi_core::wire::{Address, Link};

    use super::*;

    fn take_all(bytes: &[u8]) -> Result<Option<Facts>, Error> {
        let link = Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false };
        let (mut input, mut head) = (BytesMut::from(bytes), RequestHead::default());
        take(&mut Search::default(), &mut input, &Config::default(), &Ends::new(&link), &mut head)
    }

    /// `httparse` decides about fields, quickly; what explains its decision must come to the same, for every byte in every kind of place. Values
    /// are long enough that each of its ways to read them has its turn.
    #[test]
    fn fields_are_judged_as_rfc_9110_says_and_every_refusal_is_explained() {
        for (length, step) in [(1, 1), (2, 1), (8, 1), (17, 1), (33, 1), (100, 9)] {
            for at in (0..length).step_by(step) {
                for byte in (0..=255).filter(|&byte| !matches!(byte, b'\r' | b'\n')) {
                    let (mut name, mut value) = (vec![b'a'; length], vec![b'a'; length]);
                    name[at] = byte;
                    value[at] = byte;
                    for (line, sound) in [
                        (
                            [&name, &b": b"[..]].concat(),
                            byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte) || byte == b':' && at > 0,
                        ),
                        ([&b"x: "[..], &value].concat(), byte == b'\t' || byte >= b' ' && byte != 0x7f),
                    ] {
                        let head = [b"GET / HTTP/1.1\r\nHost: a\r\n", &line[..], b"\r\n\r\n"].concat();
                        let shown = || head.escape_ascii().to_string();
                        let result = take_all(&head);
                        assert_eq!(result.is_ok(), sound, "{}", shown());
                        assert_eq!(fault_of_fields(&head).is_none(), sound, "{}", shown());
                        assert_ne!(result.err(), Some(Error::malformed(UNEXPLAINED)), "{}", shown());
                    }
                }
            }
        }
    }

    #[test]
    fn targets_are_visible_ascii() {
        for length in [1, 8, 17, 33, 65] {
            for at in 0..length {
                for byte in 0..=255 {
                    let mut target = vec![b'a'; length];
                    target[at] = byte;
                    let head = [b"GET /", &target[..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
                    // Of what is no percent-encoding, two digits by chance are one.
                    let sound = byte.is_ascii_graphic() && byte != b'#' && (byte != b'%' || at + 2 < length);
                    assert_eq!(take_all(&head).is_ok(), sound, "{}", head.escape_ascii());
                }
            }
        }
    }

    /// A head that comes a byte at a time must not be read from its beginning for each of them.
    #[test]
    fn what_was_searched_is_not_searched_again() {
        let text = [b"\r\nGET / HTTP/1.1\r\nHost: a\r\n", &b"X: y\r\n".repeat(20)[..], b"\r\n"].concat();
        let (mut search, mut input) = (Search::default(), BytesMut::new());
        for (at, byte) in text.iter().enumerate() {
            input.extend_from_slice(&[*byte]);
            let end = search.run(&mut input, &Limits::default()).unwrap();
            if at + 1 < text.len() {
                assert_eq!((end, search.seen), (None, input.len()));
            } else {
                assert_eq!(end, Some(input.len()));
            }
        }
    }

    #[test]
    fn a_lone_lf_is_seen_wherever_it_is() {
        for length in 1..100 {
            for at in 0..length {
                let mut text = vec![b'a'; length];
                text[at] = b'\n';
                assert_eq!(has_bare_lf(&text), at > 0, "the first byte has none before it");
                if at > 0 {
                    text[at - 1] = b'\r';
                    assert!(!has_bare_lf(&text));
                }
            }
        }
    }
}
