//! What a peer can do wrong, and the one table from that to a status.

use std::borrow::Cow;

use http::StatusCode;

use super::ResponseHead;

/// A request that is refused. The peer is at fault, never the application.
///
/// [`status`](Error::status) is the only place that maps an error to what goes on the wire. After any of these the connection closes,
/// since where the next request would begin is no longer known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The bytes are not what the protocol says. The text names what was got and what was expected.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// The head did not end within [`Limits::head_bytes`](super::Limits::head_bytes).
    #[error("request head exceeds {limit} bytes")]
    HeadTooLarge {
        /// The bound that was passed.
        limit: usize,
    },
    /// The request line alone did not end within the bound.
    #[error("request target exceeds {limit} bytes")]
    TargetTooLong {
        /// The bound that was passed.
        limit: usize,
    },
    /// More fields than [`Limits::fields`](super::Limits::fields).
    #[error("request head has more than {limit} fields")]
    TooManyFields {
        /// The bound that was passed.
        limit: usize,
    },
    /// The body is, or has become, longer than [`Limits::body_bytes`](super::Limits::body_bytes).
    #[error("request body exceeds {limit} bytes")]
    BodyTooLarge {
        /// The bound that was passed.
        limit: u64,
    },
    /// A version of the protocol that is not spoken here.
    #[error("protocol version {0} is not supported")]
    Version(Cow<'static, str>),
    /// Something that the protocol defines and this server does not do: a transfer coding, a method such as `CONNECT`, a modifier, a role.
    #[error("{0} is not implemented")]
    NotImplemented(Cow<'static, str>),
    /// An `Expect` field with anything but `100-continue` (RFC 9110, 10.1.1).
    #[error("expectation {0:?} cannot be met")]
    Expectation(String),
    /// The peer closed before its head or body was complete.
    #[error("peer closed the connection inside its {0}")]
    Truncated(&'static str),
    /// The peer took longer than a deadline allows.
    #[error("peer took longer than {seconds} s to send its {what}")]
    Timeout {
        /// `head` or `body`.
        what: &'static str,
        /// The deadline.
        seconds: u64,
    },
    /// There is no room for another request now.
    #[error("server is overloaded: {0}")]
    Overloaded(Cow<'static, str>),
}

impl Error {
    /// A [`Malformed`](Error::Malformed) with this text.
    pub fn malformed(text: impl Into<Cow<'static, str>>) -> Error {
        Error::Malformed(text.into())
    }

    /// The status that tells the peer, in protocols that have statuses.
    pub fn status(&self) -> StatusCode {
        match self {
            Error::Malformed(_) | Error::Truncated(_) => StatusCode::BAD_REQUEST,
            Error::HeadTooLarge { .. } | Error::TooManyFields { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Error::TargetTooLong { .. } => StatusCode::URI_TOO_LONG,
            Error::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Error::Version(_) => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            Error::NotImplemented(_) => StatusCode::NOT_IMPLEMENTED,
            Error::Expectation(_) => StatusCode::EXPECTATION_FAILED,
            Error::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Error::Overloaded(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The error as the body of a reply: one line with its end, of bounded length, since it may quote what was sent.
    pub fn explanation(&self) -> String {
        let mut text = self.to_string();
        if text.len() > EXPLANATION_BYTES {
            let end = (0..=EXPLANATION_BYTES).rev().find(|&at| text.is_char_boundary(at)).unwrap_or_default();
            text.truncate(end);
            text.push_str("...");
        }
        text.push('\n');
        text
    }

    /// The whole reply that tells the peer: its head, and its body, which is the [`explanation`](Error::explanation).
    pub fn reply(&self) -> (ResponseHead, String) {
        let text = self.explanation();
        let mut head = ResponseHead::plain(self.status(), text.len() as u64);
        // The text may quote what was sent; no browser is to take that for a page.
        let nosniff = head.field(b"X-Content-Type-Options", b"nosniff");
        debug_assert!(nosniff.is_ok());
        (head, text)
    }
}

/// A body that fails while the application reads it surfaces as the cause of an [`std::io::Error`].
impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        let kind = match error {
            Error::Truncated(_) => std::io::ErrorKind::UnexpectedEof,
            Error::Timeout { .. } => std::io::ErrorKind::TimedOut,
            _ => std::io::ErrorKind::InvalidData,
        };
        std::io::Error::new(kind, error)
    }
}

/// More of what was sent is not quoted.
const EXPLANATION_BYTES: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_explanation_is_cut_where_a_character_ends() {
        let (head, text) = Error::Expectation("é".repeat(1000)).reply();
        assert!(text.ends_with("é...\n") && text.len() <= EXPLANATION_BYTES + 4, "{text}");
        assert_eq!(head.content_length(), Some(text.len() as u64));
    }
}
