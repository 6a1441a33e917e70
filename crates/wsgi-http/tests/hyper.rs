//! hyper as a front end: what the contract matrix does not ask of it. Deadlines, the end, replies that break off, both versions on one port.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use wsgi_core::gateway::{Gateway, Handle};
use wsgi_core::server::{Listener, Outcome, Timeouts};
use wsgi_core::wire::{Address, Known, ResponseHead};
use wsgi_core::{Exchange, Handler};
use wsgi_http::Http1;
use wsgi_http::hyper::Hyper;

/// A handler that is a closure.
struct With<F>(F);

impl<F: Fn(&mut dyn Exchange) + Send + Sync> Handler for With<F> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        (self.0)(exchange);
    }
}

/// A gateway with one front end.
struct Site {
    address: SocketAddr,
    handle: Handle,
    running: JoinHandle<io::Result<Outcome>>,
}

impl Site {
    fn start(timeouts: Timeouts, handle: impl Fn(&mut dyn Exchange) + Send + Sync + 'static) -> Site {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(address) = *listener.local_address() else { unreachable!("it is TCP") };
        let gateway = Gateway::new(With(handle)).threads(2).timeouts(timeouts).frontend(Hyper::new(listener, Http1::new()));
        Site { address, handle: gateway.handle(), running: tokio::spawn(gateway.run()) }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Everything that comes back for these bytes, and how the connection ends.
    async fn say(&self, bytes: &str) -> (String, io::Result<()>) {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_bytes()).await.unwrap();
        rest(&mut stream).await
    }

    async fn h2(&self) -> (h2::client::SendRequest<Bytes>, JoinHandle<Result<(), h2::Error>>) {
        let (requests, connection) = h2::client::handshake(self.connect().await).await.unwrap();
        (requests, tokio::spawn(connection))
    }

    async fn end(self) {
        self.handle.shutdown();
        assert_eq!(self.running.await.unwrap().unwrap().stuck, 0);
    }
}

async fn rest(stream: &mut TcpStream) -> (String, io::Result<()>) {
    let mut bytes = Vec::new();
    let mut end = soon(stream.read_to_end(&mut bytes)).await.map(drop);
    if let Err(error) = &end {
        end = Err(error.kind().into());
    }
    (String::from_utf8(bytes).unwrap(), end)
}

async fn soon<R>(future: impl Future<Output = R>) -> R {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it happens within ten seconds")
}

fn get(path: &str) -> http::Request<()> {
    http::Request::builder().uri(format!("http://example.org{path}")).body(()).unwrap()
}

async fn body(stream: &mut h2::RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(block) = soon(stream.data()).await {
        all.extend_from_slice(&block?);
    }
    Ok(all)
}

fn protocol(exchange: &mut dyn Exchange) {
    let text = exchange.head().get(Known::ServerProtocol).unwrap_or_default().to_vec();
    exchange.start(&ResponseHead::plain(StatusCode::OK, text.len() as u64));
    exchange.data(&text);
    exchange.finish();
}

#[tokio::test]
async fn both_versions_are_spoken_on_one_port() {
    let site = Site::start(Timeouts::default(), protocol);
    let (reply, end) = site.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nHTTP/1.1"), "{reply}");
    assert!(
        reply.contains("\r\nContent-Type: text/plain") && reply.contains("\r\nServer: wsgi-rs/") && reply.contains("\r\nDate: "),
        "{reply}"
    );
    end.unwrap();

    let (mut requests, connection) = site.h2().await;
    let (response, _) = requests.send_request(get("/"), true).unwrap();
    let mut response = soon(response).await.unwrap();
    assert!(response.headers()["server"].as_bytes().starts_with(b"wsgi-rs/"));
    assert_eq!(body(response.body_mut()).await.unwrap(), b"HTTP/2.0");
    drop((requests, response));
    soon(connection).await.unwrap().unwrap();
    site.end().await;
}

