//! What a running server is at: asked for when somebody wants to know, so that requests pay nothing for it but a few additions.

use std::cell::Cell;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Shared;
use super::connection::State;
use crate::clock::NEVER;
use crate::listening::queue;
use crate::wire::Address;

/// What a server is at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// How many requests may run at once.
    pub threads: usize,
    /// A shutdown has begun, or was announced.
    pub stopping: bool,
    /// The open connections.
    pub connections: Connections,
    /// Bytes that came from peers, since the start. What a thread is at is counted when it looks at the next connection.
    pub received_bytes: u64,
    /// Bytes that the system took for peers, likewise; under TLS the encrypted ones.
    pub sent_bytes: u64,
    /// The sockets that accept, until a shutdown begins.
    pub listeners: Vec<Listening>,
}

/// Open connections, by what they are at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "metrics", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "metrics", serde(default))]
#[non_exhaustive]
pub struct Connections {
    /// Between requests.
    pub idle: u64,
    /// A part of a request has come.
    pub reading: u64,
    /// A thread looks at them, most often to run a handler.
    pub handling: u64,
    /// The reply is complete, and the peer is to take the rest of it.
    pub writing: u64,
    /// Everything was sent, and the peer is to close.
    pub lingering: u64,
}

/// A socket that accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Listening {
    /// Where.
    pub address: Address,
    /// How many connections wait to be accepted, and how many may; of TCP sockets only.
    pub backlog: Option<(u32, u32)>,
}

/// What one thread has moved.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Traffic {
    received: AtomicU64,
    sent: AtomicU64,
}

impl Traffic {
    /// Shows to others what the calling thread has moved. Each thread has a place of its own.
    pub(super) fn publish(&self) {
        self.received.store(RECEIVED.get(), Ordering::Relaxed);
        self.sent.store(SENT.get(), Ordering::Relaxed);
    }
}

/// Counts bytes that the calling thread has received.
pub(super) fn received(bytes: usize) {
    RECEIVED.set(RECEIVED.get() + bytes as u64);
}

/// Counts bytes that the calling thread has sent.
pub(super) fn sent(bytes: usize) {
    SENT.set(SENT.get() + bytes as u64);
}

impl Shared {
    pub(super) fn status(&self) -> Status {
        let listeners = self.listeners.iter().filter_map(|entry| {
            let listener = entry.listener.read().unwrap_or_else(PoisonError::into_inner);
            listener.as_ref().map(|listener| Listening { address: entry.door.local().clone(), backlog: queue::of(listener) })
        });
        let sum = |which: fn(&Traffic) -> &AtomicU64| self.traffic.iter().map(|traffic| which(traffic).load(Ordering::Relaxed)).sum();
        Status {
            threads: self.threads,
            stopping: self.announced(),
            connections: self.connections(),
            received_bytes: sum(|traffic| &traffic.received),
            sent_bytes: sum(|traffic| &traffic.sent),
            listeners: listeners.collect(),
        }
    }

    fn connections(&self) -> Connections {
        let mut connections = Connections::default();
        for index in self.slots.indexes() {
            let slot = self.slots.slot(index);
            let free = slot.try_look(|place| {
                let Some(connection) = place.as_deref() else { return NEVER };
                let count = match connection.state {
                    State::Reading if connection.head_deadline.is_none() => &mut connections.idle,
                    State::Reading | State::Body(_) => &mut connections.reading,
                    State::Sending { .. } | State::Writing { .. } => &mut connections.writing,
                    State::Lingering { .. } => &mut connections.lingering,
                };
                *count += 1;
                slot.deadline()
            });
            if !free {
                connections.handling += 1;
            } else if slot.is_pending() {
                // A worker that came in vain while we looked is to come again.
                self.call_again(index);
            }
        }
        connections
    }
}

thread_local! {
    static RECEIVED: Cell<u64> = const { Cell::new(0) };
    static SENT: Cell<u64> = const { Cell::new(0) };
}
