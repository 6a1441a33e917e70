//! What all threads of one server share: listeners, slots, the phase, and how connections come in.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};

use super::connection::{Connection, State};
use super::slots::Slots;
use super::socket::Socket;
use super::status::Traffic;
use super::{GiveWay, Timeouts};
use crate::Handler;
use crate::clock::NEVER;
use crate::listening::queue::Fullness;
use crate::listening::{Door, Listener, Watch};
use crate::observe::{Observer, Refusal};
use crate::panics::survive;
use crate::trouble::Trouble;
use crate::wire::{Address, Dialect, Error, Link};

/// What all threads of one server share.
pub(super) struct Shared {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) timeouts: Timeouts,
    pub(super) threads: usize,
    pub(super) read_ahead: usize,
    pub(super) multiprocess: bool,
    pub(super) observers: Vec<Arc<dyn Observer>>,
    /// One for each worker, and the last for the control thread.
    pub(super) traffic: Box<[Traffic]>,
    pub(super) give_way: Option<GiveWay>,
    pub(super) poller: OwnedFd,
    pub(super) waker: OwnedFd,
    pub(super) listeners: Vec<Entry>,
    pub(super) slots: Slots,
    pub(super) phase: AtomicU8,
    /// When an announced shutdown is to begin: if somebody has said it, and if that time ever comes.
    pub(super) shutdown_at: Mutex<Option<Option<Instant>>>,
    /// Connections that are not accepted yet when the end comes are answered by other processes.
    pub(super) leave_backlog: AtomicBool,
    /// A listener gives way to another process, for a moment.
    pub(super) giving_way: AtomicBool,
    /// Connections that a worker is to look at although the poller has nothing new of them.
    pub(super) calls: Mutex<VecDeque<u32>>,
    pub(super) bell: Bell,
}

pub(super) struct Entry {
    pub(super) listener: RwLock<Option<Listener>>,
    pub(super) door: Door,
    pub(super) dialect: Arc<dyn Dialect>,
    /// Nothing is accepted for now: for what is lacking, or to give way.
    pub(super) paused: AtomicBool,
    /// There are too many connections, or too few descriptors.
    pub(super) lacking: AtomicBool,
    /// The same, for the log.
    pub(super) trouble: Trouble,
    /// It has given way, and nobody else has accepted what waits: now it is its turn.
    pub(super) gave_way: AtomicBool,
}

/// Wakes the control thread.
#[derive(Default)]
pub(super) struct Bell {
    pub(super) rung: Mutex<bool>,
    pub(super) condition: Condvar,
}

/// What accepting once came to.
pub(super) enum Accepted {
    /// A connection, in its slot.
    Connection(u32),
    /// Nothing, for now.
    Nothing,
}

/// What an event of the poller is about.
pub(super) enum Key {
    Connection(u32),
    Listener(usize),
    Wake,
}

impl Key {
    pub(super) fn data(self) -> epoll::EventData {
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
    pub(super) fn announced(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= ANNOUNCED
    }

    pub(super) fn stopping(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= STOPPING
    }

    pub(super) fn hurried(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= HURRIED
    }

    pub(super) fn done(&self) -> bool {
        self.phase.load(Ordering::Relaxed) >= DONE
    }

    pub(super) fn advance(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::SeqCst);
        self.bell.ring();
    }

    pub(super) fn hurry(&self) {
        self.advance(HURRIED);
    }

    pub(super) fn finish(&self) {
        self.advance(DONE);
        self.wake();
    }

    /// Wakes one worker.
    pub(super) fn wake(&self) {
        // The only failure is a counter that is full, and then there are wake-ups enough.
        let _ = rustix::io::write(&self.waker, &1u64.to_ne_bytes());
    }

