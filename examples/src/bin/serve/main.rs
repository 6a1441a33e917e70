//! The whole server: Python WSGI applications over HTTP, HTTPS, uwsgi, FastCGI and SCGI, set up from the command line.
//!
//! ```text
//! cargo serve                                        a page that says that it works
//! cargo serve -- --module mysite.wsgi --chdir DIR    a Django project
//! cargo serve -- uwsgi.ini                           what uWSGI's file says
//! cargo serve -- --help                              the options
//! ```

mod applications;
mod autoreload;
mod check;
mod command_line;
mod configuration;
mod descriptors;
#[cfg(test)]
mod document;
mod environment;
mod figures;
mod grammar;
mod handlers;
mod help;
mod listening;
mod nearest;
mod options;
mod port_owner;
mod processes;
mod replacement;
mod requests;
mod seeing;
mod service;
mod signals;
mod static_files;
mod uwsgi;
mod welcome;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use pyo3::Python;
use wsgi_core::files::StaticFiles;
use wsgi_core::processes::{Role, Worker};
use wsgi_core::server::Server;
use wsgi_core::wsgi::{ImportError, Interpreter};

use configuration::{Configuration, Notice};
use grammar::World;
use options::{Action, Settings, Target};
use replacement::Replacement;
use seeing::Seeing;
use signals::Signals;

fn main() -> ExitCode {
    // First of all: a process that a master has started finds something else at its standard input.
    let role = Role::of_this_process();
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let failure = match configuration::load(arguments.iter().cloned(), World::here()) {
        Ok(configuration) => match configuration.settings.action {
            Action::Help => return print(&help::short()),
            Action::HelpAll => return print(&help::all()),
            Action::Version => return print(&format!("serve {VERSION} (Python {})\n", python_version())),
            Action::Check => {
                let (report, starts) = check::report(&configuration);
                print(&report);
                return if starts { ExitCode::SUCCESS } else { ExitCode::FAILURE };
            }
            Action::Serve => match role.map_err(Failure::set_up).and_then(|role| run(&configuration, role)) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(failure) => failure,
            },
        },
        // That nothing can be said of the options is an answer too.
        Err(fault) if arguments.iter().any(|argument| argument.as_encoded_bytes().starts_with(b"--check")) => {
            Failure::SetUp(fault.to_string())
        }
        Err(fault) => Failure::Usage(fault.to_string()),
    };
    tell(&failure);
    ExitCode::from(match failure {
        Failure::Usage(_) => 2,
        Failure::SetUp(_) | Failure::Import(_) => 1,
        Failure::Said(code) => code,
        Failure::Stuck => replacement::STATUS,
    })
}

/// Why there is nothing to serve, or nowhere.
enum Failure {
    /// The options, or what they name, say what cannot be done.
    Usage(String),
    /// The system or the files do not allow it.
    SetUp(String),
    /// There is no application.
    Import(ImportError),
    /// Another process of this server has said it, and ended with this code.
    Said(u8),
    /// A request did not end. The log has said so.
    Stuck,
}

impl Failure {
    fn set_up(error: impl fmt::Display) -> Failure {
        Failure::SetUp(error.to_string())
    }
}

fn tell(failure: &Failure) {
    match failure {
        Failure::Usage(sentence) | Failure::SetUp(sentence) => say(&format!("serve: {sentence}\n")),
        Failure::Said(_) | Failure::Stuck => {}
        Failure::Import(error) => say(&format!("{}serve: {error}\n", error.traceback().unwrap_or_default())),
    }
}

/// Writes to standard error, in one piece, so that nothing an application prints comes in between. Nobody is left to tell if it fails.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Does what this process is to do, until a signal or its master ends it.
///
/// A worker has read the same options as its master, from the same arguments, variables and files. What is to be said about them has been said.
fn run(configuration: &Configuration, role: Role) -> Result<(), Failure> {
    if let Some(sentence) = configuration.refusal() {
        return Err(Failure::Usage(sentence));
    }
    let settings = &configuration.settings;
    let targets = settings.targets().map_err(Failure::Usage)?;
    let files = settings.static_files.open(&settings.chdir).map_err(Failure::Usage)?;
    let seeing = settings.seeing.located(&settings.chdir)?;
    let site = Site { targets, files, seeing };
    start_logging(settings);
    if !matches!(role, Role::Worker(_)) {
        let identity = if matches!(role, Role::First) { settings.processes.identity()? } else { None };
        site.seeing.redirect(identity.as_ref())?;
        for notice in configuration.notices() {
            match notice {
                Notice::Ignored(text) => tracing::info!("{text}"),
                Notice::Warning(text) => tracing::warn!("{text}"),
            }
        }
    }
    match role {
        Role::Worker(worker) => serve(settings, site, Some(worker)),
        Role::Successor(predecessor) => processes::supervise(settings, &site, Some(predecessor)),
        Role::First if settings.processes.need_a_master() => processes::supervise(settings, &site, None),
        Role::First => serve(settings, site, None),
    }
}

/// What is to be served, as far as it is known without Python.
struct Site {
    targets: Vec<(String, Target)>,
    files: Option<StaticFiles>,
    /// What is told of it.
    seeing: seeing::Options,
}

