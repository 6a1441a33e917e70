//! What a request's variables must be before an application sees them.

use std::net::{IpAddr, SocketAddr};

use wsgi_core::wire::{Address, Error, Known, Limits, Link, Paths, RequestHead};

use crate::params::Pairs;

/// What every connection of a listener has in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) paths: Paths,
    pub(crate) log_to_peer: bool,
    /// What a web server that asks is told of how many connections, and so requests, it may have open.
    pub(crate) connections: u32,
}

/// What the codec itself must know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The body's length, as far as it is declared.
    pub(crate) length: Option<u64>,
    /// The reply has no body.
    pub(crate) head_only: bool,
}

/// The two ends of a TCP connection; nothing on a Unix socket.
///
/// Kept as they are, and rendered only where the front server leaves them out, which it seldom does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
}

/// Fills `head` from the whole stream of a request's parameters.
pub(crate) fn understand(stream: &[u8], settings: &Settings, ends: &Ends, head: &mut RequestHead) -> Result<Facts, Error> {
    head.clear();
    for (count, pair) in Pairs::new(stream).enumerate() {
        let (name, value) = pair?;
        if count == settings.limits.fields {
            return Err(Error::TooManyFields { limit: settings.limits.fields });
        }
        head.variable(name, value);
    }
    let head_only = match head.get(Known::RequestMethod) {
        None | Some(b"") => {
            return Err(Error::malformed(
                "FastCGI request has no REQUEST_METHOD; the front server must send the request's variables (nginx: include fastcgi_params)",
            ));
        }
        Some(method) => method == b"HEAD",
    };
    let length = length(head, &settings.limits)?;
    settings.paths.apply(head)?;
    if let (None, Some(uri)) = (head.get(Known::RawUri), head.get(Known::RequestUri)) {
        // Two names of one thing (D6).
        let all = 0..uri.len();
        head.share(Known::RawUri, Known::RequestUri, all);
    }
    if is_empty(head, Known::ServerProtocol) {
        head.set(Known::ServerProtocol, b"HTTP/1.1");
    }
    ends.fill(head);
    Ok(Facts { length, head_only })
}

fn length(head: &mut RequestHead, limits: &Limits) -> Result<Option<u64>, Error> {
    let length = match head.get(Known::ContentLength) {
        None => return Ok(None),
        // nginx and Caddy send the variable although there is no such field; Caddy of a chunked body with the length -1.
        Some(b"" | b"-1") => {
            head.remove(Known::ContentLength);
            return Ok(None);
        }
        Some(text) => decimal(text).ok_or_else(|| {
            let some = &text[..text.len().min(SHOWN_BYTES)];
            Error::malformed(format!("CONTENT_LENGTH is \"{}\", expected a decimal number", some.escape_ascii()))
        })?,
    };
    match limits.body_bytes {
        Some(limit) if length > limit => Err(Error::BodyTooLarge { limit }),
        _ => Ok(Some(length)),
    }
}

impl Ends {
    pub(crate) fn new(link: &Link) -> Ends {
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        };
        Ends { local: tcp(&link.local), remote: tcp(&link.remote) }
    }

    /// Fills in what the front server left out. An address and its port go together: one of the front server's with one of this
    /// connection's would be neither's.
    fn fill(&self, head: &mut RequestHead) {
        if head.get(Known::RemoteAddr).is_none() {
            // A Unix socket's peer has no address; programs expect a string nevertheless (D22).
            head.set(Known::RemoteAddr, self.remote.map_or(String::new(), |remote| ip(&remote).to_string()).as_bytes());
            if let Some(remote) = self.remote {
                head.set(Known::RemotePort, remote.port().to_string().as_bytes());
            }
        }
        // Neither may be empty (PEP 3333, clause 19), and nginx without `server_name` sends it so.
        if is_empty(head, Known::ServerName) {
            let address = head.get(Known::ServerAddr).and_then(|address| std::str::from_utf8(address).ok()?.parse().ok());
            let name = address.or(self.local.as_ref().map(ip)).map_or("localhost".to_owned(), |ip| match ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"), // RFC 3875, 4.1.14
            });
            head.set(Known::ServerName, name.as_bytes());
        }
        if is_empty(head, Known::ServerPort) {
            head.set(Known::ServerPort, self.local.map_or(80, |local| local.port()).to_string().as_bytes());
        }
        if head.get(Known::GatewayInterface).is_none() {
            head.set(Known::GatewayInterface, b"CGI/1.1");
        }
    }
}

