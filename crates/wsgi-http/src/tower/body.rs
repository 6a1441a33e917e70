//! The body of a response, as the application makes it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use wsgi_core::workers::{Call, Reply};

use super::pump::Upload;

/// The body of a response.
///
/// A block of it is there as soon as the application has yielded it. While it is polled, it also hands the rest of the request's body to an
/// application that still reads. Dropped before its end, it ends the application's work on the response.
pub struct WsgiBody {
    state: State,
    /// What is still to come, where that is declared.
    left: Option<u64>,
}

/// The application could not complete its response. Whoever sends it must let the client see that it is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the application did not complete its response")]
pub struct BodyError;

enum State {
    /// All there is.
    Whole(Bytes),
    Coming {
        call: Call,
        upload: Option<Upload>,
    },
    /// It breaks off at the next poll.
    Broken,
    Over,
}

impl WsgiBody {
    pub(super) fn whole(bytes: Bytes) -> WsgiBody {
        let left = Some(bytes.len() as u64);
        WsgiBody { state: if bytes.is_empty() { State::Over } else { State::Whole(bytes) }, left }
    }

    pub(super) fn coming(call: Call, upload: Option<Upload>, length: Option<u64>) -> WsgiBody {
        WsgiBody { state: State::Coming { call, upload }, left: length }
    }

    /// A body that goes nowhere, of a reply whose length is declared nevertheless: that to a HEAD request.
    pub(super) fn none() -> WsgiBody {
        WsgiBody { state: State::Over, left: None }
    }

    fn give(&mut self, block: Bytes) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(block.len() as u64);
        }
        Poll::Ready(Some(Ok(Frame::data(block))))
    }
}

/// Nothing, as layers send it that answer instead of the application.
impl Default for WsgiBody {
    fn default() -> WsgiBody {
        WsgiBody::whole(Bytes::new())
    }
}

impl fmt::Debug for WsgiBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsgiBody").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Body for WsgiBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match &mut this.state {
            State::Over => Poll::Ready(None),
            State::Whole(bytes) => {
                let block = std::mem::take(bytes);
                this.state = State::Over;
                this.give(block)
            }
            State::Broken => {
                this.state = State::Over;
                Poll::Ready(Some(Err(BodyError)))
            }
            State::Coming { call, upload } => {
                if upload.as_mut().is_some_and(|upload| !upload.pump(context, call)) {
                    *upload = None;
                }
                match std::task::ready!(call.poll_reply(context)) {
                    Reply::Block(block) => this.give(block),
                    Reply::Aborted => {
                        // A server that gets an error drops what it has not sent yet (hyper does). One that gets nothing yet sends that first.
                        this.state = State::Broken;
                        context.waker().wake_by_ref();
                        Poll::Pending
                    }
                    _ => {
                        this.state = State::Over;
                        Poll::Ready(None)
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
