//! The figures of several processes on one port: each worker sends its own to the master, which tells those of all.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use wsgi_core::metrics::{Metrics, Snapshot, Stats};
use wsgi_core::processes::Worker;
use wsgi_core::server::{ListenAddress, Listener};

use crate::{Failure, listening, threads};

/// What workers have said of themselves, and the port on which it is told. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Figures {
    known: Arc<Mutex<Known>>,
    port: Arc<Mutex<Port>>,
}

/// What is known of the workers.
#[derive(Default)]
struct Known {
    /// The master has been asked to end, whatever workers say.
    stopping: bool,
    /// By number.
    places: BTreeMap<u32, Place>,
}

/// All processes that were ever known by one number.
#[derive(Default)]
struct Place {
    /// Those that are there, the newest last: there are two while one replaces the other.
    living: Vec<Living>,
    /// What all the others have counted.
    gone: Snapshot,
    /// How many there were.
    processes: u64,
}

struct Living {
    heard: Instant,
    latest: Snapshot,
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
        let Some(latest) = std::str::from_utf8(report).ok().and_then(|line| Snapshot::from_line(line).ok()) else {
            return tracing::debug!("worker {worker} has sent figures that cannot be read");
        };
        let mut known = known(&self.known);
        let place = known.places.entry(worker).or_default();
        let heard = Instant::now();
        match place.living.iter_mut().find(|living| living.latest.pid == latest.pid) {
            Some(living) => *living = Living { heard, latest },
            None => {
                place.processes += 1;
                place.living.push(Living { heard, latest });
            }
        }
    }

    /// A worker has ended. What it has counted stays counted.
    pub(crate) fn ended(&self, worker: u32, process: u32) {
        let mut known = known(&self.known);
        let Some(place) = known.places.get_mut(&worker) else { return };
        if let Some(index) = place.living.iter().position(|living| living.latest.pid == process) {
            let last = place.living.remove(index).latest;
            place.gone.merge(&last.counted());
            place.gone.stopping = last.stopping;
        }
    }

    /// Says of all workers that they are stopping, before they know it themselves.
    pub(crate) fn stopping(&self) {
        known(&self.known).stopping = true;
    }

    /// Leaves the port to the next master.
    pub(crate) fn hand_over(&self) {
        *port(&self.port) = Port::HandedOver;
    }

    /// Tells them at this address. `follows`: the master before this one may still have it; then as soon as that lets go of it.
    ///
    /// # Errors
    /// The address cannot be had, or the system gives no thread.
    pub(crate) fn tell(&self, address: &ListenAddress, follows: bool) -> Result<(), Failure> {
        if !follows {
            let source = Arc::clone(&self.known);
            *port(&self.port) = Port::Open(listen(address, move || snapshots(&source))?);
            return Ok(());
        }
        let (figures, address) = (self.clone(), address.clone());
        let started = threads::start("figures", move || {
            while !figures.tell_now(&address) {
                thread::sleep(AGAIN);
            }
        });
        started.map_err(|error| Failure::SetUp(format!("cannot tell figures: {}", threads::explain(&error))))
    }

    /// Whether there is nothing more to be done to tell them at this address.
    fn tell_now(&self, address: &ListenAddress) -> bool {
        // Held meanwhile, so that a master that is replaced itself by now does not take the port from its successor.
        let mut port = port(&self.port);
        if matches!(*port, Port::HandedOver) {
            return true;
        }
        let source = Arc::clone(&self.known);
        match Listener::bind(address).and_then(|listener| Stats::listen(listener, move || snapshots(&source))) {
            Ok(stats) => *port = Port::Open(stats),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return false,
            // Not what passes; requests are answered without, too.
            Err(error) => tracing::error!("cannot tell figures on {address}: {error}"),
        }
        true
    }
}

impl Place {
    fn snapshot(&self, worker: u32) -> Snapshot {
        let now = |living: &Living| {
            // Of one that is silent nobody knows more than what it has counted.
            if living.heard.elapsed() < SILENT { living.latest.clone() } else { living.latest.counted() }
        };
        let mut living = self.living.iter().rev().map(now);
        let mut snapshot = living.next().unwrap_or_default();
        // One that is about to be gone, or is gone, does not say how it is with this place.
        let (started, stuck) = (snapshot.started, snapshot.stuck);
        let stopping = if self.living.is_empty() { self.gone.stopping } else { snapshot.stopping };
        living.for_each(|other| snapshot.merge(&other));
        snapshot.merge(&self.gone);
        (snapshot.started, snapshot.stuck, snapshot.stopping) = (started, stuck, stopping);
        (snapshot.worker, snapshot.restarts) = (worker, self.processes.saturating_sub(1));
        snapshot
    }
}

