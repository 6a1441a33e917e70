//! A small and strict HTTP/1 client over a bare socket, so that a test sees what went over the wire: chunks, truncation, resets.
//!
//! Where a reply breaks HTTP the client panics and says how: a test need not look for that. Where a reply ends early it answers
//! [`Broken`], which many tests ask for.
//! **Out of scope:** everything a real client does for its user: redirects, cookies, pools, content codings.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use wsgi_core::wire::Address;

use crate::column::{Body, Broken, Conversation, Head, Request, Version};
use crate::stream::Stream;

/// One connection to a server of HTTP.
pub struct Wire {
    stream: Stream,
    /// What came and was not yet understood.
    buffer: Vec<u8>,
    /// The methods of the requests that are not answered yet, oldest first: a reply to `HEAD` has no body, whatever its fields say.
    asked: std::collections::VecDeque<String>,
    framing: Framing,
    /// What the last final head said about the connection after its reply.
    keeps: bool,
    /// How the body that is being sent is framed.
    chunked_body: bool,
}

/// How the body of the current reply ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// There is no more of it.
    Over,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Wire {
    /// Connects over TCP.
    pub fn tcp(address: SocketAddr) -> io::Result<Wire> {
        Stream::connect(&Address::Tcp(address)).map(Wire::new)
    }

    /// Connects to a Unix socket.
    pub fn unix(path: &Path) -> io::Result<Wire> {
        Stream::connect(&Address::Unix(Some(path.to_owned()))).map(Wire::new)
    }

    /// Connects to either.
    pub fn to(address: &Address) -> io::Result<Wire> {
        Stream::connect(address).map(Wire::new)
    }

    /// Connects over TCP, and then speaks TLS.
    pub fn tls(address: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Wire> {
        Stream::connect(&Address::Tcp(address))?.secure(config).map(Wire::new)
    }

    fn new(stream: Stream) -> Wire {
        Wire { stream, buffer: Vec::new(), asked: Default::default(), framing: Framing::Over, keeps: true, chunked_body: false }
    }

    /// Sends bytes as they are. A request that is sent so is announced with [`asks`](Self::asks) if it expects a reply without a body.
    pub fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.send(bytes)
    }

    /// Says which method was sent past [`send`](Conversation::send).
    pub fn asks(&mut self, method: &str) {
        self.asked.push_back(method.to_owned());
    }

    /// Reads one whole reply, informational ones before it included.
    pub fn reply(&mut self) -> crate::column::Seen {
        crate::column::collect(self)
    }

    /// Everything that still comes, and how the connection ends.
    pub fn rest(&mut self) -> (Vec<u8>, Result<(), Broken>) {
        loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return (std::mem::take(&mut self.buffer), Ok(())),
                Err(broken) => return (std::mem::take(&mut self.buffer), Err(broken)),
            }
        }
    }

    /// Whether the server has sent something, or ended the connection, that nobody asked it for. Does not wait.
    pub fn stirs(&mut self) -> bool {
        !self.buffer.is_empty() || self.stream.stirs()
    }

    /// The local address, as the server sees its peer.
    pub fn local(&self) -> Option<SocketAddr> {
        self.stream.local()
    }

    /// Reads once into the buffer; false at the end of the stream.
    fn fill(&mut self) -> Result<bool, Broken> {
        let at = self.buffer.len();
        self.buffer.resize(at + 64 * 1024, 0);
        let read = self.stream.receive(&mut self.buffer[at..]);
        self.buffer.truncate(at + read.unwrap_or(0));
        read.map(|count| count > 0)
    }

    /// The next line, without its end.
    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line =
                    line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("a line of the reply ends in a bare LF: {:?}", latin1(&line)));
                assert!(!line.contains(&b'\r'), "a line of the reply has a bare CR: {:?}", latin1(line));
                return Ok(latin1(line));
            }
            if !self.fill()? {
                return Err(Broken::Truncated);
            }
        }
    }

    fn take(&mut self, at_most: usize) -> Result<Option<Vec<u8>>, Broken> {
        if self.buffer.is_empty() && !self.fill()? {
            return Ok(None);
        }
        let n = at_most.min(self.buffer.len());
        Ok(Some(self.buffer.drain(..n).collect()))
    }

    fn exactly(&mut self, n: usize) -> Result<Vec<u8>, Broken> {
        while self.buffer.len() < n {
            if !self.fill()? {
                return Err(Broken::Truncated);
            }
        }
        Ok(self.buffer.drain(..n).collect())
    }

    fn chunk(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let line = self.line()?;
        let digits = line.split(';').next().unwrap_or_default();
        assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "not a chunk size: {line:?}");
        let size = usize::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("a chunk size out of all bounds: {line:?}"));
        if size == 0 {
            let end = self.line()?;
            assert_eq!(end, "", "something follows the last chunk");
            return Ok(None);
        }
        let block = self.exactly(size)?;
        assert_eq!(self.exactly(2)?, b"\r\n", "a chunk is not followed by CR LF");
        Ok(Some(block))
    }

    fn framing(&self, head: &Head, method: &str) -> Framing {
        let coding = head.field("transfer-encoding");
        let length = head.field("content-length");
        assert!(head.fields("content-length").len() <= 1, "a reply with more than one Content-Length: {head:?}");
        assert!(coding.is_none() || length.is_none(), "a reply with both Transfer-Encoding and Content-Length: {head:?}");
        if head.code < 200 || head.code == 204 {
            assert!(coding.is_none() && length.is_none(), "a {} reply with a framing field: {head:?}", head.code);
        }
        if method == "HEAD" || head.code < 200 || matches!(head.code, 204 | 304) {
            return Framing::Over;
        }
        match (coding, length) {
            (Some(coding), _) => {
                assert_eq!(coding.to_ascii_lowercase(), "chunked", "an unknown transfer coding");
                Framing::Chunked
            }
            (None, Some(length)) => {
                assert!(!length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()), "not a length: {length:?}");
                Framing::Length(length.parse().expect("a length in bounds"))
            }
            (None, None) => Framing::UntilClose,
        }
    }
}

