//! The server side: what it makes of records that arrive in every way, and which records it answers with.

mod common;

use bytes::BytesMut;
use common::*;
use http::StatusCode;
use wsgi_core::wire::feed::{self, End, Transcript};
use wsgi_core::wire::{BodyLength, CloseReason, Dialect, Error, Event, HttpDate, Known, Limits, Next, Protocol, RequestHead, ResponseHead};
use wsgi_fastcgi::FastCgi;

/// What is the connection's and not the request's.
const ADDED: [&str; 7] = ["REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "GATEWAY_INTERFACE", "RAW_URI"];

fn make() -> Box<dyn Protocol> {
    FastCgi::new().connect(&link())
}

fn limited(limits: Limits) -> impl Fn() -> Box<dyn Protocol> {
    move || FastCgi::new().limits(limits.clone()).connect(&link())
}

/// Feeds it in every way, and leaves out what the connection adds.
#[track_caller]
fn every_way(input: &[u8]) -> Transcript {
    feed::every_way(make, input).without(&ADDED)
}

#[track_caller]
fn check(input: &[u8], expected: Transcript) {
    assert_eq!(every_way(input), expected, "of {}", input.escape_ascii());
}

#[track_caller]
fn refused(input: &[u8]) -> String {
    match every_way(input).end {
        End::Refused(error) => error.to_string(),
        end => panic!("{end:?} of {}", input.escape_ascii()),
    }
}

/// The variables that an application sees of `get` and `post`.
fn seen<'a>(variables: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let path = variables.iter().find(|(name, _)| *name == "SCRIPT_NAME").unwrap().1;
    let mut seen: Vec<_> = variables.iter().copied().filter(|(name, _)| *name != "SCRIPT_NAME").collect();
    seen.extend([("SCRIPT_NAME", ""), ("PATH_INFO", path)]);
    seen
}

#[test]
fn a_request_of_nginx_is_understood() {
    // As nginx 1.22 sends it with Debian's `fastcgi_params`: one record of parameters, padded, and a second that is empty.
    let variables = [
        ("QUERY_STRING", "how=whole"),
        ("REQUEST_METHOD", "GET"),
        ("CONTENT_TYPE", ""),
        ("CONTENT_LENGTH", ""),
        ("SCRIPT_NAME", "/tcp/x y"),
        ("REQUEST_URI", "/tcp/x%20y?how=whole"),
        ("DOCUMENT_URI", "/tcp/x y"),
        ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
        ("SERVER_PROTOCOL", "HTTP/1.1"),
        ("REQUEST_SCHEME", "http"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "nginx/1.22.1"),
        ("REMOTE_ADDR", "127.0.0.1"),
        ("REMOTE_PORT", "45436"),
        ("REMOTE_USER", ""),
        ("SERVER_ADDR", "127.0.0.1"),
        ("SERVER_PORT", "9920"),
        ("SERVER_NAME", ""),
        ("REDIRECT_STATUS", "200"),
        ("HTTP_HOST", "127.0.0.1"),
        ("HTTP_USER_AGENT", "curl/7.88.1"),
        ("HTTP_ACCEPT", "*/*"),
    ];
    let input = [begin(1, 0), padded(PARAMS, 1, &stream(&variables), 7), record(PARAMS, 1, ""), record(STDIN, 1, "")].concat();
    let transcript = feed::every_way(make, &input);
    assert_eq!(transcript.end, End::Close(CloseReason::Peer));
    let request = &transcript.requests[0];
    assert_eq!((request.length, request.complete, request.body.len()), (BodyLength::Empty, true, 0));
    for (name, value) in variables {
        let expected = match name {
            "SCRIPT_NAME" => Some(""),
            "SERVER_NAME" => Some("127.0.0.1"),
            "CONTENT_LENGTH" => None,
            _ => Some(value),
        };
        assert_eq!(request.get(name), expected.map(str::as_bytes), "{name}");
    }
    assert_eq!(request.get("PATH_INFO"), Some(&b"/tcp/x y"[..]));
    assert_eq!(request.get("RAW_URI"), Some(&b"/tcp/x%20y?how=whole"[..]));
}

