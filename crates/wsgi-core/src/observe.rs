//! Seeing requests go by: what came, what was answered, and where the time went.
//!
//! ```text
//!  Observed::handle ──began──▶ each Observer        (an access log, metrics, yours)
//!      handler over Measured, which counts and passes everything on
//!  Observed::handle ──ended──▶ each Observer, with what was Seen
//!  engine, gateway ──refused─▶ the same observers: requests that no handler ever saw
//! ```
//!
//! **In scope:** what a handler's conversation shows. **Out of scope:** what is made of it; [`access`](crate::access) writes a line,
//! `metrics` (feature `metrics`) counts. Without an [`Observed`], a request pays nothing for all this.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Extensions, StatusCode};

use crate::exchange::Part;
use crate::wire::{Address, Error, Known, RequestHead, ResponseHead};
use crate::{Exchange, Handler};

/// Who is told of every request. Called on the thread of the request, by several threads at once; must not wait.
pub trait Observer: Send + Sync {
    /// A request is about to be handled, at this time.
    fn began(&self, request: &RequestHead, begun: Instant) {
        let _ = (request, begun);
    }

    /// Its handler has returned.
    fn ended(&self, seen: &Seen<'_>);

    /// A request was refused before any handler saw it: it could not be understood, was too large, or did not come in time.
    fn refused(&self, refusal: &Refusal<'_>) {
        let _ = refusal;
    }

    /// Whether [`Seen::reply`] is wanted, which costs a copy of each reply's head.
    fn wants_reply(&self) -> bool {
        false
    }
}

/// One request that was handled.
#[derive(Clone, Copy)]
#[non_exhaustive]
#[derive(Debug)]
pub struct Seen<'a> {
    /// The request's variables, as they were when the handler returned: handlers in front may have changed them.
    pub request: &'a RequestHead,
    /// The head of the reply, where an observer [wants](Observer::wants_reply) it.
    pub reply: Option<&'a ResponseHead>,
    /// The status that was answered.
    pub status: u16,
    /// How many fields the handler gave the reply.
    pub fields: usize,
    /// The status and those fields, in bytes as HTTP/1.1 writes them.
    pub head_bytes: u64,
    /// Bytes of the reply's body: all of it, or as much as the system took of a reply that was not completed. What the system took may still
    /// be lost on its way.
    pub body_bytes: u64,
    /// Bytes of the request's body that were read.
    pub received_bytes: u64,
    /// What became of the reply.
    pub outcome: Outcome,
    /// The application raised an exception that it did not handle, or broke PEP 3333, or a handler in Rust panicked.
    pub raised: bool,
    /// Where the time went.
    pub spent: Spent,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was completed.
    Whole,
    /// It was begun and given up: the application failed, or broke its own promise.
    Aborted,
    /// The peer went away, or did not read.
    Lost,
}

/// Where the time of a request went, from its coming to the handler's return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Spent {
    /// Before the handler, waiting for its thread: behind others in the queue of [`Workers`](crate::workers::Workers), or behind events that came
    /// with its own to the only thread of a [`Server`](crate::server::Server). Where a server has several threads, what has to wait waits in the
    /// system, which does not tell how long.
    pub queued: Duration,
    /// All that follows, from the handler's beginning to its return.
    pub whole: Duration,
    /// Of it, waiting for the Python interpreter before the application was called.
    pub attaching: Duration,
    /// Of it, waiting for more of the request's body.
    pub reading: Duration,
    /// Of it, waiting for the system to take the reply. A short reply goes out behind the handler and takes none.
    pub writing: Duration,
}

impl Spent {
    /// What is left for the application itself.
    pub fn working(&self) -> Duration {
        self.whole.saturating_sub(self.attaching).saturating_sub(self.reading).saturating_sub(self.writing)
    }
}

/// A request that was refused before any handler saw it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Refusal<'a> {
    /// The other end of the connection.
    pub remote: &'a Address,
    /// Why, and by which status.
    pub error: &'a Error,
}

impl<'a> Refusal<'a> {
    pub(crate) fn new(remote: &'a Address, error: &'a Error) -> Refusal<'a> {
        Refusal { remote, error }
    }
}

