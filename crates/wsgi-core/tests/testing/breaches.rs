//! What the client has against an application: each rule broken by itself, and nothing where none is.

use wsgi_core::testing::{Client, Response, Weight};

use crate::common::{app, app_with_errors};

/// Runs the body of `application(environ, start_response)`; `GOOD` is a header list that is in order.
fn run(body: &str) -> Response {
    ask(body, |client| client.post("/").body("line one\nline two\n").send())
}

fn ask(body: &str, send: impl FnOnce(&Client<'_>) -> Response) -> Response {
    let body = body.trim().replace('\n', "\n    ");
    let source = format!("import sys\nGOOD = [('Content-Type', 'text/plain')]\ndef application(environ, start_response):\n    {body}\n");
    let (application, _) = app_with_errors(&source);
    send(&Client::new(application).lenient())
}

/// The clauses that were broken, those of warnings with a `?`.
fn clauses(response: &Response) -> Vec<String> {
    let mark = |weight| if weight == Weight::Warning { "?" } else { "" };
    response.breaches().iter().map(|breach| format!("{}{}", breach.clause, mark(breach.weight))).collect()
}

/// Exactly one breach, of this clause, whose text has these words.
#[track_caller]
fn breaks(body: &str, clause: &str, words: &str) {
    one(&run(body), clause, words);
}

#[track_caller]
fn one(response: &Response, clause: &str, words: &str) {
    assert_eq!(clauses(response), [clause], "{response:#?}");
    let text = &response.breaches()[0].text;
    assert!(text.contains(words), "expected {words:?} in {text:?}");
}

#[test]
fn what_is_in_order_breaks_nothing() {
    for body in [
        "start_response('200 OK', GOOD)\nreturn [b'x']",
        "start_response('200 OK', GOOD)\nreturn (b'x', b'', b'y')",
        "start_response('200 OK', GOOD)\nyield b'x'",
        "yield from ()\nstart_response('204 No Content', [])",
        "write = start_response('200 OK', GOOD)\nwrite(b'x')\nreturn []",
        "start_response('302 Found', [('Location', '/')])\nreturn []",
        "start_response('200 OK', GOOD + [('Content-Length', '2')])\nreturn iter([b'x', b'y'])",
        "start_response('304 Not Modified', [('ETag', '\"x\"')])\nreturn []",
        "environ['wsgi.input'].read()\nenviron['wsgi.input'].read(5)\nstart_response('200 OK', GOOD)\nreturn environ['wsgi.input']",
        "lines = list(environ['wsgi.input'])\nstart_response('200 OK', GOOD)\nreturn lines",
        "environ['wsgi.errors'].writelines(['a', '\\ud800'])\nenviron['wsgi.errors'].flush()\nstart_response('200 OK', GOOD)\nreturn []",
        // Replaced before anything was sent (clause 59), and raised again after (clause 60).
        "start_response('200 OK', GOOD)\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    start_response('500 Oops', GOOD, sys.exc_info())\nreturn [b'x']",
        "start_response('200 OK', GOOD)\nyield b'x'\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    start_response('500 Oops', GOOD, sys.exc_info())\nyield b'y'",
        "raise ValueError('an application may fail')",
        "environ['PATH_INFO'] = 'changed'\nenviron['own.key'] = 7\nstart_response('200 OK', GOOD)\nreturn [b'x']",
    ] {
        assert_eq!(clauses(&run(body)), [""; 0], "{body}");
    }
}

#[test]
fn start_response_is_called_by_position() {
    breaks("start_response(status='200 OK', headers=GOOD)\nreturn []", "5", "by position, got ['status', 'headers']");
    breaks("start_response('200 OK')\nreturn []", "5", "two or three arguments, got 1");
    breaks("start_response('200 OK', GOOD, None, None)\nreturn []", "5", "two or three arguments, got 4");
}

#[test]
fn a_status_is_three_digits_and_a_reason() {
    for status in ["'200'", "'200 '", "'200  OK'", "'OK 200'", "'200 O\\nK'", "''", "'2000 OK'"] {
        breaks(&format!("start_response({status}, GOOD)\nreturn []"), "48", "status");
    }
    breaks("start_response('100 Continue', GOOD)\nreturn []", "48", "1xx replies are not final");
    breaks("start_response(200, GOOD)\nreturn []", "6", "status must be str, got int");
    breaks("start_response(b'200 OK', GOOD)\nreturn []", "6", "status must be str, got bytes");
    breaks("start_response('200 \\u2603', GOOD)\nreturn []", "8", "must not contain a character above U+00FF");
}

#[test]
fn headers_are_a_list_of_pairs_of_str() {
    breaks("start_response('200 OK', tuple(GOOD))\nreturn []", "49", "headers must be a list, got tuple");
    breaks("start_response('200 OK', dict(GOOD))\nreturn []", "49", "headers must be a list, got dict");
    breaks("start_response('200 OK', GOOD + [['A', 'b']])\nreturn []", "49", "headers[1] must be a tuple of two, got ['A', 'b']");
    breaks("start_response('200 OK', GOOD + [('A', 'b', 'c')])\nreturn []", "49", "headers[1] must be a tuple of two");
    breaks("start_response('200 OK', GOOD + [(b'A', 'b')])\nreturn []", "6", "headers[1] name must be str, got bytes");
    breaks("start_response('200 OK', GOOD + [('A', 7)])\nreturn []", "6", "headers[1] value must be str, got int");
    breaks("start_response('200 OK', GOOD + [('A', '\\u20ac')])\nreturn []", "8", "headers[1] value '€'");
    let subclass = "class Text(str):\n    pass\nstart_response('200 OK', GOOD + [('A', Text('b'))])\nreturn []";
    breaks(subclass, "6?", "headers[1] value should be exactly str, got its subclass Text");
}

#[test]
fn header_names_and_values_are_what_http_allows() {
    for name in ["", "A B", "A:", "Ä", "A\\n"] {
        breaks(&format!("start_response('200 OK', GOOD + [('{name}', 'b')])\nreturn []"), "50", "must be a field name");
    }
    breaks("start_response('200 OK', GOOD + [('A-', 'b')])\nreturn []", "50", "must not end in punctuation");
    breaks("start_response('200 OK', GOOD + [('A_', 'b')])\nreturn []", "50", "must not end in punctuation");
    breaks("start_response('200 OK', GOOD + [('status', '404')])\nreturn []", "50", "must not be Status");
    for value in ["a\\r\\nb", "a\\nb", "\\0", "\\x7f"] {
        breaks(&format!("start_response('200 OK', GOOD + [('A', '{value}')])\nreturn []"), "51", "control characters");
    }
    for name in ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "TE", "Trailer", "Proxy-Authenticate"] {
        breaks(&format!("start_response('200 OK', GOOD + [('{name}', 'x')])\nreturn []"), "54", "hop-by-hop");
    }
}

