//! One request's exchange over a socket: what a handler sees of the engine.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Extensions, StatusCode};

use super::Shared;
use super::connection::Connection;
use super::delivery::Delivery;
use super::socket::Received;
use crate::clock;
use crate::exchange::{self, Exchange, Outcome, Part, Told};
use crate::failure::Failure;
use crate::wire::{BodyLength, CloseReason, Event, HttpDate, Next, RequestHead, ResponseHead};

/// The buffers of one worker thread, which every connection borrows in turn.
pub(super) struct Scratch {
    pub(super) input: BytesMut,
    pub(super) output: Vec<u8>,
    pub(super) head: RequestHead,
    pub(super) date: HttpDate,
    /// The last read took everything that the system had, so another would be in vain.
    pub(super) drained: bool,
}

/// One request, while its handler runs.
pub(super) struct Conversation<'a> {
    shared: &'a Shared,
    connection: &'a mut Connection,
    scratch: &'a mut Scratch,
    /// Empty ones are nothing but a null pointer.
    extensions: Extensions,
    /// Pieces of the body that were read and not yet given to the handler.
    ahead: VecDeque<Bytes>,
    body: Body,
    /// Whether the protocol was told that the handler waits for the body.
    expected: bool,
    started: bool,
    end: Option<Ending>,
    /// The peer cannot be written to any more, and why.
    gone: Option<Failure>,
    /// A part of the reply was sent before its end.
    streaming: bool,
    /// How many bytes the system has taken.
    taken: u64,
}

/// What follows what the handler has queued.
pub(super) enum Ending {
    /// The reply is whole, or given up.
    Next(Next),
    /// The rest of the body, and then the reply's end, which the protocol is not told of yet.
    Rest(Vec<Part>),
}

/// How far the body was read from the connection.
enum Body {
    Coming,
    Ended,
    /// It broke off, or broke the protocol. This never turns into an end.
    Broken(Failure),
}

