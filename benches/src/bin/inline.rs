//! The least that hyper and Python cost together: one thread for both, so that one slow request stops all others.
//!
//! ```text
//! inline HOST:PORT MODULE
//! ```
//!
//! Every request is answered by `MODULE:application`, called where hyper calls its service. Bodies of requests are not read, and replies are whole
//! before they are sent.

use std::convert::Infallible;
use std::error::Error;
use std::fs::File;
use std::future::{Ready, ready};
use std::io;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use wsgi_core::wire::{Known, RequestHead, ResponseHead, Underscores};
use wsgi_core::{Application, Exchange, Handler, Interpreter};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(module)) = (arguments.next(), arguments.next()) else { return Err("usage: inline HOST:PORT MODULE".into()) };
    let python = Interpreter::builder().python_path(std::env::current_dir()?).start()?;
    let application = python.load(&format!("{module}:application"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut outcome = Ok(());
    // Keeps the thread's Python state, as every thread of `Workers` does.
    application.clone().thread(&mut || outcome = runtime.block_on(serve(&address, &application)));
    Ok(outcome?)
}

async fn serve(address: &str, application: &Application) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let application = application.clone();
        let service = service_fn(move |request| answer(&application, &request));
        // What breaks one connection is nothing to the others.
        tokio::spawn(async move { http1::Builder::new().serve_connection(TokioIo::new(stream), service).await });
    }
}

fn answer(application: &Application, request: &Request<Incoming>) -> Ready<Result<Response<Full<Bytes>>, Infallible>> {
    let mut exchange = Inline { request: head(request), reply: None, body: BytesMut::new() };
    application.handle(&mut exchange);
    let mut response = Response::new(Full::new(exchange.body.freeze()));
    let Some(reply) = exchange.reply else {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return ready(Ok(response));
    };
    *response.status_mut() = StatusCode::from_u16(reply.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.fields() {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            response.headers_mut().append(name, value);
        }
    }
    ready(Ok(response))
}

fn head(request: &Request<Incoming>) -> RequestHead {
    let mut head = RequestHead::default();
    head.set(Known::RequestMethod, request.method().as_str().as_bytes());
    head.set(Known::ServerProtocol, b"HTTP/1.1");
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    // Of a target that hyper took; a benchmark sends no other.
    let _ = head.target(target.as_bytes());
    head.set(Known::ServerName, b"localhost");
    for (name, value) in request.headers() {
        let _ = head.field(name.as_str().as_bytes(), value.as_bytes(), Underscores::Drop);
    }
    head
}

/// One request whose reply is gathered.
struct Inline {
    request: RequestHead,
    reply: Option<ResponseHead>,
    body: BytesMut,
}

impl Exchange for Inline {
    fn head(&self) -> &RequestHead {
        &self.request
    }

    fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.request
    }

    fn inform(&mut self, _: &ResponseHead) {}

    fn start(&mut self, head: &ResponseHead) {
        self.reply.get_or_insert_with(|| head.clone());
    }

    fn started(&self) -> bool {
        self.reply.is_some()
    }

    fn data(&mut self, block: &[u8]) {
        self.body.extend_from_slice(block);
    }

    fn finish(&mut self) {}

    fn abort(&mut self) {
        self.reply = None;
    }

    fn read(&mut self, _: usize) -> io::Result<Bytes> {
        Ok(Bytes::new())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn send_file(&mut self, _: &File, _: Range<u64>) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn disconnected(&mut self) -> bool {
        false
    }

    fn multithread(&self) -> bool {
        false
    }
}
