//! HTTP/1.1 and HTTP/2 by `hyper`, as a front end of a [`Gateway`](wsgi_core::gateway::Gateway).
//!
//! ```text
//!   a connection ─▶ TLS, if there is any ─▶ hyper: HTTP/1.1, HTTP/2 ─▶ WsgiService ─▶ the gateway's Workers
//! ```
//!
//! On a plain listener the first bytes tell HTTP/2 ("prior knowledge", RFC 9113, 3.3) from HTTP/1; under TLS the client chooses by ALPN.
//!
//! ```no_run
//! use wsgi_core::gateway::Gateway;
//! use wsgi_core::server::Listener;
//! use wsgi_http::Http1;
//! use wsgi_http::hyper::Hyper;
//! # struct Hello; impl wsgi_core::Handler for Hello { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind(&"127.0.0.1:8000".parse()?)?;
//! Gateway::new(Hello).threads(8).frontend(Hyper::new(listener, Http1::new())).run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where it differs from the codec of this crate
//!
//! | | [`Http1`] | here |
//! |---|---|---|
//! | 103 Early Hints | sent | left out: hyper has no way to send them |
//! | a broken head | a sentence says what is wrong with it | a bare 400, or 431, by hyper, which also takes some heads that RFC 9112 lets a server refuse (a line ended by LF alone, `Content-Length` beside `Transfer-Encoding`, which then counts) |
//! | time for a head, time between requests | two deadlines | the longer of them for both, in HTTP/1 |
//! | a client that asks to close | `Connection: close` in the reply | the same in HTTP/1; HTTP/2 has none |
//! | the reason of a status | sent | sent in HTTP/1; HTTP/2 has none |
//! | a client that ends its sending side and waits for the reply | answered | taken for gone, and its request withdrawn |
//! | files | `sendfile` | read and written |
//! | names of fields | as the application spells them | `Content-Type`, in HTTP/2 `content-type` |

mod respond;
mod socket;
#[cfg_attr(not(feature = "hyper-tls"), path = "plain.rs")]
mod tls;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use ::hyper::service::service_fn;
use http::HeaderValue;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use wsgi_core::gateway::{Context, Frontend, Shutdown, Socket, accept_each, async_trait};
use wsgi_core::server::Listener;
use wsgi_core::wire::{Known, Link};

use self::respond::{Abort, Respond, Traffic};
use self::socket::Lent;
use crate::Http1;
use crate::ends::Ends;
use crate::tower::WsgiService;

/// HTTP/1.1 and HTTP/2 on one listener.
pub struct Hyper {
    listener: Listener,
    http: Http1,
    tls: tls::Tls,
}

impl Hyper {
    /// A front end on a listener. What `http` says of limits, names and underscores counts here too.
    pub fn new(listener: Listener, http: Http1) -> Hyper {
        Hyper { listener, http, tls: tls::Tls::default() }
    }

    /// Puts TLS around it, with these certificates. Plain connections are refused.
    #[cfg(feature = "hyper-tls")]
    pub fn tls(mut self, certificates: &crate::tls::Certificates) -> Hyper {
        self.tls = tls::Tls::new(certificates);
        self
    }
}

impl std::fmt::Debug for Hyper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hyper").field("listener", &self.listener).field("http", &self.http).finish_non_exhaustive()
    }
}

#[async_trait]
impl Frontend for Hyper {
    fn name(&self) -> String {
        format!("{}://{}", self.tls.scheme(), self.listener.local_address())
    }

    async fn serve(self: Box<Self>, context: Context) -> io::Result<()> {
        let Hyper { listener, http, tls } = *self;
        let shared = Shared::new(&http, context.clone());
        accept_each(listener, false, &context, move |socket, link| tls.clone().serve(shared.clone(), socket, link)).await
    }
}

