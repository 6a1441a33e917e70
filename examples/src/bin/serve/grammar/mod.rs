//! What uWSGI's ini files, its environment variables and command lines say, read into one list of keys and values.
//!
//! ```text
//!  x.ini ──lines──▶ magic (%n) ──▶ logic (for, if) ──▶ directives (ini, set-ph) ──▶ settings ──expansion──▶ settings
//!  UWSGI_X, --x y ────────────────▶                                                 $(ENV) @(file) %(key)
//! ```
//!
//! In scope: which settings there are, from where, and what their values are once every placeholder is replaced. Out of scope: which keys there
//! are and what they do. Nothing here starts, binds or changes anything; files are only read.
//!
//! The order is uWSGI's (`ParsingOrder` of its documentation): from the top down, and an included file takes the place of the line that includes
//! it. Where uWSGI passes over a mistake in silence, there is a [`Fault`] here, with the file and the line.

mod expand;
mod ini;
mod logic;
mod magic;
mod math;
mod reader;
mod toml_file;
mod values;
mod world;

pub(crate) use reader::{Reader, Vocabulary};
pub(crate) use world::World;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::rc::Rc;

/// One thing that somebody said, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) key: String,
    /// Empty where the key stands alone.
    pub(crate) value: OsString,
    pub(crate) origin: Origin,
    pub(crate) kind: Kind,
}

/// What a setting is to whoever acts upon the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An option, or a variable that nobody has declared as one.
    Given,
    /// A variable, declared by `set-placeholder`.
    Variable,
    /// A part of the grammar, which has had its effect: `ini`, `for`, `endif`.
    Directive,
    /// Passed over, since the condition in this line does not hold.
    Skipped(usize),
}

/// Where a setting stands, from the one that gives way to the one that has its way.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// A line of a file.
    File(Rc<Path>, usize),
    /// An environment variable, `UWSGI_THREADS`.
    Foreign(String),
    /// An environment variable of our own, `WSGI_SERVE_THREADS`.
    Own(String),
    /// An argument, as it was written.
    Argument(String),
}

/// What cannot be understood, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) origin: Option<Origin>,
    pub(crate) sentence: String,
}

impl Origin {
    /// How much it counts against others, more being stronger.
    pub(crate) fn rank(&self) -> u8 {
        match self {
            Origin::File(..) => 0,
            Origin::Foreign(_) => 1,
            Origin::Own(_) => 2,
            Origin::Argument(_) => 3,
        }
    }

    /// The key with its place, for a sentence about the value: `x.ini:3: threads`, `UWSGI_THREADS`, `--threads`.
    pub(crate) fn shown(&self, key: &str) -> String {
        match self {
            Origin::File(..) => format!("{self}: {key}"),
            _ => self.to_string(),
        }
    }

    /// The sentence with its place before it.
    pub(crate) fn prefix(&self, sentence: impl fmt::Display) -> String {
        format!("{self}: {sentence}")
    }

    pub(crate) fn fault(&self, sentence: impl Into<String>) -> Fault {
        Fault { origin: Some(self.clone()), sentence: sentence.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Foreign(name) | Origin::Own(name) | Origin::Argument(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.sentence),
            None => f.write_str(&self.sentence),
        }
    }
}

#[cfg(test)]
mod tests;
