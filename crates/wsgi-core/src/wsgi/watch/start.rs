//! `start_response` and `write()`, watched.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use super::record::{Record, Started};
use crate::testing::breach::Rule;
use crate::wire::{HeadError, ResponseHead};
use crate::wsgi::text::{kind, show, to_latin1};

pub(super) fn wrap(py: Python<'_>, inner: &Py<PyAny>, record: &Arc<Record>) -> PyResult<Py<StartResponse>> {
    Py::new(py, StartResponse { record: Arc::clone(record), inner: inner.clone_ref(py) })
}

#[pyclass(frozen, module = "wsgi.testing", name = "StartResponse")]
pub(super) struct StartResponse {
    record: Arc<Record>,
    inner: Py<PyAny>,
}

#[pymethods]
impl StartResponse {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(&self, args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Py<Write>> {
        let py = args.py();
        if self.record.over() {
            self.record.late(Rule::USED_AFTER, "start_response()");
            let write = self.inner.bind(py).call(args, kwargs)?;
            return Py::new(py, Write { record: Arc::clone(&self.record), inner: write.unbind() });
        }
        let exc_info = args.get_item(2).ok().filter(|given| !given.is_none());
        let sent = self.record.starting(exc_info.is_some());
        let reply = check(&self.record, args, kwargs, exc_info.as_ref());
        match self.inner.bind(py).call(args, kwargs) {
            Ok(write) => {
                if let Some(reply) = reply {
                    self.record.started(reply);
                }
                Py::new(py, Write { record: Arc::clone(&self.record), inner: write.unbind() })
            }
            Err(error) => {
                if sent && exc_info.is_some() {
                    self.record.raised_again();
                }
                Err(error)
            }
        }
    }
}

/// Looks at everything that `start_response` is given, and has the record say all that is wrong with it. Gives what counts if the server
/// takes it nevertheless.
fn check(
    record: &Record,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
    exc_info: Option<&Bound<'_, PyAny>>,
) -> Option<Started> {
    if let Some(kwargs) = kwargs.filter(|kwargs| !kwargs.is_empty()) {
        record.breach(Rule::CALL_SHAPE, format!("start_response() takes its arguments by position, got {}", show(&kwargs.keys())));
        return None;
    }
    let (2 | 3, Ok(status), Ok(headers)) = (args.len(), args.get_item(0), args.get_item(1)) else {
        record.breach(Rule::CALL_SHAPE, format!("start_response() takes two or three arguments, got {}", args.len()));
        return None;
    };
    let mut check = Check { record, head: ResponseHead::default(), typed: false };
    if let Some(exc_info) = exc_info {
        if !exc_info.cast::<PyTuple>().is_ok_and(|triple| triple.len() == 3) {
            check.breach(Rule::EXC_INFO, format!("exc_info must be what sys.exc_info() gives, got {}", show(exc_info)));
        }
    }
    check.status(&status);
    check.headers(&headers);
    let Check { head, typed, .. } = check;
    if head.bodiless() && typed {
        record.breach(Rule::CONTENT_TYPE, format!("a {} reply has no body, got a Content-Type", head.code()));
    }
    Some(Started { bodiless: head.bodiless().then(|| head.code()), declared: head.content_length(), typed })
}

struct Check<'a> {
    record: &'a Record,
    /// Where what is good goes: building one is the validation.
    head: ResponseHead,
    typed: bool,
}

