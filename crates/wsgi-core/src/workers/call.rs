//! The caller's half of one request.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::crossing::Crossing;
use crate::failure::Failure;
use crate::wire::ResponseHead;

/// One request that was handed to [`Workers`](super::Workers): its body goes in, its reply comes out.
///
/// Both `poll_*` methods wake the same task, that of the call that came last; so they belong into one. Dropping the call withdraws the
/// request.
pub struct Call {
    crossing: Arc<Crossing>,
}

/// A piece of a reply, in the order `Inform* Head Block* (End | Aborted)`; or `Aborted` alone. `Log` may stand anywhere before the end.
///
/// A reply that ends by [`End`](Reply::End) has as many bytes in its blocks as its head declares, if it declares a length; none if it answers
/// `HEAD` or its status allows none.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reply {
    /// An informational reply, to be left out where the protocol or the peer has none.
    Inform(ResponseHead),
    /// Text for the log of errors of whoever sent the request; only where the request says that it takes some.
    Log(Bytes),
    /// The head.
    Head(ResponseHead),
    /// A block of the body; never empty.
    Block(Bytes),
    /// The reply is whole.
    End,
    /// The reply cannot be completed, and the peer must be able to tell.
    Aborted,
}

impl Reply {
    /// How many bytes it holds that the handler may make without end.
    pub(super) fn weight(&self) -> usize {
        match self {
            Reply::Block(bytes) | Reply::Log(bytes) => bytes.len(),
            Reply::Inform(head) => head.lines().len(),
            Reply::Head(_) | Reply::End | Reply::Aborted => 0,
        }
    }
}

impl Call {
    pub(super) fn new(crossing: Arc<Crossing>) -> Call {
        Call { crossing }
    }

    /// The next piece of the reply; after its end, [`Reply::End`] again and again.
    pub fn poll_reply(&mut self, context: &mut Context<'_>) -> Poll<Reply> {
        self.crossing.poll_reply(context)
    }

    /// All that is still to come of the body, if it is here and in one piece; the reply is then over. To be asked after [`Reply::Head`], by those
    /// who treat a reply that is whole in another way than one that is not.
    pub fn take_rest(&mut self) -> Option<Bytes> {
        self.crossing.take_rest()
    }

    /// Whether more of the body is wanted: true as soon as the handler has asked for it and what it has not read is little, false once none
    /// will be wanted any more. A peer that waits for `100 Continue` is to be told at the first true.
    pub fn poll_wanted(&mut self, context: &mut Context<'_>) -> Poll<bool> {
        self.crossing.poll_wanted(context)
    }

    /// Gives the handler a piece of the body, wanted or not.
    pub fn send_body(&mut self, piece: Bytes) {
        self.crossing.push_input(piece);
    }

    /// Says that the body is over.
    pub fn end_body(&mut self) {
        self.crossing.end_input(Ok(()));
    }

    /// Says that the rest of the body will not come, and why. The handler gets this error as often as it reads.
    pub fn break_body(&mut self, error: std::io::Error) {
        self.crossing.end_input(Err(Failure::of(&error)));
    }

    /// Says that the peer seems to have gone, for handlers that ask; the request is not withdrawn by that, since a peer may also have ended
    /// just its sending side.
    pub fn hang_up(&mut self) {
        self.crossing.hang_up();
    }

    /// Withdraws the request, as dropping the call does, and says why: that is the error that the handler gets from then on.
    pub fn withdraw(self, why: std::io::Error) {
        self.crossing.withdraw(Failure::of(&why));
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").finish_non_exhaustive()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.crossing.withdraw(Failure::new(ErrorKind::ConnectionAborted, "nobody waits for the reply any more".to_owned()));
    }
}
