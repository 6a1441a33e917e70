//! The queue of a listener: connections that the system has let in, and nobody has accepted yet.

use std::os::fd::{AsFd, AsRawFd};

use super::Listener;
use crate::trouble::Trouble;

/// How many connections wait at a TCP listener, and how many may. Of a socket that listens, these are what Linux tells in the fields for
/// segments that were not and that were acknowledged out of order (`tcp_get_info` in `net/ipv4/tcp.c`).
#[allow(unsafe_code)]
pub(crate) fn of(listener: &impl AsFd) -> Option<(u32, u32)> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed for the call, and the room is as long as is said.
    let result =
        unsafe { libc::getsockopt(listener.as_fd().as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &mut length) };
    if result != 0 {
        return None;
    }
    // SAFETY: all zeros are a valid value of this structure of integers, and the system has written over some.
    let info = unsafe { info.assume_init() };
    Some((info.tcpi_unacked, info.tcpi_sacked))
}

/// Looks after the queue of a listener.
#[derive(Debug, Default)]
pub(crate) struct Fullness(Trouble);

impl Fullness {
    /// Looks, and says that the queue is full, or that it has been so and is not any more. To be called about once a second.
    pub(crate) fn look(&self, listener: &Listener) {
        // Of Unix sockets nobody can tell: who connects there waits, or is told so by the system.
        let Some((waiting, may)) = of(listener) else { return };
        let address = listener.local_address();
        if waiting < may {
            if self.0.over().is_some() {
                tracing::info!(target: "wsgi", "the queue of {address} has room again");
            }
        } else if self.0.met() {
            tracing::warn!(target: "wsgi", "the queue of {address} is full: {waiting} connections wait to be accepted, {may} may; others wait outside");
        }
    }
}
