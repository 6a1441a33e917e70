//! The engine over real sockets, with a protocol of its own that is small enough to see through.
//!
//! A request is a line `PATH LENGTH`, then LENGTH bytes. A reply is a line `CODE LENGTH`, then LENGTH bytes, or `CODE -`, then bytes until
//! the end. `close` as a path ends the connection after the reply. `!` after a request withdraws it, and `# TEXT` before a reply is for the log.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use wsgi_core::server::{AllowFrom, Handle, ListenAddress, Listener, Running, Server, Timeouts};
use wsgi_core::wire::{
    Address, BodyLength, CloseReason, Dialect, Error, Event, HttpDate, Known, Link, Next, Protocol, RequestHead, ResponseHead,
};
use wsgi_core::{Exchange, Handler, Part};

#[test]
fn requests_of_one_connection_are_answered_in_order_also_when_they_come_at_once() {
    let server = Started::new(|server| server, echo);
    let mut peer = server.connect();
    peer.send(b"/a 0\n/b 3\nxyz/c 0\n");
    assert_eq!(peer.reply(), "200 /a ");
    assert_eq!(peer.reply(), "200 /b xyz");
    assert_eq!(peer.reply(), "200 /c ");
    peer.send(b"/d 0\n");
    assert_eq!(peer.reply(), "200 /d ");
    peer.send("/x 0\n".repeat(500).as_bytes());
    for _ in 0..500 {
        assert_eq!(peer.reply(), "200 /x ");
    }
}

#[test]
fn a_head_that_arrives_byte_by_byte_holds_no_thread() {
    let server = Started::new(|server| server, echo);
    let mut slow = server.connect();
    for byte in b"/slow 2\na" {
        slow.send(&[*byte]);
        let mut other = server.connect();
        other.send(b"/other 0\n");
        assert_eq!(other.reply(), "200 /other ");
    }
    slow.send(b"b");
    assert_eq!(slow.reply(), "200 /slow ab");
}

#[test]
fn a_long_body_is_streamed_and_the_handler_waits_for_it() {
    let server = Started::new(|server| server.read_ahead(10).threads(2), echo);
    let mut peer = server.connect();
    peer.send(b"/long 20\n0123456789");
    peer.send(b"0123456789");
    assert_eq!(peer.reply(), "200 /long 01234567890123456789");
}

#[test]
fn a_reply_that_is_not_taken_holds_no_thread() {
    let block = vec![b'x'; 8 << 20];
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| match path(exchange).as_str() {
            "/big" => answer(exchange, &block),
            _ => answer(exchange, b"small"),
        },
    );
    let mut slow = server.connect();
    slow.send(b"/big 0\n/then 0\n");
    let mut other = server.connect();
    other.send(b"/other 0\n");
    assert_eq!(other.reply(), "200 small");
    assert_eq!(slow.reply().len(), "200 ".len() + (8 << 20));
    assert_eq!(slow.reply(), "200 small");
}

#[test]
fn streamed_blocks_arrive_before_the_next_is_made() {
    let (send, receive) = channel();
    let receive = Mutex::new(receive);
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            exchange.start(&ResponseHead::of(http::StatusCode::OK));
            for block in [b"one", b"two"] {
                exchange.data(block);
                exchange.flush().unwrap();
                wait_for(&receive.lock().unwrap());
            }
            exchange.finish();
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 0\n");
    assert_eq!(peer.line(), "200 -");
    assert_eq!(peer.take(3), b"one");
    send.send(()).unwrap();
    assert_eq!(peer.take(3), b"two");
    send.send(()).unwrap();
    assert_eq!(peer.rest(), b"");
}

