//! An application under observation: wrappers around everything that it is given and gives, for the test client.
//!
//! ```text
//! driver ──call()──▶ environ with Input and Errors, StartResponse ──▶ application
//!                         └───────┬──────┬────────────┘
//! driver ◀── Blocks ◀── Record ◀──┘ ◀────┘ Write
//! ```
//!
//! Nothing is changed by it: each wrapper passes on what it gets, and what the server raises reaches the application. It is active only on a
//! thread that runs [`during`], so that a program in which this feature is on serves as it does without.
//!
//! **In scope:** seeing. **Out of scope:** what PEP 3333 says of it ([`Rule`](crate::testing::breach::Rule)), and what a client does with it
//! ([`testing`](crate::testing)).

mod blocks;
mod record;
mod start;
mod streams;

use std::cell::RefCell;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

pub(crate) use record::{Late, Record, Seen};

use super::text::kind;
use crate::testing::Exception;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Record>>> = const { RefCell::new(None) };
}

/// Watches the applications that are called while `work` runs, on this thread. Calls may be nested: the innermost record counts.
pub(crate) fn during<R>(record: &Arc<Record>, work: impl FnOnce() -> R) -> R {
    struct Restore(Option<Arc<Record>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }
    let _restore = Restore(CURRENT.replace(Some(Arc::clone(record))));
    work()
}

fn current() -> Option<Arc<Record>> {
    CURRENT.with_borrow(Option::clone)
}

/// Calls the application, watched if somebody wants to know.
pub(super) fn call<'py>(
    application: &Bound<'py, PyAny>,
    environ: Bound<'py, PyDict>,
    start_response: &Py<PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let Some(record) = current() else { return application.call1((environ, start_response)) };
    let py = application.py();
    streams::wrap(&environ, &record)?;
    let start_response = start::wrap(py, start_response, &record)?;
    match application.call1((environ, start_response)) {
        Ok(answer) => {
            record.returned();
            blocks::wrap(answer, &record)
        }
        Err(error) => {
            record.raised(exception(py, &error));
            Err(error)
        }
    }
}

/// Takes what the server writes to `wsgi.errors` itself; false if nobody wants it.
pub(super) fn report(text: &str) -> bool {
    current().is_some_and(|record| record.report(text))
}

/// Notes that the server's own file wrapper was closed.
pub(super) fn file_closed() {
    if let Some(record) = current() {
        record.file_closed();
    }
}

fn exception(py: Python<'_>, error: &PyErr) -> Exception {
    let value = error.value(py);
    let message = value.str().map(|text| text.to_string_lossy().into_owned()).unwrap_or_else(|_| "<no text>".to_owned());
    let module = value.get_type().getattr(intern!(py, "__module__")).and_then(|module| module.extract::<String>());
    let name = kind(value);
    let kind = match module {
        Ok(module) if module != "builtins" => format!("{module}.{name}"),
        _ => name,
    };
    Exception { kind, message }
}
