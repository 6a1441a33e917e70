//! Any set of front ends over one application, inside an async program: for those who run on tokio already, or want what is written for it.
//!
//! ```text
//!   Frontend: Endpoint(listener, codec) ─┐                                    ┌─ worker 1 ─ Handler::handle
//!   Frontend: Endpoint(listener, codec) ─┼─ Context ─ Workers: bounded queue ─┼─ worker 2
//!   Frontend: yours                     ─┘     │                              └─ …
//!                                              └─ Shutdown, Timeouts, Connections
//! ```
//!
//! A [`Frontend`] takes requests in whatever way it likes and has them answered by the [`Workers`] of its [`Context`]. All front ends of a
//! [`Gateway`] share those threads, one bound on connections and one graceful shutdown. The gateway starts no runtime: it runs inside the
//! caller's, of either flavour, and only the handler's threads are its own.
//!
//! The front end that is made of a codec is an [`Endpoint`]; [`Gateway::listen`] adds one:
//!
//! ```no_run
//! use wsgi_core::gateway::Gateway;
//! use wsgi_core::server::Listener;
//! # fn http(_: &wsgi_core::wire::Link) -> Box<dyn wsgi_core::wire::Protocol> { unimplemented!() }
//! # fn fastcgi(_: &wsgi_core::wire::Link) -> Box<dyn wsgi_core::wire::Protocol> { unimplemented!() }
//! # struct Application;
//! # impl wsgi_core::Handler for Application { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In place of `http` and `fastcgi`: wsgi_http::Http1::new(), wsgi_fastcgi::FastCgi::new().
//! let gateway = Gateway::new(Application)
//!     .listen(Listener::bind(&":8000".parse()?)?, http)
//!     .listen(Listener::bind(&"127.0.0.1:9000".parse()?)?, fastcgi)
//!     .threads(8);
//! let handle = gateway.handle(); // from another task or thread: handle.shutdown()
//! gateway.run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Anything else may be one too, such as this, which asks one thing and then ends:
//!
//! ```
//! use std::future::poll_fn;
//! use std::io;
//! use wsgi_core::gateway::{Context, Frontend, Gateway, async_trait};
//! use wsgi_core::workers::{Reply, Request};
//! use wsgi_core::{Exchange, Handler};
//!
//! struct Hello;
//!
//! impl Handler for Hello {
//!     fn handle(&self, exchange: &mut dyn Exchange) {
//!         exchange.refuse(http::StatusCode::OK, "Hello, world!\n");
//!     }
//! }
//!
//! struct Once;
//!
//! #[async_trait]
//! impl Frontend for Once {
//!     fn name(&self) -> String {
//!         "once".to_owned()
//!     }
//!
//!     async fn serve(self: Box<Self>, context: Context) -> io::Result<()> {
//!         let mut call = context.workers.call(Request::default()).map_err(io::Error::other)?;
//!         let mut next = async || poll_fn(|task| call.poll_reply(task)).await;
//!         assert!(matches!(next().await, Reply::Head(head) if head.code() == 200));
//!         assert!(matches!(next().await, Reply::Block(block) if block == "Hello, world!\n"));
//!         Ok(())
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> io::Result<()> {
//! let outcome = Gateway::new(Hello).frontend(Once).run().await?;
//! assert_eq!(outcome.stuck, 0);
//! # Ok(())
//! # }
//! ```
//!
//! A front end that accepts connections by itself has [`accept_each`] for that, and [`serve_connection`] drives a codec over any stream.
//!
//! # The end
//!
//! After [`Handle::shutdown`] nothing more is accepted, what waits in the backlogs is answered, and idle connections have half a second for a
//! request that is on its way. At [`Timeouts::shutdown`], or after [`Handle::hurry`], whatever still runs is cut off. Then the threads end, once
//! the queue is empty.
//!
//! # Where it differs from the engine
//!
//! A request waits in a queue of bounded length, and is refused when that is full: [`Gateway::queue`]. A request whose connection breaks while it
//! waits is never run. A handler learns of a peer that has gone only once little of the request's body is still unread. Files are read and
//! copied, as there is no `sendfile`.
//!
//! **In scope:** the order of beginning and ending, and what front ends share. **Out of scope:** a program that has no runtime wants
//! [`server`](crate::server), where nothing of a request is handed from thread to thread.

mod accept;
mod answer;
mod connection;
mod context;
mod endpoint;
mod outbox;
mod shutdown;
mod socket;

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// The attribute that implementations of [`Frontend`] need.
pub use async_trait::async_trait;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep;

pub use self::accept::accept_each;
pub use self::connection::{Ending, serve_connection};
pub use self::context::{Connections, Context, Place};
pub use self::endpoint::Endpoint;
pub use self::shutdown::{Handle, Shutdown};
pub use self::socket::Socket;
use crate::Handler;
use crate::observe::Observer;
use crate::server::{Listener, Outcome, Timeouts};
use crate::wire::Dialect;
use crate::workers::Workers;

/// A way for requests to come in.
///
/// ```
/// use std::io;
/// use wsgi_core::gateway::{Context, Frontend, async_trait};
///
/// struct Mine;
///
/// #[async_trait]
/// impl Frontend for Mine {
///     fn name(&self) -> String {
///         "mine".to_owned()
///     }
///
///     async fn serve(self: Box<Self>, context: Context) -> io::Result<()> {
///         // Takes requests and hands them to `context.workers`, until the end is wanted.
///         context.shutdown.begun().await;
///         Ok(())
///     }
/// }
///
/// let frontends: Vec<Box<dyn Frontend>> = vec![Box::new(Mine)];
/// ```
#[async_trait]
pub trait Frontend: Send + 'static {
    /// What it speaks and where, such as `http://127.0.0.1:8000`, for log lines.
    fn name(&self) -> String;

    /// Serves until the [shutdown](Context::shutdown) begins; then takes nothing new, ends what it began, and returns. When the shutdown is
    /// [hurried](Shutdown::hurried), which happens at its deadline, it cuts off what is left and returns at once; if it does not, it is dropped.
    ///
    /// It may also return earlier, when there is nothing more to serve.
    ///
    /// # Errors
    /// Whatever keeps it from serving. It ends the whole gateway, gracefully.
    async fn serve(self: Box<Self>, context: Context) -> io::Result<()>;
}