#[test]
fn deadlines_end_connections_that_take_too_long() {
    let short = Duration::from_millis(80);
    let timeouts = Timeouts { head: short, idle: short, body: short, write: short, ..Timeouts::default() };
    let (send, errors) = channel();
    let send = Mutex::new(send);
    let server = Started::new(
        |server| server.timeouts(timeouts).read_ahead(8),
        move |exchange: &mut dyn Exchange| {
            let result = match path(exchange).as_str() {
                "/read" => exchange.read(100).and_then(|_| exchange.read(100)).map(|_| ()),
                _ => stream(exchange, 64 << 20),
            };
            send.lock().unwrap().send(result.unwrap_err().kind()).unwrap();
        },
    );
    let mut idle = server.connect();
    assert_eq!(idle.rest(), b"");
    let mut half_a_head = server.connect();
    half_a_head.send(b"/head");
    assert_eq!(half_a_head.line(), "408 0");
    let mut short_body = server.connect();
    short_body.send(b"/x 5\nab");
    assert_eq!(short_body.line(), "408 0");
    let mut long_body = server.connect();
    long_body.send(b"/read 100\nsome");
    assert_eq!(wait_for(&errors), std::io::ErrorKind::TimedOut);
    let mut reader = server.connect();
    reader.send(b"/write 0\n");
    assert_eq!(wait_for(&errors), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_reply_that_is_complete_but_not_taken_is_reset_in_the_end() {
    let timeouts = Timeouts { write: Duration::from_millis(80), ..Timeouts::default() };
    let block = vec![b'x'; 16 << 20];
    let server = Started::new(|server| server.timeouts(timeouts), move |exchange: &mut dyn Exchange| answer(exchange, &block));
    let mut peer = server.connect();
    peer.send(b"/ 0\n");
    assert_eq!(peer.line(), format!("200 {}", 16 << 20));
    // The peer's end is looked at without taking anything from it.
    wait_until(|| !peer.is_writable());
}

#[test]
fn a_handler_that_panics_or_forgets_its_reply_harms_only_that_request() {
    let server = Started::new(
        |server| server,
        |exchange: &mut dyn Exchange| match path(exchange).as_str() {
            "/panic" => panic!("as the test wants"),
            "/nothing" => {}
            "/half" => {
                exchange.start(&ResponseHead::of(http::StatusCode::OK));
                exchange.data(b"half");
            }
            _ => answer(exchange, b"fine"),
        },
    );
    for target in ["/panic", "/nothing"] {
        let mut peer = server.connect();
        peer.send(format!("{target} 0\n/next 0\n").as_bytes());
        assert_eq!(peer.reply(), "500 Internal Server Error\n");
        assert_eq!(peer.reply(), "200 fine");
    }
    let mut peer = server.connect();
    peer.send(b"/half 0\n");
    let mut all = Vec::new();
    let error = peer.stream.read_to_end(&mut all).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn a_broken_body_is_an_error_again_and_again_and_never_an_end() {
    let (send, errors) = channel();
    let send = Mutex::new(send);
    let server = Started::new(
        |server| server.read_ahead(0),
        move |exchange: &mut dyn Exchange| {
            assert_eq!(&exchange.read(100).unwrap()[..], b"ab");
            for _ in 0..3 {
                send.lock().unwrap().send(exchange.read(100).unwrap_err().kind()).unwrap();
            }
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 5\nab");
    peer.stream.shutdown(Shutdown::Write).unwrap();
    for _ in 0..3 {
        assert_eq!(wait_for(&errors), std::io::ErrorKind::UnexpectedEof);
    }
}

#[test]
fn an_early_reply_reaches_a_peer_that_is_still_sending() {
    let server =
        Started::new(|server| server.read_ahead(0), |exchange: &mut dyn Exchange| exchange.refuse(http::StatusCode::FORBIDDEN, "no"));
    let mut peer = server.connect();
    peer.send(b"/ 900000000\n");
    let mut writer = peer.stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || while writer.write_all(&[0; 4096]).is_ok() {});
    assert_eq!(peer.reply(), "403 no");
    peer.stream.shutdown(Shutdown::Both).unwrap();
    sender.join().unwrap();
}

#[test]
fn an_early_reply_reaches_a_peer_that_reads_only_after_it_has_sent_all() {
    // nginx passes an upload on like this. It answered 502 when the server threw away one megabyte and then closed the connection on the rest,
    // for then the system resets it, and the reply is lost.
    let server =
        Started::new(|server| server.read_ahead(0), |exchange: &mut dyn Exchange| exchange.refuse(http::StatusCode::FORBIDDEN, "no"));
    let mut peer = server.connect();
    peer.send(b"/ 30000000\n");
    peer.send(&vec![0; 30_000_000]);
    assert_eq!(peer.reply(), "403 no");
}

#[test]
fn a_body_that_was_not_read_but_has_arrived_costs_no_connection() {
    let server = Started::new(|server| server.read_ahead(0), |exchange: &mut dyn Exchange| answer(exchange, b"unread"));
    let mut peer = server.connect();
    peer.send(b"/a 3\nxyz/b 0\n");
    assert_eq!(peer.reply(), "200 unread");
    assert_eq!(peer.reply(), "200 unread");
}

#[test]
fn a_protocol_error_is_answered_and_closes_only_its_connection() {
    let server = Started::new(|server| server, echo);
    let mut good = server.connect();
    good.send(b"/a 0\n");
    assert_eq!(good.reply(), "200 /a ");
    let mut bad = server.connect();
    bad.send(b"nonsense\n");
    assert_eq!(bad.line(), "400 0");
    assert_eq!(bad.rest(), b"");
    good.send(b"/b 0\n");
    assert_eq!(good.reply(), "200 /b ");
}

#[test]
fn a_file_is_sent_as_it_is() {
    let content: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    let file = file_with(&content);
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            exchange.start(&ResponseHead::plain(http::StatusCode::OK, 2_000_000));
            exchange.send_file(&file, 500_000..2_500_000).unwrap();
            exchange.finish();
        },
    );
    for target in ["/raw", "/copied", "/pieces"] {
        let mut peer = server.connect();
        peer.send(format!("{target} 0\n").as_bytes());
        assert_eq!(peer.line(), "200 2000000");
        assert!(peer.body(target, 2_000_000) == content[500_000..2_500_000], "{target}");
    }
}

#[test]
fn a_rest_is_sent_part_by_part_and_then_comes_the_next_request() {
    let content: Vec<u8> = (0..9_000_000u32).map(|n| (n / 3) as u8).collect();
    let file = Arc::new(file_with(&content));
    let text: Vec<u8> = (0..200_000u32).map(|n| (n / 11) as u8).collect();
    let parts = {
        let (file, text) = (Arc::clone(&file), bytes::Bytes::from(text.clone()));
        let piece = |range| Part::File { file: Arc::clone(&file), range };
        vec![Part::Bytes(text.clone()), piece(7..9_000_000), piece(5..5), Part::Bytes(bytes::Bytes::new()), piece(0..3), Part::Bytes(text)]
    };
    let expected = [b"first".as_slice(), &text, &content[7..], &content[..3], &text].concat();
    let length = expected.len();
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            exchange.start(&ResponseHead::plain(http::StatusCode::OK, length as u64));
            exchange.data(b"first");
            exchange.finish_with(parts.clone());
            // Nothing can follow.
            exchange.data(b"more");
            exchange.finish_with(parts.clone());
            exchange.finish();
            exchange.abort();
        },
    );
    for target in ["/raw", "/copied", "/pieces"] {
        let mut peer = server.connect();
        // Other requests lie behind the first while its rest is sent.
        peer.send(format!("{target} 0\n").repeat(3).as_bytes());
        for _ in 0..3 {
            assert_eq!(peer.line(), format!("200 {length}"));
            assert!(peer.body(target, length) == expected, "{target}");
        }
    }
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

#[test]
fn a_rest_that_is_not_taken_is_reset_in_the_end() {
    let timeouts = Timeouts { write: Duration::from_millis(80), ..Timeouts::default() };
    let file = Arc::new(file_with(&vec![b'x'; 16 << 20]));
    let server = Started::new(
        |server| server.timeouts(timeouts),
        move |exchange: &mut dyn Exchange| {
            exchange.start(&ResponseHead::plain(http::StatusCode::OK, 16 << 20));
            exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..16 << 20 }]);
        },
    );
    for target in ["/raw", "/copied"] {
        let mut peer = server.connect();
        peer.send(format!("{target} 0\n").as_bytes());
        assert_eq!(peer.line(), format!("200 {}", 16 << 20));
        wait_until(|| !peer.is_writable());
    }
}

