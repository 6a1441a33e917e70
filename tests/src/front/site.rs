//! A web server with what is behind it.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::example::Example;
use super::ports;
use super::relay::Relay;
use super::table::Pair;
use super::upstream::{Address, App, Upstream};
use super::web_server::{Running, WebServer};
use crate::client::Wire;
use crate::column::{Conversation, Request, Seen};

/// What a web server and the server behind it meet at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A Unix socket.
    Unix,
    /// A port on loopback.
    Tcp,
}

/// A site that is to be started.
pub struct Setup<'a> {
    pair: &'a Pair,
    place: Place,
    app: App,
    edits: Vec<(&'a str, &'a str)>,
    relayed: bool,
    behind: Option<Vec<Address>>,
}

impl<'a> Setup<'a> {
    /// The example of a pair, over a Unix socket, with the fixture application behind it.
    pub fn of(pair: &'a Pair) -> Setup<'a> {
        Setup { pair, place: Place::Unix, app: App::fixture(), edits: Vec::new(), relayed: false, behind: None }
    }

    /// Chooses where the two meet.
    pub fn at(mut self, place: Place) -> Setup<'a> {
        self.place = place;
        self
    }

    /// Serves another application.
    pub fn app(mut self, app: App) -> Setup<'a> {
        self.app = app;
        self
    }

    /// Changes the example, as its user might.
    pub fn edit(mut self, what: &'a str, with: &'a str) -> Setup<'a> {
        self.edits.push((what, with));
        self
    }

    /// Puts a relay between the two, which have to meet at a port.
    pub fn relayed(mut self) -> Setup<'a> {
        (self.place, self.relayed) = (Place::Tcp, true);
        self
    }

    /// Puts the web server in front of servers that the test starts itself, in the place of those that the example names.
    pub fn behind(mut self, servers: Vec<Address>) -> Setup<'a> {
        self.behind = Some(servers);
        self
    }

    /// Starts everything, and waits until it answers. A panic if something does not start.
    ///
    /// Ask [`WebServer::installed`] before.
    pub fn start(self) -> Site {
        let folder = Folder::new();
        if let Some(files) = &self.app.static_files {
            fs::remove_dir_all(folder.static_files()).expect("a folder");
            std::os::unix::fs::symlink(files, folder.static_files()).expect("a link");
        }
        let mut example = Example::read(self.pair.config);
        let commands = if self.behind.is_some() { Vec::new() } else { example.commands() };
        let upstreams: Vec<Upstream> = (commands.iter().enumerate())
            .map(|(i, command)| {
                let address = match self.place {
                    Place::Unix => Address::Unix(folder.path().join(format!("app{i}.sock"))),
                    Place::Tcp => Address::Tcp(ports::free()),
                };
                Upstream::start(self.pair.protocol, command, address, &self.app)
            })
            .collect();
        for (what, with) in self.edits {
            example.set(what, with);
        }
        let own = || upstreams.iter().map(|upstream| upstream.address.clone()).collect();
        let mut addresses: Vec<Address> = self.behind.unwrap_or_else(own);
        let relay = self.relayed.then(|| match addresses.as_slice() {
            [Address::Tcp(address)] => Relay::to(*address),
            other => panic!("one address of TCP can be relayed, not {other:?}"),
        });
        if let Some(relay) = &relay {
            addresses = vec![Address::Tcp(relay.address)];
        }
        let front = self.pair.front.start(&mut example, self.pair.protocol, &addresses, &folder);
        Site { front, upstreams, relay, folder }
    }
}

/// A web server with an application behind it. Dropping it ends both.
pub struct Site {
    front: Running,
    /// The servers behind it.
    pub upstreams: Vec<Upstream>,
    relay: Option<Relay>,
    folder: Folder,
}

impl Site {
    /// Where the web server answers HTTP.
    pub fn address(&self) -> SocketAddr {
        self.front.http
    }

    /// Asks over TLS, by curl, and gives the reply's body.
    pub fn curl(&self, target: &str, options: &[&str]) -> String {
        let said = Command::new("curl")
            .args(["--silent", "--show-error", "--insecure", "--max-time", "20", "--connect-to"])
            .arg(format!("{HOST}:443:{}", self.front.https))
            .args(options)
            .arg(format!("https://{HOST}{target}"))
            .output()
            .unwrap_or_else(|error| panic!("curl: {error}"));
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        crate::client::latin1(&said.stdout)
    }

    /// A client.
    pub fn client(&self) -> Wire {
        Wire::tcp(self.address()).unwrap_or_else(|error| panic!("{}: {error}", self.address()))
    }

    /// Sends one request over a connection of its own and reads the reply to its end.
    pub fn ask(&self, request: Request) -> Seen {
        let mut client = self.client();
        client.send(&on_site(request)).unwrap_or_else(|error| panic!("{error}"));
        client.reply()
    }

    /// How many connections the web server has made to the server behind it, which has to be [relayed](Setup::relayed).
    pub fn connections(&self) -> usize {
        self.relay.as_ref().expect("a relay").connections()
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the web server and those behind it have said lately, for a failing check.
    pub fn said(&self) -> String {
        let behind: String = self.upstreams.iter().map(Upstream::said).collect();
        format!("the web server said:\n{}\nbehind it was said:\n{}", last(&self.front.said()), last(&behind))
    }
}

/// The name under which the examples serve their site; a browser on port 80 names no port.
pub const HOST: &str = "site.example";

/// A request to the site.
pub fn on_site(request: Request) -> Request {
    request.field("Host", HOST)
}

/// A folder for one site: sockets, configuration, logs, `static/`, and a certificate. Readable by other users, since web servers that are
/// started by root go on as another.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
        mode(folder.path(), 0o755);
        for (path, bits) in [(folder.static_files(), 0o755), (folder.path().join("work"), 0o777)] {
            fs::create_dir(&path).expect("a folder");
            mode(&path, bits);
        }
        fs::write(folder.static_files().join("file.txt"), "from the web server itself\n").expect("a file");
        folder
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn static_files(&self) -> PathBuf {
        self.path().join("static")
    }
}

/// The last lines of a log.
pub(super) fn last(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// Whether everything is installed that a pair needs; where not, a line that says what to install, or a panic in CI.
pub fn can_start(pair: &Pair) -> bool {
    WebServer::installed(pair.front)
}
