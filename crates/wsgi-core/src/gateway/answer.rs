//! One request while it is answered: its body goes to the handler as that asks for it, the reply to the peer as that takes it.

use std::io;
use std::task::{Context as Task, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{Connection, Stop};
use crate::wire::{Error, Event, Next};
use crate::workers::{Call, Reply};

pub(super) struct Answer<'c, 'a, S> {
    connection: &'c mut Connection<'a, S>,
    /// None once nobody waits for the reply.
    call: Option<Call>,
    body: Body,
    /// Whether the protocol was told that the handler waits for the body.
    expected: bool,
    /// What follows the reply, all of which is queued.
    next: Option<Next>,
}

/// How far the request's body was read from the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Coming,
    Ended,
    /// It broke off, or broke the protocol.
    Broken,
}

impl<'c, 'a, S: AsyncRead + AsyncWrite + Unpin> Answer<'c, 'a, S> {
    /// `read`: there is nothing more of the body to be read.
    pub(super) fn new(connection: &'c mut Connection<'a, S>, call: Call, read: bool) -> Self {
        let body = if read { Body::Ended } else { Body::Coming };
        Answer { connection, call: Some(call), body, expected: false, next: None }
    }

    /// Goes on until the reply is sent, and says what follows it.
    pub(super) fn poll(&mut self, task: &mut Task<'_>) -> Poll<Result<Next, Stop>> {
        let answered = ready!(self.poll_answered(task));
        Poll::Ready(answered.map_err(|error| {
            if let Some(call) = self.call.take() {
                call.withdraw(error);
            }
            Stop::Lost
        }))
    }

    fn poll_answered(&mut self, task: &mut Task<'_>) -> Poll<io::Result<Next>> {
        loop {
            if self.connection.outbox.announced() {
                ready!(self.connection.poll_send(task))?;
            }
            self.move_body(task)?;
            let waits = self.move_reply(task);
            ready!(self.connection.poll_send(task))?;
            match self.next {
                Some(next) => return Poll::Ready(Ok(next)),
                None if waits => return Poll::Pending,
                None => {}
            }
        }
    }

    /// Hands on as much of the body as the handler wants and is there.
    fn move_body(&mut self, task: &mut Task<'_>) -> io::Result<()> {
        while let (Body::Coming, Some(call)) = (self.body, &mut self.call) {
            if call.poll_wanted(task) != Poll::Ready(true) {
                break;
            }
            if !std::mem::replace(&mut self.expected, true) {
                self.connection.protocol.expect_body(self.connection.outbox.queue());
            }
            if self.take_piece(task).is_pending() {
                return Ok(());
            }
        }
        self.watch(task)
    }

    /// Reads a piece of the body and gives it to the handler, or says that there is none. Answers how long the piece is.
    fn take_piece(&mut self, task: &mut Task<'_>) -> Poll<usize> {
        let piece = ready!(self.poll_piece(task));
        let (Some(call), remote) = (&mut self.call, self.connection.remote()) else { return Poll::Ready(0) };
        match piece {
            Ok(Some(piece)) => {
                let length = piece.len();
                call.send_body(piece);
                return Poll::Ready(length);
            }
            Ok(None) => {
                self.body = Body::Ended;
                call.end_body();
            }
            Err(error) => {
                tracing::info!(target: "wsgi", %remote, "request body broke off: {error}");
                self.body = Body::Broken;
                call.break_body(error);
            }
        }
        Poll::Ready(0)
    }

    /// The next piece of the body. None: it has ended.
    fn poll_piece(&mut self, task: &mut Task<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            let Connection { protocol, input, head, outbox, .. } = &mut *self.connection;
            let event = match protocol.poll(input, head, outbox.queue())? {
                Event::NeedInput if ready!(self.connection.poll_receive(task))? > 0 => continue,
                Event::NeedInput => {
                    if let Some(call) = &mut self.call {
                        call.hang_up();
                    }
                    self.connection.protocol.end(&mut self.connection.input)?
                }
                event => event,
            };
            return Poll::Ready(match event {
                Event::Body(piece) => Ok(Some(piece)),
                Event::EndOfBody => Ok(None),
                Event::Closed => Err(Error::Truncated("body").into()),
                event => Err(io::Error::new(io::ErrorKind::InvalidData, format!("unexpected {event:?} inside a request body"))),
            });
        }
    }

    /// Looks whether the peer is there and still wants its reply. What it sends ahead is its next request, of which little is read.
    fn watch(&mut self, task: &mut Task<'_>) -> io::Result<()> {
        while self.connection.input.len() < WATCHED_BYTES && !self.connection.ended {
            match self.connection.poll_receive(task)? {
                Poll::Pending => break,
                // It may have ended just its sending side.
                Poll::Ready(0) => self.call.iter_mut().for_each(Call::hang_up),
                Poll::Ready(_) => {}
            }
        }
        // Before the body's end, `poll` hears of it.
        let Connection { protocol, input, outbox, peer, .. } = &mut *self.connection;
        if self.body == Body::Ended && self.next.is_none() && protocol.withdraws() && !input.is_empty() && protocol.withdrawn(input) {
            let why = "peer wants no reply any more";
            tracing::debug!(target: "wsgi", remote = %protocol.client().unwrap_or(peer), "{why}");
            if let Some(call) = self.call.take() {
                call.withdraw(io::Error::new(io::ErrorKind::ConnectionAborted, why));
            }
            outbox.cut();
            self.next = Some(protocol.abort(outbox.queue()));
        }
        Ok(())
    }

    /// Queues as much of the reply as there is, and room for. Whether more of it has to be waited for.
    fn move_reply(&mut self, task: &mut Task<'_>) -> bool {
        while self.next.is_none() && self.connection.outbox.fill(&mut *self.connection.protocol) {
            let Some(call) = &mut self.call else { return false };
            let Poll::Ready(reply) = call.poll_reply(task) else { return true };
            let Connection { protocol, outbox, .. } = &mut *self.connection;
            match reply {
                Reply::Log(text) => {
                    if !protocol.log(&text, outbox.queue()) {
                        tracing::error!(target: "wsgi", "{}", String::from_utf8_lossy(&text));
                    }
                }
                Reply::Inform(head) => protocol.inform(&head, outbox.queue()),
                Reply::Head(head) => self.connection.start(&head),
                Reply::Block(block) => outbox.put(block),
                Reply::End => {
                    self.discard_body(task);
                    self.next = Some(self.connection.protocol.finish(self.connection.outbox.queue()));
                }
                Reply::Aborted => self.next = Some(protocol.abort(outbox.queue())),
            }
        }
        false
    }

    /// Throws away what is left of the body, as far as that needs no waiting, so that the connection may be good for another request.
    fn discard_body(&mut self, task: &mut Task<'_>) {
        let mut left = DISCARD_BYTES;
        while let (Body::Coming, 1..) = (self.body, left) {
            match self.take_piece(task) {
                Poll::Ready(length) => left = left.saturating_sub(length),
                Poll::Pending => return,
            }
        }
    }
}

/// How much of a body that nobody read is thrown away to keep a connection.
const DISCARD_BYTES: usize = 256 * 1024;
/// From this many bytes on that were read and not understood, nothing more is read while a reply is awaited.
const WATCHED_BYTES: usize = 4 * 1024;
