//! Who the client is behind proxies: what they say of it is believed of those that are trusted, and taken from everybody else's requests.
//!
//! ```text
//!  REMOTE_ADDR ──▶ trusted? ──no──▶ Forwarded, X-Forwarded-*, X-Real-IP are taken away
//!                     │ yes
//!                     ▼
//!  X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.0.0.2      read from its end: the last address that is no trusted proxy is the client
//!                            └─ client     └─ trusted
//! ```
//!
//! **What is read.** `X-Forwarded-For` and `-Proto`; if [`Proxies::fields`] says so also `-Host`, `-Port`, `-Prefix`, and RFC 7239's `Forwarded`
//! (`for`, `proto`, `host`). A proxy must replace, remove or add to each of these, for what it merely passes on, its client has chosen; so only
//! those two are read unasked, which every proxy sets. Whatever is not read is taken away, from the requests of trusted proxies as well:
//! `X-Real-IP`, `X-Forwarded-Ssl` and the like say nothing that the others do not.
//!
//! **What is set.** `REMOTE_ADDR` and `REMOTE_PORT` (absent if the port is not told, and then `REMOTE_HOST` as well); `HTTPS` and
//! `REQUEST_SCHEME`, which `wsgi.url_scheme` follows; `HTTP_HOST`; `SERVER_PORT`, from `X-Forwarded-Port`, else from the host and the scheme
//! that are told; `SCRIPT_NAME`, before which the prefix is put. `PATH_INFO` and `REQUEST_URI` stay: a proxy that sends a prefix has taken
//! it from the path already.
//!
//! **Which counts.** Each proxy adds to `X-Forwarded-For`, so that it is read from its end, through the addresses of trusted proxies; if all are
//! trusted, the first one is the client. Of the other `X-` fields the last value counts. Of `Forwarded`, `proto` and `host` are those of the
//! element that names the client. Whoever does not want to be named (`unknown`, `_secret`) leaves the address of the proxy that says so.
//!
//! **What is refused** with 400, and logged: a value of a trusted proxy that cannot be read, and `Forwarded` and `X-Forwarded-*` that are both
//! read and contradict each other. The latter happens when a client sends one and the proxy only knows the other; a guess would let that
//! client choose its address.
//!
//! **In scope:** fields of requests, for every protocol, and the PROXY protocol in front of any ([`Proxied`]), which tells the same of whole
//! connections. **Out of scope:** whether a proxy may be reached by others; that is its own configuration.

mod forwarded;
mod node;
mod proxied;
mod x_forwarded;

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use self::node::{Node, port_of};
pub use self::proxied::Proxied;
use crate::exchange::{Exchange, Handler};
use crate::listening::{Network, NetworkError};
use crate::wire::{Error, Known, Name, RequestHead};

/// Which proxies are trusted, and what is believed of them. Without any, the fields of proxies are taken from every request.
///
/// Clones share what they have logged.
///
/// ```
/// use wsgi_core::proxies::Proxies;
/// use wsgi_core::wire::{Known, RequestHead};
///
/// let proxies = Proxies::new().trust("10.0.0.0/8".parse()?);
/// let mut head = RequestHead::default();
/// head.set(Known::RemoteAddr, b"10.0.0.1");
/// head.set(Known::HttpXForwardedFor, b"6.6.6.6, 198.51.100.7, 10.0.0.2");
/// proxies.apply(&mut head)?;
/// assert_eq!(head.get(Known::RemoteAddr), Some(&b"198.51.100.7"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Proxies {
    networks: Vec<Network>,
    unix: bool,
    anyone: bool,
    fields: Vec<Field>,
    told: Arc<Told>,
}

/// Who is trusted: a network such as `10.0.0.0/8`, `unix` or `*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trusted {
    /// Proxies at these addresses.
    Network(Network),
    /// Whoever comes by a Unix socket, and so has no address.
    Unix,
    /// Whoever connects. The last address that it names is the client, as no other address is trusted by this; name the networks where
    /// there are several proxies, one behind the other.
    Anyone,
}

