//! What one call did, put together from what its wrappers saw.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::testing::breach::Rule;
use crate::testing::{Breach, Closed, Exception};

/// One call of an application. Its lock is held for a few instructions at a time and never while Python runs.
#[derive(Debug)]
pub(crate) struct Record {
    /// The request's method is HEAD.
    for_head: bool,
    over: AtomicBool,
    state: Mutex<State>,
    /// Breaches by what earlier calls have left behind; of the client, for the call during which they are noticed.
    late: Late,
}

/// See [`Record`].
pub(crate) type Late = Arc<Mutex<Vec<Breach>>>;

/// What there is to tell of a call when it is over.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub(crate) breaches: Vec<Breach>,
    pub(crate) errors: String,
    pub(crate) exception: Option<Exception>,
    pub(crate) closed: Option<Closed>,
}

#[derive(Debug, Default)]
struct State {
    seen: Seen,
    step: Step,
    /// Calls of `start_response`, whatever came of them.
    starts: usize,
    /// What the last good one said.
    reply: Option<Started>,
    /// Something was yielded or written that is not empty, so that the headers are out.
    sent: bool,
    /// Bytes that were yielded or written.
    total: u64,
    /// Blocks that were taken from the iterable.
    items: usize,
    /// `start_response` has raised the application's own exception again, which must now reach the server (clause 61).
    raised_again: bool,
    /// That nothing was started is said already.
    unstarted_told: bool,
    too_long_told: bool,
    /// The server's own file wrapper was returned, whose bytes nobody here sees.
    file: bool,
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Step {
    /// The application was not called, or did not return yet.
    #[default]
    Called,
    /// It has returned an iterable.
    Returned,
    /// A step of the iteration is under way.
    Iterating,
    /// Everything that there is was seen.
    Exhausted,
    /// It has raised.
    Raised,
}

/// What `start_response` was told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Started {
    /// The status, if it is one without a body.
    pub(super) bodiless: Option<u16>,
    pub(super) declared: Option<u64>,
    pub(super) typed: bool,
}