#[test]
fn all_that_is_wrong_with_one_call_is_listed() {
    let response = run("start_response('200', [('A:', 'b'), ['c', 'd'], ('E', 'f\\n'), ('TE', 'x')])\nreturn []");
    assert_eq!(clauses(&response), ["48", "50", "49", "51", "54"]);
}

#[test]
fn a_second_start_needs_exc_info() {
    breaks("start_response('200 OK', GOOD)\nstart_response('200 OK', GOOD)\nreturn []", "62", "was called 2 times");
    breaks("start_response('200 OK', GOOD)\nstart_response('200 OK', GOOD, None)\nreturn []", "62", "exc_info");
    for wrong in ["'error'", "(None, None)", "ValueError()"] {
        breaks(&format!("start_response('200 OK', GOOD, {wrong})\nreturn []"), "59", "exc_info must be what sys.exc_info() gives");
    }
}

#[test]
fn what_start_response_raises_again_is_not_to_be_trapped() {
    let trap = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    try:\n        start_response('500 Oops', GOOD, sys.exc_info())\n    except ZeroDivisionError:\n        pass\n";
    breaks(&format!("start_response('200 OK', GOOD)\nyield b'x'\n{trap}yield b'y'"), "61", "did not reach the server");
    breaks(&format!("start_response('200 OK', GOOD)\nyield b'x'\n{trap}"), "61", "did not reach the server");
    breaks(&format!("start_response('200 OK', GOOD)(b'x')\n{trap}return []"), "61", "did not reach the server");
}

