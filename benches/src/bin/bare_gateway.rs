//! The floor of the protocols that take a connection for each request: a loop that accepts, reads once, writes a fixed reply and closes.
//!
//! ```text
//! bare_gateway PATH
//! ```
//!
//! One thread, one Unix socket. It understands nothing of what it reads; the reply is that of the uwsgi protocol.

use std::io::{Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::event::epoll;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: bare_gateway PATH")?;
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poller, &listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; 1];
    let mut buffer = vec![0; 64 * 1024];
    loop {
        epoll::wait(&poller, &mut events, None)?;
        while let Ok((stream, _)) = listener.accept() {
            // A peer that went away is none of the floor's business.
            let _ = answer(stream, &mut buffer);
        }
    }
}

fn answer(mut stream: UnixStream, buffer: &mut [u8]) -> std::io::Result<()> {
    // The load generator writes right after it has connected.
    if stream.read(buffer)? > 0 {
        stream.write_all(REPLY)?;
    }
    Ok(())
}

const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, world!\n";
