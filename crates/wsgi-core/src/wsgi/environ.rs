//! From a request's head to `environ`: an exact, fresh `dict` for every call (clause 4).
//!
//! Most requests resemble one that came shortly before: the same variables, nearly all with the same values. So a `dict` is kept for each
//! such *shape*, brought up to date with what differs, and copied. The copy is what the application gets; the copying is one block of
//! memory and a reference more to each entry.
//!
//! **In scope:** which variables there are and what they hold (PEP 3333, "`environ` Variables"; D1 to D4, D14, D15, D22, D23). **Out of
//! scope:** parsing. Names and values come from the codec as they are to be.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

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
    pub(super) entries: [(&'a Bound<'a, PyString>, &'a Py<PyAny>); 4],
}

/// Makes every `environ` of one application on one thread.
pub(super) struct Environs {
    /// What all have in common.
    base: Py<PyDict>,
    /// Names that the deployer has set, which requests do not change.
    fixed: Vec<Vec<u8>>,
    /// The last used first.
    shapes: Vec<Shape>,
    /// Signatures of requests that had a shape of their own, the last first: one that comes again is worth keeping.
    seen: VecDeque<u64>,
    /// Which slots differ from the request at hand; here to keep its memory.
    differing: Vec<usize>,
}

impl Facts {
    pub(super) fn new(head: &RequestHead, multithread: bool, multiprocess: bool, body: BodyState) -> Facts {
        Facts { secure: head.is_secure(), multithread, multiprocess, body }
    }

    fn same_shape(&self, other: &Facts) -> bool {
        let plain = |facts: &Facts| (facts.secure, facts.multithread, facts.multiprocess);
        plain(self) == plain(other) && std::mem::discriminant(&self.body) == std::mem::discriminant(&other.body)
    }

    /// Clause 18 and D3: the length of a body that was spooled.
    fn put_length(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        match self.body {
            BodyState::Spooled(length) => dict.set_item(known(dict.py(), Known::ContentLength), length.to_string()),
            BodyState::Declared | BodyState::Streamed => Ok(()),
        }
    }
}

impl PerRequest<'_> {
    fn put(&self, dict: &Bound<'_, PyDict>) -> PyResult<()> {
        self.entries.iter().try_for_each(|(name, object)| dict.set_item(name, object))
    }
}

impl Environs {
    pub(super) fn new(base: Bound<'_, PyDict>, fixed: Vec<Vec<u8>>) -> Environs {
        Environs { base: base.unbind(), fixed, shapes: Vec::new(), seen: VecDeque::new(), differing: Vec::new() }
    }

