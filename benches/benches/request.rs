//! What one request costs in process: a row for each line of the table in `ARCHITECTURE.md`, and the whole.
//!
//! ```text
//! cargo bench -p wsgi-benches --bench request [-- PART-OF-A-NAME...]
//! ```
//!
//! No socket and no engine; the bytes of the request lie ready, and those of the reply are left in a vector. What lies between the
//! application's call and its return cannot be timed from outside, so an application in Rust notes the time on its way in and out.
//! Everything is hot in the caches, which it is not between two system calls: a server pays more.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::Arc;
use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyTuple};
use wsgi_benches::{BARE, BROWSER, Cost, Memory, Stopwatch, unknown};
use wsgi_core::access::{AccessLog, Destination, Lines};
use wsgi_core::metrics::Metrics;
use wsgi_core::observe::{Observed, Observer};
use wsgi_core::wire::{RequestHead, ResponseHead};
use wsgi_core::wsgi::Application;
use wsgi_core::{Exchange, Handler};
use wsgi_http::Http1;

fn main() {
    Python::initialize();
    let watch = Stopwatch::new("in process");
    let hello = Python::attach(|py| {
        let names = PyDict::new(py);
        py.run(HELLO, Some(&names), None).expect("the application is valid Python");
        names.get_item("application").expect("a dict gives its items").expect("it was just defined").unbind()
    });
    let hello = Application::new(hello);
    // As on a worker thread: the thread state is kept.
    hello.thread(&mut || {
        watch.row("attach, detach", || Python::attach(|py| _ = unknown(py)));
        for (kind, request) in [("bare request", BARE), ("browser", BROWSER)] {
            parts(&watch, kind, request);
            for count in [1, 64] {
                let mut connections = connections(count);
                let reply = connections[0].serve(request, &hello);
                let whole = reply.starts_with(b"HTTP/1.1 200 OK\r\n") && reply.ends_with(b"\r\n\r\nHello, world!\n");
                assert!(whole, "{}", String::from_utf8_lossy(reply));
                let mut turn = 0;
                watch.row(&format!("{kind}: whole request, hello in Python, connections: {count}"), || {
                    unknown(connections[turn].serve(unknown(request), &hello));
                    turn = (turn + 1) % connections.len();
                });
            }
        }
        observed(&watch, &hello);
        floors(&watch);
    });
}

/// What it costs to be seen, on top of the whole request.
fn observed(watch: &Stopwatch, hello: &Application) {
    let lines = Lines::open(Destination::File("/dev/null".into())).expect("a system has it");
    let log: Arc<dyn Observer> = Arc::new(AccessLog::new("combined".parse().expect("a format"), lines));
    let metrics = Metrics::new().observer();
    for (kind, observers) in [
        ("no observer", Vec::new()),
        ("metrics", vec![Arc::clone(&metrics)]),
        ("access log", vec![Arc::clone(&log)]),
        ("metrics and access log", vec![metrics, log]),
    ] {
        let observed = Observed::new(hello.clone(), observers);
        let mut connection = Memory::new(&Http1::new(), 50_000);
        watch.row(&format!("browser: whole request, observed: {kind}"), || {
            unknown(connection.serve(unknown(BROWSER), &observed));
        });
    }
}

/// The lines of the table.
fn parts(watch: &Stopwatch, kind: &str, request: &'static [u8]) {
    let names = PHASES.map(|phase| format!("{kind}: {phase}"));
    if !names.iter().any(|name| watch.wants(name)) {
        return;
    }
    let noting =
        Application::new(Python::attach(|py| wrap_pyfunction!(noting, py).expect("a function can be wrapped").into_any().unbind()));
    let mut connections = connections(64);
    let mut phases: [Vec<f64>; PHASES.len()] = Default::default();
    for turn in 0..if watch.timed() { 200_000 } else { 3 } {
        let connection = &mut connections[turn % 64];
        note(0);
        connection.receive(unknown(request));
        note(1);
        noting.handle(&mut Noting(connection));
        note(PHASES.len());
        connection.conclude();
        let notes = NOTES.get();
        for (costs, ends) in phases.iter_mut().zip(notes.windows(2)) {
            costs.push((ends[1] - ends[0]).as_nanos() as f64);
        }
    }
    let clock = clock();
    for (name, costs) in names.iter().zip(phases) {
        watch.line(name, Cost::of(costs).less(clock));
    }
}

