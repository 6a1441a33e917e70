//! For development: notices that a Python file in use has changed.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use wsgi_core::processes::{Touched, Worker};

use crate::threads;

/// Looks at the files of all modules, now and again and again from a thread of its own, and asks the master for new workers when one has changed.
///
/// The workers of a version that cannot be imported never come to be; those of the last one that can go on, and look for the next change.
///
/// `ignored`: names of modules whose files are not looked at.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn watch(worker: Worker, every: Duration, ignored: Vec<String>) -> io::Result<()> {
    let mut touched = Touched::default();
    watch_modules(&mut touched, &ignored);
    threads::start("autoreload", move || {
        loop {
            std::thread::sleep(every);
            watch_modules(&mut touched, &ignored);
            if let Some(file) = touched.look() {
                worker.reload(&format!("{file:?} has changed"));
            }
        }
    })
}

fn watch_modules(touched: &mut Touched, ignored: &[String]) {
    match Python::attach(|py| files(py, ignored)) {
        Ok(files) => files.into_iter().for_each(|file| touched.watch(file)),
        Err(error) => tracing::warn!("cannot find the files of Python's modules: {error}"),
    }
}

/// The files of the modules that are loaded.
fn files(py: Python<'_>, ignored: &[String]) -> PyResult<Vec<PathBuf>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let mut files = Vec::new();
    for (name, module) in modules {
        if !ignored.is_empty() && name.extract::<String>().is_ok_and(|name| ignored.contains(&name)) {
            continue;
        }
        // Not by an attribute: there are modules that load others when they are asked for one.
        let Ok(module) = module.cast::<PyModule>() else { continue };
        let Some(file) = module.dict().get_item("__file__")? else { continue };
        if let Ok(file) = file.extract::<PathBuf>() {
            files.push(file);
        }
    }
    Ok(files)
}
