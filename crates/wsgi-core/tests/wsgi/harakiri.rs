//! Requests that take too long: what executes Python is interrupted, and what does not come back is told.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use http::StatusCode;
use wsgi_core::wire::{BodyLength, Known, RequestHead, ResponseHead};
use wsgi_core::workers::{Reply, Request, Workers};
use wsgi_core::wsgi::{Application, Harakiri, Stuck, Watched};
use wsgi_core::{Exchange, Handler};

use crate::common::{App, start_python};

/// Only requests that are to be interrupted are watched by this; the others would have to be quick, which no test may ask for.
const LIMIT: Duration = Duration::from_millis(300);

fn watched<H: Handler>(handler: H) -> (Watched<H>, Receiver<Stuck>) {
    let (told, stuck) = channel();
    let told = Mutex::new(told);
    let harakiri = Harakiri::after(LIMIT).grace(LIMIT).on_stuck(move |stuck| told.lock().unwrap().send(stuck.clone()).unwrap());
    (harakiri.around(handler).unwrap(), stuck)
}

/// Who does not come back is not told of.
fn watched_for_long<H: Handler>(handler: H) -> Watched<H> {
    Harakiri::after(LIMIT).grace(Duration::from_secs(3600)).around(handler).unwrap()
}

fn application(app: &App) -> (Watched<Application>, Receiver<Stuck>) {
    watched(app.application.clone())
}

const LOOP: &str = "
def application(environ, start_response):
    if environ['PATH_INFO'] == '/quick':
        start_response('200 OK', [])
        return [b'quick']
    try:
        while True:
            pass
    except Exception:
        note('never')
    finally:
        note('finally')
";

#[test]
fn a_loop_is_ended_with_504_and_its_thread_serves_on() {
    let app = App::new(LOOP);
    let (watched, stuck) = application(&app);
    for _ in 0..2 {
        let answer = app.get("/loop").run_by(&watched);
        assert_eq!(answer.status(), "504 Gateway Timeout", "{}", answer.errors);
        assert!(answer.has("finally") && answer.has("finish") && !answer.has("never"), "{:?}", answer.events);
        assert_eq!(answer.errors, "");
        app.get("/quick").run().is_ok("quick");
    }
    assert_eq!(watched.running(), 0);
    drop(watched);
    // Nobody was told of anything, and nobody can be any more.
    assert!(stuck.recv().is_err());
}

#[test]
fn a_reply_that_has_begun_is_aborted_and_close_is_called() {
    let app = App::new(
        "
class Blocks:
    def __iter__(self):
        yield b'first'
        while True:
            pass
    def close(self):
        note('close')
def application(environ, start_response):
    start_response('200 OK', [])
    return Blocks()
",
    );
    let answer = app.get("/").run_by(&application(&app).0);
    assert_eq!((answer.status(), answer.body()), ("200 OK", "first"));
    assert!(answer.has("abort") && answer.has("close") && !answer.has("finish"), "{:?}", answer.events);
}

#[test]
fn an_application_that_catches_everything_answers_and_nothing_of_it_reaches_the_next_request() {
    let app = App::new(
        "
def application(environ, start_response):
    caught = 'nothing'
    if environ['PATH_INFO'] == '/loop':
        try:
            while True:
                pass
        except BaseException as error:
            caught = type(error).__module__ + '.' + type(error).__name__
    start_response('200 OK', [])
    return [caught.encode()]
",
    );
    let (watched, _stuck) = application(&app);
    app.get("/loop").run_by(&watched).is_ok("wsgi.Harakiri");
    for _ in 0..10 {
        app.get("/").run().is_ok("nothing");
    }
}

