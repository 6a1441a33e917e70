//! Everything that can be set: one table, by which the command line, the environment and configuration files are read, and from which `--help`
//! and `docs/options.md` are made.
//!
//! Keys have uWSGI's names where uWSGI has them. What it has and this program has not is in [`uwsgi`](crate::uwsgi), with the reason.

use std::ffi::OsStr;
use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use wsgi_core::server::{AddressError, ListenAddress, Network, Timeouts};
use wsgi_core::wire::{Limits, PathRule};

/// What the server does, and how.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) action: Action,
    /// Where to listen, and for what; nothing means HTTP at [`DEFAULT_ADDRESS`].
    pub(crate) listen: Vec<(Speaks, ListenAddress)>,
    /// Where to listen for what `protocol` says, until [`settle`](Self::settle) joins them to the others.
    sockets: Vec<ListenAddress>,
    protocol: String,
    /// Who may connect to sockets whose peers are trusted, besides the machine itself.
    pub(crate) allow_from: Vec<Network>,
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
    pub(crate) max_connections: usize,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) log_level: LevelFilter,
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
    fn of_name(name: &str) -> Option<Speaks> {
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
            path_rule: PathRule::default(),
            fastcgi_stderr: false,
            backlog: 1024,
            socket_mode: None,
            module: None,
            wsgi_file: None,
            callable: "application".to_owned(),
            mounts: Vec::new(),
            need_app: false,
            chdir: ".".into(),
            home: None,
            python_path: Vec::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            threads: 1,
            max_connections: 16 * 1024,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            log_level: LevelFilter::INFO,
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
    ///
    /// # Errors
    /// Two for one prefix.
    pub(crate) fn targets(&self) -> Result<Vec<(String, Target)>, String> {
        let root = match (&self.module, &self.wsgi_file) {
            (Some(_), Some(_)) => return Err("--module and --wsgi-file both say what is served at /: give one of them".to_owned()),
            (Some(module), None) => Some(Target::Module(module.clone())),
            (None, Some((file, callable))) => Some(Target::File(file.clone(), callable.clone())),
            (None, None) if self.need_app && self.mounts.is_empty() => {
                return Err("need-app is set, and no application is named: give --module, --wsgi-file or --mount".to_owned());
            }
            (None, None) => None,
        };
        let mut targets: Vec<(String, Target)> = root.map(|target| ("/".to_owned(), target)).into_iter().collect();
        for (prefix, target) in &self.mounts {
            if targets.iter().any(|(other, _)| other == prefix) {
                return Err(format!("more than one application is to be served at {prefix}"));
            }
            targets.push((prefix.clone(), target.clone()));
        }
        Ok(targets)
    }
}

/// One thing that can be set.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) short: Option<char>,
    /// What `--help` calls the value. `None`: there is no value.
    pub(crate) value: Option<&'static str>,
    pub(crate) group: Group,
    /// One sentence. `--help` adds the default.
    pub(crate) help: &'static str,
    /// The value in settings that nobody has touched, as `--help` shows it.
    default: fn(&Settings) -> String,
    /// Takes the value in. The error says what was expected.
    apply: fn(&mut Settings, &OsStr) -> Result<(), String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Listening,
    Application,
    Python,
    Capacity,
    Limits,
    Timeouts,
    Configuration,
    Other,
}

impl Group {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Group::Listening => "Listening",
            Group::Application => "Application",
            Group::Python => "Python",
            Group::Capacity => "Capacity",
            Group::Limits => "Limits on requests",
            Group::Timeouts => "Timeouts, in seconds",
            Group::Configuration => "Configuration files",
            Group::Other => "Other",
        }
    }
}

impl Entry {
    /// The default as `--help` shows it, or nothing.
    pub(crate) fn default_value(&self) -> String {
        (self.default)(&Settings::default())
    }

    /// Every long name, the chief one first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// The entry with this name or alias.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.names().any(|other| other == name))
}

/// The entry with this letter.
pub(crate) fn find_short(letter: char) -> Option<&'static Entry> {
    TABLE.iter().find(|entry| entry.short == Some(letter))
}

