//! One call of the application, from its arguments to `close()`.
//!
//! The rules that give this file its shape: headers wait for the first block that is not empty (clause 58), every block is on its way before
//! the next is asked for (clauses 75 and 76), nothing is sent beyond `Content-Length` and nothing less is taken for whole (clauses 66 and
//! 67), and `close()` is called whatever happens, when the reply is out (clause 81).

use std::io;

use http::StatusCode;
use pyo3::exceptions::{PyOSError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};

use super::errors::Errors;
use super::exception::traceback;
use super::file_wrapper::FileWrapper;
use super::harakiri::{Interrupted, spare};
use super::input::Broken;
use super::kit::Kit;
use super::lent::Guard;
use super::reply::{LARGE_BYTES, Phase, Reply};
use super::request_line::describe;
use super::session::{Session, State};
use super::text::kind;
use crate::Exchange;
use crate::observe::raised;

/// Calls the application, sends what it answers, and closes the answer. The kit's session has the exchange.
pub(super) fn serve(py: Python<'_>, application: &Bound<'_, PyAny>, kit: &Kit, environ: Bound<'_, PyDict>) {
    let call = Call { session: kit.objects.session.get(), errors: kit.objects.errors.get() };
    #[cfg(feature = "testing")]
    let called = super::watch::call(application, environ, &kit.objects.start_response);
    #[cfg(not(feature = "testing"))]
    let called = application.call1((environ, &kit.objects.start_response));
    match called {
        Ok(answer) => {
            if let Err(failure) = call.send(&answer) {
                call.fail(py, failure);
            }
            call.close(&answer);
        }
        Err(error) => call.fail(py, Failure::Raised(error)),
    }
    call.errors.end_line(py);
}

/// What a call has to do with besides Python's objects.
struct Call<'a> {
    session: &'a Session,
    errors: &'a Errors,
}

/// Why a reply was not completed.
enum Failure {
    /// The application raised.
    Raised(PyErr),
    /// The application broke the contract; in words.
    Broke(String),
    /// The client cannot be reached.
    Gone,
    /// A file ended before the part of it that was to be sent; which, and where.
    FileEnded(String),
    /// Less came than `Content-Length` says.
    Short { declared: u64, sent: u64 },
}

impl From<io::Error> for Failure {
    /// Of sending only; the reply has noted what it was.
    fn from(_: io::Error) -> Failure {
        Failure::Gone
    }
}

/// What follows when a block was queued.
#[derive(PartialEq, Eq)]
enum Then {
    More,
    /// All that was declared is there (clause 66).
    Enough,
}

/// What could not be sent of a block, because it exceeds `Content-Length`.
type Excess = u64;