#[test]
fn bodies_end_where_their_stream_does() {
    let closed = || Transcript::new(End::Closed);
    let with = |length, body: &str| {
        let mut transcript = closed().request(&seen(&post("/", "")[..2]), body);
        transcript.requests[0].length = length;
        transcript
    };
    let known = |length: &'static str, body| closed().request(&seen(&post("/", length)), body);
    for (input, expected) in [
        (request(1, KEEP, &get("/"), ""), closed().request(&seen(&get("/")), "")),
        (request(1, KEEP, &post("/", "5"), "hello"), known("5", "hello")),
        (request(1, KEEP, &post("/", "0"), ""), known("0", "")),
        // Neither nginx without request buffering nor Apache say how long a chunked body is; Caddy says -1.
        (request(1, KEEP, &post("/", ""), "hello"), with(BodyLength::Unknown, "hello")),
        (request(1, KEEP, &post("/", "-1"), "hello"), with(BodyLength::Unknown, "hello")),
        (request(1, KEEP, &post("/", "")[..2], "hello"), with(BodyLength::Unknown, "hello")),
        (request(1, KEEP, &post("/", "")[..2], ""), with(BodyLength::Empty, "")),
        // More than was declared is not read (RFC 3875, 4.2).
        (request(1, KEEP, &post("/", "3"), "hello"), known("3", "hel")),
    ] {
        check(&input, expected);
    }
    let pieces =
        [record(STDIN, 1, "he"), padded(STDIN, 1, b"l", 200), padded(STDIN, 1, b"lo, world", 3), padded(STDIN, 1, b"", 9)].concat();
    let start = [begin(1, KEEP), record(PARAMS, 1, stream(&post("/", "5"))), record(PARAMS, 1, "")].concat();
    check(&[start, pieces].concat(), known("5", "hello"));
}

#[test]
fn a_body_of_declared_length_nought_that_comes_all_the_same_is_not_read() {
    let input = [request(1, KEEP, &post("/", "0"), "surplus"), request(1, 0, &get("/b"), "")].concat();
    let (mut codec, mut head, mut out) = (make(), RequestHead::default(), Vec::new());
    let mut input = BytesMut::from(&input[..]);
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    // There is nothing to wait for, and so the reply may come before the surplus is taken.
    assert_eq!(head.body(), BodyLength::Empty);
    codec.start(&ResponseHead::plain(StatusCode::OK, 0), &HttpDate::from_unix(0), &mut out);
    assert_eq!(codec.finish(&mut out), Next::Request);
    assert!(codec.idle());
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    assert_eq!(head.get(Known::PathInfo), Some(&b"/b"[..]));
}

#[test]
fn a_body_that_is_shorter_than_declared_is_never_a_whole_one() {
    for body in ["", "hell"] {
        let transcript = every_way(&request(1, KEEP, &post("/", "5"), body));
        assert!(!transcript.requests[0].complete);
        assert_eq!(transcript.requests[0].length, BodyLength::Known(5));
        let text = format!("FastCGI request's STDIN ended after {} bytes, expected the 5 of its CONTENT_LENGTH", body.len());
        assert_eq!(transcript.end, End::Refused(Error::malformed(text)));
    }
}

#[test]
fn connections_are_kept_where_that_is_asked_for() {
    let three = [request(1, KEEP, &get("/a"), ""), request(7, KEEP, &post("/b", "2"), "xy"), request(1, 0, &get("/c"), "")].concat();
    let expected = Transcript::new(End::Close(CloseReason::Peer))
        .request(&seen(&get("/a")), "")
        .request(&seen(&post("/b", "2")), "xy")
        .request(&seen(&get("/c")), "");
    check(&three, expected);
}

#[test]
fn parameters_may_be_cut_anywhere() {
    let long = "v".repeat(300);
    let mut variables = get("/");
    variables.extend([("HTTP_X_LONG", &*long), ("HTTP_X_EMPTY", "")].map(|(name, value)| (name, &*value.to_owned().leak())));
    let all = stream(&variables);
    let expected = Transcript::new(End::Close(CloseReason::Peer)).request(&seen(&variables), "");
    let tail = [record(PARAMS, 1, ""), record(STDIN, 1, "")].concat();
    for cut in 1..all.len() {
        let input = [begin(1, 0), record(PARAMS, 1, &all[..cut]), padded(PARAMS, 1, &all[cut..], (cut % 256) as u8), tail.clone()].concat();
        for way in [&input[..cut + 20], &input].map(|first| [first, &input[first.len()..]]) {
            assert_eq!(feed::pieces(make, way).without(&ADDED), expected, "{cut}");
        }
    }
    let bytes: Vec<u8> = all.iter().flat_map(|byte| record(PARAMS, 1, [*byte])).collect();
    assert_eq!(feed::pieces(make, [[begin(1, 0), bytes, tail].concat().as_slice()]).without(&ADDED), expected);
    assert_eq!(refused(&[begin(1, 0), record(PARAMS, 1, &all[..50]), record(PARAMS, 1, ""), record(STDIN, 1, "")].concat()), {
        "FastCGI parameter has a name of 11 and a value of 300 bytes, but its stream has only 12 more"
    });
}

#[test]
fn any_padding_is_accepted() {
    for padding in 0..=255 {
        let input = [
            padded(BEGIN, 1, &[0, 1, KEEP, 0, 0, 0, 0, 0], padding),
            padded(PARAMS, 1, &stream(&post("/", "2")), padding),
            padded(PARAMS, 1, b"", padding),
            padded(STDIN, 1, b"xy", padding),
            padded(STDIN, 1, b"", padding),
            padded(GET_VALUES, 0, b"", padding),
        ]
        .concat();
        let expected = Transcript::new(End::Closed).request(&seen(&post("/", "2")), "xy");
        for pieces in [&mut input.chunks(input.len()), &mut input.chunks(1), &mut input.chunks(100)] {
            assert_eq!(feed::pieces(make, pieces).without(&ADDED), expected, "{padding}");
        }
    }
}

