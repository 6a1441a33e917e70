//! TERM and INT: the first ends the server gracefully, the second cuts short what still runs, the third ends the process at once.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator;
use wsgi_core::server::Handle;

/// Signals that are caught but not yet acted upon.
pub(crate) struct Signals(iterator::Signals);

/// Whether somebody was in a hurry.
#[derive(Clone, Default)]
pub(crate) struct Urgency(Arc<AtomicBool>);

impl Urgency {
    pub(crate) fn is_urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Signals {
    /// # Errors
    /// The system does not let us.
    pub(crate) fn catch() -> io::Result<Signals> {
        iterator::Signals::new([SIGINT, SIGTERM]).map(Signals)
    }

    /// Ends the server when signals come, from a thread of its own.
    pub(crate) fn end(self, server: Handle) -> Urgency {
        let urgency = Urgency::default();
        let told = urgency.clone();
        std::thread::spawn(move || {
            let mut signals = self.0;
            for (count, signal) in signals.forever().enumerate() {
                let name = if signal == SIGINT { "INT" } else { "TERM" };
                match count {
                    0 => {
                        tracing::info!("{name}: ending when the running requests are done");
                        server.shutdown();
                    }
                    1 => {
                        tracing::info!("{name} again: cutting short what still runs");
                        told.0.store(true, Ordering::Relaxed);
                        server.hurry();
                    }
                    _ => std::process::exit(128 + signal),
                }
            }
        });
        urgency
    }
}
