//! A container of the image, on this machine: the command of the Dockerfile, with a folder in the place of its file system and free ports in the
//! place of its own.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, Request, Seen, collect};
use wsgi_tests::front::ports;
use wsgi_tests::process::{Process, behind};
use wsgi_tests::venv::PYTHON;

use crate::image::Dockerfile;

/// What is in the place of a container. Dropping it removes its files.
pub(crate) struct Container {
    root: tempfile::TempDir,
    ports: BTreeMap<u16, SocketAddr>,
}

impl Container {
    /// A container with this module as the project's `mysite.wsgi`.
    pub(crate) fn new(application: &str) -> Container {
        let container = Container::empty();
        container.site("/srv/site", application);
        container
    }

    /// One without a project.
    pub(crate) fn empty() -> Container {
        let root = tempfile::tempdir().expect("a folder");
        for folder in ["tmp", "run/site", "marks"] {
            fs::create_dir_all(root.path().join(folder)).expect("a folder");
        }
        Container { root, ports: BTreeMap::new() }
    }

    /// Puts a project with this module as its `mysite.wsgi` into a folder, and a virtualenv.
    pub(crate) fn site(&self, folder: &str, application: &str) {
        self.write(&format!("{folder}/mysite/__init__.py"), "");
        self.write(&format!("{folder}/mysite/wsgi.py"), application);
        self.virtualenv(folder);
    }

    /// Puts a virtualenv into a project's folder.
    pub(crate) fn virtualenv(&self, folder: &str) {
        let made = Command::new(PYTHON).args(["-m", "venv", "--without-pip"]).arg(self.path(folder).join("venv")).output();
        let made = made.unwrap_or_else(|error| panic!("{PYTHON}: {error}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Where a path of the container is on this machine.
    pub(crate) fn path(&self, inside: &str) -> PathBuf {
        self.root.path().join(inside.strip_prefix('/').unwrap_or_else(|| panic!("{inside:?} is no absolute path")))
    }

    /// Writes a file of the container.
    pub(crate) fn write(&self, inside: &str, content: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(path, content).expect("a file");
    }

    /// Where a port of the container is on this machine.
    pub(crate) fn port(&mut self, inside: u16) -> SocketAddr {
        *self.ports.entry(inside).or_insert_with(ports::free)
    }

    /// A word of a command, or the value of a setting, as it has to be on this machine.
    pub(crate) fn here(&mut self, word: &str) -> String {
        let place = word.strip_prefix("file:").unwrap_or(word);
        let port = |word: &str| word.strip_prefix("127.0.0.1").unwrap_or(word).strip_prefix(':')?.parse().ok();
        if place.starts_with('/') {
            return format!("{}{}", &word[..word.len() - place.len()], self.path(place).display());
        }
        match port(word) {
            Some(port) => self.port(port).to_string(),
            None => word.to_owned(),
        }
    }

    /// Writes an ini file of the container, with its values as they have to be on this machine.
    pub(crate) fn ini(&mut self, inside: &str, text: &str) {
        let line = |line: &str| match line.split_once(" = ") {
            Some((key, value)) if !key.starts_with(';') => format!("{key} = {}\n", self.here(value)),
            _ => format!("{line}\n"),
        };
        let text: String = text.lines().map(line).collect();
        self.write(inside, &text);
    }

    /// The command of the image with these words in the place of its `CMD`.
    pub(crate) fn command(&mut self, arguments: &[String]) -> Command {
        let words: Vec<String> = Dockerfile::read().entry_point().iter().chain(arguments).map(|word| self.here(word)).collect();
        assert_eq!(words[0], "serve");
        let mut command = Process::serve_command(&words[1..]);
        command.env("TMPDIR", self.path("/tmp")).env("PROCESSES_FOLDER", self.path("/marks"));
        command
    }

    /// Asks at one of its ports; `None` where nobody answers.
    pub(crate) fn get(&mut self, port: u16, target: &str) -> Option<Seen> {
        self.ask(port, &Request::get(target))
    }

    /// The same for any request.
    pub(crate) fn ask(&mut self, port: u16, request: &Request) -> Option<Seen> {
        answer(Wire::tcp(self.port(port)).ok()?, request)
    }
}

/// What a server answers, if it does.
pub(crate) fn answer(mut wire: Wire, request: &Request) -> Option<Seen> {
    wire.send(request).ok()?;
    let seen = collect(&mut wire);
    seen.head.is_some().then_some(seen)
}

/// Waits until a process that was sent TERM has ended, in order. A panic where it would be killed.
pub(crate) fn ends_by_itself(process: &mut Process, killed_at: Instant) {
    let ended = loop {
        match process.ended() {
            Some(ended) => break ended,
            None => assert!(Instant::now() < killed_at, "it had to be killed: {}", process.stderr()),
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(ended.starts_with("exit status: 0;"), "{ended}");
}

/// Whether [`confined`] works here. Where it does not: a line that says why, or a panic in CI.
pub(crate) fn can_confine() -> bool {
    let tried = Command::new("unshare").args(["--mount", "setpriv", "--bounding-set=-all", "true"]).output();
    if tried.is_ok_and(|tried| tried.status.success()) {
        return true;
    }
    let need = "unshare cannot make a namespace of mounts: install util-linux, and be root";
    wsgi_tests::skip(need);
    false
}

/// The same command where nothing can be written to but these folders, and without privileges, even if root starts it.
pub(crate) fn confined(command: &Command, writable: &[PathBuf]) -> Command {
    const SCRIPT: &str = r#"
        set -eu
        mount --make-rprivate /
        keep=
        while [ "$1" != -- ]; do
            mount --bind "$1" "$1"
            keep="$keep $1 "
            shift
        done
        shift
        for point in $(cut -d ' ' -f 5 /proc/self/mountinfo); do
            case "$point" in /proc | /proc/* | /sys | /sys/* | /dev | /dev/*) continue ;; esac
            case "$keep" in *" $point "*) continue ;; esac
            mount -o remount,bind,ro "$point"
        done
        exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all "$@"
    "#;
    let folders = writable.iter().map(|folder| folder.to_str().expect("a path in UTF-8"));
    let words: Vec<&str> = ["unshare", "--mount", "sh", "-c", SCRIPT, "sh"].into_iter().chain(folders).chain(["--"]).collect();
    behind(&words, command)
}

/// An application that writes where frameworks do, and where it should not be able to: it says how long the body was, and what became of a file
/// beside the application.
pub(crate) const WRITES: &str = "\
import os
import tempfile


def application(environ, start_response):
    body = environ['wsgi.input'].read(int(environ['CONTENT_LENGTH']))
    with tempfile.TemporaryFile() as upload:
        upload.write(body)
    try:
        open(os.path.join(os.path.dirname(__file__), 'left-behind'), 'w').close()
        became = 'written'
    except OSError as error:
        became = error.strerror
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [f'{len(body)} {became}'.encode()]
";

/// An application for tests under load.
pub(crate) fn processes() -> String {
    fs::read_to_string(wsgi_tests::fixture::apps().join("processes.py")).expect("a file")
}
