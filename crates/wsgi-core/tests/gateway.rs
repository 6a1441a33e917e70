//! The gateway over real sockets: what every way of serving does; and over streams in memory, whose time stands still.

mod serving;

use std::thread::JoinHandle;

use wsgi_core::gateway::Gateway;
use wsgi_core::server::Outcome;

pub(crate) use wsgi_core::gateway::Handle;

/// What takes the settings.
pub(crate) type Server = Gateway;

/// A gateway that runs, in a runtime of its own.
pub(crate) struct Serving {
    handle: Handle,
    thread: JoinHandle<Outcome>,
}

impl Serving {
    pub(crate) fn start(gateway: Gateway) -> Serving {
        let handle = gateway.handle();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let thread = std::thread::spawn(move || runtime.block_on(gateway.run()).unwrap());
        Serving { handle, thread }
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    pub(crate) fn wait(self) -> Outcome {
        self.thread.join().unwrap()
    }
}
