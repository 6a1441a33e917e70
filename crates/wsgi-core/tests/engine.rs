//! The engine over real sockets: what every way of serving does, and what only the engine does.

mod observing;
mod serving;

use std::io::Read;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serving::lines::{MARK, lines};
use serving::warnings::Warnings;
use serving::{IntoHandler, Peer, Started, answer, file_with, path, wait_for, wait_until};
use wsgi_core::server::Listener;
pub(crate) use wsgi_core::server::{Handle, Server};
use wsgi_core::server::{Outcome, Running, Timeouts};
use wsgi_core::wire::ResponseHead;
use wsgi_core::{Exchange, Part};

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

#[test]
fn files_that_are_not_taken_hold_no_thread() {
    let file = Arc::new(file_with(&vec![b'x'; 32 << 20]));
    let server = Started::new(
        |server| server.threads(2),
        move |exchange: &mut dyn Exchange| match path(exchange).as_str() {
            "/small" => answer(exchange, b"small"),
            _ => {
                exchange.start(&ResponseHead::plain(http::StatusCode::OK, 32 << 20));
                exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..32 << 20 }]);
            }
        },
    );
    let targets = ["/raw", "/copied", "/pieces"];
    let mut slow: Vec<(&str, Peer)> = targets.iter().cycle().take(12).map(|target| (*target, server.connect())).collect();
    for (target, peer) in &mut slow {
        peer.send(format!("{target} 0\n/small 0\n").as_bytes());
        assert_eq!(peer.line(), format!("200 {}", 32 << 20));
    }
    for _ in 0..20 {
        let mut other = server.connect();
        other.send(b"/small 0\n");
        assert_eq!(other.reply(), "200 small");
    }
    for (target, peer) in &mut slow {
        assert!(peer.body(target, 32 << 20).iter().all(|&byte| byte == b'x'));
        assert_eq!(peer.line(), "200 5");
        assert_eq!(peer.take(5), b"small");
    }
}

/// It was closed as one that is over, so that what had come looked whole.
#[test]
fn a_reply_that_is_cut_off_by_the_servers_end_does_not_look_whole() {
    let file = Arc::new(file_with(&vec![b'x'; 64 << 20]));
    for target in ["rest", "block"] {
        let file = Arc::clone(&file);
        let server = Started::new(
            |server| server,
            move |exchange: &mut dyn Exchange| {
                exchange.start(&ResponseHead::of(http::StatusCode::OK));
                match path(exchange).as_str() {
                    "/rest" => exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..64 << 20 }]),
                    _ => {
                        exchange.data(&vec![b'x'; 64 << 20]);
                        exchange.finish();
                    }
                }
            },
        );
        let mut peer = server.connect();
        peer.send(format!("/{target} 0\n").as_bytes());
        assert_eq!(peer.line(), "200 -");
        server.hurry();
        server.stop();
        assert_eq!(peer.stream.read_to_end(&mut Vec::new()).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{target}");
    }
}

#[test]
fn a_rest_whose_request_is_withdrawn_is_left_out() {
    let file = Arc::new(file_with(&vec![b'x'; 64 << 20]));
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| match path(exchange).as_str() {
            "/close" => answer(exchange, b"next"),
            _ => {
                exchange.start(&ResponseHead::plain(http::StatusCode::OK, 64 << 20));
                exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..64 << 20 }]);
            }
        },
    );
    let mut peer = server.connect();
    peer.send(b"/pieces 0\n");
    assert_eq!(peer.line(), format!("200 {}", 64 << 20));
    assert_eq!(peer.body("/pieces", 50_000).len(), 50_000);
    peer.send(b"!/close 0\n");
    let mut all = Vec::new();
    peer.stream.read_to_end(&mut all).unwrap();
    assert!(all.ends_with(b"200 4\nnext") && all.len() < 64 << 20, "{} bytes", all.len());
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

/// It was closed when its time was up, half a second after the shutdown had begun, and the reset that this gave destroyed the request: under load
/// a connection waits longer than that for a thread.
#[test]
fn a_request_that_came_while_all_threads_were_busy_is_answered_at_the_end() {
    let (begun, began) = channel();
    let (go_on, goes_on) = channel::<()>();
    let (begun, goes_on) = (Mutex::new(begun), Mutex::new(goes_on));
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            if path(exchange) == "/wait" {
                begun.lock().unwrap().send(()).unwrap();
                wait_for(&goes_on.lock().unwrap());
            }
            answer(exchange, b"answered");
        },
    );
    let (mut busy, mut kept) = (server.connect(), server.connect());
    kept.send(b"/first 0\n");
    assert_eq!(kept.reply(), "200 answered");
    busy.send(b"/wait 0\n");
    wait_for(&began);
    kept.send(b"/second 0\n");
    server.shutdown();
    // This time has to pass: it is what idle connections are given.
    std::thread::sleep(Duration::from_millis(800));
    go_on.send(()).unwrap();
    assert_eq!(busy.reply(), "200 answered");
    assert_eq!(kept.reply(), "200 answered");
}

