//! A port of its own on which the figures are told: over HTTP to whoever asks in HTTP, and as uWSGI does to whoever says nothing.
//!
//! Prometheus asks for `/metrics`, a probe for `/healthz` or `/readyz`, people for `/stats`; `uwsgitop` connects and waits. Not served by the
//! threads of requests, so that it answers while all of those are busy.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::snapshot::{Health, Snapshot};
use super::{prometheus, uwsgi};
use crate::listening::Door;
use crate::panics::survive;
use crate::server::{ListenAddress, Listener};
use crate::trouble::Trouble;
use crate::wire::Address;

/// Tells the figures on a port of its own, until it is dropped.
pub struct Stats {
    address: Address,
    waker: Arc<OwnedFd>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

type Source = Arc<dyn Fn() -> Vec<Snapshot> + Send + Sync>;

impl Stats {
    /// Listens, and asks `source` for the figures whenever somebody wants them. It is called on a thread of its own, and may take its time.
    ///
    /// Anyone who can connect may ask: bind it to this machine, or to a network of one's own.
    ///
    /// # Errors
    /// The address cannot be had, or the system gives no thread.
    pub fn serve(address: &ListenAddress, source: impl Fn() -> Vec<Snapshot> + Send + Sync + 'static) -> io::Result<Stats> {
        Stats::listen(Listener::bind(address)?, source)
    }

