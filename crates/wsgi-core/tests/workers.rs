//! Calls from tasks to threads: what crosses, how much of it at most, and what becomes of it when either side gives up.

use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use wsgi_core::wire::{BodyLength, Error, Known, RequestHead, ResponseHead};
use wsgi_core::workers::{Call, Refused, Reply, Request, Workers};
use wsgi_core::{Exchange, Handler};

/// A handler that is a closure.
struct With<F>(F);

impl<F: Fn(&mut dyn Exchange) + Send + Sync> Handler for With<F> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        (self.0)(exchange);
    }
}

fn workers(handle: impl Fn(&mut dyn Exchange) + Send + Sync + 'static) -> Workers {
    Workers::builder(With(handle)).start().unwrap()
}

fn request(body: BodyLength) -> Request {
    let mut head = RequestHead::default();
    head.set(Known::RequestMethod, b"POST");
    head.set_body(body);
    Request { head, ..Request::default() }
}

fn get() -> Request {
    request(BodyLength::Empty)
}

/// Waits on this thread, and counts how often it was woken.
struct Waiter {
    thread: Thread,
    woken: AtomicUsize,
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.woken.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

fn wait<R>(future: impl Future<Output = R>) -> (R, usize) {
    let waiter = Arc::new(Waiter { thread: std::thread::current(), woken: AtomicUsize::new(0) });
    let waker = Waker::from(Arc::clone(&waiter));
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(result) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (result, waiter.woken.load(Ordering::SeqCst));
        }
        std::thread::park_timeout(Duration::from_secs(10));
    }
}

fn next(call: &mut Call) -> Reply {
    wait(poll_fn(|context| call.poll_reply(context))).0
}

fn wanted(call: &mut Call) -> bool {
    wait(poll_fn(|context| call.poll_wanted(context))).0
}

fn pending(poll: Poll<impl Sized>) -> bool {
    poll.is_pending()
}

fn idle() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// The rest of a reply: its blocks, and whether it is whole.
fn rest(call: &mut Call) -> (Vec<Bytes>, bool) {
    let mut blocks = Vec::new();
    loop {
        match next(call) {
            Reply::Block(block) => blocks.push(block),
            Reply::End => return (blocks, true),
            Reply::Aborted => return (blocks, false),
            other => panic!("unexpected {other:?}"),
        }
    }
}

fn status(call: &mut Call) -> u16 {
    match next(call) {
        Reply::Head(head) => head.code(),
        other => panic!("expected a head, got {other:?}"),
    }
}

fn start(exchange: &mut dyn Exchange) {
    exchange.start(&ResponseHead::of(StatusCode::OK));
}

fn gate() -> (Sender<()>, Mutex<Receiver<()>>) {
    let (open, closed) = channel();
    (open, Mutex::new(closed))
}

fn pass(gate: &Mutex<Receiver<()>>) {
    gate.lock().unwrap().recv_timeout(Duration::from_secs(10)).expect("the gate opens");
}

#[test]
fn a_reply_that_is_whole_crosses_with_one_wake_up() {
    let (open, closed) = gate();
    let workers = workers(move |exchange| {
        pass(&closed);
        exchange.refuse(StatusCode::OK, "hello");
    });
    let mut call = workers.call(get()).unwrap();
    let mut open = Some(open);
    let (head, woken) = wait(poll_fn(|context| {
        let poll = call.poll_reply(context);
        if let Some(open) = open.take() {
            assert!(poll.is_pending());
            open.send(()).unwrap();
        }
        poll
    }));
    assert!(matches!(head, Reply::Head(head) if head.code() == 200));
    assert_eq!(woken, 1);
    assert_eq!(call.take_rest(), Some(Bytes::from_static(b"hello")));
    assert!(matches!(next(&mut call), Reply::End));
}

