//! A request that is being put together, and the call that it ends in.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::Extensions;

use super::client::Client;
use super::encode::{Multipart, form};
use super::exchange::{Input, Memory, Observer, Reply, Sent, Source, Then};
use super::redirect;
use super::response::Response;
use super::{Breach, Weight};
use crate::wire::{BodyLength, Known, RequestHead, Underscores};
use crate::wsgi::kept;
use crate::wsgi::watch::{self, Record};

/// A request to a test client's application. Made by [`Client::get`] and its like; nothing happens until [`send`](Self::send).
///
/// What is put together wrongly, such as a header with a line end in it, is a panic that says so: that is the test's mistake and not the
/// application's.
#[must_use = "nothing is asked until `send` is called"]
pub struct Request<'c> {
    client: &'c Client<'c>,
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    variables: Vec<(Vec<u8>, Vec<u8>)>,
    extensions: Extensions,
    body: Body<'c>,
    /// What the body is, unless a field says it.
    content_type: Option<String>,
    secure: bool,
    http10: bool,
    remote: SocketAddr,
    prefix: String,
    leave_after: Option<usize>,
    observer: Option<Observer<'c>>,
    follow: bool,
}

enum Body<'c> {
    None,
    Whole(Bytes),
    Chunked(Vec<Bytes>),
    Breaks {
        sent: Bytes,
        declared: u64,
    },
    From {
        source: Source<'c>,
        length: Option<u64>,
    },
    /// It came from a source that is used up.
    Gone,
}

