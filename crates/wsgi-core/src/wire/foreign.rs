//! Which protocol the first bytes of a connection look like: someone has the wrong port, and is to be told so in a sentence.

use super::Error;

/// A protocol that may have come to a port for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Foreign {
    /// A request line of HTTP.
    Http,
    /// A handshake of TLS.
    Tls,
    /// A packet of uwsgi: a request to a WSGI application, a file to run, or a ping.
    Uwsgi,
    /// The record that begins a request of FastCGI.
    FastCgi,
    /// The netstring of SCGI.
    Scgi,
    /// The line or the header that a load balancer puts in front of a connection.
    Proxy,
}

impl Foreign {
    /// Judges by the first four bytes, for whoever knows that they are not what the port speaks, or asks whether the answer is another one.
    pub fn recognise(first: [u8; 4]) -> Option<Foreign> {
        let method = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        match first {
            // A handshake record of SSL 3.0 to TLS 1.3 (RFC 8446, 5.1).
            [0x16, 3, 0..=4, _] => Some(Foreign::Tls),
            [b'P', b'R', b'O', b'X'] | [b'\r', b'\n', b'\r', b'\n'] => Some(Foreign::Proxy),
            // A method is in capitals and nearly always has three letters or more.
            [a, b, c, d] if [a, b, c].into_iter().all(method) && (method(d) || d == b' ') => Some(Foreign::Http),
            // FCGI_BEGIN_REQUEST of version 1, with a request id below 256.
            [1, 1, 0, _] => Some(Foreign::FastCgi),
            first if netstring(&first) => Some(Foreign::Scgi),
            // modifier1, size, modifier2.
            [0 | 30 | 100, _, _, 0] => Some(Foreign::Uwsgi),
            _ => None,
        }
    }

    /// Why such a peer is refused on a port for `protocol`, as which nginx has the directive `pass` (`uwsgi_pass`).
    pub fn refusal(self, protocol: &str, pass: &str) -> Error {
        let got = match self {
            Foreign::Http => format!("an HTTP request; a browser needs a port for HTTP, and nginx has {pass} for this one"),
            Foreign::Tls => "a TLS handshake; TLS ends at the front server".to_owned(),
            Foreign::Uwsgi => format!("a uwsgi packet; nginx needs {pass} in place of uwsgi_pass"),
            Foreign::FastCgi => format!("a FastCGI record; nginx needs {pass} in place of fastcgi_pass"),
            Foreign::Scgi => format!("an SCGI request; nginx needs {pass} in place of scgi_pass"),
            Foreign::Proxy => "a PROXY protocol header; the front server must not send one".to_owned(),
        };
        Error::malformed(format!("this port speaks {protocol}, got {got}"))
    }

    /// What stands before the status in a reply that such a peer understands, if there is any.
    pub fn before_status(self) -> Option<&'static [u8]> {
        match self {
            Foreign::Http | Foreign::Uwsgi => Some(b"HTTP/1.0 "),
            Foreign::Scgi => Some(b"Status: "),
            Foreign::FastCgi | Foreign::Tls | Foreign::Proxy => None,
        }
    }
}

/// Whether it may be the length of one.
fn netstring(first: &[u8; 4]) -> bool {
    let digits = first.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && first.get(digits).is_none_or(|&byte| byte == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_told_by_their_first_bytes() {
        for (first, expected) in [
            (b"GET ", Some(Foreign::Http)),
            (b"POST", Some(Foreign::Http)),
            (b"M-SE", Some(Foreign::Http)),
            (b"PRI ", Some(Foreign::Http)),
            (b"PROP", Some(Foreign::Http)),
            (b"PROX", Some(Foreign::Proxy)),
            (b"\r\n\r\n", Some(Foreign::Proxy)),
            (b"GET\0", None),
            (b"get ", None),
            (b"\x16\x03\x01\x02", Some(Foreign::Tls)),
            (b"\x16\x00\x01\x00", None),
            (b"\x01\x01\x00\x01", Some(Foreign::FastCgi)),
            (b"\x01\xff\xff\xff", None),
            (b"\x02\x01\x00\x01", None),
            (b"70:C", Some(Foreign::Scgi)),
            (b"7:CO", Some(Foreign::Scgi)),
            (b"1234", Some(Foreign::Scgi)),
            (b":123", None),
            (b"12ab", None),
            (b"\x00\x10\x01\x00", Some(Foreign::Uwsgi)),
            (b"\x1e\x10\x01\x00", Some(Foreign::Uwsgi)),
            (b"\x64\0\0\0", Some(Foreign::Uwsgi)),
            (b"\xff\xff\xff\xff", None),
        ] {
            assert_eq!(Foreign::recognise(*first), expected, "{}", first.escape_ascii());
        }
    }

    #[test]
    fn the_sentence_says_what_to_do() {
        assert_eq!(
            Foreign::Http.refusal("uwsgi", "uwsgi_pass").to_string(),
            "this port speaks uwsgi, got an HTTP request; a browser needs a port for HTTP, and nginx has uwsgi_pass for this one"
        );
        assert_eq!(
            Foreign::Uwsgi.refusal("FastCGI", "fastcgi_pass").to_string(),
            "this port speaks FastCGI, got a uwsgi packet; nginx needs fastcgi_pass in place of uwsgi_pass"
        );
    }
}