/// A field by which proxies tell of their client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Field {
    /// `X-Forwarded-For`
    For,
    /// `X-Forwarded-Proto`
    Proto,
    /// `X-Forwarded-Host`
    Host,
    /// `X-Forwarded-Port`
    Port,
    /// `X-Forwarded-Prefix`
    Prefix,
    /// `Forwarded`, of RFC 7239
    Forwarded,
}

/// A text that is none of the [`Field`]s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a field of proxies: expected for, proto, host, port, prefix or forwarded")]
pub struct UnknownField(String);

/// A handler behind trusted proxies; [`Proxies::around`] makes it.
pub struct Behind<H> {
    proxies: Proxies,
    handler: H,
}

impl<H: std::fmt::Debug> std::fmt::Debug for Behind<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behind").field("handler", &self.handler).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

/// What is logged once and not for each request.
#[derive(Debug, Default)]
struct Told {
    stripped: AtomicBool,
    refused: AtomicBool,
}

/// An address, and the port if it is told.
type Client = (IpAddr, Option<u16>);

/// What is believed of one request.
#[derive(Debug, Default)]
struct Believed {
    client: Option<Client>,
    scheme: Option<Scheme>,
    host: Option<String>,
}

impl Proxies {
    /// Trusts nobody yet.
    pub fn new() -> Proxies {
        Proxies::default()
    }

    /// Trusts these as well.
    pub fn trust(mut self, trusted: Trusted) -> Proxies {
        match trusted {
            Trusted::Network(network) => self.networks.push(network),
            Trusted::Unix => self.unix = true,
            Trusted::Anyone => self.anyone = true,
        }
        self
    }

    /// Which fields every trusted proxy replaces, removes or adds to, and which are therefore read; [`Field::For`] and [`Field::Proto`] by
    /// default.
    pub fn fields(mut self, fields: impl IntoIterator<Item = Field>) -> Proxies {
        self.fields = fields.into_iter().collect();
        self
    }

    /// A handler in front of another, which sees what is left when these were [applied](Self::apply) to a request.
    pub fn around<H: Handler>(self, handler: H) -> Behind<H> {
        Behind { proxies: self, handler }
    }

    /// Puts in order what a request says of the client.
    ///
    /// # Errors
    /// What a trusted proxy says cannot be read, or contradicts itself. The request is to be refused; its head is as it was.
    pub fn apply(&self, head: &mut RequestHead) -> Result<(), Error> {
        let told = head.iter().any(|(name, _)| Kind::of(name).is_some());
        if !told {
            return Ok(());
        }
        if !self.trusts_peer(head.get(Known::RemoteAddr).unwrap_or_default()) {
            self.strip(head);
            return Ok(());
        }
        let reads = |field| self.fields.contains(&field);
        let mut rest = x_forwarded::parse(head, reads)?;
        let mut x = Believed { client: None, scheme: rest.scheme, host: rest.host.take() };
        if reads(Field::For) {
            x.client = self.client(x_forwarded::chain(head))?.0;
        }
        let mut f = Believed::default();
        if let Some(field) = head.get(Known::HttpForwarded).filter(|_| reads(Field::Forwarded)) {
            let elements = forwarded::parse(field)?;
            // An element that names nobody ends the chain as one that hides its client does.
            let chain = elements.iter().rev().map(|element| Ok(element.from.unwrap_or(Node::Hidden)));
            let (client, hops) = self.client(chain)?;
            let element = elements.into_iter().rev().nth(hops.saturating_sub(1)).unwrap_or_default();
            f = Believed { client, scheme: element.scheme, host: element.host };
        }
        let believed = x.and(f)?;
        head.retain(|name| Kind::of(name).is_none_or(|kind| matches!(kind, Kind::Told(field) if reads(field))));
        believed.put(head, rest.port);
        if let Some(prefix) = rest.prefix.filter(|prefix| !prefix.is_empty()) {
            let script = [&prefix, head.get(Known::ScriptName).unwrap_or_default()].concat();
            head.set(Known::ScriptName, &script);
        }
        Ok(())
    }

