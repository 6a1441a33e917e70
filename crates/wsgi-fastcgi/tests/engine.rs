//! FastCGI over real sockets: the engine with this codec, a client of this crate, and `cgi-fcgi`, the specification's own.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::StatusCode;
use wsgi_core::server::{Handle, ListenAddress, Listener, Running, Server, Timeouts};
use wsgi_core::wire::{Address, Known, PathRule, Paths, ResponseHead};
use wsgi_core::{Exchange, Handler};
use wsgi_fastcgi::FastCgi;
use wsgi_fastcgi::client::{Event, Reply, ReplyError, Request};

#[test]
fn one_connection_carries_many_requests() {
    let server = Started::new(|server| server);
    for mut peer in [server.tcp(), server.unix()] {
        for number in 0..50 {
            let body = "x".repeat(number * 2_000);
            let reply = peer.ask(&[("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/echo"), ("QUERY_STRING", "a=b")], Some(&body));
            assert_eq!(reply.status, "200 OK");
            assert!(reply.body == format!("|/echo|{body}").as_bytes(), "{}", reply.body.len());
        }
        peer.request = peer.request.keep_connection(false);
        assert_eq!(peer.ask(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/echo")], None).body, b"|/echo|");
        assert_eq!(peer.rest(), b"");
    }
}

#[test]
fn large_blocks_and_files_come_out_whole() {
    let server = Started::new(|server| server.threads(2));
    for mut peer in [server.tcp(), server.unix()] {
        for path in ["/large", "/large-sized", "/file", "/file-sized", "/stream"] {
            let reply = peer.ask(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", path)], None);
            assert!(reply.body == large(), "{path}: {} bytes", reply.body.len());
        }
    }
}

#[test]
fn a_file_is_not_read_for_a_reply_without_a_body() {
    let server = Started::new(|server| server);
    // Whoever read it would find that it is too short.
    let reply = server.tcp().ask(&[("REQUEST_METHOD", "HEAD"), ("SCRIPT_NAME", "/file-beyond")], None);
    assert_eq!((reply.status.as_str(), reply.body.len()), ("200 OK", 0));
}

#[test]
fn a_large_body_is_streamed() {
    let server = Started::new(|server| server.read_ahead(1000));
    let body = String::from_utf8(large().iter().map(|byte| b'a' + byte % 26).collect()).unwrap();
    for length in [None, Some(body.len())] {
        let mut peer = server.tcp();
        let length = length.map_or(String::new(), |length| length.to_string());
        let variables = [("REQUEST_METHOD", "PUT"), ("SCRIPT_NAME", "/count"), ("CONTENT_LENGTH", &*length)];
        assert_eq!(peer.ask(&variables, Some(&body)).body, body.len().to_string().as_bytes());
    }
}

#[test]
fn a_block_is_there_before_the_next_is_made() {
    let server = Started::new(|server| server);
    let mut peer = server.tcp();
    peer.send(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/steps")], None);
    let mut reply = peer.reply("GET");
    assert_eq!(peer.next(&mut reply).unwrap(), Event::Head);
    for step in ["one", "two"] {
        assert_eq!(peer.next(&mut reply).unwrap(), Event::Body(step.into()));
        server.go_on.send(()).unwrap();
    }
    assert!(matches!(peer.next(&mut reply).unwrap(), Event::End(_)));
}

#[test]
fn an_early_reply_leaves_a_connection_that_is_good_for_more() {
    let server = Started::new(|server| server.read_ahead(0));
    let mut peer = server.tcp();
    for _ in 0..3 {
        peer.send_head(&[("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/forbidden"), ("CONTENT_LENGTH", "500000")]);
        peer.write(|request, out| request.body(&[b'x'; 100_000], out));
        let mut reply = peer.reply("POST");
        assert_eq!(peer.whole(&mut reply).unwrap().status, "403 Forbidden");
        peer.write(|request, out| request.body(&[b'x'; 100_000], out));
        peer.write(|request, out| request.end_body(out));
    }
    assert_eq!(peer.ask(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/echo")], None).body, b"|/echo|");
}

#[test]
fn a_reply_that_fails_is_not_taken_for_a_whole_one() {
    let server = Started::new(|server| server);
    for path in ["/half", "/short", "/panic"] {
        for mut peer in [server.tcp(), server.unix()] {
            peer.send(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", path)], None);
            let mut reply = peer.reply("GET");
            assert_eq!(peer.whole(&mut reply).unwrap_err(), ReplyError::GivenUp, "{path}");
        }
    }
    let reply = server.tcp().ask(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/nothing")], None);
    assert_eq!(reply.status, "500 Internal Server Error");
}

#[test]
fn a_body_that_breaks_off_is_an_error_to_the_application() {
    let server = Started::new(|server| server.read_ahead(0));
    let head = [("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/errors"), ("CONTENT_LENGTH", "10")];
    // The web server gives the request up, and goes on with another.
    let mut peer = server.tcp();
    peer.send_head(&head);
    peer.write(|request, out| request.body(b"abc", out));
    peer.write(|request, out| request.abort(out));
    assert_eq!(wait_for(&server.errors), "the web server aborted the request");
    let mut reply = peer.reply("POST");
    reply.discard();
    assert!(matches!(peer.next(&mut reply).unwrap(), Event::End(_)));
    assert_eq!(peer.ask(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/echo")], None).body, b"|/echo|");
    // The stream ends before its declared length.
    peer.send(&head, Some("abc"));
    assert_eq!(wait_for(&server.errors), "FastCGI request's STDIN ended after 3 bytes, expected the 10 of its CONTENT_LENGTH");
    // The connection ends.
    let mut peer = server.tcp();
    peer.send_head(&head);
    peer.write(|request, out| request.body(b"abc", out));
    peer.tcp.as_ref().unwrap().shutdown(Shutdown::Write).unwrap();
    assert_eq!(wait_for(&server.errors), "peer closed the connection inside its body");
}

#[test]
fn an_aborted_request_is_noticed_while_its_reply_is_made() {
    let server = Started::new(|server| server);
    let mut peer = server.tcp();
    peer.send(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/until-gone")], None);
    assert_eq!(wait_for(&server.errors), "begun");
    peer.write(|request, out| request.abort(out));
    assert_eq!(wait_for(&server.errors), "gone");
    // What was answered then is nobody's, and the connection goes on.
    let mut reply = peer.reply("GET");
    reply.discard();
    assert!(matches!(peer.next(&mut reply).unwrap(), Event::End(end) if end.is_complete()));
    assert_eq!(peer.ask(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/echo")], None).body, b"|/echo|");
}

#[test]
fn a_peer_with_the_wrong_protocol_is_told_so() {
    let server = Started::new(|server| server);
    let mut peer = server.tcp();
    peer.stream().write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let text = String::from_utf8(peer.rest()).unwrap();
    assert!(text.starts_with("HTTP/1.0 400 Bad Request\r\n") && text.contains("this port speaks FastCGI, got an HTTP request"), "{text}");
}

#[test]
fn a_shutdown_ends_kept_connections_after_their_reply() {
    let server = Started::new(|server| server);
    let mut peer = server.tcp();
    peer.send(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/steps")], None);
    let mut reply = peer.reply("GET");
    assert_eq!(peer.next(&mut reply).unwrap(), Event::Head);
    server.handle.shutdown();
    server.go_on.send(()).unwrap();
    server.go_on.send(()).unwrap();
    assert_eq!(peer.whole(&mut reply).unwrap().body, b"onetwo");
    assert_eq!(peer.rest(), b"");
    assert_eq!(server.stop(), 0);
}

#[test]
fn paths_come_out_as_the_listener_was_told() {
    let fastcgi = FastCgi::new().paths(Paths::new(PathRule::Auto).mount("/shop"));
    let server = Started::with(|server| server, fastcgi);
    let mut peer = server.tcp();
    for (sent, expected) in [("/shop/cart", "/shop|/cart|"), ("/shop", "/shop||"), ("/other", "|/other|")] {
        assert_eq!(peer.ask(&[("REQUEST_METHOD", "ECHO"), ("SCRIPT_NAME", sent)], None).body, expected.as_bytes());
    }
}

#[test]
fn the_specifications_own_client_is_served() {
    let Some(program) = cgi_fcgi() else { return };
    let server = Started::with(|server| server, FastCgi::new().log_to_peer(true));
    let sized = format!("{:?}", large().len());
    for address in [server.address.to_string(), server.path.display().to_string()] {
        let run = |variables: &[(&str, &str)], body: &[u8]| {
            let mut command = Command::new(&program);
            command.args(["-bind", "-connect", &address]).env_clear().envs(variables.iter().copied());
            if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
                command.env("LD_LIBRARY_PATH", libraries);
            }
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut input = child.stdin.take().unwrap();
            let body = body.to_vec();
            let writer = std::thread::spawn(move || input.write_all(&body));
            let output = child.wait_with_output().unwrap();
            // It may end before it has read all that it was given.
            let _ = writer.join().unwrap();
            assert!(output.status.success(), "{output:?}");
            (output.stdout, String::from_utf8(output.stderr).unwrap())
        };
        let (stdout, stderr) = run(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/log")], b"");
        assert_eq!(String::from_utf8(stdout).unwrap(), "Status: 200 OK\r\n\r\nlogged");
        assert_eq!(stderr, "a line for the log\n");
        let post = [("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/echo"), ("CONTENT_LENGTH", "11")];
        let (stdout, _) = run(&post, b"hello world");
        assert!(stdout.ends_with(b"\r\n\r\n|/echo|hello world"), "{}", stdout.escape_ascii());
        let (stdout, _) = run(&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", "/large")], b"");
        assert!(stdout.ends_with(&large()), "{} bytes", stdout.len());
        let count = [("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/count"), ("CONTENT_LENGTH", &sized)];
        let (stdout, _) = run(&count, &large());
        assert!(stdout.ends_with(format!("\r\n\r\n{sized}").as_bytes()), "{}", stdout.escape_ascii());
        let (stdout, _) = run(&[("SCRIPT_NAME", "/echo")], b"");
        assert!(stdout.starts_with(b"Status: 400 Bad Request\r\n"), "{}", stdout.escape_ascii());
    }
}

/// The program, or nothing after a line that says what to install; with `CI=true` it has to be there.
fn cgi_fcgi() -> Option<PathBuf> {
    let named = std::env::var_os("CGI_FCGI").map(PathBuf::from);
    let program =
        named.or_else(|| std::env::split_paths(&std::env::var_os("PATH")?).map(|path| path.join("cgi-fcgi")).find(|path| path.is_file()));
    if program.is_none() {
        assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "cgi-fcgi is missing: apt-get install libfcgi-bin");
        eprintln!("skipped: cgi-fcgi is missing (apt-get install libfcgi-bin)");
    }
    program
}

// ---------------------------------------------------------------------------------------------------------------------------------------

/// Bytes enough for many records.
fn large() -> Vec<u8> {
    (0..3_000_001u32).map(|number| (number / 3) as u8).collect()
}

/// Answers by path, as the tests want it.
struct Site {
    large: Vec<u8>,
    file: File,
    go_on: Mutex<Receiver<()>>,
    errors: Mutex<Sender<String>>,
}

impl Handler for Site {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let text = |name| String::from_utf8(exchange.head().get(name).unwrap_or_default().to_vec()).unwrap();
        let (script, path) = (text(Known::ScriptName), text(Known::PathInfo));
        let unsized_head = ResponseHead::of(StatusCode::OK);
        let sized = |length: usize| ResponseHead::plain(StatusCode::OK, length as u64);
        let tell = |text: &str| self.errors.lock().unwrap().send(text.to_owned()).unwrap();
        match &*path {
            "/count" => {
                let mut count = 0;
                loop {
                    match exchange.read(usize::MAX).unwrap().len() {
                        0 => break,
                        more => count += more,
                    }
                }
                let text = count.to_string();
                exchange.start(&sized(text.len()));
                exchange.data(text.as_bytes());
            }
            "/large" | "/large-sized" => {
                exchange.start(&if path == "/large" { unsized_head } else { sized(self.large.len()) });
                exchange.data(&self.large);
            }
            "/file" | "/file-sized" => {
                exchange.start(&if path == "/file" { unsized_head } else { sized(self.large.len()) });
                exchange.send_file(&self.file, 0..self.large.len() as u64).unwrap();
            }
            "/file-beyond" => {
                exchange.start(&sized(self.large.len() + 1));
                exchange.send_file(&self.file, 0..self.large.len() as u64 + 1).unwrap();
            }
            "/stream" => {
                exchange.start(&unsized_head);
                for block in self.large.chunks(100_000) {
                    exchange.data(block);
                    exchange.flush().unwrap();
                }
            }
            "/steps" => {
                exchange.start(&unsized_head);
                for step in ["one", "two"] {
                    exchange.data(step.as_bytes());
                    exchange.flush().unwrap();
                    wait_for(&self.go_on.lock().unwrap());
                }
            }
            "/forbidden" => return exchange.refuse(StatusCode::FORBIDDEN, "no\n"),
            "/half" | "/panic" => {
                exchange.start(&unsized_head);
                exchange.data(b"half");
                assert!(path == "/half", "as the test wants");
                return exchange.abort();
            }
            "/short" => {
                exchange.start(&sized(10));
                exchange.data(b"half");
            }
            "/nothing" => return,
            "/errors" => {
                let error = loop {
                    match exchange.read(usize::MAX) {
                        Ok(piece) => assert!(!piece.is_empty(), "a broken body has no end"),
                        Err(error) => break error,
                    }
                };
                tell(&error.to_string());
                return exchange.refuse(StatusCode::INTERNAL_SERVER_ERROR, "broken\n");
            }
            "/until-gone" => {
                assert!(!exchange.disconnected());
                tell("begun");
                let until = Instant::now() + PATIENCE;
                while !exchange.disconnected() {
                    assert!(Instant::now() < until, "it is noticed in time");
                    std::thread::yield_now();
                }
                exchange.start(&unsized_head);
                exchange.data(b"gone");
                tell("gone");
            }
            "/log" => {
                assert!(exchange.log(b"a line for the log\n"));
                exchange.start(&unsized_head);
                exchange.data(b"logged");
            }
            _ => {
                let mut answer = format!("{script}|{path}|").into_bytes();
                loop {
                    let piece = exchange.read(usize::MAX).unwrap();
                    if piece.is_empty() {
                        break;
                    }
                    answer.extend_from_slice(&piece);
                }
                exchange.start(&sized(answer.len()));
                exchange.data(&answer);
            }
        }
        exchange.finish();
    }
}

struct Started {
    address: std::net::SocketAddr,
    path: PathBuf,
    go_on: Sender<()>,
    errors: Receiver<String>,
    handle: Handle,
    running: Mutex<Option<Running>>,
    _folder: tempfile::TempDir,
}

impl Started {
    fn new(configure: impl FnOnce(Server) -> Server) -> Started {
        Started::with(configure, FastCgi::new())
    }

    fn with(configure: impl FnOnce(Server) -> Server, fastcgi: FastCgi) -> Started {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fastcgi.sock");
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&large()).unwrap();
        let tcp = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let unix = Listener::bind(&ListenAddress::Unix(path.clone())).unwrap();
        let Address::Tcp(address) = *tcp.local_address() else { panic!("bound to TCP") };
        let ((go_on, wait), (tell, errors)) = (channel(), channel());
        let site = Site { large: large(), file, go_on: Mutex::new(wait), errors: Mutex::new(tell) };
        let timeouts = Timeouts { body: PATIENCE, write: PATIENCE, ..Timeouts::default() };
        let server = configure(Server::new(site).timeouts(timeouts)).listen(tcp, fastcgi.clone()).listen(unix, fastcgi);
        let running = server.start().unwrap();
        Started { address, path, go_on, errors, handle: running.handle(), running: Mutex::new(Some(running)), _folder: folder }
    }

    fn tcp(&self) -> Peer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer::new(Some(stream), None)
    }

    fn unix(&self) -> Peer {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer::new(None, Some(stream))
    }

    fn stop(&self) -> usize {
        self.handle.shutdown();
        self.running.lock().unwrap().take().map_or(0, |running| running.wait().stuck)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.handle.hurry();
    }
}

trait Stream: Read + Write {}
impl<S: Read + Write> Stream for S {}

/// The web server's end of a connection.
struct Peer {
    tcp: Option<TcpStream>,
    unix: Option<UnixStream>,
    request: Request,
    input: BytesMut,
    head: ResponseHead,
}

#[derive(Debug)]
struct Answer {
    status: String,
    body: Vec<u8>,
}

impl Peer {
    fn new(tcp: Option<TcpStream>, unix: Option<UnixStream>) -> Peer {
        let request = Request::new(1).keep_connection(true);
        Peer { tcp, unix, request, input: BytesMut::new(), head: ResponseHead::default() }
    }

    fn stream(&mut self) -> &mut dyn Stream {
        match (&mut self.tcp, &mut self.unix) {
            (Some(stream), _) => stream,
            (_, stream) => stream.as_mut().unwrap(),
        }
    }

    fn write(&mut self, make: impl FnOnce(Request, &mut Vec<u8>)) {
        let mut out = Vec::new();
        make(self.request, &mut out);
        self.stream().write_all(&out).unwrap();
    }

    fn send_head(&mut self, variables: &[(&str, &str)]) {
        self.write(|request, out| request.begin(variables.iter().copied(), out).unwrap());
    }

    fn send(&mut self, variables: &[(&str, &str)], body: Option<&str>) {
        self.write(|request, out| {
            request.begin(variables.iter().copied(), out).unwrap();
            request.body(body.unwrap_or_default().as_bytes(), out);
            request.end_body(out);
        });
    }

    fn reply(&self, method: &str) -> Reply {
        Reply::to(self.request, method.as_bytes())
    }

    fn next(&mut self, reply: &mut Reply) -> Result<Event, ReplyError> {
        loop {
            match reply.poll(&mut self.input, &mut self.head)? {
                Event::NeedInput => {
                    let mut block = [0; 16 * 1024];
                    let count = self.stream().read(&mut block).unwrap();
                    if count == 0 {
                        return reply.end().map(Event::End);
                    }
                    self.input.extend_from_slice(&block[..count]);
                }
                event => return Ok(event),
            }
        }
    }

    fn whole(&mut self, reply: &mut Reply) -> Result<Answer, ReplyError> {
        let mut body = Vec::new();
        loop {
            match self.next(reply)? {
                Event::Body(piece) => body.extend_from_slice(&piece),
                Event::End(end) => {
                    assert!(end.is_complete());
                    let status = String::from_utf8(self.head.status_line().to_vec()).unwrap();
                    return Ok(Answer { status, body });
                }
                Event::Head | Event::Log(_) | Event::NeedInput => {}
            }
        }
    }

    fn ask(&mut self, variables: &[(&str, &str)], body: Option<&str>) -> Answer {
        // As a web server does: reads while it still writes, or both would wait for each other.
        let mut out = Vec::new();
        self.request.begin(variables.iter().copied(), &mut out).unwrap();
        self.request.body(body.unwrap_or_default().as_bytes(), &mut out);
        self.request.end_body(&mut out);
        let mut writer: Box<dyn Write + Send> = match (&self.tcp, &self.unix) {
            (Some(stream), _) => Box::new(stream.try_clone().unwrap()),
            (_, stream) => Box::new(stream.as_ref().unwrap().try_clone().unwrap()),
        };
        let writing = std::thread::spawn(move || writer.write_all(&out));
        let mut reply = self.reply(variables.iter().find(|(name, _)| *name == "REQUEST_METHOD").map_or("", |(_, value)| value));
        let answer = self.whole(&mut reply).unwrap();
        writing.join().unwrap().unwrap();
        answer
    }

    fn rest(&mut self) -> Vec<u8> {
        let mut rest = self.input.split().to_vec();
        match self.stream().read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(error) => panic!("{error} after {}", rest.escape_ascii()),
        }
    }
}

fn wait_for<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).map_err(io::Error::other).expect("it comes in time")
}

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
