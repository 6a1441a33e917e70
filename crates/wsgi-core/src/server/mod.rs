//! The engine: sockets, threads, deadlines, limits and shutdown, for every protocol and every handler.
//!
//! ```text
//!            ┌──────────────── shared poller (epoll, edge-triggered) ───────────────┐
//!  listeners ┤  idle and half-read connections: a slot and no thread                │
//!            └──────┬───────────────────────┬───────────────────────┬───────────────┘
//!                   ▼ event                 ▼                       ▼
//!               worker 1                worker 2      …         worker N        control thread
//!               read, understand,       (the same)                              deadlines, pauses,
//!               Handler::handle,                                                shutdown
//!               write
//! ```
//!
//! Whichever worker gets the event runs that request to completion on its own thread: there is no hand-off, no queue and no wake-up on the
//! way. A head, and a short body, are read to their end before a handler runs, and a finished reply that the peer does not take at once is
//! left to the poller, with the files that are a part of it; so slow peers hold no thread. Only a streaming reply to a slow reader, or a long body that trickles into a waiting
//! `read`, keeps a thread waiting, each under a deadline.
//!
//! **In scope:** several listeners of several protocols, TCP, Unix and inherited sockets, deadlines, limits, graceful shutdown.
//! **Out of scope:** what bytes mean ([`wire`](crate::wire)), and who answers ([`Handler`]). No Python is known here. Linux only.
//!
//! ```no_run
//! use wsgi_core::server::{Listener, Server};
//! use wsgi_core::wire::{Link, Protocol};
//! # fn my_codec(_: &Link) -> Box<dyn Protocol> { unimplemented!() }
//! # struct Hello;
//! # impl wsgi_core::Handler for Hello { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//!
//! let listener = Listener::bind(&"127.0.0.1:8000".parse()?)?;
//! let running = Server::new(Hello).listen(listener, my_codec).threads(4).start()?;
//! let handle = running.handle(); // from another thread, or a signal: handle.shutdown()
//! running.wait();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod connection;
mod control;
mod conversation;
mod delivery;
mod rest;
mod shared;
mod sigpipe;
mod slots;
mod socket;
mod status;
mod worker;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, epoll, eventfd};

use self::shared::{ANNOUNCED, Bell, Entry, Key, RUNNING, STOPPING, Shared};
use self::slots::Slots;
use self::status::Traffic;
pub use self::status::{Connections, Listening, Status};
use self::worker::Worker;
use crate::Handler;
use crate::listening::Door;
pub use crate::listening::{AddressError, AllowFrom, BindOptions, ListenAddress, Listener, Network, NetworkError};
use crate::observe::Observer;
use crate::trouble::Trouble;
use crate::wire::Dialect;

/// A server that is being put together. Nothing happens before [`start`](Server::start).
pub struct Server {
    handler: Arc<dyn Handler>,
    listeners: Vec<(Listener, Arc<dyn Dialect>)>,
    threads: usize,
    timeouts: Timeouts,
    max_connections: usize,
    read_ahead: usize,
    multiprocess: bool,
    observers: Vec<Arc<dyn Observer>>,
    give_way: Option<GiveWay>,
}

/// Whether, with so many open connections, the next one is better left to another process.
type GiveWay = Box<dyn Fn(usize) -> bool + Send + Sync>;

/// How long peers may take. Deadlines are kept to within an eighth of the shortest of them, or 250 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request to the end of its head. 30 s by default.
    pub head: Duration,
    /// Between requests of one connection. 60 s by default; a proxy in front should give up its idle connections sooner.
    pub idle: Duration,
    /// For each wait for more of a request's body. 60 s by default.
    pub body: Duration,
    /// For each wait for the peer to take more of a reply. 60 s by default.
    pub write: Duration,
    /// How long a peer may go on sending after its request was refused, or answered before its body was read. 30 s by default. What it sends
    /// is thrown away; but to close at once could destroy the reply before it has read it (RFC 9112, 9.6).
    pub linger: Duration,
    /// From [`Handle::shutdown`] until what still runs is cut off. 30 s by default.
    pub shutdown: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Timeouts { head: minute / 2, idle: minute, body: minute, write: minute, linger: minute / 2, shutdown: minute / 2 }
    }
}

