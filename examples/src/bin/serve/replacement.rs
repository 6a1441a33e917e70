//! A process with a thread that does not come back: it finishes what it can, and ends with a status of its own, to be started again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use wsgi_core::processes::Worker;
use wsgi_core::server::Handle;
use wsgi_core::wsgi::Stuck;

use crate::threads;

/// Whether this process is to be replaced. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Replacement(Arc<Shared>);

#[derive(Default)]
struct Shared {
    server: OnceLock<Handle>,
    /// This process as its master knows it, if it has one.
    worker: OnceLock<Worker>,
    count: OnceLock<Box<dyn Fn() -> usize + Send + Sync>>,
    due: AtomicBool,
    python_is_blocked: AtomicBool,
}

impl Replacement {
    /// The server that is to be ended, and who can ask for another process first.
    pub(crate) fn of(&self, server: Handle, worker: Option<Worker>) {
        if let Some(worker) = worker {
            let _ = self.0.worker.set(worker);
        }
        let _ = self.0.server.set(server);
    }

    /// How many requests run that can be waited for.
    pub(crate) fn count_by(&self, count: impl Fn() -> usize + Send + Sync + 'static) {
        let _ = self.0.count.set(Box::new(count));
    }

    /// A thread does not come back: ends the server when the others are done.
    pub(crate) fn is_due(&self, stuck: &Stuck) {
        let Some(server) = self.0.server.get() else { return };
        if stuck.python_is_blocked {
            self.0.python_is_blocked.store(true, Ordering::SeqCst);
            self.0.due.store(true, Ordering::SeqCst);
            return server.hurry();
        }
        if self.0.due.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(worker) = self.0.worker.get() {
            // The other threads serve until the next process is ready, and this one is told to stop.
            return worker.renew("a thread of it does not come back");
        }
        tracing::info!("ending when the other requests are done, to be started again");
        server.shutdown();
        self.wind_up();
    }

    /// The server is ending: if there is a thread that does not come back, nobody waits for it longer than for the others.
    pub(crate) fn wind_up(&self) {
        let Some(server) = self.0.server.get().filter(|_| self.due()) else { return };
        let (shared, server) = (Arc::clone(&self.0), server.clone());
        let handle = server.clone();
        let waits = threads::start("wind-up", move || {
            // Between two requests of a connection there is a moment in which none runs.
            let mut quiet_since = Instant::now();
            while quiet_since.elapsed() < QUIET {
                std::thread::sleep(QUIET / 20);
                if shared.count.get().is_some_and(|count| count() > 0) {
                    quiet_since = Instant::now();
                }
            }
            server.hurry();
        });
        if let Err(error) = waits {
            tracing::error!("nobody can wait for the requests that still run, which are cut short: {error}");
            handle.hurry();
        }
    }

    /// Whether the process is to say by its status that it has to be started again.
    pub(crate) fn due(&self) -> bool {
        self.0.due.load(Ordering::SeqCst)
    }

    /// Whether nothing that needs Python can be done any more.
    pub(crate) fn python_is_blocked(&self) -> bool {
        self.0.python_is_blocked.load(Ordering::SeqCst)
    }
}

/// `EX_SOFTWARE` of `sysexits.h`.
pub(crate) const STATUS: u8 = 70;

/// How long no request may have run before the rest is cut off; longer than an idle connection has for one that is on its way.
const QUIET: Duration = Duration::from_secs(1);
