//! Signals that have come, and a descriptor that wakes whoever waits for more than them.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::{SigId, flag, low_level};

/// The signals of a master, caught from now until it is dropped.
#[derive(Debug)]
pub(super) struct Signals {
    caught: Vec<(i32, Arc<AtomicBool>)>,
    actions: Vec<SigId>,
    wake: UnixStream,
}

impl Signals {
    pub(super) fn catch() -> io::Result<Signals> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let mut signals = Signals { caught: Vec::new(), actions: Vec::new(), wake };
        for signal in [SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD] {
            let come = Arc::new(AtomicBool::new(false));
            // In this order: who wakes up finds the flag.
            signals.actions.push(flag::register(signal, Arc::clone(&come))?);
            signals.actions.push(low_level::pipe::register(signal, waker.try_clone()?)?);
            signals.caught.push((signal, come));
        }
        Ok(signals)
    }

    /// Those that have come since the last call, the ends first.
    pub(super) fn come(&mut self) -> Vec<i32> {
        let mut bytes = [0; 64];
        while matches!(self.wake.read(&mut bytes), Ok(1..)) {}
        self.caught.iter().filter(|(_, come)| come.swap(false, Ordering::SeqCst)).map(|(signal, _)| *signal).collect()
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for action in self.actions.drain(..) {
            low_level::unregister(action);
        }
    }
}

/// The name of a signal as an operator writes it.
pub(super) fn name(signal: i32) -> &'static str {
    low_level::signal_name(signal).map_or("signal", |name| name.trim_start_matches("SIG"))
}
