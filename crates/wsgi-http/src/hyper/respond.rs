//! One request and its response, as hyper gives the one and takes the other.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::hyper::body::Incoming;
use ::hyper::ext::ReasonPhrase;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use tower_service::Service;
use wsgi_core::wire::Error;

use super::Described;
use crate::ends::Ends;
use crate::head::is_authority;
use crate::tower::{BoxError, Reason, WsgiBody, WsgiFuture, WsgiService, refusal};

/// What answers the requests of one connection.
#[derive(Clone)]
pub(super) struct Respond {
    pub(super) service: WsgiService,
    pub(super) ends: Arc<Ends>,
    pub(super) described: Described,
    pub(super) server: HeaderValue,
    pub(super) body_timeout: Duration,
    pub(super) traffic: Arc<Traffic>,
}

/// What is known of a connection besides its bytes.
#[derive(Default)]
pub(super) struct Traffic {
    /// Requests that are not answered yet.
    open: AtomicUsize,
    /// How many there have been.
    total: AtomicUsize,
    /// How many of those that are open wait for the application.
    working: AtomicUsize,
    /// See [`turns`](Traffic::turns).
    turns: AtomicUsize,
    /// Bytes that the peer, or the system for it, has taken.
    written: AtomicUsize,
    /// No further request is taken.
    ending: AtomicBool,
    /// A reply could not be completed, ...
    aborted: AtomicBool,
    /// ... whose end would have been that of the connection.
    until_close: AtomicBool,
}

/// How a reply ended that is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abort {
    /// Its framing tells.
    Framed,
    /// Nothing tells but a reset of the connection.
    UntilClose,
}

impl Traffic {
    /// Whether no request is open, and how many there have been.
    pub(super) fn idle(&self) -> (bool, usize) {
        (self.open.load(Ordering::Relaxed) == 0, self.total.load(Ordering::Relaxed))
    }

    /// Whether there are replies to be sent, as far as is known here, and no request waits for the application.
    pub(super) fn only_sends(&self) -> bool {
        let left = self.open.load(Ordering::Relaxed) > 0 || self.ending.load(Ordering::Relaxed);
        left && self.working.load(Ordering::Relaxed) == 0
    }

    /// Changes whenever the body of a reply is asked for its next block, and when a request begins or ends; it may wrap.
    pub(super) fn turns(&self) -> usize {
        self.turns.load(Ordering::Relaxed)
    }

    /// Says that no further request is taken.
    pub(super) fn end(&self) {
        self.ending.store(true, Ordering::Relaxed);
    }

    /// How many bytes were written; it may wrap.
    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How the last reply ended, if it is not whole.
    pub(super) fn aborted(&self) -> Option<Abort> {
        let how = if self.until_close.load(Ordering::Relaxed) { Abort::UntilClose } else { Abort::Framed };
        self.aborted.load(Ordering::Relaxed).then_some(how)
    }
}

/// A request that is not answered yet.
struct Open {
    traffic: Arc<Traffic>,
    /// It waits for the application, rather than for the peer.
    working: bool,
}

impl Open {
    fn new(traffic: &Arc<Traffic>) -> Open {
        traffic.open.fetch_add(1, Ordering::Relaxed);
        traffic.total.fetch_add(1, Ordering::Relaxed);
        let mut open = Open { traffic: Arc::clone(traffic), working: false };
        open.turn(true);
        open
    }

