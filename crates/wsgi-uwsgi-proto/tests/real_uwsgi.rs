//! The client's codec against a real uWSGI, and a real uWSGI's clients (its ping, its HTTP router) against the server's codec.
//!
//! Skipped with a line that says what to install where there is none; a failure where `CI` is `true`. The program is `$UWSGI`, or
//! `uwsgi-venv/bin/uwsgi` in the target directory, or `uwsgi` on the `PATH`. It must be able to run Python without a plugin, as the one of the
//! Python package index is.

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use common::{PATIENCE, Reader, Variables, ask, read, request};
use wsgi_core::server::{ListenAddress, Listener, Server};
use wsgi_core::wire::{Known, ResponseHead};
use wsgi_core::{Exchange, Handler};
use wsgi_uwsgi_proto::Uwsgi;
use wsgi_uwsgi_proto::client::{self, Event, Reply};

const APPLICATION: &str = r#"
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [])
        return (b"%d " % n for n in range(1000))
    if path == "/missing":
        start_response("404 Nowhere To Be Found", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Content-Length", "0")])
        return []
    body = environ["wsgi.input"].read()
    text = "|".join(environ[name] for name in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X_A"))
    text = text.encode("latin-1") + b"|" + body
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text]
"#;

#[test]
fn a_real_uwsgi_understands_our_packets_and_we_its_replies() {
    let Some(program) = program() else { return };
    let place = Place::new("application");
    std::fs::write(place.path("application.py"), APPLICATION).unwrap();
    let socket = place.path("socket");
    let _uwsgi = Running::start(
        Command::new(program)
            .args(["--need-app", "--buffer-size", "65535", "--wsgi-file"])
            .arg(place.path("application.py"))
            .arg("--socket")
            .arg(&socket),
    );
    let connect = || connect(&socket);

    let echo = |modifier1, method: &str, path: &str, body: &[u8]| {
        let variables = [
            ("REQUEST_METHOD", method),
            ("SCRIPT_NAME", "/app"),
            ("PATH_INFO", path),
            ("QUERY_STRING", "q=%20"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", "localhost"),
            ("SERVER_PORT", "80"),
            ("HTTP_X_A", "\u{e9}"),
        ];
        ask(connect(), &request(modifier1, &variables, body)).unwrap()
    };
    let (head, body) = echo(client::WSGI, "GET", "/caf\u{e9}", b"");
    assert_eq!((head.status_line(), head.fields().next()), (&b"200 OK"[..], Some((&b"Content-Type"[..], &b"text/plain"[..]))));
    assert_eq!(String::from_utf8(body).unwrap(), "GET|/app|/caf\u{e9}|q=%20|\u{e9}|");
    // With Python 3, uWSGI 2.0 does not take the prefix off, because it expects byte strings; but it answers.
    let body = String::from_utf8(echo(client::MANAGE_PATH_INFO, "GET", "/app/x", b"").1).unwrap();
    assert!(["GET|/app|/x|q=%20|\u{e9}|", "GET|/app|/app/x|q=%20|\u{e9}|"].contains(&&*body), "{body}");

    let long: Vec<u8> = (0..300_000u32).map(|n| (n / 3) as u8).collect();
    let (head, body) = echo(client::WSGI, "POST", "/", &long);
    assert_eq!(head.content_length(), Some(body.len() as u64));
    assert!(body.ends_with(&long));

    let of = |method, path| request(client::WSGI, &[("REQUEST_METHOD", method), ("PATH_INFO", path), ("SERVER_PROTOCOL", "HTTP/1.0")], b"");
    let (head, body) = ask(connect(), &of("GET", "/missing")).unwrap();
    assert_eq!((head.status_line(), &body[..]), (&b"404 Nowhere To Be Found"[..], &b""[..]));
    assert_eq!(head.lines(), b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n");

    let (head, body) = ask(connect(), &of("GET", "/stream")).unwrap();
    assert_eq!((head.code(), head.content_length()), (200, None));
    assert_eq!(body, (0..1000).map(|n| format!("{n} ")).collect::<String>().into_bytes());

    let mut stream = connect();
    stream.write_all(&of("HEAD", "/missing")).unwrap();
    let mut reader = Reader::new(Reply::to(b"HEAD"));
    assert_eq!((reader.next(&mut stream).unwrap(), reader.next(&mut stream).unwrap()), (Event::Head, Event::End));

    let mut stream = connect();
    stream.write_all(&client::PING).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, client::PONG);

    // A variable of 60,000 bytes, near the most that a packet holds.
    let value = "v".repeat(60_000);
    let variables: Variables = &[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/missing"), ("HTTP_X_A", &value)];
    assert_eq!(ask(connect(), &request(client::WSGI, variables, b"")).unwrap().0.code(), 404);
}

#[test]
fn the_clients_of_a_real_uwsgi_are_served() {
    let Some(program) = program() else { return };
    let place = Place::new("clients");
    let socket = place.path("socket");
    let server = Server::new(Teller).listen(Listener::bind(&ListenAddress::Unix(socket.clone())).unwrap(), Uwsgi::new()).start().unwrap();

    let ping = Command::new(&program).arg("--ping").arg(&socket).stderr(Stdio::null()).status().unwrap();
    assert_eq!(ping.code(), Some(0));

    // uWSGI's HTTP router takes HTTP and speaks uwsgi to what is behind it. Without a master the process that started the router ends at once, and
    // sometimes takes the first connection with it.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let http = format!("127.0.0.1:{port}");
    let _router = Running::start(Command::new(&program).arg("--master").arg("--http").arg(&http).arg("--http-to").arg(&socket));
    let connect = || until(|| TcpStream::connect(&http).ok());
    for (asked, expected) in [
        ("GET /caf%C3%A9?q=%20 HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n", "GET||/caf\u{e9}|q=%20|127.0.0.1|"),
        ("POST / HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc", "POST||/||127.0.0.1|abc"),
    ] {
        let mut stream = connect();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(asked.as_bytes()).unwrap();
        let (head, body) = read(&mut stream, Reply::to(b"GET")).unwrap();
        assert_eq!((head.code(), String::from_utf8(body).unwrap()), (200, expected.to_owned()));
    }
    server.handle().hurry();
    server.wait();
}

// --------------------------------------------------------------------------------------------------------------------------------------------

/// Says what it was asked.
struct Teller;

impl Handler for Teller {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let mut text = Vec::new();
        for name in [Known::RequestMethod, Known::ScriptName, Known::PathInfo, Known::QueryString, Known::RemoteAddr] {
            text.extend_from_slice(exchange.head().get(name).unwrap_or_default());
            text.push(b'|');
        }
        text.extend_from_slice(&exchange.read(usize::MAX).unwrap());
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, text.len() as u64));
        exchange.data(&text);
        exchange.finish();
    }
}

/// The real thing, if it is there.
fn program() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let candidates = [std::env::var_os("UWSGI").map(PathBuf::from), Some(target.join("uwsgi-venv/bin/uwsgi")), Some("uwsgi".into())];
    let runs = |program: &PathBuf| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let found = candidates.into_iter().flatten().find(runs);
    if found.is_none() {
        let venv = target.join("uwsgi-venv");
        let text = format!("skipped: no uWSGI; python3 -m venv {0} && {0}/bin/pip install uwsgi", venv.display());
        assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{text}");
        eprintln!("{text}");
    }
    found
}

fn connect(socket: &Path) -> UnixStream {
    let stream = until(|| UnixStream::connect(socket).ok());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = attempt() {
            return result;
        }
        assert!(Instant::now() < end, "it comes in time");
        std::thread::yield_now();
    }
}

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let directory = std::env::temp_dir().join(format!("wsgi-real-uwsgi-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Place(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that ends with the test, and so does what it started: a uWSGI without a master leaves its router behind.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        Running(command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("sh").arg("-c").arg(format!("kill -KILL -{}", self.0.id())).status();
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
