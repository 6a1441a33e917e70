//! The front ends that the matrix runs through, and what each cannot do.
//!
//! | column | driven by | lacks |
//! |---|---|---|
//! | `engine-http-tcp`, `engine-https` | `wsgi_core::server` | nothing |
//! | `engine-http-unix` | `wsgi_core::server` | `Reset`, `Addresses` |
//! | `engine-uwsgi-tcp` | `wsgi_core::server` | `Http1`, `Strict`, `Origin`, `Informational`, `UnknownLength`, `KeepAlive` |
//! | `engine-uwsgi-unix`, `engine-scgi-unix` | `wsgi_core::server` | the same, `Breaks`, `Reset` |
//! | `engine-fastcgi-tcp` | `wsgi_core::server` | `Http1`, `Strict`, `Origin`, `Informational`, `KeepAlive` |
//! | `engine-fastcgi-kept-unix` | `wsgi_core::server` | `Http1`, `Strict`, `Origin`, `Informational`, `Farewell` |
//! | `tokio-http`, `tokio-https`, `tokio-uwsgi`, `tokio-scgi`, `tokio-fastcgi-kept` | `wsgi_core::gateway` | what the same codec lacks above |
//! | `hyper-http1` | `wsgi_core::gateway`, by hyper | `Strict`, `Informational` |
//! | `hyper-http2` | `wsgi_core::gateway`, by hyper | `Http1`, `Strict`, `Http10`, `Informational`, `Farewell`, `HalfClose`, `Reason`, `Remains` |
//! | `tower-axum` | axum, by hyper | `Strict`, `Informational`, `Reset` |
//! | `testing-client` | `wsgi_core::testing` | `Http1`, `Strict`, `Origin`, `KeepAlive`, `Farewell` |
//!
//! Why is said with each feature. HTTPS has them all: that a reply breaks off is told twice, by a missing `close_notify` and by a reset.

use crate::column::{Column, Feature};

mod fastcgi;
mod gateway;
mod h2;
mod http;
mod https;
mod hyper;
mod scgi;
mod serving;
mod testing;
mod tower;
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
    &hyper::HYPER,
    &h2::HTTP2,
    &tower::AXUM,
    &testing::TESTING_CLIENT,
];

/// What uwsgi and SCGI lack.
const GATEWAY_LACKS: &[Feature] =
    &[Feature::Http1, Feature::Strict, Feature::Origin, Feature::Informational, Feature::UnknownLength, Feature::KeepAlive];

/// The same on a Unix socket, which has no reset.
const GATEWAY_LACKS_ON_UNIX: &[Feature] = &[
    Feature::Http1,
    Feature::Strict,
    Feature::Origin,
    Feature::Informational,
    Feature::UnknownLength,
    Feature::KeepAlive,
    Feature::Breaks,
    Feature::Reset,
];
