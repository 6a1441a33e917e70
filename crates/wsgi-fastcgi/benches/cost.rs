//! What the codec costs by itself, without sockets: nanoseconds an operation, the least and the middle of many batches.
//!
//! ```text
//! cargo bench -p wsgi-fastcgi [-- PART-OF-A-NAME...]
//! ```
//!
//! A row begins with a copy of its bytes into the input buffer, as a read from a socket does, and ends with the least reply, without which
//! there is no next request; the rows of their own say what that costs. `cargo test` runs each operation a few times, untimed.

use std::hint::black_box;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::StatusCode;
use wsgi_core::wire::{Address, Dialect, Event, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};
use wsgi_fastcgi::FastCgi;
use wsgi_fastcgi::client::{self, Reply, Request};

fn main() {
    let mut connection = Connection::new();
    let (nginx, browser) = (request(&NGINX, b""), request(&[&NGINX[..], &BROWSER].concat(), b""));
    println!("curl through nginx: {} bytes; a browser through nginx: {} bytes", nginx.len(), browser.len());
    let upload = request(&[("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/")], &[b'x'; 65_536]);

    row("copy of a request of curl through nginx", || connection.fill(black_box(&nginx)));
    for (name, request) in [("curl through nginx", &nginx), ("a browser through nginx", &browser)] {
        row(&format!("{name}: understood, least reply"), || {
            connection.fill(black_box(request));
            assert_eq!(connection.poll(), Event::Head);
            connection.answer(b"");
        });
        let (first, second) = request.split_at(request.len() - 20);
        row(&format!("{name}: the same in two pieces"), || {
            connection.fill(black_box(first));
            assert_eq!(connection.poll(), Event::NeedInput);
            connection.input.extend_from_slice(black_box(second));
            assert_eq!(connection.poll(), Event::Head);
            connection.answer(b"");
        });
    }
    row("curl through nginx: understood, hello", || {
        connection.fill(black_box(&nginx));
        assert_eq!(connection.poll(), Event::Head);
        connection.answer(black_box(b"Hello, world!\n"));
    });
    replies("hello, alone", &nginx, b"Hello, world!\n");
    row("copy of an upload of 64 KiB", || connection.fill(black_box(&upload)));
    row("an upload of 64 KiB, least reply", || {
        connection.fill(black_box(&upload));
        while connection.poll() != Event::EndOfBody {}
        connection.answer(b"");
    });
    let block = vec![b'x'; 1 << 20];
    row("curl through nginx: understood, 1 MiB", || {
        connection.fill(black_box(&nginx));
        assert_eq!(connection.poll(), Event::Head);
        connection.answer(black_box(&block));
    });

    let variables = NGINX;
    let mut out = Vec::new();
    row("client: records of a request of curl through nginx", || {
        out.clear();
        let request = Request::new(1).keep_connection(true);
        request.begin(black_box(variables), &mut out).expect("they have names");
        request.end_body(&mut out);
    });
    connection.fill(&nginx);
    assert_eq!(connection.poll(), Event::Head);
    connection.answer(b"Hello, world!\n");
    let answer = std::mem::take(&mut connection.out);
    let (mut input, mut head) = (BytesMut::new(), ResponseHead::default());
    row("client: hello understood", || {
        input.clear();
        input.extend_from_slice(black_box(&answer));
        let mut reply = Reply::to(Request::new(1), b"GET");
        while !matches!(reply.poll(&mut input, &mut head), Ok(client::Event::End(_))) {}
    });
}

/// A server's connection with its buffers, all of which are used again and again.
struct Connection {
    codec: Box<dyn Protocol>,
    input: BytesMut,
    head: RequestHead,
    out: Vec<u8>,
    date: HttpDate,
}

impl Connection {
    fn new() -> Connection {
        let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 9000)));
        let link = Link { local: address.clone(), remote: address, secure: false };
        let codec = FastCgi::new().connect(&link);
        Connection { codec, input: BytesMut::new(), head: RequestHead::default(), out: Vec::new(), date: HttpDate::from_unix(0) }
    }

    fn fill(&mut self, bytes: &[u8]) {
        self.input.clear();
        self.input.extend_from_slice(bytes);
    }

    fn poll(&mut self) -> Event {
        self.codec.poll(&mut self.input, &mut self.head, &mut self.out).expect("the bytes are a request")
    }

    fn answer(&mut self, body: &[u8]) {
        self.out.clear();
        thread_local! {
            static HEAD: ResponseHead = ResponseHead::plain(StatusCode::OK, 0);
            static UNSIZED: ResponseHead = {
                let mut head = ResponseHead::of(StatusCode::OK);
                let field = head.field(b"Content-Type", b"text/plain; charset=utf-8");
                assert!(field.is_ok());
                head
            };
        }
        let head = if body.is_empty() { &HEAD } else { &UNSIZED };
        head.with(|head| self.codec.start(head, &self.date, &mut self.out));
        self.codec.data(body, &mut self.out);
        assert_eq!(self.codec.finish(&mut self.out), Next::Request);
        black_box(&self.out);
    }
}

