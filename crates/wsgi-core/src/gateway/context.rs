//! What the front ends of a gateway share.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};

use super::Shutdown;
use crate::observe::{Observer, Refusal};
use crate::server::Timeouts;
use crate::wire::{Address, Error};
use crate::workers::Workers;

/// What a front end is given to serve with. Clones share it.
#[derive(Clone)]
#[non_exhaustive]
pub struct Context {
    /// Who answers. Shutting them down is the gateway's part.
    pub workers: Workers,
    /// When to end.
    pub shutdown: Shutdown,
    /// How long peers may take. Those for a body and for a reply are also kept by the workers.
    pub timeouts: Timeouts,
    /// The bound on open connections.
    pub connections: Connections,
    /// Bodies of up to this many bytes are read before a thread is taken.
    pub read_ahead: usize,
    /// Who is told of requests that are refused before any handler sees them.
    pub observers: Vec<Arc<dyn Observer>>,
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Context { workers, shutdown, timeouts, connections, read_ahead, .. } = self;
        let mut context = f.debug_struct("Context");
        context.field("workers", workers).field("shutdown", shutdown).field("timeouts", timeouts);
        context.field("connections", connections).field("read_ahead", read_ahead).finish_non_exhaustive()
    }
}

impl Context {
    /// A context outside of any gateway, with the defaults of one.
    pub fn new(workers: Workers, shutdown: Shutdown) -> Context {
        let (timeouts, connections) = (Timeouts::default(), Connections::new(MAX_CONNECTIONS));
        Context { workers, shutdown, timeouts, connections, read_ahead: READ_AHEAD, observers: Vec::new() }
    }

    /// Says of a request that no handler sees it, and why.
    pub(super) fn refused(&self, remote: &Address, error: &Error) {
        match error {
            // The workers say that it is so.
            Error::Overloaded(_) => tracing::debug!(target: "wsgi", remote = %remote, "request refused: {error}"),
            _ => tracing::info!(target: "wsgi", remote = %remote, "request refused: {error}"),
        }
        for observer in &self.observers {
            observer.refused(&Refusal::new(remote, error));
        }
    }
}

/// How many connections may be open at once. Clones share the bound.
#[derive(Clone, Debug)]
pub struct Connections {
    free: Arc<Semaphore>,
    max: usize,
}

/// Room for one connection, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Connections {
    /// At most so many, and at least one.
    pub fn new(max: usize) -> Connections {
        let max = max.clamp(1, Semaphore::MAX_PERMITS);
        Connections { free: Arc::new(Semaphore::new(max)), max }
    }

    /// Room for one more, if there is any.
    pub fn try_place(&self) -> Option<Place> {
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => Some(Place { _permit: permit }),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => None,
        }
    }

    /// Waits for room for one more. To be asked when a connection waits to be accepted and not before, since who has room keeps it from others.
    pub async fn place(&self) -> Place {
        match Arc::clone(&self.free).acquire_owned().await {
            Ok(permit) => Place { _permit: permit },
            // Nobody closes it.
            Err(_) => std::future::pending().await,
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.max - self.free.available_permits()
    }
}

pub(super) const MAX_CONNECTIONS: usize = 16 * 1024;
pub(super) const READ_AHEAD: usize = 64 * 1024;
