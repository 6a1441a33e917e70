//! What one thread keeps from request to request, so that a request makes few Python objects: the dictionaries that `environ` is copied
//! from, and the objects that stand in it.
//!
//! The objects are used again only if nobody has kept one of them: then the reference counts are what the kit alone accounts for, and no
//! one can tell that they are not new. If somebody has, they keep theirs, whose request is over, and the next request gets others.

#![allow(unsafe_code)]

use std::cell::RefCell;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use pyo3::{ffi, intern};

use super::application::Application;
use super::early_hints::{ClientDisconnected, EarlyHints};
use super::environ::{Environs, Facts, PerRequest};
use super::errors::{ErrorSink, Errors};
use super::file_wrapper::FileWrapper;
use super::input::Input;
use super::session::Session;
use super::start_response::{StartResponse, Write};
use super::text::from_latin1;
use crate::wire::RequestHead;

/// One thread's kit for one application.
pub(super) struct Kit {
    application: u64,
    /// Where the text of `wsgi.errors` goes unless the peer takes it.
    sink: ErrorSink,
    pub(super) objects: Objects,
    environs: Environs,
}

/// The objects of one request.
pub(super) struct Objects {
    generation: u64,
    pub(super) session: Py<Session>,
    start: Py<StartResponse>,
    /// The bound method of `start`.
    pub(super) start_response: Py<PyAny>,
    pub(super) errors: Py<Errors>,
    input: Py<PyAny>,
    early_hints: Py<PyAny>,
    client_disconnected: Py<PyAny>,
}

impl Kit {
    /// This thread's kit for an application; a new one if it is in use, further up this thread's stack, or there is none yet.
    pub(super) fn take(py: Python<'_>, application: &Application) -> PyResult<Box<Kit>> {
        let kept = KITS.with_borrow_mut(|kits| {
            let at = kits.iter().rposition(|kit| kit.application == application.identity())?;
            Some(kits.swap_remove(at))
        });
        match kept {
            Some(kit) => Ok(kit),
            None => Kit::new(py, application).map(Box::new),
        }
    }

    fn new(py: Python<'_>, application: &Application) -> PyResult<Kit> {
        let options = application.options();
        let base = PyDict::new(py);
        // What the codec does not say has the least surprising value (clauses 14 to 20).
        for (name, value) in [
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", ""),
            ("QUERY_STRING", ""),
            ("SERVER_NAME", "localhost"),
            ("SERVER_PORT", "80"),
            ("SERVER_PROTOCOL", "HTTP/1.0"),
            ("SERVER_SOFTWARE", SERVER_SOFTWARE),
            ("GATEWAY_INTERFACE", "CGI/1.1"),
        ] {
            base.set_item(PyString::intern(py, name), PyString::intern(py, value))?;
        }
        base.set_item(intern!(py, "wsgi.version"), (1, 0))?;
        base.set_item(intern!(py, "wsgi.run_once"), false)?;
        // D1: true because it is; absent would be the only other honest way.
        base.set_item(intern!(py, "wsgi.input_terminated"), true)?;
        base.set_item(intern!(py, "wsgi.file_wrapper"), py.get_type::<FileWrapper>())?;
        for (name, value) in &options.variables {
            base.set_item(from_latin1(py, name)?, from_latin1(py, value)?)?;
        }
        for (name, object) in &options.objects {
            base.set_item(name, &**object)?;
        }
        let names = options.variables.iter().map(|(name, _)| name.clone());
        let fixed = names.chain(options.objects.iter().map(|(name, _)| name.clone().into_bytes())).collect();
        let sink = options.errors.clone();
        let objects = Objects::new(py, 0, &sink)?;
        Ok(Kit { application: application.identity(), sink, objects, environs: Environs::new(base, fixed) })
    }

