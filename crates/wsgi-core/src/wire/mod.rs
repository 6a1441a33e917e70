//! What a request and a reply are on the wire side: named variables and a body in, a status, fields and a body out.
//!
//! Everything here is pure. Bytes come in as arguments and go out into a `Vec` that the caller owns; there are no sockets, no threads, no
//! clock and no Python. A codec (HTTP, uwsgi, FastCGI, SCGI) implements [`Protocol`]; whoever owns the socket drives it.
//!
//! ```text
//! bytes ──▶ Protocol::poll ──▶ RequestHead (CGI variables), Event::Body(bytes), Event::EndOfBody
//! bytes ◀── Protocol::start / data / finish ◀── ResponseHead (checked), blocks of the body
//! ```
//!
//! **In scope:** the CGI view of a request ([`RequestHead`]), a reply that is safe to send ([`ResponseHead`]), the seam for codecs
//! ([`Protocol`]), bounds ([`Limits`]), what a front server may leave out ([`Ends`]), and what a peer can do wrong ([`Error`],
//! [`Foreign`]).
//! **Out of scope:** who calls the application, and when bytes move. That is [`server`](crate::server)'s part.

mod date;
mod decimal;
mod ends;
mod error;
#[cfg(feature = "testing")]
pub mod feed;
mod foreign;
mod known;
mod limits;
mod link;
mod paths;
mod protocol;
mod request_head;
mod response_head;
mod token;

pub use date::HttpDate;
pub use decimal::parse_decimal;
pub(crate) use decimal::push_decimal;
pub use ends::Ends;
pub use error::Error;
pub use foreign::Foreign;
pub use known::Known;
pub use limits::Limits;
pub use link::{Address, Link};
pub(crate) use paths::decoded;
pub use paths::{PathRule, Paths, UnknownPathRule};
pub use protocol::{CloseReason, Dialect, Event, Next, Protocol};
pub use request_head::{BodyLength, Name, RequestHead, Underscores};
pub use response_head::{HeadError, ResponseHead};
pub use token::is_token;
