//! What one call of an application costs in this process, without sockets and codecs: `cargo run --release -p wsgi-core --example call_cost`.
//!
//! Each row is the least of several rounds, in nanoseconds a request. `handle` attaches to Python and detaches for each request, as the
//! engine does; the rows below it stay attached, so that the difference is the price of attaching. With the name of a row and a number as
//! arguments, that row runs alone, once, with so many requests: for `valgrind --tool=callgrind`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use pyo3::prelude::*;
use wsgi_core::wire::{BodyLength, Known, RequestHead, ResponseHead, Underscores};
use wsgi_core::wsgi::Application;
use wsgi_core::{Exchange, Handler};

const APPLICATIONS: &std::ffi::CStr = c"
def hello(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'Hello, world!']

def length(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '13')])
    return [b'Hello, world!']

def generator(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    for _ in range(100):
        yield b'x' * 1024

class Closing:
    def __init__(self, blocks):
        self.blocks = blocks
    def __iter__(self):
        return iter(self.blocks)
    def close(self):
        pass

def closing(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '13')])
    return Closing([b'Hello, world!'])

kept = []
def keeps(environ, start_response):
    kept[:] = [environ]
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'Hello, world!']

def post(environ, start_response):
    body = environ['wsgi.input'].read()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'Hello, world!']

def bare(environ, start_response):
    return 0

def direct(n):
    def start_response(status, headers, exc_info=None):
        return None
    base = {str(i): str(i) for i in range(30)}
    for _ in range(n):
        hello(base.copy(), start_response)
";

const BROWSER: [(&str, &str); 12] = [
    ("Host", "127.0.0.1:8000"),
    ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Accept-Language", "en-US,en;q=0.5"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Connection", "keep-alive"),
    ("Cookie", "sessionid=0123456789abcdef0123456789abcdef; csrftoken=abcdefghijklmnopqrstuvwxyzABCDEF"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "none"),
    ("X-Custom-Thing", "u=0, i"),
];

fn main() {
    Python::initialize();
    let application = |name: &str| {
        let callable = Python::attach(|py| {
            let module = PyModule::from_code(py, APPLICATIONS, c"applications.py", c"applications").expect("source");
            module.getattr(name).expect("name").unbind()
        });
        Application::new(callable)
    };
    let hello = application("hello");
    hello.thread(&mut || {
        measure("hello, 1 field, handle", &hello, &mut request(1, b""), 200_000);
        Python::attach(|_| {
            measure("hello, 1 field", &hello, &mut request(1, b""), 200_000);
            measure("hello, 12 fields", &hello, &mut request(12, b""), 200_000);
            measure("hello, 12 fields, path changes", &hello, &mut request(12, b"").changing(1), 200_000);
            measure("hello, 12 fields, 4 shapes in turn", &hello, &mut request(12, b"").changing(2), 200_000);
            measure("hello, 12 fields, every shape new", &hello, &mut request(12, b"").changing(3), 50_000);
            measure("with Content-Length", &application("length"), &mut request(1, b""), 200_000);
            measure("iterable with close()", &application("closing"), &mut request(1, b""), 100_000);
            measure("application keeps environ", &application("keeps"), &mut request(1, b""), 100_000);
            measure("POST of 10 KiB", &application("post"), &mut request(1, &[b'x'; 10240]), 100_000);
            measure("100 blocks of 1 KiB from a generator", &application("generator"), &mut request(1, b""), 2_000);
        });
    });
    if std::env::args().len() > 1 {
        return;
    }
    Python::attach(|py| {
        let module = PyModule::from_code(py, APPLICATIONS, c"applications.py", c"applications").expect("source");
        let direct = module.getattr("direct").expect("name");
        let least = (0..ROUNDS)
            .map(|_| {
                let begin = Instant::now();
                direct.call1((100_000,)).expect("no exception");
                begin.elapsed().as_nanos() as f64 / 100_000.0
            })
            .fold(f64::MAX, f64::min);
        println!("{least:8.0}  hello called from Python, with a copied dict of 30");
    });
}

