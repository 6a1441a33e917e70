//! The Python interpreter of this process: started with the right virtualenv and paths, asked for applications, and ended in order.
//!
//! ```text
//! Interpreter::builder() ── home, python_path, chdir, argv ──▶ start()    what is wrong is a StartError, never the end of the process
//!                                                                │
//!                              load("mysite.wsgi") ◀─────────────┤        an Application, or an ImportError
//!                                                                ▼
//!                                                             stop(..)    threads, atexit, output
//! ```
//!
//! **In scope:** everything between `main` and the first request, and between the last request and the end.
//! **Out of scope:** what an application is called with; see [`Application`].

mod home;
mod start;
mod stop;

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use pyo3::prelude::*;

use super::Application;
use super::exception;
use super::import::{self, ImportError};
pub use home::Home;
use home::{Environment, Linked};

/// Python, running in this process.
///
/// # Python's main thread
/// The thread that calls [`InterpreterBuilder::start`] becomes Python's main thread, and should live as long as the process: best, it is the
/// one that runs `main`. Call [`load`](Self::load) on it too: `signal.signal` works on no other, and applications call it while they are
/// imported. Later, handlers that Python code has installed run only while the main thread runs Python, which during service it does not;
/// they run in [`stop`](Self::stop) at the latest.
///
/// # Ending
/// Dropping this value does nothing, and Python is never finalised: threads of this process may be attached to it for as long as they live.
/// Call [`stop`](Self::stop) so that what Python programs expect at their end happens.
///
/// ```no_run
/// use std::time::Duration;
/// use wsgi_core::wsgi::Interpreter;
///
/// let interpreter = Interpreter::builder().home("/srv/site/venv").chdir("/srv/site").start()?;
/// let application = interpreter.load("mysite.wsgi")?;
/// // ... serve it ...
/// interpreter.stop(Duration::from_secs(10));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Interpreter {
    /// Whether Python was started here, and so is ours to end.
    ours: bool,
    stopped: AtomicBool,
    about: About,
}

/// What Python says about itself.
#[derive(Debug)]
struct About {
    version: String,
    executable: Option<PathBuf>,
    prefix: PathBuf,
    base_prefix: PathBuf,
}

impl Interpreter {
    /// What Python shall be started with.
    pub fn builder() -> InterpreterBuilder {
        InterpreterBuilder::default()
    }

    /// Imports an application: `MODULE`, `MODULE:CALLABLE` or `MODULE:FACTORY()`. The callable is `application` unless said otherwise, and
    /// may be dotted (`mysite.web:site.application`).
    ///
    /// Runs the module on the calling thread, which should be Python's main thread.
    ///
    /// # Errors
    /// Text that has not this form; no such module; no such attribute, or one that cannot be called; whatever the module raises.
    pub fn load(&self, target: &str) -> Result<Application, ImportError> {
        Python::attach(|py| import::module(py, target)).map(Application::new)
    }

    /// Runs a Python file, of any name, and takes its `callable` (a name, a dotted name, or `factory()`) as application.
    ///
    /// The file becomes a module of its own, once, in `sys.modules`: its `__name__` is made of its path (`/srv/site/app.py` becomes
    /// `wsgi_file__srv_site_app_py`), so that two files called `app.py` do not meet. As with uWSGI, its folder is **not** searched for other
    /// modules: name it with [`python_path`](InterpreterBuilder::python_path) or [`chdir`](InterpreterBuilder::chdir) if the file imports its neighbours.
    ///
    /// Runs the file on the calling thread, which should be Python's main thread.
    ///
    /// # Errors
    /// A file that cannot be read; no such attribute, or one that cannot be called; whatever the file raises.
    pub fn load_file(&self, path: impl AsRef<Path>, callable: &str) -> Result<Application, ImportError> {
        Python::attach(|py| import::file(py, path.as_ref(), callable)).map(Application::new)
    }

