//! Finding an application in Python modules and files, and saying exactly what is wrong when it is not there.

use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pyo3::exceptions::{PyModuleNotFoundError, PySystemExit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyModule, PyType};

use super::exception::{summary, traceback};

/// Why there is no application.
///
/// `Display` gives one sentence. `Debug` adds the traceback of what the application raised, since that is how errors of `main` are printed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The text does not name a module, or not a callable in one.
    #[error("{target:?} does not name an application: {reason}")]
    Malformed {
        /// The text.
        target: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The module that was asked for, or a package that it lies in, is not there.
    #[error("cannot import {target:?}: no module named {missing:?} (searched: {})", list(searched))]
    NoModule {
        /// What was asked for.
        target: String,
        /// The part of the module's name that was not found.
        missing: String,
        /// The folders of `sys.path`, without those of the standard library.
        searched: Vec<PathBuf>,
    },
    /// The file cannot be read.
    #[error("cannot read {path:?}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The module has no such attribute.
    #[error("cannot import {target:?}: {holder} has no attribute {attribute:?}{}", did_you_mean(candidates))]
    NoAttribute {
        /// What was asked for.
        target: String,
        /// What lacks it, such as `module "mysite.wsgi"`.
        holder: String,
        /// The attribute.
        attribute: String,
        /// Callables in the module that may be the application.
        candidates: Vec<String>,
    },
    /// The object is there, but it is no WSGI application.
    #[error("cannot use {target:?}: {reason}")]
    NotAnApplication {
        /// What was asked for.
        target: String,
        /// What it is instead.
        reason: String,
    },
    /// Python code of the application has raised an exception: a module that was being imported, or a factory that was called.
    #[error("cannot import {target:?}: it raised {exception}{}", hint.as_deref().unwrap_or_default())]
    Raised {
        /// What was asked for.
        target: String,
        /// The exception, in one line.
        exception: String,
        /// The traceback as Python prints it.
        traceback: String,
        /// What may help.
        hint: Option<String>,
    },
    /// The module has called `sys.exit()` while it was imported.
    #[error("cannot import {target:?}: it ended with SystemExit{}", code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default())]
    Exited {
        /// What was asked for.
        target: String,
        /// What it gave to `sys.exit()`.
        code: Option<String>,
        /// The traceback as Python prints it.
        traceback: String,
    },
}

impl ImportError {
    /// The traceback of the exception that the application raised; ends in a newline.
    pub fn traceback(&self) -> Option<&str> {
        match self {
            ImportError::Raised { traceback, .. } | ImportError::Exited { traceback, .. } => Some(traceback),
            _ => None,
        }
    }
}

impl fmt::Debug for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)?;
        self.traceback().map_or(Ok(()), |traceback| write!(f, "\n{}", traceback.trim_end()))
    }
}

/// The application that `target` names: `MODULE[:CALLABLE]`.
pub(super) fn module(py: Python<'_>, target: &str) -> Result<Py<PyAny>, ImportError> {
    let (name, callable) = target.split_once(':').unwrap_or((target, DEFAULT_CALLABLE));
    if let Some(reason) = not_a_module_name(name) {
        return Err(ImportError::Malformed { target: target.to_owned(), reason });
    }
    let callable = Callable::parse(target, callable)?;
    let module = py.import(name).map_err(|error| import_failed(py, target, name, &error))?;
    callable.find_in(module.as_any(), target, &format!("module {name:?}"))
}

/// The application in the file at `path`.
pub(super) fn file(py: Python<'_>, path: &Path, callable: &str) -> Result<Py<PyAny>, ImportError> {
    let unreadable = |source| ImportError::File { path: path.to_owned(), source };
    let target = path.display().to_string();
    let callable = Callable::parse(&target, callable)?;
    let full = path.canonicalize().map_err(unreadable)?;
    let source = fs::read(&full).map_err(unreadable)?;
    let module = run_file(py, &full, &source)
        .map_err(|error| raised(py, &target, &error, neighbour_hint(py, &full, &error).or_else(|| searched_hint(py, &error))))?;
    callable.find_in(&module, &target, "the file")
}

/// A callable as it is written: `application`, `site.application`, `make_app()`.
struct Callable<'a> {
    path: &'a str,
    factory: bool,
}

