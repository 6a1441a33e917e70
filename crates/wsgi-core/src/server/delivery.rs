//! A reply that its handler has left, for whoever wants to know what becomes of it.

use crate::exchange::{Outcome, Told};
use crate::panics::survive;

/// A reply that is still being sent. Where nobody has said how it ended when this is dropped, the peer did not take it.
pub(super) struct Delivery {
    told: Option<Told>,
    /// How many bytes of the reply the system has taken.
    taken: u64,
}

impl Delivery {
    pub(super) fn new(told: Told, taken: u64) -> Delivery {
        Delivery { told: Some(told), taken }
    }

    /// The system has taken some more.
    pub(super) fn took(&mut self, bytes: usize) {
        self.taken += bytes as u64;
    }

    /// The reply is over.
    pub(super) fn end(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        if let Some(told) = self.told.take() {
            survive("observer", || told(outcome, Some(self.taken)));
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.tell(Outcome::Lost);
    }
}
