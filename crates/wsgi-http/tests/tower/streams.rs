//! Bodies both ways: block by block, held back by whoever is slow, and ended by whoever gives up.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::Frame;
use http_body_util::channel::Channel;
use http_body_util::{Full, Limited};
use wsgi_core::wire::{BodyLength, Error, Limits};
use wsgi_core::workers::Workers;
use wsgi_http::tower::WsgiService;

use super::common::*;

type Piped = Channel<Bytes, io::Error>;

/// Answers with what it reads, or with why it cannot.
fn echo() -> WsgiService {
    service(|exchange| match read_all(exchange) {
        Ok(body) => reply(exchange, &body),
        Err(error) => {
            let peer = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
            let again = exchange.read(1).expect_err("a broken body never ends");
            assert_eq!(again.kind(), error.kind());
            let text = format!("{:?} {peer:?}", error.kind());
            reply(exchange, text.as_bytes());
        }
    })
}

fn post<B>(body: B) -> Request<B> {
    Request::post("/").body(body).unwrap()
}

fn declared<B>(length: usize, body: B) -> Request<B> {
    Request::post("/").header("Content-Length", length).body(body).unwrap()
}

/// Lets the other tasks run until a count stands still, which must be at a bound and not at an end.
async fn settled(count: &AtomicUsize) -> usize {
    let mut before = usize::MAX;
    while before != count.load(Ordering::SeqCst) {
        before = count.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    before
}

#[test]
fn each_block_comes_before_the_next_is_made() {
    let (open, closed) = gate();
    let service = service(move |exchange| {
        start(exchange);
        for block in ["first", "second", "third"] {
            exchange.data(block.as_bytes());
            exchange.flush().unwrap();
            closed.pass();
        }
        exchange.finish();
    });
    run(async {
        let mut response = ask(&service, get("/")).await;
        for expected in ["first", "second", "third"] {
            assert_eq!(block(response.body_mut()).await.unwrap().unwrap(), expected);
            open.send(()).unwrap();
        }
        assert!(block(response.body_mut()).await.is_none());
    });
}

#[test]
fn a_client_that_takes_nothing_stops_the_handler() {
    const BLOCK: usize = 16 * 1024;
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let service = service(move |exchange| {
        start(exchange);
        for _ in 0..200 {
            exchange.data(&[b'x'; BLOCK]);
            exchange.flush().unwrap();
            count.fetch_add(BLOCK, Ordering::SeqCst);
        }
        exchange.finish();
    });
    run(async {
        let response = ask(&service, get("/")).await;
        let ahead = settled(&made).await;
        assert!((BLOCK..=128 * 1024).contains(&ahead), "{ahead} bytes for nobody");
        assert_eq!(text(response).await.len(), 200 * BLOCK);
    });
}

#[test]
fn a_handler_that_reads_nothing_stops_the_client() {
    const PIECE: usize = 16 * 1024;
    let (open, closed) = gate();
    let service = service(move |exchange| {
        assert_eq!(exchange.read(1).unwrap(), "x");
        start(exchange);
        exchange.flush().unwrap();
        closed.pass();
        let length = 1 + read_all(exchange).unwrap().len();
        exchange.data(length.to_string().as_bytes());
        exchange.finish();
    });
    run(async {
        let (mut sender, body) = Piped::new(1);
        let sent = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&sent);
        let sending = tokio::spawn(async move {
            for _ in 0..200 {
                sender.send_data(Bytes::from_static(&[b'x'; PIECE])).await.unwrap();
                count.fetch_add(PIECE, Ordering::SeqCst);
            }
        });
        let response = ask(&service, post(body)).await;
        // What is read ahead, what may be asked for ahead, and what lies in the pipe.
        let text = tokio::spawn(text(response));
        let ahead = settled(&sent).await;
        assert!((PIECE..=256 * 1024).contains(&ahead), "{ahead} bytes that nobody reads");
        open.send(()).unwrap();
        sending.await.unwrap();
        assert_eq!(text.await.unwrap(), (200 * PIECE).to_string());
    });
}

