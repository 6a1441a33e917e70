//! An application from Python source, a request made by hand, and an exchange in memory that writes down everything that is done to it.
//!
//! The log is one list for both sides: the exchange adds what the server does (`start 200 OK`, `data 5`, `flush`, ...), and the Python
//! function `note(text)` what the application does. So a test can assert the order across the two.

use std::collections::VecDeque;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use pyo3::prelude::*;
use wsgi_core::testing::on_a_lasting_thread;
use wsgi_core::wire::{BodyLength, Known, RequestHead, ResponseHead, Underscores};
use wsgi_core::wsgi::Application;
use wsgi_core::{Exchange, Handler};

pub(crate) type Log = Arc<Mutex<Vec<String>>>;

/// An application, its log, and what it wrote to `wsgi.errors`.
pub(crate) struct App {
    pub(crate) application: Application,
    pub(crate) log: Log,
    pub(crate) errors: Arc<Mutex<String>>,
}

/// Appends to the log, from Python.
#[pyclass(frozen)]
struct Note(Log);

#[pymethods]
impl Note {
    fn __call__(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

impl App {
    /// The callable `application` of a module with this source. Its globals also hold `note`.
    pub(crate) fn new(source: &str) -> App {
        App::wrapped(source, "application")
    }

    /// The same, inside `wsgiref.validate.validator`, which checks both sides of the contract.
    pub(crate) fn validated(source: &str) -> App {
        App::wrapped(source, "__import__('wsgiref.validate').validate.validator(application)")
    }

    /// An expression over the module's globals.
    pub(crate) fn wrapped(source: &str, expression: &str) -> App {
        start_python();
        let log = Log::default();
        let callable = Python::attach(|py| {
            // Python keeps modules by their names, and tests run at the same time.
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let name = CString::new(format!("application_{}", NUMBER.fetch_add(1, Ordering::Relaxed))).unwrap();
            let module = PyModule::from_code(py, &CString::new(source).unwrap(), c"application.py", &name)
                .unwrap_or_else(|error| panic!("{}", text_of(py, &error)));
            module.setattr("note", Py::new(py, Note(log.clone())).unwrap()).unwrap();
            py.eval(&CString::new(expression).unwrap(), Some(&module.dict()), None).unwrap().unbind()
        });
        let errors = Arc::new(Mutex::new(String::new()));
        let sink = errors.clone();
        let application = Application::new(callable).errors(move |text| sink.lock().unwrap().push_str(text));
        App { application, log, errors }
    }

    pub(crate) fn map(mut self, change: impl FnOnce(Application) -> Application) -> App {
        self.application = change(self.application);
        self
    }

    pub(crate) fn get(&self, target: &str) -> Request<'_> {
        self.request("GET", target)
    }

    /// A request as an HTTP codec makes it.
    pub(crate) fn request(&self, method: &str, target: &str) -> Request<'_> {
        let mut head = RequestHead::default();
        head.set(Known::RequestMethod, method.as_bytes());
        head.target(target.as_bytes()).unwrap();
        for (name, value) in [
            (Known::ServerProtocol, "HTTP/1.1"),
            (Known::ServerName, "example.org"),
            (Known::ServerPort, "8000"),
            (Known::RemoteAddr, "192.0.2.1"),
            (Known::RemotePort, "50000"),
        ] {
            head.set(name, value.as_bytes());
        }
        self.bare(head)
    }

    /// A request with just these variables.
    pub(crate) fn bare(&self, head: RequestHead) -> Request<'_> {
        let recorder = Recorder {
            head,
            log: self.log.clone(),
            input: VecDeque::new(),
            broken: None,
            ready: false,
            flushes: 0,
            fail_at: None,
            disconnected: false,
            takes_log: false,
            file_ends: None,
            extensions: http::Extensions::new(),
            threads: (true, false),
            started: false,
            ended: false,
            status: None,
            lines: Vec::new(),
            length: None,
            body: Vec::new(),
            blocks: Vec::new(),
        };
        Request { app: self, recorder }
    }
}

/// Starts Python on a thread that does not end: `threading` takes the thread that imports it first for the main one, and the identifier of a
/// thread that ended goes to another.
pub(crate) fn start_python() {
    static STARTED: LazyLock<()> = LazyLock::new(|| {
        on_a_lasting_thread(|| {
            Python::initialize();
            Python::attach(|py| py.import("threading").map(drop)).unwrap();
        });
    });
    LazyLock::force(&STARTED);
}

fn text_of(py: Python<'_>, error: &PyErr) -> String {
    let traceback = error.traceback(py).and_then(|traceback| traceback.format().ok()).unwrap_or_default();
    format!("{traceback}{error}")
}

