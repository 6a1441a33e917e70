//! A test client: calls an application in this process, on the calling thread, without sockets, threads or codecs.
//!
//! ```
//! use pyo3::prelude::*;
//! use wsgi_core::testing::Client;
//! use wsgi_core::wsgi::Application;
//! # Python::initialize();
//! # let callable = Python::attach(|py| {
//! #     py.run(c"
//! # def site(environ, start_response):
//! #     name = environ['wsgi.input'].read(100).decode().partition('=')[2]
//! #     start_response('303 See Other', [('Location', '/'), ('Set-Cookie', 'name=' + name)])
//! #     return []
//! # ", None, None)?;
//! #     py.import("__main__")?.getattr("site").map(Bound::unbind)
//! # })?;
//!
//! // `callable` is the application object; `Interpreter::load("mysite.wsgi")` gives an `Application` too.
//! let application = Application::new(callable);
//! let client = Client::new(&application);
//!
//! let response = client.post("/login").form(&[("name", "ada")]).send();
//! assert_eq!(response.status(), 303);
//! assert_eq!(response.header("Location"), Some("/"));
//! assert_eq!(client.cookie("name").as_deref(), Some("ada"));
//! # Ok::<(), PyErr>(())
//! ```
//!
//! # Breaches of PEP 3333
//! The client watches the application, and knows what it may not do: every [`Breach`] names the clause, and what was got and expected. A
//! [strict](Client::strict) client panics with all of them, which is the default: what breaks the contract works here and fails on some other
//! server. A [lenient](Client::lenient) one only lists them, in [`Response::breaches`]. Only what PEP 3333 forbids makes it panic; what is
//! merely unwise is a [`Weight::Warning`].
//!
//! It finds what `wsgiref.validate` does, and more, with these exceptions: `read()` without a size, which servers should allow (clause 41);
//! header names that RFC 9110 allows, such as `X.Y`; a redirect without `Content-Type`; and a `Content-Type` with 204 and 304, which is a
//! warning here. What happens between a middleware and what it wraps cannot be seen from outside, such as a `close()` that is not handed on,
//! or an `environ` that is no `dict`.
//!
//! # One process, one interpreter
//! `cargo test` runs the tests of one file at the same time, each on a thread of its own. So the interpreter and the application are set up
//! once, and each test has a client of its own:
//!
//! ```no_run
//! use std::sync::LazyLock;
//! use wsgi_core::testing::{Client, on_a_lasting_thread};
//! use wsgi_core::{Application, Interpreter};
//!
//! static SITE: LazyLock<Application> = LazyLock::new(|| {
//!     on_a_lasting_thread(|| {
//!         let python = Interpreter::builder().home("venv").chdir(".").start().unwrap();
//!         python.load("mysite.wsgi").unwrap()
//!     })
//! });
//!
//! #[test]
//! fn the_front_page_greets() {
//!     let client = Client::new(&*SITE);
//!     assert!(client.get("/").send().text().contains("Welcome"));
//! }
//! ```
//!
//! A thread that has used a client keeps its Python thread state until it ends: calls are fast, and `threading.local`, in which Django keeps
//! its database connections, lasts from call to call and is dropped with the thread.
//!
//! **In scope:** everything between a test and the application. **Out of scope:** HTTP itself; framing, `Date`, `Connection` and limits are
//! those of a codec, which has its own tests (`wire::feed`).

pub(crate) mod breach;
mod client;
mod cookies;
mod encode;
mod exchange;
mod redirect;
mod request;
mod response;

pub use breach::{Breach, Weight};
pub use client::{Client, on_a_lasting_thread};
pub use cookies::Cookie;
pub use encode::Multipart;
pub use exchange::Sent;
pub use request::Request;
pub use response::{Closed, Exception, Informational, Response};
