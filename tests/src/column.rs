//! A column of the contract matrix: one way for requests to get to a Python application, with a client at its other end.
//!
//! **To add a front end** write one file in `columns/` that implements [`Column`], [`Front`] and (unless it speaks HTTP/1 over a stream, where
//! [`Wire`] does it) [`Conversation`], and name it in [`columns::ALL`](crate::columns::ALL). Every case then runs through it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use pyo3::prelude::*;

use crate::client::Wire;

/// One way for requests to get to an application.
pub trait Column: Sync {
    /// What a failing case calls it.
    fn name(&self) -> &'static str;

    /// What this front end cannot do by its nature. Cases that need it are not run through it.
    fn lacks(&self) -> &'static [Feature] {
        &[]
    }

    /// The `wsgi.url_scheme` that applications see.
    fn scheme(&self) -> &'static str {
        "http"
    }

    /// Starts to serve an application.
    fn serve(&self, served: Served) -> Box<dyn Front>;
}

/// What only some front ends have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// HTTP/1 over a stream of bytes that the test may write itself: pipelining, broken requests, `Expect`, `Date` and `Server`, chunks.
    /// Behind a gateway all of these are the gateway's.
    Http1,
    /// HTTP/1 is this project's own codec, which refuses all that could be understood in two ways, each by the status that fits. Other
    /// servers of HTTP/1 have their own minds: hyper takes a request without `Host`, a bare LF, and a length beside a transfer coding.
    Strict,
    /// Replies before the final one. The other protocols have one reply to a request.
    Informational,
    /// Requests whose length nobody knows before their end. uwsgi and SCGI send a length or no body, so web servers gather such a body first.
    UnknownLength,
    /// Another request may follow on a connection. uwsgi and SCGI have one for each, as has FastCGI unless it is asked to keep it.
    KeepAlive,
    /// A reply after which the connection ends says so. FastCGI has no word for that: the connection just ends.
    Farewell,
    /// A reply of unknown length that breaks off can be told from one that ended. uwsgi and SCGI frame nothing, so that takes a reset, and a
    /// Unix socket knows none: its peer sees the same end of the stream, whether the reply was whole or not.
    Breaks,
    /// The same for a client of HTTP/1.0, whose replies HTTP itself does not frame either: that takes a reset, which a Unix socket does not
    /// know and hyper does not send.
    Reset,
    /// A request may say that it is of HTTP/1.0.
    Http10,
    /// The client has an address and a port. That of a Unix socket has none, unless a gateway tells it.
    Addresses,
    /// A reply may be sent, in part, before the request's body has come.
    Duplex,
    /// A client may end its sending side inside a body, which is then broken and not withdrawn. In HTTP/2 the one word for that is a reset.
    HalfClose,
    /// The reason of a status is sent. HTTP/2 sends the code alone.
    Reason,
    /// What went out of a reply before it broke off arrives. In HTTP/2 hyper takes back what it has not written when it resets a stream.
    Remains,
    /// The front end is the origin server, which adds `Date` and `Server`. Behind a gateway the gateway does.
    Origin,
}

/// An application, and how it is to be served.
pub struct Served {
    /// What PEP 3333 calls the application object.
    pub application: Py<PyAny>,
    /// Where it is mounted: a path without a trailing slash, or empty for the root.
    pub prefix: String,
    /// The threads that may call it.
    pub threads: usize,
    /// Where what is written to `wsgi.errors` goes.
    pub errors: Arc<dyn Fn(&str) + Send + Sync>,
    /// What the deployer puts into every environ.
    pub variables: Vec<(String, String)>,
    /// Adjusts what only HTTP has; ignored by other protocols.
    pub http: Http,
}

/// What a case may want otherwise than by default of a front end that speaks HTTP.
#[derive(Clone, Debug, Default)]
pub struct Http {
    /// What happens to fields with `_` in their names.
    pub underscores: wsgi_core::wire::Underscores,
    /// Bounds on a request.
    pub limits: wsgi_core::wire::Limits,
}

/// An application that is being served.
pub trait Front {
    /// Another client.
    fn open(&self) -> Box<dyn Conversation>;

    /// Another client that can say anything, where the front end speaks HTTP/1.
    fn wire(&self) -> Option<Wire> {
        None
    }

    /// In what ways the application broke PEP 3333 so far, where the front end watches it.
    fn breaches(&self) -> Vec<String> {
        Vec::new()
    }

    /// Asks for a graceful end, without waiting for it.
    fn shut_down(&self);

    /// Ends gracefully and waits until everything has ended.
    fn stop(self: Box<Self>);
}

/// A client, as far as all protocols have one: sends a request piece by piece and reads the reply block by block.
pub trait Conversation {
    /// Sends the head of a request, and its body unless that is to come [later](Body::Later).
    fn send(&mut self, request: &Request) -> io::Result<()>;

