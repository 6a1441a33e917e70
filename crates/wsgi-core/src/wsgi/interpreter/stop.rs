//! The orderly end of Python's part of a program, without the finalisation that CPython would do.
//!
//! `Py_FinalizeEx` would tear Python down under threads that may still attach to it, which ends in a hang or a crash. What programs rely on
//! happens before that point, and is done here.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;

pub(super) fn stop(patience: Duration) -> Vec<String> {
    Python::attach(|py| {
        let unfinished = py.detach(|| end_threads(patience));
        report(py, py.import("atexit").and_then(|atexit| atexit.call_method0("_run_exitfuncs")).map(drop));
        for name in ["stdout", "stderr"] {
            // Nobody is left to tell that the output cannot be written.
            let _ = py.import("sys").and_then(|sys| sys.getattr(name)?.call_method0("flush"));
        }
        unfinished
    })
}

/// Waits for Python's threads on a thread of its own, as `threading._shutdown` knows no deadline. Gives those that are left.
fn end_threads(patience: Duration) -> Vec<String> {
    let deadline = Instant::now().checked_add(patience);
    let (done, ended) = mpsc::channel();
    let waiting = thread::Builder::new().name("python-shutdown".to_owned()).spawn(move || {
        Python::attach(|py| report(py, shut_threads_down(py)));
        // The other end gives up at its deadline.
        let _ = done.send(());
    });
    if let Err(error) = waiting {
        return Python::attach(|py| {
            report(py, Err(error.into()));
            unfinished_threads(py)
        });
    }
    loop {
        // Handlers of signals that an application has installed run on the main thread only: often, they tell its threads to end.
        Python::attach(|py| report(py, py.check_signals()));
        let left = deadline.map_or(SIGNALS_ARE_SEEN_WITHIN, |deadline| deadline.saturating_duration_since(Instant::now()));
        match ended.recv_timeout(left.min(SIGNALS_ARE_SEEN_WITHIN)) {
            Err(mpsc::RecvTimeoutError::Timeout) if left.is_zero() => return Python::attach(unfinished_threads),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return Vec::new(),
        }
    }
}

fn shut_threads_down(py: Python<'_>) -> PyResult<()> {
    let threading = py.import("threading")?;
    if py.version_info() < (3, 13) {
        // Threads may wait for the main thread's end (`threading.main_thread().join()`). Up to 3.12, `_shutdown` tells them only if it runs on
        // the main thread, by giving up this lock; it first calls what is registered here.
        let main = threading.getattr("_main_thread")?.getattr("_tstate_lock")?;
        if main.call_method0("locked")?.is_truthy()? {
            threading.call_method1("_register_atexit", (main.getattr("release")?,))?;
        }
    }
    threading.call_method0("_shutdown")?;
    Ok(())
}

/// The names of the threads that hold up the end. There are none if nobody knows.
fn unfinished_threads(py: Python<'_>) -> Vec<String> {
    let names = || -> PyResult<Vec<String>> {
        let threading = py.import("threading")?;
        let main = threading.call_method0("main_thread")?;
        let mut names = Vec::new();
        for thread in threading.call_method0("enumerate")?.try_iter()? {
            let thread = thread?;
            if !thread.is(&main) && !thread.getattr("daemon")?.is_truthy()? {
                names.push(thread.getattr("name")?.str()?.to_string());
            }
        }
        Ok(names)
    };
    names().unwrap_or_default()
}

/// Shows what Python code has raised on `sys.stderr`. Its `SystemExit` is granted: this is the exit.
fn report(py: Python<'_>, result: PyResult<()>) {
    match result {
        Err(error) if !error.is_instance_of::<PySystemExit>(py) => error.print(py),
        _ => {}
    }
}

const SIGNALS_ARE_SEEN_WITHIN: Duration = Duration::from_millis(50);