/// The exception is raised while a block is waited for in C, and nothing of Python runs before `close()`.
#[test]
fn an_exception_that_came_too_late_for_the_reply_does_not_end_close() {
    let app = App::new(
        "
import queue, threading, time
class Blocks:
    def __init__(self):
        self.queue = queue.SimpleQueue()
        threading.Thread(target=self.fill).start()
    def fill(self):
        time.sleep(0.9)
        self.queue.put(None)
    def __iter__(self):
        return iter(self.queue.get, None)
    def close(self):
        note('close')
        note('closed')
def application(environ, start_response):
    start_response('200 OK', [])
    return Blocks()
",
    );
    let answer = app.get("/").run_by(&application(&app).0);
    assert!(answer.has("closed"), "{:?} {}", answer.events, answer.errors);
    assert_eq!((answer.status(), answer.errors.as_str()), ("200 OK", ""));
}

/// The client sends now and then, so that the body is never late and never whole.
#[test]
fn a_body_that_does_not_end_in_time_is_not_waited_for_any_longer() {
    let late = || {
        std::thread::sleep(3 * LIMIT);
        std::io::Error::new(std::io::ErrorKind::TimedOut, "the body is late")
    };
    let app = App::new(
        "
def application(environ, start_response):
    try:
        environ['wsgi.input'].readlines()
    finally:
        note('finally')
        note('whole')
",
    );
    let watched = watched_for_long(app.application.clone());
    let answer = app.request("POST", "/").body(&[b"abcdef"]).refused(late).run_by(&watched);
    assert_eq!((answer.status(), answer.errors.as_str()), ("504 Gateway Timeout", ""), "{:?}", answer.logged);
    assert!(answer.has("finally") && answer.has("whole"), "interrupted twice: {:?}", answer.events);
    // Before the application is called.
    let answer = app.request("POST", "/").chunked(&[b"abcdef"]).refused(late).run_by(&watched);
    assert_eq!((answer.status(), answer.errors.as_str()), ("504 Gateway Timeout", ""), "{:?}", answer.logged);
    assert!(!answer.has("finally"));
}

/// A thread that waits outside of Python, and then goes on.
struct Waits {
    application: Application,
    go_on: Mutex<Receiver<()>>,
}

impl Handler for Waits {
    fn handle(&self, exchange: &mut dyn Exchange) {
        self.go_on.lock().unwrap().recv().unwrap();
        exchange.refuse(StatusCode::OK, "late");
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        self.application.thread(work);
    }
}

#[test]
fn a_thread_that_does_not_come_back_is_told_once_and_its_exception_is_taken_back_when_it_does() {
    let app = App::new("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'fine']\n");
    let (go_on, wait) = channel();
    let (watched, stuck) = watched(Waits { application: app.application.clone(), go_on: Mutex::new(wait) });
    let watched = Arc::new(watched);
    std::thread::scope(|threads| {
        let thread = threads.spawn(|| {
            watched.thread(&mut || {
                let answer = app.get("/wait").run_by(&watched);
                assert_eq!(answer.body(), "late");
                assert!(answer.logged.iter().any(|line| line.contains("came back")), "{:?}", answer.logged);
                // On the same thread, whose exception was never raised.
                app.get("/").run().is_ok("fine");
            });
        });
        let told = stuck.recv().unwrap();
        assert_eq!((told.request.as_str(), told.python_is_blocked), ("GET /wait", false));
        assert!(told.since >= 2 * LIMIT, "{told:?}");
        assert_eq!(watched.running(), 0);
        go_on.send(()).unwrap();
        thread.join().unwrap();
    });
    drop(watched);
    assert!(stuck.recv().is_err(), "told twice");
}

/// A handler that does not come back before it is told to, or before its request's body does.
struct Dawdles(Mutex<Receiver<()>>);

impl Handler for Dawdles {
    fn handle(&self, exchange: &mut dyn Exchange) {
        match exchange.head().get(Known::PathInfo).unwrap() {
            b"/read" => match exchange.read(1) {
                Ok(_) => exchange.refuse(StatusCode::OK, "there was a body"),
                Err(error) => exchange.refuse(StatusCode::BAD_REQUEST, &error.to_string()),
            },
            b"/begun" => {
                exchange.start(&ResponseHead::plain(StatusCode::OK, 10));
                exchange.data(b"begun");
                exchange.flush().unwrap();
                self.0.lock().unwrap().recv().unwrap();
                exchange.data(b"ended");
                exchange.finish();
            }
            _ => {
                self.0.lock().unwrap().recv().unwrap();
                exchange.refuse(StatusCode::OK, "late");
            }
        }
    }
}

