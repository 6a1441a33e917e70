//! HTTPS through the real engine and real sockets: what takes several writes, waits, or ends a connection.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, StreamOwned};
use wsgi_core::server::{Handle, ListenAddress, Listener, Running, Server, Timeouts};
use wsgi_core::wire::{Address, Known, ResponseHead};
use wsgi_core::{Exchange, Handler, Part};
use wsgi_http::Http1;
use wsgi_http::tls::{Certificates, Tls};

use common::{Site, TLS12, TLS13, client_of};

/// A server on a port of its own, that ends with the test.
struct Started {
    site: Site,
    certificates: Certificates,
    address: SocketAddr,
    handle: Handle,
    running: Option<Running>,
}

struct Answers<F>(F);

impl<F: Fn(&mut dyn Exchange) + Send + Sync> Handler for Answers<F> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        (self.0)(exchange);
    }
}

impl Started {
    fn new(handler: impl Fn(&mut dyn Exchange) + Send + Sync + 'static) -> Started {
        Started::with(|server| server, handler)
    }

    fn with(adjust: impl FnOnce(Server) -> Server, handler: impl Fn(&mut dyn Exchange) + Send + Sync + 'static) -> Started {
        let site = Site::new();
        let certificates = site.certificates();
        let listener = Listener::bind(&ListenAddress::Tcp("127.0.0.1".to_owned(), 0)).unwrap();
        let Address::Tcp(address) = *listener.local_address() else { panic!("not a port") };
        let server = Server::new(Answers(handler)).threads(2).listen(listener, Tls::new(Http1::new(), &certificates));
        let running = adjust(server).start().unwrap();
        Started { site, certificates, address, handle: running.handle(), running: Some(running) }
    }

    fn connect(&self) -> Client {
        self.connect_by(self.site.client(TLS13))
    }

    fn connect_by(&self, client: ClientConnection) -> Client {
        Client { stream: StreamOwned::new(client, self.tcp()), seen: Vec::new() }
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.handle.hurry();
        if let Some(running) = self.running.take() {
            let outcome = running.wait();
            assert!(std::thread::panicking() || outcome.stuck == 0);
        }
    }
}

struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
    /// What came behind what was asked for.
    seen: Vec<u8>,
}

impl Client {
    fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
        self.stream.flush().unwrap();
    }

    /// Reads up to these bytes, and gives what came with them at its end.
    fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(at) = self.seen.windows(end.len()).position(|part| part == end.as_bytes()) {
                let rest = self.seen.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.seen, rest)).unwrap();
            }
            let mut room = [0; 4096];
            let count = self.stream.read(&mut room).unwrap();
            assert!(count > 0, "the stream ended after {:?}", String::from_utf8_lossy(&self.seen));
            self.seen.extend_from_slice(&room[..count]);
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        while self.seen.len() < count {
            let mut room = vec![0; 64 * 1024];
            let some = self.stream.read(&mut room).unwrap();
            assert!(some > 0, "the stream ended after {} bytes of {count}", self.seen.len());
            self.seen.extend_from_slice(&room[..some]);
        }
        let rest = self.seen.split_off(count);
        std::mem::replace(&mut self.seen, rest)
    }

    /// A reply with a length.
    fn reply(&mut self) -> (String, Vec<u8>) {
        let head = self.until("\r\n\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap_or_else(|| panic!("no length in {head}"));
        let body = self.take(length.parse().unwrap());
        (head, body)
    }

    /// All that still comes, and whether the server has said that this is all.
    fn rest(&mut self) -> (String, Result<(), ErrorKind>) {
        let mut rest = std::mem::take(&mut self.seen);
        let end = self.stream.read_to_end(&mut rest).map(drop).map_err(|error| error.kind());
        (String::from_utf8(rest).unwrap(), end)
    }
}

fn answer(exchange: &mut dyn Exchange, body: &[u8]) {
    exchange.start(&ResponseHead::plain(http::StatusCode::OK, body.len() as u64));
    exchange.data(body);
    exchange.finish();
}

fn path(exchange: &dyn Exchange) -> String {
    String::from_utf8(exchange.head().get(Known::PathInfo).unwrap().to_vec()).unwrap()
}

