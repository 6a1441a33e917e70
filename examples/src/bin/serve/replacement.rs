//! A process with a thread that does not come back: it finishes what it can, and ends with a status of its own, to be started again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use wsgi_core::server::Handle;
use wsgi_core::wsgi::Stuck;

/// Whether this process is to be replaced. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Replacement(Arc<Shared>);

#[derive(Default)]
struct Shared {
    server: OnceLock<Handle>,
    count: OnceLock<Box<dyn Fn() -> usize + Send + Sync>>,
    due: AtomicBool,
    python_is_blocked: AtomicBool,
}

impl Replacement {
    /// The server that is to be ended.
    pub(crate) fn of(&self, server: Handle) {
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
        tracing::info!("ending when the other requests are done, to be started again");
        server.shutdown();
        let (shared, server) = (Arc::clone(&self.0), server.clone());
        std::thread::spawn(move || {
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
