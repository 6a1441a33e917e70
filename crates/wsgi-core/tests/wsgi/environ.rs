//! What an application finds in `environ`.

use wsgi_core::wire::{Known, RequestHead};

use crate::common::App;

/// Answers with the `repr` of an expression.
fn show(expression: &str) -> App {
    App::new(&format!(
        "
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [repr({expression}).encode()]
"
    ))
}

// clauses: 1
#[test]
fn any_callable_will_do() {
    let source = "
import functools

def function(environ, start_response):
    start_response('200 OK', [])
    return [b'ok']

class Instance:
    def __call__(self, environ, start_response):
        return function(environ, start_response)
    def method(self, environ, start_response):
        return function(environ, start_response)
    @classmethod
    def of_class(cls, environ, start_response):
        return function(environ, start_response)

class Iterable:
    def __init__(self, environ, start_response):
        self.start_response = start_response
    def __iter__(self):
        self.start_response('200 OK', [])
        yield b'ok'

def with_another(nothing, environ, start_response):
    return function(environ, start_response)
";
    for callable in [
        "function",
        "Instance()",
        "Instance().method",
        "Instance.of_class",
        "Iterable",
        "functools.partial(with_another, None)",
        "lambda *a: function(*a)",
    ] {
        App::wrapped(source, callable).get("/").run().is_ok("ok");
    }
}

// clauses: 2, 5
#[test]
fn both_arguments_are_positional() {
    let source = "
def application(a, b, /, *rest, **named):
    assert not rest and not named, (rest, named)
    write = b('200 OK', [], None)
    return [b'ok']
";
    App::new(source).get("/").run().is_ok("ok");
}

// clauses: 3
#[test]
fn the_application_is_called_once_for_each_request() {
    let app = App::new(
        "
calls = 0
def application(environ, start_response):
    global calls
    calls += 1
    start_response('200 OK', [])
    return [str(calls).encode()]
",
    );
    for call in ["1", "2", "3"] {
        app.get("/").run().is_ok(call);
    }
}

// clauses: 4
#[test]
fn environ_is_a_fresh_dict_that_the_application_may_change() {
    let app = App::new(
        "
kept = []
def application(environ, start_response):
    kept.append(environ)
    fresh = type(environ) is dict and 'mine' not in environ and environ['PATH_INFO'] == '/same' and len({id(e) for e in kept}) == len(kept)
    environ['mine'] = True
    environ['PATH_INFO'] = 'changed'
    del environ['wsgi.url_scheme'], environ['REMOTE_ADDR']
    start_response('200 OK', [])
    return [repr(fresh).encode()]
",
    );
    for _ in 0..5 {
        app.get("/same").field("X-Same", b"1").run().is_ok("True");
    }
}

// clauses: 6, 7, 26, 31
#[test]
fn every_cgi_variable_is_exactly_str_with_a_character_for_each_byte() {
    let app = App::new(
        "
def application(environ, start_response):
    start_response('200 OK', [])
    names = [n for n in environ if '.' not in n]
    assert len(names) > 12, names
    for name in names:
        assert type(name) is str and type(environ[name]) is str, name
        assert all(ord(c) < 256 for c in name + environ[name]), name
    return [repr([environ['HTTP_X_RAW'], environ['PATH_INFO'], environ['REMOTE_PORT']]).encode()]
",
    );
    let answer = app.get("/caf%C3%A9%ff").field("X-Raw", b"\xff\x80 caf\xc3\xa9").run();
    answer.is_ok(r"['ÿ\x80 cafÃ©', '/cafÃ©ÿ', '50000']");
    app.get("/").variable("HTTP_X_RAW", b"\xf1").variable("NAME_\u{e9}", b"v").run().is_ok(r"['ñ', '/', '50000']");
}

// clauses: 13
#[test]
fn a_request_without_a_method_is_refused_and_never_reaches_the_application() {
    let app = App::new("def application(environ, start_response): note('called')");
    let mut empty = RequestHead::default();
    empty.set(Known::RequestMethod, b"");
    for head in [RequestHead::default(), empty] {
        let answer = app.bare(head).run();
        assert_eq!(answer.status(), "400 Bad Request");
        assert!(answer.has("finish") && !answer.has("called"));
    }
    show("environ['REQUEST_METHOD']").request("PATCH", "/").run().is_ok("'PATCH'");
}

