//! FastCGI 1.0, the Responder role, as nginx (`fastcgi_pass`), Apache (`mod_proxy_fcgi`), lighttpd, HAProxy and Caddy speak it.
//!
//! Everything travels in records of an eight-byte header and at most 65,535 bytes of content: the CGI variables in `PARAMS`, the request
//! body in `STDIN`, the reply in `STDOUT` and the log in `STDERR`.
//!
//! **This version holds no code yet.** The crate reserves the place of the codec, which will implement
//! [`wsgi_core::wire::Protocol`], like `wsgi-http` does.
#![forbid(unsafe_code)]
