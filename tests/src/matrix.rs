//! Runs one case through every column, with the application plain and wrapped in `wsgiref.validate.validator`.
//!
//! ```no_run
//! use wsgi_tests::matrix::matrix;
//!
//! matrix("hello").run(|site| {
//!     assert_eq!(site.get("/").text(), "Hello, world!\n");
//! });
//! ```
//!
//! A fixture in `apps/faulty` breaks PEP 3333 on purpose, so it runs plain only, as do the few in [`EXEMPT`]. With `WSGI_COLUMN` set only the
//! column of that name runs.

use std::cell::{Cell, Ref, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use pyo3::conversion::FromPyObjectOwned;

use crate::DEADLINE;
use crate::client::Wire;
use crate::column::{Column, Conversation, Feature, Front, Http, Request, Seen, Served, collect};
use crate::columns;
use crate::fixture::{Fixture, unraisable};

/// Conforming fixtures that cannot run under the validator, each with the reason.
pub const EXEMPT: &[(&str, &str)] = &[
    ("input_read_all", "the validator refuses read() without a size, which servers should allow (clause 41)"),
    ("attributes", "the validator itself looks at the attributes of the iterable"),
    ("input_steps_all", "the validator refuses read() without a size, which servers should allow (clause 41)"),
];

/// A case that is about to run: what is served, and how.
pub struct Matrix {
    fixture: &'static str,
    callable: &'static str,
    prefix: &'static str,
    threads: usize,
    variables: Vec<(String, String)>,
    http: Http,
    needs: Vec<Feature>,
}

/// A case for this fixture: `"hello"` is `apps/hello.py`.
pub fn matrix(fixture: &'static str) -> Matrix {
    Matrix { fixture, callable: "application", prefix: "", threads: 2, variables: Vec::new(), http: Http::default(), needs: Vec::new() }
}

impl Matrix {
    /// Serves another object of the fixture than `application`.
    pub fn callable(mut self, name: &'static str) -> Matrix {
        self.callable = name;
        self
    }

    /// Mounts the application at a path.
    pub fn prefix(mut self, prefix: &'static str) -> Matrix {
        self.prefix = prefix;
        self
    }

    /// How many threads may call the application; 2 by default.
    pub fn threads(mut self, threads: usize) -> Matrix {
        self.threads = threads;
        self
    }

    /// Puts a pair into every environ, as the deployer may.
    pub fn variable(mut self, name: &str, value: &str) -> Matrix {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adjusts what only HTTP has.
    pub fn http(mut self, http: Http) -> Matrix {
        self.http = http;
        self
    }

    /// Leaves out the columns that lack this.
    pub fn needs(mut self, feature: Feature) -> Matrix {
        self.needs.push(feature);
        self
    }

    /// Runs the case. A panic at its end names every combination that failed.
    pub fn run(self, case: impl Fn(&Site)) {
        let only = std::env::var("WSGI_COLUMN").ok();
        let conforming = !self.fixture.starts_with("faulty/") && !EXEMPT.iter().any(|(name, _)| *name == self.fixture);
        let wraps: &[bool] = if conforming { &[false, true] } else { &[false] };
        let (mut ran, mut failed) = (0, Vec::new());
        for column in columns::ALL {
            if only.as_deref().is_some_and(|only| only != column.name()) || column.lacks().iter().any(|lacks| self.needs.contains(lacks)) {
                continue;
            }
            for &validated in wraps {
                ran += 1;
                let how = format!("{}, {}", column.name(), if validated { "validated" } else { "plain" });
                if catch_unwind(AssertUnwindSafe(|| self.run_once(*column, validated, &case))).is_err() {
                    eprintln!("failed: {how}");
                    failed.push(how);
                }
            }
        }
        assert!(failed.is_empty(), "{} of {ran} combinations failed: {}", failed.len(), failed.join("; "));
        assert!(ran > 0 || only.is_some(), "no column has all of {:?}", self.needs);
    }

    fn run_once(&self, column: &dyn Column, validated: bool, case: &impl Fn(&Site)) {
        let fixture = Fixture::load(self.fixture);
        let mut application = fixture.callable(self.callable);
        if validated {
            application = Fixture::validated(&application);
        }
        let errors = Arc::new(Errors::default());
        let sink = Arc::clone(&errors);
        let front = column.serve(Served {
            application,
            prefix: self.prefix.to_owned(),
            threads: self.threads,
            errors: Arc::new(move |text| sink.write(text)),
            variables: self.variables.clone(),
            http: self.http.clone(),
        });
        let site = Site {
            front: RefCell::new(Some(front)),
            fixture,
            errors,
            column: column.name(),
            scheme: column.scheme(),
            lacks: column.lacks(),
            conforming: !self.fixture.starts_with("faulty/"),
            validated,
            in_order: Cell::new(true),
        };
        let passed = catch_unwind(AssertUnwindSafe(|| case(&site)));
        if let Err(panic) = passed {
            site.in_order.set(false);
            drop(site);
            std::panic::resume_unwind(panic);
        }
    }
}

/// A fixture that is being served, and what the test can see of both sides.
pub struct Site {
    /// `None` once it is stopped.
    front: RefCell<Option<Box<dyn Front>>>,
    fixture: Fixture,
    errors: Arc<Errors>,
    column: &'static str,
    scheme: &'static str,
    lacks: &'static [Feature],
    /// The fixture breaks nothing.
    conforming: bool,
    validated: bool,
    in_order: Cell<bool>,
}

impl Site {
    /// One request by a client of its own.
    pub fn send(&self, request: Request) -> Seen {
        let mut client = self.open();
        client.send(&request).unwrap_or_else(|error| panic!("the request could not be sent: {error}"));
        collect(client.as_mut())
    }

    /// One `GET` by a client of its own.
    pub fn get(&self, target: &str) -> Seen {
        self.send(Request::get(target))
    }

    /// A client that has sent this request and read nothing.
    pub fn ask(&self, request: Request) -> Box<dyn Conversation> {
        let mut client = self.open();
        client.send(&request).unwrap_or_else(|error| panic!("the request could not be sent: {error}"));
        client
    }

    /// Another client.
    pub fn open(&self) -> Box<dyn Conversation> {
        self.front().open()
    }

    /// A client that can say anything; for cases that need [`Feature::Http1`].
    pub fn wire(&self) -> Wire {
        self.front().wire().expect("a column that does not lack Http1 gives a wire")
    }

    /// Whether the column lacks this, where a case asks for more of one that does not.
    pub fn lacks(&self, feature: Feature) -> bool {
        self.lacks.contains(&feature)
    }

    /// Whether the application is wrapped in the validator.
    pub fn validated(&self) -> bool {
        self.validated
    }

    /// The name of the column.
    pub fn column(&self) -> &'static str {
        self.column
    }

    /// The scheme of the URLs under which its clients know the application.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The first value that the application notes under a name; waits for it.
    pub fn noted<T: for<'py> FromPyObjectOwned<'py>>(&self, name: &str) -> T {
        self.fixture.noted(name)
    }

    /// Everything that the application has noted under a name.
    pub fn notes<T: for<'py> FromPyObjectOwned<'py>>(&self, name: &str) -> Vec<T> {
        self.fixture.notes(name)
    }

    /// Waits until the application has noted something under this name.
    pub fn wait_for(&self, name: &str) {
        self.fixture.noted::<pyo3::Py<pyo3::PyAny>>(name);
    }

    /// How often the application has noted something under this name.
    pub fn count(&self, name: &str) -> usize {
        self.fixture.notes::<pyo3::Py<pyo3::PyAny>>(name).len()
    }

    /// Lets the application go on that waits at this gate.
    pub fn open_gate(&self, gate: &str) {
        self.fixture.open(gate);
    }

    /// What was written to `wsgi.errors`, once it contains this; a panic when it does not come.
    pub fn errors_with(&self, part: &str) -> String {
        self.errors.wait_for(part)
    }

    /// What was written to `wsgi.errors` so far.
    pub fn errors(&self) -> String {
        self.errors.text()
    }

    /// A path that no other case asks for, to find it in the log.
    pub fn unique_path(&self) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        format!("/only-here-{}-", COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks the front end for a graceful end, without waiting.
    pub fn shut_down(&self) {
        self.front().shut_down();
    }

    /// Ends everything and waits for it, so that what happens last has happened.
    pub fn stop_serving(&self) {
        if let Some(front) = self.front.borrow_mut().take() {
            self.fixture.open_all();
            let breaches = front.breaches();
            front.stop();
            // The validator puts a wrapper of its own between, to which the freedoms of `wsgi.file_wrapper` are not given (clause 98).
            if self.conforming && !self.validated && self.in_order.get() && !std::thread::panicking() {
                assert!(breaches.is_empty(), "a fixture that conforms is said to break {breaches:?}");
            }
        }
    }

    fn front(&self) -> Ref<'_, dyn Front> {
        Ref::map(self.front.borrow(), |front| front.as_deref().expect("a site that was not stopped"))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop_serving();
        let unraisable = unraisable();
        if self.in_order.get() && !std::thread::panicking() {
            assert!(unraisable.is_empty(), "Python could not raise {unraisable:?}");
        } else {
            eprintln!("wsgi.errors was: {}", self.errors());
        }
    }
}

/// What is written to `wsgi.errors` during one case.
#[derive(Default)]
struct Errors {
    text: Mutex<String>,
    more: Condvar,
}

impl Errors {
    fn write(&self, text: &str) {
        self.text.lock().expect("no panic while it is held").push_str(text);
        self.more.notify_all();
    }

    fn text(&self) -> String {
        self.text.lock().expect("no panic while it is held").clone()
    }

    fn wait_for(&self, part: &str) -> String {
        let end = Instant::now() + DEADLINE;
        let mut text = self.text.lock().expect("no panic while it is held");
        while !text.contains(part) {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let said = text.clone();
                drop(text);
                panic!("wsgi.errors never said {part:?}, but {said:?}");
            }
            text = self.more.wait_timeout(text, left).expect("no panic while it is held").0;
        }
        text.clone()
    }
}
