//! The server side's replies, record by record.

mod common;

use bytes::BytesMut;
use common::*;
use http::StatusCode;
use wsgi_core::wire::{CloseReason, Dialect, Event, HttpDate, Next, Protocol, RequestHead, ResponseHead};
use wsgi_fastcgi::FastCgi;

/// A connection at which a request without a body waits for its reply.
struct Asked {
    codec: Box<dyn Protocol>,
    out: Vec<u8>,
}

impl Asked {
    fn new(method: &str) -> Asked {
        Asked::of(&FastCgi::new(), method)
    }

    fn of(fastcgi: &FastCgi, method: &str) -> Asked {
        let (mut codec, mut out) = (fastcgi.connect(&link()), Vec::new());
        let mut input = BytesMut::from(&request(0x0102, KEEP, &[("REQUEST_METHOD", method)], "")[..]);
        assert_eq!(codec.poll(&mut input, &mut RequestHead::default(), &mut out), Ok(Event::Head));
        Asked { codec, out }
    }

    fn start(&mut self, head: &ResponseHead) {
        self.codec.start(head, &HttpDate::from_unix(0), &mut self.out);
    }

    fn data(&mut self, block: impl AsRef<[u8]>) {
        self.codec.data(block.as_ref(), &mut self.out);
    }

    /// As an engine does it that writes blocks from where they lie.
    fn raw(&mut self, block: impl AsRef<[u8]>) -> bool {
        let announced = self.codec.raw(block.as_ref().len() as u64, &mut self.out);
        if announced {
            self.out.extend_from_slice(block.as_ref());
            self.codec.raw_end(&mut self.out);
        }
        announced
    }

    fn finish(&mut self) -> Next {
        self.codec.finish(&mut self.out)
    }

