//! The front ends that the matrix runs through, and what each cannot do.
//!
//! | lacks | HTTP, TCP | HTTPS | HTTP, Unix | uwsgi, TCP | uwsgi and SCGI, Unix | FastCGI | FastCGI, kept |
//! |---|---|---|---|---|---|---|---|
//! | [`Http1`](Feature::Http1) | | | | ✗ | ✗ | ✗ | ✗ |
//! | [`Informational`](Feature::Informational) | | | | ✗ | ✗ | ✗ | ✗ |
//! | [`UnknownLength`](Feature::UnknownLength) | | | | ✗ | ✗ | | |
//! | [`KeepAlive`](Feature::KeepAlive) | | | | ✗ | ✗ | ✗ | |
//! | [`Farewell`](Feature::Farewell) | | | | | | | ✗ |
//! | [`Breaks`](Feature::Breaks) | | | | | ✗ | | |
//! | [`Reset`](Feature::Reset) | | | ✗ | | ✗ | | |
//! | [`Addresses`](Feature::Addresses) | | | ✗ | | | | |
//!
//! Why is said with each feature. HTTPS has them all: that a reply breaks off is told twice, by a missing `close_notify` and by a reset. What is
//! on tokio, HTTP, HTTPS and uwsgi over TCP, SCGI and FastCGI (kept) over a Unix socket, lacks nothing besides.
//!
//! | driven by | columns |
//! |---|---|
//! | `wsgi_core::server` | `engine-http-tcp`, `engine-http-unix`, `engine-https`, `engine-uwsgi-tcp`, `engine-uwsgi-unix`, `engine-scgi-unix`, `engine-fastcgi-tcp`, `engine-fastcgi-kept-unix` |
//! | `wsgi_core::gateway` | `tokio-http`, `tokio-https`, `tokio-uwsgi`, `tokio-scgi`, `tokio-fastcgi-kept` |

use crate::column::{Column, Feature};

mod fastcgi;
mod gateway;
mod http;
mod https;
mod scgi;
mod serving;
mod until_close;
mod uwsgi;

/// Every column.
pub const ALL: &[&dyn Column] = &[
    &http::HTTP_OVER_TCP,
    &http::HTTP_OVER_UNIX,
    &https::HTTPS,
    &uwsgi::UWSGI_OVER_TCP,
    &uwsgi::UWSGI_OVER_UNIX,
    &scgi::SCGI_OVER_UNIX,
    &fastcgi::FASTCGI,
    &fastcgi::FASTCGI_KEPT,
    &http::HTTP_ON_TOKIO,
    &https::HTTPS_ON_TOKIO,
    &uwsgi::UWSGI_ON_TOKIO,
    &scgi::SCGI_ON_TOKIO,
    &fastcgi::FASTCGI_KEPT_ON_TOKIO,
];

/// What uwsgi and SCGI lack.
const GATEWAY_LACKS: &[Feature] = &[Feature::Http1, Feature::Informational, Feature::UnknownLength, Feature::KeepAlive];

/// The same on a Unix socket, which has no reset.
const GATEWAY_LACKS_ON_UNIX: &[Feature] =
    &[Feature::Http1, Feature::Informational, Feature::UnknownLength, Feature::KeepAlive, Feature::Breaks, Feature::Reset];
