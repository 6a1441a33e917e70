//! How a reply goes out: its head, and its body in the framing that was chosen (RFC 9112, 4, 6 and 7.1).

use wsgi_core::wire::{Error, HttpDate, ResponseHead};

/// How the end of a reply's body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By the declared length; so many bytes are still owed.
    Length(u64),
    /// By the last chunk.
    Chunked,
    /// By the end of the connection.
    UntilClose,
    /// There is none to send: `HEAD`, 204, 304.
    Silent,
}

/// What the reply says of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Nothing: HTTP/1.1 stays open unless told otherwise.
    Implied,
    /// `Connection: keep-alive`, for HTTP/1.0.
    KeepAlive,
    /// `Connection: close`.
    Close,
}

/// Who answers: the `Server` field, rendered once.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    /// `Server: `, the software, CR LF, `Date: `: what stands before the date in nearly every reply.
    line: Box<[u8]>,
}

impl Signature {
    /// The text is one that a field may hold.
    pub(crate) fn new(software: &str) -> Signature {
        Signature { line: [SERVER, software.as_bytes(), b"\r\n", DATE].concat().into() }
    }

    pub(crate) fn software(&self) -> &[u8] {
        &self.line[SERVER.len()..self.line.len() - b"\r\n".len() - DATE.len()]
    }

    fn server_line(&self) -> &[u8] {
        &self.line[..self.line.len() - DATE.len()]
    }
}

impl Default for Signature {
    fn default() -> Signature {
        Signature::new(concat!("wsgi-rs/", env!("CARGO_PKG_VERSION")))
    }
}

/// Queues the head of a final reply.
pub(crate) fn head(
    head: &ResponseHead,
    framing: Framing,
    persistence: Persistence,
    signature: &Signature,
    date: &HttpDate,
    out: &mut Vec<u8>,
) {
    out.reserve(head.status_line().len() + head.lines().len() + signature.line.len() + MOST_ADDED);
    out.extend_from_slice(VERSION);
    out.extend_from_slice(head.status_line());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(head.lines());
    match (head.has_server(), head.has_date()) {
        (false, false) => out.extend_from_slice(&signature.line),
        (false, true) => out.extend_from_slice(signature.server_line()),
        (true, false) => out.extend_from_slice(DATE),
        (true, true) => {}
    }
    if !head.has_date() {
        out.extend_from_slice(date.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if framing == Framing::Chunked {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    out.extend_from_slice(match persistence {
        Persistence::Implied => b"\r\n",
        Persistence::KeepAlive => b"Connection: keep-alive\r\n\r\n",
        Persistence::Close => b"Connection: close\r\n\r\n",
    });
}

/// Queues an informational reply: its own fields and nothing else, for the final reply is still to come.
pub(crate) fn informational(head: &ResponseHead, out: &mut Vec<u8>) {
    out.extend_from_slice(VERSION);
    out.extend_from_slice(head.status_line());
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(head.lines());
    out.extend_from_slice(b"\r\n");
}

/// Queues a whole reply that says why there is no other.
pub(crate) fn refusal(error: &Error, silent: bool, signature: &Signature, date: &HttpDate, out: &mut Vec<u8>) {
    let (reply, text) = error.reply();
    head(&reply, Framing::Length(text.len() as u64), Persistence::Close, signature, date, out);
    if !silent {
        out.extend_from_slice(text.as_bytes());
    }
}

/// Queues the line that precedes a chunk of `size` bytes. A size of 0 would end the body.
pub(crate) fn chunk_size(size: u64, out: &mut Vec<u8>) {
    let mut line = *b"0000000000000000\r\n";
    let mut at = line.len() - 2;
    let mut rest = size;
    while rest > 0 {
        at -= 1;
        line[at] = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
    }
    out.extend_from_slice(&line[at..]);
}

/// What ends a chunk.
pub(crate) const CHUNK_END: &[u8] = b"\r\n";
/// What ends a chunked body, without trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
/// RFC 9110, 15.2.1.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Also to HTTP/1.0: a server names the highest version that it speaks (RFC 9110, 2.5).
const VERSION: &[u8] = b"HTTP/1.1 ";
const SERVER: &[u8] = b"Server: ";
const DATE: &[u8] = b"Date: ";
/// The version, two line ends, a date, a transfer coding, a connection option.
const MOST_ADDED: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_sizes_are_hexadecimal_without_leading_zeros() {
        for (size, line) in
            [(1, "1\r\n"), (9, "9\r\n"), (10, "a\r\n"), (16, "10\r\n"), (0xdead_beef, "deadbeef\r\n"), (u64::MAX, "ffffffffffffffff\r\n")]
        {
            let mut out = Vec::new();
            chunk_size(size, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), line);
        }
    }
}
