//! `start_response`: what it takes, what it refuses, and when.

use crate::common::App;

/// Calls `start_response` with these arguments, and answers with the exception that it raises.
fn raises(arguments: &str) -> String {
    let app = App::new(&format!(
        "
def application(environ, start_response):
    class Text(str): pass
    try:
        start_response({arguments})
    except Exception as error:
        text = type(error).__name__ + ': ' + str(error)
        start_response('200 OK', [], (type(error), error, error.__traceback__))
        return [text.encode('latin-1', 'replace')]
    return [b'accepted']
"
    ));
    let answer = app.get("/").run();
    assert_eq!(answer.errors, "");
    answer.recorder.body.iter().map(|&byte| byte as char).collect()
}

// clauses: 5
#[test]
fn it_takes_two_arguments_and_perhaps_a_third() {
    assert_eq!(raises("'200 OK', []"), "accepted");
    assert_eq!(raises("'200 OK', [], None"), "accepted");
    assert!(raises("'200 OK'").starts_with("TypeError: "));
    assert!(raises("'200 OK', [], None, 1").starts_with("TypeError: "));
}

// clauses: 48, 56
#[test]
fn a_wrong_status_is_refused_where_it_is_given() {
    let must = "must be three digits, one space and a reason, such as \"200 OK\"";
    for status in ["'200'", "'200  OK'", "' 200 OK'", "'200 OK '", "'OK'", "'200 OK\\r\\n'", "'200 O\\x00K'", "''", "'2000 OK'"] {
        let text = raises(&format!("{status}, []"));
        assert_eq!(text, format!("ValueError: start_response() status {} {must}", status.replace("\\\\", "\\")), "{status}");
    }
    assert_eq!(raises("200, []"), "TypeError: start_response() status must be str, got int");
    assert_eq!(raises("b'200 OK', []"), "TypeError: start_response() status must be str, got bytes");
    assert!(raises("'100 Continue', []").contains("'100 Continue' code must be 200 to 999"));
    for status in ["'404 Not Found'", "'299 Caf\\xe9'", "'999 Odd'"] {
        assert_eq!(raises(&format!("{status}, []")), "accepted");
    }
}

// clauses: 49, 56
#[test]
fn headers_are_a_list_of_tuples_and_nothing_like_one() {
    for (headers, got) in
        [("()", "tuple"), ("{}", "dict"), ("iter([])", "list_iterator"), ("None", "NoneType"), ("type('L', (list,), {})()", "L")]
    {
        assert_eq!(raises(&format!("'200 OK', {headers}")), format!("TypeError: start_response() headers must be list, got {got}"));
    }
    let good = "('A', 'b')";
    for (item, got) in [
        ("['A', 'b']", "list"),
        ("'Ab'", "str"),
        ("None", "NoneType"),
        ("('A',)", "(str)"),
        ("('A', 'b', 'c')", "(str, str, str)"),
        ("('A', 1)", "(str, int)"),
        ("(b'A', 'b')", "(bytes, str)"),
        ("('A', b'b')", "(str, bytes)"),
        ("('A', None)", "(str, NoneType)"),
    ] {
        let text = raises(&format!("'200 OK', [{good}, {good}, {item}]"));
        assert_eq!(text, format!("TypeError: start_response() headers[2] must be (str, str), got {got}"));
    }
}

// clauses: 50, 51, 56
#[test]
fn names_and_values_that_would_break_the_head_are_refused() {
    for (pair, why) in [
        ("('X:', 'a')", "name must be a field name: letters, digits and any of !#$%&'*+-.^_`|~"),
        ("('X Y', 'a')", "name must be a field name: letters, digits and any of !#$%&'*+-.^_`|~"),
        ("('', 'a')", "name must be a field name: letters, digits and any of !#$%&'*+-.^_`|~"),
        ("('X', 'a\\r\\nSet-Cookie: b')", "value must not contain control characters"),
        ("('X', 'a\\nb')", "value must not contain control characters"),
        ("('X', 'a\\x00')", "value must not contain control characters"),
        ("('Content-Length', 'five')", "value must be a decimal number of bytes"),
        ("('Content-Length', '-5')", "value must be a decimal number of bytes"),
    ] {
        assert_eq!(raises(&format!("'200 OK', [('A', 'b'), {pair}]")), format!("ValueError: start_response() headers[1] {pair} {why}"));
    }
    let twice = raises("'200 OK', [('Content-Length', '5'), ('content-length', '5')]");
    assert_eq!(twice, "ValueError: start_response() headers[1] ('content-length', '5') is given more than once");
}

