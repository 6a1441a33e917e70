//! Two things that applications may ask of the connection, as other servers offer them: `wsgi.early_hints` and
//! `waitress.client_disconnected`.

use pyo3::exceptions::{PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};

use super::session::Session;
use super::text::{kind, show, to_latin1};
use crate::wire::ResponseHead;

/// `environ["wsgi.early_hints"]`: sends 103 Early Hints with the given `(name, value)` pairs at once, ahead of the reply.
///
/// Does nothing when the reply's headers are sent, or where the protocol or the peer knows no such thing.
#[pyclass(frozen, module = "wsgi", name = "EarlyHints")]
pub(super) struct EarlyHints {
    pub(super) session: Py<Session>,
}

#[pymethods]
impl EarlyHints {
    #[pyo3(signature = (headers, /))]
    fn __call__(&self, py: Python<'_>, headers: &Bound<'_, PyAny>) -> PyResult<()> {
        let mut head = ResponseHead::early_hints();
        for (position, item) in headers.try_iter()?.enumerate() {
            let item = item?;
            let pair = item.cast::<PyTuple>().ok().and_then(|pair| pair.extract::<(Bound<'_, PyString>, Bound<'_, PyString>)>().ok());
            let Some((name, value)) = pair else {
                return Err(PyTypeError::new_err(format!("early_hints() headers[{position}] must be (str, str), got {}", kind(&item))));
            };
            let refused = |why: &str| PyValueError::new_err(format!("early_hints() headers[{position}] {} {why}", show(&item)));
            let (Some(name), Some(value)) = (to_latin1(&name), to_latin1(&value)) else {
                return Err(refused("must not contain a character above U+00FF"));
            };
            head.field(name, value).map_err(|error| refused(&error.to_string()))?;
        }
        if head.content_length().is_some() {
            return Err(PyValueError::new_err("early_hints() headers must not hold Content-Length, since a 103 reply has no body"));
        }
        let there = self.session.get().detached(py, |lent| {
            let mut desk = lent.lock();
            let (Some(exchange), state) = desk.parts() else { return false };
            if !state.reply.committed() {
                exchange.inform(&head);
                // A client that is gone is noticed by whatever sends the reply.
                let _ = state.reply.flush(exchange);
            }
            true
        });
        there.then_some(()).ok_or_else(|| PyRuntimeError::new_err("early_hints() called after its request is over"))
    }
}

/// `environ["waitress.client_disconnected"]`: whether there is nobody left to answer to, for applications that can stop long work then.
///
/// Also true when the request is over.
#[pyclass(frozen, module = "wsgi", name = "ClientDisconnected")]
pub(super) struct ClientDisconnected {
    pub(super) session: Py<Session>,
}

#[pymethods]
impl ClientDisconnected {
    fn __call__(&self, py: Python<'_>) -> bool {
        self.session.get().with(py, |desk| {
            let (exchange, state) = desk.parts();
            exchange.is_none_or(|exchange| state.reply.gone.is_some() || exchange.disconnected())
        })
    }
}
