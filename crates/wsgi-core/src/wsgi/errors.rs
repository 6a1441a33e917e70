//! `wsgi.errors`: a text stream that takes any `str` and hands whole lines to a sink.
//!
//! `print(..., file=environ["wsgi.errors"])` writes the text and the line's end apart; joined here, lines of several threads do not mix.

use std::borrow::Cow;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::text::kind;

/// Where the text of `wsgi.errors` goes. Called without the interpreter, since it may block; by several threads at once.
pub type ErrorSink = Arc<dyn Fn(&str) + Send + Sync>;

/// The process's standard error, whose own failures nobody could be told of.
pub(super) fn standard_error() -> ErrorSink {
    Arc::new(|text| {
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    })
}

/// `environ["wsgi.errors"]`. It does not belong to a request, so whoever keeps it may go on writing.
#[pyclass(frozen, module = "wsgi", name = "Errors")]
pub(super) struct Errors {
    sink: ErrorSink,
    line: Mutex<String>,
    /// Whether `line` holds anything: a look that costs no lock.
    unfinished: AtomicBool,
}

impl Errors {
    pub(super) fn new(sink: ErrorSink) -> Errors {
        Errors { sink, line: Mutex::new(String::new()), unfinished: AtomicBool::new(false) }
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

    /// Ends a line that the request which is over left unfinished.
    pub(super) fn end_line(&self, py: Python<'_>) {
        if self.unfinished.load(Ordering::Relaxed) {
            let mut line = self.take();
            if !line.is_empty() {
                line.push('\n');
                self.hand_over(py, &line);
            }
        }
    }

    fn add(&self, py: Python<'_>, text: &str) {
        let whole = {
            let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            let before = line.len();
            line.push_str(text);
            let end = match text.rfind('\n') {
                Some(at) => before + at + 1,
                None if line.len() > LONGEST_LINE => line.len(),
                None => 0,
            };
            let rest = line.split_off(end);
            self.unfinished.store(!rest.is_empty(), Ordering::Relaxed);
            std::mem::replace(&mut *line, rest)
        };
        if !whole.is_empty() {
            self.hand_over(py, &whole);
        }
    }

    fn take(&self) -> String {
        self.unfinished.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn hand_over(&self, py: Python<'_>, text: &str) {
        // A pipe that nobody reads must not stop every other request.
        py.detach(|| (self.sink)(text));
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

/// A longer line goes out in parts.
const LONGEST_LINE: usize = 64 * 1024;
