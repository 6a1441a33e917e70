//! The `serve` program as its users meet it: what it says, what it answers, how it ends.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Instant;

use wsgi_tests::browser::Browser;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Conversation, End, Request, collect};
use wsgi_tests::fixture::apps;
use wsgi_tests::process::{Ended, Process};

/// `serve` on a port that the system chooses, with the applications of this package on its path.
fn serve(arguments: &[&str]) -> Process {
    Process::serve(with_apps(arguments))
}

fn with_apps(arguments: &[&str]) -> Vec<String> {
    let apps = apps();
    let fixed = ["--http", "127.0.0.1:0", "--chdir", apps.to_str().expect("a path in UTF-8")];
    fixed.iter().chain(arguments).map(|argument| argument.to_string()).collect()
}

/// A folder with one file.
fn folder_with(name: &str, content: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), content).expect("a file");
    folder
}

/// What all ends have in common that come of bad input: an exit code and one sentence, and nothing of our own insides.
fn sentence(ended: &Ended, code: i32, parts: &[&str]) -> String {
    assert_eq!(ended.status.code(), Some(code), "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    for ours in ["panicked", "backtrace", "RUST_", ".rs:", "unwrap"] {
        assert!(!ended.stderr.contains(ours), "{ours:?} in {}", ended.stderr);
    }
    let last = ended.stderr.lines().last().unwrap_or_default().to_owned();
    for part in parts {
        assert!(last.contains(part), "{part:?} is not in {last:?}");
    }
    last
}

