//! What the options set.

use std::path::PathBuf;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use wsgi_core::server::{ListenAddress, Network, Timeouts};
use wsgi_core::wire::{Limits, PathRule};

use crate::processes::Processes;
use crate::requests::Requests;
use crate::seeing;
use crate::static_files::StaticSettings;

/// What the server does, and how.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) action: Action,
    /// Where to listen, and for what; nothing means HTTP at [`DEFAULT_ADDRESS`](super::DEFAULT_ADDRESS).
    pub(crate) listen: Vec<(Speaks, ListenAddress)>,
    /// Where to listen for what `protocol` says, until [`settle`](Self::settle) joins them to the others.
    pub(super) sockets: Vec<ListenAddress>,
    pub(super) protocol: String,
    /// Who may connect to sockets whose peers are trusted, besides the machine itself.
    pub(crate) allow_from: Vec<Network>,
    /// What is done with requests before they reach an application.
    pub(crate) requests: Requests,
    pub(crate) path_rule: PathRule,
    /// What applications write to `wsgi.errors` goes to the web server, where the protocol is FastCGI.
    pub(crate) fastcgi_stderr: bool,
    pub(crate) backlog: u32,
    pub(crate) socket_mode: Option<u32>,
    pub(crate) module: Option<String>,
    /// The file, and the callable where one is named with it.
    pub(crate) wsgi_file: Option<(PathBuf, Option<String>)>,
    pub(crate) callable: String,
    pub(crate) mounts: Vec<(String, Target)>,
    pub(crate) static_files: StaticSettings,
    /// Whether there is nothing to serve without an application.
    pub(crate) need_app: bool,
    pub(crate) chdir: PathBuf,
    pub(crate) home: Option<PathBuf>,
    pub(crate) python_path: Vec<PathBuf>,
    /// What `sys.argv` has behind the program's name.
    pub(crate) arguments: Vec<String>,
    /// Variables that are set, or unset, before the application is imported.
    pub(crate) environment: Vec<(String, Option<String>)>,
    pub(crate) threads: usize,
    pub(crate) processes: Processes,
    pub(crate) max_connections: usize,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    /// How long the end is announced before it begins.
    pub(crate) shutdown_delay: Duration,
    pub(crate) log_level: LevelFilter,
    pub(crate) seeing: seeing::Options,
    /// Whether a key that is no option is a mistake, wherever it stands.
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Serve,
    /// Says what would become of every option.
    Check,
    Help,
    HelpAll,
    Version,
}

/// What is spoken at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http,
    /// HTTP under TLS, with a chain of certificates and its key from these files.
    Https {
        chain: PathBuf,
        key: PathBuf,
    },
    Uwsgi,
    FastCgi,
    Scgi,
}

impl Speaks {
    /// What uWSGI's `protocol` calls it, where that is all there is to say.
    pub(super) fn of_name(name: &str) -> Option<Speaks> {
        match name {
            "uwsgi" => Some(Speaks::Uwsgi),
            "http" => Some(Speaks::Http),
            "fastcgi" => Some(Speaks::FastCgi),
            "scgi" => Some(Speaks::Scgi),
            _ => None,
        }
    }
}

/// Where an application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `MODULE:CALLABLE`, or `MODULE` for the callable of `--callable`.
    Module(String),
    /// A file, and its callable, or that of `--callable`.
    File(PathBuf, Option<String>),
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            action: Action::Serve,
            listen: Vec::new(),
            sockets: Vec::new(),
            protocol: "uwsgi".to_owned(),
            allow_from: Vec::new(),
            requests: Requests::default(),
            path_rule: PathRule::default(),
            fastcgi_stderr: false,
            backlog: 1024,
            socket_mode: None,
            module: None,
            wsgi_file: None,
            callable: "application".to_owned(),
            mounts: Vec::new(),
            static_files: StaticSettings::default(),
            need_app: false,
            chdir: ".".into(),
            home: None,
            python_path: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            threads: 1,
            processes: Processes::default(),
            max_connections: 16 * 1024,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            shutdown_delay: Duration::ZERO,
            log_level: LevelFilter::INFO,
            seeing: seeing::Options::default(),
            strict: false,
        }
    }
}

impl Settings {
    /// To be called when all is set: some of it depends on what comes later.
    pub(crate) fn settle(&mut self) {
        for address in std::mem::take(&mut self.sockets) {
            self.listen.extend(Speaks::of_name(&self.protocol).map(|speaks| (speaks, address)));
        }
    }

    /// Every application that is to be served and the prefix of its paths, the one at the root with the prefix `/`.
    pub(crate) fn targets(&self) -> Vec<(String, Target)> {
        let module = self.module.clone().map(Target::Module);
        let root = module.or_else(|| self.wsgi_file.clone().map(|(file, callable)| Target::File(file, callable)));
        root.map(|target| ("/".to_owned(), target)).into_iter().chain(self.mounts.iter().cloned()).collect()
    }

    /// Whether this option may say what is served at the root.
    ///
    /// # Errors
    /// Another says it already.
    pub(super) fn root_is_free_for(&self, option: &str) -> Result<(), String> {
        let taken = [
            ("module", self.module.is_some()),
            ("wsgi-file", self.wsgi_file.is_some()),
            ("mount", self.mounts.iter().any(|(prefix, _)| prefix == "/")),
        ];
        match taken.iter().find(|(other, taken)| *taken && *other != option) {
            Some((other, _)) => Err(format!("{other} says too what is served at /: give one of them")),
            None => Ok(()),
        }
    }
}
