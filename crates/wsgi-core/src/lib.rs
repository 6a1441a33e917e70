//! Run Python WSGI applications (PEP 3333) from Rust.
#![cfg_attr(not(feature = "python"), forbid(unsafe_code))]

mod exchange;
pub mod wire;

pub use exchange::{Exchange, Handler};