/// The peer must not take what came for the whole, and the connection must not go on.
#[test]
fn a_file_that_shrinks_while_it_is_sent_breaks_the_reply_off() {
    let file = Arc::new(file_with(b""));
    let sent = Arc::clone(&file);
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            exchange.start(&ResponseHead::plain(http::StatusCode::OK, 64 << 20));
            exchange.finish_with(vec![Part::File { file: Arc::clone(&sent), range: 0..64 << 20 }]);
        },
    );
    for target in ["/raw", "/copied"] {
        file.set_len(64 << 20).unwrap();
        let mut peer = server.connect();
        peer.send(format!("{target} 0\n/next 0\n").as_bytes());
        assert_eq!(peer.line(), format!("200 {}", 64 << 20));
        // What the system holds between the two is less than this.
        file.set_len(63 << 20).unwrap();
        let mut all = Vec::new();
        let end = peer.stream.read_to_end(&mut all);
        assert!(all.len() <= 63 << 20 && end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset), "{target}");
    }
}

#[test]
fn a_rest_whose_request_is_withdrawn_is_left_out() {
    let file = Arc::new(file_with(&vec![b'x'; 64 << 20]));
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| match path(exchange).as_str() {
            "/next" => answer(exchange, b"next"),
            _ => {
                exchange.start(&ResponseHead::plain(http::StatusCode::OK, 64 << 20));
                exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..64 << 20 }]);
            }
        },
    );
    let mut peer = server.connect();
    peer.send(b"/pieces 0\n");
    assert_eq!(peer.line(), format!("200 {}", 64 << 20));
    peer.send(WITHDRAWN);
    let mut all = Vec::new();
    // The protocol of these tests has no word for it but the connection's end.
    let end = peer.stream.read_to_end(&mut all);
    assert!(all.len() < 64 << 20, "{end:?}");
}

