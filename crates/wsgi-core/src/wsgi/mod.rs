//! The WSGI side: a Python callable as a [`Handler`](crate::Handler), by the letter of PEP 3333.
//!
//! ```text
//! Handler::handle(exchange)
//!   │ body of unknown length? read it whole                    spool.rs
//!   │ attach to Python
//!   │ environ = copy of what the last such request had         environ.rs, kit.rs
//!   │ lend the exchange ─────────────────────────────┐         lent.rs, session.rs
//!   │ answer = application(environ, start_response)  │         driver.rs
//!   │            │ start_response(status, headers)   │         start_response.rs  checks and stores, sends nothing
//!   │            │ write(block)                      │ ──────▶ start, data, flush
//!   │            │ wsgi.input.read(n)                │ ◀────── read               input.rs
//!   │ for block in answer:                           │ ──────▶ start (once), data, flush
//!   │ the end                                        │ ──────▶ finish, flush      reply.rs  how far it has come
//!   │ answer.close()                                 │
//!   │ take it back ──────────────────────────────────┘
//!   ▼ detach
//! ```
//!
//! **In scope:** everything that PEP 3333 asks of a server and that is not framing, and what frameworks expect besides: `wsgi.file_wrapper`,
//! `wsgi.early_hints`, `wsgi.input_terminated`, `waitress.client_disconnected`. **Out of scope:** protocols, sockets, threads.
//!
//! # What an application finds in `environ`
//!
//! | key | value |
//! |---|---|
//! | `REQUEST_METHOD`, `SCRIPT_NAME`, `PATH_INFO`, `QUERY_STRING`, `SERVER_NAME`, `SERVER_PORT`, `SERVER_PROTOCOL` | always; the last three never empty |
//! | `CONTENT_TYPE`, `CONTENT_LENGTH` | where the request has them; the length also where a body of unknown length was spooled |
//! | `REMOTE_ADDR`, `REMOTE_PORT`, `REQUEST_URI`, `RAW_URI`, `HTTPS`, ... | as far as the protocol says them |
//! | `HTTP_*` | the request's fields |
//! | `SERVER_SOFTWARE`, `GATEWAY_INTERFACE` | ours, unless the protocol says others |
//! | `wsgi.version` | `(1, 0)` |
//! | `wsgi.url_scheme` | `https` if `HTTPS` or `REQUEST_SCHEME` say so, otherwise `http` |
//! | `wsgi.input` | the body; `wsgi.input_terminated` is `True`, since it ends where the body does |
//! | `wsgi.errors` | a text stream, see [`Application::errors`] |
//! | `wsgi.multithread`, `wsgi.multiprocess` | what the server that runs the application says |
//! | `wsgi.run_once` | `False` |
//! | `wsgi.file_wrapper` | sends regular files by `sendfile` |
//! | `wsgi.early_hints` | sends 103 Early Hints |
//! | `waitress.client_disconnected` | whether the client is known to be gone |
//! | anything else | [`Application::variable`], [`Application::object`] and [`Application::per_request`] |
//!
//! The process's environment variables are not among them.

mod application;
mod driver;
mod early_hints;
mod environ;
mod errors;
mod exception;
mod file_wrapper;
mod harakiri;
mod import;
mod input;
mod interpreter;
#[cfg(feature = "testing")]
pub(crate) mod kept;
mod kit;
mod lent;
mod reply;
mod request_line;
mod session;
mod spool;
mod standard_error;
mod start_response;
mod text;
mod unfinished;
#[cfg(feature = "testing")]
pub(crate) mod watch;

pub use application::{Application, ReservedName};
pub use errors::ErrorSink;
pub use harakiri::{Harakiri, Stuck, Watched};
pub use import::ImportError;
pub use interpreter::{Home, Interpreter, InterpreterBuilder, StartError};
pub use spool::UnsizedBody;
pub use standard_error::{log_line, redirect_standard_error};
