//! The client side: alone, and against the server side in both directions.

mod common;

use bytes::BytesMut;
use common::*;
use wsgi_core::wire::{self, Dialect, HttpDate, Known, Limits, Next, RequestHead, ResponseHead};
use wsgi_fastcgi::FastCgi;
use wsgi_fastcgi::client::{EncodeError, End, Event, Outcome, Reply, ReplyError, Request};

/// What a client made of a reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    head: String,
    body: Vec<u8>,
    log: Vec<u8>,
    end: Option<Result<End, ReplyError>>,
    left: usize,
}

fn read<'a>(mut reply: Reply, pieces: impl IntoIterator<Item = &'a [u8]>) -> Seen {
    let (mut seen, mut input, mut head) = (Seen::default(), BytesMut::new(), ResponseHead::default());
    let mut pieces = pieces.into_iter();
    seen.end = Some(loop {
        match reply.poll(&mut input, &mut head) {
            Ok(Event::NeedInput) => {
                let before = input.len();
                assert_eq!((reply.poll(&mut input, &mut head), input.len()), (Ok(Event::NeedInput), before));
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => break reply.end(),
                }
            }
            Ok(Event::Head) => {
                assert_eq!(seen.head, "");
                let line = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                seen.head = format!("{}\r\n{}", line(head.status_line()), line(head.lines()));
            }
            Ok(Event::Body(piece)) => {
                assert!(!piece.is_empty() && !seen.head.is_empty());
                seen.body.extend_from_slice(&piece);
            }
            Ok(Event::Log(piece)) => {
                assert!(!piece.is_empty());
                seen.log.extend_from_slice(&piece);
            }
            Ok(Event::End(end)) => {
                assert_eq!((reply.poll(&mut input, &mut head), reply.end()), (Ok(Event::End(end)), Ok(end)));
                seen.left = input.len() + pieces.map(<[u8]>::len).sum::<usize>();
                break Ok(end);
            }
            Err(error) => break Err(error),
        }
    });
    seen
}

fn reply() -> Reply {
    Reply::to(Request::new(1), b"GET")
}

/// Reads it whole, a byte at a time and cut at every place, which must give the same.
#[track_caller]
fn every_way(reply: &Reply, bytes: &[u8]) -> Seen {
    let whole = read(reply.clone(), [bytes]);
    assert_eq!(read(reply.clone(), bytes.chunks(1)), whole, "a byte at a time: {}", bytes.escape_ascii());
    for cut in 0..bytes.len() {
        let (a, b) = bytes.split_at(cut);
        assert_eq!(read(reply.clone(), [a, b]), whole, "cut at {cut}: {}", bytes.escape_ascii());
    }
    whole
}

fn stdout(text: &str) -> Vec<u8> {
    [record(STDOUT, 1, text), ended(0)].concat()
}

fn ended(status: u8) -> Vec<u8> {
    [record(STDOUT, 1, ""), record(END, 1, [0, 0, 0, 7, status, 0, 0, 0])].concat()
}

#[test]
fn a_request_is_the_records_that_the_specification_says() {
    let mut out = Vec::new();
    let call = Request::new(0x0203).keep_connection(true);
    call.begin([("REQUEST_METHOD", "POST"), ("X", "")], &mut out).unwrap();
    call.body(b"abc", &mut out);
    call.body(b"", &mut out);
    call.end_body(&mut out);
    let id = 0x0203;
    let expected = [
        (BEGIN, id, vec![0, 1, 1, 0, 0, 0, 0, 0]),
        (PARAMS, id, b"\x0e\x04REQUEST_METHODPOST\x01\x00X".to_vec()),
        (PARAMS, id, vec![]),
        (STDIN, id, b"abc".to_vec()),
        (STDIN, id, vec![]),
    ];
    assert_eq!(records(&out), expected);
    out.clear();
    Request::new(0).begin::<&str, &str>([], &mut out).unwrap();
    Request::new(0).abort(&mut out);
    assert_eq!(records(&out), [(BEGIN, 1, vec![0, 1, 0, 0, 0, 0, 0, 0]), (PARAMS, 1, vec![]), (ABORT, 1, vec![])]);
    out.clear();
    // More than one record can hold.
    let value = "v".repeat(200_000);
    Request::new(1).begin([("LONG", &value)], &mut out).unwrap();
    let seen = records(&out);
    assert!(content(&seen, PARAMS, 1, true) == stream(&[("LONG", &value)]) && seen.len() == 6);
    out.clear();
    assert_eq!(Request::new(1).begin([("A", "b"), ("", "c")], &mut out), Err(EncodeError::EmptyName { index: 1 }));
    assert_eq!(out, b"");
}

