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
mod sigpipe;
mod slots;
mod socket;
mod status;
mod worker;

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::event::{EventfdFlags, eventfd};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use self::connection::{Connection, State};
use self::slots::Slots;
use self::socket::Socket;
use self::status::Traffic;
pub use self::status::{Connections, Listening, Status};
use self::worker::Worker;
use crate::Handler;
use crate::clock::NEVER;
use crate::listening::queue::Fullness;
pub use crate::listening::{AddressError, AllowFrom, BindOptions, ListenAddress, Listener, Network, NetworkError};
use crate::listening::{Door, Watch};
use crate::observe::{Observer, Refusal};
use crate::panics::survive;
use crate::trouble::Trouble;
use crate::wire::{Address, Dialect, Error, Link};

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

/// What all threads of one server share.
struct Shared {
    handler: Arc<dyn Handler>,
    timeouts: Timeouts,
    threads: usize,
    read_ahead: usize,
    multiprocess: bool,
    observers: Vec<Arc<dyn Observer>>,
    /// One for each worker, and the last for the control thread.
    traffic: Box<[Traffic]>,
    give_way: Option<GiveWay>,
    poller: OwnedFd,
    waker: OwnedFd,
    listeners: Vec<Entry>,
    slots: Slots,
    phase: AtomicU8,
    /// When an announced shutdown is to begin: if somebody has said it, and if that time ever comes.
    shutdown_at: Mutex<Option<Option<Instant>>>,
    /// Connections that are not accepted yet when the end comes are answered by other processes.
    leave_backlog: AtomicBool,
    /// A listener gives way to another process, for a moment.
    giving_way: AtomicBool,
    /// Connections that a worker is to look at although the poller has nothing new of them.
    calls: Mutex<VecDeque<u32>>,
    bell: Bell,
}

struct Entry {
    listener: RwLock<Option<Listener>>,
    door: Door,
    dialect: Arc<dyn Dialect>,
    /// Nothing is accepted for now: for what is lacking, or to give way.
    paused: AtomicBool,
    /// There are too many connections, or too few descriptors.
    lacking: AtomicBool,
    /// The same, for the log.
    trouble: Trouble,
    /// It has given way, and nobody else has accepted what waits: now it is its turn.
    gave_way: AtomicBool,
}

/// Wakes the control thread.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    condition: Condvar,
}

/// What accepting once came to.
enum Accepted {
    /// A connection, in its slot.
    Connection(u32),
    /// Nothing, for now.
    Nothing,
}

/// What an event of the poller is about.
enum Key {
    Connection(u32),
    Listener(usize),
    Wake,
}

impl Key {
    fn data(self) -> epoll::EventData {
        epoll::EventData::new_u64(match self {
            Key::Connection(index) => u64::from(index),
            Key::Listener(index) => LISTENERS + index as u64,
            Key::Wake => u64::MAX,
        })
    }
}

impl From<u64> for Key {
    fn from(data: u64) -> Key {
        match data {
            u64::MAX => Key::Wake,
            LISTENERS.. => Key::Listener((data - LISTENERS) as usize),
            _ => Key::Connection(data as u32),
        }
    }
}

impl Shared {
    /// Whether replies say that their connection closes.
    fn announced(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= ANNOUNCED
    }

    fn stopping(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= STOPPING
    }

    fn hurried(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= HURRIED
    }

    fn done(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= DONE
    }

