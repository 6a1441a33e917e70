//! The test client: what it asks, what it gets, and what it has against an application.
#![cfg(feature = "python")]

mod breaches;
mod common;
mod replies;
mod requests;
mod threads;
