//! Servers with a small protocol of their own, and peers to talk to them.

// Each program of tests uses a part.
#![allow(dead_code)]

pub(crate) mod cases;
pub(crate) mod lines;
pub(crate) mod warnings;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use wsgi_core::server::Listener;
use wsgi_core::wire::{Address, Known, ResponseHead};
use wsgi_core::{Exchange, Handler};

use self::lines::lines;
use crate::{Server, Serving};

/// A server that runs.
pub(crate) struct Started {
    pub(crate) address: SocketAddr,
    serving: Mutex<Option<Serving>>,
    handle: crate::Handle,
}

impl Started {
    pub(crate) fn new<M>(configure: impl FnOnce(Server) -> Server, handler: impl IntoHandler<M>) -> Started {
        let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
        let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
        let serving = Serving::start(configure(Server::new(handler.into_handler()).listen(listener, lines)));
        Started { address, handle: serving.handle(), serving: Mutex::new(Some(serving)) }
    }

    pub(crate) fn connect(&self) -> Peer {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Peer { stream }
    }

    pub(crate) fn status_handle(&self) -> crate::Handle {
        self.handle.clone()
    }

    pub(crate) fn shutdown(&self) {
        self.handle.shutdown();
    }

    pub(crate) fn hurry(&self) {
        self.handle.hurry();
    }

    /// Ends, and says how many threads are stuck.
    pub(crate) fn stop(&self) -> usize {
        self.shutdown();
        self.serving.lock().unwrap().take().map_or(0, |serving| serving.wait().stuck)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        self.handle.hurry();
    }
}

pub(crate) fn echo(exchange: &mut dyn Exchange) {
    let mut text = format!("{} ", path(exchange)).into_bytes();
    loop {
        let piece = exchange.read(7).unwrap();
        if piece.is_empty() {
            break;
        }
        text.extend_from_slice(&piece);
    }
    answer(exchange, &text);
}

pub(crate) fn answer(exchange: &mut dyn Exchange, body: &[u8]) {
    exchange.start(&ResponseHead::plain(http::StatusCode::OK, body.len() as u64));
    exchange.data(body);
    exchange.finish();
}

/// A file with this content that nobody else can find.
pub(crate) fn file_with(content: &[u8]) -> File {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("wsgi-engine-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, content).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}

pub(crate) fn stream(exchange: &mut dyn Exchange, bytes: usize) -> std::io::Result<()> {
    exchange.start(&ResponseHead::of(http::StatusCode::OK));
    for _ in 0..bytes / 4096 {
        exchange.data(&[0; 4096]);
        exchange.flush()?;
    }
    exchange.finish();
    Ok(())
}

pub(crate) fn path(exchange: &dyn Exchange) -> String {
    String::from_utf8(exchange.head().get(Known::PathInfo).unwrap().to_vec()).unwrap()
}

pub(crate) fn wait_for<T>(receiver: &Receiver<T>) -> T {
    receiver.recv_timeout(PATIENCE).expect("it comes in time")
}

pub(crate) fn wait_until(mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "the condition holds in time");
        std::thread::yield_now();
    }
}

/// A handler made of a function.
pub(crate) struct Of<F>(pub(crate) F);

impl<F: Fn(&mut dyn Exchange) + Send + Sync> Handler for Of<F> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        self.0(exchange);
    }
}

/// Lets a test give a function or a handler.
pub(crate) trait IntoHandler<M> {
    fn into_handler(self) -> Arc<dyn Handler>;
}

impl<F: Fn(&mut dyn Exchange) + Send + Sync + 'static> IntoHandler<fn()> for F {
    fn into_handler(self) -> Arc<dyn Handler> {
        Arc::new(Of(self))
    }
}

pub(crate) struct IsHandler;

impl<H: Handler + 'static> IntoHandler<IsHandler> for H {
    fn into_handler(self) -> Arc<dyn Handler> {
        Arc::new(self)
    }
}

/// The other side of a connection.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

impl Peer {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        loop {
            match self.take(1)[0] {
                b'\n' => return line,
                byte => line.push(byte as char),
            }
        }
    }

    pub(crate) fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// A body of so many bytes, after `/pieces` without what stands around its pieces.
    pub(crate) fn body(&mut self, target: &str, count: usize) -> Vec<u8> {
        if target != "/pieces" {
            return self.take(count);
        }
        let mut body = Vec::new();
        while body.len() < count {
            let line = self.line();
            let len = line.strip_prefix('<').expect("a piece").parse().unwrap();
            body.extend(self.take(len));
            assert_eq!(self.take(1), b">");
        }
        body
    }

    /// The code and the body of a reply with a length.
    pub(crate) fn reply(&mut self) -> String {
        let line = self.line();
        let (code, length) = line.split_once(' ').unwrap();
        let body = self.take(length.parse().unwrap());
        format!("{code} {}", String::from_utf8(body).unwrap())
    }

    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }

    /// Sends a byte now and then, until the other end is closed.
    pub(crate) fn trickle_until_closed(&mut self) {
        self.stream.set_nodelay(true).unwrap();
        let until = Instant::now() + PATIENCE;
        while self.is_writable() {
            assert!(Instant::now() < until, "the connection is closed in time");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn is_writable(&mut self) -> bool {
        self.stream.write_all(b"x").is_ok()
    }
}

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