/// The same, where the sentence is all that is said.
fn only_a_sentence(ended: &Ended, code: i32, parts: &[&str]) {
    sentence(ended, code, parts);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn a_missing_module_is_a_sentence() {
    only_a_sentence(&serve(&["--module", "no_such_module"]).wait(), 1, &["no_such_module", "no module named"]);
    only_a_sentence(&serve(&["--module", "no.such:application"]).wait(), 1, &["no.such", "no module named"]);
}

#[test]
fn a_missing_callable_is_a_sentence() {
    only_a_sentence(&serve(&["--module", "hello:nothing"]).wait(), 1, &["hello:nothing", "nothing"]);
    only_a_sentence(&serve(&["--module", "hello", "--callable", "nothing"]).wait(), 1, &["hello", "nothing"]);
    only_a_sentence(&serve(&["--module", "math:pi"]).wait(), 1, &["math:pi", "float"]);
}

#[test]
fn an_application_that_raises_on_import_shows_its_own_traceback_and_a_sentence() {
    let folder = folder_with("broken.py", "import json\n\n\ndef inner():\n    raise ValueError('on import')\n\n\ninner()\n");
    for arguments in [["--module", "broken", "--chdir"], ["--wsgi-file", "broken.py", "--chdir"]] {
        let ended = serve(&[&arguments[..], &[folder.path().to_str().unwrap()]].concat()).wait();
        sentence(&ended, 1, &["broken", "ValueError", "on import"]);
        assert!(ended.stderr.contains("Traceback (most recent call last)") && ended.stderr.contains("in inner"), "{}", ended.stderr);
        for ours in ["importlib", "runpy", "<string>"] {
            assert!(!ended.stderr.contains(ours), "{ours:?} in {}", ended.stderr);
        }
    }
    // The module is there; what it needs is not. The sentence must not say that the application is missing.
    let folder = folder_with("needy.py", "import not_installed\n");
    let ended = serve(&["--module", "needy", "--chdir", folder.path().to_str().unwrap()]).wait();
    sentence(&ended, 1, &["needy", "not_installed", "; no virtualenv is in use, --home names one"]);
    assert!(ended.stderr.contains("Traceback (most recent call last)"), "{}", ended.stderr);
    let folder = folder_with("typo.py", "def application(environ, start_response:\n    pass\n");
    let ended = serve(&["--module", "typo", "--chdir", folder.path().to_str().unwrap()]).wait();
    sentence(&ended, 1, &["typo", "SyntaxError"]);
}

#[test]
fn an_application_that_leaves_on_import_is_a_sentence() {
    let folder = folder_with("leaves.py", "import sys\nsys.exit(0)\n");
    let ended = serve(&["--module", "leaves", "--chdir", folder.path().to_str().unwrap()]).wait();
    sentence(&ended, 1, &["leaves", "SystemExit"]);
}

#[test]
fn a_file_that_cannot_be_read_is_a_sentence() {
    only_a_sentence(&serve(&["--wsgi-file", "no_such_file.py"]).wait(), 1, &["no_such_file.py"]);
    only_a_sentence(&serve(&["--wsgi-file", "faulty"]).wait(), 1, &["faulty"]);
    let folder = folder_with("secret.py", "application = None\n");
    let file = folder.path().join("secret.py");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    // Root reads everything; then the file is merely one without a callable.
    let ended = serve(&["--wsgi-file", file.to_str().unwrap()]).wait();
    only_a_sentence(&ended, 1, &["secret.py"]);
}

#[test]
fn a_home_that_is_none_or_of_another_python_is_a_sentence() {
    only_a_sentence(&serve(&["--home", "/no/such/home"]).wait(), 2, &["/no/such/home"]);
    let empty = tempfile::tempdir().unwrap();
    only_a_sentence(&serve(&["--home", empty.path().to_str().unwrap()]).wait(), 2, &[empty.path().to_str().unwrap()]);
    let other = folder_with("pyvenv.cfg", "home = /usr/bin\nversion = 3.6.9\ninclude-system-site-packages = false\n");
    fs::create_dir_all(other.path().join("bin")).unwrap();
    fs::create_dir_all(other.path().join("lib/python3.6/site-packages")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", other.path().join("bin/python")).unwrap();
    only_a_sentence(&serve(&["--home", other.path().to_str().unwrap(), "--module", "hello"]).wait(), 2, &["3.6"]);
}

#[test]
fn an_address_that_cannot_be_had_is_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    only_a_sentence(&Process::serve(["--http", &address]).wait(), 1, &[&address, "in use"]);
    let figures = Process::serve(["--http", "127.0.0.1:0", "--stats", &address]).wait();
    only_a_sentence(&figures, 1, &["cannot tell figures", &address, "in use by", "choose another port with --stats"]);
    only_a_sentence(&Process::serve(["--http", "/no/such/folder/a.sock"]).wait(), 1, &["/no/such/folder"]);
    only_a_sentence(&Process::serve(["--http", "192.0.2.1:80"]).wait(), 1, &["192.0.2.1"]);
    only_a_sentence(&Process::serve(["--http", "no-such-host.invalid:80"]).wait(), 1, &["no-such-host.invalid"]);
    only_a_sentence(&Process::serve(["--http", "fd://777"]).wait(), 1, &["777"]);
}

#[test]
fn a_command_line_that_is_not_understood_is_a_sentence_and_exit_code_2() {
    for (arguments, parts) in [
        (&["--no-such-option"][..], &["--no-such-option"][..]),
        (&["--thread", "4"], &["--thread", "--threads"]),
        (&["--threads", "many"], &["--threads", "many"]),
        (&["--threads", "0"], &["--threads", "0"]),
        (&["--http", "8000"], &["8000", "HOST:PORT", ": did you mean :8000?"]),
        (&["--http", "localhost:99999"], &["99999"]),
        (&["--module"], &["--module"]),
        (&["--mount", "nothing"], &["--mount", "nothing"]),
        (&["--static-map", "/static"], &["--static-map", "/PREFIX=DIR"]),
        (&["--static-map", "/static=/no/such/folder"], &["--static-map: cannot serve files from /no/such/folder", "No such file"]),
        (&["--check-static", "/no/such/folder"], &["--check-static: cannot serve files from /no/such/folder"]),
        (&["--check-static", "/", "--static-safe", "/no/such"], &["--static-safe: cannot serve files from /no/such"]),
        (&["--check-static", "/", "--mime-file", "/no/such"], &["--mime-file: cannot read /no/such"]),
        (&["--static-expires", "3600"], &["--static-expires", "a pattern, a space and seconds"]),
        (&["--chmod-socket", "999"], &["999"]),
        (&["--module", "hello", "--wsgi-file", "hello.py"], &["--wsgi-file", "module says too"]),
        (&["--chdir", "/no/such/folder"], &["--chdir: cannot change to the directory \"/no/such/folder\""]),
        (&["--pp", "/no/such/folder"], &["--pp: cannot search \"/no/such/folder\""]),
        (&["--processes", "2", "--home", "/no/such/home"], &["--home: the Python home \"/no/such/home\" does not exist"]),
    ] {
        only_a_sentence(&Process::serve(arguments).wait(), 2, parts);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let help = Process::serve(["--help"]).wait();
    assert_eq!((help.status.code(), help.stderr.as_str()), (Some(0), ""));
    for option in [
        "--http",
        "--module",
        "--wsgi-file",
        "--callable",
        "--chdir",
        "--home",
        "--virtualenv",
        "--pythonpath",
        "--threads",
        "--mount",
        "-w",
        "-H",
    ] {
        assert!(help.stdout.contains(option), "{option} is not in the help");
    }
    let version = Process::serve(["--version"]).wait();
    assert_eq!(version.status.code(), Some(0));
    assert!(version.stdout.contains(env!("CARGO_PKG_VERSION")) && version.stdout.contains("Python"), "{}", version.stdout);
}

#[test]
fn the_start_says_what_is_served_where_by_which_python() {
    let begun = Instant::now();
    let mut process = serve(&["--module", "hello", "--threads", "3", "--mount", "/other=environ:application"]);
    let address = process.address();
    let seen = Browser::new(address).get("/");
    // No assertion: a busy machine is not a defect. `benches` has the figure.
    println!("first answer {:?} after the start of the process (not optimised, unless this is a release build)", begun.elapsed());
    assert_eq!(seen.text(), "Hello, world!\n");
    let said = process.stderr();
    for part in ["Python 3.", "hello:application", "environ:application", "/other", "3 threads", &address.port().to_string()] {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    assert_eq!(process.stdout(), "");
}

#[test]
fn without_an_application_it_serves_a_page_that_says_that_it_works() {
    let mut process = Process::serve(["--http", "127.0.0.1:0"]);
    let mut browser = Browser::new(process.address());
    let page = browser.get("/");
    assert_eq!((page.code(), page.end), (200, End::Clean));
    assert!(page.field("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    assert!(page.text().contains("works"), "{}", page.text());
    // What a peer sends must not become a part of the page.
    let page = browser.get("/%3Cscript%3Ealert(1)%3C/script%3E?%3Cscript%3E");
    assert!(!page.text().contains("<script>alert"), "{}", page.text());
}

#[test]
fn a_file_and_a_callable_can_be_named() {
    let mut process = serve(&["--wsgi-file", "callables.py", "--callable", "partial"]);
    assert_eq!(Browser::new(process.address()).get("/").text(), "partial");
    let mut process = serve(&["-w", "callables:instance"]);
    assert_eq!(Browser::new(process.address()).get("/").text(), "instance");
    let apps = apps();
    let mut process =
        Process::serve(["--http", "127.0.0.1:0", "--pythonpath", "/tmp", "--pythonpath", apps.to_str().unwrap(), "-w", "hello"]);
    assert_eq!(Browser::new(process.address()).get("/").text(), "Hello, world!\n");
}

// clauses: D17
#[test]
fn applications_are_mounted_side_by_side() {
    let mut process = serve(&["--module", "process", "--mount", "/a=hello", "--mount", "/a/b=process:application"]);
    let mut browser = Browser::new(process.address());
    for (path, text) in [
        ("/x", "|/x"),
        ("/a/x", "Hello, world!\n"),
        ("/a/b", "/a/b|"),
        ("/a/b/x", "/a/b|/x"),
        ("/a/bc", "Hello, world!\n"),
        ("/ab", "|/ab"),
    ] {
        assert_eq!(browser.get(path).text(), text, "{path}");
    }
}

// clauses: 31, 87
#[test]
fn an_application_that_fails_leaves_its_traceback_on_standard_error() {
    let mut process = serve(&["--module", "process"]);
    let mut browser = Browser::new(process.address());
    assert_eq!(browser.get("/fail").code(), 500);
    process.line_with("RuntimeError: the application fails");
    assert!(process.stderr().contains("Traceback (most recent call last)"));
    assert_eq!(browser.get("/on").text(), "|/on");
}

#[test]
fn sigterm_lets_a_request_finish_and_runs_atexit() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let mut command = Process::serve_command(with_apps(&["--module", "process", "--threads", "2"]));
    command.env("PROCESS_MARK", &mark);
    let mut process = Process::start(command);
    let address = process.address();
    let mut idle = Wire::tcp(address).unwrap();
    let mut waiting = Wire::tcp(address).unwrap();
    waiting.send(&Request::get("/wait")).unwrap();
    assert_eq!(waiting.head().unwrap().code, 200);
    assert_eq!(waiting.block().unwrap().as_deref(), Some(&b"waiting "[..]));
    // Accepted before the end begins, so it may still ask; that is how the waiting one is let go.
    idle.send(&Request::get("/first")).unwrap();
    assert_eq!(collect(&mut idle).text(), "|/first");

    let mut asking = Wire::tcp(address).unwrap();
    asking.raw(b"GET /go HTTP/1.1\r\nHost: a\r\n").unwrap();
    process.terminate();
    asking.raw(b"\r\n").unwrap();
    let seen = collect(&mut asking);
    assert_eq!(seen.text(), "|/go");
    assert_eq!(waiting.block().unwrap().as_deref(), Some(&b"and gone on"[..]));
    assert_eq!(waiting.block(), Ok(None));
    let ended = process.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(mark).expect("atexit did not run"), "atexit ran");
    assert!(Wire::tcp(address).is_err(), "it still listens");
}

#[test]
fn sigint_ends_it_too_and_an_idle_connection_does_not_hold_it() {
    let mut process = serve(&["--module", "hello"]);
    let mut idle = Wire::tcp(process.address()).unwrap();
    idle.send(&Request::get("/")).unwrap();
    assert!(collect(&mut idle).reusable);
    process.signal(rustix::process::Signal::INT);
    let ended = process.wait();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let (rest, _) = idle.rest();
    assert!(rest.is_empty());
}

#[test]
fn a_unix_socket_has_its_mode_and_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("serve.sock");
    for mode in ["600", "666"] {
        let mut process =
            Process::serve(["--http", path.to_str().unwrap(), "--chmod-socket", mode, "--chdir", apps().to_str().unwrap(), "-w", "hello"]);
        process.line_with("serve.sock");
        assert_eq!(format!("{:o}", fs::metadata(&path).unwrap().permissions().mode() & 0o777), mode);
        let mut client = Wire::unix(&path).unwrap();
        client.send(&Request::get("/")).unwrap();
        assert_eq!(collect(&mut client).text(), "Hello, world!\n");
        process.terminate();
        assert_eq!(process.wait().status.code(), Some(0));
        assert!(!path.exists(), "the socket was left behind");
    }
    // One that a crash left behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut process = Process::serve(["--http", path.to_str().unwrap(), "--chdir", apps().to_str().unwrap(), "-w", "hello"]);
    process.line_with("serve.sock");
    assert!(Wire::unix(&path).is_ok());
}

#[test]
fn it_serves_a_socket_that_it_was_started_with() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Sent before there is a server: it waits in the socket's own queue.
    let mut early = Wire::tcp(address).unwrap();
    early.send(&Request::get("/early")).unwrap();
    rustix::io::fcntl_setfd(&listener, rustix::io::FdFlags::empty()).unwrap();
    let descriptor = format!("fd://{}", listener.as_raw_fd());
    let process = Process::serve(["--http", &descriptor, "--chdir", apps().to_str().unwrap(), "-w", "hello"]);
    assert_eq!(collect(&mut early).text(), "Hello, world!\n");
    process.terminate();
    assert_eq!(process.wait().status.code(), Some(0));
}

// clauses: 73, D11
#[test]
fn a_request_that_breaks_the_protocol_gets_its_4xx_and_others_are_untouched() {
    let mut process = serve(&["--module", "hello", "--threads", "2"]);
    let address = process.address();
    let mut bystander = Wire::tcp(address).unwrap();
    bystander.send(&Request::get("/")).unwrap();
    assert_eq!(collect(&mut bystander).text(), "Hello, world!\n");
    for (request, code) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\x00\x01\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(), 400),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(100_000)), 414),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "a".repeat(100_000)), 431),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505),
    ] {
        let mut client = Wire::tcp(address).unwrap();
        client.raw(request.as_bytes()).ok();
        let seen = collect(&mut client);
        let shown: String = request.chars().take(40).collect();
        assert_eq!(seen.head.as_ref().map(|head| head.code), Some(code), "{shown:?}: {:?}", seen.end);
        assert!(!seen.reusable, "{shown:?}");
        bystander.send(&Request::get("/")).unwrap();
        assert_eq!(collect(&mut bystander).text(), "Hello, world!\n", "the connection beside it suffered");
    }
    process.terminate();
    let ended = process.wait();
    assert_eq!(ended.status.code(), Some(0));
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().filter(|line| line.contains("refused")).count(), 6, "each is logged once: {}", ended.stderr);
}

