//! Several processes of `serve` behind one socket: what is lost when they are replaced, killed and ended, and who they are.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use wsgi_tests::DEADLINE;
use wsgi_tests::browser::Browser;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, Request, collect};
use wsgi_tests::eventually;
use wsgi_tests::fixture::apps;
use wsgi_tests::front::ports;
use wsgi_tests::load::{Failure, Load};
use wsgi_tests::process::{Process, behind, build, children, kill, lives, send, serve_program};
use wsgi_tests::skip;

/// `serve` with the application of these tests, a PID file, and a folder that both can write to.
struct Site {
    process: Process,
    folder: tempfile::TempDir,
}

impl Site {
    fn start(arguments: &[&str]) -> Site {
        Site::start_with(arguments, |_, _| {})
    }

    fn start_with(arguments: &[&str], change: impl FnOnce(&mut Command, &Path)) -> Site {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Process::serve_command(common(folder.path()).iter().map(String::as_str).chain(arguments.iter().copied()));
        command.env("PROCESSES_FOLDER", folder.path());
        change(&mut command, folder.path());
        Site { process: Process::start(command), folder }
    }

    fn address(&mut self) -> SocketAddr {
        self.process.address()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).expect("a file");
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.folder.path().join(name)).expect("a file");
    }

    /// The process that the PID file names.
    fn master(&self) -> Option<u32> {
        fs::read_to_string(self.folder.path().join("pid")).ok()?.trim().parse().ok()
    }

    fn signal(&self, signal: Signal) {
        send(self.master().expect("a PID file"), signal);
    }

    fn workers(&self) -> BTreeSet<u32> {
        children(self.master().expect("a PID file"))
    }

    /// Has a new master started, and gives its number.
    fn upgrade(&mut self) -> u32 {
        self.signal(Signal::USR2);
        upgrading(&mut self.process)
    }

    /// What each process that has ended in order has counted: requests that it has begun.
    fn ended(&self) -> Vec<usize> {
        let files = fs::read_dir(self.folder.path()).expect("a folder").map(|file| file.expect("a file").path());
        let marks = files.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ended-")));
        marks.filter_map(|mark| fs::read_to_string(mark).ok()?.parse().ok()).collect()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Another master may have taken over, which is not the child that `Process` ends. Workers end when their master does.
        if let Some(process) = self.master().filter(|process| *process != self.process.id()) {
            kill(process);
        }
    }
}

/// The process that was started to take over.
fn upgrading(process: &mut Process) -> u32 {
    let line = process.line_with(", to take over");
    line.split("process ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).expect("a process id")
}

/// A folder for other names of the program: beside it, since a hard link cannot lead to another file system.
fn elsewhere() -> tempfile::TempDir {
    tempfile::tempdir_in(serve_program().parent().expect("a folder")).expect("a folder")
}

/// The program by another name, relative to the folder.
fn serve_by(name: &str, folder: &Path) -> Process {
    let mut command = Command::new(Path::new(".").join(name));
    command.current_dir(folder);
    command.args(common(folder)).args(["--processes", "2"]).env_remove("PYTHONPATH").env_remove("VIRTUAL_ENV");
    Process::start(command)
}

fn common(folder: &Path) -> Vec<String> {
    let file = folder.join("pid");
    let apps = apps();
    let words = ["--http", "127.0.0.1:0", "--module", "processes", "--chdir", apps.to_str().unwrap(), "--pidfile", file.to_str().unwrap()];
    words.map(str::to_owned).to_vec()
}

fn get(address: SocketAddr, path: &str) -> String {
    Browser::new(address).get(path).text()
}

/// The process that answers a new connection.
fn who(address: SocketAddr) -> u32 {
    get(address, "/").parse().expect("a number")
}

/// Tests with many clients run one at a time: what they ask is whether requests get lost, not how many threads a machine can bear. So do those about
/// descriptors: what one passes to a program, another's programs may inherit.
fn alone() -> MutexGuard<'static, ()> {
    static LOAD: Mutex<()> = Mutex::new(());
    LOAD.lock().unwrap_or_else(PoisonError::into_inner)
}

const CLIENTS: usize = 64;

#[test]
fn several_processes_serve_one_socket_and_end_in_order() {
    let mut site = Site::start(&["--processes", "3"]);
    let address = site.address();
    assert_eq!(site.master(), Some(site.process.id()));
    let workers = site.workers();
    assert_eq!(workers.len(), 3);
    assert!(workers.contains(&who(address)));
    assert_eq!(get(address, "/multiprocess"), "True");
    assert_eq!(get(address, "/stdin"), "/dev/null");
    site.process.terminate();
    eventually("all processes end", || workers.iter().all(|worker| !lives(*worker)));
    eventually("each has run atexit", || site.ended().len() == 3);
    eventually("the PID file goes", || site.master().is_none());
    assert!(Wire::tcp(address).is_err(), "it still listens");
}

#[test]
fn one_process_stays_one_unless_options_ask_for_more() {
    let mut site = Site::start(&[]);
    let address = site.address();
    assert_eq!(who(address), site.process.id());
    assert_eq!(get(address, "/multiprocess"), "False");
    let mut site = Site::start(&["--master"]);
    let address = site.address();
    assert_eq!(site.workers(), BTreeSet::from([who(address)]));
    // The next one runs before this one ends.
    assert_eq!(get(address, "/multiprocess"), "True");
}

#[test]
fn ten_reloads_under_load_lose_nothing() {
    let _alone = alone();
    let mut site = Site::start(&["--processes", "2", "--threads", "2"]);
    let load = Load::start(site.address(), "/sleep/1", CLIENTS);
    let mut before = site.workers();
    for reload in 1..=10 {
        load.wait_for(50);
        site.signal(Signal::HUP);
        site.process.lines_with("reloaded: 2 workers ready", reload);
        let now = site.workers();
        assert!(before.is_disjoint(&now), "{before:?} and {now:?}");
        before = now;
    }
    load.wait_for(50);
    let tally = load.finish();
    assert_eq!(tally.failures, [], "of {}: {}", tally.answered, site.process.stderr());
}

#[test]
fn an_upgrade_under_load_loses_nothing() {
    let _alone = alone();
    let mut site = Site::start(&["--processes", "2", "--threads", "2"]);
    let load = Load::start(site.address(), "/sleep/1", CLIENTS);
    let first = site.process.id();
    let workers = site.workers();
    load.wait_for(100);
    site.signal(Signal::USR2);
    site.process.lines_with("has taken over", 1);
    eventually("the old processes end", || !lives(first) && workers.iter().all(|worker| !lives(*worker)));
    load.wait_for(100);
    let second = site.master().expect("a PID file");
    assert!(second != first && site.workers().len() == 2);
    // And once more, from the one that was started so.
    site.signal(Signal::USR2);
    site.process.lines_with("has taken over", 2);
    eventually("the second master ends", || !lives(second));
    load.wait_for(100);
    let tally = load.finish();
    assert_eq!(tally.failures, [], "of {}: {}", tally.answered, site.process.stderr());
    let third = site.master().expect("a PID file");
    site.signal(Signal::TERM);
    eventually("the third master ends", || !lives(third));
    assert_eq!(site.master(), None);
}

