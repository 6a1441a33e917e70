//! A protocol of its own for tests, small enough to see through.
//!
//! A request is a line `PATH LENGTH`, then LENGTH bytes. A reply is a line `CODE LENGTH`, then LENGTH bytes, or `CODE -`, then bytes until
//! the end. `close` as a path ends the connection after the reply. `!` after a request withdraws it, and `# TEXT` before a reply is for the log.

use bytes::BytesMut;
use wsgi_core::wire::{Address, BodyLength, CloseReason, Error, Event, HttpDate, Known, Link, Next, Protocol, RequestHead, ResponseHead};

/// The dialect.
pub(crate) fn lines(link: &Link) -> Box<dyn Protocol> {
    assert!(matches!(link.local, Address::Tcp(_)) == matches!(link.remote, Address::Tcp(_)));
    Box::new(Lines::default())
}

/// The server's half of a connection.
#[derive(Default)]
struct Lines {
    left: u64,
    ended: bool,
    in_request: bool,
    open_ended: bool,
    close: bool,
    no_raw: bool,
    /// Bodies go out in pieces, each announced by a line.
    pieces: bool,
    /// Replies begin with a line that holds the date.
    dated: bool,
    /// Replies begin with their fields, and an empty line.
    fields: bool,
    /// Replies end with a mark.
    marked: bool,
    /// Nothing goes out before `seal`, and an idle peer is owed a word.
    holds: bool,
    held: Vec<u8>,
    /// The peer wants no reply any more.
    withdrawn: bool,
}

impl Protocol for Lines {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, Error> {
        if self.in_request {
            if self.left == 0 {
                self.ended = true;
                return Ok(Event::EndOfBody);
            }
            if input.is_empty() {
                return Ok(Event::NeedInput);
            }
            let piece = input.split_to(input.len().min(self.left as usize)).freeze();
            self.left -= piece.len() as u64;
            return Ok(Event::Body(piece));
        }
        if input.starts_with(WITHDRAWN) {
            // Of a request that is over.
            let _ = input.split_to(WITHDRAWN.len());
        }
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(Event::NeedInput) };
        let line = input.split_to(end + 1);
        let line = std::str::from_utf8(&line[..end]).map_err(|_| Error::malformed("not text"))?;
        let (path, length) = line.split_once(' ').ok_or_else(|| Error::malformed("no space"))?;
        assert!(path != "/panic-in-codec", "as the test wants");
        self.left = length.parse().map_err(|_| Error::malformed("no length"))?;
        self.in_request = true;
        self.ended = self.left == 0;
        self.close |= path == "/close";
        self.no_raw = path == "/copied" || path == "/held";
        self.pieces = path == "/pieces";
        self.dated = path == "/dated";
        self.fields = path == "/fields";
        self.marked = path == "/marked";
        self.holds = path == "/held";
        self.withdrawn = false;
        head.clear();
        head.set(Known::PathInfo, path.as_bytes());
        head.set_body(if self.left == 0 { BodyLength::Empty } else { BodyLength::Known(self.left) });
        Ok(Event::Head)
    }

    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
        if self.in_request || !input.is_empty() { Err(Error::Truncated("request")) } else { Ok(Event::Closed) }
    }

    fn expect_body(&mut self, _: &mut Vec<u8>) {}

    fn start(&mut self, head: &ResponseHead, date: &HttpDate, out: &mut Vec<u8>) {
        if self.dated {
            out.extend_from_slice(format!("{}\n", date.unix_seconds()).as_bytes());
        }
        if self.fields {
            out.extend_from_slice(&[head.lines(), b"\r\n"].concat());
        }
        self.open_ended = head.content_length().is_none();
        let length = head.content_length().map_or("-".to_owned(), |length| length.to_string());
        out.extend_from_slice(format!("{} {length}\n", head.code()).as_bytes());
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        if self.holds {
            self.held.extend_from_slice(block);
        } else if self.pieces {
            for piece in block.chunks(MOST_IN_A_PIECE) {
                assert!(self.raw(piece.len() as u64, out));
                out.extend_from_slice(piece);
                self.raw_end(out);
            }
        } else {
            out.extend_from_slice(block);
        }
    }

    fn raw(&mut self, len: u64, out: &mut Vec<u8>) -> bool {
        if self.pieces {
            assert!(len <= self.raw_limit());
            out.extend_from_slice(format!("<{len}\n").as_bytes());
        }
        !self.no_raw
    }

    fn raw_limit(&self) -> u64 {
        if self.pieces { MOST_IN_A_PIECE as u64 } else { u64::MAX }
    }

    fn raw_end(&mut self, out: &mut Vec<u8>) {
        if self.pieces {
            out.push(b'>');
        }
    }

    fn seal(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        if self.holds {
            out.extend_from_slice(b"farewell");
        }
    }

    fn log(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        if !text.is_empty() {
            out.extend_from_slice(&[b"# ", text, b"\n"].concat());
        }
        true
    }

    fn withdraws(&self) -> bool {
        true
    }

    fn withdrawn(&mut self, input: &[u8]) -> bool {
        self.withdrawn = input.starts_with(WITHDRAWN);
        self.withdrawn
    }

    fn abort(&mut self, out: &mut Vec<u8>) -> Next {
        if self.withdrawn { self.finish(out) } else { Next::Close(CloseReason::Reset) }
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Next {
        self.in_request = false;
        if self.marked {
            out.extend_from_slice(MARK);
        }
        if self.left > 0 {
            Next::Close(CloseReason::UnreadBody)
        } else if self.open_ended || self.close {
            Next::Close(CloseReason::EndOfReply)
        } else {
            Next::Request
        }
    }

    fn refuse(&mut self, error: &Error, _: &HttpDate, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{} 0\n", error.status().as_u16()).as_bytes());
    }

    fn idle(&self) -> bool {
        !self.in_request
    }

    fn close_after_reply(&mut self) {
        self.close = true;
    }
}

const WITHDRAWN: &[u8] = b"!";
/// What a reply to `/marked` ends with.
pub(crate) const MARK: &[u8] = b"<end>";
const MOST_IN_A_PIECE: usize = 50_000;