/// Takes a value in, whoever gave it. `shown` is how that one wrote the name.
///
/// # Errors
/// A sentence with what was got and what was expected.
pub(crate) fn set(settings: &mut Settings, entry: &Entry, shown: &str, value: &OsStr) -> Result<(), String> {
    (entry.apply)(settings, value).map_err(|expected| format!("{shown} {value:?}: {expected}"))
}

fn listen(settings: &mut Settings, speaks: Speaks, value: &OsStr) -> Result<(), String> {
    address(text(value)?).map(|address| settings.listen.push((speaks, address)))
}

/// An address as the library reads it, or the name of a socket in the current directory, which uWSGI takes too.
fn address(text: &str) -> Result<ListenAddress, String> {
    let is_name = !text.contains(['/', ':']) && (text.ends_with(".sock") || text.ends_with(".socket"));
    if is_name { Ok(ListenAddress::Unix(text.into())) } else { text.parse().map_err(|error: AddressError| error.to_string()) }
}

/// The fields are uWSGI's, of which it has more.
fn listen_https(settings: &mut Settings, value: &OsStr) -> Result<(), String> {
    let value = text(value)?;
    let [address, chain, key] = value.split(',').collect::<Vec<_>>()[..] else {
        return Err(match value.matches(',').count() {
            0 | 1 => HTTPS_EXPECTED.to_owned(),
            _ => format!("{HTTPS_EXPECTED}; ciphers and certificates of clients cannot be set"),
        });
    };
    if chain.is_empty() || key.is_empty() {
        return Err(HTTPS_EXPECTED.to_owned());
    }
    listen(settings, Speaks::Https { chain: chain.into(), key: key.into() }, OsStr::new(address))
}

