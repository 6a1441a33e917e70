//! Signals to a process that serves. Alone: TERM, INT and HUP end the server gracefully, a second one cuts short what still runs, a third ends the
//! process at once; QUIT is as the first two. Where the end is to be announced first, the first one does that, and the next is the first. Under a master,
//! the master's orders do that, and TERM has this process alone replaced.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator;
use signal_hook::low_level::signal_name;
use wsgi_core::processes::systemd::Notifier;
use wsgi_core::processes::{Order, Worker};
use wsgi_core::server::Handle;

use crate::replacement::Replacement;
use crate::seeing::Reopen;

/// Signals that are caught but not yet acted upon.
pub(crate) struct Signals(iterator::Signals);

/// Whether somebody was in a hurry.
#[derive(Clone, Default)]
pub(crate) struct Urgency(Arc<AtomicBool>);

impl Urgency {
    pub(crate) fn is_urgent(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn hurry(&self, server: &Handle) {
        self.0.store(true, Ordering::Relaxed);
        server.hurry();
    }
}

impl Signals {
    /// # Errors
    /// The system does not let us.
    pub(crate) fn catch() -> io::Result<Signals> {
        iterator::Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2]).map(Signals)
    }

    /// Ends the server when signals come, from a thread of its own. `delay`: how long the end is announced before.
    pub(crate) fn end(self, server: Handle, delay: Duration, service: Arc<Notifier>, reopen: Reopen) -> Urgency {
        let urgency = Urgency::default();
        let told = urgency.clone();
        std::thread::spawn(move || {
            let mut signals = self.0;
            let mut count = 0;
            let mut announced = delay.is_zero();
            for signal in signals.forever() {
                let name = signal_name(signal).unwrap_or_default().trim_start_matches("SIG");
                match signal {
                    SIGUSR1 if reopen.is_needed() => {
                        reopen.reopen();
                        tracing::info!("USR1: log files are opened anew");
                        continue;
                    }
                    // There is no log file to open anew, and no master to start another.
                    SIGUSR1 | SIGUSR2 => {
                        tracing::info!("{name}: nothing to do in a single process: --master keeps one that can be replaced");
                        continue;
                    }
                    SIGQUIT => count = count.max(1) + 1,
                    _ if count == 0 && !announced => {
                        service.stopping();
                        server.shutdown_after(delay);
                        tracing::info!("{name}: ending in {delay:?}, for balancers to hear of it");
                        announced = true;
                        continue;
                    }
                    _ => count += 1,
                }
                match count {
                    1 => {
                        tracing::info!("{name}: ending when the running requests are done");
                        service.stopping();
                        server.shutdown();
                    }
                    2 => {
                        tracing::info!("{name}{}: cutting short what still runs", if signal == SIGQUIT { "" } else { " again" });
                        told.hurry(&server);
                    }
                    _ => std::process::exit(128 + signal),
                }
            }
        });
        urgency
    }

    /// Does as the master says, from threads of its own.
    pub(crate) fn obey(self, worker: Worker, server: Handle, replacement: Replacement, reopen: Reopen) -> Urgency {
        let urgency = Urgency::default();
        let (told, handle, itself) = (urgency.clone(), server.clone(), worker.clone());
        std::thread::spawn(move || {
            loop {
                match worker.order() {
                    Order::Stop { drain } => {
                        if drain {
                            handle.shutdown();
                        } else {
                            handle.hand_over();
                        }
                        replacement.wind_up();
                    }
                    Order::Announce => handle.announce(),
                    Order::Hurry => told.hurry(&handle),
                    Order::ReopenLogs => reopen.reopen(),
                    Order::Orphaned => {
                        handle.shutdown();
                        return tracing::warn!("the master is gone: ending when the running requests are done");
                    }
                }
            }
        });
        std::thread::spawn(move || {
            let mut signals = self.0;
            // The others are for the master: a terminal sends INT to all processes alike.
            let mut told = signals.forever().filter(|signal| *signal == SIGTERM);
            // A service manager may send TERM to all processes too: whether this one alone is meant, the master knows.
            if told.next().is_some() {
                itself.renew("it was sent TERM");
            }
            if told.next().is_some() {
                itself.leaving();
                server.hand_over();
            }
        });
        urgency
    }
}
