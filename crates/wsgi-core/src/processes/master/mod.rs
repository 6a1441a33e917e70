//! The master, and how it is put together.

mod running;

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use self::running::Running;
use super::channel::Channel;
use super::crew::Rules;
use super::signals::Signals;
use super::spawn::Program;
use super::{Named, PidFile, Predecessor, Touched};

/// A master that is being put together. Nothing is started before [`run`](Master::run).
pub struct Master {
    program: Program,
    sockets: Vec<Named>,
    signals: Signals,
    predecessor: Option<Channel>,
    rules: Rules,
    max_requests: Option<(u64, u64)>,
    max_resident: Option<u64>,
    max_address_space: Option<u64>,
    max_lifetime: Option<(Duration, Duration)>,
    keep_trying: bool,
    touched: Touched,
    pid_files: Vec<PidFile>,
    shutdown_delay: Duration,
    on_ready: Option<Box<dyn FnOnce()>>,
    on_ending: Option<OnEnding>,
    on_report: OnReport,
    on_ended: Box<dyn FnMut(u32, u32)>,
    on_reopen: Box<dyn FnMut()>,
    reopen_when: Option<Box<dyn FnMut() -> bool>>,
    reopen_on_reload: bool,
}

type OnEnding = Box<dyn FnOnce(Ended)>;
type OnReport = Box<dyn FnMut(u32, &[u8])>;

/// How a master ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// As it was asked to; all workers have ended.
    Stopped,
    /// Another master has taken over; all workers of this one have ended.
    Replaced,
    /// The very first worker ended in this way before it was ready.
    NotStarted(ExitStatus),
}

impl Master {
    /// A master of these sockets. Signals are caught from now on.
    ///
    /// # Errors
    /// The system does not let us: signals, `/proc`, the working directory.
    pub fn new(sockets: Vec<Named>) -> io::Result<Master> {
        Ok(Master {
            program: Program::this()?,
            sockets,
            signals: Signals::catch()?,
            predecessor: None,
            rules: Rules { size: 1, start: START, grace: GRACE, backoff: BACKOFF },
            max_requests: None,
            max_resident: None,
            max_address_space: None,
            max_lifetime: None,
            keep_trying: false,
            touched: Touched::default(),
            pid_files: Vec::new(),
            shutdown_delay: Duration::ZERO,
            on_ready: None,
            on_ending: None,
            on_report: Box::new(|_, _| {}),
            on_ended: Box::new(|_, _| {}),
            on_reopen: Box::new(|| {}),
            reopen_when: None,
            reopen_on_reload: false,
        })
    }

    /// Takes over from another master: it ends when all workers of this one are ready.
    pub fn succeed(mut self, predecessor: Predecessor) -> Master {
        self.predecessor = Some(predecessor.channel);
        self
    }

    /// How many workers there are; 1 by default, and at least 1.
    pub fn processes(mut self, processes: u32) -> Master {
        self.rules.size = processes.max(1);
        self
    }

    /// How long a worker may take from its start until it is ready; 5 minutes by default. Then it is killed, and counts as failed.
    pub fn start_timeout(mut self, time: Duration) -> Master {
        self.rules.start = time;
        self
    }

    /// How long a worker may take to end before it is killed; 35 seconds by default. It should be longer than what the worker gives its own
    /// requests.
    pub fn grace(mut self, time: Duration) -> Master {
        self.rules.grace = time;
        self
    }

    /// How long the first `TERM` or `INT` waits, while workers still accept, and are told to [announce](super::Order::Announce) the end: for
    /// balancers to learn of it. Not at all by default. The next signal ends the waiting, and counts as the first.
    ///
    /// When the time is over, nobody new is let in on sockets of TCP that were bound here, for 300 ms, before they are closed: see
    /// [`Handle::shutdown_after`](crate::server::Handle::shutdown_after).
    pub fn shutdown_delay(mut self, time: Duration) -> Master {
        self.shutdown_delay = time;
        self
    }

    /// Replaces a worker that has answered so many requests, and a random number of up to `delta` more, so that not all are replaced at
    /// once. It is the worker that counts, with [`Worker::limited`](super::Worker::limited).
    pub fn max_requests(mut self, requests: u64, delta: u64) -> Master {
        self.max_requests = Some((requests.max(1), delta));
        self
    }

    /// Replaces a worker whose resident memory exceeds so many bytes. It is looked at once a second.
    pub fn max_resident(mut self, bytes: u64) -> Master {
        self.max_resident = Some(bytes);
        self
    }

