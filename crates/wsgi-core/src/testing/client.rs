//! The client: what lasts from request to request.

use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use super::cookies::{Cookie, Jar};
use super::request::Request;
use crate::Handler;
use crate::wire::RequestHead;
use crate::wsgi::watch::Late;

/// A client that calls a handler in this process, on the calling thread; see the [module](super).
///
/// It keeps cookies. It may be used by any thread, and by several at once; a test that shall not see the cookies of another has its own.
pub struct Client<'a> {
    handler: Box<dyn Handler + 'a>,
    pub(super) strict: bool,
    pub(super) multithread: bool,
    jar: Mutex<Jar>,
    pub(super) late: Late,
    /// Heads of earlier requests, for their memory.
    spare: Mutex<Vec<RequestHead>>,
}

impl<'a> Client<'a> {
    /// A strict client of a handler: a reference to an [`Application`](crate::Application), a clone of it, or anything else that answers, such
    /// as a [`Mount`](crate::Mount) with applications in it.
    pub fn new(handler: impl Handler + 'a) -> Client<'a> {
        Client {
            handler: Box::new(handler),
            strict: true,
            multithread: true,
            jar: Mutex::default(),
            late: Late::default(),
            spare: Mutex::default(),
        }
    }

    /// Panics, in [`Request::send`], if the application breaks PEP 3333, with a list of all breaches. The default. That an application raises
    /// is no breach: the response is a 500, and has the [exception](super::Response::exception).
    pub fn strict(mut self) -> Client<'a> {
        self.strict = true;
        self
    }

    /// Lists breaches of PEP 3333 in [`Response::breaches`](super::Response::breaches) and goes on, as a server does.
    pub fn lenient(mut self) -> Client<'a> {
        self.strict = false;
        self
    }

    /// What `wsgi.multithread` says; true unless set, since tests run at the same time.
    pub fn multithread(mut self, multithread: bool) -> Client<'a> {
        self.multithread = multithread;
        self
    }

    /// A `GET` request. The target is a path with or without a query, percent-encoded; see [`request`](Self::request).
    pub fn get(&self, target: &str) -> Request<'_> {
        self.request("GET", target)
    }

    /// A `HEAD` request.
    pub fn head(&self, target: &str) -> Request<'_> {
        self.request("HEAD", target)
    }

    /// A `POST` request.
    pub fn post(&self, target: &str) -> Request<'_> {
        self.request("POST", target)
    }

    /// A `PUT` request.
    pub fn put(&self, target: &str) -> Request<'_> {
        self.request("PUT", target)
    }

    /// A `PATCH` request.
    pub fn patch(&self, target: &str) -> Request<'_> {
        self.request("PATCH", target)
    }

    /// A `DELETE` request.
    pub fn delete(&self, target: &str) -> Request<'_> {
        self.request("DELETE", target)
    }

    /// An `OPTIONS` request.
    pub fn options(&self, target: &str) -> Request<'_> {
        self.request("OPTIONS", target)
    }

    /// A request with any method. Nothing happens until [`Request::send`].
    ///
    /// The target is what would stand in the request line: `/caf%C3%A9?q=1`. Without further ado the request comes from `127.0.0.1` and goes
    /// to `http://localhost/`.
    pub fn request(&self, method: &str, target: &str) -> Request<'_> {
        Request::new(self, method, target)
    }

    /// The cookies that are kept, whatever requests they are sent with.
    pub fn cookies(&self) -> Vec<Cookie> {
        self.jar().all()
    }

    /// The value of the cookie of this name; of several, the one with the longest path.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.jar().all().into_iter().find(|cookie| cookie.name == name).map(|cookie| cookie.value)
    }

    /// Sets a cookie for every path of every host.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar().set(name, value);
    }

    /// Forgets all cookies.
    pub fn clear_cookies(&self) {
        self.jar().clear();
    }

    pub(super) fn handler(&self) -> &(dyn Handler + 'a) {
        &*self.handler
    }

    pub(super) fn jar(&self) -> MutexGuard<'_, Jar> {
        lock(&self.jar)
    }

    /// An empty head.
    pub(super) fn take_head(&self) -> RequestHead {
        lock(&self.spare).pop().unwrap_or_default()
    }

    /// Keeps a head for the next request.
    pub(super) fn keep_head(&self, mut head: RequestHead) {
        head.clear();
        lock(&self.spare).push(head);
    }
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("strict", &self.strict).field("multithread", &self.multithread).finish_non_exhaustive()
    }
}

/// A panic in the midst of a test leaves nothing here half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `setup` on a thread that lives as long as the process, waits for it, and gives what it gives.
///
/// For [`Interpreter::start`](crate::wsgi::InterpreterBuilder::start) in tests: the thread that calls it becomes Python's main thread, which
/// should not end, and the thread of a test does. Not to be called while attached: `setup` would wait for the interpreter, and the caller for
/// `setup`.
///
/// # Panics
/// With what `setup` panics with; if no thread can be started.
pub fn on_a_lasting_thread<T: Send + 'static>(setup: impl FnOnce() -> T + Send + 'static) -> T {
    let (give, take) = mpsc::channel();
    let lasting = thread::Builder::new().name("python".to_owned()).spawn(move || {
        // Whoever waits is there: nothing comes between here and `recv`.
        let _ = give.send(std::panic::catch_unwind(std::panic::AssertUnwindSafe(setup)));
        loop {
            thread::park();
        }
    });
    lasting.expect("a thread can be started");
    match take.recv().expect("the thread sends before it does anything else") {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
