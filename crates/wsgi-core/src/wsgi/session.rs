//! What the Python objects of one request share: the lent exchange, the reply as far as it has come, the body as far as it was read.
//!
//! One lock guards all three. The rule that keeps it free of deadlocks: **never wait for the lock, or for the peer, while attached; never run
//! Python while holding it.** [`Session::with`] and [`Session::detached`] are the only two ways in, and keep the first half of it; the `Send`
//! bound on their closures keeps Python objects out, which is the second.

use pyo3::prelude::*;

use super::input::Body;
use super::lent::{Guard, Lent};
use super::reply::Reply;
use crate::Exchange;

/// Not seen by applications, but by the objects that they are given.
#[pyclass(frozen, module = "wsgi", name = "Session")]
pub(super) struct Session {
    lent: Lent<State>,
}

/// What belongs to one request besides the exchange.
#[derive(Default)]
pub(super) struct State {
    pub(super) reply: Reply,
    pub(super) body: Body,
}

impl Session {
    pub(super) fn new() -> Session {
        Session { lent: Lent::new(State::default()) }
    }

    /// Lends the exchange to this session while `work` runs.
    pub(super) fn scope<R>(&self, exchange: &mut dyn Exchange, body: Body, for_head: bool, work: impl FnOnce() -> R) -> R {
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

    /// Does something that may block, detached.
    pub(super) fn detached<R: Send>(&self, py: Python<'_>, work: impl FnOnce(&Lent<State>) -> R + Send) -> R {
        py.detach(|| work(&self.lent))
    }
}