    /// Ends Python's part of the program in order, as the end of a Python program would: runs the handlers of signals that have come, waits
    /// for its threads (`threading._shutdown`), calls what was registered with `atexit`, and flushes standard output and error. No request
    /// may run any more. Does nothing when called again, or when this program had started Python by other means: then it is its to end.
    ///
    /// Threads that are not daemons get `patience` to end; `atexit` callbacks take the time that they take. Blocks that long. Call it on the
    /// thread that called [`InterpreterBuilder::start`], as some callbacks rely on it.
    ///
    /// Gives the names of the threads that did not end in time. They go on until the process ends.
    pub fn stop(&self, patience: std::time::Duration) -> Vec<String> {
        if !self.ours || self.stopped.swap(true, std::sync::atomic::Ordering::AcqRel) {
            return Vec::new();
        }
        stop::stop(patience)
    }

    /// Python's version, such as `3.11.7`.
    ///
    /// ```
    /// let interpreter = wsgi_core::wsgi::Interpreter::builder().start()?;
    /// assert!(interpreter.version().starts_with("3."));
    /// # Ok::<(), wsgi_core::wsgi::StartError>(())
    /// ```
    pub fn version(&self) -> &str {
        &self.about.version
    }

    /// Python's own executable, `sys.executable`: what it starts when an application starts processes of Python.
    pub fn executable(&self) -> Option<&Path> {
        self.about.executable.as_deref()
    }

    /// Where packages are found, `sys.prefix`: the virtualenv if there is one.
    pub fn prefix(&self) -> &Path {
        &self.about.prefix
    }

    /// Where the standard library is found, `sys.base_prefix`: the installation behind a virtualenv.
    pub fn base_prefix(&self) -> &Path {
        &self.about.base_prefix
    }
}

/// What Python is started with. Made by [`Interpreter::builder`].
#[derive(Clone, Debug, Default)]
pub struct InterpreterBuilder {
    home: Option<PathBuf>,
    paths: Vec<PathBuf>,
    directory: Option<PathBuf>,
    argv: Option<Vec<OsString>>,
}

impl InterpreterBuilder {
    /// The virtualenv to use, or the prefix of a Python installation.
    ///
    /// Without it, `PYTHONHOME`, then an activated virtualenv (`VIRTUAL_ENV`), then a virtualenv whose `bin` is first with a `python3` on the
    /// `PATH`, and else the installation that the linked libpython belongs to.
    #[must_use]
    pub fn home(mut self, path: impl Into<PathBuf>) -> InterpreterBuilder {
        self.home = Some(path.into());
        self
    }

    /// A folder or a zip file to search for modules before all others; of several, the first is searched first.
    #[must_use]
    pub fn python_path(mut self, path: impl Into<PathBuf>) -> InterpreterBuilder {
        self.paths.push(path.into());
        self
    }

    /// The working directory to change to before anything else, so that all other relative paths count from there. It is searched for modules
    /// right after those of [`python_path`](Self::python_path). Without it, the working directory stays, and is not searched.
    #[must_use]
    pub fn chdir(mut self, path: impl Into<PathBuf>) -> InterpreterBuilder {
        self.directory = Some(path.into());
        self
    }

    /// `sys.argv`; the first is the program's name. By default this program's own name alone, since its options are not the application's.
    #[must_use]
    pub fn argv<A: Into<OsString>>(mut self, argv: impl IntoIterator<Item = A>) -> InterpreterBuilder {
        self.argv = Some(argv.into_iter().map(Into::into).collect());
        self
    }