    /// The `environ` of one request.
    pub(super) fn make<'py>(
        &mut self,
        py: Python<'py>,
        head: &RequestHead,
        facts: &Facts,
        objects: &PerRequest<'_>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let found = self.shapes.iter().position(|shape| shape.compare(head, facts, &mut self.differing));
        match found {
            Some(at) => {
                self.shapes[..=at].rotate_right(1);
                self.shapes[0].update(py, head, &self.differing)?;
            }
            None => {
                let dict = self.fill(py, head, facts)?;
                if !self.seen_before(signature(head, facts)) {
                    objects.put(&dict)?;
                    facts.put_length(&dict)?;
                    return Ok(dict);
                }
                self.shapes.truncate(KEPT_SHAPES - 1);
                self.shapes.insert(0, Shape::new(py, dict, head, facts, &self.fixed)?);
            }
        }
        self.shapes[0].copy(py, facts, objects)
    }

    /// A dict made from the base and the request's variables, all but the length of a spooled body and the per-request objects.
    fn fill<'py>(&self, py: Python<'py>, head: &RequestHead, facts: &Facts) -> PyResult<Bound<'py, PyDict>> {
        let dict = self.base.bind(py).copy()?;
        let is_fixed = |name: &[u8]| is_fixed(&self.fixed, name);
        dict.set_item(intern!(py, "wsgi.multithread"), facts.multithread)?;
        dict.set_item(intern!(py, "wsgi.multiprocess"), facts.multiprocess)?;
        if !is_fixed(b"wsgi.url_scheme") {
            let scheme = if facts.secure { intern!(py, "https") } else { intern!(py, "http") };
            dict.set_item(intern!(py, "wsgi.url_scheme"), scheme)?;
        }
        if facts.secure {
            // Clause 23, and the port that goes with the scheme; what the request itself says replaces both below.
            for (name, value) in [(Known::Https, "on"), (Known::ServerPort, "443")] {
                if !is_fixed(name.as_str().as_bytes()) {
                    dict.set_item(known(py, name), value)?;
                }
            }
        }
        for (name, value) in effective(head, facts.body).filter(|(name, _)| !is_fixed(name.as_bytes())) {
            dict.set_item(key(py, name)?, from_latin1(py, value)?)?;
        }
        Ok(dict)
    }

    fn seen_before(&mut self, signature: u64) -> bool {
        if let Some(at) = self.seen.iter().position(|&seen| seen == signature) {
            self.seen.remove(at);
            return true;
        }
        self.seen.truncate(SEEN_SHAPES - 1);
        self.seen.push_front(signature);
        false
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
    /// Keeps a dict that was filled for this request.
    fn new(py: Python<'_>, dict: Bound<'_, PyDict>, head: &RequestHead, facts: &Facts, fixed: &[Vec<u8>]) -> PyResult<Shape> {
        let slots = effective(head, facts.body).map(|(name, value)| {
            Ok(Slot {
                key: key(py, name)?.unbind(),
                value: value.to_vec(),
                fixed: is_fixed(fixed, name.as_bytes()),
                name: match name {
                    Name::Known(name) => SlotName::Known(name),
                    Name::Other(name) => SlotName::Other(name.into()),
                },
            })
        });
        let slots = slots.collect::<PyResult<Vec<Slot>>>()?;
        let long = slots.iter().any(Slot::is_long);
        Ok(Shape { facts: *facts, generation: None, slots, dict: dict.unbind(), long })
    }

    /// Whether the request has the same variables; if so, `differing` says which have other values.
    fn compare(&self, head: &RequestHead, facts: &Facts, differing: &mut Vec<usize>) -> bool {
        if !self.facts.same_shape(facts) {
            return false;
        }
        differing.clear();
        let mut compared = 0;
        // Written out, since this loop is the larger part of what an `environ` costs.
        for (name, value) in head.iter() {
            if !is_effective(name, value, facts.body) {
                continue;
            }
            match self.slots.get(compared) {
                Some(slot) if slot.name.is(name) => {
                    if slot.value != value && !slot.fixed {
                        differing.push(compared);
                    }
                }
                _ => return false,
            }
            compared += 1;
        }
        compared == self.slots.len()
    }

    /// Brings the dict up to date.
    fn update(&mut self, py: Python<'_>, head: &RequestHead, differing: &[usize]) -> PyResult<()> {
        let Some(&last) = differing.last() else { return Ok(()) };
        let mut differing = differing.iter().copied().peekable();
        for (at, (_, value)) in effective(head, self.facts.body).enumerate().take(last + 1) {
            if differing.next_if_eq(&at).is_some() {
                let slot = &mut self.slots[at];
                self.dict.bind(py).set_item(&slot.key, from_latin1(py, value)?)?;
                slot.value.clear();
                slot.value.extend_from_slice(value);
                self.long |= slot.is_long();
            }
        }
        Ok(())
    }

    fn copy<'py>(&mut self, py: Python<'py>, facts: &Facts, objects: &PerRequest<'_>) -> PyResult<Bound<'py, PyDict>> {
        let dict = self.dict.bind(py);
        if self.generation != Some(objects.generation) {
            objects.put(dict)?;
            self.generation = Some(objects.generation);
        }
        let environ = dict.copy()?;
        facts.put_length(&environ)?;
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

/// A name as Python's dict key.
fn key<'py>(py: Python<'py>, name: Name<'_>) -> PyResult<Bound<'py, PyString>> {
    match name {
        Name::Known(name) => Ok(known(py, name)),
        // Not interned: peers choose these, and what is interned stays for ever in some versions of Python.
        Name::Other(name) => from_latin1(py, name),
    }
}

fn is_fixed(fixed: &[Vec<u8>], name: &[u8]) -> bool {
    fixed.iter().any(|fixed| fixed == name)
}

/// A number that requests of the same shape have in common. Others may too: it only decides what is worth keeping.
fn signature(head: &RequestHead, facts: &Facts) -> u64 {
    let mut hasher = DefaultHasher::new();
    (facts.secure, facts.multithread, facts.multiprocess, std::mem::discriminant(&facts.body)).hash(&mut hasher);
    effective(head, facts.body).for_each(|(name, _)| name.as_bytes().hash(&mut hasher));
    hasher.finish()
}

/// The variables that the application gets to see.
fn effective(head: &RequestHead, body: BodyState) -> impl Iterator<Item = (Name<'_>, &[u8])> {
    head.iter().filter(move |&(name, value)| is_effective(name, value, body))
}

#[inline]
fn is_effective(name: Name<'_>, value: &[u8], body: BodyState) -> bool {
    match name {
        Name::Known(name) if SOMETIMES & bit(name) == 0 => true,
        // D2: once the body is as it is, only its length counts; Werkzeug takes this variable for a sign that there is none.
        Name::Known(Known::HttpTransferEncoding) => body == BodyState::Streamed,
        // D4: some peers send it empty.
        Name::Known(Known::ContentLength) => body == BodyState::Declared && !value.is_empty(),
        Name::Known(_) => !value.is_empty(),
        // A peer that sends CGI variables may send any name; these are the server's own.
        Name::Other(name) => !(name.starts_with(b"wsgi.") || name.starts_with(b"waitress.")),
    }
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

/// How many shapes a thread keeps: those of a few browsers' pages, subresources and scripts, and of some other clients.
const KEPT_SHAPES: usize = 16;
/// How many it has seen lately.
const SEEN_SHAPES: usize = 32;
/// A longer value is not kept for the next request.
const KEPT_BYTES: usize = 2048;
