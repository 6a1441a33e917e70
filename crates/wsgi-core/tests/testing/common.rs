//! Applications from a few lines of Python.

use std::ffi::CString;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use pyo3::prelude::*;
use wsgi_core::testing::on_a_lasting_thread;
use wsgi_core::wsgi::Application;

/// The callable `application` of a module with this source.
pub(crate) fn app(source: &str) -> Application {
    Application::new(object(source, "application"))
}

/// An application whose errors go to a text of their own.
pub(crate) fn app_with_errors(source: &str) -> (Application, Arc<Mutex<String>>) {
    let errors = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&errors);
    (app(source).errors(move |text| sink.lock().unwrap().push_str(text)), errors)
}

/// The value of an expression over the names of such a module.
pub(crate) fn object(source: &str, expression: &str) -> Py<PyAny> {
    static PYTHON: LazyLock<()> = LazyLock::new(|| on_a_lasting_thread(Python::initialize));
    LazyLock::force(&PYTHON);
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let text = |text: &str| CString::new(text).unwrap();
    Python::attach(|py| {
        let name = format!("application_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let module = PyModule::from_code(py, &text(source), c"application.py", &text(&name)).unwrap();
        py.eval(&text(expression), Some(&module.dict()), None).unwrap().unbind()
    })
}

/// A function that answers with the `repr` of an expression over `environ`.
pub(crate) fn shows(expression: &str) -> Application {
    app(&format!(
        "
def application(environ, start_response):
    shown = repr({expression}).encode()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [shown]
"
    ))
}
