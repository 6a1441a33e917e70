//! Real web servers in front of the real server: each configuration of `examples/deploy/` is started as it stands there, with the few values
//! that belong to a site replaced.
//!
//! - [`table`] says which web server speaks which protocol, and what is to be seen through it: start reading there.
//! - [`web_server`] starts nginx, Apache, lighttpd, HAProxy and Caddy; [`upstream`] the server behind them; [`Site`] both.
//! - [`checks`] is what every pair of web server and protocol is asked, of the application `front_apps/fixture.py`.
//! - [`relay`] counts the connections between the two.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::client::Wire;
use crate::column::{Request, Seen};

pub mod checks;
pub mod ports;
pub mod relay;
pub mod table;
pub mod upstream;
pub mod web_server;

pub use table::{Pair, Protocol};
pub use upstream::{Place, Upstream};
pub use web_server::WebServer;

/// A web server with an application behind it. Dropping it ends both.
pub struct Site {
    front: web_server::Running,
    /// Behind the web server; none where a test starts its own.
    upstream: Option<Upstream>,
    folder: Folder,
}

impl Site {
    /// Starts the fixture application behind a web server.
    ///
    /// A panic if either does not start. Call [`WebServer::installed`] before.
    pub fn start(pair: &Pair, place: Place) -> Site {
        let folder = Folder::new();
        let upstream = Upstream::fixture(pair.protocol, folder.address(place, "app.sock"), &folder);
        let at = upstream.address.clone();
        Site { front: pair.front.start(pair, &[at], &folder), upstream: Some(upstream), folder }
    }

    /// Starts a web server in front of what a test has started in a folder.
    pub fn before(pair: &Pair, upstreams: &[upstream::Address], folder: Folder) -> Site {
        Site { front: pair.front.start(pair, upstreams, &folder), upstream: None, folder }
    }

    /// Where the web server answers HTTP.
    pub fn address(&self) -> SocketAddr {
        self.front.http
    }

    /// Where it answers HTTP over TLS.
    pub fn tls_address(&self) -> SocketAddr {
        self.front.https
    }

    /// The folder of the files that the web server gives out itself.
    pub fn static_folder(&self) -> PathBuf {
        self.folder.path().join("static")
    }

    /// A client.
    pub fn client(&self) -> Wire {
        Wire::tcp(self.address()).unwrap_or_else(|error| panic!("{}: {error}", self.address()))
    }

    /// Sends one request over a connection of its own and reads the reply to its end.
    pub fn ask(&self, request: Request) -> Seen {
        use crate::column::Conversation;
        let mut client = self.client();
        client.send(&on_site(request)).expect("a request that is taken");
        client.reply()
    }

    /// What the web server and the server behind it have said so far, for a failing check.
    pub fn said(&self) -> String {
        let upstream = self.upstream.as_ref().map(Upstream::said).unwrap_or_default();
        format!("the web server said:\n{}\nthe server behind it said:\n{}", last(&self.front.said()), last(&upstream))
    }
}

/// The last lines of a log.
fn last(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

/// The name under which the examples serve their site; a browser on port 80 names no port.
pub const HOST: &str = "site.example";

/// A request to the site.
pub fn on_site(request: Request) -> Request {
    request.field("Host", HOST)
}

/// A folder for one site: sockets, configuration, logs, `static/`, and a certificate. Readable by other users, since web servers that are
/// started by root go on as another.
pub struct Folder(TempDir);

impl Folder {
    /// A panic if it cannot be made.
    pub fn new() -> Folder {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("chmod");
        mode(folder.path(), 0o755);
        for (name, bits) in [("static", 0o755), ("work", 0o777)] {
            let path = folder.path().join(name);
            std::fs::create_dir(&path).expect("a folder");
            mode(&path, bits);
        }
        std::fs::write(folder.path().join("static/file.txt"), "from the web server itself\n").expect("a file");
        Folder(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A new address for a server in this folder.
    pub fn address(&self, place: Place, name: &str) -> upstream::Address {
        match place {
            Place::Unix => upstream::Address::Unix(self.path().join(name)),
            Place::Tcp => upstream::Address::Tcp(ports::free()),
        }
    }
}

impl Default for Folder {
    fn default() -> Self {
        Folder::new()
    }
}
