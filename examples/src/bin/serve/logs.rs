//! Where logs go: what the options say of it, and the files and sockets that follow from that.
//!
//! A log of everything that is one file becomes standard output and error, which workers inherit from their master. Any other is collected: standard
//! output and error are then a pipe, and the master, or the only process, hands on what comes out of it ([`Collector`]). Logs of requests each
//! process writes itself.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use wsgi_core::access::{Datagrams, Destination, Lines, LogFile, Receiver, Rotation};
use wsgi_core::processes::{Identity, Touched};

use crate::collector::Collector;
use crate::{Failure, threads};

/// What was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    /// A file for everything.
    pub(crate) log_to: Option<PathBuf>,
    /// The same, opened once privileges are dropped.
    pub(crate) log_to_late: Option<PathBuf>,
    /// Where everything goes, if not there.
    pub(crate) loggers: Vec<Logger>,
    /// Where requests are logged, if not where the rest is.
    pub(crate) access: Vec<Logger>,
    pub(crate) mode: Option<u32>,
    /// For files that have no bound of their own, in bytes.
    pub(crate) max_size: Option<u64>,
    pub(crate) backup: Option<PathBuf>,
    pub(crate) truncate: bool,
    pub(crate) reopen_on_reload: bool,
    pub(crate) touch_reopen: Vec<PathBuf>,
    pub(crate) touch_rotate: Vec<PathBuf>,
    /// The longest message to a syslog that is not this machine's, in bytes.
    pub(crate) message_size: Option<usize>,
    pub(crate) split_messages: bool,
}

/// One place where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Logger {
    File {
        path: PathBuf,
        max_size: Option<u64>,
        backup: Option<PathBuf>,
    },
    /// Where output goes that nobody has turned elsewhere.
    Stdio,
    Descriptor(i32),
    Datagrams(Datagrams),
}

impl Logs {
    /// Whether a log was asked for at all.
    pub(crate) fn is_asked_for(&self) -> bool {
        self.log_to.is_some() || self.log_to_late.is_some() || !self.loggers.is_empty() || !self.access.is_empty()
    }

    /// What follows from all of it, where relative paths count from `chdir`.
    ///
    /// # Errors
    /// There is no working directory; several files would have one name when they are renamed.
    pub(crate) fn plan(&self, chdir: &Path) -> Result<Plan, Failure> {
        let here = |path: &Path| std::path::absolute(chdir.join(path));
        let file = |path: &Path, max_size: Option<u64>, backup: Option<&Path>| -> Result<LogFile, Failure> {
            let mut file = LogFile::new(here(path).map_err(Failure::set_up)?);
            if let Some(mode) = self.mode {
                file = file.mode(mode);
            }
            if let Some(bytes) = max_size.or(self.max_size) {
                file = file.max_size(bytes);
            }
            if let Some(backup) = backup.or(self.backup.as_deref()) {
                file = file.backup(here(backup).map_err(Failure::set_up)?);
            }
            Ok(file)
        };
        let one = |path: &Option<PathBuf>| path.as_deref().map(|path| file(path, None, None)).transpose();
        let place = |logger: &Logger| -> Result<Place, Failure> {
            Ok(match logger {
                Logger::File { path, max_size, backup } => Place::File(file(path, *max_size, backup.as_deref())?),
                Logger::Stdio => Place::Other(Destination::StandardOutput),
                Logger::Descriptor(number) => Place::Other(Destination::Descriptor(*number)),
                Logger::Datagrams(datagrams) => {
                    let mut datagrams = datagrams.clone();
                    if let Receiver::Unix(path) = datagrams.receiver() {
                        let path = here(path).map_err(Failure::set_up)?;
                        datagrams = datagrams.to(Receiver::Unix(path));
                    }
                    if datagrams.receiver() != &Receiver::Unix(LOCAL_SYSLOG.into()) {
                        datagrams = datagrams.message_size(self.message_size.unwrap_or(1024), self.split_messages);
                    }
                    Place::Other(Destination::Datagrams(datagrams))
                }
            })
        };
        let all = |loggers: &[Logger]| -> Result<Vec<Place>, Failure> {
            let mut places = Vec::new();
            for logger in loggers {
                let place = place(logger)?;
                if !places.contains(&place) {
                    places.push(place);
                }
            }
            Ok(places)
        };

        let mut plan = Plan {
            output: one(&self.log_to)?,
            late: one(&self.log_to_late)?,
            collected: all(&self.loggers)?,
            access: all(&self.access)?,
            truncate: self.truncate,
            reopen_on_reload: self.reopen_on_reload,
            touch_reopen: self.touch_reopen.iter().map(|path| here(path)).collect::<io::Result<_>>().map_err(Failure::set_up)?,
            touch_rotate: self.touch_rotate.iter().map(|path| here(path)).collect::<io::Result<_>>().map_err(Failure::set_up)?,
        };
        plan.simplify();
        let backup = self.backup.as_deref().map(here).transpose().map_err(Failure::set_up)?;
        if backup.is_some() && plan.files().iter().filter(|file| file.backup_path() == backup.as_deref()).count() > 1 {
            return Err(Failure::Usage(
                "log-backupname names one file, and there are several logs: give each its own, as file:logfile=FILE,maxsize=BYTES,backupname=FILE"
                    .to_owned(),
            ));
        }
        Ok(plan)
    }
}

