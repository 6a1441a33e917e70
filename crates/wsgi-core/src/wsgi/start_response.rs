//! `start_response` and the `write()` that it returns.
//!
//! Everything that an application hands over is checked here and now, and what is wrong is raised inside the application, naming the
//! position, what was got and what was expected (PEP 3333, "The `start_response()` Callable"). Nothing is sent: that is the driver's part.

use pyo3::exceptions::{PyAssertionError, PyBaseException, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTraceback, PyTuple};

use super::reply::{Phase, Refusal};
use super::session::{Session, State};
use super::text::{kind, show, to_latin1};
use crate::wire::ResponseHead;

/// The owner of the `start_response` method, which is what applications are given.
///
/// A bound method and not a `__call__`, because Python calls it without making a tuple of the arguments.
#[pyclass(frozen, module = "wsgi", name = "StartResponse")]
pub(super) struct StartResponse {
    pub(super) session: Py<Session>,
    pub(super) write: Py<Write>,
}

#[pymethods]
impl StartResponse {
    /// By position only (clause 5): an application that used names would fail with servers that chose others.
    #[pyo3(signature = (status, headers, exc_info = None, /))]
    fn start_response(
        &self,
        py: Python<'_>,
        status: &Bound<'_, PyAny>,
        headers: &Bound<'_, PyAny>,
        exc_info: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Py<Write>> {
        let session = self.session.get();
        let with_exc_info = exc_info.is_some();
        let called = session.with(py, |desk| {
            let (exchange, state) = desk.parts();
            exchange.is_some().then(|| state.reply.call(with_exc_info))
        });
        let mut head = match called {
            Some(Ok(head)) => head,
            None => return Err(PyRuntimeError::new_err("start_response() called after its request is over")),
            Some(Err(Refusal::Late)) => return Err(exc_info.map_or_else(|| bad_exc_info("None"), raise_again)),
            Some(Err(Refusal::Repeated)) => {
                return Err(PyAssertionError::new_err("start_response() called again without exc_info"));
            }
        };
        if let Some(other) = exc_info.filter(|given| !is_triple(given)) {
            return Err(bad_exc_info(&show(other)));
        }
        fill(&mut head, status, headers)?;
        session.with(py, |desk| desk.parts().1.reply.set(head));
        Ok(self.write.clone_ref(py))
    }
}

/// Clause 60: the exception that the application was handling goes on, with its own traceback.
fn raise_again(exc_info: &Bound<'_, PyAny>) -> PyErr {
    let parts = exc_info.cast::<PyTuple>().ok().filter(|_| is_triple(exc_info));
    let Some(value) = parts.and_then(|parts| parts.get_item(1).ok()?.cast_into::<PyBaseException>().ok()) else {
        return bad_exc_info(&show(exc_info));
    };
    let traceback = parts.and_then(|parts| parts.get_item(2).ok()?.cast_into::<PyTraceback>().ok());
    let py = exc_info.py();
    let error = PyErr::from_value(value.into_any());
    if traceback.is_some() {
        error.set_traceback(py, traceback);
    }
    error
}

/// Whether this has the shape of what `sys.exc_info()` gives; that of no exception, three times `None`, has it too.
fn is_triple(exc_info: &Bound<'_, PyAny>) -> bool {
    exc_info.cast::<PyTuple>().is_ok_and(|tuple| tuple.len() == 3)
}

fn bad_exc_info(got: &str) -> PyErr {
    PyTypeError::new_err(format!("start_response() exc_info must be what sys.exc_info() gives for an exception, got {got}"))
}

/// Checks status and headers, and stores them.
fn fill(head: &mut ResponseHead, status: &Bound<'_, PyAny>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
    let Ok(text) = status.cast::<PyString>() else {
        return Err(PyTypeError::new_err(format!("start_response() status must be str, got {}", kind(status))));
    };
    let text = to_latin1(text).ok_or_else(|| not_latin1("status", status))?;
    head.reset(text).map_err(|error| PyValueError::new_err(format!("start_response() status {} {error}", show(status))))?;

    // Clause 49: a list and nothing like one.
    let Ok(list) = headers.cast_exact::<PyList>() else {
        return Err(PyTypeError::new_err(format!("start_response() headers must be list, got {}", kind(headers))));
    };
    for (position, item) in list.iter().enumerate() {
        let pair = item.cast_exact::<PyTuple>().ok().filter(|pair| pair.len() == 2);
        let Some(Ok((name, value))) = pair.map(|pair| Ok::<_, PyErr>((pair.get_item(0)?, pair.get_item(1)?))) else {
            return Err(not_a_pair(position, &item));
        };
        let (Ok(name), Ok(value)) = (name.cast::<PyString>(), value.cast::<PyString>()) else {
            return Err(not_a_pair(position, &item));
        };
        let place = || format!("headers[{position}]");
        let name = to_latin1(name).ok_or_else(|| not_latin1(&place(), &item))?;
        let value = to_latin1(value).ok_or_else(|| not_latin1(&place(), &item))?;
        head.field(name, value).map_err(|error| PyValueError::new_err(format!("start_response() {} {} {error}", place(), show(&item))))?;
    }
    Ok(())
}

fn not_latin1(place: &str, value: &Bound<'_, PyAny>) -> PyErr {
    PyValueError::new_err(format!("start_response() {place} {} must not contain a character above U+00FF", show(value)))
}

fn not_a_pair(position: usize, item: &Bound<'_, PyAny>) -> PyErr {
    let got = match item.cast_exact::<PyTuple>() {
        Ok(tuple) => format!("({})", tuple.iter().map(|part| kind(&part)).collect::<Vec<_>>().join(", ")),
        Err(_) => kind(item),
    };
    PyTypeError::new_err(format!("start_response() headers[{position}] must be (str, str), got {got}"))
}

/// What `start_response` returns.
#[pyclass(frozen, module = "wsgi", name = "Write")]
pub(super) struct Write {
    pub(super) session: Py<Session>,
}

#[pymethods]
impl Write {
    /// Clause 84: as if the application had yielded it; it is on its way when this returns.
    #[pyo3(signature = (data, /))]
    fn __call__(&self, py: Python<'_>, data: &Bound<'_, PyAny>) -> PyResult<()> {
        let Ok(block) = data.cast_exact::<PyBytes>() else {
            return Err(PyTypeError::new_err(format!("write() argument must be bytes, got {}", kind(data))));
        };
        let block = block.as_bytes();
        let written = self.session.get().detached(py, |lent| {
            let mut desk = lent.lock();
            let (Some(exchange), State { reply, .. }) = desk.parts() else { return Written::Over };
            match reply.phase() {
                Phase::Idle | Phase::Called => return Written::Unready,
                Phase::Finished => return Written::Over,
                Phase::Ready | Phase::Sent => {}
            }
            reply.wrote = true;
            if block.is_empty() {
                return Written::Done;
            }
            let cut = reply.excess;
            match reply.send(exchange, block).and_then(|()| reply.flush(exchange)) {
                Err(error) => Written::Failed(error),
                Ok(()) if reply.excess > cut => Written::Excess(reply.excess - cut),
                Ok(()) => Written::Done,
            }
        });
        match written {
            Written::Done => Ok(()),
            Written::Over => Err(PyRuntimeError::new_err("write() called after its request is over")),
            Written::Unready => Err(PyAssertionError::new_err("write() called before start_response() succeeded")),
            Written::Failed(error) => Err(error.into()),
            Written::Excess(excess) => {
                Err(PyValueError::new_err(format!("write() of {} bytes exceeds Content-Length by {excess}", block.len())))
            }
        }
    }
}

enum Written {
    Done,
    Over,
    Unready,
    Failed(std::io::Error),
    /// Clause 66: more than was declared; the excess was not sent.
    Excess(u64),
}