#[test]
fn start_response_comes_before_the_first_block() {
    breaks("return []", "65", "start_response() was not called");
    breaks("return [b'x']", "65", "before start_response() was called");
    breaks("yield b''\nstart_response('200 OK', GOOD)", "65", "before start_response() was called");
    breaks("yield b'x'\nstart_response('200 OK', GOOD)", "65", "before start_response() was called");
    breaks("if False:\n    yield", "65", "start_response() was not called");
    let went_on = run("try:\n    start_response('200', GOOD)\nexcept ValueError:\n    pass\nreturn [b'x']");
    assert_eq!(clauses(&went_on), ["48", "65"]);
    assert!(went_on.breaches()[1].text.contains("although start_response() had raised"));
    let went_on = run("try:\n    start_response('200', GOOD)\nexcept ValueError:\n    pass\nreturn []");
    assert_eq!(clauses(&went_on), ["48", "65"]);
}

#[test]
fn the_answer_is_an_iterable_of_bytes() {
    for (value, kind) in [("None", "NoneType"), ("7", "int"), ("'text'", "str"), ("b'bytes'", "bytes"), ("object()", "object")] {
        breaks(&format!("start_response('200 OK', GOOD)\nreturn {value}"), "10", kind);
    }
    for (value, kind) in
        [("'text'", "str"), ("7", "int"), ("None", "NoneType"), ("bytearray(b'x')", "bytearray"), ("memoryview(b'x')", "memoryview")]
    {
        breaks(&format!("start_response('200 OK', GOOD)\nreturn [b'x', {value}]"), "11", &format!("block 1 must be bytes, got {kind}"));
        breaks(&format!("start_response('200 OK', GOOD)\nyield {value}"), "11", &format!("block 0 must be bytes, got {kind}"));
    }
    breaks("class B(bytes):\n    pass\nstart_response('200 OK', GOOD)\nreturn [B(b'x')]", "11", "got B");
    breaks("start_response('200 OK', GOOD)\nreturn {'a': b'x'}", "11", "block 0 must be bytes, got str");
}

#[test]
fn len_tells_the_truth() {
    let list = "class Blocks:\n    def __len__(self):\n        return LEN\n    def __iter__(self):\n        return iter([b'x', b'y'])\nstart_response('200 OK', GOOD)\nreturn Blocks()";
    breaks(&list.replace("LEN", "3"), "12", "len() of the iterable is 3, but it gave 2 blocks");
    assert_eq!(clauses(&run(&list.replace("LEN", "2"))), [""; 0]);
}

#[test]
fn an_iterator_stays_at_its_end() {
    let after = "class Blocks:\n    count = 0\n    def __iter__(self):\n        return self\n    def __next__(self):\n        self.count += 1\n        if self.count == 2:\n            raise StopIteration\n        if self.count > 2:\n            AFTER\n        return b'x'\nstart_response('200 OK', GOOD)\nreturn Blocks()";
    breaks(&after.replace("AFTER", "raise ValueError('late')"), "10?", "raised ValueError: late after its end");
    breaks(&after.replace("AFTER", "pass"), "10?", "gave bytes after its end");
}

#[test]
fn content_length_is_met() {
    let length = |length: u32, rest: &str| format!("write = start_response('200 OK', GOOD + [('Content-Length', '{length}')])\n{rest}");
    breaks(&length(5, "return [b'abc']"), "67", "Content-Length is 5, but the application gave 3 bytes");
    breaks(&length(5, "yield b'abc'"), "67", "Content-Length is 5, but the application gave 3 bytes");
    breaks(&length(5, "write(b'abc')\nreturn []"), "67", "gave 3 bytes");
    breaks(&length(2, "return [b'abc']"), "66", "Content-Length is 2, but the application gave 3 bytes");
    breaks(&length(2, "yield b'a'\nyield b'bc'"), "66", "gave 3 bytes");
    for value in ["five", "-1", "+5", ""] {
        breaks(&format!("start_response('200 OK', GOOD + [('Content-Length', '{value}')])\nreturn []"), "66", "decimal number");
    }
    breaks("start_response('200 OK', GOOD + [('Content-Length', '0'), ('content-length', '0')])\nreturn []", "66", "more than once");
    let file = "import tempfile\nfile = tempfile.TemporaryFile()\nfile.write(b'abc')\nfile.seek(0)\n";
    breaks(&format!("{file}{}", length(5, "return environ['wsgi.file_wrapper'](file)")), "67", "gave 3 bytes");
    // What nobody receives may be left out, whatever its length is said to be; that a file has more is no fault.
    assert_eq!(clauses(&ask(&length(5, "return []"), |client| client.head("/").send())), [""; 0]);
    assert_eq!(clauses(&run(&format!("{file}{}", length(2, "return environ['wsgi.file_wrapper'](file)")))), [""; 0]);
    // Nor is it a fault of the application that the client has left.
    assert_eq!(clauses(&ask(&length(5, "yield b'a'\nyield b'b'"), |client| client.get("/").leave_after(1).send())), [""; 0]);
}