#[test]
fn heads_are_read_as_cgi_has_them() {
    for (text, head, body) in [
        ("Status: 404 Not Found\r\nX: y\r\n\r\nbody", "404 Not Found\r\nX: y\r\n", "body"),
        ("X: y\nstatus:  503 Busy  \n\nbody", "503 Busy\r\nX: y\r\n", "body"),
        ("Content-Type: text/plain\r\n\r\n", "200 OK\r\nContent-Type: text/plain\r\n", ""),
        ("Location: /x\r\n\r\n", "302 Found\r\nLocation: /x\r\n", ""),
        ("Location: /x\r\nStatus: 201 Created\r\n\r\n", "201 Created\r\nLocation: /x\r\n", ""),
        ("Status: 404\r\n\r\n", "404 Not Found\r\n", ""),
        ("Status: 299\r\n\r\n", "299 Unknown\r\n", ""),
        ("X:a\tb \r\nX:\r\n\r\n\r\n\n", "200 OK\r\nX: a b\r\nX: \r\n", "\r\n\n"),
        ("Connection: close\r\nKeep-Alive: 5\r\nX: y\r\n\r\n", "200 OK\r\nX: y\r\n", ""),
        ("Content-Length: 3\r\n\r\nabc", "200 OK\r\nContent-Length: 3\r\n", "abc"),
        ("Content-Length: 3\r\n\r\nabcdef", "200 OK\r\nContent-Length: 3\r\n", "abc"),
        ("Status: 304 Not Modified\r\nContent-Length: 3\r\n\r\n", "304 Not Modified\r\nContent-Length: 3\r\n", ""),
        ("Status: 204 No Content\r\n\r\nnone", "204 No Content\r\n", ""),
    ] {
        let seen = every_way(&reply(), &stdout(text));
        assert_eq!((&*seen.head, &*seen.body), (head, body.as_bytes()), "{text:?}");
        assert_eq!(seen.end, Some(Ok(End { app_status: 7, outcome: Outcome::Complete })));
    }
    let seen = every_way(&Reply::to(Request::new(1), b"HEAD"), &stdout("Content-Length: 3\r\n\r\nabc"));
    assert_eq!((&*seen.head, seen.body.len()), ("200 OK\r\nContent-Length: 3\r\n", 0));
    assert!(seen.end.unwrap().is_ok());
}

