//! The uwsgi protocol, read and answered, and SCGI beside it. Bytes in, events out; sockets are someone else's.
//!
//! This is what nginx (`uwsgi_pass`, `scgi_pass`), Apache (`mod_proxy_uwsgi`, `mod_proxy_scgi`) and lighttpd speak to the application server
//! behind them. [`Uwsgi`] and [`Scgi`] are what a listener speaks: a [`Dialect`](wsgi_core::wire::Dialect) that makes a codec, a
//! [`Protocol`](wsgi_core::wire::Protocol), for each connection. [`client`] is the other side, for gateways in front of uWSGI. Neither needs
//! Python: the crate builds on a machine that has none.
//!
//! ```
//! use bytes::BytesMut;
//! use wsgi_core::wire::{Address, CloseReason, Dialect, Event, HttpDate, Known, Link, Next, RequestHead, ResponseHead};
//! use wsgi_uwsgi_proto::{Uwsgi, client};
//!
//! // What a front server sends …
//! let mut input = Vec::new();
//! let variables = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/café"), ("CONTENT_LENGTH", "5"), ("HTTP_HOST", "example.org")];
//! client::encode(client::WSGI, variables, &mut input)?;
//! input.extend_from_slice(b"hello");
//!
//! // … is understood …
//! let mut codec = Uwsgi::new().connect(&Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false });
//! let (mut input, mut head, mut out) = (BytesMut::from(&input[..]), RequestHead::default(), Vec::new());
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::Head);
//! assert_eq!(head.get(Known::PathInfo), Some("/café".as_bytes()));
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::Body("hello".into()));
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::EndOfBody);
//!
//! // … and answered.
//! let mut reply = ResponseHead::new(b"200 OK")?;
//! reply.set_content_length(3);
//! codec.start(&reply, &HttpDate::from_unix(0), &mut out);
//! codec.data(b"hi\n", &mut out);
//! assert_eq!(codec.finish(&mut out), Next::Close(CloseReason::EndOfReply));
//! assert_eq!(String::from_utf8(out)?, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the engine of [`wsgi_core::server`], a listener for each protocol and one handler for both:
//!
//! ```no_run
//! use wsgi_core::server::{Listener, Server};
//! use wsgi_uwsgi_proto::{Scgi, Uwsgi};
//! # struct Hello;
//! # impl wsgi_core::Handler for Hello { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//!
//! Server::new(Hello)
//!     .listen(Listener::bind(&"/run/app.sock".parse()?)?, Uwsgi::new())
//!     .listen(Listener::bind(&"127.0.0.1:4000".parse()?)?, Scgi::new())
//!     .start()?
//!     .wait();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is spoken
//!
//! **In scope:** uwsgi packets of modifier1 0 (WSGI) and 30 (WSGI, with `SCRIPT_NAME` still at the front of `PATH_INFO`), and 100 (ping, which
//! is answered as uWSGI does); SCGI; one request for each connection, as every front server has it.
//!
//! **Out of scope:** every other kind of packet, among them those that make uWSGI evaluate code, call functions or reload; modifiers for
//! other languages; file descriptors that are passed along; uwsgi over UDP. TLS (`suwsgi`) is another layer's.
//!
//! # What the application sees
//!
//! The variables as the front server sent them, bytes and all: nothing is decoded, which the front server has done. Of several with one name
//! the last counts. The exceptions:
//!
//! | variable | what becomes of it |
//! |---|---|
//! | `UWSGI_*` | left out: they command uWSGI to load files, change directories, set environment variables |
//! | `HTTP_CONTENT_TYPE`, `HTTP_CONTENT_LENGTH`, `HTTP_PROXY` | left out, as for every protocol of `wsgi-core` |
//! | `CONTENT_LENGTH` | left out if it is empty; anything else but a decimal number is a 400 |
//! | `REQUEST_METHOD` | without it the request is a 400 that says what to include in nginx |
//! | `SCRIPT_NAME`, `PATH_INFO` | always there; see [`Paths`](wsgi_core::wire::Paths) for where they come from, and for front servers that send one of them or neither |
//! | `SERVER_PROTOCOL` | `HTTP/1.1` where it is missing or empty |
//! | `REMOTE_ADDR` and `REMOTE_PORT` | the connection's where there is no `REMOTE_ADDR`; empty and left out on a Unix socket |
//! | `SERVER_NAME` | where it is missing or empty `SERVER_ADDR`, or else the connection's, or `localhost` |
//! | `SERVER_PORT` | the connection's, if `SERVER_NAME` is; left out where it is empty otherwise, for the port of the scheme |
//! | `RAW_URI` | the same as `REQUEST_URI`, unless it is sent |
//!
//! **Whoever can connect chooses every variable**, also `REMOTE_ADDR`, `REMOTE_USER` and `HTTPS`: nobody but the front server should get in,
//! and both dialects say so ([`Dialect::trusts_peer`](wsgi_core::wire::Dialect::trusts_peer)).
//!
//! # What is sent back
//!
//! A status line (SCGI: a `Status` field), the fields of the reply, an empty line, and the body as it is, up to the end of the connection.
//! Never chunks, `Connection`, `Date` or `Server`: these are the front server's. `Content-Length` goes out whenever it is known, because it is
//! how nginx notices that a reply broke off. Where it is not known, only a reset of the connection can tell; a TCP connection is reset, but
//! **on a Unix socket there is no such thing, and the front server takes what it has for the whole**. Applications that stream for long and
//! may fail in between are better off with a length, with TCP, or with FastCGI or HTTP to the front server.
//!
//! # What is refused
//!
//! | sent | answer |
//! |---|---|
//! | another modifier1, a modifier2 other than 0 | 501, and the text names it |
//! | HTTP, a TLS handshake, a PROXY header, or another protocol of this family | 400 with a sentence that says what to use instead, to HTTP in a form that a browser shows |
//! | an empty name, an entry that runs past the packet's end, bytes behind the last entry | 400 |
//! | an SCGI request that does not begin with `CONTENT_LENGTH`, or without `SCGI` = `1`; a netstring without its `,`, or with a zero before its length | 400 |
//! | more than [`Limits::head_bytes`] of variables, more variables than [`Limits::fields`] | 431 |
//! | a body longer than [`Limits::body_bytes`] | 413, before any of it is read |
//!
//! [`Limits::head_bytes`]: wsgi_core::wire::Limits::head_bytes
//! [`Limits::fields`]: wsgi_core::wire::Limits::fields
//! [`Limits::body_bytes`]: wsgi_core::wire::Limits::body_bytes
//!
//! # Features
//!
//! None.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

pub mod client;
mod connection;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod packet;
mod request;
mod scgi;
mod uwsgi;

pub use scgi::Scgi;
pub use uwsgi::Uwsgi;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
