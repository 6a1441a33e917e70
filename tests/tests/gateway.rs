//! The gateway of `examples/gateway/` as a process, in front of `serve`, of a real uWSGI and of upstreams that misbehave; and the examples
//! `three_front_ends` and `tokio_gateway`, asked by way of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::process::Signal;
use tempfile::TempDir;
use wsgi_tests::client::Wire;
use wsgi_tests::column::{Body, Broken, Conversation, End, Request, Seen};
use wsgi_tests::front::checks::lines;
use wsgi_tests::front::relay::Relay;
use wsgi_tests::front::upstream::folder;
use wsgi_tests::process::{Process, build};
use wsgi_tests::{DEADLINE, venv};

macro_rules! in_front_of {
    ($($name:ident: $kind:ident),* $(,)?) => {
        $(
            mod $name {
                use super::*;

                #[test]
                fn request_and_reply_are_passed_on() {
                    Site::of(Kind::$kind, passed_on);
                }

                #[test]
                fn bodies_stream_both_ways() {
                    Site::of(Kind::$kind, streams);
                }

                #[test]
                fn what_goes_wrong_behind_is_seen_in_front() {
                    Site::of(Kind::$kind, goes_wrong);
                }
            }
        )*
    };
}

in_front_of! {
    serve_with_uwsgi: ServeUwsgi,
    serve_with_fastcgi: ServeFastCgi,
    uwsgi_with_uwsgi: RealUwsgi,
    uwsgi_with_fastcgi: RealFastCgi,
}

