//! How much a peer may send before it is refused.

/// Bounds on what one request may hold. Every codec takes them when it is made and enforces them itself.
///
/// ```
/// use wsgi_core::wire::Limits;
///
/// let limits = Limits { body_bytes: Some(10 * 1024 * 1024), ..Limits::default() };
/// assert_eq!(limits.head_bytes, 64 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The bytes of a request's head: the request line and fields of HTTP, the variables of uwsgi, FastCGI and SCGI, and also the trailers
    /// of a chunked body. 65,536 by default, the most that a uwsgi packet can hold and more than any browser sends.
    pub head_bytes: usize,
    /// The fields of a head. 128 by default; browsers send about fifteen, proxies add a handful.
    pub fields: usize,
    /// The bytes of a body. `None`, the default, sets no bound: a body is streamed and never held whole, so it costs no memory here.
    pub body_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { head_bytes: 64 * 1024, fields: 128, body_bytes: None }
    }
}
