//! `wsgi.input`: the request's body as a Python file, pulled from the exchange only when the application reads.
//!
//! It ends where the body ends, and then gives `b""` again and again. A body that broke off raises `OSError` again and again: it never looks
//! like one that ended. After the request is over every read raises `ValueError`, as a closed file does.
//!
//! **In scope:** `read`, `readline`, `readlines`, iteration, each with its size argument (PEP 3333, "Input and Error Streams"). **Out of
//! scope:** where the bytes come from (the exchange, or `spool.rs`).

use std::io;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use pyo3::exceptions::{PyConnectionResetError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use super::harakiri::interruption;
use super::session::Session;
use super::spool::{Spooled, body_status};
use crate::Exchange;
use crate::wire::BodyLength;

/// `environ["wsgi.input"]`.
#[pyclass(frozen, module = "wsgi", name = "Input")]
pub(super) struct Input {
    pub(super) session: Py<Session>,
}

#[pymethods]
impl Input {
    #[pyo3(signature = (size = None, /))]
    fn read<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.take(py, Wanted::Bytes, limit(size))
    }

    #[pyo3(signature = (size = None, /))]
    fn readline<'py>(&self, py: Python<'py>, size: Option<isize>) -> PyResult<Bound<'py, PyBytes>> {
        self.take(py, Wanted::Line, limit(size))
    }

    #[pyo3(signature = (hint = None, /))]
    fn readlines<'py>(&self, py: Python<'py>, hint: Option<isize>) -> PyResult<Bound<'py, PyList>> {
        let lines = PyList::empty(py);
        // As for Python's own files, a hint of 0 is none.
        let enough = hint.and_then(|hint| usize::try_from(hint).ok()).filter(|&hint| hint > 0).unwrap_or(usize::MAX);
        let mut total = 0;
        while total < enough {
            let line = self.take(py, Wanted::Line, usize::MAX)?;
            if line.as_bytes().is_empty() {
                break;
            }
            total += line.as_bytes().len();
            lines.append(line)?;
        }
        Ok(lines)
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let line = self.take(py, Wanted::Line, usize::MAX)?;
        Ok((!line.as_bytes().is_empty()).then_some(line))
    }
}

impl Input {
    fn take<'py>(&self, py: Python<'py>, wanted: Wanted, limit: usize) -> PyResult<Bound<'py, PyBytes>> {
        let session = self.session.get();
        let mut taken = Pieces::default();
        // What is there already costs no detaching.
        let ready = session.with(py, |desk| {
            let (exchange, state) = desk.parts();
            state.body.take(exchange.ok_or(ReadError::Over)?, wanted, limit, &mut taken)
        });
        let waited = match ready {
            Ok(true) => Ok(()),
            Ok(false) => session.detached(py, |lent| {
                loop {
                    // Locked for each piece anew, so that a slow peer does not keep other threads from sending meanwhile.
                    let mut desk = lent.lock();
                    let (exchange, state) = desk.parts();
                    let exchange = exchange.ok_or(ReadError::Over)?;
                    state.body.fill(exchange, limit.saturating_sub(taken.len()))?;
                    if state.body.take(exchange, wanted, limit, &mut taken)? {
                        return Ok(());
                    }
                }
            }),
            Err(error) => Err(error),
        };
        match waited {
            Ok(()) => taken.to_python(py),
            Err(ReadError::Broken(Broken { status: StatusCode::GATEWAY_TIMEOUT, .. })) => Err(interruption(py)),
            Err(error) => Err(error.into()),
        }
    }
}

fn limit(size: Option<isize>) -> usize {
    size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX)
}

#[derive(Clone, Copy)]
enum Wanted {
    /// As many bytes as the limit says, or all that come.
    Bytes,
    /// The same, but no further than the end of the line.
    Line,
}

/// The body of one request, as far as it was read.
#[derive(Default)]
pub(super) struct Body {
    /// Bytes that were read and not yet asked for.
    pending: Bytes,
    spooled: Option<Spooled>,
    /// How many bytes the request's head still promises, where it does.
    promised: Option<u64>,
    ended: bool,
    broken: Option<Broken>,
}

/// Why the body cannot be read any further.
#[derive(Clone, Debug)]
pub(super) struct Broken {
    kind: io::ErrorKind,
    pub(super) text: String,
    /// What to answer, if the application has no better idea.
    pub(super) status: StatusCode,
}

/// Why a read failed.
#[derive(Debug)]
enum ReadError {
    /// The request is over.
    Over,
    Broken(Broken),
}

impl Body {
    /// The body of a request with this length; `spooled` if it was read already.
    pub(super) fn new(length: BodyLength, spooled: Option<Spooled>) -> Body {
        let promised = match length {
            BodyLength::Empty => Some(0),
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        };
        Body { ended: promised == Some(0), promised, spooled, ..Body::default() }
    }

    /// Why the body broke off, if it did and somebody has seen that.
    pub(super) fn broken(&self) -> Option<&Broken> {
        self.broken.as_ref()
    }

