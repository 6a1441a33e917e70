//! A worker thread: waits for events with the others, and runs whichever request it gets to completion.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use rustix::event::epoll;
use rustix::io::Errno;

use super::connection::{Ahead, Connection, State};
use super::conversation::{Conversation, Ending, Scratch, withdrawn};
use super::rest::{Progress, Rest};
use super::shared::{Accepted, Key, Shared};
use super::socket::Received;
use crate::clock::{self, NEVER, deadline};
use crate::exchange::Outcome;
use crate::observe;
use crate::panics::survive;
use crate::wire::{BodyLength, CloseReason, Error, Event, Known, Next};

/// One worker thread's view of the engine.
pub(super) struct Worker {
    shared: Arc<Shared>,
    scratch: Scratch,
    /// Counted from 0.
    number: usize,
}

/// What becomes of a connection for now.
enum Step {
    /// Look at its state again.
    Again,
    /// Leave it to the poller until this time.
    Park(u64),
    /// Close it.
    Close,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, number: usize) -> Worker {
        Worker { shared, scratch: Scratch::new(), number }
    }

    /// Serves until the engine is done.
    pub(super) fn run(&mut self) {
        // One thread may as well take many events at once. Several take one each, so that no event waits behind a slow request while
        // another thread is idle.
        let batch = if self.shared.threads == 1 { 64 } else { 1 };
        let mut events = Vec::with_capacity(batch);
        while !self.shared.done() {
            events.clear();
            match epoll::wait(&self.shared.poller, rustix::buffer::spare_capacity(&mut events), None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(target: "wsgi", "worker ends, since waiting for events failed: {}", io::Error::from(error));
                    return;
                }
            }
            // Nobody else wants to know.
            let came = (!self.shared.observers.is_empty()).then(Instant::now);
            for event in &events {
                observe::came(came);
                let flags = event.flags;
                match Key::from(event.data.u64()) {
                    Key::Connection(index) => {
                        let slot = self.shared.slots.slot(index);
                        if flags.intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
                            slot.set_hangup();
                        }
                        self.visit(index);
                    }
                    Key::Listener(index) => self.accept(index),
                    Key::Wake => {
                        if let Some(index) = self.shared.called() {
                            self.visit(index);
                        }
                    }
                }
            }
        }
        // Every worker wakes the next, since one wake-up reaches one.
        self.shared.wake();
    }

    fn accept(&mut self, listener: usize) {
        let courteous = self.shared.gives_way_at_all() && !self.shared.gave_way_in_vain(listener);
        if courteous && self.shared.gives_way(listener) {
            return;
        }
        for _ in 0..if courteous { 1 } else { ACCEPTS_PER_EVENT } {
            match self.shared.accept(listener) {
                Accepted::Connection(index) => self.visit(index),
                Accepted::Nothing => return,
            }
        }
    }

    fn visit(&mut self, index: u32) {
        let shared = Arc::clone(&self.shared);
        shared.slots.slot(index).visit(|slot, place| {
            let Some(connection) = place.as_deref_mut() else { return NEVER };
            self.scratch.drained = false;
            // Nothing of one connection may ever reach another.
            self.scratch.input.clear();
            self.scratch.output.clear();
            self.scratch.output.shrink_to(KEPT_OUTPUT);
            if !connection.input.is_empty() {
                self.scratch.input.extend_from_slice(&connection.input);
                connection.input = BytesMut::new();
            }
            let mut requests = 0;
            loop {
                // Handlers are caught where they are called, so this is about codecs, which are anybody's too.
                let step = survive("codec", || self.step(connection, index, slot.hangup(), &mut requests)).unwrap_or_else(|| {
                    connection.socket.reset_on_close();
                    Step::Close
                });
                match step {
                    Step::Again => {}
                    Step::Park(deadline) => {
                        if !self.scratch.input.is_empty() {
                            connection.input = BytesMut::from(&self.scratch.input[..]);
                        }
                        if let State::Body(ahead) = &mut connection.state {
                            ahead.settle();
                        }
                        match self.shared.poll(connection, index) {
                            Ok(()) => return deadline,
                            Err(error) => tracing::error!(target: "wsgi", "cannot wait for a connection: {error}"),
                        }
                        break;
                    }
                    Step::Close => break,
                }
            }
            *place = None;
            self.shared.slots.release(index);
            NEVER
        });
        self.shared.traffic[self.number].publish();
    }

    fn step(&mut self, connection: &mut Connection, index: u32, hangup: bool, requests: &mut usize) -> Step {
        match &mut connection.state {
            State::Reading | State::Body(_) if *requests >= REQUESTS_PER_VISIT => {
                // Others want a turn. The poller would not tell again of what is read already.
                self.shared.call_again(index);
                Step::Park(deadline(self.shared.timeouts.head))
            }
            State::Reading | State::Body(_) => self.read(connection, hangup, requests),
            State::Sending { .. } => self.send_on(connection, index),
            State::Writing { next, until } => {
                let (next, until) = (*next, *until);
                self.write_on(connection, next, until)
            }
            State::Lingering { until } => {
                let until = *until;
                self.linger(connection, index, until)
            }
        }
    }

    /// Understands what was read, reads more, and answers a request that is complete.
    fn read(&mut self, connection: &mut Connection, hangup: bool, requests: &mut usize) -> Step {
        let Scratch { input, head, output, .. } = &mut self.scratch;
        match connection.protocol.poll(input, head, output) {
            Ok(Event::Head) => {
                *requests += 1;
                connection.head_deadline = None;
                self.begin(connection)
            }
            Ok(Event::Body(piece)) => {
                if let State::Body(ahead) = &mut connection.state {
                    ahead.push(piece);
                    if ahead.bytes > self.shared.read_ahead {
                        return self.respond_ahead(connection, false);
                    }
                }
                Step::Again
            }
            Ok(Event::EndOfBody) => self.respond_ahead(connection, true),
            Ok(Event::NeedInput) => self.receive(connection, hangup),
            // What is queued (the answer to a ping) is the last that the peer hears.
            Ok(Event::Closed) => self.send(connection, Next::Close(CloseReason::EndOfReply)),
            Err(error) => self.refuse(connection, &error),
        }
    }

    fn receive(&mut self, connection: &mut Connection, hangup: bool) -> Step {
        if !self.scratch.output.is_empty() {
            // What the peer must hear before it goes on. It is short; a peer that lets it pile up is not reading at all.
            return match send_some(connection, &mut self.scratch.output) {
                Ok(true) => Step::Again,
                Ok(false) | Err(_) => Step::Close,
            };
        }
        // The peer's end does not come as an event of its own if it came with the last bytes.
        if self.scratch.drained && !hangup {
            return self.park_reading(connection);
        }
        match connection.socket.receive(&mut self.scratch.input) {
            Ok(Received::Some { drained }) => {
                self.scratch.drained = drained;
                Step::Again
            }
            Ok(Received::Nothing) => self.park_reading(connection),
            // The end stays at the end: while the protocol still finds pieces of a body, it is asked again.
            Ok(Received::End) => match (connection.protocol.end(&mut self.scratch.input), &mut connection.state) {
                (Ok(Event::Body(piece)), State::Body(ahead)) => {
                    ahead.push(piece);
                    Step::Again
                }
                (Ok(Event::EndOfBody), State::Body(_)) => self.respond_ahead(connection, true),
                (Ok(_), _) => Step::Close,
                (Err(error), _) => {
                    tracing::info!(target: "wsgi", remote = %connection.remote(), "{error}");
                    Step::Close
                }
            },
            Err(error) => {
                tracing::debug!(target: "wsgi", remote = %connection.remote(), "connection lost: {error}");
                Step::Close
            }
        }
    }

    fn park_reading(&mut self, connection: &mut Connection) -> Step {
        let timeouts = &self.shared.timeouts;
        if matches!(connection.state, State::Body(_)) {
            return Step::Park(deadline(timeouts.body));
        }
        if self.scratch.input.is_empty() && connection.protocol.idle() {
            connection.head_deadline = None;
            return Step::Park(deadline(if self.shared.stopping() { super::IDLE_GRACE } else { timeouts.idle }));
        }
        Step::Park(*connection.head_deadline.get_or_insert_with(|| deadline(timeouts.head)))
    }

    /// A head is complete: answers at once, or reads a short body first.
    fn begin(&mut self, connection: &mut Connection) -> Step {
        let head = &self.scratch.head;
        let read_ahead = match head.body() {
            BodyLength::Empty => false,
            // The peer waits to be asked, and the application may never ask.
            _ if head.get(Known::HttpExpect).is_some() => false,
            BodyLength::Known(length) => length <= self.shared.read_ahead as u64,
            BodyLength::Unknown => self.shared.read_ahead > 0,
        };
        if read_ahead {
            connection.state = State::Body(Box::new(Ahead::new(std::mem::take(&mut self.scratch.head))));
            return Step::Again;
        }
        self.respond(connection, VecDeque::new(), false)
    }

    /// Answers a request whose body was read ahead, to its end or as far as it is to be. Nothing if there is none.
    fn respond_ahead(&mut self, connection: &mut Connection, ended: bool) -> Step {
        match std::mem::replace(&mut connection.state, State::Reading) {
            State::Body(ahead) => {
                let (head, body) = ahead.into_parts();
                self.scratch.head = head;
                self.respond(connection, body, ended)
            }
            state => {
                connection.state = state;
                Step::Again
            }
        }
    }

    fn respond(&mut self, connection: &mut Connection, ahead: VecDeque<Bytes>, ended: bool) -> Step {
        let mut conversation = Conversation::new(&self.shared, connection, &mut self.scratch, ahead, ended);
        survive("handler", || self.shared.handler.handle(&mut conversation));
        match conversation.conclude() {
            Ending::Next(next) => self.send(connection, next),
            Ending::Rest(parts) => match send_some(connection, &mut self.scratch.output) {
                Ok(_) => {
                    let until = deadline(self.shared.timeouts.write);
                    connection.state = State::Sending { rest: Box::new(Rest::new(parts)), until };
                    Step::Again
                }
                Err(error) => not_taken(connection, &error),
            },
        }
    }

    /// Sends the rest of a reply as far as the peer takes it now, or until others want a turn.
    fn send_on(&mut self, connection: &mut Connection, index: u32) -> Step {
        let State::Sending { mut rest, mut until } = std::mem::replace(&mut connection.state, State::Reading) else { return Step::Again };
        let time = self.shared.timeouts.write;
        let mut left = SENT_PER_VISIT;
        loop {
            let progress = match take_more(connection, time, &mut until) {
                Ok(true) if !rest.inside_piece() && connection.protocol.withdraws() && withdrawn(connection, &mut self.scratch) => {
                    connection.delivered(Outcome::Lost);
                    let next = connection.protocol.abort(&mut self.scratch.output);
                    return self.send(connection, next);
                }
                Ok(true) => rest.advance(connection),
                Ok(false) => Ok(Progress::Full),
                Err(error) => return not_taken(connection, &error),
            };
            match progress {
                Ok(Progress::Some(bytes)) => {
                    until = deadline(time);
                    left = left.saturating_sub(bytes);
                    if left == 0 {
                        self.shared.call_again(index);
                        connection.state = State::Sending { rest, until };
                        return Step::Park(until);
                    }
                }
                // Only what the peer takes gives it more time, not what it sends.
                Ok(Progress::Full) => {
                    connection.state = State::Sending { rest, until };
                    return Step::Park(until);
                }
                Ok(Progress::Done) => {
                    let next = connection.protocol.finish(&mut self.scratch.output);
                    return self.send(connection, next);
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
                    return not_taken(connection, &error);
                }
                // The file, then. Whatever were sent now would be taken for what is missing.
                Err(error) => {
                    tracing::error!(target: "wsgi", remote = %connection.remote(), "reply broken off: {error}");
                    connection.delivered(Outcome::Aborted);
                    connection.socket.reset_on_close();
                    return Step::Close;
                }
            }
        }
    }

    fn refuse(&mut self, connection: &mut Connection, error: &Error) -> Step {
        self.shared.refused(connection.remote(), error);
        connection.state = State::Reading;
        clock::refresh(&mut self.scratch.date);
        connection.protocol.refuse(error, &self.scratch.date, &mut self.scratch.output);
        self.send(connection, Next::Close(CloseReason::Refused))
    }

    /// Sends what is queued, and leaves to the poller what the peer does not take at once: a slow reader holds no thread.
    fn send(&mut self, connection: &mut Connection, next: Next) -> Step {
        // Before a reset there may be a gap in what was sent, and nothing may be added behind that.
        if next != Next::Close(CloseReason::Reset) {
            connection.protocol.seal(&mut self.scratch.output);
        }
        match send_some(connection, &mut self.scratch.output) {
            Ok(true) => self.follow(connection, next),
            Ok(false) => {
                let until = deadline(self.shared.timeouts.write);
                connection.state = State::Writing { next, until };
                Step::Park(until)
            }
            Err(error) => not_taken(connection, &error),
        }
    }

    fn write_on(&mut self, connection: &mut Connection, next: Next, mut until: u64) -> Step {
        match take_more(connection, self.shared.timeouts.write, &mut until) {
            Ok(true) => self.follow(connection, next),
            Ok(false) => {
                connection.state = State::Writing { next, until };
                Step::Park(until)
            }
            Err(error) => not_taken(connection, &error),
        }
    }

    /// The reply is sent. What now?
    fn follow(&mut self, connection: &mut Connection, next: Next) -> Step {
        connection.state = State::Reading;
        connection.delivered(match next {
            // The codec has found that it is not whole: fewer bytes than its head has promised, say.
            Next::Close(CloseReason::Aborted | CloseReason::Reset) => Outcome::Aborted,
            _ => Outcome::Whole,
        });
        match next {
            Next::Request => Step::Again,
            Next::Close(CloseReason::UnreadBody | CloseReason::Refused) => {
                connection.socket.end_sending();
                connection.state = State::Lingering { until: deadline(self.shared.timeouts.linger) };
                Step::Again
            }
            Next::Close(reason) => {
                tracing::trace!(target: "wsgi", remote = %connection.remote(), "closed: {}", reason.explain());
                if reason == CloseReason::Reset {
                    connection.socket.reset_on_close();
                }
                Step::Close
            }
        }
    }

    /// Throws away what the peer still sends, so that the system does not reset the connection before the peer has read the reply
    /// (RFC 9112, 9.6). A web server in front passes a whole upload on before it reads anything, so the bound is a time and not a size.
    fn linger(&mut self, connection: &mut Connection, index: u32, until: u64) -> Step {
        let until = if self.shared.stopping() { until.min(deadline(super::LINGER)) } else { until };
        let mut left = LINGER_BYTES_PER_VISIT;
        while left > 0 && clock::now() < until {
            self.scratch.input.clear();
            match connection.socket.receive(&mut self.scratch.input) {
                Ok(Received::Some { .. }) => left = left.saturating_sub(self.scratch.input.len()),
                Ok(Received::Nothing) => {
                    self.scratch.input.clear();
                    return Step::Park(until.min(deadline(super::LINGER)));
                }
                Ok(Received::End) | Err(_) => return Step::Close,
            }
        }
        if left > 0 {
            return Step::Close;
        }
        self.scratch.input.clear();
        self.shared.call_again(index);
        Step::Park(until)
    }
}

