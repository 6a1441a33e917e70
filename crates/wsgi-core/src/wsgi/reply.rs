//! How far a reply has come, and what may follow: the rules of PEP 3333 for `start_response` and `Content-Length`, without Python.
//!
//! ```text
//! Idle ──start_response()──▶ Called ──its values were good──▶ Ready ──first block, or the end──▶ Sent ──▶ Finished
//!            ▲                  │ they were not: stays here     │
//!            └──────────────────┴──────── with exc_info ────────┘          Gone: the client cannot be reached any more
//! ```

use std::fs::File;
use std::io;
use std::ops::Range;

use http::StatusCode;

use crate::Exchange;
use crate::wire::ResponseHead;

/// One reply.
#[derive(Default)]
pub(super) struct Reply {
    phase: Phase,
    head: ResponseHead,
    /// The request's method is HEAD, so that the body goes nowhere.
    for_head: bool,
    /// `write()` was used (clause 69).
    pub(super) wrote: bool,
    sent: u64,
    /// Bytes beyond the declared length that were cut off.
    pub(super) excess: u64,
    /// Something is queued that was not flushed.
    pub(super) unflushed: bool,
    /// How many bytes of it are text for a log.
    pub(super) logged: u32,
    /// Why the client cannot be reached any more.
    pub(super) gone: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// `start_response` was not called.
    #[default]
    Idle,
    /// It was, and its values are not known to be good.
    Called,
    /// Status and headers are stored (clause 57).
    Ready,
    /// They are queued.
    Sent,
    /// The end is queued too.
    Finished,
}

/// What `start_response` may do now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A second call without `exc_info` (clause 62).
    Repeated,
    /// The headers are sent (clause 60).
    Late,
}

impl Reply {
    /// Begins anew, keeping memory.
    pub(super) fn reset(&mut self, for_head: bool) {
        let head = std::mem::take(&mut self.head);
        *self = Reply { head, for_head, ..Reply::default() };
    }

    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether status and headers are on their way, so that nothing can be said any more but by breaking off.
    pub(super) fn committed(&self) -> bool {
        matches!(self.phase, Phase::Sent | Phase::Finished)
    }

    /// Begins a call of `start_response`: hands out the head to be filled, for [`set`](Self::set).
    pub(super) fn call(&mut self, with_exc_info: bool) -> Result<ResponseHead, Refusal> {
        if self.committed() && with_exc_info {
            return Err(Refusal::Late);
        }
        // Clause 62: also if the first call raised.
        if self.phase != Phase::Idle && !with_exc_info {
            return Err(Refusal::Repeated);
        }
        self.phase = Phase::Called;
        Ok(std::mem::take(&mut self.head))
    }

    /// Ends a call of `start_response` whose values are good.
    pub(super) fn set(&mut self, head: ResponseHead) {
        // Two threads may call at once; what one of them has caused to be sent stays.
        if self.phase == Phase::Called {
            self.phase = Phase::Ready;
            self.head = head;
        }
    }

    /// The length that the body must have. None where it is not declared, or no body will be sent (D16).
    pub(super) fn declared(&self) -> Option<u64> {
        if self.silent() { None } else { self.head.content_length() }
    }

    /// Whether the body goes nowhere: the answer to a HEAD request, 204 and 304.
    pub(super) fn silent(&self) -> bool {
        self.for_head || self.head.bodiless()
    }

    /// Whether a `Content-Length` may be derived from a body of `length` bytes (clause 69, RFC 9110, 8.6).
    fn derivable(&self, length: u64) -> bool {
        let known = self.committed() || self.head.content_length().is_some();
        // The answer to a HEAD request may be empty because the application knows that nobody would see the body.
        let silent = self.head.bodiless() || self.for_head && length == 0;
        !known && !silent
    }

    /// How many bytes are still owed, where that is known.
    pub(super) fn owed(&self) -> Option<u64> {
        self.declared().map(|declared| declared.saturating_sub(self.sent))
    }

    /// Whether all that was declared is queued, so that the application need not be asked for more (clause 66).
    pub(super) fn satisfied(&self) -> bool {
        self.owed() == Some(0)
    }

