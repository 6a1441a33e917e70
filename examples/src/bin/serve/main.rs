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
mod collector;
mod command_line;
mod configuration;
mod descriptors;
#[cfg(test)]
mod document;
mod environment;
mod figures;
mod grammar;
mod gunicorn;
mod handlers;
mod help;
mod listening;
mod log;
mod logs;
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
mod threads;
mod uwsgi;
mod welcome;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use pyo3::Python;
use wsgi_core::files::StaticFiles;
use wsgi_core::processes::{Role, Worker};
use wsgi_core::server::Server;
use wsgi_core::wsgi::{ImportError, Interpreter, StartError};

use collector::Collector;
use configuration::{Configuration, Notice};
use grammar::World;
use log::{Log, say};
use options::{Action, Settings, Target};
use replacement::Replacement;
use seeing::Seeing;
use signals::Signals;

fn main() -> ExitCode {
    // Whoever writes too much gets an error. If that cannot be had, the system ends the process, and says why.
    let _ = signals::survive_file_size_limit();
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
                Err(failure) => failure.placed(&configuration),
            },
        },
        // That nothing can be said of the options is an answer too.
        Err(fault) if arguments.iter().any(|argument| argument == "--check" || argument.as_encoded_bytes().starts_with(b"--check=")) => {
            Failure::SetUp(fault.to_string())
        }
        Err(fault) => Failure::Usage(fault.to_string()),
    };
    ExitCode::from(told(&failure))
}

/// Why there is nothing to serve, or nowhere.
enum Failure {
    /// The options, or what they name, say what cannot be done.
    Usage(String),
    /// The same, by an option whose place is still to be said.
    Mistake(Mistake),
    /// The system or the files do not allow it.
    SetUp(String),
    /// There is no application. With what may help, or nothing.
    Import(ImportError, &'static str),
    /// Another process of this server has said it, and ended with this code.
    Said(u8),
    /// A request did not end. The log has said so.
    Stuck,
}

/// What an option says that cannot be done on this machine.
#[derive(Debug)]
struct Mistake {
    /// One of its names.
    option: &'static str,
    /// A part of its value, by which it is told from others of that name.
    part: String,
    sentence: String,
}

impl Failure {
    fn mistake(option: &'static str, part: impl Into<String>, error: impl fmt::Display) -> Failure {
        Failure::Mistake(Mistake { option, part: part.into(), sentence: error.to_string() })
    }

    fn set_up(error: impl fmt::Display) -> Failure {
        Failure::SetUp(error.to_string())
    }

    /// The same, with the place of the option that is to blame.
    fn placed(self, configuration: &Configuration) -> Failure {
        match self {
            Failure::Mistake(mistake) => Failure::Usage(configuration.placed(&mistake)),
            other => other,
        }
    }
}

impl From<StartError> for Failure {
    /// Says which option is to blame, if it is one of those.
    fn from(error: StartError) -> Failure {
        match &error {
            StartError::Directory { .. } => Failure::mistake("chdir", "", &error),
            StartError::PythonPath { path, .. } => {
                // It is absolute by now, as it need not have been written.
                let name = path.file_name().unwrap_or_default();
                Failure::mistake("pythonpath", name.to_string_lossy(), &error)
            }
            StartError::Failed { .. } | StartError::Unusable { .. } => Failure::set_up(&error),
            // About a home, which the environment can name too: then no option is to blame.
            _ => Failure::mistake("home", "", &error),
        }
    }
}

/// Says it, unless that has been done, and gives the exit code.
fn told(failure: &Failure) -> u8 {
    match failure {
        Failure::Usage(sentence) | Failure::SetUp(sentence) | Failure::Mistake(Mistake { sentence, .. }) => {
            say(&format!("serve: {sentence}\n"))
        }
        Failure::Said(_) | Failure::Stuck => {}
        Failure::Import(error, hint) => say(&format!("{}serve: {error}{hint}\n", error.traceback().unwrap_or_default())),
    }
    match failure {
        Failure::Usage(_) | Failure::Mistake(_) => 2,
        Failure::SetUp(_) | Failure::Import(..) => 1,
        Failure::Said(code) => *code,
        Failure::Stuck => replacement::STATUS,
    }
}

/// Does what this process is to do, until a signal or its master ends it.
///
/// A worker has read the same options as its master, from the same arguments, variables and files. What is to be said about them has been said.
fn run(configuration: &Configuration, role: Role) -> Result<(), Failure> {
    if let Some(sentence) = configuration.refusal() {
        return Err(Failure::Usage(sentence));
    }
    let settings = &configuration.settings;
    processes::look_for_directory(&settings.chdir)?;
    let files = settings.static_files.open(&settings.chdir)?;
    let seeing = settings.seeing.located(&settings.chdir)?;
    let logs = settings.seeing.logs.plan(&settings.chdir)?;
    let mut site = Site { targets: settings.targets(), files, seeing, logs, collector: None };
    start_logging(settings);
    if let Role::Worker(worker) = role {
        return serve(settings, &mut site, Some(worker));
    }
    let first = matches!(role, Role::First);
    if first {
        settings.processes.socket_owner()?;
        settings.processes.become_at_once()?;
    }
    let identity = if first { settings.processes.identity()? } else { None };
    site.collector = site.logs.begin(first, identity.as_ref())?.map(Arc::new);
    for notice in configuration.notices() {
        match notice {
            Notice::Ignored(text) => tracing::info!("{text}"),
            Notice::Warning(text) => tracing::warn!("{text}"),
        }
    }
    let outcome = match role {
        Role::Successor(predecessor) => processes::supervise(settings, &site, Some(predecessor)),
        _ if settings.processes.need_a_master() || processes::is_first_of_all() => processes::supervise(settings, &site, None),
        _ => serve(settings, &mut site, None),
    };
    // Also what is wrong is for where everything goes.
    let outcome = outcome.map_err(|failure| match site.collector {
        Some(_) => Failure::Said(told(&failure.placed(configuration))),
        None => failure,
    });
    site.end_log();
    outcome
}

/// What is to be served, as far as it is known without Python.
struct Site {
    targets: Vec<(String, Target)>,
    files: Option<StaticFiles>,
    /// What is told of it, and where.
    seeing: seeing::Options,
    logs: logs::Plan,
    /// In the process that hands on what is logged.
    collector: Option<Arc<Collector>>,
}

impl Site {
    /// Each part of it in a line.
    fn lines(&self, settings: &Settings) -> Vec<String> {
        let mut lines = applications::describe(&self.targets, settings);
        lines.extend(settings.static_files.lines());
        lines
    }

