//! Text between bytes and Python: every CGI variable, status and header is a `str` whose characters are the bytes that travel.
//!
//! PEP 3333, "Unicode Issues": such strings hold only U+0000 to U+00FF, each standing for one byte (ISO 8859-1).

#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyString;
use pyo3::types::string::PyStringData;

use crate::wire::Known;

/// The `str` whose characters are these bytes.
pub(super) fn from_latin1<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyString>> {
    // A slice is never longer than `isize::MAX`.
    let len = bytes.len() as ffi::Py_ssize_t;
    // SAFETY: pointer and length are those of a slice; no error handler is named. The answer is a new reference to a `str`, or null with an
    // exception set.
    unsafe {
        let text = ffi::PyUnicode_DecodeLatin1(bytes.as_ptr().cast(), len, std::ptr::null());
        Ok(Bound::from_owned_ptr_or_err(py, text)?.cast_into_unchecked())
    }
}

/// The bytes that the characters of a `str` stand for; none if it has one above U+00FF.
pub(super) fn to_latin1<'a>(text: &'a Bound<'_, PyString>) -> Option<&'a [u8]> {
    // SAFETY: the slice is read while `text` is borrowed, and a `str` does not change. One-byte storage is used exactly for the strings
    // without a character above U+00FF (PEP 393).
    match unsafe { text.data() } {
        Ok(PyStringData::Ucs1(bytes)) => Some(bytes),
        _ => None,
    }
}

/// The interned name of a known variable.
pub(super) fn known(py: Python<'_>, name: Known) -> Bound<'_, PyString> {
    static NAMES: PyOnceLock<Vec<Py<PyString>>> = PyOnceLock::new();
    let names = NAMES.get_or_init(py, || Known::all().map(|known| PyString::intern(py, known.as_str()).unbind()).collect());
    names[name as usize].bind(py).clone()
}

/// `repr()` of a value for an error text, shortened.
pub(super) fn show(value: &Bound<'_, PyAny>) -> String {
    let mut text = match value.repr() {
        Ok(repr) => repr.to_string_lossy().into_owned(),
        Err(_) => format!("<{} without a repr>", kind(value)),
    };
    if let Some((end, _)) = text.char_indices().nth(SHOWN_CHARACTERS) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

/// The name of a value's type, for an error text.
pub(super) fn kind(value: &Bound<'_, PyAny>) -> String {
    match value.get_type().name() {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => "an object of unknown type".to_owned(),
    }
}

const SHOWN_CHARACTERS: usize = 120;
