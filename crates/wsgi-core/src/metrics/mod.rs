//! Counters and times of requests, as Prometheus, uWSGI's tools and people read them.
//!
//! ```text
//!  Observed ──Seen──▶ Metrics: counters of the thread's own ─┐
//!  server::Handle::status ── connections, bytes, backlogs ───┼─▶ Snapshot ─▶ a line of JSON, to be merged with others
//!  /proc/self ── memory ─────────────────────────────────────┘      ├─▶ prometheus(): text
//!                                                                   ├─▶ uwsgi(): JSON as uWSGI's --stats has it
//!                                                                   └─▶ Stats: all of these on a port of their own
//! ```
//!
//! **In scope:** one process's figures, and how those of several are put together. **Out of scope:** how they come from one process to another.
//!
//! ```
//! use std::sync::Arc;
//! use wsgi_core::metrics::{Metrics, Stats};
//! use wsgi_core::observe::Observed;
//! # struct Hello;
//! # impl wsgi_core::Handler for Hello { fn handle(&self, exchange: &mut dyn wsgi_core::Exchange) {} }
//!
//! let metrics = Metrics::new();
//! let handler = Observed::new(Hello, [metrics.observer()]);
//! // let running = Server::new(handler).observer(metrics.observer())...start()?; metrics.server(running.handle());
//! metrics.set_ready(true);
//! let source = metrics.clone();
//! let stats = Stats::serve(&"127.0.0.1:0".parse()?, move || vec![source.snapshot()])?;
//! println!("http://{}/metrics", stats.address());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod counters;
mod histogram;
mod process;
mod prometheus;
mod snapshot;
mod stats;
mod uwsgi;

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::counters::Local;
pub use self::counters::{Counters, Times};
pub use self::histogram::{BOUNDS_MICROS, Histogram};
pub use self::prometheus::prometheus;
pub use self::snapshot::{Backlog, Health, Snapshot, Thread};
pub use self::stats::Stats;
pub use self::uwsgi::uwsgi;
use crate::observe::{Observer, Refusal, Seen};
use crate::server::Handle;
use crate::wire::RequestHead;

/// The figures of one process. Clones are the same ones.
#[derive(Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    /// What the times below are counted from.
    origin: Instant,
    started: u64,
    worker: AtomicU32,
    restarts: AtomicU64,
    refused: AtomicU64,
    ready: AtomicBool,
    stuck_after: Duration,
    believe_request_start: bool,
    server: OnceLock<Handle>,
    threads: Mutex<Threads>,
}

/// Whose counters there are.
#[derive(Default)]
struct Threads {
    living: Vec<Arc<Local>>,
    /// The sum of those that have ended.
    ended: Counters,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics::new()
    }
}

impl Metrics {
    /// After how long in one request a thread counts as stuck, unless another time is given.
    pub const STUCK_AFTER: Duration = Duration::from_secs(120);

    /// Figures of which none is counted yet.
    pub fn new() -> Metrics {
        Metrics::with(Metrics::STUCK_AFTER, false)
    }

    /// The same, with what else can be set: after how long in one request all threads together count as stuck, and
    /// whether to believe what `X-Request-Start` says of when a proxy took a request in, so that the time in the queue includes that in the system's. Any
    /// client may send that field, if no proxy replaces it.
    pub fn with(stuck_after: Duration, believe_request_start: bool) -> Metrics {
        let inner = Inner {
            origin: Instant::now(),
            started: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            worker: AtomicU32::new(1),
            restarts: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            ready: AtomicBool::new(false),
            stuck_after,
            believe_request_start,
            server: OnceLock::new(),
            threads: Mutex::default(),
        };
        Metrics { inner: Arc::new(inner) }
    }

