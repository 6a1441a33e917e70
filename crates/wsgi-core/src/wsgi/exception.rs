//! A Python exception in words, for logs and for errors of ours.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;

/// What Python would print about an exception; ends in a newline.
pub(super) fn traceback(py: Python<'_>, error: &PyErr) -> String {
    let format = || -> PyResult<String> {
        let lines = py.import("traceback")?.call_method1("format_exception", (error.get_type(py), error.value(py), error.traceback(py)))?;
        Ok(intern!(py, "").call_method1("join", (lines,))?.cast_into::<PyString>()?.to_string_lossy().into_owned())
    };
    format().unwrap_or_else(|_| format!("{}\n", summary(py, error)))
}

/// The exception in one line, such as `ImproperlyConfigured: no SECRET_KEY`.
pub(super) fn summary(py: Python<'_>, error: &PyErr) -> String {
    let name = error.get_type(py).qualname().map_or_else(|_| "an exception".to_owned(), |name| name.to_string());
    let text = error.value(py).str().map(|text| text.to_string()).unwrap_or_default();
    match text.lines().find(|line| !line.trim().is_empty()) {
        Some(line) => format!("{name}: {}", line.trim()),
        None => name,
    }
}
