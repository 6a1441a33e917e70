//! The server behind the web server: the command that an example names, for another application and at another address.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::NamedTempFile;

use super::table::Protocol;
use super::web_server::{as_root, until};
use crate::process::Process;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket's path.
    Unix(PathBuf),
    /// An address and port.
    Tcp(SocketAddr),
}

/// What is served in the place of `mysite.wsgi`.
#[derive(Clone, Debug)]
pub struct App {
    /// The module.
    pub module: &'static str,
    /// In the place of `/srv/site`.
    pub chdir: PathBuf,
    /// In the place of `/srv/site/venv`; without it the option is left out.
    pub home: Option<PathBuf>,
    /// Whether the options stand in an ini file, as those of most sites do.
    pub by_file: bool,
    /// Further options of `serve`.
    pub options: Vec<OsString>,
    /// Environment variables.
    pub environment: Vec<(&'static str, OsString)>,
    /// In the place of `/srv/site/static`.
    pub static_files: Option<PathBuf>,
}

impl App {
    /// The fixture application, at the root and at `/mounted`.
    pub fn fixture() -> App {
        App {
            module: "fixture",
            chdir: folder(),
            home: None,
            by_file: false,
            options: vec!["--mount".into(), "/mounted=fixture:application".into()],
            environment: Vec::new(),
            static_files: None,
        }
    }
}

/// A running server. Dropping it kills it.
pub struct Upstream {
    process: Process,
    _file: Option<NamedTempFile>,
    /// Where it listens.
    pub address: Address,
}

impl Upstream {
    /// Starts the command of an example, given without the program's name, and waits until it listens.
    pub fn start(protocol: Protocol, command: &[String], address: Address, app: &App) -> Upstream {
        let mut arguments: Vec<OsString> = Vec::new();
        let mut words = command.iter();
        while let Some(word) = words.next() {
            match (word.as_str(), &app.home) {
                ("--home", None) => drop(words.next()),
                ("/srv/site/venv", Some(home)) => arguments.push(home.into()),
                ("/srv/site", _) => arguments.push(app.chdir.clone().into()),
                ("mysite.wsgi", _) => arguments.push(app.module.into()),
                // A web server that root has started connects as another user, who is in no group of ours.
                ("--chmod-socket=660", _) if as_root() => arguments.push("--chmod-socket=666".into()),
                (socket, _) if socket.starts_with("/run/site/") => arguments.push(address.to_string().into()),
                _ => arguments.push(word.into()),
            }
        }
        assert_eq!(arguments[0], protocol.option(), "the example speaks another protocol than the table says");
        arguments.extend(app.options.iter().cloned());
        let file = app.by_file.then(|| ini(&arguments));
        let mut command = match (std::env::var_os("WSGI_TESTS_UWSGI"), &file) {
            (Some(program), _) => uwsgi(Path::new(&program), protocol, &arguments),
            (None, Some(file)) => Process::serve_command([file.path()]),
            (None, None) => Process::serve_command(&arguments),
        };
        command.envs(app.environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(command);
        until(
            || match &address {
                Address::Tcp(address) => TcpStream::connect(address).is_ok(),
                Address::Unix(path) => UnixStream::connect(path).is_ok(),
            },
            || process.ended(),
        );
        Upstream { process, _file: file, address }
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.process.stdout() + &self.process.stderr()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Unix(path) => path.display().fmt(f),
            Address::Tcp(address) => address.fmt(f),
        }
    }
}

/// Where the applications of these tests are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("front_apps")
}

/// The same in a file, with `socket` for the uwsgi protocol.
fn ini(arguments: &[OsString]) -> NamedTempFile {
    let mut text = String::from("[uwsgi]");
    for argument in arguments.iter().map(|argument| argument.to_str().expect("UTF-8")) {
        match argument.strip_prefix("--").map(|option| option.split_once('=').unwrap_or((option, ""))) {
            Some(("uwsgi-socket", "")) => text += "\nsocket =",
            Some((option, value)) => text += &format!("\n{option} = {value}"),
            None => text += &format!(" {argument}"),
        }
    }
    let file = tempfile::Builder::new().suffix(".ini").tempfile().expect("a file");
    std::fs::write(file.path(), text).expect("a file that can be written");
    file
}

/// The same with uWSGI, which has most of these options under the same names.
fn uwsgi(program: &Path, protocol: Protocol, arguments: &[OsString]) -> Command {
    let mut command = Command::new(program);
    let option = match protocol {
        Protocol::Http => "--http-socket",
        Protocol::Uwsgi => "--uwsgi-socket",
        Protocol::FastCgi => "--fastcgi-socket",
        Protocol::Scgi => "--scgi-socket",
    };
    command.arg(option).args(&arguments[1..]).args(["--die-on-term", "--buffer-size", "32768", "--manage-script-name", "--need-app"]);
    command
}
