//! Where a server listens: addresses as an operator writes them, and the sockets behind them.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::net::SocketAddrUnix;
use socket2::{Domain, SockAddr, SockFilter, SockRef, Socket, Type};

use super::allow::AllowFrom;
use super::file::Made;
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
#[error(
    "{0:?} is not an address to listen on: expected HOST:PORT, :PORT, the path of a Unix socket (with a '/'), or fd://NUMBER{hint}",
    hint = did_you_mean(.0)
)]
pub struct AddressError(String);

/// For a port that lacks its colon.
fn did_you_mean(text: &str) -> String {
    if text.parse::<u16>().is_ok() { format!(": did you mean :{text}?") } else { String::new() }
}

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

/// How a socket is made, besides its address. An inherited one is as it is.
///
/// ```
/// use wsgi_core::server::BindOptions;
///
/// let options = BindOptions { unix_mode: Some(0o660), ..BindOptions::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindOptions {
    /// How many connections may wait to be accepted; the system may cap it. 1024 by default.
    pub backlog: u32,
    /// The permissions of the file of a Unix socket, which nobody can connect to before it has them. By default those that the umask leaves.
    pub unix_mode: Option<u32>,
    /// The number of the user whose file a Unix socket is to be. By default that of this process.
    pub unix_user: Option<u32>,
    /// The number of the group whose file a Unix socket is to be. By default that of this process, or of the folder.
    pub unix_group: Option<u32>,
}

impl Default for BindOptions {
    fn default() -> BindOptions {
        BindOptions { backlog: 1024, unix_mode: None, unix_user: None, unix_group: None }
    }
}

/// A listening socket. The file of a Unix socket that it made is removed when it is dropped; while a [`Server`](crate::server::Server) or a master of
/// processes has it, it is made again if somebody else removes it.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    local: Address,
    allow: Option<AllowFrom>,
    made: Option<Made>,
    /// By this program, so that it is this program's to end.
    bound: bool,
    /// Goes after the socket, so that its number is not free for another before it is closed.
    _inherited: Option<Inherited>,
}

/// An inherited descriptor that has become ours. A second owner would close it under the first.
#[derive(Debug)]
struct Inherited(RawFd);

impl Inherited {
    fn claim(fd: RawFd) -> Option<Inherited> {
        let mut all = Inherited::all();
        if all.contains(&fd) {
            return None;
        }
        all.push(fd);
        Some(Inherited(fd))
    }

    fn all() -> MutexGuard<'static, Vec<RawFd>> {
        static ALL: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());
        ALL.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        Inherited::all().retain(|fd| *fd != self.0);
    }
}

impl Listener {
    /// Binds and listens, with the usual [`BindOptions`].
    ///
    /// The file of a Unix socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// The host is unknown, the address is in use or not ours, the path cannot be written, the descriptor is not a listening socket or belongs
    /// to another listener.
    pub fn bind(address: &ListenAddress) -> io::Result<Listener> {
        Listener::bind_with(address, &BindOptions::default())
    }