/// A listener for IPv6 that also takes IPv4 sees those peers as `::ffff:192.0.2.1`, which no list of addresses expects.
fn ip(address: &SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn is_empty(head: &RequestHead, name: Known) -> bool {
    head.get(name).is_none_or(<[u8]>::is_empty)
}

/// Digits and nothing else: `parse` would take a sign.
pub(crate) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// As much of a peer's text as an error quotes.
const SHOWN_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FastCgi;
    use crate::params;

    fn of(variables: &[(&str, &str)], local: &str, remote: &str, limits: Limits) -> Result<(RequestHead, Facts), Error> {
        let address = |text: &str| text.parse().map_or(Address::Unix(None), Address::Tcp);
        let ends = Ends::new(&Link { local: address(local), remote: address(remote), secure: false });
        let mut stream = Vec::new();
        variables.iter().for_each(|(name, value)| assert!(params::push(name.as_bytes(), value.as_bytes(), &mut stream)));
        let mut head = RequestHead::default();
        let facts = understand(&stream, &FastCgi::new().limits(limits).settings, &ends, &mut head)?;
        Ok((head, facts))
    }

    fn added(variables: &[(&str, &str)], local: &str, remote: &str) -> Vec<String> {
        let given = [&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", ""), ("PATH_INFO", "/")][..], variables].concat();
        let (head, _) = of(&given, local, remote, Limits::default()).unwrap();
        let line =
            |(name, value): (wsgi_core::wire::Name<'_>, &[u8])| format!("{}={}", name.as_bytes().escape_ascii(), value.escape_ascii());
        head.iter().map(line).filter(|line| !given.iter().any(|(name, value)| *line == format!("{name}={value}"))).collect()
    }

    #[test]
    fn the_connection_stands_in_for_what_the_front_server_left_out() {
        let protocol = "SERVER_PROTOCOL=HTTP/1.1";
        let gateway = "GATEWAY_INTERFACE=CGI/1.1";
        assert_eq!(
            added(&[], "192.0.2.1:9000", "[::ffff:198.51.100.7]:54321"),
            [protocol, "REMOTE_ADDR=198.51.100.7", "REMOTE_PORT=54321", "SERVER_NAME=192.0.2.1", "SERVER_PORT=9000", gateway]
        );
        assert_eq!(added(&[], "unix", "unix"), [protocol, "REMOTE_ADDR=", "SERVER_NAME=localhost", "SERVER_PORT=80", gateway]);
        // nginx without `server_name`
        let nginx = [("SERVER_NAME", ""), ("SERVER_PORT", "443"), ("SERVER_ADDR", "2001:db8::1"), ("REMOTE_ADDR", "203.0.113.9")];
        assert_eq!(added(&nginx, "127.0.0.1:9000", "127.0.0.1:5"), ["SERVER_NAME=[2001:db8::1]", protocol, gateway]);
        assert_eq!(
            added(&[("REQUEST_URI", "/?a"), ("SERVER_PROTOCOL", "HTTP/2.0"), ("GATEWAY_INTERFACE", "x")], "[::1]:9000", "unix"),
            ["RAW_URI=/?a", "REMOTE_ADDR=", "SERVER_NAME=[::1]", "SERVER_PORT=9000"]
        );
    }

    #[test]
    fn the_length_of_a_body_is_a_number_or_not_there() {
        let of = |text, limits| of(&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", text)], "unix", "unix", limits);
        for (text, length) in [("0", Some(0)), ("007", Some(7)), ("18446744073709551615", Some(u64::MAX)), ("", None), ("-1", None)] {
            let (head, facts) = of(text, Limits::default()).unwrap();
            assert_eq!((facts.length, head.get(Known::ContentLength).is_some()), (length, length.is_some()), "{text}");
        }
        for text in ["-2", "+1", "1 ", " 1", "0x1", "1,1", "18446744073709551616", "\u{661}", "x"] {
            assert_eq!(of(text, Limits::default()).unwrap_err().status(), 400, "{text}");
        }
        let limits = Limits { body_bytes: Some(10), ..Limits::default() };
        assert_eq!(of("10", limits.clone()).unwrap().1.length, Some(10));
        assert_eq!(of("11", limits).unwrap_err(), Error::BodyTooLarge { limit: 10 });
    }

    #[test]
    fn variables_are_counted_and_the_method_is_needed() {
        let variables = [("REQUEST_METHOD", "HEAD"), ("A", ""), ("B", "")];
        let limits = |fields| Limits { fields, ..Limits::default() };
        assert!(of(&variables, "unix", "unix", limits(3)).unwrap().1.head_only);
        assert_eq!(of(&variables, "unix", "unix", limits(2)).unwrap_err(), Error::TooManyFields { limit: 2 });
        for variables in [&[][..], &[("REQUEST_METHOD", "")]] {
            assert_eq!(of(variables, "unix", "unix", limits(3)).unwrap_err().status(), 400);
        }
    }
}