/// Times replies without the requests that they need, which are understood before.
fn replies(name: &str, request: &[u8], body: &[u8]) {
    let mut connections: Vec<Connection> = (0..64).map(|_| Connection::new()).collect();
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 2000 } else { 3 };
    let mut each: Vec<f64> = (0..rounds)
        .map(|_| {
            for connection in &mut connections {
                connection.fill(request);
                assert_eq!(connection.poll(), Event::Head);
            }
            let start = Instant::now();
            connections.iter_mut().for_each(|connection| connection.answer(black_box(body)));
            start.elapsed().as_nanos() as f64 / connections.len() as f64
        })
        .collect();
    each.sort_by(f64::total_cmp);
    if rounds > 3 && wanted(name) {
        println!("{name:<56} {:>10.1} {:>10.1} ns", each[0], each[each.len() / 2]);
    }
}

/// Times an operation in batches that are long enough for the clock.
fn row(name: &str, mut operation: impl FnMut()) {
    if !std::env::args().any(|argument| argument == "--bench") {
        (0..3).for_each(|_| operation());
        return;
    }
    if !wanted(name) {
        return;
    }
    let mut batch = |count: u32| {
        let start = Instant::now();
        (0..count).for_each(|_| operation());
        start.elapsed()
    };
    let mut count = 1;
    while batch(count) < Duration::from_micros(200) {
        count *= 2;
    }
    let mut each: Vec<f64> = (0..1000).map(|_| batch(count).as_nanos() as f64 / f64::from(count)).collect();
    each.sort_by(f64::total_cmp);
    println!("{name:<56} {:>10.1} {:>10.1} ns", each[0], each[each.len() / 2]);
}

/// Whether the program's arguments ask for this row: those that are no option are parts of names.
fn wanted(name: &str) -> bool {
    let mut parts = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    parts.peek().is_none() || parts.any(|part| name.contains(&part))
}

/// A whole request under KEEP_CONN, in the records that nginx makes of it.
fn request(variables: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let request = Request::new(1).keep_connection(true);
    request.begin(variables.iter().copied(), &mut out).expect("they have names");
    body.chunks(32 * 1024).for_each(|piece| request.body(piece, &mut out));
    request.end_body(&mut out);
    out
}

/// What nginx 1.22 sends with Debian's `fastcgi_params` for a request of curl.
const NGINX: [(&str, &str); 22] = [
    ("QUERY_STRING", "how=whole"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("SCRIPT_NAME", "/tcp/x y"),
    ("REQUEST_URI", "/tcp/x%20y?how=whole"),
    ("DOCUMENT_URI", "/tcp/x y"),
    ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "http"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.22.1"),
    ("REMOTE_ADDR", "127.0.0.1"),
    ("REMOTE_PORT", "45436"),
    ("REMOTE_USER", ""),
    ("SERVER_ADDR", "127.0.0.1"),
    ("SERVER_PORT", "9920"),
    ("SERVER_NAME", "localhost"),
    ("REDIRECT_STATUS", "200"),
    ("HTTP_HOST", "127.0.0.1"),
    ("HTTP_USER_AGENT", "curl/7.88.1"),
    ("HTTP_ACCEPT", "*/*"),
];

/// What a browser sends more than curl.
const BROWSER: [(&str, &str); 10] = [
    ("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br, zstd"),
    ("HTTP_CONNECTION", "keep-alive"),
    ("HTTP_REFERER", "https://www.example.org/some/page/before"),
    ("HTTP_COOKIE", "sessionid=0123456789abcdef0123456789abcdef; csrftoken=0123456789abcdef0123456789abcdef"),
    ("HTTP_UPGRADE_INSECURE_REQUESTS", "1"),
    ("HTTP_SEC_FETCH_DEST", "document"),
    ("HTTP_SEC_FETCH_MODE", "navigate"),
    ("HTTP_SEC_FETCH_SITE", "same-origin"),
    ("HTTP_PRIORITY", "u=0, i"),
];
