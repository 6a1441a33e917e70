//! Python's `sys.stderr` as lines for a sink: what `logging`, `warnings` and `print(..., file=sys.stderr)` say.
//!
//! Each thread's lines are joined by themselves, so that a line belongs to the thread that wrote it, and with it to the request.

use std::cell::RefCell;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyString;

use super::errors::{ErrorSink, readable};
use super::text::kind;
use super::unfinished::Unfinished;

/// Puts a stream in the place of Python's `sys.stderr`, which hands whole lines to `sink`. It is called without the interpreter and may block; it
/// may be called by several threads at once. What Python itself writes when it crashes goes to the file descriptor, as before.
///
/// A program that logs with `tracing` gives [`log_line`] as the sink of both this and
/// [`Application::errors`](super::Application::errors), so that what an application says stands beside what the server says of the same request.
///
/// # Errors
/// `sys` does not let itself be changed.
pub fn redirect_standard_error(py: Python<'_>, sink: impl Fn(&str) + Send + Sync + 'static) -> PyResult<()> {
    let stream = Py::new(py, StandardError { sink: std::sync::Arc::new(sink) })?;
    py.import("sys")?.setattr("stderr", stream)
}

/// Hands each line of a text to `tracing`, at the level of errors and with the target `wsgi.errors`.
pub fn log_line(text: &str) {
    for line in text.lines() {
        tracing::error!(target: "wsgi.errors", "{line}");
    }
}

/// Takes the place of `sys.stderr`.
#[pyclass(frozen, module = "wsgi", name = "StandardError")]
struct StandardError {
    sink: ErrorSink,
}

impl StandardError {
    fn hand_over(&self, py: Python<'_>, text: &str) {
        // Whoever listens may wait for a disk.
        py.detach(|| (self.sink)(text));
    }
}

#[pymethods]
impl StandardError {
    #[pyo3(signature = (text, /))]
    fn write(&self, py: Python<'_>, text: &Bound<'_, PyAny>) -> PyResult<usize> {
        let Ok(text) = text.cast::<PyString>() else {
            return Err(PyTypeError::new_err(format!("write() argument must be str, got {}", kind(text))));
        };
        let readable = readable(text)?;
        let whole = LINE.with_borrow_mut(|line| line.add(&readable));
        if !whole.is_empty() {
            self.hand_over(py, &whole);
        }
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
        let line = LINE.with_borrow_mut(Unfinished::take);
        if !line.is_empty() {
            self.hand_over(py, &line);
        }
    }

    fn isatty(&self) -> bool {
        false
    }

    fn writable(&self) -> bool {
        true
    }

    fn readable(&self) -> bool {
        false
    }

    /// That of the process, for `faulthandler` and for programs that are started.
    fn fileno(&self) -> i32 {
        2
    }

    #[getter]
    fn encoding(&self) -> &'static str {
        "utf-8"
    }

    #[getter]
    fn errors(&self) -> &'static str {
        "backslashreplace"
    }

    #[getter]
    fn closed(&self) -> bool {
        false
    }
}

thread_local! {
    static LINE: RefCell<Unfinished> = const { RefCell::new(Unfinished::new()) };
}
