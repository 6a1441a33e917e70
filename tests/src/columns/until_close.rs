//! A gateway for the protocols that carry one request on each connection, whose reply ends where the connection ends: uwsgi and SCGI.

use std::io;
use std::net::SocketAddr;

use bytes::BytesMut;
use wsgi_core::wire::{Address, ResponseHead};
use wsgi_uwsgi_proto::client::{Event, Reply, ReplyError};

use super::gateway::{self, Variables};
use super::serving::Serving;
use crate::column::{Body, Broken, Conversation, Front, Head, Request};
use crate::stream::Stream;

/// What the protocols differ in.
#[derive(Clone, Copy)]
pub(super) struct Tongue {
    /// The parameters, in the words of nginx.
    pub(super) params: &'static [(&'static str, &'static str)],
    /// Packs the variables.
    pub(super) encode: fn(&Variables) -> Vec<u8>,
    /// What each reply begins with. The client codec reads both forms, front servers do not.
    pub(super) begins: &'static [u8],
}

/// A server that is reached through such gateways.
pub(super) struct Behind {
    pub(super) serving: Serving,
    pub(super) tongue: Tongue,
}

impl Front for Behind {
    fn open(&self) -> Box<dyn Conversation> {
        Box::new(Gateway { address: self.serving.address().clone(), tongue: self.tongue, upstream: None })
    }

    fn shut_down(&self) {
        self.serving.shut_down();
    }

    fn stop(self: Box<Self>) {
        self.serving.stop();
    }
}

/// A gateway as its one client sees it.
struct Gateway {
    address: Address,
    tongue: Tongue,
    /// The connection of the request that was sent last.
    upstream: Option<Upstream>,
}

struct Upstream {
    stream: Stream,
    input: BytesMut,
    /// What is still to come of the text that each reply begins with.
    begins: &'static [u8],
    ended: bool,
    /// The connection was reset, which the system says once.
    reset: bool,
    reply: Reply,
    head: ResponseHead,
}

impl Conversation for Gateway {
    fn send(&mut self, request: &Request) -> io::Result<()> {
        // A body of unknown length is gathered, for neither protocol can say that it has no length.
        let gathered;
        let body = match &request.body {
            Body::Whole(body) => Some(body.as_slice()),
            Body::Chunked(pieces) => {
                gathered = pieces.concat();
                Some(gathered.as_slice())
            }
            Body::Later(None) => return Err(io::Error::new(io::ErrorKind::Unsupported, "the gateway would wait for the whole body")),
            Body::None | Body::Later(Some(_)) => None,
        };
        let mut variables = gateway::variables(request, self.tongue.params);
        if let (Body::Chunked(_), Some(body)) = (&request.body, body) {
            let length = variables.iter_mut().find(|(name, _)| name == "CONTENT_LENGTH").expect("a parameter of both protocols");
            length.1 = body.len().to_string().into_bytes();
        }
        let mut packet = (self.tongue.encode)(&variables);
        let mut stream = Stream::connect(&self.address)?;
        match body {
            Some(body) if body.len() < 64 * 1024 => {
                packet.extend_from_slice(body);
                stream.send(&packet)?;
            }
            body => {
                stream.send(&packet)?;
                stream.send(body.unwrap_or_default())?;
            }
        }
        let reply = Reply::to(request.method.as_bytes());
        self.upstream = Some(Upstream {
            stream,
            input: BytesMut::new(),
            begins: self.tongue.begins,
            ended: false,
            reset: false,
            reply,
            head: ResponseHead::default(),
        });
        Ok(())
    }

    fn send_body(&mut self, piece: &[u8]) -> io::Result<()> {
        self.upstream().stream.send(piece)
    }

    /// Its length has said so before.
    fn end_body(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn head(&mut self) -> Result<Head, Broken> {
        let upstream = self.upstream();
        match upstream.event()? {
            Event::Head => Ok(gateway::head(&upstream.head)),
            other => panic!("{other:?} came before a head"),
        }
    }

    fn block(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let upstream = self.upstream();
        match upstream.event()? {
            Event::Body(block) => Ok(Some(block.to_vec())),
            Event::End => upstream.rest().map(|()| None),
            other => panic!("{other:?} came inside a body"),
        }
    }

    fn stop_sending(&mut self) {
        self.upstream().stream.end_sending();
    }

    fn leave(self: Box<Self>) {
        if let Some(upstream) = self.upstream {
            upstream.stream.reset();
        }
    }

    fn reusable(&self) -> bool {
        false
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(gateway::client())
    }
}

impl Gateway {
    fn upstream(&mut self) -> &mut Upstream {
        self.upstream.as_mut().expect("a request was sent")
    }
}

impl Upstream {
    fn event(&mut self) -> Result<Event, Broken> {
        loop {
            let event = match self.ended {
                false => self.reply.poll(&mut self.input, &mut self.head),
                true => self.reply.end(&mut self.input, &mut self.head),
            };
            match event {
                Ok(Event::NeedInput) => self.fill()?,
                Ok(event) => return Ok(event),
                Err(ReplyError::Truncated(_)) => return Err(Broken::Truncated),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn fill(&mut self) -> Result<(), Broken> {
        if self.reset {
            return Err(Broken::Reset);
        }
        let at = self.input.len();
        self.input.resize(at + 64 * 1024, 0);
        let read = self.stream.receive(&mut self.input[at..]);
        self.input.truncate(at + read.unwrap_or(0));
        self.reset = read == Err(Broken::Reset);
        self.ended = read? == 0;
        let came = &self.input[at..];
        let (expected, rest) = self.begins.split_at(self.begins.len().min(came.len()));
        assert!(came.starts_with(expected), "a reply begins with {:?}", self.input);
        self.begins = rest;
        Ok(())
    }

    /// The reply is whole: the connection ends, and nothing comes before that, such as the body of a reply to `HEAD`.
    fn rest(&mut self) -> Result<(), Broken> {
        while !self.ended {
            gateway::nothing_follows(&self.input);
            match self.fill() {
                Ok(()) => {}
                // A part of the request was not read, and the reply is whole nevertheless.
                Err(Broken::Reset) => return Ok(()),
                Err(broken) => return Err(broken),
            }
        }
        gateway::nothing_follows(&self.input);
        Ok(())
    }
}
