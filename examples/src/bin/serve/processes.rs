//! How many processes there are, when they are replaced, and as whom they run: the settings, and the master that sees to them.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use wsgi_core::processes::{Ended, Identity, IdentityError, Master, PidFile, Predecessor, Touched};
use wsgi_core::wsgi::{Interpreter, StartError};

use crate::figures::Figures;
use crate::options::Settings;
use crate::{Failure, Site, VERSION, listening, python_version, say, threads};

/// What the options of processes say.
#[derive(Clone, Debug)]
pub(crate) struct Processes {
    pub(crate) count: u32,
    pub(crate) master: bool,
    pub(crate) max_requests: Option<u64>,
    pub(crate) max_requests_delta: u64,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) max_lifetime_delta: Duration,
    /// In bytes, as the next.
    pub(crate) max_resident: Option<u64>,
    pub(crate) max_address_space: Option<u64>,
    pub(crate) touch_reload: Vec<PathBuf>,
    /// How often Python's files are looked at.
    pub(crate) autoreload: Option<Duration>,
    /// Modules whose files are not looked at.
    pub(crate) autoreload_ignored: Vec<String>,
    pub(crate) keep_trying: bool,
    /// Written before the user changes.
    pub(crate) pid_file: Option<PathBuf>,
    /// Written by that user.
    pub(crate) users_pid_file: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) group: Option<String>,
    /// The same, before anything is opened or bound.
    pub(crate) immediate_user: Option<String>,
    pub(crate) immediate_group: Option<String>,
    pub(crate) more_groups: Vec<String>,
    pub(crate) no_other_groups: bool,
    pub(crate) socket_owner: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) master_name: Option<String>,
    pub(crate) name_prefix: String,
    pub(crate) name_end: String,
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
            max_address_space: None,
            touch_reload: Vec::new(),
            autoreload: None,
            autoreload_ignored: Vec::new(),
            keep_trying: false,
            pid_file: None,
            users_pid_file: None,
            user: None,
            group: None,
            immediate_user: None,
            immediate_group: None,
            more_groups: Vec::new(),
            no_other_groups: false,
            socket_owner: None,
            name: None,
            master_name: None,
            name_prefix: String::new(),
            name_end: String::new(),
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
            || self.max_address_space.is_some()
            || !self.touch_reload.is_empty()
            || self.autoreload.is_some()
            || self.keep_trying
    }

    /// Whom the server is to run as, if that is asked for.
    ///
    /// # Errors
    /// There is no such user or group.
    pub(crate) fn identity(&self) -> Result<Option<Identity>, Failure> {
        if self.user.is_none() && self.group.is_none() && self.more_groups.is_empty() {
            return Ok(None);
        }
        self.find(self.user.as_deref(), self.group.as_deref(), ["uid", "gid"]).map(Some)
    }

    /// Becomes whom the server is to be before it opens or binds anything, if that is asked for.
    ///
    /// # Errors
    /// There is no such user or group; the system does not let us.
    pub(crate) fn become_at_once(&self) -> Result<(), Failure> {
        // Whoever has become a user cannot become another.
        for (later, at_once, option) in [(&self.user, &self.immediate_user, "uid"), (&self.group, &self.immediate_group, "gid")] {
            if self.immediate_user.is_some() && later.is_some() && later != at_once {
                return Err(Failure::mistake(option, "", "immediate-uid says for good whom to run as: give one of them"));
            }
        }
        if self.immediate_user.is_none() && self.immediate_group.is_none() {
            return Ok(());
        }
        let names = ["immediate-uid", "immediate-gid"];
        let identity = self.find(self.immediate_user.as_deref(), self.immediate_group.as_deref(), names)?;
        identity.assume().map_err(Failure::set_up)
    }

    fn find(&self, user: Option<&str>, group: Option<&str>, [uid, gid]: [&'static str; 2]) -> Result<Identity, Failure> {
        let mut identity = Identity::find(user, group).map_err(|error| unknown(error, uid, gid))?;
        for group in &self.more_groups {
            identity = identity.join(group).map_err(|error| unknown(error, uid, "add-gid"))?;
        }
        Ok(if self.no_other_groups { identity.without_other_groups() } else { identity })
    }

    /// Who is to own Unix sockets, if that is asked for.
    ///
    /// # Errors
    /// There is no such user or group.
    pub(crate) fn socket_owner(&self) -> Result<Option<Identity>, Failure> {
        let Some(owner) = &self.socket_owner else { return Ok(None) };
        let (user, group) = owner.split_once(':').map_or((owner.as_str(), None), |(user, group)| (user, Some(group)));
        let find = Identity::find(Some(user).filter(|user| !user.is_empty()), group);
        find.map(Some).map_err(|error| unknown(error, "chown-socket", "chown-socket"))
    }

    /// Writes the PID files, and lets go of what only root may do between the two. After sockets are bound.
    ///
    /// # Errors
    /// Another process holds a file; the system does not let us.
    pub(crate) fn settle(&self, before: Option<u32>) -> Result<Vec<PidFile>, Failure> {
        let identity = self.identity()?;
        let claim = |path: &Path| PidFile::claim(path, before).map_err(Failure::set_up);
        let mut files: Vec<PidFile> = self.pid_file.as_deref().map(claim).transpose()?.into_iter().collect();
        if let Some(identity) = &identity {
            // So that the next master may write to it, who cannot be root any more.
            for file in files.iter().filter(|_| before.is_none()) {
                identity.own(file.path()).map_err(Failure::set_up)?;
            }
            identity.assume().map_err(Failure::set_up)?;
        }
        files.extend(self.users_pid_file.as_deref().map(claim).transpose()?);
        Ok(files)
    }

    /// Sees to it that the user of `uid` can read the Python that runs, which has been started before.
    ///
    /// # Errors
    /// It cannot, as with a Python of pyenv's or uv's in somebody else's home.
    pub(crate) fn look_for_python(&self, interpreter: &Interpreter) -> Result<(), Failure> {
        let prefix = interpreter.base_prefix();
        match fs::metadata(prefix.join("lib")) {
            Err(error) if self.user.is_some() && error.kind() == io::ErrorKind::PermissionDenied => {
                Err(Failure::mistake("uid", "", format!("this user cannot read the Python in {prefix:?}: {error}")))
            }
            _ => Ok(()),
        }
    }

    /// What a process that does this is called, if names are asked for.
    pub(crate) fn name(&self, role: &str) -> Option<String> {
        let named = self.master_name.as_ref().filter(|_| role == MASTER).or(self.name.as_ref());
        let name = match named {
            Some(name) => name.clone(),
            None if self.auto_name || !self.name_prefix.is_empty() || !self.name_end.is_empty() => format!("serve {role}"),
            None => return None,
        };
        Some(format!("{}{name}{}", self.name_prefix, self.name_end))
    }

    /// Gives this process its name, as far as `top` and `ps -o comm` show it: 15 bytes.
    pub(crate) fn name_this(&self, role: &str) {
        let Some(name) = self.name(role).and_then(|name| std::ffi::CString::new(name).ok()) else { return };
        if let Err(error) = rustix::thread::set_name(&name) {
            tracing::warn!("cannot name this process {name:?}: {error}");
        }
    }
}