    fn advance(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::SeqCst);
        self.bell.ring();
    }

    fn hurry(&self) {
        self.advance(HURRIED);
    }

    fn finish(&self) {
        self.advance(DONE);
        self.wake();
    }

    /// Wakes one worker.
    fn wake(&self) {
        // The only failure is a counter that is full, and then there are wake-ups enough.
        let _ = rustix::io::write(&self.waker, &1u64.to_ne_bytes());
    }

    fn call_again(&self, index: u32) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push_back(index);
        self.wake();
    }

    /// The next connection to look at, for a worker that was woken. Only one, and the next worker is woken for the others: they must not wait
    /// behind a slow request.
    fn called(&self) -> Option<u32> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let index = calls.pop_front()?;
        if !calls.is_empty() {
            self.wake();
        }
        Some(index)
    }

    /// Says of a request that no handler sees it, and why.
    fn refused(&self, remote: &Address, error: &Error) {
        tracing::info!(target: "wsgi", remote = %remote, "request refused: {error}");
        for observer in &self.observers {
            observer.refused(&Refusal::new(remote, error));
        }
    }

    /// Blocks the control thread for a while, or until something is asked of it.
    fn rest(&self, time: Duration) {
        self.bell.wait(time);
    }

    /// Makes the poller tell of what a connection waits for. It is told once, and again only around a reply that the peer is slow to take: on a
    /// Unix socket every reply that is taken would be an event.
    fn poll(&self, connection: &mut Connection, index: u32) -> io::Result<()> {
        let mut flags = epoll::EventFlags::IN | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        if matches!(connection.state, State::Sending { .. } | State::Writing { .. }) {
            flags |= epoll::EventFlags::OUT;
        }
        if connection.polled == Some(flags) {
            return Ok(());
        }
        let (socket, data) = (&connection.socket, Key::Connection(index).data());
        match connection.polled {
            None => epoll::add(&self.poller, socket, data, flags)?,
            Some(_) => epoll::modify(&self.poller, socket, data, flags)?,
        }
        connection.polled = Some(flags);
        Ok(())
    }

    /// Accepts one connection into a slot.
    fn accept(&self, listener: usize) -> Accepted {
        let Some(index) = self.slots.claim() else {
            // Otherwise the poller tells of the next one who does.
            if self.listeners[listener].listener.read().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(somebody_waits) {
                self.pause(listener, "as many connections as allowed are open");
            }
            return Accepted::Nothing;
        };
        match self.listeners[listener].accept() {
            Ok(Some(connection)) => {
                self.slots.slot(index).fill(Box::new(connection));
                let entry = &self.listeners[listener];
                if entry.trouble.over().is_some() {
                    tracing::info!(target: "wsgi", "accepting on {} again", entry.door.local());
                }
                Accepted::Connection(index)
            }
            Ok(None) => {
                self.slots.release(index);
                Accepted::Nothing
            }
            Err(error) => {
                self.slots.release(index);
                self.pause(listener, &error.to_string());
                Accepted::Nothing
            }
        }
    }

    /// Whether there are other processes to give way to.
    fn gives_way_at_all(&self) -> bool {
        self.give_way.is_some()
    }

    /// Whether a listener has given way in vain: then it accepts without asking, since the others may be stuck.
    fn gave_way_in_vain(&self, listener: usize) -> bool {
        self.listeners[listener].gave_way.swap(false, Ordering::SeqCst)
    }

    /// Leaves the next connection to another process for a moment, if that has fewer.
    fn gives_way(&self, listener: usize) -> bool {
        let Some(give_way) = &self.give_way else { return false };
        let entry = &self.listeners[listener];
        if !give_way(self.slots.used()) {
            return false;
        }
        let Some(socket) = &*entry.listener.read().unwrap_or_else(PoisonError::into_inner) else { return false };
        if epoll::modify(&self.poller, socket, Key::Listener(listener).data(), epoll::EventFlags::empty()).is_err() {
            return false;
        }
        entry.paused.store(true, Ordering::SeqCst);
        self.giving_way.store(true, Ordering::SeqCst);
        self.bell.ring();
        true
    }

    /// Stops accepting until the control thread tries again. A listener that stays readable would otherwise keep a thread spinning.
    fn pause(&self, listener: usize, why: &str) {
        let entry = &self.listeners[listener];
        if let Some(socket) = &*entry.listener.read().unwrap_or_else(PoisonError::into_inner) {
            if epoll::modify(&self.poller, socket, Key::Listener(listener).data(), epoll::EventFlags::empty()).is_err() {
                return;
            }
            entry.paused.store(true, Ordering::SeqCst);
            if !entry.lacking.swap(true, Ordering::SeqCst) && entry.trouble.met() {
                tracing::warn!(target: "wsgi", "not accepting on {} for now: {why}", entry.door.local());
            }
        }
    }

    fn resume_listeners(&self) {
        for (index, entry) in self.listeners.iter().enumerate() {
            if entry.paused.load(Ordering::SeqCst) && !self.slots.is_full() {
                if entry.lacking.swap(false, Ordering::SeqCst) {
                    entry.trouble.passes();
                }
                entry.paused.store(false, Ordering::SeqCst);
                if let Some(socket) = &*entry.listener.read().unwrap_or_else(PoisonError::into_inner) {
                    if self.give_way.is_some() {
                        entry.gave_way.store(somebody_waits(socket), Ordering::SeqCst);
                    }
                    if let Err(error) = epoll::modify(&self.poller, socket, Key::Listener(index).data(), epoll::EventFlags::IN) {
                        tracing::error!(target: "wsgi", "cannot accept on {} again: {}", entry.door.local(), io::Error::from(error));
                    }
                }
            }
        }
    }

    /// Closes what is still open, when no worker looks at it any more: whoever has a [`Handle`] keeps the slots. What a peer has of a reply that is
    /// cut off must not look whole.
    fn cut_off(&self) {
        for index in self.slots.indexes() {
            self.slots.slot(index).visit(|_, place| {
                if let Some(connection) = place.take() {
                    if matches!(connection.state, State::Sending { .. } | State::Writing { .. }) {
                        connection.socket.reset_on_close();
                    }
                    self.slots.release(index);
                }
                NEVER
            });
        }
    }

    /// How long an announced shutdown is still to wait, if one is.
    fn delay(&self) -> Option<Duration> {
        let at = (*self.shutdown_at.lock().unwrap_or_else(PoisonError::into_inner)).flatten()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Begins an announced shutdown only after so much more time.
    fn put_off(&self, time: Duration) {
        *self.shutdown_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now().checked_add(time));
    }

    /// Lets nobody new in where somebody may be half way in. Whether there is such a place.
    fn turn_away(&self) -> bool {
        let turned = |entry: &&Entry| {
            let listener = entry.listener.read().unwrap_or_else(PoisonError::into_inner);
            listener.as_ref().is_some_and(Listener::turn_away_ahead)
        };
        self.listeners.iter().filter(turned).count() > 0
    }

    /// Takes what the system has accepted already, unless it is others', then closes the listeners.
    fn close_listeners(&self) {
        for (index, entry) in self.listeners.iter().enumerate() {
            let mut listener = entry.listener.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(socket) = listener.as_ref() {
                self.abandon(entry, socket);
                tracing::debug!(target: "wsgi", "listener {index} on {} closed", entry.door.local());
            }
            *listener = None;
        }
    }

    /// Waits for nobody on a listener any more, and takes what the system has accepted there already, unless it is others'.
    fn abandon(&self, entry: &Entry, socket: &Listener) {
        let _ = epoll::delete(&self.poller, socket);
        if !self.leave_backlog.load(Ordering::SeqCst) {
            entry.door.close(socket);
        }
        while !self.leave_backlog.load(Ordering::SeqCst) {
            let Some(slot) = self.slots.claim() else { break };
            match entry.accept_from(socket) {
                Ok(Some(connection)) => {
                    self.slots.slot(slot).fill(Box::new(connection));
                    self.call_again(slot);
                }
                Ok(None) | Err(_) => {
                    self.slots.release(slot);
                    break;
                }
            }
        }
    }

    /// Looks after what can happen to a listener while nobody connects.
    fn look_after_listeners(&self, watches: &mut [(Watch, Fullness)]) {
        for ((index, entry), (file, queue)) in self.listeners.iter().enumerate().zip(watches) {
            let new = entry.listener.read().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(|listener| {
                // Of several processes, the one that has them in hand says it.
                if !self.multiprocess {
                    queue.look(listener);
                }
                file.look(listener)
            });
            let Some(new) = new else { continue };
            let mut listener = entry.listener.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(old) = listener.as_ref() {
                self.abandon(entry, old);
            }
            entry.paused.store(false, Ordering::SeqCst);
            if let Err(error) = epoll::add(&self.poller, &new, Key::Listener(index).data(), epoll::EventFlags::IN) {
                tracing::error!(target: "wsgi", "cannot accept on {} again: {}", entry.door.local(), io::Error::from(error));
            }
            *listener = Some(new);
        }
    }
}