    pub(super) fn call_again(&self, index: u32) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push_back(index);
        self.wake();
    }

    /// The next connection to look at, for a worker that was woken. Only one, and the next worker is woken for the others: they must not wait
    /// behind a slow request.
    pub(super) fn called(&self) -> Option<u32> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let index = calls.pop_front()?;
        if !calls.is_empty() {
            self.wake();
        }
        Some(index)
    }

    /// Says of a request that no handler sees it, and why.
    pub(super) fn refused(&self, remote: &Address, error: &Error) {
        tracing::info!(target: "wsgi", remote = %remote, "request refused: {error}");
        for observer in &self.observers {
            observer.refused(&Refusal::new(remote, error));
        }
    }

    /// Blocks the control thread for a while, or until something is asked of it.
    pub(super) fn rest(&self, time: Duration) {
        self.bell.wait(time);
    }

    /// Makes the poller tell of what a connection waits for. It is told once, and again only around a reply that the peer is slow to take: on a
    /// Unix socket every reply that is taken would be an event.
    pub(super) fn poll(&self, connection: &mut Connection, index: u32) -> io::Result<()> {
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
    pub(super) fn accept(&self, listener: usize) -> Accepted {
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
    pub(super) fn gives_way_at_all(&self) -> bool {
        self.give_way.is_some()
    }

    /// Whether a listener has given way in vain: then it accepts without asking, since the others may be stuck.
    pub(super) fn gave_way_in_vain(&self, listener: usize) -> bool {
        self.listeners[listener].gave_way.swap(false, Ordering::SeqCst)
    }

    /// Leaves the next connection to another process for a moment, if that has fewer.
    pub(super) fn gives_way(&self, listener: usize) -> bool {
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
    pub(super) fn pause(&self, listener: usize, why: &str) {
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

    pub(super) fn resume_listeners(&self) {
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
    pub(super) fn cut_off(&self) {
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
    pub(super) fn delay(&self) -> Option<Duration> {
        let at = (*self.shutdown_at.lock().unwrap_or_else(PoisonError::into_inner)).flatten()?;
        Some(at.saturating_duration_since(Instant::now()))
    }

    /// Begins an announced shutdown only after so much more time.
    pub(super) fn put_off(&self, time: Duration) {
        *self.shutdown_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now().checked_add(time));
    }

    /// Lets nobody new in where somebody may be half way in. Whether there is such a place.
    pub(super) fn turn_away(&self) -> bool {
        let turned = |entry: &&Entry| {
            let listener = entry.listener.read().unwrap_or_else(PoisonError::into_inner);
            listener.as_ref().is_some_and(Listener::turn_away_ahead)
        };
        self.listeners.iter().filter(turned).count() > 0
    }

    /// Takes what the system has accepted already, unless it is others', then closes the listeners.
    pub(super) fn close_listeners(&self) {
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
    pub(super) fn abandon(&self, entry: &Entry, socket: &Listener) {
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
    pub(super) fn look_after_listeners(&self, watches: &mut [(Watch, Fullness)]) {
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
    pub(super) fn accept(&self) -> io::Result<Option<Connection>> {
        match &*self.listener.read().unwrap_or_else(PoisonError::into_inner) {
            Some(listener) => self.accept_from(listener),
            None => Ok(None),
        }
    }

    pub(super) fn accept_from(&self, listener: &Listener) -> io::Result<Option<Connection>> {
        while let Some((socket, link)) = self.door.accept(listener)? {
            let connection = self.connect(Socket::new(socket), link);
            if connection.is_some() {
                return Ok(connection);
            }
        }
        Ok(None)
    }

    /// Gives a connection its codec. None if the dialect panics; then the peer is told by a reset.
    pub(super) fn connect(&self, socket: Socket, link: Link) -> Option<Connection> {
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
    pub(super) fn ring(&self) {
        *self.rung.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.condition.notify_all();
    }

    pub(super) fn wait(&self, time: Duration) {
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.condition.wait_timeout_while(rung, time, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0 = false;
    }
}

/// How long a listener gives way: long enough for another process to wake up, and too short to be noticed.
pub(super) const GIVE_WAY: Duration = Duration::from_millis(1);

pub(super) const RUNNING: u8 = 0;
pub(super) const ANNOUNCED: u8 = 1;
pub(super) const STOPPING: u8 = 2;
pub(super) const HURRIED: u8 = 3;
pub(super) const DONE: u8 = 4;

/// Keys of the poller from here on are listeners; connections have 32 bits.
pub(super) const LISTENERS: u64 = 1 << 32;
