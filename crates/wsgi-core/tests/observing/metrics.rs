//! What metrics say of requests that the engine has served, and how they are asked for.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::serving::{IntoHandler, Of, PATIENCE, Started, answer, file_with, path, wait_for, wait_until};
use wsgi_core::metrics::{Health, Metrics, Snapshot, Stats, prometheus};
use wsgi_core::observe::Observed;
use wsgi_core::wire::{Address, Known, RequestHead, ResponseHead};
use wsgi_core::workers::{Request, Workers};
use wsgi_core::{Exchange, Part};

fn measured<M>(metrics: &Metrics, threads: usize, handler: impl IntoHandler<M>) -> Started {
    let observer = metrics.observer();
    let handler = Observed::new(handler.into_handler(), [observer.clone()]);
    let server = Started::new(|server| server.threads(threads).observer(observer), handler);
    metrics.server(server.status_handle());
    server
}

#[test]
fn requests_connections_and_bytes_are_counted() {
    let metrics = Metrics::new();
    let (go_on, goes_on) = channel();
    let goes_on = Mutex::new(goes_on);
    let server = measured(&metrics, 2, move |exchange: &mut dyn Exchange| match path(exchange).as_str() {
        "/good" => answer(exchange, b"good"),
        "/missing" => exchange.refuse(http::StatusCode::NOT_FOUND, "none"),
        "/wait" => {
            wait_for(&goes_on.lock().unwrap());
            answer(exchange, b"done");
        }
        "/half" => exchange.start(&ResponseHead::plain(http::StatusCode::OK, 10)),
        _ => panic!("as the test wants"),
    });
    let mut peer = server.connect();
    for (request, reply) in [("good 3\nabc", "200 good"), ("missing 0\n", "404 none"), ("panic 0\n", "500 Internal Server Error\n")] {
        peer.send(format!("/{request}").as_bytes());
        assert_eq!(peer.reply(), reply);
    }
    let mut half = server.connect();
    half.send(b"/half 0\n");
    let _ = half.stream.read_to_end(&mut Vec::new());
    let mut refused = server.connect();
    refused.send(b"nonsense\n");
    refused.rest();
    drop(refused);
    let mut waiting = server.connect();
    waiting.send(b"/wait 0\n");
    // One is idle, one has begun to send, and one is answered.
    let mut begun = server.connect();
    begun.send(b"/go");
    wait_until(|| {
        let snapshot = metrics.snapshot();
        let now = snapshot.connections;
        (snapshot.busy(), now.idle, now.reading, now.handling, now.lingering) == (1, 1, 1, 1, 0)
    });
    let snapshot = metrics.snapshot();
    assert_eq!(snapshot.capacity, 2);
    assert_eq!(snapshot.listeners[0].address, server.address.to_string());
    go_on.send(()).unwrap();
    assert_eq!(waiting.reply(), "200 done");
    wait_until(|| metrics.snapshot().busy() == 0);
    let snapshot = metrics.snapshot();
    let counters = &snapshot.counters;
    assert_eq!(counters.replies, [0, 0, 3, 0, 1, 1]);
    assert_eq!((counters.refused, counters.aborted, counters.lost, counters.exceptions), (1, 1, 0, 1));
    assert_eq!(counters.times.whole.count(), 5);
    let sent = ["/good 3\nabc", "/missing 0\n", "/panic 0\n", "/half 0\n", "nonsense\n", "/wait 0\n", "/go"].concat().len() as u64;
    // A thread shows what it has moved when it is done with a connection.
    wait_until(|| metrics.snapshot().received_bytes == sent && metrics.snapshot().sent_bytes > 4 + 4 + 22 + 4);
    assert!(metrics.snapshot().sent_bytes > counters.reply_body_bytes && counters.reply_body_bytes >= 4 + 4 + 22 + 4, "{snapshot:?}");
    assert!(snapshot.resident_bytes > 1 << 20 && snapshot.virtual_bytes > snapshot.resident_bytes);
    // What was counted by threads that have ended is kept.
    drop(begun);
    server.stop();
    assert_eq!(metrics.snapshot().counters.requests(), 5);
    assert_eq!(metrics.snapshot().threads.len(), 0);
    assert!(metrics.snapshot().stopping);
}