impl Entry {
    fn accept(&self) -> io::Result<Option<Connection>> {
        match &*self.listener.read().unwrap_or_else(PoisonError::into_inner) {
            Some(listener) => self.accept_from(listener),
            None => Ok(None),
        }
    }

    fn accept_from(&self, listener: &Listener) -> io::Result<Option<Connection>> {
        while let Some((socket, link)) = self.door.accept(listener)? {
            let connection = self.connect(Socket::new(socket), link);
            if connection.is_some() {
                return Ok(connection);
            }
        }
        Ok(None)
    }

    /// Gives a connection its codec. None if the dialect panics; then the peer is told by a reset.
    fn connect(&self, socket: Socket, link: Link) -> Option<Connection> {
        let Some(protocol) = survive("dialect", || self.dialect.connect(&link)) else {
            socket.reset_on_close();
            return None;
        };
        Some(Connection {
            socket,
            protocol,
            input: BytesMut::new(),
            output: Vec::new(),
            sent: 0,
            state: State::Reading,
            delivery: None,
            polled: None,
            head_deadline: None,
            peer: link.remote,
        })
    }
}

/// Whether there is a connection to be accepted.
fn somebody_waits(listener: &Listener) -> bool {
    poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_all();
    }

    fn wait(&self, time: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.condition.wait_timeout_while(rung, time, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// How long a listener gives way: long enough for another process to wake up, and too short to be noticed.
const GIVE_WAY: Duration = Duration::from_millis(1);

const RUNNING: u8 = 0;
const ANNOUNCED: u8 = 1;
const STOPPING: u8 = 2;
const HURRIED: u8 = 3;
const DONE: u8 = 4;

/// Keys of the poller from here on are listeners; connections have 32 bits.
const LISTENERS: u64 = 1 << 32;
/// How long an idle connection is kept after a shutdown began, for a request that is on its way.
pub(crate) const IDLE_GRACE: Duration = Duration::from_millis(500);
/// How long a peer may be silent, and not close, after its request was refused or answered early.
pub(crate) const LINGER: Duration = Duration::from_secs(2);
/// How long after the end a worker may take to come back before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);