#[async_trait]
impl<F: Frontend + ?Sized> Frontend for Box<F> {
    fn name(&self) -> String {
        (**self).name()
    }

    async fn serve(self: Box<Self>, context: Context) -> io::Result<()> {
        (*self).serve(context).await
    }
}

/// Front ends and an application, while they are being put together. Nothing happens before [`run`](Gateway::run).
pub struct Gateway {
    handler: Arc<dyn Handler>,
    frontends: Vec<Box<dyn Frontend>>,
    threads: usize,
    queue: usize,
    timeouts: Timeouts,
    max_connections: usize,
    read_ahead: usize,
    multiprocess: bool,
    observers: Vec<Arc<dyn Observer>>,
    handle: Handle,
}

impl Gateway {
    /// A gateway that answers with `handler`.
    pub fn new(handler: impl Handler + 'static) -> Gateway {
        Gateway {
            handler: Arc::new(handler),
            frontends: Vec::new(),
            threads: 1,
            queue: 1024,
            timeouts: Timeouts::default(),
            max_connections: context::MAX_CONNECTIONS,
            read_ahead: context::READ_AHEAD,
            multiprocess: false,
            observers: Vec::new(),
            handle: Handle::new(),
        }
    }

    /// Adds a listener and what it speaks: an [`Endpoint`].
    pub fn listen(self, listener: Listener, dialect: impl Dialect + 'static) -> Gateway {
        self.frontend(Endpoint::new(listener, dialect))
    }

    /// Adds a front end.
    pub fn frontend(mut self, frontend: impl Frontend) -> Gateway {
        self.frontends.push(Box::new(frontend));
        self
    }

    /// Adds several front ends, such as those of a `Vec<Box<dyn Frontend>>`.
    pub fn frontends(mut self, frontends: impl IntoIterator<Item = Box<dyn Frontend>>) -> Gateway {
        self.frontends.extend(frontends);
        self
    }

    /// How many threads run requests; 1 by default, and at least 1. This is how many requests run at once.
    pub fn threads(mut self, threads: usize) -> Gateway {
        self.threads = threads.max(1);
        self
    }

    /// How many requests may wait for a thread; 1,024 by default. Further ones are answered with a 503.
    pub fn queue(mut self, requests: usize) -> Gateway {
        self.queue = requests;
        self
    }

