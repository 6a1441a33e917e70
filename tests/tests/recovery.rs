//! What `serve` does when the system has nothing left to give, or takes something away: descriptors, threads, disks, connections, the file of a
//! socket. It says so once, serves on as far as that is possible, and says once when it is well again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use wsgi_tests::DEADLINE;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, Request, Seen, collect};
use wsgi_tests::fixture::apps;
use wsgi_tests::process::{Ended, Process, behind, children, send};
use wsgi_tests::{eventually, skip};

fn command(arguments: &[&str]) -> Command {
    let apps = apps();
    let fixed = ["--http=127.0.0.1:0", "--module=recovery", "--chdir", apps.to_str().expect("a path in UTF-8")];
    Process::serve_command(fixed.iter().chain(arguments))
}

fn serve(arguments: &[&str]) -> Process {
    Process::start(command(arguments))
}

/// The same behind a line of shell, which sets a limit or redirects something.
fn serve_behind(script: &str, arguments: &[&str]) -> Process {
    Process::start(behind(&["sh", "-c", &format!("{script}; exec \"$@\""), "sh"], &command(arguments)))
}

/// The processes that answer requests: the workers, or the process itself.
fn serving(process: &Process) -> BTreeSet<u32> {
    let workers = children(process.id());
    if workers.is_empty() { BTreeSet::from([process.id()]) } else { workers }
}

fn pid(process: u32) -> Pid {
    Pid::from_raw(process.try_into().expect("a process id")).expect("a process id")
}

/// Sets the limit that counts, and leaves the one up to which it may be raised.
fn limit(process: u32, resource: Resource, current: Option<u64>) {
    let maximum = getrlimit(resource).maximum;
    prlimit(Some(pid(process)), resource, Rlimit { current: current.or(maximum), maximum }).expect("our own child");
}

/// Leaves a process the descriptors that it has, and no others.
fn no_more_descriptors(process: u32) {
    let open = fs::read_dir(format!("/proc/{process}/fd")).expect("a process that is there");
    let open: BTreeSet<u64> = open.filter_map(|file| file.ok()?.file_name().to_str()?.parse().ok()).collect();
    let free = (0..).find(|number| !open.contains(number)).expect("a number");
    limit(process, Resource::Nofile, Some(free));
}

fn descriptors_again(process: u32) {
    limit(process, Resource::Nofile, None);
}

fn ask(wire: &mut Wire, path: &str) -> Seen {
    wire.send(&Request::get(path)).expect("it takes it");
    collect(wire)
}

fn get(address: SocketAddr, path: &str) -> Seen {
    ask(&mut Wire::tcp(address).expect("it listens"), path)
}

/// An upload that is too long to be kept in memory, and whose length is not told before.
fn upload(address: SocketAddr) -> Seen {
    let mut wire = Wire::tcp(address).expect("it listens");
    send_upload(&mut wire);
    collect(&mut wire)
}

fn send_upload(wire: &mut Wire) {
    let mut request = b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    request.extend_from_slice(format!("{UPLOAD:x}\r\n").as_bytes());
    request.resize(request.len() + UPLOAD, b'x');
    request.extend_from_slice(b"\r\n0\r\n\r\n");
    wire.raw(&request).expect("it takes it");
    wire.asks("POST");
}

const UPLOAD: usize = 600 * 1024;

fn count(process: &Process, part: &str) -> usize {
    process.stderr().lines().filter(|line| line.contains(part)).count()
}

/// Long enough for whoever tries again to have tried again and again: nothing can be waited for that is not to come.
fn a_while() {
    std::thread::sleep(Duration::from_millis(1500));
}

fn ends_in_order(process: Process) -> Ended {
    process.terminate();
    let ended = process.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    ended
}

/// What all starts that fail have in common.
fn is_a_sentence(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let last = ended.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("serve: ") && parts.iter().all(|part| last.contains(part)), "{}", ended.stderr);
}

const WAYS: [&[&str]; 3] = [&[], &["--master"], &["--processes=2"]];