#[tokio::test]
async fn what_hyper_lets_pass_is_refused_here() {
    let site = Site::start(Timeouts::default(), protocol);
    for (request, sentence) in [
        ("GET / HTTP/1.1\r\n\r\n", "no Host field"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "Host field"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", "more than one host field"),
        ("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "more than one Host field"),
        ("GET / HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\nConnection: close\r\n\r\n", "expectation"),
    ] {
        let (reply, _) = site.say(request).await;
        assert!(reply.starts_with("HTTP/1.1 4") && reply.to_lowercase().contains(&sentence.to_lowercase()), "{request:?}: {reply}");
        assert!(reply.contains("Connection: close"), "{reply}");
    }
    site.end().await;
}

#[tokio::test]
async fn a_reason_of_the_applications_own_is_sent() {
    let site = Site::start(Timeouts::default(), |exchange| {
        let mut head = ResponseHead::new(b"404 Not Here").unwrap();
        head.set_content_length(0);
        exchange.start(&head);
        exchange.finish();
    });
    let (reply, _) = site.say("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 404 Not Here\r\n"), "{reply}");
    site.end().await;
}

#[tokio::test]
async fn connections_without_requests_are_ended() {
    let timeouts = Timeouts { idle: Duration::from_millis(50), head: Duration::from_millis(50), ..Timeouts::default() };
    let site = Site::start(timeouts, protocol);
    // Before any request, after one, and in HTTP/2.
    let mut silent = site.connect().await;
    assert!(rest(&mut silent).await.1.is_ok());
    let (reply, _) = site.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(reply.ends_with("HTTP/1.1"), "{reply}");
    let (mut requests, connection) = site.h2().await;
    let (response, _) = requests.send_request(get("/"), true).unwrap();
    assert_eq!(body(soon(response).await.unwrap().body_mut()).await.unwrap(), b"HTTP/2.0");
    // The client would keep it, for it still has `requests`.
    soon(connection).await.unwrap().unwrap();
    site.end().await;
}

#[tokio::test]
async fn a_request_that_runs_is_not_idleness() {
    let timeouts = Timeouts { idle: Duration::from_millis(20), ..Timeouts::default() };
    let site = Site::start(timeouts, |exchange| {
        std::thread::sleep(Duration::from_millis(200));
        protocol(exchange);
    });
    let (mut requests, connection) = site.h2().await;
    let (response, _) = requests.send_request(get("/"), true).unwrap();
    assert_eq!(body(soon(response).await.unwrap().body_mut()).await.unwrap(), b"HTTP/2.0");
    soon(connection).await.unwrap().unwrap();
    site.end().await;
}

#[tokio::test]
async fn the_end_waits_for_what_runs_and_for_nothing_else() {
    let (open, gate) = mpsc::channel::<()>();
    let (entered, runs) = mpsc::channel::<()>();
    let doors = Mutex::new((entered, gate));
    let site = Site::start(Timeouts::default(), move |exchange| {
        let doors = doors.lock().unwrap();
        doors.0.send(()).unwrap();
        doors.1.recv().unwrap();
        drop(doors);
        protocol(exchange);
    });
    let mut idle = site.connect().await;
    let mut busy = site.connect().await;
    busy.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    tokio::task::spawn_blocking(move || runs.recv().unwrap()).await.unwrap();
    site.handle.shutdown();
    // A connection that nothing is asked on is ended soon.
    assert_eq!(rest(&mut idle).await.0, "");
    assert!(!site.running.is_finished());
    open.send(()).unwrap();
    let (reply, end) = rest(&mut busy).await;
    assert!(reply.ends_with("HTTP/1.1"), "{reply}");
    end.unwrap();
    drop(busy);
    assert_eq!(soon(site.running).await.unwrap().unwrap().stuck, 0);
}

/// A reply of unknown length that breaks off after its first block.
fn half(exchange: &mut dyn Exchange) {
    exchange.start(&ResponseHead::of(StatusCode::OK));
    exchange.data(b"half");
    let _ = exchange.flush();
    exchange.abort();
}

#[tokio::test]
async fn a_reply_that_breaks_off_cannot_be_taken_for_whole() {
    let site = Site::start(Timeouts::default(), half);
    let (reply, _) = site.say("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // hyper may throw away what it has not sent yet.
    assert!(reply.is_empty() || reply.contains("chunked") && !reply.contains("\r\n0\r\n"), "{reply}");
    // Without chunks, only a reset can tell.
    let (_, end) = site.say("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    let (mut requests, _connection) = site.h2().await;
    let (response, _) = requests.send_request(get("/"), true).unwrap();
    if let Ok(mut response) = soon(response).await {
        assert!(body(response.body_mut()).await.is_err());
    }
    site.end().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_408() {
    let timeouts = Timeouts { body: Duration::from_millis(50), ..Timeouts::default() };
    let site = Site::start(timeouts, protocol);
    let (reply, _) = site.say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
    site.end().await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_given_up() {
    let timeouts = Timeouts { write: Duration::from_millis(100), ..Timeouts::default() };
    let (told, outcome) = mpsc::channel();
    let told = Mutex::new(told);
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let site = Site::start(timeouts, move |exchange| {
        exchange.start(&ResponseHead::of(StatusCode::OK));
        let error = loop {
            exchange.data(&[b'x'; 64 * 1024]);
            if let Err(error) = exchange.flush() {
                break error;
            }
            count.fetch_add(64 * 1024, Ordering::Relaxed);
        };
        told.lock().unwrap().send(error.kind()).unwrap();
    });
    let mut stream = site.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let kind = tokio::task::spawn_blocking(move || outcome.recv_timeout(Duration::from_secs(10)).unwrap()).await.unwrap();
    assert!(matches!(kind, io::ErrorKind::ConnectionAborted | io::ErrorKind::TimedOut), "{kind:?}");
    // What the system buffers, and a little more.
    assert!(sent.load(Ordering::Relaxed) < 16 << 20);
    drop(stream);
    site.end().await;
}

#[tokio::test]
async fn a_reply_that_comes_before_the_upload_has_ended_is_read_whole() {
    let site = Site::start(Timeouts::default(), |exchange| exchange.refuse(StatusCode::PAYLOAD_TOO_LARGE, "too much\n"));
    let mut stream = site.connect().await;
    stream.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n").await.unwrap();
    let (mut reads, mut writes) = stream.split();
    // As clients do that look for the reply only when they have sent everything.
    let upload = async {
        let piece = [b'x'; 40_000];
        for _ in 0..100 {
            if writes.write_all(&piece).await.is_err() {
                break;
            }
        }
    };
    soon(upload).await;
    let mut reply = Vec::new();
    soon(reads.read_to_end(&mut reply)).await.expect("no reset destroys the reply");
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 413 ") && reply.ends_with("too much\n"), "{reply}");
    site.end().await;
}

/// Whoever had connected, or had a connection, when the end began does not lose a request that was on its way.
#[tokio::test]
async fn a_request_that_is_on_its_way_at_the_end_is_answered() {
    let site = Site::start(Timeouts::default(), protocol);
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut kept = site.connect().await;
    kept.write_all(get.as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    soon(kept.read_exact(&mut begun)).await.unwrap();
    let mut silent = site.connect().await;
    // On this runtime of one thread nobody has accepted the next one before the end begins.
    let mut waiting = std::net::TcpStream::connect(site.address).unwrap();
    std::io::Write::write_all(&mut waiting, get.as_bytes()).unwrap();
    waiting.set_nonblocking(true).unwrap();
    let mut waiting = TcpStream::from_std(waiting).unwrap();
    site.handle.shutdown();
    // Until the listener is closed.
    while TcpStream::connect(site.address).await.is_ok() {}
    for (name, stream) in [("kept", &mut kept), ("silent", &mut silent)] {
        stream.write_all(get.as_bytes()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    for (name, stream) in [("waiting", &mut waiting), ("kept", &mut kept), ("silent", &mut silent)] {
        let (reply, end) = rest(stream).await;
        assert!(reply.ends_with("\r\n\r\nHTTP/1.1"), "{name}: {reply}");
        assert!(reply.to_ascii_lowercase().contains("\r\nconnection: close\r\n"), "{name}: {reply}");
        end.unwrap();
    }
    site.end().await;
}

/// The window of its streams is closed, so that nothing of a reply can be sent, and it answers to pings.
#[tokio::test]
async fn a_peer_that_lets_nothing_be_sent_is_given_up() {
    let limit = Duration::from_millis(50);
    let timeouts = Timeouts { idle: limit, write: limit, ..Timeouts::default() };
    let site = Site::start(timeouts, protocol);
    let stream = site.connect().await;
    let (mut requests, connection) = h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let response = soon(requests.send_request(get("/"), true).unwrap().0).await.unwrap();
    let _ = soon(connection).await.unwrap();
    drop(response);
    site.end().await;
}
