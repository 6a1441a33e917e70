//! Run Python WSGI applications (PEP 3333) from Rust.
#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]

mod exchange;
pub mod wire;
#[cfg(feature = "python")]
mod wsgi;

pub use exchange::{Exchange, Handler};
#[cfg(feature = "python")]
pub use wsgi::{Application, Home, ImportError, Interpreter, InterpreterBuilder, StartError};