#[test]
fn connections_wait_while_there_are_no_descriptors() {
    for way in WAYS {
        let mut process = serve(way);
        let address = process.address();
        let processes = serving(&process);
        let mut kept = Wire::tcp(address).unwrap();
        assert_eq!(ask(&mut kept, "/").text(), "here");
        processes.iter().copied().for_each(no_more_descriptors);
        let mut late: Vec<Wire> = (0..4).map(|_| Wire::tcp(address).unwrap()).collect();
        for wire in &mut late {
            wire.send(&Request::get("/")).unwrap();
        }
        process.lines_with("not accepting on 127.0.0.1", processes.len());
        a_while();
        assert_eq!(ask(&mut kept, "/").text(), "here");
        assert_eq!(count(&process, "not accepting on"), processes.len(), "{way:?}: {}", process.stderr());
        processes.iter().copied().for_each(descriptors_again);
        for wire in &mut late {
            assert_eq!(collect(wire).text(), "here");
        }
        eventually("it is well again", || {
            assert_eq!(get(address, "/").text(), "here");
            count(&process, "accepting on 127.0.0.1") > processes.len()
        });
        let ended = ends_in_order(process);
        assert!(ended.stderr.matches(" again").count() <= processes.len(), "{}", ended.stderr);
    }
}

#[test]
fn files_and_imports_fail_while_there_are_no_descriptors_and_nothing_else_does() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder")).unwrap();
    for name in ["a.css", "folder/index.html"] {
        fs::write(folder.path().join(name), "a").unwrap();
    }
    let mut process = serve(&["--static-map", &format!("/static={}", folder.path().display()), "--static-index=index.html"]);
    let mut kept = Wire::tcp(process.address()).unwrap();
    assert_eq!(ask(&mut kept, "/static/a.css").text(), "a");
    // So that all that it makes for the first one is there.
    assert_eq!(ask(&mut kept, "/open").code(), 200);
    no_more_descriptors(process.id());
    for _ in 0..2 {
        for (path, code) in [("/static/a.css", 503), ("/static/folder/", 503), ("/open", 500), ("/import/this", 500), ("/", 200)] {
            assert_eq!(ask(&mut kept, path).code(), code, "{path}: {}", process.stderr());
        }
    }
    assert_eq!(ask(&mut kept, "/say/enough").code(), 200);
    process.line_with("said enough");
    assert_eq!(count(&process, "cannot open /"), 1, "{}", process.stderr());
    descriptors_again(process.id());
    for path in ["/static/a.css", "/static/folder/", "/open", "/import/colorsys", "/"] {
        assert_eq!(ask(&mut kept, path).code(), 200, "{path}");
    }
    eventually("it is well again", || {
        assert_eq!(ask(&mut kept, "/static/a.css").code(), 200);
        count(&process, "static files can be opened again") == 1
    });
    ends_in_order(process);
}

