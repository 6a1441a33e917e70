//! What the application returns, watched.

use std::sync::Arc;

use pyo3::exceptions::PyStopIteration;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyIterator, PyList, PyString, PyTuple};

use super::exception;
use super::record::Record;
use super::streams::Input;
use crate::testing::breach::Rule;
use crate::wsgi::file_wrapper::FileWrapper;
use crate::wsgi::text::kind;

/// Gives what the driver shall go through instead: the same object where the driver treats it in a way of its own.
pub(super) fn wrap<'py>(answer: Bound<'py, PyAny>, record: &Arc<Record>) -> PyResult<Bound<'py, PyAny>> {
    let py = answer.py();
    if let Ok(list) = answer.cast_exact::<PyList>() {
        list.iter().for_each(|item| look(&item, record));
        record.exhausted(None);
        return Ok(answer);
    }
    if let Ok(tuple) = answer.cast_exact::<PyTuple>() {
        tuple.iter().for_each(|item| look(&item, record));
        record.exhausted(None);
        return Ok(answer);
    }
    if answer.cast_exact::<FileWrapper>().is_ok() {
        record.returned_file();
        return Ok(answer);
    }
    if answer.is_instance_of::<PyString>() || answer.is_instance_of::<PyBytes>() {
        // The items of the one are no bytes, those of the other are numbers.
        record.breach(Rule::ITERABLE, format!("the application must return an iterable of bytes, got one {}", kind(&answer)));
        return Ok(answer);
    }
    // Asked of the type: clause 83, no other attribute of the iterable is the server's to look at.
    let class = answer.get_type();
    if !class.hasattr(intern!(py, "__iter__"))? && !class.hasattr(intern!(py, "__getitem__"))? {
        record.breach(Rule::ITERABLE, format!("the application must return an iterable of bytes, got {}", kind(&answer)));
        return Ok(answer);
    }
    let echo = answer.cast_exact::<Input>().is_ok();
    let blocks = Blocks { record: Arc::clone(record), inner: answer.unbind(), iterator: PyOnceLock::new(), echo };
    Ok(Bound::new(py, blocks)?.into_any())
}

fn look(item: &Bound<'_, PyAny>, record: &Record) {
    let length = item.cast_exact::<PyBytes>().ok().map(|bytes| bytes.as_bytes().len());
    record.item(length, || kind(item));
}

/// Stands for the application's iterable.
#[pyclass(frozen, module = "wsgi.testing", name = "Blocks")]
struct Blocks {
    record: Arc<Record>,
    inner: Py<PyAny>,
    iterator: PyOnceLock<Py<PyIterator>>,
    /// It is `wsgi.input`: what is done to it here is not the application's doing.
    echo: bool,
}

#[pymethods]
impl Blocks {
    fn __iter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let (py, this) = (slf.py(), slf.get());
        let iterator = this.inner.bind(py).try_iter().inspect_err(|error| this.record.raised(exception(py, error)))?;
        // The server asks once.
        let _ = this.iterator.set(py, iterator.unbind());
        Ok(slf)
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(iterator) = self.iterator.get(py) else { return Ok(None) };
        self.record.stepping();
        match iterator.bind(py).clone().next() {
            Some(Ok(item)) => {
                look(&item, &self.record);
                Ok(Some(item))
            }
            Some(Err(error)) => {
                self.record.raised(exception(py, &error));
                Err(error)
            }
            None => {
                self.record.exhausted(self.inner.bind(py).len().ok());
                if !self.echo {
                    self.after_the_end(iterator.bind(py).clone());
                }
                Ok(None)
            }
        }
    }

    /// Clause 12: only what the application's own says.
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.inner.bind(py).len()
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.echo {
            return Ok(());
        }
        let Some(close) = self.inner.bind(py).getattr_opt(intern!(py, "close"))? else { return Ok(()) };
        self.record.closed();
        if !close.is_callable() {
            self.record.breach(Rule::CLOSE, format!("close of the application's iterable must be callable, got {}", kind(&close)));
        }
        close.call0().map(drop).inspect_err(|error| self.record.raised(exception(py, error)))
    }
}

impl Blocks {
    /// An iterator that has ended stays at its end.
    fn after_the_end(&self, mut iterator: Bound<'_, PyIterator>) {
        let py = iterator.py();
        match iterator.next() {
            None => {}
            Some(Ok(item)) => self.record.breach(Rule::AFTER_END, format!("the iterable gave {} after its end", kind(&item))),
            Some(Err(error)) if error.is_instance_of::<PyStopIteration>(py) => {}
            Some(Err(error)) => self.record.breach(Rule::AFTER_END, format!("the iterable raised {error} after its end")),
        }
    }
}
