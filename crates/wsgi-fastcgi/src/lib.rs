//! FastCGI 1.0
#![forbid(unsafe_code)]

pub mod client;
mod foreign;
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

    /// Whether text for the log (`wsgi.errors`) goes to the web server as `STDERR`, which writes it to its own log of errors. False by
    /// default.
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