#[test]
fn large_blocks_go_out_piece_by_piece_where_the_protocol_bounds_them() {
    let block: Vec<u8> = (0..5_000_000u32).map(|n| (n / 7) as u8).collect();
    let sent = block.clone();
    let server = Started::new(|server| server, move |exchange: &mut dyn Exchange| answer(exchange, &sent));
    for target in ["/pieces", "/raw", "/copied"] {
        let mut peer = server.connect();
        peer.send(format!("{target} 0\n").as_bytes());
        assert_eq!(peer.line(), "200 5000000");
        assert!(peer.body(target, 5_000_000) == block, "{target}");
    }
}

#[test]
fn a_file_that_is_shorter_than_promised_is_an_error() {
    let (send, errors) = channel();
    let send = Mutex::new(send);
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            exchange.start(&ResponseHead::plain(http::StatusCode::OK, 10));
            let error = exchange.send_file(&File::open("/dev/null").unwrap(), 0..10).unwrap_err();
            send.lock().unwrap().send(error.kind()).unwrap();
            exchange.abort();
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 0\n");
    assert_eq!(wait_for(&errors), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn connections_beyond_the_limit_wait_until_there_is_room() {
    let server = Started::new(|server| server.max_connections(2), echo);
    let mut first = server.connect();
    let mut second = server.connect();
    for peer in [&mut first, &mut second] {
        peer.send(b"/a 0\n");
        assert_eq!(peer.reply(), "200 /a ");
    }
    let mut third = server.connect();
    third.send(b"/b 0\n");
    third.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(third.stream.read(&mut [0]).is_err());
    third.stream.set_read_timeout(Some(PATIENCE)).unwrap();
    drop(first);
    assert_eq!(third.reply(), "200 /b ");
}

#[test]
fn each_thread_lives_inside_the_handlers_own_frame() {
    struct Framed(Arc<AtomicUsize>, Arc<AtomicUsize>);
    impl Handler for Framed {
        fn handle(&self, exchange: &mut dyn Exchange) {
            answer(exchange, b"");
        }
        fn thread(&self, work: &mut dyn FnMut()) {
            self.0.fetch_add(1, Ordering::SeqCst);
            work();
            self.1.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let server = Started::new(|server| server.threads(3), Framed(begun.clone(), ended.clone()));
    wait_until(|| begun.load(Ordering::SeqCst) == 3);
    assert_eq!(ended.load(Ordering::SeqCst), 0);
    assert_eq!(server.stop(), 0);
    assert_eq!(ended.load(Ordering::SeqCst), 3);
}

#[test]
fn several_threads_run_requests_at_once() {
    let barrier = std::sync::Barrier::new(4);
    let server = Started::new(
        |server| server.threads(4),
        move |exchange: &mut dyn Exchange| {
            barrier.wait();
            answer(exchange, b"together");
        },
    );
    let mut peers: Vec<_> = (0..4).map(|_| server.connect()).collect();
    for peer in &mut peers {
        peer.send(b"/ 0\n");
    }
    for peer in &mut peers {
        assert_eq!(peer.reply(), "200 together");
    }
}

#[test]
fn shutdown_finishes_what_runs_and_closes_what_is_idle() {
    let (send, go_on) = channel();
    let (begun, began) = channel();
    let (go_on, begun) = (Mutex::new(go_on), Mutex::new(begun));
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            if path(exchange) == "/wait" {
                begun.lock().unwrap().send(()).unwrap();
                wait_for(&go_on.lock().unwrap());
            }
            answer(exchange, b"done");
        },
    );
    let mut idle = server.connect();
    idle.send(b"/ 0\n");
    assert_eq!(idle.reply(), "200 done");
    let mut busy = server.connect();
    busy.send(b"/wait 0\n");
    wait_for(&began);
    let waiting: Vec<_> = (0..5).map(|_| server.connect()).collect();
    server.handle.shutdown();
    let mut waiting: Vec<_> = waiting
        .into_iter()
        .map(|mut peer| {
            peer.send(b"/ 0\n");
            peer
        })
        .collect();
    send.send(()).unwrap();
    assert_eq!(busy.reply(), "200 done");
    assert_eq!(busy.rest(), b"");
    for peer in &mut waiting {
        assert_eq!(peer.reply(), "200 done");
    }
    assert_eq!(idle.rest(), b"");
    let address = server.address;
    assert_eq!(server.stop(), 0);
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn shutdown_cuts_off_what_does_not_end_in_time() {
    let timeouts = Timeouts { shutdown: Duration::from_millis(100), ..Timeouts::default() };
    let (send, errors) = channel();
    let send = Mutex::new(send);
    let server = Started::new(
        |server| server.timeouts(timeouts),
        move |exchange: &mut dyn Exchange| {
            let error = exchange.read(1000).and_then(|_| exchange.read(1000)).unwrap_err();
            send.lock().unwrap().send(error.kind()).unwrap();
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 100000\nx");
    wait_until(|| server.running());
    server.handle.shutdown();
    assert_eq!(wait_for(&errors), std::io::ErrorKind::ConnectionAborted);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_handler_that_never_returns_is_counted_and_left_behind() {
    let timeouts = Timeouts { shutdown: Duration::from_millis(50), ..Timeouts::default() };
    let (begun, began) = channel();
    let begun = Mutex::new(begun);
    let server = Started::new(
        |server| server.timeouts(timeouts).threads(2),
        move |_: &mut dyn Exchange| {
            begun.lock().unwrap().send(()).unwrap();
            loop {
                std::thread::park();
            }
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 0\n");
    wait_for(&began);
    assert_eq!(server.stop(), 1);
}

#[test]
fn a_peer_that_left_is_noticed_without_writing() {
    let (begun, began) = channel();
    let (seen, saw) = channel();
    let (begun, seen) = (Mutex::new(begun), Mutex::new(seen));
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            assert!(!exchange.disconnected());
            begun.lock().unwrap().send(()).unwrap();
            wait_until(|| exchange.disconnected());
            seen.lock().unwrap().send(()).unwrap();
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 0\n");
    wait_for(&began);
    drop(peer);
    wait_for(&saw);
}

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

/// Such a peer goes on to read, so that no write fails: an endless reply had no end.
#[test]
fn a_peer_that_withdraws_its_request_in_mid_reply_is_noticed() {
    let (noticed, notices) = channel();
    let noticed = Mutex::new(noticed);
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            let error = stream(exchange, usize::MAX).unwrap_err();
            noticed.lock().unwrap().send(error.to_string()).unwrap();
        },
    );
    let mut peer = server.connect();
    peer.send(b"/endless 0\n");
    assert_eq!(peer.line(), "200 -");
    peer.send(b"!");
    let mut room = [0; 4096];
    while peer.stream.read(&mut room).is_ok_and(|count| count > 0) {}
    assert_eq!(wait_for(&notices), "peer wants no reply any more");
}

#[test]
fn text_for_the_peers_log_is_queued_in_its_place() {
    let server = Started::new(
        |server| server,
        |exchange: &mut dyn Exchange| {
            assert!(exchange.log(b"early"));
            exchange.start(&ResponseHead::plain(http::StatusCode::OK, 2));
            exchange.data(b"ok");
            exchange.finish();
            assert!(!exchange.log(b"late"));
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 0\n");
    assert_eq!(peer.line(), "# early");
    assert_eq!(peer.reply(), "200 ok");
}

#[test]
fn a_peer_that_ends_right_after_its_request_is_answered_and_its_connection_closed() {
    let server = Started::new(|server| server, echo);
    let mut peer = server.connect();
    peer.send(b"/a 0\n");
    peer.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(peer.reply(), "200 /a ");
    assert_eq!(peer.rest(), b"");
}

#[test]
fn unix_sockets_and_several_listeners_share_one_server() {
    let path = std::env::temp_dir().join(format!("wsgi-engine-{}.sock", std::process::id()));
    let unix = Listener::bind(&ListenAddress::Unix(path.clone())).unwrap();
    let server = Started::new(|server| server.listen(unix, lines), echo);
    let mut tcp = server.connect();
    let mut unix = UnixStream::connect(&path).unwrap();
    tcp.send(b"/tcp 0\n");
    unix.write_all(b"/close 0\n").unwrap();
    assert_eq!(tcp.reply(), "200 /tcp ");
    let mut all = String::new();
    unix.read_to_string(&mut all).unwrap();
    assert_eq!(all, "200 7\n/close ");
    server.stop();
    assert!(!path.exists());
}

#[test]
fn the_machine_itself_may_connect_to_a_protocol_that_trusts_its_peers() {
    struct Trusting;
    impl Dialect for Trusting {
        fn connect(&self, link: &Link) -> Box<dyn Protocol> {
            lines(link)
        }
        fn trusts_peer(&self) -> bool {
            true
        }
    }
    let bind = || Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let (by_default, told) = (bind(), bind().allow_from(AllowFrom::Networks(vec!["192.0.2.0/24".parse().unwrap()])));
    let addresses = [by_default.local_address().clone(), told.local_address().clone()];
    let _server = Server::new(Of(echo)).listen(by_default, Trusting).listen(told, lines).start().unwrap();
    for address in addresses {
        let Address::Tcp(address) = address else { panic!("bound to TCP") };
        let mut peer = Peer { stream: TcpStream::connect(address).unwrap() };
        peer.send(b"/a 0\n");
        assert_eq!(peer.reply(), "200 /a ");
    }
}

#[test]
fn a_peer_that_is_not_allowed_is_closed_at_once() {
    // The machine's own address on some network; nothing is sent to find it.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    let own = probe.connect("192.0.2.1:9").and_then(|()| probe.local_addr()).map(|address| address.ip());
    let Some(own) = own.ok().filter(|own| !own.is_loopback() && !own.is_unspecified()) else {
        eprintln!("skipped: the machine has no address besides loopback");
        return;
    };
    let listener = Listener::bind(&"0.0.0.0:0".parse().unwrap()).unwrap().allow_from(AllowFrom::Loopback);
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    let _server = Server::new(Of(echo)).listen(listener, lines).start().unwrap();
    let mut peer = Peer { stream: TcpStream::connect((own, address.port())).unwrap() };
    assert!(peer.rest().is_empty());
    let mut peer = Peer { stream: TcpStream::connect(("127.0.0.1", address.port())).unwrap() };
    peer.send(b"/a 0\n");
    assert_eq!(peer.reply(), "200 /a ");
}

/// What was accepted for a shutdown used to go to whichever thread was free first, all of it, while the others had nothing to do.
#[test]
fn connections_that_wait_at_a_shutdown_are_served_by_all_threads() {
    let (release, released) = channel::<()>();
    let (held, holds) = channel();
    let (held, released) = (Mutex::new(held), Arc::new(Mutex::new(released)));
    let together = std::sync::Barrier::new(2);
    let server = Started::new(
        |server| server.threads(2),
        move |exchange: &mut dyn Exchange| match path(exchange).as_str() {
            "/hold" => {
                held.lock().unwrap().send(()).unwrap();
                wait_for(&released.lock().unwrap());
                answer(exchange, b"held");
            }
            _ => {
                together.wait();
                answer(exchange, b"together");
            }
        },
    );
    let (mut first, mut second) = (server.connect(), server.connect());
    for peer in [&mut first, &mut second] {
        peer.send(b"/hold 0\n");
        wait_for(&holds);
    }
    let mut waiting = [server.connect(), server.connect()];
    waiting.iter_mut().for_each(|peer| peer.send(b"/wait 0\n"));
    server.handle.shutdown();
    wait_until(|| TcpStream::connect(server.address).is_err());
    release.send(()).unwrap();
    release.send(()).unwrap();
    for peer in &mut waiting {
        assert_eq!(peer.reply(), "200 together");
    }
}

/// Each byte that the peer sent used to begin its time anew.
#[test]
fn a_peer_that_sends_but_does_not_read_gets_no_more_time_for_it() {
    let timeouts = Timeouts { write: Duration::from_millis(200), ..Timeouts::default() };
    let block = vec![b'x'; 16 << 20];
    let server = Started::new(|server| server.timeouts(timeouts), move |exchange: &mut dyn Exchange| answer(exchange, &block));
    let mut peer = server.connect();
    peer.send(b"/ 0\n");
    peer.trickle_until_closed();
}

#[test]
fn a_peer_whose_request_was_refused_cannot_keep_its_connection_by_sending_on() {
    let timeouts = Timeouts { linger: Duration::from_millis(300), ..Timeouts::default() };
    let server = Started::new(|server| server.timeouts(timeouts), echo);
    let mut peer = server.connect();
    peer.send(b"nonsense\n");
    assert_eq!(peer.line(), "400 0");
    peer.trickle_until_closed();
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
fn a_shutdown_may_be_given_any_time() {
    let timeouts = Timeouts { shutdown: Duration::MAX, ..Timeouts::default() };
    let server = Started::new(|server| server.timeouts(timeouts), echo);
    let mut peer = server.connect();
    peer.send(b"/a 0\n");
    assert_eq!(peer.reply(), "200 /a ");
    drop(peer);
    assert_eq!(server.stop(), 0);
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

/// Not the time at which the thread woke up, which for a slow handler, or behind slow requests, is long ago.
#[test]
fn a_reply_has_the_date_of_its_beginning() {
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            let begun = now();
            wait_until(|| now() > begun + Duration::from_millis(1100));
            answer(exchange, begun.as_secs().to_string().as_bytes());
        },
    );
    let mut peer = server.connect();
    peer.send(b"/dated 0\n");
    let date: u64 = peer.line().parse().unwrap();
    let reply = peer.reply();
    let begun: u64 = reply.strip_prefix("200 ").unwrap().parse().unwrap();
    assert!(date > begun, "{date} {begun}");
}

/// It ended its thread, and the server with the last of them.
#[test]
fn a_codec_that_panics_harms_only_its_connection() {
    let server = Started::new(|server| server.max_connections(1), echo);
    for _ in 0..3 {
        let mut peer = server.connect();
        peer.send(b"/panic-in-codec 0\n");
        assert_eq!(peer.stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
    let mut peer = server.connect();
    peer.send(b"/a 0\n");
    assert_eq!(peer.reply(), "200 /a ");
}

// ---------------------------------------------------------------------------------------------------------------------------------------

fn echo(exchange: &mut dyn Exchange) {
    let mut text = format!("{} ", path(exchange)).into_bytes();
    loop {
        let piece = exchange.read(7).unwrap();
        if piece.is_empty() {
            break;
        }
        text.extend_from_slice(&piece);
    }
    answer(exchange, &text);
}

fn answer(exchange: &mut dyn Exchange, body: &[u8]) {
    exchange.start(&ResponseHead::plain(http::StatusCode::OK, body.len() as u64));
    exchange.data(body);
    exchange.finish();
}

/// A file with this content that nobody else can find.
fn file_with(content: &[u8]) -> File {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("wsgi-engine-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

fn stream(exchange: &mut dyn Exchange, bytes: usize) -> std::io::Result<()> {
    exchange.start(&ResponseHead::of(http::StatusCode::OK));
    for _ in 0..bytes / 4096 {
        exchange.data(&[0; 4096]);
        exchange.flush()?;
    }
    exchange.finish();
    Ok(())
}

fn path(exchange: &dyn Exchange) -> String {
    String::from_utf8(exchange.head().get(Known::PathInfo).unwrap().to_vec()).unwrap()
}

fn wait_for<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it comes in time")
}

fn wait_until(mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "the condition holds in time");
        std::thread::yield_now();
    }
}

/// A handler made of a function.
struct Of<F>(F);

impl<F: Fn(&mut dyn Exchange) + Send + Sync> Handler for Of<F> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        self.0(exchange);
    }
}

struct Started {
    address: SocketAddr,
    handle: Handle,
    running: Mutex<Option<Running>>,
}

impl Started {
    fn new<M>(configure: impl FnOnce(Server) -> Server, handler: impl IntoHandler<M>) -> Started {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
        let running = configure(Server::new(handler.into_handler()).listen(listener, lines)).start().unwrap();
        Started { address, handle: running.handle(), running: Mutex::new(Some(running)) }
    }

    fn running(&self) -> bool {
        self.running.lock().unwrap().is_some()
    }

    fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream }
    }

    fn stop(&self) -> usize {
        self.handle.shutdown();
        self.running.lock().unwrap().take().map_or(0, |running| running.wait().stuck)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.handle.hurry();
    }
}

/// Lets a test give a function or a handler.
trait IntoHandler<M> {
    fn into_handler(self) -> Arc<dyn Handler>;
}

impl<F: Fn(&mut dyn Exchange) + Send + Sync + 'static> IntoHandler<fn()> for F {
    fn into_handler(self) -> Arc<dyn Handler> {
        Arc::new(Of(self))
    }
}

struct IsHandler;

impl<H: Handler + 'static> IntoHandler<IsHandler> for H {
    fn into_handler(self) -> Arc<dyn Handler> {
        Arc::new(self)
    }
}

/// The other side of a connection.
struct Peer {
    stream: TcpStream,
}

impl Peer {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            match self.take(1)[0] {
                b'\n' => return line,
                byte => line.push(byte as char),
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// A body of so many bytes, after `/pieces` without what stands around its pieces.
    fn body(&mut self, target: &str, count: usize) -> Vec<u8> {
        if target != "/pieces" {
            return self.take(count);
        }
        let mut body = Vec::new();
        while body.len() < count {
            let line = self.line();
            let len = line.strip_prefix('<').expect("a piece").parse().unwrap();
            body.extend(self.take(len));
            assert_eq!(self.take(1), b">");
        }
        body
    }

    /// The code and the body of a reply with a length.
    fn reply(&mut self) -> String {
        let line = self.line();
        let (code, length) = line.split_once(' ').unwrap();
        let body = self.take(length.parse().unwrap());
        format!("{code} {}", String::from_utf8(body).unwrap())
    }

    fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Sends a byte now and then, until the other end is closed.
    fn trickle_until_closed(&mut self) {
        self.stream.set_nodelay(true).unwrap();
        let until = Instant::now() + PATIENCE;
        while self.is_writable() {
            assert!(Instant::now() < until, "the connection is closed in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn is_writable(&mut self) -> bool {
        self.stream.write_all(b"x").is_ok()
    }
}

fn lines(link: &Link) -> Box<dyn Protocol> {
    assert!(matches!(link.local, Address::Tcp(_)) == matches!(link.remote, Address::Tcp(_)));
    Box::new(Lines::default())
}

/// The protocol of these tests.
#[derive(Default)]
struct Lines {
    left: u64,
    ended: bool,
    in_request: bool,
    open_ended: bool,
    close: bool,
    no_raw: bool,
    /// Bodies go out in pieces, each announced by a line.
    pieces: bool,
    /// Replies begin with a line that holds the date.
    dated: bool,
    /// Replies end with a mark.
    marked: bool,
}

impl Protocol for Lines {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, Error> {
        if self.in_request {
            if self.left == 0 {
                self.ended = true;
                return Ok(Event::EndOfBody);
            }
            if input.is_empty() {
                return Ok(Event::NeedInput);
            }
            let piece = input.split_to(input.len().min(self.left as usize)).freeze();
            self.left -= piece.len() as u64;
            return Ok(Event::Body(piece));
        }
        if input.starts_with(WITHDRAWN) {
            // Of a request that is over.
            let _ = input.split_to(WITHDRAWN.len());
        }
        let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(Event::NeedInput) };
        let line = input.split_to(end + 1);
        let line = std::str::from_utf8(&line[..end]).map_err(|_| Error::malformed("not text"))?;
        let (path, length) = line.split_once(' ').ok_or_else(|| Error::malformed("no space"))?;
        assert!(path != "/panic-in-codec", "as the test wants");
        self.left = length.parse().map_err(|_| Error::malformed("no length"))?;
        self.in_request = true;
        self.ended = self.left == 0;
        self.close |= path == "/close";
        self.no_raw = path == "/copied";
        self.pieces = path == "/pieces";
        self.dated = path == "/dated";
        self.marked = path == "/marked";
        head.clear();
        head.set(Known::PathInfo, path.as_bytes());
        head.set_body(if self.left == 0 { BodyLength::Empty } else { BodyLength::Known(self.left) });
        Ok(Event::Head)
    }

    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
        if self.in_request || !input.is_empty() { Err(Error::Truncated("request")) } else { Ok(Event::Closed) }
    }

    fn expect_body(&mut self, _: &mut Vec<u8>) {}

    fn start(&mut self, head: &ResponseHead, date: &HttpDate, out: &mut Vec<u8>) {
        if self.dated {
            out.extend_from_slice(format!("{}\n", date.unix_seconds()).as_bytes());
        }
        self.open_ended = head.content_length().is_none();
        let length = head.content_length().map_or("-".to_owned(), |length| length.to_string());
        out.extend_from_slice(format!("{} {length}\n", head.code()).as_bytes());
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        if self.pieces {
            for piece in block.chunks(MOST_IN_A_PIECE) {
                assert!(self.raw(piece.len() as u64, out));
                out.extend_from_slice(piece);
                self.raw_end(out);
            }
        } else {
            out.extend_from_slice(block);
        }
    }

    fn raw(&mut self, len: u64, out: &mut Vec<u8>) -> bool {
        if self.pieces {
            assert!(len <= self.raw_limit());
            out.extend_from_slice(format!("<{len}\n").as_bytes());
        }
        !self.no_raw
    }

    fn raw_limit(&self) -> u64 {
        if self.pieces { MOST_IN_A_PIECE as u64 } else { u64::MAX }
    }

    fn raw_end(&mut self, out: &mut Vec<u8>) {
        if self.pieces {
            out.push(b'>');
        }
    }

    fn log(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        out.extend_from_slice(&[b"# ", text, b"\n"].concat());
        true
    }

    fn withdraws(&self) -> bool {
        true
    }

    fn withdrawn(&mut self, input: &[u8]) -> bool {
        input.starts_with(WITHDRAWN)
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Next {
        self.in_request = false;
        if self.marked {
            out.extend_from_slice(MARK);
        }
        if self.left > 0 {
            Next::Close(CloseReason::UnreadBody)
        } else if self.open_ended || self.close {
            Next::Close(CloseReason::EndOfReply)
        } else {
            Next::Request
        }
    }

    fn refuse(&mut self, error: &Error, _: &HttpDate, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{} 0\n", error.status().as_u16()).as_bytes());
    }

    fn idle(&self) -> bool {
        !self.in_request
    }

    fn close_after_reply(&mut self) {
        self.close = true;
    }
}

const WITHDRAWN: &[u8] = b"!";
const MARK: &[u8] = b"<end>";
const MOST_IN_A_PIECE: usize = 50_000;
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);
