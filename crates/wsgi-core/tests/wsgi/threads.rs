//! Threads: one thread state for life, objects in the hands of other threads, requests inside of requests.

use std::sync::Mutex;

use pyo3::prelude::*;
use wsgi_core::Handler;

use crate::common::App;

const LOCAL: &str = "
import threading
local = threading.local()
class Kept:
    def __del__(self): note('thread state dropped')
def application(environ, start_response):
    local.calls = getattr(local, 'calls', 0) + 1
    local.kept = getattr(local, 'kept', None) or Kept()
    start_response('200 OK', [])
    return [repr((local.calls, threading.get_ident(), threading.current_thread().name, id(threading.current_thread()))).encode()]
";

// clauses: 34
#[test]
fn a_pinned_thread_keeps_its_thread_locals_and_its_identity() {
    let app = App::new(LOCAL);
    let answers = Mutex::new(vec![]);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            app.application.thread(&mut || {
                for _ in 0..3 {
                    answers.lock().unwrap().push(app.get("/").run().body().to_owned());
                }
            });
        });
    });
    let answers = answers.into_inner().unwrap();
    let rest = |call: usize| answers[call].strip_prefix(&format!("({}, ", call + 1)).unwrap_or_else(|| panic!("{answers:?}")).to_owned();
    assert_eq!(rest(0), rest(1));
    assert_eq!(rest(0), rest(2));
    // What was the thread's own is gone with it.
    assert!(app.log.lock().unwrap().contains(&"thread state dropped".to_owned()));
    // Names are never used again, identifiers are.
    let name = rest(0).split('\'').nth(1).unwrap().to_owned();
    Python::attach(|py| {
        for thread in py.import("threading").unwrap().call_method0("enumerate").unwrap().try_iter().unwrap() {
            let other: String = thread.unwrap().getattr("name").unwrap().extract().unwrap();
            assert_ne!(other, name, "threading still lists a thread that has ended");
        }
    });
}

// clauses: 3
#[test]
fn a_thread_that_is_not_pinned_works_too() {
    let app = App::new(LOCAL);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..3 {
                assert!(app.get("/").run().body().starts_with("(1, "), "a thread state for each request");
            }
        });
    });
}

// clauses: 3
#[test]
fn a_thread_that_is_attached_already_works_too() {
    let app = App::new(LOCAL);
    Python::attach(|py| {
        app.application.thread(&mut || assert!(app.get("/").run().body().starts_with('(')));
        assert!(py.import("threading").is_ok());
    });
}

// clauses: 34, 75
#[test]
fn another_thread_may_use_the_objects_while_the_request_lasts() {
    let app = App::new(
        "
import threading
def application(environ, start_response):
    result = []
    def work():
        result.append(environ['wsgi.input'].read())
        write = start_response('200 OK', [])
        write(b'from another thread')
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return [b', ', result[0]]
",
    );
    app.request("POST", "/").body(&[b"bo", b"dy"]).run().is_ok("from another thread, body");
}

/// The request must not end while another thread is inside of the exchange, and that thread must not hang either.
// clauses: 34, 83
#[test]
fn many_threads_may_use_the_objects_when_the_request_ends() {
    let app = App::new(
        "
import threading
threads = []
def application(environ, start_response):
    write = start_response('200 OK', [])
    begun = threading.Event()
    def work():
        errors = 0
        while not errors:
            try:
                write(b'x')
                environ['wsgi.input'].read(1)
                environ['wsgi.early_hints']([])
            except (RuntimeError, ValueError):
                errors += 1
            begun.set()
    for _ in range(4):
        thread = threading.Thread(target=work)
        thread.start()
        threads.append(thread)
    begun.wait()
    return [b'']
def join():
    for thread in threads:
        thread.join()
    return len(threads)
",
    );
    for _ in 0..5 {
        let answer = app.get("/").run();
        assert_eq!(answer.status(), "200 OK");
        assert!(answer.has("finish") && answer.errors.is_empty());
    }
    Python::attach(|py| {
        let globals = app.application.callable().bind(py).getattr("__globals__").unwrap();
        let joined: usize = globals.get_item("join").unwrap().call0().unwrap().extract().unwrap();
        assert_eq!(joined, 20);
    });
}

// clauses: 34
#[test]
fn several_threads_call_the_application_at_once() {
    let app = App::new(
        "
import threading
barrier = threading.Barrier(4)
def application(environ, start_response):
    barrier.wait(30)
    start_response('200 OK', [])
    return [environ['PATH_INFO'].encode()]
",
    );
    std::thread::scope(|threads| {
        let handles: Vec<_> = (0..4)
            .map(|number| {
                let app = &app;
                threads.spawn(move || {
                    let mut bodies = vec![];
                    app.application.thread(&mut || {
                        for round in 0..20 {
                            let path = format!("/{number}/{round}");
                            bodies.push((app.get(&path).run().body().to_owned(), path));
                        }
                    });
                    bodies
                })
            })
            .collect();
        for handle in handles {
            for (body, path) in handle.join().unwrap() {
                assert_eq!(body, path);
            }
        }
    });
}

/// As a test client does that an application uses on itself.
// clauses: 3
#[test]
fn a_request_may_be_made_inside_of_another() {
    let app = App::new(
        "
def application(environ, start_response):
    before = environ['PATH_INFO']
    if before == '/outer':
        nested()
    start_response('200 OK', [('X', environ['PATH_INFO'])])
    return [before.encode()]
",
    );
    #[pyclass(frozen)]
    struct Nested(wsgi_core::wsgi::Application);
    #[pymethods]
    impl Nested {
        fn __call__(&self) {
            let inner = App::new("application = None").map(|_| self.0.clone());
            inner.get("/inner").run().is_ok("/inner");
        }
    }
    Python::attach(|py| {
        let globals = app.application.callable().bind(py).getattr("__globals__").unwrap();
        globals.set_item("nested", Py::new(py, Nested(app.application.clone())).unwrap()).unwrap();
    });
    for _ in 0..3 {
        app.get("/outer").run().is_ok("/outer");
    }
}
