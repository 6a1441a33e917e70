//! Where `serve` logs to: files that are renamed, opened late, emptied; syslog, sockets and descriptors; and what becomes of lines when a place is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use wsgi_tests::DEADLINE;
use wsgi_tests::fixture::apps;
use wsgi_tests::process::{Process, behind};

/// `serve` with an application that says things, in a folder of its own.
struct Site {
    process: Process,
    folder: tempfile::TempDir,
}

impl Site {
    fn start(arguments: &[&str]) -> Site {
        Site::start_in(tempfile::tempdir().expect("a folder"), arguments)
    }

    fn start_in(folder: tempfile::TempDir, arguments: &[&str]) -> Site {
        let process = Process::start(Site::command(&folder, arguments));
        Site { process, folder }
    }

    /// Relative names count from the folder, which is also where the socket for requests is.
    fn command(folder: &tempfile::TempDir, arguments: &[&str]) -> Command {
        let path = folder.path().to_str().expect("a path in UTF-8");
        let apps = apps();
        let apps = apps.to_str().expect("a path in UTF-8");
        let fixed = ["--http", "site.sock", "--chdir", path, "--pythonpath", apps, "--module", "talks"];
        Process::serve_command(fixed.iter().chain(arguments))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn get(&self, target: &str) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            if let Ok(mut stream) = std::os::unix::net::UnixStream::connect(self.path("site.sock")) {
                stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
                let request = format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                stream.write_all(request.as_bytes()).expect("it takes it");
                let mut reply = String::new();
                stream.read_to_string(&mut reply).expect("it answers");
                return reply;
            }
            assert!(Instant::now() < until, "it does not listen: {}", self.process.stderr());
            std::thread::yield_now();
        }
    }

    /// What a file holds, once it is as expected.
    fn wait_for(&self, name: &str, expected: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let text = fs::read_to_string(self.path(name)).unwrap_or_default();
            if expected(&text) {
                return text;
            }
            assert!(Instant::now() < until, "{name}: {text}; standard error: {}", self.process.stderr());
            std::thread::yield_now();
        }
    }

    /// The files whose names begin so, with their contents.
    fn files(&self, beginning: &str) -> BTreeMap<String, String> {
        self.names(beginning).into_iter().map(|name| (name.clone(), fs::read_to_string(self.path(&name)).expect("a file"))).collect()
    }

    fn names(&self, beginning: &str) -> BTreeSet<String> {
        let names = fs::read_dir(self.folder.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        names.map(|name| name.into_string().expect("a name in UTF-8")).filter(|name| name.starts_with(beginning)).collect()
    }

    /// Asks for one path after the other until there are so many files, and gives the number of requests and the names. A moment later there may be
    /// others, or one fewer.
    fn ask_until(&self, beginning: &str, count: usize) -> (usize, BTreeSet<String>) {
        let until = Instant::now() + DEADLINE;
        for number in 0.. {
            let names = self.names(beginning);
            if names.len() >= count {
                return (number, names);
            }
            assert!(Instant::now() < until, "{:?}; standard error: {}", self.names(beginning), self.process.stderr());
            self.get(&format!("/n{number}/"));
        }
        unreachable!("numbers do not end")
    }

    /// Ends it, and gives what it has said since its beginning.
    fn end(self) -> (wsgi_tests::process::Ended, tempfile::TempDir) {
        self.process.terminate();
        let ended = self.process.wait();
        assert!(ended.status.success(), "{ended:?}");
        (ended, self.folder)
    }
}

/// A place for datagrams.
struct Receiver(UnixDatagram);

impl Receiver {
    fn at(path: &Path) -> Receiver {
        let socket = UnixDatagram::bind(path).expect("a socket");
        socket.set_read_timeout(Some(DEADLINE)).expect("a socket");
        Receiver(socket)
    }

    /// The first datagram with this, and all that came before it.
    fn until(&self, part: &str) -> Vec<String> {
        let mut datagrams = Vec::new();
        let mut room = vec![0; 1 << 16];
        loop {
            let length = self.0.recv(&mut room).unwrap_or_else(|error| panic!("no {part:?} in {datagrams:?}: {error}"));
            datagrams.push(String::from_utf8_lossy(&room[..length]).into_owned());
            if datagrams.last().is_some_and(|last| last.contains(part)) {
                return datagrams;
            }
        }
    }
}