/// Connections that differ by their port, as those of a server do.
fn connections(count: u16) -> Vec<Memory> {
    (0..count).map(|number| Memory::new(&Http1::new(), 50_000 + number)).collect()
}

/// What cannot be avoided.
fn floors(watch: &Stopwatch) {
    Python::attach(|py| {
        let environ = PyDict::new(py);
        for number in 0..24 {
            environ.set_item(format!("NAME_{number}"), "value").expect("a str can be a key");
        }
        watch.row("floor: copy of a dict of 24", || drop(unknown(environ.copy())));
        let names = PyDict::new(py);
        py.run(HELLO, Some(&names), None).expect("the application is valid Python");
        let hello = names.get_item("application").expect("a dict gives its items").expect("it was just defined");
        let start = py.import("operator").and_then(|operator| operator.getattr("is_")).expect("the standard library has it");
        watch.row("floor: hello called, start_response does nothing", || drop(unknown(hello.call1((&environ, &start)))));
    });
}

/// An application that notes when it is called, when `start_response` begins and ends, and when it returns.
#[pyfunction]
fn noting<'py>(py: Python<'py>, environ: &Bound<'py, PyAny>, start_response: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    note(2);
    unknown(environ);
    let length = ("Content-Length", "14").into_pyobject(py)?;
    let headers = PyList::new(py, [("Content-Type", "text/plain").into_pyobject(py)?, length])?;
    let arguments = PyTuple::new(py, ["200 OK".into_pyobject(py)?.into_any(), headers.into_any()])?;
    note(3);
    start_response.call1(arguments)?;
    note(4);
    let answer = PyList::new(py, [PyBytes::new(py, b"Hello, world!\n")])?;
    note(5);
    Ok(answer)
}

/// An exchange that notes when the reply is complete.
struct Noting<'a>(&'a mut Memory);

impl Exchange for Noting<'_> {
    fn head(&self) -> &RequestHead {
        self.0.head()
    }
    fn head_mut(&mut self) -> &mut RequestHead {
        self.0.head_mut()
    }
    fn inform(&mut self, head: &ResponseHead) {
        self.0.inform(head);
    }
    fn start(&mut self, head: &ResponseHead) {
        note(6);
        self.0.start(head);
    }
    fn started(&self) -> bool {
        self.0.started()
    }
    fn data(&mut self, block: &[u8]) {
        self.0.data(block);
    }
    fn finish(&mut self) {
        self.0.finish();
        note(7);
    }
    fn abort(&mut self) {
        self.0.abort();
    }
    fn read(&mut self, max: usize) -> std::io::Result<bytes::Bytes> {
        self.0.read(max)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
    fn send_file(&mut self, file: &std::fs::File, range: std::ops::Range<u64>) -> std::io::Result<()> {
        self.0.send_file(file, range)
    }
    fn disconnected(&mut self) -> bool {
        self.0.disconnected()
    }
    fn multithread(&self) -> bool {
        self.0.multithread()
    }
}

fn note(at: usize) {
    let mut notes = NOTES.get();
    notes[at] = Instant::now();
    NOTES.set(notes);
}

/// What noting costs by itself.
fn clock() -> f64 {
    let costs = (0..100_000).map(|_| {
        note(0);
        note(1);
        let notes = NOTES.get();
        (notes[1] - notes[0]).as_nanos() as f64
    });
    Cost::of(costs.collect()).median
}

thread_local! {
    static NOTES: Cell<[Instant; PHASES.len() + 1]> = Cell::new([Instant::now(); PHASES.len() + 1]);
}

/// Between two notes each.
const PHASES: [&str; 8] = [
    "parse",
    "attach, environ, call, to the application's first line",
    "(the application's own objects)",
    "start_response",
    "(the application's answer)",
    "answer looked at",
    "encode",
    "teardown, detach",
];

const HELLO: &CStr = c"
def application(environ, start_response):
    body = b'Hello, world!\\n'
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]
";
