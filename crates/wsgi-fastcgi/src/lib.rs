//! FastCGI 1.0, the Responder role: read and answered, asked and understood. Bytes in, events out; sockets are someone else's.
//!
//! This is what nginx (`fastcgi_pass`), Apache (`mod_proxy_fcgi`), lighttpd, HAProxy and Caddy speak to the application server behind them.
//! [`FastCgi`] is what a listener speaks: a [`Dialect`] that makes a codec, a [`Protocol`], for each connection. [`client`] is the other side,
//! for gateways in front of FastCGI servers. Neither needs Python: the crate builds on a machine that has none.
//!
//! ```
//! use bytes::BytesMut;
//! use wsgi_core::wire::{Address, Dialect, Event, HttpDate, Known, Link, Next, RequestHead, ResponseHead};
//! use wsgi_fastcgi::FastCgi;
//! use wsgi_fastcgi::client::{self, Reply, Request};
//!
//! // What a front server sends …
//! let request = Request::new(1).keep_connection(true);
//! let mut sent = Vec::new();
//! request.begin([("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/café"), ("CONTENT_LENGTH", "5")], &mut sent)?;
//! request.body(b"hello", &mut sent);
//! request.end_body(&mut sent);
//!
//! // … is understood …
//! let mut codec = FastCgi::new().connect(&Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false });
//! let (mut input, mut head, mut out) = (BytesMut::from(&sent[..]), RequestHead::default(), Vec::new());
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::Head);
//! assert_eq!(head.get(Known::PathInfo), Some("/café".as_bytes()));
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::Body("hello".into()));
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::EndOfBody);
//!
//! // … answered …
//! let mut reply = ResponseHead::new(b"202 Accepted")?;
//! reply.field(b"Content-Type", b"text/plain")?;
//! codec.start(&reply, &HttpDate::from_unix(0), &mut out);
//! codec.data(b"hi\n", &mut out);
//! assert_eq!(codec.finish(&mut out), Next::Request);
//!
//! // … and the answer is understood.
//! let (mut reply, mut input, mut head) = (Reply::to(request, b"POST"), BytesMut::from(&out[..]), ResponseHead::default());
//! assert_eq!(reply.poll(&mut input, &mut head)?, client::Event::Head);
//! assert_eq!((head.status_line(), head.lines()), (&b"202 Accepted"[..], &b"Content-Type: text/plain\r\n"[..]));
//! assert_eq!(reply.poll(&mut input, &mut head)?, client::Event::Body("hi\n".into()));
//! assert!(matches!(reply.poll(&mut input, &mut head)?, client::Event::End(end) if end.is_complete()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the engine of [`wsgi_core::server`], on a Unix socket and on a port:
//!
//! ```no_run
//! use wsgi_core::server::{Listener, Server};
//! use wsgi_fastcgi::FastCgi;
//! # struct Hello;
//! # impl wsgi_core::Handler for Hello { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//!
//! Server::new(Hello)
//!     .listen(Listener::bind(&"/run/app.sock".parse()?)?, FastCgi::new())
//!     .listen(Listener::bind(&"127.0.0.1:9000".parse()?)?, FastCgi::new())
//!     .start()?
//!     .wait();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is spoken
//!
//! **In scope:** records cut and padded in any way; connections that are kept (`FCGI_KEEP_CONN`) and used again, also after a reply that came
//! before the request's body; bodies with and without `CONTENT_LENGTH`; `FCGI_GET_VALUES`; `FCGI_ABORT_REQUEST`; `FCGI_STDERR`.
//!
//! **Out of scope:** several requests at once on one connection: FastCGI has no flow control for each of them, so one slow request would hold
//! up the others. A web server that asks is told so (`FCGI_MPXS_CONNS` is 0), and a second request gets `FCGI_CANT_MPX_CONN` while the first
//! goes on. The roles of authorizer and filter get `FCGI_UNKNOWN_ROLE`. `FCGI_WEB_SERVER_ADDRS` and the listening descriptor 0 are the engine's.
//!
//! # What the application sees
//!
//! The variables as the front server sent them, bytes and all: nothing is decoded, which the front server has done. Of several with one name
//! the last counts. The exceptions:
//!
//! | variable | what becomes of it |
//! |---|---|
//! | `HTTP_CONTENT_TYPE`, `HTTP_CONTENT_LENGTH`, `HTTP_PROXY` | left out, as for every protocol of `wsgi-core` |
//! | `CONTENT_LENGTH` | left out if it is empty, or `-1` (Caddy's word for a chunked body); anything else but a decimal number is a 400 |
//! | `REQUEST_METHOD` | without it the request is a 400 that says what to include in nginx |
//! | `SCRIPT_NAME`, `PATH_INFO` | always there; most front servers send the whole path as `SCRIPT_NAME`: see [`Paths`] |
//! | `SERVER_PROTOCOL` | `HTTP/1.1` where it is missing or empty |
//! | `REMOTE_ADDR` and `REMOTE_PORT` | the connection's where there is no `REMOTE_ADDR`; empty and left out on a Unix socket |
//! | `SERVER_NAME` | where it is missing or empty (nginx without `server_name`) `SERVER_ADDR`, or else the connection's, or `localhost` |
//! | `SERVER_PORT` | the connection's, if `SERVER_NAME` is; left out where it is empty otherwise, for the port of the scheme |
//! | `GATEWAY_INTERFACE`, `RAW_URI` | `CGI/1.1`, and the same as `REQUEST_URI`, unless they are sent |
//!
//! A body of unknown length ([`BodyLength::Unknown`](wsgi_core::wire::BodyLength::Unknown)) ends where its stream does. One that ends before
//! its declared length is an error to whoever reads it, never an end; what goes beyond it is not read (RFC 3875, 4.2).
//!
//! **Whoever can connect chooses every variable**, also `REMOTE_ADDR`, `REMOTE_USER` and `HTTPS`: nobody but the front server should get in,
//! and the dialect says so ([`Dialect::trusts_peer`]).
//!
//! # What is sent back
//!
//! `Status`, the fields of the reply, an empty line and the body, in as few records as that takes; then the end of the stream, and
//! `FCGI_END_REQUEST`. Never a status line, chunks, `Connection`, `Date` or `Server`: these are the front server's.
//!
//! A reply that **breaks off** is the hard part, since the protocol has no word for it. Each of these was tried with a reply of unknown length
//! after its first 31,000 bytes, over TCP and over a Unix socket; "whole" means that the front server ended its own reply as a complete one:
//!
//! | what the front server gets | nginx 1.22 | nginx, `fastcgi_keep_conn` | HAProxy 2.6 | Apache 2.4.71 | lighttpd 1.4.69 | Caddy 2.6 |
//! |---|---|---|---|---|---|---|
//! | `END_REQUEST` with any status | whole | whole | whole | whole | whole | whole |
//! | the end of the connection | whole | broken | broken | broken | whole | whole |
//! | a reset (TCP only; a Unix socket has none) | broken | broken | broken | broken | whole | whole |
//! | a record of version 0 | broken | broken | whole | broken | whole | whole |
//! | **a record that only web servers may send, and the end of the connection** | broken | broken | broken | broken | whole | whole |
//!
//! So that is what [`Protocol::abort`] sends: an `FCGI_ABORT_REQUEST`. With a `Content-Length` in the reply every one of them notices, lighttpd
//! and Caddy too; without one nothing makes these two.
//!
//! # What is refused
//!
//! | sent | answer |
//! |---|---|
//! | HTTP, a TLS handshake, uwsgi, SCGI, a PROXY header | 400 with a sentence that says what to use instead, to HTTP in a form that a browser shows |
//! | a record of another version than 1, a record of a request with the id 0, a `BEGIN_REQUEST` that is not 8 bytes long | 400 |
//! | `STDIN` before the end of `PARAMS`, `PARAMS` after their end, a request that begins twice | 400 |
//! | a parameter that runs past the end of its stream, an empty name | 400 |
//! | more than [`Limits::head_bytes`] of parameters, more of them than [`Limits::fields`] | 431 |
//! | a body longer than [`Limits::body_bytes`] | 413; before any of it is read, where its length is declared |
//! | management records of an unknown type | `FCGI_UNKNOWN_TYPE`, and the connection goes on |
//! | other records of an unknown type, or of a request that is not open | nothing; beyond 1 MiB of them between two requests the connection ends |
//!
//! A status goes out as a page of its own, and the connection closes after it.
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

