//! HTTP/1.0 and HTTP/1.1, server side: bytes in, requests as CGI variables out, replies framed. Sockets are someone else's.
//!
//! [`Http1`] is what a listener speaks: a [`Dialect`] that makes one codec, a [`Protocol`], for each connection. The codec is pure state. It
//! opens no socket, starts no thread, asks no clock and calls no Python, so a reply can be had from a request in a few lines:
//!
//! ```
//! use bytes::BytesMut;
//! use wsgi_core::wire::{Address, Dialect, Event, HttpDate, Known, Link, Next, RequestHead, ResponseHead};
//! use wsgi_http::Http1;
//!
//! let link = Link {
//!     local: Address::Tcp("127.0.0.1:8000".parse()?),
//!     remote: Address::Tcp("127.0.0.1:54321".parse()?),
//!     secure: false,
//! };
//! let mut codec = Http1::new().connect(&link);
//! let (mut input, mut head, mut out) = (BytesMut::new(), RequestHead::default(), Vec::new());
//!
//! input.extend_from_slice(b"GET /caf%C3%A9?q=1 HTTP/1.1\r\nHost: example.org\r\n\r\n");
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::Head);
//! assert_eq!(head.get(Known::PathInfo), Some("/café".as_bytes()));
//! assert_eq!(head.get(Known::HttpHost), Some(&b"example.org"[..]));
//! assert_eq!(codec.poll(&mut input, &mut head, &mut out)?, Event::EndOfBody);
//!
//! let mut reply = ResponseHead::new(b"200 OK")?;
//! reply.field(b"Content-Type", b"text/plain")?;
//! reply.set_content_length(6);
//! codec.start(&reply, &HttpDate::from_unix(784_111_777), &mut out);
//! codec.data(b"Hello\n", &mut out);
//! assert_eq!(codec.finish(&mut out), Next::Request);
//! assert_eq!(
//!     String::from_utf8(out)?,
//!     "HTTP/1.1 200 OK\r\n\
//!      Content-Type: text/plain\r\n\
//!      Content-Length: 6\r\n\
//!      Server: wsgi-rs/0.1.0\r\n\
//!      Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
//!      \r\n\
//!      Hello\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is spoken
//!
//! **In scope:** persistent connections of both versions, pipelining, bodies by length and chunked, both ways, trailers (checked and dropped),
//! `Expect: 100-continue` (answered when the application first waits for the body), 103 Early Hints, `HEAD`, 204 and 304, targets in
//! origin, absolute and asterisk form.
//!
//! **Out of scope:** `CONNECT` and `Upgrade` (a tunnel is not a WSGI request), content codings, byte ranges, caching (the application's), and
//! HTTP/2 (hyper's, in the module `hyper`). TLS is the module `tls`.
//!
//! # What is refused
//!
//! Two programs that read the same bytes differently can be played against each other, so whatever RFC 9112 lets a server refuse is refused,
//! with a status and a sentence, and the connection closes: [`Error::status`](wsgi_core::wire::Error::status) is the one table. Nothing of
//! such a request reaches the application. Where the RFC leaves a choice, it was made thus:
//!
//! | sent | answer |
//! |---|---|
//! | a line ended by LF alone, a CR without LF, a control character in a value | 400 |
//! | one empty line before a request line | skipped (RFC 9112, 2.2); a second is a 400 |
//! | a byte of the target that is not visible ASCII, or `#` | 400: no URI holds one, browsers encode them, and peers disagree on what they mean |
//! | other characters that RFC 3986 would have encoded (`"`, `<`, `\|`, `{` …) | taken: browsers send some of them as they are |
//! | `Content-Length` with `Transfer-Encoding`, either of them twice, `Transfer-Encoding` in HTTP/1.0 | 400 |
//! | a transfer coding other than `chunked` | 501; 400 where `chunked` is there, but not once and last |
//! | `Host` absent in HTTP/1.1, twice, or no authority | 400; an empty one is valid |
//! | HTTP/1.2 to HTTP/1.9 | served as HTTP/1.1 (RFC 9110, 2.5) |
//! | HTTP/0.9, HTTP/2 with prior knowledge, any other version | 505 |
//! | a TLS handshake, a uwsgi packet, a FastCGI record | 400, and the text says which |
//! | an expectation other than `100-continue` | 417 |
//! | a method of more than 64 bytes, `CONNECT` | 501; any other token is a method, in the case in which it is sent |
//! | a field with `_` in its name | left out, by default; see [`Underscores`] |
//!
//! # Bounds
//!
//! [`Limits::head_bytes`] bounds a head, its request line, the trailers of a body and the chunk extensions of a body, each;
//! [`Limits::fields`] the fields of a head or trailer section, [`Limits::body_bytes`] a body. A head that is not whole stays in the caller's
//! buffer, which never needs to hold more than `head_bytes`; nothing else is kept. An idle codec takes about 200 bytes.
//!
//! # Features
//!
//! | name | default | what it adds |
//! |---|---|---|
//! | `tower` | no | `tower::WsgiService`: an application as a route of axum, or of any program made of `tower` services |
//! | `hyper` | no | `hyper::Hyper`: HTTP/1.1 and HTTP/2 by hyper, as a front end of `wsgi_core::gateway` |
//! | `hyper-tls` | no | the same under TLS, with ALPN |
//! | `tls` | no | the module `tls`: HTTPS by `rustls`, for the same engine |
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

