//! A single process as a service of systemd: it says itself how it is.

use std::io;
use std::sync::Arc;

use wsgi_core::processes::systemd::Notifier;

use crate::threads;

/// Tells the service manager that this process serves, and from now on that it is alive. Nothing where there is none.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn ready() -> io::Result<Arc<Notifier>> {
    let notifier = Arc::new(Notifier::from_environment());
    notifier.ready("serving");
    if let Some(interval) = notifier.watchdog_interval() {
        let notifier = Arc::clone(&notifier);
        threads::start("watchdog", move || {
            loop {
                notifier.watchdog();
                std::thread::sleep(interval);
            }
        })?;
    }
    Ok(notifier)
}