pub(crate) static TABLE: &[Entry] = &[
    Entry {
        name: "http",
        aliases: &["http-socket", "httprouter"],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer HTTP on HOST:PORT, :PORT, the path of a Unix socket, or fd://N, an inherited descriptor; may be repeated, as may the other sockets",
        default: |_| DEFAULT_ADDRESS.to_owned(),
        apply: |settings, value| listen(settings, Speaks::Http, value),
    },
    Entry {
        name: "https",
        aliases: &["https-socket"],
        short: None,
        value: Some("ADDR,CERT,KEY"),
        group: Group::Listening,
        help: "Answer HTTPS, with a chain of certificates and its key in PEM; a change of the files is noticed",
        default: |_| String::new(),
        apply: listen_https,
    },
    Entry {
        name: "uwsgi-socket",
        aliases: &[],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer the uwsgi protocol, as uwsgi_pass of nginx speaks it",
        default: |_| String::new(),
        apply: |settings, value| listen(settings, Speaks::Uwsgi, value),
    },
    Entry {
        name: "socket",
        aliases: &[],
        short: Some('s'),
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer the uwsgi protocol, or what --protocol says",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.sockets.push(address(text(value)?)?);
            Ok(())
        },
    },
    Entry {
        name: "protocol",
        aliases: &["socket-protocol"],
        short: None,
        value: Some("NAME"),
        group: Group::Listening,
        help: "What is spoken at every --socket: uwsgi, http, fastcgi or scgi",
        default: |settings| settings.protocol.clone(),
        apply: |settings, value| {
            let name = text(value)?;
            Speaks::of_name(name).ok_or("expected uwsgi, http, fastcgi or scgi")?;
            settings.protocol = name.to_owned();
            Ok(())
        },
    },
    Entry {
        name: "fastcgi-socket",
        aliases: &[],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer FastCGI",
        default: |_| String::new(),
        apply: |settings, value| listen(settings, Speaks::FastCgi, value),
    },
    Entry {
        name: "scgi-socket",
        aliases: &[],
        short: None,
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer SCGI",
        default: |_| String::new(),
        apply: |settings, value| listen(settings, Speaks::Scgi, value),
    },
    Entry {
        name: "allow-from",
        aliases: &[],
        short: None,
        value: Some("CIDR"),
        group: Group::Listening,
        help: "Who may connect to uwsgi, FastCGI and SCGI ports besides this machine, such as 10.0.0.0/8: a peer there says who the client is; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.allow_from.push(text(value)?.parse().map_err(|error: wsgi_core::server::NetworkError| error.to_string())?);
            Ok(())
        },
    },
    Entry {
        name: "path-rule",
        aliases: &[],
        short: None,
        value: Some("RULE"),
        group: Group::Listening,
        help: "How SCRIPT_NAME and PATH_INFO are found in what uwsgi, FastCGI and SCGI bring: auto, given, whole or request-uri",
        default: |settings| settings.path_rule.to_string(),
        apply: |settings, value| {
            settings.path_rule = text(value)?.parse().map_err(|error: wsgi_core::wire::UnknownPathRule| error.to_string())?;
            Ok(())
        },
    },
    Entry {
        name: "fastcgi-stderr",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Listening,
        help: "Send what applications write to wsgi.errors, and their tracebacks, to the web server's error log where it asks over FastCGI",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.fastcgi_stderr = true;
            Ok(())
        },
    },
    Entry {
        name: "listen",
        aliases: &["backlog"],
        short: Some('l'),
        value: Some("N"),
        group: Group::Listening,
        help: "How many connections may wait to be accepted; the system may allow fewer",
        default: |settings| settings.backlog.to_string(),
        apply: |settings, value| number(value, 1..=65_535).map(|n| settings.backlog = n),
    },
    Entry {
        name: "chmod-socket",
        aliases: &["chmod"],
        short: Some('C'),
        value: Some("MODE"),
        group: Group::Listening,
        help: "The permissions of Unix sockets, such as 660",
        default: |_| String::new(),
        apply: |settings, value| {
            // The key alone, in a file.
            if value.is_empty() {
                settings.socket_mode = Some(0o666);
                return Ok(());
            }
            let mode = u32::from_str_radix(text(value)?, 8).ok().filter(|mode| *mode <= 0o777);
            settings.socket_mode = Some(mode.ok_or("expected octal permissions such as 660")?);
            Ok(())
        },
    },
    Entry {
        name: "module",
        aliases: &["wsgi"],
        short: Some('w'),
        value: Some("MOD[:CALLABLE]"),
        group: Group::Application,
        help: "Serve a callable of a Python module, such as mysite.wsgi or shop:create_app()",
        default: |_| String::new(),
        apply: |settings, value| text(value).map(|module| settings.module = Some(module.to_owned())),
    },
    Entry {
        name: "wsgi-file",
        aliases: &["file"],
        short: None,
        value: Some("FILE[:CALLABLE]"),
        group: Group::Application,
        help: "Serve a callable of a Python file",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.wsgi_file = Some(match value.to_str() {
                Some(text) => file_and_callable(text),
                None => (path(value)?, None),
            });
            non_empty((), value.is_empty())
        },
    },
    Entry {
        name: "callable",
        aliases: &[],
        short: None,
        value: Some("NAME"),
        group: Group::Application,
        help: "The callable where none is named with the module",
        default: |settings| settings.callable.clone(),
        apply: |settings, value| text(value).map(|name| settings.callable = name.to_owned()),
    },
    Entry {
        name: "mount",
        aliases: &[],
        short: None,
        value: Some("/PREFIX=APP"),
        group: Group::Application,
        help: "Serve MOD[:CALLABLE] or FILE.py[:CALLABLE] for paths under the prefix, which becomes SCRIPT_NAME; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| mount(text(value)?).map(|mount| settings.mounts.push(mount)),
    },
    Entry {
        name: "need-app",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Application,
        help: "Do not start without an application, instead of serving a page that says that the server works",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.need_app = true;
            Ok(())
        },
    },
    Entry {
        name: "chdir",
        aliases: &[],
        short: None,
        value: Some("DIR"),
        group: Group::Python,
        help: "Change to this directory first: modules are searched here, and other relative paths count from here",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|directory| settings.chdir = directory),
    },
    Entry {
        name: "home",
        aliases: &["virtualenv", "venv", "pyhome"],
        short: Some('H'),
        value: Some("DIR"),
        group: Group::Python,
        help: "The virtualenv to use, or the prefix of a Python installation; an activated virtualenv is used without it",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|home| settings.home = Some(home)),
    },
    Entry {
        name: "pythonpath",
        aliases: &["python-path", "pp"],
        short: None,
        value: Some("DIR"),
        group: Group::Python,
        help: "Search modules here before anywhere else; may be repeated, the first is searched first",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|directory| settings.python_path.push(directory)),
    },
    Entry {
        name: "env",
        aliases: &[],
        short: None,
        value: Some("NAME=VALUE"),
        group: Group::Python,
        help: "Set an environment variable before the application is imported; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            let (name, value) = text(value)?.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or("expected NAME=VALUE")?;
            settings.environment.push((name.trim().to_owned(), Some(value.to_owned())));
            Ok(())
        },
    },
    Entry {
        name: "unenv",
        aliases: &[],
        short: None,
        value: Some("NAME"),
        group: Group::Python,
        help: "Take an environment variable away before the application is imported; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            let name = text(value)?;
            if name.contains('=') {
                return Err("expected the name of a variable".to_owned());
            }
            settings.environment.push((name.to_owned(), None));
            Ok(())
        },
    },
    Entry {
        name: "pyargv",
        aliases: &[],
        short: None,
        value: Some("WORDS"),
        group: Group::Python,
        help: "What sys.argv has behind the program's name, words apart by spaces",
        default: |_| String::new(),
        apply: |settings, value| text(value).map(|words| settings.arguments = words.split_whitespace().map(str::to_owned).collect()),
    },
    Entry {
        name: "threads",
        aliases: &[],
        short: None,
        value: Some("N"),
        group: Group::Capacity,
        help: "How many requests run at once, each on a thread of its own",
        default: |settings| settings.threads.to_string(),
        apply: |settings, value| number(value, 1..=4096).map(|n| settings.threads = n),
    },
    Entry {
        name: "max-connections",
        aliases: &[],
        short: None,
        value: Some("N"),
        group: Group::Capacity,
        help: "How many connections may be open; further ones wait to be accepted",
        default: |settings| settings.max_connections.to_string(),
        apply: |settings, value| number(value, 1..=1_000_000).map(|n| settings.max_connections = n),
    },
    Entry {
        name: "limit-post",
        aliases: &[],
        short: None,
        value: Some("BYTES"),
        group: Group::Limits,
        help: "The size of a request's body, 0 for no limit; larger ones are answered with 413",
        default: |settings| settings.limits.body_bytes.unwrap_or(0).to_string(),
        apply: |settings, value| number(value, 0..=u64::MAX).map(|n| settings.limits.body_bytes = Some(n).filter(|n| *n > 0)),
    },
    Entry {
        name: "buffer-size",
        aliases: &[],
        short: Some('b'),
        value: Some("BYTES"),
        group: Group::Limits,
        help: "The size of a request's head; larger ones are answered with 431",
        default: |settings| settings.limits.head_bytes.to_string(),
        apply: |settings, value| number(value, 256..=16 * 1024 * 1024).map(|n| settings.limits.head_bytes = n),
    },
    Entry {
        name: "limit-request-fields",
        aliases: &[],
        short: None,
        value: Some("N"),
        group: Group::Limits,
        help: "The number of header fields in a request; more are answered with 431",
        default: |settings| settings.limits.fields.to_string(),
        apply: |settings, value| number(value, 1..=65_535).map(|n| settings.limits.fields = n),
    },
    Entry {
        name: "head-timeout",
        aliases: &["http-headers-timeout"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "From the first byte of a request to the end of its head",
        default: |settings| in_seconds(settings.timeouts.head),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.head = time),
    },
    Entry {
        name: "body-timeout",
        aliases: &["http-timeout"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For each wait for more of a request's body",
        default: |settings| in_seconds(settings.timeouts.body),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.body = time),
    },
    Entry {
        name: "write-timeout",
        aliases: &["so-send-timeout", "socket-send-timeout", "so-write-timeout", "socket-write-timeout"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For each wait for the client to take more of a reply",
        default: |settings| in_seconds(settings.timeouts.write),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.write = time),
    },
    Entry {
        name: "socket-timeout",
        aliases: &[],
        short: Some('z'),
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "Both of --body-timeout and --write-timeout",
        default: |_| String::new(),
        apply: |settings, value| {
            let time = seconds(value)?;
            settings.timeouts.body = time;
            settings.timeouts.write = time;
            Ok(())
        },
    },
    Entry {
        name: "keep-alive-timeout",
        aliases: &["keep-alive"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "Between the requests of one connection",
        default: |settings| in_seconds(settings.timeouts.idle),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.idle = time),
    },
    Entry {
        name: "http-keepalive",
        aliases: &[],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "The same, as uWSGI has it, where 1 or nothing means that connections are kept, which they always are",
        default: |_| String::new(),
        apply: |settings, value| {
            // The key alone, in a file.
            if !["", "1", "true"].iter().any(|on| value == *on) {
                settings.timeouts.idle = seconds(value)?;
            }
            Ok(())
        },
    },
    Entry {
        name: "graceful-timeout",
        aliases: &["shutdown-timeout"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For requests that run when the server is to end, and then for Python's own threads",
        default: |settings| in_seconds(settings.timeouts.shutdown),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.shutdown = time),
    },
    Entry {
        name: "ini",
        aliases: &[],
        short: None,
        value: Some("FILE[:SECTION]"),
        group: Group::Configuration,
        help: "Read an ini file as uWSGI does, its section [uwsgi] or the one that is named; x.ini alone means --ini x.ini",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "config",
        aliases: &["include"],
        short: None,
        value: Some("FILE"),
        group: Group::Configuration,
        help: "Read a file: TOML if it ends in .toml, else ini; x.toml alone means --config x.toml",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "set-placeholder",
        aliases: &["set-ph"],
        short: None,
        value: Some("NAME=VALUE"),
        group: Group::Configuration,
        help: "Set a variable, which %(NAME) stands for in the value of any option",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "set",
        aliases: &[],
        short: Some('S'),
        value: Some("NAME=VALUE"),
        group: Group::Configuration,
        help: "Set an option, or a variable where there is no option of that name",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "strict",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Configuration,
        help: "Refuse a key that is no option, instead of taking it for a variable",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.strict = true;
            Ok(())
        },
    },
    Entry {
        name: "check",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Configuration,
        help: "Say what would become of every option in a file, with exit code 1 if the server would not start, and end",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::Check;
            Ok(())
        },
    },
    Entry {
        name: "log-level",
        aliases: &[],
        short: None,
        value: Some("LEVEL"),
        group: Group::Other,
        help: "How much to log on standard error: off, error, warn, info, debug or trace",
        default: |settings| settings.log_level.to_string(),
        apply: |settings, value| {
            settings.log_level = text(value)?.parse().map_err(|_| "expected off, error, warn, info, debug or trace")?;
            Ok(())
        },
    },
    Entry {
        name: "help",
        aliases: &[],
        short: Some('h'),
        value: None,
        group: Group::Other,
        help: "Print the options that are needed most; --help all prints all",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::Help;
            Ok(())
        },
    },
    Entry {
        name: "help-all",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Other,
        help: "Print all options, and what becomes of uWSGI's",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::HelpAll;
            Ok(())
        },
    },
    Entry {
        name: "version",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Other,
        help: "Print the version of this program and of the Python that it is linked with",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::Version;
            Ok(())
        },
    },
];

