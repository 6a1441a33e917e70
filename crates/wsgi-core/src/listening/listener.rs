//! Where a server listens: addresses as an operator writes them, and the sockets behind them.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::net::SocketAddrUnix;
use socket2::{Domain, SockAddr, Socket, Type};

use super::allow::AllowFrom;
use crate::wire::Address;

/// An address to listen on, as an operator writes it.
///
/// | written | meaning |
/// |---|---|
/// | `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000` | this address and port |
/// | `:8000` | this port, on every IPv4 address |
/// | `/run/app.sock`, `./app.sock`, `unix:app.sock` | a Unix socket |
/// | `fd://3` | a listening socket that this process was started with |
///
/// ```
/// use wsgi_core::server::ListenAddress;
///
/// let address: ListenAddress = ":8000".parse()?;
/// assert_eq!(address.to_string(), "0.0.0.0:8000");
/// assert!("8000".parse::<ListenAddress>().is_err());
/// # Ok::<(), wsgi_core::server::AddressError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListenAddress {
    /// A host name or IP address, and a port; port 0 lets the system choose.
    Tcp(String, u16),
    /// The path of a Unix socket.
    Unix(PathBuf),
    /// An inherited descriptor.
    Inherited(RawFd),
}

/// A text that is no [`ListenAddress`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an address to listen on: expected HOST:PORT, :PORT, the path of a Unix socket (with a '/'), or fd://NUMBER")]
pub struct AddressError(String);

impl FromStr for ListenAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if let Some(number) = text.strip_prefix("fd://") {
            return number.parse().ok().filter(|&fd| fd >= 0).map(ListenAddress::Inherited).ok_or_else(wrong);
        }
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(ListenAddress::Unix(path.into()));
        }
        if text.contains('/') {
            return Ok(ListenAddress::Unix(text.into()));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None if host.is_empty() || host == "*" => "0.0.0.0",
            None => host,
        };
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        Ok(ListenAddress::Tcp(host.to_owned(), port.parse().map_err(|_| wrong())?))
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ListenAddress::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            ListenAddress::Tcp(host, port) => write!(f, "{host}:{port}"),
            ListenAddress::Unix(path) => path.display().fmt(f),
            ListenAddress::Inherited(fd) => write!(f, "fd://{fd}"),
        }
    }
}

/// A listening socket. A Unix socket that it made is unlinked when it is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    local: Address,
    allow: Option<AllowFrom>,
    made: Option<Made>,
}

/// The file of a Unix socket that we bound, by which we know that it is still ours.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Listener {
    /// Binds and listens with a backlog of 1024 connections (the system may cap it).
    ///
    /// The file of a Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// The host is unknown, the address is in use or not ours, the path cannot be written, the descriptor is not a listening socket.
    pub fn bind(address: &ListenAddress) -> io::Result<Listener> {
        Listener::bind_with_backlog(address, DEFAULT_BACKLOG)
    }

    /// Like [`bind`](Self::bind), with another length of the queue of connections that wait to be accepted.
    ///
    /// # Errors
    /// As for `bind`.
    pub fn bind_with_backlog(address: &ListenAddress, backlog: u32) -> io::Result<Listener> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        match address {
            ListenAddress::Tcp(host, port) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, format!("host {host:?} has no address"));
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match bind_tcp(address, backlog) {
                        Ok(socket) => return Listener::of(socket.into(), None),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            ListenAddress::Unix(path) => {
                let socket = bind_unix(path, backlog)?;
                let file = fs::symlink_metadata(path)?;
                Listener::of(socket.into(), Some(Made { path: path.clone(), device: file.dev(), inode: file.ino() }))
            }
            ListenAddress::Inherited(fd) => Listener::inherited(*fd),
        }
    }

    /// Sets the permissions of the file of a Unix socket that [`bind`](Self::bind) made; nothing for other sockets.
    ///
    /// # Errors
    /// Those of `chmod`.
    pub fn unix_mode(&self, mode: u32) -> io::Result<()> {
        match &self.made {
            Some(made) => fs::set_permissions(&made.path, fs::Permissions::from_mode(mode)),
            None => Ok(()),
        }
    }

    /// A listening socket that came from another process, or from other code.
    ///
    /// # Errors
    /// It is not a listening socket.
    pub fn adopt(socket: OwnedFd) -> io::Result<Listener> {
        if !rustix::net::sockopt::socket_acceptconn(&socket)? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a listening socket: listen() was not called on it"));
        }
        Listener::of(socket, None)
    }

    /// Leaves the file of a Unix socket where it is when this is dropped: another process listens there from now on.
    pub fn leave_file(&mut self) {
        self.made = None;
    }

    /// Removes the file of a Unix socket when this is dropped, as if it had been bound here. Nothing for other sockets.
    ///
    /// # Errors
    /// The file is not there.
    pub fn take_file(&mut self) -> io::Result<()> {
        if let Address::Unix(Some(path)) = &self.local {
            let file = fs::symlink_metadata(path)?;
            self.made = Some(Made { path: path.clone(), device: file.dev(), inode: file.ino() });
        }
        Ok(())
    }

    /// Says who may connect. A peer that may not is closed at once, and the log says so.
    pub fn allow_from(mut self, allow: AllowFrom) -> Listener {
        self.allow = Some(allow);
        self
    }

    pub(super) fn allowed(&self) -> Option<&AllowFrom> {
        self.allow.as_ref()
    }

    /// What the socket is bound to: with port 0, this tells the port that the system chose.
    pub fn local_address(&self) -> &Address {
        &self.local
    }

    /// Takes a listening socket that this process was started with. It is ours from now on, and is closed with the listener.
    fn inherited(fd: RawFd) -> io::Result<Listener> {
        let not_listening =
            |why: &str| io::Error::new(io::ErrorKind::InvalidInput, format!("descriptor {fd} is not a listening socket: {why}"));
        if fd < 3 && fd != 0 {
            return Err(not_listening("1 and 2 are standard output and standard error"));
        }
        // SAFETY: an operator who passes a descriptor gives it to us; it is checked before anything is done to it, and if it is not open,
        // the check fails and the value is forgotten instead of closed.
        #[allow(unsafe_code)]
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        match rustix::net::sockopt::socket_acceptconn(&socket) {
            Ok(true) => {}
            Ok(false) => {
                std::mem::forget(socket);
                return Err(not_listening("listen() was not called on it"));
            }
            Err(error) => {
                std::mem::forget(socket);
                return Err(not_listening(&io::Error::from(error).to_string()));
            }
        }
        Listener::of(socket, None)
    }

    fn of(socket: OwnedFd, made: Option<Made>) -> io::Result<Listener> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        let local = rustix::net::getsockname(&socket)?;
        let local = match (SocketAddr::try_from(local.clone()), &made) {
            (Ok(address), _) => Address::Tcp(address),
            (Err(_), Some(made)) => Address::Unix(Some(made.path.clone())),
            // A path is as good as it was for whoever bound it: a relative one means something else in another directory.
            (Err(_), None) => {
                let path = SocketAddrUnix::try_from(local).ok().and_then(|address| address.path().map(|path| path.into_owned()));
                let path = path.map(|path| PathBuf::from(OsString::from_vec(path.into_bytes())));
                Address::Unix(path.filter(|path| path.is_absolute()))
            }
        };
        if matches!(local, Address::Tcp(_)) {
            // Accepted sockets inherit it on Linux, which saves a system call per connection. Replies are written whole, or block by block
            // where the application wants each block seen: waiting to fill a segment never helps.
            rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        }
        Ok(Listener { socket, local, allow: None, made })
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(made) = &self.made {
            // Only our own file: another process may have bound the path anew, to take over without a gap.
            let ours = fs::symlink_metadata(&made.path).is_ok_and(|file| file.dev() == made.device && file.ino() == made.inode);
            if ours {
                let _ = fs::remove_file(&made.path);
            }
        }
    }
}

