//! A Python thread state that lasts as long as its thread.
//!
//! To attach a thread that has none makes one, and to detach it destroys it, with everything in `threading.local`: slow, and Django would
//! connect to its database for each request. A server wraps the life of its threads in [`Handler::thread`](crate::Handler::thread); a test
//! has no such place, so the thread state is let go of by the destructor of a thread local.

#![allow(unsafe_code)]

use std::cell::Cell;

use pyo3::ffi;
use pyo3::prelude::*;

use super::application::forget_thread;
use super::kit::Kit;

/// Keeps this thread's Python thread state until the thread ends. Nothing where Python does not run yet, or where the thread is attached:
/// then somebody further up keeps it.
pub(crate) fn keep() {
    // The destructors of a thread may be running; then there is nothing to be kept.
    let _ = KEPT.try_with(Kept::keep);
}

thread_local! {
    static KEPT: Kept = const { Kept(Cell::new(None)) };
}

/// A thread state, and what the call that made it gave.
struct Kept(Cell<Option<(*mut ffi::PyThreadState, ffi::PyGILState_STATE)>>);

impl Kept {
    fn keep(&self) {
        // SAFETY: neither call has a precondition.
        if self.0.get().is_some() || unsafe { ffi::Py_IsInitialized() == 0 || ffi::PyGILState_Check() != 0 } {
            return;
        }
        // SAFETY: Python runs. The thread is attached by the first call, which also counts one user of its state, and detached by the second,
        // which leaves that count.
        unsafe {
            let before = ffi::PyGILState_Ensure();
            self.0.set(Some((ffi::PyEval_SaveThread(), before)));
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let Some((state, before)) = self.0.take() else { return };
        let forgotten = Python::try_attach(|py| {
            Kit::forget(py);
            forget_thread(py);
        });
        // Otherwise Python is ending, and the thread state with it.
        if forgotten.is_some() {
            // SAFETY: this thread is detached, since whoever attaches it does so for a scope and none is left when it ends. The state is its
            // own and alive, as it was counted; the count is given back with what `PyGILState_Ensure` has said.
            unsafe {
                ffi::PyEval_RestoreThread(state);
                ffi::PyGILState_Release(before);
            }
        }
    }
}
