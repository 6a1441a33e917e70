//! What the deployer can set.

use pyo3::prelude::*;

use crate::common::App;

const SHOW: &str = "
def application(environ, start_response):
    start_response('200 OK', [])
    return [repr([environ.get(n) for n in ('myapp.region', 'wsgi.url_scheme', 'HTTP_X_A', 'SERVER_NAME', 'myapp.object')]).encode()]
";

// clauses: 92
#[test]
fn the_deployers_variables_are_in_environ_and_win_over_the_requests() {
    let app = App::new(SHOW).map(|application| {
        let object = Python::attach(|py| py.eval(c"{1: 2}", None, None).unwrap().unbind());
        let application = application.variable("myapp.region", "caf\u{e9}").unwrap().variable("wsgi.url_scheme", "https").unwrap();
        application.variable("HTTP_X_A", "mine").unwrap().object("myapp.object", object).unwrap()
    });
    for value in [b"1", b"2"] {
        let request = app.get("/").field("X-A", value).variable("myapp.object", b"theirs");
        request.run().is_ok("['cafÃ©', 'https', 'mine', 'example.org', {1: 2}]");
    }
}

// clauses: 37, 92
#[test]
fn names_that_are_the_servers_cannot_be_set() {
    let app = App::new(SHOW);
    for name in ["wsgi.input", "wsgi.version", "waitress.client_disconnected"] {
        let error = app.application.clone().variable(name, "x").err().unwrap();
        assert_eq!(error.to_string(), format!("environ variable {name:?} belongs to the server and cannot be set"));
        let none = Python::attach(|py| py.None());
        assert!(app.application.clone().object(name, none).is_err());
    }
}

// clauses: 92
#[test]
fn a_clone_with_other_options_is_another_application() {
    let one = App::new(SHOW).map(|application| application.variable("myapp.region", "one").unwrap());
    let two = App::new(SHOW).map(|_| one.application.clone().variable("SERVER_NAME", "two").unwrap());
    for _ in 0..3 {
        one.get("/").run().is_ok("['one', 'http', None, 'example.org', None]");
        two.get("/").run().is_ok("['one', 'http', None, 'two', None]");
    }
}
