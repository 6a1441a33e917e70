//! A descriptor that somebody else has opened, known by its number.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// A descriptor of one's own for the same file.
///
/// # Errors
/// There is none of this number.
pub(super) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is not -1, and is used for nothing but `dup`, which fails where no file is open by it.
    unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()
}