    /// The last of a chain that is no trusted proxy, and how many links were looked at. `chain` begins nearest to us.
    fn client(&self, chain: impl Iterator<Item = Result<Node, Error>>) -> Result<(Option<Client>, usize), Error> {
        let (mut client, mut hops) = (None, 0);
        for node in chain {
            hops += 1;
            match node? {
                Node::Address(address, port) => client = Some((address, port)),
                Node::Hidden => break,
            }
            if !client.is_some_and(|(address, _)| self.names(address)) {
                break;
            }
        }
        Ok((client, hops))
    }

    fn names(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    /// `remote`: the value of `REMOTE_ADDR`. Of a peer on a Unix socket it is empty, or nginx's word.
    fn trusts_peer(&self, remote: &[u8]) -> bool {
        if self.anyone {
            return true;
        }
        if remote.is_empty() || remote == b"unix:" {
            return self.unix;
        }
        std::str::from_utf8(remote).ok().and_then(|text| text.parse().ok()).is_some_and(|address| self.names(address))
    }

    fn strip(&self, head: &mut RequestHead) {
        if !self.told.stripped.swap(true, Ordering::Relaxed) {
            let remote = String::from_utf8_lossy(head.get(Known::RemoteAddr).unwrap_or_default()).into_owned();
            tracing::info!(
                target: "wsgi",
                "{} sends fields of a proxy and is not trusted as one: they are taken away, from others as well (this is said once)",
                if remote.is_empty() { "a peer on a Unix socket".to_owned() } else { remote.escape_debug().to_string() }
            );
        }
        head.retain(|name| Kind::of(name).is_none());
    }

    fn refuse(&self, exchange: &mut dyn Exchange, error: &Error) {
        let remote = String::from_utf8_lossy(exchange.head().get(Known::RemoteAddr).unwrap_or_default()).into_owned();
        if self.told.refused.swap(true, Ordering::Relaxed) {
            tracing::debug!(target: "wsgi", remote, "request refused: {error}");
        } else {
            tracing::warn!(target: "wsgi", remote, "request refused: {error} (further ones are logged at level debug)");
        }
        let status = error.status();
        exchange.refuse(status, &format!("{status}\n"));
    }
}

impl<H: Handler> Handler for Behind<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        match self.proxies.apply(exchange.head_mut()) {
            Ok(()) => self.handler.handle(exchange),
            Err(error) => self.proxies.refuse(exchange, &error),
        }
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        self.handler.thread(work);
    }
}

impl Believed {
    /// What both say together.
    fn and(self, other: Believed) -> Result<Believed, Error> {
        let contradiction = |what: &str| Error::malformed(format!("Forwarded and X-Forwarded-* contradict each other about the {what}"));
        let client = match (self.client, other.client) {
            // One of them may tell the port alone.
            (Some((a, port)), Some((b, other))) if a == b => Some((a, port.or(other))),
            (Some(_), Some(_)) => return Err(contradiction("client")),
            (a, b) => a.or(b),
        };
        let scheme = match (self.scheme, other.scheme) {
            (Some(a), Some(b)) if a != b => return Err(contradiction("scheme")),
            (a, b) => a.or(b),
        };
        let host = match (self.host, other.host) {
            (Some(a), Some(b)) if !a.eq_ignore_ascii_case(&b) => return Err(contradiction("host")),
            (a, b) => a.or(b),
        };
        Ok(Believed { client, scheme, host })
    }

