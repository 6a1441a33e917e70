//! Accepting: a task for each connection that comes in by a listener.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::pin::pin;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::shutdown::{First, first};
use super::{Context, Place, Socket};
use crate::listening::{Door, Listener};
use crate::trouble::Trouble;
use crate::wire::{Address, Link};

/// Runs `connection` as a task for each connection that comes in by the listener, until the shutdown begins; then for each that waits in the
/// backlog; then closes the listener and waits for the tasks. These are to end by themselves when the shutdown is
/// [hurried](super::Shutdown::hurried), and are dropped with this future.
///
/// Who may connect is what [`Listener::allow_from`] says; else anyone, or only the machine itself if what is spoken `trusts_peer` to say who
/// the client is. While as many connections are open as may be, or the process has no descriptor left, further ones wait in the backlog.
///
/// # Errors
/// The runtime cannot wait for the listener.
pub async fn accept_each<F, T>(listener: Listener, trusts_peer: bool, context: &Context, connection: F) -> io::Result<()>
where
    F: Fn(Socket, Link) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let mut acceptor = Acceptor {
        incoming: Incoming::new(&listener)?,
        door: Door::new(&listener, trusts_peer),
        listener,
        context,
        connection,
        tasks: JoinSet::new(),
        without_place: None,
        trouble: Trouble::new(),
    };
    context.shutdown.unless_begun(acceptor.run()).await;
    acceptor.door.close(&acceptor.listener);
    acceptor.drain();
    let Acceptor { door, incoming, listener, mut tasks, .. } = acceptor;
    drop((incoming, listener));
    tracing::debug!(target: "wsgi", "listener on {} closed", door.local());
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
    Ok(())
}

struct Acceptor<'a, F> {
    listener: Listener,
    incoming: Incoming,
    door: Door,
    context: &'a Context,
    connection: F,
    tasks: JoinSet<()>,
    /// A connection that has come in while there was no room for it.
    without_place: Option<(Socket, Link)>,
    /// Nothing is accepted for now.
    trouble: Trouble,
}

impl<F, T> Acceptor<'_, F>
where
    F: Fn(Socket, Link) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    /// Accepts whatever comes. Can be dropped while it waits; no connection is lost.
    async fn run(&mut self) -> Infallible {
        loop {
            let accepted = first(pin!(self.incoming.accept()), pin!(reap(&mut self.tasks))).await;
            let (socket, remote) = match accepted {
                First::Left(Ok(accepted)) => accepted,
                // The peer was faster than we.
                First::Left(Err(error)) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => continue,
                First::Left(Err(error)) => {
                    // Most likely there are no descriptors, and to ask again at once would be in vain.
                    self.pause(&error.to_string());
                    sleep(PAUSE).await;
                    continue;
                }
                First::Right(never) => match never {},
            };
            if !self.door.lets_in(&remote) {
                continue;
            }
            let link = self.door.link(&socket, remote);
            if let Some(place) = self.context.connections.try_place() {
                if self.trouble.over().is_some() {
                    tracing::info!(target: "wsgi", "accepting on {} again", self.door.local());
                }
                self.start(socket, link, place);
                continue;
            }
            self.without_place = Some((socket, link));
            self.pause("as many connections as allowed are open");
            let place = self.context.connections.place().await;
            self.trouble.passes();
            if let Some((socket, link)) = self.without_place.take() {
                self.start(socket, link, place);
            }
        }
    }

    /// Accepts what waits already, as far as there is room.
    fn drain(&mut self) {
        while let Some(place) = self.context.connections.try_place() {
            let accepted = match self.without_place.take() {
                Some(accepted) => Ok(Some(accepted)),
                // Asks the system, since the runtime may not have looked yet.
                None => self.door.accept(&self.listener).and_then(|accepted| {
                    accepted.map(|(socket, link)| Socket::new(socket, &link).map(|socket| (socket, link))).transpose()
                }),
            };
            match accepted {
                Ok(Some((socket, link))) => self.start(socket, link, place),
                Ok(None) => return,
                Err(error) => return self.pause(&error.to_string()),
            }
        }
    }

    fn start(&mut self, socket: Socket, link: Link, place: Place) {
        let connection = (self.connection)(socket, link);
        self.tasks.spawn(async move {
            connection.await;
            drop(place);
        });
    }

    fn pause(&mut self, why: &str) {
        if self.trouble.met() {
            tracing::warn!(target: "wsgi", "not accepting on {} for now: {why}", self.door.local());
        }
    }
}

/// A listener as the runtime has it.
enum Incoming {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Incoming {
    fn new(listener: &Listener) -> io::Result<Incoming> {
        let socket = listener.as_fd().try_clone_to_owned()?;
        Ok(match listener.local_address() {
            Address::Tcp(_) => Incoming::Tcp(TcpListener::from_std(socket.into())?),
            Address::Unix(_) => Incoming::Unix(UnixListener::from_std(socket.into())?),
        })
    }

    async fn accept(&self) -> io::Result<(Socket, Address)> {
        Ok(match self {
            Incoming::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                (stream.into(), Address::Tcp(remote))
            }
            Incoming::Unix(listener) => (listener.accept().await?.0.into(), Address::Unix(None)),
        })
    }
}

/// Takes the tasks that have ended out of the set.
async fn reap(tasks: &mut JoinSet<()>) -> Infallible {
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
    pending().await
}

fn report(ended: Result<(), JoinError>) {
    if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
        tracing::error!(target: "wsgi", "connection panicked: {}", crate::panics::text(&*panic));
    }
}

/// How long nothing is accepted after the system refused to.
const PAUSE: Duration = Duration::from_millis(250);
