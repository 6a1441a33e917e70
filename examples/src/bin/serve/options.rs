//! Everything that can be set: one table, from which the command line is read and `--help` is printed.
//!
//! Keys have uWSGI's names where uWSGI has them, so that its other ways to set them (configuration files, environment variables) can be read
//! by the same table: they end in [`set`].

use std::ffi::OsStr;
use std::fmt::{Display, Write as _};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing::level_filters::LevelFilter;
use wsgi_core::access::Destination;
use wsgi_core::server::{ListenAddress, Network, Timeouts};
use wsgi_core::wire::{Limits, PathRule};

use crate::seeing;

/// What the server does, and how.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) action: Action,
    /// Where to listen, and for what; nothing means HTTP at [`DEFAULT_ADDRESS`].
    pub(crate) listen: Vec<(Speaks, ListenAddress)>,
    /// Who may connect to sockets whose peers are trusted, besides the machine itself.
    pub(crate) allow_from: Vec<Network>,
    pub(crate) path_rule: PathRule,
    /// What applications write to `wsgi.errors` goes to the web server, where the protocol is FastCGI.
    pub(crate) fastcgi_stderr: bool,
    pub(crate) backlog: u32,
    pub(crate) socket_mode: Option<u32>,
    pub(crate) module: Option<String>,
    pub(crate) wsgi_file: Option<PathBuf>,
    pub(crate) callable: String,
    pub(crate) mounts: Vec<(String, Target)>,
    pub(crate) chdir: PathBuf,
    pub(crate) home: Option<PathBuf>,
    pub(crate) python_path: Vec<PathBuf>,
    pub(crate) threads: usize,
    pub(crate) max_connections: usize,
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    pub(crate) log_level: LevelFilter,
    pub(crate) seeing: seeing::Options,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Serve,
    Help,
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

/// Where an application is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// `MODULE:CALLABLE`, or `MODULE` for the callable of `--callable`.
    Module(String),
    /// A file, whose callable is that of `--callable`.
    File(PathBuf),
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            action: Action::Serve,
            listen: Vec::new(),
            allow_from: Vec::new(),
            path_rule: PathRule::default(),
            fastcgi_stderr: false,
            backlog: 1024,
            socket_mode: None,
            module: None,
            wsgi_file: None,
            callable: "application".to_owned(),
            mounts: Vec::new(),
            chdir: ".".into(),
            home: None,
            python_path: Vec::new(),
            threads: 1,
            max_connections: 16 * 1024,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            log_level: LevelFilter::INFO,
            seeing: seeing::Options::default(),
        }
    }
}

