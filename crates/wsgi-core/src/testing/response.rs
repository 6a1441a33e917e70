//! What the application answered, and what else is known of the call.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::Breach;
use super::exchange::Reply;
use crate::wire::ResponseHead;
use crate::wsgi::watch::Seen;

/// What came of a request.
///
/// It is what the client has received: no body with `HEAD`, 204 and 304, nothing after it has left. Headers are those of the application, and
/// a `Content-Length` that was derived; what a codec adds (`Date`, `Server`, framing) is not there.
pub struct Response {
    request: String,
    status: StatusCode,
    reply: Reply,
    head: ResponseHead,
    headers: OnceLock<Vec<(String, String)>>,
    seen: Seen,
    pub(super) redirects: Vec<Response>,
}

/// A reply before the final one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Informational {
    /// 103, as WSGI has no way to send others.
    pub status: StatusCode,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

/// An exception that the application let escape.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exception {
    /// Its type: `ValueError`, `mysite.errors.Broken`.
    pub kind: String,
    /// Its text.
    pub message: String,
}

/// When `close()` of the application's iterable was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Closed {
    /// How many blocks the server had taken by then, empty ones too; 0 where it sent a `wsgi.file_wrapper` as a file.
    pub blocks: usize,
    /// Whether the iterable had come to its end. If not, the server needed no more (all of `Content-Length` was there), the client had left, or
    /// something was wrong.
    pub at_end: bool,
}

impl Response {
    pub(super) fn new(request: String, mut reply: Reply, seen: Seen) -> Response {
        let head = reply.head.take().unwrap_or_default();
        let status = StatusCode::from_u16(head.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Response { request, status, reply, head, headers: OnceLock::new(), seen, redirects: Vec::new() }
    }

    /// Method and target of the request, such as `GET /login?next=/`.
    pub fn request(&self) -> &str {
        &self.request
    }

    /// The status code. It compares with numbers: `response.status() == 200`.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The text after it.
    pub fn reason(&self) -> Cow<'_, str> {
        latin1(self.head.status_line().get(4..).unwrap_or_default())
    }

    /// Every header, in the order in which the application gave them, one character for each byte.
    pub fn headers(&self) -> &[(String, String)] {
        self.headers.get_or_init(|| fields(&self.head))
    }

    /// The value of the first header of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The values of all headers of this name, in any case.
    pub fn header_all(&self, name: &str) -> Vec<&str> {
        self.headers().iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// The headers as the crate `http` has them, for the parsers that others have written for it.
    pub fn header_map(&self) -> HeaderMap {
        let pairs = self.head.fields().filter_map(|(name, value)| {
            // Names are tokens and values have no control characters, or they would not be in the head.
            Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
        });
        pairs.collect()
    }

    /// The body, as far as it came.
    pub fn body(&self) -> &[u8] {
        &self.reply.body
    }

    /// The body as text, in UTF-8; what is none is replaced.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.body())
    }

    /// The body, read as JSON.
    ///
    /// # Panics
    /// If it is no JSON, or not of this type.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(self.body()) {
            Ok(value) => value,
            Err(error) => panic!("the body of {self:?} cannot be read as JSON: {error}"),
        }
    }

    /// The body as it was yielded and written, block by block. Empty blocks are nothing; one of more than a megabyte comes in several.
    pub fn blocks(&self) -> Vec<&[u8]> {
        self.reply.blocks().collect()
    }

    /// The replies that came before this one: 103 Early Hints.
    pub fn informational(&self) -> Vec<Informational> {
        let informational =
            |head: &ResponseHead| Some(Informational { status: StatusCode::from_u16(head.code()).ok()?, headers: fields(head) });
        self.reply.informational.iter().filter_map(informational).collect()
    }

    /// What was written to `wsgi.errors` during this call, with the server's traceback of what the application let escape. It goes here and
    /// not to [`Application::errors`](crate::Application::errors).
    pub fn errors(&self) -> &str {
        &self.seen.errors
    }

    /// The exception that the application let escape, from its call, its iterable or `close()`; the first, if there are several.
    pub fn exception(&self) -> Option<&Exception> {
        self.seen.exception.as_ref()
    }

    /// When `close()` was called; `None` if the application returned no iterable that has one, a list for example.
    pub fn closed(&self) -> Option<Closed> {
        self.seen.closed
    }

    /// Whether the reply broke off, so that a client can tell that it is not whole: the application failed after the headers were out, gave
    /// less than its `Content-Length`, or the client has left.
    pub fn aborted(&self) -> bool {
        !self.reply.whole()
    }

    /// In which ways the application broke PEP 3333 during this call. What earlier calls of the same client have left behind, such as a
    /// `wsgi.input` that is still read, is listed with the call during which it was noticed.
    pub fn breaches(&self) -> &[Breach] {
        &self.seen.breaches
    }

    /// How many bytes of the request's body were read.
    pub fn body_read(&self) -> u64 {
        self.reply.read
    }

    /// The redirects that were followed to get here, the first first.
    pub fn redirects(&self) -> &[Response] {
        &self.redirects
    }

    /// The values of `Set-Cookie`.
    pub(super) fn set_cookie_lines(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"Set-Cookie")).map(|(_, value)| latin1(value))
    }
}

/// For a failing test's message: everything, the body as text.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Response");
        out.field("request", &self.request)
            .field("status", &self.status)
            .field("headers", &self.headers())
            .field("body", &shown(&self.text()));
        if self.aborted() {
            out.field("aborted", &true);
        }
        if let Some(exception) = self.exception() {
            out.field("exception", exception);
        }
        if !self.breaches().is_empty() {
            out.field("breaches", &self.breaches());
        }
        if !self.errors().is_empty() {
            out.field("errors", &self.errors());
        }
        out.finish_non_exhaustive()
    }
}

/// As much of a body as a message bears.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}... ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

fn fields(head: &ResponseHead) -> Vec<(String, String)> {
    head.fields().map(|(name, value)| (latin1(name).into_owned(), latin1(value).into_owned())).collect()
}

/// One character for each byte, which is the `str` that the application gave.
fn latin1(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

const SHOWN_CHARACTERS: usize = 2000;