#[test]
fn a_stream_that_stops_anywhere_is_noticed() {
    let first = request(1, KEEP, &get("/"), "");
    let input = [first.clone(), begin(2, 0), padded(PARAMS, 2, &stream(&post("/", "5")), 3), record(PARAMS, 2, "")].concat();
    let head_ends = input.len() + 8;
    let input = [input, record(STDIN, 2, "he"), padded(STDIN, 2, b"llo", 5), record(STDIN, 2, "")].concat();
    for cut in 0..input.len() {
        let transcript = every_way(&input[..cut]);
        let (requests, end) = match cut {
            0 => (0, End::Closed),
            _ if cut < first.len() => (0, End::Refused(Error::Truncated("head"))),
            _ if cut == first.len() => (1, End::Closed),
            _ if cut < head_ends => (1, End::Refused(Error::Truncated("head"))),
            _ => (2, End::Refused(Error::Truncated("body"))),
        };
        assert_eq!((transcript.requests.len(), &transcript.end), (requests, &end), "cut at {cut}");
        assert!(transcript.requests.iter().enumerate().all(|(at, request)| request.complete == (at == 0)), "cut at {cut}");
    }
}

#[test]
fn what_is_wrong_is_said() {
    let good = |kind, content: &[u8]| [begin(1, 0), record(kind, 1, content)].concat();
    let ready = [begin(1, 0), record(PARAMS, 1, stream(&post("/", "5"))), record(PARAMS, 1, "")].concat();
    let body = [ready.clone(), record(STDIN, 1, "x")].concat();
    for (input, expected) in [
        (record(BEGIN, 1, [0, 1, 0, 0, 0, 0, 0]), "FastCGI BEGIN_REQUEST has 7 bytes, expected 8"),
        (record(BEGIN, 1, [0, 1, 0, 0, 0, 0, 0, 0, 0]), "FastCGI BEGIN_REQUEST has 9 bytes, expected 8"),
        (record(BEGIN, 0, [0, 1, 0, 0, 0, 0, 0, 0]), "FastCGI record of type 1 has request id 0, expected a request's"),
        (record(STDIN, 0, ""), "FastCGI record of type 5 has request id 0, expected a request's"),
        (good(BEGIN, &[0, 1, 0, 0, 0, 0, 0, 0]), "FastCGI request 1 begins again before its end"),
        (good(STDIN, b"x"), "FastCGI request has STDIN before the end of its PARAMS"),
        ([ready.clone(), record(PARAMS, 1, "x")].concat(), "FastCGI request has PARAMS after their end"),
        ([body.clone(), record(PARAMS, 1, "x")].concat(), "FastCGI request has PARAMS after their end"),
        ([body.clone(), b"\x02\x05\0\x01".to_vec()].concat(), "FastCGI record has version 2, expected 1"),
        ([body.clone(), b"GET / HTTP/1.1\r\n".to_vec()].concat(), "FastCGI record has version 71, expected 1"),
        (record(GET_VALUES, 0, [0; 1025]), "FastCGI GET_VALUES has 1025 bytes, expected at most 1024"),
        (record(GET_VALUES, 0, b"\x0e\x00FCGI_MAX"), {
            "FastCGI parameter has a name of 14 and a value of 0 bytes, but its stream has only 8 more"
        }),
        (request(1, 0, &[("SCRIPT_NAME", "/")], ""), {
            "variables have no REQUEST_METHOD; the front server must send the request's variables (nginx: include uwsgi_params, fastcgi_params or \
             scgi_params)"
        }),
        (request(1, 0, &post("/", "5x"), "hello"), "CONTENT_LENGTH is \"5x\", expected a decimal number"),
        (request(1, 0, &[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/%zz")], ""), {
            "REQUEST_URI has a '%' without two hexadecimal digits"
        }),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), {
            "this port speaks FastCGI, got an HTTP request; a browser needs a port for HTTP, and nginx has fastcgi_pass for this one"
        }),
        (b"\x16\x03\x01\x02\x00\x01".to_vec(), "this port speaks FastCGI, got a TLS handshake; TLS ends at the front server"),
        (b"\x00\x10\x01\x00\x0e\x00REQUEST".to_vec(), {
            "this port speaks FastCGI, got a uwsgi packet; nginx needs fastcgi_pass in place of uwsgi_pass"
        }),
        (b"\x02\x01\x00\x01\x00\x08\x00\x00".to_vec(), {
            "this port speaks FastCGI, got \"\\x02\\x01\\x00\\x01\", expected a record of version 1"
        }),
    ] {
        assert_eq!(refused(&input), expected);
    }
    assert_eq!(every_way(b"GET").end, End::Refused(Error::Truncated("head")));
}

