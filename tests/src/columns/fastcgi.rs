//! FastCGI, as behind nginx with `fastcgi_pass`: a connection for each request over TCP, and connections that are kept and used again over a
//! Unix socket.
//!
//! The two also give a request up in different ways, of which web servers use both: the one closes its connection, the other says
//! `ABORT_REQUEST`; the one stops sending in mid-body, the other ends `STDIN` short of `CONTENT_LENGTH`.
//!
//! And in where `wsgi.errors` goes: to the server's own log, or to the web server's as `STDERR`. A case sees both as one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use bytes::BytesMut;
use wsgi_core::wire::{Address, ResponseHead};
use wsgi_fastcgi::FastCgi;
use wsgi_fastcgi::client::{self, Event, Reply, ReplyError};

use super::gateway;
use super::serving::{Serving, Transport, Way};
use crate::column::{Body, Broken, Column, Conversation, Feature, Front, Head, Request, Served};
use crate::stream::Stream;

/// A connection for each request.
pub(super) const FASTCGI: FastCgiPass = FastCgiPass { way: Way::Engine, keeps: false };

/// With `KEEP_CONN`, over connections that all clients of a case share, one after the other. The web server gets the log.
pub(super) const FASTCGI_KEPT: FastCgiPass = FastCgiPass { way: Way::Engine, keeps: true };

/// The same on tokio.
pub(super) const FASTCGI_KEPT_ON_TOKIO: FastCgiPass = FastCgiPass { way: Way::Tokio, keeps: true };

/// A listener that speaks FastCGI.
pub(super) struct FastCgiPass {
    way: Way,
    keeps: bool,
}

impl Column for FastCgiPass {
    fn name(&self) -> &'static str {
        match (self.way, self.keeps) {
            (Way::Engine, true) => "engine-fastcgi-kept-unix",
            (Way::Engine, false) => "engine-fastcgi-tcp",
            (Way::Tokio, _) => "tokio-fastcgi-kept",
        }
    }

    fn lacks(&self) -> &'static [Feature] {
        if self.keeps {
            &[Feature::Http1, Feature::Strict, Feature::Origin, Feature::Informational, Feature::Farewell]
        } else {
            &[Feature::Http1, Feature::Strict, Feature::Origin, Feature::Informational, Feature::KeepAlive]
        }
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        let log = Arc::clone(&served.errors);
        Box::new(self.start(served, log))
    }
}

impl FastCgiPass {
    /// `log` gets what the web server would write to its own log.
    fn start(&self, served: Served, log: Log) -> Behind {
        let transport = if self.keeps { Transport::Unix } else { Transport::Tcp };
        let serving = Serving::start(served, self.way, transport, FastCgi::new().log_to_peer(self.keeps));
        let address = serving.address().clone();
        Behind { serving, connections: Arc::new(Connections::to(address, self.keeps, log)) }
    }
}

type Log = Arc<dyn Fn(&str) + Send + Sync>;

struct Behind {
    serving: Serving,
    connections: Arc<Connections>,
}

impl Front for Behind {
    fn open(&self) -> Box<dyn Conversation> {
        Box::new(Gateway { connections: Arc::clone(&self.connections), upstream: None, reusable: false })
    }

    fn shut_down(&self) {
        self.serving.shut_down();
    }

    fn stop(self: Box<Self>) {
        self.serving.stop();
        let drains = std::mem::take(&mut *self.connections.drains.lock().expect("no panic while it is held"));
        for drain in drains {
            drain.join().expect("what comes after an abort is in order");
        }
    }
}

/// The connections to one server that no request has at the moment.
struct Connections {
    address: Address,
    keeps: bool,
    log: Log,
    idle: Mutex<Vec<Stream>>,
    /// Those who read what still comes of requests that were given up.
    drains: Mutex<Vec<JoinHandle<()>>>,
}

impl Connections {
    fn to(address: Address, keeps: bool, log: Log) -> Connections {
        Connections { address, keeps, log, idle: Mutex::default(), drains: Mutex::default() }
    }

