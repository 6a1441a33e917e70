//! SCGI, server side: a netstring of NUL-separated variables, then the body, then a reply as from a CGI script.
//!
//! ```text
//! 70 ':' CONTENT_LENGTH 0 27 0 SCGI 0 1 0 REQUEST_METHOD 0 POST 0 … ',' ║ 27 bytes of body      70 is the length up to the ','
//! ```
//!
//! It lives beside uwsgi because all but these lines is the same: CGI variables that a front server made, a body of `CONTENT_LENGTH` bytes,
//! one request for each connection, a reply that ends where the connection ends. That is [`Connection`]; what is here is the [`Envelope`].

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use wsgi_core::wire::{Dialect, Error, Foreign, Limits, Link, Paths, Protocol, RequestHead};

use crate::connection::{Connection, Envelope, Opened};
use crate::request::{Settings, shown, take_variable};

/// SCGI as a listener speaks it: makes the codec of each connection.
///
/// ```
/// use bytes::BytesMut;
/// use wsgi_core::wire::{Address, Dialect, Event, Known, Link, RequestHead};
/// use wsgi_uwsgi_proto::Scgi;
///
/// let mut codec = Scgi::new().connect(&Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false });
/// let mut input = BytesMut::from(&b"63:CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0DOCUMENT_URI\0/caf\xc3\xa9\0,"[..]);
/// let mut head = RequestHead::default();
/// assert_eq!(codec.poll(&mut input, &mut head, &mut Vec::new())?, Event::Head);
/// assert_eq!(head.get(Known::PathInfo), Some("/café".as_bytes()));
/// # Ok::<(), wsgi_core::wire::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Scgi {
    settings: Arc<Settings>,
}

impl Scgi {
    /// SCGI with the default [`Limits`] and [`Paths`].
    pub fn new() -> Scgi {
        Scgi::default()
    }

    /// Sets the bounds on what a request may hold, as for [`Uwsgi`](crate::Uwsgi::limits).
    pub fn limits(mut self, limits: Limits) -> Scgi {
        Arc::make_mut(&mut self.settings).limits = limits;
        self
    }

    /// Says how `SCRIPT_NAME` and `PATH_INFO` are found in what the front server sends. The default suits most of them; see [`Paths`].
    pub fn paths(mut self, paths: Paths) -> Scgi {
        Arc::make_mut(&mut self.settings).paths = paths;
        self
    }
}

impl Dialect for Scgi {
    fn connect(&self, link: &Link) -> Box<dyn Protocol> {
        Connection::<Netstring>::boxed(&self.settings, link)
    }

    fn trusts_peer(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "scgi"
    }
}

struct Netstring;

impl Envelope for Netstring {
    const STATUS: &'static [u8] = b"Status: ";
    const KIND: Foreign = Foreign::Scgi;
    const NAMES: [&'static str; 2] = ["SCGI", "scgi_pass"];

    fn open(input: &mut BytesMut, limits: &Limits, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Opened, Error> {
        let Some((start, size)) = length(input, limits.head_bytes)? else { return Ok(Opened::Incomplete) };
        let Some((variables, &end)) = input.get(start..).and_then(|rest| Some((rest.get(..size)?, rest.get(size)?))) else {
            return Ok(Opened::Incomplete);
        };
        if end != b',' {
            return Err(Error::malformed(format!("SCGI netstring of {size} bytes ends with byte {end:#04x}, expected ','")));
        }
        head.clear();
        let variables = variables.strip_suffix(b"\0").ok_or_else(|| Error::malformed("SCGI netstring does not end with NUL"))?;
        let mut parts = variables.split(|&byte| byte == 0);
        let mut count = 0;
        while let Some(name) = parts.next() {
            let value =
                parts.next().ok_or_else(|| Error::malformed(format!("SCGI variable \"{}\" has no value", shown(name).escape_ascii())))?;
            match (count, name) {
                (0, b"CONTENT_LENGTH") if !value.is_empty() => {}
                (0, _) => return Err(Error::malformed("SCGI request does not begin with CONTENT_LENGTH and a number")),
                (_, b"") => return Err(Error::malformed("SCGI variable has an empty name")),
                _ => {}
            }
            count += 1;
            if count > limits.fields {
                return Err(Error::TooManyFields { limit: limits.fields });
            }
            take_variable(name, value, head);
        }
        if head.get_named(b"SCGI") != Some(b"1") {
            return Err(Error::malformed("SCGI request has no variable SCGI with the value 1"));
        }
        input.advance(start + size + 1);
        Ok(Opened::Request { split: false })
    }
}

/// The length at the front of a netstring, and where what it counts begins.
fn length(input: &[u8], limit: usize) -> Result<Option<(usize, usize)>, Error> {
    let mut size = 0_usize;
    for (at, &byte) in input.iter().enumerate() {
        match byte {
            b':' if at > 0 => return Ok(Some((at + 1, size))),
            // No leading zeros, so that the digits are bounded too.
            b'0'..=b'9' if at == 0 || size > 0 => size = size.saturating_mul(10).saturating_add(usize::from(byte - b'0')),
            _ => return Err(Error::malformed(format!("SCGI netstring has byte {byte:#04x} in its length, expected digits and ':'"))),
        }
        if size > limit {
            return Err(Error::HeadTooLarge { limit });
        }
    }
    Ok(None)
}