#[test]
fn an_upgrade_that_fails_leaves_the_old_one_as_it_is() {
    let mut site = Site::start(&["--processes", "2"]);
    let address = site.address();
    let workers = site.workers();
    site.write("version", "broken");
    site.signal(Signal::USR2);
    site.process.line_with("ended before it was ready (exit status: 1): this one goes on");
    assert_eq!((site.master(), site.workers()), (Some(site.process.id()), workers.clone()));
    assert!(workers.contains(&who(address)));
    // It can be tried again.
    site.write("version", "2");
    site.signal(Signal::USR2);
    site.process.lines_with("has taken over", 1);
    eventually("the new one serves", || get(address, "/version") == "2");
}

/// It has the sockets too, and nobody would ever accept what comes there.
#[test]
fn a_new_master_that_hangs_is_not_left_behind() {
    let folder = elsewhere();
    let program = folder.path().join("serve");
    fs::hard_link(serve_program(), &program).unwrap();
    let mut process = serve_by("serve", folder.path());
    let address = process.address();
    fs::remove_file(&program).unwrap();
    fs::write(&program, "#!/bin/sh\ntrap '' TERM HUP\nexec sleep 1000\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    process.signal(Signal::USR2);
    let next = upgrading(&mut process);
    eventually("it hangs", || fs::read_to_string(format!("/proc/{next}/comm")).is_ok_and(|name| name == "sleep\n"));
    for said in ["TERM: ending when the running requests are done", "TERM again: cutting short", "TERM again: killing"] {
        process.terminate();
        process.line_with(said);
    }
    assert_eq!(process.wait().status.code(), Some(0));
    let left = lives(next);
    if left {
        send(next, Signal::KILL);
    }
    assert!(!left, "it is left behind");
    eventually("nobody listens", || TcpListener::bind(address).is_ok());
}

#[test]
fn a_new_master_takes_over_from_one_that_has_died() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    let mut site = Site::start(&["--processes", "2", "--http", path.to_str().unwrap()]);
    let address = site.address();
    let workers = site.workers();
    site.write("hold", "");
    let next = site.upgrade();
    site.process.signal(Signal::KILL);
    site.process.lines_with("the master before this one has ended before this one was ready", 1);
    eventually("the PID file names it", || site.master() == Some(next));
    eventually("the old workers end", || workers.iter().all(|worker| !lives(*worker)));
    site.remove("hold");
    let worker = who(address);
    let others = children(next);
    assert!(others.contains(&worker), "{worker} of {others:?}; {}", site.process.stderr());
    send(next, Signal::TERM);
    eventually("it ends, and leaves nothing behind", || !lives(next) && !path.exists() && site.master().is_none());
}

#[test]
fn a_program_that_is_gone_is_told_by_its_name_and_the_workers_are_of_the_old_one() {
    let folder = elsewhere();
    let program = folder.path().join("serve");
    fs::hard_link(serve_program(), &program).unwrap();
    let mut process = serve_by("serve", folder.path());
    let address = process.address();
    fs::remove_file(&program).unwrap();
    process.signal(Signal::USR2);
    let folder = folder.path();
    process.line_with(&format!("no new master can be started, this one goes on: {program:?}, in {folder:?}: No such file or directory"));
    fs::write(&program, "not a program").unwrap();
    process.signal(Signal::USR2);
    process.line_with("Permission denied");
    process.signal(Signal::HUP);
    process.line_with("reloaded: 2 workers ready");
    assert!(children(process.id()).contains(&who(address)));
}

#[test]
fn the_next_master_is_what_its_name_leads_to_by_now() {
    let folder = elsewhere();
    let [one, two, name] = ["one", "two", "serve"].map(|name| folder.path().join(name));
    for version in [&one, &two] {
        fs::hard_link(serve_program(), version).unwrap();
    }
    symlink(&one, &name).unwrap();
    let mut process = serve_by("serve", folder.path());
    process.address();
    fs::remove_file(&name).unwrap();
    symlink(&two, &name).unwrap();
    process.signal(Signal::USR2);
    process.line_with("has taken over");
    let next = upgrading(&mut process);
    let program = fs::read_link(format!("/proc/{next}/exe")).unwrap();
    send(next, Signal::TERM);
    assert_eq!(program, two);
    eventually("it ends", || !lives(next));
}

#[test]
fn processes_that_are_replaced_after_so_many_requests_lose_none() {
    let _alone = alone();
    let mut site = Site::start(&["--processes", "2", "--threads", "2", "--max-requests", "500", "--max-requests-delta", "50"]);
    let load = Load::start(site.address(), "/", CLIENTS);
    site.process.lines_with("it has answered", 4);
    eventually("four have ended in order", || site.ended().len() >= 4);
    load.wait_for(50);
    let tally = load.finish();
    assert_eq!(tally.failures, [], "of {}: {}", tally.answered, site.process.stderr());
    assert!(site.ended().iter().all(|begun| *begun >= 500), "{:?}", site.ended());
}

#[test]
fn a_killed_worker_takes_only_its_own_requests_with_it() {
    let _alone = alone();
    let mut site = Site::start(&["--processes", "2", "--threads", "2"]);
    let load = Load::start(site.address(), "/sleep/1", CLIENTS);
    load.wait_for(200);
    let before = site.workers();
    let killed = *before.first().expect("a worker");
    send(killed, Signal::KILL);
    site.process.line_with(&format!("(process {killed}) died: signal: 9 (SIGKILL)"));
    eventually("another takes its place", || site.workers().len() == 2 && !site.workers().contains(&killed));
    load.wait_for(200);
    let tally = load.finish();
    assert!(tally.failures.len() <= CLIENTS, "{:?}", tally.failures);
    for failure in &tally.failures {
        match failure {
            Failure::Lost(_, by) => assert_eq!(*by, killed.to_string(), "{failure:?}"),
            Failure::Unheard(how) => assert!(how.contains("Reset") || how.contains("Truncated"), "{failure:?}"),
            Failure::Refused => panic!("{failure:?}"),
        }
    }
    assert!(before.iter().filter(|worker| **worker != killed).all(|worker| site.workers().contains(worker)));
}

