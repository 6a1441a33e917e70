//! HTTP/1 by `wsgi_http`, served by the engine of `wsgi_core`, over a TCP loopback socket and over a Unix socket.

use std::sync::Arc;

use tempfile::TempDir;
use wsgi_core::server::{Handle, ListenAddress, Listener, Running, Server};
use wsgi_core::wire::Address;
use wsgi_core::wsgi::Application;
use wsgi_core::{Handler, Mount};
use wsgi_http::Http1;

use crate::client::Wire;
use crate::column::{Column, Conversation, Feature, Front, Served};

/// The engine behind a TCP socket.
pub(super) const HTTP_OVER_TCP: Engine = Engine { unix: false };

/// The engine behind a Unix socket.
pub(super) const HTTP_OVER_UNIX: Engine = Engine { unix: true };

/// The blocking engine with HTTP/1.
pub(super) struct Engine {
    unix: bool,
}

impl Column for Engine {
    fn name(&self) -> &'static str {
        if self.unix { "engine-http-unix" } else { "engine-http-tcp" }
    }

    fn lacks(&self) -> &'static [Feature] {
        // A Unix socket knows no reset: its peer sees the same end of the stream, whether the reply was whole or not.
        if self.unix { &[Feature::Reset, Feature::Addresses] } else { &[] }
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        let folder = self.unix.then(|| tempfile::tempdir().expect("a folder for the socket"));
        let address = match &folder {
            Some(folder) => ListenAddress::Unix(folder.path().join("http.sock")),
            None => ListenAddress::Tcp("127.0.0.1".to_owned(), 0),
        };
        let listener = Listener::bind(&address).unwrap_or_else(|error| panic!("{error}"));
        let address = listener.local_address().clone();
        let errors = served.errors;
        let mut application = Application::new(served.application).errors(move |text| errors(text));
        for (name, value) in &served.variables {
            application = application.variable(name, value).unwrap_or_else(|error| panic!("{error}"));
        }
        let handler: Arc<dyn Handler> = match served.prefix.as_str() {
            "" => Arc::new(application),
            prefix => Arc::new(Mount::new().at(prefix, application)),
        };
        let running = Server::new(handler)
            .listen(listener, Http1::new().limits(served.http.limits).underscores(served.http.underscores))
            .threads(served.threads)
            .start()
            .unwrap_or_else(|error| panic!("{error}"));
        Box::new(Serving { handle: running.handle(), running, address, _folder: folder })
    }
}

struct Serving {
    handle: Handle,
    running: Running,
    address: Address,
    /// Holds the socket; goes with the server.
    _folder: Option<TempDir>,
}

impl Front for Serving {
    fn open(&self) -> Box<dyn Conversation> {
        Box::new(self.wire().expect("this column speaks HTTP/1"))
    }

    fn wire(&self) -> Option<Wire> {
        let wire = match &self.address {
            Address::Tcp(address) => Wire::tcp(*address),
            Address::Unix(path) => Wire::unix(path.as_deref().expect("a listener has a path")),
        };
        Some(wire.unwrap_or_else(|error| panic!("{}: {error}", self.address)))
    }

    fn shut_down(&self) {
        self.handle.shutdown();
    }

    fn stop(self: Box<Self>) {
        // The case is over, so nobody reads any more: what still runs may be cut off.
        self.handle.hurry();
        let outcome = self.running.wait();
        assert_eq!(outcome.stuck, 0, "threads are stuck in the application");
    }
}
