//! A blocking client on top of the codec, and what the tests share.

use std::io::{self, Read, Write};
use std::time::Duration;

use bytes::BytesMut;
use wsgi_core::wire::ResponseHead;
use wsgi_uwsgi_proto::client::{self, Event, Reply};

pub(crate) type Variables<'a> = &'a [(&'a str, &'a str)];

/// The bytes of a request.
pub(crate) fn request(modifier1: u8, variables: Variables, body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut bytes = Vec::new();
    client::encode(modifier1, variables.iter().copied().chain([("CONTENT_LENGTH", &*length)]), &mut bytes).unwrap();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads a whole reply.
pub(crate) fn read(stream: &mut impl Read, reply: Reply) -> io::Result<(ResponseHead, Vec<u8>)> {
    let mut reader = Reader::new(reply);
    let mut body = Vec::new();
    loop {
        match reader.next(stream)? {
            Event::Body(piece) => body.extend_from_slice(&piece),
            Event::End => return Ok((reader.head, body)),
            _ => {}
        }
    }
}

/// Sends a request and reads the reply.
pub(crate) fn ask<S: Read + Write>(mut stream: S, request: &[u8]) -> io::Result<(ResponseHead, Vec<u8>)> {
    stream.write_all(request)?;
    read(&mut stream, Reply::to(b"GET"))
}

/// A reply that is read one event at a time.
pub(crate) struct Reader {
    reply: Reply,
    input: BytesMut,
    pub(crate) head: ResponseHead,
    ended: bool,
}

impl Reader {
    pub(crate) fn new(reply: Reply) -> Reader {
        Reader { reply, input: BytesMut::new(), head: ResponseHead::default(), ended: false }
    }

    /// The next event that is one.
    pub(crate) fn next(&mut self, stream: &mut impl Read) -> io::Result<Event> {
        loop {
            let Reader { reply, input, head, ended } = self;
            match if *ended { reply.end(input, head) } else { reply.poll(input, head) }.map_err(io::Error::other)? {
                Event::NeedInput => {
                    let mut buffer = [0; 4096];
                    let count = stream.read(&mut buffer)?;
                    input.extend_from_slice(&buffer[..count]);
                    *ended = count == 0;
                }
                event => return Ok(event),
            }
        }
    }
}

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