#[test]
fn a_block_is_there_when_it_is_flushed_and_not_later() {
    let (open, closed) = gate();
    let workers = workers(move |exchange| {
        start(exchange);
        exchange.data(b"first");
        exchange.flush().unwrap();
        pass(&closed);
        exchange.data(b"second");
        exchange.data(b" and third");
        exchange.finish();
    });
    let mut call = workers.call(get()).unwrap();
    assert_eq!(status(&mut call), 200);
    assert_eq!(call.take_rest(), None, "the reply is not over");
    assert!(matches!(next(&mut call), Reply::Block(block) if block == "first"));
    open.send(()).unwrap();
    assert_eq!(rest(&mut call), (vec![Bytes::from_static(b"second and third")], true));
    assert!(matches!(next(&mut call), Reply::End), "again and again");
}

#[test]
fn a_caller_that_takes_nothing_stops_the_handler() {
    const BLOCK: usize = 16 * 1024;
    let produced = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&produced);
    let workers = workers(move |exchange| {
        start(exchange);
        for _ in 0..100 {
            exchange.data(&[b'x'; BLOCK]);
            exchange.flush().unwrap();
            count.fetch_add(BLOCK, Ordering::SeqCst);
        }
        exchange.finish();
    });
    let mut call = workers.call(get()).unwrap();
    assert_eq!(status(&mut call), 200);
    let mut before = usize::MAX;
    // Until it stands still.
    while before != produced.load(Ordering::SeqCst) {
        before = produced.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!((BLOCK..=80 * 1024).contains(&before), "{before} bytes for nobody");
    let (blocks, whole) = rest(&mut call);
    assert!(whole);
    assert_eq!(blocks.iter().map(Bytes::len).sum::<usize>(), 100 * BLOCK);
}

#[test]
fn the_body_is_wanted_when_the_handler_reads_and_while_little_is_there() {
    let (open, closed) = gate();
    let workers = workers(move |exchange| {
        pass(&closed);
        let mut length = 0;
        loop {
            let piece = exchange.read(1000).unwrap();
            assert!(piece.len() <= 1000);
            length += piece.len();
            if piece.is_empty() {
                break;
            }
        }
        exchange.refuse(StatusCode::OK, &length.to_string());
    });
    let mut call = workers.call(request(BodyLength::Unknown)).unwrap();
    assert!(pending(call.poll_wanted(&mut idle())), "nobody has asked for it");
    open.send(()).unwrap();
    for _ in 0..200 {
        assert!(wanted(&mut call));
        call.send_body(Bytes::from_static(&[b'x'; 10_000]));
    }
    call.send_body(Bytes::new());
    call.end_body();
    assert!(!wanted(&mut call), "it has ended");
    assert_eq!(status(&mut call), 200);
    assert_eq!(call.take_rest(), Some(Bytes::from_static(b"2000000")));
}

#[test]
fn a_handler_that_stops_reading_stops_the_body() {
    let (open, closed) = gate();
    let workers = workers(move |exchange| {
        assert_eq!(exchange.read(1).unwrap(), "x");
        pass(&closed);
        assert_eq!(exchange.read(usize::MAX).unwrap().len(), 10_000 - 1);
        exchange.refuse(StatusCode::OK, "");
    });
    let mut call = workers.call(request(BodyLength::Unknown)).unwrap();
    let mut sent = 0;
    while sent == 0 || call.poll_wanted(&mut idle()) == Poll::Ready(true) {
        assert!(wanted(&mut call));
        call.send_body(Bytes::from_static(&[b'x'; 10_000]));
        sent += 10_000;
    }
    assert!((64 * 1024..=80_000).contains(&sent), "{sent} bytes that nobody reads");
    open.send(()).unwrap();
    assert_eq!(status(&mut call), 200);
    assert!(!wanted(&mut call), "the reply is over");
}

