//! What variables that a front server sends must be before an application sees them, whichever way they were packed.

use std::net::{IpAddr, SocketAddr};

use super::decimal::parse_decimal;
use super::{Address, Error, Known, Limits, Link, Paths, RequestHead};

/// The two ends of a connection with a front server, for what that leaves out of a request.
///
/// Kept as they are, and rendered only where they are needed: a front server seldom leaves them out, and some make a connection for each request.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Nothing on a Unix socket.
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
}

impl Ends {
    /// Of this connection.
    pub fn of(link: &Link) -> Ends {
        let tcp = |address: &Address| match address {
            Address::Tcp(address) => Some(*address),
            Address::Unix(_) => None,
        };
        Ends { local: tcp(&link.local), remote: tcp(&link.remote) }
    }

    /// Checks a request's variables and adds those that must be there. `paths` says where the application begins, unless `SCRIPT_NAME` and
    /// `PATH_INFO` are as they are to be. Gives the length of the body, if it is declared.
    ///
    /// Added are `SERVER_PROTOCOL`, `RAW_URI`, `REMOTE_ADDR` and `SERVER_NAME` with their ports.
    ///
    /// # Errors
    /// There is no method, `CONTENT_LENGTH` is no number or exceeds `limits`, or the paths do not agree.
    pub fn complete(&self, head: &mut RequestHead, limits: &Limits, paths: Option<&Paths>) -> Result<Option<u64>, Error> {
        if is_empty(head, Known::RequestMethod) {
            return Err(Error::malformed(
                "variables have no REQUEST_METHOD; the front server must send the request's variables (nginx: include uwsgi_params, \
                 fastcgi_params or scgi_params)",
            ));
        }
        let length = match head.get(Known::ContentLength) {
            None => None,
            // nginx sends the variable although there is no such field.
            Some(b"") => {
                head.remove(Known::ContentLength);
                None
            }
            Some(text) => Some(parse_decimal(text).ok_or_else(|| {
                let shown = &text[..text.len().min(SHOWN_BYTES)];
                Error::malformed(format!("CONTENT_LENGTH is \"{}\", expected a decimal number", shown.escape_ascii()))
            })?),
        };
        if let Some(limit) = limits.body_bytes.filter(|&limit| length.is_some_and(|length| length > limit)) {
            return Err(Error::BodyTooLarge { limit });
        }
        if is_empty(head, Known::ServerProtocol) {
            head.set(Known::ServerProtocol, b"HTTP/1.1");
        }
        if let Some(paths) = paths {
            paths.apply(head)?;
        }
        if let (None, Some(uri)) = (head.get(Known::RawUri), head.get(Known::RequestUri)) {
            // Two names of one thing (D6).
            let all = 0..uri.len();
            head.share(Known::RawUri, Known::RequestUri, all);
        }
        self.fill(head);
        Ok(length)
    }