/// Each of so many requests is told once behind these words in these texts. Not once in a line: what Python prints comes in pieces, and what others write
/// comes between.
fn assert_each_once<'a>(texts: impl Iterator<Item = &'a String>, requests: usize, words: &str) {
    let mut found = vec![0; requests];
    for rest in texts.flat_map(|text| text.split(words).skip(1)) {
        let number = rest.split('/').next().and_then(|number| number.parse::<usize>().ok());
        found[number.unwrap_or_else(|| panic!("no number behind {words:?} in {rest}"))] += 1;
    }
    let wrong: Vec<_> = found.iter().enumerate().filter(|(_, count)| **count != 1).collect();
    assert!(requests > 0 && wrong.is_empty(), "of {requests} requests, {words:?} does not tell these once: {wrong:?}");
}

#[test]
fn a_log_that_is_large_is_renamed_and_no_line_of_any_process_is_lost() {
    let several = ["--processes", "2", "--logto", "site.log", "--log-maxsize", "3000", "--logfile-chmod", "640"];
    for arguments in [&several[..], &several[2..]] {
        let site = Site::start(arguments);
        let (requests, names) = site.ask_until("site.log", 3);
        for name in names.iter().filter(|name| *name != "site.log") {
            let seconds = name.strip_prefix("site.log.").unwrap();
            assert!(seconds.len() >= 10 && seconds.bytes().all(|byte| byte.is_ascii_digit()), "{name}");
            assert_eq!(fs::metadata(site.path(name)).unwrap().permissions().mode() & 0o777, 0o640);
        }
        let (ended, folder) = site.end();
        assert_eq!(fs::metadata(folder.path().join("site.log")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!((ended.stderr.as_str(), ended.stdout.as_str()), ("", ""));
        let files: Vec<String> =
            fs::read_dir(folder.path()).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap_or_default()).collect();
        assert_each_once(files.iter(), requests, "] GET /n");
        assert_each_once(files.iter(), requests, "WARNING logged /n");
    }
}

#[test]
fn logs_of_requests_have_sizes_and_backups_of_their_own() {
    let logger = "file:logfile=requests.log,maxsize=200,backupname=requests.old";
    let arguments = ["--processes", "2", "--access-log", logger, "--req-logger", "all.log", "--log-format", "%(uri)"];
    let site = Site::start(&arguments);
    let (requests, names) = site.ask_until("requests.", 2);
    assert_eq!(names, ["requests.log", "requests.old"].map(str::to_owned).into());
    let (_, folder) = site.end();
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    assert_each_once([read("requests.log"), read("requests.old")].iter(), requests, "/n");
    assert_each_once([read("all.log")].iter(), requests, "/n");
}

#[test]
fn files_that_are_touched_have_logs_renamed_and_opened_anew() {
    let arguments = ["--logto", "site.log", "--log-backupname", "old.log", "--touch-logrotate", "rotate", "--touch-logreopen", "reopen"];
    for master in [&["--master"][..], &[]] {
        let site = Site::start(&[&arguments[..], master].concat());
        site.get("/one");
        site.wait_for("site.log", |text| text.contains("GET /one =>"));
        fs::write(site.path("rotate"), "").unwrap();
        site.wait_for("old.log", |text| text.contains("GET /one =>"));
        site.wait_for("site.log", |text| text.is_empty() && site.path("site.log").exists());
        // Whoever has opened the file anew writes there; until then it is the old one.
        let until = Instant::now() + DEADLINE;
        while !fs::read_to_string(site.path("site.log")).unwrap().contains("GET /two =>") {
            assert!(Instant::now() < until, "{:?}", site.files("old"));
            site.get("/two");
        }
        fs::rename(site.path("site.log"), site.path("moved.log")).unwrap();
        fs::write(site.path("reopen"), "").unwrap();
        site.wait_for("site.log", |_| site.path("site.log").exists());
        site.get("/three");
        let both = |text: &str| text.contains("GET /three =>") || site.files("moved.log")["moved.log"].contains("GET /three =>");
        site.wait_for("site.log", both);
        site.end();
    }
}

#[test]
fn a_log_that_cannot_be_renamed_is_told_once_and_written_on() {
    let site = Site::start(&["--logto", "site.log", "--log-maxsize", "100", "--log-backupname", "none/old"]);
    let sentence = "cannot be renamed, and grows on: No such file or directory";
    site.wait_for("site.log", |text| text.contains(sentence));
    site.get("/one");
    site.wait_for("site.log", |text| text.contains("GET /one =>"));
    fs::create_dir(site.path("none")).unwrap();
    let old = site.wait_for("none/old", |text| text.contains("GET /one =>"));
    assert_eq!(old.matches(sentence).count(), 1, "{old}");
    site.end();
}

#[test]
fn a_log_is_emptied_only_where_that_is_asked_for_and_only_at_the_start() {
    for (arguments, kept) in [(&["--logto", "site.log"][..], true), (&["--logto", "site.log", "--log-truncate", "--master"], false)] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("site.log"), "from before\n").unwrap();
        let site = Site::start_in(folder, arguments);
        let text = site.wait_for("site.log", |text| text.contains("listening on"));
        assert_eq!(text.contains("from before"), kept, "{text}");
        if !kept {
            site.process.signal(Signal::HUP);
            let text = site.wait_for("site.log", |text| text.contains("reloaded: 1 worker ready"));
            assert!(text.contains("listening on"), "{text}");
        }
        site.end();
    }
}

