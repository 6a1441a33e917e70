//! PEP 3333, server side, clause by clause, over an exchange in memory: no socket, no codec.
//!
//! The line above each test names the clauses that it is about; CONFORMANCE.md is made from these lines.
#![cfg(feature = "python")]

mod common;
mod environ;
mod errors;
mod extensions;
mod failures;
mod file_wrapper;
mod harakiri;
mod input;
mod options;
mod reply;
mod start_response;
mod threads;
mod validator;
