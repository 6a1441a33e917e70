//! One request from its head to the head of its response.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use wsgi_core::wire::{BodyLength, Error, RequestHead, ResponseHead};
use wsgi_core::workers::{self, Call, Reply, Workers};

use super::body::WsgiBody;
use super::pump::{Ahead, Upload};
use super::{BoxError, Config, Reason, request};

/// The response to come. Drop it to withdraw the request.
pub struct WsgiFuture {
    state: State,
    /// The request's method is HEAD, so that the body goes nowhere.
    for_head: bool,
}

enum State {
    /// This is the response, whatever the application would say.
    Refused(Option<Response<WsgiBody>>),
    /// The body, or its beginning, is read before a thread is taken.
    Reading(Box<Reading>),
    /// The application is at work.
    Called { call: Option<Call>, upload: Option<Upload> },
}

/// A request whose body is being read.
struct Reading {
    workers: Workers,
    config: Arc<Config>,
    request: workers::Request,
    upload: Upload,
    ahead: Ahead,
}

impl WsgiFuture {
    pub(super) fn new<B>(workers: Workers, config: Arc<Config>, request: Request<B>) -> WsgiFuture
    where
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (mut parts, body) = request.into_parts();
        let for_head = parts.method == Method::HEAD;
        let length = request::body_length(&body, &parts.headers);
        let state = match prepare(&parts, length, &config) {
            Ok(head) => {
                let upload = (length != BodyLength::Empty).then(|| Upload::new(body, length, config.limits.body_bytes));
                let request = workers::Request { head, extensions: std::mem::take(&mut parts.extensions), ..Default::default() };
                match upload {
                    // A peer that waits to be asked is not asked before the application does.
                    Some(upload) if short(length, config.read_ahead) && !parts.headers.contains_key(header::EXPECT) => {
                        State::Reading(Box::new(Reading { workers, config, request, upload, ahead: Ahead::default() }))
                    }
                    upload => call(&workers, &config, request, upload),
                }
            }
            Err(error) => State::Refused(Some(refusal(&error))),
        };
        WsgiFuture { state, for_head }
    }
}

fn prepare(parts: &http::request::Parts, length: BodyLength, config: &Config) -> Result<RequestHead, Error> {
    match (length, config.limits.body_bytes) {
        (BodyLength::Known(length), Some(limit)) if length > limit => Err(Error::BodyTooLarge { limit }),
        _ => request::head(parts, length, config),
    }
}

/// Whether a body is read before its request is handed on.
fn short(body: BodyLength, read_ahead: usize) -> bool {
    match body {
        BodyLength::Empty => false,
        BodyLength::Known(length) => length <= read_ahead as u64,
        BodyLength::Unknown => read_ahead > 0,
    }
}

fn call(workers: &Workers, config: &Config, request: workers::Request, upload: Option<Upload>) -> State {
    match workers.call(request) {
        Ok(call) => State::Called { call: Some(call), upload },
        Err(error) => State::Refused(Some(overloaded(error, config))),
    }
}

impl Reading {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.upload.poll_ahead(context, &mut self.ahead, self.config.read_ahead)
    }

    /// Hands the request on, now that all of its body is there or as much as is read ahead.
    fn done(self, outcome: io::Result<bool>) -> State {
        let Reading { workers, config, mut request, upload, mut ahead } = self;
        match outcome {
            Ok(whole) => {
                (request.body, request.whole) = (ahead.take(), whole);
                call(&workers, &config, request, Some(upload).filter(|_| !whole))
            }
            Err(error) => {
                tracing::info!(target: "wsgi", "request body broke off: {error}");
                State::Refused(Some(broken(&error)))
            }
        }
    }
}

impl Future for WsgiFuture {
    type Output = Result<Response<WsgiBody>, Infallible>;

    /// # Panics
    /// If it is polled after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let State::Reading(reading) = &mut this.state {
            let outcome = ready!(reading.poll(context));
            if let State::Reading(reading) = std::mem::replace(&mut this.state, State::Refused(None)) {
                this.state = reading.done(outcome);
            }
        }
        let (call, upload) = match &mut this.state {
            State::Called { call, upload } => (call, upload),
            State::Refused(response) => return Poll::Ready(Ok(response.take().expect(POLLED_AGAIN))),
            State::Reading(_) => unreachable!("it has just been read"),
        };
        let there = call.as_mut().expect(POLLED_AGAIN);
        if upload.as_mut().is_some_and(|upload| !upload.pump(context, there)) {
            *upload = None;
        }
        let head = loop {
            match ready!(there.poll_reply(context)) {
                // There is no way to send these from here.
                Reply::Inform(_) => {}
                Reply::Head(head) => break head,
                _ => break ResponseHead::plain(StatusCode::INTERNAL_SERVER_ERROR, 0),
            }
        };
        Poll::Ready(Ok(response(&head, call.take().expect(POLLED_AGAIN), upload.take(), this.for_head)))
    }
}

/// The response to a head that has come, and what of its body has.
fn response(head: &ResponseHead, mut call: Call, upload: Option<Upload>, for_head: bool) -> Response<WsgiBody> {
    let silent = for_head || head.bodiless();
    let length = head.content_length();
    // Most replies are whole by now. One that is needs no more polls, and layers see how long it is.
    let body = match call.take_rest() {
        Some(_) if silent => WsgiBody::none(),
        Some(block) => WsgiBody::whole(block),
        None => WsgiBody::coming(call, upload, length.filter(|_| !silent)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = head.status_line().get(4..).unwrap_or_default();
    if response.status().canonical_reason().is_none_or(|usual| usual.as_bytes() != reason) {
        response.extensions_mut().insert(Reason(Bytes::copy_from_slice(reason)));
    }
    fill(head, response.headers_mut());
    response
}

fn fill(head: &ResponseHead, headers: &mut HeaderMap) {
    for (name, value) in head.fields() {
        // A reply of 204 must not have a length (RFC 9110, 8.6), and frameworks give it one.
        if head.code() == 204 && name.eq_ignore_ascii_case(b"Content-Length") {
            continue;
        }
        // Both were checked when they were put in, by the same rules.
        match (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            (Ok(name), Ok(value)) => {
                headers.append(name, value);
            }
            _ => tracing::error!(target: "wsgi", "response field cannot be sent: {:?}", String::from_utf8_lossy(name)),
        }
    }
}

/// A whole response that says why there is no other.
fn plain(status: StatusCode, text: String) -> Response<WsgiBody> {
    let mut response = Response::new(WsgiBody::whole(Bytes::from(text + "\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // The text may quote what was sent; no browser is to take that for a page.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn refusal(error: &Error) -> Response<WsgiBody> {
    tracing::info!(target: "wsgi", "request refused: {error}");
    plain(error.status(), error.to_string())
}

fn broken(error: &io::Error) -> Response<WsgiBody> {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => plain(error.status(), error.to_string()),
        None => plain(StatusCode::BAD_REQUEST, "request body broke off".to_owned()),
    }
}

fn overloaded(refused: workers::Refused, config: &Config) -> Response<WsgiBody> {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, refused.to_string());
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(config.retry_after.as_secs()));
    response
}

const POLLED_AGAIN: &str = "a future that was ready is not polled again";
