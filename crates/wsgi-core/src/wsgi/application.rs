//! A WSGI application as a [`Handler`], and what may be set for it.

#![allow(unsafe_code)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::driver;
use super::environ::{BodyState, Facts};
use super::errors::{ErrorSink, standard_error};
use super::exception::traceback;
use super::input::Body;
use super::kit::Kit;
use super::request_line::describe;
use super::spool::{Spooled, UnsizedBody, spool};
use crate::observe::attaching;
use crate::wire::{BodyLength, Known};
use crate::{Exchange, Handler};

/// A WSGI application: any Python callable that follows PEP 3333.
///
/// A cheap handle; clones are the same application. Drop it, and its clones, before Python ends.
///
/// ```
/// use pyo3::prelude::*;
/// use wsgi_core::wsgi::Application;
///
/// Python::initialize();
/// let callable = Python::attach(|py| {
///     py.run(c"def hello(environ, start_response):
///     start_response('200 OK', [('Content-Type', 'text/plain')])
///     return [b'Hello, world!']", None, None)?;
///     py.import("__main__")?.getattr("hello").map(Bound::unbind)
/// })?;
/// let application = Application::new(callable).variable("myapp.region", "eu")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Application {
    callable: Arc<Py<PyAny>>,
    options: Arc<Options>,
    /// Tells kits of one application and set of options from those of others.
    identity: u64,
}

#[derive(Clone)]
pub(super) struct Options {
    pub(super) errors: ErrorSink,
    pub(super) unsized_body: UnsizedBody,
    pub(super) variables: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) objects: Vec<(String, Arc<Py<PyAny>>)>,
    per_request: Option<PerRequestHook>,
}

type PerRequestHook = Arc<dyn Fn(Python<'_>, &dyn Exchange, &Bound<'_, PyDict>) -> PyResult<()> + Send + Sync>;

/// A name that a deployer cannot set in `environ`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("environ variable {0:?} belongs to the server and cannot be set")]
pub struct ReservedName(pub String);

impl Application {
    /// An application around a callable. What kind of callable it is does not matter (clause 1).
    pub fn new(callable: Py<PyAny>) -> Application {
        let options = Options {
            errors: standard_error(),
            unsized_body: UnsizedBody::default(),
            variables: Vec::new(),
            objects: Vec::new(),
            per_request: None,
        };
        Application { callable: Arc::new(callable), options: Arc::new(options), identity: next_identity() }
    }

    /// The callable.
    pub fn callable(&self) -> &Py<PyAny> {
        &self.callable
    }

    /// Where the text of `wsgi.errors` goes, and with it the tracebacks of exceptions that the application does not handle. By default the
    /// process's standard error.
    ///
    /// Where the protocol carries a log of errors and was told to use it (`FastCgi::log_to_peer`), what a request writes goes there instead until
    /// its reply has ended, and only the rest comes here.
    ///
    /// The sink gets whole lines, except where the application flushes within one. It is called without the interpreter and may block; it
    /// may be called by several threads at once.
    pub fn errors(mut self, sink: impl Fn(&str) + Send + Sync + 'static) -> Application {
        self.change().errors = Arc::new(sink);
        self
    }

    /// What happens to a request body whose length is not known beforehand. By default it is read whole, to memory or a temporary file,
    /// before the application is called.
    pub fn unsized_body(mut self, what: UnsizedBody) -> Application {
        self.change().unsized_body = what;
        self
    }

