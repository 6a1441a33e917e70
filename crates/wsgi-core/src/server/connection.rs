//! What the engine keeps of one connection between events.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::socket::Socket;
use crate::wire::{Next, Protocol, RequestHead};

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
    /// Whether the poller knows the socket.
    pub(super) polled: bool,
    /// When the head that is being read must be complete; set by its first byte.
    pub(super) head_deadline: Option<u64>,
    /// The other end, for log lines.
    pub(super) remote: crate::wire::Address,
}

/// What the connection waits for.
///
/// ```text
///          ┌──────────────────────────────────────────────┐
///          ▼                                              │ Next::Request
///   Reading ──head──▶ Body ──whole body──▶ handler ──▶ Writing ──▶ Lingering ──▶ closed
///      └──────────── no body to wait for ─────▲               Next::Close, unread input
/// ```
pub(super) enum State {
    /// The next request.
    Reading,
    /// The rest of a body that is read ahead, so that a slow sender holds no thread.
    Body(Box<Ahead>),
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
    pub(super) body: VecDeque<Bytes>,
    pub(super) bytes: usize,
    pub(super) ended: bool,
}
