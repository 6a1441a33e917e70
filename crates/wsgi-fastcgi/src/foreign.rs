//! Which other protocol the first bytes of a connection look like: someone has the wrong port, and is to be told so in a sentence.

use wsgi_core::wire::Error;

/// A protocol that is not spoken on this port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    Http,
    Tls,
    Uwsgi,
    Scgi,
    /// The line or the header that a load balancer puts in front of a connection.
    Proxy,
    Unknown,
}

impl Foreign {
    /// Judges a connection by its first four bytes. `None` if they may be FastCGI, whose first byte is its version, or are not there yet.
    pub(crate) fn recognise(input: &[u8]) -> Option<Foreign> {
        let (&[a, b, c, d], _) = input.split_first_chunk()?;
        let letter = |byte: u8| byte.is_ascii_uppercase() || byte == b'-';
        Some(match [a, b, c, d] {
            [1, ..] => return None,
            // A handshake record of SSL 3.0 to TLS 1.3 (RFC 8446, 5.1).
            [0x16, 3, 0..=4, _] => Foreign::Tls,
            [b'P', b'R', b'O', b'X'] | [b'\r', b'\n', b'\r', b'\n'] => Foreign::Proxy,
            // A method is in capitals and nearly always has three letters or more.
            [a, b, c, d] if [a, b, c].into_iter().all(letter) && (letter(d) || d == b' ') => Foreign::Http,
            // The length of a netstring.
            [b'0'..=b'9', b, ..] if b.is_ascii_digit() || b == b':' => Foreign::Scgi,
            // modifier1, size, modifier2: of a request to a WSGI application, and a ping.
            [0 | 30 | 100, _, _, 0] => Foreign::Uwsgi,
            _ => Foreign::Unknown,
        })
    }

    /// Why such a peer is refused.
    pub(crate) fn error(self, input: &[u8]) -> Error {
        let got = match self {
            Foreign::Http => "an HTTP request; a front server reaches it with fastcgi_pass (nginx) or fcgi:// (Apache), a browser does not",
            Foreign::Tls => "a TLS handshake; TLS ends at the front server",
            Foreign::Uwsgi => "a uwsgi packet; nginx needs fastcgi_pass in place of uwsgi_pass",
            Foreign::Scgi => "an SCGI request; nginx needs fastcgi_pass in place of scgi_pass",
            Foreign::Proxy => "a PROXY protocol header; the front server must not send one",
            Foreign::Unknown => {
                let first = &input[..input.len().min(4)];
                return Error::malformed(format!(
                    "this port speaks FastCGI, got \"{}\", expected a record of version 1",
                    first.escape_ascii()
                ));
            }
        };
        Error::malformed(format!("this port speaks FastCGI, got {got}"))
    }

    /// What stands before the status in a reply that such a peer understands, if there is any.
    pub(crate) fn status_line(self) -> Option<&'static [u8]> {
        match self {
            Foreign::Http | Foreign::Uwsgi => Some(b"HTTP/1.0 "),
            Foreign::Scgi => Some(b"Status: "),
            Foreign::Tls | Foreign::Proxy | Foreign::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_told_by_their_first_bytes() {
        for (first, expected) in [
            (&b"GET / HTTP/1.1\r\n"[..], Some(Foreign::Http)),
            (b"POST", Some(Foreign::Http)),
            (b"M-SEARCH", Some(Foreign::Http)),
            (b"PRI * HTTP/2.0", Some(Foreign::Http)),
            (b"PROPFIND", Some(Foreign::Http)),
            (b"PROXY TCP4", Some(Foreign::Proxy)),
            (b"\r\n\r\n\0\r\nQUIT\n", Some(Foreign::Proxy)),
            (b"\x16\x03\x01\x02\x00", Some(Foreign::Tls)),
            (b"\x16\x00\x01\x00", Some(Foreign::Unknown)),
            (b"\x00\x10\x01\x00", Some(Foreign::Uwsgi)),
            (b"\x64\0\0\0", Some(Foreign::Uwsgi)),
            (b"70:CONTENT_LENGTH", Some(Foreign::Scgi)),
            (b"7:CO", Some(Foreign::Scgi)),
            (b"GET", None),
            (b"get /", Some(Foreign::Unknown)),
            (b"\x02\x01\x00\x01", Some(Foreign::Unknown)),
            (b"\x01\x01\x00\x01", None),
            (b"\x01\xff\xff\xff", None),
            (b"", None),
        ] {
            assert_eq!(Foreign::recognise(first), expected, "{}", first.escape_ascii());
        }
    }

    #[test]
    fn the_sentence_says_what_to_do() {
        assert_eq!(
            Foreign::Uwsgi.error(b"\0").to_string(),
            "this port speaks FastCGI, got a uwsgi packet; nginx needs fastcgi_pass in place of uwsgi_pass"
        );
        assert_eq!(
            Foreign::Unknown.error(b"\x02\x01\x00\x01\x00").to_string(),
            "this port speaks FastCGI, got \"\\x02\\x01\\x00\\x01\", expected a record of version 1"
        );
    }
}
