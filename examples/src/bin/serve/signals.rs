//! Signals to a process that serves, or is about to. Alone: TERM, INT and HUP end the server gracefully, a second one cuts short what still runs, a
//! third ends the process at once; QUIT is as the first two. Where the end is to be announced first, the first one does that, and the next is the
//! first. Under a master, the master's orders do that, and TERM has this process alone replaced.
//!
//! ```text
//!  catch ──▶ Starting: the end comes at once ── hold ──▶ (nobody acts) ── end or obey ──▶ Serving: in order
//! ```
//!
//! They are caught before the application is imported, which may take minutes: there is nothing to finish then, but there are files to be removed,
//! and a signal that has no meaning yet must not end the process.

use std::ffi::c_int;
use std::fs;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, ptr};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator;
use signal_hook::low_level::signal_name;
use wsgi_core::processes::systemd::Notifier;
use wsgi_core::processes::{Order, Worker};
use wsgi_core::server::Handle;

use crate::collector::Collector;
use crate::logs::Reopen;
use crate::replacement::Replacement;
use crate::threads;

/// Signals that are caught. `K` is what is kept for the time of the start, and is to be dropped before an early end.
pub(crate) struct Signals<K: Default> {
    stage: Arc<Mutex<Stage<K>>>,
    handlers: Vec<(c_int, libc::sigaction)>,
}

/// How far this process has come.
enum Stage<K> {
    Starting(K),
    Alone { server: Handle, delay: Option<Duration>, service: Arc<Notifier>, urgency: Urgency, count: u32 },
    Worker { server: Handle, worker: Worker, renewed: bool },
}

/// What comes is not acted upon as long as this is there, but then.
pub(crate) struct Held<'a, K>(MutexGuard<'a, Stage<K>>);

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

impl<K: Default + Send + 'static> Signals<K> {
    /// Catches signals from now on, and acts upon them from a thread of its own. `is_worker`: there is a master, which has them in hand. `collector`:
    /// what hands on the log, also at an early end.
    ///
    /// # Errors
    /// The system does not let us, or gives no thread.
    pub(crate) fn catch(is_worker: bool, reopen: Reopen, collector: Option<Arc<Collector>>) -> io::Result<Signals<K>> {
        let caught = CAUGHT.into_iter().filter(|&signal| signal != SIGHUP || !outlives_its_terminal());
        let mut signals = iterator::Signals::new(caught.clone())?;
        let handlers = caught.map(|signal| Ok((signal, handler(signal)?))).collect::<io::Result<_>>()?;
        let stage = Arc::new(Mutex::new(Stage::Starting(K::default())));
        let shared = Arc::clone(&stage);
        threads::start("signals", move || {
            for signal in signals.forever() {
                let mut stage = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if is_worker { stage.tell_a_worker(signal) } else { stage.tell_one_alone(signal, &reopen, collector.as_deref()) }
            }
        })?;
        Ok(Signals { stage, handlers })
    }

    /// Keeps what is to be dropped before an early end: files that are to be removed.
    pub(crate) fn keep(&self, kept: K) {
        *self.stage() = Stage::Starting(kept);
    }

    /// Has whatever comes wait. To be called when the application is imported and nobody is served yet: from now on there will be something to
    /// finish.
    ///
    /// An application that has installed handlers of its own must not keep the server from ending: those of [`catch`](Self::catch) are put back.
    ///
    /// # Errors
    /// The system does not let us.
    pub(crate) fn hold(&self) -> io::Result<Held<'_, K>> {
        let held = Held(self.stage());
        for (signal, handler) in &self.handlers {
            // One that only tells something may as well tell it to the application.
            if *signal != SIGUSR2 {
                install(*signal, handler)?;
            }
        }
        Ok(held)
    }

    fn stage(&self) -> MutexGuard<'_, Stage<K>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Default> Drop for Signals<K> {
    /// A start that fails leaves nothing behind either: the thread that acts upon signals has what is kept, and does not end.
    fn drop(&mut self) {
        if let Stage::Starting(kept) = &mut *self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            drop(std::mem::take(kept));
        }
    }
}

