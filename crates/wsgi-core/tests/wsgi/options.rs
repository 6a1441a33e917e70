//! What the deployer can set.

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use wsgi_core::wire::Known;

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

/// What a handler in front has left.
#[derive(Clone)]
struct Login(&'static str);

/// What the application is given of it.
#[pyclass(frozen, get_all)]
struct User {
    name: String,
}

const WHO: &str = "
def application(environ, start_response):
    user = environ.get('myapp.user')
    start_response('200 OK', [])
    return [('%s %s' % (type(user).__name__, getattr(user, 'name', None))).encode()]
";

// clauses: 92
#[test]
fn a_rust_function_puts_what_belongs_to_one_request_into_its_environ() {
    let app = App::new(WHO).map(|application| {
        application.per_request(|py, exchange, environ| {
            assert_eq!(
                environ.get_item("PATH_INFO")?.unwrap().extract::<String>()?.as_bytes(),
                exchange.head().get(Known::PathInfo).unwrap()
            );
            match exchange.extensions().and_then(|extensions| extensions.get::<Login>()) {
                Some(Login(name)) => environ.set_item("myapp.user", Py::new(py, User { name: (*name).to_owned() })?),
                None => Ok(()),
            }
        })
    });
    for _ in 0..3 {
        for name in ["ada", "grace"] {
            let request = app.get("/").with(|recorder| _ = recorder.extensions.insert(Login(name)));
            request.run().is_ok(&format!("User {name}"));
        }
        // Nothing of it is left for the next request.
        app.get("/").run().is_ok("NoneType None");
    }
}

// clauses: 87, 92
#[test]
fn its_error_is_a_500_that_is_logged_and_the_application_is_not_called() {
    let app = App::new("def application(environ, start_response):\n    note('called')\n    return None")
        .map(|application| application.per_request(|_, _, _| Err(PyKeyError::new_err("no user"))));
    for _ in 0..2 {
        let answer = app.get("/a").run();
        answer.is_error("exception before the application: GET /a\n");
        assert!(answer.errors.ends_with("KeyError: 'no user'\n"), "{}", answer.errors);
        assert!(!answer.has("called"));
        let answer = app.get("/a").with(|recorder| recorder.takes_log = true).run();
        assert_eq!((answer.status(), answer.errors.as_str()), ("500 Internal Server Error", ""));
        assert!(answer.events[0].starts_with("log exception before the application: GET /a\n"), "{:?}", answer.events);
    }
}

// clauses: 92
#[test]
fn of_several_functions_the_last_counts() {
    let app = App::new(SHOW).map(|application| {
        let application = application.per_request(|_, _, environ| environ.set_item("myapp.object", 1));
        application.per_request(|_, _, environ| environ.set_item("myapp.region", 2)).variable("myapp.region", "eu").unwrap()
    });
    app.get("/").run().is_ok("[2, 'http', None, 'example.org', None]");
}
