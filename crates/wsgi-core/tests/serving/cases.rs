//! What every way of serving does. A program of tests that has this module says what `crate::Server` is and how it is started.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use wsgi_core::observe::{Observer, Refusal, Seen};
use wsgi_core::proxies::Proxied;
use wsgi_core::server::{AllowFrom, ListenAddress, Listener, Timeouts};
use wsgi_core::wire::{Address, Dialect, Link, Protocol, ResponseHead};
use wsgi_core::{Exchange, Handler, Part};

use super::lines::lines;
use super::warnings::Warnings;
use super::{PATIENCE, Peer, Started, answer, echo, file_with, path, stream, wait_for, wait_until};

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
fn what_a_codec_holds_back_goes_out_with_a_flush_and_with_the_end_and_an_idle_peer_hears_a_farewell() {
    let (send, receive) = channel();
    let receive = Mutex::new(receive);
    let timeouts = Timeouts { idle: Duration::from_millis(500), ..Timeouts::default() };
    let server = Started::new(
        |server| server.timeouts(timeouts),
        move |exchange: &mut dyn Exchange| {
            let mut head = ResponseHead::of(http::StatusCode::OK);
            head.set_content_length(6 + 3 * 20_000);
            exchange.start(&head);
            exchange.data(b"one");
            exchange.flush().unwrap();
            wait_for(&receive.lock().unwrap());
            exchange.data(b"two");
            exchange.data(&[b'x'; 3 * 20_000]);
            exchange.finish();
        },
    );
    let mut peer = server.connect();
    for _ in 0..2 {
        peer.send(b"/held 0\n");
        assert_eq!(peer.line(), "200 60006");
        assert_eq!(peer.take(3), b"one");
        send.send(()).unwrap();
        assert_eq!(peer.take(3), b"two");
        assert_eq!(peer.take(60_000), [b'x'; 60_000]);
    }
    assert_eq!(peer.rest(), b"farewell");
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
    server.shutdown();
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
    let (begun, began) = channel();
    let (send, errors) = channel();
    let (begun, send) = (Mutex::new(begun), Mutex::new(send));
    let server = Started::new(
        |server| server.timeouts(timeouts),
        move |exchange: &mut dyn Exchange| {
            assert_eq!(exchange.read(1000).unwrap(), "x");
            begun.lock().unwrap().send(()).unwrap();
            send.lock().unwrap().send(exchange.read(1000).unwrap_err().kind()).unwrap();
        },
    );
    let mut peer = server.connect();
    peer.send(b"/ 100000\nx");
    wait_for(&began);
    server.shutdown();
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
    let _server = Started::new(|server| server.listen(by_default, Trusting).listen(told, lines), echo);
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
    let _server = Started::new(|server| server.listen(listener, lines), echo);
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
    server.shutdown();
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
    // Nobody waits any more, and after a while that is news.
    let over = format!(" accepting on {} again", server.address);
    wait_until(|| {
        // Not so soon that the one before may still have the only place.
        std::thread::sleep(Duration::from_millis(50));
        let mut peer = server.connect();
        peer.send(b"/close 0\n");
        assert_eq!(peer.reply(), "200 /close ");
        assert_eq!(peer.stream.read(&mut [0]).unwrap(), 0);
        log.count(&over) > 0
    });
    assert_eq!((log.count(&about), log.count(&over)), (1, 1));
    // So it is when somebody does.
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
    let server = Started::new(|server| server.listen(listener, dialect).max_connections(1), echo);
    for _ in 0..2 {
        let mut peer = Peer { stream: TcpStream::connect(address).unwrap() };
        assert_eq!(peer.stream.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
    let mut peer = Peer { stream: TcpStream::connect(address).unwrap() };
    peer.send(b"/a 0\n");
    assert_eq!(peer.reply(), "200 /a ");
    assert_eq!(server.stop(), 0);
}

/// Keeps whose requests were refused.
#[derive(Default)]
struct Refused(Mutex<Vec<String>>);

impl Observer for Refused {
    fn ended(&self, _: &Seen<'_>) {}

    fn refused(&self, refusal: &Refusal<'_>) {
        self.0.lock().unwrap().push(refusal.remote.to_string());
    }
}

/// A log that names the proxy tells the operator of hundreds of bad requests from one address, and it is their own.
#[test]
fn behind_the_proxy_protocol_it_is_the_client_whose_request_is_refused() {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    let refused = Arc::new(Refused::default());
    let observer = Arc::clone(&refused);
    let timeouts = Timeouts { head: Duration::from_millis(80), ..Timeouts::default() };
    let server = Started::new(|server| server.listen(listener, Proxied::new(lines)).timeouts(timeouts).observer(observer), echo);
    let ask = |bytes: &[u8]| {
        let mut peer = Peer { stream: TcpStream::connect(address).unwrap() };
        let own = peer.stream.local_addr().unwrap();
        peer.send(bytes);
        peer.rest();
        own.to_string()
    };
    let header = "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n";
    ask(format!("{header}nonsense\n").as_bytes());
    ask(format!("{header}late").as_bytes());
    let unknown = ask(b"PROXY UNKNOWN\r\nnonsense\n");
    let none = ask(b"nonsense\n");
    assert_eq!(server.stop(), 0);
    assert_eq!(*refused.0.lock().unwrap(), ["192.0.2.1:4711".to_owned(), "192.0.2.1:4711".to_owned(), unknown, none]);
}
