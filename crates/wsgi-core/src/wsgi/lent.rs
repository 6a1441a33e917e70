//! An exchange that is lent, for one request, to objects that may live longer than the request and be used by any thread.
//!
//! Python objects cannot borrow: `wsgi.input` may be kept, and used by another thread, after the request is over. So the exchange stands in a
//! slot behind a lock while the request lasts, together with whatever state belongs to it, and [`Lent::scope`] takes it back on every path,
//! a panic included. Who comes later finds the slot empty.
//!
//! **In scope:** the slot, its lock, and the one place where a lifetime is erased. **Out of scope:** Python, and how to wait for the lock
//! without holding up the interpreter (see `session.rs`).

#![allow(unsafe_code)]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::Exchange;

/// The slot, and the state that is guarded by the same lock.
pub(super) struct Lent<S> {
    desk: Mutex<Desk<S>>,
    /// Whether there is something to be taken back, so that the end of a scope need not lock again to find out.
    out: AtomicBool,
}

/// What the lock guards. Nobody else gets a `&mut` to it: swapped with another, it would carry an exchange out of its scope.
struct Desk<S> {
    exchange: Option<Erased>,
    state: S,
}

/// An exchange without its lifetime.
struct Erased(NonNull<dyn Exchange + 'static>);

// SAFETY: an `Erased` stands for a `&mut dyn Exchange`, which may go to another thread since `Exchange: Send`.
unsafe impl Send for Erased {}

impl<S> Lent<S> {
    /// An empty slot.
    pub(super) fn new(state: S) -> Lent<S> {
        Lent { desk: Mutex::new(Desk { exchange: None, state }), out: AtomicBool::new(false) }
    }

    /// Puts the exchange in the slot while `work` runs, and takes it back.
    ///
    /// `prepare` sees the exchange and the state before anybody else does. At the end this waits for whoever holds the lock; to wait in
    /// another way, call [`Guard::take_back`] before.
    ///
    /// # Panics
    /// If the slot is occupied.
    pub(super) fn scope<R>(&self, exchange: &mut dyn Exchange, prepare: impl FnOnce(&mut S, &dyn Exchange), work: impl FnOnce() -> R) -> R {
        let mut guard = self.lock();
        let desk = &mut *guard.desk;
        assert!(desk.exchange.is_none(), "an exchange was lent twice");
        prepare(&mut desk.state, exchange);
        // SAFETY: only the lifetime changes. The pointer stays in the slot until `Return` is dropped at the end of this function, thus
        // within the lifetime of `exchange`, which is not used again before that. Whoever uses it does so under the lock and gets no
        // borrow that outlives the guard, so that no two use it at once and none when `Return` has emptied the slot.
        let erased = unsafe { std::mem::transmute::<NonNull<dyn Exchange + '_>, NonNull<dyn Exchange + 'static>>(NonNull::from(exchange)) };
        desk.exchange = Some(Erased(erased));
        self.out.store(true, Ordering::Relaxed);
        drop(guard);
        let _return = Return(self);
        work()
    }

    /// Locks, waiting if need be.
    pub(super) fn lock(&self) -> Guard<'_, S> {
        // A panic under the lock leaves nothing half done that a later request could see: each begins from a fresh state.
        Guard { desk: self.desk.lock().unwrap_or_else(PoisonError::into_inner), out: &self.out }
    }

    /// Locks, if that needs no waiting.
    pub(super) fn try_lock(&self) -> Option<Guard<'_, S>> {
        match self.desk.try_lock() {
            Ok(desk) => Some(Guard { desk, out: &self.out }),
            Err(TryLockError::Poisoned(poisoned)) => Some(Guard { desk: poisoned.into_inner(), out: &self.out }),
            Err(TryLockError::WouldBlock) => None,
        }
    }
}

/// Empties the slot at the end of a scope.
struct Return<'a, S>(&'a Lent<S>);

impl<S> Drop for Return<'_, S> {
    fn drop(&mut self) {
        // Acquire: pairs with `take_back`, perhaps by another thread.
        if self.0.out.load(Ordering::Acquire) {
            self.0.lock().take_back();
        }
    }
}

/// The lock, held.
pub(super) struct Guard<'a, S> {
    desk: MutexGuard<'a, Desk<S>>,
    out: &'a AtomicBool,
}