impl Server {
    /// A server that answers with `handler`.
    pub fn new(handler: impl Handler + 'static) -> Server {
        Server {
            handler: Arc::new(handler),
            listeners: Vec::new(),
            threads: 1,
            timeouts: Timeouts::default(),
            max_connections: 16 * 1024,
            read_ahead: 64 * 1024,
            multiprocess: false,
            observers: Vec::new(),
            give_way: None,
        }
    }

    /// Adds a listener and what it speaks. Any number of them share the threads.
    ///
    /// Who may connect is what [`Listener::allow_from`] says; else anyone, or only the machine itself if the protocol trusts its peers
    /// ([`Dialect::trusts_peer`]).
    pub fn listen(mut self, listener: Listener, dialect: impl Dialect + 'static) -> Server {
        self.listeners.push((listener, Arc::new(dialect)));
        self
    }

    /// How many threads run requests; 1 by default, and at least 1. This is how many requests run at once.
    pub fn threads(mut self, threads: usize) -> Server {
        self.threads = threads.max(1);
        self
    }

    /// How long peers may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Server {
        self.timeouts = timeouts;
        self
    }

    /// How many connections may be open at once; 16,384 by default. Further ones wait in the listener's backlog.
    pub fn max_connections(mut self, connections: usize) -> Server {
        self.max_connections = connections;
        self
    }

    /// Bodies of up to this many bytes are read before the handler runs, so that a slow sender holds no thread; 65,536 by default.
    pub fn read_ahead(mut self, bytes: usize) -> Server {
        self.read_ahead = bytes;
        self
    }

    /// Tells applications that other processes run the same application (`wsgi.multiprocess`); false by default.
    pub fn multiprocess(mut self, multiprocess: bool) -> Server {
        self.multiprocess = multiprocess;
        self
    }

    /// Tells this observer of requests that are refused before any handler sees them; of the others it learns from an
    /// [`Observed`](crate::observe::Observed) handler. May be called for several.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Server {
        self.observers.push(observer);
        self
    }

    /// Asks, before a connection is accepted and with the number of those that are open, whether it is better left to another process that
    /// listens on the same socket and has fewer. If so, nothing is accepted for a millisecond, and then some connections in any case.
    ///
    /// Otherwise the process that is awake first takes all connections of a burst, and keeps them, while the others have nothing to do. It is
    /// asked often, on threads that serve: it must not block.
    pub fn give_way(mut self, give_way: impl Fn(usize) -> bool + Send + Sync + 'static) -> Server {
        self.give_way = Some(Box::new(give_way));
        self
    }

    /// Starts the threads. Connections are accepted from now on.
    ///
    /// # Errors
    /// The system gives no poller or thread.
    pub fn start(self) -> io::Result<Running> {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&poller, &waker, Key::Wake.data(), epoll::EventFlags::IN | epoll::EventFlags::ET)?;
        for (index, (listener, _)) in self.listeners.iter().enumerate() {
            epoll::add(&poller, listener, Key::Listener(index).data(), epoll::EventFlags::IN)?;
        }
        let listeners = self.listeners.into_iter().map(|(listener, dialect)| Entry {
            door: Door::new(&listener, dialect.trusts_peer()),
            listener: RwLock::new(Some(listener)),
            dialect,
            paused: AtomicBool::new(false),
            lacking: AtomicBool::new(false),
            gave_way: AtomicBool::new(false),
            trouble: Trouble::new(),
        });
        let shared = Arc::new(Shared {
            handler: self.handler,
            timeouts: self.timeouts,
            threads: self.threads,
            read_ahead: self.read_ahead,
            multiprocess: self.multiprocess,
            observers: self.observers,
            traffic: (0..=self.threads).map(|_| Traffic::default()).collect(),
            give_way: self.give_way,
            poller,
            waker,
            listeners: listeners.collect(),
            slots: Slots::new(self.max_connections),
            phase: AtomicU8::new(RUNNING),
            shutdown_at: Mutex::default(),
            leave_backlog: AtomicBool::new(false),
            giving_way: AtomicBool::new(false),
            calls: Mutex::default(),
            bell: Bell::default(),
        });
        let mut running = Running { shared: Arc::clone(&shared), workers: Vec::new(), control: None };
        for number in 1..=self.threads {
            let mut worker = Worker::new(Arc::clone(&shared), number - 1);
            let handler = Arc::clone(&shared.handler);
            let body = move || {
                handler.thread(&mut || worker.run());
            };
            match std::thread::Builder::new().name(format!("wsgi-worker-{number}")).spawn(body) {
                Ok(thread) => running.workers.push(thread),
                Err(error) => {
                    shared.finish();
                    return Err(error);
                }
            }
        }
        let control = Arc::clone(&shared);
        let spawned = std::thread::Builder::new().name("wsgi-control".to_owned()).spawn(move || control::run(&control));
        match spawned {
            Ok(thread) => running.control = Some(thread),
            Err(error) => {
                shared.finish();
                return Err(error);
            }
        }
        Ok(running)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let listeners: Vec<_> = self.listeners.iter().map(|(listener, dialect)| (listener.local_address(), dialect.name())).collect();
        f.debug_struct("Server")
            .field("listeners", &listeners)
            .field("threads", &self.threads)
            .field("timeouts", &self.timeouts)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// A server whose threads run. Dropping it does not stop them; [`Handle::shutdown`] does.
