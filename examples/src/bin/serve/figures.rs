//! The figures of several processes on one port: each worker sends its own to the master, which tells those of all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use wsgi_core::metrics::{Metrics, Snapshot, Stats};
use wsgi_core::processes::Worker;
use wsgi_core::server::{ListenAddress, Listener};

use crate::Failure;

/// What workers have said of themselves, and the port on which it is told. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Figures {
    known: Arc<Mutex<Known>>,
    port: Arc<Mutex<Port>>,
}

#[derive(Default)]
struct Known {
    /// The master has been asked to end, whatever workers say.
    stopping: bool,
    /// By process id: for a moment there are two with one number.
    latest: BTreeMap<u32, (Instant, Snapshot)>,
    /// By number: the newest process, and how many there were before it.
    replaced: BTreeMap<u32, (u32, u64)>,
}

/// Where figures are told.
#[derive(Default)]
enum Port {
    /// Nowhere, or not yet.
    #[default]
    None,
    /// Here, until this is dropped.
    #[expect(dead_code, reason = "it is kept, and dropped at the right time")]
    Open(Stats),
    /// Nowhere any more: another master tells them.
    HandedOver,
}

impl Figures {
    /// Takes what a worker has sent.
    pub(crate) fn take(&self, worker: u32, report: &[u8]) {
        let Some(mut snapshot) = std::str::from_utf8(report).ok().and_then(|line| Snapshot::from_line(line).ok()) else {
            return tracing::debug!("worker {worker} has sent figures that cannot be read");
        };
        let mut known = known(&self.known);
        let pid = snapshot.pid;
        let is_new = !known.latest.contains_key(&pid);
        let (newest, restarts) = known.replaced.entry(worker).or_insert((pid, 0));
        if is_new && *newest != pid {
            (*newest, *restarts) = (pid, *restarts + 1);
        }
        (snapshot.worker, snapshot.restarts) = (worker, *restarts);
        known.latest.insert(pid, (Instant::now(), snapshot));
    }

    /// Says of all workers that they are stopping, before they know it themselves.
    pub(crate) fn stopping(&self) {
        known(&self.known).stopping = true;
    }

    /// Leaves the port to the next master.
    pub(crate) fn hand_over(&self) {
        *port(&self.port) = Port::HandedOver;
    }

    /// Tells them at this address, which the master before this one may still have: then as soon as it lets go of it.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(crate) fn tell(&self, address: &ListenAddress, follows: bool) -> Result<(), Failure> {
        let source = Arc::clone(&self.known);
        match listen(address, move || snapshots(&source)) {
            Err(_) if follows => {
                let (figures, address) = (self.clone(), address.clone());
                thread::spawn(move || {
                    while !figures.tell_now(&address) {
                        thread::sleep(AGAIN);
                    }
                });
            }
            told => *port(&self.port) = Port::Open(told?),
        }
        Ok(())
    }

    /// Whether there is nothing more to be done to tell them at this address.
    fn tell_now(&self, address: &ListenAddress) -> bool {
        // Held meanwhile, so that a master that is replaced itself by now does not take the port from its successor.
        let mut port = port(&self.port);
        if matches!(*port, Port::HandedOver) {
            return true;
        }
        let Ok(listener) = Listener::bind(address) else { return false };
        let source = Arc::clone(&self.known);
        match Stats::listen(listener, move || snapshots(&source)) {
            Ok(stats) => *port = Port::Open(stats),
            Err(error) => tracing::error!("cannot tell figures on {address}: {error}"),
        }
        true
    }
}

/// The figures of those that have not been silent for long, by number.
fn snapshots(all: &Mutex<Known>) -> Vec<Snapshot> {
    let mut known = known(all);
    known.latest.retain(|_, (at, _)| at.elapsed() < SILENT);
    let mut snapshots: Vec<Snapshot> = known.latest.values().map(|(_, snapshot)| snapshot.clone()).collect();
    snapshots.iter_mut().for_each(|snapshot| snapshot.stopping |= known.stopping);
    snapshots.sort_by_key(|snapshot| snapshot.worker);
    snapshots
}

fn known(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

fn port(port: &Mutex<Port>) -> MutexGuard<'_, Port> {
    port.lock().unwrap_or_else(PoisonError::into_inner)
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
pub(crate) fn report(metrics: Metrics, worker: Worker) {
    thread::spawn(move || {
        loop {
            let mut snapshot = metrics.snapshot();
            // A report has its bounds, and so many threads are more than anybody reads about.
            snapshot.threads.truncate(MOST_THREADS);
            // A master that is gone has other ways to tell, and one that is busy gets the next one.
            let _ = worker.report(snapshot.to_line().as_bytes());
            thread::sleep(EVERY);
        }
    });
}

/// How often workers send figures.
const EVERY: Duration = Duration::from_millis(500);
/// How often a master that follows another asks for the port: a probe that is refused meanwhile should not be refused twice.
const AGAIN: Duration = Duration::from_millis(50);
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
            snapshots(&figures.known).iter().map(|snapshot| (snapshot.worker, snapshot.pid, snapshot.restarts)).collect()
        };
        assert_eq!(told(&figures), [(1, 10, 0), (2, 20, 0)]);
        // The next one with this number is there before the one before it has gone, and says something last.
        figures.take(1, &report_of(30, 2));
        figures.take(1, &report_of(10, 1));
        figures.take(1, &report_of(30, 2));
        assert_eq!(told(&figures), [(1, 10, 1), (1, 30, 1), (2, 20, 0)]);
        let stopping = || Snapshot::sum(&snapshots(&figures.known)).stopping;
        assert!(!stopping());
        figures.stopping();
        assert!(stopping());
    }
}
