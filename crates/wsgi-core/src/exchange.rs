//! The two seams between the wire and whoever answers: one request's conversation, and the handlers that hold it.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use http::{Extensions, StatusCode};

use crate::wire::{RequestHead, ResponseHead};

/// Where one request is read from and answered to.
///
/// **Queueing is split from flushing.** `inform`, `start`, `data`, `finish` and `abort` queue: they never block, so they may be called with
/// the interpreter attached. `read`, `flush` and `send_file` may block the calling thread: this is where backpressure lives.
///
/// **Order.** `inform* start data* finish`, or `finish_with` in its place, with `read` anywhere before. What is queued goes out at the latest when the handler
/// returns. A handler that returns without `finish` has failed: if nothing was started the peer gets a 500, otherwise the reply is aborted so
/// that it cannot be taken for whole.
pub trait Exchange: Send {
    /// The request's variables.
    fn head(&self) -> &RequestHead;

    /// The request's variables, for handlers that change them before another handler sees them (a mount moves the prefix of `PATH_INFO` to
    /// `SCRIPT_NAME`).
    fn head_mut(&mut self) -> &mut RequestHead;

    /// Typed values that Rust code in front has put beside the request, such as the user that it has authenticated: other handlers and
    /// `Application::per_request` read them. They go with the request. `None` where there is no place for any.
    ///
    /// A wrapper around another exchange hands this on, and [`extensions_mut`](Self::extensions_mut) with it.
    fn extensions(&self) -> Option<&Extensions> {
        None
    }