/// Variables of a connection besides those of its ends.
#[derive(Clone, Default)]
struct Described(Arc<[(&'static [u8], String)]>);

/// What all connections of a listener have in common.
#[derive(Clone)]
struct Shared {
    service: WsgiService,
    server: HeaderValue,
    builder: auto::Builder<TokioExecutor>,
    context: Context,
}

impl Shared {
    fn new(http: &Http1, context: Context) -> Shared {
        let config = &http.config;
        let software = config.signature.software().to_vec();
        // It was checked by the same rules when it was set.
        let server = HeaderValue::from_bytes(&software).unwrap_or_else(|_| HeaderValue::from_static("wsgi-rs"));
        let mut service = WsgiService::new(context.workers.clone())
            .limits(config.limits.clone())
            .underscores(config.underscores)
            .read_ahead(context.read_ahead)
            .variables_from(move |_: &Arc<Ends>, head| {
                head.set(Known::ServerSoftware, &software);
                head.set(Known::GatewayInterface, b"CGI/1.1");
            })
            .variables_from(|Described(variables): &Described, head| {
                variables.iter().for_each(|(name, value)| head.variable(name, value.as_bytes()));
            });
        if let Some(name) = &config.server_name {
            service = service.server_name(name.clone());
        }
        let mut builder = auto::Builder::new(TokioExecutor::new()).title_case_headers(true);
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(context.timeouts.head.max(context.timeouts.idle))
            // A client that ends its sending side cannot be told from one that is gone, and the work for those is to end.
            .half_close(false)
            .max_headers(config.limits.fields)
            .max_buf_size(config.limits.head_bytes.max(LEAST_BUFFER));
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(config.limits.head_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_TIMEOUT);
        Shared { service, server, builder, context }
    }

    /// Serves one connection to its end. The stream comes back where that end was not the peer's, or a lost one.
    async fn serve<S>(self, stream: S, link: &Link, described: Described) -> Option<(S, Farewell)>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Context { timeouts, shutdown, .. } = &self.context;
        let traffic = Arc::new(Traffic::default());
        let respond = Respond {
            service: self.service,
            ends: Arc::new(Ends::new(link)),
            described,
            server: self.server,
            body_timeout: timeouts.body,
            traffic: Arc::clone(&traffic),
        };
        let (lent, back) = Lent::new(stream, timeouts.write, Arc::clone(&traffic));
        let service = service_fn(move |request| respond.call(request));
        let mut connection = Box::pin(self.builder.serve_connection(TokioIo::new(lent), service));
        let mut over = pin!(over(&traffic, timeouts.idle, shutdown));
        let mut stuck = pin!(stuck(&traffic, timeouts.write));
        let mut asked = false;
        let served = poll_fn(|context| {
            loop {
                if let Poll::Ready(ended) = connection.as_mut().poll(context) {
                    return Poll::Ready(Some(ended));
                }
                if stuck.as_mut().poll(context).is_ready() {
                    return Poll::Ready(None);
                }
                if asked {
                    return Poll::Pending;
                }
                ready!(over.as_mut().poll(context));
                asked = true;
                traffic.end();
                connection.as_mut().graceful_shutdown();
            }
        });
        let result = shutdown.unless_hurried(served).await.flatten();
        drop(connection);
        if let Some(Err(error)) = &result {
            tracing::debug!(target: "wsgi", remote = %link.remote, "connection ended: {error}");
        }
        let farewell = match traffic.aborted() {
            Some(Abort::Framed) => Farewell::Close,
            Some(Abort::UntilClose) => Farewell::Reset,
            None if result.is_none() => Farewell::Reset,
            None => Farewell::Linger,
        };
        Some((back.await.ok()?, farewell))
    }
}

impl Shared {
    /// Serves one connection without TLS to its end.
    async fn serve_plain(self, socket: Socket, link: Link) {
        let limit = self.context.timeouts.linger;
        match self.serve(socket, &link, Described::default()).await {
            Some((socket, Farewell::Linger)) => linger(socket, limit).await,
            Some((socket, Farewell::Reset)) => socket.reset_on_close(),
            Some((_, Farewell::Close)) | None => {}
        }
    }
}

/// How a connection is to end.
enum Farewell {
    /// After what the peer still sends, which would destroy what it has not read yet (RFC 9112, 9.6).
    Linger,
    /// At once: the framing has told that the reply is not whole.
    Close,
    /// By a reset, since nothing else tells that.
    Reset,
}

/// Waits until a connection is to take no further request: it has been idle for `limit`, for which hyper knows no bound in HTTP/2, or the end
/// has begun. To be polled after each poll of the connection, and by its task.
async fn over(traffic: &Traffic, limit: Duration, shutdown: &Shutdown) {
    if shutdown.unless_begun(idle(traffic, limit)).await.is_none() {
        // hyper closes what is idle without another look, and a request may be on its way already.
        let busy = poll_fn(|_| if traffic.idle().0 { Poll::Pending } else { Poll::Ready(()) });
        let _ = timeout(IDLE_GRACE, busy).await;
    }
}

/// Waits until no request has been open for `limit`.
async fn idle(traffic: &Traffic, limit: Duration) {
    let mut before = usize::MAX;
    loop {
        let (idle, total) = traffic.idle();
        if idle && total == before {
            return;
        }
        before = if idle { total } else { usize::MAX };
        sleep(limit).await;
    }
}

/// Waits until for `limit` nothing is left to be done but to send, and the peer takes next to nothing. In HTTP/2 it may close the windows of
/// its streams, and hyper knows no bound on that: it keeps what it has of their replies for as long as the peer answers to pings.
async fn stuck(traffic: &Traffic, limit: Duration) {
    loop {
        let (turns, written) = (traffic.turns(), traffic.written());
        sleep(limit).await;
        if traffic.only_sends() && traffic.turns() == turns && traffic.written().wrapping_sub(written) < LEAST_TAKEN {
            return;
        }
    }
}

/// Ends the sending side, and throws away what the peer still sends, until it has been silent for a while.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin, limit: Duration) {
    let mut unread = vec![0; LINGER_BYTES];
    let ended = async {
        stream.shutdown().await?;
        while let Ok(Ok(1..)) = timeout(QUIET_AFTER, stream.read(&mut unread)).await {}
        io::Result::Ok(())
    };
    // However that goes, there is nothing more to be done.
    let _ = timeout(limit, ended).await;
}

/// How long an idle connection is kept after a shutdown began, as by the other front ends.
const IDLE_GRACE: Duration = Duration::from_millis(500);
/// More than pings and what is said of windows come to, less than the slowest peer takes that still wants its reply.
const LEAST_TAKEN: usize = 4096;
/// hyper wants no less.
const LEAST_BUFFER: usize = 8192;
/// After this time without a word, a peer that speaks HTTP/2 is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(20);
/// It has so long to answer.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A peer that has sent nothing for so long has read what it was sent.
const QUIET_AFTER: Duration = Duration::from_secs(1);
/// How much is thrown away at once.
const LINGER_BYTES: usize = 16 * 1024;
