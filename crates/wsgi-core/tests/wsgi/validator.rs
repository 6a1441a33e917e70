//! Conforming applications inside of `wsgiref.validate`, which checks the server's side of the contract as well.

use crate::common::App;

const APPLICATIONS: &str = "
HEADERS = [('Content-Type', 'text/plain')]

def of_list(environ, start_response):
    start_response('200 OK', list(HEADERS))
    return [b'list ', environ['PATH_INFO'].encode('latin-1')]

def generator(environ, start_response):
    start_response('200 OK', list(HEADERS))
    yield b'generator '
    yield b''
    yield environ['PATH_INFO'].encode('latin-1')

class Iterable:
    def __init__(self, environ, start_response):
        self.environ, self.start_response = environ, start_response
    def __iter__(self):
        self.start_response('200 OK', list(HEADERS))
        yield b'class ' + self.environ['PATH_INFO'].encode('latin-1')

def writing(environ, start_response):
    write = start_response('200 OK', list(HEADERS))
    write(b'written ')
    return [environ['PATH_INFO'].encode('latin-1')]

def reading(environ, start_response):
    i = environ['wsgi.input']
    parts = [i.readline(), i.read(2), i.readlines(), list(i), i.read(-1)]
    start_response('200 OK', list(HEADERS))
    return [repr(parts).encode()]

def complaining(environ, start_response):
    environ['wsgi.errors'].write('a complaint\\n')
    environ['wsgi.errors'].writelines(['and', ' more\\n'])
    environ['wsgi.errors'].flush()
    start_response('200 OK', list(HEADERS))
    return [b'complained']

def recovering(environ, start_response):
    import sys
    start_response('200 OK', list(HEADERS))
    try:
        raise ValueError
    except ValueError:
        start_response('503 Sorry', list(HEADERS), sys.exc_info())
    return [b'sorry']

def without_body(environ, start_response):
    start_response('304 Not Modified', [('ETag', 'x')])
    return []
";

fn validated(name: &str) -> App {
    App::validated(&format!("{APPLICATIONS}\napplication = {name}\n"))
}

// clauses: 4, 6, 10, 29, 38, D21
#[test]
fn conforming_applications_pass_the_validator() {
    for (name, body) in [("of_list", "list /a b"), ("generator", "generator /a b"), ("Iterable", "class /a b"), ("writing", "written /a b")]
    {
        for method in ["GET", "POST", "OPTIONS"] {
            validated(name).request(method, "/a%20b?c=d").run().is_ok(body);
        }
    }
}

// clauses: 30, 38, 40, D21
#[test]
fn the_validator_accepts_the_input() {
    let expected = r"[b'one\n', b'tw', [b'o\n', b'three'], [], b'']";
    validated("reading").request("POST", "/").body(&[b"one\nt", b"wo\nthr", b"ee"]).run().is_ok(expected);
    validated("reading").request("POST", "/").chunked(&[b"one\nt", b"wo\nthr", b"ee"]).run().is_ok(expected);
}

// clauses: 31, 39, D21
#[test]
fn the_validator_accepts_the_error_stream() {
    assert_eq!(validated("complaining").get("/").run().errors, "a complaint\nand more\n");
}

// clauses: 59, 81, D21
#[test]
fn the_validator_accepts_replaced_headers_and_replies_without_a_body() {
    let answer = validated("recovering").get("/").run();
    assert_eq!((answer.status(), answer.body(), &*answer.errors), ("503 Sorry", "sorry", ""));
    let answer = validated("without_body").get("/").run();
    assert_eq!((answer.status(), &*answer.errors), ("304 Not Modified", ""));
}

// clauses: D21
#[test]
fn the_validator_would_have_noticed() {
    App::validated("def application(environ, start_response):\n    start_response('200 OK', [])\n    return [b'no content type']")
        .get("/")
        .run()
        .is_error("AssertionError");
}