/// Whether this is process 1, as a rule of a container: then it is to wait for processes that have lost their parent. One that runs Python cannot do
/// that without taking from the application the ends of its own children.
pub(crate) fn is_first_of_all() -> bool {
    std::process::id() == 1
}

/// Binds the sockets, or takes them from the master before this one, and keeps the workers until the end.
///
/// # Errors
/// What is in the way of the sockets, the user, the PID file; a first worker that fails.
pub(crate) fn supervise(settings: &Settings, site: &Site, predecessor: Option<Predecessor>) -> Result<(), Failure> {
    let Processes { count, max_requests, max_requests_delta, max_lifetime, max_lifetime_delta, max_resident, max_address_space, .. } =
        settings.processes;
    let processes = &settings.processes;
    // Workers are given the same arguments, and count relative paths from the same directory.
    let directory = env::current_dir().map_err(|error| Failure::SetUp(format!("there is no working directory: {error}")))?;
    change_directory(&settings.chdir)?;
    let bound = match &predecessor {
        Some(predecessor) => listening::take_over(settings, predecessor.sockets())?,
        None => listening::bind(settings)?,
    };
    let mut lines = site.lines(settings);
    lines.push(format!("{}, each with {}", counted(count as usize, "process", "es"), counted(settings.threads, "thread", "s")));
    lines.extend(bound.iter().map(|bound| format!("listening on {}", bound.url())));
    processes.name_this(MASTER);

    let figures = Figures::default();
    if let Some(address) = &site.seeing.stats {
        figures.tell(address, predecessor.is_some())?;
    }

    let before = predecessor.as_ref().map(Predecessor::process);
    let mut master = Master::new(listening::named(bound)).map_err(|error| Failure::SetUp(format!("cannot watch processes: {error}")))?;
    for file in processes.settle(before)? {
        master = master.pid_file(file);
    }
    site.logs.settle(before.is_none())?;
    if let Some(collector) = &site.collector {
        let (output, error) = collector.before().map_err(Failure::set_up)?;
        master = master.successor_output(output, error);
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
    if let Some(bytes) = max_address_space {
        master = master.max_address_space(bytes);
    }
    if processes.name("").is_some() {
        let processes = processes.clone();
        master = master.worker_name(move |number| OsString::from(processes.name(&format!("worker {number}")).unwrap_or_default()));
    }
    let of_the_dead = figures.clone();
    master = master.shutdown_delay(settings.shutdown_delay);
    let told = figures.clone();
    master = master.on_ending(move |how| match how {
        Ended::Replaced => told.hand_over(),
        _ => told.stopping(),
    });
    master = master.on_report(move |worker, report| figures.take(worker, report));
    master = master.on_ended(move |worker, process| of_the_dead.ended(worker, process));
    let reopen = site.logs.reopen(std::iter::empty(), site.collector.as_deref());
    master = master.on_reopen(move || reopen.reopen()).reopen_on_reload(site.logs.reopen_on_reload);
    if let Some(due) = site.logs.watch() {
        master = master.reopen_when(due);
    }
    master = master.reload_on_touch(Touched::new(processes.touch_reload.clone()));
    master = master.on_ready(move || say(&format!("serve {VERSION}, Python {}\n{}\n", python_version(), lines.join("\n"))));
    match master.run().map_err(|error| Failure::SetUp(format!("cannot start processes, or wait for them: {}", threads::explain(&error))))? {
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
    env::set_current_dir(path).map_err(|source| StartError::Directory { path: path.to_owned(), source }.into())
}

/// Whether there is such a directory: to be asked before anything is done that counts from there.
///
/// # Errors
/// There is none.
pub(crate) fn look_for_directory(path: &Path) -> Result<(), Failure> {
    let found = std::fs::metadata(path).and_then(|found| if found.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) });
    found.map_err(|source| StartError::Directory { path: path.to_owned(), source }.into())
}

/// Says which option names somebody whom the system does not know.
fn unknown(error: IdentityError, user: &'static str, group: &'static str) -> Failure {
    let sentence = error.to_string();
    match error {
        IdentityError::NoUser(name) => Failure::mistake(user, name, sentence),
        IdentityError::NoGroup(name) => Failure::mistake(group, name, sentence),
        _ => Failure::SetUp(sentence),
    }
}

/// How many of them.
pub(crate) fn counted(count: usize, one: &str, more: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { more })
}

const MASTER: &str = "master";

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
        let master_named = |name_end: &str, role: &str| {
            let processes = Processes { master_name: Some("boss".to_owned()), name_end: name_end.to_owned(), ..Processes::default() };
            processes.name(role)
        };
        assert_eq!(master_named("", MASTER).as_deref(), Some("boss"));
        assert_eq!(master_named("", "worker 1"), None);
        assert_eq!(master_named(" (shop)", MASTER).as_deref(), Some("boss (shop)"));
        assert_eq!(master_named(" (shop)", "worker 1").as_deref(), Some("serve worker 1 (shop)"));
    }
}
