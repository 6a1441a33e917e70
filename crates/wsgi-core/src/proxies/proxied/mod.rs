//! The PROXY protocol, versions 1 and 2: a proxy says at the beginning of a connection whose connection it passes on.
//!
//! ```text
//!   Awaiting ──header──▶ inner codec, made for the true ends of the connection
//!      └─ anything else ──▶ closed without a word
//! ```
//!
//! | what comes | what becomes of it |
//! |---|---|
//! | version 1 (`PROXY TCP4 192.0.2.1 ...`) or 2 (binary), with TCP addresses | the client's address and the one that it connected to |
//! | version 2 with the family Unix | likewise, as a peer without an IP address |
//! | `UNKNOWN`, `LOCAL` (a proxy's own check) or an unspecified family | the ends of the connection itself |
//! | further values (TLS, authority, the proxies' own) | are passed over; a checksum is verified |
//! | no header, a broken one, one for datagrams, one of more than 4 KiB | the connection is closed, and the log says why |
//!
//! The header is required, as who could leave it out could hide behind the proxy's own address. Whether the client used TLS is not taken from
//! it: a proxy that ends TLS says so with `X-Forwarded-Proto`.

mod crc32c;
mod header;

use std::sync::Arc;

use bytes::{Buf, BytesMut};

#[cfg(any(fuzzing, test))]
pub(super) use self::header::check_header;
use self::header::{Header, parse};
use crate::wire::{Address, CloseReason, Dialect, Error, Event, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};

/// A dialect behind the PROXY protocol: each connection begins with its header, and then goes on as `D` says.
///
/// A peer says who the client is, so the engine lets in nobody but the machine itself, unless
/// [`Listener::allow_from`](crate::server::Listener::allow_from) says who else may connect. Once the header has come, log lines about the
/// connection name the client.
///
/// ```
/// use wsgi_core::proxies::Proxied;
/// use wsgi_core::wire::{Dialect, Link};
/// # fn http(_: &Link) -> Box<dyn wsgi_core::wire::Protocol> { unimplemented!() }
///
/// let dialect = Proxied::new(http);
/// assert!(dialect.trusts_peer());
/// ```
#[derive(Clone, Debug)]
pub struct Proxied<D> {
    dialect: Arc<D>,
}

impl<D: Dialect> Proxied<D> {
    /// Whatever this dialect speaks, behind a header.
    pub fn new(dialect: D) -> Proxied<D> {
        Proxied { dialect: Arc::new(dialect) }
    }
}

impl<D: Dialect + 'static> Dialect for Proxied<D> {
    fn connect(&self, link: &Link) -> Box<dyn Protocol> {
        Box::new(Connection { dialect: Arc::clone(&self.dialect), link: link.clone(), inner: None, failed: false, closing: false })
    }

    fn trusts_peer(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        self.dialect.name()
    }
}

struct Connection<D> {
    dialect: Arc<D>,
    /// The ends of the connection from the proxy.
    link: Link,
    /// The codec of what follows the header.
    inner: Option<Box<dyn Protocol>>,
    /// What came is no header.
    failed: bool,
    /// The server is shutting down, of which a codec that is yet to be made must hear.
    closing: bool,
}

impl<D: Dialect> Connection<D> {
    /// Takes the header from the input. None: it is not whole.
    fn begin(&mut self, input: &mut BytesMut) -> Result<Option<&mut Box<dyn Protocol>>, Error> {
        if self.inner.is_none() {
            let header = parse(input).inspect_err(|_| self.failed = true)?;
            let Some(Header { bytes, ends }) = header else { return Ok(None) };
            input.advance(bytes);
            if let Some((remote, local)) = ends {
                self.link = Link { local, remote, secure: self.link.secure };
            }
            let mut inner = self.dialect.connect(&self.link);
            if self.closing {
                inner.close_after_reply();
            }
            self.inner = Some(inner);
        }
        Ok(self.inner.as_mut())
    }
}

impl<D: Dialect> Protocol for Connection<D> {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Event, Error> {
        if self.failed {
            return Ok(Event::Closed);
        }
        match self.begin(input)? {
            Some(inner) => inner.poll(input, head, out),
            None => Ok(Event::NeedInput),
        }
    }

    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
        match &mut self.inner {
            Some(inner) => inner.end(input),
            // A check that somebody listens.
            None if input.is_empty() || self.failed => Ok(Event::Closed),
            None => Err(Error::Truncated("header of the PROXY protocol")),
        }
    }

    fn expect_body(&mut self, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.expect_body(out);
        }
    }

    fn inform(&mut self, head: &ResponseHead, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.inform(head, out);
        }
    }

    fn start(&mut self, head: &ResponseHead, date: &HttpDate, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.start(head, date, out);
        }
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.data(block, out);
        }
    }

    fn bodiless(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.bodiless())
    }

    fn raw(&mut self, len: u64, out: &mut Vec<u8>) -> bool {
        self.inner.as_mut().is_some_and(|inner| inner.raw(len, out))
    }

    fn raw_limit(&self) -> u64 {
        self.inner.as_ref().map_or(u64::MAX, |inner| inner.raw_limit())
    }

    fn raw_end(&mut self, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.raw_end(out);
        }
    }

    fn seal(&mut self, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.seal(out);
        }
    }

    fn log(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        self.inner.as_mut().is_some_and(|inner| inner.log(text, out))
    }

    fn withdraws(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.withdraws())
    }

    fn withdrawn(&mut self, input: &[u8]) -> bool {
        self.inner.as_mut().is_some_and(|inner| inner.withdrawn(input))
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Next {
        self.inner.as_mut().map_or(Next::Close(CloseReason::Reset), |inner| inner.finish(out))
    }

    fn abort(&mut self, out: &mut Vec<u8>) -> Next {
        self.inner.as_mut().map_or(Next::Close(CloseReason::Reset), |inner| inner.abort(out))
    }

    /// Says nothing to a peer without a header: what it speaks is not known.
    fn refuse(&mut self, error: &Error, date: &HttpDate, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.refuse(error, date, out);
        }
    }

    fn last_word(&self) -> Option<&'static [u8]> {
        self.inner.as_ref()?.last_word()
    }

    fn idle(&self) -> bool {
        self.inner.as_ref().map_or(!self.failed, |inner| inner.idle())
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        if let Some(inner) = &mut self.inner {
            inner.farewell(out);
        }
    }

    fn client(&self) -> Option<&Address> {
        self.inner.as_ref().map(|_| &self.link.remote)
    }

    fn close_after_reply(&mut self) {
        self.closing = true;
        if let Some(inner) = &mut self.inner {
            inner.close_after_reply();
        }
    }
}
