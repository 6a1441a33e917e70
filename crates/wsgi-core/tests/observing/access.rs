//! What an access log says of requests that the engine has served, and of those that it has not.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::serving::{IntoHandler, Of, PATIENCE, Started, answer, file_with, path, stream, wait_until};
use wsgi_core::access::{AccessLog, Choice, Destination, Format, Lines};
use wsgi_core::observe::{Observed, Observer};
use wsgi_core::server::Timeouts;
use wsgi_core::wire::{Known, ResponseHead};
use wsgi_core::{Exchange, Handler, Part};

/// A server whose requests have lines in a file.
struct Logged {
    server: Started,
    log: Arc<AccessLog>,
    file: tempfile::NamedTempFile,
}

impl Logged {
    fn new<M>(format: &str, choice: Choice, handler: impl IntoHandler<M>) -> Logged {
        let timeouts = Timeouts { write: Duration::from_millis(200), head: Duration::from_millis(200), ..Timeouts::default() };
        Logged::with(timeouts, format, choice, handler)
    }

    fn with<M>(timeouts: Timeouts, format: &str, choice: Choice, handler: impl IntoHandler<M>) -> Logged {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = Lines::open(Destination::File(file.path().to_owned())).unwrap();
        let log = Arc::new(AccessLog::new(format.parse().unwrap(), lines).choose(choice));
        let observer: Arc<dyn Observer> = log.clone();
        let handler = Observed::new(handler.into_handler(), [observer.clone()]);
        let server = Started::new(|server| server.timeouts(timeouts).observer(observer), handler);
        Logged { server, log, file }
    }

    /// All lines so far, once there are as many as expected.
    fn lines(&self, count: usize) -> Vec<String> {
        wait_until(|| {
            assert!(self.log.lines().flush(PATIENCE));
            self.text().lines().count() >= count
        });
        let lines: Vec<String> = self.text().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), count, "{lines:?}");
        lines
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file.path()).unwrap()
    }
}

#[test]
fn status_and_bytes_are_those_that_were_sent() {
    let big = tempfile::NamedTempFile::new().unwrap();
    big.as_file().set_len(64 << 20).unwrap();
    let file = File::open(big.path()).unwrap();
    let server = Logged::new("%(status) %(rsize) %(outcome) %(path)", Choice::default(), move |exchange: &mut dyn Exchange| {
        match path(exchange).as_str() {
            "/whole" => answer(exchange, b"four"),
            "/head" => {
                exchange.head_mut().set(Known::RequestMethod, b"HEAD");
                answer(exchange, b"");
            }
            "/streamed" => _ = stream(exchange, 64 * 1024),
            "/file" => {
                exchange.start(&ResponseHead::plain(http::StatusCode::OK, 1000));
                exchange.send_file(&file, 0..1000).unwrap();
                exchange.finish();
            }
            "/left" => {
                exchange.start(&ResponseHead::plain(http::StatusCode::OK, 64 << 20));
                assert!(exchange.send_file(&file, 0..64 << 20).is_err());
            }
            "/nothing" => {}
            "/half" => {
                exchange.start(&ResponseHead::plain(http::StatusCode::OK, 10));
                exchange.data(b"half");
            }
            "/panic" => panic!("as the test wants"),
            other => panic!("{other}"),
        }
    });
    for target in ["whole", "head", "file", "nothing", "panic"] {
        let mut peer = server.server.connect();
        peer.send(format!("/{target} 0\n").as_bytes());
        let _ = peer.line();
    }
    assert_eq!(
        server.lines(5),
        ["200 4 whole /whole", "200 0 whole /head", "200 1000 whole /file", "500 22 whole /nothing", "500 22 whole /panic"]
    );
    let mut peer = server.server.connect();
    peer.send(b"/streamed 0\n");
    peer.rest();
    let mut peer = server.server.connect();
    peer.send(b"/half 0\n");
    let _ = std::io::Read::read_to_end(&mut peer.stream, &mut Vec::new());
    let lines = server.lines(7);
    assert_eq!(lines[5..], ["200 65536 whole /streamed", "200 0 aborted /half"]);

    // It takes some, and then no more.
    let mut peer = server.server.connect();
    peer.send(b"/left 0\n");
    let _ = peer.line();
    let line = server.lines(8).pop().unwrap();
    let taken: u64 = line.strip_prefix("200 ").unwrap().strip_suffix(" lost /left").unwrap().parse().unwrap();
    assert!((1..64 << 20).contains(&taken), "{line}");
}

