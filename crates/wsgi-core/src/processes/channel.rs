//! What a master and a process that it started talk over: a pair of Unix sockets that keep messages apart, and carry descriptors.
//!
//! A message is a list of words. It is sent without waiting, so that neither side can be held up by the other; and whoever dies closes its end,
//! which is how the other learns of it.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketFlags, SocketType,
};

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

/// What came.
#[derive(Debug)]
pub(super) enum Received {
    Message(Message),
    /// Nothing for now.
    Nothing,
    /// The other end is closed.
    End,
}

/// One message.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) words: Vec<Vec<u8>>,
    pub(super) descriptors: Vec<OwnedFd>,
}

impl Channel {
    /// Both ends; the second is for the standard input of a process that is to be started.
    pub(super) fn pair() -> io::Result<(Channel, OwnedFd)> {
        let (ours, theirs) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Channel(ours), theirs))
    }

    /// The end that a process finds as its standard input; `None` if what is there is something else.
    pub(super) fn of_standard_input() -> io::Result<Option<Channel>> {
        let input = rustix::stdio::stdin();
        let ours = matches!(rustix::net::sockopt::socket_type(input), Ok(SocketType::SEQPACKET))
            && matches!(rustix::net::sockopt::socket_domain(input), Ok(AddressFamily::UNIX));
        if !ours {
            return Ok(None);
        }
        Ok(Some(Channel(rustix::io::fcntl_dupfd_cloexec(input, 3)?)))
    }

    /// Sends a message without waiting.
    ///
    /// # Errors
    /// The other side is gone, or has not read for long; it is too long.
    pub(super) fn send(&self, words: &[&[u8]], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let text = words.join(&SEPARATOR);
        if text.len() > MAX_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("a message of {} bytes, expected at most {MAX_BYTES}", text.len()),
            ));
        }
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} sockets, expected at most {MAX_DESCRIPTORS}", descriptors.len()),
            ));
        }
        loop {
            match rustix::net::sendmsg(&self.0, &[IoSlice::new(&text)], &mut ancillary, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the other end is closed, whatever it has sent before.
    pub(super) fn is_closed(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.0, PollFlags::empty())];
        rustix::event::poll(&mut polled, Some(&Timespec::default()))?;
        Ok(polled[0].revents().contains(PollFlags::HUP))
    }

    /// The next message, waited for or not.
    pub(super) fn receive(&self, wait: bool) -> io::Result<Received> {
        let mut text = vec![0; MAX_BYTES];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | if wait { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        let (bytes, cut) = loop {
            match rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut text)], &mut ancillary, flags) {
                Ok(received) => break (received.bytes, received.flags),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => return Ok(Received::Nothing),
                Err(Errno::CONNRESET) => return Ok(Received::End),
                Err(error) => return Err(error.into()),
            }
        };
        if bytes == 0 {
            return Ok(Received::End);
        }
        if cut.contains(ReturnFlags::CTRUNC) {
            return Err(io::Error::other("this process may open too few files to be given its sockets (ulimit -n)"));
        }
        let mut descriptors = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Ok(Received::Message(Message { words: text[..bytes].split(|byte| *byte == SEPARATOR).map(<[u8]>::to_vec).collect(), descriptors }))
    }
}

impl From<OwnedFd> for Channel {
    fn from(socket: OwnedFd) -> Channel {
        Channel(socket)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Between words: no path and no address has it.
const SEPARATOR: u8 = 0;
/// As many as the system takes in one message (`SCM_MAX_FD`).
const MAX_DESCRIPTORS: usize = 253;
/// More than anyone has to say.
const MAX_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Channel, Channel) {
        let (ours, theirs) = Channel::pair().unwrap();
        (ours, Channel::from(theirs))
    }

    fn words(received: Received) -> Vec<Vec<u8>> {
        match received {
            Received::Message(message) => message.words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn messages_stay_apart_and_the_end_is_seen_behind_the_last() {
        let (ours, theirs) = ends();
        ours.send(&[b"stop", b"drain"], &[]).unwrap();
        ours.send(&[b"hurry"], &[]).unwrap();
        assert!(!theirs.is_closed().unwrap());
        drop(ours);
        assert!(theirs.is_closed().unwrap());
        assert_eq!(words(theirs.receive(true).unwrap()), [&b"stop"[..], b"drain"]);
        assert_eq!(words(theirs.receive(false).unwrap()), [b"hurry"]);
        assert!(matches!(theirs.receive(true).unwrap(), Received::End));
        assert!(theirs.send(&[b"late"], &[]).is_err());
    }

    #[test]
    fn descriptors_arrive_as_the_same_files() {
        let (ours, theirs) = ends();
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.send(&[b"take"], &[one.as_fd()]).unwrap();
        drop(one);
        let Received::Message(message) = theirs.receive(false).unwrap() else { panic!("nothing came") };
        assert_eq!(message.descriptors.len(), 1);
        rustix::io::write(&message.descriptors[0], b"x").unwrap();
        let mut byte = [0];
        rustix::io::read(&other, &mut byte).unwrap();
        assert_eq!(&byte, b"x");
        assert!(matches!(theirs.receive(false).unwrap(), Received::Nothing));
    }

    #[test]
    fn one_that_does_not_read_holds_nobody_up() {
        let (ours, _theirs) = ends();
        let full = (0..100_000).find_map(|_| ours.send(&[&[b'x'; 1000]], &[]).err());
        assert_eq!(full.map(|error| error.kind()), Some(io::ErrorKind::WouldBlock));
    }
}