    /// Like [`bind`](Self::bind), with other options.
    ///
    /// # Errors
    /// As for `bind`, and those of `chown` and `chmod`.
    pub fn bind_with(address: &ListenAddress, options: &BindOptions) -> io::Result<Listener> {
        let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
        match address {
            ListenAddress::Tcp(host, port) => {
                let mut last = io::Error::new(io::ErrorKind::NotFound, format!("host {host:?} has no address"));
                for address in (host.as_str(), *port).to_socket_addrs()? {
                    match bind_tcp(address, backlog) {
                        Ok(socket) => return Listener::of(socket.into(), None, None).map(|listener| listener.with_bound(true)),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
            ListenAddress::Unix(path) => {
                // Working directories change, and another process that is given the socket may have another. As long as the path is not too
                // long for an address of the system.
                let absolute = std::path::absolute(path)?;
                let address = SockAddr::unix(&absolute).or_else(|_| SockAddr::unix(path))?;
                let socket = bind_unix(&absolute, &address)?;
                let mut listener = Listener::of(socket.into(), Some(&absolute), None)?.with_bound(true);
                listener.made = Some(Made::of(&absolute, options.backlog)?);
                if options.unix_user.is_some() || options.unix_group.is_some() {
                    let cannot = |error| io::Error::other(format!("cannot change the socket's owner: {error}"));
                    std::os::unix::fs::lchown(path, options.unix_user, options.unix_group).map_err(cannot)?;
                }
                if let Some(mode) = options.unix_mode {
                    let cannot = |error| io::Error::other(format!("cannot change the socket's permissions: {error}"));
                    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(cannot)?;
                }
                // Only now, since nobody can connect before: not even for a moment is it open to more than it should be.
                rustix::net::listen(&listener.socket, backlog)?;
                // As its owner and mode are by now.
                listener.made = Some(Made::of(&absolute, options.backlog)?);
                Ok(listener)
            }
            ListenAddress::Inherited(fd) => Listener::inherited(*fd),
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
        Listener::of(socket, None, None)
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
            self.made = Some(Made::of(path, BindOptions::default().backlog)?);
        }
        Ok(())
    }

    /// Lets nobody in any more: who waits to be accepted can still be, and who comes now is refused, over TCP when the socket is closed. Otherwise
    /// those are lost who come between the last accept and the end of the socket: the system has let them in, and then resets them.
    ///
    /// That is so in every process that has this socket, and for good: it is for whoever ends last. Nothing happens to a socket that another
    /// program has bound, such as a service manager, which has further use for it.
    ///
    /// # Errors
    /// The system does not let us; then it is as if nobody had asked.
    pub fn turn_away(&self) -> io::Result<()> {
        match self.local {
            _ if !self.bound => Ok(()),
            Address::Unix(_) => Ok(rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Read)?),
            Address::Tcp(_) => SockRef::from(&self.socket).attach_filter(&NOBODY_NEW),
        }
    }

    /// [Turns away](Self::turn_away) whoever comes now, if somebody may be half way in, whose connection the system has still to complete. True if
    /// so; then [`HALF_WAY`] is time enough for that. A Unix socket stays as it is: to connect there is one step, and one that lets nobody in is
    /// readable as long as it is open, which would keep busy whoever waits for it.
    pub(crate) fn turn_away_ahead(&self) -> bool {
        self.bound && matches!(self.local, Address::Tcp(_)) && self.turn_away().is_ok()
    }

    /// Whether this program has bound it, maybe by a process before this one.
    #[cfg(feature = "processes")]
    pub(crate) fn is_bound(&self) -> bool {
        self.bound
    }

    pub(crate) fn with_bound(mut self, bound: bool) -> Listener {
        self.bound = bound;
        self
    }

    /// Says who may connect. A peer that may not is closed at once, and the log says so.
    pub fn allow_from(mut self, allow: AllowFrom) -> Listener {
        self.allow = Some(allow);
        self
    }

    pub(super) fn made(&self) -> Option<&Made> {
        self.made.as_ref()
    }

    /// What takes the place of another: for the same peers, and known by the same address.
    pub(super) fn like(mut self, other: &Listener) -> Listener {
        self.local = other.local.clone();
        self.allow = other.allow.clone();
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
        let Some(claim) = Inherited::claim(fd) else {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, format!("descriptor {fd} is given to another listener of this program")));
        };
        // SAFETY: an operator who passes a descriptor gives it to us, and by the claim to nobody else; it is checked before anything is done to it,
        // and if it is not open, the check fails and the value is forgotten instead of closed.
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
        Listener::of(socket, None, Some(claim))
    }

    /// `path`: what it was bound to just now, if that is one.
    fn of(socket: OwnedFd, path: Option<&Path>, inherited: Option<Inherited>) -> io::Result<Listener> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        let local = rustix::net::getsockname(&socket)?;
        let local = match (SocketAddr::try_from(local.clone()), path) {
            (Ok(address), _) => Address::Tcp(address),
            (Err(_), Some(path)) => Address::Unix(Some(path.to_owned())),
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
        Ok(Listener { socket, local, allow: None, made: None, bound: false, _inherited: inherited })
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
            made.remove();
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

/// Binds, and does not listen yet.
fn bind_unix(path: &Path, address: &SockAddr) -> io::Result<Socket> {
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(address).map(|()| socket)
    };
    match bind() {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_dead(path, address) => {
            fs::remove_file(path)?;
            bind()
        }
        other => other,
    }
}

/// Whether `path` is a socket that nobody listens on.
fn is_dead(path: &Path, address: &SockAddr) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && Socket::new(Domain::UNIX, Type::STREAM, None)
            .and_then(|socket| socket.connect(address))
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// How long somebody who is half way in may take: the way of two packets, at most from the other side of the Earth. Shorter than the second after
/// which a packet that was not heard is sent again.
pub(crate) const HALF_WAY: Duration = Duration::from_millis(300);

/// A filter for packets to a listening socket that drops what only begins a connection: of `SYN` and `ACK` (RFC 9293, 3.1) it has the first alone. A
/// program of the classic BPF: operation, where to jump if so and if not, and a value. A packet is its TCP header and what follows.
const NOBODY_NEW: [SockFilter; 5] = [
    SockFilter::new((libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16, 0, 0, FLAGS),
    SockFilter::new((libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16, 0, 0, SYN | ACK),
    SockFilter::new((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, 1, SYN),
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0),
    SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, u32::MAX),
];
const FLAGS: u32 = 13;
const SYN: u32 = 0x02;
const ACK: u32 = 0x10;

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

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
    fn a_descriptor_is_taken_by_one_listener_at_a_time() {
        use std::os::fd::IntoRawFd;
        let inherit = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().into_raw_fd();
        let fd = inherit();
        let first = Listener::bind(&ListenAddress::Inherited(fd)).unwrap();
        let error = Listener::bind(&ListenAddress::Inherited(fd)).unwrap_err();
        assert_eq!(error.to_string(), format!("descriptor {fd} is given to another listener of this program"));
        let address = first.local_address().clone();
        let Address::Tcp(address) = address else { panic!("bound to TCP") };
        // It is still the first one's, and open.
        std::net::TcpStream::connect(address).unwrap();
        drop(first);
        assert_eq!(std::net::TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        // What was refused for another reason is not taken.
        let fd = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().into_raw_fd();
        for _ in 0..2 {
            let error = Listener::bind(&ListenAddress::Inherited(fd)).unwrap_err();
            assert!(error.to_string().contains("is not a listening socket"), "{error}");
        }
    }

    /// A socket that is closed while others connect resets those whom the system has let in since the last look.
    #[test]
    fn whoever_connects_while_a_socket_is_closed_is_accepted_or_refused() {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
        let clients: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(move || {
                    while let Ok(mut stream) = std::net::TcpStream::connect(address) {
                        stream.write_all(b"?").unwrap();
                        assert_eq!(stream.read(&mut [0; 1]).expect("an answer"), 1);
                    }
                })
            })
            .collect();
        let answer = |until: Instant| {
            let mut answered = 0;
            while Instant::now() < until {
                while let Ok(stream) = rustix::net::accept(&listener.socket) {
                    let mut stream = std::net::TcpStream::from(stream);
                    stream.read_exact(&mut [0; 1]).unwrap();
                    stream.write_all(b"!").unwrap();
                    answered += 1;
                }
            }
            answered
        };
        while answer(Instant::now() + HALF_WAY / 10) < 100 {}
        assert!(listener.turn_away_ahead());
        answer(Instant::now() + HALF_WAY);
        assert_eq!(answer(Instant::now() + HALF_WAY / 10), 0, "somebody gets in");
        drop(listener);
        for client in clients {
            client.join().expect("answers until it is refused");
        }
    }