/// A download that the client breaks off was logged as whole, with all of its bytes, as soon as it had begun.
#[test]
fn a_reply_that_is_sent_without_its_handler_has_its_line_when_it_is_over() {
    let big = Arc::new(file_with(&vec![b'x'; 64 << 20]));
    let short = Arc::new(file_with(&[b'x'; 100_000]));
    let handler = move |exchange: &mut dyn Exchange| {
        let path = path(exchange);
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, 64 << 20));
        match path.as_str() {
            "/bytes" => {
                exchange.data(&vec![b'x'; 64 << 20]);
                exchange.finish();
            }
            "/short" => exchange.finish_with(vec![Part::File { file: Arc::clone(&short), range: 0..64 << 20 }]),
            _ => exchange.finish_with(vec![Part::File { file: Arc::clone(&big), range: 0..64 << 20 }]),
        }
    };
    let server = Logged::with(Timeouts::default(), "%(status) %(rsize) %(outcome) %(path)", Choice::default(), handler);
    let mut count = 0;
    for target in ["/raw", "/copied", "/bytes"] {
        let mut peer = server.server.connect();
        peer.send(format!("{target} 0\n").as_bytes());
        assert_eq!(peer.line(), format!("200 {}", 64 << 20));
        assert_eq!(server.lines(count).len(), count, "it is still being sent");
        assert_eq!(peer.body(target, 64 << 20).len(), 64 << 20);
        count += 1;
        assert_eq!(server.lines(count)[count - 1], format!("200 {} whole {target}", 64 << 20));
        // The connection is good for another.
        peer.send(format!("{target} 0\n").as_bytes());
        assert_eq!(peer.line(), format!("200 {}", 64 << 20));
        drop(peer);
        count += 1;
        let line = server.lines(count).pop().unwrap();
        let taken: u64 = line.strip_prefix("200 ").unwrap().strip_suffix(&format!(" lost {target}")).unwrap().parse().unwrap();
        assert!((1..64 << 20).contains(&taken), "{line}");
    }
    let mut peer = server.server.connect();
    peer.send(b"/short 0\n");
    let _ = std::io::Read::read_to_end(&mut peer.stream, &mut Vec::new());
    let line = server.lines(count + 1).pop().unwrap();
    let taken: u64 = line.strip_prefix("200 ").unwrap().strip_suffix(" aborted /short").unwrap().parse().unwrap();
    // What its head took is known about.
    assert!((99_000..=100_000).contains(&taken), "{line}");
    // What is cut off at the end has a line too.
    let mut peer = server.server.connect();
    peer.send(b"/raw 0\n");
    peer.line();
    server.server.hurry();
    server.server.stop();
    let line = server.lines(count + 2).pop().unwrap();
    assert!(line.ends_with(" lost /raw"), "{line}");
}

/// What comes to light while a block is queued was nobody's to tell: the reply was logged as whole.
#[test]
fn a_reply_whose_peer_is_found_gone_when_the_last_of_it_is_queued_is_lost() {
    let handler = |exchange: &mut dyn Exchange| {
        exchange.start(&ResponseHead::plain(http::StatusCode::OK, 100_001));
        exchange.data(b"x");
        exchange.flush().unwrap();
        wait_until(|| exchange.disconnected());
        exchange.data(&[b'x'; 100_000]);
        exchange.finish();
    };
    let server = Logged::with(Timeouts::default(), "%(rsize) %(outcome)", Choice::default(), handler);
    let mut peer = server.server.connect();
    peer.send(b"/ 0\n");
    // To close a socket with something unread in it resets the connection.
    peer.stream.peek(&mut [0]).unwrap();
    drop(peer);
    let line = server.lines(1).remove(0);
    let taken: u64 = line.strip_suffix(" lost").unwrap_or_else(|| panic!("{line}")).parse().unwrap();
    assert!(taken < 100_000, "{line}");
}