pub mod client;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod params;
mod record;
mod reply;
mod request;
mod server;

use std::sync::Arc;

use wsgi_core::wire::{Dialect, Limits, Link, Paths, Protocol};

use crate::request::Settings;
use crate::server::Connection;

/// FastCGI as a listener speaks it: makes the codec of each connection.
///
/// Clones are cheap and share their settings.
///
/// ```
/// use wsgi_core::wire::{Limits, PathRule, Paths};
/// use wsgi_fastcgi::FastCgi;
///
/// let fastcgi = FastCgi::new()
///     .limits(Limits { body_bytes: Some(100 * 1024 * 1024), ..Limits::default() })
///     .paths(Paths::new(PathRule::Auto).mount("/app"))
///     .log_to_peer(true);
/// ```
#[derive(Clone, Debug)]
pub struct FastCgi {
    settings: Arc<Settings>,
}

impl FastCgi {
    /// FastCGI with the default [`Limits`] and [`Paths`], that keeps its log to itself.
    pub fn new() -> FastCgi {
        let settings = Settings { limits: Limits::default(), paths: Paths::default(), log_to_peer: false, connections: CONNECTIONS };
        FastCgi { settings: Arc::new(settings) }
    }

    /// Sets the bounds on what a request may hold.
    pub fn limits(mut self, limits: Limits) -> FastCgi {
        Arc::make_mut(&mut self.settings).limits = limits;
        self
    }

