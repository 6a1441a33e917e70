//! The engine over real sockets: what every way of serving does, and what only the engine does.

mod observing;
mod serving;

use std::io::Read;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use serving::lines::MARK;
use serving::{Started, answer, path, wait_for, wait_until};
use wsgi_core::Exchange;
pub(crate) use wsgi_core::server::{Handle, Server};
use wsgi_core::server::{Outcome, Running, Timeouts};
use wsgi_core::wire::ResponseHead;

#[test]
fn a_peer_that_withdraws_its_request_is_noticed_and_its_connection_goes_on() {
    let (begun, began) = channel();
    let begun = Mutex::new(begun);
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            if path(exchange) == "/wait" {
                assert!(!exchange.disconnected());
                begun.lock().unwrap().send(()).unwrap();
                wait_until(|| exchange.disconnected());
            }
            answer(exchange, b"over");
        },
    );
    let mut peer = server.connect();
    peer.send(b"/wait 0\n");
    wait_for(&began);
    peer.send(b"!/next 0\n");
    assert_eq!(peer.reply(), "200 over");
    assert_eq!(peer.reply(), "200 over");
}

/// What had been queued is lost then, so that the mark of the end would stand behind a gap.
#[test]
fn the_end_of_a_reply_of_which_something_was_lost_is_not_sent() {
    let timeouts = Timeouts { write: Duration::from_millis(80), ..Timeouts::default() };
    let (lost, is_lost) = channel();
    let (go_on, goes_on) = channel();
    let (lost, goes_on) = (Mutex::new(lost), Mutex::new(goes_on));
    let server = Started::new(
        |server| server.timeouts(timeouts),
        move |exchange: &mut dyn Exchange| {
            exchange.start(&ResponseHead::of(http::StatusCode::OK));
            while {
                exchange.data(&[b'x'; 4096]);
                exchange.flush().is_ok()
            } {}
            lost.lock().unwrap().send(()).unwrap();
            wait_for(&goes_on.lock().unwrap());
            exchange.finish();
        },
    );
    let mut peer = server.connect();
    peer.send(b"/marked 0\n");
    wait_for(&is_lost);
    // Makes room again.
    peer.stream.set_nonblocking(true).unwrap();
    let mut all = Vec::new();
    assert_eq!(peer.stream.read_to_end(&mut all).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    peer.stream.set_nonblocking(false).unwrap();
    go_on.send(()).unwrap();
    assert_eq!(peer.stream.read_to_end(&mut all).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(!all.ends_with(MARK));
}

/// Each interruption used to count as half a second: a profiler's signals made every deadline pass at once.
#[test]
fn a_thread_that_waits_may_be_interrupted() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the handler does nothing, and no other test uses this signal.
    unsafe { libc::signal(libc::SIGUSR1, nothing as extern "C" fn(libc::c_int) as libc::sighandler_t) };
    let timeouts = Timeouts { body: Duration::from_secs(5), ..Timeouts::default() };
    let (begun, began) = channel();
    let begun = Mutex::new(begun);
    let server = Started::new(
        |server| server.timeouts(timeouts).read_ahead(0),
        move |exchange: &mut dyn Exchange| {
            // SAFETY: may be called at any time.
            begun.lock().unwrap().send(unsafe { libc::pthread_self() }).unwrap();
            let body = exchange.read(100).unwrap_or_else(|error| error.to_string().into());
            answer(exchange, &body);
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 2\n");
    let thread = wait_for(&began);
    for _ in 0..50 {
        // SAFETY: the thread waits for the body that is not sent yet, so it is alive.
        unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
        std::thread::sleep(Duration::from_millis(2));
    }
    peer.send(b"ok");
    assert_eq!(peer.reply(), "200 ok");
}

/// A server that runs.
pub(crate) struct Serving(Running);

impl Serving {
    pub(crate) fn start(server: Server) -> Serving {
        Serving(server.start().unwrap())
    }

    pub(crate) fn handle(&self) -> Handle {
        self.0.handle()
    }

    pub(crate) fn wait(self) -> Outcome {
        self.0.wait()
    }
}