    /// Sends a piece of the body.
    fn send_body(&mut self, piece: &[u8]) -> io::Result<()>;

    /// Says that the body is over.
    fn end_body(&mut self) -> io::Result<()>;

    /// Waits for the next head, which may be an informational one.
    fn head(&mut self) -> Result<Head, Broken>;

    /// Waits for the next block of the reply; `None` is its clean end.
    fn block(&mut self) -> Result<Option<Vec<u8>>, Broken>;

    /// Ends the sending side only.
    fn stop_sending(&mut self);

    /// Leaves without a word, as a browser does whose user has closed the window.
    fn leave(self: Box<Self>);

    /// Whether, by what the reply said, another request may follow on this connection. Where none may, the next one that is sent is another
    /// client's.
    fn reusable(&self) -> bool;

    /// The address that the application should see this client under, where it has one.
    fn address(&self) -> Option<SocketAddr>;
}

/// A request, before it has a protocol.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// Path and query, percent-encoded: `/path?query`.
    pub target: String,
    /// The version that the client claims to speak.
    pub version: Version,
    /// The fields, besides those that frame the body, and `Host`, which the client adds if it is missing.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Body,
}

/// The body of a request.
#[derive(Clone, Debug)]
pub enum Body {
    /// None at all.
    None,
    /// Sent with its length.
    Whole(Vec<u8>),
    /// Sent without its length, in these pieces.
    Chunked(Vec<Vec<u8>>),
    /// Sent by the test, which declares its length, or not.
    Later(Option<u64>),
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// The head of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub code: u16,
    /// The text after it.
    pub reason: String,
    /// Names and values in the order in which they came, bytes as latin-1.
    pub fields: Vec<(String, String)>,
}

/// Why a reply is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The stream ended where its framing says that more must come.
    Truncated,
    /// The connection was reset.
    Reset,
    /// Nothing came within the deadline.
    Silent,
}

/// How a reply ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Whole, as far as a client can tell.
    Clean,
    /// Not whole, and the client can tell.
    Aborted(Broken),
}

/// Everything that a client saw of one reply.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The replies before the final one.
    pub informational: Vec<Head>,
    /// The final head, if it came.
    pub head: Option<Head>,
    /// The blocks of the body, as far as the protocol tells them apart.
    pub blocks: Vec<Vec<u8>>,
    /// How it ended.
    pub end: End,
    /// Whether another request may follow on the same connection.
    pub reusable: bool,
}

impl Request {
    /// A request without a body.
    pub fn new(method: &str, target: &str) -> Request {
        Request { method: method.to_owned(), target: target.to_owned(), version: Version::Http11, fields: Vec::new(), body: Body::None }
    }

    /// A `GET`.
    pub fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// A `POST` of a body whose length is declared.
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
        Request::new("POST", target).body(Body::Whole(body.into()))
    }

    /// Adds a field.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Request {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Says which version the client speaks.
    pub fn version(mut self, version: Version) -> Request {
        self.version = version;
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: Body) -> Request {
        self.body = body;
        self
    }
}

impl Version {
    /// As in `SERVER_PROTOCOL`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

impl Head {
    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields(name).first().copied()
    }

    /// The values of all fields of this name.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }
}

impl Seen {
    /// The status code. A panic if no head came.
    pub fn code(&self) -> u16 {
        self.the_head().code
    }

    /// The reason. A panic if no head came.
    pub fn reason(&self) -> &str {
        &self.the_head().reason
    }

    /// The value of the first field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.the_head().field(name)
    }

    /// The values of all fields of this name.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        self.the_head().fields(name)
    }

    /// The whole body, as far as it came.
    pub fn body(&self) -> Vec<u8> {
        self.blocks.concat()
    }

    /// The whole body as text.
    pub fn text(&self) -> String {
        crate::client::latin1(&self.body())
    }

    /// The head that came, or a panic that says how the reply ended instead.
    pub fn the_head(&self) -> &Head {
        self.head.as_ref().unwrap_or_else(|| panic!("no head of a reply came: {:?}", self.end))
    }
}

/// Reads one reply to its end, whatever the protocol.
pub fn collect(conversation: &mut dyn Conversation) -> Seen {
    let mut seen = Seen { informational: Vec::new(), head: None, blocks: Vec::new(), end: End::Clean, reusable: false };
    let mut read = || -> Result<(), Broken> {
        loop {
            let head = conversation.head()?;
            if head.code >= 200 {
                seen.head = Some(head);
                break;
            }
            seen.informational.push(head);
        }
        while let Some(block) = conversation.block()? {
            seen.blocks.push(block);
        }
        Ok(())
    };
    match read() {
        Ok(()) => seen.reusable = conversation.reusable(),
        Err(broken) => seen.end = End::Aborted(broken),
    }
    seen
}