impl Call<'_> {
    /// Sends the application's answer, to its end.
    fn send(&self, answer: &Bound<'_, PyAny>) -> Result<(), Failure> {
        if let Ok(list) = answer.cast_exact::<PyList>() {
            return match list.len() {
                1 => self.send_only(answer.py(), &list.get_item(0).map_err(Failure::Raised)?),
                _ => self.send_all(answer.py(), list.iter()),
            };
        }
        if let Ok(tuple) = answer.cast_exact::<PyTuple>() {
            return match tuple.len() {
                1 => self.send_only(answer.py(), &tuple.get_item(0).map_err(Failure::Raised)?),
                _ => self.send_all(answer.py(), tuple.iter()),
            };
        }
        // Clause 100: only now, and only if it is the wrapper itself.
        if let Ok(wrapper) = answer.cast_exact::<FileWrapper>() {
            if let Some(regular) = wrapper.get().regular(answer.py()) {
                return self.session.detached(answer.py(), |lent| {
                    let mut desk = lent.lock();
                    let (exchange, reply) = ready(&mut desk)?;
                    reply.send_file(exchange, &regular.file, regular.range.clone()).map_err(|error| match error.kind() {
                        // Of a file only, which somebody has truncated: a lost client is another kind.
                        io::ErrorKind::UnexpectedEof => Failure::FileEnded(format!("{}: {error}", regular.name())),
                        _ => error.into(),
                    })?;
                    self.end(exchange, reply)
                });
            }
        }
        self.send_each(answer)
    }

    /// The only block of a list or tuple: its length is that of the body (clause 69), and all goes out at once.
    fn send_only(&self, py: Python<'_>, item: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let block = block(0, item)?;
        let send = |desk: &mut Guard<'_, State>| -> Result<Excess, Failure> {
            let (exchange, reply) = ready(desk)?;
            let before = reply.excess;
            if !reply.wrote {
                reply.derive_length(block.len() as u64);
            }
            if !block.is_empty() {
                reply.send(exchange, block)?;
            }
            self.end(exchange, reply)?;
            Ok(reply.excess - before)
        };
        let excess = if block.len() < LARGE_BYTES {
            self.session.with(py, send)?
        } else {
            self.session.detached(py, |lent| send(&mut lent.lock()))?
        };
        self.log_excess(py, excess);
        Ok(())
    }

    /// The blocks of a list or tuple. To ask for the next runs no code of the application, so that nothing is delayed by queueing several
    /// and sending them together (clause 76).
    fn send_all<'py>(&self, py: Python<'py>, items: impl Iterator<Item = Bound<'py, PyAny>>) -> Result<(), Failure> {
        if self.enough(py)? == Then::Enough {
            return Ok(());
        }
        let mut queued = 0;
        for (position, item) in items.enumerate() {
            let block = block(position, &item)?;
            queued += block.len();
            let flush = queued >= TOGETHER_BYTES;
            if self.push(py, block, flush)? == Then::Enough {
                return Ok(());
            }
            queued = if flush { 0 } else { queued };
        }
        self.complete(py)
    }

    /// The blocks of anything else that can be iterated over.
    fn send_each(&self, answer: &Bound<'_, PyAny>) -> Result<(), Failure> {
        let py = answer.py();
        let items = answer.try_iter().map_err(|error| {
            if error.is_instance_of::<PyTypeError>(py) && error.traceback(py).is_none() {
                return Failure::Broke(format!("application must return an iterable of bytes, got {}", kind(answer)));
            }
            Failure::Raised(error)
        })?;
        if self.enough(py)? == Then::Enough {
            return Ok(());
        }
        for (position, item) in items.enumerate() {
            let item = item.map_err(Failure::Raised)?;
            let block = block(position, &item)?;
            if position == 0 && !block.is_empty() && self.lengthless(py) && answer.len().is_ok_and(|len| len == 1) {
                // Clauses 12 and 69.
                self.session.with(py, |desk| desk.parts().1.reply.derive_length(block.len() as u64));
            }
            if self.push(py, block, true)? == Then::Enough {
                return Ok(());
            }
        }
        self.complete(py)
    }

    /// Queues a block, and sends it if told to.
    fn push(&self, py: Python<'_>, block: &[u8], flush: bool) -> Result<Then, Failure> {
        let push = |desk: &mut Guard<'_, State>| -> Result<(Then, Excess), Failure> {
            // Clause 65: also an empty block comes too early.
            let (exchange, reply) = ready(desk)?;
            if block.is_empty() {
                return Ok((Then::More, 0));
            }
            let before = reply.excess;
            reply.send(exchange, block)?;
            let excess = reply.excess - before;
            let then = if reply.satisfied() {
                self.errors.end_line_before_the_end(exchange);
                reply.finish(exchange);
                Then::Enough
            } else {
                Then::More
            };
            if flush {
                reply.flush(exchange)?;
            }
            Ok((then, excess))
        };
        let (then, excess) = if block.is_empty() || !flush && block.len() < LARGE_BYTES {
            self.session.with(py, push)?
        } else {
            self.session.detached(py, |lent| push(&mut lent.lock()))?
        };
        self.log_excess(py, excess);
        Ok(then)
    }

    /// Clause 66. Once for a request, since nothing is asked for after it.
    fn log_excess(&self, py: Python<'_>, excess: Excess) {
        if excess > 0 {
            let request = self.request(py);
            tracing::warn!(target: "wsgi", request, "application sent {excess} bytes more than its Content-Length says; they were cut off");
        }
    }

    /// What is asked for, for a log.
    fn request(&self, py: Python<'_>) -> String {
        self.session.with(py, |desk| desk.parts().0.map(|exchange| describe(exchange.head())).unwrap_or_default())
    }

    /// Whether the reply needs no block at all any more: `Content-Length: 0`, the exception of clause 58, or all was written.
    fn enough(&self, py: Python<'_>) -> Result<Then, Failure> {
        self.session.with(py, |desk| {
            let (Some(exchange), State { reply, .. }) = desk.parts() else { return Err(Failure::Gone) };
            if matches!(reply.phase(), Phase::Ready | Phase::Sent) && reply.satisfied() {
                return self.end(exchange, reply).map(|()| Then::Enough);
            }
            Ok(Then::More)
        })
    }

    /// Whether a length could be derived.
    fn lengthless(&self, py: Python<'_>) -> bool {
        self.session.with(py, |desk| {
            let reply = &desk.parts().1.reply;
            reply.phase() == Phase::Ready && reply.declared().is_none()
        })
    }

    fn complete(&self, py: Python<'_>) -> Result<(), Failure> {
        self.session.with(py, |desk| {
            let (exchange, reply) = ready(desk)?;
            self.end(exchange, reply)
        })
    }

    /// The body is at its end: queues what is missing, if it may be.
    #[inline]
    fn end(&self, exchange: &mut dyn Exchange, reply: &mut Reply) -> Result<(), Failure> {
        // Clause 58: the headers at the latest now. No block came, so that the length is known; unless there were some and nobody looked.
        reply.derive_length(0);
        reply.start(exchange);
        if let Some(owed @ 1..) = reply.owed() {
            return Err(Failure::Short { declared: reply.sent() + owed, sent: reply.sent() });
        }
        self.errors.end_line_before_the_end(exchange);
        reply.finish(exchange);
        Ok(())
    }

    /// Says what went wrong, to the log and to the client as far as it can still be told.
    fn fail(&self, py: Python<'_>, failure: Failure) {
        let what = self.session.with(py, |desk| {
            let State { reply, body } = desk.parts().1;
            What { gone: reply.gone.clone(), sent: reply.sent(), body: body.broken().cloned() }
        });
        let request = self.request(py);
        // Before the reply's end, behind which its sender takes no more text.
        self.errors.end_line(py);
        let mut status = StatusCode::INTERNAL_SERVER_ERROR;
        match failure {
            Failure::Gone => what.log_gone(&request),
            Failure::FileEnded(text) => tracing::warn!(target: "wsgi", request, "file that the application returned was cut short: {text}"),
            // What a read or a write has raised and the application did not handle is not the application's fault.
            Failure::Raised(error) if what.gone.as_deref().is_some_and(|why| is_ours(py, &error, why)) => what.log_gone(&request),
            Failure::Raised(error) if what.body.as_ref().is_some_and(|broken| is_ours(py, &error, &broken.text)) => {
                tracing::debug!(target: "wsgi", request, "request body could not be read: {error}");
                status = what.body.map_or(status, |broken| broken.status);
            }
            // Its traceback was logged when it was interrupted.
            Failure::Raised(error) if error.is_instance_of::<Interrupted>(py) => status = StatusCode::GATEWAY_TIMEOUT,
            Failure::Raised(error) => {
                raised();
                self.errors.report(py, &format!("exception in application: {}\n{}", request, traceback(py, &error)));
            }
            Failure::Broke(text) => {
                raised();
                self.errors.report(py, &format!("error in application: {}\n{text}\n", request));
            }
            Failure::Short { declared, sent } => {
                tracing::warn!(target: "wsgi", request, "application sent {sent} bytes, its Content-Length says {declared}");
            }
        }
        self.session.with(py, |desk| {
            if let (Some(exchange), state) = desk.parts() {
                if status == StatusCode::GATEWAY_TIMEOUT {
                    exchange.close_after_reply();
                }
                state.reply.give_up(exchange, status);
            }
        });
    }

    /// Clause 81. The reply goes out first: `close()` may take its time, as Django's signal handlers do.
    fn close(&self, answer: &Bound<'_, PyAny>) {
        if answer.cast_exact::<PyList>().is_ok() || answer.cast_exact::<PyTuple>().is_ok() {
            return;
        }
        let py = answer.py();
        let close = match answer.getattr_opt(intern!(py, "close")) {
            Ok(None) => return,
            Ok(Some(close)) => {
                self.flush(py);
                // Clause 81: what was too late for the application must not hit this in its place.
                spare(py);
                close.call0().map(drop)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = close {
            self.errors.report(py, &format!("exception in close() of the application's iterable\n{}", traceback(py, &error)));
        }
    }

    fn flush(&self, py: Python<'_>) {
        if self.session.with(py, |desk| desk.parts().1.reply.unflushed) {
            self.session.detached(py, |lent| {
                let mut desk = lent.lock();
                if let (Some(exchange), State { reply, .. }) = desk.parts() {
                    // Noted in the reply, and by the exchange.
                    let _ = reply.flush(exchange);
                }
            });
        }
    }
}

/// The exchange and a reply that may begin, or has begun.
fn ready<'a>(desk: &'a mut Guard<'_, State>) -> Result<(&'a mut dyn Exchange, &'a mut Reply), Failure> {
    let (Some(exchange), State { reply, .. }) = desk.parts() else { return Err(Failure::Gone) };
    match reply.phase() {
        Phase::Idle => Err(Failure::Broke("application did not call start_response()".to_owned())),
        Phase::Called => Err(Failure::Broke("application went on although start_response() had raised".to_owned())),
        Phase::Ready | Phase::Sent | Phase::Finished if reply.gone.is_some() => Err(Failure::Gone),
        Phase::Ready | Phase::Sent | Phase::Finished => Ok((exchange, reply)),
    }
}

/// Clause 11: exactly `bytes`.
fn block<'a>(position: usize, item: &'a Bound<'_, PyAny>) -> Result<&'a [u8], Failure> {
    match item.cast_exact::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes()),
        Err(_) => Err(Failure::Broke(format!("block {position} of the application's iterable must be bytes, got {}", kind(item)))),
    }
}

/// What a failure is logged with.
struct What {
    gone: Option<String>,
    sent: u64,
    /// The request's body broke off.
    body: Option<Broken>,
}

impl What {
    fn log_gone(&self, request: &str) {
        let why = self.gone.as_deref().unwrap_or("its request is over");
        tracing::debug!(target: "wsgi", request, "client is gone after {} bytes of the body: {why}", self.sent);
    }
}

/// Whether this is what a read or a write has raised for this reason, or what a framework made of that (Django's `UnreadablePostError` has
/// its text). `OSError` alone does not tell: so are errors of files and databases.
fn is_ours(py: Python<'_>, error: &PyErr, why: &str) -> bool {
    error.is_instance_of::<PyOSError>(py) && error.value(py).str().is_ok_and(|text| text.to_string_lossy().contains(why))
}

/// How much of a list is queued before it is sent.
const TOGETHER_BYTES: usize = 64 * 1024;
