//! What becomes of a request when the application fails, or its client goes away; and that `close()` is called come what may.

use std::io;

use crate::common::App;

/// An iterable that notes when it is closed, and what it does before.
const CLOSING: &str = "
class Closing:
    def __init__(self, iterable): self.iterator = iter(iterable)
    def __iter__(self): return self
    def __next__(self): return next(self.iterator)
    def close(self): note('close')
";

fn closing(application: &str) -> App {
    App::new(&format!("{CLOSING}{application}"))
}

// clauses: 87
#[test]
fn an_exception_before_anything_was_sent_is_a_500_and_its_traceback_is_written() {
    let app = App::new(
        "
def application(environ, start_response):
    start_response('200 OK', [('X-Secret', 'y')])
    raise ValueError('the reason')
",
    );
    let answer = app.get("/path?query").run();
    answer.is_error("Traceback (most recent call last):");
    answer.is_error("line 4, in application\nValueError: the reason\n");
    assert!(answer.errors.starts_with("exception in application: GET /path?query\n"), "{}", answer.errors);
    assert_eq!(answer.field("X-Secret").len(), 0);
    assert!(!answer.body().contains("reason"), "clients are not told why");
}

// clauses: 81, 87
#[test]
fn an_exception_in_the_first_iteration_is_a_500_too() {
    let app = closing(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    return Closing(fails())
def fails():
    yield b''
    raise ValueError('the reason')
",
    );
    let answer = app.get("/").run();
    answer.is_error("ValueError: the reason");
    assert_eq!(answer.events.last().unwrap(), "close");
}

// clauses: 81, 88
#[test]
fn an_exception_after_a_block_aborts_the_reply() {
    let app = closing(
        "
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return Closing(fails())
def fails():
    yield b'begun'
    raise ValueError('the reason')
",
    );
    let answer = app.get("/").run();
    assert_eq!((answer.status(), answer.body()), ("200 OK", "begun"));
    assert!(answer.errors.contains("ValueError: the reason"));
    assert_eq!(answer.events, ["start 200", "data 5", "flush", "abort", "close"]);
}

// clauses: 66, 87
#[test]
fn an_exception_after_all_that_was_declared_does_no_harm() {
    let app = App::new(
        "
def application(environ, start_response):
    write = start_response('200 OK', [('Content-Length', '2')])
    write(b'ok')
    raise ValueError('afterwards')
",
    );
    let answer = app.get("/").run();
    assert!(answer.errors.contains("ValueError: afterwards"));
    assert_eq!(answer.body(), "ok");
    assert!(answer.has("finish") && !answer.has("abort"), "{:?}", answer.events);
}

// clauses: 87
#[test]
fn exceptions_that_would_end_a_program_end_a_request() {
    for exception in ["SystemExit(3)", "KeyboardInterrupt()", "GeneratorExit()", "BaseException()", "StopIteration()"] {
        let app = App::new(&format!("def application(environ, start_response): raise {exception}"));
        app.get("/").run().is_error(exception.trim_end_matches(|c: char| !c.is_alphabetic()));
        let app = App::new(&format!(
            "
class Failing:
    def __iter__(self): return self
    def __next__(self): raise {exception}
def application(environ, start_response):
    start_response('200 OK', [])
    return Failing()
"
        ));
        if exception != "StopIteration()" {
            app.get("/").run().is_error(exception.trim_end_matches(|c: char| !c.is_alphabetic()));
        }
    }
}

// clauses: 11, 81
#[test]
fn a_block_that_is_not_exactly_bytes_is_named_with_its_position() {
    for (block, got) in
        [("'text'", "str"), ("bytearray(b'x')", "bytearray"), ("memoryview(b'x')", "memoryview"), ("None", "NoneType"), ("B(b'x')", "B")]
    {
        for wrap in ["", "iter", "tuple", "Closing"] {
            let app = closing(&format!(
                "
class B(bytes): pass
def application(environ, start_response):
    start_response('200 OK', [])
    return {wrap}([b'', {block}])
"
            ));
            let answer = app.get("/").run();
            answer.is_error(&format!("block 1 of the application's iterable must be bytes, got {got}\n"));
            assert_eq!(answer.has("close"), wrap == "Closing");
        }
        let app = closing(&format!(
            "
class B(bytes): pass
def application(environ, start_response):
    start_response('200 OK', [])
    return [{block}]
"
        ));
        app.get("/").run().is_error(&format!("block 0 of the application's iterable must be bytes, got {got}\n"));
    }
}