/// All of a reply, in words.
fn reply_of(workers: &Workers, path: &[u8]) -> String {
    let mut head = RequestHead::default();
    head.set(Known::RequestMethod, b"POST");
    head.set(Known::PathInfo, path);
    head.set_body(BodyLength::Unknown);
    let mut call = workers.call(Request { head, ..Request::default() }).unwrap();
    let mut text = String::new();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        match call.poll_reply(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending if Instant::now() > end => return text + " nothing more",
            Poll::Pending => std::thread::yield_now(),
            Poll::Ready(Reply::Head(head)) => text += &format!("{} ", head.code()),
            Poll::Ready(Reply::Block(block)) => text += std::str::from_utf8(&block).unwrap(),
            Poll::Ready(Reply::End) => return text + " end",
            Poll::Ready(_) => return text + " aborted",
        }
    }
}

/// Its connection is not the thread's, so that it can go on.
#[test]
fn a_task_is_answered_also_when_the_thread_does_not_come_back() {
    start_python();
    let (go_on, goes_on) = channel();
    let (watched, stuck) = watched(Dawdles(Mutex::new(goes_on)));
    let workers = Workers::builder(watched).threads(1).start().unwrap();
    assert_eq!(reply_of(&workers, b"/read"), "400 request takes longer than the server allows end");
    for (path, reply) in [(&b"/begun"[..], "200 begun aborted"), (b"/", "504 504 Gateway Timeout\n end")] {
        assert_eq!(reply_of(&workers, path), reply);
        stuck.recv_timeout(Duration::from_secs(20)).unwrap();
        go_on.send(()).unwrap();
    }
    workers.shutdown();
    assert_eq!(workers.wait(Duration::from_secs(20)), 0);
}

#[test]
fn whenever_the_time_is_up_a_request_is_answered_or_interrupted_and_the_next_one_is_whole() {
    // Each takes about as long as the limit, so that the exception comes anywhere: before the application, within, behind it, or not at all.
    let source = "
import time
def application(environ, start_response):
    begun = time.monotonic()
    while time.monotonic() - begun < int(environ['QUERY_STRING']) / 1000:
        pass
    start_response('200 OK', [('Content-Length', '4')])
    return [b'done']
";
    let limit = Duration::from_millis(20);
    std::thread::scope(|threads| {
        for number in 0..3 {
            threads.spawn(move || {
                let app = App::new(source);
                let watched = Harakiri::after(limit).grace(Duration::from_secs(3600)).around(app.application.clone()).unwrap();
                watched.thread(&mut || {
                    for request in 0..40 {
                        let answer = app.get(&format!("/?{}", 5 + (7 * request + number) % 50)).run_by(&watched);
                        assert_eq!(answer.errors, "");
                        assert!(answer.has("finish") && !answer.has("abort"), "{:?}", answer.events);
                        match answer.status() {
                            "200 OK" => assert_eq!(answer.body(), "done"),
                            status => assert_eq!(status, "504 Gateway Timeout", "{:?}", answer.logged),
                        }
                        // Not watched, so that nothing may happen to it.
                        app.get("/?0").run().is_ok("done");
                    }
                });
            });
        }
    });
}

#[test]
fn what_is_quick_is_left_alone() {
    let app = App::new(LOOP);
    let watched = Harakiri::after(Duration::from_secs(3600)).around(app.application.clone()).unwrap();
    for _ in 0..100 {
        let answer = app.get("/quick").run_by(&watched);
        answer.is_ok("quick");
        assert_eq!(answer.logged, [""; 0]);
    }
}
