//! The front ends that the matrix runs through, and what each cannot do.
//!
//! | lacks | HTTP, TCP | HTTP, Unix | uwsgi, TCP | uwsgi and SCGI, Unix | FastCGI | FastCGI, kept | test client |
//! |---|---|---|---|---|---|---|---|
//! | [`Http1`](Feature::Http1) | | | ✗ | ✗ | ✗ | ✗ | ✗ |
//! | [`Informational`](Feature::Informational) | | | ✗ | ✗ | ✗ | ✗ | |
//! | [`UnknownLength`](Feature::UnknownLength) | | | ✗ | ✗ | | | |
//! | [`KeepAlive`](Feature::KeepAlive) | | | ✗ | ✗ | ✗ | | ✗ |
//! | [`Farewell`](Feature::Farewell) | | | | | | ✗ | ✗ |
//! | [`Breaks`](Feature::Breaks) | | | | ✗ | | | |
//! | [`Reset`](Feature::Reset) | | ✗ | | ✗ | | | |
//! | [`Addresses`](Feature::Addresses) | | ✗ | | | | | |
//!
//! Why is said with each feature.

use crate::column::{Column, Feature};

mod engine;
mod fastcgi;
mod gateway;
mod scgi;
mod serving;
mod testing;
mod until_close;
mod uwsgi;

/// Every column.
pub const ALL: &[&dyn Column] = &[
    &engine::HTTP_OVER_TCP,
    &engine::HTTP_OVER_UNIX,
    &uwsgi::UWSGI_OVER_TCP,
    &uwsgi::UWSGI_OVER_UNIX,
    &scgi::SCGI_OVER_UNIX,
    &fastcgi::FASTCGI,
    &fastcgi::FASTCGI_KEPT,
    &testing::TESTING_CLIENT,
];

/// What uwsgi and SCGI lack.
const GATEWAY_LACKS: &[Feature] = &[Feature::Http1, Feature::Informational, Feature::UnknownLength, Feature::KeepAlive];

/// The same on a Unix socket, which has no reset.
const GATEWAY_LACKS_ON_UNIX: &[Feature] =
    &[Feature::Http1, Feature::Informational, Feature::UnknownLength, Feature::KeepAlive, Feature::Breaks, Feature::Reset];
