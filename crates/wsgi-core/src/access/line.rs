//! What a line can tell of a request.

use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::escape::Escape;
use super::times;
use crate::observe::{Outcome, Refusal, Seen, Spent};
use crate::wire::push_decimal as number;
use crate::wire::{Address, Known, RequestHead, ResponseHead};

/// One request, as a line sees it.
pub(super) struct Line<'a> {
    request: Option<&'a RequestHead>,
    reply: Option<&'a ResponseHead>,
    /// Of a request that was refused, all that is known of its sender.
    remote: Option<&'a Address>,
    status: u16,
    fields: usize,
    head_bytes: u64,
    body_bytes: u64,
    received_bytes: u64,
    outcome: Outcome,
    spent: Spent,
    /// Since the Unix epoch, in microseconds.
    ended: u64,
    /// Counted by this log.
    number: u64,
    place: &'a Place,
}

/// What is the same for every line.
pub(super) struct Place {
    /// Asked for once: it is a system call.
    process: u32,
    pub(super) worker: u32,
    pub(super) forwarded_for: bool,
}

impl Default for Place {
    fn default() -> Place {
        Place { process: std::process::id(), worker: 0, forwarded_for: false }
    }
}

/// A part of a line that differs from request to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Address,
    Port,
    User,
    Method,
    Uri,
    Path,
    Query,
    Protocol,
    RequestLine,
    Host,
    Server,
    ServerPort,
    Agent,
    Referer,
    Status,
    BodyBytes,
    /// Nothing is a dash, as the common log format has it.
    BodyBytesOrDash,
    HeadBytes,
    AllBytes,
    /// What the client said that the body would have, in bytes.
    ContentLength,
    /// What of the body was read.
    ReceivedBytes,
    Fields,
    Micros,
    Millis,
    Seconds,
    AttachingMicros,
    ReadingMicros,
    WritingMicros,
    /// When the request began: seconds, milliseconds, microseconds since the Unix epoch.
    Began(Unit),
    /// When the line was written, in seconds since the Unix epoch.
    Epoch,
    /// When the request began, by `strftime` in local time.
    Local(&'static std::ffi::CStr),
    /// When the request began, as RFC 3339 has it.
    Rfc3339,
    Pid,
    Worker,
    Number,
    Variables,
    VariableBytes,
    /// Any variable of the request.
    Cgi(Vec<u8>),
    /// Any field of the reply.
    ReplyField(Vec<u8>),
    /// `X` if the reply was not completed, else `-` or `+`: Apache's `%X`.
    Connection,
    /// The same in a word.
    Outcome,
    /// 1 if the peer was lost, else 0.
    Lost,
    RequestId,
    /// What has only one value here.
    Constant(&'static str),
}

/// What a point in time is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
}

