//! The contract of PEP 3333, clause by clause, through every front end.
//!
//! Each case runs once per column of `wsgi_tests::columns`, with its fixture application plain and, if it conforms, wrapped in
//! `wsgiref.validate.validator`. The line `// clauses:` above a test is what `CONFORMANCE.md` is made from.

mod calling;
mod environ;
mod failures;
mod file_wrapper;
mod framing;
mod http1;
mod input;
mod life;
mod start_response;
mod streaming;