    /// How long peers may take.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Gateway {
        self.timeouts = timeouts;
        self
    }

    /// How many connections may be open at once, of all front ends together; 16,384 by default. Further ones wait in the backlog of their
    /// listener.
    pub fn max_connections(mut self, connections: usize) -> Gateway {
        self.max_connections = connections;
        self
    }

    /// Bodies of up to this many bytes are read before a thread is taken, so that a slow sender holds none; 65,536 by default.
    pub fn read_ahead(mut self, bytes: usize) -> Gateway {
        self.read_ahead = bytes;
        self
    }

    /// Tells applications that other processes run the same application (`wsgi.multiprocess`); false by default.
    pub fn multiprocess(mut self, multiprocess: bool) -> Gateway {
        self.multiprocess = multiprocess;
        self
    }

    /// Tells this observer of requests that are refused before any handler sees them; of the others it learns from an
    /// [`Observed`](crate::observe::Observed) handler. May be called for several.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Gateway {
        self.observers.push(observer);
        self
    }

    /// Something to end the gateway with, from any thread or task, also before it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Starts the threads and serves until all front ends have ended, after [`Handle::shutdown`] or by themselves, and then the threads. To be
    /// awaited, or spawned, inside a tokio runtime whose time and I/O are enabled. Drop the future to end at once.
    ///
    /// # Errors
    /// The system gives no thread, or a front end failed; the first error is given once everything has ended.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn run(self) -> io::Result<Outcome> {
        let workers = Workers::builder(self.handler)
            .threads(self.threads)
            .queue(self.queue)
            .body_timeout(self.timeouts.body)
            .write_timeout(self.timeouts.write)
            .multiprocess(self.multiprocess)
            .start()?;
        let ending = EndsWorkers(workers.clone());
        let shutdown = self.handle.watch();
        let mut context = Context::new(workers, shutdown.clone());
        context.timeouts = self.timeouts;
        context.connections = Connections::new(self.max_connections);
        context.read_ahead = self.read_ahead;
        context.observers = self.observers;
        let mut running = Running::default();
        for frontend in self.frontends {
            running.start(frontend, &context);
        }

        let overdue = async {
            shutdown.begun().await;
            let limit = context.timeouts.shutdown;
            if shutdown.unless_hurried(sleep(limit)).await.is_some() {
                let open = context.connections.open();
                tracing::warn!(target: "wsgi", "shutdown deadline of {limit:?} passed with {open} connections open");
                self.handle.hurry();
            }
            sleep(STUCK_AFTER).await;
        };
        shutdown::first(pin!(running.wait(&self.handle)), pin!(overdue)).await;
        let result = running.abandon();

        ending.0.shutdown();
        let waiting = ending.0.clone();
        let stuck = tokio::task::spawn_blocking(move || waiting.wait(STUCK_AFTER)).await?;
        if stuck > 0 {
            tracing::warn!(target: "wsgi", "{stuck} threads are still inside a handler");
        }
        result.map(|()| Outcome { stuck })
    }
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway")
            .field("frontends", &self.frontends.len())
            .field("threads", &self.threads)
            .field("queue", &self.queue)
            .field("timeouts", &self.timeouts)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// The front ends that run.
struct Running {
    tasks: JoinSet<io::Result<()>>,
    names: HashMap<Id, String>,
    result: io::Result<()>,
}

impl Default for Running {
    fn default() -> Self {
        Running { tasks: JoinSet::new(), names: HashMap::new(), result: Ok(()) }
    }
}

impl Running {
    fn start(&mut self, frontend: Box<dyn Frontend>, context: &Context) {
        let name = frontend.name();
        let task = self.tasks.spawn(frontend.serve(context.clone()));
        self.names.insert(task.id(), name);
    }

    /// Waits for all of them. The first that fails ends the others.
    async fn wait(&mut self, handle: &Handle) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            let (id, result) = match ended {
                Ok(ended) => ended,
                Err(error) => (error.id(), Err(panicked(error))),
            };
            let name = self.names.remove(&id).unwrap_or_default();
            if let Err(error) = result {
                handle.shutdown();
                let error = io::Error::new(error.kind(), format!("{name}: {error}"));
                if self.result.is_ok() {
                    self.result = Err(error);
                } else {
                    tracing::error!(target: "wsgi", "{error}");
                }
            }
        }
    }

    /// Drops those that have not ended.
    fn abandon(self) -> io::Result<()> {
        for name in self.names.values() {
            tracing::error!(target: "wsgi", "{name} did not end, and is dropped");
        }
        self.result
    }
}

fn panicked(error: JoinError) -> io::Error {
    let text = match error.try_into_panic() {
        Ok(panic) => format!("panicked: {}", crate::panics::text(&*panic)),
        Err(error) => error.to_string(),
    };
    io::Error::other(text)
}

/// Ends the threads when the gateway is dropped.
struct EndsWorkers(Workers);

impl Drop for EndsWorkers {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

/// How long after the end a front end or a worker may take to come back before it counts as stuck.
const STUCK_AFTER: Duration = Duration::from_secs(1);
