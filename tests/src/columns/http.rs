//! HTTP/1 by `wsgi_http`, over a TCP loopback socket and over a Unix socket, and on tokio.

use wsgi_core::wire::Address;
use wsgi_http::Http1;

use super::serving::{Serving, Transport, Way};
use crate::client::Wire;
use crate::column::{Column, Conversation, Feature, Front, Served};

/// Behind a TCP socket.
pub(super) const HTTP_OVER_TCP: Http1Listener = Http1Listener { way: Way::Engine, transport: Transport::Tcp };

/// Behind a Unix socket.
pub(super) const HTTP_OVER_UNIX: Http1Listener = Http1Listener { way: Way::Engine, transport: Transport::Unix };

/// Behind a TCP socket, on tokio.
pub(super) const HTTP_ON_TOKIO: Http1Listener = Http1Listener { way: Way::Tokio, transport: Transport::Tcp };

/// A listener that speaks HTTP/1.
pub(super) struct Http1Listener {
    way: Way,
    transport: Transport,
}

impl Column for Http1Listener {
    fn name(&self) -> &'static str {
        match (self.way, self.transport) {
            (Way::Engine, Transport::Tcp) => "engine-http-tcp",
            (Way::Engine, Transport::Unix) => "engine-http-unix",
            (Way::Tokio, _) => "tokio-http",
        }
    }

    fn lacks(&self) -> &'static [Feature] {
        match self.transport {
            Transport::Tcp => &[],
            Transport::Unix => &[Feature::Reset, Feature::Addresses],
        }
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        let dialect = Http1::new().limits(served.http.limits.clone()).underscores(served.http.underscores);
        Box::new(Http(Serving::start(served, self.way, self.transport, dialect)))
    }
}

struct Http(Serving);

impl Front for Http {
    fn open(&self) -> Box<dyn Conversation> {
        Box::new(self.wire().expect("this column speaks HTTP/1"))
    }

    fn wire(&self) -> Option<Wire> {
        let wire = match self.0.address() {
            Address::Tcp(address) => Wire::tcp(*address),
            Address::Unix(path) => Wire::unix(path.as_deref().expect("a listener has a path")),
        };
        Some(wire.unwrap_or_else(|error| panic!("{}: {error}", self.0.address())))
    }

    fn shut_down(&self) {
        self.0.shut_down();
    }

    fn stop(self: Box<Self>) {
        self.0.stop();
    }
}