// clauses: 14, 15, 16, 19, 20
#[test]
fn the_required_variables_are_there_even_if_the_codec_says_none_of_them() {
    let app = show("[environ[n] for n in 'SCRIPT_NAME PATH_INFO QUERY_STRING SERVER_NAME SERVER_PORT SERVER_PROTOCOL'.split()]");
    let mut head = RequestHead::default();
    head.set(Known::RequestMethod, b"GET");
    app.bare(head.clone()).run().is_ok("['', '', '', 'localhost', '80', 'HTTP/1.0']");
    for name in [Known::ServerName, Known::ServerPort, Known::ServerProtocol] {
        head.set(name, b"");
    }
    app.bare(head).run().is_ok("['', '', '', 'localhost', '80', 'HTTP/1.0']");
    let request = app.get("/a%20b?c=%20").variable("SCRIPT_NAME", b"/mounted");
    request.run().is_ok("['/mounted', '/a b', 'c=%20', 'example.org', '8000', 'HTTP/1.1']");
}

// clauses: 17, 18, 25, D4
#[test]
fn what_does_not_apply_is_absent_and_not_empty() {
    let app = show("[environ.get(n) for n in 'CONTENT_TYPE CONTENT_LENGTH REMOTE_USER AUTH_TYPE'.split()]");
    app.get("/").run().is_ok("[None, None, None, None]");
    let empty = app.get("/").variable("CONTENT_TYPE", b"").variable("CONTENT_LENGTH", b"");
    empty.variable("REMOTE_USER", b"").variable("AUTH_TYPE", b"").run().is_ok("[None, None, None, None]");
    let full = app.get("/").variable("CONTENT_TYPE", b"text/plain").variable("REMOTE_USER", b"alice").variable("AUTH_TYPE", b"Basic");
    full.body(&[b"12345"]).run().is_ok("['text/plain', '5', 'alice', 'Basic']");
}

// clauses: 21
#[test]
fn header_variables_mirror_the_fields_of_the_request() {
    let app = show("sorted((n, environ[n]) for n in environ if n.startswith('HTTP_'))");
    app.get("/").run().is_ok("[]");
    let request = app.get("/").field("Host", b"a").field("X-Empty", b"").field("accept", b"1").field("Accept", b"2");
    request.run().is_ok("[('HTTP_ACCEPT', '1,2'), ('HTTP_HOST', 'a'), ('HTTP_X_EMPTY', '')]");
    // The same application on the same thread: nothing of the last request is left.
    app.get("/").field("X-Other", b"3").run().is_ok("[('HTTP_X_OTHER', '3')]");
    app.get("/").run().is_ok("[]");
}

// clauses: 22, 24, D6, D22, D23
#[test]
fn other_cgi_variables_are_passed_on_as_the_codec_says_them() {
    let names = "REMOTE_ADDR REMOTE_PORT REQUEST_URI RAW_URI GATEWAY_INTERFACE";
    let app = show(&format!("[environ[n] for n in '{names}'.split()]"));
    app.get("/a%20b?c").run().is_ok("['192.0.2.1', '50000', '/a%20b?c', '/a%20b?c', 'CGI/1.1']");
    let software = show("environ['SERVER_SOFTWARE']");
    software.get("/").run().is_ok(concat!("'wsgi-rs/", env!("CARGO_PKG_VERSION"), "'"));
    software.get("/").variable("SERVER_SOFTWARE", b"nginx/1.29").run().is_ok("'nginx/1.29'");
}

// clauses: 23, 29, D15, D23
#[test]
fn the_scheme_comes_from_the_server_in_front_and_never_from_a_field() {
    let app = show("[environ['wsgi.url_scheme'], environ.get('HTTPS'), environ['SERVER_PORT']]");
    app.get("/").run().is_ok("['http', None, '8000']");
    app.get("/").variable("HTTPS", b"on").run().is_ok("['https', 'on', '8000']");
    app.get("/").variable("HTTPS", b"1").run().is_ok("['https', '1', '8000']");
    app.get("/").variable("HTTPS", b"off").run().is_ok("['http', 'off', '8000']");
    app.get("/").variable("HTTPS", b"").run().is_ok("['http', None, '8000']");
    app.get("/").variable("REQUEST_SCHEME", b"https").variable("SERVER_PORT", b"").run().is_ok("['https', 'on', '443']");
    app.get("/").variable("REQUEST_SCHEME", b"http").run().is_ok("['http', None, '8000']");
    app.get("/").field("X-Forwarded-Proto", b"https").run().is_ok("['http', None, '8000']");
}

