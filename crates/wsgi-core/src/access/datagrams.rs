//! Lines as datagrams: to syslog, to a collector on this machine, or to one elsewhere.
//!
//! Nothing is connected, so that a receiver may come and go: a Unix socket is looked up for each line, and over UDP nobody learns whether a
//! line arrives. A receiver on this machine that reads too slowly is waited for; lines are kept meanwhile as [`Lines`](super::Lines) keeps them.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::escape::Escape;
use super::times;

/// Lines as datagrams, one each, to a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagrams {
    receiver: Receiver,
    envelope: Envelope,
}

/// Whose socket takes datagrams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// One of this machine, by its file.
    Unix(PathBuf),
    /// One that is reached by UDP: `HOST:PORT`. A name is looked up when the destination is opened, and when it is opened anew.
    Udp(String),
}

/// What a datagram holds besides the line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Envelope {
    Plain { before: String },
    Syslog { priority: u8, tag: String, most: usize, split: bool },
}

impl FromStr for Receiver {
    type Err = Infallible;

    /// What has a colon and no slash is `HOST:PORT`, anything else a file.
    fn from_str(text: &str) -> Result<Receiver, Infallible> {
        let by_udp = text.contains(':') && !text.contains('/');
        Ok(if by_udp { Receiver::Udp(text.to_owned()) } else { Receiver::Unix(text.into()) })
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Receiver::Unix(path) => write!(f, "{}", path.display()),
            Receiver::Udp(address) => f.write_str(address),
        }
    }
}

impl Datagrams {
    /// Each line as it is, with its end.
    pub fn plain(receiver: Receiver) -> Datagrams {
        Datagrams { receiver, envelope: Envelope::Plain { before: String::new() } }
    }

    /// Each line with this in front of it, and with its end.
    pub fn prefixed(receiver: Receiver, before: impl Into<String>) -> Datagrams {
        Datagrams { receiver, envelope: Envelope::Plain { before: before.into() } }
    }

    /// Each line as a message of syslog's (RFC 3164): `<PRIORITY>Nov 21 09:45:58 TAG: LINE`, without its end. The priority is eight times the
    /// facility and the severity, 0 to 191. A message has at most 1,024 bytes, and what a line has beyond is left out, unless
    /// [`message_size`](Self::message_size) says otherwise.
    pub fn syslog(receiver: Receiver, priority: u8, tag: impl Into<String>) -> Datagrams {
        Datagrams { receiver, envelope: Envelope::Syslog { priority, tag: tag.into(), most: MESSAGE, split: false } }
    }

    /// How many bytes a message for syslog may have, 128 at least; with `split`, a longer line makes several of them. Datagrams that are no
    /// messages are not concerned.
    pub fn message_size(mut self, bytes: usize, split: bool) -> Datagrams {
        if let Envelope::Syslog { most, split: splits, .. } = &mut self.envelope {
            (*most, *splits) = (bytes.clamp(128, LONGEST), split);
        }
        self
    }

    /// To whom they go.
    pub fn receiver(&self) -> &Receiver {
        &self.receiver
    }

    /// The same to another.
    pub fn to(self, receiver: Receiver) -> Datagrams {
        Datagrams { receiver, ..self }
    }

    pub(super) fn open(&self) -> io::Result<Socket> {
        let to = match &self.receiver {
            Receiver::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                // Whoever reads slowly is waited for so long at a time.
                socket.set_write_timeout(Some(SEND))?;
                To::Unix(socket, path.clone())
            }
            Receiver::Udp(name) => {
                let found = name.to_socket_addrs()?.next();
                let address = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address")))?;
                let any = if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
                let socket = UdpSocket::bind::<SocketAddr>(any)?;
                socket.set_write_timeout(Some(SEND))?;
                To::Udp(socket, address)
            }
        };
        Ok(Socket { to, envelope: self.envelope.clone(), most: LONGEST, datagram: Vec::new() })
    }
}

impl fmt::Display for Datagrams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.envelope {
            Envelope::Plain { .. } => write!(f, "the socket {}", self.receiver),
            Envelope::Syslog { .. } => write!(f, "syslog at {}", self.receiver),
        }
    }
}

/// An open socket, and to whom it sends.
pub(super) struct Socket {
    to: To,
    envelope: Envelope,
    /// How many bytes a datagram may have: fewer, once the system has refused more.
    most: usize,
    datagram: Vec<u8>,
}

enum To {
    Unix(UnixDatagram, PathBuf),
    Udp(UdpSocket, SocketAddr),
}