impl<'a> Conversation<'a> {
    pub(super) fn new(
        shared: &'a Shared,
        connection: &'a mut Connection,
        scratch: &'a mut Scratch,
        ahead: VecDeque<Bytes>,
        ended: bool,
    ) -> Conversation<'a> {
        let body = if ended || scratch.head.body() == BodyLength::Empty { Body::Ended } else { Body::Coming };
        Conversation {
            shared,
            connection,
            scratch,
            extensions: Extensions::new(),
            ahead,
            body,
            expected: false,
            started: false,
            end: None,
            gone: None,
            streaming: false,
            taken: 0,
        }
    }

    /// Makes up for what the handler left out, and says what follows. What is queued is still to be sent.
    pub(super) fn conclude(mut self) -> Ending {
        if self.end.is_none() && !self.started {
            self.refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
        }
        if self.end.is_none() {
            self.abort();
        }
        match self.end {
            Some(end) if self.gone.is_none() => end,
            _ => {
                // What was queued when the peer was lost is gone; the reply's end after that gap would make it look whole.
                self.scratch.output.clear();
                Ending::Next(Next::Close(CloseReason::Reset))
            }
        }
    }

    /// Takes the next piece of the body from what was read already. `None`: more must be read first.
    fn buffered(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            if let Some(piece) = self.ahead.pop_front() {
                return Some(Ok(piece));
            }
            match &self.body {
                Body::Ended => return Some(Ok(Bytes::new())),
                Body::Broken(failure) => return Some(Err(failure.error())),
                Body::Coming => {}
            }
            let Scratch { input, head, output, .. } = &mut *self.scratch;
            match self.connection.protocol.poll(input, head, output) {
                Ok(Event::Body(piece)) => return Some(Ok(piece)),
                Ok(Event::EndOfBody) => self.body = Body::Ended,
                Ok(Event::NeedInput) => return None,
                Ok(event) => {
                    self.body =
                        Body::Broken(Failure::new(io::ErrorKind::InvalidData, format!("unexpected {event:?} inside a request body")));
                }
                Err(error) => self.broken(error.into()),
            }
        }
    }

    /// Reads once from the connection, waiting under the body deadline.
    fn receive(&mut self) -> io::Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            match self.connection.socket.receive(&mut self.scratch.input)? {
                Received::Some { drained } => {
                    self.scratch.drained = drained;
                    return Ok(());
                }
                Received::End => {
                    self.scratch.drained = false;
                    match self.connection.protocol.end(&mut self.scratch.input) {
                        Ok(Event::Body(piece)) => self.ahead.push_back(piece),
                        Ok(_) => self.body = Body::Ended,
                        Err(error) => self.broken(error.into()),
                    }
                    return Ok(());
                }
                Received::Nothing => {
                    self.scratch.drained = true;
                    self.wait(true, &mut waited, self.shared.timeouts.body, "send its body")?;
                }
            }
        }
    }

    /// Looks, without waiting, whether the peer has said that it wants no reply any more. Before the body's end `poll` hears that.
    fn withdrawn(&mut self) -> bool {
        matches!(self.body, Body::Ended) && self.end.is_none() && withdrawn(self.connection, self.scratch)
    }

    fn broken(&mut self, error: io::Error) {
        tracing::info!(target: "wsgi", remote = %self.connection.remote(), "request body broke off: {error}");
        self.body = Body::Broken(Failure::of(&error));
    }

    /// Waits until the socket can be read or written, in steps, so that a shutdown in a hurry is noticed.
    fn wait(&self, readable: bool, waited: &mut Duration, limit: Duration, what: &str) -> io::Result<()> {
        if self.shared.hurried() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the server is shutting down"));
        }
        let left = limit.saturating_sub(*waited);
        if left.is_zero() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("peer took longer than {limit:?} to {what}")));
        }
        let step = left.min(WAIT_STEP);
        let begun = Instant::now();
        if !self.connection.socket.wait(readable, step)? {
            // Not the whole step: a signal may have ended it.
            *waited += begun.elapsed();
        }
        Ok(())
    }

    fn send_queued(&mut self) -> io::Result<()> {
        if let Some(failure) = &self.gone {
            return Err(failure.error());
        }
        self.connection.protocol.seal(&mut self.scratch.output);
        let mut waited = Duration::ZERO;
        let mut at = 0;
        while at < self.scratch.output.len() {
            match self.connection.socket.send(&self.scratch.output[at..])? {
                0 => self.wait(false, &mut waited, self.shared.timeouts.write, "take its reply")?,
                sent => {
                    at += sent;
                    self.taken += sent as u64;
                    waited = Duration::ZERO;
                }
            }
        }
        self.scratch.output.clear();
        Ok(())
    }

    /// An error if the peer has withdrawn its request. Only between what must stay together.
    fn heed(&mut self) -> io::Result<()> {
        if self.connection.protocol.withdraws() && self.withdrawn() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "peer wants no reply any more"));
        }
        Ok(())
    }

    fn lost(&mut self, error: io::Error) -> io::Error {
        self.gone.get_or_insert_with(|| Failure::of(&error));
        self.scratch.output.clear();
        error
    }

    /// Sends a range of a file that was announced by `raw`, by `sendfile`; or by copying, where the system cannot send such a file.
    fn send_range(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        let Range { start: mut offset, end } = range;
        let mut waited = Duration::ZERO;
        while offset < end {
            let len = usize::try_from(end - offset).unwrap_or(usize::MAX).min(SEND_FILE_BYTES);
            match self.connection.socket.send_file(file, &mut offset, len) {
                Ok(None) => return Err(exchange::ended_early(&(offset..end))),
                Ok(Some(0)) => self.wait(false, &mut waited, self.shared.timeouts.write, "take its reply")?,
                Ok(Some(sent)) => {
                    self.taken += sent as u64;
                    waited = Duration::ZERO;
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return exchange::copy_file(file, offset..end, |block| {
                        self.scratch.output.extend_from_slice(block);
                        self.send_queued()
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Throws away what is left of the body, as far as that needs no waiting, so that the connection may be good for another request.
    fn discard_body(&mut self) {
        self.ahead.clear();
        let mut left = DISCARD_BYTES;
        while matches!(self.body, Body::Coming) && left > 0 {
            match self.buffered() {
                Some(Ok(piece)) => left = left.saturating_sub(piece.len()),
                Some(Err(_)) => {}
                None => match self.connection.socket.receive(&mut self.scratch.input) {
                    Ok(Received::Some { drained }) => self.scratch.drained = drained,
                    Ok(Received::Nothing) => {
                        self.scratch.drained = true;
                        return;
                    }
                    Ok(Received::End) | Err(_) => {
                        self.scratch.drained = false;
                        return;
                    }
                },
            }
        }
    }
}

impl Exchange for Conversation<'_> {
    fn head(&self) -> &RequestHead {
        &self.scratch.head
    }

    fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.scratch.head
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(&self.extensions)
    }

    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        Some(&mut self.extensions)
    }

    fn close_after_reply(&mut self) {
        self.connection.protocol.close_after_reply();
    }

    fn socket(&self) -> Option<BorrowedFd<'_>> {
        Some(self.connection.socket.as_fd())
    }

    fn last_word(&self) -> Option<&'static [u8]> {
        self.connection.protocol.last_word()
    }

    fn inform(&mut self, head: &ResponseHead) {
        if !self.started {
            self.connection.protocol.inform(head, &mut self.scratch.output);
        }
    }

    fn start(&mut self, head: &ResponseHead) {
        if !self.started && self.end.is_none() {
            self.started = true;
            if self.shared.announced() {
                self.connection.protocol.close_after_reply();
            }
            // Now, and not when the thread woke up: the handler may have taken long, or others before it.
            clock::refresh(&mut self.scratch.date);
            self.connection.protocol.start(head, &self.scratch.date, &mut self.scratch.output);
        }
    }

    fn started(&self) -> bool {
        self.started
    }

    fn data(&mut self, block: &[u8]) {
        if !self.started || self.end.is_some() || self.gone.is_some() {
            return;
        }
        let Scratch { output, .. } = &mut *self.scratch;
        let Connection { protocol, socket, .. } = &mut *self.connection;
        let limit = usize::try_from(protocol.raw_limit()).unwrap_or(usize::MAX);
        let (mut left, mut taken) = (block, true);
        while !left.is_empty() {
            let len = left.len().min(limit);
            if !taken || len < DIRECT_BYTES {
                protocol.data(left, output);
                return;
            }
            if !protocol.raw(len as u64, output) {
                // Each byte of it has to be changed (TLS). What that makes of a large block is sent while it is made, rather than held whole.
                let (piece, rest) = left.split_at(len.min(PIECE_BYTES));
                left = rest;
                protocol.data(piece, output);
                // To a request that wants no body it makes nothing, and the head goes out with the end.
                if output.len() < DIRECT_BYTES {
                    continue;
                }
                match socket.send(output) {
                    Ok(sent) => {
                        self.taken += sent as u64;
                        taken = sent == output.len();
                        output.drain(..sent);
                    }
                    Err(error) => {
                        self.lost(error);
                        return;
                    }
                }
                continue;
            }
            // A large block goes out from where it lies; only what the system does not take now is copied.
            let (piece, rest) = left.split_at(len);
            left = rest;
            match socket.send_both(output, piece) {
                Ok(sent) if sent >= output.len() => {
                    self.taken += sent as u64;
                    let unsent = &piece[sent - output.len()..];
                    taken = unsent.is_empty();
                    output.clear();
                    output.extend_from_slice(unsent);
                }
                Ok(sent) => {
                    self.taken += sent as u64;
                    taken = false;
                    output.drain(..sent);
                    output.extend_from_slice(piece);
                }
                Err(error) => {
                    self.lost(error);
                    return;
                }
            }
            protocol.raw_end(output);
        }
    }

    fn finish(&mut self) {
        if self.started && self.end.is_none() {
            self.discard_body();
            self.end = Some(Ending::Next(self.connection.protocol.finish(&mut self.scratch.output)));
        }
    }

    fn abort(&mut self) {
        if self.end.is_none() {
            self.end = Some(Ending::Next(self.connection.protocol.abort(&mut self.scratch.output)));
        }
    }

    fn taken(&self) -> Option<u64> {
        Some(self.taken)
    }

    fn log(&mut self, text: &[u8]) -> bool {
        self.end.is_none() && self.gone.is_none() && self.connection.protocol.log(text, &mut self.scratch.output)
    }

    fn read(&mut self, max: usize) -> io::Result<Bytes> {
        if max == 0 {
            return Ok(Bytes::new());
        }
        loop {
            if let Some(result) = self.read_ready(max) {
                return result;
            }
            if !self.expected {
                self.expected = true;
                self.connection.protocol.expect_body(&mut self.scratch.output);
            }
            // Before waiting: what is queued may be what the peer waits for.
            let received = self.send_queued().map_err(|error| self.lost(error)).and_then(|()| self.receive());
            if let Err(error) = received {
                self.broken(error);
            }
        }
    }

    fn read_ready(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        if max == 0 {
            return Some(Ok(Bytes::new()));
        }
        self.buffered().map(|result| {
            result.map(|mut piece| {
                if piece.len() > max {
                    self.ahead.push_front(piece.split_off(max));
                }
                piece
            })
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_queued().map_err(|error| self.lost(error))?;
        // A short reply is sent before anyone could withdraw its request, and is not to wait for a look.
        if std::mem::replace(&mut self.streaming, true) { self.heed() } else { Ok(()) }
    }

    fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        if !self.started || self.end.is_some() || range.is_empty() {
            return Ok(());
        }
        if self.connection.protocol.bodiless() {
            return self.flush();
        }
        let Range { mut start, end } = range.clone();
        let limit = self.connection.protocol.raw_limit();
        while start < end {
            let len = limit.min(end - start);
            if start > range.start {
                self.heed()?;
            }
            if !self.connection.protocol.raw(len, &mut self.scratch.output) {
                break;
            }
            self.send_queued().map_err(|error| self.lost(error))?;
            self.send_range(file, start..start + len).map_err(|error| self.lost(error))?;
            self.connection.protocol.raw_end(&mut self.scratch.output);
            start += len;
        }
        exchange::copy_file(file, start..end, |block| {
            self.data(block);
            self.flush()
        })
    }

    fn finish_with(&mut self, parts: Vec<Part>) {
        if self.started && self.end.is_none() {
            if self.connection.protocol.bodiless() {
                return self.finish();
            }
            self.discard_body();
            self.end = Some(Ending::Rest(parts));
        }
    }

    fn when_over(&mut self, told: Told) -> Option<Told> {
        if self.end.is_none() {
            return Some(told);
        }
        // Found while a block was queued, perhaps, of which the handler hears nothing.
        if self.gone.is_some() {
            told(Outcome::Lost, Some(self.taken));
            return None;
        }
        self.connection.delivery = Some(Box::new(Delivery::new(told, self.taken)));
        None
    }

    fn disconnected(&mut self) -> bool {
        self.gone.is_some() || self.connection.socket.is_gone() || self.withdrawn()
    }

    fn multithread(&self) -> bool {
        self.shared.threads > 1
    }

    fn multiprocess(&self) -> bool {
        self.shared.multiprocess
    }
}

/// Looks, without waiting, whether the peer of a request whose body has ended has said that it wants no reply any more.
pub(super) fn withdrawn(connection: &mut Connection, scratch: &mut Scratch) -> bool {
    // What comes after the body is the next request, unless it is a word about this one, which is short.
    if scratch.input.len() < WITHDRAWN_BYTES {
        scratch.drained = match connection.socket.receive(&mut scratch.input) {
            Ok(Received::Some { drained }) => drained,
            Ok(Received::Nothing) => true,
            // It shows again when the connection is read the next time.
            Ok(Received::End) | Err(_) => false,
        };
    }
    connection.protocol.withdrawn(&scratch.input)
}

impl Scratch {
    pub(super) fn new() -> Scratch {
        let mut date = HttpDate::from_unix(0);
        clock::refresh(&mut date);
        Scratch { input: BytesMut::new(), output: Vec::with_capacity(4096), head: RequestHead::default(), date, drained: false }
    }
}

/// From this size on a block is not copied behind the head but written from where it lies.
const DIRECT_BYTES: usize = 16 * 1024;
/// How much of a block that cannot go out from where it lies is made ready at once.
const PIECE_BYTES: usize = 64 * 1024;
/// One `sendfile`, so that a fast peer with a large file does not keep the call from noticing a shutdown.
const SEND_FILE_BYTES: usize = 1 << 20;
/// How much of a body that nobody read is thrown away to keep a connection.
const DISCARD_BYTES: usize = 256 * 1024;
/// From this many bytes behind the body on, nothing more is read to learn whether the request was withdrawn.
const WITHDRAWN_BYTES: usize = 4 * 1024;
const WAIT_STEP: Duration = Duration::from_millis(500);
