//! `wsgi.errors`.

use std::sync::{Arc, Mutex};

use crate::common::App;

fn writing(statements: &str) -> App {
    App::new(&format!(
        "
def application(environ, start_response):
    errors = environ['wsgi.errors']
    {statements}
    start_response('200 OK', [])
    return [b'ok']
"
    ))
}

// clauses: 31, 39
#[test]
fn write_writelines_and_flush_do_what_they_say() {
    let answer = writing("errors.write('one\\n'); errors.writelines(['two\\n', 'three\\n']); errors.flush()").get("/").run();
    assert_eq!(answer.errors, "one\ntwo\nthree\n");
    assert_eq!(answer.status(), "200 OK");
    assert_eq!(writing("assert errors.write('abc\\n') == 4").get("/").run().errors, "abc\n");
}

// clauses: 32
#[test]
fn any_character_can_be_written() {
    let answer = writing("errors.write('caf\\xe9 \\u2603 \\U0001f600 \\ud800 \\x00\\n')").get("/").run();
    assert_eq!(answer.errors, "caf\u{e9} \u{2603} \u{1f600} \\ud800 \0\n");
    assert_eq!(answer.status(), "200 OK");
}

// clauses: 31, 46
#[test]
fn only_text_can_be_written_and_nothing_closed() {
    writing("errors.write(b'bytes')").get("/").run().is_error("TypeError: wsgi.errors.write() argument must be str, got bytes");
    writing("errors.writelines(['a', 1])").get("/").run().is_error("TypeError: wsgi.errors.write() argument must be str, got int");
    writing("assert not hasattr(errors, 'close')").get("/").run().is_ok("ok");
}

/// Gives each call of the sink apart.
fn calls(app: App) -> (App, Arc<Mutex<Vec<String>>>) {
    let calls = Arc::new(Mutex::new(vec![]));
    let sink = calls.clone();
    (app.map(|application| application.errors(move |text| sink.lock().unwrap().push(text.to_owned()))), calls)
}

// clauses: 45
#[test]
fn the_sink_gets_whole_lines() {
    let (app, calls) =
        calls(writing("print('one', 'two', file=errors); errors.write('th'); errors.write('ree\\nfo'); errors.write('ur\\n')"));
    app.get("/").run().is_ok("ok");
    assert_eq!(*calls.lock().unwrap(), ["one two\n", "three\n", "four\n"]);
}

// clauses: 39, 45
#[test]
fn what_is_flushed_goes_out_at_once_and_the_rest_with_the_request() {
    let (app, calls) = calls(writing("errors.write('50 %'); errors.flush(); note(''); errors.write('half')"));
    app.get("/").run().is_ok("ok");
    assert_eq!(*calls.lock().unwrap(), ["50 %", "half\n"]);
}

// clauses: 31, 87
#[test]
fn a_traceback_follows_what_the_application_wrote() {
    let answer = writing("errors.write('half a line'); 1 / 0").get("/").run();
    answer.is_error("ZeroDivisionError");
    assert!(answer.errors.starts_with("half a line\nexception in application: "), "{}", answer.errors);
}

// clauses: 31
#[test]
fn a_very_long_line_is_not_kept_for_ever() {
    let (app, calls) = calls(writing("[errors.write('x' * 1000) for _ in range(1000)]"));
    app.get("/").run().is_ok("ok");
    let calls = calls.lock().unwrap();
    assert!(calls.len() > 10 && calls.iter().all(|call| call.len() <= 70_000));
    assert_eq!(calls.concat(), "x".repeat(1_000_000) + "\n");
}

// clauses: 31
#[test]
fn whoever_keeps_the_stream_may_go_on_writing() {
    let app = App::new(
        "
import logging
logger = logging.getLogger('kept')
logger.propagate = False
def application(environ, start_response):
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(environ['wsgi.errors']))
    logger.warning('path %s', environ['PATH_INFO'])
    start_response('200 OK', [])
    return [b'ok']
",
    );
    assert_eq!(app.get("/1").run().errors, "path /1\n");
    assert_eq!(app.get("/2").run().errors, "path /2\n");
}
