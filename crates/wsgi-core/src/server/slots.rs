//! The table of connections, which every worker reaches without a common lock.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use super::connection::Connection;
use crate::clock::NEVER;

/// Every connection, by its index, which is also its key in the poller.
///
/// A slot is never freed, only emptied, so an event that comes late finds an empty slot or another connection: both only look whether there
/// is something to read.
pub(super) struct Slots {
    pages: Box<[OnceLock<Box<[Slot; PAGE]>>]>,
    free: Mutex<Free>,
}

struct Free {
    indexes: Vec<u32>,
    /// The lowest index that was never given out.
    fresh: u32,
    used: usize,
    max: usize,
}

/// One place for a connection.
pub(super) struct Slot {
    connection: Mutex<Option<Box<Connection>>>,
    /// Something happened that the holder of the lock may not have seen.
    pending: AtomicBool,
    /// The poller has said that the peer closed its side, or that the connection broke.
    hangup: AtomicBool,
    /// When the connection is to be looked at even if nothing happens; never while a worker holds it.
    deadline: AtomicU64,
}

impl Slots {
    pub(super) fn new(max: usize) -> Slots {
        let max = max.clamp(1, MAX_CONNECTIONS);
        let pages = (0..max.div_ceil(PAGE)).map(|_| OnceLock::new()).collect();
        Slots { pages, free: Mutex::new(Free { indexes: Vec::new(), fresh: 0, used: 0, max }) }
    }

    /// The slot of an index that [`claim`](Self::claim) gave.
    pub(super) fn slot(&self, index: u32) -> &Slot {
        let page = self.pages[index as usize / PAGE].get_or_init(|| Box::new(std::array::from_fn(|_| Slot::empty())));
        &page[index as usize % PAGE]
    }

    /// An index for a new connection; none if there are as many as are allowed.
    pub(super) fn claim(&self) -> Option<u32> {
        let mut free = self.free();
        if free.used == free.max {
            return None;
        }
        free.used += 1;
        Some(free.indexes.pop().unwrap_or_else(|| {
            free.fresh += 1;
            free.fresh - 1
        }))
    }

    /// Gives an index back. Its slot is empty.
    pub(super) fn release(&self, index: u32) {
        let mut free = self.free();
        free.used -= 1;
        free.indexes.push(index);
    }

    pub(super) fn used(&self) -> usize {
        self.free().used
    }

    pub(super) fn is_full(&self) -> bool {
        let free = self.free();
        free.used == free.max
    }

    /// Every index that may hold a connection.
    pub(super) fn indexes(&self) -> std::ops::Range<u32> {
        0..self.free().fresh
    }

    fn free(&self) -> MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    fn empty() -> Slot {
        Slot {
            connection: Mutex::new(None),
            pending: AtomicBool::new(false),
            hangup: AtomicBool::new(false),
            deadline: AtomicU64::new(NEVER),
        }
    }

    /// Puts a new connection in.
    pub(super) fn fill(&self, connection: Box<Connection>) {
        self.hangup.store(false, Ordering::Relaxed);
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    /// Runs `look` on the connection, unless somebody else is at it; then that one will look again.
    ///
    /// `look` is given the place, and the deadline to set; it empties the place to close. It is called once more whenever there was an event
    /// in the meantime, which is what lets the poller be edge-triggered and never be armed again.
    pub(super) fn visit(&self, mut look: impl FnMut(&Slot, &mut Option<Box<Connection>>) -> u64) {
        self.pending.store(true, Ordering::Relaxed);
        // Pairs with the fences after the unlocks: a failed `try_lock` is ordered by nothing else.
        fence(Ordering::SeqCst);
        loop {
            let mut place = match self.connection.try_lock() {
                Ok(place) => place,
                Err(TryLockError::Poisoned(place)) => place.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            if !self.pending.swap(false, Ordering::SeqCst) {
                return;
            }
            self.deadline.store(NEVER, Ordering::Relaxed);
            let deadline = look(self, &mut place);
            self.deadline.store(deadline, Ordering::Relaxed);
            drop(place);
            // Either the other thread's failed try_lock came before our unlock, and then we see its `pending` here, or it finds the lock free.
            fence(Ordering::SeqCst);
            if !self.pending.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    /// Runs `look` on the connection unless a worker is at it, and says whether it did. For threads that must not serve: if there was an
    /// event in the meantime, [`is_pending`](Self::is_pending) says so, and a worker is to be called.
    pub(super) fn try_look(&self, look: impl FnOnce(&mut Option<Box<Connection>>) -> u64) -> bool {
        self.try_expire(u64::MAX, look)
    }

    /// As [`try_look`](Self::try_look), if the deadline has passed.
    pub(super) fn try_expire(&self, now: u64, look: impl FnOnce(&mut Option<Box<Connection>>) -> u64) -> bool {
        {
            let mut place = match self.connection.try_lock() {
                Ok(place) => place,
                Err(TryLockError::Poisoned(place)) => place.into_inner(),
                Err(TryLockError::WouldBlock) => return false,
            };
            // Only under the lock is it known to be the deadline of what is there: a worker may just have been here.
            if self.deadline() <= now {
                let deadline = look(&mut place);
                self.deadline.store(deadline, Ordering::Relaxed);
            }
        }
        fence(Ordering::SeqCst);
        true
    }

    pub(super) fn is_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    pub(super) fn set_hangup(&self) {
        self.hangup.store(true, Ordering::Relaxed);
    }

    pub(super) fn hangup(&self) -> bool {
        self.hangup.load(Ordering::Relaxed)
    }

    pub(super) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Relaxed)
    }
}

const PAGE: usize = 256;
/// Keys of the poller have 32 bits; the highest are for other things.
const MAX_CONNECTIONS: usize = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    /// The control thread sees that a deadline has passed, and before it has the lock a worker serves a request and sets another; or even
    /// closes the connection, and the slot is another's.
    #[test]
    fn a_deadline_has_passed_only_if_it_still_has_under_the_lock() {
        let slot = Slot::empty();
        let set = |deadline| slot.visit(|_, _| deadline);
        set(10);
        assert!(slot.deadline() <= 20);
        set(30);
        assert!(slot.try_expire(20, |_| panic!("the time is not up")));
        assert_eq!(slot.deadline(), 30);
        let mut looked = 0;
        let mut look = |_: &mut Option<Box<Connection>>| {
            looked += 1;
            NEVER
        };
        assert!(slot.try_expire(30, &mut look) && slot.try_expire(30, &mut look));
        assert_eq!((looked, slot.deadline()), (1, NEVER));
    }
}
