//! One request to the upstream and its reply, in whichever protocol the upstream speaks. Bytes in, bytes and events out.

use bytes::{Bytes, BytesMut};
use wsgi_core::wire::{Known, Name, RequestHead, ResponseHead};
use wsgi_fastcgi::client::{self as fastcgi, Outcome};
use wsgi_uwsgi_proto::client as uwsgi;

use crate::gateway::Failure;

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Uwsgi,
    FastCgi,
}

/// One request and its reply.
pub(crate) enum Call {
    Uwsgi { reply: uwsgi::Reply },
    FastCgi { request: fastcgi::Request, reply: fastcgi::Reply },
}

/// What came of the reply.
pub(crate) enum Event {
    NeedInput,
    /// The whole head, which is in the [`ResponseHead`] now.
    Head,
    Body(Bytes),
    /// Text for our log.
    Log(Bytes),
    End,
}

impl Call {
    /// Queues a request's head in `out`.
    pub(crate) fn begin(protocol: Protocol, head: &RequestHead, out: &mut Vec<u8>) -> Result<Call, Failure> {
        let method = head.get(Known::RequestMethod).unwrap_or_default();
        let variables = variables(head);
        match protocol {
            Protocol::Uwsgi => {
                uwsgi::encode(uwsgi::WSGI, variables, out).map_err(|error| Failure::Unsayable(error.to_string()))?;
                Ok(Call::Uwsgi { reply: uwsgi::Reply::to(method) })
            }
            Protocol::FastCgi => {
                let request = fastcgi::Request::new(1).keep_connection(true);
                request.begin(variables, out).map_err(|error| Failure::Unsayable(error.to_string()))?;
                Ok(Call::FastCgi { request, reply: fastcgi::Reply::to(request, method) })
            }
        }
    }

    /// Queues a piece of the request's body; an empty one is its end.
    pub(crate) fn body(&self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            // CONTENT_LENGTH has said where the end is.
            Call::Uwsgi { .. } => out.extend_from_slice(piece),
            Call::FastCgi { request, .. } if piece.is_empty() => request.end_body(out),
            Call::FastCgi { request, .. } => request.body(piece, out),
        }
    }

    /// Understands one thing of the reply. With `closed` the upstream has sent its last byte, and the answer is never [`Event::NeedInput`].
    pub(crate) fn poll(&mut self, input: &mut BytesMut, head: &mut ResponseHead, closed: bool) -> Result<Event, Failure> {
        match self {
            Call::Uwsgi { reply } => {
                let event = if closed { reply.end(input, head) } else { reply.poll(input, head) };
                Ok(match event.map_err(broken)? {
                    uwsgi::Event::NeedInput => Event::NeedInput,
                    uwsgi::Event::Head => Event::Head,
                    uwsgi::Event::Body(piece) => Event::Body(piece),
                    uwsgi::Event::End => Event::End,
                })
            }
            Call::FastCgi { reply, .. } => match reply.poll(input, head).map_err(broken)? {
                fastcgi::Event::NeedInput if closed => reply.end().map_err(broken).and_then(ended),
                fastcgi::Event::NeedInput => Ok(Event::NeedInput),
                fastcgi::Event::Head => Ok(Event::Head),
                fastcgi::Event::Body(piece) => Ok(Event::Body(piece)),
                fastcgi::Event::Log(text) => Ok(Event::Log(text)),
                fastcgi::Event::End(end) => ended(end),
            },
        }
    }

    /// Whether the connection may be good for another request, once this one is over.
    pub(crate) fn keeps_connection(&self) -> bool {
        matches!(self, Call::FastCgi { .. })
    }
}

fn ended(end: fastcgi::End) -> Result<Event, Failure> {
    match end.outcome {
        Outcome::Complete => Ok(Event::End),
        Outcome::Overloaded => Err(Failure::Overloaded),
        other => Err(Failure::Broken(format!("did not take the request: {other:?}"))),
    }
}

fn broken(error: impl std::fmt::Display) -> Failure {
    Failure::Broken(error.to_string())
}

/// What the upstream is to know of a request: all but what belongs to the connection with the client (RFC 9110, 7.6.1).
fn variables(head: &RequestHead) -> impl Iterator<Item = (Vec<u8>, &[u8])> {
    let connection = head.get(Known::HttpConnection).unwrap_or_default();
    let named: Vec<Vec<u8>> = connection.split(|&byte| byte == b',').map(variable_of).collect();
    let passes = move |name: &Name| !HOP_BY_HOP.contains(&name.as_bytes()) && !named.iter().any(|other| other == name.as_bytes());
    // RFC 3875, 4.1.13: always there, and empty for what is mounted at the root.
    let script = head.get(Known::ScriptName).is_none().then_some((b"SCRIPT_NAME".to_vec(), &b""[..]));
    script.into_iter().chain(head.iter().filter(move |(name, _)| passes(name)).map(|(name, value)| (name.as_bytes().to_vec(), value)))
}

/// The variable of the field with this name.
fn variable_of(field: &[u8]) -> Vec<u8> {
    let fold = |&byte: &u8| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() };
    b"HTTP_".iter().copied().chain(field.trim_ascii().iter().map(fold)).collect()
}

/// Fields about one connection; and an expectation, which we meet ourselves.
const HOP_BY_HOP: &[&[u8]] = &[
    b"HTTP_CONNECTION",
    b"HTTP_EXPECT",
    b"HTTP_KEEP_ALIVE",
    b"HTTP_PROXY_AUTHORIZATION",
    b"HTTP_PROXY_CONNECTION",
    b"HTTP_TE",
    b"HTTP_TRAILER",
    b"HTTP_TRANSFER_ENCODING",
    b"HTTP_UPGRADE",
];
