//! What a peer can make the engine keep: alone in its process, for it is measured.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::{Address, BodyLength, CloseReason, Error, Event, HttpDate, Known, Link, Next, Protocol, RequestHead, ResponseHead};
use wsgi_core::{Exchange, Handler};

/// Each byte that arrives alone used to keep the whole buffer that it was read into: 64 KiB for one.
#[test]
fn a_body_that_trickles_in_takes_no_more_memory_than_it_has_bytes() {
    let seen = Arc::new(AtomicUsize::new(0));
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    let counter = Arc::clone(&seen);
    let dialect = move |_: &Link| Box::new(Bytewise { seen: Arc::clone(&counter), ..Bytewise::default() }) as Box<dyn Protocol>;
    let running = Server::new(Echo).listen(listener, dialect).start().unwrap();
    let mut peer = TcpStream::connect(address).unwrap();
    peer.set_nodelay(true).unwrap();

    let body: Vec<u8> = (0..BODY_BYTES).map(|n| n as u8).collect();
    let mut before = 0;
    for (at, byte) in body.iter().enumerate() {
        peer.write_all(&[*byte]).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        while seen.load(Ordering::SeqCst) <= at {
            assert!(Instant::now() < until, "byte {at} arrives in time");
            std::thread::yield_now();
        }
        if at == 100 {
            before = resident_bytes();
        }
        if at == BODY_BYTES - 2 {
            let more = resident_bytes().saturating_sub(before);
            assert!(more < 2 << 20, "{BODY_BYTES} bytes of body take {more} bytes of memory");
        }
    }
    let mut back = Vec::new();
    peer.read_to_end(&mut back).unwrap();
    assert!(back == body);
    running.handle().shutdown();
    running.wait();
}

fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

struct Echo;

impl Handler for Echo {
    fn handle(&self, exchange: &mut dyn Exchange) {
        exchange.start(&ResponseHead::of(http::StatusCode::OK));
        loop {
            let piece = exchange.read(usize::MAX).unwrap();
            if piece.is_empty() {
                break;
            }
            exchange.data(&piece);
        }
        exchange.finish();
    }
}

/// One request, which is nothing but its body.
#[derive(Default)]
struct Bytewise {
    begun: bool,
    taken: usize,
    seen: Arc<AtomicUsize>,
}

impl Protocol for Bytewise {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, Error> {
        if !std::mem::replace(&mut self.begun, true) {
            head.clear();
            head.set(Known::PathInfo, b"/");
            head.set_body(BodyLength::Known(BODY_BYTES as u64));
            return Ok(Event::Head);
        }
        if self.taken == BODY_BYTES {
            return Ok(Event::EndOfBody);
        }
        if input.is_empty() {
            return Ok(Event::NeedInput);
        }
        let piece = input.split().freeze();
        self.taken += piece.len();
        self.seen.store(self.taken, Ordering::SeqCst);
        Ok(Event::Body(piece))
    }

    fn end(&mut self, _: &mut BytesMut) -> Result<Event, Error> {
        Err(Error::Truncated("body"))
    }

    fn expect_body(&mut self, _: &mut Vec<u8>) {}
    fn start(&mut self, _: &ResponseHead, _: &HttpDate, _: &mut Vec<u8>) {}

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(block);
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Next {
        Next::Close(CloseReason::EndOfReply)
    }

    fn refuse(&mut self, _: &Error, _: &HttpDate, _: &mut Vec<u8>) {}

    fn idle(&self) -> bool {
        !self.begun
    }

    fn close_after_reply(&mut self) {}
}

const BODY_BYTES: usize = 8000;