/// A request that is being made.
pub(crate) struct Request<'a> {
    app: &'a App,
    pub(crate) recorder: Recorder,
}

impl Request<'_> {
    pub(crate) fn field(mut self, name: &str, value: &[u8]) -> Self {
        self.recorder.head.field(name.as_bytes(), value, Underscores::Drop).unwrap();
        self
    }

    pub(crate) fn variable(mut self, name: &str, value: &[u8]) -> Self {
        self.recorder.head.variable(name.as_bytes(), value);
        self
    }

    /// A body of known length, which arrives in these pieces.
    pub(crate) fn body(mut self, pieces: &[&[u8]]) -> Self {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        self.recorder.head.set(Known::ContentLength, length.to_string().as_bytes());
        self.recorder.head.set_body(BodyLength::Known(length as u64));
        self.pieces(pieces)
    }

    /// A body of unknown length.
    pub(crate) fn chunked(mut self, pieces: &[&[u8]]) -> Self {
        self.recorder.head.set(Known::HttpTransferEncoding, b"chunked");
        self.recorder.head.set_body(BodyLength::Unknown);
        self.pieces(pieces)
    }

    fn pieces(mut self, pieces: &[&[u8]]) -> Self {
        self.recorder.input = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        self
    }

    /// After its last piece the body is not at its end but broken.
    pub(crate) fn broken(self, kind: io::ErrorKind) -> Self {
        self.refused(move || io::Error::new(kind, "the body broke off"))
    }

    /// After its last piece the body gives this error.
    pub(crate) fn refused(mut self, error: impl Fn() -> io::Error + Send + 'static) -> Self {
        self.recorder.broken = Some(Broken(Box::new(error)));
        self
    }

    /// The body can be read without waiting.
    pub(crate) fn ready(mut self) -> Self {
        self.recorder.ready = true;
        self
    }

    /// From the n-th flush on (counted from 0) the client is gone.
    pub(crate) fn fail_flush(mut self, at: usize) -> Self {
        self.recorder.fail_at = Some(at);
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Recorder)) -> Self {
        change(&mut self.recorder);
        self
    }

    /// Handles the request on this thread.
    pub(crate) fn run(self) -> Answer {
        let application = &self.app.application;
        self.run_by(application)
    }

    /// The same by another handler, which is around the application.
    pub(crate) fn run_by(self, handler: &dyn Handler) -> Answer {
        let Request { app, mut recorder } = self;
        app.log.lock().unwrap().clear();
        app.errors.lock().unwrap().clear();
        let lines = Lines::default();
        let logged = lines.0.clone();
        tracing::subscriber::with_default(lines, || handler.handle(&mut recorder));
        let events = std::mem::take(&mut *app.log.lock().unwrap());
        let errors = std::mem::take(&mut *app.errors.lock().unwrap());
        let logged = std::mem::take(&mut *logged.lock().unwrap());
        Answer { events, errors, logged, recorder }
    }
}

/// What became of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) events: Vec<String>,
    /// What went to `wsgi.errors`.
    pub(crate) errors: String,
    /// What the operator's log says, a line for each event: its level and its text.
    pub(crate) logged: Vec<String>,
    pub(crate) recorder: Recorder,
}

impl Answer {
    pub(crate) fn status(&self) -> &str {
        self.recorder.status.as_deref().unwrap_or("nothing was started")
    }

    pub(crate) fn body(&self) -> &str {
        std::str::from_utf8(&self.recorder.body).expect("text")
    }

    /// The values of a field of the reply.
    pub(crate) fn field(&self, name: &str) -> Vec<String> {
        let same = |(field, _): &&(Vec<u8>, Vec<u8>)| field.eq_ignore_ascii_case(name.as_bytes());
        self.recorder.lines.iter().filter(same).map(|(_, value)| value.iter().map(|&byte| byte as char).collect()).collect()
    }

    pub(crate) fn has(&self, event: &str) -> bool {
        self.events.iter().any(|other| other == event)
    }

    /// The reply is whole, nothing was written to `wsgi.errors`, and this is it.
    #[track_caller]
    pub(crate) fn is_ok(&self, body: &str) {
        assert_eq!(self.errors, "");
        assert_eq!(self.status(), "200 OK");
        assert_eq!(self.body(), body);
        assert!(self.has("finish") && !self.has("abort"), "{:?}", self.events);
    }

    /// A 500 that the server made, with this in the report.
    #[track_caller]
    pub(crate) fn is_error(&self, report: &str) {
        assert_eq!(self.status(), "500 Internal Server Error", "{}", self.errors);
        assert!(self.has("finish") && !self.has("abort"), "{:?}", self.events);
        assert!(self.errors.contains(report), "expected {report:?} in {}", self.errors);
    }
}