#[test]
fn a_log_is_opened_anew_at_a_reload_where_that_is_asked_for() {
    for (arguments, anew) in
        [(&["--master", "--logto", "site.log"][..], false), (&["--master", "--logto", "site.log", "--log-reopen"], true)]
    {
        let site = Site::start(arguments);
        site.wait_for("site.log", |text| text.contains("listening on"));
        fs::rename(site.path("site.log"), site.path("old.log")).unwrap();
        site.process.signal(Signal::HUP);
        let written = if anew { "site.log" } else { "old.log" };
        site.wait_for(written, |text| text.contains("reloaded: 1 worker ready"));
        site.get("/one");
        site.wait_for(written, |text| text.contains("GET /one =>"));
        assert_eq!(site.path("site.log").exists(), anew);
        site.end();
    }
}

#[test]
fn a_late_log_begins_when_privileges_are_dropped() {
    let mut arguments = vec!["--logto2", "late/site.log", "--enable-threads"];
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        // Not another user, who could not read a Python in somebody's home.
        arguments.extend(["--gid", "65534"]);
    }
    for master in [&[][..], &["--master"]] {
        let folder = tempfile::tempdir().unwrap();
        let late = folder.path().join("late");
        fs::create_dir(&late).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        fs::set_permissions(&late, fs::Permissions::from_mode(0o777)).unwrap();
        let site = Site::start_in(folder, &[&arguments[..], master].concat());
        site.wait_for("late/site.log", |text| text.contains("listening on"));
        site.get("/one");
        let text = site.wait_for("late/site.log", |text| text.contains("GET /one =>"));
        assert!(!text.contains("--enable-threads is ignored"), "{text}");
        if is_root {
            assert_eq!(fs::metadata(site.path("late/site.log")).unwrap().gid(), 65534);
        }
        let (ended, _folder) = site.end();
        assert!(ended.stderr.contains("--enable-threads is ignored") && !ended.stderr.contains("listening on"), "{}", ended.stderr);
    }
}

