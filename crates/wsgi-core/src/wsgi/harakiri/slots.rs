//! What a thread does now, where the watch can see it.

#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::Python;
use rustix::net::{Shutdown, shutdown};

use super::python;
use crate::clock;
use crate::wire::RequestHead;
use crate::wsgi::request_line::RequestLine;

/// One thread's place.
pub(super) struct Slot {
    /// Which watch it belongs to.
    pub(super) watch: usize,
    /// The thread as Python knows it.
    pub(super) thread: python::ThreadId,
    state: Mutex<State>,
}

/// The request of a slot, if it has one.
#[derive(Debug, Default)]
pub(super) struct State {
    /// When it began, on the clock of deadlines.
    pub(super) began: Option<u64>,
    /// Tells one request of a thread from the next.
    pub(super) serial: u64,
    pub(super) request: RequestLine,
    pub(super) phase: Phase,
    /// The client's socket, which is open as long as the request has not ended.
    socket: Option<RawFd>,
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
    pub(super) fn begin(&self, head: &RequestHead, socket: Option<BorrowedFd<'_>>) -> bool {
        let mut state = self.lock();
        if state.began.is_some() {
            return false;
        }
        state.began = Some(clock::now());
        state.serial += 1;
        state.request.note(head);
        state.socket = socket.map(|socket| socket.as_raw_fd());
        true
    }

    /// Notes its end. An exception that was raised and did not get through must not hit the next request.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        let began = state.began.take();
        state.socket = None;
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

    /// Ends both directions of the client's connection. The thread keeps the socket, and finds it ended.
    pub(super) fn cut_off(&self) {
        if let Some(socket) = self.socket.filter(|_| self.began.is_some()) {
            // SAFETY: the request has not ended, so the exchange that lent the socket is borrowed by its thread and keeps it open; and it
            // cannot end before the lock on this state is let go.
            let socket = unsafe { BorrowedFd::borrow_raw(socket) };
            // It may be closed by its peer already.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }
}
