//! What `serve` tells of its requests: access log, figures, and whose request a line is about.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rustix::process::Signal;
use wsgi_tests::DEADLINE;
use wsgi_tests::fixture::apps;
use wsgi_tests::process::{Process, build};
use wsgi_tests::skip;

fn serve(arguments: &[&str]) -> Process {
    let apps = apps();
    let fixed = ["--http", "127.0.0.1:0", "--chdir", apps.to_str().expect("a path in UTF-8"), "--module", "talks"];
    Process::serve(fixed.iter().chain(arguments))
}

/// Sends a request, and gives all that comes back.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket");
    stream.write_all(request.as_bytes()).expect("it takes it");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it answers");
    reply
}

fn get(address: SocketAddr, target: &str) -> String {
    ask(address, &format!("GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
}

/// Waits until a file is as expected.
fn wait_for(path: &Path, expected: impl Fn(&str) -> bool) -> String {
    let until = Instant::now() + DEADLINE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        if expected(&text) {
            return text;
        }
        assert!(Instant::now() < until, "{}: {text}", path.display());
        std::thread::yield_now();
    }
}

#[test]
fn nothing_is_logged_of_requests_unless_it_is_asked_for() {
    let mut server = serve(&[]);
    get(server.address(), "/quiet");
    server.terminate();
    assert!(!server.wait().stderr.contains("GET /quiet"));
}

#[test]
fn requests_are_logged_to_a_file_that_may_be_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let (log, old) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let mut server = serve(&["--access-log", log.to_str().unwrap(), "--log-format", "%(method) %(uri) %(status) %(rsize)"]);
    let address = server.address();
    get(address, "/one?a=%22b");
    get(address, "/raises");
    ask(address, "nonsense\r\n\r\n");
    let lines = "GET /one?a=%22b 200 4\nGET /raises 500 26\n- - 400 0\n";
    wait_for(&log, |text| text == lines);
    fs::rename(&log, &old).unwrap();
    server.signal(Signal::USR1);
    wait_for(&log, |text| text.is_empty() && log.exists());
    get(address, "/two");
    server.terminate();
    assert!(server.wait().status.success());
    assert_eq!(fs::read_to_string(&log).unwrap(), "GET /two 200 4\n");
    assert_eq!(fs::read_to_string(&old).unwrap(), lines);
}

