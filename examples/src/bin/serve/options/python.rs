//! The interpreter, and what it finds.

use super::values::{path, text};
use super::{Entry, Group};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "chdir",
        aliases: &[],
        short: None,
        value: Some("DIR"),
        group: Group::Python,
        help: "Change to this directory first: modules are searched here, and other relative paths count from here",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|directory| settings.chdir = directory),
    },
    Entry {
        name: "home",
        aliases: &["virtualenv", "venv", "pyhome"],
        short: Some('H'),
        value: Some("DIR"),
        group: Group::Python,
        help: "The virtualenv to use, or the prefix of a Python installation; an activated virtualenv is used without it",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|home| settings.home = Some(home)),
    },
    Entry {
        name: "pythonpath",
        aliases: &["python-path", "pp"],
        short: None,
        value: Some("DIR"),
        group: Group::Python,
        help: "Search modules here before anywhere else; may be repeated, the first is searched first",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|directory| settings.python_path.push(directory)),
    },
    Entry {
        name: "env",
        aliases: &[],
        short: None,
        value: Some("NAME=VALUE"),
        group: Group::Python,
        help: "Set an environment variable before the application is imported; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            let (name, value) = text(value)?.split_once('=').filter(|(name, _)| !name.trim().is_empty()).ok_or("expected NAME=VALUE")?;
            settings.environment.push((name.trim().to_owned(), Some(value.to_owned())));
            Ok(())
        },
    },
    Entry {
        name: "unenv",
        aliases: &[],
        short: None,
        value: Some("NAME"),
        group: Group::Python,
        help: "Take an environment variable away before the application is imported; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            let name = text(value)?;
            if name.contains('=') {
                return Err("expected the name of a variable".to_owned());
            }
            settings.environment.push((name.to_owned(), None));
            Ok(())
        },
    },
    Entry {
        name: "pyargv",
        aliases: &[],
        short: None,
        value: Some("WORDS"),
        group: Group::Python,
        help: "What sys.argv has behind the program's name, words apart by spaces",
        default: |_| String::new(),
        apply: |settings, value| text(value).map(|words| settings.arguments = words.split_whitespace().map(str::to_owned).collect()),
    },
];