#[test]
fn the_end_under_load_answers_every_request_that_was_taken_in() {
    let _alone = alone();
    for way in [&[][..], &["--master"], &["--processes=2"]] {
        for over_unix in [false, true] {
            let sockets = tempfile::tempdir().unwrap();
            let socket = sockets.path().join("a.sock");
            // Whoever waits until then does not end in time.
            let options = ["--threads", "2", "--graceful-timeout", "1000", "--http", socket.to_str().unwrap()];
            let mut site = Site::start(&[way, &options].concat());
            let address = site.address();
            let load = if over_unix { Load::unix(&socket, "/sleep/5", CLIENTS) } else { Load::start(address, "/sleep/5", CLIENTS) };
            load.wait_for(200);
            site.process.terminate();
            let mut said = None;
            eventually("the server ends", || {
                said = site.process.ended();
                said.is_some()
            });
            assert!(said.as_ref().is_some_and(|said| said.starts_with("exit status: 0;")), "{said:?}");
            let tally = load.finish();
            // Each client is refused in the end, or finds that the system has let it in where nobody looks any more.
            assert!(!tally.failures.iter().any(|failure| matches!(failure, Failure::Lost(..))), "{:?}", tally.failures);
            let unheard = tally.failures.iter().filter(|failure| matches!(failure, Failure::Unheard(_))).count();
            println!("{way:?}: {} answered, {unheard} connections closed before anybody had accepted them", tally.answered);
            // Each process leaves a mark at its exit.
            let ended = site.ended();
            let processes = if way.contains(&"--processes=2") { 2 } else { 1 };
            assert_eq!((ended.len(), ended.iter().sum::<usize>()), (processes, tally.answered), "{way:?}: {:?}", tally.failures);
            assert!(!socket.exists());
        }
    }
}

/// As in the test before, but nobody finds that the system has let it in where nobody looks any more.
#[test]
fn an_end_that_is_announced_resets_nobody() {
    let _alone = alone();
    for processes in ["1", "2"] {
        let mut site = Site::start(&["--processes", processes, "--threads", "2", "--shutdown-delay", "0.5"]);
        let load = Load::start(site.address(), "/sleep/1", CLIENTS);
        load.wait_for(200);
        let master = site.process.id();
        site.process.terminate();
        eventually("the server ends", || !lives(master));
        let tally = load.finish();
        // None goes on when it was refused.
        assert_eq!(tally.failures, [const { Failure::Refused }; CLIENTS], "{}", site.process.stderr());
        assert_eq!(site.ended().iter().sum::<usize>(), tally.answered);
    }
}

#[test]
fn an_end_that_is_announced_is_told_to_probes_at_once_and_cut_short_by_a_second_signal() {
    for processes in ["1", "2"] {
        let stats = ports::free();
        let stats_address = stats.to_string();
        let mut site = Site::start(&["--processes", processes, "--shutdown-delay", "1000", "--stats", &stats_address]);
        let address = site.address();
        let asked = |path: &str| Browser::new(stats).get(path);
        eventually("it is ready", || asked("/readyz").code() == 200);
        let workers = site.workers();
        site.process.terminate();
        site.process.line_with("TERM: ending in 1000s, for balancers to hear of it");
        assert_eq!((asked("/readyz").code(), asked("/readyz").text().as_str()), (503, "stopping\n"));
        assert_eq!(asked("/healthz").code(), 200);
        // Workers hear of it a little later.
        let closes = || {
            let mut client = Wire::tcp(address).expect("it accepts");
            client.send(&Request::get("/")).unwrap();
            let seen = collect(&mut client);
            assert_eq!(seen.code(), 200);
            seen.field("connection") == Some("close")
        };
        eventually("replies close their connections", || (0..10).all(|_| closes()));
        // Nothing is begun anew, but for what dies.
        if processes == "2" {
            site.signal(Signal::HUP);
            site.process.line_with("HUP: no worker is replaced: this server is ending");
            site.signal(Signal::USR2);
            site.process.line_with("USR2: no new master is started: this one is ending");
            assert_eq!(site.workers(), workers);
            send(*workers.first().unwrap(), Signal::KILL);
            eventually("another takes its place", || site.workers().len() == 2 && site.workers() != workers && (0..10).all(|_| closes()));
        }
        site.process.terminate();
        site.process.line_with("TERM: ending when the running requests are done");
        let mut ended = None;
        eventually("it ends", || {
            ended = site.process.ended();
            ended.is_some()
        });
        assert!(ended.as_ref().is_some_and(|ended| ended.starts_with("exit status: 0;")), "{ended:?}");
    }
}

#[test]
fn figures_that_the_next_master_cannot_tell_are_missed_aloud() {
    let folder = tempfile::tempdir().unwrap();
    let stats = folder.path().join("there/stats.sock");
    fs::create_dir(stats.parent().unwrap()).unwrap();
    let mut site = Site::start(&["--master", "--stats", stats.to_str().unwrap()]);
    site.address();
    fs::remove_dir_all(stats.parent().unwrap()).unwrap();
    site.signal(Signal::USR2);
    site.process.lines_with("has taken over", 1);
    site.process.lines_with("cannot tell figures on", 1);
}

/// Otherwise a probe would hear of the end of the one for as long as its slowest request takes, while the other serves.
#[test]
fn the_next_master_tells_figures_while_the_one_before_still_answers() {
    let stats = ports::free();
    let mut site = Site::start(&["--master", "--threads", "2", "--stats", &stats.to_string()]);
    let mut slow = Wire::tcp(site.address()).unwrap();
    let ready = || {
        // Between the two there is a moment in which nobody tells them.
        let Ok(mut probe) = Wire::tcp(stats) else { return false };
        probe.send(&Request::get("/readyz")).is_ok_and(|()| collect(&mut probe).head.is_some_and(|head| head.code == 200))
    };
    eventually("the first one is ready", ready);
    let first = site.process.id();
    slow.send(&Request::get("/wait-for/go")).unwrap();
    site.signal(Signal::USR2);
    site.process.lines_with("has taken over", 1);
    eventually("the next one is ready", ready);
    assert!(lives(first) && site.master() != Some(first));
    site.write("go", "");
    assert_eq!(collect(&mut slow).code(), 200);
    eventually("the first one ends", || !lives(first));
    assert!(ready(), "{}", site.process.stderr());
}

#[test]
fn quit_does_not_announce_anything() {
    for processes in ["1", "2"] {
        let mut site = Site::start(&["--processes", processes, "--shutdown-delay", "1000"]);
        site.address();
        site.process.signal(Signal::QUIT);
        site.process.line_with("cutting short what still runs");
        let process = site.process.id();
        eventually("it ends", || !lives(process));
    }
}

#[test]
fn a_first_process_that_fails_is_told_once_and_ends_it_all() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("version"), "broken").unwrap();
    let mut command = Process::serve_command(common(folder.path()).iter().map(String::as_str).chain(["--processes", "4"]));
    command.env("PROCESSES_FOLDER", folder.path());
    let ended = Process::start(command).wait();
    assert_eq!(ended.status.code(), Some(1));
    assert_eq!(ended.stderr.matches("Traceback (most recent call last)").count(), 1, "{}", ended.stderr);
    assert!(ended.stderr.lines().last().is_some_and(|line| line.starts_with("serve: cannot import")), "{}", ended.stderr);
    assert!(!folder.path().join("pid").exists());
    // A killed one says nothing itself.
    let ended = Process::serve(["--processes", "2", "--http", "127.0.0.1:0", "--home", "/no/such/home"]).wait();
    assert_eq!((ended.status.code(), ended.stderr.lines().count()), (Some(2), 1), "{}", ended.stderr);
}

