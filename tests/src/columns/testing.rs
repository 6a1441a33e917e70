//! The test client of `wsgi_core`: no server and no protocol, the application called in memory.
//!
//! A conversation sends and reads while the application runs, so the calls are made by threads of their own, as many as the case asks for,
//! with a [`Pipe`] to each conversation. There are no connections, so that none can be kept or say its farewell.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::Instant;

use bytes::Bytes;
use wsgi_core::testing::{Client, Sent, Weight};
use wsgi_core::wire::ResponseHead;
use wsgi_core::wsgi::Application;
use wsgi_core::{Handler, Mount};

use crate::DEADLINE;
use crate::client::latin1;
use crate::column::{Body, Broken, Column, Conversation, Feature, Front, Head, Request, Served, Version};

/// Calls in process.
pub(super) const TESTING_CLIENT: TestingClient = TestingClient;

pub(super) struct TestingClient;

impl Column for TestingClient {
    fn name(&self) -> &'static str {
        "testing-client"
    }

    fn lacks(&self) -> &'static [Feature] {
        &[Feature::Http1, Feature::Strict, Feature::Origin, Feature::KeepAlive, Feature::Farewell]
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        let errors = Arc::clone(&served.errors);
        let mut application = Application::new(served.application).errors(move |text| errors(text));
        for (name, value) in &served.variables {
            application = application.variable(name, value).unwrap_or_else(|error| panic!("{error}"));
        }
        let handler: Arc<dyn Handler> = match served.prefix.as_str() {
            "" => Arc::new(application),
            prefix => Arc::new(Mount::new().at(prefix, application)),
        };
        let (jobs, queue) = mpsc::channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        let shared = Arc::new(Shared { handler, errors: served.errors, multithread: served.threads > 1, breaches: Mutex::default() });
        let workers = (0..served.threads).map(|_| {
            let (queue, shared) = (Arc::clone(&queue), Arc::clone(&shared));
            std::thread::spawn(move || {
                loop {
                    let job = lock(&queue).recv();
                    let Ok(Job { request, pipe, address }) = job else { return };
                    shared.answer(&request, &pipe, address);
                }
            })
        });
        Box::new(Calls { workers: workers.collect(), jobs: Arc::new(Mutex::new(Some(jobs))), shared, pipes: Mutex::default() })
    }
}

type Jobs = Arc<Mutex<Option<mpsc::Sender<Job>>>>;

/// A request to be made.
struct Job {
    request: Request,
    pipe: Arc<Pipe>,
    address: SocketAddr,
}

/// What all calls have in common.
struct Shared {
    handler: Arc<dyn Handler>,
    errors: Arc<dyn Fn(&str) + Send + Sync>,
    multithread: bool,
    breaches: Mutex<Vec<String>>,
}

impl Shared {
    fn answer(&self, request: &Request, pipe: &Arc<Pipe>, address: SocketAddr) {
        let _over = Over(pipe);
        let client = Client::new(&self.handler).lenient().multithread(self.multithread);
        let mut asked = client.request(&request.method, &request.target).remote(address);
        if request.version == Version::Http10 {
            asked = asked.http10();
        }
        for (name, value) in &request.fields {
            asked = asked.header(name, value);
        }
        asked = match &request.body {
            Body::None => asked,
            Body::Whole(body) => asked.body(body.clone()),
            Body::Chunked(pieces) => asked.chunked(pieces.clone()),
            Body::Later(length) => asked.body_from(*length, |max| pipe.body(max)),
        };
        let response = asked.observe(|sent| pipe.show(sent)).send();
        if !response.errors().is_empty() {
            (self.errors)(response.errors());
        }
        let bad = response.breaches().iter().filter(|breach| breach.weight == Weight::Error);
        lock(&self.breaches).extend(bad.map(ToString::to_string));
        if !response.aborted() {
            lock(&pipe.state).whole = true;
        }
    }
}

/// Ends a pipe also if the call has panicked.
struct Over<'a>(&'a Pipe);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.over = true);
    }
}

struct Calls {
    workers: Vec<JoinHandle<()>>,
    /// `None` once it has stopped.
    jobs: Jobs,
    shared: Arc<Shared>,
    pipes: Mutex<Vec<Weak<Pipe>>>,
}

impl Front for Calls {
    fn open(&self) -> Box<dyn Conversation> {
        // As each connection has a port of its own.
        static PORT: AtomicU16 = AtomicU16::new(1024);
        let port = PORT.fetch_add(1, Ordering::Relaxed).max(1);
        let pipe = Arc::new(Pipe::default());
        lock(&self.pipes).push(Arc::downgrade(&pipe));
        Box::new(Caller { pipe, jobs: Arc::clone(&self.jobs), address: SocketAddr::from(([127, 0, 0, 1], port)) })
    }

