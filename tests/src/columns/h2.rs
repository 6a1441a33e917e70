//! HTTP/2 with prior knowledge by `wsgi_http::hyper`. The client is the `h2` crate, which hyper is made of too; what both get wrong is not seen
//! here.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::LazyLock;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use wsgi_http::Http1;
use wsgi_http::hyper::Hyper;

use super::serving::{Serving, Transport};
use crate::DEADLINE;
use crate::client::latin1;
use crate::column::{Body, Broken, Column, Conversation, Feature, Front, Head, Request, Served};

/// Over TCP.
pub(super) const HTTP2: Http2 = Http2;

/// HTTP/2.
pub(super) struct Http2;

impl Column for Http2 {
    fn name(&self) -> &'static str {
        "hyper-http2"
    }

    fn lacks(&self) -> &'static [Feature] {
        &[
            Feature::Http1,
            Feature::Strict,
            Feature::Http10,
            Feature::Informational,
            Feature::Farewell,
            Feature::HalfClose,
            Feature::Reason,
            Feature::Remains,
        ]
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        let http = Http1::new().limits(served.http.limits.clone()).underscores(served.http.underscores);
        Box::new(Site(Serving::start_frontend(served, Transport::Tcp, move |listener| Hyper::new(listener, http))))
    }
}

struct Site(Serving);

