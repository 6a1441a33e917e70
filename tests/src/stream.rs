//! A client's end of a connection, over TCP or over a Unix socket. Whatever it waits for comes within the deadline or is an error.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::SockRef;
use wsgi_core::wire::Address;

use crate::DEADLINE;
use crate::column::Broken;

/// A client's end of a connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub(crate) fn connect(address: &Address) -> io::Result<Stream> {
        let stream = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, DEADLINE)?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path.as_deref().ok_or(io::ErrorKind::AddrNotAvailable)?)?),
        };
        stream.socket().set_read_timeout(Some(DEADLINE))?;
        stream.socket().set_write_timeout(Some(DEADLINE))?;
        Ok(stream)
    }

    /// Sends all of it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
        }
    }

    /// Reads once; 0 at the end of the stream.
    pub(crate) fn receive(&mut self, room: &mut [u8]) -> Result<usize, Broken> {
        loop {
            return match self.read(room) {
                Ok(count) => Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Err(Broken::Silent),
                Err(_) => Err(Broken::Reset),
            };
        }
    }

    /// Whether there is something to read, or the connection ended. Takes nothing and does not wait.
    pub(crate) fn stirs(&self) -> bool {
        self.socket().set_nonblocking(true).expect("O_NONBLOCK");
        let peeked = self.socket().peek(&mut [std::mem::MaybeUninit::uninit()]);
        self.socket().set_nonblocking(false).expect("O_NONBLOCK");
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// This end's address, as the server sees its peer.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Ends the sending side only.
    pub(crate) fn end_sending(&self) {
        // The server may already be gone; then there is nothing left to stop.
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Closes, over TCP by a reset.
    pub(crate) fn reset(self) {
        if let Stream::Tcp(stream) = &self {
            SockRef::from(stream).set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(room),
            Stream::Unix(stream) => stream.read(room),
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Unix(stream) => SockRef::from(stream),
        }
    }
}
