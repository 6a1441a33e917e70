//! One connection whose ends are two vectors: a codec and a handler without an engine.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use wsgi_core::wire::{Address, Dialect, Event, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};
use wsgi_core::{Exchange, Handler};

/// A keep-alive connection in memory. Like the engine's, its buffers are used again and again.
pub struct Memory {
    codec: Box<dyn Protocol>,
    date: HttpDate,
    input: BytesMut,
    head: RequestHead,
    output: Vec<u8>,
    started: bool,
    finished: bool,
}

/// A connection as the load generator makes it, from this port.
pub fn link(port: u16) -> Link {
    let address = |port| Address::Tcp(std::net::SocketAddr::from(([127, 0, 0, 1], port)));
    Link { local: address(8000), remote: address(port), secure: false }
}

impl Memory {
    /// A connection that was just accepted, from this port.
    pub fn new(dialect: &dyn Dialect, port: u16) -> Memory {
        Memory {
            codec: dialect.connect(&link(port)),
            date: HttpDate::from_unix(784_111_777),
            input: BytesMut::with_capacity(4096),
            head: RequestHead::default(),
            output: Vec::with_capacity(4096),
            started: false,
            finished: false,
        }
    }

    /// Takes one whole request, has it answered, and gives the bytes of the reply.
    ///
    /// # Panics
    /// If the bytes are no request, or the reply is not completed.
    pub fn serve(&mut self, request: &[u8], handler: &dyn Handler) -> &[u8] {
        self.receive(request);
        handler.handle(self);
        self.conclude();
        &self.output
    }

    /// Takes the head of a request; its body waits to be read.
    ///
    /// # Panics
    /// If the bytes do not begin with a whole head.
    pub fn receive(&mut self, request: &[u8]) {
        self.output.clear();
        (self.started, self.finished) = (false, false);
        self.input.clear();
        self.input.reserve(request.len());
        self.input.extend_from_slice(request);
        assert!(matches!(self.codec.poll(&mut self.input, &mut self.head, &mut self.output), Ok(Event::Head)), "not a whole head");
    }

    /// Checks that the reply was completed.
    ///
    /// # Panics
    /// If it was not.
    pub fn conclude(&self) {
        assert!(self.finished, "the reply was not completed, after: {}", String::from_utf8_lossy(&self.output));
    }
}

impl Exchange for Memory {
    fn head(&self) -> &RequestHead {
        &self.head
    }

    fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.head
    }

    fn inform(&mut self, head: &ResponseHead) {
        self.codec.inform(head, &mut self.output);
    }

    fn start(&mut self, head: &ResponseHead) {
        self.started = true;
        self.codec.start(head, &self.date, &mut self.output);
    }

    fn started(&self) -> bool {
        self.started
    }

    fn data(&mut self, block: &[u8]) {
        self.codec.data(block, &mut self.output);
    }

    fn finish(&mut self) {
        // As the engine does: what is left of the body goes, so that the connection stays.
        while let Ok(Event::Body(_)) = self.codec.poll(&mut self.input, &mut self.head, &mut self.output) {}
        self.finished = matches!(self.codec.finish(&mut self.output), Next::Request);
    }

    fn abort(&mut self) {
        self.codec.abort(&mut self.output);
    }

    fn read(&mut self, max: usize) -> io::Result<Bytes> {
        if max == 0 {
            return Ok(Bytes::new());
        }
        match self.codec.poll(&mut self.input, &mut self.head, &mut self.output) {
            Ok(Event::Body(piece)) if piece.len() <= max => Ok(piece),
            Ok(Event::EndOfBody) => Ok(Bytes::new()),
            other => Err(io::Error::other(format!("expected a piece of at most {max} bytes, got {other:?}"))),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn send_file(&mut self, mut file: &File, range: Range<u64>) -> io::Result<()> {
        file.seek(SeekFrom::Start(range.start))?;
        let mut block = vec![0; usize::try_from(range.end - range.start).map_err(io::Error::other)?];
        file.read_exact(&mut block)?;
        self.data(&block);
        Ok(())
    }

    fn disconnected(&mut self) -> bool {
        false
    }

    fn multithread(&self) -> bool {
        false
    }
}