    /// What counts requests: for [`Observed::new`](crate::observe::Observed::new) and
    /// [`Server::observer`](crate::server::Server::observer).
    pub fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(self.clone())
    }

    /// The server whose connections, bytes and backlogs are told too. The first one counts.
    pub fn server(&self, server: Handle) {
        let _ = self.inner.server.set(server);
    }

    /// The number of this process among those of one server, 1 by default, and how often it was replaced.
    pub fn worker(&self, number: u32, restarts: u64) {
        self.inner.worker.store(number, Ordering::Relaxed);
        self.inner.restarts.store(restarts, Ordering::Relaxed);
    }

    /// Says that requests can be answered, or cannot: the application is loaded. False at first.
    pub fn set_ready(&self, ready: bool) {
        self.inner.ready.store(ready, Ordering::Relaxed);
    }

    /// All figures as they are now.
    pub fn snapshot(&self) -> Snapshot {
        let inner = &*self.inner;
        let now = inner.origin.elapsed();
        let (mut counters, threads) = {
            let threads = inner.threads();
            let mut counters = threads.ended.clone();
            let each = threads.living.iter().map(|local| {
                let own = local.read();
                counters.add(&own);
                let busy = local.busy_since().map(|since| now.saturating_sub(since));
                Thread { requests: own.requests(), busy_millis: busy.map(|time| time.as_millis() as u64) }
            });
            let each: Vec<Thread> = each.collect();
            (counters, each)
        };
        counters.refused += inner.refused.load(Ordering::Relaxed);
        let (resident_bytes, virtual_bytes) = process::memory();
        let mut snapshot = Snapshot {
            worker: inner.worker.load(Ordering::Relaxed),
            pid: std::process::id(),
            started: inner.started,
            restarts: inner.restarts.load(Ordering::Relaxed),
            ready: inner.ready.load(Ordering::Relaxed),
            capacity: threads.len() as u64,
            threads,
            counters,
            resident_bytes,
            virtual_bytes,
            ..Snapshot::default()
        };
        if let Some(server) = inner.server.get() {
            let status = server.status();
            snapshot.capacity = status.threads as u64;
            snapshot.stopping = status.stopping;
            snapshot.connections = status.connections;
            snapshot.received_bytes = status.received_bytes;
            snapshot.sent_bytes = status.sent_bytes;
            snapshot.listeners = status.listeners.iter().map(Backlog::from).collect();
        }
        let stuck_millis = inner.stuck_after.as_millis() as u64;
        let stuck = snapshot.threads.iter().filter(|thread| thread.busy_millis.is_some_and(|time| time >= stuck_millis)).count();
        snapshot.stuck = snapshot.capacity > 0 && stuck as u64 >= snapshot.capacity;
        snapshot
    }
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Observer for Metrics {
    fn began(&self, _: &RequestHead, begun: Instant) {
        self.inner.local(|local| local.begin(begun.duration_since(self.inner.origin)));
    }

    fn ended(&self, seen: &Seen<'_>) {
        let mut waited = None;
        if self.inner.believe_request_start {
            let began = SystemTime::now().checked_sub(seen.spent.whole);
            waited = seen.request.get_named(b"HTTP_X_REQUEST_START").zip(began).and_then(|(text, began)| queued(text, began));
        }
        self.inner.local(|local| local.end(seen, waited));
    }

    fn refused(&self, _: &Refusal<'_>) {
        // Not often, and not on threads of handlers only.
        self.inner.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Inner {
    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over the counters of the calling thread.
    fn local(self: &Arc<Inner>, count: impl FnOnce(&Local)) {
        thread_local! {
            static MINE: RefCell<Option<Mine>> = const { RefCell::new(None) };
        }
        MINE.with_borrow_mut(|mine| {
            let known = mine.take().filter(|mine| Arc::ptr_eq(&mine.inner, self));
            let mine = mine.insert(known.unwrap_or_else(|| Mine::new(self)));
            count(&mine.local);
        });
    }
}

/// The counters of a thread, until it ends or counts for another.
struct Mine {
    inner: Arc<Inner>,
    local: Arc<Local>,
}

impl Mine {
    fn new(inner: &Arc<Inner>) -> Mine {
        let local = Arc::new(Local::default());
        inner.threads().living.push(Arc::clone(&local));
        Mine { inner: Arc::clone(inner), local }
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        let mut threads = self.inner.threads();
        threads.living.retain(|local| !Arc::ptr_eq(local, &self.local));
        threads.ended.add(&self.local.read());
    }
}

/// How long ago a proxy says that it took a request in: `t=1732182358.123`, in seconds, milliseconds or microseconds since the Unix epoch. Proxies
/// differ, and the sizes of the numbers tell them apart.
fn queued(text: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let number: f64 = text.strip_prefix("t=").unwrap_or(text).parse().ok()?;
    let seconds = match number {
        1e9..1e11 => number,
        1e11..1e14 => number / 1e3,
        1e14..1e17 => number / 1e6,
        _ => return None,
    };
    let waited = now.duration_since(UNIX_EPOCH + Duration::from_secs_f64(seconds)).unwrap_or_default();
    (waited < LONGEST_QUEUE).then_some(waited)
}

/// A proxy whose clock is further off is not believed.
const LONGEST_QUEUE: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_tell_in_several_units_when_a_request_came() {
        let now = UNIX_EPOCH + Duration::from_millis(1_732_182_358_500);
        for text in ["t=1732182358.250", "1732182358.250", "t=1732182358250", "1732182358250000"] {
            let waited = queued(text.as_bytes(), now).unwrap();
            assert!(waited.abs_diff(Duration::from_millis(250)) < Duration::from_millis(1), "{text}: {waited:?}");
        }
        // A clock that is ahead.
        assert_eq!(queued(b"t=1732182359", now), Some(Duration::ZERO));
        for text in ["", "t=", "yesterday", "t=17", "t=1732180000", "nan", "inf", "-1732182358", "1e300"] {
            assert_eq!(queued(text.as_bytes(), now), None, "{text}");
        }
    }
}