impl<'a> Callable<'a> {
    fn parse(target: &str, text: &'a str) -> Result<Callable<'a>, ImportError> {
        let (path, factory) = match text.strip_suffix("()") {
            Some(path) => (path, true),
            None => (text, false),
        };
        if path.split('.').all(is_identifier) {
            return Ok(Callable { path, factory });
        }
        let reason = format!("{text:?} is not a callable: expected NAME, NAME.NAME or FACTORY() without arguments");
        Err(ImportError::Malformed { target: target.to_owned(), reason })
    }

    fn find_in(&self, module: &Bound<'_, PyAny>, target: &str, holder: &str) -> Result<Py<PyAny>, ImportError> {
        let py = module.py();
        let mut object = module.clone();
        let mut holder = holder.to_owned();
        for name in self.path.split('.') {
            object = match object.getattr_opt(name).map_err(|error| raised(py, target, &error, None))? {
                Some(attribute) => attribute,
                None => {
                    let candidates = if object.is(module) { likely_applications(module) } else { Vec::new() };
                    return Err(ImportError::NoAttribute { target: target.to_owned(), holder, attribute: name.to_owned(), candidates });
                }
            };
            holder = format!("{name:?}");
        }
        let not_an_application = |reason| Err(ImportError::NotAnApplication { target: target.to_owned(), reason });
        let mut shown = format!("{:?}", self.path);
        if self.factory {
            if !object.is_callable() {
                return not_an_application(format!("{shown} is {} and cannot be called", article(&type_name(&object))));
            }
            object = object.call0().map_err(|error| raised(py, target, &error, None))?;
            shown = format!("what {}() returned", self.path);
        }
        if !object.is_callable() {
            return not_an_application(format!("{shown} is {} and cannot be called", article(&type_name(&object))));
        }
        if is_async(&object) {
            return not_an_application(format!("{shown} is an asynchronous (ASGI) application, expected a WSGI application"));
        }
        Ok(object.unbind())
    }
}

/// Runs a file as a module of its own.
fn run_file<'py>(py: Python<'py>, path: &Path, source: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let sys_modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let mut name = String::from("wsgi_file_");
    name.extend(path.to_string_lossy().chars().map(|character| if character.is_ascii_alphanumeric() { character } else { '_' }));
    while let Some(module) = sys_modules.get_item(&name)? {
        // The same file once more, for another of its callables.
        if module.getattr("__file__")?.extract::<OsString>()? == path.as_os_str() {
            return Ok(module);
        }
        name.push('_');
    }
    let loader = py.import("importlib.machinery")?.getattr("SourceFileLoader")?.call1((&name, path.as_os_str()))?;
    let with_loader = PyDict::new(py);
    with_loader.set_item("loader", &loader)?;
    let util = py.import("importlib.util")?;
    let spec = util.call_method("spec_from_file_location", (&name, path.as_os_str()), Some(&with_loader))?;
    let module = util.call_method1("module_from_spec", (spec,))?.cast_into::<PyModule>()?;
    // Not `loader.exec_module`, which keeps the compiled code where that of a module of the same stem belongs: app.wsgi and app.py share one.
    let code = loader.call_method1("source_to_code", (PyBytes::new(py, source), path.as_os_str()))?;
    sys_modules.set_item(&name, &module)?;
    let ran = py.import("builtins")?.call_method1("exec", (code, module.dict()));
    if let Err(error) = ran {
        sys_modules.del_item(&name)?;
        return Err(error);
    }
    // A module may replace itself.
    Ok(sys_modules.get_item(&name)?.unwrap_or_else(|| module.into_any()))
}

fn import_failed(py: Python<'_>, target: &str, name: &str, error: &PyErr) -> ImportError {
    // A module that is missing is another mistake than one that is there and imports a missing one.
    let missing = missing_module(py, error).filter(|missing| name == missing || name.starts_with(&format!("{missing}.")));
    match missing {
        Some(_) if name.ends_with(".py") => ImportError::Malformed { target: target.to_owned(), reason: names_a_file(name) },
        Some(missing) => ImportError::NoModule { target: target.to_owned(), missing, searched: searched(py) },
        None => raised(py, target, error, searched_hint(py, error)),
    }
}

fn raised(py: Python<'_>, target: &str, error: &PyErr, hint: Option<String>) -> ImportError {
    let traceback = traceback(py, error);
    if error.is_instance_of::<PySystemExit>(py) {
        let code = error.value(py).getattr("code").ok().filter(|code| !code.is_none()).and_then(|code| Some(code.str().ok()?.to_string()));
        return ImportError::Exited { target: target.to_owned(), code, traceback };
    }
    ImportError::Raised { target: target.to_owned(), exception: summary(py, error), traceback, hint }
}

/// The name of the module that a `ModuleNotFoundError` misses.
fn missing_module(py: Python<'_>, error: &PyErr) -> Option<String> {
    if !error.is_instance_of::<PyModuleNotFoundError>(py) {
        return None;
    }
    error.value(py).getattr("name").ok()?.extract().ok()
}

/// For an application that misses a module: most often, the virtualenv is not the one that was meant.
fn searched_hint(py: Python<'_>, error: &PyErr) -> Option<String> {
    missing_module(py, error).map(|_| format!(" (searched: {})", list(&searched(py))))
}

/// For a file that imports its neighbour, which works when it is run as a program.
fn neighbour_hint(py: Python<'_>, file: &Path, error: &PyErr) -> Option<String> {
    let missing = missing_module(py, error)?;
    let (folder, top) = (file.parent()?, missing.split('.').next()?);
    let there = folder.join(top).is_dir() || folder.join(format!("{top}.py")).is_file();
    there.then(|| format!(": {top:?} lies beside the file, in a folder that is not searched: add {folder:?} to the Python path"))
}

