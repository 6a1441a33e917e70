//! `wsgi.errors`: a text stream that takes any `str` and hands on whole lines, to whoever sent the request or to a sink.
//!
//! `print(..., file=environ["wsgi.errors"])` writes the text and the line's end apart; joined here, lines of several threads do not mix.
//!
//! Where the protocol carries a log and the operator wants it there ([`Exchange::log`]), a request's own stream writes to it until the reply has
//! ended. Everything else goes to the sink: what is written later, and all of it where nobody asked. So whoever keeps the stream may go on
//! writing, and nothing of it turns up in the log of another request.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::session::Session;
use super::text::kind;
use super::unfinished::Unfinished;
use crate::Exchange;

/// Where the text of `wsgi.errors` goes. Called without the interpreter, since it may block; by several threads at once.
pub type ErrorSink = Arc<dyn Fn(&str) + Send + Sync>;

/// The process's standard error, whose own failures nobody could be told of.
pub(super) fn standard_error() -> ErrorSink {
    Arc::new(|text| {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    })
}

/// `environ["wsgi.errors"]`.
#[pyclass(frozen, module = "wsgi", name = "Errors")]
pub(super) struct Errors {
    session: Py<Session>,
    sink: ErrorSink,
    line: Mutex<Unfinished>,
    /// Whether `line` holds anything: a look that costs no lock.
    unfinished: AtomicBool,
}

impl Errors {
    pub(super) fn new(session: Py<Session>, sink: ErrorSink) -> Errors {
        Errors { session, sink, line: Mutex::new(Unfinished::new()), unfinished: AtomicBool::new(false) }
    }

    /// Writes text of our own, whole lines, after whatever is unfinished.
    pub(super) fn report(&self, py: Python<'_>, text: &str) {
        #[cfg(feature = "testing")]
        if super::watch::report(text) {
            return;
        }
        self.end_line(py);
        self.hand_over(py, text);
    }

    /// Writes text of our own about a request whose exchange is not lent to the session yet.
    pub(super) fn report_before(&self, py: Python<'_>, exchange: &mut dyn Exchange, text: &str) {
        #[cfg(feature = "testing")]
        if super::watch::report(text) {
            return;
        }
        if !exchange.log(text.as_bytes()) {
            py.detach(|| (self.sink)(text));
        }
    }

    /// Ends a line that was left unfinished by a request that is over.
    pub(super) fn end_line(&self, py: Python<'_>) {
        if self.unfinished.load(Ordering::Relaxed) {
            let mut line = self.take();
            if !line.is_empty() {
                line.push('\n');
                self.hand_over(py, &line);
            }
        }
    }

    /// The same for a reply that is about to end, behind which its sender takes no more text. Nothing where it takes none at all.
    #[inline]
    pub(super) fn end_line_before_the_end(&self, exchange: &mut dyn Exchange) {
        if self.unfinished.load(Ordering::Relaxed) && self.session.get().logs() {
            self.end_line_by(exchange);
        }
    }

    #[cold]
    fn end_line_by(&self, exchange: &mut dyn Exchange) {
        let mut unfinished = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = unfinished.take();
        if line.is_empty() {
            return;
        }
        line.push('\n');
        if exchange.log(line.as_bytes()) {
            self.unfinished.store(false, Ordering::Relaxed);
        } else {
            line.pop();
            unfinished.put_back(line);
        }
    }

    fn add(&self, py: Python<'_>, text: &str) {
        let whole = {
            let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            let whole = line.add(text);
            self.unfinished.store(!line.is_empty(), Ordering::Relaxed);
            whole
        };
        if !whole.is_empty() {
            self.hand_over(py, &whole);
        }
    }

    fn take(&self) -> String {
        self.unfinished.store(false, Ordering::Relaxed);
        self.line.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn hand_over(&self, py: Python<'_>, text: &str) {
        if !self.session.get().log(py, text) {
            // A pipe that nobody reads must not stop every other request.
            py.detach(|| (self.sink)(text));
        }
    }
}

impl Drop for Errors {
    /// What was written last is not lost, though nobody has ended the line.
    fn drop(&mut self) {
        if self.unfinished.load(Ordering::Relaxed) {
            Python::attach(|py| self.end_line(py));
        }
    }
}

#[pymethods]
impl Errors {
    #[pyo3(signature = (text, /))]
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<usize> {
        let Ok(text) = text.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!("wsgi.errors.write() argument must be str, got {}", kind(text))));
        };
        self.add(py, &readable(text)?);
        text.len()
    }

    #[pyo3(signature = (lines, /))]
    fn writelines(&self, py: Python<'_>, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        for line in lines.try_iter()? {
            self.write(py, &line?)?;
        }
        Ok(())
    }

    fn flush(&self, py: Python<'_>) {
        let line = self.take();
        if !line.is_empty() {
            self.hand_over(py, &line);
        }
        self.session.get().send_log(py);
    }
}

/// What can be written of any text. Clause 32: lone surrogates are the only characters that cannot; they are shown and never raise.
pub(super) fn readable<'a>(text: &'a Bound<'_, PyString>) -> PyResult<Cow<'a, str>> {
    match text.to_str() {
        Ok(text) => Ok(Cow::Borrowed(text)),
        Err(_) => {
            let bytes = text.call_method1("encode", ("utf-8", "backslashreplace"))?.extract::<Vec<u8>>()?;
            Ok(Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()))
        }
    }
}