    /// Starts Python in this process. The calling thread becomes Python's main thread; it is not attached afterwards.
    ///
    /// Signals stay as they are, `KeyboardInterrupt` included. In the C and POSIX locales, file names and streams are UTF-8, as with the
    /// program `python`. `sys.stdout` writes out every line at once, also into a pipe or file, since a server runs for weeks: `print` shows
    /// up when it is called. (Python's own choice would be blocks of 8 KiB. `PYTHONUNBUFFERED` still works.)
    ///
    /// If Python runs in this process already, it is left as it is, `argv` included, and only the directory and the paths are applied.
    ///
    /// Modules written in Rust are importable if [`pyo3::append_to_inittab!`] names them before this is called.
    ///
    /// Call it before other threads run: Python may set `LC_CTYPE` in the environment, which no other thread may be reading.
    ///
    /// # Errors
    /// A home, path or directory that does not exist, or a home that does not fit the linked libpython: all this is found before Python is
    /// started, and `start` may be tried again. Also what CPython itself finds wrong with its environment; then it cannot be tried again.
    pub fn start(self) -> Result<Interpreter, StartError> {
        static STARTING: Mutex<Outcome> = Mutex::new(Outcome::NotTried);
        let mut outcome = STARTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Outcome::Failed(reason) = &*outcome {
            return Err(StartError::Failed { reason: reason.clone() });
        }
        let running = start::is_initialised();
        self.change_directory()?;
        let paths = self.resolve_paths()?;
        if !running {
            let configured = self.configure()?;
            let argv = self.argv.clone().unwrap_or_else(|| env::args_os().take(1).collect());
            let configuration =
                start::Configuration { program: configured.program.as_deref(), prefix: configured.prefix.as_deref(), argv: &argv };
            if let Err(reason) = start::start(&configuration) {
                *outcome = Outcome::Failed(reason.clone());
                return Err(StartError::Failed { reason });
            }
        }
        Python::attach(|py| {
            let about = about(py).map_err(|error| unusable(py, &error))?;
            if let Some(home) = self.home.as_deref().filter(|home| running && !home::same(home, &about.prefix)) {
                return Err(StartError::AlreadyRunning { asked: home.to_owned(), running: about.prefix });
            }
            prepare(py, &paths, !running).map_err(|error| unusable(py, &error))?;
            Ok(Interpreter { ours: !running, stopped: AtomicBool::new(false), about })
        })
    }

    fn change_directory(&self) -> Result<(), StartError> {
        let Some(path) = &self.directory else { return Ok(()) };
        env::set_current_dir(path).map_err(|source| StartError::Directory { path: path.clone(), source })
    }

    /// What goes to the front of `sys.path`, absolute: an application may change the working directory.
    fn resolve_paths(&self) -> Result<Vec<PathBuf>, StartError> {
        let working = || env::current_dir().map_err(|source| StartError::Directory { path: ".".into(), source });
        let mut paths = Vec::new();
        for path in &self.paths {
            let path = if path.is_absolute() { path.clone() } else { working()?.join(path) };
            match path.metadata() {
                Ok(_) => paths.push(path),
                Err(source) => return Err(StartError::PythonPath { path, source }),
            }
        }
        if self.directory.is_some() {
            paths.push(working()?);
        }
        Ok(paths)
    }

    fn configure(&self) -> Result<home::Layout, StartError> {
        let home = match &self.home {
            Some(home) => Some(std::path::absolute(home).map_err(|source| StartError::Directory { path: ".".into(), source })?),
            None => None,
        };
        home::find(home.as_deref(), &Environment::of_this_process(), &Linked::parse(start::version()), start::library().as_deref())
    }
}

/// What became of this process's one attempt to start Python.
enum Outcome {
    NotTried,
    Failed(String),
}