/// `sys.path` without the standard library's own entries, in which nobody expects an application.
fn searched(py: Python<'_>) -> Vec<PathBuf> {
    let entries = || -> PyResult<Vec<OsString>> { py.import("sys")?.getattr("path")?.extract() };
    let standard = || -> PyResult<OsString> {
        let os = py.import("os")?.getattr("__file__")?;
        os.extract()
    };
    let standard = standard().map(PathBuf::from).ok().and_then(|file| Some(file.parent()?.to_owned()));
    let is_standard = |entry: &Path| {
        let zip = entry.extension().is_some_and(|extension| extension == "zip") && !entry.exists();
        zip || standard.as_deref().is_some_and(|standard| entry == standard || entry == standard.join("lib-dynload"))
    };
    entries().unwrap_or_default().into_iter().map(PathBuf::from).filter(|entry| !is_standard(entry)).collect()
}

/// The names of callables in a module that look like an application: those with a usual name first, then instances and functions of the
/// module's own that could be called with `environ` and `start_response`.
fn likely_applications(module: &Bound<'_, PyAny>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in USUAL_NAMES {
        if module.getattr(*name).is_ok_and(|object| object.is_callable()) {
            names.push(if FACTORY_NAMES.contains(name) { format!("{name}()") } else { (*name).to_owned() });
        }
    }
    let own = module.getattr("__name__").ok();
    let attributes = module.getattr("__dict__").ok().and_then(|dict| dict.cast_into::<PyDict>().ok());
    for (name, object) in attributes.iter().flat_map(|dict| dict.iter()) {
        let Ok(name) = name.extract::<String>() else { continue };
        let known = name.starts_with('_') || names.iter().any(|other| other.trim_end_matches("()") == name);
        if !known && object.is_callable() && could_be_application(&object, own.as_ref()) {
            names.push(name);
        }
    }
    names.truncate(5);
    names
}

fn could_be_application(object: &Bound<'_, PyAny>, own: Option<&Bound<'_, PyAny>>) -> bool {
    match object.getattr("__code__") {
        // A function: of this module and not imported, and for two arguments.
        Ok(code) => {
            let here = object.getattr("__module__").is_ok_and(|module| own.is_some_and(|own| module.eq(own).unwrap_or(false)));
            here && code.getattr("co_argcount").and_then(|count| count.extract::<usize>()).is_ok_and(|count| count == 2)
        }
        // An instance whose class is written in Python. Classes, modules' builtins and the like are not.
        Err(_) => {
            !object.is_instance_of::<PyType>()
                && object.get_type().getattr("__call__").is_ok_and(|call| call.hasattr("__code__").unwrap_or(false))
        }
    }
}

/// Whether calling the object gives a coroutine: it is `async def`, or an instance of a class whose `__call__` is.
fn is_async(object: &Bound<'_, PyAny>) -> bool {
    let code = object.getattr("__code__").or_else(|_| object.get_type().getattr("__call__")?.getattr("__code__"));
    code.and_then(|code| code.getattr("co_flags")?.extract::<u32>()).is_ok_and(|flags| flags & CO_COROUTINE != 0)
}

fn not_a_module_name(name: &str) -> Option<String> {
    if name.split('.').all(is_identifier) {
        return None;
    }
    if name.contains('/') {
        return Some(names_a_file(name));
    }
    Some(format!("{name:?} is not the name of a module: expected MODULE or MODULE:CALLABLE, such as mysite.wsgi:application"))
}

fn names_a_file(name: &str) -> String {
    format!("{name:?} is a file, expected the name of a module such as mysite.wsgi")
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && !text.starts_with(|first: char| first.is_ascii_digit()) && text.chars().all(|c| c == '_' || c.is_alphanumeric())
}

fn type_name(object: &Bound<'_, PyAny>) -> String {
    object.get_type().qualname().map_or_else(|_| "object".to_owned(), |name| name.to_string())
}

fn article(noun: &str) -> String {
    let article = if noun.starts_with(|first: char| "aeiouAEIOU".contains(first)) { "an" } else { "a" };
    if noun == "NoneType" { "None".to_owned() } else { format!("{article} {noun}") }
}

fn did_you_mean(candidates: &[String]) -> String {
    match candidates {
        [] => String::new(),
        names => format!(": did you mean {}?", names.join(", ")),
    }
}

fn list(paths: &[PathBuf]) -> String {
    let mut text = String::new();
    for (index, path) in paths.iter().enumerate() {
        let _ = write!(text, "{}{}", if index > 0 { ", " } else { "" }, path.display());
    }
    if text.is_empty() { "nothing but the standard library".to_owned() } else { text }
}

const DEFAULT_CALLABLE: &str = "application";

/// What applications are usually called.
const USUAL_NAMES: &[&str] =
    &["application", "app", "wsgi_app", "wsgi", "handler", "api", "server", "create_app", "make_app", "get_wsgi_application"];

/// Those of the usual names that are called to get the application.
const FACTORY_NAMES: &[&str] = &["create_app", "make_app", "get_wsgi_application"];

/// `inspect.CO_COROUTINE`.
const CO_COROUTINE: u32 = 0x80;