/// A slow reader of a large file holds no thread, and so no thread is busy with it; it is counted when it has its file.
#[test]
fn a_reply_that_is_sent_without_its_handler_is_counted_when_it_is_over() {
    let metrics = Metrics::new();
    let file = Arc::new(file_with(&vec![b'x'; 64 << 20]));
    let server = measured(&metrics, 2, move |exchange: &mut dyn Exchange| {
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, 64 << 20));
        exchange.finish_with(vec![Part::File { file: Arc::clone(&file), range: 0..64 << 20 }]);
    });
    let mut peer = server.connect();
    peer.send(b"/raw 0\n");
    assert_eq!(peer.line(), format!("200 {}", 64 << 20));
    wait_until(|| metrics.snapshot().connections.writing == 1);
    let snapshot = metrics.snapshot();
    assert_eq!((snapshot.busy(), snapshot.counters.requests()), (0, 0));
    let ran: Vec<u64> = snapshot.threads.iter().map(|thread| thread.requests).collect();
    assert_eq!(ran, [1]);
    let before = Instant::now();
    wait_until(|| before.elapsed() > Duration::from_millis(3));
    assert_eq!(peer.body("/raw", 64 << 20).len(), 64 << 20);
    wait_until(|| metrics.snapshot().counters.requests() == 1);
    let counters = metrics.snapshot().counters;
    assert_eq!((counters.reply_body_bytes, counters.lost), (64 << 20, 0));
    assert!(counters.times.writing.sum_nanos > 3_000_000 && counters.times.whole.sum_nanos > 3_000_000, "{counters:?}");
    drop(peer);
    let mut peer = server.connect();
    peer.send(b"/raw 0\n");
    assert_eq!(peer.line(), format!("200 {}", 64 << 20));
    drop(peer);
    wait_until(|| metrics.snapshot().counters.lost == 1);
    assert!(metrics.snapshot().counters.reply_body_bytes < 2 * (64 << 20));
    let ran: u64 = metrics.snapshot().threads.iter().map(|thread| thread.requests).sum();
    assert_eq!(ran, 2);
}

/// Where the thread itself sends the rest, it knows what became of it when it is done.
#[test]
fn a_reply_that_a_caller_leaves_is_lost() {
    let metrics = Metrics::new();
    let (whole, short) = (Arc::new(file_with(&vec![b'x'; 8 << 20])), Arc::new(file_with(b"short")));
    let handler = Observed::new(
        Of(move |exchange: &mut dyn Exchange| {
            let file = if exchange.head().get(Known::PathInfo) == Some(b"/short") { &short } else { &whole };
            exchange.start(&ResponseHead::plain(http::StatusCode::OK, 8 << 20));
            exchange.finish_with(vec![Part::File { file: Arc::clone(file), range: 0..8 << 20 }]);
        }),
        [metrics.observer()],
    );
    let workers = Workers::builder(handler).threads(1).start().unwrap();
    let call = workers.call(Request::default()).unwrap();
    wait_until(|| metrics.snapshot().busy() == 1);
    drop(call);
    wait_until(|| metrics.snapshot().counters.requests() == 1);
    let mut head = RequestHead::default();
    head.set(Known::PathInfo, b"/short");
    let call = workers.call(Request { head, ..Request::default() }).unwrap();
    wait_until(|| metrics.snapshot().counters.requests() == 2);
    drop(call);
    let counters = metrics.snapshot().counters;
    assert_eq!((counters.lost, counters.aborted), (1, 1));
    workers.shutdown();
    assert_eq!(workers.wait(PATIENCE), 0);
}

#[test]
fn a_server_is_ready_when_it_says_so_and_stuck_when_all_its_threads_are() {
    let metrics = Metrics::with(Duration::from_millis(1), false);
    let (go_on, goes_on) = channel();
    let goes_on = Mutex::new(goes_on);
    let server = measured(&metrics, 1, move |exchange: &mut dyn Exchange| {
        wait_for(&goes_on.lock().unwrap());
        answer(exchange, b"done");
    });
    assert_eq!(metrics.snapshot().health(), Health::Starting);
    metrics.set_ready(true);
    assert_eq!(metrics.snapshot().health(), Health::Ready);
    let mut peer = server.connect();
    peer.send(b"/wait 0\n");
    wait_until(|| metrics.snapshot().health() == Health::Stuck);
    let source = metrics.clone();
    let stats = Stats::serve(&"127.0.0.1:0".parse().unwrap(), move || vec![source.snapshot()]).unwrap();
    for target in ["/healthz", "/readyz"] {
        assert!(get(&stats, target).starts_with("HTTP/1.1 503 "), "{target}");
    }
    go_on.send(()).unwrap();
    assert_eq!(peer.reply(), "200 done");
    wait_until(|| metrics.snapshot().health() == Health::Ready);
    for target in ["/healthz", "/readyz"] {
        assert!(get(&stats, target).ends_with("\r\n\r\nready\n"), "{target}");
    }
    server.stop();
    assert!(get(&stats, "/healthz").starts_with("HTTP/1.1 200 "));
    assert!(get(&stats, "/readyz").ends_with("\r\n\r\nstopping\n"));
}

