//! What has to be done in Python: where a thread is, and an exception in it.

#![allow(unsafe_code)]

use std::ffi::{c_int, c_long};

use pyo3::exceptions::PyBaseException;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{create_exception, ffi};

create_exception!(wsgi, Harakiri, PyBaseException, "The request takes longer than the server allows. Let it pass.");

/// A thread as Python knows it (`threading.get_ident`).
pub(super) type ThreadId = std::ffi::c_ulong;

/// The thread that calls.
pub(super) fn this_thread() -> ThreadId {
    // SAFETY: it has no precondition.
    unsafe { ffi::PyThread_get_thread_ident() }
}

/// Imports what is needed later, when the lock of an import may be held by whoever is stuck, and makes a signal write tracebacks.
pub(super) fn prepare(py: Python<'_>) -> PyResult<()> {
    py.import("traceback")?;
    py.import("linecache")?;
    // Standard error by its number, as `sys.stderr` may be anything by now.
    py.import("faulthandler")?.call_method1("register", (signal(), libc::STDERR_FILENO, true, false))?;
    Ok(())
}

/// Where the thread is. `None`: in no Python code.
pub(super) fn traceback_of(py: Python<'_>, thread: ThreadId) -> PyResult<Option<String>> {
    let frames = py.import("sys")?.call_method0("_current_frames")?;
    let frame = frames.call_method1("get", (thread,))?;
    if frame.is_none() {
        return Ok(None);
    }
    let lines = py.import("traceback")?.call_method1("format_stack", (frame,))?;
    Ok(Some(PyString::new(py, "").call_method1("join", (lines,))?.cast_into::<PyString>()?.to_string_lossy().into_owned()))
}

/// Has an exception raised in the thread, at its next instruction of Python. False: it has no thread state.
pub(super) fn raise(py: Python<'_>, thread: ThreadId) -> bool {
    // SAFETY: attached, and the class is a class of exceptions, of which the call takes a reference of its own.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread as c_long, py.get_type::<Harakiri>().as_ptr()) > 0 }
}

/// Takes an exception back that was not raised yet.
pub(super) fn withdraw(_: Python<'_>, thread: ThreadId) {
    // SAFETY: attached; no exception takes the place of the one that waits.
    unsafe { ffi::PyThreadState_SetAsyncExc(thread as c_long, std::ptr::null_mut()) };
}

/// Writes the tracebacks of all threads to standard error. Needs neither Python's lock nor the consent of any thread.
pub(super) fn dump_all() {
    // SAFETY: `prepare` has given this signal a handler, which reads and writes.
    unsafe { libc::raise(signal()) };
}

/// A signal that nothing else uses.
fn signal() -> c_int {
    libc::SIGRTMIN() + 9
}
