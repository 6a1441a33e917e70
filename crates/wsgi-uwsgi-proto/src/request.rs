//! What a request's variables must be before an application sees them, whichever way they were packed.

use std::net::{IpAddr, SocketAddr};

use wsgi_core::wire::{Address, BodyLength, Error, Known, Limits, Link, Paths, RequestHead};

/// What every connection of a listener has in common.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) paths: Paths,
}

/// The two ends of a TCP connection; nothing on a Unix socket.
///
/// Kept as they are, and rendered only where the front server leaves them out: it seldom does, and there is a connection for each request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    local: Option<SocketAddr>,
    remote: Option<SocketAddr>,
}

impl Ends {
    pub(crate) fn of(link: &Link) -> Ends {
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
            // On a Unix socket there is no address; programs expect a string nevertheless (D22).
            head.set(Known::RemoteAddr, self.remote.map_or(String::new(), |remote| ip(&remote).to_string()).as_bytes());
            if let Some(remote) = self.remote {
                head.set(Known::RemotePort, remote.port().to_string().as_bytes());
            }
        }
        // Never empty (PEP 3333, clause 19), and nginx without a `server_name` sends it so.
        if is_empty(head, Known::ServerName) {
            let name = match self.local.as_ref().map(ip) {
                Some(IpAddr::V4(ip)) => ip.to_string(),
                Some(IpAddr::V6(ip)) => format!("[{ip}]"), // RFC 3875, 4.1.14
                None => "localhost".to_owned(),
            };
            head.set(Known::ServerName, name.as_bytes());
            if let (true, Some(local)) = (is_empty(head, Known::ServerPort), self.local) {
                head.set(Known::ServerPort, local.port().to_string().as_bytes());
            }
        }
    }
}

/// Puts a variable of the request into its head, unless it is one that must not be there.
///
/// `UWSGI_*` would tell uWSGI which file to run, which directory to change to or what to put into its environment. Nothing here obeys such
/// variables, nor is anything behind it to see them.
#[inline]
pub(crate) fn take_variable(name: &[u8], value: &[u8], head: &mut RequestHead) {
    // Letter by letter: a string would be a call for each variable.
    if !matches!(name, [b'U', b'W', b'S', b'G', b'I', b'_', ..]) {
        head.variable(name, value);
    }
}

/// Checks the variables and adds those that must be there. What of them is not the front server's is said in the crate's documentation.
/// `split`: `SCRIPT_NAME` and `PATH_INFO` are as they are to be.
pub(crate) fn complete(head: &mut RequestHead, split: bool, ends: &Ends, settings: &Settings) -> Result<(), Error> {
    if is_empty(head, Known::RequestMethod) {
        return Err(Error::malformed(
            "variables have no REQUEST_METHOD; the front server must send the request's variables (nginx: include uwsgi_params or scgi_params)",
        ));
    }
    let length = match head.get(Known::ContentLength) {
        None => 0,
        Some(b"") => {
            head.remove(Known::ContentLength);
            0
        }
        Some(text) => decimal(text)
            .ok_or_else(|| Error::malformed(format!("CONTENT_LENGTH is \"{}\", expected a decimal number", shown(text).escape_ascii())))?,
    };
    if let Some(limit) = settings.limits.body_bytes.filter(|&limit| length > limit) {
        return Err(Error::BodyTooLarge { limit });
    }
    head.set_body(if length == 0 { BodyLength::Empty } else { BodyLength::Known(length) });
    if is_empty(head, Known::ServerProtocol) {
        head.set(Known::ServerProtocol, b"HTTP/1.1");
    }
    if !split {
        settings.paths.apply(head)?;
    }
    if let (None, Some(uri)) = (head.get(Known::RawUri), head.get(Known::RequestUri)) {
        // Two names of one thing (D6).
        let all = 0..uri.len();
        head.share(Known::RawUri, Known::RequestUri, all);
    }
    ends.fill(head);
    Ok(())
}

fn is_empty(head: &RequestHead, name: Known) -> bool {
    head.get(name).is_none_or(<[u8]>::is_empty)
}

/// Digits and nothing else: `parse` would take a sign.
fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// As much of a peer's text as an error quotes.
pub(crate) fn shown(text: &[u8]) -> &[u8] {
    &text[..text.len().min(SHOWN_BYTES)]
}

