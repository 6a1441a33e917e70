//! What the engine keeps of one connection between events.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rustix::event::epoll::EventFlags;

use super::delivery::Delivery;
use super::rest::Rest;
use super::socket::Socket;
use crate::exchange::Outcome;
use crate::wire::{Address, Next, Protocol, RequestHead};

/// One connection between events. An idle one has no buffers.
pub(super) struct Connection {
    pub(super) socket: Socket,
    pub(super) protocol: Box<dyn Protocol>,
    /// Bytes that were read and not yet understood.
    pub(super) input: BytesMut,
    /// Bytes of the reply that the system would not take yet, from `sent` on.
    pub(super) output: Vec<u8>,
    pub(super) sent: usize,
    pub(super) state: State,
    /// Of the reply that is being sent, if somebody wants to know.
    pub(super) delivery: Option<Box<Delivery>>,
    /// What the poller was told to tell of the socket.
    pub(super) polled: Option<EventFlags>,
    /// When the head that is being read must be complete; set by its first byte.
    pub(super) head_deadline: Option<u64>,
    /// The other end.
    pub(super) peer: Address,
}

impl Connection {
    /// Whom log lines are about: the client, also behind a proxy that says whose connection it passes on.
    pub(super) fn remote(&self) -> &Address {
        self.protocol.client().unwrap_or(&self.peer)
    }

    /// The system has taken some more of the reply.
    pub(super) fn took(&mut self, bytes: usize) {
        if let Some(delivery) = &mut self.delivery {
            delivery.took(bytes);
        }
    }

    /// The reply is over.
    pub(super) fn delivered(&mut self, outcome: Outcome) {
        if let Some(delivery) = self.delivery.take() {
            delivery.end(outcome);
        }
    }
}

/// What the connection waits for.
///
/// ```text
///          ┌────────────────────────────────────────────────────────────┐
///          ▼                                                            │ Next::Request
///   Reading ──head──▶ Body ──whole body──▶ handler ──▶ Sending ──▶ Writing ──▶ Lingering ──▶ closed
///      └──────────── no body to wait for ─────▲ └─ nothing left ─────▲      Next::Close, unread input
/// ```
pub(super) enum State {
    /// The next request.
    Reading,
    /// The rest of a body that is read ahead, so that a slow sender holds no thread.
    Body(Box<Ahead>),
    /// The peer to take more of a reply whose rest is known and not queued yet.
    Sending {
        rest: Box<Rest>,
        /// When it must have taken some more.
        until: u64,
    },
    /// The peer to take the rest of a reply that is complete.
    Writing {
        next: Next,
        /// When it must have taken some more.
        until: u64,
    },
    /// The peer to close: everything was sent, and closing now would destroy what it has not read yet.
    Lingering {
        /// When it is cut off, whatever it still sends.
        until: u64,
    },
}

/// A request whose body is being read ahead of its handler.
#[derive(Default)]
pub(super) struct Ahead {
    pub(super) head: RequestHead,
    /// What had come when the connection was last left to the poller.
    settled: BytesMut,
    /// What has come since, each a part of the buffer that it was read into.
    pieces: VecDeque<Bytes>,
    pub(super) bytes: usize,
}

impl Ahead {
    pub(super) fn new(head: RequestHead) -> Ahead {
        Ahead { head, ..Ahead::default() }
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    /// Copies what has come, before a wait: a byte that came alone must not keep the whole buffer that it was read into.
    pub(super) fn settle(&mut self) {
        self.pieces.drain(..).for_each(|piece| self.settled.extend_from_slice(&piece));
    }

    /// The head, and the body as far as it has come.
    pub(super) fn into_parts(self) -> (RequestHead, VecDeque<Bytes>) {
        let Ahead { head, settled, mut pieces, .. } = self;
        if !settled.is_empty() {
            pieces.push_front(settled.freeze());
        }
        (head, pieces)
    }
}
