//! HTTPS: HTTP/1 under TLS 1.2 and 1.3, by `rustls`. Bytes in, requests out, as without TLS; sockets are someone else's here too.
//!
//! ```text
//!   input ──▶ whole records ──▶ rustls ──▶ plain ──▶ the codec of HTTP ──▶ Event
//!   out   ◀── records ◀─────── rustls ◀── queued ◀── start, data, finish
//!                                  └── at seal(): a head and a short body are one record
//! ```
//!
//! [`Tls`] is a [`Dialect`] like [`Http1`], which it wraps, so that the engine serves it without knowing of TLS. [`Certificates`] are a chain
//! and a key from files, which can change while the server runs; other front ends (hyper's, say) get a configuration from the same ones.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use wsgi_http::Http1;
//! use wsgi_http::tls::{Certificates, Tls};
//!
//! let certificates = Certificates::load("/etc/ssl/site.pem", "/etc/ssl/private/site.key")?.watch(Duration::from_secs(5));
//! let https = Tls::new(Http1::new(), &certificates);
//! // Server::new(handler).listen(listener, https)
//! # Ok::<(), wsgi_http::tls::CertificatesError>(())
//! ```
//!
//! **In scope:** handshakes, resumption by tickets, ALPN (`http/1.1`, `http/1.0`), `close_notify` both ways, and what an application may know:
//! `HTTPS`, `wsgi.url_scheme`, and in mod_ssl's words `SSL_PROTOCOL`, `SSL_CIPHER` (OpenSSL's name of it), `SSL_TLS_SNI` and
//! `SSL_SESSION_RESUMED`. Fields of a request become `HTTP_` variables, so that no client can forge these.
//!
//! **Out of scope:** client certificates, several certificates behind one address, early data (a replayed request is a second one), OCSP,
//! HTTP/2.
//!
//! # What a peer hears
//!
//! | what happens | what goes out |
//! |---|---|
//! | a reply that ends with its connection, in good order | the reply, then `close_notify` |
//! | a reply that breaks off | what there is of it, and never `close_notify`: over TLS the end of the connection alone is no end |
//! | HTTP without TLS | a reply of 400 without TLS, in a sentence |
//! | no version, cipher or protocol in common; records that are none; a forged one | TLS's alert |
//! | `close_notify` between requests | `close_notify` |
//! | `close_notify` inside a request, or the end of the connection without it | an error, never the end of a body |

mod certificates;
pub(crate) mod names;
mod session;

use std::sync::Arc;

use rustls::ServerConfig;
use wsgi_core::wire::{Dialect, Link, Protocol};

pub use self::certificates::{Certificates, CertificatesError};
use self::session::Session;
use crate::{Config, Http1};

/// HTTP/1 under TLS as a listener speaks it: makes the codec of each connection.
///
/// A connection that has done its handshake and waits holds about 8 KiB, most of which is `rustls`'s.
#[derive(Clone, Debug)]
pub struct Tls {
    http: Arc<Config>,
    tls: Arc<ServerConfig>,
}

impl Tls {
    /// HTTP as `http` says, under TLS with these certificates.
    pub fn new(http: Http1, certificates: &Certificates) -> Tls {
        // Clients of HTTP/1.0 may say so, and one that is offered nothing that it said ends the handshake (RFC 7301, 3.2).
        Tls { http: http.config, tls: certificates.server_config(&[b"http/1.1", b"http/1.0"]) }
    }
}

impl Dialect for Tls {
    fn connect(&self, link: &Link) -> Box<dyn Protocol> {
        Box::new(Session::new(Arc::clone(&self.tls), Arc::clone(&self.http), link))
    }

    fn name(&self) -> &'static str {
        "https"
    }
}