impl Conversation for Wire {
    fn send(&mut self, request: &Request) -> io::Result<()> {
        let mut head = format!("{} {} {}\r\n", request.method, request.target, request.version.as_str()).into_bytes();
        let has = |name: &str| request.fields.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        if request.version == Version::Http11 && !has("host") {
            head.extend_from_slice(b"Host: localhost\r\n");
        }
        for (name, value) in &request.fields {
            head.extend_from_slice(name.as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value);
            head.extend_from_slice(b"\r\n");
        }
        match &request.body {
            Body::None => {}
            Body::Whole(body) => head.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes()),
            Body::Later(Some(length)) => head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes()),
            Body::Chunked(_) | Body::Later(None) => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        }
        head.extend_from_slice(b"\r\n");
        self.asked.push_back(request.method.clone());
        self.chunked_body = matches!(request.body, Body::Chunked(_) | Body::Later(None));
        match &request.body {
            Body::Whole(body) if body.len() < 64 * 1024 => {
                head.extend_from_slice(body);
                self.stream.send(&head)
            }
            Body::Whole(body) => {
                self.stream.send(&head)?;
                self.stream.send(body)
            }
            Body::Chunked(pieces) => {
                self.stream.send(&head)?;
                for piece in pieces {
                    self.send_body(piece)?;
                }
                self.end_body()
            }
            Body::None | Body::Later(_) => self.stream.send(&head),
        }
    }

    fn send_body(&mut self, piece: &[u8]) -> io::Result<()> {
        if !self.chunked_body {
            return self.stream.send(piece);
        }
        let mut chunk = format!("{:x}\r\n", piece.len()).into_bytes();
        chunk.extend_from_slice(piece);
        chunk.extend_from_slice(b"\r\n");
        self.stream.send(&chunk)
    }

    fn end_body(&mut self) -> io::Result<()> {
        if self.chunked_body { self.stream.send(b"0\r\n\r\n") } else { Ok(()) }
    }

    fn head(&mut self) -> Result<Head, Broken> {
        assert_eq!(self.framing, Framing::Over, "the reply before this one was not read to its end");
        let line = self.line()?;
        let (version, rest) = line.split_once(' ').unwrap_or_else(|| panic!("not a status line: {line:?}"));
        assert!(matches!(version, "HTTP/1.1" | "HTTP/1.0"), "not a version that was asked for: {line:?}");
        let (code, reason) = rest.split_once(' ').unwrap_or_else(|| panic!("no space after the code: {line:?}"));
        assert!(code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()), "not a code: {line:?}");
        let mut head = Head { code: code.parse().expect("three digits"), reason: reason.to_owned(), fields: Vec::new() };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("a field without a colon: {line:?}"));
            assert!(!name.is_empty() && name.bytes().all(is_token), "not a field name: {line:?}");
            head.fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        let informational = head.code < 200;
        let method = self.asked.front().cloned().unwrap_or_default();
        let framing = self.framing(&head, &method);
        if !informational {
            self.asked.pop_front();
            self.framing = framing;
            let options = head.field("connection").unwrap_or_default().to_ascii_lowercase();
            let says = |option: &str| options.split(',').any(|other| other.trim() == option);
            self.keeps = !says("close") && (version == "HTTP/1.1" || says("keep-alive")) && framing != Framing::UntilClose;
        }
        Ok(head)
    }

    fn block(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let block = match self.framing {
            Framing::Over => None,
            Framing::Length(0) => None,
            Framing::Length(left) => {
                let block = self.take(usize::try_from(left).unwrap_or(usize::MAX))?.ok_or(Broken::Truncated)?;
                self.framing = Framing::Length(left - block.len() as u64);
                Some(block)
            }
            Framing::Chunked => self.chunk()?,
            Framing::UntilClose => self.take(usize::MAX)?,
        };
        if block.is_none() {
            self.framing = Framing::Over;
        }
        Ok(block)
    }

    fn stop_sending(&mut self) {
        self.stream.end_sending();
    }

    fn leave(self: Box<Self>) {
        self.stream.reset();
    }

    fn reusable(&self) -> bool {
        self.keeps && self.framing == Framing::Over
    }

    fn address(&self) -> Option<SocketAddr> {
        self.local()
    }
}