    fn put(self, head: &mut RequestHead, port: Option<u16>) {
        if let Some((address, port)) = self.client {
            head.set(Known::RemoteAddr, address.to_string().as_bytes());
            head.remove(Known::RemoteHost);
            match port {
                Some(port) => head.set(Known::RemotePort, port.to_string().as_bytes()),
                None => head.remove(Known::RemotePort),
            }
        }
        match self.scheme {
            Some(Scheme::Https) => {
                head.set(Known::Https, b"on");
                head.set(Known::RequestScheme, b"https");
            }
            Some(Scheme::Http) => {
                head.remove(Known::Https);
                head.set(Known::RequestScheme, b"http");
            }
            None => {}
        }
        if let Some(host) = &self.host {
            head.set(Known::HttpHost, host.as_bytes());
        }
        // A port that nobody tells follows from what is told.
        let port = port.or_else(|| {
            let host = self.host.as_deref().or_else(|| std::str::from_utf8(head.get(Known::HttpHost)?).ok());
            let secure = head.get(Known::RequestScheme) == Some(b"https") || head.get(Known::Https).is_some_and(|https| https == b"on");
            let usual = if secure { 443 } else { 80 };
            (self.scheme.is_some() || self.host.is_some()).then(|| host.and_then(port_of).unwrap_or(usual))
        });
        if let Some(port) = port {
            head.set(Known::ServerPort, port.to_string().as_bytes());
        }
    }
}

impl Scheme {
    fn parse(text: &str) -> Option<Scheme> {
        match text {
            _ if text.eq_ignore_ascii_case("http") => Some(Scheme::Http),
            _ if text.eq_ignore_ascii_case("https") => Some(Scheme::Https),
            _ => None,
        }
    }
}

impl FromStr for Trusted {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Trusted, NetworkError> {
        match text {
            "*" => Ok(Trusted::Anyone),
            "unix" => Ok(Trusted::Unix),
            _ => text.parse().map(Trusted::Network),
        }
    }
}

impl fmt::Display for Trusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trusted::Network(network) => network.fmt(f),
            Trusted::Unix => f.write_str("unix"),
            Trusted::Anyone => f.write_str("*"),
        }
    }
}

impl FromStr for Field {
    type Err = UnknownField;

    fn from_str(text: &str) -> Result<Field, UnknownField> {
        FIELDS.iter().find(|(name, _)| *name == text).map(|(_, field)| *field).ok_or_else(|| UnknownField(text.to_owned()))
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FIELDS.iter().find(|(_, field)| field == self).map_or("", |(name, _)| name))
    }
}

impl Default for Proxies {
    fn default() -> Self {
        Proxies { networks: Vec::new(), unix: false, anyone: false, fields: vec![Field::For, Field::Proto], told: Arc::default() }
    }
}

/// What a variable is that proxies set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Told(Field),
    /// Something else of the kind, which programs read nevertheless: `X-Real-IP`, `X-Forwarded-Ssl`.
    Other,
}

impl Kind {
    fn of(name: Name<'_>) -> Option<Kind> {
        Some(match name {
            Name::Known(Known::HttpXForwardedFor) => Kind::Told(Field::For),
            Name::Known(Known::HttpXForwardedProto) => Kind::Told(Field::Proto),
            Name::Known(Known::HttpXForwardedHost) => Kind::Told(Field::Host),
            Name::Known(Known::HttpXForwardedPort) => Kind::Told(Field::Port),
            Name::Known(Known::HttpForwarded) => Kind::Told(Field::Forwarded),
            Name::Known(Known::HttpXRealIp) => Kind::Other,
            Name::Known(_) => return None,
            Name::Other(b"HTTP_X_FORWARDED_PREFIX") => Kind::Told(Field::Prefix),
            Name::Other(name) if name.starts_with(b"HTTP_X_FORWARDED_") => Kind::Other,
            Name::Other(_) => return None,
        })
    }
}

const FIELDS: [(&str, Field); 6] = [
    ("for", Field::For),
    ("proto", Field::Proto),
    ("host", Field::Host),
    ("port", Field::Port),
    ("prefix", Field::Prefix),
    ("forwarded", Field::Forwarded),
];

#[cfg(test)]
mod tests;
