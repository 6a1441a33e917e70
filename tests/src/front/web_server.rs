//! nginx, Apache, lighttpd, HAProxy and Caddy, each as a child process in the foreground, with a configuration of `examples/deploy/`.
//!
//! What a site has to adapt is replaced here, and nothing else: addresses, sockets, folders and the certificate. Each replacement must find
//! its place, so a file and this one cannot drift apart. Around a file that is only a part of a configuration (nginx, Apache) stands the
//! least that makes it whole.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getuid, kill_process_group};

use super::example::Example;
use super::site::{Folder, HOST};
use super::table::Protocol;
use super::upstream::Address;
use super::{installed, path_of, ports};
use crate::DEADLINE;
use crate::process::Process;

/// A web server that Debian packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebServer {
    /// nginx
    Nginx,
    /// Apache's httpd
    Apache,
    /// lighttpd
    Lighttpd,
    /// HAProxy
    HaProxy,
    /// Caddy
    Caddy,
}

impl WebServer {
    /// Whether it is installed, and what the tests need beside it. Where it is not: a line that says what to install, or a panic in CI.
    pub fn installed(self) -> bool {
        let (program, package) = match self {
            WebServer::Nginx => ("nginx", "nginx"),
            WebServer::Apache => ("apache2", "apache2"),
            WebServer::Lighttpd => ("lighttpd", "lighttpd lighttpd-mod-openssl"),
            WebServer::HaProxy => ("haproxy", "haproxy"),
            WebServer::Caddy => ("caddy", "caddy"),
        };
        [(program, package), ("openssl", "openssl"), ("curl", "curl")].iter().all(|(program, package)| installed(program, package))
    }

    /// Starts it with an example, in front of one server or several, and waits until it answers.
    pub(super) fn start(self, example: &mut Example, protocol: Protocol, upstreams: &[Address], folder: &Folder) -> Running {
        self.start_at([ports::free(), ports::free()], example, protocol, upstreams, folder)
    }

    /// The same at these addresses, for HTTP and HTTPS.
    pub(super) fn start_at(
        self,
        [http, https]: [SocketAddr; 2],
        example: &mut Example,
        protocol: Protocol,
        upstreams: &[Address],
        folder: &Folder,
    ) -> Running {
        certificate(folder.path());
        let at = Values { http, https, folder: folder.path(), upstreams, protocol };
        let mut command = match self {
            WebServer::Nginx => nginx(example, &at),
            WebServer::Apache => apache(example, &at),
            WebServer::Lighttpd => lighttpd(example, &at),
            WebServer::HaProxy => haproxy(example, &at),
            WebServer::Caddy => caddy(example, &at),
        };
        // A group of its own, so that no worker outlives a master that was killed.
        command.process_group(0);
        let mut process = Process::start(command);
        until(|| [http, https].iter().all(|address| TcpStream::connect(address).is_ok()), || process.ended());
        let logs = ["error.log", "work/error.log"].map(|name| folder.path().join(name)).to_vec();
        Running { http, https, process: Some(process), logs }
    }
}

/// A web server that runs. Dropping it ends it with its workers.
pub(super) struct Running {
    pub(super) http: SocketAddr,
    pub(super) https: SocketAddr,
    process: Option<Process>,
    logs: Vec<PathBuf>,
}