fn echo_path(exchange: &mut dyn Exchange) {
    let path = path(exchange);
    answer(exchange, path.as_bytes());
}

fn read_all(exchange: &mut dyn Exchange) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let piece = exchange.read(1 << 20)?;
        if piece.is_empty() {
            return Ok(body);
        }
        body.extend_from_slice(&piece);
    }
}

/// Bytes of which each tells where it is.
fn counted(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 256 + at % 251) as u8).collect()
}

fn wait_for<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(DEADLINE).expect("it did not come")
}

#[test]
fn requests_of_one_connection_are_answered_in_order_also_when_they_come_at_once() {
    let server = Started::new(echo_path);
    for versions in [TLS12, TLS13] {
        let mut client = server.connect_by(server.site.client(versions));
        for n in 0..3 {
            client.send(format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(client.reply().1, format!("/{n}").as_bytes());
        }
        let many: String = (0..200).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.send(many);
        for n in 0..200 {
            assert_eq!(client.reply().1, format!("/{n}").as_bytes());
        }
        client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\nGET /y HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        assert!(client.until("\r\n\r\n").contains("Content-Length: 2\r\n"));
        assert_eq!(client.reply().1, b"/y");
        assert_eq!(client.rest(), (String::new(), Ok(())), "no close_notify");
    }
}

#[test]
fn ten_megabytes_go_up_and_down_in_every_framing() {
    let block = Arc::new(counted(10 << 20));
    let theirs = Arc::clone(&block);
    let server = Started::new(move |exchange| {
        let body = read_all(exchange).unwrap();
        assert!(body == *theirs, "{} bytes came", body.len());
        let mut head = ResponseHead::of(http::StatusCode::OK);
        match path(exchange).as_str() {
            // A block at a time, in sizes that fit no record.
            "/chunked" => {
                exchange.start(&head);
                for piece in body.chunks(99_999) {
                    exchange.data(piece);
                    exchange.flush().unwrap();
                }
            }
            // All of it as one block, which nobody waits for.
            _ => {
                head.set_content_length(body.len() as u64);
                exchange.start(&head);
                exchange.data(&body);
            }
        }
        exchange.finish();
    });
    for versions in [TLS12, TLS13] {
        let mut client = server.connect_by(server.site.client(versions));
        for _ in 0..2 {
            client.send(format!("POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", block.len()));
            client.send(&block[..]);
            // The reply is many times what the sockets hold, and the client begins to read it when it likes.
            assert!(client.reply().1 == *block, "what came back is something else");
        }
        client.send("POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
        for piece in block.chunks(70_001) {
            client.send(format!("{:x}\r\n", piece.len()));
            client.send(piece);
            client.send("\r\n");
        }
        client.send("0\r\n\r\n");
        assert!(client.until("\r\n\r\n").contains("Transfer-Encoding: chunked\r\n"));
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(client.until("\r\n").trim(), 16).unwrap();
            body.extend(client.take(size));
            client.until("\r\n");
            if size == 0 {
                break;
            }
        }
        assert!(body == *block, "what came back is something else");
        assert_eq!(client.rest(), (String::new(), Ok(())));
    }
}

#[test]
fn a_slow_reader_of_a_large_reply_holds_no_thread_and_gets_all_of_it() {
    let block = Arc::new(counted(10 << 20));
    let theirs = Arc::clone(&block);
    let server = Started::with(
        |server| server.threads(1),
        move |exchange| match path(exchange).as_str() {
            "/big" => answer(exchange, &theirs),
            _ => answer(exchange, b"small"),
        },
    );
    let mut slow = server.connect();
    slow.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut other = server.connect();
    other.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(other.reply().1, b"small");
    assert!(slow.reply().1 == *block, "what came is something else");
    assert_eq!(slow.reply().1, b"small");
}

#[test]
fn a_file_goes_out_encrypted() {
    let mut file = tempfile::tempfile().unwrap();
    let content = counted(1_000_003);
    file.write_all(&content).unwrap();
    let server = Started::new(move |exchange| {
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, 1_000_000));
        exchange.send_file(&file, 3..1_000_003).unwrap();
        exchange.finish();
    });
    let mut client = server.connect();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(client.reply().1 == content[3..], "what came is something else");
    }
}