#[test]
fn a_length_that_lies_misleads_nobody() {
    let input = [
        begin(1, KEEP),
        padded(PARAMS, 1, &stream(&post("/", "5")), 4),
        record(PARAMS, 1, ""),
        padded(STDIN, 1, b"hello", 3),
        record(STDIN, 1, ""),
        request(1, 0, &get("/next"), ""),
    ]
    .concat();
    let truth = every_way(&input);
    assert_eq!(truth.requests.len(), 2);
    // Where each header and each length of a parameter is.
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < input.len() {
        let (content, padding) = (usize::from(input[at + 4]) << 8 | usize::from(input[at + 5]), usize::from(input[at + 6]));
        fields.extend(at..at + 8);
        if input[at + 1] == PARAMS && content > 0 {
            fields.extend([at + 8, at + 9, at + 8 + 2 + 14 + 4]);
        }
        at += 8 + content + padding;
    }
    let mut changed = 0;
    for at in fields {
        for value in [0, 1, 2, 3, 4, 5, 7, 8, 9, 0x7f, 0x80, 0xff, input[at].wrapping_add(1), input[at].wrapping_sub(1)] {
            let mut lie = input.clone();
            lie[at] = value;
            // All ways agree, or this panics.
            let transcript = every_way(&lie);
            for request in transcript.requests.iter().filter(|request| request.complete) {
                let honest = match request.length {
                    BodyLength::Empty => request.body.is_empty(),
                    BodyLength::Known(length) => request.body.len() as u64 == length,
                    BodyLength::Unknown => true,
                };
                assert!(honest, "{request:?} of {}", lie.escape_ascii());
            }
            changed += usize::from(transcript != truth);
        }
    }
    assert!(changed > 300, "{changed}");
}

#[test]
fn questions_are_answered_before_between_and_during_requests() {
    let names = stream(&[("FCGI_MAX_CONNS", ""), ("FCGI_MPXS_CONNS", "ignored"), ("FCGI_PADDING", ""), ("FCGI_MAX_REQS", "")]);
    let question = padded(GET_VALUES, 0, &names, 5);
    let answer = (VALUES, 0, stream(&[("FCGI_MAX_CONNS", "250"), ("FCGI_MPXS_CONNS", "0"), ("FCGI_MAX_REQS", "250")]));
    let unknown = padded(42, 0, b"whatever", 1);
    let not_known = (UNKNOWN, 0, vec![42, 0, 0, 0, 0, 0, 0, 0]);
    let parts = request(3, KEEP, &post("/", "2"), "xy");
    let make = || FastCgi::new().max_connections(250).connect(&link());
    // Between any two records: behind the 1st, the 2nd, and so on, and at either end.
    let mut places = vec![0];
    while places[places.len() - 1] < parts.len() {
        let at = places[places.len() - 1];
        places.push(at + 8 + (usize::from(parts[at + 4]) << 8 | usize::from(parts[at + 5])));
    }
    for place in places {
        let (before, after) = parts.split_at(place);
        let input = [before, &question, &unknown, after].concat();
        let expected = Transcript::new(End::Closed).request(&seen(&post("/", "2")), "xy");
        assert_eq!(feed::every_way(make, &input).without(&ADDED), expected);
        let mut input = BytesMut::from(&input[..]);
        let (mut codec, mut head, mut out) = (make(), RequestHead::default(), Vec::new());
        loop {
            match codec.poll(&mut input, &mut head, &mut out).unwrap() {
                Event::NeedInput => break,
                Event::EndOfBody => {
                    codec.start(&ResponseHead::plain(StatusCode::OK, 0), &HttpDate::from_unix(0), &mut out);
                    assert_eq!(codec.finish(&mut out), Next::Request);
                }
                _ => {}
            }
        }
        let seen = records(&out);
        let at = seen.iter().position(|record| *record == answer).unwrap_or_else(|| panic!("no answer at {place} in {seen:?}"));
        assert_eq!(seen[at + 1], not_known);
        assert_eq!(seen.iter().filter(|record| record.1 == 0).count(), 2);
    }
}

#[test]
fn nobody_is_answered_who_did_not_ask() {
    for input in [
        record(GET_VALUES, 0, ""),
        record(VALUES, 0, stream(&[("FCGI_MAX_CONNS", "1")])),
        record(UNKNOWN, 0, [9, 0, 0, 0, 0, 0, 0, 0]),
        record(STDIN, 9, "of nothing"),
        record(ABORT, 9, ""),
        record(DATA, 9, "x"),
        record(200, 9, "x"),
    ] {
        let mut out = Vec::new();
        let mut input = BytesMut::from(&input[..]);
        let empty = input[1] == GET_VALUES;
        let mut codec = make();
        assert_eq!(codec.poll(&mut input, &mut RequestHead::default(), &mut out), Ok(Event::NeedInput));
        assert_eq!(records(&out), if empty { vec![(VALUES, 0, vec![])] } else { vec![] });
        assert!(input.is_empty() && codec.idle());
    }
}

