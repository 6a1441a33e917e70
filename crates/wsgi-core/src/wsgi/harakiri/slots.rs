//! What a thread does now, where the watch can see it.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::Python;
use rustix::net::{SendFlags, Shutdown, send, shutdown};

use super::{Overdue, python};
use crate::wsgi::request_line::RequestLine;
use crate::{Caller, Exchange, clock};

/// One thread's place.
pub(super) struct Slot {
    /// Which watch it belongs to.
    pub(super) watch: usize,
    /// The thread as Python knows it.
    pub(super) thread: python::ThreadId,
    state: Mutex<State>,
}

/// The request of a slot, if it has one.
#[derive(Default)]
pub(super) struct State {
    /// When it began, on the clock of deadlines.
    pub(super) began: Option<u64>,
    /// Tells one request of a thread from the next.
    pub(super) serial: u64,
    pub(super) request: RequestLine,
    /// What is logged of the request is logged in this, also by other threads.
    pub(super) span: Option<tracing::Span>,
    pub(super) phase: Phase,
    /// The client's socket, which is open as long as the request has not ended.
    socket: Option<RawFd>,
    /// Who waits for the reply, where that is no socket.
    caller: Option<Arc<dyn Caller>>,
    /// What the client may be told before it is cut off, as long as the thread has not begun to tell it anything.
    last_word: Option<&'static [u8]>,
    /// The thread waits for the request's body.
    reading: bool,
    /// The thread was told that the time is up, by a read that failed.
    pub(super) told: bool,
    /// An exception may be on its way to the thread.
    pub(super) raised: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Running,
    /// Somebody is to look at the thread and to interrupt it, since this time.
    Asked(u64),
    /// It was interrupted, or cannot be.
    Interrupted(u64),
    CutOff(u64),
    Stuck,
}

impl Slot {
    pub(super) fn new(watch: usize) -> Slot {
        Slot { watch, thread: python::this_thread(), state: Mutex::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nobody panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the beginning of a request. False: there is one already.
    pub(super) fn begin(&self, exchange: &dyn Exchange) -> bool {
        let mut state = self.lock();
        if state.began.is_some() {
            return false;
        }
        state.began = Some(clock::now());
        state.serial += 1;
        state.request.note(exchange.head());
        state.span = Some(tracing::Span::current());
        state.socket = exchange.socket().map(|socket| socket.as_raw_fd());
        state.last_word = exchange.last_word();
        state.caller = exchange.caller();
        true
    }

    /// Notes that the thread is about to tell the client something, so that nobody else must.
    pub(super) fn speaks(&self) {
        self.lock().last_word = None;
    }

    /// Notes whether the thread waits for the request's body.
    ///
    /// # Errors
    /// The time is up: there is nothing to wait for any more.
    pub(super) fn reads(&self, reading: bool) -> Result<(), Overdue> {
        let mut state = self.lock();
        state.reading = false;
        if !matches!(state.phase, Phase::Running | Phase::Asked(_)) {
            state.told = true;
            return Err(Overdue);
        }
        state.reading = reading;
        Ok(())
    }

    /// Notes its end. An exception that was raised and did not get through must not hit the next request.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        let began = state.began.take();
        state.socket = None;
        state.span = None;
        state.last_word = None;
        state.caller = None;
        state.reading = false;
        state.told = false;
        let phase = std::mem::take(&mut state.phase);
        let raised = std::mem::take(&mut state.raised);
        if phase == Phase::Running {
            return;
        }
        let request = state.request.to_string();
        drop(state);
        let took = Duration::from_millis(clock::now().saturating_sub(began.unwrap_or_default()));
        tracing::warn!(target: "wsgi", request, "thread came back from its request after {took:.1?}");
        if raised {
            Python::attach(|py| python::withdraw(py, self.thread));
        }
    }
}

impl State {
    /// For how long the request has been running.
    pub(super) fn since(&self) -> Duration {
        Duration::from_millis(self.began.map_or(0, |began| clock::now().saturating_sub(began)))
    }

    /// The time of the request is up. A thread that waits for the client's next bytes finds that there are none, and can answer.
    pub(super) fn interrupt(&mut self) {
        self.phase = Phase::Interrupted(clock::now());
        if !self.reading {
            return;
        }
        if let Some(socket) = self.socket() {
            // It may be closed by its peer already.
            let _ = shutdown(socket, Shutdown::Read);
        }
        if let Some(caller) = &self.caller {
            caller.end_body(Overdue.into());
        }
    }

    /// Ends both directions of the client's connection, and answers first if nobody has begun to. The thread keeps the socket, and finds it
    /// ended.
    pub(super) fn cut_off(&mut self) {
        self.phase = Phase::CutOff(clock::now());
        // A thread that reads may be saying `100 Continue`.
        let word = self.last_word.take().filter(|_| !self.reading);
        if let Some(socket) = self.socket() {
            // What does not fit into the system's buffer is lost, and so is what its peer does not want any more.
            let _ = word.map(|word| send(socket, word, SendFlags::DONTWAIT | SendFlags::NOSIGNAL));
            let _ = shutdown(socket, Shutdown::Both);
        }
        if let Some(caller) = &self.caller {
            caller.give_up();
        }
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: a request that has not ended has its exchange borrowed by its thread, which keeps the socket open that it has lent; and it
        // cannot end before the lock on this state is let go, for which `end` waits.
        self.socket.map(|socket| unsafe { BorrowedFd::borrow_raw(socket) })
    }
}
