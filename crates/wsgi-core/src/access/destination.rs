//! Where lines go: a file, a stream, or a socket that takes datagrams.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, RawFd};
use std::path::PathBuf;

use super::datagrams::{Datagrams, Socket};
use super::descriptor;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// The process's standard output.
    StandardOutput,
    /// The process's standard error.
    StandardError,
    /// A file, which is created if there is none.
    File(PathBuf),
    /// A descriptor that this process was started with, by number.
    Descriptor(RawFd),
    /// A socket that takes each line as a datagram, such as syslog's.
    Datagrams(Datagrams),
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Destination::StandardOutput => f.write_str("standard output"),
            Destination::StandardError => f.write_str("standard error"),
            Destination::File(path) => write!(f, "{}", path.display()),
            Destination::Descriptor(number) => write!(f, "descriptor {number}"),
            Destination::Datagrams(datagrams) => datagrams.fmt(f),
        }
    }
}

/// An open destination.
pub(super) enum Output {
    Stream {
        file: File,
        /// How much is written at once.
        most: usize,
    },
    Datagrams(Socket),
}

impl Output {
    pub(super) fn open(destination: &Destination) -> io::Result<Output> {
        let file = match destination {
            Destination::StandardOutput => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Destination::StandardError => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            Destination::File(path) => OpenOptions::new().append(true).create(true).open(path)?,
            Destination::Descriptor(number) => File::from(descriptor::duplicate(*number)?),
            Destination::Datagrams(datagrams) => return datagrams.open().map(Output::Datagrams),
        };
        // A regular file takes what it is given in one piece.
        let most = if file.metadata()?.is_file() { usize::MAX } else { PIPE_BYTES };
        Ok(Output::Stream { file, most })
    }

    /// Writes the beginning of these lines, whole lines where it can, and says how many bytes of them need not be written again.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        match self {
            Output::Stream { file, most } => file.write(piece(lines, *most)),
            Output::Datagrams(socket) => {
                let end = lines.iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| at + 1);
                socket.send(&lines[..end]).map(|()| end)
            }
        }
    }

    /// Waits a second at most until a pipe that somebody has made non-blocking takes more. Who sends datagrams has waited already.
    pub(super) fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        if let Output::Stream { file, .. } = self {
            let _ = poll(&mut [PollFd::new(file, PollFlags::OUT)], Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
        }
    }
}

/// Whole lines, as many as go at once; a single one if it is longer.
fn piece(lines: &[u8], most: usize) -> &[u8] {
    if lines.len() <= most {
        return lines;
    }
    let fits = lines[..most].iter().rposition(|&byte| byte == b'\n');
    let end = fits.or_else(|| lines.iter().position(|&byte| byte == b'\n')).map_or(lines.len(), |at| at + 1);
    &lines[..end]
}

/// What a pipe takes without mixing it with what others write (`PIPE_BUF` of Linux).
const PIPE_BYTES: usize = 4096;