#[test]
fn a_first_process_that_takes_long_does_not_hold_up_the_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("slow.py"), "import time\ntime.sleep(100)\n").unwrap();
    let file = folder.path().join("pid");
    let process = Process::serve([
        "--http=127.0.0.1:0",
        "--module=slow",
        "--processes=2",
        "--chdir",
        folder.path().to_str().unwrap(),
        "--pidfile",
        file.to_str().unwrap(),
    ]);
    let master = process.id();
    eventually("a worker is there", || !children(master).is_empty());
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
    assert!(!file.exists());
}

#[test]
fn one_that_keeps_trying_starts_when_it_can() {
    let mut site =
        Site::start_with(&["--processes", "2", "--keep-trying"], |_, folder| fs::write(folder.join("version"), "broken").unwrap());
    site.process.lines_with("ended before it was ready: exit status: 1: trying again", 2);
    site.write("version", "1");
    let address = site.address();
    assert_eq!((get(address, "/version").as_str(), site.workers().len()), ("1", 2));
}

#[test]
fn a_worker_that_cannot_be_replaced_is_tried_again_while_others_serve() {
    let mut site = Site::start(&["--processes", "2"]);
    let address = site.address();
    site.write("version", "broken");
    let killed = *site.workers().first().unwrap();
    send(killed, Signal::KILL);
    site.process.lines_with("ended before it was ready: exit status: 1", 2);
    assert_eq!(get(address, "/version"), "1");
    site.write("version", "2");
    eventually("there are two again", || site.workers().len() == 2 && (0..20).any(|_| get(address, "/version") == "2"));
}

#[test]
fn a_reload_that_fails_keeps_the_old_workers_and_the_next_one_may_succeed() {
    let mut site = Site::start(&["--processes", "2"]);
    let address = site.address();
    let workers = site.workers();
    site.write("version", "broken");
    site.signal(Signal::HUP);
    site.process.line_with("ended before it was ready (exit status: 1): the workers stay as they were");
    assert_eq!((site.workers(), get(address, "/version").as_str()), (workers, "1"));
    site.write("version", "2");
    site.signal(Signal::HUP);
    site.process.line_with("reloaded: 2 workers ready");
    assert_eq!(get(address, "/version"), "2");
}

#[test]
fn a_touched_file_a_changed_module_and_a_new_mark_in_time_reload() {
    let folder = tempfile::tempdir().unwrap();
    let touched = folder.path().join("touched");
    let mut site = Site::start(&["--touch-reload", touched.to_str().unwrap()]);
    let address = site.address();
    let first = who(address);
    fs::write(&touched, "").unwrap();
    site.process.line_with("was touched: replacing the workers one after the other");
    site.process.line_with("reloaded: 1 worker ready");
    assert_ne!(who(address), first);

    let source = |text: &str| {
        let text = format!("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{text}']\n");
        fs::write(folder.path().join("changing.py"), text).unwrap();
    };
    source("one");
    // Looked at before the other, by its name.
    let ignored = folder.path().join("a_generated.py");
    fs::write(&ignored, "").unwrap();
    fs::write(folder.path().join("both.py"), "import a_generated\nfrom changing import application\n").unwrap();
    let arguments = ["--http", "127.0.0.1:0", "--module", "both", "--chdir", folder.path().to_str().unwrap(), "--py-autoreload", "0.1"];
    let mut process = Process::serve(arguments.iter().chain(&["--py-auto-reload-ignore", "a_generated"]));
    let address = process.address();
    assert_eq!(get(address, "/"), "one");
    fs::write(&ignored, "changed = True\n").unwrap();
    source("another");
    process.line_with("changing.py\" has changed");
    process.line_with("reloaded: 1 worker ready");
    assert_eq!(get(address, "/"), "another");
    // What cannot be imported is not served, and the next change is noticed.
    fs::write(folder.path().join("changing.py"), "import").unwrap();
    process.line_with("the workers stay as they were");
    assert_eq!(get(address, "/"), "another");
    source("a third");
    process.lines_with("reloaded: 1 worker ready", 2);
    assert_eq!(get(address, "/"), "a third");
    assert!(!process.stderr().contains("a_generated"), "{}", process.stderr());
}

/// Whoever takes the rate of a sum of counters must never see it fall, and no series may be there twice.
#[test]
fn what_was_counted_stays_counted_when_workers_are_replaced() {
    let mut site = Site::start(&["--processes", "2", "--stats", "127.0.0.1:0"]);
    let address = site.address();
    let line = site.process.line_with("figures on ");
    let stats: SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
    let metrics = || {
        let text = get(stats, "/metrics");
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        let series: Vec<(String, f64)> = lines.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect();
        let names: BTreeSet<&String> = series.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), series.len(), "{text}");
        series
    };
    let requests = || -> f64 {
        let each = metrics().into_iter().filter(|(name, _)| name.starts_with("wsgi_requests_total") && name.contains("2xx"));
        each.map(|(_, value)| value).sum()
    };
    let mut asked = 0.0;
    for reload in 1..=2 {
        for _ in 0..10 {
            who(address);
            asked += 1.0;
        }
        site.signal(Signal::HUP);
        site.process.lines_with("reloaded: 2 workers ready", reload);
        assert_eq!(requests(), asked);
    }
    let died = *site.workers().first().unwrap();
    send(died, Signal::KILL);
    eventually("another takes its place", || site.workers().len() == 2 && !site.workers().contains(&died));
    who(address);
    eventually("it has told", || requests() == asked + 1.0);
}

#[test]
fn workers_that_grow_or_grow_old_are_replaced() {
    let mut site = Site::start(&["--processes", "2", "--reload-on-rss", "200"]);
    let address = site.address();
    let big = Browser::new(address).get("/grow/200").text();
    site.process.line_with(&format!("(process {big}) is to be replaced: it holds"));
    eventually("it goes", || !lives(big.parse().unwrap()) && site.workers().len() == 2);

    // Its address space is what it was given, held in memory or not.
    let mut site = Site::start(&["--master"]);
    site.address();
    let pages: u64 =
        fs::read_to_string(format!("/proc/{}/statm", site.workers().first().unwrap())).unwrap().split(' ').next().unwrap().parse().unwrap();
    let mebibytes = (pages * rustix::param::page_size() as u64) >> 20;
    let mut site = Site::start(&["--reload-on-as", &(mebibytes + 200).to_string()]);
    let address = site.address();
    let big = Browser::new(address).get("/grow/400").text();
    site.process.line_with(&format!("(process {big}) is to be replaced: its address space has"));
    eventually("it goes", || !lives(big.parse().unwrap()) && site.workers().len() == 1);

    let mut site = Site::start(&["--max-worker-lifetime", "0.2"]);
    let address = site.address();
    let first = who(address);
    eventually("it goes", || !lives(first));
    assert!(!get(address, "/").is_empty());
}