    /// Puts a variable into every `environ`, instead of whatever a request says. Both are bytes, and become `str` as every CGI variable
    /// does: one character for each byte.
    ///
    /// `wsgi.url_scheme` may be set, to `https` behind a proxy that ends TLS.
    ///
    /// # Errors
    /// Any other name that begins with `wsgi.` or `waitress.`, which are the server's.
    pub fn variable(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<Application, ReservedName> {
        let name = name.as_ref();
        if name != b"wsgi.url_scheme" {
            reserved(name)?;
        }
        self.change().variables.push((name.to_vec(), value.as_ref().to_vec()));
        Ok(self)
    }

    /// Puts any Python object into every `environ`. Its name should be lower case and begin with one of yours and a dot, such as
    /// `myapp.pool` (clause 37).
    ///
    /// # Errors
    /// A name that begins with `wsgi.` or `waitress.`, which are the server's.
    pub fn object(mut self, name: &str, object: Py<PyAny>) -> Result<Application, ReservedName> {
        reserved(name.as_bytes())?;
        self.change().objects.push((name.to_owned(), Arc::new(object)));
        Ok(self)
    }

    /// Calls a Rust function with each fresh `environ`, when everything else is in it and before the application is called. It may put there
    /// what belongs to this request alone: most often, a value that a handler in front has left in [`Exchange::extensions`], as a Python
    /// object. Names should be as for [`object`](Self::object).
    ///
    /// The function runs attached, on the thread of the request, so it must not wait. Of several that are set, the last counts. Its error is
    /// answered with 500, without calling the application, and its traceback goes where those of the application go.
    ///
    /// ```
    /// use pyo3::prelude::*;
    /// use wsgi_core::wsgi::Application;
    /// use wsgi_core::{Exchange, Handler};
    ///
    /// /// What a handler in front finds out.
    /// #[derive(Clone)]
    /// struct Login(String);
    ///
    /// /// What the application sees of it: `environ["myapp.user"].name`.
    /// #[pyclass(frozen, get_all)]
    /// struct User {
    ///     name: String,
    /// }
    ///
    /// struct Authenticated(Application);
    ///
    /// impl Handler for Authenticated {
    ///     fn handle(&self, exchange: &mut dyn Exchange) {
    ///         if let Some(extensions) = exchange.extensions_mut() {
    ///             extensions.insert(Login("ada".to_owned()));
    ///         }
    ///         self.0.handle(exchange);
    ///     }
    ///
    ///     fn thread(&self, work: &mut dyn FnMut()) {
    ///         self.0.thread(work);
    ///     }
    /// }
    ///
    /// # Python::initialize();
    /// # let callable = Python::attach(|py| py.None());
    /// let application = Application::new(callable).per_request(|py, exchange, environ| {
    ///     match exchange.extensions().and_then(|extensions| extensions.get::<Login>()) {
    ///         Some(Login(name)) => environ.set_item("myapp.user", Py::new(py, User { name: name.clone() })?),
    ///         None => Ok(()),
    ///     }
    /// });
    /// let handler = Authenticated(application);
    /// ```
    pub fn per_request(
        mut self,
        hook: impl Fn(Python<'_>, &dyn Exchange, &Bound<'_, PyDict>) -> PyResult<()> + Send + Sync + 'static,
    ) -> Application {
        self.change().per_request = Some(Arc::new(hook));
        self
    }

    fn change(&mut self) -> &mut Options {
        self.identity = next_identity();
        Arc::make_mut(&mut self.options)
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn identity(&self) -> u64 {
        self.identity
    }

    /// One request, attached.
    fn answer(&self, py: Python<'_>, exchange: &mut dyn Exchange, spooled: Option<Spooled>) -> PyResult<()> {
        let mut kit = Kit::take(py, self)?;
        let (multithread, multiprocess) = (exchange.multithread(), exchange.multiprocess());
        let head = exchange.head();
        let state = match &spooled {
            Some(spooled) => BodyState::Spooled(spooled.length),
            None if head.body() == BodyLength::Unknown => BodyState::Streamed,
            None => BodyState::Declared,
        };
        let environ = kit.environ(py, head, &Facts::new(head, multithread, multiprocess, state))?;
        let for_head = head.get(Known::RequestMethod) == Some(b"HEAD");
        let length = head.body();
        if let Some(hook) = &self.options.per_request {
            if let Err(error) = hook(py, exchange, &environ) {
                let text = format!("exception before the application: {}\n{}", describe(exchange.head()), traceback(py, &error));
                kit.objects.errors.get().report_before(py, exchange, &text);
                exchange.refuse(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n");
                drop((error, environ));
                return kit.give_back(py);
            }
        }
        let body = Body::new(length, spooled);
        let session = kit.objects.session.clone_ref(py);
        session.get().scope(exchange, body, for_head, || {
            driver::serve(py, self.callable.bind(py), &kit, environ);
            session.get().take_back(py);
        });
        drop(session);
        kit.give_back(py)
    }
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Application").finish_non_exhaustive()
    }
}

impl Handler for Application {
    /// Calls the application. Attaches to Python; must not be called where that is forbidden, as in a garbage collector's callback.
    fn handle(&self, exchange: &mut dyn Exchange) {
        if exchange.head().get(Known::RequestMethod).is_none_or(<[u8]>::is_empty) {
            // Clause 13. nginx sends none if `include uwsgi_params;` was forgotten.
            tracing::warn!(target: "wsgi", "request has no REQUEST_METHOD: does the server in front send the usual CGI variables?");
            return exchange.refuse(StatusCode::BAD_REQUEST, "The request has no method.\n");
        }
        let mut spooled = None;
        if let (BodyLength::Unknown, UnsizedBody::Spool { memory, limit }) = (exchange.head().body(), self.options.unsized_body) {
            // Detached, should the caller be attached: this waits for the peer.
            match Python::attach(|py| py.detach(|| spool(exchange, memory, limit))) {
                Ok(body) => spooled = Some(body),
                Err(error) => {
                    tracing::info!(target: "wsgi", "request body cannot be taken: {error}");
                    let status = error.status();
                    return exchange.refuse(status, &format!("{status}\n"));
                }
            }
        }
        let outcome = attaching(|attached| {
            Python::attach(|py| {
                attached();
                self.answer(py, exchange, spooled).map_err(|error| error.to_string())
            })
        });
        if let Err(error) = outcome {
            tracing::error!(target: "wsgi", "request cannot be handed to Python: {error}");
            if !exchange.started() {
                exchange.refuse(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n");
            }
        }
    }

    /// Keeps this thread's Python thread state until `work` returns, so that `threading.local` survives from request to request and to
    /// attach is cheap.
    fn thread(&self, work: &mut dyn FnMut()) {
        // SAFETY: neither call has a precondition.
        if unsafe { ffi::Py_IsInitialized() == 0 || ffi::PyGILState_Check() != 0 } {
            // Attached already: somebody further up keeps the thread state, and `work` may hold what only an attached thread may.
            return work();
        }
        Python::attach(|py| {
            let work = NotAttached(work);
            py.detach(move || work.run());
            Kit::forget(py);
            forget_thread(py);
        });
    }
}

/// A closure that was made while its thread was not attached.
struct NotAttached<'a>(&'a mut dyn FnMut());

// SAFETY: "Send" is how PyO3 says "holds nothing that only an attached thread may touch". This one runs on the thread that made it, and was
// made while that thread was not attached, so that it cannot hold such a thing.
unsafe impl Send for NotAttached<'_> {}

impl NotAttached<'_> {
    fn run(self) {
        (self.0)();
    }
}

/// Takes a thread that Python did not start from the list that `threading` keeps: another may get its identifier.
pub(super) fn forget_thread(py: Python<'_>) {
    let forget = || -> PyResult<()> {
        let modules = py.import("sys")?.getattr("modules")?;
        if modules.contains("threading")? {
            py.run(FORGET_THREAD, None, None)?;
        }
        Ok(())
    };
    if let Err(error) = forget() {
        tracing::debug!(target: "wsgi", "threading did not forget a thread: {error}");
    }
}

fn reserved(name: &[u8]) -> Result<(), ReservedName> {
    if name.starts_with(b"wsgi.") || name.starts_with(b"waitress.") {
        return Err(ReservedName(String::from_utf8_lossy(name).into_owned()));
    }
    Ok(())
}

fn next_identity() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Names with a leading underscore are `threading`'s own, but have been what they are since Python 3.0.
const FORGET_THREAD: &std::ffi::CStr = c"
import threading
with threading._active_limbo_lock:
    if isinstance(threading._active.get(threading.get_ident()), threading._DummyThread):
        del threading._active[threading.get_ident()]
";