#[test]
fn figures_are_told_again_when_there_are_descriptors_again() {
    for way in WAYS {
        let mut process = serve(&[way, &["--stats=127.0.0.1:0"]].concat());
        process.address();
        let line = process.line_with("figures on 127.0.0.1:");
        let stats: SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
        let health = || {
            let mut stream = TcpStream::connect(stats).unwrap();
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        };
        let told = |mut stream: TcpStream| {
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        eventually("it is ready", || told(health()).contains("200 OK"));
        // It closes a connection some time after we do, and then has a descriptor.
        let mut late = Vec::new();
        eventually("it has none", || {
            no_more_descriptors(process.id());
            late.push(health());
            count(&process, "statistics: cannot accept: ") > 0
        });
        a_while();
        assert_eq!(count(&process, "statistics: cannot accept: "), 1);
        descriptors_again(process.id());
        assert!(late.into_iter().all(|stream| told(stream).contains("200 OK")));
        eventually("it is well again", || {
            assert!(told(health()).contains("200 OK"));
            count(&process, "statistics: accepting again") == 1
        });
        ends_in_order(process);
    }
}

#[test]
fn an_upload_that_finds_no_room_is_told_so_and_the_next_one_finds_it() {
    for way in WAYS {
        let mut process = serve(way);
        let address = process.address();
        assert_eq!(upload(address).text(), UPLOAD.to_string());
        let processes = serving(&process);
        processes.iter().for_each(|process| limit(*process, Resource::Fsize, Some(0)));
        for _ in 0..4 {
            assert_eq!(upload(address).code(), 507);
        }
        // What was said before that is read when that is.
        assert_eq!(get(address, "/say/enough").text(), "here");
        process.line_with("said enough");
        let said = count(&process, "request bodies cannot be kept in temporary files in ");
        assert!((1..=processes.len()).contains(&said), "{}", process.stderr());
        processes.iter().for_each(|process| limit(*process, Resource::Fsize, None));
        assert_eq!(upload(address).text(), UPLOAD.to_string());
        eventually("it is well again", || {
            assert_eq!(upload(address).text(), UPLOAD.to_string());
            count(&process, "request bodies are kept in temporary files again") == said
        });
        ends_in_order(process);
    }
    // And where no file can be had at all.
    let mut process = serve(&[]);
    let mut kept = Wire::tcp(process.address()).unwrap();
    assert_eq!(ask(&mut kept, "/").text(), "here");
    no_more_descriptors(process.id());
    send_upload(&mut kept);
    assert_eq!(collect(&mut kept).code(), 503);
    process.line_with("request bodies cannot be kept");
    assert_eq!(count(&process, "request bodies cannot be kept in temporary files in "), 1);
    ends_in_order(process);
}

#[test]
fn a_worker_that_cannot_be_started_is_told_once_and_tried_again() {
    let mut process = serve(&["--processes=2"]);
    let address = process.address();
    let workers = serving(&process);
    no_more_descriptors(process.id());
    send(*workers.first().unwrap(), Signal::KILL);
    process.line_with("cannot be started, which is tried again: ");
    a_while();
    assert_eq!(count(&process, "cannot be started"), 1, "{}", process.stderr());
    assert_eq!(get(address, "/").text(), "here");
    descriptors_again(process.id());
    process.line_with("workers can be started again");
    eventually("there are two again", || serving(&process).len() == 2);
    assert_eq!(get(address, "/").text(), "here");
    ends_in_order(process);
}

#[test]
fn too_few_descriptors_for_a_start_are_a_sentence() {
    for (way, few) in [(&[][..], 4..24), (&["--processes=2"], 5..20)] {
        let mut failed = 0;
        for descriptors in few {
            let mut process = serve_behind(&format!("ulimit -n {descriptors}"), way);
            // Enough for a part of the workers are enough to serve.
            let begun = ["listening on http://", "cannot be started, which is tried again"];
            eventually("it starts, or ends", || begun.iter().any(|part| process.stderr().contains(part)) || process.ended().is_some());
            if process.ended().is_some() {
                failed += 1;
                is_a_sentence(&process.wait(), &[]);
            }
        }
        assert!(failed > 0);
    }
}

/// A stack that no machine has room for, so that no thread can be had. As the system says it where there are too many.
#[test]
fn threads_that_cannot_be_had_are_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    for arguments in [&[][..], &["--access-log", log.to_str().unwrap()], &["--stats=127.0.0.1:0"], &["--processes=2"]] {
        let mut command = command(arguments);
        command.env("RUST_MIN_STACK", (1u64 << 62).to_string());
        let ended = Process::start(command).wait();
        is_a_sentence(&ended, &["cannot ", "Resource temporarily unavailable"]);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn an_access_log_that_cannot_be_written_holds_up_nobody() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        let mut process = serve(&[way, &["--access-log", log.to_str().unwrap(), "--log-format=%(uri)"]].concat());
        let address = process.address();
        let processes = serving(&process);
        processes.iter().for_each(|process| limit(*process, Resource::Fsize, Some(0)));
        eventually("all have found out", || {
            assert_eq!(get(address, "/lost").text(), "here");
            count(&process, "cannot log to ") == processes.len()
        });
        a_while();
        assert_eq!(count(&process, "cannot log to "), processes.len());
        processes.iter().for_each(|process| limit(*process, Resource::Fsize, None));
        process.lines_with("takes lines of the log again", processes.len());
        assert_eq!(get(address, "/found").text(), "here");
        let ended = ends_in_order(process);
        assert_eq!(ended.stderr.matches("takes lines of the log again").count(), processes.len(), "{}", ended.stderr);
        assert!(fs::read_to_string(&log).unwrap().contains("/found\n"));
    }
}