#[test]
fn workers_end_in_order_when_their_master_is_killed() {
    let mut site = Site::start(&["--processes", "2", "--threads", "2"]);
    let address = site.address();
    let workers = site.workers();
    let mut slow = Wire::tcp(address).unwrap();
    slow.send(&Request::get("/sleep/300")).unwrap();
    eventually("the request is taken in", || TcpListener::bind(address).is_err());
    site.process.signal(Signal::KILL);
    assert_eq!(collect(&mut slow).code(), 200);
    eventually("the workers end", || workers.iter().all(|worker| !lives(*worker)));
    assert_eq!(site.ended().len(), 2);
    eventually("nobody listens", || TcpListener::bind(address).is_ok());
}

#[test]
fn a_worker_that_still_imports_ends_with_its_master() {
    let mut site = Site::start(&["--processes", "2"]);
    let address = site.address();
    site.write("hold", "");
    site.signal(Signal::HUP);
    eventually("a third begins", || site.workers().len() == 3);
    let workers = site.workers();
    site.process.signal(Signal::KILL);
    eventually("all end", || workers.iter().all(|worker| !lives(*worker)));
    assert!(TcpListener::bind(address).is_ok(), "somebody listens");
}

/// Whoever reads the log may go with the master, and what a worker then says must not end the thread that says it.
#[test]
fn workers_end_in_order_when_nobody_reads_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Process::serve_command(common(folder.path()).iter().map(String::as_str).chain(["--processes", "2"]));
    command.env("PROCESSES_FOLDER", folder.path()).stdin(Stdio::null()).stderr(Stdio::piped());
    let mut master = command.spawn().unwrap();
    let mut lines = BufReader::new(master.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("listening on")));
    let workers = children(master.id());
    assert_eq!(workers.len(), 2);
    drop(lines);
    master.kill().unwrap();
    master.wait().unwrap();
    eventually("the workers end", || workers.iter().all(|worker| !lives(*worker)));
    for worker in workers {
        assert!(folder.path().join(format!("ended-{worker}")).exists(), "{worker} has not run atexit");
    }
}

#[test]
fn a_worker_that_is_told_to_end_is_replaced_first() {
    let mut site = Site::start(&["--processes", "2"]);
    let address = site.address();
    let first = *site.workers().first().unwrap();
    send(first, Signal::INT);
    send(first, Signal::TERM);
    site.process.line_with(&format!("(process {first}) is to be replaced: it was sent TERM"));
    eventually("another has taken its place", || !lives(first) && site.workers().len() == 2);
    assert_eq!(site.ended().len(), 1);
    // Told twice, while nobody can take its place, it ends nevertheless.
    site.write("version", "broken");
    let second = *site.workers().first().unwrap();
    send(second, Signal::TERM);
    site.process.line_with(&format!("(process {second}) is to be replaced: it was sent TERM"));
    send(second, Signal::TERM);
    site.process.line_with(&format!("(process {second}) ends by itself: another takes its place"));
    eventually("it is gone", || !lives(second));
    assert_eq!(get(address, "/version"), "1");
}

/// timeout(1) sends TERM to the whole group, and systemd does by default.
#[test]
fn a_group_that_is_told_to_end_has_nobody_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::serve(common(folder.path()).iter().map(String::as_str).chain(["--processes", "2"]));
    process.address();
    let (master, workers) = (process.id(), children(process.id()));
    // The master hears of its own signal and of what workers say at once. It could not be seen whether they have said it yet.
    send(master, Signal::STOP);
    workers.iter().for_each(|worker| send(*worker, Signal::TERM));
    thread::sleep(Duration::from_millis(300));
    send(master, Signal::TERM);
    send(master, Signal::CONT);
    let ended = process.wait();
    assert!(ended.status.success() && !ended.stderr.contains("is to be replaced"), "{ended:?}");
}

#[test]
fn a_second_signal_hurries_and_quit_does_at_once() {
    for signals in [&[Signal::TERM, Signal::INT][..], &[Signal::QUIT]] {
        let mut site = Site::start(&["--processes", "2", "--threads", "2"]);
        let address = site.address();
        let mut slow = Wire::tcp(address).unwrap();
        // Its worker cannot be ended before; the connection can.
        slow.send(&Request::get("/sleep/1000")).unwrap();
        let mut idle = Wire::tcp(address).unwrap();
        idle.send(&Request::get("/")).unwrap();
        collect(&mut idle);
        for (count, signal) in signals.iter().enumerate() {
            site.process.signal(*signal);
            site.process.lines_with(if count == 0 { "ending when the running requests are done" } else { "cutting short" }, 1);
        }
        site.process.line_with("cutting short what still runs");
        let (master, workers) = (site.process.id(), site.workers());
        eventually("all end", || !lives(master) && workers.iter().all(|worker| !lives(*worker)));
    }
}

#[test]
fn a_pid_file_is_refused_while_its_process_lives() {
    let mut site = Site::start(&["--processes", "2"]);
    site.address();
    let ended = Process::serve(common(site.folder.path())).wait();
    let sentence = format!("says that process {} runs: end it first, or choose another file", site.process.id());
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.stderr.contains(&sentence) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    assert_eq!(site.master(), Some(site.process.id()));
    // One that a crash left behind is no obstacle.
    site.process.signal(Signal::KILL);
    let (folder, first) = (site.folder.path(), site.process.id());
    eventually("it is gone", || !lives(first));
    drop(fs::remove_file(folder.join("never")));
    fs::write(folder.join("pid"), "999999999\n").unwrap();
    let mut again = Process::serve(common(folder));
    again.address();
}

/// `nohup serve &`, and then the terminal is closed.
#[test]
fn a_single_process_that_is_to_outlive_its_terminal_does() {
    let mut command = Command::new("nohup");
    command.arg(serve_program()).args(["--http", "127.0.0.1:0", "--module", "processes", "--chdir", apps().to_str().unwrap()]);
    command.env_remove("PYTHONPATH").env_remove("VIRTUAL_ENV").env("PYTHONDONTWRITEBYTECODE", "1");
    let mut process = Process::start(command);
    let address = process.address();
    process.signal(Signal::HUP);
    process.signal(Signal::USR1);
    process.line_with("USR1: nothing to do");
    assert!(!process.stderr().contains("HUP"), "{}", process.stderr());
    assert_eq!(who(address), process.id());
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
}

