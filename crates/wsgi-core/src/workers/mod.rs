//! A bounded set of threads that run a [`Handler`] for callers that must not block: the tasks of an async runtime, an event loop.
//!
//! ```text
//!  a task                                                     a worker thread
//!  Workers::call(request) ────────▶ bounded queue ────────▶ Handler::handle(exchange)
//!  Call::poll_reply  ◀──── head, blocks, end: bounded ────── start, data, flush, finish
//!  Call::send_body   ───── pieces: bounded ────────────────▶ read
//!  drop(call)        ───── nobody waits any more ──────────▶ errors from flush and read, so that the handler ends
//! ```
//!
//! A reply that is finished before it is flushed, as most are, crosses whole: one lock, one wake-up. The other half, [`Call`], is made of
//! `poll_*` methods and knows no runtime; neither half ever holds more than a bounded number of bytes for the other.
//!
//! **In scope:** threads that live as long as the workers do ([`Handler::thread`] pins what belongs to them), a bounded queue, backpressure
//! both ways, cancellation both ways, deadlines for whoever waits for the caller. **Out of scope:** sockets and protocols, and who runs the
//! tasks. A program without an async runtime wants [`server`](crate::server), which needs no queue and no second thread for a request.
//!
//! ```
//! use std::task::{Context, Poll, Waker};
//! use wsgi_core::wire::{Known, RequestHead, ResponseHead};
//! use wsgi_core::workers::{Reply, Request, Workers};
//! use wsgi_core::{Exchange, Handler};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn handle(&self, exchange: &mut dyn Exchange) {
//!         exchange.refuse(http::StatusCode::OK, "Hello, world!\n");
//!     }
//! }
//!
//! let workers = Workers::builder(Hello).threads(2).queue(100).start()?;
//! let mut head = RequestHead::default();
//! head.set(Known::RequestMethod, b"GET");
//! let mut call = workers.call(Request { head, ..Request::default() })?;
//! // A task would be woken; this one asks again and again.
//! let mut context = Context::from_waker(Waker::noop());
//! let mut next = || loop {
//!     if let Poll::Ready(reply) = call.poll_reply(&mut context) {
//!         break reply;
//!     }
//! };
//! assert!(matches!(next(), Reply::Head(head) if head.code() == 200));
//! assert!(matches!(next(), Reply::Block(block) if block == "Hello, world!\n"));
//! assert!(matches!(next(), Reply::End));
//! workers.shutdown();
//! assert_eq!(workers.wait(std::time::Duration::from_secs(5)), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod call;
mod crossing;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Extensions;

pub use self::call::{Call, Reply};
use self::crossing::{Crossed, Crossing};
use crate::Handler;
use crate::observe;
use crate::panics::survive;
use crate::wire::RequestHead;

/// Threads that run a handler. A cheap handle; clones are the same threads.
///
/// They end after [`shutdown`](Workers::shutdown), or when the last handle is dropped; what waits is answered first.
#[derive(Clone)]
pub struct Workers {
    shared: Arc<Shared>,
    _last: Arc<Last>,
}

/// Workers that are being put together.
pub struct Builder {
    handler: Arc<dyn Handler>,
    threads: usize,
    queue: usize,
    body_timeout: Duration,
    write_timeout: Duration,
    multiprocess: bool,
}

/// What a caller wants to be answered.
#[derive(Default, Debug)]
pub struct Request {
    /// The request's variables, and how long its body is.
    pub head: RequestHead,
    /// What goes with the request besides its variables.
    pub extensions: Extensions,
    /// The beginning of the body, as far as it is there already; empty if none is. More follows by [`Call::send_body`].
    pub body: Bytes,
    /// `body` is all of it.
    pub whole: bool,
    /// Whoever sent the request takes text for its log of errors, so that the reply may hold [`Reply::Log`].
    pub peer_log: bool,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// As many requests wait as may.
    #[error("{waiting} requests wait already, and no more may")]
    Full {
        /// The bound that was reached.
        waiting: usize,
    },
    /// [`Workers::shutdown`] was called.
    #[error("the workers are shutting down")]
    ShuttingDown,
}

impl Workers {
    /// Workers for a handler, to be set up and started.
    pub fn builder(handler: impl Handler + 'static) -> Builder {
        let minute = Duration::from_secs(60);
        Builder { handler: Arc::new(handler), threads: 1, queue: 1024, body_timeout: minute, write_timeout: minute, multiprocess: false }
    }

    /// Hands a request to the next thread that is free. Never blocks.
    ///
    /// Drop the [`Call`] to withdraw the request: if it waits it is forgotten, if it runs the handler learns of it by
    /// [`disconnected`](crate::Exchange::disconnected) and by the errors of `read` and `flush`.
    ///
    /// # Errors
    /// The queue is full, or the workers are shutting down.
    pub fn call(&self, request: Request) -> Result<Call, Refused> {
        let call = self.enqueue(request)?;
        self.wake();
        Ok(call)
    }

