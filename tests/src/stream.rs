//! A client's end of a connection, over TCP, over TLS or over a Unix socket. Whatever it waits for comes within the deadline or is an error.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::SockRef;
use wsgi_core::wire::Address;

use crate::DEADLINE;
use crate::column::Broken;

/// A client's end of a connection.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
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

    /// The same under TLS, once both have shaken hands.
    pub(crate) fn secure(self, config: Arc<ClientConfig>) -> io::Result<Stream> {
        let Stream::Tcp(mut stream) = self else { panic!("TLS goes over TCP here") };
        let name = ServerName::try_from("localhost").expect("a name");
        let mut client = ClientConnection::new(config, name).expect("a configuration");
        client.complete_io(&mut stream)?;
        Ok(Stream::Tls(Box::new(StreamOwned::new(client, stream))))
    }

    /// Sends all of it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Reads once; 0 at the end of the stream.
    pub(crate) fn receive(&mut self, room: &mut [u8]) -> Result<usize, Broken> {
        loop {
            return match self.read(room) {
                Ok(count) => Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => Err(Broken::Silent),
                // The connection ended without `close_notify`.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(Broken::Truncated),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => panic!("{error}"),
                Err(_) => Err(Broken::Reset),
            };
        }
    }

    /// Whether there is something to read, or the connection ended. Takes nothing and does not wait.
    pub(crate) fn stirs(&mut self) -> bool {
        self.socket().set_nonblocking(true).expect("O_NONBLOCK");
        let stirs = match self {
            Stream::Tls(stream) => secured_stirs(stream),
            _ => {
                let peeked = self.socket().peek(&mut [std::mem::MaybeUninit::uninit()]);
                !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
        };
        self.socket().set_nonblocking(false).expect("O_NONBLOCK");
        stirs
    }

    /// This end's address, as the server sees its peer.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Tls(stream) => stream.sock.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }

    /// Ends the sending side only.
    pub(crate) fn end_sending(&mut self) {
        // The server may already be gone; then there is nothing left to stop.
        if let Stream::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Closes, over TCP by a reset.
    pub(crate) fn reset(self) {
        if let Stream::Tcp(_) | Stream::Tls(_) = &self {
            self.socket().set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        }
    }

    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(room),
            Stream::Unix(stream) => stream.read(room),
            Stream::Tls(stream) => stream.read(room),
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Stream::Tcp(stream) => SockRef::from(stream),
            Stream::Unix(stream) => SockRef::from(stream),
            Stream::Tls(stream) => SockRef::from(&stream.sock),
        }
    }
}

/// What TLS has to say for itself, such as a ticket for the next session, is nothing that a client would notice.
fn secured_stirs(stream: &mut StreamOwned<ClientConnection, TcpStream>) -> bool {
    loop {
        match stream.conn.read_tls(&mut stream.sock) {
            Ok(0) => return true,
            Ok(_) => {
                let state = stream.conn.process_new_packets().unwrap_or_else(|error| panic!("{error}"));
                if state.plaintext_bytes_to_read() > 0 || state.peer_has_closed() {
                    return true;
                }
            }
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}
