//! Which other protocol the first bytes of a connection look like: someone has the wrong port, and is to be told so in a sentence.

use wsgi_core::wire::Error;

/// A protocol that is not spoken on this port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    Http,
    Tls,
    Uwsgi,
    FastCgi,
    Scgi,
    /// The line or the header that a load balancer puts in front of a connection.
    Proxy,
}

impl Foreign {
    /// Judges by the first four bytes. None of the answers begins a packet of modifier1 0, 30 or 100, except `Uwsgi`.
    pub(crate) fn recognise(first: [u8; 4]) -> Option<Foreign> {
        let method = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        match first {
            // A handshake record of SSL 3.0 to TLS 1.3 (RFC 8446, 5.1).
            [0x16, 0x03, 0..=4, _] => Some(Foreign::Tls),
            [b'P', b'R', b'O', b'X'] | [b'\r', b'\n', b'\r', b'\n'] => Some(Foreign::Proxy),
            // A request line begins with a method in capitals, nearly always of three letters or more.
            [a, b, c, d] if method(a) && method(b) && method(c) && (method(d) || d == b' ') => Some(Foreign::Http),
            // FCGI_BEGIN_REQUEST of version 1, with a request id below 256.
            [1, 1, 0, _] => Some(Foreign::FastCgi),
            // The length of a netstring.
            [a, b, c, d] if netstring(&[a, b, c, d]) => Some(Foreign::Scgi),
            [0 | 30, _, _, 0] => Some(Foreign::Uwsgi),
            _ => None,
        }
    }

    /// Why such a peer is refused on a port for `protocol` (`uwsgi`, `SCGI`), which nginx speaks with `pass`.
    pub(crate) fn refusal(self, protocol: &str, pass: &str) -> Error {
        let (got, instead) = match self {
            Foreign::Http => ("an HTTP request", "use --http for browsers"),
            Foreign::Tls => ("a TLS handshake", "use --http for browsers"),
            Foreign::Uwsgi => ("a uwsgi packet", "use --uwsgi-socket for that"),
            Foreign::FastCgi => ("a FastCGI record", "use --fastcgi-socket for that"),
            Foreign::Scgi => ("an SCGI request", "use --scgi-socket for that"),
            Foreign::Proxy => {
                return Error::malformed(format!(
                    "this port speaks the {protocol} protocol, got a PROXY protocol header; the front server must not send one"
                ));
            }
        };
        Error::malformed(format!("this port speaks the {protocol} protocol, got {got}; {instead}, or {pass} in nginx"))
    }
}

fn netstring(first: &[u8; 4]) -> bool {
    let digits = first.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && first.get(digits).is_none_or(|&byte| byte == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_told_by_their_first_bytes() {
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
            (b"70:C", Some(Foreign::Scgi)),
            (b"7:CO", Some(Foreign::Scgi)),
            (b"1234", Some(Foreign::Scgi)),
            (b":123", None),
            (b"12ab", None),
            (b"\x00\x10\x01\x00", Some(Foreign::Uwsgi)),
            (b"\x1e\x10\x01\x00", Some(Foreign::Uwsgi)),
            (b"\x64\0\0\0", None),
            (b"\xff\xff\xff\xff", None),
        ] {
            assert_eq!(Foreign::recognise(*first), expected, "{}", first.escape_ascii());
        }
    }

    #[test]
    fn the_sentence_says_what_to_do() {
        assert_eq!(
            Foreign::Http.refusal("uwsgi", "uwsgi_pass").to_string(),
            "this port speaks the uwsgi protocol, got an HTTP request; use --http for browsers, or uwsgi_pass in nginx"
        );
        assert_eq!(
            Foreign::Proxy.refusal("SCGI", "scgi_pass").to_string(),
            "this port speaks the SCGI protocol, got a PROXY protocol header; the front server must not send one"
        );
    }
}
