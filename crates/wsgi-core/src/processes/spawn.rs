//! This program, started anew: as a worker, or as the master after this one.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, IsTerminal};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Pid;

use super::channel::Channel;
use super::{Named, Shares, Welcome};

/// How this program is started: what it was started with itself.
pub(super) struct Program {
    /// By what name it was started. What lies there may be another program by now.
    path: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
    directory: PathBuf,
    /// How a list of processes calls a worker with this number, if not like the program.
    pub(super) worker_name: Option<Box<dyn Fn(u32) -> OsString>>,
    /// Standard output and error of the next master, if not this one's.
    pub(super) successor_output: Option<(OwnedFd, OwnedFd)>,
}

/// A process that was started.
#[derive(Debug)]
pub(super) struct Hand {
    pub(super) pid: Pid,
    pub(super) channel: Channel,
    /// It has said so.
    pub(super) ready: bool,
    /// It has closed its end, and cannot be told anything; as a rule because it is ending.
    pub(super) deaf: bool,
}

impl Program {
    /// # Errors
    /// There is no `/proc`; the working directory is gone.
    pub(super) fn this() -> io::Result<Program> {
        let mut arguments = std::env::args_os();
        let (name, directory) = (arguments.next().unwrap_or_default(), std::env::current_dir()?);
        let path = found(&name, &directory).map_or_else(std::env::current_exe, Ok)?;
        Ok(Program { path, name, arguments: arguments.collect(), directory, worker_name: None, successor_output: None })
    }

    /// Where relative paths of the arguments count from.
    pub(super) fn set_directory(&mut self, directory: PathBuf) {
        if let Some(path) = found(&self.name, &directory) {
            self.path = path;
        }
        self.directory = directory;
    }

    /// Starts a worker. It is the very program that runs here, whatever lies at its path by now: an update comes with the next master.
    pub(super) fn worker(&self, number: u32, max_requests: Option<u64>, shares: &Shares, sockets: &[Named]) -> io::Result<Hand> {
        let mut command = Command::new(self.running());
        command.arg0(self.worker_name.as_ref().map_or_else(|| self.name.clone(), |name| name(number)));
        command.env(ROLE, "worker").env_remove("NOTIFY_SOCKET");
        self.start(command, number, max_requests, shares, sockets)
    }

    /// The program that runs here: by its path if it still lies there, since that is what names the process.
    fn running(&self) -> &Path {
        if runs_here(&self.path) { &self.path } else { Path::new(ITSELF) }
    }

    /// Starts the next master, from what lies at this program's path.
    pub(super) fn successor(&self, sockets: &[Named]) -> io::Result<Hand> {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).env(ROLE, SUCCESSOR);
        if let Some((output, error)) = &self.successor_output {
            command.stdout(output.try_clone()?).stderr(error.try_clone()?);
        }
        self.start(command, 0, None, &Shares::new(0)?, sockets)
    }

    fn start(&self, mut command: Command, number: u32, max_requests: Option<u64>, shares: &Shares, sockets: &[Named]) -> io::Result<Hand> {
        let (channel, theirs) = Channel::pair()?;
        let terminal = io::stdin().is_terminal();
        // Before the start: then it cannot fail any more when there is a process.
        Welcome::send(&channel, number, max_requests, shares, terminal, sockets)?;
        // What the service manager said to this process alone would be taken for its own by a process that checks nothing.
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"] {
            command.env_remove(name);
        }
        let child = command.args(&self.arguments).current_dir(&self.directory).stdin(Stdio::from(theirs)).spawn();
        let child = child.map_err(|error| {
            let (program, directory) = (command.get_program(), &self.directory);
            io::Error::new(error.kind(), format!("{program:?}, in {directory:?}: {error}"))
        })?;
        Ok(Hand { pid: Pid::from_child(&child), channel, ready: false, deaf: false })
    }
}

/// Where the program that runs here was found by the name it was started by, if that is still to be seen: whoever starts a program may call it
/// anything. The system would tell where it lies, but not by which links one comes there, which is what an update changes.
fn found(name: &OsStr, directory: &Path) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return std::path::absolute(directory.join(name)).ok().filter(|path| runs_here(path));
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| directory.join(folder).join(name)).find(|path| runs_here(path))
}

fn runs_here(path: &Path) -> bool {
    let file = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
    matches!((file(path), file(Path::new(ITSELF))), (Ok(there), Ok(here)) if there == here)
}

const ITSELF: &str = "/proc/self/exe";

/// The environment variable that says what a process is to be. It is believed only with a socket for standard input.
pub(super) const ROLE: &str = "WSGI_PROCESS_ROLE";
pub(super) const SUCCESSOR: &str = "master";

// From a process to the one that started it.
pub(super) const READY: &[u8] = b"ready";
pub(super) const RENEW: &[u8] = b"renew";
pub(super) const RELOAD: &[u8] = b"reload";
pub(super) const LEAVING: &[u8] = b"leaving";
pub(super) const REPORT: &[u8] = b"report";
// And back.
pub(super) const STOP: &[u8] = b"stop";
pub(super) const DRAIN: &[u8] = b"drain";
pub(super) const ANNOUNCE: &[u8] = b"announce";
pub(super) const HURRY: &[u8] = b"hurry";
pub(super) const REOPEN: &[u8] = b"reopen";