    /// The same values, to put some there.
    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        None
    }

    /// Queues an informational reply, such as 103 Early Hints; nothing where protocol or peer has none, or after `start`.
    fn inform(&mut self, head: &ResponseHead);

    /// Queues the head of the reply. Calls after the first are ignored.
    fn start(&mut self, head: &ResponseHead);

    /// Whether `start` was called.
    fn started(&self) -> bool;

    /// Queues a block of the body; it goes out with the next `flush`, or when the handler returns.
    ///
    /// Large blocks may be handed to the operating system at once, as far as it takes them without waiting.
    fn data(&mut self, block: &[u8]);

    /// Queues the end of the reply.
    fn finish(&mut self);

    /// Gives up a reply that was started: the peer sees that it is not whole. Nothing can follow.
    fn abort(&mut self);

    /// How many bytes of this reply the system has taken so far, framing included. `None` from exchanges that cannot tell.
    fn taken(&self) -> Option<u64> {
        None
    }

    /// Queues text for the log of errors of whoever sent the request, where the protocol carries one and the operator wants it there. False
    /// where it has to go elsewhere, as it always has behind the reply's end. An empty text only asks which of the two it is. Never blocks.
    fn log(&mut self, text: &[u8]) -> bool {
        let _ = text;
        false
    }

    /// The next bytes of the request's body, at most `max` of them (at least one, if `max` is 0 nothing is read); empty at its end, again and
    /// again. May block until the peer sends some, or until a deadline.
    ///
    /// # Errors
    /// The body broke off, or broke the protocol, or did not come in time. Errors repeat: a broken body never turns into an ended one.
    fn read(&mut self, max: usize) -> io::Result<Bytes>;

    /// What [`read`](Self::read) would give if that needs no waiting; `None` if it does, and always from exchanges that cannot tell.
    ///
    /// Never blocks, so it may be called with the interpreter attached.
    fn read_ready(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        let _ = max;
        None
    }

    /// Sends what is queued. May block until the operating system has taken all of it, or until a deadline.
    ///
    /// # Errors
    /// The peer is gone or does not read; the reply cannot be completed.
    fn flush(&mut self) -> io::Result<()>;

    /// Queues and sends a range of a file as body, by `sendfile` where the protocol allows it. May block like `flush`.
    ///
    /// The file's own position is neither used nor changed. Of a reply without a body (`HEAD`, 204, 304) it need not be read at all.
    ///
    /// # Errors
    /// As for `flush`; also when the file ends before the range does.
    fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()>;

    /// Queues the rest of the body, part by part, and the end of the reply: `data`, `send_file` and `finish` in one, for handlers that need not
    /// see it sent. Nothing can follow.
    ///
    /// Over a socket of the engine it never blocks: what the peer does not take at once is sent when it does, by whichever thread is free then,
    /// so that a slow reader of a large file holds none. Exchanges that have nobody to leave it to send it here, and block like `send_file`.
    ///
    /// A file that ends before its range does, or that cannot be read, ends in an aborted reply, and in a line of the log. A wrapper around another
    /// exchange hands this on, or its callers wait.
    fn finish_with(&mut self, parts: Vec<Part>) {
        for part in parts {
            let sent = match part {
                Part::Bytes(block) => {
                    self.data(&block);
                    self.flush()
                }
                Part::File { file, range } => self.send_file(&file, range),
            };
            if let Err(error) = sent {
                // Peers go away all the time; a file that cannot be read is somebody's to look at.
                if self.disconnected() {
                    tracing::debug!(target: "wsgi", "reply not taken: {error}");
                } else {
                    tracing::error!(target: "wsgi", "reply broken off: {error}");
                }
                self.abort();
                return;
            }
        }
        self.finish();
    }

    /// Has `told` called when the reply that was finished is over: the system has taken the last of it, or will take no more. For whoever wants to
    /// know what becomes of a reply whose handler has left it; after `finish` or `finish_with`.
    ///
    /// It is called once, at once or much later, on whichever thread finds out, and must not keep that waiting. Exchanges that hand everything on
    /// before the handler returns, or cannot tell, give it back. A wrapper around another exchange hands this on.
    fn when_over(&mut self, told: Told) -> Option<Told> {
        Some(told)
    }

    /// Whether the peer is known to have gone: a cheap look, without blocking. A `false` may be out of date.
    fn disconnected(&mut self) -> bool;

    /// Has the connection closed after this reply, where the protocol has connections that go on; before `start`, so that the reply can say so.
    ///
    /// A wrapper around another exchange hands this on.
    fn close_after_reply(&mut self) {}

    /// The client's socket, where there is one that carries nothing but this conversation: for whoever has to cut it off from another thread, as
    /// the conversation itself is borrowed by its own. Nothing may be read from it, and nothing written to it but the
    /// [last word](Self::last_word).
    ///
    /// A wrapper around another exchange hands this on.
    fn socket(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// What may be written to the [socket](Self::socket) before it is cut off, if nothing was called that queues or sends anything: a whole reply
    /// with the status 504.
    ///
    /// A wrapper around another exchange hands this on.
    fn last_word(&self) -> Option<&'static [u8]> {
        None
    }

    /// Whoever waits for the reply, where that is no socket but a task: for whoever has to end the conversation from another thread.
    ///
    /// A wrapper around another exchange hands this on.
    fn caller(&self) -> Option<Arc<dyn Caller>> {
        None
    }

    /// Whether the same handler may be called by another thread of this process at the same time (`wsgi.multithread`).
    fn multithread(&self) -> bool;

    /// Whether an equivalent handler may run in another process at the same time (`wsgi.multiprocess`).
    fn multiprocess(&self) -> bool {
        false
    }

    /// Answers with a status and a plain sentence: `start`, `data` and `finish` in one.
    fn refuse(&mut self, status: StatusCode, text: &str) {
        self.start(&ResponseHead::plain(status, text.len() as u64));
        self.data(text.as_bytes());
        self.finish();
    }
}

/// Who is told what became of a reply, and how many bytes of it the system has taken, framing included, where that is known: see
/// [`Exchange::when_over`].
pub type Told = Box<dyn FnOnce(Outcome, Option<u64>) + Send>;

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It was completed.
    Whole,
    /// It was begun and given up: the application failed, or broke its own promise, or a file could not be read.
    Aborted,
    /// The peer went away, or did not read.
    Lost,
}

/// The other side of a conversation whose own thread does not come back.
pub trait Caller: Send + Sync {
    /// Ends a wait for the request's body, and any that follows, with this error.
    fn end_body(&self, error: io::Error);

    /// Ends the reply: as one with the status 504 if nothing of it was handed over yet, otherwise as one that is given up. Whatever the handler
    /// still sends is lost.
    fn give_up(&self);
}

