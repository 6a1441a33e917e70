//! From a request's head to `environ`: an exact, fresh `dict` for every call (clause 4).
//!
//! Most requests resemble one that came shortly before: the same variables, nearly all with the same values. So a `dict` is kept for each
//! such *shape*, brought up to date with what differs, and copied. The copy is what the application gets; the copying is one block of
//! memory and a reference more to each entry.
//!
//! **In scope:** which variables there are and what they hold (PEP 3333, "`environ` Variables"; D1 to D4, D14, D15, D22, D23). **Out of
//! scope:** parsing. Names and values come from the codec as they are to be.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::text::{from_latin1, known};
use crate::wire::{Known, Name, RequestHead};

/// What is known of a request besides its variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// `wsgi.url_scheme` is `https`.
    pub(super) secure: bool,
    pub(super) multithread: bool,
    pub(super) multiprocess: bool,
    pub(super) body: BodyState,
}

/// What the application can know of the body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyState {
    /// `CONTENT_LENGTH` says it, or there is none.
    Declared,
    /// It was read whole, and is this long.
    Spooled(u64),
    /// It ends when it ends.
    Streamed,
}

/// The objects that stand in every `environ` of one thread until the application keeps one of them.
pub(super) struct PerRequest<'a> {
    /// Changes when the objects do.
    pub(super) generation: u64,
    /// Name and object.
    pub(super) entries: [(&'a Bound<'a, PyString>, &'a Py<PyAny>); 3],
}

/// Makes every `environ` of one application on one thread.
pub(super) struct Environs {
    /// What all have in common.
    base: Py<PyDict>,
    /// Names that the deployer has set, which requests do not change.
    fixed: Vec<Vec<u8>>,
    /// The last used first.
    shapes: Vec<Shape>,
}

impl Facts {
    pub(super) fn new(head: &RequestHead, multithread: bool, multiprocess: bool, body: BodyState) -> Facts {
        Facts { secure: is_secure(head), multithread, multiprocess, body }
    }

    fn same_shape(&self, other: &Facts) -> bool {
        let plain = |facts: &Facts| (facts.secure, facts.multithread, facts.multiprocess);
        plain(self) == plain(other) && std::mem::discriminant(&self.body) == std::mem::discriminant(&other.body)
    }
}

/// D15: `HTTPS` and `REQUEST_SCHEME` come from the server in front, or from the codec; never from a field of the request.
fn is_secure(head: &RequestHead) -> bool {
    let is = |name, expected: &[&[u8]]| head.get(name).is_some_and(|value| expected.iter().any(|text| value.eq_ignore_ascii_case(text)));
    is(Known::Https, &[b"on", b"1", b"https"]) || is(Known::RequestScheme, &[b"https"])
}

impl Environs {
    pub(super) fn new(base: Bound<'_, PyDict>, fixed: Vec<Vec<u8>>) -> Environs {
        Environs { base: base.unbind(), fixed, shapes: Vec::new() }
    }

    /// The `environ` of one request.
    pub(super) fn make<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead,
        facts: &Facts,
        objects: &PerRequest<'_>,
    ) -> PyResult<Bound<'py, PyDict>> {
        for at in 0..self.shapes.len() {
            if self.shapes[at].facts.same_shape(facts) && self.shapes[at].update(py, head)? {
                self.shapes[..=at].rotate_right(1);
                return self.shapes[0].copy(py, facts, objects);
            }
        }
        let shape = Shape::new(py, self.base.bind(py), head, facts, &self.fixed)?;
        self.shapes.truncate(KEPT_SHAPES - 1);
        self.shapes.insert(0, shape);
        self.shapes[0].copy(py, facts, objects)
    }

    /// How many of the kept dictionaries hold the objects of this generation.
    pub(super) fn holders(&self, generation: u64) -> usize {
        self.shapes.iter().filter(|shape| shape.generation == Some(generation)).count()
    }
}

/// A `dict` to copy, for requests that have the same variables.
struct Shape {
    facts: Facts,
    /// Of the per-request objects that the dict holds.
    generation: Option<u64>,
    slots: Vec<Slot>,
    dict: Py<PyDict>,
    /// Whether a value is too long to be kept when it has been copied.
    long: bool,
}

struct Slot {
    name: SlotName,
    key: Py<PyString>,
    /// The bytes that the value in the dict was made from.
    value: Vec<u8>,
    /// The deployer has set this one.
    fixed: bool,
}

enum SlotName {
    Known(Known),
    Other(Box<[u8]>),
}

