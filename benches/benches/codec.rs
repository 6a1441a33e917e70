//! What the HTTP codec costs: heads, bodies and replies.
//!
//! ```text
//! cargo bench -p wsgi-benches --bench codec [-- PART-OF-A-NAME...]
//! ```
//!
//! Each row begins with a copy of its bytes into the input buffer, as a read from a socket does, and ends with the least reply, without
//! which there is no next request. What these cost alone are rows too.

use bytes::BytesMut;
use wsgi_benches::{BARE, BROWSER, Stopwatch, link, unknown};
use wsgi_core::wire::{Dialect, Event, HttpDate, Known, Next, Protocol, RequestHead, ResponseHead, Underscores};
use wsgi_http::Http1;

fn main() {
    let watch = Stopwatch::new("HTTP codec");
    heads(&watch);
    bodies(&watch);
    replies(&watch);
    wire(&watch);
}

fn heads(watch: &Stopwatch) {
    let mut connection = Connection::new();
    watch.row("copy of a bare request", || connection.fill(unknown(BARE)));
    watch.row("copy of a browser's request", || connection.fill(unknown(BROWSER)));
    for (name, request) in [("bare request", BARE), ("browser's request", BROWSER)] {
        watch.row(&format!("{name}: head, least reply"), || {
            connection.fill(unknown(request));
            assert_eq!(connection.poll(), Event::Head);
            connection.answer();
        });
        let (first, second) = request.split_at(request.len() - 20);
        watch.row(&format!("{name}: head in two pieces, least reply"), || {
            connection.fill(unknown(first));
            assert_eq!(connection.poll(), Event::NeedInput);
            connection.input.extend_from_slice(second);
            assert_eq!(connection.poll(), Event::Head);
            connection.answer();
        });
    }
}

fn bodies(watch: &Stopwatch) {
    let body = vec![b'x'; 64 * 1024];
    let sized = [format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let mut connection = Connection::new();
    watch.row("copy of 64 KiB", || connection.fill(unknown(&body)));
    watch.row("body of 64 KiB by length", || connection.request(unknown(&sized), body.len()));
    for size in [64, 1024, 8192] {
        let mut chunked = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for block in body.chunks(size) {
            chunked.extend_from_slice(format!("{:x}\r\n", block.len()).as_bytes());
            chunked.extend_from_slice(block);
            chunked.extend_from_slice(b"\r\n");
        }
        chunked.extend_from_slice(b"0\r\n\r\n");
        watch.row(&format!("body of 64 KiB in chunks of {size}"), || connection.request(unknown(&chunked), body.len()));
    }
}

fn replies(watch: &Stopwatch) {
    let mut connection = Connection::new();
    let sized = reply(Some(14));
    let unsized_ = reply(None);
    let few = [b'x'; 14];
    let block = [b'x'; 1024];
    // A reply needs a request.
    let mut row = |name: &str, reply: &ResponseHead, blocks: usize, block: &[u8]| {
        watch.row(name, || {
            connection.fill(BARE);
            assert_eq!(connection.poll(), Event::Head);
            connection.codec.start(unknown(reply), &connection.date, &mut connection.out);
            for _ in 0..blocks {
                connection.codec.data(unknown(block), &mut connection.out);
            }
            connection.end();
        });
    };
    row("bare request, reply of 14 bytes by length", &sized, 1, &few);
    row("bare request, reply in no chunk", &unsized_, 0, &few);
    row("bare request, reply in 1 chunk of 14 bytes", &unsized_, 1, &few);
    row("bare request, reply in 100 chunks of 1 KiB", &unsized_, 100, &block);
}

/// What codecs and applications are made of.
fn wire(watch: &Stopwatch) {
    let fields: Vec<(&[u8], &[u8])> = BROWSER
        .split(|&byte| byte == b'\n')
        .skip(1)
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
        .collect();
    let mut head = RequestHead::default();
    watch.row("RequestHead: method, target, 13 fields", || {
        head.clear();
        head.set(Known::RequestMethod, unknown(b"GET"));
        head.target(unknown(b"/")).expect("a sound target");
        for (name, value) in &fields {
            head.field(name, value, Underscores::Drop).expect("a sound field");
        }
        unknown(&head);
    });
    let mut made = ResponseHead::default();
    watch.row("ResponseHead: status, 2 fields", || {
        made.reset(unknown(b"200 OK")).expect("a sound status");
        made.field(b"Content-Type", unknown(b"text/plain")).expect("a sound field");
        made.field(b"Content-Length", unknown(b"14")).expect("a sound field");
        unknown(&made);
    });
}

fn reply(length: Option<u64>) -> ResponseHead {
    let mut reply = ResponseHead::new(b"200 OK").expect("a sound status");
    reply.field(b"Content-Type", b"text/plain").expect("a sound field");
    if let Some(length) = length {
        reply.set_content_length(length);
    }
    reply
}

/// A codec with its buffers.
struct Connection {
    codec: Box<dyn Protocol>,
    input: BytesMut,
    head: RequestHead,
    date: HttpDate,
    out: Vec<u8>,
    sized: ResponseHead,
}

impl Connection {
    fn new() -> Connection {
        Connection {
            codec: Http1::new().connect(&link(54321)),
            input: BytesMut::with_capacity(128 * 1024),
            head: RequestHead::default(),
            date: HttpDate::from_unix(784_111_777),
            out: Vec::with_capacity(128 * 1024),
            sized: reply(Some(0)),
        }
    }

    fn fill(&mut self, bytes: &[u8]) {
        self.input.clear();
        self.input.reserve(bytes.len());
        self.input.extend_from_slice(bytes);
        unknown(&self.input);
    }

    fn poll(&mut self) -> Event {
        let event = self.codec.poll(&mut self.input, &mut self.head, &mut self.out).expect("a sound request");
        unknown(&self.head);
        event
    }

    /// A whole request with a body of `length` bytes, thrown away, and the least reply.
    fn request(&mut self, bytes: &[u8], length: usize) {
        self.fill(bytes);
        assert_eq!(self.poll(), Event::Head);
        let mut left = length;
        loop {
            match self.poll() {
                Event::Body(piece) => left -= piece.len(),
                event => {
                    assert_eq!((event, left), (Event::EndOfBody, 0));
                    break;
                }
            }
        }
        self.codec.start(&self.sized, &self.date, &mut self.out);
        self.finish();
    }

    /// To the next request, by the shortest way.
    fn answer(&mut self) {
        self.codec.start(&self.sized, &self.date, &mut self.out);
        self.end();
    }

    fn end(&mut self) {
        assert_eq!(self.poll(), Event::EndOfBody);
        self.finish();
    }

    fn finish(&mut self) {
        assert_eq!(self.codec.finish(&mut self.out), Next::Request);
        unknown(&self.out);
        self.out.clear();
    }
}
