//! HTTP/1.0 and HTTP/1.1, server side and sans-I/O.
#![forbid(unsafe_code)]