#[test]
fn a_log_that_cannot_be_written_says_later_what_it_lacks() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let (log, socket) = (folder.path().join("site.log"), folder.path().join("a.sock"));
        let process = serve(&[way, &["--http", socket.to_str().unwrap(), "--logto", log.to_str().unwrap(), "--disable-logging"]].concat());
        let said = || fs::read_to_string(&log).unwrap_or_default();
        eventually("it has started", || said().contains("a.sock"));
        eventually("it listens", || Wire::unix(&socket).is_ok());
        let processes = serving(&process);
        for process in &processes {
            limit(*process, Resource::Fsize, Some(0));
        }
        for _ in 0..8 {
            let mut wire = Wire::unix(&socket).unwrap();
            assert_eq!(ask(&mut wire, "/say/lost").text(), "here");
            assert_eq!(ask(&mut wire, "/print/lost").text(), "File too large");
        }
        assert!(!said().contains("lost"), "{}", said());
        for process in &processes {
            limit(*process, Resource::Fsize, None);
        }
        eventually("it says what it lacks", || {
            assert_eq!(ask(&mut Wire::unix(&socket).unwrap(), "/say/found").text(), "here");
            said().contains("could not be written here: File too large")
        });
        assert!(said().contains("said found\n"));
        ends_in_order(process);
    }
}

/// The other tests set limits, which are met in the same places but by another error.
#[test]
fn a_disk_that_is_full_is_served_from_and_used_again_when_it_has_room() {
    if !Command::new("unshare").args(["--mount", "true"]).output().is_ok_and(|output| output.status.success()) {
        return skip("unshare cannot make a namespace of mounts: install util-linux, and be root");
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().to_str().unwrap();
    let serve = command(&["--access-log", &format!("{disk}/access.log"), "--log-format=%(uri)"]);
    let script = "mount -t tmpfs -o size=2m none \"$TMPDIR\" && { dd if=/dev/zero of=\"$TMPDIR/filler\" bs=64k 2>/dev/null; exec \"$@\"; }";
    let mut unshare = behind(&["unshare", "--mount", "sh", "-c", script, "sh"], &serve);
    unshare.env("TMPDIR", disk);
    let mut process = Process::start(unshare);
    let address = process.address();
    for _ in 0..3 {
        assert_eq!(upload(address).code(), 507);
        assert_eq!(get(address, "/lost").text(), "here");
    }
    process.line_with("cannot log to ");
    a_while();
    for part in ["cannot log to ", "request bodies cannot be kept in temporary files in "] {
        let lines = process.lines_with(part, 1);
        assert!(lines.len() == 1 && lines[0].contains("No space left on device"), "{lines:?}");
    }
    let inside = Path::new("/proc").join(process.id().to_string()).join("root").join(&disk[1..]);
    fs::remove_file(inside.join("filler")).unwrap();
    assert_eq!(upload(address).text(), UPLOAD.to_string());
    process.line_with("takes lines of the log again");
    // What waited was kept.
    eventually("all of it is written", || fs::read_to_string(inside.join("access.log")).unwrap().matches("/lost\n").count() == 3);
    ends_in_order(process);
}

#[test]
fn a_full_disk_under_standard_error_ends_nothing() {
    for way in WAYS {
        for (script, option) in [("exec 2>/dev/full", &[][..]), (":", &["--logto=/dev/full"])] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("a.sock");
            let process = serve_behind(script, &[way, &["--http", socket.to_str().unwrap()], option].concat());
            eventually("it listens", || Wire::unix(&socket).is_ok());
            let mut wire = Wire::unix(&socket).unwrap();
            for (path, code) in [("/say/this", 200), ("/print/this", 200), ("/import/nothing", 500), ("/", 200)] {
                assert_eq!(ask(&mut wire, path).code(), code, "{path}");
            }
            drop(wire);
            ends_in_order(process);
            assert!(!socket.exists());
        }
    }
}