#[test]
fn everything_goes_to_a_socket_whose_receiver_may_come_and_go() {
    for arguments in [&["--logger", "socket:log.sock,site "][..], &["--logger", "socket:log.sock,site ", "--processes", "2"]] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.sock");
        let receiver = Receiver::at(&path);
        let mut site = Site::start_in(folder, arguments);
        let said = receiver.until("listening on");
        assert!(said.iter().all(|datagram| datagram.starts_with("site ") && datagram.ends_with('\n')), "{said:?}");
        site.get("/raises");
        let said = receiver.until("GET /raises =>").concat();
        for part in ["printed /raises", "WARNING logged /raises", "written /raises", "RuntimeError: as the test wants"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }

        drop(receiver);
        fs::remove_file(&path).unwrap();
        for number in 0..20 {
            assert!(site.get(&format!("/lost{number}/")).starts_with("HTTP/1.1 200 "));
        }
        let sentence = site.process.line_with("cannot log to the socket");
        assert!(sentence.starts_with("serve: ") && sentence.ends_with("No such file or directory (os error 2)"), "{sentence}");
        let receiver = Receiver::at(&path);
        site.get("/back");
        let said = receiver.until("takes lines of the log again, 0 were lost meanwhile").concat();
        for number in 0..20 {
            assert!(said.contains(&format!("written /lost{number}/")), "{said}");
        }
        site.process.terminate();
        assert!(receiver.until("TERM").concat().contains("ending when the running requests are done"));
        let ended = site.process.wait();
        assert!(ended.status.success() && ended.stdout.is_empty(), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn a_receiver_that_does_not_read_holds_up_no_request_and_learns_how_much_it_has_missed() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::at(&folder.path().join("log.sock"));
    let site = Site::start_in(folder, &["--processes", "2", "--logger", "socket:log.sock"]);
    // Ten datagrams wait in the system, a mebibyte of lines in the server, and nothing comes between these and the requests but a pipe.
    let long = "x".repeat(10_000);
    for _ in 0..100 {
        assert!(site.get(&format!("/{long}")).starts_with("HTTP/1.1 200 "));
    }
    let said = receiver.until("lines of a log were dropped, since the socket ");
    assert!(said.len() > 20, "some were kept: {}", said.len());
    site.end();
}

#[test]
fn why_a_server_does_not_start_goes_where_everything_goes() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::at(&folder.path().join("log.sock"));
    for arguments in [&["--logger", "socket:log.sock"][..], &["--logger", "socket:log.sock", "--master"]] {
        let mut command = Site::command(&folder, arguments);
        command.args(["--module", "no_such_module"]);
        let ended = Process::start(command).wait();
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(1), ""));
        receiver.until("serve: cannot import \"no_such_module:application\"");
    }
}

#[test]
fn syslog_gets_messages_over_udp_and_by_a_socket() {
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(DEADLINE)).unwrap();
    let logger = format!("rsyslog:{},site,134", receiver.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let local = Receiver::at(&folder.path().join("log.sock"));
    let here = format!("rsyslog:{}/log.sock,here", folder.path().display());
    let arguments = [
        "--req-logger",
        &logger,
        "--req-logger",
        &here,
        "--log-format",
        "%(uri)",
        "--rsyslog-packet-size",
        "128",
        "--rsyslog-split-messages",
    ];
    let site = Site::start_in(folder, &arguments);
    site.get(&format!("/{}", "x".repeat(150)));
    let mut datagrams = Vec::new();
    for _ in 0..2 {
        let mut room = [0; 1000];
        let length = receiver.recv(&mut room).unwrap();
        datagrams.push(String::from_utf8(room[..length].to_vec()).unwrap());
    }
    assert!(datagrams[0].len() == 128 && datagrams.iter().all(|message| message.starts_with("<134>") && message.contains(" site: ")));
    assert_eq!(datagrams.concat().matches('x').count(), 150, "{datagrams:?}");
    assert!(local.until("here: /x")[0].starts_with("<29>"));
    site.end();
}

#[test]
fn several_loggers_all_get_everything() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Site::command(&folder, &["--logger", "file:one.log", "--logger", "stdio", "--logger", "fd:7"]);
    // Only a shell leaves a descriptor of this number open.
    let mut command = behind(&["sh", "-c", "exec \"$0\" \"$@\" 7>>\"$LOG\""], &serve);
    command.env("LOG", folder.path().join("seven.log"));
    let mut site = Site { process: Process::start(command), folder };
    site.get("/one");
    for name in ["one.log", "seven.log"] {
        let text = site.wait_for(name, |text| text.contains("GET /one =>"));
        assert!(text.contains("listening on") && text.contains("WARNING logged /one\n"), "{text}");
    }
    site.process.line_with("GET /one =>");
    fs::rename(site.path("one.log"), site.path("old.log")).unwrap();
    site.process.signal(Signal::USR1);
    site.wait_for("one.log", |_| site.path("one.log").exists());
    site.get("/two");
    site.wait_for("one.log", |text| text.contains("GET /two =>"));
    let (ended, folder) = site.end();
    let seven = fs::read_to_string(folder.path().join("seven.log")).unwrap();
    assert_eq!(seven, ended.stderr, "each place has the same lines");
}