// clauses: 27, D14
#[test]
fn the_process_environment_is_not_in_environ() {
    let app = show("sorted(set(environ) & set(__import__('os').environ) - {'SERVER_NAME', 'SERVER_SOFTWARE'})");
    app.get("/").run().is_ok("[]");
}

// clauses: 28, 30, 36, D1
#[test]
fn the_wsgi_variables_are_what_the_contract_says() {
    let app = show("[environ['wsgi.version'], type(environ['wsgi.version']), environ['wsgi.run_once'], environ['wsgi.input_terminated']]");
    app.get("/").run().is_ok("[(1, 0), <class 'tuple'>, False, True]");
    let app = show("sorted(n for n in environ if n.startswith('wsgi.'))");
    app.get("/").run().is_ok(
        "['wsgi.early_hints', 'wsgi.errors', 'wsgi.file_wrapper', 'wsgi.input', 'wsgi.input_terminated', 'wsgi.multiprocess', \
         'wsgi.multithread', 'wsgi.run_once', 'wsgi.url_scheme', 'wsgi.version']",
    );
}

// clauses: 34, 35, 90
#[test]
fn threads_and_processes_are_what_the_server_says() {
    let app = show("[environ['wsgi.multithread'], environ['wsgi.multiprocess']]");
    for (threads, text) in [((false, false), "[False, False]"), ((true, false), "[True, False]"), ((false, true), "[False, True]")] {
        app.get("/").with(|recorder| recorder.threads = threads).run().is_ok(text);
        app.get("/").with(|recorder| recorder.threads = threads).run().is_ok(text);
    }
}

// clauses: 37
#[test]
fn keys_of_servers_are_lower_case_with_a_prefix() {
    let app = App::new(
        "
import re
def application(environ, start_response):
    start_response('200 OK', [])
    return [repr([n for n in environ if not re.fullmatch('[A-Z_0-9]+|(wsgi|waitress)[.][a-z0-9_.]+', n)]).encode()]
",
    );
    app.get("/").run().is_ok("[]");
}

// clauses: 6, 26
#[test]
fn a_peer_cannot_replace_what_belongs_to_the_server() {
    let app = show("[type(environ['wsgi.input']).__name__, environ['wsgi.url_scheme'], callable(environ['waitress.client_disconnected'])]");
    let request = app.get("/").variable("wsgi.input", b"x").variable("wsgi.url_scheme", b"gopher");
    request.variable("waitress.client_disconnected", b"x").run().is_ok("['Input', 'http', True]");
}

// clauses: 18, D2
#[test]
fn a_body_of_known_length_has_no_transfer_encoding() {
    let app = show("[environ.get('CONTENT_LENGTH'), environ.get('HTTP_TRANSFER_ENCODING'), environ['wsgi.input'].read()]");
    let request = app.request("POST", "/").body(&[b"abc"]).variable("HTTP_TRANSFER_ENCODING", b"chunked");
    request.run().is_ok("['3', None, b'abc']");
}

// clauses: 93
#[test]
fn the_url_can_be_put_together_again() {
    let app = App::new(
        "
from wsgiref.util import request_uri
def application(environ, start_response):
    start_response('200 OK', [])
    return [request_uri(environ).encode()]
",
    );
    app.get("/a%20b?c=d").field("Host", b"example.com").run().is_ok("http://example.com/a%20b?c=d");
    app.get("/caf%C3%A9").run().is_ok("http://example.org:8000/caf%C3%A9");
    let mounted = app.get("/rest").variable("SCRIPT_NAME", b"/app").variable("HTTPS", b"on");
    mounted.variable("SERVER_PORT", b"443").run().is_ok("https://example.org/app/rest");
}

/// The dictionaries that `environ` is copied from are kept from request to request: what is kept must never show.
// clauses: 3, 4, 21
#[test]
fn requests_of_many_shapes_in_turn_see_their_own_variables_only() {
    let app = show("sorted((n, environ[n]) for n in environ if n.startswith('HTTP_') or n == 'PATH_INFO')");
    for round in 0..3 {
        for shape in 0..20 {
            let mut request = app.get(&format!("/{round}/{shape}"));
            let mut expected = vec![];
            for number in 0..shape {
                let long = number == 7;
                let value = if long { format!("{round}").repeat(5000) } else { format!("{}", round * number) };
                request = request.field(&format!("X-{number:02}"), value.as_bytes());
                expected.push(format!("('HTTP_X_{number:02}', '{value}')"));
            }
            expected.push(format!("('PATH_INFO', '/{round}/{shape}')"));
            request.run().is_ok(&format!("[{}]", expected.join(", ")));
        }
    }
}