/// As with queued bytes: the engine encrypts the rest of it as the clients read.
#[test]
fn slow_readers_of_a_file_hold_no_thread_and_get_all_of_it() {
    let content = counted(24 << 20);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content).unwrap();
    let file = Arc::new(file);
    let server = Started::new(move |exchange| {
        if path(exchange) != "/file" {
            return echo_path(exchange);
        }
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, 24 << 20));
        exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..24 << 20 }]);
    });
    let mut slow: Vec<Client> = (0..4).map(|_| server.connect()).collect();
    for client in &mut slow {
        client.send("GET /file HTTP/1.1\r\nHost: a\r\n\r\nGET /then HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for _ in 0..4 {
        let mut other = server.connect();
        other.send("GET /other HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(other.reply().1, b"/other");
    }
    for client in &mut slow {
        assert!(client.reply().1 == content, "what came is something else");
        assert_eq!(client.reply().1, b"/then");
    }
}

#[test]
fn a_file_is_not_read_for_a_reply_without_a_body() {
    let file = Arc::new(tempfile::tempfile().unwrap());
    let server = Started::new(move |exchange| {
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, 10));
        // Whoever read it would find that it is empty.
        if path(exchange) == "/rest" {
            return exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..10 }]);
        }
        exchange.send_file(&file, 0..10).unwrap();
        exchange.finish();
    });
    let mut client = server.connect();
    for target in ["/", "/rest", "/"] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        client.until("Content-Length: 10\r\n");
        client.until("\r\n\r\n");
    }
}