// clauses: 8, 9
#[test]
fn characters_beyond_latin_1_are_refused_and_all_others_sent_as_bytes() {
    for arguments in ["'200 \\u2603', []", "'200 OK', [('X', '\\u0100')]", "'200 OK', [('\\u2603', 'x')]"] {
        let text = raises(arguments);
        assert!(text.starts_with("ValueError: start_response() ") && text.ends_with("must not contain a character above U+00FF"), "{text}");
    }
    let app =
        App::new("def application(environ, start_response):\n    start_response('200 Caf\\xe9', [('X', '\\xff\\x80')])\n    return []");
    let answer = app.get("/").run();
    assert_eq!(answer.status(), "200 Caf\u{e9}");
    assert_eq!(answer.field("X"), ["\u{ff}\u{80}"]);
}

// clauses: 53, 54, 55, 71
#[test]
fn hop_by_hop_headers_are_refused_in_any_case() {
    for name in ["Connection", "KEEP-ALIVE", "proxy-authenticate", "Proxy-Authorization", "TE", "Trailers", "transfer-encoding", "Upgrade"]
    {
        let text = raises(&format!("'200 OK', [('{name}', 'x')]"));
        assert_eq!(
            text,
            format!("ValueError: start_response() headers[0] ('{name}', 'x') is a hop-by-hop field, which only the server may send")
        );
    }
}