    #[test]
    fn a_dead_unix_socket_is_replaced_and_a_live_one_is_not() {
        let folder = std::env::temp_dir().join(format!("wsgi-listener-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let address = ListenAddress::Unix(folder.join("x.sock"));
        let first = Listener::bind(&address).unwrap();
        assert_eq!(Listener::bind(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
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

    /// What has come in until nobody waits any more.
    fn accepted(listener: &Listener) -> usize {
        std::iter::from_fn(|| rustix::net::accept(listener).ok()).count()
    }

    #[test]
    fn who_comes_too_late_is_refused_and_who_waits_is_not_lost() {
        let folder = std::env::temp_dir().join(format!("wsgi-listener-late-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.sock");
        let listener = Listener::bind(&ListenAddress::Unix(path.clone())).unwrap();
        let _waits = UnixStream::connect(&path).unwrap();
        assert!(!listener.turn_away_ahead());
        let _waits_too = UnixStream::connect(&path).unwrap();
        listener.turn_away().unwrap();
        assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(accepted(&listener), 2);
        drop(listener);
        fs::remove_dir_all(&folder).unwrap();

        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = Listener::bind(&address.parse().unwrap()) else { continue };
            let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
            let _waits = std::net::TcpStream::connect(address).unwrap();
            listener.turn_away().unwrap();
            // The system says nothing to it for now.
            let late = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).unwrap_err();
            assert_eq!(late.kind(), io::ErrorKind::TimedOut, "{late}");
            assert_eq!(accepted(&listener), 1);
            drop(listener);
            assert_eq!(std::net::TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    }

    #[test]
    fn a_socket_that_another_has_bound_stays_open() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let listener = Listener::adopt(socket.into()).unwrap();
        listener.turn_away().unwrap();
        std::net::TcpStream::connect(address).unwrap();
    }

    #[test]
    fn nobody_connects_to_a_unix_socket_before_it_has_its_permissions() {
        let folder = std::env::temp_dir().join(format!("wsgi-listener-mode-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("x.sock");
        let address = ListenAddress::Unix(path.clone());
        let options = BindOptions { unix_mode: Some(0o600), ..BindOptions::default() };
        // The moment is a short one: many tries, so that one of them meets it.
        for _ in 0..2000 {
            std::thread::scope(|threads| {
                // The mode as it is at the first moment at which anyone gets in.
                let first = threads.spawn(|| {
                    let until = Instant::now() + Duration::from_secs(20);
                    while UnixStream::connect(&path).is_err() {
                        assert!(Instant::now() < until, "nobody listens");
                    }
                    fs::metadata(&path).unwrap().mode() & 0o777
                });
                let listener = Listener::bind_with(&address, &options);
                assert_eq!(first.join().unwrap(), 0o600);
                drop(listener.unwrap());
            });
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
