//! The server that is asked: where it listens, and the connections to it.

use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::net::ToSocketAddrs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{Domain, SockAddr, Socket, Type};
use wsgi_core::server::ListenAddress;

use crate::call::Protocol;

/// A server of uwsgi or FastCGI.
pub(crate) struct Upstream {
    pub(crate) protocol: Protocol,
    address: ListenAddress,
    /// Connections between requests. There are never more than requests were under way at once, which is what bounds their number.
    kept: Mutex<Vec<Socket>>,
}

impl Upstream {
    /// An upstream at an address that can be connected to. Nothing is connected yet.
    pub(crate) fn new(protocol: Protocol, address: ListenAddress) -> Result<Upstream, String> {
        match address {
            ListenAddress::Tcp(..) | ListenAddress::Unix(_) => Ok(Upstream { protocol, address, kept: Mutex::default() }),
            other => Err(format!("cannot connect to {other}: expected HOST:PORT or the path of a Unix socket")),
        }
    }

    /// A new connection. Names are resolved each time, since what they stand for may change.
    pub(crate) fn connect(&self, timeout: Duration) -> io::Result<Socket> {
        let addresses: Vec<SockAddr> = match &self.address {
            ListenAddress::Tcp(host, port) => (host.as_str(), *port).to_socket_addrs()?.map(SockAddr::from).collect(),
            ListenAddress::Unix(path) => vec![SockAddr::unix(path)?],
            other => return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("cannot connect to {other}"))),
        };
        let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.address));
        for address in addresses {
            match connect(&address, timeout) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// A connection that was kept, if there is one that the upstream has not closed.
    pub(crate) fn kept(&self) -> Option<Socket> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // The last one that was used is the last that the upstream would close.
        while let Some(socket) = kept.pop() {
            let unread = socket.peek(&mut [MaybeUninit::uninit()]);
            if unread.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                return Some(socket);
            }
        }
        None
    }

    /// Keeps a connection for another request.
    pub(crate) fn keep(&self, socket: Socket) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    }
}

fn connect(address: &SockAddr, timeout: Duration) -> io::Result<Socket> {
    let socket = Socket::new(address.domain(), Type::STREAM, None)?;
    socket.connect_timeout(address, timeout)?;
    socket.set_nonblocking(true)?;
    if address.domain() != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
    }
    Ok(socket)
}

/// Waits until the upstream has something to read or, if `writing`, takes something. Says which.
pub(crate) fn wait(socket: &Socket, writing: bool, limit: Duration) -> io::Result<(bool, bool)> {
    let wanted = if writing { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
    let mut polled = [PollFd::new(socket, wanted)];
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    match poll(&mut polled, Some(&limit)) {
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok((false, false)),
        Err(error) => return Err(error.into()),
    }
    let ready = polled[0].revents();
    // The end of the connection, in whatever way, is something to read.
    Ok((ready.intersects(!PollFlags::OUT), ready.contains(PollFlags::OUT)))
}

/// Reads what is there into `block`. `None` if that is nothing, 0 at the end.
pub(crate) fn receive(mut socket: &Socket, block: &mut [u8]) -> io::Result<Option<usize>> {
    match socket.read(block) {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
