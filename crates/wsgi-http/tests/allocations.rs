//! The hot path does not allocate: a request without a body on a connection that has had one before, and its reply.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::BytesMut;
use wsgi_core::wire::{Address, Dialect, Event, HttpDate, Link, Next, RequestHead, ResponseHead};
use wsgi_http::Http1;

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // The thread may be past its locals; then it is none of the test's.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it is; the count is a thread-local without a destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above, and all memory came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_request_without_a_body_costs_no_allocation() {
    let address = |port| Address::Tcp(([127, 0, 0, 1], port).into());
    let mut codec = Http1::new().connect(&Link { local: address(8000), remote: address(54321), secure: false });
    let (mut input, mut head, mut out) = (BytesMut::with_capacity(4096), RequestHead::default(), Vec::with_capacity(4096));
    let date = HttpDate::from_unix(0);
    let mut known = ResponseHead::new(b"200 OK").unwrap();
    known.set_content_length(5);
    let unknown = ResponseHead::new(b"200 OK").unwrap();
    let fields: String = (0..14).map(|number| format!("X-Field-{number}: some value or other\r\n")).collect();
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_string(),
        format!("GET /caf%C3%A9?q=1 HTTP/1.1\r\nHost: example.org\r\nAccept: a\r\nAccept: b\r\n{fields}\r\n"),
    ];
    let mut counts = Vec::new();
    for _ in 0..3 {
        let before = COUNT.get();
        for request in &requests {
            for reply in [&known, &unknown] {
                input.reserve(request.len());
                input.extend_from_slice(request.as_bytes());
                assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
                assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::EndOfBody));
                out.clear();
                codec.start(reply, &date, &mut out);
                codec.data(b"hello", &mut out);
                assert_eq!(codec.finish(&mut out), Next::Request);
            }
        }
        counts.push(COUNT.get() - before);
    }
    assert!(counts[0] > 0, "the allocations of the first round were not counted");
    assert_eq!(counts[1..], [0, 0]);
}
