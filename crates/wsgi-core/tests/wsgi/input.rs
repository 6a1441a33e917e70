//! `wsgi.input`: reading the body, in every way, from bodies of every kind.

use std::io;

use wsgi_core::wire::BodyLength;
use wsgi_core::wsgi::UnsizedBody;

use crate::common::{App, Request};

/// Answers with the `repr` of an expression, in which `i` is `wsgi.input`.
fn reading(expression: &str) -> App {
    App::new(&format!(
        "
def application(environ, start_response):
    i = environ['wsgi.input']
    start_response('200 OK', [])
    return [repr({expression}).encode()]
"
    ))
}

/// The answer must be the same however the body arrives and whoever holds it: in one piece, byte by byte, split anywhere, waiting or not,
/// of known length, streamed, spooled in memory and in a file.
#[track_caller]
fn every_way(expression: &str, body: &[u8], expected: &str) {
    let app = reading(expression);
    let spooled = reading(expression).map(|application| application.unsized_body(UnsizedBody::Spool { memory: 3, limit: 1 << 20 }));
    let streamed = reading(expression).map(|application| application.unsized_body(UnsizedBody::Stream));
    let bytewise: Vec<&[u8]> = body.chunks(1).collect();
    let mut splits: Vec<Vec<&[u8]>> = vec![vec![body], bytewise];
    splits.extend((1..body.len()).map(|at| vec![&body[..at], &body[at..]]));
    for pieces in splits {
        let pieces: Vec<&[u8]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let ways: [fn(Request<'_>) -> Request<'_>; 2] = [|request| request, |request| request.ready()];
        for way in ways {
            way(app.request("POST", "/").body(&pieces)).run().is_ok(expected);
            way(app.request("POST", "/").chunked(&pieces)).run().is_ok(expected);
            way(spooled.request("POST", "/").chunked(&pieces)).run().is_ok(expected);
            way(streamed.request("POST", "/").chunked(&pieces)).run().is_ok(expected);
        }
    }
}

// clauses: 30, 38, 41
#[test]
fn read_gives_as_much_as_was_asked_for() {
    every_way("i.read()", b"one\ntwo", r"b'one\ntwo'");
    every_way("i.read(-1)", b"one\ntwo", r"b'one\ntwo'");
    every_way("i.read(None)", b"one\ntwo", r"b'one\ntwo'");
    every_way("[i.read(2), i.read(0), i.read(3), i.read(100)]", b"one\ntwo", r"[b'on', b'', b'e\nt', b'wo']");
    every_way("[i.read(7), i.read(1)]", b"one\ntwo", r"[b'one\ntwo', b'']");
    every_way("[i.read(3), i.read()]", b"one\ntwo", r"[b'one', b'\ntwo']");
    every_way("i.read(2**62)", b"one", "b'one'");
}

// clauses: 42
#[test]
fn an_exhausted_body_gives_nothing_again_and_again() {
    let all = "[i.read(), i.read(), i.read(5), i.readline(), i.readline(5), i.readlines(), list(i), i.read(-1)]";
    every_way(all, b"x", "[b'x', b'', b'', b'', b'', [], [], b'']");
    reading(&all.replacen("i.read()", "b'x'", 1)).get("/").run().is_ok("[b'x', b'', b'', b'', b'', [], [], b'']");
}

// clauses: 38, 43
#[test]
fn readline_ends_after_a_newline_or_at_the_size() {
    every_way("[i.readline() for _ in range(4)]", b"a\nbc\n\n", r"[b'a\n', b'bc\n', b'\n', b'']");
    every_way("[i.readline() for _ in range(3)]", b"a\nb", r"[b'a\n', b'b', b'']");
    every_way("[i.readline(2) for _ in range(5)]", b"abc\nd\ne", r"[b'ab', b'c\n', b'd\n', b'e', b'']");
    every_way("[i.readline(0), i.readline(-1), i.readline(None)]", b"ab\ncd\n", r"[b'', b'ab\n', b'cd\n']");
    every_way("[i.readline(), i.readline()]", b"a\r\nb\rc\n", r"[b'a\r\n', b'b\rc\n']");
}

// clauses: 38, 44
#[test]
fn readlines_and_iteration_give_every_line_once() {
    every_way("i.readlines()", b"a\n\nb\nc", r"[b'a\n', b'\n', b'b\n', b'c']");
    every_way("list(i)", b"a\n\nb\nc", r"[b'a\n', b'\n', b'b\n', b'c']");
    every_way("[line for line in iter(i)]", b"\n\n", r"[b'\n', b'\n']");
    every_way("[i.readlines(3), i.readlines(0), i.readlines()]", b"a\nb\nc\nd\n", r"[[b'a\n', b'b\n'], [b'c\n', b'd\n'], []]");
    every_way("i.readlines(-1)", b"a\nb\n", r"[b'a\n', b'b\n']");
}

// clauses: 38
#[test]
fn the_ways_of_reading_can_be_mixed_without_loss() {
    every_way("[i.readline(), i.read(2), next(i), i.read()]", b"ab\ncdef\ngh", r"[b'ab\n', b'cd', b'ef\n', b'gh']");
    every_way("[i.read(1), i.readline(), i.read(1), i.readlines()]", b"ab\ncd\ne", r"[b'a', b'b\n', b'c', [b'd\n', b'e']]");
}

// clauses: 11, 38
#[test]
fn what_is_read_is_exactly_bytes() {
    every_way("{type(x) for x in (i.read(1), i.readline(), next(i), i.readlines()[0], i.read())}", b"ab\ncd\nef\n", "{<class 'bytes'>}");
}

// clauses: 30, 89
#[test]
fn nothing_is_read_before_the_application_asks() {
    let app = App::new(
        "
def application(environ, start_response):
    note('called')
    if environ['PATH_INFO'] == '/read':
        environ['wsgi.input'].read(1)
    start_response('200 OK', [])
    return [b'ok']
",
    );
    let answer = app.request("POST", "/read").body(&[b"abc"]).run();
    assert_eq!(answer.events, ["called", "read", "start 200", "data 2", "finish"]);
    assert!(!app.request("POST", "/").body(&[b"abc"]).run().has("read"));
}

/// A line that is there must not wait for what the client sends next, since the client may be waiting for the answer to it.
// clauses: 38, 89
#[test]
fn a_line_that_has_arrived_is_given_without_waiting_for_more() {
    let app = App::new(
        "
def application(environ, start_response):
    i = environ['wsgi.input']
    note(repr(i.readline()))
    note(repr(i.readline()))
    note(repr(i.read(2)))
    start_response('200 OK', [])
    return [b'ok']
",
    );
    let answer = app.request("POST", "/").body(&[b"one\ntwo\nab", b"cd\n"]).run();
    assert_eq!(answer.events[..4], ["read", r"b'one\n'", r"b'two\n'", "b'ab'"]);
    assert_eq!(answer.events.iter().filter(|event| *event == "read").count(), 1);
}

// clauses: 40
#[test]
fn nothing_beyond_content_length_is_given() {
    let app = reading("[i.read(), i.read()]");
    let request = app.request("POST", "/").body(&[b"12345", b"67890"]);
    request.with(|recorder| recorder.head.set_body(BodyLength::Known(7))).run().is_ok("[b'1234567', b'']");
}

// clauses: 40
#[test]
fn a_body_that_ends_early_is_not_taken_for_whole() {
    let app = App::new(
        "
def application(environ, start_response):
    i = environ['wsgi.input']
    for read in (i.read, i.read, i.readline, lambda: next(i), i.readlines, lambda: i.read(1)):
        try:
            note(repr(read()))
        except OSError as error:
            note(type(error).__name__ + ': ' + str(error))
    start_response('200 OK', [])
    return [b'ok']
",
    );
    let request = app.request("POST", "/").body(&[b"12345"]);
    let answer = request.with(|recorder| recorder.head.set_body(BodyLength::Known(7))).run();
    let errors: Vec<_> = answer.events.iter().filter(|event| event.contains(": ")).collect();
    assert_eq!(errors, ["ConnectionResetError: request body ended 2 bytes early"; 6]);
}

// clauses: 30, 42
#[test]
fn a_broken_body_raises_again_and_again_and_never_looks_ended() {
    for (kind, name) in [
        (io::ErrorKind::ConnectionReset, "ConnectionResetError"),
        (io::ErrorKind::UnexpectedEof, "ConnectionResetError"),
        (io::ErrorKind::TimedOut, "TimeoutError"),
        (io::ErrorKind::InvalidData, "OSError"),
    ] {
        let app = App::new(
            "
def application(environ, start_response):
    i = environ['wsgi.input']
    note(repr(i.read(2)))
    for read in (lambda: i.read(100), i.read, i.readline, lambda: next(i), i.readlines, lambda: list(i)):
        try:
            note(repr(read()))
        except OSError as error:
            note(type(error).__name__ + ': ' + str(error))
    start_response('200 OK', [])
    return [b'ok']
",
        )
        .map(|application| application.unsized_body(UnsizedBody::Stream));
        let known = app.request("POST", "/").body(&[b"abcdef"]).broken(kind).with(|recorder| recorder.input[0].truncate(4)).run();
        let unknown = app.request("POST", "/").chunked(&[b"abcd"]).broken(kind).run();
        for answer in [known, unknown] {
            let mut events = answer.events.iter().filter(|event| *event != "read" && !event.starts_with("start"));
            assert_eq!(events.next().unwrap(), "b'ab'");
            let errors: Vec<_> = events.take(6).collect();
            assert_eq!(errors, [&format!("{name}: the body broke off"); 6]);
        }
    }
}

// clauses: 46
#[test]
fn there_is_no_close() {
    reading("[hasattr(i, name) for name in ('close', 'seek', 'write')]").get("/").run().is_ok("[False, False, False]");
}

// clauses: 30, 83
#[test]
fn reading_after_the_request_is_over_raises() {
    let app = App::new(
        "
kept = []
def application(environ, start_response):
    for i in kept:
        for read in (i.read, i.readline, i.readlines, lambda: next(i), lambda: i.read(1)):
            try:
                note(repr(read()))
            except ValueError as error:
                note(str(error))
    environ['wsgi.input'].read(1)
    kept[:] = [environ['wsgi.input']]
    start_response('200 OK', [])
    return [b'ok']
",
    );
    app.request("POST", "/").body(&[b"secret"]).run().is_ok("ok");
    let answer = app.request("POST", "/").body(&[b"other"]).run();
    assert_eq!(answer.events[..5], ["read from wsgi.input after its request is over"; 5]);
}

/// A length that nobody means to send must not be believed by whoever allocates memory.
// clauses: 30, 40
#[test]
fn a_lying_length_costs_no_memory() {
    let app = App::new(
        "
import resource
def application(environ, start_response):
    try:
        environ['wsgi.input'].read()
    except ConnectionResetError as error:
        note(str(error))
    start_response('200 OK', [])
    return [b'ok']
",
    );
    let request = app.request("POST", "/").body(&[b"12345"]).variable("CONTENT_LENGTH", b"99999999999999");
    let answer = request.with(|recorder| recorder.head.set_body(BodyLength::Known(99_999_999_999_999))).run();
    assert!(answer.has("request body ended 99999999999994 bytes early"), "{:?}", answer.events);
    answer.is_ok("ok");
}

// clauses: 18, 73, D3
#[test]
fn a_body_of_unknown_length_is_spooled_and_gets_a_length() {
    let expression = "[environ['CONTENT_LENGTH'], environ.get('HTTP_TRANSFER_ENCODING'), environ['wsgi.input_terminated'], i.read(int(environ['CONTENT_LENGTH']))]";
    for memory in [0, 3, 6, 100] {
        let app = reading(expression).map(|application| application.unsized_body(UnsizedBody::Spool { memory, limit: 6 }));
        app.request("POST", "/").chunked(&[b"abc", b"def"]).run().is_ok("['6', None, True, b'abcdef']");
        app.request("POST", "/").chunked(&[]).run().is_ok("['0', None, True, b'']");
    }
    reading(expression).request("POST", "/").chunked(&[b"abc", b"def"]).run().is_ok("['6', None, True, b'abcdef']");
}

// clauses: D3
#[test]
fn a_large_spooled_body_comes_back_as_it_was() {
    let app = App::new(
        "
import hashlib
def application(environ, start_response):
    start_response('200 OK', [])
    i, digest, length = environ['wsgi.input'], hashlib.sha256(), 0
    while block := i.read(100_003):
        digest.update(block)
        length += len(block)
    return [repr((length, digest.hexdigest() == hashlib.sha256(bytes(range(256)) * 8192).hexdigest())).encode()]
",
    );
    let body: Vec<u8> = (0..8192).flat_map(|_| 0..=255).collect();
    let pieces: Vec<&[u8]> = body.chunks(9973).collect();
    app.request("POST", "/").chunked(&pieces).run().is_ok("(2097152, True)");
}

// clauses: D3
#[test]
fn a_body_beyond_the_limit_is_answered_with_413_and_never_reaches_the_application() {
    let app = App::new("def application(environ, start_response): note('called')");
    let app = app.map(|application| application.unsized_body(UnsizedBody::Spool { memory: 3, limit: 5 }));
    let answer = app.request("POST", "/").chunked(&[b"abc", b"def"]).run();
    assert_eq!(answer.status(), "413 Payload Too Large");
    assert!(answer.has("finish") && !answer.has("called"));
    assert_eq!(answer.logged, ["INFO request body cannot be taken: request body exceeds 5 bytes"]);
}

// clauses: D3
#[test]
fn a_body_that_breaks_while_it_is_spooled_never_reaches_the_application() {
    let app = App::new("def application(environ, start_response): note('called')");
    let answer = app.request("POST", "/").chunked(&[b"abc"]).broken(io::ErrorKind::ConnectionReset).run();
    assert_eq!(answer.status(), "400 Bad Request");
    assert!(!answer.has("called"));
}

// clauses: D1, D2, D3
#[test]
fn a_streamed_body_has_no_length_and_says_that_it_ends() {
    let expression = "[environ.get('CONTENT_LENGTH'), environ['HTTP_TRANSFER_ENCODING'], environ['wsgi.input_terminated'], i.read()]";
    let app = reading(expression).map(|application| application.unsized_body(UnsizedBody::Stream));
    app.request("POST", "/").chunked(&[b"abc", b"def"]).run().is_ok("[None, 'chunked', True, b'abcdef']");
}

// clauses: 30
#[test]
fn ten_thousand_lines_are_read_one_by_one() {
    let app = reading("(sum(len(line) for line in i), i.read())");
    let body = b"a line of thirty-one characters\n".repeat(10_000);
    let pieces: Vec<&[u8]> = body.chunks(4093).collect();
    app.request("POST", "/").body(&pieces).run().is_ok("(320000, b'')");
}