impl Front for Site {
    fn open(&self) -> Box<dyn Conversation> {
        let wsgi_core::wire::Address::Tcp(address) = *self.0.address() else { unreachable!("the column is over TCP") };
        Box::new(Client::connect(address).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    fn shut_down(&self) {
        self.0.shut_down();
    }

    fn stop(self: Box<Self>) {
        self.0.stop();
    }
}

/// One connection, with one request on it at a time.
struct Client {
    requests: SendRequest<Bytes>,
    /// Reads and writes the connection.
    connection: JoinHandle<()>,
    local: SocketAddr,
    sending: Option<SendStream<Bytes>>,
    /// How much of a body is still to be sent, where that is declared: its end is a part of the last piece.
    left: Option<u64>,
    coming: Option<ResponseFuture>,
    body: Option<RecvStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> io::Result<Client> {
        wait(async {
            let stream = TcpStream::connect(address).await?;
            let local = stream.local_addr()?;
            let (requests, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
            // Its errors are those of its streams.
            let connection = tokio::spawn(async move { drop(connection.await) });
            Ok(Client { requests, connection, local, sending: None, left: None, coming: None, body: None })
        })
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }

    fn send_piece(&mut self, piece: &[u8], end: bool) -> io::Result<()> {
        let sending = self.sending.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        self.left = self.left.map(|left| left.saturating_sub(piece.len() as u64));
        let end = end || self.left == Some(0);
        let mut left = Bytes::copy_from_slice(piece);
        wait(async {
            while !left.is_empty() {
                sending.reserve_capacity(left.len());
                let room = match std::future::poll_fn(|context| sending.poll_capacity(context)).await {
                    Some(room) => room.map_err(io::Error::other)?,
                    None => return Err(io::ErrorKind::BrokenPipe.into()),
                };
                let now = left.split_to(room.min(left.len()));
                sending.send_data(now, end && left.is_empty()).map_err(io::Error::other)?;
            }
            if end && piece.is_empty() {
                sending.send_data(Bytes::new(), true).map_err(io::Error::other)?;
            }
            Ok(())
        })
        .unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Conversation for Client {
    fn send(&mut self, request: &Request) -> io::Result<()> {
        let given = |name: &str| request.fields.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        let host = given("Host").map_or_else(|| "localhost".to_owned(), |(_, value)| latin1(value));
        let mut asked = http::Request::builder().method(request.method.as_str()).uri(format!("http://{host}{}", request.target));
        let headers = asked.headers_mut().ok_or_else(|| io::Error::other("the request has no headers"))?;
        // What is about the connection has no place in a request of HTTP/2 (RFC 9113, 8.2.2).
        let fields = request.fields.iter().filter(|(name, _)| !["Host", "Connection"].iter().any(|other| name.eq_ignore_ascii_case(other)));
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
            headers.append(name, HeaderValue::from_bytes(value).map_err(io::Error::other)?);
        }
        let length = match &request.body {
            Body::Whole(body) => Some(body.len() as u64),
            Body::Later(length) => *length,
            Body::None | Body::Chunked(_) => None,
        };
        if let Some(length) = length {
            headers.insert(http::header::CONTENT_LENGTH, length.into());
        }
        let asked = asked.body(()).map_err(io::Error::other)?;
        let ready = wait(self.requests.clone().ready()).unwrap_or(Err(h2::Error::from(Reason::CANCEL)));
        self.requests = ready.map_err(io::Error::other)?;
        let none = matches!(request.body, Body::None);
        let (coming, sending) = RUNTIME.block_on(async { self.requests.send_request(asked, none) }).map_err(io::Error::other)?;
        self.coming = Some(coming);
        self.sending = (!none).then_some(sending);
        self.left = length;
        self.body = None;
        let sent = match &request.body {
            Body::None | Body::Later(_) => Ok(()),
            Body::Whole(body) => self.send_piece(body, true),
            Body::Chunked(pieces) => {
                pieces.iter().try_for_each(|piece| self.send_piece(piece, false)).and_then(|()| self.send_piece(b"", true))
            }
        };
        // A server that has answered already takes no more, and says so by a reset. What it answered is read next.
        drop(sent);
        Ok(())
    }

    fn send_body(&mut self, piece: &[u8]) -> io::Result<()> {
        self.send_piece(piece, false)
    }

    fn end_body(&mut self) -> io::Result<()> {
        self.send_piece(b"", true)
    }

    fn head(&mut self) -> Result<Head, Broken> {
        let coming = self.coming.as_mut().expect("a request was sent");
        let response = wait(coming).ok_or(Broken::Silent)?.map_err(|error| broken(&error))?;
        let (parts, body) = response.into_parts();
        self.body = Some(body);
        self.coming = None;
        let reason = parts.status.canonical_reason().unwrap_or_default().to_owned();
        Ok(Head { code: parts.status.as_u16(), reason, fields: fields(&parts.headers) })
    }

    fn block(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let body = self.body.as_mut().expect("a head was read");
        match wait(body.data()).ok_or(Broken::Silent)? {
            // The end alone.
            Some(Ok(block)) if block.is_empty() => self.block(),
            Some(Ok(block)) => {
                // Only now the server may send more.
                let room = RUNTIME.block_on(async { body.flow_control().release_capacity(block.len()) });
                room.map_err(|error| broken(&error))?;
                Ok(Some(block.to_vec()))
            }
            Some(Err(error)) => Err(broken(&error)),
            None => Ok(None),
        }
    }

    fn stop_sending(&mut self) {
        if let Some(mut sending) = self.sending.take() {
            RUNTIME.block_on(async { sending.send_reset(Reason::CANCEL) });
        }
    }

    fn leave(self: Box<Self>) {
        self.connection.abort();
        // Its socket is closed when the task is gone.
        let _ = RUNTIME.block_on(self.connection);
    }

    fn reusable(&self) -> bool {
        true
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.local)
    }
}

/// What a future gives within the deadline.
fn wait<R>(future: impl Future<Output = R>) -> Option<R> {
    RUNTIME.block_on(async { timeout(DEADLINE, future).await.ok() })
}

fn broken(error: &h2::Error) -> Broken {
    if error.is_io() { Broken::Truncated } else { Broken::Reset }
}

fn fields(headers: &HeaderMap) -> Vec<(String, String)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), latin1(value.as_bytes()))).collect()
}

/// Where all connections of all clients are read and written.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime for the clients")
});