/// The figures of each number: what was ever counted there, and how those are that are there now.
fn snapshots(all: &Mutex<Known>) -> Vec<Snapshot> {
    let known = known(all);
    let mut snapshots: Vec<Snapshot> = known.places.iter().map(|(worker, place)| place.snapshot(*worker)).collect();
    snapshots.iter_mut().for_each(|snapshot| snapshot.stopping |= known.stopping);
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
    let explained = |error| format!("cannot tell figures on {address}: {}", listening::explain(address, "--stats", &error));
    let stats = stats.map_err(|error| Failure::SetUp(explained(error)))?;
    tracing::info!("figures on {}", stats.address());
    Ok(stats)
}

/// Sends a worker's figures to its master, again and again, from a thread of its own.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn report_on(metrics: Metrics, worker: Worker) -> io::Result<()> {
    threads::start("figures", move || {
        loop {
            report(&metrics, &worker);
            thread::sleep(EVERY);
        }
    })
}

/// Sends them as they are now.
pub(crate) fn report(metrics: &Metrics, worker: &Worker) {
    let mut snapshot = metrics.snapshot();
    // A report has its bounds, and so many threads are more than anybody reads about.
    snapshot.threads.truncate(MOST_THREADS);
    // A master that is gone has other ways to tell, and one that is busy gets the next one.
    let _ = worker.report(snapshot.to_line().as_bytes());
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
    use wsgi_core::metrics::Health;

    use super::*;

    fn report_of(pid: u32, requests: u64) -> Vec<u8> {
        let mut snapshot = Snapshot::default();
        (snapshot.pid, snapshot.started, snapshot.ready, snapshot.capacity) = (pid, u64::from(pid), true, 1);
        (snapshot.counters.replies[2], snapshot.received_bytes, snapshot.sent_bytes) = (requests, 2 * requests, 3 * requests);
        snapshot.to_line().into_bytes()
    }

    /// Of each number: the process, how many there were before, what all have counted, and how many threads there are now.
    fn told(figures: &Figures) -> Vec<(u32, u32, u64, u64, u64)> {
        let told = |snapshot: &Snapshot| {
            let requests = snapshot.counters.requests();
            assert_eq!((snapshot.received_bytes, snapshot.sent_bytes), (2 * requests, 3 * requests));
            (snapshot.worker, snapshot.pid, snapshot.restarts, requests, snapshot.capacity)
        };
        snapshots(&figures.known).iter().map(told).collect()
    }

    #[test]
    fn what_was_counted_stays_counted_when_processes_are_replaced() {
        let figures = Figures::default();
        figures.take(2, &report_of(20, 5));
        figures.take(1, &report_of(10, 1));
        figures.take(1, &report_of(10, 3));
        figures.take(1, b"{");
        assert_eq!(told(&figures), [(1, 10, 0, 3, 1), (2, 20, 0, 5, 1)]);
        // The next one with this number is there before the one before it has gone, and that one says something last.
        figures.take(1, &report_of(30, 1));
        assert_eq!(told(&figures), [(1, 30, 1, 4, 2), (2, 20, 0, 5, 1)]);
        figures.take(1, &report_of(10, 4));
        figures.ended(1, 10);
        assert_eq!(told(&figures), [(1, 30, 1, 5, 1), (2, 20, 0, 5, 1)]);
        // One that never has said anything.
        figures.ended(2, 40);
        figures.ended(3, 50);
        // Numbers of processes come again.
        figures.ended(1, 30);
        assert_eq!(told(&figures), [(1, 0, 1, 5, 0), (2, 20, 0, 5, 1)]);
        figures.take(1, &report_of(10, 1));
        assert_eq!(told(&figures), [(1, 10, 2, 6, 1), (2, 20, 0, 5, 1)]);
    }

    #[test]
    fn how_a_place_is_says_its_newest_process() {
        let figures = Figures::default();
        let report = |pid: u32, stopping, stuck| {
            let mut snapshot = Snapshot::default();
            (snapshot.pid, snapshot.ready, snapshot.stopping, snapshot.stuck) = (pid, true, stopping, stuck);
            figures.take(1, snapshot.to_line().as_bytes());
        };
        let health = || Snapshot::sum(&snapshots(&figures.known)).health();
        report(1, false, false);
        figures.ended(1, 1);
        assert_eq!(health(), Health::Starting, "it has died, and another is to come");
        report(2, false, true);
        assert_eq!(health(), Health::Stuck);
        report(3, false, false);
        report(2, true, true);
        assert_eq!(health(), Health::Ready);
        figures.ended(1, 2);
        report(3, true, false);
        assert_eq!(health(), Health::Stopping);
        figures.ended(1, 3);
        assert_eq!(health(), Health::Stopping);
        report(4, false, false);
        assert_eq!(health(), Health::Ready);
        figures.stopping();
        assert_eq!(health(), Health::Stopping, "the master says so");
    }
}