/// A line of `INHERITED`, but for what makes two of a kind different.
fn kind(line: &str) -> String {
    match line.split_once(":\t") {
        // Signals from 32 on are the C library's.
        Some((set, mask)) => format!("{set} {:x}", u64::from_str_radix(mask, 16).expect("a set of signals") & 0x7fff_ffff),
        None => line.split('[').next().unwrap_or_default().to_owned(),
    }
}

/// The open files of a shell, and which signals it has not by default.
const INHERITED: &str = "for file in /proc/$$/fd/*; do readlink $file; done; grep -E '^Sig(Blk|Ign)' /proc/self/status";

/// Sockets, pipes between processes, logs: none of it is for what the application starts, and neither is what signals mean here.
#[test]
fn programs_that_an_application_starts_inherit_nothing() {
    let _alone = alone();
    for processes in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let log = format!("file:{}", at("requests"));
        let arguments = [
            "--processes",
            processes,
            "--http",
            &at("a.sock"),
            "--uwsgi-socket",
            "127.0.0.1:0",
            "--stats",
            "127.0.0.1:0",
            "--req-logger",
            &log,
            "--static-map",
            "/static=.",
            "--harakiri",
            "60",
        ];
        let mut site = Site::start_with(&arguments, |command, _| {
            command.env("INHERITED", INHERITED);
        });
        let address = site.address();
        // What the test itself was started with is passed on by everybody.
        let ours = Command::new("sh").args(["-c", INHERITED]).stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap().stdout;
        let kinds = |text: &str| text.lines().map(kind).collect::<Vec<String>>();
        assert_eq!(kinds(&get(address, "/child")), kinds(&String::from_utf8(ours).unwrap()));
    }
}

#[test]
fn a_second_pid_file_names_the_same_process() {
    for processes in ["1", "2"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("second");
        let mut site = Site::start(&["--processes", processes, "--pidfile2", file.to_str().unwrap()]);
        site.address();
        let named = || fs::read_to_string(&file).unwrap().trim().parse().ok();
        assert_eq!((named(), site.master()), (Some(site.process.id()), Some(site.process.id())));
        let ended = Process::serve(["--http", "127.0.0.1:0", "--safe-pidfile2", file.to_str().unwrap()]).wait();
        assert!(ended.stderr.contains(&format!("says that process {} runs", site.process.id())), "{}", ended.stderr);
        if processes == "2" {
            site.signal(Signal::USR2);
            site.process.lines_with("has taken over", 1);
            eventually("the new one is named", || site.master() != Some(site.process.id()) && named() == site.master());
        }
        site.signal(Signal::TERM);
        eventually("both go", || !file.exists() && site.master().is_none());
    }
}

#[test]
fn processes_have_the_names_that_were_asked_for() {
    let mut site = Site::start(&["--processes", "2", "--auto-procname", "--procname-prefix", "site "]);
    site.address();
    let word = |process: u32| fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap().split('\0').next().unwrap().to_owned();
    let names: BTreeSet<String> = site.workers().into_iter().map(word).collect();
    assert_eq!(names, BTreeSet::from(["site serve worker 1".to_owned(), "site serve worker 2".to_owned()]));
    let short = fs::read_to_string(format!("/proc/{}/comm", site.process.id())).unwrap();
    assert_eq!(short.trim_end(), &"site serve master"[..15]);

    let mut site = Site::start(&["--master", "--procname", "shop", "--procname-master", "boss", "--procname-append", " (1)"]);
    site.address();
    assert_eq!(site.workers().into_iter().map(word).collect::<Vec<_>>(), ["shop (1)"]);
    assert_eq!(fs::read_to_string(format!("/proc/{}/comm", site.process.id())).unwrap(), "boss (1)\n");
}

/// The example, which knows no Python: what workers say arrives, and so does what they are told.
#[test]
fn a_program_of_rust_alone_has_workers_too() {
    let mut command = Command::new(build("wsgi-examples", "several_processes"));
    command.arg("127.0.0.1:0");
    let mut process = Process::start(command);
    let address = process.address();
    let workers = children(process.id());
    let hello = get(address, "/");
    let number = hello.strip_prefix("Hello from worker ").and_then(|rest| rest.strip_suffix(" of 2!\n")).expect("a greeting").to_owned();
    process.line_with(&format!("worker {number} has answered 1"));
    process.signal(Signal::USR1);
    // Three processes write them, so that lines may be mixed up.
    eventually("all have heard it", || process.stderr().matches(": logs are opened anew").count() == 3);
    process.signal(Signal::HUP);
    eventually("others take their place", || workers.is_disjoint(&children(process.id())));
    assert_eq!(get(address, "/").len(), hello.len());
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
}

/// What systemd would hear.
fn service_manager(folder: &Path) -> (UnixDatagram, PathBuf) {
    let path = folder.join("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    (manager, path)
}

/// The next word that is not a sign of life, with all its lines.
fn heard(manager: &UnixDatagram) -> Vec<String> {
    loop {
        let mut bytes = [0; 4096];
        let length = manager.recv(&mut bytes).expect("a word in time");
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        if text != "WATCHDOG=1" {
            return text.lines().map(str::to_owned).collect();
        }
    }
}

#[test]
fn the_service_manager_hears_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (manager, path) = service_manager(folder.path());
    let site = Site::start_with(&["--processes", "2"], |command, _| {
        command.env("NOTIFY_SOCKET", &path);
    });
    assert_eq!(heard(&manager), ["READY=1", "STATUS=2 workers"]);
    site.signal(Signal::HUP);
    let reloading = heard(&manager);
    assert!(reloading[0] == "RELOADING=1" && reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
    assert_eq!(heard(&manager), ["READY=1", "STATUS=2 workers"]);
    site.write("version", "broken");
    site.signal(Signal::HUP);
    assert_eq!(heard(&manager)[0], "RELOADING=1");
    assert_eq!(heard(&manager), ["READY=1", "STATUS=2 workers, reload failed"]);
    site.write("version", "1");
    site.signal(Signal::USR2);
    let said = heard(&manager);
    let master = site.master().expect("a PID file");
    assert_eq!(said[..2], [format!("MAINPID={master}"), "READY=1".to_owned()]);
    eventually("the old one ends", || !lives(site.process.id()));
    site.signal(Signal::TERM);
    assert_eq!(heard(&manager)[0], "STOPPING=1");

    // A single process says it too, also that it is alive.
    let mut site = Site::start_with(&[], |command, _| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000");
    });
    assert_eq!(heard(&manager)[0], "READY=1");
    let mut bytes = [0; 100];
    let length = manager.recv(&mut bytes).expect("a sign of life");
    assert_eq!(&bytes[..length], b"WATCHDOG=1");
    site.address();
    site.process.terminate();
    assert_eq!(heard(&manager)[0], "STOPPING=1");
}

