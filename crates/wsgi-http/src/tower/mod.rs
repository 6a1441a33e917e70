//! A Python application as a part of a Rust program: [`WsgiService`] is a `tower` service, so it is a route of an axum router, what a hyper
//! server calls, or the innermost of any layers.
//!
//! ```text
//!  http::Request<B> ─▶ CGI variables ─▶ Workers: a thread that is kept for Python ─▶ application(environ, start_response)
//!        body ────────── as it is read ─▶ wsgi.input                                        │
//!  http::Response<WsgiBody> ◀───────────── as it is taken ◀── status, fields, blocks ◀──────┘
//! ```
//!
//! The future and the body do no Python and never block: the application runs on the threads of a [`Workers`], which are as many as requests
//! may run at once. Both ways a bounded number of bytes lies between them, so that a client that stops reading stops the application, and an
//! application that does not read stops the client. Drop the future or the body, as servers do when the client leaves and as timeouts do, and
//! the application's next `yield` or `read` ends with an error, and its `close()` is called.
//!
//! **In scope:** any request body and, by extensions, whatever other layers know. **Out of scope:** routes, TLS, compression, timeouts,
//! limits: there are layers for that.
//!
//! # With axum
//!
//! ```no_run
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use axum::Router;
//! use axum::extract::ConnectInfo;
//! use axum::routing::get;
//! use wsgi_core::Handler;
//! use wsgi_core::workers::Workers;
//! use wsgi_http::tower::WsgiService;
//!
//! /// The application is what `python.load("mysite.wsgi:application")?` gives, of a `wsgi_core::Interpreter`.
//! async fn serve(application: impl Handler + 'static, told_to_end: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
//!     let workers = Workers::builder(application).threads(8).start()?;
//!     let django = WsgiService::new(workers.clone()).peer_from(|info: &ConnectInfo<SocketAddr>| info.0);
//!
//!     let app = Router::new().route("/api/fast", get(|| async { "from Rust" })).fallback_service(django);
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
//!     axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).with_graceful_shutdown(told_to_end).await?;
//!     workers.shutdown();
//!     workers.wait(Duration::from_secs(10)); // blocks; nothing else has to run any more
//!     Ok(())
//! }
//! ```
//!
//! Start the `Interpreter` in `main`, before there is a runtime of several threads, and `stop` it there when this has ended. Without
//! `into_make_service_with_connect_info` axum leaves no `ConnectInfo`, and `REMOTE_ADDR` is not set.
//!
//! Under a prefix: `Router::new().nest_service("/legacy", django.script_name("/legacy"))`. A router takes off the prefix before the service
//! sees it, so the service is told what it was; without that, the links that the application makes lead astray.
//!
//! # What other layers know
//!
//! A layer that authenticates, say, leaves its result in the request's extensions, and [`variables_from`](WsgiService::variables_from) makes a
//! variable of it. Django's `RemoteUserMiddleware` and many others read `REMOTE_USER`:
//!
//! ```
//! # use wsgi_core::{Exchange, Handler, wire::Known, workers::Workers};
//! # use wsgi_http::tower::WsgiService;
//! # struct Application; impl Handler for Application { fn handle(&self, _: &mut dyn Exchange) {} }
//! # let workers = Workers::builder(Application).start()?;
//! #[derive(Clone)]
//! struct User {
//!     name: String,
//! }
//!
//! let service = WsgiService::new(workers).variables_from(|user: &User, head| head.set(Known::RemoteUser, user.name.as_bytes()));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! No client can forge such a variable: none of them begins with `HTTP_`, which is how a client's fields are named.
//!
//! # Where it differs from the server's own HTTP
//!
//! What the server in front (hyper, say) decides is not ours: which requests it refuses, whether fields of replies keep their case (hyper's
//! are lower case), `Date`, chunks. It has no way to send 103 Early Hints, so those are left out. The reason of a status is in the response's
//! extensions as a [`Reason`]; hyper sends it if a layer makes a `hyper::ext::ReasonPhrase` of it.
//!
//! A reply without a body, as to `HEAD`, is sent with its head; an application that goes on nevertheless ends with its next block.

mod body;
mod future;
mod pump;
mod request;
mod response;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Extensions, Request, Response};
use tower_service::Service;
use wsgi_core::wire::{Known, Limits, RequestHead, Underscores};
use wsgi_core::workers::Workers;

pub use self::body::{BodyError, WsgiBody};
pub use self::future::WsgiFuture;
#[cfg(feature = "hyper")]
pub(crate) use self::response::refusal;
use crate::ends;

/// Any error, as request bodies have them.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A handler, such as a Python application, as a `tower` service. Clones are cheap and share the threads and the settings.
///
/// It is always ready and never fails: what goes wrong is a response. When as many requests wait as [`Workers`] lets wait, the response is a
/// 503 with `Retry-After`.
#[derive(Clone)]
pub struct WsgiService {
    workers: Workers,
    config: Arc<Config>,
}

/// The reason that the application gave with its status, such as `Not Here` in `404 Not Here`, in the extensions of a response whose reason is
/// not the usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(pub Bytes);