    /// The same on a socket that listens already.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn listen(listener: Listener, source: impl Fn() -> Vec<Snapshot> + Send + Sync + 'static) -> io::Result<Stats> {
        let waker = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let ended = Arc::new(AtomicBool::new(false));
        let address = listener.local_address().clone();
        let (awake, over) = (Arc::clone(&waker), Arc::clone(&ended));
        let source: Source = Arc::new(source);
        let thread = std::thread::Builder::new().name("wsgi-stats".to_owned()).spawn(move || accept(&listener, &awake, &over, &source))?;
        Ok(Stats { address, waker, ended, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl std::fmt::Debug for Stats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stats").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Stats {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        // The only failure is a counter that is full, and then it is awake.
        let _ = rustix::io::write(&*self.waker, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Lets peers in, each on a thread of its own, so that one that is slow keeps no probe waiting.
fn accept(listener: &Listener, waker: &OwnedFd, ended: &AtomicBool, source: &Source) {
    let door = Door::new(listener, false);
    let open = Arc::new(AtomicUsize::new(0));
    let (trouble, threads) = (Trouble::new(), Trouble::new());
    loop {
        let ready = poll(&mut [PollFd::new(listener, PollFlags::IN), PollFd::new(waker, PollFlags::IN)], None);
        if ended.load(Ordering::SeqCst) {
            return;
        }
        // A stopped process that goes on is interrupted too.
        let ready = if ready == Err(Errno::INTR) { Ok(0) } else { ready };
        match ready.map_err(io::Error::from).and_then(|_| door.accept(listener)) {
            Ok(Some((socket, _))) => {
                if trouble.over().is_some() {
                    tracing::info!(target: "wsgi", "statistics: accepting again");
                }
                if open.fetch_add(1, Ordering::SeqCst) >= MOST_PEERS {
                    // Closed at once.
                    open.fetch_sub(1, Ordering::SeqCst);
                    continue;
                }
                let (source, open) = (Arc::clone(source), Arc::clone(&open));
                let spawned = std::thread::Builder::new().name("wsgi-stats-peer".to_owned()).spawn({
                    let open = Arc::clone(&open);
                    move || {
                        // Of the sockets of the standard library; it serves those of Unix as well.
                        let _ = survive("source of statistics", || answer(TcpStream::from(socket), &source));
                        open.fetch_sub(1, Ordering::SeqCst);
                    }
                });
                match spawned {
                    Ok(_) if threads.over().is_some() => tracing::info!(target: "wsgi", "statistics: answering again"),
                    Ok(_) => {}
                    Err(error) => {
                        open.fetch_sub(1, Ordering::SeqCst);
                        if threads.met() {
                            tracing::warn!(target: "wsgi", "statistics: cannot answer: {error}");
                        }
                    }
                }
            }
            Ok(None) => {}
            Err(error) => {
                if trouble.met() {
                    tracing::warn!(target: "wsgi", "statistics: cannot accept: {error}");
                }
                // No descriptors, most likely.
                std::thread::sleep(PAUSE);
            }
        }
    }
}

/// One peer, to its end.
fn answer(mut stream: TcpStream, source: &Source) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    let reply = match request(&mut stream)? {
        None => uwsgi(&source()).into_bytes(),
        Some(head) => reply(&head, source),
    };
    send(&stream, &reply, Instant::now() + PATIENCE)?;
    let _ = stream.shutdown(Shutdown::Write);
    // Until the peer has read it: to close while something of it is unread would destroy what it has not read yet.
    stream.set_read_timeout(Some(SILENCE))?;
    let _ = stream.read(&mut [0; 256]);
    Ok(())
}

/// The head of a request, as far as it comes; `None` from a peer that says nothing.
fn request(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let until = Instant::now() + PATIENCE;
    let mut head = Vec::new();
    let mut limit = SILENCE;
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < LONGEST_HEAD && !limit.is_zero() {
        stream.set_read_timeout(Some(limit))?;
        let mut piece = [0; 2048];
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => head.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        }
        limit = until.saturating_duration_since(Instant::now());
    }
    Ok((!head.is_empty()).then_some(head))
}

/// Sends all of it, by this time: a peer that takes a little now and then would keep others out for as long as it likes.
fn send(mut stream: &TcpStream, mut reply: &[u8], until: Instant) -> io::Result<()> {
    while !reply.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_write_timeout(Some(left))?;
        match stream.write(reply) {
            Ok(sent) => reply = &reply[sent..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn reply(head: &[u8], source: &Source) -> Vec<u8> {
    let line = head.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target, version) = (words.next().unwrap_or(""), words.next().unwrap_or(""), words.next().unwrap_or(""));
    let (status, kind, body) = if !version.starts_with("HTTP/1.") || words.next().is_some() {
        ("400 Bad Request", TEXT, "expected a request in HTTP/1.1\n".to_owned())
    } else if !matches!(method, "GET" | "HEAD") {
        ("405 Method Not Allowed", TEXT, "expected GET or HEAD\n".to_owned())
    } else {
        match target.split('?').next().unwrap_or("") {
            "/metrics" => ("200 OK", "text/plain; version=0.0.4; charset=utf-8", prometheus(&source())),
            "/" | "/stats" => ("200 OK", "application/json", uwsgi(&source())),
            "/healthz" => health(source, |health| health != Health::Stuck),
            "/readyz" => health(source, |health| health == Health::Ready),
            _ => ("404 Not Found", TEXT, "there are /metrics, /stats, /healthz and /readyz\n".to_owned()),
        }
    };
    let allow = if status.starts_with("405") { "Allow: GET, HEAD\r\n" } else { "" };
    let mut reply = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n{allow}Connection: close\r\n\r\n",
        body.len()
    );
    if method != "HEAD" {
        reply += &body;
    }
    reply.into_bytes()
}

fn health(source: &Source, good: fn(Health) -> bool) -> (&'static str, &'static str, String) {
    let health = Snapshot::sum(&source()).health();
    let word = match health {
        Health::Ready => "ready\n",
        Health::Starting => "starting\n",
        Health::Stopping => "stopping\n",
        Health::Stuck => "stuck\n",
    };
    (if good(health) { "200 OK" } else { "503 Service Unavailable" }, TEXT, word.to_owned())
}

const TEXT: &str = "text/plain; charset=utf-8";
/// How long a peer may say nothing before it is told what uWSGI would tell it.
const SILENCE: Duration = Duration::from_millis(300);
/// How long a request may take to come, and a reply to be taken.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_HEAD: usize = 8 * 1024;
const MOST_PEERS: usize = 32;
const PAUSE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_peer_that_takes_a_little_now_and_then_is_given_up_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let peer = std::thread::spawn(move || {
            let mut taken = 0;
            while let Ok(more @ 1..) = peer.read(&mut [0; 16 * 1024]) {
                taken += more;
                std::thread::sleep(Duration::from_millis(1));
            }
            taken
        });
        let reply = vec![0; 64 << 20];
        let sent = send(&stream, &reply, Instant::now() + Duration::from_millis(100));
        assert!(matches!(sent.unwrap_err().kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock));
        drop(stream);
        assert!(peer.join().unwrap() < reply.len());
    }
}
