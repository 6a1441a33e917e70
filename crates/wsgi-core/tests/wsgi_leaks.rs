//! Requests of every kind leave nothing behind: neither Python objects nor memory. A process of its own, since it counts all there is.
#![cfg(feature = "python")]

#[path = "wsgi/common.rs"]
#[allow(dead_code, reason = "shared with the tests of the contract, which use all of it")]
mod common;

use pyo3::prelude::*;

use common::App;
use wsgi_core::Handler;
use wsgi_core::testing::Client;

const KINDS: &str = "
import sys, tempfile

class Closing(list):
    def close(self): pass

def application(environ, start_response):
    kind = environ['PATH_INFO']
    if kind == '/raises':
        raise ValueError(kind)
    if kind == '/silent':
        return [b'no headers']
    write = start_response('200 OK', [('X', 'y')])
    environ['wsgi.errors'].write('line\\n')
    environ['wsgi.early_hints']([('Link', '</a>')])
    environ['waitress.client_disconnected']()
    if kind == '/write':
        write(b'x')
    if kind == '/keep':
        global kept
        kept = (environ, start_response, write)
    if kind == '/cycle':
        environ['itself'] = environ
    if kind == '/read':
        return environ['wsgi.input'].readlines()
    if kind == '/file':
        file = tempfile.TemporaryFile()
        file.write(b'x' * 1000)
        file.seek(0)
        return environ['wsgi.file_wrapper'](file)
    if kind == '/generator':
        return (b'x' for _ in range(10))
    if kind == '/breaks':
        return (b'x' if number < 3 else 1 / 0 for number in range(10))
    if kind == '/exc_info':
        try:
            1 / 0
        except ZeroDivisionError:
            start_response('500 Oops', [], sys.exc_info())
    return Closing([b'block', b'block'])
";

// clauses: 3, 63, 81
#[test]
fn requests_leave_nothing_behind() {
    let app = App::new(KINDS);
    // The same through the test client, whose wrappers must go too.
    let client = Client::new(&app.application).lenient();
    let kinds = [
        "/",
        "/raises",
        "/silent",
        "/write",
        "/keep",
        "/cycle",
        "/read",
        "/file",
        "/generator",
        "/breaks",
        "/exc_info",
        "/gone",
        "/chunked",
    ];
    let round = |number: usize| {
        for kind in kinds {
            let mut request = app.request("POST", kind).field("X-Number", number.to_string().as_bytes());
            request = match kind {
                "/chunked" => request.chunked(&[b"one\n", b"two\n"]),
                "/gone" => request.body(&[b"one"]).fail_flush(0),
                _ => request.body(&[b"one\ntwo\n", b"three\n"]),
            };
            // Now and then a shape that was not seen before.
            if number % 7 == 0 {
                request = request.field(&format!("X-Odd-{}", number % 91), b"1");
            }
            request.run();

            let asked = client.post(kind).header("X-Number", number.to_string());
            let asked = match kind {
                "/chunked" => asked.chunked(["one\n", "two\n"]),
                "/gone" => asked.body("one").leave_after(0),
                _ => asked.body("one\ntwo\nthree\n"),
            };
            asked.send();
        }
    };
    app.application.thread(&mut || {
        let count = || {
            Python::attach(|py| {
                py.import("gc").unwrap().call_method0("collect").unwrap();
                py.import("sys").unwrap().call_method0("getallocatedblocks").unwrap().extract::<i64>().unwrap()
            })
        };
        // Python's own caches, those of `traceback` above all, take this long to fill.
        (0..500).for_each(round);
        let before = count();
        (500..1500).for_each(round);
        let grown = count() - before;
        // 1000 rounds of 26 requests: one object lost by a single kind of request would be above this.
        assert!(grown < 500, "{grown} more blocks of memory than before");
    });
}
