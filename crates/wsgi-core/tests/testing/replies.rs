//! What a test sees of a reply.

use wsgi_core::testing::{Client, Closed, Sent};

use crate::common::{app, app_with_errors};

#[test]
fn status_headers_and_body_are_those_of_the_application() {
    let client = Client::new(app("
def application(environ, start_response):
    start_response('404 Nicht gefunden\\xe9', [('X-B', '1'), ('Content-Type', 'text/plain'), ('x-b', '\\xe9')])
    return [b'caf\\xc3\\xa9']
"));
    let response = client.get("/nowhere?x").send();
    assert_eq!((response.status().as_u16(), response.reason().as_ref()), (404, "Nicht gefundené"));
    let headers: Vec<_> = response.headers().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(headers, [("X-B", "1"), ("Content-Type", "text/plain"), ("x-b", "é"), ("Content-Length", "5")]);
    assert_eq!((response.header("x-B"), response.header_all("X-B"), response.header("none")), (Some("1"), vec!["1", "é"], None));
    let map = response.header_map();
    assert_eq!((map["content-type"].as_bytes(), map.get_all("x-b").iter().count()), (&b"text/plain"[..], 2));
    assert_eq!((response.body(), response.text().as_ref()), (&b"caf\xc3\xa9"[..], "café"));
    assert_eq!((response.aborted(), response.errors(), response.exception(), response.closed()), (false, "", None, None));
    let shown = format!("{response:?}");
    assert!(shown.contains("GET /nowhere?x") && shown.contains("café"), "{shown}");
}

#[test]
fn json_is_read_into_any_type() {
    let client = Client::new(app("
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    return [b'{\"a\": [1, 2]}']
"));
    let value: serde_json::Value = client.get("/").send().json();
    assert_eq!(value["a"][1], 2);
}

#[test]
fn blocks_are_kept_as_they_were_yielded_and_written() {
    let client = Client::new(app("
def application(environ, start_response):
    write = start_response('200 OK', [('Content-Type', 'text/plain')])
    write(b'written')
    return blocks()
def blocks():
    yield b'one'
    yield b''
    yield b'two'
"));
    let response = client.get("/").send();
    assert_eq!(response.blocks(), [&b"written"[..], b"one", b"two"]);
    assert_eq!(response.body(), b"writtenonetwo");
}

#[test]
fn an_observer_sees_each_block_before_the_next_is_asked_for() {
    let application = app("
asked = []
def application(environ, start_response):
    environ['wsgi.early_hints']([('Link', '</a.css>; rel=preload')])
    start_response('200 OK', [('Content-Type', 'text/plain')])
    for number in range(3):
        asked.append(number)
        yield str(number).encode()
application.asked = asked
");
    let client = Client::new(&application);
    let mut seen = Vec::new();
    let asked = || pyo3::Python::attach(|py| application.callable().bind(py).getattr("asked").unwrap().len().unwrap());
    use pyo3::prelude::*;
    let observer = |sent: Sent<'_>| {
        seen.push(match sent {
            Sent::Informational(head) => format!("{} after {}", head.code(), asked()),
            Sent::Head(head) => format!("head {} after {}", head.code(), asked()),
            Sent::Block(block) => format!("{} after {}", String::from_utf8_lossy(block), asked()),
            other => format!("{other:?}"),
        });
        true
    };
    let response = client.get("/").observe(observer).send();
    assert_eq!(seen, ["103 after 0", "head 200 after 1", "0 after 1", "1 after 2", "2 after 3"]);
    let hints = response.informational();
    assert_eq!((hints.len(), hints[0].status.as_u16(), hints[0].headers[0].1.as_str()), (1, 103, "</a.css>; rel=preload"));
    assert!(client.get("/").http10().send().informational().is_empty());
}

/// Notes when it is closed.
const CLOSES: &str = "
class Blocks:
    def __init__(self, *blocks):
        self.blocks = iter(blocks)
    def __iter__(self):
        return self
    def __next__(self):
        block = next(self.blocks)
        if isinstance(block, Exception):
            raise block
        return block
    def close(self):
        pass
def application(environ, start_response):
    headers = [('Content-Type', 'text/plain')]
    query = environ['QUERY_STRING']
    if query == 'length':
        headers.append(('Content-Length', '3'))
    start_response('200 OK', headers)
    if query == 'list':
        return [b'one']
    return Blocks(b'one', b'', ValueError('on purpose') if query == 'raise' else b'two')
";

#[test]
fn closing_is_seen_with_how_far_the_iterable_had_come() {
    let client = Client::new(app(CLOSES));
    let closed = |target| client.get(target).send().closed().map(|Closed { blocks, at_end, .. }| (blocks, at_end));
    assert_eq!(closed("/"), Some((3, true)));
    assert_eq!(closed("/?raise"), Some((2, false)));
    assert_eq!(closed("/?length"), Some((1, false)));
    assert_eq!(closed("/?list"), None);
    let left = client.get("/").leave_after(1).send();
    assert_eq!((left.text().as_ref(), left.aborted(), left.closed().unwrap().blocks), ("one", true, 1));
    assert!(left.errors().is_empty() && left.breaches().is_empty());
}

#[test]
fn a_file_is_sent_and_its_closing_seen() {
    let client = Client::new(app("
import tempfile
def application(environ, start_response):
    file = tempfile.TemporaryFile()
    file.write(b'0123456789')
    file.seek(2)
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return environ['wsgi.file_wrapper'](file)
"));
    let response = client.get("/").send();
    assert_eq!((response.text().as_ref(), response.blocks().len(), response.closed().is_some()), ("23456789", 1, true));
    let head = client.head("/").send();
    assert_eq!((head.body().len(), head.closed().is_some()), (0, true));
}

#[test]
fn a_client_that_leaves_is_told_to_those_who_ask() {
    let client = Client::new(app("
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    gone = environ['waitress.client_disconnected']
    try:
        while True:
            yield b'x' if not gone() else b'?'
    finally:
        environ['wsgi.errors'].write(str(gone()))
"));
    let response = client.get("/").leave_after(3).send();
    assert_eq!((response.text().as_ref(), response.errors()), ("xxx", "True"));
    let mut blocks = 0;
    let response = client
        .get("/")
        .observe(|sent| {
            !matches!(sent, Sent::Block(_)) || {
                blocks += 1;
                blocks < 5
            }
        })
        .send();
    assert_eq!((response.text().as_ref(), response.aborted()), ("xxxxx", true));
}

#[test]
fn what_an_application_lets_escape_is_a_500_with_its_traceback() {
    let (application, elsewhere) = app_with_errors(
        "
class Broken(Exception):
    pass
def application(environ, start_response):
    print('half a line', end='', file=environ['wsgi.errors'])
    if environ['QUERY_STRING'] == 'late':
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return late()
    raise Broken('with a text')
def late():
    yield b'begun'
    raise KeyError('later')
",
    );
    let client = Client::new(&application);
    let response = client.get("/").send();
    assert_eq!((response.status().as_u16(), response.aborted()), (500, false));
    let exception = response.exception().unwrap();
    assert!(exception.kind.ends_with(".Broken") && exception.message == "with a text", "{exception:?}");
    let errors = response.errors();
    assert!(errors.starts_with("half a line\nexception in application: GET /\nTraceback"), "{errors}");
    assert!(errors.contains("application.py") && errors.trim_end().ends_with("Broken: with a text"), "{errors}");
    let response = client.get("/?late").send();
    assert_eq!((response.status().as_u16(), response.text().as_ref(), response.aborted()), (200, "begun", true));
    assert_eq!(response.exception().unwrap().kind, "KeyError");
    assert_eq!(*elsewhere.lock().unwrap(), "", "what a response has goes nowhere else");
}

#[test]
fn head_and_replies_without_a_body_have_none() {
    let client = Client::new(app("
def application(environ, start_response):
    status = environ['QUERY_STRING'] or '200'
    start_response(status + ' X', [] if status != '200' else [('Content-Type', 'text/plain'), ('Content-Length', '4')])
    return [b'body']
"));
    let head = client.head("/").send();
    assert_eq!((head.header("Content-Length"), head.body(), head.aborted()), (Some("4"), &b""[..], false));
    let unchanged = client.get("/?304").send();
    assert_eq!((unchanged.body(), unchanged.aborted()), (&b""[..], false));
}

#[test]
fn a_handler_without_python_is_asked_like_any_other() {
    struct Hello;
    impl wsgi_core::Handler for Hello {
        fn handle(&self, exchange: &mut dyn wsgi_core::Exchange) {
            if exchange.head().get(wsgi_core::wire::Known::PathInfo) == Some(b"/") {
                exchange.refuse(http::StatusCode::IM_A_TEAPOT, "short and stout\n");
            }
        }
    }
    let client = Client::new(Hello);
    let response = client.get("/").send();
    assert_eq!((response.status().as_u16(), response.text().as_ref()), (418, "short and stout\n"));
    // One that returns without an answer has failed, as behind a server.
    assert_eq!(client.get("/nothing").send().status(), 500);
}

#[test]
fn text_of_other_threads_is_the_calls_while_it_lasts_and_the_applications_later() {
    let (application, elsewhere) = app_with_errors(
        "
import threading
kept = []
def application(environ, start_response):
    errors = environ['wsgi.errors']
    for text in kept:
        text.write('later\\n')
    kept[:] = [errors]
    thread = threading.Thread(target=lambda: errors.write('meanwhile'))
    thread.start()
    thread.join()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return []
",
    );
    let client = Client::new(&application);
    assert_eq!(client.get("/").send().errors(), "meanwhile");
    assert_eq!(*elsewhere.lock().unwrap(), "");
    assert_eq!(client.get("/").send().errors(), "meanwhile");
    assert_eq!(*elsewhere.lock().unwrap(), "later\n");
}

#[test]
fn a_panic_of_a_handler_is_the_tests_and_the_client_goes_on() {
    struct Panics;
    impl wsgi_core::Handler for Panics {
        fn handle(&self, exchange: &mut dyn wsgi_core::Exchange) {
            let path = exchange.head().get(wsgi_core::wire::Known::PathInfo);
            assert_ne!(path, Some(&b"/panic"[..]), "on purpose");
            exchange.refuse(http::StatusCode::OK, "fine\n");
        }
    }
    let client = Client::new(Panics);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.get("/panic").send()));
    assert!(panic.is_err());
    assert_eq!(client.get("/").send().text(), "fine\n");
}