    /// The first half of [`call`](Self::call): the request waits for a thread that is busy now, and none is woken for it. Whoever has several
    /// requests to hand over enqueues them all before it wakes the threads: each time one is woken, it may take the processor from the caller.
    ///
    /// # Errors
    /// As for `call`.
    pub fn enqueue(&self, request: Request) -> Result<Call, Refused> {
        let Request { head, extensions, body, whole, peer_log } = request;
        let crossing = Arc::new(Crossing::new(body, whole || head.body() == crate::wire::BodyLength::Empty, &self.shared.withdrawn));
        let call = Call::new(Arc::clone(&crossing));
        let mut queue = self.shared.lock();
        let mut withdrawn = VecDeque::new();
        let full = queue.jobs.len() >= self.shared.limit.saturating_add(queue.idle);
        // Looked for only if there are any: it takes the longer the longer the queue, and all threads wait.
        if full && self.shared.withdrawn.load(Ordering::Relaxed) > 0 {
            // Those that nobody waits for any more, as after a timeout, take no place.
            (withdrawn, queue.jobs) = std::mem::take(&mut queue.jobs).into_iter().partition(|job| job.crossing.abandoned());
            for job in &withdrawn {
                job.crossing.take();
            }
        }
        let refused = match (queue.closed, full && withdrawn.is_empty()) {
            (true, _) => Some(Refused::ShuttingDown),
            (false, true) => Some(Refused::Full { waiting: self.shared.limit }),
            (false, false) => None,
        };
        if let Some(refused) = refused {
            drop(queue);
            crossing.take();
            return Err(refused);
        }
        queue.jobs.push_back(Job { head, extensions, peer_log, crossing, came: Instant::now() });
        drop(queue);
        // Only now: their extensions are the caller's own types, which may do anything when they are dropped.
        drop(withdrawn);
        Ok(call)
    }

    /// The second half: sees to it that a thread comes for what is enqueued, if one is free. To be called once for each request; costs little
    /// where all threads are busy, or enough are on their way.
    pub fn wake(&self) {
        let mut queue = self.shared.lock();
        if queue.woken < queue.idle.min(queue.jobs.len()) {
            queue.woken += 1;
            drop(queue);
            self.shared.work.notify_one();
        }
    }

    /// How many threads there are.
    pub fn threads(&self) -> usize {
        self.shared.threads
    }

    /// Takes no more requests, answers those that wait, and then ends the threads. Returns at once; further calls change nothing.
    pub fn shutdown(&self) {
        self.shared.close();
    }

    /// Waits until all threads have ended, after [`shutdown`](Self::shutdown), or until `limit` has passed. Blocks. Answers how many are still
    /// inside the handler; those go on by themselves, and a process that wants to end must exit over them.
    pub fn wait(&self, limit: Duration) -> usize {
        let until = after(limit);
        let mut queue = self.shared.lock();
        while queue.alive > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return queue.alive;
            }
            queue = self.shared.ended.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let ended = std::mem::take(&mut queue.handles);
        drop(queue);
        for thread in ended {
            // Its last act was to count itself out, so this does not wait; and it does not panic, since handlers are caught.
            let _ = thread.join();
        }
        0
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("threads", &self.shared.threads).finish_non_exhaustive()
    }
}

impl Builder {
    /// How many threads run requests; 1 by default, and at least 1. This is how many requests run at once.
    pub fn threads(mut self, threads: usize) -> Builder {
        self.threads = threads.max(1);
        self
    }

    /// How many requests may wait for a thread; 1,024 by default. Further ones are refused.
    pub fn queue(mut self, requests: usize) -> Builder {
        self.queue = requests;
        self
    }

    /// How long a handler waits for more of a request's body, each time; 60 s by default.
    pub fn body_timeout(mut self, limit: Duration) -> Builder {
        self.body_timeout = limit;
        self
    }

    /// How long a handler waits for its reply to be taken, each time; 60 s by default.
    pub fn write_timeout(mut self, limit: Duration) -> Builder {
        self.write_timeout = limit;
        self
    }