impl<'a> Line<'a> {
    pub(super) fn of(seen: &Seen<'a>, number: u64, place: &'a Place) -> Line<'a> {
        Line {
            request: Some(seen.request),
            reply: seen.reply,
            remote: None,
            status: seen.status,
            fields: seen.fields,
            head_bytes: seen.head_bytes,
            body_bytes: seen.body_bytes,
            received_bytes: seen.received_bytes,
            outcome: seen.outcome,
            spent: seen.spent,
            ended: now(),
            number,
            place,
        }
    }

    pub(super) fn refused(refusal: &Refusal<'a>, number: u64, place: &'a Place) -> Line<'a> {
        Line {
            request: None,
            reply: None,
            remote: Some(refusal.remote),
            status: refusal.error.status().as_u16(),
            fields: 0,
            head_bytes: 0,
            body_bytes: 0,
            received_bytes: 0,
            outcome: Outcome::Whole,
            spent: Spent::default(),
            ended: now(),
            number,
            place,
        }
    }

    /// Appends this part of the line. What is not known is a dash.
    pub(super) fn write(&self, what: &What, escape: Escape, out: &mut Vec<u8>) {
        let before = out.len();
        match what {
            What::Address => self.write_address(escape, out),
            What::User => self.known(Known::RemoteUser, word(escape), out),
            What::Port => match self.remote {
                Some(Address::Tcp(address)) => number(address.port().into(), out),
                _ => self.known(Known::RemotePort, word(escape), out),
            },
            What::Method => self.known(Known::RequestMethod, word(escape), out),
            What::Uri => self.write_uri(escape, out),
            What::Path => {
                for part in [Known::ScriptName, Known::PathInfo] {
                    self.known(part, escape, out);
                }
            }
            What::Query => {
                if let Some(query) = self.get(Known::QueryString).filter(|query| !query.is_empty()) {
                    out.push(b'?');
                    escape.write(query, out);
                }
                // Apache's is empty, and no dash, where there is none.
                return;
            }
            What::Protocol => self.known(Known::ServerProtocol, word(escape), out),
            What::RequestLine => {
                if self.request.is_some() {
                    for (part, space) in [(What::Method, true), (What::Uri, true), (What::Protocol, false)] {
                        self.write(&part, escape, out);
                        if space {
                            out.push(b' ');
                        }
                    }
                }
            }
            What::Host => self.known(Known::HttpHost, escape, out),
            What::Server => self.known(Known::ServerName, word(escape), out),
            What::ServerPort => self.known(Known::ServerPort, word(escape), out),
            What::Agent => self.known(Known::HttpUserAgent, escape, out),
            What::Referer => self.known(Known::HttpReferer, escape, out),
            What::Status => number(self.status.into(), out),
            What::BodyBytes => number(self.body_bytes, out),
            What::BodyBytesOrDash if self.body_bytes == 0 => {}
            What::BodyBytesOrDash => number(self.body_bytes, out),
            What::HeadBytes => number(self.head_bytes, out),
            What::AllBytes => number(self.head_bytes + self.body_bytes, out),
            What::ContentLength => {
                // A number whatever was sent, since formats of JSON have no quotes around it.
                let length = self.get(Known::ContentLength).and_then(|length| std::str::from_utf8(length).ok()?.trim().parse().ok());
                number(length.unwrap_or(0), out);
            }
            What::ReceivedBytes => number(self.received_bytes, out),
            What::Fields => number(self.fields as u64, out),
            What::Micros => number(self.spent.whole.as_micros() as u64, out),
            What::Millis => number(self.spent.whole.as_millis() as u64, out),
            What::Seconds => number(self.spent.whole.as_secs(), out),
            What::AttachingMicros => number(self.spent.attaching.as_micros() as u64, out),
            What::ReadingMicros => number(self.spent.reading.as_micros() as u64, out),
            What::WritingMicros => number(self.spent.writing.as_micros() as u64, out),
            What::Began(Unit::Seconds) => number(self.began() / 1_000_000, out),
            What::Began(Unit::Millis) => number(self.began() / 1000, out),
            What::Began(Unit::Micros) => number(self.began(), out),
            What::Epoch => number(self.ended / 1_000_000, out),
            What::Local(form) => times::write((self.began() / 1_000_000) as i64, form, spaced(escape), out),
            What::Rfc3339 => times::write_rfc3339((self.began() / 1_000_000) as i64, (self.began() / 1000 % 1000) as u32, out),
            What::Pid => number(self.place.process.into(), out),
            What::Worker => number(self.place.worker.into(), out),
            What::Number => number(self.number, out),
            What::Variables => number(self.request.map_or(0, |head| head.iter().count() as u64), out),
            What::VariableBytes => {
                let bytes =
                    self.request.map_or(0, |head| head.iter().map(|(name, value)| name.as_bytes().len() + value.len()).sum::<usize>());
                number(bytes as u64, out);
            }
            What::Cgi(name) => {
                if let Some(value) = self.request.and_then(|head| head.get_named(name)) {
                    escape.write(value, out);
                }
            }
            What::ReplyField(name) => {
                let mut fields = self.reply.into_iter().flat_map(ResponseHead::fields);
                if let Some((_, value)) = fields.find(|(other, _)| other.eq_ignore_ascii_case(name)) {
                    escape.write(value, out);
                }
            }
            What::Connection => out.push(match self.outcome {
                Outcome::Whole => b'+',
                Outcome::Aborted | Outcome::Lost => b'X',
            }),
            What::Outcome => out.extend_from_slice(match self.outcome {
                Outcome::Whole => b"whole",
                Outcome::Aborted => b"aborted",
                Outcome::Lost => b"lost",
            }),
            What::Lost => number((self.outcome == Outcome::Lost).into(), out),
            What::RequestId => self.known(Known::HttpXRequestId, word(escape), out),
            What::Constant(text) => out.extend_from_slice(text.as_bytes()),
        }
        if out.len() == before {
            out.push(b'-');
        }
    }

    fn write_address(&self, escape: Escape, out: &mut Vec<u8>) {
        match self.remote {
            // Into a vector, which takes everything.
            Some(Address::Tcp(address)) => _ = write!(out, "{}", address.ip().to_canonical()),
            Some(_) => {}
            None => {
                if self.place.forwarded_for {
                    let list = self.get(Known::HttpXForwardedFor).unwrap_or_default();
                    let first = list.split(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
                    if !first.is_empty() {
                        return word(escape).write(first, out);
                    }
                }
                self.known(Known::RemoteAddr, word(escape), out);
            }
        }
    }

    /// As it was sent; put together where the protocol does not carry it.
    fn write_uri(&self, escape: Escape, out: &mut Vec<u8>) {
        match self.get(Known::RequestUri).filter(|uri| !uri.is_empty()) {
            Some(uri) => word(escape).write(uri, out),
            None if self.request.is_some() => {
                for part in [What::Path, What::Query] {
                    self.write(&part, word(escape), out);
                }
            }
            None => {}
        }
    }

    fn known(&self, name: Known, escape: Escape, out: &mut Vec<u8>) {
        escape.write(self.get(name).unwrap_or_default(), out);
    }

    fn get(&self, name: Known) -> Option<&'a [u8]> {
        self.request?.get(name)
    }

    fn began(&self) -> u64 {
        self.ended.saturating_sub(self.spent.whole.as_micros() as u64)
    }
}