    fn take(&self) -> io::Result<Stream> {
        let mut idle = self.idle.lock().expect("no panic while it is held");
        while let Some(mut stream) = idle.pop() {
            // A server may close an idle connection at any time, and has nothing else to say on it.
            if !stream.stirs() {
                return Ok(stream);
            }
        }
        Stream::connect(&self.address)
    }

    fn put_back(&self, stream: Stream) {
        self.idle.lock().expect("no panic while it is held").push(stream);
    }
}

/// A gateway as its one client sees it.
struct Gateway {
    connections: Arc<Connections>,
    /// The request that is under way.
    upstream: Option<Upstream>,
    /// The connection of the last request is kept.
    reusable: bool,
}

struct Upstream {
    stream: Stream,
    /// Where text for the log goes, if the server was asked for it.
    log: Option<Log>,
    request: client::Request,
    input: BytesMut,
    ended: bool,
    reply: Reply,
    head: ResponseHead,
    records: Records,
    /// How much of the reply's body was given on.
    given: u64,
    /// Whether all of the request was sent.
    sent: bool,
    /// How much of a body of declared length the client still has to send.
    left: Option<u64>,
}

impl Conversation for Gateway {
    fn send(&mut self, asked: &Request) -> io::Result<()> {
        let stream = self.connections.take()?;
        let body = &asked.body;
        // Any id will do; nginx takes 1 for each request of a connection.
        let request = client::Request::new(1).keep_connection(self.connections.keeps);
        let variables = gateway::variables(asked, PARAMS);
        let mut records = Vec::new();
        request.begin(variables.iter().map(|(name, value)| (name, value)), &mut records).map_err(io::Error::other)?;
        let mut upstream = Upstream {
            stream,
            log: self.connections.keeps.then(|| Arc::clone(&self.connections.log)),
            request,
            input: BytesMut::new(),
            ended: false,
            reply: Reply::to(request, asked.method.as_bytes()),
            head: ResponseHead::default(),
            records: Records::new(),
            given: 0,
            sent: !matches!(body, Body::Later(_)),
            left: if let Body::Later(length) = body { *length } else { None },
        };
        match body {
            Body::None => {}
            Body::Whole(body) => request.body(body, &mut records),
            Body::Chunked(pieces) => pieces.iter().for_each(|piece| request.body(piece, &mut records)),
            Body::Later(_) => {}
        }
        if upstream.sent {
            request.end_body(&mut records);
        }
        upstream.stream.send(&records)?;
        self.upstream = Some(upstream);
        self.reusable = false;
        Ok(())
    }

    fn send_body(&mut self, piece: &[u8]) -> io::Result<()> {
        let upstream = self.upstream();
        let mut records = Vec::with_capacity(piece.len() + piece.len() / 1024 + 64);
        upstream.request.body(piece, &mut records);
        if let Some(left) = &mut upstream.left {
            *left -= piece.len() as u64;
            if *left == 0 {
                upstream.request.end_body(&mut records);
                upstream.sent = true;
            }
        }
        upstream.stream.send(&records)
    }

    fn end_body(&mut self) -> io::Result<()> {
        let upstream = self.upstream();
        if std::mem::replace(&mut upstream.sent, true) {
            return Ok(());
        }
        upstream.say(|request, records| request.end_body(records))
    }

    fn head(&mut self) -> Result<Head, Broken> {
        let upstream = self.upstream();
        match upstream.event()? {
            Event::Head => Ok(gateway::head(&upstream.head)),
            // No request of a case is refused by the protocol, so this is one that was given up.
            Event::End(_) => Err(Broken::Truncated),
            other => panic!("{other:?} came before a head"),
        }
    }

    fn block(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let Some(upstream) = &mut self.upstream else { return Ok(None) };
        match upstream.event()? {
            Event::Body(block) => {
                upstream.given += block.len() as u64;
                Ok(Some(block.to_vec()))
            }
            Event::End(end) => {
                assert!(end.is_complete(), "the request was refused behind its reply: {end:?}");
                upstream.records.must_be_whole(upstream.given);
                self.over();
                Ok(None)
            }
            other => panic!("{other:?} came inside a body"),
        }
    }