#[test]
fn request_and_response_may_go_on_side_by_side() {
    let service = service(|exchange| {
        start(exchange);
        exchange.flush().unwrap();
        loop {
            let piece = exchange.read(100).unwrap();
            if piece.is_empty() {
                break;
            }
            exchange.data(&piece);
            exchange.flush().unwrap();
        }
        exchange.finish();
    })
    .read_ahead(0);
    run(async {
        let (mut sender, body) = Piped::new(1);
        let mut response = ask(&service, post(body)).await;
        for piece in ["one", "two", "three"] {
            sender.send_data(piece.into()).await.unwrap();
            assert_eq!(block(response.body_mut()).await.unwrap().unwrap(), piece);
        }
        drop(sender);
        assert!(block(response.body_mut()).await.is_none());
    });
}

#[test]
fn any_body_will_do_and_trailers_are_left_out() {
    let data = |text: &'static [u8]| Ok(Frame::data(Bytes::from_static(text)));
    for read_ahead in [0, 1, 3, 64 * 1024] {
        let service = echo().read_ahead(read_ahead);
        let body = Frames::new([data(b"one "), data(b""), data(b"two "), data(b"three"), Ok(Frame::trailers(HeaderMap::new()))]);
        assert_eq!(answer(&service, post(body)), (200, "one two three".to_owned()), "{read_ahead}");
        let text = "a body with a length".to_owned();
        assert_eq!(answer(&service, post(text.clone())), (200, text), "{read_ahead}");
        assert_eq!(answer(&service, get("/")), (200, String::new()));
    }
}

#[test]
fn a_body_of_which_little_is_read_ahead_is_not_waited_for() {
    let (tell, seen) = told();
    let service = service(move |exchange| {
        tell.tell((exchange.head().body(), exchange.read_ready(100).map(Result::unwrap)));
        reply(exchange, b"");
    })
    .read_ahead(4);
    run(async {
        // A slow sender holds no thread: the handler is called when all is there, or more than is read ahead.
        let (mut sender, body) = Piped::new(1);
        let asking = tokio::spawn({
            let service = service.clone();
            async move { ask(&service, post(body)).await.status() }
        });
        sender.send_data("abcd".into()).await.unwrap();
        tokio::task::yield_now().await;
        assert!(seen.try_recv().is_err(), "called too early");
        sender.send_data("e".into()).await.unwrap();
        assert_eq!(asking.await.unwrap(), 200);
        assert_eq!(hear(&seen), (BodyLength::Unknown, Some(Bytes::from_static(b"abcde"))));

        // One that says that it is longer is not read ahead at all.
        let (_sender, body) = Piped::new(1);
        assert_eq!(ask(&service, declared(5, body)).await.status(), 200);
        assert_eq!(hear(&seen), (BodyLength::Known(5), None));

        // And one whose client waits to be asked is not asked.
        let (_sender, body) = Piped::new(1);
        let mut expecting = declared(4, body);
        expecting.headers_mut().insert("expect", "100-continue".parse().unwrap());
        assert_eq!(ask(&service, expecting).await.status(), 200);
        assert_eq!(hear(&seen), (BodyLength::Known(4), None));
    });
}

#[test]
fn a_body_that_breaks_off_is_an_error_and_never_an_end() {
    let broken = || Frames::new([Ok(Frame::data(Bytes::from_static(b"half"))), Err("on purpose".into())]);
    let early = answer(&echo(), post(broken()));
    assert_eq!(early, (400, "request body broke off\n".to_owned()));
    assert_eq!(answer(&echo().read_ahead(0), post(broken())), (200, "Other None".to_owned()));
}

#[test]
fn a_body_that_is_not_as_long_as_it_says_is_refused() {
    let of = |length| declared(length, Frames::of([b"four"]));
    assert_eq!(answer(&echo(), of(4)), (200, "four".to_owned()));
    assert_eq!(answer(&echo(), of(5)), (400, "peer closed the connection inside its body\n".to_owned()));
    assert_eq!(answer(&echo(), of(3)), (400, "request body is longer than its Content-Length\n".to_owned()));
    let streamed = echo().read_ahead(0);
    assert_eq!(answer(&streamed, of(5)), (200, "UnexpectedEof Some(Truncated(\"body\"))".to_owned()));
    assert!(answer(&streamed, of(3)).1.starts_with("InvalidData"));
}

