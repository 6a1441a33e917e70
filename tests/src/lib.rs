//! Shared parts of the tests that cross crates.
//!
//! - [`matrix`] runs one case through every [`mod@column`]: every front end, each with the application plain and wrapped in
//!   `wsgiref.validate.validator`. The cases are in `tests/matrix/`, the applications in `apps/`.
//! - [`certificate`] makes what HTTPS needs. [`client`] is the strict HTTP client that the cases look through.
//! - [`conformance`] makes `CONFORMANCE.md` from the comments above the tests.
//! - [`load`] asks from many connections at once, and counts what is not answered.
//! - [`front`] puts real web servers in front of the real server.
//! - [`machines`] makes networks of machines out of namespaces.
//! - [`process`] starts the real `serve` program, [`browser`] talks to it, [`venv`] makes the environment that holds the real frameworks.

use std::time::{Duration, Instant};

pub mod browser;
pub mod certificate;
pub mod client;
pub mod column;
pub mod columns;
pub mod conformance;
pub mod fixture;
pub mod front;
pub mod load;
pub mod log;
pub mod machines;
pub mod matrix;
pub mod process;
mod stream;
pub mod venv;

/// How long anything in a test may take before the test fails. Generous, since the machine may be busy; nothing waits for it to pass.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Says why a test is skipped; a panic in CI, where it must not be.
#[track_caller]
pub fn skip(why: &str) {
    assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{why}");
    eprintln!("skipped: {why}");
}

/// Waits until something holds; a panic when it does not in time.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(10));
    }
}
