//! Several machines that serve one application, and one in front of them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::example::Example;
use super::site::{Folder, last};
use super::table::Protocol;
use super::web_server::{Running, WebServer};
use crate::browser::Browser;
use crate::eventually;
use crate::fixture::apps;
use crate::machines::{HERE, Machine};
use crate::process::{Process, children, send};

/// A balancer, and what is behind it.
pub struct Farm<'a> {
    balancer: Running,
    /// Each on its own machine.
    pub servers: Vec<Server<'a>>,
    folder: Folder,
}

/// The command that an example names, on one of the machines.
pub struct Server<'a> {
    /// Where it runs.
    pub machine: &'a Machine,
    /// What says what it does, also for the masters that succeed it.
    pub process: Process,
    command: Vec<OsString>,
    pid_file: PathBuf,
    folder: PathBuf,
}

impl<'a> Farm<'a> {
    /// Starts an example as it stands, but for these changes, in the network of the machines that it names, with the application
    /// `apps/processes.py`. Waits until all of it serves.
    pub fn start(balancer: WebServer, example: &str, changes: &[(&str, &str)], machines: &'a [Machine]) -> Farm<'a> {
        let folder = Folder::new();
        let mut example = Example::read(example);
        for (what, with) in changes {
            example.set(what, with);
        }
        let commands = example.commands();
        let [command] = commands.as_slice() else { panic!("one command for all machines, not {commands:?}") };
        let mut servers: Vec<Server<'_>> = machines.iter().map(|machine| Server::new(machine, command, folder.path())).collect();
        servers.iter_mut().for_each(Server::is_there);
        let addresses = [80, 443].map(|port| SocketAddr::from((HERE, port)));
        let balancer = balancer.start_at(addresses, &mut example, Protocol::Http, &[], &folder);
        let farm = Farm { balancer, servers, folder };
        farm.servers.iter().for_each(|server| farm.wait_for(server));
        farm
    }

    /// Where the balancer answers.
    pub fn address(&self) -> SocketAddr {
        self.balancer.http
    }

    /// Waits until the balancer sends requests to this server, too.
    pub fn wait_for(&self, server: &Server<'_>) {
        let workers = server.workers();
        eventually("the balancer asks a server", || {
            let seen = Browser::new(self.address()).get("/");
            seen.code() == 200 && seen.text().parse().is_ok_and(|worker| workers.contains(&worker))
        });
    }

    /// What was posted, as often as a server has begun with it.
    pub fn orders(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).expect("a folder").map(|file| file.expect("a file").path());
        let files = files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("orders-")));
        files.flat_map(|file| fs::read_to_string(file).expect("a file").lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// What everybody has said lately, for a failing test.
    pub fn said(&self) -> String {
        let behind: String = self.servers.iter().map(|server| server.process.stderr()).collect();
        format!("the balancer said:\n{}\nbehind it was said:\n{}", last(&self.balancer.said()), last(&behind))
    }
}

impl<'a> Server<'a> {
    fn new(machine: &'a Machine, command: &[String], folder: &Path) -> Server<'a> {
        let mut words = command.iter();
        let mut command: Vec<OsString> = Vec::new();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--home" => drop(words.next()),
                "/srv/site" => command.push(apps().into()),
                "mysite.wsgi" => command.push("processes".into()),
                word => command.push(word.replace("10.0.0.11", &machine.address.to_string()).into()),
            }
        }
        let pid_file = folder.join(format!("{}.pid", machine.address));
        command.extend(["--pidfile".into(), pid_file.clone().into()]);
        let process = start(machine, &command, folder);
        Server { machine, process, command, pid_file, folder: folder.to_owned() }
    }

    /// Starts it again when it has ended.
    pub fn start_again(&mut self) {
        // Until somebody has heard of its end, its number is taken.
        eventually("it has ended", || self.process.ended().is_some());
        self.process = start(self.machine, &self.command, &self.folder);
        self.is_there();
    }

    /// Waits until it listens.
    fn is_there(&mut self) {
        self.process.line_with("listening on http://");
    }

    /// The process that signals go to.
    pub fn master(&self) -> u32 {
        fs::read_to_string(&self.pid_file).expect("a PID file").trim().parse().expect("a number")
    }

    /// The processes that answer.
    pub fn workers(&self) -> BTreeSet<u32> {
        children(self.master())
    }

    /// Sends a signal to the master.
    pub fn signal(&self, signal: rustix::process::Signal) {
        send(self.master(), signal);
    }
}

fn start(machine: &Machine, command: &[OsString], folder: &Path) -> Process {
    let mut command = Process::serve_command(command);
    command.env("PROCESSES_FOLDER", folder);
    machine.start(command)
}
