//! Signals to a process that serves. Alone: TERM, INT and HUP end the server gracefully, a second one cuts short what still runs, a third ends the
//! process at once; QUIT is as the first two. Under a master, the master's orders do that, and TERM has this process alone replaced.

use std::fs;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator;
use signal_hook::low_level::signal_name;
use wsgi_core::processes::systemd::Notifier;
use wsgi_core::processes::{Order, Worker};
use wsgi_core::server::Handle;

use crate::logs::Reopen;
use crate::replacement::Replacement;

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
        let hang_up = Some(SIGHUP).filter(|_| !outlives_its_terminal());
        iterator::Signals::new([SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2].into_iter().chain(hang_up)).map(Signals)
    }

    /// Ends the server when signals come, from a thread of its own.
    pub(crate) fn end(self, server: Handle, service: Arc<Notifier>, reopen: Reopen) -> Urgency {
        let urgency = Urgency::default();
        let told = urgency.clone();
        std::thread::spawn(move || {
            let mut signals = self.0;
            let mut count = 0;
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
                    Order::Hurry => told.hurry(&handle),
                    Order::ReopenLogs => reopen.reopen(),
                    Order::Orphaned => {
                        reopen.orphaned();
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

/// Whether whoever has started this process has it ignore HUP, as `nohup` does.
fn outlives_its_terminal() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals >> (SIGHUP - 1) & 1 == 1)
}