impl Settings {
    /// Every application that is to be served and the prefix of its paths, the one at the root with the prefix `/`.
    ///
    /// # Errors
    /// Two for one prefix.
    pub(crate) fn targets(&self) -> Result<Vec<(String, Target)>, String> {
        let root = match (&self.module, &self.wsgi_file) {
            (Some(_), Some(_)) => return Err("--module and --wsgi-file both say what is served at /: give one of them".to_owned()),
            (Some(module), None) => Some(Target::Module(module.clone())),
            (None, Some(file)) => Some(Target::File(file.clone())),
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
    Seeing,
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
            Group::Seeing => "Logs and figures",
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
    let address = text(value)?.parse().map_err(|error: wsgi_core::server::AddressError| error.to_string())?;
    settings.listen.push((speaks, address));
    Ok(())
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
        aliases: &["http-socket"],
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
        aliases: &["socket"],
        short: Some('s'),
        value: Some("ADDR"),
        group: Group::Listening,
        help: "Answer the uwsgi protocol, as uwsgi_pass of nginx speaks it",
        default: |_| String::new(),
        apply: |settings, value| listen(settings, Speaks::Uwsgi, value),
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
        short: None,
        value: Some("MODE"),
        group: Group::Listening,
        help: "The permissions of Unix sockets, such as 660",
        default: |_| String::new(),
        apply: |settings, value| {
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
        value: Some("FILE"),
        group: Group::Application,
        help: "Serve a callable of a Python file",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.wsgi_file = Some(file)),
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
        help: "Serve MOD[:CALLABLE] or FILE.py for paths under the prefix, which becomes SCRIPT_NAME; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| mount(text(value)?).map(|mount| settings.mounts.push(mount)),
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
        aliases: &[],
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
        aliases: &[],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For each wait for the client to take more of a reply",
        default: |settings| in_seconds(settings.timeouts.write),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.write = time),
    },
    Entry {
        name: "keep-alive-timeout",
        aliases: &["keep-alive", "http-keepalive"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "Between the requests of one connection",
        default: |settings| in_seconds(settings.timeouts.idle),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.idle = time),
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
        name: "access-log",
        aliases: &["req-logger"],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Log each request to a file, or to standard output if it is -; USR1 opens it anew after it was renamed",
        default: |_| String::new(),
        apply: |settings, value| {
            let file = path(value)?;
            let standard = file.as_os_str() == "-";
            settings.seeing.access_log = Some(if standard { Destination::StandardOutput } else { Destination::File(file) });
            Ok(())
        },
    },
    Entry {
        name: "log-format",
        aliases: &["logformat"],
        short: None,
        value: Some("FORMAT"),
        group: Group::Seeing,
        help: "Log each request: uwsgi, common, combined, json, or a format of your own, such as %(addr) %(uri) %(status) or %h %r %>s",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.format = Some(text(value)?.parse().map_err(|error: wsgi_core::access::FormatError| error.to_string())?);
            Ok(())
        },
    },
    Entry {
        name: "logto",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Log everything to a file, requests included: it becomes standard output and error; USR1 opens it anew",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.seeing.log_to = Some(file)),
    },
    Entry {
        name: "disable-logging",
        aliases: &["disable-log"],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log no requests but those that the options below choose",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.disable = true;
            Ok(())
        },
    },
    Entry {
        name: "log-4xx",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log requests that were answered with 4xx",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.choice.client_errors = true;
            Ok(())
        },
    },
    Entry {
        name: "log-5xx",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log requests that were answered with 5xx, or whose reply was given up",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.choice.server_errors = true;
            Ok(())
        },
    },
    Entry {
        name: "log-slow",
        aliases: &[],
        short: None,
        value: Some("MS"),
        group: Group::Seeing,
        help: "Log requests that took at least so many milliseconds",
        default: |_| String::new(),
        apply: |settings, value| {
            number(value, 1..=86_400_000).map(|millis| settings.seeing.choice.slower_than = Some(Duration::from_millis(millis)))
        },
    },
    Entry {
        name: "log-zero",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log requests whose reply had no body",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.choice.empty = true;
            Ok(())
        },
    },
    Entry {
        name: "log-x-forwarded-for",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log the first address of X-Forwarded-For as the client's; only where a trusted proxy sets it",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.forwarded_for = true;
            Ok(())
        },
    },
    Entry {
        name: "log-req-id",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Give each request an X-Request-ID that has none, and log what applications write to wsgi.errors and sys.stderr with it",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.request_ids = true;
            Ok(())
        },
    },
    Entry {
        name: "stats",
        aliases: &["stats-server"],
        short: None,
        value: Some("ADDR"),
        group: Group::Seeing,
        help: "Tell figures on a port of its own: /metrics for Prometheus, /stats as uWSGI does, /healthz and /readyz; uwsgitop and serve-top read it",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.stats = Some(text(value)?.parse().map_err(|error: wsgi_core::server::AddressError| error.to_string())?);
            Ok(())
        },
    },
    Entry {
        name: "stats-request-start",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Take the time in the queue from X-Request-Start, such as t=1732182358.123; only where a trusted proxy sets it",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.request_start = true;
            Ok(())
        },
    },
    Entry {
        name: "stats-http",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Nothing more: figures are told over HTTP to whoever asks in HTTP",
        default: |_| String::new(),
        apply: |_, _| Ok(()),
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
        help: "Print this",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::Help;
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
    let expected = "expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py";
    let (prefix, target) = text.split_once('=').ok_or(expected)?;
    if !prefix.starts_with('/') || target.is_empty() {
        return Err(expected.to_owned());
    }
    let mut prefix = prefix.trim_end_matches('/').to_owned();
    if prefix.is_empty() {
        let _ = write!(prefix, "/");
    }
    // Not what ends in `.wsgi`: that is how Django names the module of each of its projects.
    let file = target.contains('/') || target.ends_with(".py");
    Ok((prefix, if file { Target::File(target.into()) } else { Target::Module(target.to_owned()) }))
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
            ("access-log", "-"),
            ("log-format", "combined"),
            ("logto", "x.log"),
            ("disable-logging", ""),
            ("log-4xx", ""),
            ("log-5xx", ""),
            ("log-slow", "500"),
            ("log-zero", ""),
            ("log-x-forwarded-for", ""),
            ("stats", ":9191"),
            ("log-req-id", ""),
            ("stats-request-start", ""),
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
            ("mount", "shop=app", "--mount \"shop=app\": expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py"),
            ("mount", "/shop", "--mount \"/shop\": expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py"),
            ("module", "", "--module \"\": expected a value"),
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
            ("log-format", "%(nonsense)", "--log-format \"%(nonsense)\": log format has no variable \"nonsense\""),
            ("log-slow", "0", "--log-slow \"0\": expected a number from 1 to 86400000"),
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
            assert_eq!(mount(&format!("/x={file}")), Ok(("/x".to_owned(), Target::File(file.into()))));
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
