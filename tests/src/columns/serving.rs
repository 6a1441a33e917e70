//! The engine of `wsgi_core` behind one listener, as every column starts it.

use std::sync::Arc;

use tempfile::TempDir;
use wsgi_core::server::{Handle, ListenAddress, Listener, Running, Server};
use wsgi_core::wire::{Address, Dialect};
use wsgi_core::wsgi::Application;
use wsgi_core::{Handler, Mount};

use crate::column::Served;

/// What the listener is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// A port of the loopback address.
    Tcp,
    /// A socket in a folder of its own.
    Unix,
}

/// An engine that serves an application.
pub(super) struct Serving {
    handle: Handle,
    running: Running,
    address: Address,
    /// Holds the socket; goes with the server.
    _folder: Option<TempDir>,
}

impl Serving {
    pub(super) fn start(served: Served, transport: Transport, dialect: impl Dialect + 'static) -> Serving {
        let folder = (transport == Transport::Unix).then(|| tempfile::tempdir().expect("a folder for the socket"));
        let address = match &folder {
            Some(folder) => ListenAddress::Unix(folder.path().join("app.sock")),
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
        let running =
            Server::new(handler).listen(listener, dialect).threads(served.threads).start().unwrap_or_else(|error| panic!("{error}"));
        Serving { handle: running.handle(), running, address, _folder: folder }
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks for a graceful end, without waiting for it.
    pub(super) fn shut_down(&self) {
        self.handle.shutdown();
    }

    /// Ends, and waits until everything has ended.
    pub(super) fn stop(self) {
        // The case is over, so nobody reads any more: what still runs may be cut off.
        self.handle.hurry();
        let outcome = self.running.wait();
        assert_eq!(outcome.stuck, 0, "threads are stuck in the application");
    }
}