pub struct Running {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    control: Option<JoinHandle<()>>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Threads that were still inside a handler when the shutdown deadline had passed. They go on by themselves; a process that wants to end
    /// must exit over them.
    pub stuck: usize,
}

impl Running {
    /// Something to end the server with, from any thread.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Waits until the server has ended, after [`Handle::shutdown`]. Blocks until then.
    pub fn wait(mut self) -> Outcome {
        if let Some(control) = self.control.take() {
            // It does not panic by itself; if it did, the workers have no deadlines any more, but still end.
            let _ = control.join();
        }
        // The deadline has passed or there is nothing left to do: a worker that is not back soon is stuck in its handler.
        let until = Instant::now() + STUCK_AFTER;
        while Instant::now() < until && self.workers.iter().any(|worker| !worker.is_finished()) {
            self.shared.wake();
            std::thread::sleep(Duration::from_millis(5));
        }
        let (ended, stuck): (Vec<_>, Vec<_>) = self.workers.drain(..).partition(JoinHandle::is_finished);
        for worker in ended {
            let _ = worker.join();
        }
        self.shared.cut_off();
        if !stuck.is_empty() {
            tracing::warn!(target: "wsgi", "{} threads are still inside a handler", stuck.len());
        }
        Outcome { stuck: stuck.len() }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("threads", &self.workers.len()).finish_non_exhaustive()
    }
}

/// Ends a running server, and tells what it is at. Clones are about the same one.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Says that the end comes soon, and goes on: from now on replies say that their connection closes, and [`Status::stopping`] is told, so
    /// that a balancer that asks for it sends its requests elsewhere. Returns at once. Further calls change nothing.
    pub fn announce(&self) {
        self.shared.advance(ANNOUNCED);
    }

    /// [`announce`](Self::announce), and after this time [`shutdown`](Self::shutdown). Returns at once; of several calls the first counts, and each of the
    /// other calls that end the server cuts the time short.
    ///
    /// When the time is over, nobody new is let in on sockets of TCP that were bound here, for 300 ms, before they are closed: who asks in the
    /// moment of the end is answered, or refused before a request is sent, and no connection is reset whom the system alone has accepted.
    pub fn shutdown_after(&self, delay: Duration) {
        // Without: a time that never comes.
        let end = Instant::now().checked_add(delay);
        self.shared.shutdown_at.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(end);
        self.announce();
    }

    /// Asks for a graceful end and returns at once: accepts nothing more, answers what was accepted, and ends when that is done or when
    /// [`Timeouts::shutdown`] has passed. Further calls change nothing. Nobody else is to serve the sockets after that
    /// ([`Listener::turn_away`]), unless they were bound by somebody else.
    pub fn shutdown(&self) {
        self.shared.advance(STOPPING);
    }

    /// As [`shutdown`](Self::shutdown), where other processes listen on the same sockets: connections that are not accepted yet are left to them.
    pub fn hand_over(&self) {
        self.shared.leave_backlog.store(true, Ordering::SeqCst);
        self.shared.advance(STOPPING);
    }

    /// What the server is at. Looks at every connection without waiting for any: ten thousand take some hundreds of microseconds.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// Cuts off what still runs, without waiting for the deadline.
    pub fn hurry(&self) {
        self.shared.advance(STOPPING);
        self.shared.hurry();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

/// How long an idle connection is kept after a shutdown began, for a request that is on its way.
pub(crate) const IDLE_GRACE: Duration = Duration::from_millis(500);
/// How long a peer may be silent, and not close, after its request was refused or answered early.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// How long after the end a worker may take to come back before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);