impl Site {
    /// Each part of it in a line.
    fn lines(&self, settings: &Settings) -> Vec<String> {
        let mut lines = applications::describe(&self.targets, settings);
        lines.extend(settings.static_files.lines());
        lines
    }
}

/// Serves, alone or as one of several processes.
///
/// The order is that of the mistakes that are quickest found: the options, Python's home, the addresses, and only then the application, which
/// may take seconds to import.
fn serve(settings: &Settings, site: Site, worker: Option<Worker>) -> Result<(), Failure> {
    let served = site.lines(settings);
    settings.processes.name_this(&worker.as_ref().map_or("alone".to_owned(), |worker| format!("w{}", worker.number())));

    let seeing = Seeing::begin(&site.seeing, worker.as_ref())?;
    let mut builder = Interpreter::builder().chdir(&settings.chdir);
    if let Some(home) = &settings.home {
        builder = builder.home(home);
    }
    for path in &settings.python_path {
        builder = builder.python_path(path);
    }
    if !settings.arguments.is_empty() {
        builder = builder.argv(std::iter::once("serve").chain(settings.arguments.iter().map(String::as_str)));
    }
    let interpreter = builder.start().map_err(Failure::set_up)?;
    seeing.python()?;
    environment::set(&settings.environment).map_err(Failure::SetUp)?;

    let (bound, _pid_file) = match &worker {
        Some(worker) => (listening::adopt(settings, worker.sockets())?, None),
        None => (listening::bind(settings)?, settings.processes.settle(None)?),
    };
    let addresses: Vec<String> = bound.iter().map(listening::Bound::url).collect();
    let applications = applications::load(&interpreter, site.targets, settings, &seeing)?;
    let replacement = Replacement::default();
    let handler = handlers::compose(settings, applications, site.files, &replacement, &seeing)?;

    descriptors::allow(settings.max_connections);
    // After the import: an application that installs handlers of its own must not keep the server from ending.
    let signals = Signals::catch().map_err(|error| Failure::SetUp(format!("cannot catch signals: {error}")))?;

    let server = match &worker {
        // Also where there is but one: the next one is there before it goes.
        Some(worker) => Server::new(worker.limited(handler)).multiprocess(true).give_way(worker.shares()),
        None => Server::new(handler),
    };
    let server = seeing.of(server).threads(settings.threads).max_connections(settings.max_connections).timeouts(settings.timeouts.clone());
    let running = listening::listen(server, bound).start().map_err(|error| Failure::SetUp(format!("cannot start threads: {error}")))?;

    replacement.of(running.handle(), worker.clone());
    seeing.running(running.handle(), worker.as_ref());
    let is_worker = worker.is_some();
    let urgency = match worker {
        Some(worker) => {
            // One of them is enough. Before anybody can know that it serves, so that no change of theirs is missed.
            if let Some(every) = settings.processes.autoreload.filter(|_| worker.number() == 1) {
                autoreload::watch(worker.clone(), every);
            }
            worker.ready().map_err(|error| Failure::SetUp(format!("the master has gone: {error}")))?;
            signals.obey(worker, running.handle(), replacement.clone(), seeing.reopen())
        }
        None => {
            announce(&interpreter, &served, settings, &addresses);
            signals.end(running.handle(), settings.shutdown_delay, service::ready(), seeing.reopen())
        }
    };
    running.wait();
    if replacement.python_is_blocked() {
        // Whatever is dropped on the way out of here could wait for Python.
        std::process::exit(replacement::STATUS.into());
    }
    let patience = if urgency.is_urgent() { Duration::ZERO } else { settings.timeouts.shutdown };
    let unfinished = interpreter.stop(patience);
    if !unfinished.is_empty() {
        tracing::warn!("leaving without Python's threads that did not end: {}", unfinished.join(", "));
    }
    seeing.end();
    // A master has started another process before it ended this one.
    if replacement.due() && !is_worker { Err(Failure::Stuck) } else { Ok(()) }
}

/// What the server has found, in the words of the options.
fn announce(interpreter: &Interpreter, served: &[String], settings: &Settings, addresses: &[String]) {
    let mut text = format!("serve {VERSION}, Python {} in {}\n", interpreter.version(), interpreter.prefix().display());
    for line in served {
        text += &format!("{line}\n");
    }
    text += &format!("{}\n", processes::counted(settings.threads, "thread", "s"));
    for address in addresses {
        text += &format!("listening on {address}\n");
    }
    say(&text);
}

fn start_logging(settings: &Settings) {
    // Without a word about what cannot be written: it would go the same way, and panic if nobody reads standard error any more.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    // Nothing to do if it fails, which it does only where logging was set up before.
    let _ =
        tracing::subscriber::set_global_default(log.with_max_level(settings.log_level).with_target(false).with_writer(io::stderr).finish());
}

fn python_version() -> &'static str {
    Python::version_str().split_whitespace().next().unwrap_or_default()
}

/// Prints to standard output, whose reader may have had enough (`serve --help | head`).
fn print(text: &str) -> ExitCode {
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
