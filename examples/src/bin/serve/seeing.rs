//! What the server tells of its requests: access logs, and figures on a port of their own.
//!
//! Each process writes its own lines, to where [`crate::logs`] says. Where there is a master, the figures of all come together there
//! ([`crate::figures`]).

use std::io;
use std::path::{self, Path};
use std::sync::Arc;
use std::time::Duration;

use pyo3::Python;
use wsgi_core::access::{AccessLog, Choice, Format, Lines};
use wsgi_core::metrics::{Metrics, Stats};
use wsgi_core::observe::{Observed, Observer};
use wsgi_core::processes::Worker;
use wsgi_core::server::{Handle, ListenAddress, Server};
use wsgi_core::wsgi::{self, Application};
use wsgi_core::{Handler, Identified};

use crate::logs::{Logs, Plan};
use crate::{Failure, figures, say, threads};

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) logs: Logs,
    /// A text that is a format.
    pub(crate) format: Option<String>,
    /// uWSGI's own format has microseconds.
    pub(crate) micros: bool,
    /// `%(ftime)` is written as `date` says.
    pub(crate) strftime: bool,
    pub(crate) date: Option<String>,
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
            logs: Logs::default(),
            format: None,
            micros: false,
            strftime: false,
            date: None,
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
        let mut located = self.clone();
        if let Some(ListenAddress::Unix(path)) = &self.stats {
            located.stats = Some(ListenAddress::Unix(path::absolute(chdir.join(path)).map_err(Failure::set_up)?));
        }
        Ok(located)
    }

    /// Which requests are logged; `None` if none is. Unlike uWSGI, this server logs none unless something asks for it.
    fn chosen(&self) -> Option<Choice> {
        if self.choice != Choice::none() {
            return Some(self.choice.clone());
        }
        let asked = self.format.is_some() || self.logs.is_asked_for();
        (asked && !self.disable).then(Choice::default)
    }

    /// # Errors
    /// The date makes no format of it.
    fn format(&self) -> Result<Format, Failure> {
        let mut text = self.format.as_deref().unwrap_or("uwsgi").to_owned();
        if self.micros && text == "uwsgi" {
            text = "uwsgi-micros".to_owned();
        }
        if let Some(date) = self.date.as_ref().filter(|_| self.strftime) {
            text = text.replace("%(ftime)", &format!("%(ftime:{date})"));
        }
        text.parse().map_err(Failure::set_up)
    }
}

/// What sees requests go by.
pub(crate) struct Seeing {
    logs: Vec<Arc<AccessLog>>,
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
    pub(crate) fn begin(options: &Options, plan: &Plan, worker: Option<&Worker>) -> Result<Seeing, Failure> {
        let mut seeing =
            Seeing { logs: Vec::new(), metrics: None, worker: worker.cloned(), request_ids: options.request_ids, _stats: None };
        // As the figures have it, and uWSGI.
        let number = worker.map_or(1, Worker::number);
        if let Some(choice) = options.chosen() {
            let format = options.format()?;
            for destination in plan.access() {
                let lines = Lines::open(destination.clone());
                let cannot = |error| Failure::SetUp(format!("cannot log requests to {destination}: {}", threads::explain(&error)));
                let log = AccessLog::new(format.clone(), lines.map_err(cannot)?).choose(choice.clone());
                seeing.logs.push(Arc::new(log.believe_forwarded_for(options.forwarded_for).worker(number)));
            }
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

    /// The application, whose `wsgi.errors` is logged likewise, or goes where the log goes.
    pub(crate) fn application(&self, application: Application) -> Application {
        if self.request_ids { application.errors(wsgi::log_line) } else { application.errors(say) }
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
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn running(&self, server: Handle) -> io::Result<()> {
        if let Some(metrics) = &self.metrics {
            metrics.server(server);
            metrics.set_ready(true);
            if let Some(worker) = &self.worker {
                figures::report_on(metrics.clone(), worker.clone())?;
            }
        }
        Ok(())
    }

    /// Says that none are answered any more: a worker that ends might be gone before its next report.
    pub(crate) fn stopped(&self) {
        self.tell();
    }

    /// Where requests are logged.
    pub(crate) fn lines(&self) -> impl Iterator<Item = Lines> {
        self.logs.iter().map(|log| log.lines().clone())
    }

    /// Writes what is still to be written, and tells what is still to be told.
    pub(crate) fn end(&self) {
        self.tell();
        for lines in self.lines() {
            if !lines.finish(PATIENCE) {
                tracing::warn!("leaving without the last lines of the log of requests, which {} does not take", lines.destination());
            }
        }
    }

    fn tell(&self) {
        if let (Some(metrics), Some(worker)) = (&self.metrics, &self.worker) {
            figures::report(metrics, worker);
        }
    }

    fn observers(&self) -> impl Iterator<Item = Arc<dyn Observer>> {
        let log = self.logs.iter().map(|log| Arc::clone(log) as Arc<dyn Observer>);
        log.chain(self.metrics.iter().map(Metrics::observer))
    }
}

/// How long the last lines may take at the end.
const PATIENCE: Duration = Duration::from_secs(2);
