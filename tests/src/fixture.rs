//! The Python side of a case: the one interpreter of the test process, and fixture applications loaded afresh for each case.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::conversion::FromPyObjectOwned;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};
use wsgi_core::Interpreter;

/// A fixture application: a module that was run afresh, so that cases that run at the same time share nothing.
pub struct Fixture {
    module: Py<PyModule>,
}

impl Fixture {
    /// Runs `apps/{name}.py`. A panic if it is not there or raises.
    pub fn load(name: &str) -> Fixture {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        interpreter();
        let path = apps().join(name).with_extension("py");
        let code = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let text = |text: String| CString::new(text).expect("no NUL in a fixture");
        Python::attach(|py| {
            let unique = format!("fixture_{}_{}", name.replace('/', "_"), COUNT.fetch_add(1, Ordering::Relaxed));
            let module = PyModule::from_code(py, &text(code), &text(path.display().to_string()), &text(unique.clone()))
                .unwrap_or_else(|error| panic!("fixture {name}: {error}"));
            // Nobody imports it, so it goes with its case: kept, all of them would be gone through by each collection.
            py.import("sys").and_then(|sys| sys.getattr("modules")?.del_item(unique)).expect("a module that was made");
            Fixture { module: module.unbind() }
        })
    }

    /// An application object of the module, by its name.
    pub fn callable(&self, name: &str) -> Py<PyAny> {
        Python::attach(|py| self.module.bind(py).getattr(name).unwrap_or_else(|error| panic!("{error}")).unbind())
    }

    /// The same application under `wsgiref.validate.validator`.
    pub fn validated(application: &Py<PyAny>) -> Py<PyAny> {
        Python::attach(|py| {
            let validator = py.import("wsgiref.validate").and_then(|module| module.getattr("validator")).expect("wsgiref.validate");
            validator.call1((application,)).expect("a validated application").unbind()
        })
    }

    /// Everything that was noted under a name so far.
    pub fn notes<T: for<'py> FromPyObjectOwned<'py>>(&self, name: &str) -> Vec<T> {
        Python::attach(|py| {
            let notes = self.probe(py).call_method1("notes", (name,)).expect("notes");
            notes.try_iter().expect("a list").map(|note| extract(&note.expect("a note"), name)).collect()
        })
    }

    /// The first value that is noted under a name; waits for it, and panics when none comes.
    pub fn noted<T: for<'py> FromPyObjectOwned<'py>>(&self, name: &str) -> T {
        Python::attach(|py| {
            let note = self.probe(py).call_method1("first", (name,)).unwrap_or_else(|error| panic!("{error}"));
            extract(&note, name)
        })
    }

    /// Lets an application go on that waits at a gate, or will.
    pub fn open(&self, gate: &str) {
        Python::attach(|py| self.probe(py).call_method1("open", (gate,)).map(drop).expect("a gate"));
    }

    /// Lets everyone go on: the case is over.
    pub fn open_all(&self) {
        Python::attach(|py| {
            if let Ok(probe) = self.module.bind(py).getattr("probe") {
                probe.call_method0("open_all").expect("a probe");
            }
        });
    }

    fn probe<'py>(&self, py: Python<'py>) -> Bound<'py, PyAny> {
        self.module.bind(py).getattr("probe").expect("this fixture has no probe")
    }
}

fn extract<'py, T: FromPyObjectOwned<'py>>(note: &Bound<'py, PyAny>, name: &str) -> T {
    T::extract(note.as_borrowed()).unwrap_or_else(|_| panic!("the note {name:?} is of another type: {note:?}"))
}

/// The SHA-256 of these bytes in hexadecimal, by Python.
pub fn sha256(bytes: &[u8]) -> String {
    interpreter();
    Python::attach(|py| {
        let digest = py.import("hashlib")?.getattr("sha256")?.call1((PyBytes::new(py, bytes),))?;
        digest.call_method0("hexdigest")?.extract()
    })
    .unwrap_or_else(|error: PyErr| panic!("{error}"))
}

/// Where the fixture applications are.
pub fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("apps")
}

/// The interpreter of this process, with the fixtures' folder on its path.
pub fn interpreter() -> &'static Interpreter {
    static INTERPRETER: OnceLock<Interpreter> = OnceLock::new();
    INTERPRETER.get_or_init(|| {
        crate::log::keep();
        let interpreter = Interpreter::builder().python_path(apps()).start().unwrap_or_else(|error| panic!("{error}"));
        Python::attach(|py| {
            py.run(c"import sys\nunraisable = []\nsys.unraisablehook = lambda this: unraisable.append(f'{this.err_msg}: {this.object!r}: {this.exc_value!r}')\nsys.modules['unraisable'] = unraisable\nsys.dont_write_bytecode = True", None, None)?;
            // What is there from the start is never garbage, and each case collects.
            py.import("wsgiref.validate")?;
            py.import("gc")?.call_method0("freeze").map(drop)
        })
        .expect("the hook for what cannot be raised");
        interpreter
    })
}

/// What Python could raise nowhere since the last look: the validator says so where an iterable was not closed.
pub fn unraisable() -> Vec<String> {
    Python::attach(|py| {
        py.import("gc").and_then(|gc| gc.call_method0("collect")).expect("a collection");
        let modules = py.import("sys").and_then(|sys| sys.getattr("modules")).expect("sys.modules");
        let list = modules.get_item("unraisable").expect("the hook").cast_into::<PyList>().expect("a list");
        let texts = list.extract().expect("texts");
        list.call_method0("clear").expect("a list");
        texts
    })
}

#[cfg(test)]
mod tests {
    use pyo3::types::PyDict;

    use super::*;

    /// What makes every case of the validated dimension fail whose iterable is not closed.
    #[test]
    fn an_iterable_that_the_validator_finds_unclosed_is_noticed() {
        let fixture = Fixture::load("hello");
        let application = Fixture::validated(&fixture.callable("application"));
        let call = |close: bool| {
            Python::attach(|py| -> PyResult<()> {
                let environ = PyDict::new(py);
                py.import("wsgiref.util")?.getattr("setup_testing_defaults")?.call1((&environ,))?;
                for (name, value) in [("SERVER_NAME", "localhost"), ("SERVER_PORT", "80")] {
                    environ.set_item(name, value)?;
                }
                let start_response = py.eval(c"lambda status, headers, exc_info=None: lambda data: None", None, None)?;
                let blocks = application.bind(py).call1((environ, start_response))?;
                blocks.try_iter()?.count();
                if close {
                    blocks.call_method0("close")?;
                }
                Ok(())
            })
            .unwrap();
            unraisable()
        };
        assert_eq!(call(true), Vec::<String>::new());
        let told = call(false);
        assert!(told.len() == 1 && told[0].contains("without being closed"), "{told:?}");
    }
}