/// For options that have had their effect when the settings are applied: they say what is to be read.
fn done_by_the_grammar(_: &mut Settings, _: &OsStr) -> Result<(), String> {
    Ok(())
}

fn text(value: &OsStr) -> Result<&str, String> {
    value.to_str().ok_or_else(|| "expected UTF-8".to_owned()).and_then(|text| non_empty(text, text.is_empty()))
}

fn path(value: &OsStr) -> Result<PathBuf, String> {
    non_empty(PathBuf::from(value), value.is_empty())
}

fn non_empty<T>(value: T, empty: bool) -> Result<T, String> {
    if empty { Err("expected a value".to_owned()) } else { Ok(value) }
}

fn number<N: FromStr + PartialOrd + Display + Copy>(value: &OsStr, range: RangeInclusive<N>) -> Result<N, String> {
    let number = text(value)?.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("expected a number from {} to {}", range.start(), range.end()))
}

fn seconds(value: &OsStr) -> Result<Duration, String> {
    let seconds = text(value)?.parse().ok().filter(|seconds| (0.001..=LONGEST_TIMEOUT).contains(seconds)).map(Duration::from_secs_f64);
    seconds.ok_or_else(|| format!("expected seconds from 0.001 to {LONGEST_TIMEOUT}"))
}

fn in_seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}

