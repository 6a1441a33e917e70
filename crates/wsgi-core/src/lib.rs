//! Run Python WSGI applications (PEP 3333) from Rust.
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
