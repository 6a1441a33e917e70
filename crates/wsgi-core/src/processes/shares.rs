//! How many connections each worker has, where all of them can see it: a few bytes of memory that have no name.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::MemfdFlags;

/// A table with a place for each worker, by its number. Reading and writing it never blocks.
#[derive(Debug)]
pub(super) struct Shares {
    memory: OwnedFd,
    workers: u32,
}

impl Shares {
    /// A table for so many workers, who have nothing yet.
    pub(super) fn new(workers: u32) -> io::Result<Shares> {
        let memory = rustix::fs::memfd_create("wsgi-shares", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, u64::from(workers) * BYTES as u64)?;
        Ok(Shares { memory, workers })
    }

    /// A table that came from another process.
    pub(super) fn adopt(memory: OwnedFd) -> io::Result<Shares> {
        let bytes = u64::try_from(rustix::fs::fstat(&memory)?.st_size).unwrap_or(0);
        Ok(Shares { memory, workers: u32::try_from(bytes / BYTES as u64).unwrap_or(0) })
    }

    /// Writes down what a worker has, and says whether another has so much less that the next connection should be that one's. A table that
    /// cannot be read says nothing.
    pub(super) fn ahead(&self, worker: u32, connections: usize) -> bool {
        let mine = u32::try_from(connections).unwrap_or(u32::MAX);
        let Some(index) = worker.checked_sub(1).filter(|index| *index < self.workers) else { return false };
        let mut table = vec![0; self.workers as usize * BYTES];
        let written = rustix::io::pwrite(&self.memory, &mine.to_ne_bytes(), u64::from(index) * BYTES as u64);
        if written.is_err() || rustix::io::pread(&self.memory, &mut table[..], 0) != Ok(table.len()) {
            return false;
        }
        let counts = table.chunks_exact(BYTES).map(|bytes| bytes.try_into().map_or(u32::MAX, u32::from_ne_bytes));
        counts.min().is_some_and(|least| mine > least.saturating_add(TOLERANCE).saturating_add(least / 8))
    }
}

impl AsFd for Shares {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

const BYTES: usize = size_of::<u32>();
/// How many more than another a worker may have before it gives way: giving way costs time, and so does being unequal.
const TOLERANCE: u32 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_clearly_more_than_another_is_ahead() {
        let shares = Shares::new(3).unwrap();
        let other = Shares::adopt(rustix::io::fcntl_dupfd_cloexec(&shares, 3).unwrap()).unwrap();
        assert!(!shares.ahead(1, 4), "4 more than the others is no more than fair");
        assert!(shares.ahead(1, 5));
        assert!(!other.ahead(2, 3) && !other.ahead(3, 2));
        assert!(!shares.ahead(1, 6) && shares.ahead(1, 7));
        assert!(other.ahead(2, 800) && other.ahead(3, 800));
        assert!(!shares.ahead(1, 904) && shares.ahead(1, 905), "among many, an eighth more is no more than fair");
        assert!(!shares.ahead(4, 1000) && !shares.ahead(0, 1000), "who has no place says nothing");
    }
}
