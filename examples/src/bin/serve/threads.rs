//! Threads that live as long as the process, and what to say if there is none to be had.

use std::io;
use std::thread::Builder;

/// Starts a thread.
///
/// # Errors
/// The system gives none.
pub(crate) fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    Builder::new().name(format!("serve-{name}")).spawn(work).map(drop)
}

/// A sentence about an error of the system's, with the usual reason if it is that there are no more threads or processes.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.kind() {
        // EAGAIN of `pthread_create` and of `fork`.
        io::ErrorKind::WouldBlock => {
            format!(
                "{error}: as many threads and processes as may be are there (ulimit -u, systemd's TasksMax=), or there is no memory for more"
            )
        }
        _ => error.to_string(),
    }
}