#[test]
fn a_pid_file_that_cannot_be_written_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("pid"), folder.path().join("a.sock"));
    for way in WAYS {
        let arguments = [way, &["--http", socket.to_str().unwrap(), "--pidfile", file.to_str().unwrap()]].concat();
        is_a_sentence(&serve_behind("ulimit -f 0", &arguments).wait(), &["cannot write the PID file", "File too large"]);
        assert!(!socket.exists());
    }
}

#[test]
fn connections_wait_while_there_are_as_many_as_may_be() {
    let mut process = serve(&["--max-connections=2"]);
    let address = process.address();
    let mut kept = [Wire::tcp(address).unwrap(), Wire::tcp(address).unwrap()];
    for wire in &mut kept {
        assert_eq!(ask(wire, "/").text(), "here");
    }
    let mut late = Wire::tcp(address).unwrap();
    late.send(&Request::get("/")).unwrap();
    process.line_with("as many connections as allowed are open");
    // One that goes lets another in, and all places are taken again: that is the same trouble still.
    for wire in kept {
        drop(wire);
        assert_eq!(collect(&mut late).text(), "here");
        late = Wire::tcp(address).unwrap();
        late.send(&Request::get("/")).unwrap();
    }
    assert_eq!(count(&process, "not accepting on"), 1, "{}", process.stderr());
    drop(late);
    eventually("it is well again", || {
        assert_eq!(get(address, "/").text(), "here");
        count(&process, "accepting on 127.0.0.1") == 2
    });
    ends_in_order(process);
}

#[test]
fn a_full_queue_is_told_once_and_everybody_in_it_is_answered() {
    for way in WAYS {
        // Two threads that are busy accept nobody.
        let mut process = serve(&[way, &["--listen=4"]].concat());
        let address = process.address();
        let threads = serving(&process).len();
        let gate = tempfile::tempdir().unwrap();
        let held = gate.path().join("held");
        let path = format!("/hold{}", held.display());
        fs::write(&held, "").unwrap();
        let ask = |path: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        };
        let mut waiting: Vec<TcpStream> = (0..threads).map(|_| ask(&path)).collect();
        for number in 1..=threads {
            process.lines_with("held", number);
        }
        waiting.extend((0..5).map(|_| ask("/")));
        process.line_with("the queue of 127.0.0.1:");
        a_while();
        assert_eq!(count(&process, " is full: "), 1, "{}", process.stderr());
        fs::remove_file(&held).unwrap();
        for mut stream in waiting {
            let mut reply = String::new();
            stream.read_to_string(&mut reply).unwrap();
            assert!(reply.ends_with("here"), "{reply}");
        }
        process.line_with("has room again");
        let ended = ends_in_order(process);
        assert_eq!(ended.stderr.matches(" is full: ").count(), 1, "{}", ended.stderr);
    }
}

/// One request in each protocol, and what is in every reply to it.
fn requests(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let variables =
        [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("SERVER_PROTOCOL", "HTTP/1.1"), ("SERVER_NAME", "a"), ("SERVER_PORT", "80")];
    let mut uwsgi = Vec::new();
    let mut scgi = b"CONTENT_LENGTH\x000\0SCGI\x001\0".to_vec();
    let mut parameters = Vec::new();
    for (name, value) in variables {
        for word in [name, value] {
            uwsgi.extend_from_slice(&u16::try_from(word.len()).unwrap().to_le_bytes());
            uwsgi.extend_from_slice(word.as_bytes());
            scgi.extend_from_slice(word.as_bytes());
            scgi.push(0);
        }
        parameters.extend_from_slice(&[u8::try_from(name.len()).unwrap(), u8::try_from(value.len()).unwrap()]);
        parameters.extend_from_slice(&[name.as_bytes(), value.as_bytes()].concat());
    }
    let [low, high] = u16::try_from(uwsgi.len()).unwrap().to_le_bytes();
    let record = |kind: u8, content: &[u8]| {
        let [high, low] = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[1, kind, 0, 1, high, low, 0, 0], content].concat()
    };
    let fastcgi = [record(1, &[0, 1, 0, 0, 0, 0, 0, 0]), record(4, &parameters), record(4, &[]), record(5, &[])].concat();
    vec![
        (folder.join("http.sock"), b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec()),
        (folder.join("uwsgi.sock"), [&[0, low, high, 0], &uwsgi[..]].concat()),
        (folder.join("scgi.sock"), [format!("{}:", scgi.len()).as_bytes(), &scgi, b","].concat()),
        (folder.join("fastcgi.sock"), fastcgi),
    ]
}