/// An exchange in memory.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) head: RequestHead,
    log: Log,
    pub(crate) input: VecDeque<Bytes>,
    broken: Option<Broken>,
    ready: bool,
    flushes: usize,
    fail_at: Option<usize>,
    pub(crate) disconnected: bool,
    /// Whether it takes text for the log of whoever sent the request.
    pub(crate) takes_log: bool,
    /// Where a file ends that is sent, though it was longer a moment ago.
    pub(crate) file_ends: Option<u64>,
    pub(crate) extensions: http::Extensions,
    /// `multithread` and `multiprocess`.
    pub(crate) threads: (bool, bool),
    started: bool,
    ended: bool,
    status: Option<String>,
    lines: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) length: Option<u64>,
    pub(crate) body: Vec<u8>,
    pub(crate) blocks: Vec<Vec<u8>>,
}

/// What a broken body gives, again and again.
struct Broken(Box<dyn Fn() -> io::Error + Send>);

impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (self.0)().fmt(f)
    }
}

impl Recorder {
    fn note(&self, event: String) {
        self.log.lock().unwrap().push(event);
    }

    fn take(&mut self, max: usize) -> io::Result<Bytes> {
        match self.input.front_mut() {
            Some(piece) if piece.len() > max => Ok(piece.split_to(max)),
            Some(_) => Ok(self.input.pop_front().unwrap_or_default()),
            None => match &self.broken {
                Some(Broken(error)) => Err(error()),
                None => Ok(Bytes::new()),
            },
        }
    }
}

impl Exchange for Recorder {
    fn head(&self) -> &RequestHead {
        &self.head
    }

    fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.head
    }

    fn extensions(&self) -> Option<&http::Extensions> {
        Some(&self.extensions)
    }

    fn inform(&mut self, head: &ResponseHead) {
        assert!(!self.started, "inform after start");
        let fields = String::from_utf8_lossy(head.lines()).replace("\r\n", ";");
        self.note(format!("inform {} {fields}", head.code()));
    }

    fn start(&mut self, head: &ResponseHead) {
        assert!(!self.started, "start twice");
        self.started = true;
        self.status = Some(head.status_line().iter().map(|&byte| byte as char).collect());
        self.lines = head.fields().map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        self.length = head.content_length();
        self.note(format!("start {}", head.code()));
    }

    fn started(&self) -> bool {
        self.started
    }

    fn data(&mut self, block: &[u8]) {
        assert!(self.started && !self.ended, "data outside of a reply");
        assert!(!block.is_empty(), "an empty block");
        self.body.extend_from_slice(block);
        self.blocks.push(block.to_vec());
        self.note(format!("data {}", block.len()));
    }

    fn finish(&mut self) {
        assert!(self.started && !self.ended, "finish outside of a reply");
        self.ended = true;
        self.note("finish".to_owned());
    }

    fn abort(&mut self) {
        assert!(self.started && !self.ended, "abort outside of a reply");
        self.ended = true;
        self.note("abort".to_owned());
    }

    fn log(&mut self, text: &[u8]) -> bool {
        let takes = self.takes_log && !self.ended;
        if takes && !text.is_empty() {
            self.note(format!("log {}", String::from_utf8_lossy(text)));
        }
        takes
    }

    fn read(&mut self, max: usize) -> io::Result<Bytes> {
        self.note("read".to_owned());
        self.take(max)
    }

    fn read_ready(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        self.ready.then(|| self.take(max))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.flushes += 1;
        if self.fail_at.is_some_and(|at| self.flushes > at) {
            self.note("flush failed".to_owned());
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client is gone"));
        }
        self.note("flush".to_owned());
        Ok(())
    }

    fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        assert!(self.started && !self.ended, "send_file outside of a reply");
        if let Some(end) = self.file_ends {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("file ended at byte {end}, expected {} bytes", range.end)));
        }
        let mut block = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut block, range.start)?;
        self.note(format!("send_file {}..{}", range.start, range.end));
        self.body.extend_from_slice(&block);
        self.flush()
    }

    fn disconnected(&mut self) -> bool {
        self.disconnected
    }

    fn multithread(&self) -> bool {
        self.threads.0
    }

    fn multiprocess(&self) -> bool {
        self.threads.1
    }
}

/// A `tracing` subscriber that keeps what is logged.
#[derive(Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message(String);
        impl tracing::field::Visit for Message {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        self.0.lock().unwrap().push(format!("{} {}", event.metadata().level(), message.0));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
