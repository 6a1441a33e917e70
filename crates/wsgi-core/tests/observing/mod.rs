//! What observers see of requests over real sockets.

mod access;
mod metrics;
