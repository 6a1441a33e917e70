//! The seam for codecs: a server's half of one connection, as pure state.

use bytes::{Bytes, BytesMut};

use super::{Address, Error, HttpDate, Link, RequestHead, ResponseHead};

/// The server's half of one connection, as pure state: bytes in, events out, reply bytes appended to a `Vec` that the caller owns.
///
/// ```text
///          ┌──────────────── Next::Request ────────────────┐
///          ▼                                                │
///   poll … Head ──▶ poll … Body* EndOfBody                  │
///                └▶ inform* start data* finish ─────────────┴─▶ Next::Close
///   poll … Err(e) ──▶ refuse(e)  ── close
/// ```
///
/// **Grammar.** Call [`poll`](Protocol::poll) until it answers [`Event::Head`]. From then on, request and reply go on side by side: `poll`
/// gives the body (it may be called before, between and after the reply's calls, but not again once it gave [`Event::EndOfBody`]), and
/// `inform`, `start`, `data`, `finish` make the reply, in this order. `finish` (or `abort`) says what comes [`Next`]; after
/// [`Next::Request`] the cycle begins again with whatever is left in `input`. A codec that is never driven out of this order never panics.
///
/// **Who writes.** Bytes in `out` are the caller's to send, in order, and to take away from its front once they are sent; whatever is still in
/// `out` at the next call is unsent as a whole. Between `raw` and `raw_end` the caller may put the announced bytes there. A codec that queued
/// the last byte in `out` may still add to what it queued (FastCGI lengthens a record); it looks at nothing else there. A codec may hold back
/// what it was given until [`seal`](Protocol::seal) (TLS makes one record of a head and a short body); whatever is in `out` already may be sent
/// before that.
pub trait Protocol: Send {
    /// Understands one thing in `input` and removes it from there.
    ///
    /// `head` is written only by the call that returns [`Event::Head`], which fills it from empty (the codec clears it first); between
    /// that and `finish` the codec leaves it alone. What the peer must hear before anything else (`GET_VALUES_RESULT`) goes to `out`.
    ///
    /// # Errors
    /// Whatever the peer did wrong; say so with [`refuse`](Protocol::refuse) if nothing was started, then close. A body whose framing is
    /// broken is such an error too, so that it is never mistaken for the body's end.
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Event, Error>;

    /// The peer sent its last byte and `input` holds what is left of it. The answer is what `poll` would say if it knew:
    /// [`Event::Closed`] between requests, [`Event::EndOfBody`] where the end of the stream ends a body, otherwise [`Error::Truncated`].
    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error>;

    /// The application is about to wait for the body: what the peer may be waiting to hear (`100 Continue`) goes to `out`, once.
    fn expect_body(&mut self, out: &mut Vec<u8>);

    /// Queues an informational reply (103 Early Hints) where the protocol and the peer have them; otherwise nothing.
    fn inform(&mut self, head: &ResponseHead, out: &mut Vec<u8>) {
        let _ = (head, out);
    }

    /// Queues the head of the reply. Framing is the codec's: where [`ResponseHead::content_length`] is `None` the body's end must still be
    /// told apart from a lost connection if the protocol can do so. `date` is for protocols that owe the peer a `Date`.
    ///
    /// The codec knows the request, so it leaves out body bytes that must not be sent (`HEAD`, 204, 304).
    fn start(&mut self, head: &ResponseHead, date: &HttpDate, out: &mut Vec<u8>);

    /// Queues a block of the body. An empty block is nothing at all.
    fn data(&mut self, block: &[u8], out: &mut Vec<u8>);

    /// Whether the reply that was started has no body (`HEAD`, 204, 304), so that what `data` is given goes nowhere and need not be fetched.
    /// A codec that does not say so is merely given it in vain.
    fn bodiless(&self) -> bool {
        false
    }

    /// How the next `len` bytes of body go out if they are sent as they are, past `data`: queues what must precede them and returns true;
    /// or false if they must go through `data`. After the bytes comes [`raw_end`](Protocol::raw_end).
    ///
    /// This is how large blocks are written from where they lie and how files move by `sendfile`.
    fn raw(&mut self, len: u64, out: &mut Vec<u8>) -> bool {
        let _ = (len, out);
        false
    }

    /// The most bytes that one [`raw`](Protocol::raw) can announce. More is announced and sent piece by piece.
    fn raw_limit(&self) -> u64 {
        u64::MAX
    }

