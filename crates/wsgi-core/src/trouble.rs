//! Trouble that lasts: said when it begins and when it is over, however often it is met in between.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::clock;

/// One kind of trouble at one place, such as that there are no descriptors for a listener's connections.
///
/// Whoever meets it calls [`met`](Trouble::met) and says so if that is true; whoever finds things in order calls [`over`](Trouble::over) and says so
/// if that answers. What comes and goes within a few seconds is one trouble.
#[derive(Debug, Default)]
pub(crate) struct Trouble {
    there: AtomicBool,
    /// When it was met last, by [`clock::now`].
    last: AtomicU64,
    /// How often it was met.
    count: AtomicU64,
}

impl Trouble {
    pub(crate) const fn new() -> Trouble {
        Trouble { there: AtomicBool::new(false), last: AtomicU64::new(0), count: AtomicU64::new(0) }
    }

    /// Notes it. True if it is new, and so is to be said.
    pub(crate) fn met(&self) -> bool {
        self.last.store(clock::now(), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
        !self.there.swap(true, Ordering::Relaxed)
    }

    /// What was met has passed, perhaps to come back at once: it is not over before a while from now.
    pub(crate) fn passes(&self) {
        if self.there.load(Ordering::Relaxed) {
            self.last.store(clock::now(), Ordering::Relaxed);
        }
    }

    /// Things are in order now. How often it was met if it was there and is over, which is to be said, once. Costs a look if there was none.
    pub(crate) fn over(&self) -> Option<u64> {
        if !self.there.load(Ordering::Relaxed) || clock::now() < self.last.load(Ordering::Relaxed) + SETTLED {
            return None;
        }
        self.there.swap(false, Ordering::Relaxed).then(|| self.count.swap(0, Ordering::Relaxed))
    }
}

/// How many milliseconds it must not have been met before it is over.
const SETTLED: u64 = 5000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_once_and_once_more_when_it_has_not_come_back_for_a_while() {
        let trouble = Trouble::new();
        assert_eq!(trouble.over(), None);
        assert!(trouble.met() && !trouble.met());
        assert_eq!(trouble.over(), None, "it was here just now");
        assert!(!trouble.met());
        trouble.last.store(clock::now().saturating_sub(SETTLED), Ordering::Relaxed);
        trouble.passes();
        assert_eq!(trouble.over(), None, "it may come back at once");
        trouble.last.store(clock::now().saturating_sub(SETTLED), Ordering::Relaxed);
        assert_eq!((trouble.over(), trouble.over()), (Some(3), None));
        assert!(trouble.met());
    }
}