#[test]
fn a_body_that_is_too_large_is_413() {
    let limited = echo().limits(Limits { body_bytes: Some(3), ..Limits::default() });
    let too_large = (413, "request body exceeds 3 bytes\n".to_owned());
    let streamed = (200, "InvalidData Some(BodyTooLarge { limit: 3 })".to_owned());
    assert_eq!(answer(&limited, post(Full::<Bytes>::from("four"))), too_large);
    assert_eq!(answer(&limited, post(Frames::of([b"fo", b"ur"]))), too_large);
    assert_eq!(answer(&limited, post(Full::<Bytes>::from("abc"))).0, 200);
    assert_eq!(answer(&limited.clone().read_ahead(0), post(Frames::of([b"fo", b"ur"]))), streamed);
    // By a layer around the body.
    assert_eq!(answer(&echo(), post(Limited::new(Frames::of([b"fo", b"ur"]), 3))), too_large);
    assert_eq!(answer(&echo().read_ahead(0), post(Limited::new(Frames::of([b"fo", b"ur"]), 3))), streamed);
    assert_eq!(answer(&echo(), post(Limited::new(Frames::of([b"fo", b"ur"]), 4))), (200, "four".to_owned()));
    assert_ne!(answer(&echo(), post(Limited::new(Full::<Bytes>::from("four"), 3))).0, 200);
}

#[test]
fn a_future_that_is_dropped_while_it_waits_was_never_asked() {
    let (open, closed) = gate();
    let (tell, runs) = told();
    let service = service(move |exchange| {
        tell.tell(exchange.head().get(wsgi_core::wire::Known::PathInfo).map(<[u8]>::to_vec));
        closed.pass();
        reply(exchange, b"");
    });
    run(async {
        let ask = |path: &'static str| {
            let service = service.clone();
            tokio::spawn(async move { ask(&service, get(path)).await.status() })
        };
        let running = ask("/running");
        tokio::task::yield_now().await;
        assert_eq!(hear(&runs).as_deref(), Some(&b"/running"[..]));
        let dropped = ask("/dropped");
        tokio::task::yield_now().await;
        dropped.abort();
        assert!(dropped.await.unwrap_err().is_cancelled());
        let last = ask("/last");
        for _ in 0..2 {
            open.send(()).unwrap();
        }
        assert_eq!((running.await.unwrap(), last.await.unwrap()), (http::StatusCode::OK, http::StatusCode::OK));
        assert_eq!(hear(&runs).as_deref(), Some(&b"/last"[..]));
    });
}

#[test]
fn a_future_that_is_dropped_later_ends_its_handler() {
    let (told_start, started) = told();
    let (told_end, ended) = told();
    let (open, closed) = gate();
    let service = service(move |exchange| {
        told_start.tell(());
        closed.pass();
        start(exchange);
        exchange.data(b"x");
        told_end.tell((exchange.disconnected(), exchange.flush().map_err(|error| error.kind())));
    });
    run(async {
        let asking = tokio::spawn(async move { ask(&service, get("/")).await.status() });
        tokio::task::yield_now().await;
        hear(&started);
        asking.abort();
        assert!(asking.await.unwrap_err().is_cancelled());
        open.send(()).unwrap();
        assert_eq!(hear(&ended), (true, Err(io::ErrorKind::ConnectionAborted)));
    });
}

#[test]
fn a_body_that_is_dropped_ends_its_handler() {
    let (tell, ended) = told();
    let service = service(move |exchange| {
        start(exchange);
        let error = loop {
            exchange.data(b"more");
            if let Err(error) = exchange.flush() {
                break error.kind();
            }
        };
        tell.tell((error, exchange.read(1).map_err(|error| error.kind())));
    });
    run(async {
        // One that is not read ahead, and never ends.
        let (_sender, body) = Piped::new(1);
        let mut response = ask(&service, declared(1_000_000, body)).await;
        assert!(block(response.body_mut()).await.unwrap().is_ok());
        drop(response);
        let gone = io::ErrorKind::ConnectionAborted;
        assert_eq!(hear(&ended), (gone, Err(gone)));
    });
}

#[test]
fn several_threads_answer_at_once_for_one_task() {
    let (open, closed) = gate();
    let handler = With(move |exchange: &mut dyn wsgi_core::Exchange| {
        closed.pass();
        reply(exchange, b"done");
    });
    let service = WsgiService::new(Workers::builder(handler).threads(4).start().unwrap());
    run(async {
        let asking: Vec<_> = (0..8)
            .map(|_| {
                let service = service.clone();
                tokio::spawn(async move { text(ask(&service, get("/")).await).await })
            })
            .collect();
        for _ in 0..8 {
            open.send(()).unwrap();
        }
        for one in asking {
            assert_eq!(one.await.unwrap(), "done");
        }
    });
}