fn mount(text: &str) -> Result<(String, Target), String> {
    let expected = "expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py[:CALLABLE]";
    let (prefix, target) = text.split_once('=').ok_or(expected)?;
    if !prefix.starts_with('/') || target.is_empty() {
        return Err(expected.to_owned());
    }
    let mut prefix = prefix.trim_end_matches('/').to_owned();
    if prefix.is_empty() {
        let _ = write!(prefix, "/");
    }
    // Not what ends in `.wsgi`: that is how Django names the module of each of its projects.
    let (file, callable) = file_and_callable(target);
    let is_file = target.contains('/') || file.extension().is_some_and(|end| end == "py");
    Ok((prefix, if is_file { Target::File(file, callable) } else { Target::Module(target.to_owned()) }))
}

/// `FILE.py:CALLABLE` or `FILE.wsgi:CALLABLE`, or a file alone.
fn file_and_callable(text: &str) -> (PathBuf, Option<String>) {
    match text.rsplit_once(':') {
        Some((file, callable)) if !callable.is_empty() && (file.ends_with(".py") || file.ends_with(".wsgi")) => {
            (file.into(), Some(callable.to_owned()))
        }
        _ => (text.into(), None),
    }
}

/// Where the server listens if nobody says.
pub(crate) const DEFAULT_ADDRESS: &str = "127.0.0.1:8000";

