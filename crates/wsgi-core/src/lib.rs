//! Run Python WSGI applications (PEP 3333) from Rust: Django, Flask, or anything else that follows the contract.
//!
//! ```text
//!  a codec (wsgi-http, ...)      ─▶ RequestHead ─▶  Handler: an Application, a Mount, your own
//!  wire: bytes in, events out    ◀─ ResponseHead ◀─  over an Exchange: read | queue | flush
//!             └──────────── server: sockets, threads, deadlines, shutdown ───────────┘
//! ```
//!
//! - [`wire`] is pure: a request as CGI variables, a reply that is safe to send, and the seam for codecs.
//! - [`server`] is the engine that all protocols share. It knows no Python.
//! - [`workers`] runs handlers for callers that must not block, and `gateway`, with the feature `tokio`, is the engine's counterpart for async
//!   programs: any set of front ends over one application.
//! - `wsgi`, with the feature `python`, is the contract: `Application` is a [`Handler`], and `Interpreter` sets Python up and ends it in order.
//! - [`observe`] shows requests as they go by, and [`access`] writes a line about each.
//! - `processes`, with the feature of that name, keeps several processes behind the same sockets, and replaces them without a gap.
//! - [`Handler`]s compose: [`Mount`] hands on by path prefix, [`files::StaticFiles`] answers with files, [`proxies`] finds out who the
//!   client is behind proxies, [`Identified`] gives requests names, and so can yours.
//! - `testing`, with the feature of that name, calls an application in process and says where it breaks PEP 3333.
//!
//! This crate speaks no protocol by itself; add `wsgi-http`, `wsgi-uwsgi-proto` or `wsgi-fastcgi`.
//!
#![cfg_attr(
    feature = "python",
    doc = "
```no_run
use wsgi_core::server::{Listener, Server};
use wsgi_core::Interpreter;
# fn codec(_: &wsgi_core::wire::Link) -> Box<dyn wsgi_core::wire::Protocol> { unimplemented!() }

let python = Interpreter::builder().chdir(\"/srv/mysite\").home(\"/srv/mysite/venv\").start()?;
let application = python.load(\"mysite.wsgi:application\")?;
let listener = Listener::bind(&\"127.0.0.1:8000\".parse()?)?;
// In place of `codec`: wsgi_http::Http1::new(), or any other dialect.
Server::new(application).listen(listener, codec).threads(4).start()?.wait();
python.stop(std::time::Duration::from_secs(5));
# Ok::<(), Box<dyn std::error::Error>>(())
```
"
)]
//!
//! # Features
//! | name | default | what it adds |
//! |---|---|---|
//! | `python` | yes | `wsgi`; without it nothing here needs a Python |
//! | `processes` | no | `processes`, a master that keeps worker processes behind the same sockets |
//! | `tokio` | no | `gateway`: any set of front ends, codecs over tokio streams among them, over one application inside an async program |
//! | `metrics` | no | `metrics`: counters and times, as Prometheus, uWSGI's tools and people read them |
//! | `testing` | no | `wire::feed`, which drives a codec whole, byte by byte and at every split; with `python`, `testing::Client`, which calls an application in process |
//! | `json` | no | JSON for `testing::Client`, by serde; it brings `testing` with it |
//!
//! # Linking
//! With the feature `python`, which is on by default, a program needs libpython: of Python 3.10 or later, built as a shared library. Which one
//! is settled when the program is built: the one of `PYO3_PYTHON`, else of the active virtualenv, else of `python3` on the `PATH`.
//!
//! Programs, tests and doc tests that cargo runs find it without more ado. So does any program if it lies where the loader looks, as that of
//! a Linux distribution does. For another (pyenv's, uv's), let the program's own `build.rs` write its folder into the program, as link
//! arguments do not come with a dependency:
//!
//! ```no_run
//! # mod pyo3_build_config { pub fn add_libpython_rpath_link_args() {} }
//! fn main() {
//!     pyo3_build_config::add_libpython_rpath_link_args();
//! }
//! ```
//!
//! This takes two lines in `Cargo.toml`. The first is needed even if the program does not use `pyo3` itself, since that is who is asked:
//!
//! ```toml
//! [dependencies]
//! pyo3 = "0.30"
//!
//! [build-dependencies]
//! pyo3-build-config = "0.30"
//! ```
//!
//! Python's own files are found from where libpython lies when the program runs, wherever that is by then.

#![deny(unsafe_code)]
#![warn(missing_debug_implementations)]

pub mod access;
mod clock;
mod exchange;
mod failure;
pub mod files;
#[cfg(feature = "tokio")]
pub mod gateway;
mod listening;
#[cfg(feature = "metrics")]
pub mod metrics;
mod mount;
pub mod observe;
mod panics;
#[cfg(feature = "processes")]
pub mod processes;
pub mod proxies;
mod request_id;
pub mod server;
#[cfg(all(feature = "testing", feature = "python"))]
pub mod testing;
pub mod wire;
pub mod workers;
#[cfg(feature = "python")]
pub mod wsgi;

pub use exchange::{Exchange, Handler, Part};
pub use mount::Mount;
pub use request_id::Identified;
#[cfg(feature = "python")]
pub use wsgi::{Application, Interpreter};
