//! `SIGPIPE`, which ends a program that neither ignores nor handles it as soon as it writes to a peer that is gone.
//!
//! Rust programs ignore it from the start, but a program that embeds this one may have set it back. `send` has a flag against it; `sendfile`
//! has none, so the signal is kept off the thread for as long as the call takes. Not for the thread's life: programs that an application
//! starts would inherit that.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

use rustix::io::Errno;

/// Makes a system call without the signal that comes with [`Errno::PIPE`].
pub(super) fn without<T>(call: impl FnOnce() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    let blocked = Blocked::new();
    let result = call();
    if matches!(result, Err(Errno::PIPE)) {
        blocked.take();
    }
    result
}

/// Keeps the signal off this thread until it is dropped.
struct Blocked {
    /// What was blocked before.
    before: libc::sigset_t,
}

impl Blocked {
    fn new() -> Blocked {
        let (sigpipe, mut before) = (sigpipe(), MaybeUninit::<libc::sigset_t>::zeroed());
        // SAFETY: both sets are this thread's own. The call cannot fail: the first argument is one of the three that there are.
        let before = unsafe {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const sigpipe, before.as_mut_ptr());
            before.assume_init()
        };
        Blocked { before }
    }

    /// Whether somebody else keeps it off this thread, who is to find it.
    fn was_before(&self) -> bool {
        // SAFETY: the set is initialised.
        unsafe { libc::sigismember(&raw const self.before, libc::SIGPIPE) == 1 }
    }

    /// Takes the signal that waits for this thread, so that it does not come afterwards.
    fn take(&self) {
        if self.was_before() {
            return;
        }
        let sigpipe = sigpipe();
        let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both arguments live as long as the call. Errors are that there is none, or that another signal came first.
        while unsafe { libc::sigtimedwait(&raw const sigpipe, std::ptr::null_mut(), &raw const now) } == -1
            && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
        {}
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        // SAFETY: a set that was this thread's.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, std::ptr::null_mut()) };
    }
}

/// The set that holds this signal alone.
fn sigpipe() -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: the first call initialises the set, the second adds a signal that there is.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGPIPE);
        set.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::server::socket::Socket;

    #[test]
    fn a_file_for_a_peer_that_is_gone_brings_no_signal() {
        static CAME: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn count(_: libc::c_int) {
            CAME.fetch_add(1, Ordering::SeqCst);
        }
        let handler = count as extern "C" fn(libc::c_int);
        // SAFETY: a handler may count. The test's own program ignores the signal, and does so again at the end.
        let before = unsafe { libc::signal(libc::SIGPIPE, handler as libc::sighandler_t) };
        let gone = || UnixStream::pair().unwrap().0;
        let file = File::open("/proc/self/exe").unwrap();
        let socket = Socket::new(gone().into());
        for _ in 0..2 {
            let error = socket.send_file(&file, &mut 0, 100).unwrap_err();
            assert_eq!((error.kind(), CAME.load(Ordering::SeqCst)), (std::io::ErrorKind::BrokenPipe, 0));
        }
        // It is not kept off for good, and such a call does bring it.
        assert_eq!(rustix::fs::sendfile(gone(), &file, Some(&mut 0), 100), Err(Errno::PIPE));
        assert_eq!(CAME.load(Ordering::SeqCst), 1);
        // SAFETY: what it was.
        unsafe { libc::signal(libc::SIGPIPE, before) };
    }

    #[test]
    fn who_has_blocked_it_already_finds_it() {
        let outer = Blocked::new();
        let write = || {
            // What the system does at a write to a peer that is gone.
            // SAFETY: it is blocked, so that it only waits.
            unsafe { libc::raise(libc::SIGPIPE) };
            Err::<(), _>(Errno::PIPE)
        };
        assert_eq!(without(write), Err(Errno::PIPE));
        let waits = || {
            let mut waiting = MaybeUninit::<libc::sigset_t>::zeroed();
            // SAFETY: the first call initialises the set.
            unsafe {
                libc::sigpending(waiting.as_mut_ptr());
                libc::sigismember(waiting.as_ptr(), libc::SIGPIPE) == 1
            }
        };
        assert!(waits());
        outer.take();
        assert!(!waits());
    }
}
