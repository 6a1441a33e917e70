//! Run Python WSGI applications (PEP 3333) from Rust.
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

mod exchange;
mod mount;
pub mod server;
pub mod wire;
#[cfg(feature = "python")]
pub mod wsgi;

pub use exchange::{Exchange, Handler};
pub use mount::Mount;
#[cfg(feature = "python")]
pub use wsgi::{Application, Interpreter};
