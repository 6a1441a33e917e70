//! What observers learn of replies over HTTP/1.1 that are still being sent when their handler has returned.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use wsgi_core::observe::{Observed, Observer, Outcome, Seen};
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::{Address, Known, ResponseHead};
use wsgi_core::{Exchange, Handler};
use wsgi_http::Http1;

/// Promises 100,000 bytes and gives as many, or half of them.
struct Promises;

impl Handler for Promises {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let given = if exchange.head().get(Known::PathInfo) == Some(b"/half") { 50_000 } else { 100_000 };
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, 100_000));
        exchange.data(&vec![b'x'; given]);
        exchange.finish();
    }
}

struct Tells(SyncSender<(Outcome, u64)>);

impl Observer for Tells {
    fn ended(&self, seen: &Seen<'_>) {
        let _ = self.0.try_send((seen.outcome, seen.body_bytes));
    }
}

#[test]
fn a_reply_that_is_shorter_than_its_head_says_is_not_whole() {
    let (tell, told) = sync_channel(9);
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    let handler = Observed::new(Promises, [Arc::new(Tells(tell)) as Arc<dyn Observer>]);
    let running = Server::new(handler).listen(listener, Http1::new()).start().unwrap();
    for (target, outcome, given) in [("/whole", Outcome::Whole, 100_000), ("/half", Outcome::Aborted, 50_000)] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        write!(stream, "GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), (outcome, given), "{target}");
    }
    running.handle().shutdown();
    running.wait();
}