fn measure(name: &str, application: &Application, exchange: &mut Nothing, times: usize) {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, only, times] = &arguments[..] {
        if only == name {
            (0..times.parse().expect("a number")).for_each(|turn| {
                exchange.rewind(turn);
                application.handle(exchange);
            });
        }
        return;
    }
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for turn in 0..times {
            exchange.rewind(turn);
            application.handle(exchange);
        }
        least = least.min(begin.elapsed().as_nanos() as f64 / times as f64);
    }
    assert!(exchange.finished, "{name}");
    println!("{least:8.0}  {name}");
}

const ROUNDS: usize = 7;

fn request(fields: usize, body: &[u8]) -> Nothing {
    let mut head = RequestHead::default();
    head.set(Known::RequestMethod, b"GET");
    head.target(b"/path/to?query=1").expect("target");
    for (name, value) in [
        (Known::ServerProtocol, "HTTP/1.1"),
        (Known::ServerName, "127.0.0.1"),
        (Known::ServerPort, "8000"),
        (Known::RemoteAddr, "127.0.0.1"),
        (Known::RemotePort, "50000"),
    ] {
        head.set(name, value.as_bytes());
    }
    for (name, value) in &BROWSER[..fields] {
        head.field(name.as_bytes(), value.as_bytes(), Underscores::Drop).expect("field");
    }
    if !body.is_empty() {
        head.set(Known::RequestMethod, b"POST");
        head.set(Known::ContentLength, body.len().to_string().as_bytes());
        head.set_body(BodyLength::Known(body.len() as u64));
    }
    Nothing {
        heads: vec![head],
        at: 0,
        body: Bytes::copy_from_slice(body),
        left: Bytes::new(),
        out: Vec::new(),
        started: false,
        finished: false,
    }
}

/// An exchange that does what the engine does, and then forgets it.
struct Nothing {
    heads: Vec<RequestHead>,
    at: usize,
    body: Bytes,
    left: Bytes,
    out: Vec<u8>,
    started: bool,
    finished: bool,
}

impl Nothing {
    fn changing(mut self, how: usize) -> Nothing {
        let first = self.heads[0].clone();
        self.heads = (0..[1, 64, 4, 64][how])
            .map(|number| {
                let mut head = first.clone();
                if how == 1 {
                    head.target(format!("/path/{number}?query={number}").as_bytes()).expect("target");
                } else {
                    head.field(format!("X-Number-{number}").as_bytes(), b"1", Underscores::Drop).expect("field");
                }
                head
            })
            .collect();
        self
    }

    fn rewind(&mut self, turn: usize) {
        self.at = turn % self.heads.len();
        self.left = self.body.clone();
        self.out.clear();
        (self.started, self.finished) = (false, false);
    }
}

impl Exchange for Nothing {
    fn head(&self) -> &RequestHead {
        &self.heads[self.at]
    }
    fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.heads[self.at]
    }
    fn inform(&mut self, _: &ResponseHead) {}
    fn start(&mut self, head: &ResponseHead) {
        self.started = true;
        self.out.extend_from_slice(b"HTTP/1.1 ");
        self.out.extend_from_slice(head.status_line());
        self.out.extend_from_slice(b"\r\n");
        self.out.extend_from_slice(head.lines());
        self.out.extend_from_slice(b"\r\n");
    }
    fn started(&self) -> bool {
        self.started
    }
    fn data(&mut self, block: &[u8]) {
        self.out.extend_from_slice(block);
    }
    fn finish(&mut self) {
        self.finished = true;
    }
    fn abort(&mut self) {}
    fn read(&mut self, max: usize) -> io::Result<Bytes> {
        let len = self.left.len().min(max);
        Ok(self.left.split_to(len))
    }
    fn read_ready(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        Some(self.read(max))
    }
    fn flush(&mut self) -> io::Result<()> {
        self.out.clear();
        Ok(())
    }
    fn send_file(&mut self, _: &File, _: Range<u64>) -> io::Result<()> {
        Ok(())
    }
    fn disconnected(&mut self) -> bool {
        false
    }
    fn multithread(&self) -> bool {
        true
    }
}
