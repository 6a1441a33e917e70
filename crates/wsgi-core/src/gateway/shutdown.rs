//! How the end is asked for, and heard of.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::watch;

/// Ends a gateway, from any thread or task. Clones end the same one.
#[derive(Clone, Debug)]
pub struct Handle(Arc<watch::Sender<Phase>>);

/// Hears of the end. Clones hear of the same one.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Phase>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Begun,
    Hurried,
}

impl Default for Handle {
    fn default() -> Self {
        Handle::new()
    }
}

impl Handle {
    /// A handle to nothing yet, for a [`Context`](super::Context) of one's own.
    pub fn new() -> Handle {
        Handle(Arc::new(watch::Sender::new(Phase::Running)))
    }

    /// What hears of this handle's calls.
    pub fn watch(&self) -> Shutdown {
        Shutdown(Arc::clone(&self.0))
    }

    /// Asks for a graceful end and returns at once: accepts nothing more, answers what was accepted, and ends when that is done or when
    /// [`Timeouts::shutdown`](crate::server::Timeouts::shutdown) has passed. Further calls change nothing.
    pub fn shutdown(&self) {
        self.advance(Phase::Begun);
    }

    /// Cuts off what still runs, without waiting for the deadline. Returns at once.
    pub fn hurry(&self) {
        self.advance(Phase::Hurried);
    }

    fn advance(&self, to: Phase) {
        self.0.send_if_modified(|phase| {
            let later = *phase < to;
            *phase = to.max(*phase);
            later
        });
    }
}

impl Shutdown {
    /// Whether the end was asked for.
    pub fn has_begun(&self) -> bool {
        self.is_at(Phase::Begun)
    }

    /// Whether what still runs is to be cut off.
    pub fn is_hurried(&self) -> bool {
        self.is_at(Phase::Hurried)
    }

    /// Waits until the end is asked for.
    pub async fn begun(&self) {
        self.reaches(Phase::Begun).await;
    }

    /// Waits until what still runs is to be cut off.
    pub async fn hurried(&self) {
        self.reaches(Phase::Hurried).await;
    }

    /// What a future gives, or nothing if the end is asked for first. A future that is ready counts in any case.
    pub async fn unless_begun<F: Future>(&self, future: F) -> Option<F::Output> {
        first(pin!(future), pin!(self.begun())).await.left()
    }

    /// What a future gives, or nothing if what still runs is to be cut off first. A future that is ready counts in any case.
    pub async fn unless_hurried<F: Future>(&self, future: F) -> Option<F::Output> {
        first(pin!(future), pin!(self.hurried())).await.left()
    }

    fn is_at(&self, phase: Phase) -> bool {
        *self.0.borrow() >= phase
    }

    async fn reaches(&self, phase: Phase) {
        // It fails when there is no sender any more, and here is one.
        let _ = self.0.subscribe().wait_for(|now| *now >= phase).await;
    }
}

/// Which of two futures was ready first.
pub(super) enum First<L, R> {
    Left(L),
    Right(R),
}

impl<L, R> First<L, R> {
    fn left(self) -> Option<L> {
        match self {
            First::Left(output) => Some(output),
            First::Right(_) => None,
        }
    }
}

/// Runs two futures until one of them is ready; the left one if both are. They are lent, as each move would make the caller's future larger.
pub(super) async fn first<L: Future, R: Future>(mut left: Pin<&mut L>, mut right: Pin<&mut R>) -> First<L::Output, R::Output> {
    poll_fn(|context| match left.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(First::Left(output)),
        Poll::Pending => right.as_mut().poll(context).map(First::Right),
    })
    .await
}
