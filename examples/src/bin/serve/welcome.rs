//! The page that is served where no application was asked for: itself an application in Python, so that it shows that all of it works.

use pyo3::ffi::c_str;
use pyo3::prelude::*;
use wsgi_core::wsgi::Application;

pub(crate) fn application() -> PyResult<Application> {
    Python::attach(|py| {
        let module = PyModule::from_code(py, c_str!(include_str!("welcome.py")), c"welcome.py", c"wsgi_welcome")?;
        Ok(Application::new(module.getattr("application")?.unbind()))
    })
}
