//! The log, and what is printed instead of serving.

use super::values::text;
use super::{Action, Entry, Group};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "log-level",
        aliases: &[],
        short: None,
        value: Some("LEVEL"),
        group: Group::Other,
        help: "How much to log on standard error: off, error, warn, info, debug or trace",
        default: |settings| settings.log_level.to_string(),
        apply: |settings, value| {
            settings.log_level = text(value)?.parse().map_err(|_| "expected off, error, warn, info, debug or trace")?;
            Ok(())
        },
    },
    Entry {
        name: "help",
        aliases: &[],
        short: Some('h'),
        value: None,
        group: Group::Other,
        help: "Print the options that are needed most; --help all prints all",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::Help;
            Ok(())
        },
    },
    Entry {
        name: "help-all",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Other,
        help: "Print all options, and what becomes of uWSGI's",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::HelpAll;
            Ok(())
        },
    },
    Entry {
        name: "version",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Other,
        help: "Print the version of this program and of the Python that it is linked with",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.action = Action::Version;
            Ok(())
        },
    },
];