#[test]
fn a_second_request_on_a_busy_connection_is_sent_away_and_the_first_goes_on() {
    let second = request(2, KEEP, &post("/second", "4"), "away");
    let input = [
        begin(1, KEEP),
        second.clone(),
        record(PARAMS, 1, stream(&post("/", "5"))),
        record(PARAMS, 1, ""),
        second.clone(),
        record(STDIN, 1, "hel"),
        second,
        record(STDIN, 1, "lo"),
        record(STDIN, 1, ""),
        request(2, 0, &get("/again"), ""),
    ]
    .concat();
    let expected =
        Transcript::new(End::Close(CloseReason::Peer)).request(&seen(&post("/", "5")), "hello").request(&seen(&get("/again")), "");
    check(&input, expected);
    let seen = records(&Served::new(&input).out);
    assert_eq!(seen.iter().filter(|record| **record == end_request(2, 1)).count(), 3);
    assert_eq!(seen.iter().filter(|record| **record == end_request(1, 0)).count(), 1);
    assert_eq!(seen.last(), Some(&end_request(2, 0)));
}

#[test]
fn other_roles_are_sent_away() {
    for (role, expected) in [
        (2, "FastCGI role 2 (authorizer) is not implemented"),
        (3, "FastCGI role 3 (filter) is not implemented"),
        (0, "FastCGI role 0 is not implemented"),
        (256, "FastCGI role 256 is not implemented"),
    ] {
        let [high, low] = u16::to_be_bytes(role);
        let input = record(BEGIN, 5, [high, low, KEEP, 0, 0, 0, 0, 0]);
        assert_eq!(refused(&input), expected);
        assert_eq!(records(&Served::new(&input).out), [end_request(5, 3)]);
    }
}

#[test]
fn an_aborted_request_breaks_its_body_and_is_ended_without_a_reply() {
    let start = [begin(1, KEEP), record(PARAMS, 1, stream(&post("/", "5"))), record(PARAMS, 1, ""), record(STDIN, 1, "he")].concat();
    let input = [start, record(ABORT, 1, ""), record(STDIN, 1, "late"), request(1, KEEP, &get("/next"), "")].concat();
    let transcript = every_way(&input);
    assert_eq!(transcript.requests[0].body, b"he");
    assert_eq!(transcript.end, End::Refused(Error::malformed("the web server aborted the request")));

    // Refused before the application was called.
    assert_eq!(records(&Served::new(&input).out), [end_request(1, 0)]);

    // While the application reads; what it answers then is nobody's.
    for start in [false, true] {
        let (mut codec, mut head, mut out) = (make(), RequestHead::default(), Vec::new());
        let mut input = BytesMut::from(&input[..]);
        assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
        assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Body("he".into())));
        assert!(!codec.withdrawn(b""));
        for _ in 0..2 {
            let error = codec.poll(&mut input, &mut head, &mut out).unwrap_err();
            assert_eq!(error.to_string(), "the web server aborted the request");
        }
        assert!(codec.withdrawn(b""));
        let next = if start {
            codec.start(&ResponseHead::plain(StatusCode::INTERNAL_SERVER_ERROR, 2), &HttpDate::from_unix(0), &mut out);
            codec.data(b"no", &mut out);
            assert!(!codec.raw(2, &mut out) && !codec.log(b"no", &mut out));
            codec.finish(&mut out)
        } else {
            codec.abort(&mut out)
        };
        assert_eq!(next, Next::Request);
        assert_eq!(records(&out), [end_request(1, 0)]);
        assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
        assert_eq!(head.get(Known::PathInfo), Some(&b"/next"[..]));
    }
}

#[test]
fn a_request_that_is_aborted_before_its_head_is_whole_never_was() {
    let half = record(PARAMS, 1, &stream(&get("/gone"))[..9]);
    for start in [vec![], half.clone(), [record(PARAMS, 1, stream(&get("/gone"))), record(PARAMS, 1, "")].concat()] {
        let aborted = |flags| [begin(1, flags), start.clone(), record(ABORT, 1, "")].concat();
        let input = [aborted(KEEP), request(1, KEEP, &get("/next"), "")].concat();
        check(&input, Transcript::new(End::Closed).request(&seen(&get("/next")), ""));
        assert_eq!(records(&Served::new(&input).out)[0], end_request(1, 0));
        let served = Served::new(&aborted(0));
        assert_eq!((records(&served.out), served.next), (vec![end_request(1, 0)], None));
    }
}

