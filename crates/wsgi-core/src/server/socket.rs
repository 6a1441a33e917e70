//! A connected socket: every system call that moves bytes is here.

use std::fs::File;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

use super::{sigpipe, status};

/// A connected, non-blocking stream socket.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

/// What came of reading once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// Some bytes. `drained`: the system has no more now, so the poller will tell when it has.
    Some { drained: bool },
    /// The peer sent its last byte.
    End,
    /// Nothing now.
    Nothing,
}

impl Socket {
    pub(super) fn new(fd: OwnedFd) -> Socket {
        Socket(fd)
    }

    /// Reads once, into the spare room of `input`.
    pub(super) fn receive(&self, input: &mut BytesMut) -> io::Result<Received> {
        input.reserve(READ_BYTES);
        let room = input.spare_capacity_mut();
        let wanted = room.len();
        let got = loop {
            match rustix::net::recv(&self.0, &mut *room, RecvFlags::empty()) {
                Ok(((init, _), _)) => break init.len(),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(Received::Nothing),
                Err(error) => return Err(error.into()),
            }
        };
        if got == 0 {
            return Ok(Received::End);
        }
        status::received(got);
        // SAFETY: recv() initialised the first `got` bytes of the spare room.
        #[allow(unsafe_code)]
        unsafe {
            input.set_len(input.len() + got);
        }
        Ok(Received::Some { drained: got < wanted })
    }

    /// Whether there is something to read; the peer's end is nothing.
    pub(super) fn has_input(&self) -> bool {
        let mut byte = [0];
        matches!(rustix::net::recv(&self.0, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT), Ok((1.., _)))
    }

    /// Writes as much as the system takes now; 0 if it takes nothing.
    pub(super) fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        // Without NOSIGNAL a peer that is gone would kill a program that has not ignored SIGPIPE.
        retry(|| rustix::net::send(&self.0, bytes, SendFlags::NOSIGNAL))
    }

    /// Writes both, in order, as much as the system takes now.
    pub(super) fn send_both(&self, first: &[u8], second: &[u8]) -> io::Result<usize> {
        let parts = [IoSlice::new(first), IoSlice::new(second)];
        retry(|| rustix::net::sendmsg(&self.0, &parts, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL))
    }

    /// Moves up to `len` bytes of a file, from `offset` on, which moves with them; 0 if the system takes nothing now, `None` at the end of
    /// the file.
    pub(super) fn send_file(&self, file: &File, offset: &mut u64, len: usize) -> io::Result<Option<usize>> {
        let mut ended = false;
        let sent = retry(|| {
            let sent = sigpipe::without(|| rustix::fs::sendfile(&self.0, file, Some(offset), len))?;
            ended = sent == 0;
            Ok(sent)
        })?;
        Ok(if ended { None } else { Some(sent) })
    }

    /// Waits until the socket can be read, or written. False when the time is up, or at a signal.
    pub(super) fn wait(&self, readable: bool, time: Duration) -> io::Result<bool> {
        let flags = if readable { PollFlags::IN } else { PollFlags::OUT };
        let timeout = Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) as _ };
        match poll(&mut [PollFd::new(&self.0, flags)], Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the peer has closed its side or the connection broke, without waiting.
    pub(super) fn is_gone(&self) -> bool {
        let mut polled = [PollFd::new(&self.0, PollFlags::RDHUP)];
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0) && polled[0].revents().intersects(gone)
    }

    /// Tells the peer that nothing more will be sent, while what it sends can still be read.
    pub(super) fn end_sending(&self) {
        // It may be gone already, which is as good.
        let _ = rustix::net::shutdown(&self.0, Shutdown::Write);
    }

    /// Makes the coming close a reset, so that a reply whose end is the connection's end cannot be taken for whole.
    pub(super) fn reset_on_close(&self) {
        let _ = rustix::net::sockopt::set_socket_linger(&self.0, Some(Duration::ZERO));
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn retry(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Ok(count) => {
                status::sent(count);
                return Ok(count);
            }
            Err(Errno::INTR) => {}
            Err(Errno::WOULDBLOCK) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Room for one read. A worker has one such buffer; connections keep only what is left over.
const READ_BYTES: usize = 64 * 1024;
