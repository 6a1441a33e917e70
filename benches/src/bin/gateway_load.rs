//! A load generator for uwsgi, FastCGI and SCGI, which behaves as a web server does: over a Unix socket, with the variables that nginx sends.
//!
//! ```text
//! gateway_load PATH uwsgi|scgi|fastcgi|fastcgi-keep CONNECTIONS SECONDS
//! ```
//!
//! So many requests are under way at any time, each on a connection of its own; `fastcgi-keep` keeps its connections. Every reply must be
//! whole and hold the expected text. Prints `{"requests": N, "errors": N}`.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use memchr::memmem::Finder;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use wsgi_core::wire::ResponseHead;
use wsgi_fastcgi::client::{Event, Reply, Request};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, protocol, connections, seconds] = arguments.as_slice() else {
        return Err("usage: gateway_load PATH uwsgi|scgi|fastcgi|fastcgi-keep CONNECTIONS SECONDS".into());
    };
    let address = SocketAddrUnix::new(path.as_str())?;
    let load = Load::new(address, protocol)?;
    let (requests, errors) = load.run(connections.parse()?, Duration::from_secs(seconds.parse()?))?;
    println!("{{\"requests\": {requests}, \"errors\": {errors}}}");
    Ok(())
}

struct Load {
    address: SocketAddrUnix,
    request: Vec<u8>,
    /// Replies are FastCGI records; else the reply is what comes until the end.
    records: bool,
    keep: bool,
    poller: std::os::fd::OwnedFd,
    text: Finder<'static>,
}

/// One connection, with one request under way.
struct Connection {
    socket: std::os::fd::OwnedFd,
    reply: BytesMut,
}

enum Progress {
    More,
    Whole,
    Broken,
}

impl Load {
    fn new(address: SocketAddrUnix, protocol: &str) -> Result<Load, Box<dyn std::error::Error>> {
        let mut request = Vec::new();
        let keep = protocol == "fastcgi-keep";
        match protocol {
            "uwsgi" => wsgi_uwsgi_proto::client::encode(0, VARIABLES.iter().copied(), &mut request)?,
            "scgi" => {
                let mut pairs = b"CONTENT_LENGTH\x000\0SCGI\x001\0".to_vec();
                for (name, value) in VARIABLES.iter().filter(|(name, _)| *name != "CONTENT_LENGTH") {
                    pairs.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
                }
                request.extend_from_slice(format!("{}:", pairs.len()).as_bytes());
                request.extend_from_slice(&pairs);
                request.push(b',');
            }
            "fastcgi" | "fastcgi-keep" => {
                let records = Request::new(1).keep_connection(keep);
                records.begin(VARIABLES.iter().copied(), &mut request)?;
                records.end_body(&mut request);
            }
            other => return Err(format!("unknown protocol {other}").into()),
        }
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Load { address, request, records: protocol.starts_with("fastcgi"), keep, poller, text: Finder::new(TEXT) })
    }

    fn run(&self, connections: usize, time: Duration) -> Result<(u64, u64), Box<dyn std::error::Error>> {
        let mut slots: Vec<Option<Connection>> = (0..connections).map(|_| None).collect();
        // Connections that the server's backlog had no room for, to be tried again.
        let mut waiting: Vec<usize> = (0..connections).collect();
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; 64];
        let (mut requests, mut errors) = (0, 0);
        let until = Instant::now() + time;
        let mut room = vec![0; 64 * 1024];
        while Instant::now() < until {
            for at in std::mem::take(&mut waiting) {
                match self.begin(at) {
                    Ok(Some(connection)) => slots[at] = Some(connection),
                    Ok(None) => waiting.push(at),
                    Err(error) => return Err(error.into()),
                }
            }
            let (ready, _) = epoll::wait(&self.poller, &mut events, Some(&Timespec { tv_sec: 0, tv_nsec: 10_000_000 }))?;
            for event in ready {
                let at = event.data.u64() as usize;
                let Some(connection) = &mut slots[at] else { continue };
                match self.read(connection, &mut room) {
                    Progress::More => continue,
                    Progress::Whole => requests += 1,
                    Progress::Broken => errors += 1,
                }
                if self.keep && self.send(connection).is_ok() {
                    continue;
                }
                slots[at] = None;
                match self.begin(at)? {
                    Some(connection) => slots[at] = Some(connection),
                    None => waiting.push(at),
                }
            }
        }
        Ok((requests, errors))
    }

    /// Connects and sends a request. `None`: there is no room in the server's backlog.
    fn begin(&self, at: usize) -> io::Result<Option<Connection>> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        match rustix::net::connect(&socket, &self.address) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        epoll::add(&self.poller, &socket, epoll::EventData::new_u64(at as u64), epoll::EventFlags::IN)?;
        let mut connection = Connection { socket, reply: BytesMut::new() };
        self.send(&mut connection)?;
        Ok(Some(connection))
    }

    fn send(&self, connection: &mut Connection) -> io::Result<()> {
        connection.reply.clear();
        // A request of a kilobyte always fits into an empty socket.
        rustix::net::send(connection.socket.as_fd(), &self.request, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn read(&self, connection: &mut Connection, room: &mut [u8]) -> Progress {
        let got = match rustix::net::recv(&connection.socket, &mut *room, RecvFlags::empty()) {
            Ok((got, _)) => got,
            Err(Errno::WOULDBLOCK) => return Progress::More,
            Err(_) => return Progress::Broken,
        };
        connection.reply.extend_from_slice(&room[..got]);
        if self.records {
            return self.records_of(connection, got == 0);
        }
        match got {
            0 if self.text.find(&connection.reply).is_some() => Progress::Whole,
            0 => Progress::Broken,
            _ => Progress::More,
        }
    }

    /// Whether the records of a whole reply are there.
    fn records_of(&self, connection: &mut Connection, ended: bool) -> Progress {
        let mut input = connection.reply.clone();
        let mut reply = Reply::to(Request::new(1), b"GET");
        let mut head = ResponseHead::default();
        let mut body = Vec::new();
        loop {
            match reply.poll(&mut input, &mut head) {
                Ok(Event::Body(piece)) => body.extend_from_slice(&piece),
                Ok(Event::End(end)) if end.is_complete() && body == TEXT => return Progress::Whole,
                Ok(Event::NeedInput) if !ended => return Progress::More,
                Ok(Event::NeedInput | Event::End(_)) | Err(_) => return Progress::Broken,
                Ok(_) => {}
            }
        }
    }
}

const TEXT: &[u8] = b"Hello, world!\n";

/// As nginx sends them for `curl http://127.0.0.1:8080/`, with SCRIPT_NAME empty so that every protocol means the same path.
const VARIABLES: &[(&str, &str)] = &[
    ("QUERY_STRING", ""),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("REQUEST_URI", "/"),
    ("SCRIPT_NAME", ""),
    ("PATH_INFO", "/"),
    ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "http"),
    ("REMOTE_ADDR", "127.0.0.1"),
    ("REMOTE_PORT", "40000"),
    ("SERVER_PORT", "8080"),
    ("SERVER_NAME", "localhost"),
    ("HTTP_HOST", "127.0.0.1:8080"),
    ("HTTP_USER_AGENT", "curl/7.88.1"),
    ("HTTP_ACCEPT", "*/*"),
];
