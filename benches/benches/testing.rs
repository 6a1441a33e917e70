//! What one call of an application costs in a test: by the test client, and beside it what cannot be avoided.
//!
//! ```text
//! cargo bench -p wsgi-benches --features testing --bench testing [-- PART-OF-A-NAME...]
//! ```
//!
//! The promise is 500,000 calls of hello a second on one core, thus 2000 ns each, with everything that a strict client looks at.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use wsgi_benches::{Stopwatch, unknown};
use wsgi_core::testing::Client;
use wsgi_core::wsgi::Application;

fn main() {
    Python::initialize();
    let watch = Stopwatch::new("the test client");
    let names = Python::attach(|py| {
        let names = PyDict::new(py);
        py.run(APPLICATIONS, Some(&names), None).expect("the applications are valid Python");
        names.unbind()
    });
    let application = |name: &str| {
        Application::new(Python::attach(|py| names.bind(py).get_item(name).expect("a dict").expect("it was just defined").unbind()))
    };
    for name in ["hello", "generator"] {
        let client = Client::new(application(name));
        let check = client.get("/").send();
        assert_eq!((check.status().as_u16(), check.body()), (200, &b"Hello, world!\n"[..]));
        watch.row(&format!("{name}, strict"), || drop(unknown(client.get("/").send())));
    }
    let client = Client::new(application("hello"));
    watch.row("hello, with a form, a cookie and a header", || {
        client.set_cookie("session", "8hxn2vq0v6l5t1b0q9k3m7c4z2a1x5yd");
        drop(unknown(client.post("/login?next=/").header("Accept", "text/html").form(&[("name", "ada")]).send()));
    });
    let client = Client::new(application("hello"));
    watch.row("hello, on a thread of its own", || {
        std::thread::scope(|scope| drop(unknown(scope.spawn(|| client.get("/").send().status()).join())));
    });
}

const APPLICATIONS: &CStr = c"
def hello(environ, start_response):
    body = b'Hello, world!\\n'
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(body)))])
    return [body]

def generator(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    yield b'Hello, '
    yield b'world!\\n'
";