#[test]
fn streamed_blocks_arrive_before_the_next_is_made() {
    let (send, receive) = channel::<()>();
    let receive = std::sync::Mutex::new(receive);
    let server = Started::new(move |exchange| {
        exchange.start(&ResponseHead::of(http::StatusCode::OK));
        for block in [b"one", b"two"] {
            exchange.data(block);
            exchange.flush().unwrap();
            wait_for(&receive.lock().unwrap());
        }
        exchange.finish();
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.until("\r\n\r\n3\r\none\r\n");
    send.send(()).unwrap();
    client.until("3\r\ntwo\r\n");
    send.send(()).unwrap();
    client.until("0\r\n\r\n");
}

#[test]
fn a_client_that_waits_is_told_to_continue_when_the_body_is_wanted() {
    let server = Started::new(|exchange| match path(exchange).as_str() {
        "/read" => {
            let body = read_all(exchange).unwrap();
            answer(exchange, &body);
        }
        _ => answer(exchange, b"unread"),
    });
    let mut client = server.connect();
    client.send("POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(client.until("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("body");
    assert_eq!(client.reply().1, b"body");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    let (head, body) = client.reply();
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("Connection: close\r\n"), "{head}");
    assert_eq!((body.as_slice(), client.rest()), (&b"unread"[..], (String::new(), Ok(()))));
}

#[test]
fn a_reply_that_breaks_off_is_a_truncation_and_not_an_end() {
    let (send, receive) = channel::<()>();
    let receive = std::sync::Mutex::new(receive);
    let server = Started::new(move |exchange| {
        let mut head = ResponseHead::of(http::StatusCode::OK);
        if path(exchange) == "/length" {
            head.set_content_length(100);
        }
        exchange.start(&head);
        exchange.data(b"half of it");
        exchange.flush().unwrap();
        wait_for(&receive.lock().unwrap());
        // And no `finish`: the handler has failed.
    });
    for versions in [TLS12, TLS13] {
        for request in ["/length HTTP/1.1\r\nHost: a", "/chunked HTTP/1.1\r\nHost: a", "/close HTTP/1.0"] {
            let mut client = server.connect_by(server.site.client(versions));
            client.send(format!("GET {request}\r\n\r\n"));
            client.until("half of it");
            send.send(()).unwrap();
            let (_, end) = client.rest();
            let by = if request.starts_with("/close") { ErrorKind::ConnectionReset } else { ErrorKind::UnexpectedEof };
            assert_eq!(end, Err(by), "{request}");
        }
    }
}

#[test]
fn an_upload_that_breaks_off_is_an_error_and_not_an_end() {
    let (send, errors) = channel();
    let send = std::sync::Mutex::new(send);
    let server = Started::with(
        |server| server.read_ahead(16),
        move |exchange| {
            let result = read_all(exchange).map(|body| body.len()).map_err(|error| error.kind());
            send.lock().unwrap().send(result).unwrap();
        },
    );
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        for by_close_notify in [false, true] {
            let mut client = server.connect();
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n30\r\n{}", "x".repeat(0x30)));
            if by_close_notify {
                client.stream.conn.send_close_notify();
                client.stream.flush().unwrap();
            }
            client.stream.sock.shutdown(Shutdown::Write).unwrap();
            assert_eq!(wait_for(&errors), Err(ErrorKind::UnexpectedEof), "{framing}, {by_close_notify}");
        }
    }
    // A bit that was changed on the way.
    let mut client = server.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nsome of it");
    client.stream.sock.write_all(&[0x17, 3, 3, 0, 32]).unwrap();
    client.stream.sock.write_all(&[0; 32]).unwrap();
    assert_eq!(wait_for(&errors), Err(ErrorKind::InvalidData));
}

#[test]
fn deadlines_hold_for_the_handshake_too_and_an_idle_peer_is_told_of_the_end() {
    // Long enough for a handshake on a busy machine, and all wait at the same time.
    let short = Duration::from_secs(2);
    let timeouts = Timeouts { head: short, idle: short, ..Timeouts::default() };
    let server = Started::with(|server| server.timeouts(timeouts), |exchange| answer(exchange, b"fine"));
    // Nothing, a part of a record, and a whole one: in no case is there anybody to talk to.
    let silent = [&b""[..], b"\x16\x03\x01", b"\x16\x03\x01\x00\x04\x01\x00\x02\x00"].map(|begin| {
        let mut tcp = server.tcp();
        tcp.write_all(begin).unwrap();
        (begin, tcp)
    });
    let mut idle = server.connect();
    idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut late = server.connect();
    late.send("GET /");
    assert_eq!(idle.reply().1, b"fine");
    assert_eq!(idle.rest(), (String::new(), Ok(())), "no close_notify");
    let (reply, end) = late.rest();
    assert!(reply.starts_with("HTTP/1.1 408 ") && end == Ok(()), "{reply}");
    for (begin, mut tcp) in silent {
        let mut all = Vec::new();
        let _ = tcp.read_to_end(&mut all);
        assert!(all.is_empty(), "{begin:?}: {all:?}");
    }
}

#[test]
fn a_shutdown_is_told_in_good_order() {
    let (send, asked) = channel::<()>();
    let (go_on, wait): (Sender<()>, _) = channel();
    let both = std::sync::Mutex::new((send, wait));
    let server = Started::new(move |exchange| {
        let both = both.lock().unwrap();
        both.0.send(()).unwrap();
        wait_for(&both.1);
        answer(exchange, b"the last");
    });
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    wait_for(&asked);
    server.handle.shutdown();
    go_on.send(()).unwrap();
    let (head, body) = client.reply();
    assert!(head.contains("Connection: close\r\n"), "{head}");
    assert_eq!((body.as_slice(), client.rest()), (&b"the last"[..], (String::new(), Ok(()))));
}

#[test]
fn plain_http_on_the_port_gets_a_sentence_and_tls_goes_on() {
    let server = Started::new(|exchange| answer(exchange, b"fine"));
    let mut tcp = server.tcp();
    tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    let mut reply = String::new();
    tcp.read_to_string(&mut reply).unwrap();
    assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n") && reply.contains("https://"), "{reply}");
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.reply().1, b"fine");
}

#[test]
fn a_reload_is_for_new_connections_and_harms_none() {
    let mut server = Started::new(echo_path);
    let old: Arc<ClientConfig> = server.site.client_config(TLS13, &["http/1.1"]);
    let mut before = server.connect_by(client_of(Arc::clone(&old)));
    before.send("GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(before.reply().1, b"/a");
    server.site.renew();
    server.certificates.reload().unwrap();
    let mut after = server.connect();
    after.send("GET /b HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(after.reply().1, b"/b");
    before.send("GET /c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(before.reply().1, b"/c");
}

const DEADLINE: Duration = Duration::from_secs(20);
