//! `WsgiService` with handlers in Rust: what they see of a request, what becomes of their replies, and what goes on around them.
//!
//! With Python behind it the same service is a column of the contract matrix, in the package of the tests.

mod common;
mod layers;
mod replies;
mod requests;
mod servers;
mod streams;