/// Bytes as WSGI sees them.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;

    use super::*;
    use crate::column::{End, collect};

    /// What the client makes of a reply that is these bytes and then the end of the stream.
    fn seen(method: &str, reply: &[u8]) -> crate::column::Seen {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let mut wire = Wire::tcp(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        server.write_all(reply).unwrap();
        drop(server);
        wire.asks(method);
        collect(&mut wire)
    }

    #[test]
    fn a_reply_that_stops_short_of_its_framing_is_aborted() {
        for reply in [
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n0\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfour",
        ] {
            let seen = seen("GET", reply.as_bytes());
            assert_eq!(seen.end, End::Aborted(Broken::Truncated), "{reply:?}");
        }
        assert_eq!(seen("GET", b"HTTP/1.1 200 OK\r\nContent-").end, End::Aborted(Broken::Truncated));
    }

    #[test]
    fn a_whole_reply_is_clean_and_tells_its_blocks_apart() {
        let chunked = seen("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n2\r\nto\r\n0\r\n\r\n");
        assert_eq!((chunked.end, chunked.blocks), (End::Clean, vec![b"four".to_vec(), b"to".to_vec()]));
        let length = seen("GET", b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Length: 4\r\n\r\nfour");
        assert_eq!((length.end, length.body(), length.informational.len(), length.reason()), (End::Clean, b"four".to_vec(), 1, "Fine"));
        let head = seen("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
        assert_eq!((head.end, head.blocks.len(), head.reusable), (End::Clean, 0, true));
        let closing = seen("GET", b"HTTP/1.0 200 OK\r\n\r\nfour");
        assert_eq!((closing.end, closing.body(), closing.reusable), (End::Clean, b"four".to_vec(), false));
    }

    #[test]
    fn a_reply_that_breaks_http_is_a_panic() {
        for reply in [
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 OK\nX: y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX y\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
            "HTTP/1.1 200 OK\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+4\r\nfour\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfourX\r\n0\r\n\r\n",
        ] {
            assert!(std::panic::catch_unwind(|| seen("GET", reply.as_bytes())).is_err(), "{reply:?}");
        }
    }
}