impl Socket {
    /// Sends one line, with its end. If it fails, all of it is to be sent again.
    pub(super) fn send(&mut self, line: &[u8]) -> io::Result<()> {
        let mut datagram = std::mem::take(&mut self.datagram);
        let result = self.messages(line).try_for_each(|text| {
            datagram.clear();
            self.envelope.write(&text, &mut datagram);
            self.send_one(&datagram)
        });
        self.datagram = datagram;
        match result {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) && self.most > SHORTEST => {
                self.most /= 2;
                self.send(line)
            }
            other => other,
        }
    }

    /// What the messages of a line say.
    fn messages<'a>(&self, line: &'a [u8]) -> impl Iterator<Item = Cow<'a, [u8]>> + use<'a> {
        let (text, size, split, end): (_, _, _, &[u8]) = match &self.envelope {
            Envelope::Plain { before } => (line, self.most.saturating_sub(before.len()), false, b"\n"),
            Envelope::Syslog { tag, most, split, .. } => {
                let text = line.strip_suffix(b"\n").unwrap_or(line);
                (text, (*most).min(self.most).saturating_sub(HEADER + tag.len()), *split, b"")
            }
        };
        let size = size.max(1);
        text.chunks(size).take(if split { usize::MAX } else { 1 }).map(move |piece| {
            // One that was cut short has its end all the same.
            if piece.len() < text.len() && !end.is_empty() {
                Cow::Owned([&piece[..piece.len() - 1], end].concat())
            } else {
                Cow::Borrowed(piece)
            }
        })
    }

    fn send_one(&self, datagram: &[u8]) -> io::Result<()> {
        match &self.to {
            To::Unix(socket, path) => socket.send_to(datagram, path),
            To::Udp(socket, address) => socket.send_to(datagram, address),
        }
        .map(drop)
    }
}

impl Envelope {
    fn write(&self, text: &[u8], out: &mut Vec<u8>) {
        match self {
            Envelope::Plain { before } => out.extend_from_slice(before.as_bytes()),
            Envelope::Syslog { priority, tag, .. } => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
                // Into a vector, which takes everything.
                let _ = write!(out, "<{priority}>");
                times::write(now as i64, times::SYSLOG, Escape::Text, out);
                let _ = write!(out, " {tag}: ");
            }
        }
        out.extend_from_slice(text);
    }
}

/// The longest message that every receiver has to take (RFC 3164, 4.1).
const MESSAGE: usize = 1024;
/// What stands in front of the tag and behind it: `<191>Nov 21 09:45:58 ` and `: `.
const HEADER: usize = 23;
/// The longest datagram that is tried. UDP takes 65,507 bytes, a Unix socket what its buffer holds.
const LONGEST: usize = 60_000;
/// What no system refuses.
const SHORTEST: usize = 512;
/// How long the system may take to take a datagram.
const SEND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn received(of: impl FnOnce(Receiver) -> Datagrams, line: &[u8], count: usize) -> Vec<String> {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let address = receiver.local_addr().unwrap().to_string();
        of(address.parse().unwrap()).open().unwrap().send(line).unwrap();
        let mut datagram = vec![0; 1 << 16];
        let mut next = || {
            let length = receiver.recv(&mut datagram).unwrap();
            String::from_utf8(datagram[..length].to_vec()).unwrap()
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn a_line_is_a_datagram() {
        assert_eq!(received(Datagrams::plain, b"one\n", 1), ["one\n"]);
        assert_eq!(received(|to| Datagrams::prefixed(to, "site: "), b"one\n", 1), ["site: one\n"]);
        let long = [vec![b'x'; 100_000], b"\n".to_vec()].concat();
        let cut = received(Datagrams::plain, &long, 1);
        assert!(cut[0].len() == LONGEST && cut[0].ends_with("x\n"));
    }

    #[test]
    fn syslog_has_a_header_and_a_limit() {
        let message = received(|to| Datagrams::syslog(to, 30, "site"), b"one\n", 1).remove(0);
        let (head, text) = message.split_at(20);
        // `<30>Nov 21 09:45:58 `, a day below ten with a space in front.
        assert!(head.starts_with("<30>") && head.as_bytes()[7] == b' ' && head.as_bytes()[13] == b':', "{head}");
        assert_eq!(text, "site: one");
        let long = [vec![b'x'; 3000], b"\n".to_vec()].concat();
        let cut = received(|to| Datagrams::syslog(to, 191, "site"), &long, 1).remove(0);
        assert_eq!(cut.len(), MESSAGE);
        let split = received(|to| Datagrams::syslog(to, 191, "site").message_size(2000, true), &long, 2);
        assert!(split[0].len() == 2000 && split.iter().all(|message| message.contains(" site: x")), "{split:?}");
        assert_eq!(split.iter().flat_map(|message| message.chars()).filter(|c| *c == 'x').count(), 3000);
    }
}
