//! Both protocols over sockets: the engine of `wsgi-core`, a handler in Rust, and the client's codec.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use common::{PATIENCE, Reader, ask, read, request};
use wsgi_core::server::{ListenAddress, Listener, Running, Server};
use wsgi_core::wire::{Address, Known, ResponseHead};
use wsgi_core::{Exchange, Handler};
use wsgi_uwsgi_proto::client::{self, Event, Reply, ReplyError};
use wsgi_uwsgi_proto::{Scgi, Uwsgi};

#[test]
fn requests_are_answered_on_unix_sockets_and_tcp_in_both_protocols() {
    let served = Served::new();
    let given = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/hello"), ("SERVER_PROTOCOL", "HTTP/1.1")];
    for _ in 0..50 {
        let (head, body) = ask(served.unix(), &request(client::WSGI, &given, b"")).unwrap();
        assert_eq!((head.code(), &body[..]), (200, &b"GET /hello from : "[..]));
    }
    let (_, body) = ask(served.tcp(), &request(client::WSGI, &given, b"")).unwrap();
    assert_eq!(body, b"GET /hello from 127.0.0.1: ");
    let (head, body) =
        ask(served.scgi(), &netstring("CONTENT_LENGTH\x003\0SCGI\x001\0REQUEST_METHOD\0PUT\0DOCUMENT_URI\0/x\0", "abc")).unwrap();
    assert_eq!((head.code(), head.content_length(), &body[..]), (200, Some(17), &b"PUT /x from : abc"[..]));
}

#[test]
fn a_body_of_a_megabyte_comes_and_goes_whole() {
    let served = Served::new();
    let body: Vec<u8> = (0..1_000_000u32).map(|n| (n / 7) as u8).collect();
    let given = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/"), ("REMOTE_ADDR", "192.0.2.1")];
    for stream in [Box::new(served.unix()) as Box<dyn ReadWrite>, Box::new(served.tcp())] {
        let (head, reply) = ask(stream, &request(client::WSGI, &given, &body)).unwrap();
        let start = b"POST / from 192.0.2.1: ";
        assert_eq!(head.content_length(), Some((start.len() + body.len()) as u64));
        assert!(reply.starts_with(start) && reply[start.len()..] == body);
    }
}

