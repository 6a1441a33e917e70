//! How much memory a body takes on its way through the service: a bounded part of it, in either direction.
//!
//! In a process of its own, since it counts what all of it allocates. The whole GiB:
//! `cargo test --release -p wsgi-http --features tower --test tower_memory -- --include-ignored --nocapture`

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::ServiceExt;
use wsgi_core::wire::{Known, Limits, ResponseHead};
use wsgi_core::workers::Workers;
use wsgi_core::{Exchange, Handler};
use wsgi_http::tower::WsgiService;

/// Counts the bytes that are allocated now, and the most that ever were.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);
/// Both directions count the same bytes.
static TURN: Mutex<()> = Mutex::new(());

// SAFETY: every call goes to the system's allocator with the arguments that came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads the whole body and says how long it was; or gives as many bytes as the query says.
struct Bulk;

impl Handler for Bulk {
    fn handle(&self, exchange: &mut dyn Exchange) {
        if let Some(length) = exchange.head().get(Known::QueryString).and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok()) {
            exchange.start(&ResponseHead::of(StatusCode::OK));
            let block = vec![b'x'; BLOCK];
            for _ in 0..length / BLOCK as u64 {
                exchange.data(&block);
                exchange.flush().expect("somebody takes it");
            }
            return exchange.finish();
        }
        let mut length = 0;
        loop {
            match exchange.read(BLOCK).expect("a whole body").len() {
                0 => break,
                read => length += read,
            }
        }
        exchange.refuse(StatusCode::OK, &length.to_string());
    }
}

/// A body of so many bytes, each block made when it is asked for. It is there at once, always.
struct Made {
    left: u64,
    declared: bool,
}

impl Body for Made {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        this.left -= BLOCK as u64;
        Poll::Ready(Some(Ok(Frame::data(vec![b'x'; BLOCK].into()))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.declared { SizeHint::with_exact(self.left) } else { SizeHint::default() }
    }
}

/// By how much the most that was allocated has grown.
fn growth(work: impl Future<Output = ()>) -> usize {
    let _turn = TURN.lock().unwrap();
    let before = NOW.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
    MOST.load(Ordering::Relaxed) - before
}

fn up(length: u64, declared: bool) -> usize {
    let limits = Limits { body_bytes: None, ..Limits::default() };
    let service = WsgiService::new(Workers::builder(Bulk).start().unwrap()).limits(limits);
    growth(async {
        let request = Request::post("/").body(Made { left: length, declared }).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), length.to_string());
    })
}

fn down(length: u64) -> usize {
    let service = WsgiService::new(Workers::builder(Bulk).start().unwrap());
    growth(async {
        let request = Request::get(format!("/?{length}")).body(Made { left: 0, declared: true }).unwrap();
        let mut body = service.oneshot(request).await.unwrap().into_body();
        let mut came = 0;
        while let Some(frame) = body.frame().await {
            came += frame.unwrap().into_data().unwrap().len() as u64;
        }
        assert_eq!(came, length);
    })
}

#[test]
fn a_body_takes_a_bounded_part_of_its_size() {
    for (what, growth) in [("up", up(64 << 20, true)), ("up, undeclared", up(64 << 20, false)), ("down", down(64 << 20))] {
        assert!(growth < 1 << 20, "{what}: {growth} bytes");
    }
}

#[test]
#[ignore = "takes seconds; the smaller one shows the same"]
fn a_gib_takes_no_more() {
    for (what, growth) in [("up", up(1 << 30, true)), ("up, undeclared", up(1 << 30, false)), ("down", down(1 << 30))] {
        println!("{what}: {growth} bytes at most");
        assert!(growth < 1 << 20, "{what}: {growth} bytes");
    }
}

const BLOCK: usize = 64 * 1024;
