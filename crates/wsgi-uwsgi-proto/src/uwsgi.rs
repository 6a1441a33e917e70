//! uwsgi, server side: what a listener speaks, and which packets are a request.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use wsgi_core::wire::{Dialect, Error, Foreign, Known, Limits, Link, Paths, Protocol, RequestHead};

use crate::connection::{Connection, Envelope, HTTP_STATUS, Opened};
use crate::packet::{self, Header, Variables};
use crate::request::{Settings, take_variable};

/// The uwsgi protocol as a listener speaks it: makes the codec of each connection.
///
/// Clones are cheap and share their settings.
///
/// ```
/// use wsgi_core::wire::{Limits, PathRule, Paths};
/// use wsgi_uwsgi_proto::Uwsgi;
///
/// let uwsgi = Uwsgi::new()
///     .limits(Limits { body_bytes: Some(100 * 1024 * 1024), ..Limits::default() })
///     .paths(Paths::new(PathRule::Auto).mount("/app"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Uwsgi {
    settings: Arc<Settings>,
}

impl Uwsgi {
    /// uwsgi with the default [`Limits`] and [`Paths`].
    pub fn new() -> Uwsgi {
        Uwsgi::default()
    }

    /// Sets the bounds on what a request may hold. [`Limits::head_bytes`] bounds the variables without the four bytes in front, of which no
    /// packet holds more than 65,535; [`Limits::fields`] counts every variable, those that are left out too.
    pub fn limits(mut self, limits: Limits) -> Uwsgi {
        Arc::make_mut(&mut self.settings).limits = limits;
        self
    }

    /// Says how `SCRIPT_NAME` and `PATH_INFO` are found in what the front server sends. The default suits most of them; see [`Paths`]. A packet
    /// of modifier1 30 whose `PATH_INFO` begins with its `SCRIPT_NAME` says itself how they are to be split, and none of this applies.
    pub fn paths(mut self, paths: Paths) -> Uwsgi {
        Arc::make_mut(&mut self.settings).paths = paths;
        self
    }
}

impl Dialect for Uwsgi {
    fn connect(&self, link: &Link) -> Box<dyn Protocol> {
        Connection::<Packet>::boxed(&self.settings, link)
    }

    fn trusts_peer(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "uwsgi"
    }
}

struct Packet;

impl Envelope for Packet {
    const STATUS: &'static [u8] = HTTP_STATUS;
    const KIND: Foreign = Foreign::Uwsgi;
    const NAMES: [&'static str; 2] = ["uwsgi", "uwsgi_pass"];

    fn open(input: &mut BytesMut, limits: &Limits, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Opened, Error> {
        let Some(&start) = input.first_chunk() else { return Ok(Opened::Incomplete) };
        let Header { modifier1, size, modifier2 } = Header::parse(start);
        let size = usize::from(size);
        match (modifier1, modifier2) {
            (packet::WSGI | packet::MANAGE_PATH_INFO, 0) => {}
            (packet::WSGI | packet::MANAGE_PATH_INFO, _) => {
                return Err(Error::NotImplemented(
                    format!("uwsgi modifier2 {modifier2} with modifier1 {modifier1} (expected modifier2 0)").into(),
                ));
            }
            (packet::PING, 0) if size == 0 => {
                input.advance(Header::BYTES);
                out.extend_from_slice(&Header { modifier1: packet::PING, size: 0, modifier2: 1 }.to_bytes());
                return Ok(Opened::Answered);
            }
            (packet::PING, _) => {
                return Err(Error::malformed(format!("uwsgi ping has size {size} and modifier2 {modifier2}, expected 0 and 0")));
            }
            _ => {
                let purpose = packet::purpose(modifier1);
                return Err(Error::NotImplemented(format!("uwsgi modifier1 {modifier1} ({purpose}; expected 0 or 30)").into()));
            }
        }
        if size > limits.head_bytes {
            return Err(Error::HeadTooLarge { limit: limits.head_bytes });
        }
        let Some(variables) = input.get(Header::BYTES..Header::BYTES + size) else { return Ok(Opened::Incomplete) };
        head.clear();
        for (count, variable) in Variables::of(variables).enumerate() {
            if count == limits.fields {
                return Err(Error::TooManyFields { limit: limits.fields });
            }
            let (name, value) = variable?;
            take_variable(name, value, head);
        }
        let split = modifier1 == packet::MANAGE_PATH_INFO && strip_script_name(head);
        input.advance(Header::BYTES + size);
        Ok(Opened::Request { split })
    }
}

/// Takes `SCRIPT_NAME` from the front of `PATH_INFO`, if it is there and ends at a `/`. Whether it was.
fn strip_script_name(head: &mut RequestHead) -> bool {
    let (Some(script), Some(path)) = (head.get(Known::ScriptName), head.get(Known::PathInfo)) else { return false };
    let script = script.strip_suffix(b"/").unwrap_or(script);
    let (cut, end) = (script.len(), path.len());
    if cut == 0 || !path.strip_prefix(script).is_some_and(|rest| matches!(rest, [] | [b'/', ..])) {
        return false;
    }
    head.share(Known::ScriptName, Known::ScriptName, 0..cut);
    head.share(Known::PathInfo, Known::PathInfo, cut..end);
    true
}
