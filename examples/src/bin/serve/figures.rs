//! The figures of several processes on one port: each worker sends its own to the master, which tells those of all.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use wsgi_core::metrics::{Metrics, Snapshot, Stats};
use wsgi_core::processes::Worker;
use wsgi_core::server::{ListenAddress, Listener};

use crate::{Failure, threads};

/// What workers have said of themselves. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Figures(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// By process id: for a moment there are two with one number.
    latest: BTreeMap<u32, (Instant, Snapshot)>,
    /// By number: the newest process, and how many there were before it.
    replaced: BTreeMap<u32, (u32, u64)>,
}

impl Figures {
    /// Takes what a worker has sent.
    pub(crate) fn take(&self, worker: u32, report: &[u8]) {
        let Some(mut snapshot) = std::str::from_utf8(report).ok().and_then(|line| Snapshot::from_line(line).ok()) else {
            return tracing::debug!("worker {worker} has sent figures that cannot be read");
        };
        let mut known = self.known();
        let pid = snapshot.pid;
        let is_new = !known.latest.contains_key(&pid);
        let (newest, restarts) = known.replaced.entry(worker).or_insert((pid, 0));
        if is_new && *newest != pid {
            (*newest, *restarts) = (pid, *restarts + 1);
        }
        (snapshot.worker, snapshot.restarts) = (worker, *restarts);
        known.latest.insert(pid, (Instant::now(), snapshot));
    }

    /// The figures of those that have not been silent for long, by number.
    fn snapshots(&self) -> Vec<Snapshot> {
        let mut known = self.known();
        known.latest.retain(|_, (at, _)| at.elapsed() < SILENT);
        let mut snapshots: Vec<Snapshot> = known.latest.values().map(|(_, snapshot)| snapshot.clone()).collect();
        snapshots.sort_by_key(|snapshot| snapshot.worker);
        snapshots
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells them at this address, which the master before this one may still have: then as soon as it lets go of it.
    ///
    /// # Errors
    /// The address cannot be had, or the system gives no thread.
    pub(crate) fn tell(&self, address: &ListenAddress, follows: bool) -> Result<Option<Stats>, Failure> {
        let figures = self.clone();
        match listen(address, move || figures.snapshots()) {
            Err(_) if follows => {
                let (figures, address) = (self.clone(), address.clone());
                let started = threads::start("figures", move || {
                    loop {
                        thread::sleep(EVERY);
                        if let Ok(listener) = Listener::bind(&address) {
                            let source = figures.clone();
                            match Stats::listen(listener, move || source.snapshots()) {
                                // For as long as this process lives.
                                Ok(stats) => std::mem::forget(stats),
                                Err(error) => tracing::error!("cannot tell figures on {address}: {error}"),
                            }
                            return;
                        }
                    }
                });
                started.map_err(|error| Failure::SetUp(format!("cannot tell figures: {}", threads::explain(&error))))?;
                Ok(None)
            }
            other => other.map(Some),
        }
    }
}

/// Listens for those who ask for figures.
///
/// # Errors
/// The address cannot be had.
pub(crate) fn listen(address: &ListenAddress, source: impl Fn() -> Vec<Snapshot> + Send + Sync + 'static) -> Result<Stats, Failure> {
    let stats = Stats::serve(address, source);
    let stats = stats.map_err(|error| Failure::SetUp(format!("cannot tell figures on {address}: {error}")))?;
    tracing::info!("figures on {}", stats.address());
    Ok(stats)
}

/// Sends a worker's figures to its master, again and again, from a thread of its own.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn report(metrics: Metrics, worker: Worker) -> io::Result<()> {
    threads::start("figures", move || {
        loop {
            let mut snapshot = metrics.snapshot();
            // A report has its bounds, and so many threads are more than anybody reads about.
            snapshot.threads.truncate(MOST_THREADS);
            // A master that is gone has other ways to tell, and one that is busy gets the next one.
            let _ = worker.report(snapshot.to_line().as_bytes());
            thread::sleep(EVERY);
        }
    })
}

/// How often workers send figures.
const EVERY: Duration = Duration::from_millis(500);
/// A worker that has sent nothing for so long is gone.
const SILENT: Duration = Duration::from_secs(3);
const MOST_THREADS: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    fn report_of(pid: u32, started: u64) -> Vec<u8> {
        let mut snapshot = Snapshot::default();
        (snapshot.pid, snapshot.started) = (pid, started);
        snapshot.to_line().into_bytes()
    }

    #[test]
    fn each_process_is_told_once_with_how_often_its_place_was_taken_anew() {
        let figures = Figures::default();
        figures.take(2, &report_of(20, 1));
        figures.take(1, &report_of(10, 1));
        figures.take(1, &report_of(10, 1));
        figures.take(1, b"{");
        let told = |figures: &Figures| -> Vec<(u32, u32, u64)> {
            figures.snapshots().iter().map(|snapshot| (snapshot.worker, snapshot.pid, snapshot.restarts)).collect()
        };
        assert_eq!(told(&figures), [(1, 10, 0), (2, 20, 0)]);
        // The next one with this number is there before the one before it has gone, and says something last.
        figures.take(1, &report_of(30, 2));
        figures.take(1, &report_of(10, 1));
        figures.take(1, &report_of(30, 2));
        assert_eq!(told(&figures), [(1, 10, 1), (1, 30, 1), (2, 20, 0)]);
    }
}