// clauses: 49, 52
#[test]
fn fields_keep_their_order_and_repeat() {
    let app = App::new(
        "
def application(environ, start_response):
    headers = [('Set-Cookie', 'a=1'), ('X', ''), ('Set-Cookie', 'b=2')]
    start_response('200 OK', headers)
    headers.append(('Late', 'ignored'))
    return [b'ok']
",
    );
    let answer = app.get("/").run();
    answer.is_ok("ok");
    assert_eq!(answer.field("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.field("X"), [""]);
    assert_eq!(answer.field("Late"), [""; 0]);
}

// clauses: 57, 58
#[test]
fn nothing_is_sent_by_start_response_itself() {
    let app = App::new(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    note('called')
    return [b'ok']
",
    );
    assert_eq!(app.get("/").run().events, ["called", "start 200", "data 2", "finish"]);
}

// clauses: 62
#[test]
fn a_second_call_without_exc_info_raises() {
    let app = App::new(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    try:
        start_response('404 Not Found', [])
    except AssertionError as error:
        note(str(error))
    return [b'ok']
",
    );
    let answer = app.get("/").run();
    assert!(answer.has("start_response() called again without exc_info"), "{:?}", answer.events);
    assert_eq!(answer.status(), "200 OK");
}

// clauses: 62
#[test]
fn a_second_call_raises_also_if_the_first_has_raised() {
    let app = App::new(
        "
def application(environ, start_response):
    for status in ('bad', '200 OK'):
        try:
            start_response(status, [])
        except Exception as error:
            note(type(error).__name__)
    return [b'body']
",
    );
    let answer = app.get("/").run();
    assert_eq!(answer.events[..2], ["ValueError", "AssertionError"]);
    answer.is_error("application went on although start_response() had raised");
}

// clauses: 59, 63
#[test]
fn exc_info_replaces_what_was_stored_and_is_not_kept() {
    let app = App::new(
        "
import sys, weakref
class Error(Exception): pass
def application(environ, start_response):
    start_response('200 OK', [('A', '1'), ('Content-Length', '500')])
    try:
        raise Error()
    except Error as error:
        reference = weakref.ref(error)
        start_response('503 Sorry', [('B', '2')], sys.exc_info())
    note('kept' if reference() else 'dropped')
    return [b'sorry']
",
    );
    let answer = app.get("/").run();
    assert_eq!(answer.status(), "503 Sorry");
    assert_eq!((answer.field("A").len(), answer.field("B").len()), (0, 1));
    assert_eq!(answer.field("Content-Length"), ["5"]);
    assert_eq!(answer.events, ["dropped", "start 503", "data 5", "finish"]);
}

// clauses: 60, 61
#[test]
fn exc_info_after_the_headers_raises_that_exception_with_its_traceback() {
    let app = App::new(
        "
import sys
def application(environ, start_response):
    start_response('200 OK', [])
    yield b'begun'
    try:
        the_line_that_fails()
    except NameError:
        start_response('500 Oops', [], sys.exc_info())
    yield b'never'
",
    );
    let answer = app.get("/").run();
    assert_eq!((answer.status(), answer.body()), ("200 OK", "begun"));
    assert!(answer.errors.contains("line 7, in application\nNameError: name 'the_line_that_fails'"), "{}", answer.errors);
    assert!(answer.has("abort") && !answer.has("finish"));
}

// clauses: 60
#[test]
fn exc_info_that_is_none_is_named() {
    let app = App::new(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    yield b'begun'
    try:
        start_response('500 Oops', [], (None, None, None))
    except TypeError as error:
        note(str(error))
",
    );
    let answer = app.get("/").run();
    let text = "start_response() exc_info must be what sys.exc_info() gives for an exception, got (None, None, None)";
    assert!(answer.has(text), "{:?}", answer.events);
}

// clauses: 64
#[test]
fn the_first_iteration_may_call_it() {
    let app = App::new(
        "
def application(environ, start_response):
    note('first iteration')
    start_response('201 Created', [('X', 'y')])
    yield b'ok'
",
    );
    let answer = app.get("/").run();
    assert_eq!(answer.status(), "201 Created");
    assert_eq!(answer.events[..2], ["first iteration", "start 201"]);
}

// clauses: 65
#[test]
fn a_block_without_it_is_an_error() {
    for answer in ["[b'x']", "[b'x', b'y']", "iter([b'x'])", "[]", "iter([])", "[b'']", "iter([b''])"] {
        let app = App::new(&format!("def application(environ, start_response): return {answer}"));
        app.get("/").run().is_error("application did not call start_response()");
    }
}

// clauses: 65
#[test]
fn an_empty_block_comes_too_early_as_well() {
    let app = App::new(
        "
def application(environ, start_response):
    yield b''
    start_response('200 OK', [])
    yield b'x'
",
    );
    app.get("/").run().is_error("application did not call start_response()");
}

// clauses: 47, 84
#[test]
fn write_sends_at_once_as_if_it_were_a_block() {
    let app = App::new(
        "
def application(environ, start_response):
    write = start_response('200 OK', [])
    note('before')
    assert write(b'one') is None
    note('between')
    write(b'')
    write(b'two')
    note('after')
    return []
",
    );
    let answer = app.get("/").run();
    answer.is_ok("onetwo");
    let expected = ["before", "start 200", "data 3", "flush", "between", "data 3", "flush", "after", "finish"];
    assert_eq!(answer.events, expected);
}

// clauses: 10, 85
#[test]
fn blocks_follow_what_was_written() {
    for answer in ["[b'c']", "(b'c',)", "[b'', b'c']", "iter([b'c'])"] {
        let app = App::new(&format!(
            "
def application(environ, start_response):
    write = start_response('200 OK', [])
    write(b'a')
    write(b'b')
    return {answer}
"
        ));
        let reply = app.get("/").run();
        reply.is_ok("abc");
        // Clause 69: not once `write()` was used.
        assert_eq!(reply.recorder.length, None);
    }
}

// clauses: 85, 86
#[test]
fn what_an_iterable_writes_while_it_is_iterated_over_keeps_its_place() {
    let app = App::new(
        "
def application(environ, start_response):
    write = start_response('200 OK', [])
    yield b'a'
    write(b'b')
    yield b'c'
",
    );
    app.get("/").run().is_ok("abc");
}

// clauses: 11, 47
#[test]
fn write_takes_exactly_bytes() {
    let app = App::new(
        "
class Bytes(bytes): pass
def application(environ, start_response):
    write = start_response('200 OK', [])
    for data in ('text', bytearray(b'x'), memoryview(b'x'), Bytes(b'x'), None):
        try:
            write(data)
        except TypeError as error:
            note(str(error))
    return [b'ok']
",
    );
    let answer = app.get("/").run();
    answer.is_ok("ok");
    let got = |kind: &str| format!("write() argument must be bytes, got {kind}");
    assert_eq!(answer.events[..5], ["str", "bytearray", "memoryview", "Bytes", "NoneType"].map(got));
}

// clauses: 65
#[test]
fn write_after_a_failed_start_response_raises() {
    let app = App::new(
        "
import sys
def application(environ, start_response):
    write = start_response('200 OK', [])
    try:
        try:
            1 / 0
        except ZeroDivisionError:
            start_response('bad', [], sys.exc_info())
    except ValueError:
        pass
    write(b'x')
",
    );
    app.get("/").run().is_error("AssertionError: write() called before start_response() succeeded");
}

// clauses: 66
#[test]
fn writing_past_content_length_raises_and_sends_no_more() {
    let app = App::new(
        "
def application(environ, start_response):
    write = start_response('200 OK', [('Content-Length', '5')])
    write(b'123')
    try:
        write(b'4567')
    except ValueError as error:
        note(str(error))
    return []
",
    );
    let answer = app.get("/").run();
    assert_eq!(answer.body(), "12345");
    assert!(answer.has("write() of 4 bytes exceeds Content-Length by 2"), "{:?}", answer.events);
    assert!(answer.has("finish"));
}

// clauses: 83
#[test]
fn both_callables_raise_when_the_request_is_over() {
    let app = App::new(
        "
kept = []
def application(environ, start_response):
    for start, write in kept:
        for call in (lambda: start('200 OK', []), lambda: write(b'stray')):
            try:
                call()
            except RuntimeError as error:
                note(str(error))
    kept.append((start_response, start_response('200 OK', [])))
    return [b'ok']
",
    );
    app.get("/").run().is_ok("ok");
    let answer = app.get("/").run();
    answer.is_ok("ok");
    let over = ["start_response() called after its request is over", "write() called after its request is over"];
    assert_eq!(answer.events[..2], over);
}
