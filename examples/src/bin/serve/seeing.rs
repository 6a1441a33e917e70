//! What the server tells of its requests: an access log, figures on a port of their own, and where its own log goes.
//!
//! Each process writes its own lines. Where there is a master, it is the master that makes a file standard output and error, which its workers
//! inherit, and the figures of all come together there ([`crate::figures`]).

use std::fs::OpenOptions;
use std::io;
use std::path::{self, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pyo3::Python;
use wsgi_core::access::{AccessLog, Choice, Destination, Format, Lines};
use wsgi_core::metrics::{Metrics, Stats};
use wsgi_core::observe::{Observed, Observer};
use wsgi_core::processes::{Identity, Worker};
use wsgi_core::server::{Handle, ListenAddress, Server};
use wsgi_core::wsgi::{self, Application};
use wsgi_core::{Handler, Identified};

use crate::{Failure, figures};

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Where standard output and error go, and with them everything that is logged.
    pub(crate) log_to: Option<PathBuf>,
    /// Where the access log goes, if not where the rest does.
    pub(crate) access_log: Option<Destination>,
    pub(crate) format: Option<Format>,
    /// Only what [`choice`](Self::choice) says, whatever else was given.
    pub(crate) disable: bool,
    pub(crate) choice: Choice,
    pub(crate) forwarded_for: bool,
    pub(crate) stats: Option<ListenAddress>,
    /// A proxy in front says since when a request waits.
    pub(crate) request_start: bool,
    /// Requests have names, and what applications log says which it is about.
    pub(crate) request_ids: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            log_to: None,
            access_log: None,
            format: None,
            disable: false,
            choice: Choice::none(),
            forwarded_for: false,
            stats: None,
            request_start: false,
            request_ids: false,
        }
    }
}

impl Options {
    /// The same with paths that stay what they are when the working directory changes to this one.
    ///
    /// # Errors
    /// There is no working directory.
    pub(crate) fn located(&self, chdir: &Path) -> Result<Options, Failure> {
        let here = |path: &Path| path::absolute(chdir.join(path)).map_err(Failure::set_up);
        let mut located = self.clone();
        located.log_to = self.log_to.as_deref().map(here).transpose()?;
        if let Some(Destination::File(path)) = &self.access_log {
            located.access_log = Some(Destination::File(here(path)?));
        }
        if let Some(ListenAddress::Unix(path)) = &self.stats {
            located.stats = Some(ListenAddress::Unix(here(path)?));
        }
        Ok(located)
    }

    /// Makes the log standard output and error. Files that are to be written to become those of whom the server is to run as, so that it can open
    /// them anew.
    ///
    /// # Errors
    /// A file cannot be had.
    pub(crate) fn redirect(&self, identity: Option<&Identity>) -> Result<(), Failure> {
        let access_log = match &self.access_log {
            Some(Destination::File(path)) => Some(path),
            _ => None,
        };
        if let Some(identity) = identity {
            for path in self.log_to.iter().chain(access_log) {
                let made = OpenOptions::new().append(true).create(true).open(path);
                made.map_err(|error| Failure::SetUp(format!("cannot log to {}: {error}", path.display())))?;
                identity.own(path).map_err(Failure::set_up)?;
            }
        }
        let Some(path) = &self.log_to else { return Ok(()) };
        redirect(path).map_err(|error| Failure::SetUp(format!("cannot log to {}: {error}", path.display())))
    }

    /// Which requests are logged; `None` if none is. Unlike uWSGI, this server logs none unless something asks for it.
    fn chosen(&self) -> Option<Choice> {
        if self.choice != Choice::none() {
            return Some(self.choice.clone());
        }
        let asked = self.access_log.is_some() || self.format.is_some() || self.log_to.is_some();
        (asked && !self.disable).then(Choice::default)
    }
}

/// What sees requests go by.
pub(crate) struct Seeing {
    reopen: Reopen,
    log: Option<Arc<AccessLog>>,
    metrics: Option<Metrics>,
    /// This process is one, and tells its figures to its master.
    worker: Option<Worker>,
    request_ids: bool,
    _stats: Option<Stats>,
}

