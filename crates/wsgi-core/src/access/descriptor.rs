//! A descriptor that somebody else has opened, known by its number.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::{FdFlags, fcntl_getfd};

/// A descriptor of one's own for the same file.
///
/// # Errors
/// There is none of this number that this process was started with.
pub(super) fn duplicate(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is not -1, and is used for nothing but `fcntl` and `dup`, which fail where no file is open by it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    // What this process has opened itself is closed in programs that it starts; what it was started with was not.
    if fcntl_getfd(descriptor)?.contains(FdFlags::CLOEXEC) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this process was not started with it"));
    }
    descriptor.try_clone_to_owned()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use rustix::io::fcntl_setfd;

    use super::*;

    #[test]
    fn what_this_process_has_opened_itself_is_nobody_elses() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = duplicate(file.as_raw_fd()).unwrap_err();
        assert_eq!(error.to_string(), "this process was not started with it");
        fcntl_setfd(&file, FdFlags::empty()).unwrap();
        assert!(duplicate(file.as_raw_fd()).is_ok());
        assert!(duplicate(-1).is_err() && duplicate(RawFd::MAX).is_err());
    }
}