/// Where what goes.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What becomes standard output and error.
    output: Option<LogFile>,
    /// What does once privileges are dropped.
    late: Option<LogFile>,
    /// Where it goes otherwise, through a [`Collector`].
    collected: Vec<Place>,
    access: Vec<Place>,
    truncate: bool,
    pub(crate) reopen_on_reload: bool,
    touch_reopen: Vec<PathBuf>,
    touch_rotate: Vec<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    File(LogFile),
    Other(Destination),
}

impl Place {
    fn destination(&self) -> Destination {
        match self {
            Place::File(file) => Destination::File(file.path().to_owned()),
            Place::Other(destination) => destination.clone(),
        }
    }

    fn file(&self) -> Option<&LogFile> {
        match self {
            Place::File(file) => Some(file),
            Place::Other(_) => None,
        }
    }
}

impl Plan {
    /// A single file needs no collecting, and neither does what stays where it is.
    fn simplify(&mut self) {
        const STDIO: Place = Place::Other(Destination::StandardOutput);
        match self.collected.as_slice() {
            [] => {}
            [STDIO] => self.collected.clear(),
            [Place::File(file)] => {
                (self.output, self.late) = (Some(file.clone()), None);
                self.collected.clear();
            }
            _ => {
                // Where everything would go without loggers.
                let stdio = self.late.take().or(self.output.take()).map_or(Place::Other(Destination::StandardError), Place::File);
                self.output = None;
                for place in self.collected.iter_mut().filter(|place| **place == STDIO) {
                    *place = stdio.clone();
                }
            }
        }
    }

    /// Every file that is written to, once.
    fn files(&self) -> Vec<&LogFile> {
        let mut files: Vec<&LogFile> = self.late.iter().chain(self.output.iter().filter(|_| self.late.is_none())).collect();
        for file in self.collected.iter().chain(&self.access).filter_map(Place::file) {
            if !files.iter().any(|other| other.path() == file.path()) {
                files.push(file);
            }
        }
        files
    }

    /// Where requests are logged.
    pub(crate) fn access(&self) -> Vec<Destination> {
        if self.access.is_empty() {
            return vec![Destination::StandardError];
        }
        self.access.iter().map(Place::destination).collect()
    }

