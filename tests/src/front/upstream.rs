//! The server behind the web server: `serve`, with the fixture application or another.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Folder, Protocol};
use crate::process::{Process, serve_program};

/// What a web server and the server behind it meet at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Unix socket.
    Unix,
    /// A port on loopback.
    Tcp,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A Unix socket's path.
    Unix(PathBuf),
    /// An address and port.
    Tcp(SocketAddr),
}

/// A running server. Dropping it kills it.
pub struct Upstream {
    process: Process,
    /// Where it listens.
    pub address: Address,
}

impl Upstream {
    /// Starts the fixture application, at the root and at `/mounted`.
    pub fn fixture(protocol: Protocol, address: Address, folder: &Folder) -> Upstream {
        let chdir = apps();
        Upstream::start(
            protocol,
            address,
            folder,
            &["--module", "fixture", "--chdir", chdir.to_str().expect("a path in UTF-8"), "--mount", "/mounted=fixture:application"],
        )
    }

    /// Starts `serve` with one listener, and waits until it listens.
    pub fn start(protocol: Protocol, address: Address, folder: &Folder, arguments: &[&str]) -> Upstream {
        let at = address.to_string();
        let mut process = match std::env::var_os("WSGI_TESTS_UWSGI") {
            Some(program) => uwsgi(Path::new(&program), protocol, &at, arguments),
            None => {
                let mut command = Command::new(serve_program());
                command.args([protocol.option(), &at, "--threads", "8"]).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
                Process::start(command)
            }
        };
        let _ = folder;
        super::web_server::until(
            || match &address {
                Address::Tcp(address) => TcpStream::connect(address).is_ok(),
                Address::Unix(path) => UnixStream::connect(path).is_ok(),
            },
            || process.ended(),
        );
        if let Address::Unix(path) = &address {
            // A web server that was started by root connects as another user.
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).expect("chmod");
        }
        Upstream { process, address }
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
pub fn apps() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("front_apps")
}

/// uWSGI in the place of our server: whether a web server, or ours, is at fault.
fn uwsgi(program: &Path, protocol: Protocol, at: &str, arguments: &[&str]) -> Process {
    let mut command = Command::new(program);
    let option = match protocol {
        Protocol::Http => "--http-socket",
        Protocol::Uwsgi => "--socket",
        Protocol::FastCgi => "--fastcgi-socket",
        Protocol::Scgi => "--scgi-socket",
    };
    command.args([option, at, "--threads", "8", "--die-on-term", "--buffer-size", "32768", "--manage-script-name", "--need-app"]);
    command.args(arguments.iter().map(|argument| argument.replace("fixture:application", "fixture.py")));
    Process::start(command)
}
