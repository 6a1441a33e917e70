//! Everything that can be set: one table, by which the command line, the environment and configuration files are read, and from which `--help`
//! and `docs/options.md` are made.
//!
//! Keys have uWSGI's names where uWSGI has them. What it has and this program has not is in [`uwsgi`](crate::uwsgi), with the reason. Each group
//! of options is a file, what they set is in `settings.rs`.

mod application;
mod capacity;
mod configuration;
mod limits;
mod listening;
mod logs;
mod other;
mod processes;
mod python;
mod seeing;
mod settings;
mod static_files;
#[cfg(test)]
mod tests;
mod timeouts;
mod values;

use std::ffi::OsStr;

pub(crate) use self::listening::DEFAULT_ADDRESS;
pub(crate) use self::settings::{Action, Settings, Speaks, Target};

/// One thing that can be set.
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) short: Option<char>,
    /// What `--help` calls the value. `None`: there is no value.
    pub(crate) value: Option<&'static str>,
    pub(crate) group: Group,
    /// One sentence. `--help` adds the default.
    pub(crate) help: &'static str,
    /// The value in settings that nobody has touched, as `--help` shows it.
    default: fn(&Settings) -> String,
    /// Takes the value in. The error says what was expected.
    apply: fn(&mut Settings, &OsStr) -> Result<(), String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Listening,
    Application,
    StaticFiles,
    Python,
    Capacity,
    Processes,
    Limits,
    Timeouts,
    Seeing,
    Configuration,
    Other,
}

impl Group {
    pub(crate) fn title(self) -> &'static str {
        match self {
            Group::Listening => "Listening",
            Group::Application => "Application",
            Group::StaticFiles => "Static files",
            Group::Python => "Python",
            Group::Capacity => "Capacity",
            Group::Processes => "Processes",
            Group::Limits => "Limits on requests",
            Group::Timeouts => "Timeouts, in seconds",
            Group::Seeing => "Logs and figures",
            Group::Configuration => "Configuration files",
            Group::Other => "Other",
        }
    }
}

impl Entry {
    /// The default as `--help` shows it, or nothing.
    pub(crate) fn default_value(&self) -> String {
        (self.default)(&Settings::default())
    }

    /// Every long name, the chief one first.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }
}

/// Every entry, those of a group together.
pub(crate) fn entries() -> impl Iterator<Item = &'static Entry> {
    GROUPS.iter().copied().flatten()
}

/// The entry with this name or alias.
pub(crate) fn find(name: &str) -> Option<&'static Entry> {
    entries().find(|entry| entry.names().any(|other| other == name))
}

/// The entry with this letter.
pub(crate) fn find_short(letter: char) -> Option<&'static Entry> {
    entries().find(|entry| entry.short == Some(letter))
}

/// Takes a value in, whoever gave it. `shown` is how that one wrote the name.
///
/// # Errors
/// A sentence with what was got and what was expected.
pub(crate) fn set(settings: &mut Settings, entry: &Entry, shown: &str, value: &OsStr) -> Result<(), String> {
    (entry.apply)(settings, value).map_err(|expected| format!("{shown} {value:?}: {expected}"))
}

/// In the order in which they are shown.
static GROUPS: &[&[Entry]] = &[
    listening::ENTRIES,
    application::ENTRIES,
    static_files::ENTRIES,
    python::ENTRIES,
    capacity::ENTRIES,
    processes::ENTRIES,
    limits::ENTRIES,
    timeouts::ENTRIES,
    logs::ENTRIES,
    seeing::ENTRIES,
    configuration::ENTRIES,
    other::ENTRIES,
];