#[test]
fn everything_may_go_to_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let (log, old) = (folder.path().join("site.log"), folder.path().join("site.log.1"));
    let command = Process::serve_command(["--http", "127.0.0.1:0", "--logto", log.to_str().unwrap()]);
    let server = Process::start(command);
    let text = wait_for(&log, |text| text.contains("listening on http://") && text.ends_with('\n'));
    let address = text.split("http://").nth(1).and_then(|rest| rest.split('/').next()).and_then(|address| address.parse().ok()).unwrap();
    get(address, "/one");
    wait_for(&log, |text| text.contains("] GET /one => generated "));
    fs::rename(&log, &old).unwrap();
    server.signal(Signal::USR1);
    wait_for(&log, |text| text.contains("USR1"));
    get(address, "/two");
    wait_for(&log, |text| text.contains("] GET /two => generated "));
    server.terminate();
    let ended = server.wait();
    assert!(ended.status.success() && ended.stderr.is_empty() && ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn only_failures_are_logged_where_only_those_are_asked_for() {
    let mut server = serve(&["--disable-logging", "--log-5xx", "--log-format", "%(uri) %(status) %(wid)", "--access-log", "-"]);
    let address = server.address();
    get(address, "/good");
    get(address, "/raises");
    server.terminate();
    assert_eq!(server.wait().stdout, "/raises 500 1\n");
}

#[test]
fn what_an_application_says_is_logged_with_its_request() {
    let mut server = serve(&["--log-req-id", "--access-log", "-", "--log-format", "%(id) %(uri)"]);
    let address = server.address();
    let reply = ask(address, "GET /raises HTTP/1.1\r\nHost: x\r\nX-Request-ID: given-1\r\nConnection: close\r\n\r\n");
    assert!(reply.starts_with("HTTP/1.1 500 "), "{reply}");
    let made = get(address, "/made").lines().last().unwrap().to_owned();
    assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    server.terminate();
    let ended = server.wait();
    assert_eq!(ended.stdout, format!("given-1 /raises\n{made} /made\n"));
    for (id, said) in [("given-1", "/raises"), (&*made, "/made")] {
        for how in ["printed", "WARNING logged", "UserWarning: warned", "written"] {
            let line = ended.stderr.lines().find(|line| line.contains(&format!("{how} {said}")));
            let line = line.unwrap_or_else(|| panic!("{how} {said} is not in {}", ended.stderr));
            assert!(line.contains(&format!("request{{id={id}}}")), "{line}");
        }
    }
    let traceback = ended.stderr.lines().find(|line| line.contains("RuntimeError: as the test wants")).unwrap();
    assert!(traceback.contains("request{id=given-1}"), "{traceback}");
}

#[test]
fn figures_are_told_to_prometheus_probes_people_and_serve_top() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("stats");
    let mut server = serve(&["--threads", "2", "--stats", "127.0.0.1:0"]);
    let address = server.address();
    let line = server.line_with("figures on ");
    let stats: SocketAddr = line.rsplit(' ').next().unwrap().parse().unwrap();
    get(address, "/one");
    get(address, "/raises");
    let metrics = get(stats, "/metrics");
    for line in [
        "wsgi_requests_total{worker=\"1\",status=\"2xx\"} 1",
        "wsgi_requests_total{worker=\"1\",status=\"5xx\"} 1",
        "wsgi_exceptions_total{worker=\"1\"} 1",
        "wsgi_threads{worker=\"1\"} 2",
        "wsgi_request_seconds_count{worker=\"1\",stage=\"attaching\"} 2",
    ] {
        assert!(metrics.lines().any(|other| other == line), "{line:?} is not in {metrics}");
    }
    assert!(get(stats, "/readyz").ends_with("\r\n\r\nready\n"));

    let top = build("wsgi-examples", "serve-top");
    let run = |arguments: &[&str]| Command::new(&top).args(arguments).output().expect("it was built");
    let shown = run(&["--once", &stats.to_string()]);
    let page = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && page.contains("ready") && page.contains("requests 2 "), "{page}");
    let wrong = run(&["--once", &address.to_string()]);
    assert_eq!(wrong.status.code(), Some(1));
    assert_eq!(String::from_utf8(wrong.stderr).unwrap(), format!("serve-top: {address} answers, but not as serve --stats does\n"));
    let wrong = run(&["--once", socket.to_str().unwrap()]);
    assert!(String::from_utf8(wrong.stderr).unwrap().starts_with("serve-top: cannot ask "));
    assert_eq!(run(&[]).status.code(), Some(2));
    server.terminate();
    assert!(server.wait().status.success());
}

/// The real one, from PyPI, on a terminal of its own.
#[test]
fn uwsgitop_reads_the_figures() {
    // Beside uWSGI itself, where CI installs both.
    let beside = std::env::var_os("UWSGI").map(|uwsgi| Path::new(&uwsgi).with_file_name("uwsgitop")).filter(|path| path.exists());
    let uwsgitop = beside.unwrap_or_else(|| "uwsgitop".into());
    if !Command::new(&uwsgitop).arg("--help").output().is_ok_and(|output| output.status.success()) {
        return skip("uwsgitop is missing: pip install uwsgitop");
    }
    let mut server = serve(&["--stats", "127.0.0.1:0"]);
    get(server.address(), "/one");
    let line = server.line_with("figures on ");
    let stats = line.rsplit(' ').next().unwrap();
    let script = "import pty, sys; sys.exit(pty.spawn(['timeout', '--foreground', '3', sys.argv[1], '--frequency', '1', sys.argv[2]]))";
    let mut terminal = Command::new("python3");
    terminal.args(["-c", script]).arg(&uwsgitop).arg(stats).env("TERM", "xterm");
    let output = terminal.output().expect("python3");
    let screen = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(screen.contains("req: 1 ") && screen.contains("idle"), "{screen}");
}
