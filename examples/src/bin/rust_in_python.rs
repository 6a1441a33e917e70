//! Rust inside Python: `cargo run -p wsgi-examples --bin rust_in_python`, then <http://127.0.0.1:8000/?user=ada>.
//!
//! The application in `apps/uses_rust.py` gets Rust in three ways: as a module that it imports, as an object that all requests share, and as an
//! object of its own for each request, made of what a handler in front has found out. The first argument replaces the address.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::Known;
use wsgi_core::wsgi::Interpreter;
use wsgi_core::{Exchange, Handler};
use wsgi_http::Http1;

/// `import rustkit`: functions and classes as of any other module.
#[pymodule]
mod rustkit {
    use pyo3::prelude::*;

    /// How often each word occurs, the most frequent first. Other threads run Python meanwhile.
    #[pyfunction]
    fn count_words(py: Python<'_>, text: &str) -> Vec<(String, usize)> {
        py.detach(|| {
            let mut counts: Vec<(String, usize)> = Vec::new();
            for word in text.split_whitespace().map(str::to_lowercase) {
                match counts.iter_mut().find(|(other, _)| *other == word) {
                    Some((_, count)) => *count += 1,
                    None => counts.push((word, 1)),
                }
            }
            counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            counts
        })
    }
}

/// `environ["example.visits"]`: one for all requests and all threads.
///
/// What Python shares between threads is `frozen` and guards what it changes. No Python runs while the lock is held, so nobody waits for it who
/// keeps others from running.
#[pyclass(frozen)]
#[derive(Default)]
struct Visits {
    counts: Mutex<HashMap<String, u64>>,
}

#[pymethods]
impl Visits {
    /// Counts a visit, and gives the number of visits so far.
    fn add(&self, name: String) -> u64 {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(name).or_default();
        *count += 1;
        *count
    }
}

/// `environ["example.user"]`: who sent this request.
#[pyclass(frozen, get_all)]
struct User {
    name: String,
    admin: bool,
}

/// What is known of the user before Python hears of the request.
#[derive(Clone)]
struct Login {
    name: String,
}

/// Finds out who the user is. A real one would look at a cookie or a token, and refuse who has none.
struct Authenticated<H>(H);

impl<H: Handler> Handler for Authenticated<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let query = exchange.head().get(Known::QueryString).unwrap_or_default();
        let name = query.strip_prefix(b"user=").map(|name| String::from_utf8_lossy(name).into_owned());
        if let (Some(name), Some(extensions)) = (name, exchange.extensions_mut()) {
            extensions.insert(Login { name });
        }
        self.0.handle(exchange);
    }

    /// Python needs something on every thread that calls it; a handler around another must pass this on.
    fn thread(&self, work: &mut dyn FnMut()) {
        self.0.thread(work);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // Before Python starts: from then on the list of built-in modules is settled.
    pyo3::append_to_inittab!(rustkit);
    let interpreter = Interpreter::builder().python_path(concat!(env!("CARGO_MANIFEST_DIR"), "/apps")).start()?;
    let visits = Python::attach(|py| Py::new(py, Visits::default()))?;
    let application = interpreter.load("uses_rust")?.object("example.visits", visits.into_any())?.per_request(|py, exchange, environ| {
        match exchange.extensions().and_then(|extensions| extensions.get::<Login>()) {
            Some(Login { name }) => environ.set_item("example.user", Py::new(py, User { name: name.clone(), admin: name == "ada" })?),
            None => Ok(()),
        }
    });

    let listener = Listener::bind(&std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8000").parse()?)?;
    println!("listening on http://{}/", listener.local_address());
    Server::new(Authenticated(application)).listen(listener, Http1::new()).threads(4).start()?.wait();
    Ok(())
}