#[test]
fn a_request_that_is_aborted_behind_its_body_is_withdrawn() {
    let (mut codec, mut head, mut out) = (make(), RequestHead::default(), Vec::new());
    let whole = [begin(1, KEEP), record(PARAMS, 1, stream(&get("/"))), record(PARAMS, 1, ""), padded(STDIN, 1, b"", 6)].concat();
    let mut input = BytesMut::from(&whole[..whole.len() - 2]);
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::EndOfBody));
    let others = [record(GET_VALUES, 0, ""), record(ABORT, 2, ""), padded(STDIN, 2, b"\x01\x02\x00\x01\0\0\0\0", 9)].concat();
    let all = [b"\x5a\x5a".to_vec(), others, record(ABORT, 1, "")].concat();
    let mut bytes = BytesMut::from(&input[..]);
    bytes.extend_from_slice(&all);
    for cut in 0..bytes.len() {
        assert!(!codec.withdrawn(&bytes[..cut]), "{cut}");
    }
    assert!(codec.withdrawn(&bytes));
    codec.start(&ResponseHead::plain(StatusCode::OK, 0), &HttpDate::from_unix(0), &mut out);
    assert_eq!(codec.finish(&mut out), Next::Request);
    assert_eq!(records(&out), [end_request(1, 0)]);
    assert!(!codec.withdrawn(&bytes));
    // What is left of it means nothing to the next request.
    bytes.extend_from_slice(&request(1, 0, &get("/next"), ""));
    assert_eq!(codec.poll(&mut bytes, &mut head, &mut out), Ok(Event::Head));
    assert_eq!(head.get(Known::PathInfo), Some(&b"/next"[..]));
}

#[test]
fn a_body_that_still_flows_when_its_request_is_answered_is_swallowed() {
    let start = [begin(1, KEEP), record(PARAMS, 1, stream(&post("/", "900000"))), record(PARAMS, 1, "")].concat();
    let body: Vec<u8> = (0..100).flat_map(|_| padded(STDIN, 1, &[b'x'; 9000], 200)).collect();
    let next = request(1, KEEP, &get("/next"), "");
    let (mut codec, mut head, mut out) = (make(), RequestHead::default(), Vec::new());
    // In the middle of a record.
    let mut input = BytesMut::from(&[&start[..], &body[..5000]].concat()[..]);
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    assert!(matches!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Body(_))));
    codec.start(&ResponseHead::plain(StatusCode::FORBIDDEN, 2), &HttpDate::from_unix(0), &mut out);
    codec.data(b"no", &mut out);
    assert_eq!(codec.finish(&mut out), Next::Request);
    assert!(!codec.idle());
    for piece in body[5000..].chunks(7777) {
        input.extend_from_slice(piece);
        assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::NeedInput));
        assert!(input.len() < 8, "{}", input.len());
    }
    input.extend_from_slice(&[record(STDIN, 1, ""), next].concat());
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    assert_eq!(head.get(Known::PathInfo), Some(&b"/next"[..]));
}

#[test]
fn what_belongs_to_no_request_is_bounded() {
    for junk in [record(STDIN, 1, [0; 65_535]), record(STDIN, 1, ""), record(GET_VALUES, 0, ""), record(77, 3, [0; 100])] {
        let (mut codec, mut head, mut out) = (make(), RequestHead::default(), Vec::new());
        let mut taken = 0;
        let mut input = BytesMut::new();
        let error = loop {
            input.extend_from_slice(&junk);
            match codec.poll(&mut input, &mut head, &mut out) {
                Ok(event) => assert_eq!(event, Event::NeedInput),
                Err(error) => break error,
            }
            taken += junk.len();
            assert!(taken <= 1 << 20, "no bound");
            out.clear();
        };
        assert!(taken > 900_000, "{taken}");
        assert_eq!(error.to_string(), "FastCGI connection carries more than 1048576 bytes that belong to no open request");
        codec.refuse(&error, &HttpDate::from_unix(0), &mut out);
        assert_eq!(content(&records(&out), STDOUT, 1, false), b"");
    }
}

#[test]
fn a_connection_that_closes_does_not_destroy_its_reply_by_input_unread() {
    let start =
        |flags| [begin(1, flags), record(PARAMS, 1, stream(&post("/", "5"))), record(PARAMS, 1, ""), record(STDIN, 1, "he")].concat();
    for (flags, closing, rest, expected) in [
        (0, false, "", Next::Close(CloseReason::UnreadBody)),
        (KEEP, false, "", Next::Request),
        (KEEP, true, "", Next::Close(CloseReason::UnreadBody)),
        (0, false, "llo", Next::Close(CloseReason::Peer)),
        (KEEP, true, "llo", Next::Close(CloseReason::Shutdown)),
    ] {
        let (mut codec, mut head, mut out) = (make(), RequestHead::default(), Vec::new());
        let mut input = BytesMut::from(&start(flags)[..]);
        if !rest.is_empty() {
            input.extend_from_slice(&[record(STDIN, 1, rest), record(STDIN, 1, "")].concat());
        }
        while !matches!(codec.poll(&mut input, &mut head, &mut out).unwrap(), Event::NeedInput | Event::EndOfBody) {}
        if closing {
            codec.close_after_reply();
        }
        codec.start(&ResponseHead::plain(StatusCode::OK, 0), &HttpDate::from_unix(0), &mut out);
        assert_eq!(codec.finish(&mut out), expected);
        if expected != Next::Request {
            assert_eq!(codec.poll(&mut BytesMut::from(&start(0)[..]), &mut head, &mut out), Ok(Event::Closed));
        }
    }
}

