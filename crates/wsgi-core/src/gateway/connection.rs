//! One connection: requests are read one after the other, answered, and the connection is ended as the codec says.
//!
//! ```text
//!         ┌──────────────────────────── Next::Request ───────────────────────────┐
//!         ▼                                                                      │
//!   next_head ──▶ read_ahead ──▶ Workers::call ──▶ Answer: body in, reply out ───┴──▶ close ──▶ linger
//!      └───────────────┴── refused, or the peer ended ──────────────────────────────────▲
//! ```

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context as Task, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use super::Context;
use super::answer::Answer;
use super::outbox::Outbox;
use crate::clock;
use crate::panics::survive;
use crate::server::{IDLE_GRACE, LINGER};
use crate::wire::{Address, BodyLength, CloseReason, Error, Event, HttpDate, Known, Link, Next, Protocol, RequestHead, ResponseHead};
use crate::workers::{Call, Refused, Request};

/// How a connection is to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Ending {
    /// In good order: all was sent, and the stream was shut down.
    Closed,
    /// A reply is not whole, which the peer must be able to tell: drop the stream so that it does not look like an end in good order. For a
    /// socket of TCP that is a reset, for TLS the end without `close_notify`.
    Reset,
}

/// Serves one connection over any stream until it ends, under the timeouts and until the shutdown of the context. What is spoken on it is up to
/// `protocol`, a codec made for `link`.
///
/// This is what an [`Endpoint`](super::Endpoint) does with each connection that it accepts. It is here for streams from elsewhere: TLS, a pipe,
/// a tunnel. Whether the stream's peer may be trusted is the caller's to know, as is the bound on connections.
///
/// Drop the future to end at once; the request that is being answered is then withdrawn.
///
/// # Panics
/// Outside of a tokio runtime with time. A panic of the codec is caught, logged, and a [reset](Ending::Reset).
pub async fn serve_connection<S>(stream: &mut S, protocol: Box<dyn Protocol>, link: &Link, context: &Context) -> Ending
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Connection {
        stream,
        protocol,
        context,
        peer: &link.remote,
        head: RequestHead::default(),
        input: BytesMut::new(),
        ended: false,
        outbox: Outbox::new(context.timeouts.write),
        date: HttpDate::from_unix(0),
        answering: false,
    };
    let ending = {
        let mut serving = pin!(connection.serve());
        // Handlers are caught where they are called, so this is about codecs, which are anybody's too.
        let surviving = poll_fn(|task| match survive("codec", || serving.as_mut().poll(task)) {
            Some(poll) => poll,
            None => Poll::Ready(Ending::Reset),
        });
        context.shutdown.unless_hurried(surviving).await
    };
    ending.unwrap_or(if connection.answering { Ending::Reset } else { Ending::Closed })
}

pub(super) struct Connection<'a, S> {
    pub(super) stream: &'a mut S,
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) context: &'a Context,
    /// The other end.
    pub(super) peer: &'a Address,
    /// The head that is being understood; empty while a request is answered.
    pub(super) head: RequestHead,
    /// Bytes that were read and not yet understood.
    pub(super) input: BytesMut,
    /// The peer has sent its last byte.
    pub(super) ended: bool,
    pub(super) outbox: Outbox,
    date: HttpDate,
    /// A request was understood, and its reply is not sent to its end.
    answering: bool,
}

/// Why no further request is read.
pub(super) enum Stop {
    /// What is queued is to be sent, and then the connection is over.
    Over(CloseReason),
    /// The connection broke.
    Lost,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    async fn serve(&mut self) -> Ending {
        loop {
            match self.exchange().await {
                Ok(Next::Request) => {}
                Ok(Next::Close(reason)) | Err(Stop::Over(reason)) => return self.close(reason).await,
                Err(Stop::Lost) => return Ending::Reset,
            }
        }
    }

    /// Reads a request, answers it, and says what follows. A short body is read first, so that a slow sender holds no thread.
    async fn exchange(&mut self) -> Result<Next, Stop> {
        self.next_head().await?;
        let most = self.context.read_ahead;
        let ahead = match self.head.body() {
            BodyLength::Empty => false,
            // The peer waits to be asked, and the application may never ask.
            _ if self.head.get(Known::HttpExpect).is_some() => false,
            BodyLength::Known(length) => length <= most as u64,
            BodyLength::Unknown => most > 0,
        };
        let (body, whole) = match ahead {
            true => self.read_ahead(most).await?,
            false => (Bytes::new(), self.head.body() == BodyLength::Empty),
        };
        self.answering = true;
        let next = match self.call(body, whole) {
            Ok(call) => {
                // The connections that are ready now may bring requests too. To wake a thread for each of them costs more than to wake one when
                // all have been heard: it may take the processor from this one.
                tokio::task::yield_now().await;
                self.context.workers.wake();
                let mut answer = Answer::new(self, call, whole);
                poll_fn(|task| answer.poll(task)).await?
            }
            Err(refused) => {
                let next = self.overloaded(refused);
                self.send().await?;
                next
            }
        };
        self.answering = false;
        Ok(next)
    }