    /// The last that is logged.
    fn end_log(&self) {
        self.collector.iter().for_each(|collector| collector.end());
    }
}

/// Serves, alone or as one of several processes.
///
/// The order is that of the mistakes that are quickest found: the options, Python's home, the addresses, and only then the application, which
/// may take seconds to import.
fn serve(settings: &Settings, site: &mut Site, worker: Option<Worker>) -> Result<(), Failure> {
    let served = site.lines(settings);
    settings.processes.name_this(&worker.as_ref().map_or("alone".to_owned(), |worker| format!("w{}", worker.number())));

    let seeing = Seeing::begin(&site.seeing, &site.logs, worker.as_ref())?;
    let reopen = site.logs.reopen(seeing.lines(), site.collector.as_deref());
    // Before the import, which may take long, and before anybody finds this process by its PID file.
    let signals = Signals::catch(worker.is_some(), reopen.clone(), site.collector.clone())
        .map_err(|error| Failure::SetUp(format!("cannot catch signals: {}", threads::explain(&error))))?;
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
    let interpreter = builder.start()?;
    seeing.python()?;
    environment::set(&settings.environment).map_err(Failure::SetUp)?;

    let (bound, pid_files) = match &worker {
        Some(worker) => (listening::adopt(settings, worker.sockets())?, Vec::new()),
        None => (listening::bind(settings)?, settings.processes.settle(None)?),
    };
    if worker.is_none() {
        site.logs.settle(true)?;
        // Standard error may be another by now.
        seeing.lines().for_each(|lines| lines.reopen());
    }
    settings.processes.look_for_python(&interpreter)?;
    let addresses: Vec<String> = bound.iter().map(listening::Bound::url).collect();
    signals.keep((bound, pid_files));
    let applications = applications::load(&interpreter, std::mem::take(&mut site.targets), settings, &seeing)?;
    let replacement = Replacement::default();
    let handler = handlers::compose(settings, applications, site.files.take(), &replacement, &seeing)?;

    descriptors::allow(settings.max_connections);
    let mut signals = signals.hold().map_err(|error| Failure::SetUp(format!("cannot catch signals: {error}")))?;
    let (bound, _pid_files) = signals.take();

    let server = match &worker {
        // Also where there is but one: the next one is there before it goes.
        Some(worker) => Server::new(worker.limited(handler)).multiprocess(true).give_way(worker.shares()),
        None => Server::new(handler),
    };
    let server = seeing.of(server).threads(settings.threads).max_connections(settings.max_connections).timeouts(settings.timeouts.clone());
    let no_thread = |error: io::Error| Failure::SetUp(format!("cannot start threads: {}", threads::explain(&error)));
    let running = listening::listen(server, bound).start().map_err(no_thread)?;

    replacement.of(running.handle(), worker.clone());
    seeing.running(running.handle()).map_err(no_thread)?;
    let is_worker = worker.is_some();
    if !is_worker {
        site.logs.look_after(reopen.clone()).map_err(no_thread)?;
    }
    let urgency = match worker {
        Some(worker) => {
            // One of them is enough. Before anybody can know that it serves, so that no change of theirs is missed.
            if let Some(every) = settings.processes.autoreload.filter(|_| worker.number() == 1) {
                let ignored = settings.processes.autoreload_ignored.clone();
                autoreload::watch(worker.clone(), every, ignored).map_err(no_thread)?;
            }
            worker.ready().map_err(|error| Failure::SetUp(format!("the master has gone: {error}")))?;
            signals.obey(worker, running.handle(), replacement.clone(), reopen).map_err(no_thread)?
        }
        None => {
            announce(&interpreter, &served, settings, &addresses);
            signals.end(running.handle(), settings.shutdown_delay, service::ready().map_err(no_thread)?)
        }
    };
    running.wait();
    seeing.stopped();
    if replacement.python_is_blocked() {
        seeing.end();
        site.end_log();
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
    let _ = tracing::subscriber::set_global_default(log.with_max_level(settings.log_level).with_target(false).with_writer(|| Log).finish());
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