/// What a wrapper with another exchange in its field `exchange` hands on as it is, whatever it does about the reply and the body.
macro_rules! hand_on {
    () => {
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

        fn started(&self) -> bool {
            self.exchange.started()
        }

        fn taken(&self) -> Option<u64> {
            self.exchange.taken()
        }

        fn log(&mut self, text: &[u8]) -> bool {
            self.exchange.log(text)
        }

        fn when_over(&mut self, told: Told) -> Option<Told> {
            self.exchange.when_over(told)
        }

        fn disconnected(&mut self) -> bool {
            self.exchange.disconnected()
        }

        fn close_after_reply(&mut self) {
            self.exchange.close_after_reply();
        }

        fn socket(&self) -> Option<BorrowedFd<'_>> {
            self.exchange.socket()
        }

        fn last_word(&self) -> Option<&'static [u8]> {
            self.exchange.last_word()
        }

        fn caller(&self) -> Option<Arc<dyn Caller>> {
            self.exchange.caller()
        }

        fn multithread(&self) -> bool {
            self.exchange.multithread()
        }

        fn multiprocess(&self) -> bool {
            self.exchange.multiprocess()
        }
    };
}
pub(crate) use hand_on;

/// A piece of a body that is sent without its handler: see [`Exchange::finish_with`].
#[derive(Clone, Debug)]
pub enum Part {
    /// Bytes, as they are.
    Bytes(Bytes),
    /// A range of a file, by `sendfile` where the protocol allows it. The file's own position is neither used nor changed.
    File {
        /// The file; it stays open until it is sent.
        file: Arc<File>,
        /// Which of its bytes. It must have them all.
        range: Range<u64>,
    },
}

impl Part {
    /// How many bytes it stands for.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Part::Bytes(block) => block.len() as u64,
            Part::File { range, .. } => range.end.saturating_sub(range.start),
        }
    }
}

/// Reads a range of a file and hands it to `send` in blocks, where the system cannot move it by itself.
///
/// # Errors
/// Those of reading and of `send`, and the file's end before the range's.
pub(crate) fn copy_file(file: &File, range: Range<u64>, mut send: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut block = vec![0; COPY_BYTES];
    let Range { start: mut offset, end } = range;
    while offset < end {
        let got = read_some(file, offset..end, &mut block)?;
        send(&block[..got])?;
        offset += got as u64;
    }
    Ok(())
}

/// Reads from the beginning of a range, at least a byte and as much as comes at once. The range and the block are not empty.
///
/// # Errors
/// Those of reading, and the file's end before the range's.
pub(crate) fn read_some(file: &File, range: Range<u64>, block: &mut [u8]) -> io::Result<usize> {
    let wanted = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(block.len());
    match file.read_at(&mut block[..wanted], range.start)? {
        0 => Err(ended_early(&range)),
        got => Ok(got),
    }
}

/// The file ended where the range begins, or before.
pub(crate) fn ended_early(range: &Range<u64>) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("file ended at byte {}, expected {} bytes", range.start, range.end))
}

/// Anything that answers requests: a Python application, static files, a mount table, a wrapper around another handler.
///
/// Handlers compose like tower layers, but synchronously: each gets the exchange, and may hand it on.
///
/// ```
/// use wsgi_core::wire::ResponseHead;
/// use wsgi_core::{Exchange, Handler};
///
/// struct Hello;
///
/// impl Handler for Hello {
///     fn handle(&self, exchange: &mut dyn Exchange) {
///         let text = b"Hello, world!\n";
///         exchange.start(&ResponseHead::plain(http::StatusCode::OK, text.len() as u64));
///         exchange.data(text);
///         exchange.finish();
///     }
/// }
/// ```
pub trait Handler: Send + Sync {
    /// Answers one request on the calling thread.
    ///
    /// A panic is caught by the engine, logged, and treated as a return without `finish`.
    fn handle(&self, exchange: &mut dyn Exchange);

    /// Runs a thread's whole life of handling requests: calls `work` exactly once.
    ///
    /// For handlers that need something per thread (the Python application pins its thread state around `work`). A handler that wraps others
    /// nests theirs.
    fn thread(&self, work: &mut dyn FnMut()) {
        work();
    }
}

impl<H: Handler + ?Sized> Handler for &H {
    fn handle(&self, exchange: &mut dyn Exchange) {
        (**self).handle(exchange);
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        (**self).thread(work);
    }
}

impl<H: Handler + ?Sized> Handler for std::sync::Arc<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        (**self).handle(exchange);
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        (**self).thread(work);
    }
}

/// How much of a file is read at once where the system cannot move it by itself.
pub(crate) const COPY_BYTES: usize = 64 * 1024;