#[test]
fn limits_hold_however_the_request_is_cut() {
    let all = stream(&post("/", "5"));
    let limits = |head_bytes, body_bytes| Limits { head_bytes, body_bytes, ..Limits::default() };
    let one = request(1, 0, &post("/", "5"), "hello");
    let bytes: Vec<u8> = all.iter().flat_map(|byte| record(PARAMS, 1, [*byte])).collect();
    let many = [begin(1, 0), bytes, record(PARAMS, 1, ""), record(STDIN, 1, "hello"), record(STDIN, 1, "")].concat();
    for input in [&one, &many] {
        let seen = |limits| feed::every_way(limited(limits), input).end;
        assert_eq!(seen(limits(all.len(), Some(5))), End::Close(CloseReason::Peer));
        assert_eq!(seen(limits(all.len() - 1, None)), End::Refused(Error::HeadTooLarge { limit: all.len() - 1 }));
        assert_eq!(seen(limits(all.len(), Some(4))), End::Refused(Error::BodyTooLarge { limit: 4 }));
        assert_eq!(seen(Limits { fields: 2, ..Limits::default() }), End::Refused(Error::TooManyFields { limit: 2 }));
    }
    // Of unknown length, it counts what comes.
    let unknown =
        [begin(1, 0), record(PARAMS, 1, stream(&get("/"))), record(PARAMS, 1, ""), record(STDIN, 1, "hel"), record(STDIN, 1, "lo")];
    let transcript = feed::every_way(limited(limits(1000, Some(4))), &unknown.concat());
    assert_eq!(transcript.end, End::Refused(Error::BodyTooLarge { limit: 4 }));
    let ended = [&unknown.concat()[..], &record(STDIN, 1, "")].concat();
    assert_eq!(feed::every_way(limited(limits(1000, Some(5))), &ended).requests[0].body, b"hello");
}

#[test]
fn a_refusal_is_a_page_and_an_end() {
    let limits = Limits { body_bytes: Some(4), ..Limits::default() };
    let served = Served::with(limited(limits)(), &request(9, KEEP, &post("/", "5"), "hello"));
    let seen = records(&served.out);
    assert_eq!(seen.last(), Some(&end_request(9, 0)));
    assert_eq!(
        String::from_utf8(content(&seen, STDOUT, 9, true)).unwrap(),
        "Status: 413 Payload Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 29\r\nX-Content-Type-Options: nosniff\r\n\r\n\
         request body exceeds 4 bytes\n"
    );
    assert_eq!(seen.len(), 3);
    for (input, expected) in [
        (request(1, 0, &[("SCRIPT_NAME", "/")], ""), "Status: 400 Bad Request\r\n"),
        (request(1, 0, &post("/", "5"), "hell"), "Status: 400 Bad Request\r\n"),
        (request(1, 0, &get("/").repeat(100), ""), "Status: 431 Request Header Fields Too Large\r\n"),
    ] {
        let seen = records(&Served::new(&input).out);
        assert!(content(&seen, STDOUT, 1, true).starts_with(expected.as_bytes()), "{seen:?}");
        assert_eq!(seen.last(), Some(&end_request(1, 0)));
    }
    // An error in the body of a HEAD request, which has its method known.
    let head = [("REQUEST_METHOD", "HEAD"), ("CONTENT_LENGTH", "5")];
    let text = content(&records(&Served::new(&request(1, 0, &head, "hell")).out), STDOUT, 1, true);
    assert!(text.ends_with(b"\r\n\r\n"));
    // Peers that speak something else are told in their own way, where that is known.
    for (input, expected) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "HTTP/1.0 400 Bad Request\r\n"),
        (b"\0\x10\0\0\x0e\0REQUEST_METHOD", "HTTP/1.0 400 Bad Request\r\n"),
        (b"70:CONTENT_LENGTH", "Status: 400 Bad Request\r\n"),
    ] {
        let out = Served::new(input).out;
        assert!(out.starts_with(expected.as_bytes()) && out.windows(25).any(|text| text == b"this port speaks FastCGI,"));
    }
    assert_eq!(Served::new(b"\x16\x03\x01\x00\x10").out, b"");
}

/// What is left of a connection that was served with empty replies until it waited, closed or refused.
struct Served {
    out: Vec<u8>,
    next: Option<Next>,
}

impl Served {
    fn new(input: &[u8]) -> Served {
        Served::with(make(), input)
    }