impl<'c> Request<'c> {
    pub(super) fn new(client: &'c Client<'c>, method: &str, target: &str) -> Request<'c> {
        Request {
            client,
            method: method.to_owned(),
            target: target.to_owned(),
            fields: Vec::new(),
            variables: Vec::new(),
            extensions: Extensions::new(),
            body: Body::None,
            content_type: None,
            secure: false,
            http10: false,
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)),
            prefix: String::new(),
            leave_after: None,
            observer: None,
            follow: false,
        }
    }

    /// Adds a field of the header, such as `Accept`. One that is added twice is sent twice.
    ///
    /// # Panics
    /// If this is no name of a field, has a `_` in it (which servers drop, as CGI cannot tell it from `-`), or the value has a line end in it.
    #[track_caller]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Request<'c> {
        let value = value.as_ref();
        assert!(http::HeaderName::from_bytes(name.as_bytes()).is_ok() && !name.contains('_'), "{name:?} is no name of a header field");
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)), "the value of {name} has a line end or NUL in it");
        self.fields.push((name.to_owned(), value.to_vec()));
        self
    }

    /// Adds names and values to the query, encoded as a browser does it.
    pub fn query<N: AsRef<str>, V: AsRef<str>>(mut self, pairs: &[(N, V)]) -> Request<'c> {
        if !pairs.is_empty() {
            let separator = if self.target.contains('?') { '&' } else { '?' };
            self.target.push(separator);
            self.target.push_str(&form(pairs));
        }
        self
    }

    /// A body of these bytes. `Content-Type` is yours to say.
    pub fn body(mut self, body: impl Into<Bytes>) -> Request<'c> {
        self.body = Body::Whole(body.into());
        self
    }

    /// A body as a browser makes it of a form.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(self, pairs: &[(N, V)]) -> Request<'c> {
        self.body(form(pairs)).content_type("application/x-www-form-urlencoded")
    }

    /// A body as a browser makes it of a form with files.
    pub fn multipart(self, form: &Multipart) -> Request<'c> {
        let (content_type, body) = form.encode();
        self.body(body).content_type(&content_type)
    }

    /// A body of JSON, as this text has it.
    pub fn json_text(self, text: impl Into<String>) -> Request<'c> {
        self.body(text.into()).content_type("application/json")
    }

    /// A body of JSON.
    ///
    /// # Panics
    /// If the value cannot be written as JSON, such as a map whose keys are no strings.
    #[cfg(feature = "json")]
    #[track_caller]
    pub fn json(self, value: &impl serde::Serialize) -> Request<'c> {
        match serde_json::to_string(value) {
            Ok(text) => self.json_text(text),
            Err(error) => panic!("the body cannot be written as JSON: {error}"),
        }
    }

    /// A body whose length is not known beforehand, in these pieces. By default the application sees it gathered, with a length; see
    /// [`Application::unsized_body`](crate::Application::unsized_body).
    pub fn chunked<P: Into<Bytes>>(mut self, pieces: impl IntoIterator<Item = P>) -> Request<'c> {
        self.body = Body::Chunked(pieces.into_iter().map(Into::into).collect());
        self
    }

    /// A body that breaks off: of `declared` bytes only these are sent, then the client goes away. Who reads further gets an `OSError`.
    pub fn body_that_breaks(mut self, sent: impl Into<Bytes>, declared: u64) -> Request<'c> {
        self.body = Body::Breaks { sent: sent.into(), declared };
        self
    }

    /// A body that is made while it is read: `source` is called with a number of bytes, gives at most that many, and none at the end. It may
    /// block, and may fail. It may declare its length, and is not asked for more then; without one it is as [`chunked`](Self::chunked).
    pub fn body_from(mut self, length: Option<u64>, source: impl FnMut(usize) -> io::Result<Bytes> + Send + 'c) -> Request<'c> {
        self.body = Body::From { source: Box::new(source), length };
        self
    }

    fn content_type(mut self, content_type: &str) -> Request<'c> {
        self.content_type = Some(content_type.to_owned());
        self
    }

    /// Comes over TLS: `wsgi.url_scheme` is `https`.
    pub fn https(mut self) -> Request<'c> {
        self.secure = true;
        self
    }

    /// Comes from a client of HTTP/1.0, which has no 103 Early Hints, and sends no `Host` unless it is set.
    pub fn http10(mut self) -> Request<'c> {
        self.http10 = true;
        self
    }

    /// Comes from this address.
    pub fn remote(mut self, address: SocketAddr) -> Request<'c> {
        self.remote = address;
        self
    }

    /// Sets any CGI variable, instead of what the request says otherwise: `REMOTE_USER`, `SERVER_NAME`, `HTTP_X_FORWARDED_FOR`.
    pub fn variable(mut self, name: &str, value: impl AsRef<[u8]>) -> Request<'c> {
        self.variables.push((name.as_bytes().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Puts a typed value beside the request, as a handler in front may: for [`Exchange::extensions`](crate::Exchange::extensions) and
    /// [`Application::per_request`](crate::Application::per_request). One value of each type.
    pub fn extension<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Request<'c> {
        self.extensions.insert(value);
        self
    }

    /// Finds the application mounted at a prefix such as `/shop`, which moves from `PATH_INFO` to `SCRIPT_NAME`. The target has it in front, as
    /// the URL does.
    ///
    /// # Panics
    /// In [`send`](Self::send), if the target is not below the prefix.
    pub fn mounted_at(mut self, prefix: &str) -> Request<'c> {
        self.prefix = prefix.trim_end_matches('/').to_owned();
        self
    }

    /// Goes away after this many blocks of the body, before the application is asked for the next.
    pub fn leave_after(mut self, blocks: usize) -> Request<'c> {
        self.leave_after = Some(blocks);
        self
    }

    /// Calls `observer` with everything that is sent, when it is sent: a block before the application is asked for the next. So a test can
    /// show that nothing is held back. What it gives is whether the client is still there; after a `false` it has gone.
    pub fn observe(mut self, observer: impl FnMut(Sent<'_>) -> bool + Send + 'c) -> Request<'c> {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Follows redirects to the same host and the same [mount](Self::mounted_at), as a browser does (RFC 9110, 15.4). What came before the last
    /// response is in [`Response::redirects`].
    ///
    /// # Panics
    /// In [`send`](Self::send), if there is no end to them.
    pub fn follow_redirects(mut self) -> Request<'c> {
        self.follow = true;
        self
    }

    /// Calls the application on this thread, and gives what it answers. Attaches to Python by itself.
    ///
    /// # Panics
    /// If the client is [strict](Client::strict) and the application breaks PEP 3333; if the request was put together wrongly.
    #[track_caller]
    pub fn send(mut self) -> Response {
        kept::keep();
        let mut before = Vec::new();
        loop {
            let mut response = self.exchange();
            if self.client.strict {
                check(&response);
            }
            match self.follow.then(|| self.redirected(&response)).flatten() {
                None => {
                    response.redirects = before;
                    return response;
                }
                Some(next) => {
                    assert!(before.len() < MOST_REDIRECTS, "redirected more than {MOST_REDIRECTS} times, at last to {}", next.target);
                    before.push(response);
                    self = next;
                }
            }
        }
    }

    /// One request, one response.
    fn exchange(&mut self) -> Response {
        let client = self.client;
        let mut head = client.take_head();
        self.fill(&mut head);
        let for_head = self.method == "HEAD";
        let mut memory = Memory {
            head,
            extensions: self.extensions.clone(),
            input: self.input(),
            multithread: client.multithread,
            for_head,
            http10: self.http10,
            leave_after: self.leave_after,
            observer: self.observer.take(),
            reply: Reply::default(),
        };
        let record = Arc::new(Record::new(for_head, &client.late));
        watch::during(&record, || client.handler().handle(&mut memory));
        memory.conclude();
        let Memory { head, observer, reply, .. } = memory;
        self.observer = observer;
        client.keep_head(head);
        let seen = record.conclude(reply.body.len() as u64, reply.left());
        let response = Response::new(format!("{} {}", self.method, self.target), reply, seen);
        self.receive_cookies(&response);
        response
    }

    fn fill(&self, head: &mut RequestHead) {
        head.set(Known::RequestMethod, self.method.as_bytes());
        if let Err(error) = head.target(self.target.as_bytes()) {
            panic!("{} {}: {error}", self.method, self.target);
        }
        head.set(Known::ServerProtocol, if self.http10 { b"HTTP/1.0" } else { b"HTTP/1.1" });
        head.set(Known::ServerName, HOST.as_bytes());
        head.set(Known::ServerPort, if self.secure { b"443" } else { b"80" });
        if self.remote == SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000)) {
            // Nearly always, and formatting an address takes its time.
            head.set(Known::RemoteAddr, b"127.0.0.1");
            head.set(Known::RemotePort, b"50000");
        } else {
            head.set(Known::RemoteAddr, self.remote.ip().to_string().as_bytes());
            head.set(Known::RemotePort, self.remote.port().to_string().as_bytes());
        }
        if self.secure {
            head.set(Known::Https, b"on");
        }
        for (name, value) in &self.fields {
            if let Err(error) = head.field(name.as_bytes(), value, Underscores::Refuse) {
                panic!("{} {}: {error}", self.method, self.target);
            }
        }
        if head.get(Known::HttpHost).is_none() && !self.http10 {
            head.set(Known::HttpHost, HOST.as_bytes());
        }
        if let Some(cookies) = self.client.jar().send(self.secure, self.host_name(), self.path()) {
            if head.field(b"Cookie", cookies.as_bytes(), Underscores::Refuse).is_err() {
                unreachable!("a cookie is no field that may stand only once");
            }
        }
        self.fill_body(head);
        if !self.prefix.is_empty() {
            self.mount(head);
        }
        for (name, value) in &self.variables {
            head.variable(name, value);
        }
    }

    fn fill_body(&self, head: &mut RequestHead) {
        let length = match &self.body {
            Body::None | Body::Gone => None,
            Body::Whole(body) => Some(body.len() as u64),
            Body::Breaks { declared, .. } => Some(*declared),
            Body::From { length: Some(length), .. } => Some(*length),
            Body::Chunked(_) | Body::From { length: None, .. } => {
                head.set(Known::HttpTransferEncoding, b"chunked");
                head.set_body(BodyLength::Unknown);
                None
            }
        };
        match length {
            // RFC 9110, 8.6: a user agent says so where the method anticipates a body.
            None if matches!(self.body, Body::None) && matches!(self.method.as_str(), "POST" | "PUT" | "PATCH") => {
                head.set(Known::ContentLength, b"0");
            }
            None => {}
            Some(length) => {
                head.set(Known::ContentLength, length.to_string().as_bytes());
                if length > 0 {
                    head.set_body(BodyLength::Known(length));
                }
            }
        }
        if let Some(content_type) = self.content_type.as_deref().filter(|_| head.get(Known::ContentType).is_none()) {
            head.set(Known::ContentType, content_type.as_bytes());
        }
    }

    /// D17.
    fn mount(&self, head: &mut RequestHead) {
        let path = head.get(Known::PathInfo).unwrap_or_default();
        match path.strip_prefix(self.prefix.as_bytes()) {
            Some(rest) if rest.is_empty() || rest[0] == b'/' => {
                let rest = rest.to_vec();
                head.set(Known::PathInfo, &rest);
                head.set(Known::ScriptName, self.prefix.as_bytes());
            }
            _ => panic!("{} {}: the target is not below {}, where the application is mounted", self.method, self.target, self.prefix),
        }
    }

    fn input(&mut self) -> Input<'c> {
        match &self.body {
            Body::None | Body::Gone => Input::default(),
            Body::Whole(body) if body.is_empty() => Input::default(),
            Body::Whole(body) => Input { pieces: [body.clone()].into(), then: Then::End },
            // An empty piece would be taken for the end.
            Body::Chunked(pieces) => Input { pieces: pieces.iter().filter(|piece| !piece.is_empty()).cloned().collect(), then: Then::End },
            Body::Breaks { sent, .. } => {
                Input { pieces: [sent.clone()].into_iter().filter(|piece| !piece.is_empty()).collect(), then: Then::Breaks }
            }
            Body::From { .. } => match std::mem::replace(&mut self.body, Body::Gone) {
                Body::From { source, length } => Input { pieces: Default::default(), then: Then::Source(source, length) },
                _ => Input::default(),
            },
        }
    }

    /// `Host`, with its port if it has one.
    fn host(&self) -> &str {
        let field = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("Host"));
        field.and_then(|(_, value)| std::str::from_utf8(value).ok()).unwrap_or(HOST)
    }

    fn host_name(&self) -> &str {
        let host = self.host();
        match host.rfind(':') {
            Some(at) if !host[at..].contains(']') => &host[..at],
            _ => host,
        }
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn receive_cookies(&self, response: &Response) {
        let mut lines = response.set_cookie_lines().peekable();
        if lines.peek().is_some() {
            let mut jar = self.client.jar();
            lines.for_each(|line| jar.receive(&line, self.host_name(), self.path()));
        }
    }

    /// The request that a redirect asks for; `None` if this is none that can be followed.
    fn redirected(&mut self, response: &Response) -> Option<Request<'c>> {
        let becomes_get = redirect::becomes_get(response.status().as_u16(), &self.method)?;
        let place = redirect::follow(response.header("Location")?, self.secure, self.host(), &self.target)?;
        if !below(&place.target, &self.prefix) {
            return None;
        }
        let mut next = Request::new(self.client, if becomes_get { "GET" } else { &self.method }, &place.target);
        next.secure = place.secure;
        next.fields = std::mem::take(&mut self.fields);
        if becomes_get {
            next.fields.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
        } else if matches!(self.body, Body::Gone) {
            // It cannot be sent again.
            self.fields = next.fields;
            return None;
        } else {
            next.body = std::mem::replace(&mut self.body, Body::None);
            next.content_type = self.content_type.take();
        }
        next.variables = std::mem::take(&mut self.variables);
        next.extensions = std::mem::take(&mut self.extensions);
        next.observer = self.observer.take();
        next.prefix = std::mem::take(&mut self.prefix);
        (next.http10, next.remote, next.leave_after, next.follow) = (self.http10, self.remote, self.leave_after, true);
        Some(next)
    }
}

impl std::fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

/// Whether a target is that of an application which is mounted at this prefix.
fn below(target: &str, prefix: &str) -> bool {
    target.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// Panics if there is a breach that matters.
#[track_caller]
fn check(response: &Response) {
    let bad: Vec<&Breach> = response.breaches().iter().filter(|breach| breach.weight == Weight::Error).collect();
    if !bad.is_empty() {
        let list: String = bad.iter().map(|breach| format!("\n  - {breach}")).collect();
        let errors = if response.errors().is_empty() { String::new() } else { format!("\nwsgi.errors:\n{}", response.errors()) };
        panic!("{}: the application breaks PEP 3333:{list}{errors}", response.request());
    }
}

/// Where requests go unless they say otherwise.
const HOST: &str = "localhost";
const MOST_REDIRECTS: usize = 20;
