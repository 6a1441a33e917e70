//! Clients on threads of tests.

use std::thread;

use pyo3::prelude::*;
use wsgi_core::testing::{Client, on_a_lasting_thread};

use crate::common::{app, object, shows};

/// Counts in a `threading.local`, which tells when it goes.
const LOCAL: &str = "
import threading
gone = []
class Connection:
    def __init__(self):
        self.uses = 0
    def __del__(self):
        gone.append(self.uses)
local = threading.local()
def application(environ, start_response):
    if not hasattr(local, 'connection'):
        local.connection = Connection()
    local.connection.uses += 1
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [str(local.connection.uses).encode()]
application.gone = gone
application.threads = threading.enumerate
";

#[test]
fn a_threading_local_lasts_as_long_as_the_thread_of_the_test() {
    let application = app(LOCAL);
    let attribute = |name: &str| Python::attach(|py| application.callable().bind(py).getattr(name).unwrap().unbind());
    let gone = || -> Vec<u32> { Python::attach(|py| attribute("gone").extract(py).unwrap()) };
    for round in 0..3 {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    let client = Client::new(&application);
                    for count in 1..=5 {
                        assert_eq!(client.get("/").send().text(), count.to_string());
                    }
                    // Another client of the same thread is the same thread to Python.
                    assert_eq!(Client::new(&application).get("/").send().text(), "6");
                    assert_eq!(gone(), vec![6; round]);
                })
                .join()
                .unwrap();
        });
        // `join` waits for the destructors of the thread, among them the one that drops its Python thread state.
        assert_eq!(gone(), vec![6; round + 1]);
    }
}

#[test]
fn several_threads_call_at_once_each_with_a_client_of_its_own() {
    let application = shows("environ['HTTP_COOKIE'] + environ['PATH_INFO']");
    thread::scope(|scope| {
        for number in 0..4 {
            let application = &application;
            scope.spawn(move || {
                let client = Client::new(application);
                client.set_cookie("me", &number.to_string());
                for round in 0..50 {
                    assert_eq!(client.get(&format!("/{round}")).send().text(), format!("'me={number}/{round}'"));
                }
            });
        }
    });
}

#[test]
fn one_client_may_be_used_by_several_threads() {
    let client = Client::new(shows("environ['PATH_INFO']"));
    thread::scope(|scope| {
        for number in 0..4 {
            let client = &client;
            scope.spawn(move || {
                for round in 0..50 {
                    assert_eq!(client.get(&format!("/{number}/{round}")).send().text(), format!("'/{number}/{round}'"));
                }
            });
        }
    });
}

#[test]
fn a_client_may_be_used_while_attached_and_inside_of_a_call() {
    let inner = app("
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'inner']
");
    #[pyclass(frozen)]
    struct Ask(wsgi_core::Application);
    #[pymethods]
    impl Ask {
        fn __call__(&self) -> String {
            Client::new(&self.0).get("/").send().text().into_owned()
        }
    }
    let source = "
def make(ask):
    def application(environ, start_response):
        text = ask()
        print('outer', file=environ['wsgi.errors'])
        start_response('200 OK', [('Content-Type', 'text/plain')])
        return [text.encode()]
    return application
";
    let outer = Python::attach(|py| object(source, "make").call1(py, (Ask(inner),)).unwrap());
    let client = Client::new(wsgi_core::Application::new(outer));
    let response = Python::attach(|_| client.get("/").send());
    assert_eq!((response.text().as_ref(), response.errors()), ("inner", "outer\n"));
    assert_eq!(client.get("/").send().text(), "inner");
}

#[test]
fn a_lasting_thread_hands_on_what_it_gives_and_its_panic() {
    assert_eq!(on_a_lasting_thread(|| 7), 7);
    let panic = std::panic::catch_unwind(|| on_a_lasting_thread(|| panic!("no such file"))).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"no such file"));
}
