//! Environment variables that are set for the application.
//!
//! Through Python, which sets them for C libraries too: the process has threads by then, beside which the variables of C are not safe to change
//! in any other way.

use pyo3::prelude::*;

/// Sets variables, and takes away those without a value, in order.
///
/// # Errors
/// A name or a value that the system does not take.
pub(crate) fn set(variables: &[(String, Option<String>)]) -> Result<(), String> {
    Python::attach(|py| -> PyResult<()> {
        let environ = py.import("os")?.getattr("environ")?;
        for (name, value) in variables {
            match value {
                Some(value) => environ.set_item(name, value)?,
                None => {
                    environ.call_method1("pop", (name, py.None()))?;
                }
            }
        }
        // The one variable that C has looked at already and does not look at again.
        if variables.iter().any(|(name, _)| name == "TZ") {
            py.import("time")?.call_method0("tzset")?;
        }
        Ok(())
    })
    .map_err(|error| format!("cannot set the environment variables of env: {error}"))
}