    fn turn(&mut self, working: bool) {
        self.traffic.turns.fetch_add(1, Ordering::Relaxed);
        match (std::mem::replace(&mut self.working, working), working) {
            (false, true) => drop(self.traffic.working.fetch_add(1, Ordering::Relaxed)),
            (true, false) => drop(self.traffic.working.fetch_sub(1, Ordering::Relaxed)),
            _ => {}
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.turn(false);
        self.traffic.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Respond {
    pub(super) fn call(&self, mut request: Request<Incoming>) -> Responding {
        let open = Open::new(&self.traffic);
        let version = request.version();
        request.extensions_mut().insert(Arc::clone(&self.ends));
        request.extensions_mut().insert(self.described.clone());
        let state = match check(&request) {
            Ok(()) => {
                let limit = self.body_timeout;
                State::Asked(self.service.clone().call(request.map(|body| Timed { body, limit, sleep: None })))
            }
            Err(error) => State::Refused(Some(error)),
        };
        Responding { state, version, server: self.server.clone(), open: Some(open) }
    }
}

/// What hyper lets pass and RFC 9112 does not.
fn check(request: &Request<Incoming>) -> Result<(), Error> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = hosts.next();
    if request.version() == Version::HTTP_11 && host.is_none() {
        return Err(Error::malformed("request has no Host field, which HTTP/1.1 asks for"));
    }
    // Beside the authority of the target no Host field counts, but there must be no choice between two.
    if hosts.next().is_some() {
        return Err(Error::malformed("request has more than one Host field"));
    }
    if host.is_some_and(|host| !host.is_empty() && !is_authority(host.as_bytes())) {
        return Err(Error::malformed("request has a Host field that is no authority"));
    }
    Ok(())
}

/// A response to come.
pub(super) struct Responding {
    state: State,
    version: Version,
    server: HeaderValue,
    open: Option<Open>,
}

enum State {
    Asked(WsgiFuture),
    Refused(Option<Error>),
}

impl Future for Responding {
    type Output = Result<Response<Replied>, std::convert::Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut response = match &mut this.state {
            State::Asked(future) => match ready!(Pin::new(future).poll(context)) {
                Ok(response) => response,
            },
            State::Refused(error) => refusal(&error.take().expect("a future that was ready is not polled again"), this.version),
        };
        if let Some(Reason(reason)) = response.extensions_mut().remove::<Reason>() {
            match ReasonPhrase::try_from(reason) {
                Ok(reason) => drop(response.extensions_mut().insert(reason)),
                // It has control characters, and those were refused long before.
                Err(error) => tracing::error!(target: "wsgi", "reason of a status cannot be sent: {error}"),
            }
        }
        let headers = response.headers_mut();
        if !headers.contains_key(header::SERVER) {
            headers.insert(header::SERVER, this.server.clone());
        }
        let mut open = this.open.take();
        if let Some(open) = &mut open {
            open.turn(false);
        }
        if let (Some(open), Version::HTTP_10 | Version::HTTP_09) = (&open, this.version) {
            open.traffic.until_close.store(!response.headers().contains_key(header::CONTENT_LENGTH), Ordering::Relaxed);
        }
        let alone = this.version == Version::HTTP_2;
        Poll::Ready(Ok(response.map(|body| Replied { body, open, alone })))
    }
}

/// The body of a response, until which the request is open.
pub(super) struct Replied {
    body: WsgiBody,
    open: Option<Open>,
    /// If it breaks off, its stream alone is reset, and the connection goes on.
    alone: bool,
}

impl Body for Replied {
    type Data = bytes::Bytes;
    type Error = <WsgiBody as Body>::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Some(open) = &mut self.open {
            open.turn(frame.is_pending());
        }
        let frame = ready!(frame);
        match (&frame, &self.open) {
            (None, _) => self.open = None,
            (Some(Err(_)), Some(open)) if !self.alone => open.traffic.aborted.store(true, Ordering::Relaxed),
            _ => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a request, each piece of which must come in time.
struct Timed {
    body: Incoming,
    limit: Duration,
    /// Runs while a piece is waited for.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Body for Timed {
    type Data = bytes::Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.sleep = None;
            return Poll::Ready(frame.map(|frame| frame.map_err(|error| broken(&error).into())));
        }
        let limit = this.limit;
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(sleep.as_mut().poll(context));
        // Whoever asks again waits anew.
        sleep.as_mut().reset(Instant::now() + limit);
        let error = Error::Timeout { what: "body", seconds: limit.as_secs() };
        Poll::Ready(Some(Err(io::Error::from(error).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What hyper says of a body, in the words of this crate.
fn broken(error: &::hyper::Error) -> io::Error {
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Error::Truncated("body").into();
    }
    Error::malformed(format!("request body: {error}")).into()
}