#[test]
fn a_reply_of_unknown_length_is_seen_before_it_ends() {
    let served = Served::new();
    let mut stream = served.unix();
    stream.write_all(&request(client::WSGI, &[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/stream")], b"")).unwrap();
    let mut reader = Reader::new(Reply::to(b"GET"));
    assert_eq!(reader.next(&mut stream).unwrap(), Event::Head);
    assert_eq!(reader.head.content_length(), None);
    for word in ["one", "two"] {
        assert_eq!(reader.next(&mut stream).unwrap(), Event::Body(word.into()));
        served.go_on.send(()).unwrap();
    }
    assert_eq!(reader.next(&mut stream).unwrap(), Event::End);
}

#[test]
fn a_reply_that_breaks_off_is_no_clean_end() {
    let served = Served::new();
    let of = |path| request(client::WSGI, &[("REQUEST_METHOD", "GET"), ("PATH_INFO", path)], b"");
    let mut raw = Vec::new();
    let mut stream = served.tcp();
    stream.write_all(&of("/break")).unwrap();
    assert_eq!(stream.read_to_end(&mut raw).unwrap_err().kind(), ErrorKind::ConnectionReset);
    // A Unix socket cannot be reset, so there only a declared length tells.
    let error = ask(served.unix(), &of("/break-known")).unwrap_err();
    assert_eq!(error.downcast::<ReplyError>().unwrap(), ReplyError::Truncated("body"));
}

#[test]
fn an_early_reply_reaches_a_peer_that_is_still_sending() {
    let served = Served::new();
    let mut stream = served.tcp();
    let mut bytes = Vec::new();
    client::encode(client::WSGI, [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/early"), ("CONTENT_LENGTH", "900000000")], &mut bytes)
        .unwrap();
    stream.write_all(&bytes).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let read_it = Arc::new(AtomicBool::new(false));
    let enough = Arc::clone(&read_it);
    let sender = std::thread::spawn(move || while !enough.load(Ordering::Relaxed) && writer.write_all(&[0; 4096]).is_ok() {});
    let reply = read(&mut stream, Reply::to(b"POST"));
    read_it.store(true, Ordering::Relaxed);
    sender.join().unwrap();
    assert_eq!(reply.unwrap().0.code(), 403);
}

#[test]
fn a_ping_is_answered_and_nobody_else_gets_the_answer() {
    let served = Served::new();
    for _ in 0..3 {
        let mut stream = served.unix();
        stream.write_all(&client::PING).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, client::PONG);
        let given = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("REMOTE_ADDR", "x")];
        assert_eq!(ask(served.unix(), &request(client::WSGI, &given, b"")).unwrap().1, b"GET / from x: ");
    }
}

#[test]
fn a_browser_on_the_wrong_port_reads_a_sentence() {
    let served = Served::new();
    for stream in [Box::new(served.tcp()) as Box<dyn ReadWrite>, Box::new(served.scgi())] {
        let (head, body) = ask(stream, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let text = String::from_utf8(body).unwrap();
        assert_eq!(head.status_line(), b"400 Bad Request");
        assert!(text.contains("got an HTTP request; a browser needs a port for HTTP, and nginx has "), "{text}");
    }
}

// --------------------------------------------------------------------------------------------------------------------------------------------

/// Tells what it was asked; or does what the path says.
struct Teller {
    go_on: Mutex<Receiver<()>>,
}

impl Handler for Teller {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let get = |name| String::from_utf8_lossy(exchange.head().get(name).unwrap_or_default()).into_owned();
        let path = get(Known::PathInfo);
        match &path[..] {
            "/stream" => {
                exchange.start(&ResponseHead::of(http::StatusCode::OK));
                for word in ["one", "two"] {
                    exchange.data(word.as_bytes());
                    exchange.flush().unwrap();
                    self.go_on.lock().unwrap().recv_timeout(PATIENCE).expect("it comes in time");
                }
                exchange.finish();
            }
            "/break" | "/break-known" => {
                let mut head = ResponseHead::of(http::StatusCode::OK);
                if path == "/break-known" {
                    head.set_content_length(10);
                }
                exchange.start(&head);
                exchange.data(b"half");
                exchange.abort();
            }
            "/early" => exchange.refuse(http::StatusCode::FORBIDDEN, "no"),
            _ => {
                let mut text = format!("{} {path} from {}: ", get(Known::RequestMethod), get(Known::RemoteAddr)).into_bytes();
                loop {
                    match exchange.read(usize::MAX).unwrap() {
                        piece if piece.is_empty() => break,
                        piece => text.extend_from_slice(&piece),
                    }
                }
                exchange.start(&ResponseHead::plain(http::StatusCode::OK, text.len() as u64));
                exchange.data(&text);
                exchange.finish();
            }
        }
    }
}

/// A server with three listeners, for one test.
struct Served {
    tcp: SocketAddr,
    directory: PathBuf,
    go_on: Sender<()>,
    running: Option<Running>,
}

impl Served {
    fn new() -> Served {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("wsgi-uwsgi-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let unix = |name: &str| Listener::bind(&ListenAddress::Unix(directory.join(name))).unwrap();
        let tcp = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(address) = *tcp.local_address() else { panic!("bound to TCP") };
        let (go_on, receiver) = channel();
        let running = Server::new(Teller { go_on: Mutex::new(receiver) })
            .listen(unix("uwsgi"), Uwsgi::new())
            .listen(tcp, Uwsgi::new())
            .listen(unix("scgi"), Scgi::new())
            .start()
            .unwrap();
        Served { tcp: address, directory, go_on, running: Some(running) }
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.tcp).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn unix(&self) -> UnixStream {
        connect(&self.directory.join("uwsgi"))
    }

    fn scgi(&self) -> UnixStream {
        connect(&self.directory.join("scgi"))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.handle().hurry();
            running.wait();
        }
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn netstring(variables: &str, body: &str) -> Vec<u8> {
    format!("{}:{variables},{body}", variables.len()).into_bytes()
}

trait ReadWrite: Read + Write {}

impl<T: Read + Write> ReadWrite for T {}