/// A handler whose requests are observed. It should stand in front of all others.
///
/// A handler that fails is answered for here as the engine would: 500 where nothing was sent, otherwise the reply is aborted.
#[derive(Clone)]
pub struct Observed<H> {
    handler: H,
    observers: Arc<[Arc<dyn Observer>]>,
    keeps_reply: bool,
}

impl<H: Handler> Observed<H> {
    /// A handler whose requests these observers see, the first one first.
    pub fn new(handler: H, observers: impl IntoIterator<Item = Arc<dyn Observer>>) -> Observed<H> {
        let observers: Arc<[_]> = observers.into_iter().collect();
        let keeps_reply = observers.iter().any(|observer| observer.wants_reply());
        Observed { handler, observers, keeps_reply }
    }
}

impl<H: std::fmt::Debug> std::fmt::Debug for Observed<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Observed").field("handler", &self.handler).field("observers", &self.observers.len()).finish_non_exhaustive()
    }
}

impl<H: Handler> Handler for Observed<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let begun = Instant::now();
        let came = CAME.take();
        for observer in &*self.observers {
            observer.began(exchange.head(), begun);
        }
        let outer = NOTES.replace(Some(Notes::default()));
        let mut measured = Measured::new(exchange, self.keeps_reply);
        let outcome = catch_unwind(AssertUnwindSafe(|| self.handler.handle(&mut measured)));
        measured.conclude();
        let notes = NOTES.replace(outer).unwrap_or_default();
        measured.raised = notes.raised || outcome.is_err();
        measured.spent.attaching = notes.attaching;
        measured.spent.queued = came.map_or(Duration::ZERO, |came| begun.saturating_duration_since(came));
        measured.spent.whole = begun.elapsed();
        let seen = measured.seen();
        for observer in &*self.observers {
            observer.ended(&seen);
        }
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        self.handler.thread(work);
    }
}

/// Passes everything on, and counts.
struct Measured<'a> {
    exchange: &'a mut dyn Exchange,
    keeps_reply: bool,
    reply: Option<ResponseHead>,
    status: u16,
    fields: usize,
    head_bytes: u64,
    body_bytes: u64,
    received_bytes: u64,
    /// No body goes to this peer, whatever the handler gives.
    silent: bool,
    finished: bool,
    aborted: bool,
    lost: bool,
    raised: bool,
    spent: Spent,
}

impl<'a> Measured<'a> {
    fn new(exchange: &'a mut dyn Exchange, keeps_reply: bool) -> Measured<'a> {
        Measured {
            exchange,
            keeps_reply,
            reply: None,
            status: 0,
            fields: 0,
            head_bytes: 0,
            body_bytes: 0,
            received_bytes: 0,
            silent: false,
            finished: false,
            aborted: false,
            lost: false,
            raised: false,
            spent: Spent::default(),
        }
    }

    /// Makes up for what the handler left out.
    fn conclude(&mut self) {
        if !self.exchange.started() && !self.aborted {
            self.refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
        } else if !self.finished && !self.aborted {
            self.abort();
        }
    }

    fn seen(&self) -> Seen<'_> {
        let outcome = match (self.lost, self.aborted) {
            (true, _) => Outcome::Lost,
            (false, true) => Outcome::Aborted,
            (false, false) => Outcome::Whole,
        };
        let mut body_bytes = self.body_bytes;
        if outcome != Outcome::Whole {
            if let Some(taken) = self.exchange.taken() {
                body_bytes = body_bytes.min(taken.saturating_sub(self.head_bytes));
            }
        }
        Seen {
            request: self.exchange.head(),
            reply: self.reply.as_ref(),
            status: self.status,
            fields: self.fields,
            head_bytes: self.head_bytes,
            body_bytes,
            received_bytes: self.received_bytes,
            outcome,
            raised: self.raised,
            spent: self.spent,
        }
    }

    fn open(&self) -> bool {
        self.status != 0 && !self.finished && !self.aborted
    }
}