    /// Says how `SCRIPT_NAME` and `PATH_INFO` are found in what the front server sends. The default suits most of them; see [`Paths`].
    pub fn paths(mut self, paths: Paths) -> FastCgi {
        Arc::make_mut(&mut self.settings).paths = paths;
        self
    }

    /// Whether text for the log goes to the web server as `STDERR`, which writes it to its own log of errors. False by default.
    ///
    /// Of a Python application this is what it writes to `wsgi.errors`, and the tracebacks of exceptions that it does not handle. It goes out with
    /// the reply's next block, or when the application calls `wsgi.errors.flush()`. What is written behind the reply's end (by `close()`, by
    /// threads that go on) or when the web server has given the request up still goes to the sink of the application. nginx cuts
    /// an entry of its log after 2 KiB, so a long text goes out as several, of whole lines; its `error_log` must take the level `error`.
    /// HAProxy throws the text away unless it is told to log it (`log-stderr global`), and Caddy 2.6 throws it away whatever it is told.
    pub fn log_to_peer(mut self, to_peer: bool) -> FastCgi {
        Arc::make_mut(&mut self.settings).log_to_peer = to_peer;
        self
    }

    /// What a web server that asks (`FCGI_MAX_CONNS`, `FCGI_MAX_REQS`) is told of how many connections it may open, each for one request at a
    /// time. It is not enforced here: that is the listener's part. 16,384 by default, like the engine's own bound.
    pub fn max_connections(mut self, connections: u32) -> FastCgi {
        Arc::make_mut(&mut self.settings).connections = connections;
        self
    }
}

impl Default for FastCgi {
    fn default() -> FastCgi {
        FastCgi::new()
    }
}

impl Dialect for FastCgi {
    fn connect(&self, link: &Link) -> Box<dyn Protocol> {
        Box::new(Connection::new(Arc::clone(&self.settings), link))
    }

    fn trusts_peer(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "fastcgi"
    }
}

const CONNECTIONS: u32 = 16 * 1024;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