    /// Tells handlers that other processes run the same application (`wsgi.multiprocess`); false by default.
    pub fn multiprocess(mut self, multiprocess: bool) -> Builder {
        self.multiprocess = multiprocess;
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no thread. Those that were started end again.
    pub fn start(self) -> io::Result<Workers> {
        let shared = Arc::new(Shared {
            handler: self.handler,
            threads: self.threads,
            limit: self.queue,
            body_timeout: self.body_timeout,
            write_timeout: self.write_timeout,
            multiprocess: self.multiprocess,
            withdrawn: Arc::default(),
            queue: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
        });
        let workers = Workers { _last: Arc::new(Last(Arc::clone(&shared))), shared: Arc::clone(&shared) };
        for number in 1..=self.threads {
            let shared = Arc::clone(&shared);
            shared.lock().alive += 1;
            let alive = Alive(Arc::clone(&shared));
            let body = move || alive.0.handler.thread(&mut || alive.0.run());
            match std::thread::Builder::new().name(format!("wsgi-worker-{number}")).spawn(body) {
                Ok(thread) => shared.lock().handles.push(thread),
                Err(error) => {
                    workers.shutdown();
                    return Err(error);
                }
            }
        }
        Ok(workers)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("threads", &self.threads)
            .field("queue", &self.queue)
            .field("body_timeout", &self.body_timeout)
            .field("write_timeout", &self.write_timeout)
            .finish_non_exhaustive()
    }
}

/// What all threads and callers share.
struct Shared {
    handler: Arc<dyn Handler>,
    threads: usize,
    limit: usize,
    body_timeout: Duration,
    write_timeout: Duration,
    multiprocess: bool,
    /// How many requests in the queue nobody waits for any more; at times one more, that has just left it.
    withdrawn: Arc<AtomicUsize>,
    queue: Mutex<Queue>,
    /// There is something in the queue, or it is closed.
    work: Condvar,
    /// A thread has ended.
    ended: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Threads that wait for a job.
    idle: usize,
    /// How many of those were told that there is one, and have not come yet.
    woken: usize,
    alive: usize,
    closed: bool,
    handles: Vec<JoinHandle<()>>,
}

/// A request on its way to a thread.
struct Job {
    head: RequestHead,
    extensions: Extensions,
    peer_log: bool,
    crossing: Arc<Crossing>,
    /// Since when it waits.
    came: Instant,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // Nothing panics while it holds the lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Answers requests until the queue is closed and empty.
    fn run(&self) {
        while let Some(job) = self.next() {
            // The extensions, which are dropped with the request, are types of the caller's own.
            survive("what goes with a request", || self.answer(job));
        }
    }

    fn answer(&self, job: Job) {
        if !job.crossing.take() {
            return;
        }
        observe::came(Some(job.came));
        let mut exchange = Crossed::new(job, self);
        survive("handler", || self.handler.handle(&mut exchange));
        exchange.conclude();
    }

    fn next(&self) -> Option<Job> {
        let mut queue = self.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                return None;
            }
            queue.idle += 1;
            queue = self.work.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
            // If it has come unasked, it is as good as the one that was.
            queue.woken = queue.woken.saturating_sub(1);
        }
    }
}

/// That time from now. What no clock will show is as good as never.
fn after(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + NEVER)
}

/// Ends the threads when the last handle is dropped: nobody can ask them for anything any more.
struct Last(Arc<Shared>);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Counts a thread as alive until it is dropped, which is when the thread ends, or was never started.
struct Alive(Arc<Shared>);

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.lock().alive -= 1;
        self.0.ended.notify_all();
    }
}

/// A century.
const NEVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::Exchange;

    struct With<F>(F);

    impl<F: Fn() + Send + Sync> Handler for With<F> {
        fn handle(&self, _: &mut dyn Exchange) {
            (self.0)();
        }
    }

    #[test]
    fn what_is_withdrawn_is_counted_while_it_is_in_the_queue() {
        let (entered, runs) = channel();
        let (open, gate) = channel::<()>();
        let doors = Mutex::new((entered, gate));
        let handler = With(move || {
            let doors = doors.lock().unwrap();
            doors.0.send(()).unwrap();
            doors.1.recv().unwrap();
        });
        let workers = Workers::builder(handler).queue(1).start().unwrap();
        let call = || workers.call(Request::default());
        let count = || workers.shared.withdrawn.load(Ordering::Relaxed);
        let running = call().unwrap();
        runs.recv().unwrap();
        let waiting = call().unwrap();
        assert_eq!((call().unwrap_err(), count()), (Refused::Full { waiting: 1 }, 0));
        drop(running);
        assert_eq!(count(), 0);
        drop(waiting);
        assert_eq!(count(), 1);
        let waiting = call().unwrap();
        assert_eq!(count(), 0);
        drop(waiting);
        assert_eq!(count(), 1);
        open.send(()).unwrap();
        workers.shutdown();
        assert_eq!((workers.wait(Duration::from_secs(10)), count()), (0, 0));
    }

    #[test]
    fn a_queue_may_be_as_long_as_there_are_numbers() {
        let workers = Workers::builder(With(|| {})).queue(usize::MAX).start().unwrap();
        while workers.shared.lock().idle == 0 {
            std::thread::yield_now();
        }
        // An idle thread is one place more.
        assert!(workers.call(Request::default()).is_ok());
    }
}