    fn stop_sending(&mut self) {
        let keeps = self.connections.keeps;
        let upstream = self.upstream();
        let said = match upstream.left {
            _ if !keeps => {
                upstream.stream.end_sending();
                Ok(())
            }
            // Short of the length that was declared.
            Some(_) => upstream.say(|request, records| request.end_body(records)),
            // The end of STDIN would be the end of the body.
            None => upstream.say(|request, records| request.abort(records)),
        };
        said.expect("the server still listens");
    }

    fn leave(self: Box<Self>) {
        let Some(mut upstream) = self.upstream else { return };
        if !self.connections.keeps {
            return upstream.stream.reset();
        }
        if upstream.say(|request, records| request.abort(records)).is_err() {
            // The server was faster, and the connection is over.
            return;
        }
        // The connection belongs to other clients too, so what still comes must be read, up to the end that the server owes.
        upstream.reply.discard();
        let connections = Arc::clone(&self.connections);
        let drain = std::thread::spawn(move || {
            loop {
                match upstream.event() {
                    Ok(Event::End(_)) if upstream.sent => return connections.put_back(upstream.stream),
                    Ok(Event::End(_)) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        });
        self.connections.drains.lock().expect("no panic while it is held").push(drain);
    }

    fn reusable(&self) -> bool {
        self.reusable
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(gateway::client())
    }
}

impl Gateway {
    fn upstream(&mut self) -> &mut Upstream {
        self.upstream.as_mut().expect("a request is under way")
    }

    /// The reply is whole.
    fn over(&mut self) {
        let Some(upstream) = self.upstream.take() else { return };
        gateway::nothing_follows(&upstream.input);
        if self.connections.keeps && upstream.sent {
            self.reusable = true;
            self.connections.put_back(upstream.stream);
        }
    }
}

impl Upstream {
    fn say(&mut self, what: impl FnOnce(client::Request, &mut Vec<u8>)) -> io::Result<()> {
        let mut records = Vec::new();
        what(self.request, &mut records);
        self.stream.send(&records)
    }

    fn event(&mut self) -> Result<Event, Broken> {
        loop {
            let event = match self.reply.poll(&mut self.input, &mut self.head) {
                Ok(Event::NeedInput) if self.ended => self.reply.end().map(Event::End),
                event => event,
            };
            match event {
                Ok(Event::NeedInput) => self.fill()?,
                Ok(Event::Log(text)) => match &self.log {
                    Some(log) => log(&String::from_utf8_lossy(&text)),
                    None => panic!("the server was not asked for a log: {text:?}"),
                },
                Ok(event) => return Ok(event),
                Err(ReplyError::Truncated(_) | ReplyError::GivenUp) => return Err(Broken::Truncated),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn fill(&mut self) -> Result<(), Broken> {
        let at = self.input.len();
        self.input.resize(at + 64 * 1024, 0);
        let read = self.stream.receive(&mut self.input[at..]);
        self.input.truncate(at + read.unwrap_or(0));
        self.ended = read? == 0;
        self.records.take(&self.input[at..]);
        Ok(())
    }
}

/// The records of one reply, looked at past the client codec, which is more lenient than this: it leaves out what goes beyond a declared length,
/// and the body of a reply that must not have one.
struct Records {
    /// What came of a record's header.
    header: Vec<u8>,
    /// What is still to come of a record.
    content: usize,
    padding: usize,
    /// The head, with its empty line.
    head: Vec<u8>,
    /// How much of STDOUT follows the head.
    body: u64,
    stdout_ended: bool,
    stderr_ended: bool,
    request_ended: bool,
}

impl Records {
    /// A stream that is not used has no end.
    fn new() -> Records {
        Records {
            header: Vec::new(),
            content: 0,
            padding: 0,
            head: Vec::new(),
            body: 0,
            stdout_ended: false,
            stderr_ended: true,
            request_ended: false,
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.content > 0 {
                let (piece, rest) = bytes.split_at(self.content.min(bytes.len()));
                self.content -= piece.len();
                bytes = rest;
                if self.header[1] == STDOUT {
                    self.stdout(piece);
                }
            } else if self.padding > 0 {
                let count = self.padding.min(bytes.len());
                self.padding -= count;
                bytes = &bytes[count..];
            } else {
                if self.header.len() == 8 {
                    self.header.clear();
                }
                let count = (8 - self.header.len()).min(bytes.len());
                self.header.extend_from_slice(&bytes[..count]);
                bytes = &bytes[count..];
                if self.header.len() == 8 {
                    self.begin();
                }
            }
        }
    }

    fn begin(&mut self) {
        let &[version, kind, 0, 1, high, low, padding, _] = self.header.as_slice() else {
            panic!("a record of another request: {:?}", self.header);
        };
        assert!(version == 1 && !self.request_ended, "a record that nobody asked for: {:?}", self.header);
        (self.content, self.padding) = (usize::from(u16::from_be_bytes([high, low])), usize::from(padding));
        match kind {
            STDOUT => {
                assert!(!self.stdout_ended, "STDOUT after its end");
                self.stdout_ended = self.content == 0;
            }
            STDERR if self.content > 0 => self.stderr_ended = false,
            STDERR => self.stderr_ended = true,
            END_REQUEST => self.request_ended = true,
            // In this direction: the reply is given up.
            ABORT_REQUEST => {}
            _ => panic!("a record that no reply has here: {:?}", self.header),
        }
    }

    fn stdout(&mut self, mut piece: &[u8]) {
        while !self.head.ends_with(b"\r\n\r\n") {
            let Some((&byte, rest)) = piece.split_first() else { return };
            self.head.push(byte);
            piece = rest;
        }
        self.body += piece.len() as u64;
    }

    fn must_be_whole(&self, given: u64) {
        assert!(self.request_ended && self.stdout_ended && self.stderr_ended, "a reply ended without the end of its streams");
        assert!(self.head.starts_with(b"Status: "), "a reply begins with {:?}", crate::client::latin1(&self.head));
        assert_eq!(self.body, given, "bytes of STDOUT do not belong to the reply");
    }
}

const ABORT_REQUEST: u8 = 2;
const END_REQUEST: u8 = 3;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// `fastcgi_params`: the path is in `SCRIPT_NAME`, and there is no `PATH_INFO`.
const PARAMS: &[(&str, &str)] = &[
    ("QUERY_STRING", "$query_string"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("SCRIPT_NAME", "$fastcgi_script_name"),
    ("REQUEST_URI", "$request_uri"),
    ("DOCUMENT_URI", "$document_uri"),
    ("DOCUMENT_ROOT", "$document_root"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"),
    ("GATEWAY_INTERFACE", "CGI/1.1"),
    ("SERVER_SOFTWARE", "nginx/1.26.3"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("REMOTE_USER", "$remote_user"),
    ("SERVER_ADDR", "$server_addr"),
    ("SERVER_PORT", "$server_port"),
    ("SERVER_NAME", "$server_name"),
    ("REDIRECT_STATUS", "200"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::column::{Http, collect};
    use crate::fixture::Fixture;

    #[test]
    fn what_the_web_server_logs_is_not_in_the_servers_own_log() {
        for (column, to_peer) in [(FASTCGI, false), (FASTCGI_KEPT, true), (FASTCGI_KEPT_ON_TOKIO, true)] {
            let [sink, log] = [(); 2].map(|()| Arc::new(Mutex::new(String::new())));
            let writer = |text: &Arc<Mutex<String>>| -> Log {
                let text = Arc::clone(text);
                Arc::new(move |more| text.lock().expect("no panic while it is held").push_str(more))
            };
            let served = Served {
                application: Fixture::load("errors_stream").callable("application"),
                prefix: String::new(),
                threads: 1,
                errors: writer(&sink),
                variables: Vec::new(),
                http: Http::default(),
            };
            let front = Box::new(column.start(served, writer(&log)));
            let mut client = front.open();
            client.send(&Request::get("/")).expect("a server that listens");
            assert_eq!(collect(client.as_mut()).text(), "written");
            front.stop();
            let [sink, log] = [sink, log].map(|text| text.lock().expect("no panic while it is held").clone());
            let (told, silent) = if to_peer { (log, sink) } else { (sink, log) };
            assert!(told.starts_with("one line\nhalf a line\nthird line\n") && told.ends_with("printed\n"), "{told}");
            assert_eq!(silent, "");
        }
    }
}
