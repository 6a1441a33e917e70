//! What the Python objects of one request share: the lent exchange, the reply as far as it has come, the body as far as it was read.
//!
//! One lock guards all three. The rule that keeps it free of deadlocks: **never wait for the lock, or for the peer, while attached; never run
//! Python while holding it.** [`Session::with`] and [`Session::detached`] are the only two ways in, and keep the first half of it; the `Send`
//! bound on their closures keeps Python objects out, which is the second.

use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::prelude::*;

use super::input::Body;
use super::lent::{Guard, Lent};
use super::reply::Reply;
use crate::Exchange;

/// Not seen by applications, but by the objects that they are given.
#[pyclass(frozen, module = "wsgi", name = "Session")]
pub(super) struct Session {
    lent: Lent<State>,
    /// Whether the exchange that was lent last takes text for its sender's log. Known without the lock, for which text of other requests than
    /// those must not wait.
    logs: AtomicBool,
}

/// What belongs to one request besides the exchange.
#[derive(Default)]
pub(super) struct State {
    pub(super) reply: Reply,
    pub(super) body: Body,
}

impl Session {
    pub(super) fn new() -> Session {
        Session { lent: Lent::new(State::default()), logs: AtomicBool::new(false) }
    }

    /// Lends the exchange to this session while `work` runs.
    pub(super) fn scope<R>(&self, exchange: &mut dyn Exchange, body: Body, for_head: bool, work: impl FnOnce() -> R) -> R {
        self.logs.store(exchange.log(b""), Ordering::Relaxed);
        let prepare = |state: &mut State, _: &dyn Exchange| {
            state.reply.reset(for_head);
            state.body = body;
        };
        self.lent.scope(exchange, prepare, work)
    }

    /// Ends the loan early, waiting politely: other threads may run Python meanwhile.
    pub(super) fn take_back(&self, py: Python<'_>) {
        match self.lent.try_lock() {
            Some(mut desk) => desk.take_back(),
            None => py.detach(|| self.lent.lock().take_back()),
        }
    }

    /// Does something short, which must not block.
    pub(super) fn with<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Guard<'_, State>) -> R + Send) -> R {
        if let Some(mut desk) = self.lent.try_lock() {
            return work(&mut desk);
        }
        py.detach(|| work(&mut self.lent.lock()))
    }

    /// Whether text for the log may go to whoever sent the request, as long as the reply has not ended.
    pub(super) fn logs(&self) -> bool {
        self.logs.load(Ordering::Relaxed)
    }

    /// Queues text for the log of whoever sent the request, and sends it if much has gathered. False where it has to go elsewhere.
    pub(super) fn log(&self, py: Python<'_>, text: &str) -> bool {
        if !self.logs() {
            return false;
        }
        let (taken, queued) = self.with(py, |desk| {
            let (Some(exchange), State { reply, .. }) = desk.parts() else { return (false, 0) };
            (reply.log(exchange, text.as_bytes()), reply.logged)
        });
        if queued >= LOGGED_BYTES {
            self.send_log(py);
        }
        taken
    }

    /// Sends what is queued, if there is text for the log among it. May block.
    pub(super) fn send_log(&self, py: Python<'_>) {
        if self.logs() {
            self.detached(py, |lent| {
                if let (Some(exchange), State { reply, .. }) = lent.lock().parts() {
                    if reply.logged > 0 {
                        // A peer that is gone is noticed by whatever sends the reply.
                        let _ = reply.flush(exchange);
                    }
                }
            });
        }
    }

    /// Does something that may block, detached.
    pub(super) fn detached<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&Lent<State>) -> R + Send) -> R {
        py.detach(|| work(&self.lent))
    }
}

/// How much text for a log is queued before it is sent, should the reply not take it along.
const LOGGED_BYTES: u32 = 64 * 1024;
