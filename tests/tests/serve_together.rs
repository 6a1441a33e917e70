//! The parts of `serve` in one server, as an ini file asks for them: several processes, proxies, static files, a limit to requests, logs and figures.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use wsgi_tests::DEADLINE;
use wsgi_tests::process::Process;

const APPLICATION: &str = "\
import os
import time


def application(environ, start_response):
    if environ['PATH_INFO'] == '/sleep':
        time.sleep(3600)
    text = f\"{os.getpid()} {environ['REMOTE_ADDR']}\".encode()
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(text)))])
    return [text]
";

struct Site {
    process: Process,
    address: SocketAddr,
    stats: SocketAddr,
    folder: tempfile::TempDir,
}

impl Site {
    /// Two processes with all that an ini file can ask for, and some lines more.
    fn start(more: &str) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("static")).unwrap();
        write("static/site.css", "body { color: black }\n");
        write("app.py", APPLICATION);
        // A port of its own for the figures: the next master has to have the same.
        let stats = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        write(
            "site.ini",
            &format!(
                "[uwsgi]\nchdir = %d\nhttp = 127.0.0.1:0\nwsgi-file = app.py\nmaster = true\nprocesses = 2\nthreads = 2\npidfile = site.pid\n\
                 vacuum = true\ndie-on-term = true\nstatic-map = /static=static\nforwarded-allow-ips = 127.0.0.1\nreq-logger = file:requests.log\n\
                 log-format = %(addr) %(method) %(uri) %(status) %(rsize) %(wid)\nstats = {stats}\n{more}"
            ),
        );
        let mut process = Process::serve([folder.path().join("site.ini")]);
        let address = process.address();
        Site { process, address, stats, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn master(&self) -> i32 {
        fs::read_to_string(self.path("site.pid")).unwrap_or_default().trim().parse().expect("a PID file")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.master()).unwrap(), signal).unwrap();
    }

    fn get(&self, target: &str) -> String {
        get(self.address, target).1
    }

    /// What the port of figures says, which is a moment behind.
    #[track_caller]
    fn figures(&self, target: &str, holds: impl Fn(&str) -> bool) -> String {
        eventually(&format!("the figures of {target}"), || Some(get(self.stats, target).1).filter(|text| holds(text)))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Another master may have taken over. Workers end when their master does.
        if let Ok(master) = fs::read_to_string(self.path("site.pid")).unwrap_or_default().trim().parse() {
            let _ = Pid::from_raw(master).map(|master| kill_process(master, Signal::KILL));
        }
    }
}

/// The status and the body, or nothing where nobody answers.
fn get(address: SocketAddr, target: &str) -> (String, String) {
    let Ok(mut stream) = TcpStream::connect(address) else { return Default::default() };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut reply = String::new();
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\nConnection: close\r\n\r\n");
    let read = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut reply));
    let (head, body) = reply.split_once("\r\n\r\n").filter(|_| read.is_ok()).unwrap_or_default();
    (head.split(' ').nth(1).unwrap_or_default().to_owned(), body.to_owned())
}

#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn line_in(file: &Path, line: &str) {
    eventually(&format!("{line:?} in {file:?}"), || {
        fs::read_to_string(file).ok().filter(|text| text.lines().any(|other| other.starts_with(line)))
    });
}

#[test]
fn requests_of_all_processes_are_in_one_log_with_the_client_that_the_proxy_names() {
    let site = Site::start("");
    assert!(site.get("/a?b=c").ends_with(" 198.51.100.7"));
    assert_eq!(site.get("/static/site.css"), "body { color: black }\n");
    let log = site.path("requests.log");
    line_in(&log, "198.51.100.7 GET /a?b=c 200 ");
    // What is answered without the application is seen too, with what was sent.
    line_in(&log, "198.51.100.7 GET /static/site.css 200 22 ");
    // The files are opened anew by every process.
    fs::rename(&log, site.path("requests.log.1")).unwrap();
    site.signal(Signal::USR1);
    let workers = eventually("new lines of both processes", || {
        site.get("/after");
        let text = fs::read_to_string(&log).unwrap_or_default();
        Some([" 1\n", " 2\n"].iter().all(|worker| text.contains(worker))).filter(|both| *both)
    });
    assert!(workers);
}

