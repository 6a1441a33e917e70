//! What else is to be read.

use std::ffi::OsStr;

use super::{Action, Entry, Group, Settings};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "ini",
        aliases: &[],
        short: None,
        value: Some("FILE[:SECTION]"),
        group: Group::Configuration,
        help: "Read an ini file as uWSGI does, its section [uwsgi] or the one that is named; x.ini alone means --ini x.ini",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "config",
        aliases: &["include"],
        short: None,
        value: Some("FILE"),
        group: Group::Configuration,
        help: "Read a file: TOML if it ends in .toml, else ini; x.toml alone means --config x.toml",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "set-placeholder",
        aliases: &["set-ph"],
        short: None,
        value: Some("NAME=VALUE"),
        group: Group::Configuration,
        help: "Set a variable, which %(NAME) stands for in the value of any option",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "set",
        aliases: &[],
        short: Some('S'),
        value: Some("NAME=VALUE"),
        group: Group::Configuration,
        help: "Set an option, or a variable where there is no option of that name",
        default: |_| String::new(),
        apply: done_by_the_grammar,
    },
    Entry {
        name: "strict",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Configuration,
        help: "Refuse a key that is no option, instead of taking it for a variable",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.strict = true;
            Ok(())
        },
    },
    Entry {
        name: "check",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Configuration,
        help: "Say what would become of every option in a file, with exit code 1 if the server would not start, and end",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::Check;
            Ok(())
        },
    },
];

/// For options that have had their effect when the settings are applied: they say what is to be read.
fn done_by_the_grammar(_: &mut Settings, _: &OsStr) -> Result<(), String> {
    Ok(())
}
