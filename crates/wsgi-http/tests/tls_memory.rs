//! What an HTTPS connection holds: alone in its process, for every allocation is counted.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Read, Write};

use bytes::BytesMut;
use rustls::ClientConnection;
use wsgi_core::wire::{Address, Dialect, Event, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};
use wsgi_http::Http1;
use wsgi_http::tls::Tls;

use common::{Site, TLS12, TLS13};

struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // The thread may be past its locals; then it is none of the test's.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = MOST.try_with(|most| most.set(most.get().max(live.get())));
    });
}

// SAFETY: every call goes to the system's allocator as it is; the counts are thread-locals without a destructor and allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above, and all memory came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A connection that has done its handshake, and the client of it.
fn open(tls: &Tls, client: ClientConnection) -> (Box<dyn Protocol>, ClientConnection) {
    let link = Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false };
    let (mut codec, mut client) = (tls.connect(&link), client);
    let (mut input, mut head, mut out) = (BytesMut::new(), RequestHead::default(), Vec::new());
    while client.is_handshaking() || client.wants_write() {
        let mut flight = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut flight).unwrap();
        }
        input.extend_from_slice(&flight);
        assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::NeedInput));
        receive(&mut client, &mut out);
    }
    (codec, client)
}

fn receive(client: &mut ClientConnection, out: &mut Vec<u8>) -> usize {
    let mut bytes = &out[..];
    let (mut room, mut plain) = (vec![0; 1 << 16], 0);
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets().unwrap();
        while let Ok(some @ 1..) = client.reader().read(&mut room) {
            plain += some;
        }
    }
    out.clear();
    plain
}

/// As much as a browser sends with its cookies.
fn request(codec: &mut dyn Protocol, client: &mut ClientConnection) {
    let (mut input, mut head, mut out) = (BytesMut::new(), RequestHead::default(), Vec::new());
    let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\nCookie: a={}\r\n\r\n", "x".repeat(3000));
    client.writer().write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    input.extend_from_slice(&bytes);
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::EndOfBody));
}

#[test]
fn an_idle_connection_is_small() {
    let site = Site::new();
    let tls = Tls::new(Http1::new(), &site.certificates());
    for versions in [TLS12, TLS13] {
        let served = || {
            let (mut codec, mut client) = open(&tls, site.client(versions));
            request(&mut *codec, &mut client);
            let mut out = Vec::new();
            codec.start(&ResponseHead::plain(http::StatusCode::OK, 5), &HttpDate::from_unix(0), &mut out);
            codec.data(b"hello", &mut out);
            assert_eq!(codec.finish(&mut out), Next::Request);
            codec.seal(&mut out);
            codec
        };
        drop(served());
        let before = LIVE.get();
        let idle: Vec<_> = (0..100).map(|_| served()).collect();
        let each = (LIVE.get() - before) / idle.len() as isize;
        println!("{each} bytes each");
        assert!((1000..10 * 1024).contains(&each), "{each} bytes each");
    }
}

#[test]
fn a_large_reply_and_a_large_body_are_worked_on_in_pieces() {
    let site = Site::new();
    let tls = Tls::new(Http1::new(), &site.certificates());
    for length in [None, Some(10 << 20)] {
        let (mut codec, mut client) = open(&tls, site.client(TLS13));
        request(&mut *codec, &mut client);
        let block = vec![b'x'; 10 << 20];
        let mut out = Vec::with_capacity(11 << 20);
        let mut head = ResponseHead::new(b"200 OK").unwrap();
        if let Some(length) = length {
            head.set_content_length(length);
        }
        codec.start(&head, &HttpDate::from_unix(0), &mut out);
        let before = LIVE.get();
        MOST.set(before);
        codec.data(&block, &mut out);
        assert_eq!(codec.finish(&mut out), Next::Request);
        codec.seal(&mut out);
        let most = MOST.get() - before;
        assert!((1..128 << 10).contains(&most), "{most} bytes for a block of 10 MiB");
        assert!(receive(&mut client, &mut out) > 10 << 20);
    }

    let (mut codec, mut client) = open(&tls, site.client(TLS13));
    let (mut head, mut out) = (RequestHead::default(), Vec::new());
    client.set_buffer_limit(None);
    client.writer().write_all(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 10 << 20).as_bytes()).unwrap();
    client.writer().write_all(&vec![b'x'; 10 << 20]).unwrap();
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    // All of it is there at once, and is decrypted only as fast as it is taken.
    let mut input = BytesMut::from(&bytes[..]);
    let before = LIVE.get();
    MOST.set(before);
    let mut came = 0;
    loop {
        match codec.poll(&mut input, &mut head, &mut out).unwrap() {
            Event::Body(piece) => came += piece.len(),
            Event::EndOfBody => break,
            event => assert_eq!(event, Event::Head),
        }
    }
    let most = MOST.get() - before;
    assert_eq!(came, 10 << 20);
    assert!((1..128 << 10).contains(&most), "{most} bytes for a body of 10 MiB");
}
