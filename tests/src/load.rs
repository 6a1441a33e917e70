//! Many clients at once that ask again and again, and count what was not answered.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use wsgi_core::wire::Address;

use crate::DEADLINE;
use crate::client::Wire;
use crate::column::{Conversation, End, Request, collect};

/// Clients at work: half of them keep their connections as long as the server does, the others make one for each request.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Vec<Failure>>>,
}

/// What all clients came to.
#[derive(Debug)]
pub struct Tally {
    /// Requests that were answered in full.
    pub answered: usize,
    /// Those that were not.
    pub failures: Vec<Failure>,
}

/// A request that was not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There was no connection to be had.
    Refused,
    /// A new connection, on which nothing came.
    Unheard(String),
    /// A connection on which there were replies before; the body of the last.
    Lost(String, String),
}

struct Shared {
    choose: Box<dyn Fn() -> Address + Send + Sync>,
    path: String,
    posts: bool,
    over: AtomicBool,
    answered: AtomicUsize,
    news: (Mutex<()>, Condvar),
}

impl Load {
    /// Starts so many clients that ask for this path.
    pub fn start(address: SocketAddr, path: &str, clients: usize) -> Load {
        Load::at(move || Address::Tcp(address), path, clients, false)
    }

    /// Starts so many clients that post to this path, each time a body that no other request has.
    pub fn posting(address: SocketAddr, path: &str, clients: usize) -> Load {
        Load::at(move || Address::Tcp(address), path, clients, true)
    }

    /// As [`start`](Self::start), of clients that ask where to go whenever they make a connection.
    pub fn choosing(choose: impl Fn() -> SocketAddr + Send + Sync + 'static, path: &str, clients: usize) -> Load {
        Load::at(move || Address::Tcp(choose()), path, clients, false)
    }

    /// The same at a Unix socket.
    pub fn unix(socket: &Path, path: &str, clients: usize) -> Load {
        let address = Address::Unix(Some(socket.to_owned()));
        Load::at(move || address.clone(), path, clients, false)
    }

    fn at(choose: impl Fn() -> Address + Send + Sync + 'static, path: &str, clients: usize, posts: bool) -> Load {
        let shared = Arc::new(Shared {
            choose: Box::new(choose),
            path: path.to_owned(),
            posts,
            over: AtomicBool::new(false),
            answered: AtomicUsize::new(0),
            news: Default::default(),
        });
        let client = |number: usize| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.ask(number % 2 == 0))
        };
        Load { clients: (0..clients).map(client).collect(), shared }
    }

    /// Waits until so many more requests were answered.
    pub fn wait_for(&self, more: usize) {
        let wanted = self.answered() + more;
        let end = Instant::now() + DEADLINE;
        let mut news = self.shared.news.0.lock().expect("no panic while it is held");
        while self.answered() < wanted {
            assert!(Instant::now() < end, "{} requests were answered, expected {wanted}", self.answered());
            news = self.shared.news.1.wait_timeout(news, DEADLINE / 100).expect("no panic while it is held").0;
        }
    }

    /// How many were answered so far.
    pub fn answered(&self) -> usize {
        self.shared.answered.load(Ordering::SeqCst)
    }

    /// Lets all clients finish what they have asked for.
    pub fn finish(self) -> Tally {
        self.shared.over.store(true, Ordering::SeqCst);
        let failures = self.clients.into_iter().flat_map(|client| client.join().expect("a client that does not panic")).collect();
        Tally { answered: self.shared.answered.load(Ordering::SeqCst), failures }
    }
}

impl Shared {
    fn ask(&self, keeps: bool) -> Vec<Failure> {
        let mut failures = Vec::new();
        let mut kept: Option<(Wire, String)> = None;
        while !self.over.load(Ordering::SeqCst) {
            let (mut wire, last) = match kept.take() {
                Some((wire, last)) => (wire, Some(last)),
                None => match Wire::to(&(self.choose)()) {
                    Ok(wire) => (wire, None),
                    // Nobody is there any more; whoever asks again would only be refused again.
                    Err(_) => {
                        failures.push(Failure::Refused);
                        return failures;
                    }
                },
            };
            let mut request = if self.posts { Request::post(&self.path, order()) } else { Request::get(&self.path) };
            if !keeps {
                request = request.field("Connection", "close");
            }
            let sent = wire.send(&request);
            let seen = collect(&mut wire);
            if sent.is_ok() && seen.end == End::Clean && seen.head.as_ref().is_some_and(|head| head.code == 200) {
                self.answered.fetch_add(1, Ordering::SeqCst);
                self.news.1.notify_all();
                kept = seen.reusable.then(|| (wire, seen.text()));
                continue;
            }
            let how = format!("{sent:?}, {:?}, {:?}", seen.head.as_ref().map(|head| head.code), seen.end);
            failures.push(match last {
                Some(last) => Failure::Lost(how, last),
                None => Failure::Unheard(how),
            });
        }
        failures
    }
}

/// A text that is given only once.
fn order() -> String {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    format!("order {}", COUNT.fetch_add(1, Ordering::Relaxed))
}