#[test]
fn write_takes_one_bytes_and_is_not_for_iterables() {
    for (argument, kind) in [("'text'", "str"), ("7", "int"), ("bytearray(b'x')", "bytearray")] {
        breaks(
            &format!("start_response('200 OK', GOOD)({argument})\nreturn []"),
            "11",
            &format!("write() argument must be bytes, got {kind}"),
        );
    }
    breaks("start_response('200 OK', GOOD)()\nreturn []", "47", "one argument, by position");
    breaks("start_response('200 OK', GOOD)(data=b'x')\nreturn []", "47", "one argument, by position");
    breaks("write = start_response('200 OK', GOOD)\nyield b'x'\nwrite(b'y')", "86", "from within the iterable");
}

#[test]
fn input_is_read_with_at_most_a_size() {
    let read = |call: &str| format!("environ['wsgi.input'].{call}\nstart_response('200 OK', GOOD)\nreturn []");
    breaks(&read("read(1, 2)"), "38", "read() takes one argument, got 2");
    breaks(&read("readline('5')"), "38", "readline() takes a number of bytes, got str");
    breaks(&read("readlines(hint=5)"), "38", "readlines() takes its size by position");
    breaks(&read("close()"), "46", "close() of wsgi.input");
    let again = "lines = iter(environ['wsgi.input'])\nlist(lines)\nlist(lines)\nstart_response('200 OK', GOOD)\nreturn []";
    breaks(again, "40?", "beyond its end");
}

#[test]
fn errors_take_str_and_are_not_closed() {
    let errors = |call: &str| format!("environ['wsgi.errors'].{call}\nstart_response('200 OK', GOOD)\nreturn []");
    breaks(&errors("write(b'bytes')"), "39", "takes str, got bytes");
    breaks(&errors("writelines(['a', 7])"), "39", "takes str, got int");
    breaks(&errors("close()"), "46", "close() of wsgi.errors");
}

#[test]
fn close_can_be_called() {
    let blocks = "class Blocks(list):\n    close = 7\nstart_response('200 OK', GOOD)\nreturn Blocks([b'x'])";
    breaks(blocks, "81", "must be callable, got int");
}

#[test]
fn bodies_and_types_that_do_not_go_together_are_warned_of() {
    breaks("start_response('204 No Content', [])\nreturn [b'x']", "D16?", "a 204 reply has no body, got 1 bytes");
    breaks("start_response('304 Not Modified', GOOD)\nreturn []", "D16?", "a 304 reply has no body, got a Content-Type");
    breaks("start_response('200 OK', [])\nreturn [b'x']", "D16?", "a body of 1 bytes and no Content-Type");
}

#[test]
fn what_is_used_after_its_request_is_told_with_the_next() {
    let source = "
kept = []
def application(environ, start_response):
    for use in kept:
        try:
            use()
        except Exception:
            pass
    write = start_response('200 OK', [('Content-Type', 'text/plain')])
    kept[:] = [environ['wsgi.input'].read, lambda: write(b'x'), lambda: start_response('200 OK', [])]
    return [b'own']
";
    let application = app(source);
    let client = Client::new(&application).lenient();
    assert_eq!(clauses(&client.get("/").send()), [""; 0]);
    let second = client.get("/").send();
    let texts: Vec<&str> = second.breaches().iter().map(|breach| breach.text.as_str()).collect();
    let used = ["wsgi.input", "write()", "start_response()"].map(|what| format!("{what} was used after its request was over"));
    assert_eq!(
        (clauses(&second), texts),
        (vec!["3".to_owned(), "86".to_owned(), "3".to_owned()], used.iter().map(String::as_str).collect())
    );
    assert_eq!(second.text(), "own");
}