fn answered(path: &Path, request: &[u8]) -> bool {
    let Ok(mut stream) = UnixStream::connect(path) else { return false };
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request).unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).unwrap();
    let has = |part: &[u8]| reply.windows(part.len()).any(|window| window == part);
    has(b" 200 OK") && has(b"here")
}

#[test]
fn a_socket_whose_file_was_removed_is_bound_anew() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let requests = requests(folder.path());
        let sockets: Vec<String> = requests.iter().map(|(path, _)| path.display().to_string()).collect();
        let [http, uwsgi, scgi, fastcgi] = &sockets[..] else { panic!("four protocols") };
        let options = ["--http", http, "--uwsgi-socket", uwsgi, "--scgi-socket", scgi, "--fastcgi-socket", fastcgi, "--chmod-socket=660"];
        let mut process = serve(&[way, &options].concat());
        process.address();
        let mut kept = Wire::unix(&requests[0].0).unwrap();
        assert_eq!(ask(&mut kept, "/").text(), "here");
        for round in 1..=2 {
            for (path, request) in &requests {
                assert!(answered(path, request), "{}: {}", path.display(), process.stderr());
                fs::remove_file(path).unwrap();
            }
            process.lines_with("was removed: it is bound anew", round * requests.len());
            if !way.is_empty() {
                process.lines_with("reloaded: ", round);
            }
            for (path, request) in &requests {
                assert!(answered(path, request), "{}: {}", path.display(), process.stderr());
                let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions());
                assert_eq!(mode & 0o777, 0o660);
            }
        }
        if way.is_empty() {
            // Who was there before goes on.
            assert_eq!(ask(&mut kept, "/").text(), "here");
        }
        drop(kept);
        let ended = ends_in_order(process);
        assert_eq!(ended.stderr.matches("is bound anew").count(), 2 * requests.len(), "{}", ended.stderr);
        assert!(requests.iter().all(|(path, _)| !path.exists()));
    }
}

#[test]
fn what_lies_where_a_socket_was_is_left_alone() {
    for way in WAYS {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("a.sock");
        let mut process = serve(&[way, &["--http", socket.to_str().unwrap()]].concat());
        process.address();
        fs::remove_file(&socket).unwrap();
        fs::write(&socket, "mine").unwrap();
        process.line_with("nobody can connect to the socket ");
        a_while();
        assert_eq!(count(&process, "nobody can connect to the socket "), 1);
        assert_eq!(fs::read_to_string(&socket).unwrap(), "mine");
        fs::remove_file(&socket).unwrap();
        process.line_with("was removed: it is bound anew");
        eventually("it answers", || Wire::unix(&socket).is_ok_and(|mut wire| ask(&mut wire, "/").text() == "here"));
        ends_in_order(process);
    }
}

/// The workers of then never had the new one, and no others came: whoever connected waited for the end, and was reset.
#[test]
fn a_socket_whose_file_is_removed_while_the_end_is_announced_is_not_bound_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("a.sock");
    // Long enough for a master to find it gone twice.
    let mut process = serve(&["--master", "--shutdown-delay=4", "--http", socket.to_str().unwrap()]);
    process.address();
    process.signal(Signal::TERM);
    process.line_with("ending in 4s");
    fs::remove_file(&socket).unwrap();
    let ended = process.wait();
    assert!(ended.status.success() && !ended.stderr.contains("is bound anew"), "{}", ended.stderr);
}