    fn shut_down(&self) {
        // What runs goes on, and nobody asks anew.
    }

    fn breaches(&self) -> Vec<String> {
        lock(&self.shared.breaches).clone()
    }

    fn stop(self: Box<Self>) {
        let Calls { workers, jobs, pipes, .. } = *self;
        // The case is over, so nobody reads any more.
        for pipe in lock(&pipes).iter().filter_map(Weak::upgrade) {
            pipe.change(|state| state.gone = true);
        }
        *lock(&jobs) = None;
        for worker in workers {
            worker.join().expect("a call has panicked");
        }
    }
}

/// Between a call and a conversation.
#[derive(Default)]
struct Pipe {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    heads: VecDeque<Head>,
    blocks: VecDeque<Vec<u8>>,
    /// The call has returned.
    over: bool,
    /// Its reply is complete.
    whole: bool,
    body: VecDeque<Bytes>,
    body_ended: bool,
    /// Nobody sends the rest of the body.
    body_broken: bool,
    /// The client has left.
    gone: bool,
}

impl Pipe {
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let changed = change(&mut lock(&self.state));
        self.changed.notify_all();
        changed
    }

    /// Waits until this gives something; `None` when it does not in time.
    fn wait<R>(&self, mut ready: impl FnMut(&mut State) -> Option<R>) -> Option<R> {
        let end = Instant::now() + DEADLINE;
        let mut state = lock(&self.state);
        loop {
            if let Some(found) = ready(&mut state) {
                drop(state);
                self.changed.notify_all();
                return Some(found);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes what is sent, as far as a client that reads late leaves room. Whether there is a client.
    fn show(&self, sent: Sent<'_>) -> bool {
        match sent {
            Sent::Informational(head) | Sent::Head(head) => self.change(|state| state.heads.push_back(read(head))),
            Sent::Block(block) => {
                let room = self.wait(|state| (state.gone || state.blocks.len() < HELD_BLOCKS).then_some(()));
                assert!(room.is_some(), "nobody has read the reply in time");
                self.change(|state| state.blocks.push_back(block.to_vec()));
            }
            _ => {}
        }
        !lock(&self.state).gone
    }

    /// The next piece of the request's body.
    fn body(&self, max: usize) -> io::Result<Bytes> {
        let piece = self.wait(|state| match state.body.front_mut() {
            Some(piece) if piece.len() > max => Some(Ok(piece.split_to(max))),
            Some(_) => state.body.pop_front().map(Ok),
            None if state.body_ended => Some(Ok(Bytes::new())),
            None if state.body_broken || state.gone => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            None => None,
        });
        piece.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
    }
}

struct Caller {
    pipe: Arc<Pipe>,
    jobs: Jobs,
    address: SocketAddr,
}

impl Conversation for Caller {
    fn send(&mut self, request: &Request) -> io::Result<()> {
        let job = Job { request: request.clone(), pipe: Arc::clone(&self.pipe), address: self.address };
        let jobs = lock(&self.jobs);
        let jobs = jobs.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        jobs.send(job).map_err(io::Error::other)
    }

    fn send_body(&mut self, piece: &[u8]) -> io::Result<()> {
        if !piece.is_empty() {
            self.pipe.change(|state| state.body.push_back(Bytes::copy_from_slice(piece)));
        }
        Ok(())
    }

    fn end_body(&mut self) -> io::Result<()> {
        self.pipe.change(|state| state.body_ended = true);
        Ok(())
    }

    fn head(&mut self) -> Result<Head, Broken> {
        let head = self.pipe.wait(|state| match state.heads.pop_front() {
            Some(head) => Some(Ok(head)),
            None => state.over.then_some(Err(Broken::Truncated)),
        });
        head.unwrap_or(Err(Broken::Silent))
    }

    fn block(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let block = self.pipe.wait(|state| match state.blocks.pop_front() {
            Some(block) => Some(Ok(Some(block))),
            None if !state.over => None,
            None => Some(if state.whole { Ok(None) } else { Err(Broken::Truncated) }),
        });
        block.unwrap_or(Err(Broken::Silent))
    }

    fn stop_sending(&mut self) {
        self.pipe.change(|state| state.body_broken = !state.body_ended);
    }

    fn leave(self: Box<Self>) {}

    fn reusable(&self) -> bool {
        false
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(self.address)
    }
}

/// Whoever lets go of a conversation has left.
impl Drop for Caller {
    fn drop(&mut self) {
        self.pipe.change(|state| state.gone = true);
    }
}

fn read(head: &ResponseHead) -> Head {
    Head {
        code: head.code(),
        reason: latin1(head.status_line().get(4..).unwrap_or_default()),
        fields: head.fields().map(|(name, value)| (latin1(name), latin1(value))).collect(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far an application gets ahead of a client that does not read.
const HELD_BLOCKS: usize = 16;