#[test]
fn the_next_master_has_the_standard_error_that_this_one_had() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = Receiver::at(&folder.path().join("log.sock"));
    let mut site = Site::start_in(folder, &["--master", "--pidfile", "pid", "--logger", "socket:log.sock", "--logger", "stdio"]);
    receiver.until("listening on");
    site.process.lines_with("listening on", 1);
    let first = site.wait_for("pid", |text| text.ends_with('\n'));
    site.process.signal(Signal::USR2);
    let second = site.wait_for("pid", |text| text.ends_with('\n') && text != first);
    receiver.until("listening on");
    site.process.lines_with("listening on", 2);
    // The old one, which this process has started, ends by itself.
    let status = format!("/proc/{}/status", site.process.id());
    let until = Instant::now() + DEADLINE;
    while !fs::read_to_string(&status).unwrap().contains("State:\tZ") {
        assert!(Instant::now() < until, "{}", site.process.stderr());
        std::thread::yield_now();
    }
    site.get("/one");
    receiver.until("GET /one =>");
    site.process.lines_with("GET /one =>", 1);
    let pid = rustix::process::Pid::from_raw(second.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    receiver.until("TERM");
}

#[test]
fn a_worker_whose_master_was_killed_answers_what_it_has_begun() {
    let folder = tempfile::tempdir().unwrap();
    let _receiver = Receiver::at(&folder.path().join("log.sock"));
    let waits = "import os, sys, time\n\
        def application(environ, start_response):\n    \
            open('asked', 'w').write(f'{os.getpid()}\\n')\n    \
            while not os.path.exists('go'): time.sleep(0.01)\n    \
            print('nobody hears this', file=sys.stderr, flush=True)\n    \
            start_response('200 OK', [])\n    return [b'answered']\n";
    fs::write(folder.path().join("waits.py"), waits).unwrap();
    let site = Site::start_in(folder, &["--master", "--logger", "socket:log.sock", "--mount", "/waits=waits.py"]);
    std::thread::scope(|scope| {
        let reply = scope.spawn(|| site.get("/waits"));
        let worker = site.wait_for("asked", |text| text.ends_with('\n'));
        site.process.signal(Signal::KILL);
        let until = Instant::now() + DEADLINE;
        while fs::read_link(format!("/proc/{}/fd/2", worker.trim())).unwrap() != Path::new("/dev/null") {
            assert!(Instant::now() < until, "it does not notice");
            std::thread::yield_now();
        }
        fs::write(site.path("go"), "").unwrap();
        assert!(reply.join().unwrap().ends_with("answered"));
    });
}

#[test]
fn a_line_says_as_much_and_in_such_a_form_as_uwsgis_options_ask_for() {
    let cases: [(&[&str], &str); 3] = [
        (&["--log-micros", "--log-format", "uwsgi"], " micros ("),
        (&["--log-format", "at %(ftime)!", "--log-date=%Y/week %V", "--log-format-strftime"], "/week "),
        (&["--log-format", "%(ioerr) %(ftime:week-%V)"], "0 week-"),
    ];
    for (arguments, part) in cases {
        let site = Site::start(&[arguments, &["--access-log", "requests.log"]].concat());
        site.get("/one");
        site.wait_for("requests.log", |text| text.contains(part) && text.lines().count() == 1);
        site.end();
    }
}

#[test]
fn requests_are_chosen_by_size_by_files_and_by_lost_clients() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("page.txt"), "a file ".repeat(100_000)).unwrap();
    let streams =
        "def application(environ, start_response):\n    start_response('200 OK', [])\n    return (b'x' * 65536 for _ in range(1024))\n";
    fs::write(folder.path().join("streams.py"), streams).unwrap();
    let common = ["--http", "127.0.0.1:0", "--static-map", "/static=.", "--mount", "/streams=streams.py", "--disable-logging"];
    let log = ["--log-format", "%(uri) %(ioerr)", "--access-log", "requests.log"];
    let cases: [(&[&str], &str); 3] = [
        (&["--log-big", "1000000"], "/streams/whole 0\n"),
        (&["--log-sendfile"], "/static/page.txt 0\n"),
        (&["--log-ioerror"], "/streams/lost 1\n"),
    ];
    let mut folder = Some(folder);
    for (arguments, expected) in cases {
        let arguments = [&common[..], &log, arguments].concat();
        let mut site = Site::start_in(folder.take().unwrap(), &arguments);
        let address: SocketAddr = site.process.address();
        site.get("/small");
        assert!(site.get("/static/page.txt").ends_with("a file "));
        assert!(site.get("/streams/whole").len() > 64 << 20);
        // Of one that is gone before it has taken all of it nobody knows how large it has become.
        if arguments[arguments.len() - 2] != "--log-big" {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"GET /streams/lost HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 100]).unwrap();
        }
        // Whatever is still to be logged is, by the end.
        let (_, kept) = site.end();
        assert_eq!(fs::read_to_string(kept.path().join("requests.log")).unwrap(), expected, "{arguments:?}");
        fs::remove_file(kept.path().join("requests.log")).unwrap();
        folder = Some(kept);
    }
}