// clauses: 11, 87
#[test]
fn a_wrong_block_after_a_right_one_aborts() {
    let app = closing(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    return Closing([b'right', 'wrong'])
",
    );
    let answer = app.get("/").run();
    assert!(answer.has("abort") && answer.has("close"), "{:?}", answer.events);
    assert!(answer.errors.contains("block 1 of the application's iterable must be bytes, got str"));
}

// clauses: 10, 81
#[test]
fn an_answer_that_is_no_iterable_is_named_and_closed_if_it_can_be() {
    for (expression, got) in [("None", "NoneType"), ("7", "int"), ("object()", "object")] {
        let app =
            App::new(&format!("def application(environ, start_response):\n    start_response('200 OK', [])\n    return {expression}"));
        app.get("/").run().is_error(&format!("application must return an iterable of bytes, got {got}"));
    }
    let app = App::new(
        "
class Closable:
    def close(self): note('close')
def application(environ, start_response):
    start_response('200 OK', [])
    return Closable()
",
    );
    let answer = app.get("/").run();
    answer.is_error("application must return an iterable of bytes, got Closable");
    assert!(answer.has("close"));
    App::new("def application(environ, start_response):\n    start_response('200 OK', [])\n    return 'text'")
        .get("/")
        .run()
        .is_error("block 0 of the application's iterable must be bytes, got str");
}

// clauses: 81, 87
#[test]
fn an_iterable_that_cannot_be_begun_is_closed() {
    let app = App::new(
        "
class Broken:
    def __iter__(self): raise TypeError('inside of iter')
    def close(self): note('close')
def application(environ, start_response):
    start_response('200 OK', [])
    return Broken()
",
    );
    let answer = app.get("/").run();
    answer.is_error("TypeError: inside of iter");
    assert!(answer.errors.contains("in __iter__") && answer.has("close"));
}

// clauses: 81, D19
#[test]
fn close_is_called_once_on_every_path() {
    for (blocks, fail) in [
        ("[]", None),
        ("[b'a']", None),
        ("[b'a', b'b']", None),
        ("[b'a', 1]", None),
        ("(1 / 0 for _ in [1])", None),
        ("[b'abcde', b'too much']", None),
        ("[b'a', b'b']", Some(0)),
        ("[b'a', b'b']", Some(1)),
        ("[b'abcde']", Some(0)),
    ] {
        for length in ["[]", "[('Content-Length', '5')]"] {
            let app = closing(&format!(
                "
def application(environ, start_response):
    start_response('200 OK', {length})
    return Closing({blocks})
"
            ));
            let mut request = app.get("/");
            if let Some(at) = fail {
                request = request.fail_flush(at);
            }
            let answer = request.run();
            assert_eq!(answer.events.iter().filter(|event| *event == "close").count(), 1, "{blocks} {fail:?}: {:?}", answer.events);
            assert_eq!(answer.events.last().unwrap(), "close");
        }
    }
}

// clauses: 81
#[test]
fn a_close_that_raises_is_reported_and_does_not_harm_the_reply() {
    let app = App::new(
        "
class Closing(list):
    def close(self): raise ValueError('in close')
def application(environ, start_response):
    start_response('200 OK', [])
    return Closing([b'ok'])
",
    );
    let answer = app.get("/").run();
    assert_eq!((answer.status(), answer.body()), ("200 OK", "ok"));
    assert!(answer.has("finish") && !answer.has("abort"));
    assert!(answer.errors.starts_with("exception in close() of the application's iterable\nTraceback"), "{}", answer.errors);
    assert!(answer.errors.contains("ValueError: in close"));
}

// clauses: 81
#[test]
fn an_attribute_named_close_may_be_computed_or_raise() {
    let app = App::new(
        "
class Computed:
    def __iter__(self): return iter([b'ok'])
    @property
    def close(self): raise RuntimeError('no close today')
def application(environ, start_response):
    start_response('200 OK', [])
    return Computed()
",
    );
    let answer = app.get("/").run();
    assert_eq!(answer.body(), "ok");
    assert!(answer.errors.contains("RuntimeError: no close today"));
}

// clauses: 81, 82
#[test]
fn a_client_that_goes_away_stops_the_iteration_quietly() {
    let app = closing(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    return Closing(numbers())
def numbers():
    number = 0
    while True:
        number += 1
        note(str(number))
        yield b'block'
",
    );
    let answer = app.get("/").fail_flush(2).run();
    assert!(answer.has("3") && !answer.has("4"), "{:?}", answer.events);
    assert_eq!(answer.events.last().unwrap(), "close");
    assert_eq!(answer.errors, "");
    assert_eq!(answer.logged, ["DEBUG client is gone after 15 bytes of the body: the client is gone"]);
}

