//! Signals to `serve` while it starts and while it stops, when they come at a bad time.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use wsgi_tests::browser::Browser;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, Request};
use wsgi_tests::eventually;
use wsgi_tests::fixture::apps;
use wsgi_tests::process::{Process, lives, send};

/// `serve` with an application that is not imported before the test wants it.
struct Slow {
    process: Process,
    folder: tempfile::TempDir,
}

impl Slow {
    fn start(arguments: &[&str]) -> Slow {
        let folder = tempfile::tempdir().expect("a folder");
        let [socket, pid, log] = ["a.sock", "pid", "access.log"].map(|name| folder.path().join(name).display().to_string());
        let fixed = ["--http=127.0.0.1:0", "--http", &socket, "--pidfile", &pid, "--access-log", &log, "--module=slow_import", "--chdir"];
        let apps = apps();
        let fixed = fixed.into_iter().chain([apps.to_str().expect("a path in UTF-8")]);
        let mut command = Process::serve_command(fixed.chain(arguments.iter().copied()));
        command.env("SLOW_FOLDER", folder.path());
        Slow { process: Process::start(command), folder }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn touch(&self, name: &str) {
        fs::write(self.path(name), "").expect("a file");
    }

    /// The processes that have begun to import, when there are so many.
    fn importing(&self, count: usize) -> Vec<u32> {
        let mut found = Vec::new();
        eventually("the import begins", || {
            let files = fs::read_dir(self.folder.path()).expect("a folder").map(|file| file.expect("a file").file_name());
            let numbers = files.filter_map(|name| name.to_str()?.strip_prefix("importing-")?.parse().ok());
            found = numbers.collect();
            found.len() >= count
        });
        found
    }
}

#[test]
fn a_process_that_imports_ends_at_once_and_in_order_when_it_is_asked_to() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT, Signal::HUP] {
        let slow = Slow::start(&[]);
        slow.importing(1);
        assert!(slow.path("a.sock").exists() && slow.path("pid").exists());
        slow.process.signal(signal);
        let Slow { process, folder } = slow;
        let ended = process.wait();
        assert_eq!(ended.status.code(), Some(0), "{signal:?}: {ended:?}");
        assert!(ended.stderr.contains(": ending before the application is imported"), "{}", ended.stderr);
        gone(folder.path());
    }
}

#[test]
fn the_last_words_of_a_process_that_imports_are_in_every_log() {
    let folder = tempfile::tempdir().unwrap();
    let logs = ["one.log", "two.log"].map(|name| folder.path().join(name));
    let loggers = logs.each_ref().map(|log| format!("--logger=file:{}", log.display()));
    let Slow { process, folder: _folder } = {
        let slow = Slow::start(&loggers.each_ref().map(String::as_str));
        slow.importing(1);
        slow
    };
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
    for log in logs {
        let text = fs::read_to_string(log).unwrap();
        assert!(text.contains("TERM: ending before the application is imported"), "{text}");
    }
}

#[test]
fn signals_that_end_nothing_end_no_process_that_imports() {
    let mut slow = Slow::start(&[]);
    slow.importing(1);
    fs::rename(slow.path("access.log"), slow.path("access.log.1")).unwrap();
    slow.process.signal(Signal::USR1);
    slow.process.line_with("USR1: log files are opened anew");
    slow.process.signal(Signal::USR2);
    slow.process.line_with("USR2: nothing to do in a single process");
    slow.touch("go");
    let address = slow.process.address();
    assert_eq!(Browser::new(address).get("/").text(), slow.process.id().to_string());
    // The application has taken them for itself, which must not keep the server from hearing them.
    slow.process.signal(Signal::USR1);
    slow.process.lines_with("USR1: log files are opened anew", 2);
    slow.process.terminate();
    slow.process.line_with("ending when the running requests are done");
    let Slow { process, folder } = slow;
    assert_eq!(process.wait().status.code(), Some(0));
    assert!(fs::read_to_string(folder.path().join("access.log")).unwrap().contains("GET /"));
}