#[test]
fn connections_that_nobody_has_accepted_are_left_to_the_others_that_listen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listens = || Listener::adopt(listener.try_clone().unwrap().into()).unwrap();
    let connect = || {
        let stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Peer { stream }
    };
    let (begun, began) = channel();
    let (go_on, goes_on) = channel::<()>();
    let (begun, goes_on) = (Mutex::new(begun), Mutex::new(goes_on));
    let first = move |exchange: &mut dyn Exchange| {
        begun.lock().unwrap().send(()).unwrap();
        wait_for(&goes_on.lock().unwrap());
        answer(exchange, b"the first");
    };
    let first = Server::new(first.into_handler()).listen(listens(), lines).start().unwrap();
    let mut busy = connect();
    busy.send(b"/ 0\n");
    wait_for(&began);
    // Its only thread cannot accept this one now.
    let mut waiting = connect();
    waiting.send(b"/ 0\n");
    let holders = || {
        let inode = std::fs::read_link(format!("/proc/self/fd/{}", listener.as_raw_fd())).unwrap();
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        descriptors.filter(|descriptor| std::fs::read_link(descriptor.path()).is_ok_and(|link| link == inode)).count()
    };
    assert_eq!(holders(), 2);
    first.handle().hand_over();
    wait_until(|| holders() == 1);
    go_on.send(()).unwrap();
    assert_eq!(busy.reply(), "200 the first");
    assert_eq!(first.wait().stuck, 0);
    let second = |exchange: &mut dyn Exchange| answer(exchange, b"the second");
    let second = Server::new(second.into_handler()).listen(listens(), lines).start().unwrap();
    assert_eq!(waiting.reply(), "200 the second");
    second.handle().shutdown();
    second.wait();
}

#[test]
fn an_end_that_is_announced_is_told_while_everybody_is_still_served() {
    let server = Started::new(|server| server.threads(2), |exchange: &mut dyn Exchange| answer(exchange, b"done"));
    let handle = server.status_handle();
    let mut kept = server.connect();
    kept.send(b"/ 0\n");
    assert_eq!(kept.reply(), "200 done");
    assert!(!handle.status().stopping);
    handle.shutdown_after(Duration::MAX);
    let status = handle.status();
    assert!(status.stopping && status.listeners.len() == 1, "{status:?}");
    // Who is there and who comes is answered, and told that the connection closes.
    for mut peer in [kept, server.connect(), server.connect()] {
        peer.send(b"/ 0\n");
        assert_eq!(peer.reply(), "200 done");
        assert_eq!(peer.rest(), b"");
    }
    // The first one counts, and an end that is not announced cuts it short.
    handle.shutdown_after(Duration::ZERO);
    server.connect();
    assert_eq!(server.stop(), 0);
}

#[test]
fn whoever_asks_while_an_announced_end_begins_is_answered_or_refused() {
    let server = Started::new(|server| server.threads(2), |exchange: &mut dyn Exchange| answer(exchange, b"done"));
    let address = server.address;
    let (answered, is_answered) = channel();
    let ask = move || {
        while let Ok(stream) = TcpStream::connect(address) {
            let mut peer = Peer { stream };
            peer.send(b"/ 0\n");
            assert_eq!(peer.reply(), "200 done");
            answered.send(()).unwrap();
        }
    };
    let peers: Vec<_> = (0..8).map(|_| std::thread::spawn(ask.clone())).collect();
    // They are at it.
    for _ in 0..100 {
        wait_for(&is_answered);
    }
    server.status_handle().shutdown_after(Duration::from_millis(100));
    for peer in peers {
        peer.join().expect("answers until it is refused");
    }
    assert_eq!(server.stop(), 0);
}

#[test]
fn who_gives_way_accepts_nevertheless_if_nobody_else_does() {
    let (asked, was_asked) = channel();
    let asked = Mutex::new(asked);
    let server = Started::new(
        |server| {
            server.give_way(move |open| {
                asked.lock().unwrap().send(open).unwrap();
                open > 0
            })
        },
        |exchange: &mut dyn Exchange| answer(exchange, b"mine"),
    );
    let mut first = server.connect();
    first.send(b"/ 0\n");
    assert_eq!(first.reply(), "200 mine");
    assert_eq!(wait_for(&was_asked), 0);
    for _ in 1..4 {
        let mut next = server.connect();
        next.send(b"/ 0\n");
        assert_eq!(next.reply(), "200 mine");
    }
    assert!(was_asked.try_iter().any(|open| open > 0), "it has never given way");
}

/// Each time it gave way was taken for a time without room, so that nobody ever heard that there was room again, or that there was none once more.
#[test]
fn who_gives_way_says_that_it_accepts_again() {
    let log = Warnings::keep();
    let server =
        Started::new(|server| server.give_way(|_| true).max_connections(1), |exchange: &mut dyn Exchange| answer(exchange, b"mine"));
    let about = format!("not accepting on {} for now", server.address);
    let over = format!(" accepting on {} again", server.address);
    let ask = |peer: &mut Peer| {
        peer.send(b"/close 0\n");
        assert_eq!(peer.reply(), "200 mine");
        assert_eq!(peer.rest(), b"");
    };
    let (mut first, mut second) = (server.connect(), server.connect());
    wait_until(|| log.count(&about) == 1);
    ask(&mut first);
    ask(&mut second);
    wait_until(|| {
        ask(&mut server.connect());
        log.count(&over) == 1
    });
}

/// Each connection that comes while a listener gives way wakes the thread that looks at deadlines: it looks nevertheless.
#[test]
fn deadlines_hold_while_connections_come_that_others_could_have() {
    let timeouts = Timeouts { idle: Duration::from_millis(400), ..Timeouts::default() };
    let server =
        Started::new(|server| server.give_way(|_| true).timeouts(timeouts), |exchange: &mut dyn Exchange| answer(exchange, b"mine"));
    let mut idle = server.connect();
    idle.stream.set_nonblocking(true).unwrap();
    wait_until(|| {
        let mut next = server.connect();
        next.send(b"/ 0\n");
        assert_eq!(next.reply(), "200 mine");
        matches!(idle.stream.read(&mut [0]), Ok(0))
    });
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
