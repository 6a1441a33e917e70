//! PEP 3333, server side, clause by clause, over an exchange in memory: no socket, no codec.
#![cfg(feature = "python")]

mod common;
mod environ;