    /// Replaces a worker whose address space exceeds so many bytes, whether they are in memory or not. It is looked at once a second.
    pub fn max_address_space(mut self, bytes: u64) -> Master {
        self.max_address_space = Some(bytes);
        self
    }

    /// Replaces a worker that has been ready for so long, and a random time of up to `delta` more.
    pub fn max_lifetime(mut self, time: Duration, delta: Duration) -> Master {
        self.max_lifetime = Some((time, delta));
        self
    }

    /// If the very first worker fails, tries again and again instead of giving up. For a master that is to succeed another there is no second
    /// try: that one goes on.
    pub fn keep_trying(mut self, keep_trying: bool) -> Master {
        self.keep_trying = keep_trying;
        self
    }

    /// Reloads, as on `HUP`, when one of these files is touched, made or replaced. They are looked at once a second.
    pub fn reload_on_touch(mut self, touched: Touched) -> Master {
        self.touched = touched;
        self
    }

    /// Keeps a PID file until the end; if this master succeeds another, it is written when that is so. There may be several.
    pub fn pid_file(mut self, file: PidFile) -> Master {
        self.pid_files.push(file);
        self
    }

    /// The directory that processes are started in: where relative paths of the arguments count from. By default the one that was the working
    /// directory when [`new`](Self::new) was called.
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Master {
        self.program.set_directory(directory.into());
        self
    }

    /// What a list of processes shows of a worker, before the arguments, instead of the program's name. It is given the worker's number.
    pub fn worker_name(mut self, name: impl Fn(u32) -> OsString + 'static) -> Master {
        self.program.worker_name = Some(Box::new(name));
        self
    }

    /// What is to be done when all workers are ready for the first time.
    pub fn on_ready(mut self, ready: impl FnOnce() + 'static) -> Master {
        self.on_ready = Some(Box::new(ready));
        self
    }

    /// What is to be done as soon as this master knows how it is going to end: before it waits for anything. It must not block.
    pub fn on_ending(mut self, ending: impl FnOnce(Ended) + 'static) -> Master {
        self.on_ending = Some(Box::new(ending));
        self
    }

    /// What is to be done with what a worker [reports](super::Worker::report): its number, and the report. It must not block.
    pub fn on_report(mut self, take: impl FnMut(u32, &[u8]) + 'static) -> Master {
        self.on_report = Box::new(take);
        self
    }

    /// What is to be done when a worker has ended: its number, which another may have by now, and its process id. All that it has reported was
    /// given to [`on_report`](Self::on_report) before. It must not block.
    pub fn on_ended(mut self, ended: impl FnMut(u32, u32) + 'static) -> Master {
        self.on_ended = Box::new(ended);
        self
    }

    /// What this process itself has to do when logs are to be opened anew. It must not block.
    pub fn on_reopen(mut self, reopen: impl FnMut() + 'static) -> Master {
        self.on_reopen = Box::new(reopen);
        self
    }

    /// Asks this once a second, and has logs opened anew when the answer is yes, as on `USR1`. It must not block.
    pub fn reopen_when(mut self, due: impl FnMut() -> bool + 'static) -> Master {
        self.reopen_when = Some(Box::new(due));
        self
    }

    /// Has logs opened anew at each reload, too. No by default.
    pub fn reopen_on_reload(mut self, reopen: bool) -> Master {
        self.reopen_on_reload = reopen;
        self
    }

    /// What the next master has as standard output and error, if not what this one has by then.
    pub fn successor_output(mut self, output: OwnedFd, error: OwnedFd) -> Master {
        self.program.successor_output = Some((output, error));
        self
    }

    /// Starts the workers, and keeps them until a signal ends it all. Blocks until then.
    ///
    /// As process 1 of a container it also takes care of orphans.
    ///
    /// # Errors
    /// The system gives no memory for what workers share, lets nobody wait for events, or does not let the very first worker be started; the
    /// latter only without [`keep_trying`](Self::keep_trying).
    pub fn run(self) -> io::Result<Ended> {
        Running::new(self)?.run()
    }
}

impl std::fmt::Debug for Master {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Master")
            .field("sockets", &self.sockets)
            .field("rules", &self.rules)
            .field("pid_files", &self.pid_files)
            .finish_non_exhaustive()
    }
}

/// Imports of large applications take seconds; minutes only where something is wrong.
const START: Duration = Duration::from_secs(300);
const GRACE: Duration = Duration::from_secs(35);
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
