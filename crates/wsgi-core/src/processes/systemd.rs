//! What systemd and its programs agree on: sockets that are there from the start, and a word when one is ready.
//!
//! Nothing here needs a library of systemd, or systemd itself: where the environment does not speak of it, nothing happens. The protocols are
//! those of `sd_listen_fds(3)`, `sd_notify(3)` and `sd_watchdog_enabled(3)`.

use std::ffi::OsString;
use std::io;
use std::os::fd::RawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The sockets that this process was started with, each with its name (`FileDescriptorName=` of the socket unit); none if they are not meant for
/// this very process.
///
/// The descriptors are nobody's yet: take each with [`ListenAddress::Inherited`](crate::server::ListenAddress::Inherited).
pub fn sockets() -> Vec<(RawFd, String)> {
    let variable = |name: &str| std::env::var(name).ok();
    sockets_of(variable("LISTEN_PID"), variable("LISTEN_FDS"), variable("LISTEN_FDNAMES"))
}

fn sockets_of(process: Option<String>, count: Option<String>, names: Option<String>) -> Vec<(RawFd, String)> {
    if process.and_then(|process| process.parse().ok()) != Some(std::process::id()) {
        return Vec::new();
    }
    let count = count.and_then(|count| count.parse::<u16>().ok()).unwrap_or(0);
    let names = names.unwrap_or_default();
    let mut names = names.split(':');
    (0..RawFd::from(count)).map(|index| (FIRST + index, names.next().unwrap_or_default().to_owned())).collect()
}

/// Tells the service manager how this process is, if there is one that wants to know.
#[derive(Debug)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// As the environment says. An address that cannot be used is logged, and then nobody is told.
    pub fn from_environment() -> Notifier {
        let watchdog = std::env::var("WATCHDOG_USEC").ok().and_then(|time| time.parse().ok()).filter(|time| *time > 0);
        let ours = std::env::var("WATCHDOG_PID").map_or(true, |process| process.parse() == Ok(std::process::id()));
        let socket = std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()).and_then(|address| {
            connect(&address)
                .map_err(|error| tracing::warn!(target: "wsgi", "cannot tell the service manager at {address:?} that the server is ready: {error}"))
                .ok()
        });
        Notifier { socket, watchdog: watchdog.map(Duration::from_micros).filter(|_| ours) }
    }

    /// How often [`watchdog`](Self::watchdog) is to be called at least, so that the process is not taken for dead: half of what the service
    /// manager waits.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.socket.is_some()).map(|time| time / 2)
    }

    /// It serves, also after a reload.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// It reloads; [`ready`](Self::ready) is to follow.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloading"));
    }

    /// It ends.
    pub fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=ending");
    }

    /// Another process is the service from now on.
    pub fn succeeded_by(&self, process: u32) {
        self.tell(&format!("MAINPID={process}\nREADY=1\nSTATUS=process {process} serves"));
    }

    /// How it is, in a few words for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", line(status)));
    }

    /// It is alive.
    pub fn watchdog(&self) {
        self.tell("WATCHDOG=1");
    }

    fn tell(&self, text: &str) {
        let Some((socket, address)) = &self.socket else { return };
        if let Err(error) = socket.send_to_addr(text.as_bytes(), address) {
            tracing::debug!(target: "wsgi", "the service manager was not told: {error}");
        }
    }
}

fn connect(address: &OsString) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(address)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "expected a path or '@' and a name")),
    };
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read must not hold the server up.
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

/// The protocol is one of lines.
fn line(text: &str) -> String {
    text.replace('\n', " ")
}

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_taken_only_if_they_are_for_this_process() {
        let text = |text: &str| Some(text.to_owned());
        let me = Some(std::process::id().to_string());
        assert_eq!(sockets_of(me.clone(), text("2"), text("http:uwsgi")), [(3, "http".to_owned()), (4, "uwsgi".to_owned())]);
        assert_eq!(sockets_of(me.clone(), text("1"), None), [(3, String::new())]);
        assert_eq!(sockets_of(me.clone(), text("-1"), None), []);
        assert_eq!(sockets_of(me, None, None), []);
        assert_eq!(sockets_of(text("1"), text("2"), None), []);
        assert_eq!(sockets_of(None, text("2"), None), []);
    }

    #[test]
    fn words_arrive_at_an_abstract_address() {
        let name = format!("wsgi-notify-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier { socket: Some(connect(&format!("@{name}").into()).unwrap()), watchdog: None };
        notifier.ready("2 workers\nREADY=0");
        let mut bytes = [0; 100];
        let length = manager.recv(&mut bytes).unwrap();
        assert_eq!(std::str::from_utf8(&bytes[..length]), Ok("READY=1\nSTATUS=2 workers READY=0"));
        assert!(connect(&"relative".into()).is_err());
    }
}
