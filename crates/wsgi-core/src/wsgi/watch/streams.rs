//! `wsgi.input` and `wsgi.errors`, watched.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString, PyTuple};

use super::record::Record;
use crate::testing::breach::Rule;
use crate::wsgi::errors::readable;
use crate::wsgi::text::kind;

/// Puts watched streams in the place of those in `environ`.
pub(super) fn wrap(environ: &Bound<'_, PyDict>, record: &Arc<Record>) -> PyResult<()> {
    let py = environ.py();
    let (input, errors) = (intern!(py, "wsgi.input"), intern!(py, "wsgi.errors"));
    if let Some(inner) = environ.get_item(input)? {
        let watched = Input { record: Arc::clone(record), inner: inner.unbind(), ended: AtomicBool::new(false) };
        environ.set_item(input, Py::new(py, watched)?)?;
    }
    if let Some(inner) = environ.get_item(errors)? {
        environ.set_item(errors, Py::new(py, Errors { record: Arc::clone(record), inner: inner.unbind() })?)?;
    }
    Ok(())
}

/// `wsgi.input`. It has the methods of the one that it stands for, and no others.
#[pyclass(frozen, module = "wsgi.testing", name = "Input")]
pub(super) struct Input {
    record: Arc<Record>,
    inner: Py<PyAny>,
    /// Its iteration has come to its end.
    ended: AtomicBool,
}

#[pymethods]
impl Input {
    #[pyo3(signature = (*args, **kwargs))]
    fn read<'py>(&self, args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        self.pass(intern!(args.py(), "read"), args, kwargs)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn readline<'py>(&self, args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        self.pass(intern!(args.py(), "readline"), args, kwargs)
    }

    #[pyo3(signature = (*args, **kwargs))]
    fn readlines<'py>(&self, args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        self.pass(intern!(args.py(), "readlines"), args, kwargs)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let line = self.pass(intern!(py, "readline"), &PyTuple::empty(py), None)?;
        let end = line.cast::<PyBytes>().is_ok_and(|line| line.as_bytes().is_empty());
        if end && self.ended.swap(true, Ordering::Relaxed) {
            self.record.breach(Rule::INPUT_END, "wsgi.input was iterated over beyond its end");
        }
        Ok((!end).then_some(line))
    }

    /// Whatever else is looked for.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if name == "close" {
            self.record.breach(Rule::CLOSES_STREAM, "close() of wsgi.input was looked for, which is the server's to close");
        }
        self.inner.bind(py).getattr(name)
    }
}

impl Input {
    fn pass<'py>(
        &self,
        name: &Bound<'py, PyString>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.record.over() {
            self.record.late(Rule::USED_AFTER, "wsgi.input");
        } else if kwargs.is_some_and(|kwargs| !kwargs.is_empty()) {
            self.record.breach(Rule::INPUT_METHODS, format!("wsgi.input.{name}() takes its size by position, got it by name"));
        } else if args.len() > 1 {
            self.record.breach(Rule::INPUT_METHODS, format!("wsgi.input.{name}() takes one argument, got {}", args.len()));
        } else if let Some(size) = args.iter().next().filter(|size| !size.is_none() && !size.is_instance_of::<PyInt>()) {
            self.record.breach(Rule::INPUT_METHODS, format!("wsgi.input.{name}() takes a number of bytes, got {}", kind(&size)));
        }
        self.inner.bind(name.py()).call_method(name, args, kwargs)
    }
}

/// `wsgi.errors`. What is written while the call lasts stays with the call; later it goes where the application's errors go.
#[pyclass(frozen, module = "wsgi.testing", name = "Errors")]
struct Errors {
    record: Arc<Record>,
    inner: Py<PyAny>,
}

#[pymethods]
impl Errors {
    #[pyo3(signature = (text, /))]
    fn write<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = text.py();
        match text.cast::<PyString>() {
            Ok(text) => {
                if self.record.write_errors(&readable(text)?) {
                    return Ok(text.len()?.into_pyobject(py)?.into_any());
                }
            }
            Err(_) => self.record.breach(Rule::ERRORS_METHODS, format!("wsgi.errors.write() takes str, got {}", kind(text))),
        }
        self.inner.bind(py).call_method1(intern!(py, "write"), (text,))
    }

    #[pyo3(signature = (lines, /))]
    fn writelines(&self, lines: &Bound<'_, PyAny>) -> PyResult<()> {
        lines.try_iter()?.try_for_each(|line| self.write(&line?).map(drop))
    }

    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.bind(py).call_method0(intern!(py, "flush")).map(drop)
    }

    /// Whatever else is looked for.
    fn __getattr__<'py>(&self, py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        if name == "close" {
            self.record.breach(Rule::CLOSES_STREAM, "close() of wsgi.errors was looked for, which is the server's to close");
        }
        self.inner.bind(py).getattr(name)
    }
}
