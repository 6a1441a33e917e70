//! The uwsgi protocol, read and answered, and SCGI beside it. Bytes in, events out; sockets are someone else's.
#![forbid(unsafe_code)]

pub mod client;
mod connection;
mod foreign;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod packet;
mod path;
mod request;
mod scgi;
mod uwsgi;

pub use path::ScriptName;
pub use scgi::Scgi;
pub use uwsgi::Uwsgi;
