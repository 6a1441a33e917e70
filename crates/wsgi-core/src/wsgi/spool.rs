//! A body of unknown length, read whole before the application is called, so that it can be given a `CONTENT_LENGTH`.
//!
//! Many applications read no body without one (Django among them). Small bodies stay in memory; larger ones go to a temporary file that has
//! no name, so nothing is left behind however the process ends.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use rustix::io::Errno;

use super::harakiri::Overdue;
use super::input::Pieces;
use super::request_line::describe;
use crate::Exchange;
use crate::trouble::Trouble;
use crate::wire::{Error, RequestHead};

/// What happens to a request body whose length is not known before it is read: a chunked one of HTTP, or a FastCGI stream without
/// `CONTENT_LENGTH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnsizedBody {
    /// It is read whole before the application is called. `CONTENT_LENGTH` says how long it is, and `HTTP_TRANSFER_ENCODING` is absent.
    Spool {
        /// The most bytes that are held in memory; a longer body goes to a temporary file.
        memory: usize,
        /// The most bytes that are accepted; a longer body is answered with 413.
        limit: u64,
    },
    /// The application reads it as it comes. There is no `CONTENT_LENGTH`, and applications must trust `wsgi.input_terminated`.
    Stream,
}

impl Default for UnsizedBody {
    /// Spooled, with 512 KiB in memory and 1 GiB at most.
    fn default() -> Self {
        UnsizedBody::Spool { memory: 512 * 1024, limit: 1 << 30 }
    }
}

/// A body that was read whole.
#[derive(Debug)]
pub(super) struct Spooled {
    /// How long it is.
    pub(super) length: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Bytes),
    File(File),
}

/// Why a body could not be spooled.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    /// The peer is at fault, or its connection.
    #[error("{0}")]
    Body(io::Error),
    /// The disk is.
    #[error("temporary file: {0}")]
    Disk(io::Error),
}

impl SpoolError {
    /// The status that tells the peer.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            SpoolError::Body(error) => body_status(error),
            SpoolError::Disk(error) => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StatusCode::INSUFFICIENT_STORAGE,
                _ if matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE)) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            },
        }
    }

    /// Says it of this request: of the disk, which all requests have in common, when it begins.
    pub(super) fn log(&self, head: &RequestHead) {
        let request = describe(head);
        match self {
            SpoolError::Body(error) => tracing::info!(target: "wsgi", request, "request body cannot be taken: {error}"),
            SpoolError::Disk(_) if !DISK.met() => {}
            SpoolError::Disk(error) => {
                let folder = std::env::temp_dir();
                tracing::error!(target: "wsgi", request, "request bodies cannot be kept in temporary files in {}: {error}", folder.display());
            }
        }
    }
}

/// The status for a body that could not be read.
pub(super) fn body_status(error: &io::Error) -> StatusCode {
    let cause = error.get_ref();
    match cause.and_then(|cause| cause.downcast_ref::<Error>()) {
        Some(error) => error.status(),
        None if cause.is_some_and(|cause| cause.is::<Overdue>()) => StatusCode::GATEWAY_TIMEOUT,
        None if error.kind() == io::ErrorKind::TimedOut => StatusCode::REQUEST_TIMEOUT,
        None => StatusCode::BAD_REQUEST,
    }
}

/// Reads the body to its end. Blocks as [`Exchange::read`] does.
pub(super) fn spool(exchange: &mut dyn Exchange, memory: usize, limit: u64) -> Result<Spooled, SpoolError> {
    let mut held = Pieces::default();
    let mut length = 0u64;
    let mut file = None;
    loop {
        let piece = exchange.read(READ_BYTES).map_err(SpoolError::Body)?;
        if piece.is_empty() {
            break;
        }
        length += piece.len() as u64;
        if length > limit {
            return Err(SpoolError::Body(Error::BodyTooLarge { limit }.into()));
        }
        if file.is_none() && length > memory as u64 {
            let mut new = tempfile::tempfile().map_err(SpoolError::Disk)?;
            for piece in held.drain() {
                new.write_all(&piece).map_err(SpoolError::Disk)?;
            }
            file = Some(new);
        }
        match &mut file {
            Some(file) => file.write_all(&piece).map_err(SpoolError::Disk)?,
            None => held.push(piece),
        }
    }
    let place = match file {
        Some(mut file) => {
            file.rewind().map_err(SpoolError::Disk)?;
            if let Some(count) = DISK.over() {
                tracing::info!(target: "wsgi", "request bodies are kept in temporary files again; {count} requests were refused meanwhile");
            }
            Place::File(file)
        }
        None => Place::Memory(held.join()),
    };
    Ok(Spooled { length, place })
}

impl Spooled {
    /// The next bytes, at most `max`; empty at the end. May wait for the disk.
    pub(super) fn read(&mut self, max: usize) -> io::Result<Bytes> {
        match &mut self.place {
            Place::Memory(bytes) => Ok(bytes.split_to(max.min(bytes.len()))),
            Place::File(file) => {
                let mut block = BytesMut::zeroed(max.min(READ_BYTES));
                let got = loop {
                    match file.read(&mut block) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        other => break other?,
                    }
                };
                block.truncate(got);
                Ok(block.freeze())
            }
        }
    }

    /// Whether reading needs no waiting.
    pub(super) fn in_memory(&self) -> bool {
        matches!(self.place, Place::Memory(_))
    }
}

/// Temporary files cannot be made or written. All applications have the disk in common.
static DISK: Trouble = Trouble::new();
const READ_BYTES: usize = 64 * 1024;