impl Running {
    pub(super) fn said(&self) -> String {
        let mut said = self.process.as_ref().map(|process| process.stdout() + &process.stderr()).unwrap_or_default();
        for log in &self.logs {
            said += &fs::read_to_string(log).unwrap_or_default();
        }
        said
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        process.terminate();
        let end = Instant::now() + DEADLINE;
        while process.ended().is_none() && Instant::now() < end {
            std::thread::sleep(LOOK_AGAIN);
        }
        // Whoever is left of its group; mostly nobody.
        if let Some(group) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Waits until something is so; a panic at the deadline, or if the program that is to make it so has ended.
pub(super) fn until(mut so: impl FnMut() -> bool, mut ended: impl FnMut() -> Option<String>) {
    let end = Instant::now() + DEADLINE;
    while !so() {
        if let Some(ended) = ended() {
            panic!("it has ended: {ended}");
        }
        assert!(Instant::now() < end, "it does not answer");
        std::thread::sleep(LOOK_AGAIN);
    }
}

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// What a site has to say in its configuration.
struct Values<'a> {
    http: SocketAddr,
    https: SocketAddr,
    folder: &'a Path,
    upstreams: &'a [Address],
    protocol: Protocol,
}

impl Values<'_> {
    fn in_folder(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// The sockets that the files name: one, or `app1.sock` and `app2.sock`.
    fn sockets(&self) -> Vec<(String, &Address)> {
        match self.upstreams {
            [only] => vec![("/run/site/app.sock".to_owned(), only)],
            several => several.iter().enumerate().map(|(i, address)| (format!("/run/site/app{}.sock", i + 1), address)).collect(),
        }
    }
}

/// Whether this process is root's: then a web server gives its work to another user.
pub(super) fn as_root() -> bool {
    getuid().is_root()
}

fn nginx(file: &mut Example, at: &Values) -> Command {
    for (path, address) in at.sockets() {
        file.set_socket(&path, &format!("unix:{path}"), "127.0.0.1:8000", address);
    }
    file.set("listen 80;", &format!("listen {};", at.http));
    file.set("listen 443 ssl;", &format!("listen {} ssl;", at.https));
    site_files(file, at);
    at.write("site.conf", file.text());
    for name in ["uwsgi_params", "fastcgi_params", "scgi_params", "mime.types"] {
        fs::copy(Path::new("/etc/nginx").join(name), at.folder.join(name)).unwrap_or_else(|error| panic!("/etc/nginx/{name}: {error}"));
    }
    let folder = at.folder.display();
    // Root's nginx gives its work to another user, who could not make files here.
    let user = if as_root() { "user root root;" } else { "" };
    let temporary: String =
        ["client_body", "proxy", "uwsgi", "fastcgi", "scgi"].map(|of| format!("{of}_temp_path {folder}/work/{of};\n")).concat();
    let whole = at.write(
        "nginx.conf",
        &format!(
            "daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn; worker_processes 1; {user}
             events {{}}
             http {{ include mime.types; access_log off; {temporary} include site.conf; }}\n"
        ),
    );
    let mut command = program("nginx");
    command.arg("-p").arg(at.folder).arg("-e").arg(at.folder.join("error.log")).arg("-c").arg(whole);
    command
}

fn apache(file: &mut Example, at: &Values) -> Command {
    let scheme = match at.protocol {
        Protocol::Http => "http",
        Protocol::Uwsgi => "uwsgi",
        Protocol::FastCgi => "fcgi",
        Protocol::Scgi => "scgi",
    };
    let mut modules = file.apache_modules();
    for (path, address) in at.sockets() {
        file.set_socket(&path, &format!("unix:{path}|{scheme}://site"), &format!("{scheme}://127.0.0.1:8000"), address);
    }
    file.set("<VirtualHost *:80>", &format!("<VirtualHost {}>", at.http));
    file.set("<VirtualHost *:443>", &format!("<VirtualHost {}>", at.https));
    site_files(file, at);
    at.write("site.conf", file.text());
    // What Debian enables with the package, as far as it matters here, and then what the file says.
    modules.extend(["mpm_event", "authz_core", "alias", "mime", "reqtimeout", "filter", "deflate"].map(str::to_owned));
    let folder = at.folder.display();
    let mut whole = format!(
        "ServerRoot {folder}\nPidFile {folder}/apache.pid\nErrorLog {folder}/error.log\nLogLevel warn\nDefaultRuntimeDir {folder}\n\
         ServerName {HOST}\nTypesConfig /etc/mime.types\nListen {}\nListen {}\n",
        at.http, at.https
    );
    if as_root() {
        whole += "User www-data\nGroup www-data\n";
    }
    let mut loaded = Vec::new();
    while let Some(module) = modules.pop() {
        let path = Path::new("/etc/apache2/mods-available").join(&module).with_extension("load");
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if loaded.contains(&module) {
            continue;
        }
        // As a2enmod does it.
        for line in text.lines() {
            modules.extend(line.strip_prefix("# Depends:").unwrap_or_default().split_whitespace().map(str::to_owned));
        }
        whole = format!("{text}\n{whole}");
        loaded.push(module);
    }
    let whole = at.write("apache.conf", &format!("{whole}\nInclude {folder}/site.conf\n"));
    let mut command = program("apache2");
    command.arg("-DFOREGROUND").arg("-f").arg(whole);
    command
}

fn lighttpd(file: &mut Example, at: &Values) -> Command {
    for (path, address) in at.sockets() {
        file.set_socket(&path, &format!("\"socket\" => \"{path}\""), "\"host\" => \"127.0.0.1\", \"port\" => 8000", address);
    }
    file.set("server.port = 80", &format!("server.bind = \"{}\"\nserver.port = {}", at.http.ip(), at.http.port()));
    file.set("\":443\"", &format!("\"{}\"", at.https));
    file.set("/var/log/lighttpd/error.log", &at.in_folder("work/error.log"));
    file.set("/var/cache/lighttpd/uploads", &at.in_folder("work"));
    site_files(file, at);
    let mut command = program("lighttpd");
    command.arg("-D").arg("-f").arg(at.write("lighttpd.conf", file.text()));
    command
}

fn haproxy(file: &mut Example, at: &Values) -> Command {
    for (path, address) in at.sockets() {
        file.set_socket(&path, &format!("unix@{path}"), "127.0.0.1:8000", address);
    }
    file.set("bind :80", &format!("bind {}", at.http));
    file.set("bind :443", &format!("bind {}", at.https));
    file.set("/dev/log local0", "stdout format raw daemon");
    file.set("/etc/ssl/site.pem", &at.in_folder("site.pem"));
    if !as_root() {
        file.set("    user haproxy\n    group haproxy\n", "");
    }
    let mut command = program("haproxy");
    command.arg("-db").arg("-f").arg(at.write("haproxy.cfg", file.text()));
    command
}

fn caddy(file: &mut Example, at: &Values) -> Command {
    for (path, address) in at.sockets() {
        file.set_socket(&path, &format!("unix/{path}"), "127.0.0.1:8000", address);
    }
    site_files(file, at);
    let whole = format!(
        "{{\n admin off\n auto_https disable_redirects\n default_bind {}\n http_port {}\n https_port {}\n \
         grace_period 1s\n}}\n{}",
        at.http.ip(),
        at.http.port(),
        at.https.port(),
        file.text()
    );
    let mut command = program("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(at.write("Caddyfile", &whole));
    command.env("HOME", at.folder).env("XDG_DATA_HOME", at.folder).env("XDG_CONFIG_HOME", at.folder);
    command
}

/// What the files of all web servers but HAProxy have.
fn site_files(file: &mut Example, at: &Values) {
    file.set("/srv/site/static", &at.in_folder("static"));
    file.set("/etc/ssl/site.pem", &at.in_folder("site.pem"));
    file.set("/etc/ssl/site.key", &at.in_folder("site.key"));
}

fn program(name: &str) -> Command {
    Command::new(path_of(name).expect("it was there a moment ago"))
}

/// A key, and a certificate that it signed itself; the certificate's file also holds the key, as HAProxy wants it.
fn certificate(folder: &Path) {
    let (key, pem) = (folder.join("site.key"), folder.join("site.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={HOST}"), "-addext", &format!("subjectAltName=DNS:{HOST}")])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&pem)
        .output()
        .unwrap_or_else(|error| panic!("openssl: {error}"));
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let read = |path| fs::read_to_string(path).expect("what openssl made");
    let both = read(&pem) + &read(&key);
    fs::write(&pem, both).expect("a file");
    // Web servers read both before they leave root, if they are root.
}