/// Sends `output` as far as the system takes it now, and leaves the rest with the connection. Whether all is sent.
fn send_some(connection: &mut Connection, output: &mut Vec<u8>) -> io::Result<bool> {
    let mut at = 0;
    while at < output.len() {
        match connection.socket.send(&output[at..]) {
            Ok(0) => {
                connection.output = std::mem::take(output);
                connection.sent = at;
                return Ok(false);
            }
            Ok(sent) => {
                at += sent;
                connection.took(sent);
            }
            Err(error) => {
                output.clear();
                return Err(error);
            }
        }
    }
    output.clear();
    Ok(true)
}

/// Sends what `send_some` has left with the connection, as far as the system takes it now. Whether all is sent. Whatever the peer takes gives it
/// more time; what it sends does not.
fn take_more(connection: &mut Connection, time: Duration, until: &mut u64) -> io::Result<bool> {
    while connection.sent < connection.output.len() {
        match connection.socket.send(&connection.output[connection.sent..])? {
            0 => return Ok(false),
            sent => {
                connection.sent += sent;
                connection.took(sent);
                *until = deadline(time);
            }
        }
    }
    connection.output = Vec::new();
    connection.sent = 0;
    Ok(true)
}

fn not_taken(connection: &Connection, error: &io::Error) -> Step {
    tracing::debug!(target: "wsgi", remote = %connection.remote(), "reply not taken: {error}");
    Step::Close
}

const ACCEPTS_PER_EVENT: usize = 16;
/// How many pipelined requests of one connection are answered before others get a turn.
const REQUESTS_PER_VISIT: usize = 32;
/// How much room for queued bytes a worker keeps. Whoever queued more at once, such as a handler with one large block, gives it back.
const KEPT_OUTPUT: usize = 1 << 20;
/// How much of a rest is sent to a peer that takes all at once before others get a turn.
const SENT_PER_VISIT: usize = 4 << 20;
/// How much of an upload that nobody reads is thrown away before others get a turn.
const LINGER_BYTES_PER_VISIT: usize = 1 << 20;