#[test]
fn requests_that_no_handler_sees_have_a_line() {
    let server = Logged::new("combined", Choice::default(), |_: &mut dyn Exchange| panic!("no request is whole"));
    let mut malformed = server.server.connect();
    malformed.send(b"nonsense\n");
    malformed.rest();
    // And one whose head does not come in time.
    let mut slow = server.server.connect();
    slow.send(b"/never");
    slow.rest();
    let lines = server.lines(2);
    for (line, status) in lines.iter().zip(["400", "408"]) {
        assert!(line.starts_with("127.0.0.1 - - [") && line.ends_with(&format!("] \"-\" {status} - \"-\" \"-\"")), "{line}");
    }
}

#[test]
fn each_format_tells_what_a_client_sent_and_no_client_forges_a_line() {
    let agent = b"curl\"\n127.0.0.1 - - [forged] \"GET /\" 200 1\\";
    let handler = |exchange: &mut dyn Exchange| {
        exchange.start(&{
            let mut head = ResponseHead::plain(http::StatusCode::NOT_FOUND, 4);
            head.field(b"X-Kind", b"a \"kind\"").unwrap();
            head
        });
        exchange.data(b"none");
        exchange.finish();
    };
    let lines: Vec<String> = [
        "uwsgi",
        "common",
        "combined",
        "json",
        "%(addr) %(method) %(uri) %(status) %(size) %(headers) %(var.HTTP_X_ONE) %(var.HTTP_X_TWO) %(uagent)",
        "%h \"%r\" %U %q %>s %b %{X-One}i \"%{x-kind}o\" %V %{User-Agent}i [%{%d %%}t]",
    ]
    .into_iter()
    .map(|format| {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = Lines::open(Destination::File(file.path().to_owned())).unwrap();
        let log: Arc<dyn Observer> = Arc::new(AccessLog::new(format.parse::<Format>().unwrap(), lines.clone()).believe_forwarded_for(true));
        let observed = Observed::new(Of(handler), [log]);
        let server = Started::new(
            |server| server,
            move |exchange: &mut dyn Exchange| {
                let head = exchange.head_mut();
                head.set(Known::RequestMethod, b"GET");
                head.set(Known::RequestUri, b"/a%20b?c=d e");
                head.set(Known::QueryString, b"c=d e");
                head.set(Known::ServerProtocol, b"HTTP/1.1");
                head.set(Known::RemoteAddr, b"10.0.0.1");
                head.set(Known::HttpXForwardedFor, b"192.0.2.7 x, 10.0.0.2");
                head.set(Known::HttpUserAgent, agent);
                head.set(Known::PathInfo, b"/path 200");
                head.variable(b"HTTP_X_ONE", "\u{e9}".as_bytes());
                observed.handle(exchange);
            },
        );
        let mut peer = server.connect();
        peer.send(b"/path 0\n");
        assert_eq!(peer.reply(), "404 none");
        server.stop();
        assert!(lines.flush(PATIENCE));
        let text = fs::read_to_string(file.path()).unwrap();
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        text.trim_end().to_owned()
    })
    .collect();
    let escaped = r#"curl\"\x0a127.0.0.1 - - [forged] \"GET /\" 200 1\\"#;
    let size = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\nX-Kind: a \"kind\"\r\n\r\n".len();
    assert!(lines[0].starts_with(&format!("[pid: {}|app: 0|req: 1/1] 192.0.2.7\\x20x (-) {{", std::process::id())), "{}", lines[0]);
    assert!(lines[0].contains(" GET /a%20b?c=d\\x20e => generated 4 bytes in "), "{}", lines[0]);
    assert!(lines[0].ends_with(&format!(" (HTTP/1.1 404) 3 headers in {size} bytes (1 switches on core 0)")), "{}", lines[0]);
    assert!(lines[1].ends_with(r#"] "GET /a%20b?c=d\x20e HTTP/1.1" 404 4"#), "{}", lines[1]);
    assert!(lines[2].ends_with(&format!(r#"HTTP/1.1" 404 4 "-" "{escaped}""#)), "{}", lines[2]);
    let json: serde_json::Value = serde_json::from_str(&lines[3]).unwrap_or_else(|error| panic!("{error}: {}", lines[3]));
    assert_eq!((&json["status"], &json["bytes"], &json["addr"]), (&404.into(), &4.into(), &"192.0.2.7 x".into()));
    assert_eq!(json["agent"].as_str().map(str::as_bytes), Some(&agent[..]));
    // Where no quotes enclose it, a space would begin another column.
    let word = escaped.replace(' ', "\\x20");
    assert_eq!(lines[4], format!("192.0.2.7\\x20x GET /a%20b?c=d\\x20e 404 {} 3 \\xc3\\xa9 - {word}", size + 4));
    let start = r#"192.0.2.7\x20x "GET /a%20b?c=d\x20e HTTP/1.1" /path\x20200 ?c=d\x20e 404 4 \xc3\xa9 "a \"kind\"" - "#;
    assert!(lines[5].starts_with(&format!("{start}{word} [")) && lines[5].ends_with(" %]"), "{}", lines[5]);
}

/// A length may have zeros in front (RFC 9110, 8.6), and a number of JSON may not; and a body may come without any.
#[test]
fn the_size_of_a_body_is_a_number_whatever_the_client_says_of_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = Lines::open(Destination::File(file.path().to_owned())).unwrap();
    let format = "{\"said\":%(cl),\"received\":%(received)}".parse::<Format>().unwrap();
    let log: Arc<dyn Observer> = Arc::new(AccessLog::new(format, lines.clone()));
    let observed = Observed::new(
        Of(|exchange: &mut dyn Exchange| {
            while !exchange.read(10).unwrap().is_empty() {}
            answer(exchange, b"");
        }),
        [log],
    );
    let server = Started::new(
        |server| server,
        move |exchange: &mut dyn Exchange| {
            let said = path(exchange).into_bytes();
            exchange.head_mut().set(Known::ContentLength, &said[1..]);
            observed.handle(exchange);
        },
    );
    let mut peer = server.connect();
    for said in ["007", "", "nonsense", "99999999999999999999"] {
        peer.send(format!("/{said} 3\nabc").as_bytes());
        peer.reply();
    }
    server.stop();
    assert!(lines.flush(PATIENCE));
    let expected = [7, 0, 0, 0].map(|said| format!("{{\"said\":{said},\"received\":3}}\n")).concat();
    assert_eq!(read(file.path()), expected);
}

#[test]
fn only_what_was_chosen_is_logged() {
    let choice = |change: fn(&mut Choice)| {
        let mut choice = Choice::none();
        change(&mut choice);
        choice
    };
    for (choice, expected) in [
        (choice(|choice| choice.client_errors = true), &["404 /missing"][..]),
        (choice(|choice| choice.server_errors = true), &["500 /broken", "200 /half"]),
        (choice(|choice| choice.empty = true), &["200 /empty", "200 /half"]),
        (choice(|choice| choice.slower_than = Some(Duration::from_secs(3600))), &[]),
        (
            choice(|choice| choice.slower_than = Some(Duration::ZERO)),
            &["200 /good", "404 /missing", "500 /broken", "200 /empty", "200 /half"],
        ),
    ] {
        let server = Logged::new("%(status) %(path)", choice, |exchange: &mut dyn Exchange| match path(exchange).as_str() {
            "/good" => answer(exchange, b"good"),
            "/missing" => exchange.refuse(http::StatusCode::NOT_FOUND, "none"),
            "/broken" => {}
            "/empty" => answer(exchange, b""),
            _ => exchange.start(&ResponseHead::plain(http::StatusCode::OK, 10)),
        });
        for target in ["good", "missing", "broken", "empty", "half"] {
            let mut peer = server.server.connect();
            peer.send(format!("/{target} 0\n").as_bytes());
            if target == "half" {
                let _ = std::io::Read::read_to_end(&mut peer.stream, &mut Vec::new());
            } else {
                peer.line();
            }
        }
        server.server.stop();
        assert_eq!(server.lines(expected.len()), expected);
    }
}

#[test]
fn a_file_that_is_renamed_is_written_on_until_it_is_reopened() {
    let folder = tempfile::tempdir().unwrap();
    let (log, old) = (folder.path().join("log"), folder.path().join("log.1"));
    let lines = Lines::open(Destination::File(log.clone())).unwrap();
    lines.push(b"one\n");
    assert!(lines.flush(PATIENCE));
    fs::rename(&log, &old).unwrap();
    lines.push(b"two\n");
    lines.reopen();
    assert!(lines.flush(PATIENCE));
    lines.push(b"three\n");
    assert!(lines.finish(PATIENCE));
    lines.push(b"too late\n");
    assert_eq!((read(&old), read(&log), lines.dropped()), ("one\ntwo\n".to_owned(), "three\n".to_owned(), 1));
}

#[test]
fn a_file_that_is_truncated_grows_from_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let lines = Lines::open(Destination::File(log.clone())).unwrap();
    lines.push(b"one\n");
    assert!(lines.flush(PATIENCE));
    File::options().write(true).open(&log).unwrap().set_len(0).unwrap();
    lines.push(b"two\n");
    assert!(lines.flush(PATIENCE));
    assert_eq!(read(&log), "two\n");
}

#[test]
fn a_full_disk_loses_only_what_finds_no_room_and_is_written_again() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    std::os::unix::fs::symlink("/dev/full", &log).unwrap();
    let lines = Lines::with_capacity(Destination::File(log.clone()), 40).unwrap();
    let line = b"nineteen characters\n";
    lines.push(line);
    // The first is in the hands of the thread at some point, two more have room.
    wait_until(|| {
        lines.push(line);
        lines.dropped() > 3
    });
    fs::remove_file(&log).unwrap();
    lines.reopen();
    assert!(lines.flush(PATIENCE));
    let written = read(&log).into_bytes();
    assert!(!written.is_empty() && written.chunks(line.len()).all(|chunk| chunk == line), "{written:?}");
}

#[test]
fn a_pipe_that_nobody_reads_keeps_no_one_waiting_and_its_lines_stay_whole() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Both ends, so that to open it waits for nobody.
    let mut reader = File::options().read(true).write(true).open(&pipe).unwrap();
    let writers: Vec<Lines> = (0..2).map(|_| Lines::with_capacity(Destination::File(pipe.clone()), 100_000).unwrap()).collect();
    std::thread::scope(|scope| {
        for (number, lines) in writers.iter().enumerate() {
            scope.spawn(move || {
                let line = [b'a' + number as u8; 99];
                for _ in 0..5000 {
                    lines.push(&[&line[..], b"\n"].concat());
                }
            });
        }
    });
    let dropped: u64 = writers.iter().map(Lines::dropped).sum();
    assert!(dropped > 0);
    let kept = 10_000 - dropped as usize;
    let mut text = vec![0; kept * 100];
    std::io::Read::read_exact(&mut reader, &mut text).unwrap();
    for line in text.chunks(100) {
        assert!(line[..99].iter().all(|byte| *byte == line[0]) && line[99] == b'\n', "{}", String::from_utf8_lossy(line));
    }
    assert!(writers.iter().all(|lines| lines.finish(PATIENCE)));
    reader.write_all(b"end").unwrap();
    let mut end = [0; 3];
    std::io::Read::read_exact(&mut reader, &mut end).unwrap();
    assert_eq!(&end, b"end");
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
