//! The engine over real sockets: what every way of serving does, and what only the engine does.

mod serving;

use std::io::Read;
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use serving::lines::{MARK, lines};
use serving::{Of, Peer, Started, answer, echo, path, wait_for, wait_until};
use wsgi_core::Exchange;
pub(crate) use wsgi_core::server::{Handle, Server};
use wsgi_core::server::{Listener, Outcome, Running, Timeouts};
use wsgi_core::wire::{Address, Link, ResponseHead};

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

#[test]
fn what_rust_puts_beside_a_request_goes_with_it() {
    let server = Started::new(
        |server| server,
        |exchange: &mut dyn Exchange| {
            let found = exchange.extensions().and_then(|extensions| extensions.get::<u32>()).copied();
            exchange.extensions_mut().unwrap().insert(7u32);
            let left = exchange.extensions().and_then(|extensions| extensions.get::<u32>()).copied();
            answer(exchange, format!("{found:?} {left:?}").as_bytes());
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 0\n/ 0\n");
    for _ in 0..2 {
        assert_eq!(peer.reply(), "200 None Some(7)");
    }
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

#[test]
fn that_connections_have_to_wait_is_said_once() {
    let log = Warnings::keep();
    let server = Started::new(|server| server.max_connections(1), echo);
    let about = format!("not accepting on {} for now", server.address);
    let mut peers: Vec<Peer> = (0..5).map(|_| server.connect()).collect();
    for mut peer in peers.drain(..) {
        // Each is let in when the one before it has gone.
        peer.send(b"/a 0\n");
        assert_eq!(peer.reply(), "200 /a ");
    }
    assert_eq!(log.count(&about), 1);
    // Nobody waits any more, so that it is news when somebody does.
    wait_until(|| {
        let (mut one, mut two) = (server.connect(), server.connect());
        for peer in [&mut one, &mut two] {
            peer.send(b"/close 0\n");
        }
        assert_eq!((one.reply(), two.reply()), ("200 /close ".to_owned(), "200 /close ".to_owned()));
        log.count(&about) > 1
    });
}

#[test]
fn a_dialect_that_panics_harms_only_its_connection() {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    let made = AtomicUsize::new(0);
    let dialect = move |link: &Link| {
        assert!(made.fetch_add(1, Ordering::SeqCst) >= 2, "as the test wants");
        lines(link)
    };
    let running = Server::new(Of(echo)).listen(listener, dialect).max_connections(1).start().unwrap();
    for _ in 0..2 {
        let mut peer = Peer { stream: TcpStream::connect(address).unwrap() };
        assert_eq!(peer.stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
    let mut peer = Peer { stream: TcpStream::connect(address).unwrap() };
    peer.send(b"/a 0\n");
    assert_eq!(peer.reply(), "200 /a ");
    running.handle().hurry();
    assert_eq!(running.wait().stuck, 0);
}

/// The warnings of this process, kept from the first call on.
struct Warnings;

static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Warnings {
    fn keep() -> Warnings {
        tracing::subscriber::set_global_default(Warnings).expect("nobody else listens");
        Warnings
    }

    fn count(&self, part: &str) -> usize {
        WARNINGS.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {value:?}");
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        WARNINGS.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
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