impl Check<'_> {
    fn breach(&self, rule: Rule, text: String) {
        self.record.breach(rule, text);
    }

    fn status(&mut self, status: &Bound<'_, PyAny>) {
        let Some(text) = self.text(status, || "status".to_owned()) else { return };
        if let Err(error) = self.head.reset(text) {
            self.breach(rule(error), format!("status {} {error}", show(status)));
        }
    }

    fn headers(&mut self, headers: &Bound<'_, PyAny>) {
        let Ok(list) = headers.cast_exact::<PyList>() else {
            return self.breach(Rule::HEADERS, format!("headers must be a list, got {}", kind(headers)));
        };
        for (position, item) in list.iter().enumerate() {
            let Some(pair) = item.cast_exact::<PyTuple>().ok().filter(|pair| pair.len() == 2) else {
                self.breach(Rule::HEADERS, format!("headers[{position}] must be a tuple of two, got {}", show(&item)));
                continue;
            };
            let (Ok(name), Ok(value)) = (pair.get_borrowed_item(0), pair.get_borrowed_item(1)) else { continue };
            let name = self.text(&name, || format!("headers[{position}] name"));
            let value = self.text(&value, || format!("headers[{position}] value"));
            if let (Some(name), Some(value)) = (name, value) {
                self.header(position, &item, name, value);
            }
        }
    }

    fn header(&mut self, position: usize, item: &Bound<'_, PyAny>, name: &[u8], value: &[u8]) {
        self.typed |= name.eq_ignore_ascii_case(b"Content-Type");
        if let Err(error) = self.head.field(name, value) {
            self.breach(rule(error), format!("headers[{position}] {} {error}", show(item)));
        } else if name.ends_with(b"-") || name.ends_with(b"_") {
            self.breach(Rule::HEADER_NAME, format!("headers[{position}] {} name must not end in punctuation", show(item)));
        } else if name.eq_ignore_ascii_case(b"Status") {
            let text =
                format!("headers[{position}] {} name must not be Status, by which CGI sends what the first argument says", show(item));
            self.breach(Rule::HEADER_NAME, text);
        }
    }

    /// The bytes that a text stands for.
    fn text<'a>(&self, value: &'a Bound<'_, PyAny>, place: impl Fn() -> String) -> Option<&'a [u8]> {
        let Ok(text) = value.cast::<PyString>() else {
            self.breach(Rule::NATIVE_STR, format!("{} must be str, got {}", place(), kind(value)));
            return None;
        };
        if value.cast_exact::<PyString>().is_err() {
            self.breach(Rule::STR_SUBCLASS, format!("{} should be exactly str, got its subclass {}", place(), kind(value)));
        }
        let bytes = to_latin1(text);
        if bytes.is_none() {
            self.breach(Rule::LATIN1, format!("{} {} must not contain a character above U+00FF", place(), show(value)));
        }
        bytes
    }
}

/// The clause behind what a head refuses.
fn rule(error: HeadError) -> Rule {
    match error {
        HeadError::Status | HeadError::Informational => Rule::STATUS,
        HeadError::Name => Rule::HEADER_NAME,
        HeadError::Value => Rule::HEADER_VALUE,
        HeadError::HopByHop => Rule::HOP_BY_HOP,
        HeadError::ContentLength | HeadError::Repeated => Rule::LENGTH,
    }
}

/// What the watched `start_response` returns.
#[pyclass(frozen, module = "wsgi.testing", name = "Write")]
pub(super) struct Write {
    record: Arc<Record>,
    inner: Py<PyAny>,
}

#[pymethods]
impl Write {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(&self, args: &Bound<'py, PyTuple>, kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<Bound<'py, PyAny>> {
        let py = args.py();
        if self.record.over() {
            self.record.late(Rule::WRITE_INSIDE, "write()");
        } else {
            self.record.writing();
            match args.get_item(0) {
                Ok(block) if args.len() == 1 && kwargs.is_none_or(|kwargs| kwargs.is_empty()) => match block.cast_exact::<PyBytes>() {
                    Ok(bytes) => self.record.wrote(bytes.as_bytes().len()),
                    Err(_) => self.record.breach(Rule::BYTES, format!("write() argument must be bytes, got {}", kind(&block))),
                },
                _ => self.record.breach(Rule::WRITE_SHAPE, "write() takes one argument, by position"),
            }
        }
        self.inner.bind(py).call(args, kwargs)
    }
}