impl<S> Guard<'_, S> {
    /// Ends the loan. From now on the slot is empty.
    pub(super) fn take_back(&mut self) {
        self.desk.exchange = None;
        self.out.store(false, Ordering::Release);
    }

    /// The exchange, while the request lasts, and the state.
    pub(super) fn parts(&mut self) -> (Option<&mut dyn Exchange>, &mut S) {
        let Desk { exchange, state } = &mut *self.desk;
        let exchange = exchange.as_mut().map(|erased| {
            // SAFETY: what stands in the slot is valid and used by nobody else (see `scope`), and `&mut self` proves that the lock is held
            // for as long as this borrow lives.
            let exchange: &mut dyn Exchange = unsafe { erased.0.as_mut() };
            exchange
        });
        (exchange, state)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::ops::Range;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    use bytes::Bytes;

    use super::*;
    use crate::wire::{RequestHead, ResponseHead};

    #[derive(Default)]
    struct Blocks {
        head: RequestHead,
        blocks: Vec<Vec<u8>>,
    }

    impl Exchange for Blocks {
        fn head(&self) -> &RequestHead {
            &self.head
        }
        fn head_mut(&mut self) -> &mut RequestHead {
            &mut self.head
        }
        fn inform(&mut self, _: &ResponseHead) {}
        fn start(&mut self, _: &ResponseHead) {}
        fn started(&self) -> bool {
            true
        }
        fn data(&mut self, block: &[u8]) {
            self.blocks.push(block.to_vec());
        }
        fn finish(&mut self) {}
        fn abort(&mut self) {}
        fn read(&mut self, _: usize) -> io::Result<Bytes> {
            Ok(Bytes::new())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn send_file(&mut self, _: &std::fs::File, _: Range<u64>) -> io::Result<()> {
            Ok(())
        }
        fn disconnected(&mut self) -> bool {
            false
        }
        fn multithread(&self) -> bool {
            false
        }
    }

    fn put(lent: &Lent<u32>, block: &[u8]) -> bool {
        let mut desk = lent.lock();
        let (exchange, count) = desk.parts();
        *count += 1;
        exchange.map(|exchange| exchange.data(block)).is_some()
    }

    #[test]
    fn the_exchange_is_there_within_the_scope_and_nowhere_else() {
        let lent = Lent::new(0);
        let mut exchange = Blocks::default();
        assert!(!put(&lent, b"before"));
        let answer = lent.scope(
            &mut exchange,
            |count, _| *count = 10,
            || {
                assert!(put(&lent, b"within"));
                7
            },
        );
        assert_eq!(answer, 7);
        assert!(!put(&lent, b"after"));
        assert_eq!(exchange.blocks, [b"within"]);
        assert_eq!(*lent.lock().parts().1, 12);
        lent.scope(
            &mut exchange,
            |_, _| {},
            || {
                lent.lock().take_back();
                assert!(!put(&lent, b"late"));
            },
        );
        assert_eq!(exchange.blocks, [b"within"]);
    }

    #[test]
    fn a_panic_ends_the_loan_too() {
        let lent = Lent::new(0);
        let mut exchange = Blocks::default();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            lent.scope(
                &mut exchange,
                |_, _| {},
                || {
                    let _desk = lent.lock();
                    panic!("the lock is held");
                },
            )
        }));
        assert!(outcome.is_err());
        assert!(!put(&lent, b"after"));
        drop(exchange);
        assert!(!put(&lent, b"later"));
    }

    #[test]
    fn the_end_of_the_scope_waits_for_a_thread_that_is_at_work() {
        let lent = Lent::new(0);
        let mut exchange = Blocks::default();
        let (begun, held) = (Barrier::new(2), Barrier::new(2));
        std::thread::scope(|threads| {
            threads.spawn(|| {
                begun.wait();
                let mut desk = lent.lock();
                held.wait();
                desk.parts().0.expect("the scope cannot have ended").data(b"from another thread");
            });
            lent.scope(
                &mut exchange,
                |_, _| {},
                || {
                    begun.wait();
                    held.wait();
                },
            );
            assert!(!put(&lent, b"after"));
        });
        assert_eq!(exchange.blocks, [b"from another thread"]);
    }
}
