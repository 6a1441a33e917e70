//! Handlers that are closures, a runtime that gives up after a while, and gates between a test and its handler.

use std::collections::VecDeque;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Empty};
use tower::ServiceExt;
use wsgi_core::wire::ResponseHead;
use wsgi_core::workers::Workers;
use wsgi_core::{Exchange, Handler};
use wsgi_http::tower::{BoxError, WsgiBody, WsgiService};

/// How long anything may take before its test fails. Nothing waits for it to pass.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A handler that is a closure.
pub(crate) struct With<F>(pub(crate) F);

impl<F: Fn(&mut dyn Exchange) + Send + Sync> Handler for With<F> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        (self.0)(exchange);
    }
}

/// A service of one thread.
pub(crate) fn service(handle: impl Fn(&mut dyn Exchange) + Send + Sync + 'static) -> WsgiService {
    WsgiService::new(Workers::builder(With(handle)).start().unwrap())
}

/// A service that answers with the variables it sees, one to a line.
pub(crate) fn show() -> WsgiService {
    service(|exchange| {
        let mut text = Vec::new();
        for (name, value) in exchange.head().iter() {
            text.extend_from_slice(name.as_bytes());
            text.push(b'=');
            text.extend_from_slice(value);
            text.push(b'\n');
        }
        reply(exchange, &text);
    })
}

/// Answers with a body whose length is declared.
pub(crate) fn reply(exchange: &mut dyn Exchange, text: &[u8]) {
    exchange.start(&ResponseHead::plain(StatusCode::OK, text.len() as u64));
    exchange.data(text);
    exchange.finish();
}

/// Answers with the head of a reply of unknown length.
pub(crate) fn start(exchange: &mut dyn Exchange) {
    exchange.start(&ResponseHead::of(StatusCode::OK));
}

/// Reads the whole body of a request.
pub(crate) fn read_all(exchange: &mut dyn Exchange) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match exchange.read(usize::MAX)? {
            piece if piece.is_empty() => return Ok(all),
            piece => all.extend_from_slice(&piece),
        }
    }
}

/// Runs on this thread; a panic when it takes too long.
pub(crate) fn run<R>(future: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, future).await.expect("it comes to an end") })
}

/// The response to one request.
pub(crate) async fn ask<B>(service: &WsgiService, request: Request<B>) -> Response<WsgiBody>
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    service.clone().oneshot(request).await.unwrap()
}

/// Status and whole body of the response to one request.
pub(crate) fn answer<B>(service: &WsgiService, request: Request<B>) -> (u16, String)
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    run(async {
        let response = ask(service, request).await;
        (response.status().as_u16(), text(response).await)
    })
}

/// The whole body of a response.
pub(crate) async fn text<B: http_body::Body<Error: std::fmt::Debug>>(response: Response<B>) -> String {
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The next block of a body.
pub(crate) async fn block<B: http_body::Body<Data = Bytes> + Unpin>(body: &mut B) -> Option<Result<Bytes, B::Error>> {
    body.frame().await.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_else(|_| panic!("no data"))))
}

pub(crate) fn get(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).unwrap()
}

/// A body that is made of frames, and says nothing of its length. It must not be moved once it is polled, as those that are made of futures.
pub(crate) struct Frames(Mutex<VecDeque<Result<Frame<Bytes>, BoxError>>>, PhantomPinned);

impl Frames {
    pub(crate) fn new(frames: impl IntoIterator<Item = Result<Frame<Bytes>, BoxError>>) -> Frames {
        Frames(Mutex::new(frames.into_iter().collect()), PhantomPinned)
    }

    pub(crate) fn of<const N: usize>(blocks: impl IntoIterator<Item = &'static [u8; N]>) -> Frames {
        Frames::new(blocks.into_iter().map(|block| Ok(Frame::data(Bytes::from_static(block)))))
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.as_ref().get_ref().0.lock().unwrap().pop_front())
    }
}

/// Where a handler waits for its test.
pub(crate) struct Gate(Mutex<Receiver<()>>);

pub(crate) fn gate() -> (Sender<()>, Gate) {
    let (open, closed) = channel();
    (open, Gate(Mutex::new(closed)))
}

impl Gate {
    pub(crate) fn pass(&self) {
        self.0.lock().unwrap().recv_timeout(DEADLINE).expect("the gate opens");
    }
}

/// Where a handler tells its test something.
pub(crate) struct Told<T>(Mutex<Sender<T>>);

pub(crate) fn told<T>() -> (Told<T>, Receiver<T>) {
    let (tell, hear) = channel();
    (Told(Mutex::new(tell)), hear)
}

impl<T> Told<T> {
    pub(crate) fn tell(&self, what: T) {
        // The test may be over.
        let _ = self.0.lock().unwrap().send(what);
    }
}

/// What a handler told; blocks the runtime, which has nothing else to do then.
pub(crate) fn hear<T>(hear: &Receiver<T>) -> T {
    hear.recv_timeout(DEADLINE).expect("the handler comes there")
}
