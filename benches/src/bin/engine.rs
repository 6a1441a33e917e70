//! The engine without what surrounds it: the bare loop's work, done by `wsgi_core::server`.
//!
//! ```text
//! engine HOST:PORT [--threads N]
//! ```
//!
//! The codec understands as little as the bare loop does and the handler is Rust, so what this costs beyond `bare` is the engine's own work:
//! slots, deadlines, the exchange. What the whole server costs beyond this is HTTP and Python.

use std::error::Error;

use bytes::{Buf as _, BytesMut};
use http::StatusCode;
use memchr::memmem;
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::{self, Event, HttpDate, Known, Link, Next, Protocol, RequestHead, ResponseHead};
use wsgi_core::{Exchange, Handler};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("usage: engine HOST:PORT [--threads N]")?;
    let threads = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => 1,
        (Some("--threads"), Some(number)) => number.parse()?,
        (Some(option), _) => return Err(format!("unknown option {option}").into()),
    };
    let listener = Listener::bind(&address.parse()?)?;
    let heads = |_: &Link| Box::new(Heads { body: false }) as Box<dyn Protocol>;
    Server::new(Hello::new()).listen(listener, heads).threads(threads).start()?.wait();
    Ok(())
}

/// Answers with a text.
struct Hello {
    head: ResponseHead,
}

impl Hello {
    fn new() -> Hello {
        Hello { head: ResponseHead::plain(StatusCode::OK, TEXT.len() as u64) }
    }
}

impl Handler for Hello {
    fn handle(&self, exchange: &mut dyn Exchange) {
        exchange.start(&self.head);
        exchange.data(TEXT);
        exchange.finish();
    }
}

/// A codec that knows of HTTP only where a head ends.
struct Heads {
    /// Whether a head was given and the end of its body was not.
    body: bool,
}

impl Protocol for Heads {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, wire::Error> {
        if std::mem::take(&mut self.body) {
            return Ok(Event::EndOfBody);
        }
        let Some(at) = memmem::find(input, b"\r\n\r\n") else { return Ok(Event::NeedInput) };
        input.advance(at + 4);
        head.clear();
        head.set(Known::RequestMethod, b"GET");
        self.body = true;
        Ok(Event::Head)
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<Event, wire::Error> {
        Ok(Event::Closed)
    }

    fn expect_body(&mut self, _: &mut Vec<u8>) {}

    fn start(&mut self, head: &ResponseHead, date: &HttpDate, out: &mut Vec<u8>) {
        for part in [b"HTTP/1.1 ", head.status_line(), b"\r\nDate: ", date.as_bytes(), b"\r\n", head.lines(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(block);
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Next {
        self.body = false;
        Next::Request
    }

    fn refuse(&mut self, _: &wire::Error, _: &HttpDate, _: &mut Vec<u8>) {}

    fn idle(&self) -> bool {
        !self.body
    }

    fn close_after_reply(&mut self) {}
}

const TEXT: &[u8] = b"Hello, world!\n";
