//! One request from its head to the head of its response.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response, Version, header};
use wsgi_core::wire::{BodyLength, Error, RequestHead};
use wsgi_core::workers::{self, Call, Reply, Workers};

use super::body::WsgiBody;
use super::pump::{Ahead, Upload};
use super::{BoxError, Config, request, response};

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
    /// The application is at work, or will be.
    Called { call: Option<Call>, upload: Option<Upload>, wake: Option<Wake> },
}

/// A request whose body is being read.
struct Reading {
    workers: Workers,
    config: Arc<Config>,
    request: workers::Request,
    version: Version,
    upload: Upload,
    ahead: Ahead,
}

/// What wakes a thread for a request that is enqueued: not at once, but when the tasks that are ready now have run. They may bring requests too,
/// and a thread that is woken for the first of them may take the processor from the rest: two changes of threads for each, instead of for all.
struct Wake {
    workers: Workers,
    yielded: bool,
}

impl Wake {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            self.workers.wake();
            return Poll::Ready(());
        }
        self.yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
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
                        let version = parts.version;
                        State::Reading(Box::new(Reading { workers, config, request, version, upload, ahead: Ahead::default() }))
                    }
                    upload => call(&workers, &config, request, upload),
                }
            }
            Err(error) => State::Refused(Some(response::refusal(&error, parts.version))),
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
    match workers.enqueue(request) {
        Ok(call) => State::Called { call: Some(call), upload, wake: Some(Wake { workers: workers.clone(), yielded: false }) },
        Err(error) => State::Refused(Some(response::overloaded(error, config.retry_after))),
    }
}

impl Reading {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        self.upload.poll_ahead(context, &mut self.ahead, self.config.read_ahead)
    }

    /// Hands the request on, now that all of its body is there or as much as is read ahead.
    fn done(self, outcome: io::Result<bool>) -> State {
        let Reading { workers, config, mut request, version, upload, mut ahead } = self;
        match outcome {
            Ok(whole) => {
                (request.body, request.whole) = (ahead.take(), whole);
                call(&workers, &config, request, Some(upload).filter(|_| !whole))
            }
            Err(error) => State::Refused(Some(response::broken(&error, version))),
        }
    }
}

impl fmt::Debug for WsgiFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsgiFuture").finish_non_exhaustive()
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
        let (call, upload, wake) = match &mut this.state {
            State::Called { call, upload, wake } => (call, upload, wake),
            State::Refused(response) => return Poll::Ready(Ok(response.take().expect(POLLED_AGAIN))),
            State::Reading(_) => unreachable!("it has just been read"),
        };
        if wake.as_mut().is_some_and(|wake| wake.poll(context).is_ready()) {
            *wake = None;
        }
        let there = call.as_mut().expect(POLLED_AGAIN);
        if upload.as_mut().is_some_and(|upload| !upload.pump(context, there)) {
            *upload = None;
        }
        let head = loop {
            match ready!(there.poll_reply(context)) {
                // There is no way to send these from here.
                Reply::Inform(_) => {}
                Reply::Head(head) => break head,
                _ => return Poll::Ready(Ok(response::failed())),
            }
        };
        Poll::Ready(Ok(response::begun(&head, call.take().expect(POLLED_AGAIN), upload.take(), this.for_head)))
    }
}

const POLLED_AGAIN: &str = "a future that was ready is not polled again";