    /// Sends what is queued.
    fn sent(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

fn unsized_head() -> ResponseHead {
    ResponseHead::of(StatusCode::OK)
}

const ID: u16 = 0x0102;

#[test]
fn a_head_and_a_short_body_are_one_record() {
    let mut asked = Asked::new("GET");
    let mut head = ResponseHead::new(b"404 Not Found").unwrap();
    head.field(b"Location", b"/elsewhere").unwrap();
    asked.start(&head);
    asked.data("Hello, ");
    asked.data("");
    asked.data("world!\n");
    assert_eq!(asked.finish(), Next::Request);
    let text = b"Status: 404 Not Found\r\nLocation: /elsewhere\r\n\r\nHello, world!\n";
    let expected = [(STDOUT, ID, text.to_vec()), (STDOUT, ID, vec![]), end_request(ID, 0)];
    assert_eq!(records(&asked.out), expected);
    assert!(asked.codec.idle());
}

#[test]
fn what_is_sent_already_is_not_touched() {
    let mut asked = Asked::new("GET");
    asked.start(&unsized_head());
    let mut all = asked.sent();
    assert_eq!(records(&all), [(STDOUT, ID, b"Status: 200 OK\r\n\r\n".to_vec())]);
    for block in ["one", "two"] {
        asked.data(block);
        let sent = asked.sent();
        assert_eq!(records(&sent), [(STDOUT, ID, block.as_bytes().to_vec())]);
        all.extend(sent);
    }
    // In part: what an engine takes away is gone from the front.
    asked.data("three");
    all.extend(asked.out.drain(..5));
    asked.data("four");
    assert_eq!(asked.finish(), Next::Request);
    all.extend(asked.sent());
    let seen = records(&all);
    assert_eq!(content(&seen, STDOUT, ID, true), b"Status: 200 OK\r\n\r\nonetwothreefour");
    assert_eq!(seen.len(), 7);
}

#[test]
fn bytes_of_any_number_are_cut_into_records_that_hold_them() {
    for length in [1, 7, 8, 65_491, 65_510, 65_511, 65_528, 65_529, 65_535, 65_536, 131_056, 131_057, 1_000_000] {
        for way in 0..4 {
            let block: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let mut asked = Asked::new("GET");
            let mut all = Vec::new();
            asked.start(&unsized_head());
            if way >= 2 {
                all.extend(asked.sent());
            }
            if way % 2 == 0 {
                asked.data(&block);
            } else {
                let limit = usize::try_from(asked.codec.raw_limit()).unwrap();
                assert!(!asked.raw(vec![0; limit + 1]) && !asked.raw(""));
                for piece in block.chunks(limit) {
                    assert!(asked.raw(piece));
                }
            }
            asked.finish();
            all.extend(asked.sent());
            let seen = records(&all);
            let expected = [b"Status: 200 OK\r\n\r\n", &block[..]].concat();
            assert!(content(&seen, STDOUT, ID, true) == expected, "{length} bytes, way {way}");
            assert!(seen.len() <= 3 + 1 + length / 65_528, "{} records of {length} bytes", seen.len());
        }
    }
}

#[test]
fn a_head_of_any_size_goes_out() {
    for size in [60_000, 65_480, 65_488, 65_489, 65_490, 65_500, 65_535, 70_000, 140_000] {
        let mut asked = Asked::new("GET");
        let mut head = unsized_head();
        head.field(b"X-Large", &vec![b'x'; size]).unwrap();
        asked.start(&head);
        asked.data("body");
        asked.finish();
        let expected = [b"Status: 200 OK\r\n".to_vec(), head.lines().to_vec(), b"\r\nbody".to_vec()].concat();
        assert!(content(&records(&asked.out), STDOUT, ID, true) == expected, "{size}");
    }
}

#[test]
fn replies_without_a_body_have_none() {
    for (method, status) in [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified")] {
        let mut asked = Asked::new(method);
        let mut head = ResponseHead::new(status.as_bytes()).unwrap();
        head.set_content_length(5);
        assert!(!asked.codec.bodiless());
        asked.start(&head);
        assert!(asked.codec.bodiless());
        asked.data("hello");
        assert!(!asked.raw("hello"));
        assert_eq!(asked.finish(), Next::Request);
        // RFC 9110, 8.6.
        let length = if status.starts_with("204") { "" } else { "Content-Length: 5\r\n" };
        let expected = format!("Status: {status}\r\n{length}\r\n").into_bytes();
        assert_eq!(content(&records(&asked.out), STDOUT, ID, true), expected);
    }
}

#[test]
fn a_body_is_as_long_as_declared_or_not_whole() {
    let declared = ResponseHead::plain(StatusCode::OK, 5);
    let mut asked = Asked::new("GET");
    asked.start(&declared);
    assert!(!asked.raw("hello!"));
    assert!(asked.raw("he"));
    asked.data("llo, and more");
    asked.data("more");
    assert!(!asked.raw("x"));
    assert_eq!(asked.finish(), Next::Request);
    assert!(content(&records(&asked.out), STDOUT, ID, true).ends_with(b"\r\n\r\nhello"));

    let mut asked = Asked::new("GET");
    asked.start(&declared);
    asked.data("hell");
    assert_eq!(asked.finish(), Next::Close(CloseReason::Aborted));
    let seen = records(&asked.out);
    assert!(content(&seen, STDOUT, ID, false).ends_with(b"\r\n\r\nhell"));
    assert_eq!(seen.last(), Some(&(ABORT, ID, vec![])));
}

#[test]
fn a_reply_that_is_given_up_has_no_end() {
    for begun in [false, true] {
        let mut asked = Asked::new("GET");
        if begun {
            asked.start(&unsized_head());
            asked.data("half");
        }
        assert_eq!(asked.codec.abort(&mut asked.out), Next::Close(CloseReason::Aborted));
        let seen = records(&asked.out);
        assert_eq!(seen.last(), Some(&(ABORT, ID, vec![])));
        assert_eq!(seen.len(), 1 + usize::from(begun));
        assert_eq!(asked.codec.poll(&mut BytesMut::new(), &mut RequestHead::default(), &mut asked.out), Ok(Event::Closed));
    }
    // An error after the reply was begun is no second reply.
    let mut asked = Asked::new("GET");
    asked.start(&unsized_head());
    asked.codec.refuse(&wsgi_core::wire::Error::malformed("late"), &HttpDate::from_unix(0), &mut asked.out);
    assert_eq!(records(&asked.out)[1..], [(ABORT, ID, vec![])]);
}

#[test]
fn the_log_goes_to_the_web_server_where_that_is_asked_for() {
    let mut asked = Asked::new("GET");
    assert!(!asked.codec.log(b"text", &mut asked.out));
    assert_eq!(asked.out, b"");

    let mut asked = Asked::of(&FastCgi::new().log_to_peer(true), "GET");
    let long = vec![b'x'; 70_000];
    for text in [b"one\n", &b""[..], &long] {
        assert!(asked.codec.log(text, &mut asked.out));
    }
    asked.start(&unsized_head());
    assert!(asked.codec.log(b"two\n", &mut asked.out));
    asked.data("body");
    asked.finish();
    let seen = records(&asked.out);
    assert!(content(&seen, STDERR, ID, true) == [b"one\n", &long[..], b"two\n"].concat());
    assert_eq!(content(&seen, STDOUT, ID, true), b"Status: 200 OK\r\n\r\nbody");
    // nginx reads no further than to the end of STDOUT.
    let kinds: Vec<_> = seen.iter().map(|record| record.0).collect();
    assert_eq!(kinds, [STDERR, STDERR, STDERR, STDOUT, STDERR, STDOUT, STDERR, STDOUT, END]);

    // A stream that was never used needs no end.
    let mut asked = Asked::of(&FastCgi::new().log_to_peer(true), "GET");
    asked.codec.log(b"", &mut asked.out);
    asked.start(&unsized_head());
    asked.finish();
    assert!(records(&asked.out).iter().all(|record| record.0 != STDERR));
}

#[test]
fn a_long_text_for_the_log_is_several_entries_of_whole_lines() {
    let line = |length: usize| vec![b'a'; length - 1].into_iter().chain([b'\n']).collect::<Vec<u8>>();
    let mut asked = Asked::of(&FastCgi::new().log_to_peer(true), "GET");
    let lines = [line(600), line(424), line(1), line(3000), line(500), line(600)];
    assert!(asked.codec.log(&lines.concat(), &mut asked.out));
    asked.start(&unsized_head());
    asked.finish();
    let seen = records(&asked.out);
    let lengths: Vec<_> = seen.iter().filter(|record| record.0 == STDERR).map(|record| record.2.len()).collect();
    // The last one is the end of the stream.
    assert_eq!(lengths, [1024, 1, 3000, 500, 600, 0]);
    assert!(content(&seen, STDERR, ID, true) == lines.concat());
}

#[test]
fn text_in_the_log_cannot_pass_for_a_record() {
    // The log's text looks like a record of STDOUT that was queued last, at the place where one was.
    let mut asked = Asked::of(&FastCgi::new().log_to_peer(true), "GET");
    asked.start(&unsized_head());
    let sent = asked.sent();
    let disguise = &sent[..sent.len() - 8];
    assert!(asked.codec.log(disguise, &mut asked.out));
    asked.data("body");
    asked.finish();
    let seen = records(&asked.out);
    assert_eq!(content(&seen, STDERR, ID, true), disguise);
    assert_eq!(content(&seen, STDOUT, ID, true), b"body");
}

#[test]
fn an_answer_beside_the_reply_does_not_get_into_it() {
    let (mut codec, mut head, mut out) = (FastCgi::new().connect(&link()), RequestHead::default(), Vec::new());
    let mut input = BytesMut::from(&[begin(1, KEEP), record(PARAMS, 1, stream(&post("/", "4"))), record(PARAMS, 1, "")].concat()[..]);
    input.extend_from_slice(&record(STDIN, 1, "ab"));
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Body("ab".into())));
    codec.start(&unsized_head(), &HttpDate::from_unix(0), &mut out);
    for question in [record(GET_VALUES, 0, ""), record(99, 0, ""), begin(2, 0)] {
        input.extend_from_slice(&question);
        assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::NeedInput));
        codec.data(b"x", &mut out);
    }
    codec.finish(&mut out);
    let seen = records(&out);
    assert_eq!(content(&seen, STDOUT, 1, true), b"Status: 200 OK\r\n\r\nxxx");
    assert_eq!(seen.iter().map(|record| record.0).collect::<Vec<_>>(), [STDOUT, VALUES, STDOUT, UNKNOWN, STDOUT, END, STDOUT, STDOUT, END]);
}

