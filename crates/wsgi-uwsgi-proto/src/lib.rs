//! The uwsgi binary protocol, as nginx (`uwsgi_pass`) and Apache (`mod_proxy_uwsgi`) speak it to an application server.
//!
//! A packet is a header of four bytes (`modifier1`, the size of the variables as a little-endian `u16`, `modifier2`), then pairs of
//! length-prefixed CGI variables; the request body follows raw, for as many bytes as `CONTENT_LENGTH` says.
//!
//! **This version holds no code yet.** The crate reserves the place of the codec, which will implement
//! [`wsgi_core::wire::Protocol`], like `wsgi-http` does.
#![forbid(unsafe_code)]