impl Exchange for Measured<'_> {
    fn head(&self) -> &RequestHead {
        self.exchange.head()
    }

    fn head_mut(&mut self) -> &mut RequestHead {
        self.exchange.head_mut()
    }

    fn extensions(&self) -> Option<&Extensions> {
        self.exchange.extensions()
    }

    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        self.exchange.extensions_mut()
    }

    fn inform(&mut self, head: &ResponseHead) {
        self.exchange.inform(head);
    }

    fn start(&mut self, head: &ResponseHead) {
        if self.status == 0 && !self.aborted {
            self.status = head.code();
            self.fields = head.lines().iter().filter(|&&byte| byte == b'\n').count();
            // "HTTP/1.1 ", the status, and the empty line behind the fields.
            self.head_bytes = (b"HTTP/1.1 \r\n\r\n".len() + head.status_line().len() + head.lines().len()) as u64;
            self.silent = head.bodiless() || self.exchange.head().get(Known::RequestMethod) == Some(b"HEAD");
            if self.keeps_reply {
                self.reply = Some(head.clone());
            }
        }
        self.exchange.start(head);
    }

    fn started(&self) -> bool {
        self.exchange.started()
    }

    fn data(&mut self, block: &[u8]) {
        if self.open() && !self.silent {
            self.body_bytes += block.len() as u64;
        }
        self.exchange.data(block);
    }

    fn finish(&mut self) {
        self.finished |= self.open();
        self.exchange.finish();
    }

    fn abort(&mut self) {
        self.aborted |= !self.finished;
        self.exchange.abort();
    }

    fn taken(&self) -> Option<u64> {
        self.exchange.taken()
    }

    fn log(&mut self, text: &[u8]) -> bool {
        self.exchange.log(text)
    }

    fn read(&mut self, max: usize) -> io::Result<Bytes> {
        if let Some(ready) = self.read_ready(max) {
            return ready;
        }
        let begun = Instant::now();
        let result = self.exchange.read(max);
        self.spent.reading += begun.elapsed();
        self.received_bytes += result.as_ref().map_or(0, Bytes::len) as u64;
        result
    }

    fn read_ready(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        let result = self.exchange.read_ready(max);
        if let Some(Ok(piece)) = &result {
            self.received_bytes += piece.len() as u64;
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        let begun = Instant::now();
        let result = self.exchange.flush();
        self.spent.writing += begun.elapsed();
        self.lost |= result.is_err();
        result
    }

    fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        if self.open() && !self.silent {
            // As much of it as was sent, if it fails, is found out at the end.
            self.body_bytes += range.end.saturating_sub(range.start);
        }
        let begun = Instant::now();
        let result = self.exchange.send_file(file, range);
        self.spent.writing += begun.elapsed();
        // That the file ended before its range did is not the peer's doing: the handler gives the reply up.
        self.lost |= result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::UnexpectedEof);
        result
    }

    fn finish_with(&mut self, parts: Vec<Part>) {
        if self.open() && !self.silent {
            self.body_bytes += parts.iter().map(Part::bytes).sum::<u64>();
        }
        self.finished |= self.open();
        // Usually the engine sends it when the handler has long returned, so that nobody can tell here what became of it.
        self.exchange.finish_with(parts);
    }

    fn disconnected(&mut self) -> bool {
        self.exchange.disconnected()
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.exchange.socket()
    }

    fn multithread(&self) -> bool {
        self.exchange.multithread()
    }

    fn multiprocess(&self) -> bool {
        self.exchange.multiprocess()
    }
}

/// What only the innermost handler can tell of the request of this thread.
#[derive(Clone, Copy, Default)]
struct Notes {
    attaching: Duration,
    raised: bool,
}

/// Runs `attach`, which waits for the interpreter and then calls what it is given; the wait counts as the current request's.
#[cfg(feature = "python")]
pub(crate) fn attaching<R>(attach: impl FnOnce(&dyn Fn()) -> R) -> R {
    if NOTES.get().is_none() {
        return attach(&|| {});
    }
    let begun = Instant::now();
    attach(&|| note(|notes| notes.attaching = begun.elapsed()))
}

/// Notes that the application of the current request has failed.
#[cfg(feature = "python")]
pub(crate) fn raised() {
    note(|notes| notes.raised = true);
}

#[cfg(feature = "python")]
fn note(change: impl FnOnce(&mut Notes)) {
    let mut notes = NOTES.get();
    notes.as_mut().map(change);
    NOTES.set(notes);
}

/// Notes since when the request that this thread is about to handle waits for it. It counts for one.
pub(crate) fn came(at: Option<Instant>) {
    CAME.set(at);
}

thread_local! {
    static CAME: Cell<Option<Instant>> = const { Cell::new(None) };
    /// None while nobody wants to know.
    static NOTES: Cell<Option<Notes>> = const { Cell::new(None) };
}