    /// Makes the log standard output and error. Not in workers, who inherit it. Files that are to be written to become those of whom the server is
    /// to run as, so that it can open them anew. `first`: nobody has done so before for this server.
    ///
    /// # Errors
    /// A file cannot be had.
    pub(crate) fn begin(&self, first: bool, identity: Option<&Identity>) -> Result<Option<Collector>, Failure> {
        let early = self.output.iter().chain(self.collected.iter().chain(&self.access).filter_map(Place::file));
        for file in early {
            file.open().map_err(|error| cannot_log(file, &error))?;
            if let Some(identity) = identity {
                identity.own(file.path()).map_err(Failure::set_up)?;
            }
        }
        if let Some(file) = &self.output {
            self.redirect(file, first)?;
        }
        if self.collected.is_empty() {
            return Ok(None);
        }
        Collector::begin(self.collected.iter().map(Place::destination)).map(Some)
    }

    /// What is left to be done when privileges are dropped.
    ///
    /// # Errors
    /// The file cannot be had by who this is now.
    pub(crate) fn settle(&self, first: bool) -> Result<(), Failure> {
        self.late.as_ref().map_or(Ok(()), |file| self.redirect(file, first))
    }

    fn redirect(&self, file: &LogFile, first: bool) -> Result<(), Failure> {
        let truncated = || -> io::Result<()> {
            let opened = file.open()?;
            if first && self.truncate && opened.metadata()?.is_file() {
                opened.set_len(0)?;
            }
            Ok(())
        };
        truncated().and_then(|()| redirect(file)).map_err(|error| cannot_log(file, &error))
    }

    /// What is to be done when files were renamed, by a process that writes these lines about requests, and collects what is logged or does not.
    pub(crate) fn reopen(&self, requests: impl Iterator<Item = Lines>, collector: Option<&Collector>) -> Reopen {
        let files = self.collected.iter().chain(&self.access).filter_map(Place::file).cloned().collect();
        // What standard output and error were before they were collected is not what they are now: lines would come round again and again.
        let renewed = |lines: &&Lines| matches!(lines.destination(), Destination::File(_) | Destination::Datagrams(_));
        let collected = collector.into_iter().flat_map(Collector::lines).filter(renewed).cloned();
        Reopen {
            output: self.late.clone().or(self.output.clone()),
            collected: !self.collected.is_empty(),
            files,
            lines: requests.chain(collected).collect(),
        }
    }

    /// Looks after the files: says whether they are to be opened anew. `None`: there is nothing to look after.
    pub(crate) fn watch(&self) -> Option<impl FnMut() -> bool + use<>> {
        let mut rotation = Rotation::new(self.files().into_iter().cloned());
        let (mut rotate, mut reopen) = (Touched::new(self.touch_rotate.clone()), Touched::new(self.touch_reopen.clone()));
        if !rotation.is_needed() && rotate.is_empty() && reopen.is_empty() {
            return None;
        }
        Some(move || {
            let mut due = if rotate.look().is_some() { rotation.rotate() } else { rotation.look() };
            if let Some(file) = reopen.look() {
                tracing::info!("{file:?} was touched: opening logs anew");
                due = true;
            }
            due
        })
    }

    /// Does so in a process that has no master.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn look_after(&self, reopen: Reopen) -> io::Result<()> {
        let Some(mut due) = self.watch() else { return Ok(()) };
        threads::start("logs", move || {
            loop {
                thread::sleep(LOOK);
                if due() {
                    reopen.reopen();
                }
            }
        })
    }
}

/// Opens the files of logs anew, after they were renamed.
#[derive(Clone)]
pub(crate) struct Reopen {
    output: Option<LogFile>,
    /// Standard output and error are what somebody collects.
    collected: bool,
    files: Vec<LogFile>,
    lines: Vec<Lines>,
}

impl Reopen {
    /// Whether there are any.
    pub(crate) fn is_needed(&self) -> bool {
        self.output.is_some() || !self.lines.is_empty()
    }

