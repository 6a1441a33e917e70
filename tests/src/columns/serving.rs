//! What serves behind one listener, as every column starts it: the engine of `wsgi_core`, or its gateway.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tempfile::TempDir;
use wsgi_core::gateway::{self, Frontend, Gateway};
use wsgi_core::metrics::Metrics;
use wsgi_core::observe::Observed;
use wsgi_core::server::{self, ListenAddress, Listener, Outcome, Server};
use wsgi_core::wire::{Address, Dialect};
use wsgi_core::wsgi::Application;
use wsgi_core::{Handler, Identified, Mount};

use crate::column::Served;

/// Who drives the codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// The blocking engine: `wsgi_core::server`.
    Engine,
    /// Tasks of a tokio runtime: `wsgi_core::gateway`.
    Tokio,
}

/// What the listener is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// A port of the loopback address.
    Tcp,
    /// A socket in a folder of its own.
    Unix,
}

/// A server of an application.
pub(super) struct Serving {
    running: Running,
    address: Address,
    /// Holds the socket; goes with the server.
    _folder: Option<TempDir>,
}

impl Serving {
    pub(super) fn start(served: Served, way: Way, transport: Transport, dialect: impl Dialect + 'static) -> Serving {
        let threads = served.threads;
        Serving::run(served, transport, |handler, listener| match way {
            // Observers see all and change nothing: what holds without them holds behind them.
            Way::Engine if transport == Transport::Unix => {
                let handler = Observed::new(Identified::new(handler), [Metrics::new().observer()]);
                Running::engine(Server::new(handler).listen(listener, dialect).threads(threads))
            }
            Way::Engine => Running::engine(Server::new(handler).listen(listener, dialect).threads(threads)),
            Way::Tokio => Running::gateway(Gateway::new(handler).listen(listener, dialect).threads(threads)),
        })
    }

    /// Behind a front end of its own.
    pub(super) fn start_frontend<F: Frontend>(served: Served, transport: Transport, frontend: impl FnOnce(Listener) -> F) -> Serving {
        let threads = served.threads;
        Serving::run(served, transport, |handler, listener| {
            Running::gateway(Gateway::new(handler).frontend(frontend(listener)).threads(threads))
        })
    }

    fn run(served: Served, transport: Transport, run: impl FnOnce(Arc<dyn Handler>, Listener) -> io::Result<Running>) -> Serving {
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
        let running = run(handler, listener).unwrap_or_else(|error| panic!("{error}"));
        Serving { running, address, _folder: folder }
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Asks for a graceful end, without waiting for it.
    pub(super) fn shut_down(&self) {
        match &self.running {
            Running::Engine(running) => running.handle().shutdown(),
            Running::Gateway(handle, _) => handle.shutdown(),
        }
    }

    /// Ends, and waits until everything has ended.
    pub(super) fn stop(self) {
        // The case is over, so nobody reads any more: what still runs may be cut off.
        let outcome = match self.running {
            Running::Engine(running) => {
                running.handle().hurry();
                running.wait()
            }
            Running::Gateway(handle, thread) => {
                handle.hurry();
                thread.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
            }
        };
        assert_eq!(outcome.stuck, 0, "threads are stuck in the application");
    }
}

/// What runs.
enum Running {
    Engine(server::Running),
    /// In a runtime of its own, on this thread and others.
    Gateway(gateway::Handle, JoinHandle<io::Result<Outcome>>),
}

impl Running {
    fn engine(server: Server) -> io::Result<Running> {
        server.start().map(Running::Engine)
    }

    fn gateway(gateway: Gateway) -> io::Result<Running> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let handle = gateway.handle();
        Ok(Running::Gateway(handle, std::thread::spawn(move || runtime.block_on(gateway.run()))))
    }
}