#[test]
fn the_time_in_a_queue_is_known_where_there_is_one_and_where_a_proxy_tells() {
    let metrics = Metrics::with(Metrics::STUCK_AFTER, true);
    let (go_on, goes_on) = channel();
    let goes_on = Mutex::new(goes_on);
    let handler = Observed::new(
        Of(move |exchange: &mut dyn Exchange| {
            wait_for(&goes_on.lock().unwrap());
            answer(exchange, b"done");
        }),
        [metrics.observer()],
    );
    let workers = Workers::builder(handler).threads(1).start().unwrap();
    let call = |start: &[u8]| {
        let mut head = RequestHead::default();
        head.variable(b"HTTP_X_REQUEST_START", start);
        workers.call(Request { head, ..Request::default() }).unwrap()
    };
    let first = call(b"");
    wait_until(|| metrics.snapshot().busy() == 1);
    let second = call(b"");
    let before = Instant::now();
    wait_until(|| before.elapsed() > Duration::from_millis(3));
    let waited = before.elapsed();
    go_on.send(()).unwrap();
    go_on.send(()).unwrap();
    wait_until(|| metrics.snapshot().counters.requests() == 2);
    let queue = metrics.snapshot().counters.times.queue;
    assert!(queue.count() == 2 && u128::from(queue.sum_nanos) >= waited.as_nanos(), "{queue:?}");

    let long_ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - Duration::from_secs(100);
    let third = call(format!("t={}", long_ago.as_secs_f64()).as_bytes());
    go_on.send(()).unwrap();
    wait_until(|| metrics.snapshot().counters.requests() == 3);
    assert_eq!(metrics.snapshot().counters.times.queue.counts.last(), Some(&1), "more than a minute");
    drop((first, second, third));
    workers.shutdown();
    assert_eq!(workers.wait(PATIENCE), 0);
}

#[test]
fn figures_are_told_over_http_and_to_whoever_says_nothing() {
    let mut one = Metrics::new().snapshot();
    one.counters.replies[2] = 7;
    let mut two = one.clone();
    (one.worker, two.worker) = (1, 2);
    let both = vec![one, two];
    let told = both.clone();
    let stats = Stats::serve(&"127.0.0.1:0".parse().unwrap(), move || told.clone()).unwrap();

    let metrics = get(&stats, "/metrics");
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    let body = metrics.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(body, prometheus(&both));
    for worker in [1, 2] {
        assert!(body.contains(&format!("\nwsgi_requests_total{{worker=\"{worker}\",status=\"2xx\"}} 7\n")));
        assert!(body.contains(&format!("\nwsgi_request_seconds_bucket{{worker=\"{worker}\",stage=\"attaching\",le=\"+Inf\"}} 0\n")));
    }

    let asked = get(&stats, "/stats?x");
    let quiet = {
        let mut stream = connect(&stats);
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    for text in [asked.split_once("\r\n\r\n").unwrap().1, &quiet] {
        let json: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(json["workers"].as_array().map(Vec::len), Some(2));
        assert_eq!((&json["workers"][1]["id"], &json["workers"][1]["requests"]), (&2.into(), &7.into()));
        let snapshots: Vec<Snapshot> = serde_json::from_value(json["wsgi"].clone()).unwrap();
        assert_eq!(snapshots, both);
        let sum: Snapshot = serde_json::from_value(json["wsgi_sum"].clone()).unwrap();
        assert_eq!((sum.counters.requests(), sum.worker, sum.pid), (14, 0, 0));
    }

    assert!(get(&stats, "/else").starts_with("HTTP/1.1 404 "));
    let ask = |request: &[u8]| {
        let mut stream = connect(&stats);
        stream.write_all(request).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    assert!(ask(b"POST /stats HTTP/1.1\r\n\r\n").contains("\r\nAllow: GET, HEAD\r\n"));
    assert!(ask(b"HEAD /readyz HTTP/1.1\r\n\r\n").ends_with("Connection: close\r\n\r\n"));
    assert!(ask(b"\x16\x03\x01\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

#[test]
fn figures_are_told_on_a_unix_socket_and_a_source_that_panics_harms_one_peer() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("stats.sock");
    let first = Mutex::new(true);
    let stats = Stats::serve(&socket.to_str().unwrap().parse().unwrap(), move || {
        assert!(!std::mem::take(&mut *first.lock().unwrap_or_else(|broken| broken.into_inner())), "as the test wants");
        vec![Snapshot::default()]
    })
    .unwrap();
    let ask = || {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(b"GET /stats HTTP/1.0\r\n\r\n").unwrap();
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text
    };
    assert_eq!(ask(), "");
    assert!(ask().starts_with("HTTP/1.1 200 OK\r\n"));
    drop(stats);
    assert!(!socket.exists());
}

fn connect(stats: &Stats) -> TcpStream {
    let Address::Tcp(address) = stats.address() else { panic!("bound to TCP") };
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn get(stats: &Stats, target: &str) -> String {
    let mut stream = connect(stats);
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}