#[test]
fn only_the_master_that_is_the_service_speaks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let (manager, path) = service_manager(folder.path());
    let mut site = Site::start_with(&["--master", "--threads", "2"], |command, _| {
        command.env("NOTIFY_SOCKET", &path);
    });
    assert_eq!(heard(&manager)[0], "READY=1");
    let first = site.process.id();
    // One that never becomes it.
    site.write("hold", "");
    let never = site.upgrade();
    eventually("its first worker starts", || !children(never).is_empty());
    send(never, Signal::TERM);
    site.process.line_with("ended before it was ready");
    site.remove("hold");
    // One that is it no more.
    let mut slow = Wire::tcp(site.address()).unwrap();
    site.write("held", "");
    slow.send(&Request::get("/held")).unwrap();
    eventually("a request runs", || site.folder.path().join("begun").exists());
    site.signal(Signal::USR2);
    let said = heard(&manager);
    assert_eq!(said[..2], [format!("MAINPID={}", site.master().expect("a PID file")), "READY=1".to_owned()]);
    send(first, Signal::TERM);
    site.process.lines_with("TERM: ending when the running requests are done", 2);
    site.signal(Signal::HUP);
    assert_eq!(heard(&manager)[0], "RELOADING=1");
    assert_eq!(heard(&manager)[0], "READY=1");
    site.remove("held");
    assert_eq!(collect(&mut slow).code(), 200);
    site.signal(Signal::TERM);
    assert_eq!(heard(&manager)[0], "STOPPING=1");
}

#[test]
fn a_master_is_alive_to_the_service_manager() {
    let folder = tempfile::tempdir().unwrap();
    let (manager, path) = service_manager(folder.path());
    let _site = Site::start_with(&["--master"], |command, _| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000");
    });
    for _ in 0..5 {
        let mut bytes = [0; 100];
        while manager.recv(&mut bytes).expect("a sign of life") != b"WATCHDOG=1".len() {}
    }
}

#[test]
fn it_serves_the_sockets_that_it_was_activated_with() {
    let _alone = alone();
    let [http, uwsgi] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let address = http.local_addr().unwrap();
    for processes in ["1", "2"] {
        // Sent before there is a server.
        let mut early = Wire::tcp(address).unwrap();
        early.send(&Request::get("/")).unwrap();
        let mut command = activated(&http, &uwsgi);
        command.args(["--processes", processes]);
        let mut process = Process::start(command);
        assert_eq!(collect(&mut early).code(), 200);
        assert_eq!(process.address(), address);
        process.line_with(&format!("listening on uwsgi://{}", uwsgi.local_addr().unwrap()));
        process.signal(Signal::HUP);
        if processes == "2" {
            process.line_with("reloaded");
            assert!(!get(address, "/").is_empty());
            process.terminate();
        }
        assert_eq!(process.wait().status.code(), Some(0));
    }
}

/// A command that is given these two sockets as the service manager does it.
fn activated(http: &TcpListener, uwsgi: &TcpListener) -> Command {
    for socket in [http, uwsgi] {
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::empty()).unwrap();
    }
    let mut command = Command::new("bash");
    // By way of numbers that are nobody's, and then by no others than those that are meant.
    let (http, uwsgi) = (http.as_raw_fd(), uwsgi.as_raw_fd());
    let moved = format!("exec 113<&{http} 114<&{uwsgi} {http}<&- {uwsgi}<&-; exec 3<&113 4<&114 113<&- 114<&-");
    let script = format!("{moved}; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:uwsgi; exec \"$@\"");
    command.args(["-c", &script, "bash"]).arg(serve_program()).args(["--module", "processes", "--chdir", apps().to_str().unwrap()]);
    command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env_remove("VIRTUAL_ENV").env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Who connects there would wait for ever, and nobody would know why.
#[test]
fn a_socket_that_it_was_activated_with_and_does_not_serve_is_told_and_closed() {
    let _alone = alone();
    for processes in ["1", "2"] {
        let [http, uwsgi] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let mut command = activated(&http, &uwsgi);
        command.args(["--http", "fd://3", "--processes", processes]).env("INHERITED", INHERITED);
        let mut process = Process::start(command);
        let address = process.address();
        process.line_with("the socket fd://4 (uwsgi), with which this server was started, is not served: no option names it");
        drop((http, uwsgi));
        let text = get(address, "/child");
        assert!(!text.contains("socket:"), "{text}");
    }
}

/// A master that has succeeded another knows of the socket only what it is called.
#[test]
fn a_socket_that_somebody_else_holds_is_as_it_was_when_the_next_master_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("held.sock");
    let unix = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    rustix::io::fcntl_setfd(&unix, rustix::io::FdFlags::empty()).unwrap();
    rustix::io::fcntl_setfd(&tcp, rustix::io::FdFlags::empty()).unwrap();
    let [unix_address, tcp_address] = [unix.as_raw_fd(), tcp.as_raw_fd()].map(|number| format!("fd://{number}"));
    let arguments = ["--http", &unix_address, "--http", &tcp_address, "--master", "--shutdown-delay", "0.1", "--module", "processes"];
    let mut process = Process::serve(arguments.into_iter().chain(["--chdir", apps().to_str().unwrap()]));
    process.line_with("listening on");
    process.signal(Signal::USR2);
    let line = process.lines_with("has taken over", 1).remove(0);
    let next: u32 = line.split("process ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    eventually("the old one ends", || !lives(process.id()));
    send(next, Signal::TERM);
    eventually("the next one ends", || !lives(next));
    assert!(Wire::unix(&path).is_ok(), "its file is gone");
    assert!(Wire::tcp(tcp.local_addr().unwrap()).is_ok(), "it does not hear who connects");
}