fn passed_on(site: &mut Site) {
    let mut client = site.client();
    let from = client.local().expect("TCP");
    let request = Request::new("DELETE", "/environ/caf%C3%A9%2F%25?a=1&b=%20")
        .field("X-Custom", "a, b")
        .field("Connection", "keep-alive, X-Private")
        .field("X-Private", "for the gateway alone")
        .field("TE", "trailers")
        .field("Proxy-Connection", "keep-alive")
        .field("Remote-User", "root");
    client.send(&request).unwrap();
    let reply = client.reply();
    assert_eq!((reply.code(), reply.reason(), &reply.end), (200, "OK", &End::Clean), "{}", site.said());
    assert!(reply.reusable, "{reply:?}");
    let seen = lines(&reply.text());
    for (name, value) in [
        ("REQUEST_METHOD", "DELETE"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", "/environ/caf\u{c3}\u{a9}/%"),
        ("QUERY_STRING", "a=1&b=%20"),
        ("REQUEST_URI", "/environ/caf%C3%A9%2F%25?a=1&b=%20"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("HTTP_HOST", "localhost"),
        ("HTTP_X_CUSTOM", "a, b"),
        ("REMOTE_ADDR", &from.ip().to_string()),
        ("REMOTE_PORT", &from.port().to_string()),
        ("SERVER_PORT", &site.address.port().to_string()),
        ("wsgi.url_scheme", "http"),
    ] {
        assert_eq!(&seen[name], value, "{name}");
    }
    for name in ["HTTP_CONNECTION", "HTTP_X_PRIVATE", "HTTP_TE", "HTTP_PROXY_CONNECTION", "REMOTE_USER"] {
        assert_eq!(&seen[name], "(absent)", "{name}");
    }

    // All of this on one connection: each reply ends where its framing says.
    let mut ask = |request: Request| -> Seen {
        client.send(&request).unwrap();
        let seen = client.reply();
        assert_eq!((&seen.end, seen.reusable), (&End::Clean, true), "{request:?}: {seen:?}");
        seen
    };
    let seen = ask(Request::new("HEAD", "/file"));
    assert_eq!((seen.code(), seen.field("content-length"), seen.body().len()), (200, Some("1048576"), 0));
    let whole = ask(Request::get("/file"));
    assert_eq!((whole.code(), whole.body().len()), (200, 1 << 20));
    let part = ask(Request::get("/file").field("Range", "bytes=1000-1999"));
    assert_eq!((part.code(), part.body()), (206, whole.body()[1000..2000].to_vec()));
    let seen = ask(Request::get("/no-such-page"));
    assert_eq!((seen.code(), seen.text().as_str()), (404, "there is nothing here\n"));
    assert_eq!(ask(Request::get("/odd-status")).reason(), "I'm a teapot");
    assert_eq!(ask(Request::get("/nothing")).code(), 204);
    assert_eq!(ask(Request::get("/cached").field("If-None-Match", "\"v1\"")).code(), 304);
    assert_eq!(ask(Request::get("/cookies")).fields("set-cookie"), ["a=1; Path=/", "b=2, 3; HttpOnly", "c=3; Secure"]);
    let cookie = "y".repeat(7900);
    assert_eq!(ask(Request::get("/large-header").field("Cookie", &cookie)).text(), cookie);

    let seen = lines(&ask(Request::post("/upload", Vec::new())).text());
    assert_eq!(&seen["length"], "0");
    let body = noise(10 << 20);
    let seen = lines(&ask(Request::post("/upload", body.clone())).text());
    assert_eq!((&seen["length"], &seen["declared"]), ("10485760", "10485760"));
    assert_eq!(seen["checksum"], checksum(&body));
    // uWSGI wants to know the length in either protocol.
    if site.kind != Kind::RealFastCgi {
        let pieces: Vec<Vec<u8>> = body[..1 << 20].chunks(100_000).map(<[u8]>::to_vec).collect();
        let seen = lines(&ask(Request::new("POST", "/upload").body(Body::Chunked(pieces))).text());
        assert_eq!((&seen["length"], &seen["coding"]), ("1048576", ""));
        assert_eq!(seen["checksum"], checksum(&body[..1 << 20]));
    }
}

fn streams(site: &mut Site) {
    // The second block is not made before the first was seen here.
    let name = name();
    let mut client = site.client();
    client.send(&Request::get(&format!("/stream?name={name}"))).unwrap();
    assert_eq!(client.head().unwrap().code, 200);
    assert_eq!(read(&mut client, "first\n".len()), "first\n");
    assert_eq!(site.ask(&format!("/open?name={name}")).text(), "opened\n");
    assert_eq!(read(&mut client, "second\n".len()), "second\n");
    assert_eq!(client.block(), Ok(None));

    // The second half of this body is not sent before the first was seen there. uWSGI's FastCGI takes a body in before it calls.
    if site.kind != Kind::RealFastCgi {
        let half = 200_000;
        client
            .send(&Request::new("POST", &format!("/upload-in-halves?name={name}&half={half}")).body(Body::Later(Some(2 * half))))
            .unwrap();
        client.send_body(&noise(half as usize)).unwrap();
        assert_eq!(site.ask(&format!("/half?name={name}")).text(), "it came\n");
        client.send_body(&noise(half as usize)).unwrap();
        assert_eq!(client.reply().text(), format!("{half} {half} {}\n", 2 * half));
    }

    // More than is ever in memory, each way.
    let seen = lines(&ask(site.address, Request::post("/upload", vec![b'x'; 32 << 20])).text());
    assert_eq!(&seen["length"], "33554432");
    let mut endless = site.client();
    endless.send(&Request::get(&format!("/endless?name={name}"))).unwrap();
    assert_eq!(endless.head().unwrap().code, 200);
    let mut had = 0;
    while had < 32 << 20 {
        had += endless.block().unwrap().expect("it has no end").len();
    }
    let most = most_memory(site.gateway.id());
    assert!(most < 16 << 20, "{most} bytes");

    // An answer that does not wait for the body. The upstream's buffers do not hold all of what is sent.
    if site.kind.is_ours() {
        client.send(&Request::new("POST", "/no-such-page").body(Body::Later(Some(100 << 20)))).unwrap();
        // It may be closed before all of this is taken.
        let _ = client.send_body(&noise(8 << 20));
        assert_eq!(client.head().unwrap().code, 404);
    }
}

fn goes_wrong(site: &mut Site) {
    let seen = site.ask("/fails-before");
    if site.kind.is_ours() {
        assert_eq!((seen.code(), &seen.end), (500, &End::Clean));
    } else {
        // uWSGI says nothing but closes.
        assert!([500, 502].contains(&seen.code()), "{seen:?}");
    }
    broken_off(site, "&declared");
    // uWSGI ends such a reply as if it were whole.
    if site.kind.is_ours() {
        broken_off(site, "");
    }

    let name = name();
    let mut client = site.client();
    client.send(&Request::get(&format!("/endless?name={name}"))).unwrap();
    assert_eq!(client.head().unwrap().code, 200);
    assert!(client.block().unwrap().is_some());
    Box::new(client).leave();
    assert_eq!(site.ask(&format!("/closed?name={name}")).text(), "closed\n");

    // The upstream dies of it.
    let mut client = site.client();
    client.send(&Request::post("/dies", "now")).unwrap();
    let seen = client.reply();
    assert_eq!((seen.code(), seen.text().as_str(), &seen.end), (502, "Bad Gateway\n", &End::Clean));
    until(|| site.upstream.ended().is_some());
    let seen = site.ask("/");
    assert_eq!((seen.code(), &seen.end), (502, &End::Clean));
    site.gateway.line_with("upstream cannot be reached");
}

/// A reply that the application breaks off when the client has seen its first block.
fn broken_off(site: &Site, query: &str) {
    let name = name();
    let mut client = site.client();
    client.send(&Request::get(&format!("/fails-in-body?name={name}{query}"))).unwrap();
    assert_eq!(client.head().unwrap().code, 200);
    assert_eq!(read(&mut client, "part of it\n".len()), "part of it\n");
    assert_eq!(site.ask(&format!("/open?name={name}")).code(), 200);
    let end = client.block();
    assert!(matches!(end, Err(Broken::Truncated | Broken::Reset)), "{end:?}");
}

#[test]
fn fastcgi_connections_are_kept_and_given_up_with_the_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = serve_fixture(&folder, &["--fastcgi-socket", "127.0.0.1:0"]);
    let upstream = listening(&mut serve, "fastcgi");
    let relay = Relay::to(upstream);
    let (_gateway, address) = gateway(&["--fastcgi", &relay.address.to_string()]);
    for _ in 0..5 {
        assert_eq!(ask(address, Request::get("/")).code(), 200);
        assert_eq!(ask(address, Request::post("/upload", noise(300_000))).code(), 200);
    }
    assert_eq!(relay.connections(), 1);

    // A reply of which the client has seen enough, or that breaks off, leaves nothing that could be taken for the next one.
    assert_eq!(ask(address, Request::new("HEAD", "/file")).code(), 200);
    assert_eq!(ask(address, Request::get("/")).text(), "the fixture\n");
    assert_eq!(relay.connections(), 1);

    // The server ends, and with it the connection; another stands there when the next request comes.
    serve.terminate();
    assert!(serve.wait().status.success());
    let socket = upstream.to_string();
    let mut serve = serve_fixture(&folder, &["--fastcgi-socket", &socket]);
    listening(&mut serve, "fastcgi");
    assert_eq!(ask(address, Request::get("/")).code(), 200);
    assert_eq!(relay.connections(), 2);
}

/// RFC 9110, 9.2.2: whether the upstream has acted on a request before it closed, nobody knows.
#[test]
fn a_kept_connection_that_closes_under_a_request_is_replaced_only_if_that_may_be_sent_again() {
    const NO_CONTENT: &[u8] = b"\x01\x06\0\x01\0\x11\0\0Status: 204 X\r\n\r\n\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
    for (second, code) in [(Request::get("/"), 204), (Request::post("/", ""), 502), (Request::post("/", "body"), 502)] {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        upstream.set_nonblocking(true).unwrap();
        let accept = || {
            let mut accepted = None;
            until(|| {
                accepted = upstream.accept().ok();
                accepted.is_some()
            });
            let (stream, _) = accepted.expect("until then");
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            stream
        };
        let hear = |stream: &mut TcpStream| assert!(stream.read(&mut [0; 64 * 1024]).unwrap() > 0);
        let (_gateway, address) = gateway(&["--fastcgi", &upstream.local_addr().unwrap().to_string()]);
        let mut client = Wire::tcp(address).unwrap();

        client.send(&Request::get("/")).unwrap();
        let mut kept = accept();
        hear(&mut kept);
        kept.write_all(NO_CONTENT).unwrap();
        assert_eq!(client.reply().code(), 204);

        client.send(&second).unwrap();
        hear(&mut kept);
        drop(kept);
        if code == 204 {
            let mut fresh = accept();
            hear(&mut fresh);
            fresh.write_all(NO_CONTENT).unwrap();
        }
        assert_eq!(client.reply().code(), code, "{second:?}");
        assert!(upstream.accept().is_err(), "{second:?} is sent again");
    }
}

#[test]
fn an_upstream_that_is_slow_to_answer_is_a_504() {
    for option in ["--uwsgi", "--fastcgi"] {
        // The system accepts for it, and nobody reads.
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let (_gateway, address) = gateway(&[option, &upstream.local_addr().unwrap().to_string(), "--timeout", "1"]);
        let seen = ask(address, Request::get("/"));
        assert_eq!((seen.code(), seen.text().as_str(), &seen.end), (504, "Gateway Timeout\n", &End::Clean));
    }
}

#[test]
fn an_upstream_that_stops_in_its_reply_is_an_abort() {
    let (upstream, thread) = once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfour", Then::Wait);
    let (_gateway, address) = gateway(&["--uwsgi", &upstream.to_string(), "--timeout", "1"]);
    let seen = ask(address, Request::get("/"));
    assert_eq!((seen.code(), seen.text().as_str()), (200, "four"));
    assert!(matches!(seen.end, End::Aborted(_)), "{seen:?}");
    thread.join().unwrap();
}

#[test]
fn what_is_no_reply_is_a_502() {
    for (option, reply) in [
        ("--uwsgi", &b""[..]),
        ("--uwsgi", b"HTTP/1.1 200 OK\r\nContent-Ty"),
        ("--uwsgi", b"something else\r\n\r\n"),
        ("--uwsgi", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ("--fastcgi", b""),
        ("--fastcgi", b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        // The end of a request without a word, and one that is not taken for a reason that nobody knows.
        ("--fastcgi", b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0"),
        ("--fastcgi", b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\x09\0\0\0"),
    ] {
        let (upstream, thread) = once(reply, Then::Close);
        let (_gateway, address) = gateway(&[option, &upstream.to_string()]);
        let seen = ask(address, Request::get("/"));
        assert_eq!((seen.code(), &seen.end), (502, &End::Clean), "{option} {}", reply.escape_ascii());
        thread.join().unwrap();
    }
    // OVERLOADED has a status of its own.
    let (upstream, thread) = once(b"\x01\x03\0\x01\0\x08\0\0\0\0\0\0\x02\0\0\0", Then::Close);
    let (_gateway, address) = gateway(&["--fastcgi", &upstream.to_string()]);
    assert_eq!(ask(address, Request::get("/")).code(), 503);
    thread.join().unwrap();
}

#[test]
fn what_the_upstream_says_on_stderr_is_in_the_gateways_log() {
    let reply = b"\x01\x07\0\x01\0\x05\x03\0alarm\0\0\0\x01\x06\0\x01\0\x10\0\0Status: 204 X\r\n\r\x01\x06\0\x01\0\x01\0\0\n\x01\x03\0\x01\0\x08\0\0\0\0\0\0\0\0\0\0";
    let (upstream, thread) = once(reply, Then::Close);
    let (mut gateway, address) = gateway(&["--fastcgi", &upstream.to_string()]);
    assert_eq!(ask(address, Request::get("/")).code(), 204);
    gateway.line_with("alarm");
    thread.join().unwrap();
}

#[test]
fn the_gateway_ends_when_it_is_told_to_and_knows_its_options() {
    let (gateway, _) = gateway(&["--uwsgi", "127.0.0.1:1"]);
    gateway.terminate();
    assert!(gateway.wait().status.success());
    for (arguments, code, said) in [
        (&["--http", ":0"][..], 2, "--uwsgi or --fastcgi is missing"),
        (&["--uwsgi", ":1"], 2, "--http is missing"),
        (&["--http", ":0", "--uwsgi", "x"], 2, "\"x\""),
        (&["--http", ":0", "--uwsgi", "fd://3"], 1, "cannot connect to fd://3"),
        (&["--http", ":0", "--scgi", ":1"], 2, "--scgi"),
    ] {
        let mut command = Command::new(gateway_program());
        command.args(arguments);
        let ended = Process::start(command).wait();
        assert_eq!(ended.status.code(), Some(code), "{ended:?}");
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}

#[test]
fn there_is_no_python_in_the_gateway() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--quiet", "--package", "wsgi-gateway", "--edges", "normal,build", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    assert!(tree.contains("wsgi-core") && tree.contains("wsgi-fastcgi"), "{tree}");
    assert!(!tree.contains("pyo3"), "{tree}");

    let libraries = Command::new("ldd").arg(gateway_program()).output().unwrap();
    let libraries = String::from_utf8(libraries.stdout).unwrap();
    assert!(libraries.contains("libc.so"), "{libraries}");
    assert!(!libraries.contains("python"), "{libraries}");
}

#[test]
fn three_front_ends_answer_for_one_application() {
    drop(three_front_ends("wsgi-examples", "three_front_ends"));
}

#[test]
fn three_front_ends_on_tokio_answer_for_one_application_until_they_are_interrupted() {
    let (server, http) = three_front_ends("wsgi-embedding", "tokio_gateway");
    let asked = Command::new("curl").args(["--silent", "--include", "--http2-prior-knowledge", &format!("http://{http}/")]).output();
    let asked = String::from_utf8(asked.expect("apt-get install curl").stdout).unwrap();
    assert!(asked.starts_with("HTTP/2 200") && asked.ends_with("Hello, world!\n"), "{asked}");
    server.signal(Signal::INT);
    let ended = server.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

/// Starts the program of this name and asks it by each of its protocols. Answers where it speaks HTTP.
fn three_front_ends(package: &str, program: &str) -> (Process, SocketAddr) {
    let mut command = Command::new(build(package, program));
    command.args(["127.0.0.1:0"; 3]).env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONDONTWRITEBYTECODE", "1");
    let mut server = Process::start(command);
    let [http, uwsgi, fastcgi] = ["http", "uwsgi", "fastcgi"].map(|scheme| listening(&mut server, scheme));
    let (_uwsgi, by_uwsgi) = gateway(&["--uwsgi", &uwsgi.to_string()]);
    let (_fastcgi, by_fastcgi) = gateway(&["--fastcgi", &fastcgi.to_string()]);
    let direct = ask(http, Request::get("/"));
    assert_eq!(direct.code(), 200);
    assert!(!direct.body().is_empty());
    for address in [by_uwsgi, by_fastcgi] {
        let seen = ask(address, Request::get("/"));
        assert_eq!((seen.code(), seen.text()), (200, direct.text()));
    }
    (server, http)
}

// --------------------------------------------------------------------------------------------------------------------------------------------

/// What stands behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    ServeUwsgi,
    ServeFastCgi,
    RealUwsgi,
    RealFastCgi,
}

/// A gateway with the fixture application behind it.
struct Site {
    kind: Kind,
    gateway: Process,
    address: SocketAddr,
    upstream: Process,
    /// Holds the socket between them, if that is one with a path.
    _folder: TempDir,
}

impl Kind {
    fn is_ours(self) -> bool {
        matches!(self, Kind::ServeUwsgi | Kind::ServeFastCgi)
    }
}

impl Site {
    /// Runs a check on a site of this kind, if it can be had here.
    fn of(kind: Kind, check: fn(&mut Site)) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket").to_str().expect("UTF-8").to_owned();
        let (upstream, socket) = match kind {
            // A reply of unknown length that breaks off ends with a reset, which Unix sockets do not have.
            Kind::ServeUwsgi => {
                let mut serve = serve_fixture(&folder, &["--uwsgi-socket", "127.0.0.1:0"]);
                let address = listening(&mut serve, "uwsgi");
                (serve, address.to_string())
            }
            Kind::ServeFastCgi => {
                let mut serve = serve_fixture(&folder, &["--fastcgi-socket", &path]);
                serve.line_with("listening on fastcgi+unix:");
                (serve, path)
            }
            Kind::RealUwsgi | Kind::RealFastCgi => {
                let Some(program) = venv::uwsgi() else { return };
                let option = if kind == Kind::RealUwsgi { "--uwsgi-socket" } else { "--fastcgi-socket" };
                let mut uwsgi = uwsgi_fixture(program, option, &path);
                until(|| match uwsgi.ended() {
                    Some(ended) => panic!("{ended}"),
                    None => UnixStream::connect(&path).is_ok(),
                });
                (uwsgi, path)
            }
        };
        let option = if matches!(kind, Kind::ServeUwsgi | Kind::RealUwsgi) { "--uwsgi" } else { "--fastcgi" };
        let (gateway, address) = gateway(&[option, &socket]);
        check(&mut Site { kind, gateway, address, upstream, _folder: folder });
    }

    fn client(&self) -> Wire {
        Wire::tcp(self.address).expect("a connection")
    }

    fn ask(&self, target: &str) -> Seen {
        ask(self.address, Request::get(target))
    }

    fn said(&self) -> String {
        self.gateway.stderr() + &self.upstream.stderr()
    }
}

/// `serve` with the fixture application of the tests of web servers.
fn serve_fixture(in_folder: &TempDir, socket: &[&str]) -> Process {
    let mut command = Process::serve_command(socket);
    command.arg("--chdir").arg(folder()).args(["--module", "fixture:application", "--threads", "8"]).current_dir(in_folder);
    Process::start(command)
}

/// The same with uWSGI.
fn uwsgi_fixture(program: &Path, option: &str, socket: &str) -> Process {
    let mut command = Command::new(program);
    command.args([option, socket, "--need-app", "--buffer-size", "65535", "--threads", "8", "--chdir"]).arg(folder());
    command.args(["--module", "fixture:application"]).env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONPATH");
    Process::start(command)
}

/// Starts a gateway on a port that the system chooses.
fn gateway(arguments: &[&str]) -> (Process, SocketAddr) {
    let mut command = Command::new(gateway_program());
    command.args(["--http", "127.0.0.1:0"]).args(arguments);
    let mut gateway = Process::start(command);
    let address = gateway.address();
    (gateway, address)
}

fn gateway_program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| build("wsgi-gateway", "gateway"))
}

/// Where a process says that it listens for a protocol.
fn listening(process: &mut Process, scheme: &str) -> SocketAddr {
    let before = format!("listening on {scheme}://");
    let line = process.line_with(&before);
    let (_, address) = line.split_once(&before).expect("the line has it");
    address.trim_end_matches('/').parse().unwrap_or_else(|_| panic!("no address in {line:?}"))
}

#[derive(PartialEq)]
enum Then {
    Close,
    /// Waits until the gateway closes.
    Wait,
}

/// An upstream that takes one connection, waits for a request and answers with these bytes.
fn once(reply: &'static [u8], then: Then) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut request = [0; 64 * 1024];
        assert!(stream.read(&mut request).unwrap() > 0);
        stream.write_all(reply).unwrap();
        if then == Then::Wait {
            while stream.read(&mut request).unwrap_or(0) > 0 {}
        }
    });
    (address, thread)
}

/// The reply to a request on a connection of its own.
fn ask(address: SocketAddr, request: Request) -> Seen {
    let mut client = Wire::tcp(address).expect("a connection");
    client.send(&request).expect("the request is taken");
    client.reply()
}

/// The most memory that a process has had so far.
fn most_memory(process: u32) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
    let kibibytes: usize = line.trim().trim_end_matches("kB").trim().parse().expect("a number");
    kibibytes << 10
}

/// Waits until this is true.
fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "it comes in time");
        std::thread::yield_now();
    }
}

/// Reads exactly so much of a body.
fn read(client: &mut Wire, length: usize) -> String {
    let mut text = Vec::new();
    while text.len() < length {
        match client.block() {
            Ok(Some(block)) => text.extend(block),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&text)),
        }
    }
    assert_eq!(text.len(), length);
    String::from_utf8(text).expect("ASCII")
}

/// A name that nothing else in this process uses.
fn name() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("n{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn noise(length: usize) -> Vec<u8> {
    (0..length as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Adler-32 (RFC 1950), as Python's `zlib.adler32`.
fn checksum(bytes: &[u8]) -> String {
    let (a, b) = bytes.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    (b << 16 | a).to_string()
}
