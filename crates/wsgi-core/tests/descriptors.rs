//! What becomes of connections that come in while the process has no descriptor left: alone in its process, for it takes them all.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use wsgi_core::gateway::Gateway;
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::Address;
use wsgi_core::{Exchange, Handler};

#[path = "serving/lines.rs"]
#[allow(dead_code)]
mod lines;

struct Hello;

impl Handler for Hello {
    fn handle(&self, exchange: &mut dyn Exchange) {
        exchange.refuse(http::StatusCode::OK, "hello");
    }
}

#[test]
fn connections_that_come_while_there_are_no_descriptors_wait_until_there_are() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(256);
    setrlimit(Resource::Nofile, limit).unwrap();

    let (listener, address) = bind();
    let running = Server::new(Hello).listen(listener, lines::lines).start().unwrap();
    are_served_late(address);
    running.handle().shutdown();
    running.wait();

    let (listener, address) = bind();
    let gateway = Gateway::new(Hello).listen(listener, lines::lines);
    let handle = gateway.handle();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let thread = std::thread::spawn(move || runtime.block_on(gateway.run()).unwrap());
    are_served_late(address);
    handle.shutdown();
    thread.join().unwrap();
}

fn bind() -> (Listener, SocketAddr) {
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    (listener, address)
}

fn are_served_late(address: SocketAddr) {
    // So that all that the server makes at its first connection is there.
    let mut first = TcpStream::connect(address).unwrap();
    assert_eq!(&ask(&mut first, Duration::from_secs(20)).unwrap(), REPLY);
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    // For this end of the connection, which leaves none for the other.
    files.pop();
    let mut peer = TcpStream::connect(address).unwrap();
    assert!(File::open("/dev/null").is_err());
    let nothing = ask(&mut peer, Duration::from_millis(50)).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    drop(files);
    peer.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut reply = [0; REPLY.len()];
    peer.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, REPLY);
}

fn ask(peer: &mut TcpStream, patience: Duration) -> std::io::Result<[u8; REPLY.len()]> {
    peer.set_read_timeout(Some(patience))?;
    peer.write_all(b"/ 0\n")?;
    let mut reply = [0; REPLY.len()];
    peer.read_exact(&mut reply)?;
    Ok(reply)
}

const REPLY: &[u8; 11] = b"200 5\nhello";