    /// Queues what must follow the bytes that [`raw`](Protocol::raw) announced.
    fn raw_end(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// The caller is about to send `out` and may wait after that: what the codec has held back goes there now. Changes nothing if nothing was
    /// queued since the last time.
    fn seal(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Queues text for the peer's log of errors, where the protocol carries one (`STDERR` of FastCGI) and the peer is to have it. False where
    /// it is not, and the text has to go elsewhere. From a request's head on until `finish`, in any order with the rest. An empty text queues
    /// nothing, and only asks.
    fn log(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        let _ = (text, out);
        false
    }

    /// Whether the peer can say, behind a whole request, that it wants no reply any more, and then goes on to read. Where it can only close the
    /// connection, which shows by itself, nothing is read while a reply is being sent.
    fn withdraws(&self) -> bool {
        false
    }

    /// Whether `input`, which came after the request's body and which `poll` has not seen, says that nobody waits for the reply any more. The
    /// rest of the reply may then be left out, also of one that has begun.
    fn withdrawn(&mut self, input: &[u8]) -> bool {
        let _ = input;
        false
    }

    /// Queues the end of the reply and says what comes next. If the request's body was not read to its end, the answer is a close.
    fn finish(&mut self, out: &mut Vec<u8>) -> Next;

    /// Gives the reply up after `start`, so that the peer can tell: never a clean end.
    ///
    /// Where the framing shows that something is missing (a chunk, bytes of a declared length), answer [`CloseReason::Aborted`]: what is
    /// queued is sent and the connection closed. Where it does not, because the end of the connection is the end of the body, answer
    /// [`CloseReason::Reset`], which is the default.
    fn abort(&mut self, out: &mut Vec<u8>) -> Next {
        let _ = out;
        Next::Close(CloseReason::Reset)
    }

    /// Queues a whole reply that says why a request is not answered. The connection closes after it.
    fn refuse(&mut self, error: &Error, date: &HttpDate, out: &mut Vec<u8>);

    /// A whole reply that says that the request takes too long (504) and that the connection closes, for a request whose reply was not started.
    /// It is sent instead of whatever the codec would make, by somebody who cannot reach it, and nothing is sent after it. `None` where what
    /// goes out depends on the codec's state (TLS), or where the close says enough.
    fn last_word(&self) -> Option<&'static [u8]> {
        None
    }

    /// Whether the connection is between requests and has seen no byte of the next, so that it may be closed without loss.
    fn idle(&self) -> bool;

    /// The caller is about to close the connection, which is [idle](Protocol::idle): queues the protocol's word for that, where it has one
    /// (`close_notify` of TLS). There is no [`seal`](Protocol::seal) after it.
    fn farewell(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Whose connection the peer passes on, once it has said so (the PROXY protocol): what is logged of the connection names that instead of the
    /// peer. `None` where the peer itself is meant.
    fn client(&self) -> Option<&Address> {
        None
    }

    /// The server is shutting down: replies that start from now on say that the connection will close, where the protocol can say so.
    fn close_after_reply(&mut self);
}

/// What [`Protocol::poll`] understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Nothing yet: more bytes are needed.
    NeedInput,
    /// A whole head. Its body, if [`RequestHead::body`] says that there is one, follows in later events.
    Head,
    /// A piece of the request's body; never empty.
    Body(Bytes),
    /// The end of the request's body. Also comes, once, for a request that has none.
    EndOfBody,
    /// The connection ended in good order: there will be no further request. What is queued is still sent.
    Closed,
}

/// What follows a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The connection is good for another request.
    Request,
    /// The connection is over, once what is queued is sent.
    Close(CloseReason),
}

/// Why a connection is closed: the first reason is the one that the log gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer asked for it, or its version of the protocol implies it.
    Peer,
    /// The protocol ends the connection after each reply.
    EndOfReply,
    /// The request's body was not read to its end.
    UnreadBody,
    /// The request was refused.
    Refused,
    /// The reply could not be completed, which the peer can tell from its framing.
    Aborted,
    /// The reply could not be completed, and only a reset of the connection can tell the peer.
    Reset,
    /// The server is shutting down.
    Shutdown,
}

impl CloseReason {
    /// The reason in words, for a log line.
    pub fn explain(self) -> &'static str {
        match self {
            CloseReason::Peer => "the peer asked to close",
            CloseReason::EndOfReply => "the protocol closes after each reply",
            CloseReason::UnreadBody => "the request's body was not read to its end",
            CloseReason::Refused => "the request was refused",
            CloseReason::Aborted | CloseReason::Reset => "the reply could not be completed",
            CloseReason::Shutdown => "the server is shutting down",
        }
    }
}

/// What a listener speaks: makes the codec for each connection that it accepts.
///
/// Closures of the right shape are dialects too:
/// `|link: &Link| Box::new(MyCodec::new(link)) as Box<dyn Protocol>`.
pub trait Dialect: Send + Sync {
    /// The codec for a connection that was just accepted.
    fn connect(&self, link: &Link) -> Box<dyn Protocol>;

    /// Whether the peer says who the client is (`REMOTE_ADDR`, `REMOTE_USER`, `HTTPS`), as in uwsgi, FastCGI and SCGI. Then only a web
    /// server should reach the listener, and the engine lets in nobody but the machine itself unless it is told otherwise.
    fn trusts_peer(&self) -> bool {
        false
    }

    /// The scheme or protocol name for log lines, such as `http`.
    fn name(&self) -> &'static str {
        "custom"
    }
}

impl<F: Fn(&Link) -> Box<dyn Protocol> + Send + Sync> Dialect for F {
    fn connect(&self, link: &Link) -> Box<dyn Protocol> {
        self(link)
    }
}