#[test]
fn what_was_there_of_the_body_needs_no_asking() {
    let workers = workers(|exchange| {
        assert_eq!(exchange.read_ready(2).unwrap().unwrap(), "ab");
        assert_eq!(exchange.read(100).unwrap(), "c");
        assert_eq!(exchange.read(100).unwrap(), "");
        assert_eq!(exchange.read(100).unwrap(), "");
        exchange.refuse(StatusCode::OK, "");
    });
    let whole = Request { body: Bytes::from_static(b"abc"), whole: true, ..request(BodyLength::Known(3)) };
    let mut call = workers.call(whole).unwrap();
    assert!(!wanted(&mut call));
    assert_eq!(status(&mut call), 200);
}

#[test]
fn a_body_that_broke_off_never_ends() {
    let workers = workers(|exchange| {
        assert_eq!(exchange.read(100).unwrap(), "half");
        for _ in 0..2 {
            let error = exchange.read(100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            assert_eq!(error.get_ref().unwrap().downcast_ref::<Error>(), Some(&Error::Truncated("body")));
        }
        exchange.refuse(StatusCode::BAD_REQUEST, "");
    });
    let mut call = workers.call(request(BodyLength::Known(8))).unwrap();
    call.send_body(Bytes::from_static(b"half"));
    call.break_body(Error::Truncated("body").into());
    call.end_body();
    assert_eq!(status(&mut call), 400);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for_for_ever() {
    let handler = With(|exchange: &mut dyn Exchange| {
        for _ in 0..2 {
            assert_eq!(exchange.read(1).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        exchange.refuse(StatusCode::REQUEST_TIMEOUT, "");
    });
    let workers = Workers::builder(handler).body_timeout(Duration::from_millis(20)).start().unwrap();
    let mut call = workers.call(request(BodyLength::Unknown)).unwrap();
    assert_eq!(status(&mut call), 408);
}

#[test]
fn a_reply_that_is_not_taken_is_not_waited_for_for_ever() {
    let (told, outcome) = channel();
    let told = Mutex::new(told);
    let handler = With(move |exchange: &mut dyn Exchange| {
        start(exchange);
        let error = loop {
            exchange.data(&[0; 10_000]);
            if let Err(error) = exchange.flush() {
                break error.kind();
            }
        };
        let again = exchange.flush().unwrap_err().kind();
        exchange.finish();
        told.lock().unwrap().send((error, again)).unwrap();
    });
    let workers = Workers::builder(handler).write_timeout(Duration::from_millis(20)).start().unwrap();
    let mut call = workers.call(get()).unwrap();
    assert_eq!(outcome.recv_timeout(Duration::from_secs(10)).unwrap(), (io::ErrorKind::TimedOut, io::ErrorKind::TimedOut));
    assert_eq!(status(&mut call), 200);
    assert!(!rest(&mut call).1, "the end after a gap would make it look whole");
}

#[test]
fn a_call_that_is_dropped_ends_its_handler() {
    let (open, closed) = gate();
    let (told, outcome) = channel();
    let told = Mutex::new(told);
    let workers = workers(move |exchange| {
        assert!(!exchange.disconnected());
        start(exchange);
        exchange.data(b"x");
        exchange.flush().unwrap();
        pass(&closed);
        assert!(exchange.disconnected());
        let read = exchange.read(1).unwrap_err().kind();
        exchange.data(b"x");
        let flush = exchange.flush().unwrap_err().kind();
        told.lock().unwrap().send((read, flush)).unwrap();
    });
    let mut call = workers.call(request(BodyLength::Unknown)).unwrap();
    assert_eq!(status(&mut call), 200);
    drop(call);
    open.send(()).unwrap();
    let gone = io::ErrorKind::ConnectionAborted;
    assert_eq!(outcome.recv_timeout(Duration::from_secs(10)).unwrap(), (gone, gone));
}

#[test]
fn a_handler_that_waits_hears_of_the_drop() {
    let (told, outcome) = channel();
    let told = Mutex::new(told);
    let workers = workers(move |exchange| {
        let result = exchange.read(1).map(drop).map_err(|error| error.kind());
        told.lock().unwrap().send(result).unwrap();
    });
    let mut call = workers.call(request(BodyLength::Unknown)).unwrap();
    assert!(wanted(&mut call));
    drop(call);
    assert_eq!(outcome.recv_timeout(Duration::from_secs(10)).unwrap(), Err(io::ErrorKind::ConnectionAborted));
}

/// Whoever holds one derives `Debug`, and `unwrap_err` asks for it.
#[test]
fn handles_can_be_shown() {
    let workers = workers(|exchange| exchange.refuse(StatusCode::OK, ""));
    assert_eq!(format!("{workers:?}"), "Workers { threads: 1, .. }");
    workers.shutdown();
    assert_eq!(workers.call(get()).unwrap_err(), Refused::ShuttingDown);
}

#[test]
fn a_full_queue_refuses_and_recovers_and_what_was_withdrawn_is_not_run() {
    let (open, closed) = gate();
    let runs = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&runs);
    let handler = With(move |exchange: &mut dyn Exchange| {
        count.fetch_add(1, Ordering::SeqCst);
        pass(&closed);
        exchange.refuse(StatusCode::OK, "");
    });
    let workers = Workers::builder(handler).queue(2).start().unwrap();
    let mut running = workers.call(get()).unwrap();
    while runs.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let withdrawn = workers.call(get()).unwrap();
    let mut waiting = workers.call(get()).unwrap();
    assert_eq!(workers.call(get()).err(), Some(Refused::Full { waiting: 2 }));
    drop(withdrawn);
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!((status(&mut running), status(&mut waiting)), (200, 200));
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    open.send(()).unwrap();
    assert_eq!(status(&mut workers.call(get()).unwrap()), 200);
}

#[test]
fn what_is_enqueued_is_taken_by_a_busy_thread_or_by_one_that_is_woken() {
    let (open, closed) = gate();
    let handler = With(move |exchange: &mut dyn Exchange| {
        pass(&closed);
        exchange.refuse(StatusCode::OK, "");
    });
    let workers = Workers::builder(handler).threads(2).start().unwrap();
    let mut busy = [workers.call(get()).unwrap(), workers.call(get()).unwrap()];
    let mut behind = [workers.enqueue(get()).unwrap(), workers.enqueue(get()).unwrap()];
    for _ in 0..4 {
        open.send(()).unwrap();
    }
    assert!(busy.iter_mut().chain(&mut behind).all(|call| status(call) == 200));
    // Now both are idle, or about to be.
    for round in 1..100 {
        let mut together: Vec<Call> = (0..round % 5).map(|_| workers.enqueue(get()).unwrap()).collect();
        for _ in &together {
            workers.wake();
            open.send(()).unwrap();
        }
        assert!(together.iter_mut().all(|call| status(call) == 200));
    }
    // For nothing at all, which is no harm.
    workers.wake();
}

#[test]
fn what_was_withdrawn_takes_no_place_in_the_queue() {
    let (open, closed) = gate();
    let (told, runs) = channel();
    let told = Mutex::new(told);
    let handler = With(move |exchange: &mut dyn Exchange| {
        told.lock().unwrap().send(()).unwrap();
        pass(&closed);
        exchange.refuse(StatusCode::OK, "");
    });
    let workers = Workers::builder(handler).queue(2).start().unwrap();
    let mut running = workers.call(get()).unwrap();
    runs.recv_timeout(Duration::from_secs(10)).unwrap();
    for _ in 0..10 {
        drop((workers.call(get()).unwrap(), workers.call(get()).unwrap()));
    }
    let mut waiting = [workers.call(get()).unwrap(), workers.call(get()).unwrap()];
    assert_eq!(workers.call(get()).err(), Some(Refused::Full { waiting: 2 }));
    for _ in 0..3 {
        open.send(()).unwrap();
    }
    assert_eq!(status(&mut running), 200);
    assert!(waiting.iter_mut().all(|call| status(call) == 200));
    assert_eq!(runs.try_iter().count(), 2, "the withdrawn ones were not run");
}

#[test]
fn a_body_that_is_thrown_away_with_its_request_has_not_ended() {
    let (open, closed) = gate();
    let (told, outcome) = channel();
    let told = Mutex::new(told);
    let workers = workers(move |exchange| {
        start(exchange);
        exchange.flush().unwrap();
        pass(&closed);
        told.lock().unwrap().send(exchange.read(100).map_err(|error| error.kind())).unwrap();
    });
    let whole = Request { body: Bytes::from_static(b"abc"), whole: true, ..request(BodyLength::Known(3)) };
    let mut call = workers.call(whole).unwrap();
    assert_eq!(status(&mut call), 200);
    drop(call);
    open.send(()).unwrap();
    assert_eq!(outcome.recv_timeout(Duration::from_secs(10)).unwrap(), Err(io::ErrorKind::ConnectionAborted));
}

#[test]
fn a_reply_is_as_long_as_it_declares_or_not_whole() {
    let workers = workers(|exchange| {
        let mut head = ResponseHead::of(StatusCode::OK);
        head.set_content_length(5);
        exchange.start(&head);
        for _ in 0..exchange.head().get(Known::PathInfo).map_or(0, <[u8]>::len) {
            exchange.data(b"abc");
        }
        exchange.finish();
    });
    let ask = |method: &[u8], path: &[u8]| {
        let mut request = get();
        request.head.set(Known::RequestMethod, method);
        request.head.set(Known::PathInfo, path);
        let mut call = workers.call(request).unwrap();
        assert_eq!(status(&mut call), 200);
        rest(&mut call)
    };
    assert_eq!(ask(b"GET", b"/"), (vec![Bytes::from_static(b"abc")], false));
    assert_eq!(ask(b"GET", b"/a"), (vec![Bytes::from_static(b"abcab")], true));
    assert_eq!(ask(b"GET", b"/ab"), (vec![Bytes::from_static(b"abcab")], true));
    assert_eq!(ask(b"HEAD", b"/ab"), (vec![], true));
}

#[test]
fn a_shutdown_answers_what_waits_and_counts_who_is_stuck() {
    let (open, closed) = gate();
    let workers = workers(move |exchange| {
        pass(&closed);
        exchange.refuse(StatusCode::OK, "");
    });
    let (mut first, mut second) = (workers.call(get()).unwrap(), workers.call(get()).unwrap());
    workers.shutdown();
    assert_eq!(workers.call(get()).err(), Some(Refused::ShuttingDown));
    assert_eq!(workers.wait(Duration::from_millis(10)), 1);
    open.send(()).unwrap();
    open.send(()).unwrap();
    assert_eq!((status(&mut first), status(&mut second)), (200, 200));
    assert_eq!(workers.wait(Duration::from_secs(10)), 0);
}

/// Says when a thread ends.
struct Watched(Mutex<Sender<()>>);

impl Handler for Watched {
    fn handle(&self, exchange: &mut dyn Exchange) {
        exchange.refuse(StatusCode::OK, "");
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        work();
        self.0.lock().unwrap().send(()).unwrap();
    }
}

#[test]
fn threads_that_nobody_can_ask_any_more_answer_what_waits_and_end() {
    let (told, ended) = channel();
    let workers = Workers::builder(Watched(Mutex::new(told))).threads(3).start().unwrap();
    let other = workers.clone();
    drop(workers);
    let mut call = other.enqueue(get()).unwrap();
    assert!(ended.try_recv().is_err(), "there is another handle");
    drop(other);
    assert_eq!(status(&mut call), 200);
    for _ in 0..3 {
        ended.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn a_handler_that_fails_has_answered_all_the_same() {
    let workers = workers(|exchange| match exchange.head().get(Known::PathInfo) {
        Some(b"/early") => panic!("early"),
        Some(b"/late") => {
            start(exchange);
            exchange.data(b"half");
            panic!("late");
        }
        Some(b"/silent") => {}
        _ => {
            exchange.inform(&ResponseHead::early_hints());
            exchange.abort();
        }
    });
    let ask = |path: &[u8]| {
        let mut request = get();
        request.head.set(Known::PathInfo, path);
        workers.call(request).unwrap()
    };
    assert_eq!(status(&mut ask(b"/early")), 500);
    assert_eq!(status(&mut ask(b"/silent")), 500);
    let mut late = ask(b"/late");
    assert_eq!(status(&mut late), 200);
    assert_eq!(rest(&mut late), (vec![Bytes::from_static(b"half")], false));
    let mut abort = ask(b"/");
    assert!(matches!(next(&mut abort), Reply::Inform(head) if head.code() == 103));
    assert!(matches!(next(&mut abort), Reply::Aborted));
}

#[test]
fn extensions_and_what_is_said_of_the_peer_reach_the_handler() {
    let (open, closed) = gate();
    let workers = workers(move |exchange| {
        let number = exchange.extensions().and_then(|extensions| extensions.get::<u32>()).copied();
        assert!(!exchange.disconnected() && !exchange.multithread());
        start(exchange);
        exchange.flush().unwrap();
        pass(&closed);
        assert!(exchange.disconnected());
        exchange.data(format!("{number:?}").as_bytes());
        exchange.flush().expect("the caller still takes it");
        exchange.finish();
    });
    let mut request = get();
    request.extensions.insert(7u32);
    let mut call = workers.call(request).unwrap();
    assert_eq!(status(&mut call), 200);
    call.hang_up();
    open.send(()).unwrap();
    assert_eq!(rest(&mut call), (vec![Bytes::from_static(b"Some(7)")], true));
}

#[test]
fn text_for_the_peers_log_crosses_where_the_caller_takes_it() {
    let workers = workers(|exchange| {
        let taken = exchange.log(b"");
        assert_eq!(exchange.log(b"early"), taken);
        start(exchange);
        exchange.data(b"block");
        assert_eq!(exchange.log(b"late"), taken);
        exchange.finish();
        assert!(!exchange.log(b"too late"));
    });
    let mut without = workers.call(get()).unwrap();
    assert_eq!(status(&mut without), 200);
    assert_eq!(without.take_rest(), Some(Bytes::from_static(b"block")));
    let mut call = workers.call(Request { peer_log: true, ..get() }).unwrap();
    assert!(matches!(next(&mut call), Reply::Log(text) if text == "early"));
    assert_eq!(status(&mut call), 200);
    assert!(matches!(next(&mut call), Reply::Log(text) if text == "late"));
    assert_eq!(rest(&mut call), (vec![Bytes::from_static(b"block")], true));
}

/// A web server that takes nothing must not have the log of a talkative request pile up here, nor its informational replies.
#[test]
fn what_goes_before_the_reply_waits_for_the_caller_too() {
    let (told, outcome) = channel();
    let told = Mutex::new(told);
    let handler = With(move |exchange: &mut dyn Exchange| {
        let mut hints = ResponseHead::early_hints();
        hints.field(b"Link", &[b'x'; 10_000]).unwrap();
        let logs = exchange.head().get(Known::PathInfo) == Some(b"/log");
        let flushed = (0..100).take_while(|_| {
            if logs {
                exchange.log(&[b'x'; 10_000]);
            } else {
                exchange.inform(&hints);
            }
            exchange.flush().is_ok()
        });
        told.lock().unwrap().send(flushed.count()).unwrap();
    });
    let workers = Workers::builder(handler).write_timeout(Duration::from_millis(20)).start().unwrap();
    for path in [b"/log".as_slice(), b"/hints"] {
        let mut request = Request { peer_log: true, ..get() };
        request.head.set(Known::PathInfo, path);
        let mut call = workers.call(request).unwrap();
        let flushed = outcome.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!((2..20).contains(&flushed), "{flushed} times 10,000 bytes");
        // Whoever takes it makes room.
        assert!(matches!(next(&mut call), Reply::Log(_) | Reply::Inform(_)));
    }
}

#[test]
fn a_limit_may_be_as_long_as_there_are_durations() {
    let handler = With(|exchange: &mut dyn Exchange| {
        let body = exchange.read(10).unwrap();
        start(exchange);
        for _ in 0..10 {
            exchange.data(&[body[0]; 20_000]);
            exchange.flush().unwrap();
        }
        exchange.finish();
    });
    let workers = Workers::builder(handler).body_timeout(Duration::MAX).write_timeout(Duration::MAX).start().unwrap();
    let mut call = workers.call(request(BodyLength::Known(1))).unwrap();
    assert!(wanted(&mut call));
    call.send_body(Bytes::from_static(b"x"));
    assert_eq!(status(&mut call), 200);
    let (blocks, whole) = rest(&mut call);
    assert_eq!((blocks.iter().map(Bytes::len).sum::<usize>(), whole), (200_000, true));
    workers.shutdown();
    assert_eq!(workers.wait(Duration::MAX), 0);
}

/// What is dropped with a request is the caller's own, and a thread that ended by it would leave all further requests waiting.
#[test]
fn an_extension_that_panics_when_it_is_dropped_ends_no_thread() {
    #[derive(Clone)]
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            // Elsewhere it would be in the way of the test's own panic.
            assert_ne!(std::thread::current().name(), Some("wsgi-worker-1"), "dropped");
        }
    }
    let (open, gate) = gate();
    let workers = workers(move |exchange| {
        pass(&gate);
        exchange.refuse(StatusCode::OK, "done");
    });
    let with_bomb = || {
        let mut request = get();
        request.extensions.insert(Bomb);
        workers.call(request).unwrap()
    };
    let (mut run, withdrawn) = (with_bomb(), with_bomb());
    drop(withdrawn);
    let mut last = workers.call(get()).unwrap();
    (0..2).for_each(|_| open.send(()).unwrap());
    for call in [&mut run, &mut last] {
        assert_eq!((status(call), rest(call)), (200, (vec![Bytes::from_static(b"done")], true)));
    }
    workers.shutdown();
    assert_eq!(workers.wait(Duration::from_secs(10)), 0);
}

/// Reading it would take the thread's time for nothing.
#[test]
fn a_file_is_not_read_for_a_reply_without_a_body() {
    let workers = workers(|exchange| {
        let unreadable = std::fs::OpenOptions::new().write(true).open("/dev/null").unwrap();
        exchange.start(&ResponseHead::plain(StatusCode::OK, 1 << 40));
        exchange.send_file(&unreadable, 0..1 << 40).unwrap();
        exchange.finish();
    });
    let mut head = get();
    head.head.set(Known::RequestMethod, b"HEAD");
    let mut call = workers.call(head).unwrap();
    assert_eq!((status(&mut call), rest(&mut call)), (200, (vec![], true)));
}

#[test]
fn a_handler_learns_why_its_request_was_withdrawn() {
    let (told, outcome) = channel();
    let told = Mutex::new(told);
    let workers = workers(move |exchange| {
        for _ in 0..2 {
            told.lock().unwrap().send(exchange.read(1).unwrap_err().to_string()).unwrap();
        }
    });
    let mut call = workers.call(request(BodyLength::Unknown)).unwrap();
    assert!(wanted(&mut call));
    call.withdraw(io::Error::other("as the test wants"));
    for _ in 0..2 {
        assert_eq!(outcome.recv_timeout(Duration::from_secs(10)).unwrap(), "as the test wants");
    }
}
