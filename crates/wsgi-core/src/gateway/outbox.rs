//! What is on its way to the peer: reply bytes that the codec has queued, and large blocks that go out from where they lie.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use crate::wire::Protocol;

/// Bytes for the peer, in order.
pub(super) struct Outbox {
    /// What the codec has queued. The first `sent` bytes of it are gone.
    bytes: Vec<u8>,
    sent: usize,
    /// The codec holds nothing back of what it queued.
    sealed: bool,
    /// A part of a block that the codec has announced, to be sent behind `bytes` as it is.
    direct: Bytes,
    /// What is left of the block that is being queued.
    block: Bytes,
    /// Something was written that the stream may still hold.
    unflushed: bool,
    /// How long the peer may take nothing.
    limit: Duration,
    /// When it has taken nothing for so long; none while it takes.
    overdue: Option<Pin<Box<Sleep>>>,
}

impl Outbox {
    pub(super) fn new(limit: Duration) -> Outbox {
        let (bytes, direct, block) = (Vec::new(), Bytes::new(), Bytes::new());
        Outbox { bytes, sent: 0, sealed: true, direct, block, unflushed: false, limit, overdue: None }
    }

    /// Where a codec queues. Not while it is [announced](Self::announced) what comes next.
    pub(super) fn queue(&mut self) -> &mut Vec<u8> {
        // What a codec finds here must be unsent as a whole.
        self.bytes.drain(..std::mem::take(&mut self.sent));
        self.sealed = false;
        &mut self.bytes
    }

    /// Queues the codec's last word to an idle peer, behind which nothing follows.
    pub(super) fn farewell(&mut self, protocol: &mut dyn Protocol) {
        protocol.farewell(self.queue());
        self.sealed = true;
    }

    /// Takes a block of a reply's body, to be queued by [`fill`](Self::fill).
    pub(super) fn put(&mut self, block: Bytes) {
        self.block = block;
    }

    /// Queues as much of the block as there is room for. Whether there is room for more.
    pub(super) fn fill(&mut self, protocol: &mut dyn Protocol) -> bool {
        while !self.is_full() && !self.block.is_empty() {
            let limit = usize::try_from(protocol.raw_limit()).unwrap_or(usize::MAX);
            let len = self.block.len().min(limit);
            if len >= DIRECT_BYTES && protocol.raw(len as u64, self.queue()) {
                self.direct = self.block.split_to(len);
            } else {
                let piece = self.block.split_to(self.block.len().min(FULL_BYTES));
                protocol.data(&piece, self.queue());
            }
        }
        !self.is_full()
    }

    /// Whether what comes next is announced, so that nothing else may be queued.
    pub(super) fn announced(&self) -> bool {
        !self.direct.is_empty()
    }

    /// Forgets what of a block is not queued yet.
    pub(super) fn cut(&mut self) {
        self.block = Bytes::new();
    }

    /// Gives back the memory, while there is nothing to send.
    pub(super) fn rest(&mut self) {
        self.bytes = Vec::new();
    }

    /// Sends all that is queued, to its last byte.
    ///
    /// An error, if the peer is gone, or takes nothing for too long.
    pub(super) fn poll_send<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        protocol: &mut dyn Protocol,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match self.poll_write(stream, protocol, context) {
            Poll::Ready(result) => {
                self.overdue = None;
                Poll::Ready(result)
            }
            Poll::Pending => {
                let limit = self.limit;
                ready!(self.overdue.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, format!("peer took longer than {limit:?} to take its reply"))))
            }
        }
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        protocol: &mut dyn Protocol,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if !self.sealed && !self.announced() {
                protocol.seal(self.queue());
                self.sealed = true;
            }
            if self.sent == self.bytes.len() && !self.announced() {
                break;
            }
            let queued = &self.bytes[self.sent..];
            let stream = Pin::new(&mut *stream);
            let written = if self.direct.is_empty() {
                ready!(stream.poll_write(context, queued))?
            } else if queued.is_empty() {
                ready!(stream.poll_write(context, &self.direct))?
            } else {
                ready!(stream.poll_write_vectored(context, &[IoSlice::new(queued), IoSlice::new(&self.direct)]))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            // Only what the peer takes gives it more time.
            self.overdue = None;
            self.unflushed = true;
            self.advance(written, protocol);
        }
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, written: usize, protocol: &mut dyn Protocol) {
        let queued = (self.bytes.len() - self.sent).min(written);
        self.sent += queued;
        if self.sent == self.bytes.len() {
            self.bytes.clear();
            self.sent = 0;
        }
        if written > queued {
            self.direct.advance(written - queued);
            if self.direct.is_empty() {
                protocol.raw_end(self.queue());
            }
        }
    }

    fn is_full(&self) -> bool {
        self.announced() || self.bytes.len() - self.sent >= FULL_BYTES
    }
}

/// From this size on a block is not copied behind the head but written from where it lies.
const DIRECT_BYTES: usize = 16 * 1024;
/// From this many queued bytes on, they are sent before more are queued.
const FULL_BYTES: usize = 64 * 1024;