#[test]
fn figures_are_those_of_all_processes_and_stay_where_they_are_at_a_reload_and_an_upgrade() {
    let mut site = Site::start("");
    let both = |text: &str| text.matches("respawn_count").count() == 2;
    site.figures("/stats", both);
    assert_eq!(site.figures("/readyz", |text| text == "ready\n"), "ready\n");
    for _ in 0..5 {
        site.get("/counted");
    }
    let count = |text: &str| -> f64 {
        let lines = text.lines().filter(|line| line.starts_with("wsgi_requests_total"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    site.figures("/metrics", |text| count(text) >= 5.0);
    site.signal(Signal::HUP);
    site.process.line_with("reloaded: 2 workers ready");
    site.figures("/readyz", |text| text == "ready\n");
    let first = site.master();
    site.signal(Signal::USR2);
    eventually("the next master has the figures", || Some(()).filter(|()| site.master() != first && both(&get(site.stats, "/stats").1)));
}

/// A process that had nothing left to do was gone before it had said that it stops, and was told of as ready for three more seconds.
#[test]
fn a_process_that_ends_is_told_of_as_one_that_stops() {
    let site = Site::start("graceful-timeout = 60\n");
    // Behind that comes the sum.
    let both = |text: &str, what: &str| text.split("wsgi_sum").next().is_some_and(|each| each.matches(what).count() == 2);
    site.figures("/stats", |text| both(text, "\"ready\": true"));
    // One of them is kept, and the master with it.
    let mut kept = TcpStream::connect(site.address).unwrap();
    kept.write_all(b"GET /sleep HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    site.figures("/stats", |text| text.contains("\"busy\""));
    site.signal(Signal::TERM);
    site.figures("/stats", |text| both(text, "\"stopping\": true"));
    let (status, text) = get(site.stats, "/readyz");
    assert_eq!((status.as_str(), text.as_str()), ("503", "stopping\n"));
}

#[test]
fn a_process_with_a_request_that_does_not_end_is_replaced_before_it_goes() {
    let mut site = Site::start("harakiri = 1\nharakiri-graceful-timeout = 0.5\n");
    assert_eq!(get(site.address, "/sleep").0, "504");
    site.process.line_with("a thread of it does not come back");
    let pids = eventually("both workers are there", || {
        let text = get(site.stats, "/stats").1.replace(' ', "");
        let restarted = text.contains(r#""respawn_count":2"#);
        Some(text).filter(|_| restarted)
    });
    assert!(pids.contains(r#""respawn_count":1"#), "the other one stays: {pids}");
    // All the while there was somebody to answer.
    assert!(site.get("/").ends_with(" 198.51.100.7"));
    site.process.terminate();
    assert!(!site.process.line_with("TERM: ending").is_empty());
}

#[test]
fn a_log_file_takes_everything_and_counts_from_chdir() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("app.py"), APPLICATION).unwrap();
    let stats = folder.path().join("stats.sock");
    let arguments = ["--http", "127.0.0.1:0", "--wsgi-file", "app.py", "--logto", "all.log", "--stats", "stats.sock", "--chdir"];
    let process = Process::serve(arguments.iter().map(std::ffi::OsStr::new).chain([folder.path().as_os_str()]));
    let log = folder.path().join("all.log");
    let listens = eventually("the start is in the log", || {
        let text = fs::read_to_string(&log).ok()?;
        text.lines().find_map(|line| line.strip_prefix("listening on http://")?.strip_suffix('/')?.parse::<SocketAddr>().ok())
    });
    assert!(stats.exists());
    get(listens, "/first");
    eventually("the request is in the log", || fs::read_to_string(&log).ok().filter(|text| text.contains("/first")));
    fs::rename(&log, folder.path().join("old.log")).unwrap();
    process.signal(Signal::USR1);
    eventually("it is there again", || fs::read_to_string(&log).ok().filter(|text| text.contains("USR1: log files are opened anew")));
    get(listens, "/second");
    eventually("the request is in the new log", || fs::read_to_string(&log).ok().filter(|text| text.contains("/second")));
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
}
