//! The handler: passes each request on to the upstream, and the reply back, both as they come.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use socket2::Socket;
use wsgi_core::wire::{self, BodyLength, Known, ResponseHead};
use wsgi_core::{Exchange, Handler};

use crate::call::{Call, Event, Protocol};
use crate::upstream::{self, Upstream};

/// Answers requests by asking an upstream.
///
/// A request keeps a thread until its reply is complete. Of its body and of the reply no more than a few blocks are in memory: whoever is slow
/// holds the other up. The reply may begin, and end, before the body has come.
pub(crate) struct Gateway {
    upstream: Upstream,
    /// How long the upstream may take to accept a connection, and to take or send anything.
    timeout: Duration,
}

/// Why there is no reply, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("upstream cannot be reached: {0}")]
    Unreachable(io::Error),
    #[error("upstream did nothing for {0:?}")]
    Slow(Duration),
    #[error("upstream is overloaded")]
    Overloaded,
    #[error("upstream closed the connection without a word")]
    Closed,
    #[error("upstream: {0}")]
    Broken(String),
    #[error("request cannot be put into the upstream's protocol: {0}")]
    Unsayable(String),
    #[error("request body cannot be gathered: {0}")]
    Disk(io::Error),
    #[error("client: {0}")]
    Client(io::Error),
    #[error("client is gone")]
    Gone,
}

impl Gateway {
    pub(crate) fn new(upstream: Upstream, timeout: Duration) -> Gateway {
        Gateway { upstream, timeout }
    }

    fn answer(&self, exchange: &mut dyn Exchange) -> Result<(), Failure> {
        let mut gathered = None;
        if self.upstream.protocol == Protocol::Uwsgi && exchange.head().body() == BodyLength::Unknown {
            gathered = Some(gather(exchange)?);
        }
        if let Some(socket) = self.upstream.kept() {
            match self.converse(exchange, socket, &mut gathered) {
                // The upstream closed it just as we took it up.
                Err(Failure::Closed) if may_repeat(exchange) => {}
                result => return result,
            }
        }
        let socket = self.upstream.connect(self.timeout).map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut => Failure::Slow(self.timeout),
            _ => Failure::Unreachable(error),
        })?;
        self.converse(exchange, socket, &mut gathered)
    }

    /// Sends the request and passes the reply on, side by side. Dropping the connection early tells the upstream that nobody waits any more.
    fn converse(&self, exchange: &mut dyn Exchange, socket: Socket, gathered: &mut Option<File>) -> Result<(), Failure> {
        let mut out = Vec::new();
        let mut call = Call::begin(self.upstream.protocol, exchange.head(), &mut out)?;
        let (mut input, mut head, mut block) = (BytesMut::new(), ResponseHead::default(), vec![0; BLOCK]);
        let mut more = true; // of the request's body is to come
        let mut taken = true; // by the upstream: all that was written so far
        let mut heard = false; // the upstream has said something
        let mut still = Duration::ZERO; // for how long nothing has happened
        loop {
            // What there is of the body. We wait for the client only if there is nothing to do for the upstream.
            while more && out.len() < BLOCK {
                let Some(piece) = ready(exchange, gathered)? else { break };
                more = !piece.is_empty();
                call.body(&piece, &mut out);
            }
            let client_is_next = more && out.is_empty();
            let step = if client_is_next { Duration::ZERO } else { STEP.min(self.timeout) };
            let (readable, writable) = upstream::wait(&socket, !out.is_empty(), step).map_err(broke_off)?;
            if readable {
                let received =
                    upstream::receive(&socket, &mut block).map_err(|error| if heard { broke_off(error) } else { Failure::Closed })?;
                let Some(count) = received else { continue };
                if count == 0 && !heard {
                    return Err(Failure::Closed);
                }
                (heard, still) = (true, Duration::ZERO);
                input.extend_from_slice(&block[..count]);
                if pass_on(&mut call, &mut input, &mut head, count == 0, exchange)? {
                    if call.keeps_connection() && taken && !more && out.is_empty() && count > 0 && input.is_empty() {
                        self.upstream.keep(socket);
                    }
                    return Ok(());
                }
            }
            if writable {
                still = Duration::ZERO;
                match (&socket).write(&out) {
                    Ok(count) => drop(out.drain(..count)),
                    Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                    // It takes no more, but may have said why: what it sent before is still there to be read.
                    Err(_) => {
                        (more, taken) = (false, false);
                        out.clear();
                    }
                }
            }
            if readable || writable {
                continue;
            }
            if client_is_next {
                // A reply that begins while we wait here is passed on with the next piece of the body.
                let piece = exchange.read(BLOCK).map_err(Failure::Client)?;
                more = !piece.is_empty();
                call.body(&piece, &mut out);
                continue;
            }
            still += step;
            if still >= self.timeout {
                return Err(Failure::Slow(self.timeout));
            }
            if exchange.disconnected() {
                return Err(Failure::Gone);
            }
        }
    }
}

