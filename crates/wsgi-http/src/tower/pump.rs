//! The body of a request on its way to the application.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body;
use http_body_util::LengthLimitError;
use wsgi_core::wire::{BodyLength, Error};
use wsgi_core::workers::Call;

use super::BoxError;

/// A request's body, whatever type it has.
pub(super) struct Upload {
    body: Pin<Box<dyn Pieces>>,
    /// How much of a declared length is still to come.
    left: Option<u64>,
    /// How much may still come at all.
    allowed: u64,
    limit: u64,
    /// The bound that a layer around the body keeps, if there is one.
    foreign_limit: u64,
}

/// A body without its types.
trait Pieces: Send {
    fn poll_piece(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>>;
}

impl<B: Body + Send> Pieces for B
where
    B::Error: Into<BoxError>,
{
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        loop {
            return Poll::Ready(match std::task::ready!(self.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(mut data) if data.has_remaining() => Some(Ok(data.copy_to_bytes(data.remaining()))),
                    // Nothing, or trailers, which CGI has no place for.
                    Ok(_) | Err(_) => continue,
                },
                Some(Err(error)) => Some(Err(error.into())),
                None => None,
            });
        }
    }
}

impl Upload {
    pub(super) fn new<B>(body: B, length: BodyLength, limit: Option<u64>) -> Upload
    where
        B: Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let left = if let BodyLength::Known(length) = length { Some(length) } else { None };
        let limit = limit.unwrap_or(u64::MAX);
        let foreign_limit = body.size_hint().upper().unwrap_or(u64::MAX);
        Upload { body: Box::pin(body), left, allowed: limit, limit, foreign_limit }
    }

    /// The next piece; none at the end.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, std::io::Error>> {
        let piece = match std::task::ready!(self.body.as_mut().poll_piece(context)) {
            Some(Ok(piece)) => piece,
            Some(Err(error)) => return Poll::Ready(Err(io_error(error, self.foreign_limit))),
            None if self.left.is_some_and(|left| left > 0) => return Poll::Ready(Err(Error::Truncated("body").into())),
            None => return Poll::Ready(Ok(None)),
        };
        let length = piece.len() as u64;
        match self.allowed.checked_sub(length) {
            Some(rest) => self.allowed = rest,
            None => return Poll::Ready(Err(Error::BodyTooLarge { limit: self.limit }.into())),
        }
        if let Some(left) = &mut self.left {
            match left.checked_sub(length) {
                Some(rest) => *left = rest,
                None => {
                    return Poll::Ready(Err(Error::malformed("request body is longer than its Content-Length").into()));
                }
            }
        }
        Poll::Ready(Ok(Some(piece)))
    }

    /// Reads the body until it ends or `most` bytes are there. Answers whether it has ended.
    pub(super) fn poll_ahead(&mut self, context: &mut Context<'_>, ahead: &mut Ahead, most: usize) -> Poll<Result<bool, std::io::Error>> {
        while ahead.len() <= most {
            match std::task::ready!(self.poll(context))? {
                Some(piece) => ahead.push(piece),
                None => return Poll::Ready(Ok(true)),
            }
        }
        Poll::Ready(Ok(false))
    }

    /// Hands on as much as is wanted and there. False once the application wants no more.
    pub(super) fn pump(&mut self, context: &mut Context<'_>, call: &mut Call) -> bool {
        loop {
            match call.poll_wanted(context) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return false,
                Poll::Pending => return true,
            }
            match self.poll(context) {
                Poll::Ready(Ok(Some(piece))) => call.send_body(piece),
                Poll::Ready(Ok(None)) => {
                    call.end_body();
                    return false;
                }
                Poll::Ready(Err(error)) => {
                    tracing::info!(target: "wsgi", "request body broke off: {error}");
                    call.break_body(error);
                    return false;
                }
                Poll::Pending => return true,
            }
        }
    }
}

/// What was read of a body before its request was handed on; the first piece uncopied, which nearly always is all.
#[derive(Default)]
pub(super) struct Ahead {
    first: Bytes,
    rest: BytesMut,
}

impl Ahead {
    fn push(&mut self, piece: Bytes) {
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.rest.extend_from_slice(&piece);
        }
    }

    fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub(super) fn take(&mut self) -> Bytes {
        if self.rest.is_empty() {
            return std::mem::take(&mut self.first);
        }
        let mut all = BytesMut::with_capacity(self.len());
        all.extend_from_slice(&self.first);
        all.extend_from_slice(&self.rest);
        all.freeze()
    }
}

/// What broke a body, as an error that says what to answer where that is known.
fn io_error(error: BoxError, limit: u64) -> std::io::Error {
    // Layers wrap the error of the body that they wrap.
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error.as_ref());
    while let Some(inner) = cause {
        if inner.is::<LengthLimitError>() {
            return Error::BodyTooLarge { limit }.into();
        }
        cause = inner.source();
    }
    match error.downcast::<std::io::Error>() {
        Ok(error) => *error,
        Err(error) => std::io::Error::other(error),
    }
}