#[test]
fn what_is_no_reply_is_said() {
    for (bytes, expected) in [
        (stdout("\r\nbody"), "reply begins with an empty line, expected a field"),
        (stdout("HTTP/1.1 200 OK\r\n\r\n"), "reply has the line \"HTTP/1.1 200 OK\": a field"),
        (stdout("Status: OK\r\n\r\n"), "reply has the status \"OK\": must be three digits, one space and a reason, such as \"200 OK\""),
        (stdout("Status: 1x0\r\n\r\n"), "reply has the status \"1x0\": three digits and a reason"),
        (stdout("Status: 100 Continue\r\n\r\n"), {
            "reply has the status \"100 Continue\": code must be 200 to 999, since 1xx replies are not final"
        }),
        (stdout("Status: 200 OK\r\nStatus: 200 OK\r\n\r\n"), "reply has more than one Status"),
        (stdout("X Y: z\r\n\r\n"), {
            "reply has the field \"X Y: z\": name must be a field name: letters, digits and any of !#$%&'*+-.^_`|~"
        }),
        (stdout("X: a\rb\r\n\r\n"), "reply has the field \"X: a\\rb\": value must not contain control characters"),
        (stdout("Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"), "reply has the field \"Content-Length: 1\": is given more than once"),
        (stdout("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), {
            "reply has the field \"Transfer-Encoding: chunked\": a body without transfer coding, which FastCGI does not have"
        }),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "FastCGI record has version 72, expected 1"),
        (record(STDIN, 1, "x"), "FastCGI reply has a record of type 5, expected STDOUT, STDERR or END_REQUEST"),
        (record(END, 1, [0; 9]), "FastCGI END_REQUEST has 9 bytes, expected 8"),
        ([record(STDOUT, 1, "X: y\r\n\r\nz"), record(ABORT, 1, "")].concat(), "server gave the reply up"),
        (stdout("X: y\r\n"), "reply ended inside its head"),
        (ended(0), "reply ended inside its head"),
        (stdout("Content-Length: 4\r\n\r\nabc"), "reply ended inside its body"),
        (stdout(&format!("X: {}\r\n\r\n", "y".repeat(200))), "reply head exceeds 100 bytes"),
        (record(STDOUT, 1, "y".repeat(200)), "reply head exceeds 100 bytes"),
        (stdout("A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n\r\n"), "reply head has more than 3 fields"),
    ] {
        let seen = every_way(&reply().limits(Limits { head_bytes: 100, fields: 3, body_bytes: None }), &bytes);
        assert_eq!(seen.end.unwrap().unwrap_err().to_string(), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_request_that_is_not_taken_ends_without_a_head() {
    for (status, outcome) in [(1, Outcome::CannotMultiplex), (2, Outcome::Overloaded), (3, Outcome::UnknownRole), (9, Outcome::Other(9))] {
        let seen = every_way(&reply(), &record(END, 1, [0, 0, 0, 0, status, 0, 0, 0]));
        let end = seen.end.unwrap().unwrap();
        assert_eq!((end.outcome, end.is_complete(), seen.head.len()), (outcome, false, 0));
    }
}

#[test]
fn what_is_left_of_an_unwanted_reply_is_thrown_away() {
    let mut discarding = reply();
    discarding.discard();
    for bytes in [ended(0), stdout("X: y\r\nContent-Length: 9\r\n\r\nhello"), stdout("no head at all"), record(END, 1, [0; 8])] {
        let seen = every_way(&discarding, &[bytes, b"next".to_vec()].concat());
        assert_eq!((seen.head.len(), seen.body.len(), seen.left), (0, 0, 4));
        assert!(seen.end.unwrap().unwrap().is_complete());
    }
}

#[test]
fn a_reply_may_be_cut_and_padded_anywhere_and_others_records_mean_nothing() {
    let text = b"Status: 200 OK\r\nX: y\r\n\r\nhello";
    let bytes: Vec<u8> = text
        .iter()
        .enumerate()
        .flat_map(|(at, byte)| [padded(STDOUT, 1, &[*byte], at as u8), record(STDOUT, 2, "not mine"), padded(STDERR, 1, b"e", 3)].concat())
        .collect();
    let others = [record(VALUES, 0, "xyz"), record(UNKNOWN, 0, [0; 8]), record(END, 2, [0; 8])].concat();
    let end = padded(END, 1, &[0; 8], 250);
    let seen = every_way(&reply(), &[bytes, others, record(STDERR, 1, ""), record(STDOUT, 1, ""), end, b"next".to_vec()].concat());
    assert_eq!((&*seen.head, &*seen.body, seen.log, seen.left), ("200 OK\r\nX: y\r\n", &b"hello"[..], vec![b'e'; text.len()], 4));
    assert!(seen.end.unwrap().unwrap().is_complete());
}

#[test]
fn a_reply_that_stops_anywhere_is_noticed() {
    let bytes = [record(STDERR, 1, "log"), padded(STDOUT, 1, b"X: y\r\n\r\nhello", 4), ended(0)].concat();
    for cut in 0..bytes.len() {
        let seen = read(reply(), [&bytes[..cut]]);
        let part = if seen.head.is_empty() { "head" } else { "body" };
        assert_eq!(seen.end, Some(Err(ReplyError::Truncated(part))), "{cut}");
    }
    assert!(read(reply(), [&bytes[..]]).end.unwrap().is_ok());
}

#[test]
fn a_length_that_lies_misleads_nobody() {
    let bytes = [record(STDERR, 1, "log"), padded(STDOUT, 1, b"Content-Length: 5\r\n\r\nhello", 4), ended(0)].concat();
    let mut changed = 0;
    for at in 0..bytes.len() {
        for value in [0, 1, 2, 3, 4, 5, 8, 9, 0x7f, 0xff] {
            let mut lie = bytes.clone();
            lie[at] = value;
            let seen = every_way(&reply(), &lie);
            if let Some(Ok(end)) = seen.end {
                let declared = seen.head.contains("Content-Length: 5\r\n");
                assert!(!end.is_complete() || !declared || seen.body.len() == 5, "{}", lie.escape_ascii());
            }
            changed += usize::from(seen != every_way(&reply(), &bytes));
        }
    }
    assert!(changed > 300, "{changed}");
}

#[test]
fn both_sides_understand_each_other() {
    for seed in 1..=400 {
        let mut random = Random::new(seed);
        let mut server = FastCgi::new().limits(Limits { head_bytes: 1 << 20, ..Limits::default() }).log_to_peer(true).connect(&link());
        let (mut up, mut down, mut head) = (BytesMut::new(), BytesMut::new(), RequestHead::default());
        let requests = 1 + random.below(3);
        for number in 0..requests {
            let keep = number + 1 < requests;
            let id = 1 + random.below(3) as u16;
            let call = Request::new(id).keep_connection(keep);
            let method = ["GET", "POST", "HEAD"][random.below(3)];
            let sent: Vec<u8> = (0..random.length(100_000)).map(|_| random.below(256) as u8).collect();
            let mut variables = vec![("REQUEST_METHOD".to_owned(), method.to_owned()), ("PATH_INFO".to_owned(), format!("/{number}"))];
            if random.chance(2) {
                variables.push(("CONTENT_LENGTH".to_owned(), sent.len().to_string()));
            }
            for at in 0..random.below(30) {
                let length = random.length(3000);
                variables.push((format!("HTTP_X_{at}"), random.text(length)));
            }
            let mut out = Vec::new();
            call.begin(variables.iter().map(|(name, value)| (name, value)), &mut out).unwrap();
            random.pieces(&sent, 70_000).into_iter().for_each(|piece| call.body(piece, &mut out));
            call.end_body(&mut out);

            // Upstream.
            let (mut got, mut replies, mut ended) = (Vec::new(), Vec::new(), false);
            let mut pieces = random.pieces(&out, 20_000).into_iter();
            while !ended {
                match server.poll(&mut up, &mut head, &mut replies).unwrap() {
                    wire::Event::NeedInput => up.extend_from_slice(pieces.next().expect("the request is whole")),
                    wire::Event::Body(piece) => got.extend_from_slice(&piece),
                    wire::Event::EndOfBody => ended = true,
                    wire::Event::Head => {}
                    wire::Event::Closed => panic!("closed"),
                }
            }
            pieces.for_each(|piece| up.extend_from_slice(piece));
            assert!(got == sent, "seed {seed}");
            for (name, value) in &variables {
                assert_eq!(head.get_named(name.as_bytes()), Some(value.as_bytes()), "seed {seed}");
            }
            let passed_on = {
                let mut again = Vec::new();
                call.begin_head(&head, &mut again).unwrap();
                content(&records(&again), PARAMS, id, true)
            };
            assert!(passed_on.windows(14).any(|text| text == b"REQUEST_METHOD"));

            // Downstream.
            let answer: Vec<u8> = (0..random.length(200_000)).map(|_| random.below(256) as u8).collect();
            let mut reply_head = ResponseHead::new(b"202 Taken").unwrap();
            reply_head.field(b"X-Y", random.text(20).trim().as_bytes()).unwrap();
            if random.chance(2) {
                reply_head.set_content_length(answer.len() as u64);
            }
            let (mut wire, mut log) = (Vec::new(), Vec::new());
            server.start(&reply_head, &HttpDate::from_unix(0), &mut replies);
            for block in random.pieces(&answer, 150_000) {
                match random.below(4) {
                    0 if server.raw(block.len() as u64, &mut replies) => {
                        replies.extend_from_slice(block);
                        server.raw_end(&mut replies);
                    }
                    1 => {
                        assert!(server.log(b"line\n", &mut replies));
                        log.extend_from_slice(b"line\n");
                        server.data(block, &mut replies);
                    }
                    _ => server.data(block, &mut replies),
                }
                // An engine sends now this much, now that.
                let most = if random.chance(2) { replies.len() } else { random.below(replies.len() + 1) };
                wire.extend(replies.drain(..most));
            }
            let next = server.finish(&mut replies);
            wire.append(&mut replies);
            assert_eq!(next == Next::Request, keep, "seed {seed}: {next:?}");
            down.extend_from_slice(&wire);
            let seen = read(Reply::to(call, method.as_bytes()), random.pieces(&down.split(), 9_000));
            let lines = String::from_utf8_lossy(reply_head.lines()).into_owned();
            assert_eq!(seen.head, format!("202 Taken\r\n{lines}"), "seed {seed}");
            assert!(seen.body == if method == "HEAD" { &b""[..] } else { &answer }, "seed {seed}");
            assert_eq!((seen.log, seen.left), (log, 0), "seed {seed}");
            assert_eq!(seen.end, Some(Ok(End { app_status: 0, outcome: Outcome::Complete })), "seed {seed}");
        }
    }
}

#[test]
fn a_reply_that_our_server_gives_up_is_noticed_by_our_client() {
    let mut server = FastCgi::new().connect(&link());
    let (mut out, mut replies, mut head) = (Vec::new(), Vec::new(), RequestHead::default());
    let call = Request::new(1).keep_connection(true);
    call.begin([("REQUEST_METHOD", "GET")], &mut out).unwrap();
    call.end_body(&mut out);
    assert_eq!(server.poll(&mut BytesMut::from(&out[..]), &mut head, &mut replies), Ok(wire::Event::Head));
    assert_eq!(head.get(Known::RequestMethod), Some(&b"GET"[..]));
    server.start(&ResponseHead::of(http::StatusCode::OK), &HttpDate::from_unix(0), &mut replies);
    server.data(b"half", &mut replies);
    server.abort(&mut replies);
    let seen = every_way(&reply(), &replies);
    assert_eq!((&*seen.body, seen.end), (&b"half"[..], Some(Err(ReplyError::GivenUp))));
}

#[test]
fn no_bytes_make_it_panic_or_disagree_with_itself() {
    let seeds = [stdout("Status: 200 OK\r\nContent-Length: 5\r\n\r\nhello"), [record(STDERR, 1, "log"), stdout("X: y\n\nz")].concat()];
    for seed in 1..=1000 {
        let mut random = Random::new(seed);
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes.insert(at, random.below(256) as u8),
                1 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes[at] = random.below(256) as u8,
            }
        }
        every_way(&reply().limits(Limits { head_bytes: 40, ..Limits::default() }), &bytes);
    }
}