#[test]
fn no_order_of_calls_makes_it_panic() {
    let input = [request(1, KEEP, &post("/", "5"), "hello"), record(ABORT, 1, ""), request(2, KEEP, &get("/"), "")].concat();
    for seed in 1..=2000 {
        let mut random = Random::new(seed);
        let mut codec = FastCgi::new().log_to_peer(random.chance(2)).connect(&link());
        let (mut bytes, mut head, mut out) = (BytesMut::new(), RequestHead::default(), Vec::new());
        let mut rest = &input[..];
        for _ in 0..40 {
            match random.below(14) {
                0..4 => {
                    let (piece, later) = rest.split_at(random.length(40).min(rest.len()));
                    bytes.extend_from_slice(piece);
                    rest = later;
                    let _ = codec.poll(&mut bytes, &mut head, &mut out);
                }
                4 => codec.start(&ResponseHead::plain(StatusCode::OK, 4), &HttpDate::from_unix(0), &mut out),
                5 => codec.data(b"data", &mut out),
                6 if codec.raw(3, &mut out) => out.extend_from_slice(b"raw"),
                7 => codec.raw_end(&mut out),
                8 => drop(codec.finish(&mut out)),
                9 => drop(codec.abort(&mut out)),
                10 => codec.refuse(&wsgi_core::wire::Error::malformed("x"), &HttpDate::from_unix(0), &mut out),
                11 => drop(codec.log(b"log", &mut out)),
                12 => drop(codec.end(&mut bytes)),
                _ => {
                    codec.close_after_reply();
                    codec.expect_body(&mut out);
                    out.drain(..random.below(out.len() + 1));
                    let _ = (codec.idle(), codec.withdrawn(&bytes));
                }
            }
        }
    }
}