    /// An address and its port go together: one of the front server's with one of this connection's would be neither's.
    fn fill(&self, head: &mut RequestHead) {
        if head.get(Known::RemoteAddr).is_none() {
            // A Unix socket's peer has no address; programs expect a string nevertheless (D22).
            head.set(Known::RemoteAddr, self.remote.map_or(String::new(), |remote| ip(&remote).to_string()).as_bytes());
            if let Some(remote) = self.remote {
                head.set(Known::RemotePort, remote.port().to_string().as_bytes());
            }
        }
        // Neither may be empty (PEP 3333, clause 19), and nginx without a `server_name` sends it so.
        if head.get(Known::ServerPort).is_some_and(<[u8]>::is_empty) {
            head.remove(Known::ServerPort);
        }
        if is_empty(head, Known::ServerName) {
            let told = head.get(Known::ServerAddr).and_then(|address| std::str::from_utf8(address).ok()?.parse().ok());
            let name = told.or(self.local.as_ref().map(ip)).map_or("localhost".to_owned(), |ip| match ip {
                IpAddr::V4(ip) => ip.to_string(),
                IpAddr::V6(ip) => format!("[{ip}]"), // RFC 3875, 4.1.14
            });
            head.set(Known::ServerName, name.as_bytes());
            if let (None, None, Some(local)) = (told, head.get(Known::ServerPort), self.local) {
                head.set(Known::ServerPort, local.port().to_string().as_bytes());
            }
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

/// As much of a peer's text as an error quotes.
const SHOWN_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(variables: &[(&str, &str)], local: &str, remote: &str, limits: &Limits) -> Result<(RequestHead, Option<u64>), Error> {
        let address = |text: &str| text.parse().map_or(Address::Unix(None), Address::Tcp);
        let ends = Ends::of(&Link { local: address(local), remote: address(remote), secure: false });
        let mut head = RequestHead::default();
        variables.iter().for_each(|(name, value)| head.variable(name.as_bytes(), value.as_bytes()));
        let length = ends.complete(&mut head, limits, Some(&Paths::default()))?;
        Ok((head, length))
    }

    fn added(variables: &[(&str, &str)], local: &str, remote: &str) -> Vec<String> {
        let given = [&[("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", ""), ("PATH_INFO", "/")][..], variables].concat();
        let (head, _) = completed(&given, local, remote, &Limits::default()).unwrap();
        let line = |(name, value): (super::super::Name<'_>, &[u8])| format!("{}={}", name.as_bytes().escape_ascii(), value.escape_ascii());
        head.iter().map(line).filter(|line| !given.iter().any(|(name, value)| *line == format!("{name}={value}"))).collect()
    }

    #[test]
    fn the_connection_stands_in_for_what_the_front_server_left_out() {
        let protocol = "SERVER_PROTOCOL=HTTP/1.1";
        assert_eq!(
            added(&[], "192.0.2.1:3031", "[::ffff:198.51.100.7]:54321"),
            [protocol, "REMOTE_ADDR=198.51.100.7", "REMOTE_PORT=54321", "SERVER_NAME=192.0.2.1", "SERVER_PORT=3031"]
        );
        assert_eq!(
            added(&[("REMOTE_ADDR", "203.0.113.5"), ("SERVER_NAME", "example.org")], "192.0.2.1:3031", "198.51.100.7:54321"),
            [protocol]
        );
        // nginx without a `server_name`.
        let nginx = [("SERVER_NAME", ""), ("SERVER_PORT", "443"), ("SERVER_ADDR", "2001:db8::1"), ("REMOTE_ADDR", "")];
        assert_eq!(added(&nginx, "127.0.0.1:9000", "127.0.0.1:5"), ["SERVER_NAME=[2001:db8::1]", protocol]);
        assert_eq!(
            added(&[("SERVER_ADDR", "203.0.113.5"), ("SERVER_PORT", "")], "127.0.0.1:9000", "unix"),
            [protocol, "REMOTE_ADDR=", "SERVER_NAME=203.0.113.5"]
        );
        assert_eq!(
            added(&[("REQUEST_URI", "/?a"), ("SERVER_PROTOCOL", "HTTP/2.0")], "[::1]:9000", "unix"),
            ["RAW_URI=/?a", "REMOTE_ADDR=", "SERVER_NAME=[::1]", "SERVER_PORT=9000"]
        );
        assert_eq!(added(&[], "unix", "unix"), [protocol, "REMOTE_ADDR=", "SERVER_NAME=localhost"]);
    }

    #[test]
    fn an_empty_port_is_none() {
        let (head, _) = completed(
            &[("REQUEST_METHOD", "GET"), ("SERVER_NAME", "example.org"), ("SERVER_PORT", "")],
            "127.0.0.1:1",
            "unix",
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(head.get(Known::ServerPort), None);
    }

    #[test]
    fn the_length_of_a_body_is_a_number_or_not_there() {
        let limits = Limits { body_bytes: Some(1000), ..Limits::default() };
        let with = |length, limits: &Limits| completed(&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", length)], "unix", "unix", limits);
        for (text, length) in [("", None), ("0", Some(0)), ("000", Some(0)), ("1", Some(1)), ("01000", Some(1000))] {
            let (head, declared) = with(text, &limits).unwrap();
            assert_eq!((declared, head.get(Known::ContentLength).is_some()), (length, length.is_some()), "{text}");
        }
        assert_eq!(with("18446744073709551615", &Limits::default()).unwrap().1, Some(u64::MAX));
        for length in ["-1", "+1", " 1", "1 ", "1,1", "0x1", "1.0", "18446744073709551616", "\u{660}"] {
            assert_eq!(with(length, &limits).unwrap_err().status(), 400, "{length}");
        }
        assert_eq!(with("1001", &limits).unwrap_err(), Error::BodyTooLarge { limit: 1000 });
        assert_eq!(with("a\n", &limits).unwrap_err().to_string(), "CONTENT_LENGTH is \"a\\n\", expected a decimal number");
    }

    #[test]
    fn without_a_method_there_is_no_request() {
        for given in [&[("PATH_INFO", "/")][..], &[("PATH_INFO", "/"), ("REQUEST_METHOD", "")], &[("SERVER_PROTOCOL", "HTTP/1.1")]] {
            let error = completed(given, "unix", "unix", &Limits::default()).unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.to_string().contains("REQUEST_METHOD"), "{error}");
        }
    }
}
