//! How many processes there are, when they are replaced, and as whom they run: the settings, and the master that sees to them.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use wsgi_core::processes::{Ended, Identity, Master, PidFile, Predecessor, Touched};
use wsgi_core::wsgi::StartError;

use crate::figures::Figures;
use crate::options::Settings;
use crate::seeing::Reopen;
use crate::{Failure, Site, VERSION, listening, python_version, say};

/// What the options of processes say.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    pub(crate) count: u32,
    pub(crate) master: bool,
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_requests_delta: u64,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) max_lifetime_delta: Duration,
    /// In bytes.
    pub(crate) max_resident: Option<u64>,
    pub(crate) touch_reload: Vec<PathBuf>,
    /// How often Python's files are looked at.
    pub(crate) autoreload: Option<Duration>,
    pub(crate) keep_trying: bool,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
    pub(crate) socket_owner: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) name_prefix: String,
    pub(crate) auto_name: bool,
}

impl Default for Processes {
    fn default() -> Self {
        Processes {
            count: 1,
            master: false,
            max_requests: None,
            max_requests_delta: 0,
            max_lifetime: None,
            max_lifetime_delta: Duration::ZERO,
            max_resident: None,
            touch_reload: Vec::new(),
            autoreload: None,
            keep_trying: false,
            pid_file: None,
            user: None,
            group: None,
            socket_owner: None,
            name: None,
            name_prefix: String::new(),
            auto_name: false,
        }
    }
}

impl Processes {
    /// Whether something is asked for that one process cannot do for itself.
    pub(crate) fn need_a_master(&self) -> bool {
        self.count > 1
            || self.master
            || self.max_requests.is_some()
            || self.max_lifetime.is_some()
            || self.max_resident.is_some()
            || !self.touch_reload.is_empty()
            || self.autoreload.is_some()
            || self.keep_trying
    }

    /// Whom the server is to run as, if that is asked for.
    ///
    /// # Errors
    /// There is no such user or group.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, Failure> {
        if self.user.is_none() && self.group.is_none() {
            return Ok(None);
        }
        Identity::find(self.user.as_deref(), self.group.as_deref()).map(Some).map_err(Failure::set_up)
    }

    /// Who is to own Unix sockets, if that is asked for.
    ///
    /// # Errors
    /// There is no such user or group.
    pub(crate) fn socket_owner(&self) -> Result<Option<Identity>, Failure> {
        let Some(owner) = &self.socket_owner else { return Ok(None) };
        let (user, group) = owner.split_once(':').map_or((owner.as_str(), None), |(user, group)| (user, Some(group)));
        let find = Identity::find(Some(user).filter(|user| !user.is_empty()), group);
        find.map(Some).map_err(|error| Failure::SetUp(format!("--chown-socket {owner:?}: {error}")))
    }

    /// Writes the PID file, and lets go of what only root may do. In this order, and after sockets are bound.
    ///
    /// # Errors
    /// Another process holds the file; the system does not let us.
    pub(crate) fn settle(&self, before: Option<u32>) -> Result<Option<PidFile>, Failure> {
        let identity = self.identity()?;
        let file = self.pid_file.as_deref().map(|path| PidFile::claim(path, before)).transpose().map_err(Failure::set_up)?;
        if let Some(identity) = &identity {
            // So that the next master may write to it, who cannot be root any more.
            if let Some(file) = file.as_ref().filter(|_| before.is_none()) {
                identity.own(file.path()).map_err(Failure::set_up)?;
            }
            identity.assume().map_err(Failure::set_up)?;
        }
        Ok(file)
    }

    /// What a process that does this is called, if names are asked for.
    pub(crate) fn name(&self, role: &str) -> Option<String> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None if self.auto_name || !self.name_prefix.is_empty() => format!("serve {role}"),
            None => return None,
        };
        Some(format!("{}{name}", self.name_prefix))
    }

    /// Gives this process its name, as far as `top` and `ps -o comm` show it: 15 bytes.
    pub(crate) fn name_this(&self, role: &str) {
        let Some(name) = self.name(role).and_then(|name| std::ffi::CString::new(name).ok()) else { return };
        if let Err(error) = rustix::thread::set_name(&name) {
            tracing::warn!("cannot name this process {name:?}: {error}");
        }
    }
}