    pub(crate) fn reopen(&self) {
        if let Some(file) = &self.output {
            if let Err(error) = redirect(file) {
                tracing::error!("cannot open {} anew, so the old file is written on: {error}", file.path().display());
            }
        }
        for file in &self.files {
            // It has the permissions that it should have from its beginning; what cannot be opened is told by whoever is to write to it.
            let _ = file.open();
        }
        // Behind that: they may write to standard error.
        self.lines.iter().for_each(Lines::reopen);
    }

    /// Whoever has collected what is logged is gone. An application that prints would have an exception for it.
    pub(crate) fn orphaned(&self) {
        if self.collected {
            let nowhere = OpenOptions::new().write(true).open("/dev/null");
            let _ =
                nowhere.and_then(|nowhere| Ok(rustix::stdio::dup2_stdout(&nowhere).and_then(|()| rustix::stdio::dup2_stderr(&nowhere))?));
            self.lines.iter().for_each(Lines::reopen);
        }
    }
}

/// Makes a file standard output and error, also for Python and for what it starts.
fn redirect(file: &LogFile) -> io::Result<()> {
    let file = file.open()?;
    rustix::stdio::dup2_stdout(&file)?;
    rustix::stdio::dup2_stderr(&file)?;
    Ok(())
}

fn cannot_log(file: &LogFile, error: &io::Error) -> Failure {
    Failure::SetUp(format!("cannot log to {}: {error}", file.path().display()))
}

/// Where this machine's syslog listens.
pub(crate) const LOCAL_SYSLOG: &str = "/dev/log";
/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Logger {
        Logger::File { path: path.into(), max_size: None, backup: None }
    }

    fn plan(logs: &Logs) -> Plan {
        logs.plan(Path::new("/srv")).unwrap_or_else(|_| panic!("{logs:?}"))
    }

    fn paths(plan: &Plan) -> Vec<&str> {
        plan.files().into_iter().map(|file| file.path().to_str().unwrap()).collect()
    }

    #[test]
    fn one_file_needs_no_collector() {
        let logs = Logs { loggers: vec![file("a.log")], log_to: Some("b.log".into()), ..Logs::default() };
        assert_eq!((plan(&logs).collected, paths(&plan(&logs))), (vec![], vec!["/srv/a.log"]));
        let logs = Logs { loggers: vec![Logger::Stdio], log_to: Some("b.log".into()), ..Logs::default() };
        assert_eq!((plan(&logs).collected, paths(&plan(&logs))), (vec![], vec!["/srv/b.log"]));
        let logs = Logs { log_to: Some("a.log".into()), log_to_late: Some("b.log".into()), access: vec![file("c.log")], ..Logs::default() };
        assert_eq!(paths(&plan(&logs)), ["/srv/b.log", "/srv/c.log"]);
    }

    #[test]
    fn several_loggers_are_collected_and_stdio_is_what_would_be_without_them() {
        let several = vec![file("a.log"), Logger::Stdio, file("a.log")];
        let logs = Logs { loggers: several.clone(), log_to_late: Some("b.log".into()), ..Logs::default() };
        assert_eq!(paths(&plan(&logs)), ["/srv/a.log", "/srv/b.log"]);
        assert!(plan(&logs).output.is_none() && plan(&logs).late.is_none());
        let plan = plan(&Logs { loggers: several, ..Logs::default() });
        assert_eq!(plan.collected.last(), Some(&Place::Other(Destination::StandardError)));
    }

    #[test]
    fn a_backup_is_for_one_file() {
        let one = Logs { log_to: Some("a.log".into()), max_size: Some(9), backup: Some("old".into()), ..Logs::default() };
        assert!(one.plan(Path::new("/srv")).is_ok());
        let own = Logger::File { path: "c.log".into(), max_size: None, backup: Some("c.old".into()) };
        assert!(Logs { access: vec![own], ..one.clone() }.plan(Path::new("/srv")).is_ok());
        let Err(Failure::Usage(sentence)) = (Logs { access: vec![file("b.log")], ..one }).plan(Path::new("/srv")) else { panic!() };
        assert!(sentence.starts_with("log-backupname names one file"), "{sentence}");
    }
}