    /// Derives a `Content-Length`, if there is none and there may be one.
    pub(super) fn derive_length(&mut self, length: u64) {
        if self.derivable(length) {
            self.head.set_content_length(length);
        }
    }

    /// Queues the head, once.
    pub(super) fn start(&mut self, exchange: &mut dyn Exchange) {
        if self.phase == Phase::Ready {
            self.phase = Phase::Sent;
            self.unflushed = true;
            exchange.start(&self.head);
        }
    }

    /// Queues the head if need be, and a block, or as much of it as may be sent (clause 66).
    pub(super) fn queue(&mut self, exchange: &mut dyn Exchange, block: &[u8]) {
        self.start(exchange);
        let length = block.len() as u64;
        let admitted = self.owed().map_or(length, |owed| owed.min(length));
        self.sent += admitted;
        self.excess += length - admitted;
        if admitted > 0 {
            self.unflushed = true;
            exchange.data(&block[..admitted as usize]);
        }
    }

    /// As [`queue`](Self::queue), for blocks of any size: never more than a bounded part of it lies in memory. May block if it is large.
    pub(super) fn send(&mut self, exchange: &mut dyn Exchange, block: &[u8]) -> io::Result<()> {
        let mut pieces = block.chunks(PIECE_BYTES);
        let last = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.queue(exchange, piece);
            self.flush(exchange)?;
        }
        self.queue(exchange, last);
        Ok(())
    }

    /// Queues the head if need be, and sends as much of a file as is there and owed. Blocks.
    pub(super) fn send_file(&mut self, exchange: &mut dyn Exchange, file: &File, range: Range<u64>) -> io::Result<()> {
        let there = range.end - range.start;
        if !self.wrote {
            self.derive_length(there);
        }
        self.start(exchange);
        // Clause 98: until the file's end, or the declared length; that there is more in the file is no fault.
        let length = self.owed().map_or(there, |owed| owed.min(there));
        if self.silent() || length == 0 {
            return Ok(());
        }
        self.unflushed = true;
        exchange.send_file(file, range.start..range.start + length).inspect_err(|error| self.lose(error))?;
        self.sent += length;
        Ok(())
    }

    /// Sends what is queued. Blocks.
    pub(super) fn flush(&mut self, exchange: &mut dyn Exchange) -> io::Result<()> {
        self.unflushed = false;
        self.logged = 0;
        exchange.flush().inspect_err(|error| self.lose(error))
    }

    /// Queues text for the log of whoever sent the request. False if it is not wanted there, or the reply has ended.
    pub(super) fn log(&mut self, exchange: &mut dyn Exchange, text: &[u8]) -> bool {
        let taken = exchange.log(text);
        if taken {
            self.unflushed = true;
            self.logged = self.logged.saturating_add(u32::try_from(text.len()).unwrap_or(u32::MAX));
        }
        taken
    }

    /// Notes that the client cannot be reached.
    fn lose(&mut self, error: &io::Error) {
        self.gone.get_or_insert_with(|| error.to_string());
    }

    /// Queues the end of a body that is whole.
    pub(super) fn finish(&mut self, exchange: &mut dyn Exchange) {
        if self.phase == Phase::Sent {
            self.phase = Phase::Finished;
            self.unflushed = true;
            exchange.finish();
        }
    }

    /// Ends a reply that the application did not complete, so that the client can tell.
    pub(super) fn give_up(&mut self, exchange: &mut dyn Exchange, status: StatusCode) {
        if self.committed() {
            if self.phase == Phase::Sent && self.satisfied() {
                // All that was declared is sent, whatever went wrong then.
                self.finish(exchange);
            } else if self.phase == Phase::Sent {
                exchange.abort();
            }
        } else {
            self.unflushed = true;
            exchange.refuse(status, &format!("{status}\n"));
        }
        self.phase = Phase::Finished;
    }

    /// How many bytes of the body were queued.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }
}

/// How much of one block is queued at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Blocks from this size on are queued detached, since the exchange may hand them to the system at once.
pub(super) const LARGE_BYTES: usize = 16 * 1024;