    fn with(mut codec: Box<dyn Protocol>, input: &[u8]) -> Served {
        let (mut input, mut head, mut out, mut next) = (BytesMut::from(input), RequestHead::default(), Vec::new(), None);
        loop {
            match codec.poll(&mut input, &mut head, &mut out) {
                Ok(Event::NeedInput | Event::Closed) => return Served { out, next },
                Ok(Event::Head | Event::Body(_)) => {}
                Ok(Event::EndOfBody) => {
                    codec.start(&ResponseHead::plain(StatusCode::OK, 0), &HttpDate::from_unix(0), &mut out);
                    next = Some(codec.finish(&mut out));
                }
                Err(error) => {
                    codec.refuse(&error, &HttpDate::from_unix(0), &mut out);
                    return Served { out, next };
                }
            }
        }
    }
}

#[test]
fn streams_cut_and_padded_at_random_mean_the_same() {
    for seed in 1..=RUNS {
        let mut random = Random::new(seed);
        let (mut input, mut expected) = (Vec::new(), Transcript::new(End::Closed));
        let count = 1 + random.below(4);
        for number in 0..count {
            let id = 1 + random.below(3) as u16;
            let most = if random.chance(8) { 70_000 } else { 2_000 };
            let length = random.length(most);
            let body = random.text(length).into_bytes();
            let declared = !random.chance(3);
            let mut variables = vec![("REQUEST_METHOD".to_owned(), "POST".to_owned()), ("PATH_INFO".to_owned(), format!("/{number}"))];
            for at in 0..random.below(20) {
                let value = random.length(600);
                variables.push((format!("HTTP_X_{at}"), random.text(value)));
            }
            variables.push(("SCRIPT_NAME".to_owned(), String::new()));
            if declared {
                variables.push(("CONTENT_LENGTH".to_owned(), body.len().to_string()));
            }
            let pairs: Vec<_> = variables.iter().map(|(name, value)| (&**name, &**value)).collect();
            let last = number + 1 == count;
            let flags = if last && random.chance(2) { 0 } else { KEEP };
            if flags == 0 {
                expected.end = End::Close(CloseReason::Peer);
            }
            expected = expected.request(&pairs, std::str::from_utf8(&body).unwrap());
            if !declared && !body.is_empty() {
                expected.requests.last_mut().unwrap().length = BodyLength::Unknown;
            }

            let push = |kind, id, content: &[u8], random: &mut Random, input: &mut Vec<u8>| {
                let padding = if random.chance(2) { random.below(256) as u8 } else { 0 };
                input.extend(padded(kind, id, content, padding));
            };
            push(BEGIN, id, &[0, 1, flags | 0xfe, 0, 0, 0, 0, 0], &mut random, &mut input);
            for (kind, stream) in [(PARAMS, stream(&pairs)), (STDIN, body)] {
                for piece in random.pieces(&stream, 65_535).into_iter().filter(|piece| !piece.is_empty()) {
                    match random.below(12) {
                        0 => push(GET_VALUES, 0, b"", &mut random, &mut input),
                        1 => push(99, 0, b"x", &mut random, &mut input),
                        2 => push(99, id, b"xyz", &mut random, &mut input),
                        3 => push(STDIN, id + 1, b"stray", &mut random, &mut input),
                        4 => push(BEGIN, id + 1, &[0, 1, 0, 0, 0, 0, 0, 0], &mut random, &mut input),
                        _ => {}
                    }
                    push(kind, id, piece, &mut random, &mut input);
                }
                push(kind, id, b"", &mut random, &mut input);
            }
        }
        let least = if input.len() < 10_000 { 1 } else { 200 };
        for most in [least, 16 * least, 100_000] {
            let pieces = random.pieces(&input, most);
            assert_eq!(feed::pieces(make, pieces).without(&ADDED), expected, "seed {seed}");
        }
    }
}

#[test]
fn no_bytes_make_it_panic_or_disagree_with_itself() {
    let seeds = [
        request(1, KEEP, &post("/", "5"), "hello"),
        [record(GET_VALUES, 0, stream(&[("FCGI_MAX_CONNS", "")])), request(2, 0, &get("/x"), "")].concat(),
        [begin(1, KEEP), record(PARAMS, 1, "\x01\x01ab"), record(ABORT, 1, ""), begin(2, 0)].concat(),
    ];
    for seed in 1..=RUNS {
        let mut random = Random::new(seed);
        let mut input: Vec<u8> = (0..1 + random.below(3)).flat_map(|_| seeds[random.below(seeds.len())].clone()).collect();
        for _ in 0..random.below(6) {
            let at = random.below(input.len());
            match random.below(4) {
                0 => input.truncate(at),
                1 => input.insert(at, random.below(256) as u8),
                2 if at > 0 => drop(input.remove(at)),
                _ => input[at] = random.below(256) as u8,
            }
            if input.is_empty() {
                input.push(1);
            }
        }
        feed::every_way(limited(Limits { head_bytes: 200, fields: 5, body_bytes: Some(9) }), &input);
    }
}

const RUNS: u64 = 300;
