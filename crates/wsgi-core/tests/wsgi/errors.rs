//! `wsgi.errors`.

use std::sync::{Arc, Mutex};

use crate::common::{Answer, App};

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

/// What the peer's log got, in order.
fn logged(answer: &Answer) -> Vec<&str> {
    answer.events.iter().filter_map(|event| event.strip_prefix("log ")).collect()
}

// clauses: 31, 45
#[test]
fn a_peer_that_takes_the_text_gets_it_and_the_sink_does_not() {
    let app = writing("print('one', 'two', file=errors); errors.write('th'); errors.write('ree\\nfour\\n'); note('written')");
    let answer = app.get("/").with(|recorder| recorder.takes_log = true).run();
    answer.is_ok("ok");
    assert_eq!(answer.events[..4], ["log one two\n", "log three\nfour\n", "written", "start 200"]);
    // Whoever sends the next one does not want it.
    let answer = app.get("/").run();
    assert_eq!((logged(&answer).len(), answer.errors.as_str()), (0, "one two\nthree\nfour\n"));
}

// clauses: 39
#[test]
fn flush_sends_what_the_peer_takes() {
    let app = writing("errors.write('50 %'); errors.flush(); note('flushed'); errors.flush()");
    let answer = app.get("/").with(|recorder| recorder.takes_log = true).run();
    answer.is_ok("ok");
    assert_eq!(answer.events[..4], ["log 50 %", "flush", "flushed", "start 200"]);
}

// clauses: 31, 87
#[test]
fn a_peer_that_takes_the_text_gets_the_traceback_before_the_reply_ends() {
    let answer = writing("errors.write('half a line'); 1 / 0").get("/").with(|recorder| recorder.takes_log = true).run();
    assert_eq!((answer.status(), answer.errors.as_str()), ("500 Internal Server Error", ""));
    let logged = logged(&answer).concat();
    assert!(logged.starts_with("half a line\nexception in application: GET /\nTraceback"), "{logged}");
    assert!(logged.ends_with("ZeroDivisionError: division by zero\n"), "{logged}");
}

// clauses: 31
#[test]
fn an_unfinished_line_goes_to_the_peer_before_the_reply_ends() {
    for body in ["[b'ok']", "[b'o', b'k']", "(block for block in [b'o', b'k'])", "[]"] {
        let app = writing(&format!("errors.write('half'); start_response('200 OK', []); return {body}"));
        let answer = app.get("/").with(|recorder| recorder.takes_log = true).run();
        let at = |event: &str| answer.events.iter().position(|other| other == event).unwrap_or_else(|| panic!("{:?}", answer.events));
        assert!(at("log half\n") < at("finish"), "{:?}", answer.events);
        assert_eq!(answer.errors, "");
    }
    // All that was declared is there, so that the reply ends with its last block.
    let app = writing("start_response('200 OK', [('Content-Length', '2')]); errors.write('half'); return iter([b'o', b'k'])");
    let answer = app.get("/").with(|recorder| recorder.takes_log = true).run();
    answer.is_ok("ok");
    assert_eq!(logged(&answer), ["half\n"]);
}

// clauses: 31, 81
#[test]
fn what_is_written_behind_the_replys_end_goes_to_the_sink() {
    let app = App::new(
        "
class Body:
    def __init__(self, errors):
        self.errors = errors
    def __iter__(self):
        yield b'ok'
        self.errors.write('in time\\n')
    def close(self):
        self.errors.write('late\\nlater')
        1 / 0
def application(environ, start_response):
    start_response('200 OK', [])
    return Body(environ['wsgi.errors'])
",
    );
    let answer = app.get("/").with(|recorder| recorder.takes_log = true).run();
    assert_eq!(logged(&answer), ["in time\n"]);
    assert!(answer.errors.starts_with("late\nlater\nexception in close() of the application's iterable\n"), "{}", answer.errors);
}

// clauses: 31
#[test]
fn a_stream_that_is_kept_writes_to_no_other_requests_log() {
    let app = App::new(
        "
kept = []
def application(environ, start_response):
    kept.append(environ['wsgi.errors'])
    for errors in kept:
        errors.write('%d of %d\\n' % (kept.index(errors) + 1, len(kept)))
    start_response('200 OK', [])
    return [b'ok']
",
    );
    let run = || app.get("/").with(|recorder| recorder.takes_log = true).run();
    assert_eq!(logged(&run()), ["1 of 1\n"]);
    for _ in 0..2 {
        let answer = run();
        assert_eq!(logged(&answer).len(), 1, "{:?}", answer.events);
        assert!(answer.errors.starts_with("1 of "), "{}", answer.errors);
    }
}

// clauses: 31
#[test]
fn what_a_kept_stream_holds_is_not_lost_with_it() {
    let (app, calls) = calls(App::new(
        "
kept = []
def application(environ, start_response):
    for errors in kept:
        errors.write('not ended')
    kept[:] = [environ['wsgi.errors']] if not kept else []
    start_response('200 OK', [])
    return [b'ok']
",
    ));
    for _ in 0..2 {
        app.get("/").run().is_ok("ok");
    }
    assert_eq!(*calls.lock().unwrap(), ["not ended\n"]);
}

// clauses: 31
#[test]
fn much_text_for_the_peer_is_sent_and_not_gathered() {
    let app = writing("[errors.write('x' * 999 + '\\n') for _ in range(1000)]");
    let answer = app.get("/").with(|recorder| recorder.takes_log = true).run();
    answer.is_ok("ok");
    let before = answer.events.iter().take_while(|event| *event != "start 200");
    let flushes = before.filter(|event| *event == "flush").count();
    assert_eq!((logged(&answer).len(), flushes), (1000, 15));
}

// clauses: 31, 34
#[test]
fn the_requests_own_threads_write_to_the_peer_too() {
    let app = writing(
        "
    import threading
    def work(number):
        for line in range(100):
            print(number, line, file=errors)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]",
    );
    let answer = app.get("/").with(|recorder| recorder.takes_log = true).run();
    answer.is_ok("ok");
    let mut lines: Vec<String> = logged(&answer).concat().lines().map(str::to_owned).collect();
    let mut expected: Vec<String> = (0..4).flat_map(|number| (0..100).map(move |line| format!("{number} {line}"))).collect();
    lines.sort();
    expected.sort();
    assert_eq!(lines, expected);
}