// clauses: 81, 84
#[test]
fn write_to_a_client_that_is_gone_raises_oserror_which_needs_no_traceback() {
    let app = App::new(
        "
def application(environ, start_response):
    write = start_response('200 OK', [])
    try:
        write(b'one')
    except OSError as error:
        note(type(error).__name__)
        raise
",
    );
    let answer = app.get("/").fail_flush(0).run();
    assert!(answer.has("BrokenPipeError"), "{:?}", answer.events);
    assert_eq!(answer.errors, "");
    assert!(answer.has("abort"));
}

// clauses: 87
#[test]
fn a_body_that_breaks_off_is_not_the_applications_fault() {
    for (kind, status) in [(io::ErrorKind::ConnectionReset, "400 Bad Request"), (io::ErrorKind::TimedOut, "408 Request Timeout")] {
        let app = App::new("def application(environ, start_response): environ['wsgi.input'].read()");
        let answer = app.request("POST", "/").body(&[b"abc"]).broken(kind).with(|recorder| recorder.input.clear()).run();
        assert_eq!((answer.status(), &*answer.errors), (status, ""));
    }
    let app = App::new("def application(environ, start_response): list(environ['wsgi.input'])");
    let too_large = || wsgi_core::wire::Error::BodyTooLarge { limit: 3 }.into();
    let answer = app.request("POST", "/").body(&[b"abcdef"]).with(|recorder| recorder.input.clear()).refused(too_large).run();
    assert_eq!((answer.status(), &*answer.errors), ("413 Payload Too Large", ""));
    // Other exceptions are, whatever the body did.
    let app = App::new(
        "
def application(environ, start_response):
    try:
        environ['wsgi.input'].read()
    except OSError:
        raise ValueError('my own fault')
",
    );
    let answer = app.request("POST", "/").body(&[b"abc"]).broken(io::ErrorKind::ConnectionReset).run();
    answer.is_error("ValueError: my own fault");
}

/// `FileNotFoundError`, `TimeoutError` of a database and many more are `OSError` too; they used to go unseen, and to be blamed on the client.
// clauses: 87
#[test]
fn an_oserror_of_the_applications_own_is_reported_also_when_the_client_is_gone() {
    let own_fault = "
    except OSError:
        open('/no/such/file')
";
    let reading = "
def application(environ, start_response):
    try:
        environ['wsgi.input'].read()";
    let answer = App::new(&format!("{reading}{own_fault}")).request("POST", "/").body(&[b"abc"]).broken(io::ErrorKind::TimedOut).run();
    answer.is_error("FileNotFoundError");
    assert_eq!(answer.status(), "500 Internal Server Error");
    let writing = "
def application(environ, start_response):
    try:
        start_response('200 OK', [])(b'one')";
    let answer = App::new(&format!("{writing}{own_fault}")).get("/").fail_flush(0).run();
    assert!(answer.errors.contains("FileNotFoundError"), "{}", answer.errors);
    // But what a framework makes of ours is still ours, as Django's UnreadablePostError.
    let wrapped = "
class Unreadable(OSError): pass
def application(environ, start_response):
    try:
        environ['wsgi.input'].read()
    except OSError as error:
        raise Unreadable(*error.args) from error
";
    let answer = App::new(wrapped).request("POST", "/").body(&[b"abc"]).broken(io::ErrorKind::TimedOut).run();
    assert_eq!((answer.status(), &*answer.errors), ("408 Request Timeout", ""));
}

// clauses: 87
#[test]
fn what_the_log_says_of_a_request_cannot_break_its_line() {
    let app = App::new("def application(environ, start_response): raise ValueError");
    let answer = app.get("/").variable("REQUEST_URI", b"/\r\n\x1b[31mforged").variable("REQUEST_METHOD", b"GET\n").run();
    let first = answer.errors.lines().next().unwrap();
    assert_eq!(first, r"exception in application: GET\n /\r\n\u{1b}[31mforged");
}

// clauses: 87
#[test]
fn a_traceback_that_cannot_be_formatted_is_still_an_error() {
    let app = App::new(
        "
class Odd(Exception):
    def __str__(self): raise RuntimeError
    def __repr__(self): raise RuntimeError
def application(environ, start_response): raise Odd()
",
    );
    app.get("/").run().is_error("Odd");
}

// clauses: 87
#[test]
fn the_next_request_is_none_the_worse() {
    let app = App::new(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/fail':
        raise ValueError
    return [b'ok']
",
    );
    for _ in 0..3 {
        app.get("/fail").run().is_error("ValueError");
        app.get("/").run().is_ok("ok");
    }
}