    fn call(&mut self, body: Bytes, whole: bool) -> Result<Call, Refused> {
        let head = std::mem::take(&mut self.head);
        let peer_log = self.protocol.log(b"", self.outbox.queue());
        self.context.workers.enqueue(Request { head, body, whole, peer_log, ..Request::default() })
    }

    async fn next_head(&mut self) -> Result<(), Stop> {
        loop {
            if self.understand()? {
                return Ok(());
            }
            // What the peer must hear before it goes on.
            self.send().await?;
            if self.at_rest() {
                self.idle().await?;
                continue;
            }
            let limit = self.context.timeouts.head;
            match timeout(limit, self.rest_of_head()).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => {}
                Ok(Err(stop)) => return Err(stop),
                Err(_) => return Err(self.refuse(&Error::Timeout { what: "head", seconds: limit.as_secs() })),
            }
        }
    }

    /// Reads on after the first bytes of a head. False if they were something else, and there is nothing of a head any more.
    async fn rest_of_head(&mut self) -> Result<bool, Stop> {
        loop {
            self.receive_head().await?;
            if self.understand()? {
                return Ok(true);
            }
            self.send().await?;
            if self.at_rest() {
                return Ok(false);
            }
        }
    }

    /// Whether a head is complete.
    fn understand(&mut self) -> Result<bool, Stop> {
        loop {
            match self.protocol.poll(&mut self.input, &mut self.head, self.outbox.queue()) {
                Ok(Event::Head) => return Ok(true),
                Ok(Event::NeedInput) => return Ok(false),
                // What is queued (the answer to a ping) is the last that the peer hears.
                Ok(Event::Closed) => return Err(Stop::Over(CloseReason::EndOfReply)),
                // Of a request that is answered already.
                Ok(Event::Body(_) | Event::EndOfBody) => {}
                Err(error) => return Err(self.refuse(&error)),
            }
        }
    }

    fn at_rest(&self) -> bool {
        self.input.is_empty() && self.protocol.idle()
    }

    /// Waits for the first byte of a request. Ten thousand connections may do so at a time, so they hold no buffers.
    async fn idle(&mut self) -> Result<(), Stop> {
        self.input = BytesMut::new();
        self.outbox.rest();
        let (limit, shutdown) = (self.context.timeouts.idle, &self.context.shutdown);
        let received = timeout(limit, shutdown.unless_begun(pin!(self.receive_head()))).await;
        match received {
            Ok(Some(received)) => return received,
            Ok(None) => {}
            Err(_) => return Err(self.part(CloseReason::Peer)),
        }
        // A request may be on its way already: it is answered, and told that the connection closes.
        self.protocol.close_after_reply();
        match timeout(IDLE_GRACE, self.receive_head()).await {
            Ok(received) => received,
            Err(_) => Err(self.part(CloseReason::Shutdown)),
        }
    }

    /// Closes an idle connection.
    fn part(&mut self, reason: CloseReason) -> Stop {
        self.outbox.farewell(&mut *self.protocol);
        Stop::Over(reason)
    }

    async fn receive_head(&mut self) -> Result<(), Stop> {
        if self.receive().await? > 0 {
            return Ok(());
        }
        if let Err(error) = self.protocol.end(&mut self.input) {
            tracing::info!(target: "wsgi", remote = %self.remote(), "{error}");
        }
        Err(Stop::Over(CloseReason::Peer))
    }

    /// Reads a body to its end, or until there are more bytes of it than `most`. Answers whether that is all of it.
    async fn read_ahead(&mut self, most: usize) -> Result<(Bytes, bool), Stop> {
        let mut body = BytesMut::new();
        loop {
            let event = match self.protocol.poll(&mut self.input, &mut self.head, self.outbox.queue()) {
                Ok(Event::NeedInput) => self.receive_ahead().await?,
                Ok(event) => event,
                Err(error) => return Err(self.refuse(&error)),
            };
            match event {
                // Copied, since a piece that came alone must not keep the whole buffer that it was read into.
                Event::Body(piece) => body.extend_from_slice(&piece),
                Event::EndOfBody => return Ok((body.freeze(), true)),
                Event::NeedInput => {}
                Event::Head | Event::Closed => return Err(Stop::Over(CloseReason::Peer)),
            }
            if body.len() > most {
                return Ok((body.freeze(), false));
            }
        }
    }

    async fn receive_ahead(&mut self) -> Result<Event, Stop> {
        self.send().await?;
        let limit = self.context.timeouts.body;
        match timeout(limit, self.receive()).await {
            Ok(Ok(0)) => self.protocol.end(&mut self.input).map_err(|error| {
                tracing::info!(target: "wsgi", remote = %self.remote(), "{error}");
                Stop::Over(CloseReason::Peer)
            }),
            Ok(received) => received.map(|_| Event::NeedInput),
            Err(_) => Err(self.refuse(&Error::Timeout { what: "body", seconds: limit.as_secs() })),
        }
    }

    /// Says that there are too many requests. The connection may go on, if the request's body was read.
    fn overloaded(&mut self, refused: Refused) -> Next {
        self.context.refused(self.remote(), &Error::Overloaded(refused.to_string().into()));
        let text = format!("{refused}\n");
        let mut head = ResponseHead::plain(StatusCode::SERVICE_UNAVAILABLE, text.len() as u64);
        let retry = head.field(b"Retry-After", RETRY_AFTER);
        debug_assert!(retry.is_ok());
        self.start(&head);
        self.protocol.data(text.as_bytes(), self.outbox.queue());
        self.protocol.finish(self.outbox.queue())
    }

    /// Whom log lines are about: the client, also behind a proxy that says whose connection it passes on.
    pub(super) fn remote(&self) -> &Address {
        self.protocol.client().unwrap_or(self.peer)
    }

    /// Queues the head of a reply.
    pub(super) fn start(&mut self, head: &ResponseHead) {
        if self.context.shutdown.has_begun() {
            self.protocol.close_after_reply();
        }
        clock::refresh(&mut self.date);
        self.protocol.start(head, &self.date, self.outbox.queue());
    }

    /// Queues what the peer did wrong.
    fn refuse(&mut self, error: &Error) -> Stop {
        self.context.refused(self.remote(), error);
        clock::refresh(&mut self.date);
        self.protocol.refuse(error, &self.date, self.outbox.queue());
        Stop::Over(CloseReason::Refused)
    }

    /// Sends what is queued, and closes.
    async fn close(&mut self, reason: CloseReason) -> Ending {
        if self.send().await.is_err() {
            return Ending::Reset;
        }
        tracing::trace!(target: "wsgi", remote = %self.remote(), "closed: {}", reason.explain());
        if reason == CloseReason::Reset {
            return Ending::Reset;
        }
        // Whether the peer still takes it makes no difference any more.
        let _ = timeout(LINGER, poll_fn(|task| Pin::new(&mut *self.stream).poll_shutdown(task))).await;
        if matches!(reason, CloseReason::UnreadBody | CloseReason::Refused) {
            let (limit, shutdown) = (self.context.timeouts.linger, &self.context.shutdown);
            let lingered = timeout(limit, shutdown.unless_begun(pin!(self.linger()))).await;
            if lingered == Ok(None) {
                let _ = timeout(LINGER, self.linger()).await;
            }
        }
        Ending::Closed
    }

    /// Throws away what the peer still sends, so that the system does not reset the connection before the peer has read the reply
    /// (RFC 9112, 9.6). A web server in front passes a whole upload on before it reads anything, so the bound is a time and not a size.
    async fn linger(&mut self) {
        while let Ok(Ok(1..)) = timeout(LINGER, self.receive()).await {
            self.input.clear();
        }
    }

    /// Sends all that is queued.
    async fn send(&mut self) -> Result<(), Stop> {
        poll_fn(|task| self.poll_send(task)).await.map_err(|_| Stop::Lost)
    }

    /// Sends all that is queued. That it cannot be sent is logged.
    pub(super) fn poll_send(&mut self, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        let sent = ready!(self.outbox.poll_send(self.stream, &mut *self.protocol, task));
        if let Err(error) = &sent {
            if error.kind() == io::ErrorKind::TimedOut {
                tracing::info!(target: "wsgi", remote = %self.remote(), "{error}");
            } else {
                tracing::debug!(target: "wsgi", remote = %self.remote(), "reply not taken: {error}");
            }
        }
        Poll::Ready(sent)
    }

    /// Reads once. 0 is the peer's end.
    async fn receive(&mut self) -> Result<usize, Stop> {
        poll_fn(|task| self.poll_receive(task)).await.map_err(|_| Stop::Lost)
    }

    /// Reads once, behind what was read before. 0 is the peer's end, again and again.
    pub(super) fn poll_receive(&mut self, task: &mut Task<'_>) -> Poll<io::Result<usize>> {
        if self.ended {
            return Poll::Ready(Ok(0));
        }
        // Lent by the thread, so that who waits holds no buffer. While it is lent, a stream that is itself made of one of these gets another.
        let mut room = ROOM.take();
        room.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut room);
        let read = Pin::new(&mut *self.stream).poll_read(task, &mut buffer);
        let count = buffer.filled().len();
        self.input.extend_from_slice(buffer.filled());
        ROOM.set(room);
        if let Err(error) = ready!(read) {
            tracing::debug!(target: "wsgi", remote = %self.remote(), "connection lost: {error}");
            return Poll::Ready(Err(error));
        }
        self.ended = count == 0;
        Poll::Ready(Ok(count))
    }
}

thread_local! {
    static ROOM: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Room for one read.
const READ_BYTES: usize = 64 * 1024;
/// When a peer may try again that met a full queue, in seconds.
const RETRY_AFTER: &[u8] = b"1";