#[test]
fn a_worker_that_imports_ends_by_no_signal_that_is_for_its_master() {
    let mut slow = Slow::start(&["--master"]);
    let [worker] = slow.importing(1)[..] else { panic!("one worker") };
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2, Signal::INT, Signal::QUIT] {
        send(worker, signal);
    }
    // What is for the master is done, and what it says to the worker is heard when that listens.
    fs::rename(slow.path("access.log"), slow.path("access.log.1")).unwrap();
    slow.process.signal(Signal::USR1);
    slow.process.line_with("USR1: opening logs anew");
    slow.touch("go");
    let address = slow.process.address();
    assert_eq!(Browser::new(address).get("/").text(), worker.to_string());
    eventually("the log is opened anew", || slow.path("access.log").exists());
    // HUP while the next one imports: that one is replaced too, and nobody ends before its time.
    fs::remove_file(slow.path("go")).unwrap();
    slow.process.signal(Signal::HUP);
    let next = slow.importing(2).into_iter().find(|process| *process != worker).unwrap();
    slow.process.signal(Signal::HUP);
    send(next, Signal::HUP);
    slow.process.lines_with("HUP: replacing the workers", 2);
    assert_eq!(Browser::new(address).get("/").text(), worker.to_string());
    slow.touch("go");
    slow.process.line_with("reloaded: 1 worker ready");
    let third = slow.importing(3).into_iter().find(|process| ![worker, next].contains(process)).unwrap();
    eventually("the last one serves alone", || Browser::new(address).get("/").text() == third.to_string());
    assert!(!slow.process.stderr().contains("before it was ready"), "{}", slow.process.stderr());
}

#[test]
fn a_worker_that_is_told_to_end_while_it_imports_is_tried_again() {
    let mut slow = Slow::start(&["--master", "--keep-trying"]);
    let first = slow.importing(1)[0];
    send(first, Signal::TERM);
    slow.process.line_with("ended before it was ready: exit status: 143: trying again");
    slow.touch("go");
    let address = slow.process.address();
    assert_eq!(Browser::new(address).get("/").code(), 200);
}

#[test]
fn a_master_ends_at_once_while_its_workers_import() {
    // The very first.
    let slow = Slow::start(&["--processes=2"]);
    slow.importing(1);
    ends_well(slow);
    // The others.
    let slow = Slow::start(&["--processes=3"]);
    slow.importing(1);
    slow.touch("go");
    eventually("the first one is ready", || Wire::unix(&slow.path("a.sock")).is_ok());
    ends_well(slow);
    // One that is to replace another.
    let mut slow = Slow::start(&["--processes=2"]);
    slow.touch("go");
    slow.process.address();
    fs::remove_file(slow.path("go")).unwrap();
    slow.process.signal(Signal::HUP);
    slow.importing(3);
    ends_well(slow);
}

fn ends_well(slow: Slow) {
    let workers = slow.importing(1);
    slow.process.terminate();
    let Slow { process, folder } = slow;
    let ended = process.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("did not in order"), "{}", ended.stderr);
    assert!(!workers.iter().any(|worker| lives(*worker)), "a worker is left");
    gone(folder.path());
}

fn gone(folder: &Path) {
    for name in ["a.sock", "pid"] {
        assert!(!folder.join(name).exists(), "{name} was left behind");
    }
}

#[test]
fn a_second_signal_cuts_short_what_the_first_one_waits_for_and_a_third_ends_it() {
    for (arguments, signals, code) in [
        (&[][..], &[Signal::TERM, Signal::TERM][..], 0),
        (&["--threads=2"], &[Signal::QUIT], 0),
        (&[], &[Signal::TERM, Signal::INT, Signal::TERM], 143),
    ] {
        let mut slow = Slow::start(arguments);
        slow.touch("go");
        let address = slow.process.address();
        let mut waiting = Wire::tcp(address).unwrap();
        waiting.send(&Request::get("/wait")).unwrap();
        eventually("the application is asked", || slow.path("waiting").exists());
        for (count, signal) in signals.iter().enumerate() {
            slow.process.signal(*signal);
            match count {
                0 if *signal == Signal::TERM => slow.process.line_with("ending when the running requests are done"),
                2 => String::new(),
                _ => slow.process.line_with("cutting short what still runs"),
            };
        }
        let ended = slow.process.wait();
        assert_eq!(ended.status.code(), Some(code), "{signals:?}: {ended:?}");
    }
}