const HTTPS_EXPECTED: &str = "expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY";

/// A year, far below what a deadline can hold.
const LONGEST_TIMEOUT: f64 = 31_536_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(name: &str, value: &str) -> Result<Settings, String> {
        let mut settings = Settings::default();
        set(&mut settings, find(name).expect(name), &format!("--{name}"), OsStr::new(value)).map(|()| settings)
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names: Vec<&str> = TABLE.iter().flat_map(Entry::names).collect();
        let mut letters: Vec<char> = TABLE.iter().filter_map(|entry| entry.short).collect();
        let count = (names.len(), letters.len());
        names.sort_unstable();
        names.dedup();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!((names.len(), letters.len()), count);
    }

    #[test]
    fn entries_of_a_group_stand_together_and_each_is_a_sentence_without_a_full_stop() {
        let mut groups: Vec<Group> = TABLE.iter().map(|entry| entry.group).collect();
        groups.dedup();
        let titles: std::collections::BTreeSet<&str> = groups.iter().map(|group| group.title()).collect();
        assert_eq!(groups.len(), titles.len());
        for entry in TABLE {
            assert!(entry.help.starts_with(char::is_uppercase) && !entry.help.ends_with('.'), "{}", entry.name);
        }
    }

    #[test]
    fn a_default_that_is_shown_is_taken_and_changes_nothing() {
        for entry in TABLE.iter().filter(|entry| !entry.default_value().is_empty() && entry.name != "http") {
            let settings = applied(entry.name, &entry.default_value()).unwrap();
            assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()), "{}", entry.name);
        }
        assert!(DEFAULT_ADDRESS.parse::<ListenAddress>().is_ok());
    }

    #[test]
    fn every_value_changes_something() {
        for (name, value) in [
            ("http", ":80"),
            ("fastcgi-stderr", ""),
            ("https", ":443,a.pem,a.key"),
            ("listen", "5"),
            ("chmod-socket", "0666"),
            ("module", "a"),
            ("wsgi-file", "a.py"),
            ("callable", "app"),
            ("mount", "/a=b"),
            ("chdir", "/"),
            ("home", "/x"),
            ("pythonpath", "lib"),
            ("threads", "8"),
            ("max-connections", "10"),
            ("limit-post", "10"),
            ("buffer-size", "4096"),
            ("limit-request-fields", "10"),
            ("head-timeout", "2.5"),
            ("http-timeout", "7"),
            ("write-timeout", "7"),
            ("keep-alive", "7"),
            ("graceful-timeout", "7"),
            ("log-level", "debug"),
            ("socket", ":1"),
            ("protocol", "http"),
            ("need-app", ""),
            ("env", "A=b"),
            ("unenv", "A"),
            ("pyargv", "a b"),
            ("socket-timeout", "7"),
            ("http-keepalive", "7"),
            ("strict", ""),
            ("check", "x.ini"),
            ("help-all", ""),
            ("help", ""),
            ("version", ""),
        ] {
            let settings = applied(name, value).unwrap();
            assert_ne!(format!("{settings:?}"), format!("{:?}", Settings::default()), "{name}");
        }
        let settings = applied("head-timeout", "2.5").unwrap();
        assert_eq!(settings.timeouts, Timeouts { head: Duration::from_millis(2500), ..Timeouts::default() });
        let https = Speaks::Https { chain: "a.pem".into(), key: "a.key".into() };
        assert_eq!(applied("https", "[::1]:443,a.pem,a.key").unwrap().listen, [(https, "[::1]:443".parse().unwrap())]);
        assert_eq!(applied("chmod-socket", "660").unwrap().socket_mode, Some(0o660));
        assert_eq!(applied("limit-post", "0").unwrap().limits.body_bytes, None);
        assert_eq!(applied("http", "site.sock").unwrap().listen, [(Speaks::Http, ListenAddress::Unix("site.sock".into()))]);
        assert_eq!(applied("chmod-socket", "").unwrap().socket_mode, Some(0o666));
        for on in ["", "1", "true"] {
            assert_eq!(applied("http-keepalive", on).unwrap().timeouts, Timeouts::default());
        }
        assert_eq!(applied("wsgi-file", "a.py:app").unwrap().wsgi_file, Some(("a.py".into(), Some("app".to_owned()))));
        assert_eq!(applied("wsgi-file", "a:b").unwrap().wsgi_file, Some(("a:b".into(), None)));
    }

    #[test]
    fn sockets_speak_what_the_protocol_says_wherever_it_stands() {
        let mut settings = applied("socket", ":1").unwrap();
        set(&mut settings, find("protocol").unwrap(), "--protocol", OsStr::new("http")).unwrap();
        set(&mut settings, find("uwsgi-socket").unwrap(), "--uwsgi-socket", OsStr::new(":2")).unwrap();
        settings.settle();
        assert_eq!(settings.listen, [(Speaks::Uwsgi, ":2".parse().unwrap()), (Speaks::Http, ":1".parse().unwrap())]);
    }

    #[test]
    fn a_wrong_value_is_told_with_what_was_expected() {
        for (name, value, sentence) in [
            ("threads", "many", "--threads \"many\": expected a number from 1 to 4096"),
            ("threads", "0", "--threads \"0\": expected a number from 1 to 4096"),
            ("threads", "-1", "--threads \"-1\": expected a number from 1 to 4096"),
            ("listen", "70000", "--listen \"70000\": expected a number from 1 to 65535"),
            ("head-timeout", "0", "--head-timeout \"0\": expected seconds from 0.001 to 31536000"),
            ("head-timeout", "nan", "--head-timeout \"nan\": expected seconds from 0.001 to 31536000"),
            ("head-timeout", "inf", "--head-timeout \"inf\": expected seconds from 0.001 to 31536000"),
            ("chmod-socket", "888", "--chmod-socket \"888\": expected octal permissions such as 660"),
            ("chmod-socket", "7777", "--chmod-socket \"7777\": expected octal permissions such as 660"),
            ("mount", "shop=app", "--mount \"shop=app\": expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py[:CALLABLE]"),
            ("mount", "/shop", "--mount \"/shop\": expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py[:CALLABLE]"),
            ("module", "", "--module \"\": expected a value"),
            ("wsgi-file", "", "--wsgi-file \"\": expected a value"),
            ("protocol", "raw", "--protocol \"raw\": expected uwsgi, http, fastcgi or scgi"),
            ("env", "A", "--env \"A\": expected NAME=VALUE"),
            ("env", "=b", "--env \"=b\": expected NAME=VALUE"),
            ("unenv", "A=b", "--unenv \"A=b\": expected the name of a variable"),
            ("http-keepalive", "x", "--http-keepalive \"x\": expected seconds from 0.001 to 31536000"),
            (
                "https",
                ":443,a.pem",
                "--https \":443,a.pem\": expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY",
            ),
            (
                "https",
                ":443,a.pem,",
                "--https \":443,a.pem,\": expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY",
            ),
            (
                "https",
                ":443,a.pem,a.key,HIGH",
                "--https \":443,a.pem,a.key,HIGH\": expected an address, the file of a certificate and that of its key: ADDR,CERT,KEY; \
                 ciphers and certificates of clients cannot be set",
            ),
            ("home", "", "--home \"\": expected a value"),
            ("log-level", "loud", "--log-level \"loud\": expected off, error, warn, info, debug or trace"),
        ] {
            assert_eq!(applied(name, value).unwrap_err(), sentence);
        }
        assert!(
            applied("http", "8000")
                .unwrap_err()
                .starts_with("--http \"8000\": \"8000\" is not an address to listen on: expected HOST:PORT")
        );
    }

    #[test]
    fn mounts_are_modules_or_files() {
        let module = |name: &str| Target::Module(name.to_owned());
        assert_eq!(mount("/shop/=shop.wsgi:app"), Ok(("/shop".to_owned(), module("shop.wsgi:app"))));
        assert_eq!(mount("/=a"), Ok(("/".to_owned(), module("a"))));
        assert_eq!(mount("/a/b=c=d"), Ok(("/a/b".to_owned(), module("c=d"))));
        assert_eq!(mount("/x=mysite.wsgi"), Ok(("/x".to_owned(), module("mysite.wsgi"))));
        for file in ["app.py", "./app.wsgi", "./app"] {
            assert_eq!(mount(&format!("/x={file}")), Ok(("/x".to_owned(), Target::File(file.into(), None))));
        }
        for file in ["app.py", "./app.wsgi", "/srv/app.py"] {
            let target = Target::File(file.into(), Some("app".to_owned()));
            assert_eq!(mount(&format!("/x={file}:app")), Ok(("/x".to_owned(), target)));
        }
    }

    #[test]
    fn one_application_for_one_prefix() {
        let settings = |given: &[(&str, &str)]| {
            let mut settings = Settings::default();
            for (name, value) in given {
                set(&mut settings, find(name).unwrap(), name, OsStr::new(value)).unwrap();
            }
            settings.targets()
        };
        assert_eq!(settings(&[]), Ok(Vec::new()));
        let prefixes: Vec<String> =
            settings(&[("mount", "/a=x"), ("module", "m"), ("mount", "/b=y.py")]).unwrap().into_iter().map(|(prefix, _)| prefix).collect();
        assert_eq!(prefixes, ["/", "/a", "/b"]);
        assert_eq!(settings(&[("mount", "/a=x"), ("mount", "/a/=y")]).unwrap_err(), "more than one application is to be served at /a");
        assert_eq!(settings(&[("mount", "/=x"), ("module", "y")]).unwrap_err(), "more than one application is to be served at /");
        assert!(settings(&[("module", "x"), ("file", "y")]).unwrap_err().starts_with("--module and --wsgi-file both say"));
    }
}