impl Handler for Gateway {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let Err(failure) = self.answer(exchange) else { return };
        tracing::warn!("{failure}");
        if exchange.started() {
            // The client has to see that the reply is not whole.
            return exchange.abort();
        }
        let status = failure.status();
        exchange.refuse(status, &format!("{}\n", status.canonical_reason().unwrap_or("Error")));
    }
}

impl Failure {
    /// What the client is told (RFC 9110, 15.6).
    fn status(&self) -> StatusCode {
        match self {
            Failure::Unreachable(_) | Failure::Closed | Failure::Broken(_) => StatusCode::BAD_GATEWAY,
            Failure::Slow(_) => StatusCode::GATEWAY_TIMEOUT,
            Failure::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Failure::Unsayable(_) | Failure::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Failure::Client(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<wire::Error>()) {
                Some(error) => error.status(),
                None => StatusCode::BAD_REQUEST,
            },
            Failure::Gone => StatusCode::BAD_REQUEST,
        }
    }
}

/// Passes on what has come of the reply; true when that is all.
fn pass_on(
    call: &mut Call,
    input: &mut BytesMut,
    head: &mut ResponseHead,
    closed: bool,
    exchange: &mut dyn Exchange,
) -> Result<bool, Failure> {
    loop {
        match call.poll(input, head, closed)? {
            Event::NeedInput => break,
            Event::Head => exchange.start(head),
            Event::Body(piece) => exchange.data(&piece),
            Event::Log(text) => tracing::warn!("upstream says: {}", String::from_utf8_lossy(&text).trim_end()),
            Event::End => {
                exchange.finish();
                return Ok(true);
            }
        }
    }
    // A block goes out as soon as it has come; the last ones go out when the handler returns.
    exchange.flush().map_err(Failure::Client)?;
    Ok(false)
}

/// The next piece of the body, if there is one without waiting; empty at its end.
fn ready(exchange: &mut dyn Exchange, gathered: &mut Option<File>) -> Result<Option<Bytes>, Failure> {
    let Some(file) = gathered else { return exchange.read_ready(BLOCK).transpose().map_err(Failure::Client) };
    let mut block = vec![0; BLOCK];
    let count = file.read(&mut block).map_err(Failure::Disk)?;
    block.truncate(count);
    Ok(Some(block.into()))
}

/// Takes in a body of unknown length, for uwsgi wants to know the length first.
fn gather(exchange: &mut dyn Exchange) -> Result<File, Failure> {
    let mut file = tempfile::tempfile().map_err(Failure::Disk)?;
    let mut length = 0;
    loop {
        let piece = exchange.read(BLOCK).map_err(Failure::Client)?;
        if piece.is_empty() {
            break;
        }
        length += piece.len() as u64;
        file.write_all(&piece).map_err(Failure::Disk)?;
    }
    file.rewind().map_err(Failure::Disk)?;
    exchange.head_mut().set(Known::ContentLength, length.to_string().as_bytes());
    Ok(file)
}

/// Whether a request that may have been heard can be sent once more (RFC 9110, 9.2.2).
fn may_repeat(exchange: &dyn Exchange) -> bool {
    let method = exchange.head().get(Known::RequestMethod).unwrap_or_default();
    matches!(method, b"GET" | b"HEAD" | b"OPTIONS") && exchange.head().body() == BodyLength::Empty
}

fn broke_off(error: io::Error) -> Failure {
    Failure::Broken(format!("connection broke off: {error}"))
}

const BLOCK: usize = 64 * 1024;
/// How often we look whether the client is still there while the upstream does nothing.
const STEP: Duration = Duration::from_millis(500);