#[test]
fn a_strict_client_panics_with_all_of_it_and_a_warning_is_none() {
    let application = app("
def application(environ, start_response):
    if environ['PATH_INFO'] == '/warning':
        start_response('200 OK', [])
        return [b'x']
    print('a hint', file=environ['wsgi.errors'])
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', '5')])
    return [b'x', 'y']
");
    let client = Client::new(&application);
    assert_eq!(clauses(&client.get("/warning").send()), ["D16?"]);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.get("/?a").send())).unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    let begin =
        "GET /?a: the application breaks PEP 3333:\n  - clause 11 (Unicode Issues): block 1 must be bytes, got str\n  - clause 67 (";
    assert!(text.starts_with(begin) && text.contains("wsgi.errors:\na hint\n"), "{text}");
    assert!(!client.lenient().get("/").send().breaches().is_empty());
}

/// `wsgiref.validate` on the same applications: what it has something against, the client has too.
#[test]
fn what_the_validator_of_the_standard_library_finds_is_found() {
    let agreed = [
        "start_response(status='200 OK', headers=GOOD)\nreturn []",
        "start_response('200 OK')\nreturn []",
        "start_response(200, GOOD)\nreturn []",
        "start_response('2000 OK', GOOD)\nreturn []",
        "start_response('20 OK', GOOD)\nreturn []",
        "start_response('200 OK', tuple(GOOD))\nreturn []",
        "start_response('200 OK', GOOD + [['A', 'b']])\nreturn []",
        "start_response('200 OK', GOOD + [('A', b'b')])\nreturn []",
        "start_response('200 OK', GOOD + [('Status', '200')])\nreturn []",
        "start_response('200 OK', GOOD + [('A:', 'b')])\nreturn []",
        "start_response('200 OK', GOOD + [('A-', 'b')])\nreturn []",
        "start_response('200 OK', GOOD + [('A', 'b\\n')])\nreturn []",
        "start_response('200 OK', [])\nreturn [b'x']",
        "start_response('204 No Content', GOOD)\nreturn []",
        "start_response('200 OK', GOOD, 'error')\nreturn []",
        "start_response('200 OK', GOOD)('text')\nreturn []",
        "environ['wsgi.input'].read(1, 2)\nstart_response('200 OK', GOOD)\nreturn []",
        "environ['wsgi.input'].close()\nstart_response('200 OK', GOOD)\nreturn []",
        "environ['wsgi.errors'].write(b'x')\nstart_response('200 OK', GOOD)\nreturn []",
        "environ['wsgi.errors'].close()\nstart_response('200 OK', GOOD)\nreturn []",
        "start_response('200 OK', GOOD)\nreturn None",
        "start_response('200 OK', GOOD)\nreturn 'text'",
        "start_response('200 OK', GOOD)\nreturn b'bytes'",
        "start_response('200 OK', GOOD)\nreturn ['text']",
        "return [b'x']",
        "yield b'x'\nstart_response('200 OK', GOOD)",
    ];
    // The documentation of the module says why.
    let not_reported = [
        "environ['wsgi.input'].read()\nstart_response('200 OK', GOOD)\nreturn []",
        "start_response('200 OK', GOOD + [('X.Y', 'b')])\nreturn []",
        "start_response('302 Found', [('Location', '/')])\nreturn []",
    ];
    let complains = |body: &str| {
        let body = body.replace('\n', "\n    ");
        let source = format!(
            "GOOD = [('Content-Type', 'text/plain')]\ndef inner(environ, start_response):\n    {body}\nfrom wsgiref.validate import validator\napplication = validator(inner)\n"
        );
        let (application, _) = app_with_errors(&source);
        let response = Client::new(application).lenient().get("/").send();
        response.exception().is_some_and(|exception| exception.kind == "AssertionError" || exception.kind == "TypeError")
    };
    for body in agreed {
        assert!(complains(body), "the validator has nothing against {body}");
        assert!(!run(body).breaches().is_empty(), "the client has nothing against {body}");
    }
    for body in not_reported {
        assert!(complains(body), "the validator has nothing against {body}");
        assert_eq!(clauses(&run(body)), [""; 0], "{body}");
    }
}