    /// Moves what is wanted to `taken`, as far as that needs no waiting. Returns whether that was all of it.
    fn take(&mut self, exchange: &mut dyn Exchange, wanted: Wanted, limit: usize, taken: &mut Pieces) -> Result<bool, ReadError> {
        loop {
            let room = limit - taken.len();
            if room == 0 {
                return Ok(true);
            }
            if self.pending.is_empty() && (!self.fetch(exchange, room, false)? || self.ended) {
                return Ok(self.ended);
            }
            let window = &self.pending[..room.min(self.pending.len())];
            let newline = match wanted {
                Wanted::Bytes => None,
                Wanted::Line => window.iter().position(|&byte| byte == b'\n'),
            };
            let piece = self.pending.split_to(newline.map_or(window.len(), |at| at + 1));
            taken.push(piece);
            if newline.is_some() {
                return Ok(true);
            }
        }
    }

    /// Waits until there is something in `pending`, or the end.
    fn fill(&mut self, exchange: &mut dyn Exchange, room: usize) -> Result<(), ReadError> {
        if self.pending.is_empty() {
            self.fetch(exchange, room, true)?;
        }
        Ok(())
    }

    /// Gets the next piece, or learns of the end. False: that needs waiting, and is not to wait.
    fn fetch(&mut self, exchange: &mut dyn Exchange, room: usize, wait: bool) -> Result<bool, ReadError> {
        if let Some(broken) = &self.broken {
            return Err(ReadError::Broken(broken.clone()));
        }
        if self.ended {
            return Ok(true);
        }
        // Small reads fetch what there is, so that the exchange is not asked for each; large ones do not fetch more than they need at once.
        let max = room.clamp(LEAST_FETCH, MOST_FETCH);
        let result = match &mut self.spooled {
            Some(spooled) if wait || spooled.in_memory() => Some(spooled.read(max)),
            Some(_) => None,
            None if wait => Some(exchange.read(max)),
            None => exchange.read_ready(max),
        };
        match result {
            None => return Ok(false),
            Some(Ok(piece)) => self.arrived(piece),
            Some(Err(error)) => self.broken = Some(Broken::of(&error)),
        }
        match &self.broken {
            Some(broken) => Err(ReadError::Broken(broken.clone())),
            None => Ok(true),
        }
    }

    fn arrived(&mut self, mut piece: Bytes) {
        if let Some(promised) = &mut self.promised {
            if piece.is_empty() && *promised > 0 {
                self.broken =
                    Some(Broken::of(&io::Error::new(io::ErrorKind::UnexpectedEof, format!("request body ended {promised} bytes early"))));
                return;
            }
            // Clause 40: what may follow the declared length is not the application's.
            piece.truncate(usize::try_from(*promised).unwrap_or(usize::MAX));
            *promised -= piece.len() as u64;
        }
        self.ended = piece.is_empty();
        self.pending = piece;
    }
}

impl Broken {
    fn of(error: &io::Error) -> Broken {
        Broken { kind: error.kind(), text: error.to_string(), status: body_status(error) }
    }
}

impl From<ReadError> for PyErr {
    fn from(error: ReadError) -> PyErr {
        match error {
            ReadError::Over => PyValueError::new_err("read from wsgi.input after its request is over"),
            // Python's own sockets say it so.
            ReadError::Broken(Broken { kind: io::ErrorKind::UnexpectedEof, text, .. }) => PyConnectionResetError::new_err(text),
            ReadError::Broken(Broken { kind, text, .. }) => io::Error::new(kind, text).into(),
        }
    }
}

/// Bytes in pieces, so that they are copied once, when it is known how many there are.
#[derive(Default)]
pub(super) struct Pieces {
    /// Apart from the others, since it is often the only one.
    first: Bytes,
    others: Vec<Bytes>,
    /// The last small ones, joined: a peer that sends single bytes must not cost a whole buffer for each.
    tail: BytesMut,
    len: usize,
}

impl Pieces {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn push(&mut self, piece: Bytes) {
        if self.len == 0 {
            self.len = piece.len();
            self.first = piece;
            return;
        }
        self.len += piece.len();
        if piece.len() < SMALL_PIECE {
            self.tail.extend_from_slice(&piece);
            return;
        }
        if !self.tail.is_empty() {
            self.others.push(self.tail.split().freeze());
        }
        self.others.push(piece);
    }

    /// Takes the pieces out, in order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Bytes> {
        let Pieces { first, others, tail, .. } = std::mem::take(self);
        std::iter::once(first).chain(others).chain(std::iter::once(tail.freeze()))
    }

    /// All in one.
    pub(super) fn join(mut self) -> Bytes {
        if self.first.len() == self.len {
            return self.first;
        }
        let mut all = BytesMut::with_capacity(self.len);
        self.drain().for_each(|piece| all.extend_from_slice(&piece));
        all.freeze()
    }

    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        if self.first.len() == self.len {
            return Ok(PyBytes::new(py, &self.first));
        }
        PyBytes::new_with(py, self.len, |mut out| {
            for piece in
                std::iter::once(&self.first[..]).chain(self.others.iter().map(|piece| &piece[..])).chain(std::iter::once(&self.tail[..]))
            {
                let (here, rest) = out.split_at_mut(piece.len());
                here.copy_from_slice(piece);
                out = rest;
            }
            Ok(())
        })
    }
}

const LEAST_FETCH: usize = 64 * 1024;
const MOST_FETCH: usize = 1 << 20;
const SMALL_PIECE: usize = 2048;