#[test]
fn a_user_and_a_group_are_taken_on_behind_the_sockets() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become another user");
    }
    let lines = |status: &str| -> Vec<String> {
        let wanted = |line: &&str| ["Uid:", "Gid:", "Groups:"].iter().any(|name| line.starts_with(name));
        status.lines().filter(wanted).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    };
    for processes in ["1", "2"] {
        let mut site = Site::start(&["--gid", "65534", "--processes", processes]);
        let address = site.address();
        let expected = ["Uid: 0 0 0 0", "Gid: 65534 65534 65534 65534", "Groups: 65534"];
        assert_eq!(lines(&get(address, "/status")), expected);
        assert_eq!(lines(&fs::read_to_string(format!("/proc/{}/status", site.process.id())).unwrap()), expected);

        let mut site = Site::start(&["--gid", "65534", "--add-gid", "4000001", "--add-gid", "7", "--processes", processes]);
        assert_eq!(lines(&get(site.address(), "/status"))[1..], ["Gid: 65534 65534 65534 65534", "Groups: 7 65534 4000001"]);

        let mut site = Site::start(&["--add-gid", "4000001", "--processes", processes]);
        let said = lines(&get(site.address(), "/status"));
        assert!(said[0] == "Uid: 0 0 0 0" && said[2].ends_with(" 4000001"), "{said:?}");

        // Before anything is bound or written.
        let socket = tempfile::tempdir().unwrap();
        let path = socket.path().join("a.sock");
        let mut site = Site::start(&["--immediate-gid", "65534", "--processes", processes, "--http", path.to_str().unwrap()]);
        assert_eq!(lines(&get(site.address(), "/status")), expected);
        let group = |file: &Path| std::os::unix::fs::MetadataExt::gid(&fs::metadata(file).unwrap());
        assert_eq!((group(&path), group(&site.folder.path().join("pid"))), (65534, 65534));
    }
    for option in ["--uid", "--immediate-uid"] {
        let ended = Process::serve(["--http", "127.0.0.1:0", option, "no-such-user"]).wait();
        assert_eq!((ended.status.code(), ended.stderr), (Some(2), format!("serve: {option}: there is no user \"no-such-user\"\n")));
    }

    // Another user has to be able to read Python and the application, which it cannot in somebody's home.
    let allowed = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(serve_program())
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
        && Command::new("setpriv")
            .args(["--reuid=65534", "--clear-groups", "test", "-r"])
            .arg(apps())
            .status()
            .is_ok_and(|status| status.success());
    if !allowed {
        return eprintln!("skipped: user 65534 cannot run {:?}", serve_program());
    }
    let mut site = Site::start_with(&["--uid", "65534", "--gid", "65534", "--processes", "2"], |_, folder| {
        std::os::unix::fs::chown(folder, Some(65534), Some(65534)).unwrap();
    });
    let address = site.address();
    let expected = ["Uid: 65534 65534 65534 65534", "Gid: 65534 65534 65534 65534", "Groups: 65534"];
    assert_eq!(lines(&get(address, "/status")), expected);
    // The next master can no longer be root, and needs nothing that only root may.
    site.signal(Signal::USR2);
    site.process.lines_with("has taken over", 1);
    eventually("the new one serves", || site.master() != Some(site.process.id()) && lines(&get(address, "/status")) == expected);

    // At once: what is made is that user's. Behind the sockets: only the second PID file is made by it.
    for (option, owner) in [("--immediate-uid", 65534), ("--uid", 0)] {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(folder.path(), Some(65534), Some(65534)).unwrap();
        let [socket, second] = ["a.sock", "second"].map(|name| folder.path().join(name));
        let names = [socket.to_str().unwrap(), second.to_str().unwrap()];
        let arguments = [option, "65534", "--processes", "2", "--http", names[0], "--pidfile2", names[1]];
        let mut site = Site::start_with(&arguments, |_, folder| std::os::unix::fs::chown(folder, Some(65534), Some(65534)).unwrap());
        assert_eq!(lines(&get(site.address(), "/status"))[0], expected[0]);
        let owner_of = |file: &Path| std::os::unix::fs::MetadataExt::uid(&fs::metadata(file).unwrap());
        assert_eq!((owner_of(&socket), owner_of(&second)), (owner, 65534), "{option}");
    }
}

/// A Python of pyenv's or uv's lies in somebody's home. The application then missed modules of Python's own, since it is read as another user.
#[test]
fn a_python_that_the_user_cannot_read_is_one_sentence() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("skipped: only root can become another user");
    }
    let private = tempfile::tempdir().unwrap();
    let home = private.path().join("python");
    fs::create_dir_all(home.join("lib")).unwrap();
    let library = Command::new("python3").args(["-c", "import os; print(os.path.dirname(os.__file__), end='')"]).output().unwrap();
    let library = PathBuf::from(String::from_utf8(library.stdout).unwrap());
    std::os::unix::fs::symlink(&library, home.join("lib").join(library.file_name().unwrap())).unwrap();
    fs::set_permissions(private.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let ended = Process::serve(["--http", "127.0.0.1:0", "--home", home.to_str().unwrap(), "--uid", "65534"]).wait();
    let sentence = format!("serve: --uid: this user cannot read the Python in {home:?}: Permission denied (os error 13)\n");
    assert_eq!((ended.status.code(), ended.stderr), (Some(2), sentence));
}

#[test]
fn sockets_are_given_to_whom_they_are_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.sock");
    // Relative, so that it would mean something else elsewhere.
    let (apps, chdir) = (apps(), folder.path().to_str().unwrap());
    let arguments = ["--http=./a.sock", "--chmod-socket=660", "--processes=2", "-w", "processes", "--chdir", chdir, "--pythonpath"];
    let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
    arguments.push(apps.to_str().unwrap().to_owned());
    if rustix::process::geteuid().is_root() {
        arguments.push("--chown-socket=65534:65534".to_owned());
    }
    let mut process = Process::serve(&arguments);
    process.line_with("a.sock");
    let file = fs::metadata(&path).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o660);
    if rustix::process::geteuid().is_root() {
        use std::os::unix::fs::MetadataExt;
        assert_eq!((file.uid(), file.gid()), (65534, 65534));
    }
    let mut client = Wire::unix(&path).unwrap();
    client.send(&Request::get("/")).unwrap();
    assert_eq!(collect(&mut client).code(), 200);
    // The file stays over a reload, goes over to the next master, and is removed at the end.
    process.signal(Signal::HUP);
    process.line_with("reloaded");
    assert!(Wire::unix(&path).is_ok());
    process.signal(Signal::USR2);
    let line = process.lines_with("has taken over", 1).remove(0);
    let next: u32 = line.split("process ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    let first = process.id();
    eventually("the old one ends", || !lives(first));
    assert!(Wire::unix(&path).is_ok());
    send(next, Signal::TERM);
    eventually("the file goes", || !lives(next) && !path.exists());
}

#[test]
fn the_first_process_of_a_container_takes_care_of_orphans() {
    let allowed = Command::new("unshare").args(["--pid", "--fork", "--mount-proc", "true"]).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        return skip("unshare cannot make a namespace of processes: install util-linux, and be root");
    }
    // A single process could not tell its orphans from the application's own children, so that there is a master without being asked for.
    for (processes, reloaded) in [("1", "reloaded: 1 worker ready"), ("2", "reloaded: 2 workers ready")] {
        let apps = apps();
        let serve = ["--http", "127.0.0.1:0", "--module", "processes", "--chdir", apps.to_str().unwrap(), "--processes", processes];
        let namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let mut process = Process::start(behind(&namespace, &Process::serve_command(serve)));
        let address = process.address();
        let orphan = get(address, "/orphan");
        assert!(orphan.parse::<u32>().is_ok(), "{orphan:?}");
        eventually("the orphan is gone", || get(address, &format!("/exists/{orphan}")) == "False");
        let first = *children(process.id()).first().expect("the first process of the namespace");
        // The container would end with it.
        send(first, Signal::USR2);
        process.line_with("no new master is started: a container ends with its first process");
        send(first, Signal::HUP);
        process.line_with(reloaded);
        send(first, Signal::TERM);
        assert_eq!(process.wait().status.code(), Some(0));
    }
}
