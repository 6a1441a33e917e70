//! The floor: an epoll loop that answers every request with the same bytes, and knows nothing of HTTP but where a head ends.
//!
//! ```text
//! bare HOST:PORT [--block BYTES] [--blocks COUNT] [--post BYTES]
//! ```
//!
//! One thread, level-triggered, keep-alive. What another server spends beyond this is its own work: understanding the request, calling the
//! application, and whatever its threads and timers cost.
//!
//! **In scope:** the same number of bytes and of writes as the workload that it is the floor of: a body of `--block` bytes, or `--blocks`
//! chunks of that size, each in a write of its own; `--post` bytes of request body that are read and thrown away.
//! **Out of scope:** anything that a server owes its peers: limits, deadlines, errors, an end.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use memchr::memmem::Finder;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

fn main() -> Result<(), Box<dyn Error>> {
    let settings = Settings::parse(std::env::args().skip(1))?;
    let listener = TcpListener::bind(&settings.address)?;
    listener.set_nonblocking(true)?;
    Ok(serve(&listener, &settings.writes(), settings.post)?)
}

/// What the command line says.
struct Settings {
    address: String,
    block: usize,
    blocks: usize,
    post: usize,
}

impl Settings {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Settings, Box<dyn Error>> {
        let address = arguments.next().ok_or("usage: bare HOST:PORT [--block BYTES] [--blocks COUNT] [--post BYTES]")?;
        let mut settings = Settings { address, block: 14, blocks: 1, post: 0 };
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} wants a number"))?.parse()?;
            match name.as_str() {
                "--block" => settings.block = value,
                "--blocks" => settings.blocks = value,
                "--post" => settings.post = value,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        Ok(settings)
    }

    /// The reply to every request, cut into the writes that carry it.
    fn writes(&self) -> Vec<Vec<u8>> {
        let block = if self.block == 14 { b"Hello, world!\n".to_vec() } else { vec![b'x'; self.block] };
        let head = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Type: text/plain\r\n";
        if self.blocks == 1 {
            return vec![[format!("{head}Content-Length: {}\r\n\r\n", block.len()).as_bytes(), &block].concat()];
        }
        let chunk = [format!("{:x}\r\n", block.len()).as_bytes(), &block, b"\r\n"].concat();
        let mut writes = vec![chunk; self.blocks];
        writes[0].splice(..0, format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes());
        writes.push(b"0\r\n\r\n".to_vec());
        writes
    }
}

/// Answers until the process is killed. `writes` is one reply; `post` is how many bytes of body follow each request's head.
fn serve(listener: &TcpListener, writes: &[Vec<u8>], post: usize) -> io::Result<()> {
    let poller = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&poller, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let end_of_head = Finder::new(b"\r\n\r\n");
    // Indexed by descriptor.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut events = [const { MaybeUninit::<Event>::uninit() }; 64];
    loop {
        let ready = match epoll::wait(&poller, &mut events, None) {
            Ok((ready, _)) => ready,
            // A tracer came or went.
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for event in ready {
            let id = event.data.u64();
            if id == LISTENER {
                accept(listener, &poller, &mut connections)?;
                continue;
            }
            let slot = &mut connections[id as usize];
            let Some(connection) = slot else { continue };
            if connection.ready(&poller, &mut buffer, &end_of_head, writes, post).is_err() {
                // Closing the descriptor takes it out of the poller.
                *slot = None;
            }
        }
    }
}

fn accept(listener: &TcpListener, poller: &OwnedFd, connections: &mut Vec<Option<Connection>>) -> io::Result<()> {
    let stream = match listener.accept() {
        Ok((stream, _)) => stream,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    };
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let id = stream.as_raw_fd() as usize;
    epoll::add(poller, &stream, EventData::new_u64(id as u64), EventFlags::IN)?;
    if connections.len() <= id {
        connections.resize_with(id + 1, || None);
    }
    connections[id] = Some(Connection { stream, held: Vec::new(), skip: 0, owed: 0, sent: (0, 0), blocked: false });
    Ok(())
}

struct Connection {
    stream: TcpStream,
    /// A head that is not whole yet.
    held: Vec<u8>,
    /// Bytes of request body still to come.
    skip: usize,
    /// Replies still to be sent.
    owed: usize,
    /// Where in the current reply the next byte lies: which write, and how far into it.
    sent: (usize, usize),
    /// Whether the last write was not taken whole, so that the poller waits for room instead of for input.
    blocked: bool,
}

impl Connection {
    /// Does what the poller says can be done. An error ends the connection.
    fn ready(&mut self, poller: &OwnedFd, buffer: &mut [u8], end_of_head: &Finder<'_>, writes: &[Vec<u8>], post: usize) -> io::Result<()> {
        if !self.blocked {
            match self.stream.read(buffer)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => self.understand(&buffer[..count], end_of_head, post),
            }
        }
        let blocked = !self.answer(writes)?;
        if blocked != self.blocked {
            self.blocked = blocked;
            let interest = if blocked { EventFlags::OUT } else { EventFlags::IN };
            epoll::modify(poller, self.stream.as_fd(), EventData::new_u64(self.stream.as_raw_fd() as u64), interest)?;
        }
        Ok(())
    }

    /// Counts the requests that end in `input`.
    fn understand(&mut self, input: &[u8], end_of_head: &Finder<'_>, post: usize) {
        let joined;
        let mut input = input;
        if !self.held.is_empty() {
            joined = [std::mem::take(&mut self.held).as_slice(), input].concat();
            input = &joined;
        }
        while !input.is_empty() {
            if self.skip > 0 {
                let body = self.skip.min(input.len());
                self.skip -= body;
                input = &input[body..];
                self.owed += usize::from(self.skip == 0);
            } else if let Some(at) = end_of_head.find(input) {
                input = &input[at + 4..];
                self.skip = post;
                self.owed += usize::from(post == 0);
            } else {
                self.held.extend_from_slice(input);
                return;
            }
        }
    }

    /// Sends what is owed; false if the operating system did not take all of it.
    fn answer(&mut self, writes: &[Vec<u8>]) -> io::Result<bool> {
        while self.owed > 0 {
            let (at, offset) = self.sent;
            let rest = &writes[at][offset..];
            match self.stream.write(rest) {
                Ok(count) if count < rest.len() => self.sent.1 += count,
                Ok(_) if at + 1 < writes.len() => self.sent = (at + 1, 0),
                Ok(_) => {
                    self.sent = (0, 0);
                    self.owed -= 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

const LISTENER: u64 = u64::MAX;