#[test]
fn what_an_application_prints_comes_out_at_once() {
    let folder = folder_with(
        "talks.py",
        "import sys\n\n\ndef application(environ, start_response):\n    print('to standard output')\n    print('to standard error', file=sys.stderr)\n    \
         start_response('200 OK', [('Content-Type', 'text/plain')])\n    return [b'said']\n",
    );
    let mut process = serve(&["--module", "talks", "--chdir", folder.path().to_str().unwrap()]);
    assert_eq!(Browser::new(process.address()).get("/").text(), "said");
    process.line_with("to standard error");
    process.line_with("to standard output");
}

#[test]
fn the_environment_that_it_was_told_of_is_the_one_that_python_has() {
    let folder = folder_with(
        "where.py",
        "import os\nimport sys\n\n\ndef application(environ, start_response):\n    start_response('200 OK', [('Content-Type', 'text/plain')])\n    \
         return ['|'.join([os.getcwd(), sys.prefix, sys.path[0], str(sys.argv)]).encode()]\n",
    );
    let chdir = folder.path().canonicalize().unwrap();
    let mut process = serve(&["--module", "where", "--chdir", chdir.to_str().unwrap()]);
    let text = Browser::new(process.address()).get("/").text();
    assert!(text.starts_with(&format!("{}|", chdir.display())), "{text}");
    assert!(!text.ends_with("[]"), "sys.argv is empty, which programs do not expect: {text}");
}

/// Kept here because it needs nothing but the program: a large file moves without being held.
#[test]
fn a_large_reply_costs_no_memory() {
    let folder = folder_with(
        "large.py",
        "SIZE = 256 * 1024 * 1024\n\n\ndef application(environ, start_response):\n    \
         start_response('200 OK', [('Content-Type', 'application/octet-stream'), ('Content-Length', str(SIZE))])\n    \
         block = b'x' * 65536\n    return (block for _ in range(SIZE // len(block)))\n",
    );
    let mut process = serve(&["--module", "large", "--chdir", folder.path().to_str().unwrap()]);
    let mut stream = std::net::TcpStream::connect(process.address()).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut first = 0;
    let mut total = 0;
    loop {
        let read = stream.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        total += read;
        if first == 0 && total > 8 << 20 {
            first = resident(&process);
        }
    }
    let grown = resident(&process).saturating_sub(first);
    assert!(total > 256 << 20, "{total} bytes came");
    assert!(grown < 16 << 20, "resident memory grew by {grown} bytes");
}

/// The resident memory of the process, in bytes.
fn resident(process: &Process) -> u64 {
    let status = fs::read_to_string(Path::new("/proc").join(process.id().to_string()).join("status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") * 1024
}