/// A listener for IPv6 that also takes IPv4 sees those peers as `::ffff:192.0.2.1`, which no list of addresses expects.
fn ip(address: &SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

const SHOWN_BYTES: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(variables: &[(&str, &str)], local: &str, remote: &str, limits: Limits) -> Result<RequestHead, Error> {
        let address = |text: &str| text.parse().map_or(Address::Unix(None), Address::Tcp);
        let ends = Ends::of(&Link { local: address(local), remote: address(remote), secure: false });
        let mut head = RequestHead::default();
        for (name, value) in variables {
            take_variable(name.as_bytes(), value.as_bytes(), &mut head);
        }
        complete(&mut head, false, &ends, &Settings { limits, ..Settings::default() })?;
        Ok(head)
    }

    fn added(variables: &[(&str, &str)], local: &str, remote: &str) -> Vec<String> {
        let given = [&[("REQUEST_METHOD", "GET"), ("PATH_INFO", "/")][..], variables].concat();
        let head = completed(&given, local, remote, Limits::default()).unwrap();
        let line =
            |(name, value): (wsgi_core::wire::Name<'_>, &[u8])| format!("{}={}", name.as_bytes().escape_ascii(), value.escape_ascii());
        head.iter().map(line).filter(|line| !given.iter().any(|(name, value)| *line == format!("{name}={value}"))).collect()
    }

    #[test]
    fn the_connection_stands_in_for_what_the_front_server_left_out() {
        let protocol = "SERVER_PROTOCOL=HTTP/1.1";
        assert_eq!(
            added(&[], "192.0.2.1:3031", "198.51.100.7:54321"),
            [protocol, "SCRIPT_NAME=", "REMOTE_ADDR=198.51.100.7", "REMOTE_PORT=54321", "SERVER_NAME=192.0.2.1", "SERVER_PORT=3031"]
        );
        assert_eq!(
            added(&[("REMOTE_ADDR", "203.0.113.5"), ("SERVER_NAME", "example.org")], "192.0.2.1:3031", "198.51.100.7:54321"),
            [protocol, "SCRIPT_NAME="]
        );
        // nginx without a `server_name`
        assert_eq!(
            added(
                &[("REMOTE_ADDR", ""), ("SERVER_NAME", ""), ("SERVER_PORT", "80"), ("SERVER_PROTOCOL", "HTTP/2.0")],
                "[2001:db8::1]:1",
                "[::ffff:192.0.2.9]:2"
            ),
            ["SERVER_NAME=[2001:db8::1]", "SCRIPT_NAME="]
        );
        assert_eq!(
            added(&[], "[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.9]:2")[2..],
            ["REMOTE_ADDR=192.0.2.9", "REMOTE_PORT=2", "SERVER_NAME=192.0.2.1", "SERVER_PORT=1"]
        );
        assert_eq!(added(&[], "unix", "unix"), [protocol, "SCRIPT_NAME=", "REMOTE_ADDR=", "SERVER_NAME=localhost"]);
    }

    #[test]
    fn variables_that_command_a_server_are_left_out() {
        let given =
            [("UWSGI_FILE", "/etc/passwd"), ("UWSGI_", "x"), ("UWSGIX", "kept"), ("HTTP_UWSGI_FILE", "kept"), ("REQUEST_URI", "/?q")];
        let seen = added(&given, "unix", "unix");
        assert_eq!(seen, ["SERVER_PROTOCOL=HTTP/1.1", "SCRIPT_NAME=", "RAW_URI=/?q", "REMOTE_ADDR=", "SERVER_NAME=localhost"]);
        let head = completed(&[&given[..], &[("REQUEST_METHOD", "GET")]].concat(), "unix", "unix", Limits::default()).unwrap();
        assert_eq!(head.get_named(b"UWSGI_FILE"), None);
        assert_eq!(head.get_named(b"UWSGI_"), None);
        assert_eq!(head.get_named(b"UWSGIX"), Some(&b"kept"[..]));
    }

    #[test]
    fn the_length_of_the_body_is_a_number_or_nothing() {
        let limits = Limits { body_bytes: Some(1000), ..Limits::default() };
        let with = |length| {
            completed(&[("REQUEST_METHOD", "POST"), ("PATH_INFO", "/"), ("CONTENT_LENGTH", length)], "unix", "unix", limits.clone())
        };
        for (length, body, left) in [
            ("", BodyLength::Empty, None),
            ("0", BodyLength::Empty, Some("0")),
            ("000", BodyLength::Empty, Some("000")),
            ("1", BodyLength::Known(1), Some("1")),
            ("01000", BodyLength::Known(1000), Some("01000")),
        ] {
            let head = with(length).unwrap();
            assert_eq!(head.body(), body);
            assert_eq!(head.get(Known::ContentLength), left.map(str::as_bytes));
        }
        for length in ["-1", "+1", " 1", "1 ", "1,1", "0x1", "1.0", "99999999999999999999", "\u{660}"] {
            assert_eq!(with(length).unwrap_err().status(), 400, "{length}");
        }
        assert_eq!(with("1001").unwrap_err(), Error::BodyTooLarge { limit: 1000 });
        assert_eq!(with("a\n").unwrap_err().to_string(), "CONTENT_LENGTH is \"a\\n\", expected a decimal number");
    }

    #[test]
    fn without_a_method_there_is_no_request() {
        for given in [&[("PATH_INFO", "/")][..], &[("PATH_INFO", "/"), ("REQUEST_METHOD", "")], &[("SERVER_PROTOCOL", "HTTP/1.1")]] {
            let error = completed(given, "unix", "unix", Limits::default()).unwrap_err();
            assert_eq!(error.status(), 400);
            assert!(error.to_string().contains("REQUEST_METHOD"), "{error}");
        }
    }
}
