//! A single process as a service of systemd: it says itself how it is.

use std::sync::Arc;

use wsgi_core::processes::systemd::Notifier;

/// Tells the service manager that this process serves, and from now on that it is alive. Nothing where there is none.
pub(crate) fn ready() -> Arc<Notifier> {
    let notifier = Arc::new(Notifier::from_environment());
    notifier.ready("serving");
    if let Some(interval) = notifier.watchdog_interval() {
        let notifier = Arc::clone(&notifier);
        std::thread::spawn(move || {
            loop {
                notifier.watchdog();
                std::thread::sleep(interval);
            }
        });
    }
    notifier
}
