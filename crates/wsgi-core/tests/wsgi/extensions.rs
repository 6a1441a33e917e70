//! `wsgi.early_hints` and `waitress.client_disconnected`.

use crate::common::App;

fn hinting(argument: &str) -> App {
    App::new(&format!(
        "
def application(environ, start_response):
    try:
        assert environ['wsgi.early_hints']({argument}) is None
    except Exception as error:
        note(type(error).__name__ + ': ' + str(error))
    start_response('200 OK', [])
    return [b'ok']
"
    ))
}

// clauses: D12
#[test]
fn early_hints_are_sent_at_once() {
    let answer = hinting("[('Link', '</a.css>; rel=preload'), ('Link', '</b.js>')]").get("/").run();
    answer.is_ok("ok");
    assert_eq!(answer.events[..3], ["inform 103 Link: </a.css>; rel=preload;Link: </b.js>;", "flush", "start 200"]);
}

// clauses: D12
#[test]
fn early_hints_are_checked_like_headers() {
    for (argument, error) in [
        ("[('X', 'a\\r\\nb')]", "ValueError: early_hints() headers[0] ('X', 'a\\r\\nb') value must not contain control characters"),
        ("[('X', 'a'), ('X Y', 'a')]", "ValueError: early_hints() headers[1] ('X Y', 'a') name must be a field name"),
        ("[('X', '\\u2603')]", "ValueError: early_hints() headers[0] ('X', '☃') must not contain a character above U+00FF"),
        ("[('Connection', 'close')]", "is a hop-by-hop field"),
        ("[('Content-Length', '5')]", "must not hold Content-Length"),
        ("['Link']", "TypeError: early_hints() headers[0] must be (str, str), got str"),
        ("[('Link', 5)]", "TypeError: early_hints() headers[0] must be (str, str), got tuple"),
        ("5", "TypeError"),
    ] {
        let answer = hinting(argument).get("/").run();
        answer.is_ok("ok");
        assert!(answer.events[0].contains(error), "expected {error} in {:?}", answer.events);
        assert!(!answer.events.iter().any(|event| event.starts_with("inform")));
    }
}

// clauses: D12
#[test]
fn early_hints_after_the_headers_do_nothing() {
    let app = App::new(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    environ['wsgi.early_hints']([('X', 'before')])
    yield b'ok'
    environ['wsgi.early_hints']([('X', 'after')])
",
    );
    let answer = app.get("/").run();
    answer.is_ok("ok");
    assert_eq!(answer.events[0], "inform 103 X: before;");
    assert_eq!(answer.events.iter().filter(|event| event.starts_with("inform")).count(), 1);
}

// clauses: D18
#[test]
fn an_application_can_ask_whether_its_client_is_gone() {
    let app = App::new(
        "
kept = []
def application(environ, start_response):
    note(repr([gone() for gone in kept] + [environ['waitress.client_disconnected']()]))
    kept[:] = [environ['waitress.client_disconnected']]
    start_response('200 OK', [])
    return [b'ok']
",
    );
    assert_eq!(app.get("/").run().events[0], "[False]");
    assert_eq!(app.get("/").with(|recorder| recorder.disconnected = true).run().events[0], "[True, True]");
}

// clauses: D12, D18
#[test]
fn what_is_kept_belongs_to_its_own_request_for_ever() {
    let app = App::new(
        "
kept = []
def application(environ, start_response):
    for old in kept:
        note(repr(old['waitress.client_disconnected']()))
        try:
            old['wsgi.early_hints']([])
        except RuntimeError as error:
            note(str(error))
    kept[:] = [environ]
    start_response('200 OK', [])
    return [b'ok']
",
    );
    app.get("/").run().is_ok("ok");
    for _ in 0..3 {
        let answer = app.get("/").run();
        answer.is_ok("ok");
        assert_eq!(answer.events[..2], ["True", "early_hints() called after its request is over"]);
    }
}
