//! The Python side.

mod import;
mod interpreter;

pub use import::ImportError;
pub use interpreter::{Builder as InterpreterBuilder, Home, Interpreter, StartError};

/// A Python WSGI application.
#[derive(Debug)]
pub struct Application {
    callable: pyo3::Py<pyo3::PyAny>,
}

impl Application {
    /// Wraps a callable.
    pub fn new(callable: pyo3::Py<pyo3::PyAny>) -> Application {
        Application { callable }
    }

    /// The callable.
    pub fn callable(&self) -> &pyo3::Py<pyo3::PyAny> {
        &self.callable
    }
}
