//! `wsgi.file_wrapper`: a file that the server may send in its own way, which is `sendfile` for a regular file.
//!
//! An instance is an ordinary iterable that reads and closes its file. Only when the application returns that very instance, and its file is
//! one of Python's own classes around a regular file, is the descriptor used (PEP 3333, "Optional Platform-Specific File Handling"):
//! `fileno()` of anything else may have nothing to do with what `read()` gives.

#![allow(unsafe_code)]

use std::fs::File;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyType};

/// `environ["wsgi.file_wrapper"]`, the class itself: `file_wrapper(filelike, block_size=8192)`.
#[pyclass(frozen, module = "wsgi", name = "FileWrapper")]
pub(super) struct FileWrapper {
    file: Py<PyAny>,
    block_size: isize,
}

#[pymethods]
impl FileWrapper {
    #[new]
    #[pyo3(signature = (filelike, block_size = 8192))]
    fn new(filelike: Py<PyAny>, block_size: isize) -> PyResult<FileWrapper> {
        if block_size < 1 {
            return Err(PyValueError::new_err(format!("file_wrapper() block_size must be at least 1, got {block_size}")));
        }
        Ok(FileWrapper { file: filelike, block_size })
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let block = self.file.bind(py).call_method1(intern!(py, "read"), (self.block_size,))?;
        let ended = block.cast::<PyBytes>().is_ok_and(|block| block.as_bytes().is_empty());
        Ok((!ended).then_some(block))
    }

    /// Clause 96: closes the file, if it can be closed.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        #[cfg(feature = "testing")]
        super::watch::file_closed();
        match self.file.bind(py).getattr_opt(intern!(py, "close"))? {
            Some(close) => close.call0().map(drop),
            None => Ok(()),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.file)
    }
}

/// A regular file, and what is left of it from its current position on.
pub(super) struct Regular {
    pub(super) file: File,
    pub(super) range: Range<u64>,
}

impl Regular {
    /// The file's path, where the system tells it.
    pub(super) fn name(&self) -> String {
        let link = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        std::fs::read_link(link).map_or_else(|_| "a file".to_owned(), |path| format!("{path:?}"))
    }
}

impl FileWrapper {
    /// What can be sent past Python; none if it must be read block by block, where whatever is wrong with the file will be raised.
    pub(super) fn regular(&self, py: Python<'_>) -> Option<Regular> {
        self.look(py).ok().flatten()
    }

    fn look(&self, py: Python<'_>) -> PyResult<Option<Regular>> {
        let file = self.file.bind(py);
        let [plain, reader, random] = io_classes(py)?;
        let class = file.get_type();
        if !class.is(plain) {
            if !(class.is(reader) || class.is(random)) || !file.getattr(intern!(py, "raw"))?.get_type().is(plain) {
                return Ok(None);
            }
            if class.is(random) {
                file.call_method0(intern!(py, "flush"))?;
            }
        }
        if !file.call_method0(intern!(py, "readable"))?.is_truthy()? {
            return Ok(None);
        }
        // Clause 98: from the current position. Of a buffered file that is not the descriptor's.
        let position: u64 = file.call_method0(intern!(py, "tell"))?.extract()?;
        let descriptor: RawFd = file.call_method0(intern!(py, "fileno"))?.extract()?;
        // SAFETY: a FileIO that is not closed has just said that this descriptor is its own. It is used for nothing but being duplicated,
        // so that the application may close its file at any time.
        let duplicate = unsafe { BorrowedFd::borrow_raw(descriptor) }.try_clone_to_owned()?;
        let file = File::from(duplicate);
        let status = file.metadata()?;
        // Files in /proc say that they are empty; what they hold only reading can tell.
        Ok((status.is_file() && status.len() > position).then(|| Regular { file, range: position..status.len() }))
    }
}

/// `io.FileIO`, `io.BufferedReader`, `io.BufferedRandom`.
fn io_classes(py: Python<'_>) -> PyResult<&'static [Py<PyType>; 3]> {
    static CLASSES: PyOnceLock<[Py<PyType>; 3]> = PyOnceLock::new();
    CLASSES.get_or_try_init(py, || {
        let io = py.import("io")?;
        let class = |name: &str| Ok::<_, PyErr>(io.getattr(name)?.cast_into::<PyType>()?.unbind());
        Ok([class("FileIO")?, class("BufferedReader")?, class("BufferedRandom")?])
    })
}