impl Record {
    pub(crate) fn new(for_head: bool, late: &Late) -> Record {
        Record { for_head, over: AtomicBool::new(false), state: Mutex::default(), late: Arc::clone(late) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the call is over, so that whoever still has something of it should have let go.
    pub(super) fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Something that an earlier call left behind was used.
    pub(super) fn late(&self, rule: Rule, what: &str) {
        let breach = rule.broken(format!("{what} was used after its request was over"));
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        if !late.contains(&breach) {
            late.push(breach);
        }
    }

    pub(super) fn breach(&self, rule: Rule, text: impl Into<String>) {
        self.state().seen.breaches.push(rule.broken(text.into()));
    }

    /// Takes text of `wsgi.errors`; false when the call is over, so that it has to go elsewhere.
    pub(super) fn write_errors(&self, text: &str) -> bool {
        if self.over() {
            return false;
        }
        self.state().seen.errors.push_str(text);
        true
    }

    /// Takes what the server itself reports, which begins on a line of its own.
    pub(super) fn report(&self, text: &str) -> bool {
        let unfinished = {
            let errors = &self.state().seen.errors;
            !errors.is_empty() && !errors.ends_with('\n')
        };
        (!unfinished || self.write_errors("\n")) && self.write_errors(text)
    }

    // ---- start_response and write()

    /// `start_response` is called. Returns whether the headers are out already.
    pub(super) fn starting(&self, with_exc_info: bool) -> bool {
        let mut state = self.state();
        state.starts += 1;
        if state.starts > 1 && !with_exc_info {
            let text = format!("start_response() was called {} times, expected exc_info with every call but the first", state.starts);
            state.seen.breaches.push(Rule::TWICE.broken(text));
        }
        state.sent
    }

    /// It has taken this.
    pub(super) fn started(&self, reply: Started) {
        self.state().reply = Some(reply);
    }

    /// It has raised what the application was handling, since the headers are out.
    pub(super) fn raised_again(&self) {
        self.state().raised_again = true;
    }

    /// `write()` is called.
    pub(super) fn writing(&self) {
        let mut state = self.state();
        if matches!(state.step, Step::Returned | Step::Iterating | Step::Exhausted) {
            state.seen.breaches.push(Rule::WRITE_INSIDE.broken("write() was called from within the iterable".to_owned()));
        }
    }

    /// It is given this many bytes.
    pub(super) fn wrote(&self, length: usize) {
        let mut state = self.state();
        state.total += length as u64;
        state.sent |= length > 0;
        // The server raises here, so that there may be no end to judge at.
        if !self.for_head {
            let total = state.total;
            state.too_long(total);
        }
    }

    // ---- the call, and the iteration

    /// The application has returned, and these are all its blocks, or the first are still to come.
    pub(super) fn returned(&self) {
        let mut state = self.state();
        state.step = Step::Returned;
        state.trapped();
    }

    /// What was returned is the server's own file wrapper.
    pub(super) fn returned_file(&self) {
        self.state().file = true;
    }

    /// The next block is asked for.
    pub(super) fn stepping(&self) {
        self.state().step = Step::Iterating;
    }

    /// A block came. `length` is `None` if it is no `bytes` but a value of the kind `kind()`.
    pub(super) fn item(&self, length: Option<usize>, kind: impl FnOnce() -> String) {
        // Asked for before the lock is taken, for it runs Python.
        let kind = length.is_none().then(kind);
        let mut state = self.state();
        state.trapped();
        if state.reply.is_none() && !state.unstarted_told {
            state.unstarted_told = true;
            let text = match state.starts {
                0 => "the first block came before start_response() was called",
                _ => "a block came although start_response() had raised",
            };
            state.seen.breaches.push(Rule::STARTS_LATE.broken(text.to_owned()));
        }
        match (length, kind) {
            (Some(length), _) => {
                state.total += length as u64;
                state.sent |= length > 0;
            }
            (None, kind) => {
                let text = format!("block {} must be bytes, got {}", state.items, kind.unwrap_or_default());
                state.seen.breaches.push(Rule::BYTES.broken(text));
            }
        }
        state.items += 1;
        if state.step == Step::Iterating {
            state.step = Step::Returned;
        }
    }

    /// There are no more blocks. `said` is what `len()` has promised.
    pub(super) fn exhausted(&self, said: Option<usize>) {
        let mut state = self.state();
        state.trapped();
        state.step = Step::Exhausted;
        if let Some(said) = said.filter(|&said| said != state.items) {
            let text = format!("len() of the iterable is {said}, but it gave {} blocks", state.items);
            state.seen.breaches.push(Rule::LEN.broken(text));
        }
    }

    /// The application has let an exception escape, from the call, the iteration or `close()`.
    pub(super) fn raised(&self, exception: Exception) {
        let mut state = self.state();
        state.raised_again = false;
        if state.step != Step::Exhausted {
            state.step = Step::Raised;
        }
        state.seen.exception.get_or_insert(exception);
    }

    /// `close()` is called.
    pub(super) fn closed(&self) {
        let mut state = self.state();
        let closed = Closed { blocks: state.items, at_end: state.step == Step::Exhausted };
        state.seen.closed.get_or_insert(closed);
    }

    /// `close()` of a file wrapper is called.
    pub(super) fn file_closed(&self) {
        if self.state().file {
            self.closed();
        }
    }

    /// Ends the call. `received` is how many bytes of the body the client has got; `left` whether it went away.
    pub(crate) fn conclude(&self, received: u64, left: bool) -> Seen {
        self.over.store(true, Ordering::Release);
        let mut state = self.state();
        if !left && matches!(state.step, Step::Returned | Step::Exhausted) {
            state.judge(self.for_head, received);
        }
        let mut seen = std::mem::take(&mut state.seen);
        drop(state);
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        seen.breaches.append(&mut late);
        seen
    }
}

impl State {
    /// A step of the application has ended as if nothing had happened.
    fn trapped(&mut self) {
        if std::mem::take(&mut self.raised_again) {
            let text = "the exception that start_response() raised again, since the headers were out, did not reach the server";
            self.seen.breaches.push(Rule::TRAPPED.broken(text.to_owned()));
        }
    }

    /// Says once that more than `Content-Length` came.
    fn too_long(&mut self, total: u64) {
        let Some(Started { declared: Some(declared), bodiless: None, .. }) = self.reply else { return };
        if total > declared && !std::mem::replace(&mut self.too_long_told, true) {
            let text = format!("Content-Length is {declared}, but the application gave {total} bytes");
            self.seen.breaches.push(Rule::TOO_LONG.broken(text));
        }
    }

    /// What can be said only at the end.
    fn judge(&mut self, for_head: bool, received: u64) {
        let Some(reply) = self.reply else {
            if !self.unstarted_told {
                let text = match self.starts {
                    0 => "start_response() was not called",
                    _ => "the application went on although start_response() had raised",
                };
                self.seen.breaches.push(Rule::STARTS_LATE.broken(text.to_owned()));
            }
            return;
        };
        if let Some(code) = reply.bodiless.filter(|_| self.total > 0) {
            let text = format!("a {code} reply has no body, got {} bytes", self.total);
            self.seen.breaches.push(Rule::NO_CONTENT.broken(text));
        }
        if for_head || reply.bodiless.is_some() {
            return;
        }
        let total = if self.file { received } else { self.total };
        if total > 0 && !reply.typed {
            let text = format!("the reply has a body of {total} bytes and no Content-Type");
            self.seen.breaches.push(Rule::CONTENT_TYPE.broken(text));
        }
        self.too_long(total);
        let Some(declared) = reply.declared else { return };
        if total < declared && (self.file || self.step == Step::Exhausted) {
            let text = format!("Content-Length is {declared}, but the application gave {total} bytes");
            self.seen.breaches.push(Rule::TOO_SHORT.broken(text));
        }
    }
}