fn bind_tcp(address: SocketAddr, backlog: i32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket)
}

fn bind_unix(path: &Path, backlog: i32) -> io::Result<Socket> {
    let address = SockAddr::unix(path)?;
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&address).map(|()| socket)
    };
    let socket = match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path, &address) => {
            fs::remove_file(path)?;
            bind()?
        }
        other => other?,
    };
    socket.listen(backlog)?;
    Ok(socket)
}

/// Whether `path` is a socket that nobody listens on.
fn is_dead(path: &Path, address: &SockAddr) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && Socket::new(Domain::UNIX, Type::STREAM, None)
            .and_then(|socket| socket.connect(address))
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

const DEFAULT_BACKLOG: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_an_operator_means_them() {
        for (text, shown) in [
            (":8000", "0.0.0.0:8000"),
            ("*:80", "0.0.0.0:80"),
            ("localhost:8000", "localhost:8000"),
            ("[::1]:8000", "[::1]:8000"),
            ("/run/x.sock", "/run/x.sock"),
            ("./x:1", "./x:1"),
            ("unix:x.sock", "x.sock"),
            ("fd://3", "fd://3"),
        ] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), shown);
        }
        for text in
            ["", "8000", "host", "host:", "host:http", ":70000", "::1:80", "[::1:80", "fd://", "fd://-1", "fd://x", "unix:", "h:+80"]
        {
            assert!(text.parse::<ListenAddress>().is_err() || text == "host:", "{text}");
        }
        assert!("host:".parse::<ListenAddress>().is_err());
    }

    #[test]
    fn a_dead_unix_socket_is_replaced_and_a_live_one_is_not() {
        let folder = std::env::temp_dir().join(format!("wsgi-listener-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let address = ListenAddress::Unix(folder.join("x.sock"));
        let first = Listener::bind(&address).unwrap();
        assert_eq!(Listener::bind(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        first.unix_mode(0o600).unwrap();
        assert_eq!(fs::metadata(folder.join("x.sock")).unwrap().mode() & 0o777, 0o600);
        let Listener { socket, .. } = &first;
        let kept = socket.try_clone().unwrap();
        drop(first);
        assert!(!folder.join("x.sock").exists());
        drop(kept);
        // Left behind by a process that died.
        drop(std::os::unix::net::UnixListener::bind(folder.join("x.sock")).unwrap());
        drop(Listener::bind(&address).unwrap());
        fs::remove_dir_all(&folder).unwrap();
    }
}