impl<K: Default> Held<'_, K> {
    /// What was kept.
    pub(crate) fn take(&mut self) -> K {
        match &mut *self.0 {
            Stage::Starting(kept) => std::mem::take(kept),
            _ => K::default(),
        }
    }

    /// From now on, signals end this server. `delay`: for how long the end is announced before.
    pub(crate) fn end(mut self, server: Handle, delay: Duration, service: Arc<Notifier>) -> Urgency {
        let urgency = Urgency::default();
        let delay = Some(delay).filter(|delay| !delay.is_zero());
        *self.0 = Stage::Alone { server, delay, service, urgency: urgency.clone(), count: 0 };
        urgency
    }

    /// From now on, the server does as the master says, from a thread of its own.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn obey(mut self, worker: Worker, server: Handle, replacement: Replacement, reopen: Reopen) -> io::Result<Urgency> {
        let urgency = Urgency::default();
        let (told, handle, orders) = (urgency.clone(), server.clone(), worker.clone());
        threads::start("orders", move || {
            loop {
                match orders.order() {
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
                        reopen.orphaned();
                        handle.shutdown();
                        return tracing::warn!("the master is gone: ending when the running requests are done");
                    }
                }
            }
        })?;
        *self.0 = Stage::Worker { server, worker, renewed: false };
        Ok(urgency)
    }
}

impl<K: Default> Stage<K> {
    fn tell_one_alone(&mut self, signal: c_int, reopen: &Reopen, collector: Option<&Collector>) {
        let name = signal_name(signal).unwrap_or_default().trim_start_matches("SIG");
        match signal {
            SIGUSR1 if reopen.is_needed() => {
                reopen.reopen();
                return tracing::info!("USR1: log files are opened anew");
            }
            // There is no log file to open anew, and no master to start another.
            SIGUSR1 | SIGUSR2 => {
                return tracing::info!("{name}: nothing to do in a single process: --master keeps one that can be replaced");
            }
            _ => {}
        }
        match self {
            Stage::Starting(kept) => {
                tracing::info!("{name}: ending before the application is imported");
                Notifier::from_environment().stopping();
                drop(std::mem::take(kept));
                collector.into_iter().for_each(Collector::end);
                // The thread that imports is somewhere in Python, and nobody knows for how long.
                std::process::exit(0);
            }
            Stage::Alone { server, delay, service, urgency, count } => {
                if let Some(delay) = delay.take().filter(|_| signal != SIGQUIT) {
                    service.stopping();
                    server.shutdown_after(delay);
                    return tracing::info!("{name}: ending in {delay:?}, for balancers to hear of it");
                }
                *count = if signal == SIGQUIT { (*count).max(1) + 1 } else { *count + 1 };
                match *count {
                    1 => {
                        tracing::info!("{name}: ending when the running requests are done");
                        service.stopping();
                        server.shutdown();
                    }
                    2 => {
                        tracing::info!("{name}{}: cutting short what still runs", if signal == SIGQUIT { "" } else { " again" });
                        urgency.hurry(server);
                    }
                    _ => std::process::exit(128 + signal),
                }
            }
            Stage::Worker { .. } => {}
        }
    }

    fn tell_a_worker(&mut self, signal: c_int) {
        match self {
            // The others are for the master: a terminal sends INT to all processes alike.
            _ if signal != SIGTERM => {}
            Stage::Starting(_) => std::process::exit(128 + signal),
            // A service manager may send TERM to all processes too: whether this one alone is meant, the master knows.
            Stage::Worker { worker, renewed: renewed @ false, .. } => {
                *renewed = true;
                worker.renew("it was sent TERM");
            }
            Stage::Worker { server, worker, .. } => {
                worker.leaving();
                server.hand_over();
            }
            Stage::Alone { .. } => {}
        }
    }
}

/// Whether whoever has started this process has it ignore HUP, as `nohup` does.
fn outlives_its_terminal() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    ignored.is_some_and(|signals| signals >> (SIGHUP - 1) & 1 == 1)
}

/// Has a file that may not grow any more be an error to whoever writes to it, and not the end of the process (`RLIMIT_FSIZE`, systemd's
/// `LimitFSIZE=`). Whatever is started from here finds it as it was.
///
/// # Errors
/// The system does not let us.
pub(crate) fn survive_file_size_limit() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(drop)
}

/// What the system calls for a signal.
fn handler(signal: c_int) -> io::Result<libc::sigaction> {
    let mut handler = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and there is room for the answer.
    let result = unsafe { libc::sigaction(signal, ptr::null(), handler.as_mut_ptr()) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system has written it.
    Ok(unsafe { handler.assume_init() })
}

/// Has the system call this for a signal.
fn install(signal: c_int, handler: &libc::sigaction) -> io::Result<()> {
    // SAFETY: it is what `signal-hook` installed for this very signal, and that is there as long as the process.
    match unsafe { libc::sigaction(signal, handler, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

const CAUGHT: [c_int; 6] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2];
