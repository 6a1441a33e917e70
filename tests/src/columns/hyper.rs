//! HTTP/1 by `wsgi_http::hyper`, over TCP.

use wsgi_core::wire::Address;
use wsgi_http::Http1;
use wsgi_http::hyper::Hyper;

use super::serving::{Serving, Transport};
use crate::client::Wire;
use crate::column::{Column, Conversation, Feature, Front, Served};

/// Over TCP.
pub(super) const HYPER: Hyper1 = Hyper1;

/// HTTP/1.
pub(super) struct Hyper1;

impl Column for Hyper1 {
    fn name(&self) -> &'static str {
        "hyper-http1"
    }

    fn lacks(&self) -> &'static [Feature] {
        &[Feature::Strict, Feature::Informational]
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        let http = Http1::new().limits(served.http.limits.clone()).underscores(served.http.underscores);
        Box::new(Site(Serving::start_frontend(served, Transport::Tcp, move |listener| Hyper::new(listener, http))))
    }
}

struct Site(Serving);

impl Front for Site {
    fn open(&self) -> Box<dyn Conversation> {
        Box::new(self.wire().expect("this column speaks HTTP/1"))
    }

    fn wire(&self) -> Option<Wire> {
        let Address::Tcp(address) = *self.0.address() else { unreachable!("the column is over TCP") };
        Some(Wire::tcp(address).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    fn shut_down(&self) {
        self.0.shut_down();
    }

    fn stop(self: Box<Self>) {
        self.0.stop();
    }
}