/// Binds the sockets, or takes them from the master before this one, and keeps the workers until the end.
///
/// # Errors
/// What is in the way of the sockets, the user, the PID file; a first worker that fails.
pub(crate) fn supervise(settings: &Settings, site: &Site, predecessor: Option<Predecessor>) -> Result<(), Failure> {
    let Processes { count, max_requests, max_requests_delta, max_lifetime, max_lifetime_delta, max_resident, .. } = settings.processes;
    let processes = &settings.processes;
    // Workers are given the same arguments, and count relative paths from the same directory.
    let directory = env::current_dir().map_err(|source| Failure::set_up(StartError::Directory { path: ".".into(), source }))?;
    change_directory(&settings.chdir)?;
    let bound = match &predecessor {
        Some(predecessor) => listening::take_over(settings, predecessor.sockets())?,
        None => listening::bind(settings)?,
    };
    let mut lines = site.lines(settings);
    lines.push(format!("{}, each with {}", counted(count as usize, "process", "es"), counted(settings.threads, "thread", "s")));
    lines.extend(bound.iter().map(|bound| format!("listening on {}", bound.url())));
    processes.name_this("master");

    let figures = Figures::default();
    if let Some(address) = &site.seeing.stats {
        figures.tell(address, predecessor.is_some())?;
    }

    let before = predecessor.as_ref().map(Predecessor::process);
    let mut master = Master::new(listening::named(bound)).map_err(|error| Failure::SetUp(format!("cannot watch processes: {error}")))?;
    if let Some(file) = processes.settle(before)? {
        master = master.pid_file(file);
    }
    if let Some(predecessor) = predecessor {
        master = master.succeed(predecessor);
    }
    master = master.processes(count).directory(directory).keep_trying(processes.keep_trying);
    // A worker gives its requests that long, and then Python's threads.
    master = master.grace(settings.timeouts.shutdown * 2 + AFTER_ALL);
    if let Some(requests) = max_requests {
        master = master.max_requests(requests, max_requests_delta);
    }
    if let Some(time) = max_lifetime {
        master = master.max_lifetime(time, max_lifetime_delta);
    }
    if let Some(bytes) = max_resident {
        master = master.max_resident(bytes);
    }
    if processes.name("").is_some() {
        let processes = processes.clone();
        master = master.worker_name(move |number| OsString::from(processes.name(&format!("worker {number}")).unwrap_or_default()));
    }
    master = master.shutdown_delay(settings.shutdown_delay);
    let told = figures.clone();
    master = master.on_ending(move |how| match how {
        Ended::Replaced => told.hand_over(),
        _ => told.stopping(),
    });
    master = master.on_report(move |worker, report| figures.take(worker, report));
    let reopen = Reopen::of(&site.seeing);
    master = master.on_reopen(move || reopen.reopen());
    master = master.reload_on_touch(Touched::new(processes.touch_reload.clone()));
    master = master.on_ready(move || say(&format!("serve {VERSION}, Python {}\n{}\n", python_version(), lines.join("\n"))));
    match master.run().map_err(|error| Failure::SetUp(format!("cannot wait for processes: {error}")))? {
        Ended::NotStarted(status) => Err(not_started(status)),
        _ => Ok(()),
    }
}

/// A worker that ended with a code has said why; of one that was killed nobody has said anything.
fn not_started(status: ExitStatus) -> Failure {
    match status.code().and_then(|code| u8::try_from(code).ok()) {
        Some(code) if code != 0 => Failure::Said(code),
        _ => Failure::SetUp(format!("the first process ended before it was ready: {status}")),
    }
}

fn change_directory(path: &Path) -> Result<(), Failure> {
    env::set_current_dir(path).map_err(|source| Failure::set_up(StartError::Directory { path: path.to_owned(), source }))
}

/// How many of them.
pub(crate) fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { more })
}

/// What `atexit` and the end of a process may take besides.
const AFTER_ALL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_needs_no_master_unless_it_is_to_be_replaced() {
        let plain = Processes::default();
        assert!(!plain.need_a_master());
        assert!(!Processes { pid_file: Some("a".into()), user: Some("a".to_owned()), ..plain.clone() }.need_a_master());
        assert!(Processes { count: 2, ..plain.clone() }.need_a_master());
        assert!(Processes { autoreload: Some(Duration::from_secs(1)), ..plain.clone() }.need_a_master());
        assert!(Processes { touch_reload: vec!["a".into()], ..plain }.need_a_master());
    }

    #[test]
    fn names_are_put_together() {
        let named = |name: Option<&str>, prefix: &str, auto| {
            let processes =
                Processes { name: name.map(str::to_owned), name_prefix: prefix.to_owned(), auto_name: auto, ..Processes::default() };
            processes.name("worker 1")
        };
        assert_eq!(named(None, "", false), None);
        assert_eq!(named(None, "", true).as_deref(), Some("serve worker 1"));
        assert_eq!(named(None, "site ", false).as_deref(), Some("site serve worker 1"));
        assert_eq!(named(Some("shop"), "site ", true).as_deref(), Some("site shop"));
    }
}
