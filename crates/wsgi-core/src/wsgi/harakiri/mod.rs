//! An end to requests that take too long: the traceback goes to the log, the client gets a 504, and the thread goes on with the next request.
//!
//! ```text
//!  request begins ──limit──▶ interrupted ──grace──▶ cut off ──1 s──▶ stuck
//!        │                       │ traceback logged,   │ the client's    │ the callback is told:
//!        ▼                       │ Harakiri raised     │ socket is       │ replace the process
//!   it ends in time              ▼                     ▼ shut down       ▼
//!                         504, or the reply is aborted; the thread is good again
//! ```
//!
//! **What is possible.** Whatever executes Python code can be interrupted: an exception of the class `wsgi.Harakiri` is raised in it. It derives
//! from `BaseException`, so that `except Exception` does not hold it up, while `finally`, `with` and `close()` run as usual. If nothing of a
//! reply was sent, the client gets a 504 and the connection is closed; otherwise the reply is aborted, so that it cannot be taken for whole.
//!
//! **What is not.** Python delivers the exception between two instructions of its own. A thread that waits inside a call into C (`time.sleep`, a
//! database driver, a lock) gets it when that call returns, and not before. If that is not within the grace, its client's connection is cut
//! off, which also ends a wait for that client; a 504 cannot be sent any more, since the thread holds the reply. If the thread is still not
//! back a second later, it is called stuck, and only the end of the process ends it. An application that catches `BaseException` and goes on
//! is treated in the same way.
//!
//! A call that neither returns nor lets other threads run Python leaves nobody who could raise anything: the tracebacks of all threads are then
//! written to standard error by `faulthandler`, which needs no lock.
//!
//! An exception that reaches a thread only while it calls `close()` ends that call. Over a front end that lends no socket
//! ([`Exchange::socket`](crate::Exchange::socket)), such as HTTP/2, nobody is cut off.
//!
//! **What it costs.** Each request notes its beginning and its end in a slot of its thread's, behind a lock that nobody contends for.
//!
//! **In scope:** telling, interrupting, and saying who does not come back. **Out of scope:** replacing the process.

mod python;
mod slots;
mod watch;

use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use pyo3::prelude::*;

pub(super) use self::python::Harakiri as Interrupted;
use self::slots::Slot;
use self::watch::Watch;
use crate::{Exchange, Handler};

/// How long requests may take, and what happens then.
///
/// ```no_run
/// use std::time::Duration;
/// use wsgi_core::wsgi::Harakiri;
/// # fn application() -> wsgi_core::Application { unimplemented!() }
///
/// let application = application();
/// let handler = Harakiri::after(Duration::from_secs(30))
///     .on_stuck(|stuck| eprintln!("{} does not come back", stuck.request))
///     .around(application)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Harakiri {
    limit: Duration,
    grace: Duration,
    on_stuck: OnStuck,
}

/// A request whose thread does not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stuck {
    /// Its method and target.
    pub request: String,
    /// For how long it has been running.
    pub since: Duration,
    /// Whether Python could not be entered to interrupt it: then no thread runs any Python, and nothing that has to do with it can end in order.
    pub python_is_blocked: bool,
}

type OnStuck = Box<dyn Fn(&Stuck) + Send + Sync>;

/// A handler whose requests are watched; [`Harakiri::around`] makes it.
pub struct Watched<H> {
    handler: H,
    watch: Arc<Watch>,
}

impl<H: std::fmt::Debug> std::fmt::Debug for Watched<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("handler", &self.handler).finish_non_exhaustive()
    }
}

impl Harakiri {
    /// Interrupts every request that takes longer than this, kept to within an eighth of it, or 250 ms. The time counts from the moment at
    /// which a thread takes the request up until its reply is handed to the system, waiting for a slow client included.
    pub fn after(limit: Duration) -> Harakiri {
        Harakiri { limit, grace: Duration::from_secs(5), on_stuck: Box::new(|_| {}) }
    }

    /// How long an interrupted request may take to end before its client is cut off; 5 s by default.
    pub fn grace(mut self, grace: Duration) -> Harakiri {
        self.grace = grace;
        self
    }

    /// Is told, once for each, of requests whose threads do not come back. Runs on the thread that watches, which waits for it.
    pub fn on_stuck(mut self, callback: impl Fn(&Stuck) + Send + Sync + 'static) -> Harakiri {
        self.on_stuck = Box::new(callback);
        self
    }

    /// A handler around another, and the two threads that watch it for as long as it lives. Attaches to Python.
    ///
    /// # Errors
    /// The system gives no thread, or Python lacks a module of its own.
    pub fn around<H: Handler>(self, handler: H) -> io::Result<Watched<H>> {
        Python::attach(python::prepare).map_err(|error| io::Error::other(error.to_string()))?;
        let watch = Watch::start(self.limit, self.grace, self.on_stuck)?;
        Ok(Watched { handler, watch })
    }
}

impl std::fmt::Debug for Harakiri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harakiri").field("limit", &self.limit).field("grace", &self.grace).finish_non_exhaustive()
    }
}

impl<H> Watched<H> {
    /// How many requests run whose threads are not stuck. Others may be waited for.
    pub fn running(&self) -> usize {
        self.watch.running()
    }

    /// The same, of a handler that is given away.
    pub fn count(&self) -> impl Fn() -> usize + Send + Sync + 'static {
        let watch = Arc::clone(&self.watch);
        move || watch.running()
    }
}

impl<H: Handler> Handler for Watched<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let slot = self.watch.slot();
        // A handler within one that is watched by the same is a part of its request.
        if !slot.begin(exchange.head(), exchange.socket()) {
            return self.handler.handle(exchange);
        }
        let _end = End(&slot);
        self.handler.handle(exchange);
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        self.handler.thread(work);
    }
}

impl<H> Drop for Watched<H> {
    fn drop(&mut self) {
        self.watch.end();
    }
}

/// Ends the request of a slot, also when the handler panics.
struct End<'a>(&'a Slot);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

thread_local! {
    /// The slots of this thread, one for each watch that it has worked for.
    static SLOTS: RefCell<Vec<Arc<Slot>>> = const { RefCell::new(Vec::new()) };
}