#[test]
fn loggers_that_are_refused_say_what_to_do_instead() {
    for (arguments, sentence) in [
        (
            &["--logger", "app syslog"][..],
            "serve: --logger \"app syslog\": expected a logger without a name, since there is no log-route: syslog\n",
        ),
        (&["--logger", "syslogg:x"], "serve: --logger \"syslogg:x\": expected a file, or file:, stdio, fd:, syslog, rsyslog: or socket:\n"),
        (
            &["--logto", "a", "--access-log", "b", "--log-maxsize", "9", "--log-backupname", "c"],
            "serve: log-backupname names one file, and there are several logs: give each its own, as \
             file:logfile=FILE,maxsize=BYTES,backupname=FILE\n",
        ),
    ] {
        let ended = Process::serve(arguments).wait();
        assert_eq!((ended.status.code(), ended.stderr.as_str()), (Some(2), sentence));
    }
    let ended = Process::serve(["--http", "127.0.0.1:0", "--logger", "fd:99", "--logger", "stdio"]).wait();
    assert_eq!(ended.stderr, "serve: cannot log to descriptor 99: Bad file descriptor (os error 9)\n");
    let ended = Process::serve(["--http", "127.0.0.1:0", "--logger", "file:/no/such/folder/x"]).wait();
    assert_eq!(ended.stderr, "serve: cannot log to /no/such/folder/x: No such file or directory (os error 2)\n");
}

/// The real one: what its datagrams look like, and what it calls files that it renames.
#[test]
fn datagrams_and_names_are_those_of_the_real_uwsgi() {
    let Some(uwsgi) = wsgi_tests::venv::uwsgi() else { return };
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    receiver.set_read_timeout(Some(DEADLINE)).unwrap();
    let address = receiver.local_addr().unwrap();
    let digits = |text: &str| text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
    let shape = |message: &str| {
        let (head, line) = message.split_at(message.find(" /asked").unwrap());
        format!("{}|{line:?}", digits(head))
    };
    for logger in [format!("rsyslog:{address}"), format!("rsyslog:{address},site,134"), format!("socket:{address},site")] {
        let arguments = ["--req-logger", &logger, "--log-format", " %(uri)"];
        let mut shapes = Vec::new();
        for real in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let ours = Site::command(&folder, &arguments);
            let mut command = if real { Command::new(uwsgi) } else { ours };
            if real {
                let apps = apps();
                command.args(["--master", "--die-on-term", "--http-socket"]).arg(folder.path().join("site.sock"));
                command.arg("--pythonpath").arg(apps).args(["--module", "talks"]).args(arguments);
            }
            let site = Site { process: Process::start(command), folder };
            site.get("/asked");
            let mut room = [0; 1000];
            let length = receiver.recv(&mut room).unwrap();
            shapes.push(shape(std::str::from_utf8(&room[..length]).unwrap()));
            site.end();
        }
        assert_eq!(shapes[0], shapes[1], "{logger}");
    }

    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(uwsgi);
    command.args(["--master", "--die-on-term", "--http-socket"]).arg(folder.path().join("site.sock"));
    command
        .arg("--pythonpath")
        .arg(apps())
        .args(["--module", "talks", "--log-maxsize", "3000", "--logto"])
        .arg(folder.path().join("site.log"));
    let site = Site { process: Process::start(command), folder };
    let theirs: Vec<String> = site.ask_until("site.log", 2).1.iter().map(|name| digits(name)).collect();
    drop(site);
    let site = Site::start(&["--logto", "site.log", "--log-maxsize", "3000"]);
    assert_eq!(site.ask_until("site.log", 2).1.iter().map(|name| digits(name)).collect::<Vec<_>>(), theirs);
    site.end();
}