impl Shape {
    fn new(py: Python<'_>, base: &Bound<'_, PyDict>, head: &RequestHead, facts: &Facts, fixed: &[Vec<u8>]) -> PyResult<Shape> {
        let dict = base.copy()?;
        let is_fixed = |name: &[u8]| fixed.iter().any(|fixed| fixed == name);
        dict.set_item(intern!(py, "wsgi.multithread"), facts.multithread)?;
        dict.set_item(intern!(py, "wsgi.multiprocess"), facts.multiprocess)?;
        let scheme = if facts.secure { "https" } else { "http" };
        let mut derived = vec![("wsgi.url_scheme", scheme)];
        if facts.secure {
            // Clause 23, and the port that goes with the scheme; what the request itself says replaces both below.
            derived.extend([("HTTPS", "on"), ("SERVER_PORT", "443")]);
        }
        for (name, value) in derived.into_iter().filter(|(name, _)| !is_fixed(name.as_bytes())) {
            dict.set_item(PyString::intern(py, name), PyString::intern(py, value))?;
        }
        let mut slots = Vec::new();
        for (name, value) in effective(head, facts.body) {
            let fixed = is_fixed(name.as_bytes());
            let (name, key) = match name {
                Name::Known(name) => (SlotName::Known(name), known(py, name)),
                Name::Other(name) => (SlotName::Other(name.into()), from_latin1(py, name)?),
            };
            if !fixed {
                dict.set_item(&key, from_latin1(py, value)?)?;
            }
            slots.push(Slot { name, key: key.unbind(), value: value.to_vec(), fixed });
        }
        let long = slots.iter().any(Slot::is_long);
        Ok(Shape { facts: *facts, generation: None, slots, dict: dict.unbind(), long })
    }

    /// Brings the dict up to date. False: the request has other variables.
    fn update(&mut self, py: Python<'_>, head: &RequestHead) -> PyResult<bool> {
        let mut slots = self.slots.iter_mut();
        for (name, value) in effective(head, self.facts.body) {
            // A slot that was updated for a request that turns out to be of another shape does no harm: it holds what it says.
            let Some(slot) = slots.next().filter(|slot| slot.name.is(name)) else { return Ok(false) };
            if slot.value != value && !slot.fixed {
                self.dict.bind(py).set_item(&slot.key, from_latin1(py, value)?)?;
                slot.value.clear();
                slot.value.extend_from_slice(value);
                self.long |= slot.is_long();
            }
        }
        Ok(slots.next().is_none())
    }

    fn copy<'py>(&mut self, py: Python<'py>, facts: &Facts, objects: &PerRequest<'_>) -> PyResult<Bound<'py, PyDict>> {
        let dict = self.dict.bind(py);
        if self.generation != Some(objects.generation) {
            for (name, object) in objects.entries {
                dict.set_item(name, object)?;
            }
            self.generation = Some(objects.generation);
        }
        let environ = dict.copy()?;
        if let BodyState::Spooled(length) = facts.body {
            environ.set_item(known(py, Known::ContentLength), length.to_string())?;
        }
        if self.long {
            for slot in self.slots.iter_mut().filter(|slot| slot.is_long()) {
                dict.set_item(&slot.key, "")?;
                slot.value = Vec::new();
            }
            self.long = false;
        }
        Ok(environ)
    }
}

impl Slot {
    fn is_long(&self) -> bool {
        self.value.len() > KEPT_BYTES && !self.fixed
    }
}

impl SlotName {
    fn is(&self, name: Name<'_>) -> bool {
        match (self, name) {
            (SlotName::Known(this), Name::Known(other)) => *this == other,
            (SlotName::Other(this), Name::Other(other)) => **this == *other,
            _ => false,
        }
    }
}

/// The variables that the application gets to see.
fn effective(head: &RequestHead, body: BodyState) -> impl Iterator<Item = (Name<'_>, &[u8])> {
    head.iter().filter(move |&(name, value)| match name {
        Name::Known(name) if SOMETIMES & bit(name) == 0 => true,
        // D2: once the body is as it is, only its length counts; Werkzeug takes this variable for a sign that there is none.
        Name::Known(Known::HttpTransferEncoding) => body == BodyState::Streamed,
        // D4: some peers send it empty.
        Name::Known(Known::ContentLength) => body == BodyState::Declared && !value.is_empty(),
        Name::Known(_) => !value.is_empty(),
        // A peer that sends CGI variables may send any name; these are the server's own.
        Name::Other(name) => !(name.starts_with(b"wsgi.") || name.starts_with(b"waitress.")),
    })
}

/// Variables that are left out of some requests: those whose absence says more than an empty value does (clause 25), and those that must
/// not be empty (clauses 13, 19, 20).
const SOMETIMES: u128 = bit(Known::HttpTransferEncoding)
    | bit(Known::ContentLength)
    | bit(Known::ContentType)
    | bit(Known::ServerName)
    | bit(Known::ServerPort)
    | bit(Known::ServerProtocol)
    | bit(Known::Https)
    | bit(Known::RemoteUser)
    | bit(Known::AuthType);

const fn bit(name: Known) -> u128 {
    1 << name as u32
}

const _: () = assert!(Known::COUNT <= 128, "a bit for each known name");

/// How many shapes a thread keeps: a browser's page, its subresources, its scripts' requests, and some other clients.
const KEPT_SHAPES: usize = 8;
/// A longer value is not kept for the next request.
const KEPT_BYTES: usize = 2048;