    pub(super) fn environ<'py>(&mut self, py: Python<'py>, head: &RequestHead, facts: &Facts) -> PyResult<Bound<'py, PyDict>> {
        let Objects { generation, errors, input, early_hints, client_disconnected, .. } = &self.objects;
        let objects = PerRequest {
            generation: *generation,
            entries: [
                (intern!(py, "wsgi.input"), input),
                (intern!(py, "wsgi.errors"), errors.as_any()),
                (intern!(py, "wsgi.early_hints"), early_hints),
                (intern!(py, "waitress.client_disconnected"), client_disconnected),
            ],
        };
        self.environs.make(py, head, facts, &objects)
    }

    /// Keeps the kit for this thread's next request.
    pub(super) fn give_back(mut self: Box<Kit>, py: Python<'_>) -> PyResult<()> {
        if !self.objects.unshared(py, self.environs.holders(self.objects.generation)) {
            self.objects = Objects::new(py, self.objects.generation + 1, &self.sink)?;
        }
        // What is dropped here may run Python, and with it another request on this thread: not while the list is borrowed.
        let dropped = KITS.with_borrow_mut(|kits| {
            kits.push(self);
            (kits.len() > KEPT_KITS).then(|| kits.remove(0))
        });
        drop(dropped);
        Ok(())
    }

    /// Drops what this thread has kept.
    pub(super) fn forget(_: Python<'_>) {
        // At the end of the thread its other locals may be gone already.
        let _ = KITS.try_with(|kits| drop(kits.take()));
    }
}

impl Objects {
    fn new(py: Python<'_>, generation: u64, sink: &ErrorSink) -> PyResult<Objects> {
        let session = Py::new(py, Session::new())?;
        let of = || session.clone_ref(py);
        let write = Py::new(py, Write { session: of() })?;
        let start = Py::new(py, StartResponse { session: of(), write })?;
        Ok(Objects {
            generation,
            start_response: start.getattr(py, intern!(py, "start_response"))?,
            start,
            errors: Py::new(py, Errors::new(of(), sink.clone()))?,
            input: Py::new(py, Input { session: of() })?.into_any(),
            early_hints: Py::new(py, EarlyHints { session: of() })?.into_any(),
            client_disconnected: Py::new(py, ClientDisconnected { session: of() })?.into_any(),
            session,
        })
    }

    /// Whether nothing outside the kit refers to any of the objects. `holders` is how many dictionaries of the kit hold the four of them
    /// that stand in an `environ`.
    fn unshared(&self, py: Python<'_>, holders: usize) -> bool {
        let in_environ = 1 + holders;
        // The session is held by the kit, by `start`, by `write` and by the four.
        count(py, &self.session) == 7
            && count(py, &self.start) == 2
            && count(py, &self.start.get().write) == 1
            && count(py, &self.start_response) == 1
            && count(py, &self.errors) == in_environ
            && [&self.input, &self.early_hints, &self.client_disconnected].into_iter().all(|object| count(py, object) == in_environ)
    }
}

/// How many references there are to an object of this thread's.
///
/// Where there is no GIL, this is the sum of what this thread counts and what others do. If it is no more than the kit's own, no other thread
/// has a reference from which it could make another; a reference that another thread has just dropped may still be counted, which only
/// makes the kit give up an object too early.
fn count<T>(_: Python<'_>, object: &Py<T>) -> usize {
    // SAFETY: the object is alive, and this thread is attached.
    let count = unsafe { ffi::Py_REFCNT(object.as_ptr()) };
    usize::try_from(count).unwrap_or(usize::MAX)
}

thread_local! {
    #[expect(clippy::vec_box, reason = "boxes move between the list and the stack, kits do not")]
    static KITS: RefCell<Vec<Box<Kit>>> = const { RefCell::new(Vec::new()) };
}

/// How many applications one thread keeps a kit for.
const KEPT_KITS: usize = 8;

/// `SERVER_SOFTWARE`, where the protocol does not say another.
const SERVER_SOFTWARE: &str = concat!("wsgi-rs/", env!("CARGO_PKG_VERSION"));
