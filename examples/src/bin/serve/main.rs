//! The whole server: Python WSGI applications over HTTP, HTTPS, uwsgi, FastCGI and SCGI, set up from the command line.
//!
//! ```text
//! cargo serve                                        a page that says that it works
//! cargo serve -- --module mysite.wsgi --chdir DIR    a Django project
//! cargo serve -- --help                              all options
//! ```

mod applications;
mod command_line;
mod descriptors;
mod help;
mod listening;
mod nearest;
mod options;
mod port_owner;
mod seeing;
mod signals;
mod welcome;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use pyo3::Python;
use wsgi_core::server::Server;
use wsgi_core::wsgi::{ImportError, Interpreter};

use options::{Action, Settings};
use seeing::Seeing;
use signals::Signals;

fn main() -> ExitCode {
    let failure = match command_line::parse(std::env::args_os().skip(1)) {
        Ok(settings) => match settings.action {
            Action::Help => return print(&help::help()),
            Action::Version => return print(&format!("serve {VERSION} (Python {})\n", python_version())),
            Action::Serve => match serve(&settings) {
                Ok(()) => return ExitCode::SUCCESS,
                Err(failure) => failure,
            },
        },
        Err(sentence) => Failure::Usage(sentence),
    };
    tell(&failure);
    ExitCode::from(match failure {
        Failure::Usage(_) => 2,
        Failure::SetUp(_) | Failure::Import(_) => 1,
    })
}

/// Why there is nothing to serve, or nowhere.
enum Failure {
    /// The command line says what cannot be done.
    Usage(String),
    /// The system or the files do not allow it.
    SetUp(String),
    /// There is no application.
    Import(ImportError),
}

impl Failure {
    fn set_up(error: impl fmt::Display) -> Failure {
        Failure::SetUp(error.to_string())
    }
}

fn tell(failure: &Failure) {
    match failure {
        Failure::Usage(sentence) | Failure::SetUp(sentence) => say(&format!("serve: {sentence}\n")),
        Failure::Import(error) => say(&format!("{}serve: {error}\n", error.traceback().unwrap_or_default())),
    }
}

/// Writes to standard error, in one piece, so that nothing an application prints comes in between. Nobody is left to tell if it fails.
fn say(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Serves until a signal ends it.
///
/// The order is that of the mistakes that are quickest found: the command line, Python's home, the addresses, and only then the application,
/// which may take seconds to import.
fn serve(settings: &Settings) -> Result<(), Failure> {
    let targets = settings.targets().map_err(Failure::Usage)?;
    start_logging(settings);
    let seeing = Seeing::begin(&settings.seeing)?;

    let mut builder = Interpreter::builder().chdir(&settings.chdir);
    if let Some(home) = &settings.home {
        builder = builder.home(home);
    }
    for path in &settings.python_path {
        builder = builder.python_path(path);
    }
    let interpreter = builder.start().map_err(Failure::set_up)?;
    seeing.python()?;

    let bound = listening::bind(settings)?;
    let addresses: Vec<String> = bound.iter().map(listening::Bound::url).collect();
    let (handler, served) = applications::load(&interpreter, targets, &settings.callable, &seeing)?;

    descriptors::allow(settings.max_connections);
    // After the import: an application that installs handlers of its own must not keep the server from ending.
    let signals = Signals::catch().map_err(|error| Failure::SetUp(format!("cannot catch signals: {error}")))?;

    let server = seeing.of(Server::new(seeing.around(handler))).threads(settings.threads).max_connections(settings.max_connections);
    let server = listening::listen(server.timeouts(settings.timeouts.clone()), bound);
    let running = server.start().map_err(|error| Failure::SetUp(format!("cannot start threads: {error}")))?;

    seeing.running(running.handle());
    announce(&interpreter, &served, settings, &addresses);
    let urgency = signals.end(running.handle());
    running.wait();
    let patience = if urgency.is_urgent() { Duration::ZERO } else { settings.timeouts.shutdown };
    let unfinished = interpreter.stop(patience);
    if !unfinished.is_empty() {
        tracing::warn!("leaving without Python's threads that did not end: {}", unfinished.join(", "));
    }
    seeing.end();
    Ok(())
}

/// What the server has found, in the words of the options.
fn announce(interpreter: &Interpreter, served: &[String], settings: &Settings, addresses: &[String]) {
    let mut text = format!("serve {VERSION}, Python {} in {}\n", interpreter.version(), interpreter.prefix().display());
    for line in served {
        text += &format!("{line}\n");
    }
    text += &format!("{} {}\n", settings.threads, if settings.threads == 1 { "thread" } else { "threads" });
    for address in addresses {
        text += &format!("listening on {address}\n");
    }
    say(&text);
}

fn start_logging(settings: &Settings) {
    // Nothing to do if it fails, which it does only where logging was set up before.
    let _ = tracing::subscriber::set_global_default(
        tracing_subscriber::fmt().with_max_level(settings.log_level).with_target(false).with_writer(io::stderr).finish(),
    );
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