/// For what has no spaces, in quotes or not, unless somebody forges something.
fn word(escape: Escape) -> Escape {
    match escape {
        Escape::Text => Escape::Word,
        other => other,
    }
}

/// For what only the operator puts spaces into.
fn spaced(escape: Escape) -> Escape {
    match escape {
        Escape::Word => Escape::Text,
        other => other,
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::*;
    use crate::wire::Error;

    fn rendered(format: &str, line: &Line<'_>) -> String {
        let mut out = Vec::new();
        format.parse::<Format>().unwrap().render(line, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// On a socket for both families an IPv4 client has an IPv6 address, and whoever counts its failures looks for one name.
    #[test]
    fn a_refused_client_has_the_address_that_it_has_when_it_is_answered() {
        let error = Error::Timeout { what: "head", seconds: 1 };
        for (remote, shown) in [("[::ffff:192.0.2.7]:99", "192.0.2.7 99"), ("[2001:db8::1]:99", "2001:db8::1 99")] {
            let remote = Address::Tcp(remote.parse().unwrap());
            let refusal = Refusal::new(&remote, &error);
            assert_eq!(rendered("%h %{remote}p", &Line::refused(&refusal, 1, &Place::default())), shown);
        }
    }

    #[test]
    fn a_form_of_time_is_escaped_as_its_line_is() {
        let (remote, error) = (Address::Unix(None), Error::Timeout { what: "head", seconds: 1 });
        let refusal = Refusal::new(&remote, &error);
        let line = rendered("{\"t\":\"%{\u{e9} \"%%\"}t\"}", &Line::refused(&refusal, 1, &Place::default()));
        let json: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(json["t"], "\u{e9} \"%\"");
    }
}