/// What all requests have in common.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) underscores: Underscores,
    pub(crate) server_name: Option<String>,
    pub(crate) script: Option<Script>,
    pub(crate) read_ahead: usize,
    pub(crate) retry_after: Duration,
    variables: Vec<Arc<Variables>>,
}

/// The path at which the service stands, as it is sent and as CGI has it.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) encoded: String,
    pub(crate) decoded: Vec<u8>,
}

type Variables = dyn Fn(&Extensions, &mut RequestHead) + Send + Sync;

impl WsgiService {
    /// A service that answers with the handler of `workers`. Shut those down when the server has ended.
    pub fn new(workers: Workers) -> WsgiService {
        let config = Config {
            limits: Limits::default(),
            underscores: Underscores::default(),
            server_name: None,
            script: None,
            read_ahead: 64 * 1024,
            retry_after: Duration::from_secs(1),
            variables: Vec::new(),
        };
        WsgiService { workers, config: Arc::new(config) }
    }

    /// Says at which path the service stands, if a router has taken that path off the request's (axum's `nest_service` does): it becomes
    /// `SCRIPT_NAME`, and stands before the path in `REQUEST_URI`. Percent-encoded; a slash at its end does not count.
    ///
    /// Such a router makes `/` of what was the path and nothing more, so the application cannot tell `/app` from `/app/`. Where that matters,
    /// leave the path on (axum's `route_service` does, at `/app` and at `/app/{*rest}`), and let a [`wsgi_core::Mount`] around the application
    /// move it.
    ///
    /// # Panics
    /// If it is no path: it has a `?`, or a `%` without two hexadecimal digits.
    pub fn script_name(mut self, path: &str) -> WsgiService {
        let path = path.trim_end_matches('/');
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        let encoded = format!("{slash}{path}");
        let mut head = RequestHead::default();
        let understood = head.target(encoded.as_bytes()).is_ok() && !encoded.contains('?');
        assert!(encoded.is_empty() || understood, "script name {path:?} is not a percent-encoded path");
        let decoded = head.get(Known::PathInfo).unwrap_or_default().to_vec();
        self.change().script = (!encoded.is_empty()).then_some(Script { encoded, decoded });
        self
    }

    /// Says which extension holds the client's address, for `REMOTE_ADDR` and `REMOTE_PORT`. Requests without that extension have neither.
    ///
    /// A [`Link`](wsgi_core::wire::Link) among the extensions needs no word: it says both ends of the connection and whether it is under TLS.
    pub fn peer_from<T: Clone + Send + Sync + 'static>(
        self,
        address: impl Fn(&T) -> std::net::SocketAddr + Send + Sync + 'static,
    ) -> WsgiService {
        self.variables_from(move |extension: &T, head| {
            let address = address(extension);
            head.set(Known::RemoteAddr, ends::canonical(&address).to_string().as_bytes());
            head.set(Known::RemotePort, address.port().to_string().as_bytes());
        })
    }

    /// Sets variables of `environ` from an extension of the request, where it has one of this type. May be called several times; the later call
    /// has the last word. It sees all that the request itself says, and may change it.
    ///
    /// To say that the client came by TLS, set [`Known::Https`] to `on`.
    pub fn variables_from<T: Clone + Send + Sync + 'static>(
        mut self,
        set: impl Fn(&T, &mut RequestHead) + Send + Sync + 'static,
    ) -> WsgiService {
        self.change().variables.push(Arc::new(move |extensions, head| {
            if let Some(extension) = extensions.get::<T>() {
                set(extension, head);
            }
        }));
        self
    }

    /// Sets `SERVER_NAME`, and so the name in links that applications make for requests without `Host`. Otherwise it is the host that the
    /// request names.
    pub fn server_name(mut self, name: impl Into<String>) -> WsgiService {
        self.change().server_name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// Bounds what a request may hold: of [`Limits`] its body and the number of its fields. The bytes of a head are the server's to bound.
    pub fn limits(mut self, limits: Limits) -> WsgiService {
        self.change().limits = limits;
        self
    }

    /// Says what happens to fields with `_` in their name, which CGI cannot tell from those with `-`. By default they are left out.
    pub fn underscores(mut self, underscores: Underscores) -> WsgiService {
        self.change().underscores = underscores;
        self
    }

    /// Bodies of up to this many bytes are read before a thread is taken, so that a slow sender holds none; 65,536 by default.
    pub fn read_ahead(mut self, bytes: usize) -> WsgiService {
        self.change().read_ahead = bytes;
        self
    }

    /// What `Retry-After` says when there are too many requests, in whole seconds; 1 s by default.
    pub fn retry_after(mut self, time: Duration) -> WsgiService {
        self.change().retry_after = time;
        self
    }

    /// The threads that answer.
    pub fn workers(&self) -> &Workers {
        &self.workers
    }

    fn change(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}

impl fmt::Debug for WsgiService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsgiService").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for WsgiService
where
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<WsgiBody>;
    type Error = Infallible;
    type Future = WsgiFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> WsgiFuture {
        WsgiFuture::new(self.workers.clone(), Arc::clone(&self.config), request)
    }
}
