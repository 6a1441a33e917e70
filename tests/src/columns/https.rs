//! HTTPS by `wsgi_http::tls`, over a TCP loopback socket, and on tokio.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use wsgi_core::wire::Address;
use wsgi_http::Http1;
use wsgi_http::tls::{Certificates, Tls};

use super::serving::{Serving, Transport, Way};
use crate::certificate::Certificate;
use crate::client::Wire;
use crate::column::{Column, Conversation, Front, Served};

/// Behind a TCP socket.
pub(super) const HTTPS: TlsListener = TlsListener { way: Way::Engine };

/// The same on tokio.
pub(super) const HTTPS_ON_TOKIO: TlsListener = TlsListener { way: Way::Tokio };

/// A listener that speaks HTTP/1 under TLS.
pub(super) struct TlsListener {
    way: Way,
}

impl Column for TlsListener {
    fn name(&self) -> &'static str {
        match self.way {
            Way::Engine => "engine-https",
            Way::Tokio => "tokio-https",
        }
    }

    fn scheme(&self) -> &'static str {
        "https"
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        let http = Http1::new().limits(served.http.limits.clone()).underscores(served.http.underscores);
        let (certificates, client) = both_ends();
        Box::new(Https {
            serving: Serving::start(served, self.way, Transport::Tcp, Tls::new(http, certificates)),
            client: Arc::clone(client),
        })
    }
}

/// One certificate is enough for all cases.
fn both_ends() -> &'static (Certificates, Arc<ClientConfig>) {
    static ENDS: OnceLock<(Certificates, Arc<ClientConfig>)> = OnceLock::new();
    ENDS.get_or_init(|| {
        let made = Certificate::new();
        (Certificates::load(made.chain(), made.key()).unwrap_or_else(|error| panic!("{error}")), made.client())
    })
}

struct Https {
    serving: Serving,
    client: Arc<ClientConfig>,
}

impl Front for Https {
    fn open(&self) -> Box<dyn Conversation> {
        Box::new(self.wire().expect("this column speaks HTTP/1"))
    }

    fn wire(&self) -> Option<Wire> {
        let Address::Tcp(address) = self.serving.address() else { panic!("not a port") };
        Some(Wire::tls(*address, Arc::clone(&self.client)).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    fn shut_down(&self) {
        self.serving.shut_down();
    }

    fn stop(self: Box<Self>) {
        self.serving.stop();
    }
}
