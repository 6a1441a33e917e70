//! A worker's side: what it is given, what it says to its master, and what it is told.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::Signal;

use super::channel::{Channel, Received};
use super::{Limited, Named, Shares};
use crate::Handler;

/// This process as a worker. Clones are the same one, so that any thread can speak.
#[derive(Clone, Debug)]
pub struct Worker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    channel: Channel,
    number: u32,
    /// Requests until it is to be replaced; none if that is no reason.
    max_requests: Option<u64>,
    requests: AtomicU64,
    shares: Shares,
    sockets: Mutex<Vec<Named>>,
}

/// What a worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// End gracefully. `drain`: nobody else listens on the sockets any more, so what waits in them is to be answered too
    /// ([`Handle::shutdown`](crate::server::Handle::shutdown)); otherwise it is the others'
    /// ([`hand_over`](crate::server::Handle::hand_over)).
    Stop {
        /// Whether to accept what waits.
        drain: bool,
    },
    /// The end comes soon: say so to whoever asks ([`Handle::announce`](crate::server::Handle::announce)), and go on.
    Announce,
    /// Cut short what still runs.
    Hurry,
    /// Open log files anew: they were moved.
    ReopenLogs,
    /// The master is gone, and there will be no more orders: end gracefully, and answer what waits in the sockets.
    Orphaned,
}

impl Worker {
    pub(super) fn new(channel: Channel, number: u32, max_requests: Option<u64>, shares: Shares, sockets: Vec<Named>) -> io::Result<Worker> {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        if channel.is_closed()? {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the master has ended"));
        }
        Ok(Worker(Arc::new(Inner { channel, number, max_requests, requests: AtomicU64::new(0), shares, sockets: Mutex::new(sockets) })))
    }

    /// Its number, from 1 on. A worker that replaces another has the number of the other.
    pub fn number(&self) -> u32 {
        self.0.number
    }

    /// The sockets to listen on, with their names. They are given once.
    pub fn sockets(&self) -> Vec<Named> {
        std::mem::take(&mut self.0.sockets.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Says that it serves. Only now does the worker go that it replaces, and from now on this one outlives its master, to end in order
    /// ([`Order::Orphaned`]). Before, it has nothing to finish, and would hold the sockets while nobody accepts: then it dies with its master.
    ///
    /// # Errors
    /// The master is gone.
    pub fn ready(&self) -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(None)?;
        self.say(&[super::spawn::READY])
    }

    /// Asks to be replaced by a new worker, for a reason that the log is to have. It serves until that one is ready.
    pub fn renew(&self, why: &str) {
        self.tell(&[super::spawn::RENEW, why.as_bytes()]);
    }

    /// Asks for all workers to be replaced, for a reason that the log is to have.
    pub fn reload(&self, why: &str) {
        self.tell(&[super::spawn::RELOAD, why.as_bytes()]);
    }

    /// Says that it ends by itself, in order, and that another is to take its place.
    pub fn leaving(&self) {
        self.tell(&[super::spawn::LEAVING]);
    }

    /// Gives the master something for [`Master::on_report`](super::Master::on_report): counters, say. At most 60,000 bytes. Does not block.
    ///
    /// # Errors
    /// The master is gone, or has not read for long; the report is too long.
    pub fn report(&self, report: &[u8]) -> io::Result<()> {
        self.say(&[super::spawn::REPORT, report])
    }

    /// Counts the requests of a handler, and asks to be replaced when there were as many as [`Master::max_requests`](super::Master::max_requests)
    /// allows.
    pub fn limited<H: Handler>(&self, handler: H) -> Limited<H> {
        Limited::new(handler, self.clone())
    }

    pub(super) fn count(&self) {
        let Some(max) = self.0.max_requests else { return };
        if self.0.requests.fetch_add(1, Ordering::Relaxed) + 1 == max {
            self.renew(&format!("it has answered {max} requests"));
        }
    }

    /// For [`Server::give_way`](crate::server::Server::give_way): leaves connections to workers that have fewer, so that all have about as many.
    pub fn shares(&self) -> impl Fn(usize) -> bool + Send + Sync + 'static {
        let worker = self.clone();
        move |connections| worker.0.shares.ahead(worker.0.number, connections)
    }

    /// Waits for the next order. For one thread.
    pub fn order(&self) -> Order {
        loop {
            match self.0.channel.receive(true) {
                Ok(Received::Message(message)) => {
                    let words: Vec<&[u8]> = message.words.iter().map(Vec::as_slice).collect();
                    match words[..] {
                        [super::spawn::STOP] => return Order::Stop { drain: false },
                        [super::spawn::STOP, super::spawn::DRAIN] => return Order::Stop { drain: true },
                        [super::spawn::ANNOUNCE] => return Order::Announce,
                        [super::spawn::HURRY] => return Order::Hurry,
                        [super::spawn::REOPEN] => return Order::ReopenLogs,
                        _ => tracing::debug!(target: "wsgi", "an order that is not known: {words:?}"),
                    }
                }
                Ok(Received::Nothing) => {}
                Ok(Received::End) => return Order::Orphaned,
                Err(error) => {
                    tracing::error!(target: "wsgi", "cannot hear the master: {error}");
                    return Order::Orphaned;
                }
            }
        }
    }

    fn say(&self, words: &[&[u8]]) -> io::Result<()> {
        self.0.channel.send(words, &[])
    }

    /// As `say`, where the worker can do nothing if it fails: a master that is gone is noticed anyway.
    fn tell(&self, words: &[&[u8]]) {
        if let Err(error) = self.say(words) {
            tracing::debug!(target: "wsgi", "the master was not told: {error}");
        }
    }
}