impl Seeing {
    /// Opens what is to be written to, and listens for those who ask for figures: a probe learns from now on that the server is starting. A
    /// worker does not listen.
    ///
    /// # Errors
    /// A file or an address cannot be had.
    pub(crate) fn begin(options: &Options, worker: Option<&Worker>) -> Result<Seeing, Failure> {
        let reopen = Reopen { log_to: options.log_to.clone(), lines: None };
        let mut seeing =
            Seeing { reopen, log: None, metrics: None, worker: worker.cloned(), request_ids: options.request_ids, _stats: None };
        // As the figures have it, and uWSGI.
        let number = worker.map_or(1, Worker::number);
        if let Some(choice) = options.chosen() {
            let destination = options.access_log.clone().unwrap_or(Destination::StandardError);
            let lines = Lines::open(destination.clone());
            let lines = lines.map_err(|error| Failure::SetUp(format!("cannot log requests to {destination}: {error}")))?;
            let format = match &options.format {
                Some(format) => format.clone(),
                None => "uwsgi".parse().map_err(Failure::set_up)?,
            };
            let log = AccessLog::new(format, lines).choose(choice).believe_forwarded_for(options.forwarded_for).worker(number);
            seeing.reopen.lines = Some(log.lines().clone());
            seeing.log = Some(Arc::new(log));
        }
        if let Some(address) = &options.stats {
            let metrics = Metrics::with(Metrics::STUCK_AFTER, options.request_start);
            if worker.is_some() {
                metrics.worker(number, 0);
            } else {
                let source = metrics.clone();
                seeing._stats = Some(figures::listen(address, move || vec![source.snapshot()])?);
            }
            seeing.metrics = Some(metrics);
        }
        Ok(seeing)
    }

    /// Has what Python code writes to `sys.stderr` logged with the request that it is about, if that was asked for.
    ///
    /// # Errors
    /// Python does not let it.
    pub(crate) fn python(&self) -> Result<(), Failure> {
        if !self.request_ids {
            return Ok(());
        }
        Python::attach(|py| wsgi::redirect_standard_error(py, wsgi::log_line)).map_err(Failure::set_up)
    }

    /// The application, whose `wsgi.errors` is logged likewise.
    pub(crate) fn application(&self, application: Application) -> Application {
        if self.request_ids { application.errors(wsgi::log_line) } else { application }
    }

    /// The handler, seen by whatever was asked for.
    pub(crate) fn around(&self, handler: impl Handler + 'static) -> Arc<dyn Handler> {
        let observers: Vec<_> = self.observers().collect();
        let handler: Arc<dyn Handler> = if self.request_ids { Arc::new(Identified::new(handler)) } else { Arc::new(handler) };
        if observers.is_empty() { handler } else { Arc::new(Observed::new(handler, observers)) }
    }

    /// The server, whose refusals are seen too.
    pub(crate) fn of(&self, server: Server) -> Server {
        self.observers().fold(server, Server::observer)
    }

    /// Says that requests are answered; of a worker to its master, from now on again and again.
    pub(crate) fn running(&self, server: Handle) {
        if let Some(metrics) = &self.metrics {
            metrics.server(server);
            metrics.set_ready(true);
            if let Some(worker) = &self.worker {
                figures::report_on(metrics.clone(), worker.clone());
            }
        }
    }

    /// Says that none are answered any more: a worker that ends might be gone before its next report.
    pub(crate) fn stopped(&self) {
        if let (Some(metrics), Some(worker)) = (&self.metrics, &self.worker) {
            figures::report(metrics, worker);
        }
    }

    /// What is to be done when files were renamed.
    pub(crate) fn reopen(&self) -> Reopen {
        self.reopen.clone()
    }

    /// Writes what is still to be written.
    pub(crate) fn end(&self) {
        if self.log.as_ref().is_some_and(|log| !log.lines().finish(PATIENCE)) {
            tracing::warn!("leaving without the last lines of the access log, which are not taken");
        }
    }

    fn observers(&self) -> impl Iterator<Item = Arc<dyn Observer>> {
        let log = self.log.iter().map(|log| Arc::clone(log) as Arc<dyn Observer>);
        log.chain(self.metrics.iter().map(Metrics::observer))
    }
}

/// Opens the files of logs anew, after they were renamed.
#[derive(Clone)]
pub(crate) struct Reopen {
    log_to: Option<PathBuf>,
    lines: Option<Lines>,
}

impl Reopen {
    /// For a process that writes no lines about requests.
    pub(crate) fn of(options: &Options) -> Reopen {
        Reopen { log_to: options.log_to.clone(), lines: None }
    }

    /// Whether there are any.
    pub(crate) fn is_needed(&self) -> bool {
        self.log_to.is_some() || self.lines.is_some()
    }

    pub(crate) fn reopen(&self) {
        if let Some(path) = &self.log_to {
            if let Err(error) = redirect(path) {
                tracing::error!("cannot open {} anew, so the old file is written on: {error}", path.display());
            }
        }
        // Behind that: it may write to standard error.
        self.lines.iter().for_each(Lines::reopen);
    }
}

/// Makes a file standard output and error, also for Python and for what it starts.
fn redirect(path: &Path) -> io::Result<()> {
    let file = OpenOptions::new().append(true).create(true).open(path)?;
    rustix::stdio::dup2_stdout(&file)?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(())
}

/// How long the last lines may take at the end.
const PATIENCE: Duration = Duration::from_secs(2);