mod body;
mod codec;
mod ends;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod head;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
mod reply;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(feature = "tower")]
pub mod tower;

use std::sync::Arc;

use wsgi_core::wire::{Dialect, HeadError, Limits, Link, Protocol, ResponseHead, Underscores};

use crate::codec::Connection;
use crate::reply::Signature;

/// HTTP/1.0 and HTTP/1.1 as a listener speaks them: makes the codec of each connection.
///
/// Clones are cheap and share their settings.
///
/// ```
/// use wsgi_core::wire::{Limits, Underscores};
/// use wsgi_http::Http1;
///
/// let http = Http1::new()
///     .limits(Limits { body_bytes: Some(100 * 1024 * 1024), ..Limits::default() })
///     .underscores(Underscores::Refuse)
///     .server_name("www.example.org")
///     .server_software("example/1.0")?;
/// # Ok::<(), wsgi_core::wire::HeadError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Http1 {
    config: Arc<Config>,
}

/// What every connection of a listener has in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    pub(crate) limits: Limits,
    pub(crate) underscores: Underscores,
    /// `SERVER_NAME`, where it is not to be the address of this end.
    pub(crate) server_name: Option<String>,
    pub(crate) signature: Signature,
}

impl Http1 {
    /// HTTP with the default [`Limits`], that leaves out fields with an underscore in their name.
    pub fn new() -> Http1 {
        Http1::default()
    }

    /// Sets the bounds on what a request may hold.
    pub fn limits(mut self, limits: Limits) -> Http1 {
        Arc::make_mut(&mut self.config).limits = limits;
        self
    }

    /// Says what happens to fields with `_` in their name, which CGI cannot tell from those with `-`.
    ///
    /// Even with [`Underscores::Keep`], `Content_Length` and `Transfer_Encoding` are refused: the variable would not be what framed the body.
    pub fn underscores(mut self, underscores: Underscores) -> Http1 {
        Arc::make_mut(&mut self.config).underscores = underscores;
        self
    }

    /// Sets `SERVER_NAME`. Otherwise, and if `name` is empty, it is the address on which the connection came in, in brackets if that is IPv6
    /// (RFC 3875, 4.1.14), or `localhost` on a Unix socket.
    pub fn server_name(mut self, name: impl Into<String>) -> Http1 {
        Arc::make_mut(&mut self.config).server_name = Some(name.into()).filter(|name| !name.is_empty());
        self
    }

    /// Sets `SERVER_SOFTWARE` and the `Server` field of replies that have none of their own. `wsgi-rs/` and the version by default.
    ///
    /// # Errors
    /// A text that no field may hold.
    pub fn server_software(mut self, text: &str) -> Result<Http1, HeadError> {
        let mut probe = ResponseHead::default();
        probe.field(b"Server", text.as_bytes())?;
        Arc::make_mut(&mut self.config).signature = Signature::new(text);
        Ok(self)
    }
}

impl Dialect for Http1 {
    fn connect(&self, link: &Link) -> Box<dyn Protocol> {
        Box::new(Connection::new(Arc::clone(&self.config), link))
    }

    fn name(&self) -> &'static str {
        "http"
    }
}