/// Why Python was not started.
///
/// `Debug` gives the sentence that `Display` gives, since that is how errors of `main` are printed.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The home is not there.
    #[error("{home} does not exist")]
    NoHome {
        /// The home that was asked for.
        home: Home,
    },
    /// The home is a file, perhaps a virtualenv's `bin/python`.
    #[error("{home} is not a directory{}", did_you_mean(meant.as_deref()))]
    NotADirectory {
        /// The home that was asked for.
        home: Home,
        /// The virtualenv that the file lies in.
        meant: Option<PathBuf>,
    },
    /// The home, or a file in it that Python needs, cannot be read.
    #[error("{home} cannot be used: {path:?}: {source}")]
    Unreadable {
        /// The home that was asked for.
        home: Home,
        /// The file that cannot be read.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The home is a directory with something else in it.
    #[error("{home} is neither a virtualenv (no pyvenv.cfg) nor a Python installation (no lib/python{name}){}", did_you_mean(meant.as_deref()))]
    NotAHome {
        /// The home that was asked for.
        home: Home,
        /// The version of the linked Python, as folders are named after it.
        name: String,
        /// The virtualenv that the directory lies in.
        meant: Option<PathBuf>,
    },
    /// The home belongs to a Python of another version than the one that is linked.
    #[error(
        "{home} is of Python {found}, but this program is linked with Python {linked}: use one of that version, or build with the other"
    )]
    OtherVersion {
        /// The home that was asked for.
        home: Home,
        /// The version that it is made for.
        found: String,
        /// The version of the linked libpython.
        linked: String,
    },
    /// The Python that a virtualenv was made with was removed, or another version has taken its place.
    #[error("{home} is broken: it was made with the Python {name} in {base:?}, which is gone: make it anew")]
    BaseGone {
        /// The home that was asked for.
        home: Home,
        /// Where its Python was.
        base: PathBuf,
        /// The version of the linked Python, as folders are named after it.
        name: String,
    },
    /// A virtualenv lacks something else.
    #[error("{home} is broken: {reason}: make it anew")]
    BrokenVirtualenv {
        /// The home that was asked for.
        home: Home,
        /// What it lacks.
        reason: String,
    },
    /// The environment would make Python ignore the virtualenv.
    #[error(
        "{home} cannot be used while the environment variable PYTHONHOME is set (to {python_home:?}), which overrides it: unset PYTHONHOME"
    )]
    Overridden {
        /// The virtualenv.
        home: Home,
        /// The value of `PYTHONHOME`.
        python_home: PathBuf,
    },
    /// The working directory cannot be changed to.
    #[error("cannot change to the directory {path:?}: {source}")]
    Directory {
        /// The directory that was asked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path to search for modules is not there.
    #[error("cannot search {path:?} for Python modules: {source}")]
    PythonPath {
        /// The path that was asked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Python runs in this process already, with another home.
    #[error("Python already runs in this process with the prefix {running:?}: it cannot be given the home {asked:?}")]
    AlreadyRunning {
        /// The home that was asked for.
        asked: PathBuf,
        /// `sys.prefix` of the Python that runs.
        running: PathBuf,
    },
    /// CPython gave up while it started. It has said more on standard error.
    #[error("Python did not start: {reason}")]
    Failed {
        /// CPython's reason.
        reason: String,
    },
    /// Python runs, but its own modules do not work.
    #[error("Python started, but cannot be used: {reason}")]
    Unusable {
        /// The exception.
        reason: String,
    },
}

impl fmt::Debug for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn did_you_mean(meant: Option<&Path>) -> String {
    meant.map(|path| format!(": did you mean {path:?}?")).unwrap_or_default()
}

fn unusable(py: Python<'_>, error: &PyErr) -> StartError {
    StartError::Unusable { reason: exception::summary(py, error) }
}

fn about(py: Python<'_>) -> PyResult<About> {
    let sys = py.import("sys")?;
    let path = |name: &str| sys.getattr(name)?.extract::<OsString>().map(PathBuf::from);
    let version = py.version_info();
    Ok(About {
        version: format!("{}.{}.{}{}", version.major, version.minor, version.patch, version.suffix.unwrap_or_default()),
        executable: sys.getattr("executable")?.extract::<Option<OsString>>()?.filter(|path| !path.is_empty()).map(PathBuf::from),
        prefix: path("prefix")?,
        base_prefix: path("base_prefix")?,
    })
}

/// What is done once Python runs.
fn prepare(py: Python<'_>, paths: &[PathBuf], ours: bool) -> PyResult<()> {
    let sys = py.import("sys")?;
    let search = sys.getattr("path")?;
    for path in paths.iter().rev() {
        search.call_method1("insert", (0, path.as_os_str()))?;
    }
    if ours {
        // Until Python 3.12, the thread that imports it first is the main thread to `threading`.
        py.import("threading")?;
        leave_sigint_alone(py)?;
        let output = sys.getattr("stdout")?;
        // It is None if the descriptor is closed.
        if !output.is_none() {
            let line_buffering = pyo3::types::PyDict::new(py);
            line_buffering.set_item("line_buffering", true)?;
            output.call_method("reconfigure", (), Some(&line_buffering))?;
        }
    }
    Ok(())
}

/// Undoes what the first import of `_signal` does even in a Python that shall install no handlers: it takes over a SIGINT that nobody handles,
/// and Ctrl-C would do nothing, since Python's handlers only run while the main thread runs Python.
fn leave_sigint_alone(py: Python<'_>) -> PyResult<()> {
    let signal = py.import("_signal")?;
    let sigint = signal.getattr("SIGINT")?;
    if signal.call_method1("getsignal", (&sigint,))?.is(&signal.getattr("default_int_handler")?) {
        signal.call_method1("signal", (&sigint, signal.getattr("SIG_DFL")?))?;
    }
    Ok(())
}
