//! What is served.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::values::{non_empty, path, text};
use super::{Entry, Group, Target};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "module",
        aliases: &["wsgi"],
        short: Some('w'),
        value: Some("MOD[:CALLABLE]"),
        group: Group::Application,
        help: "Serve a callable of a Python module, such as mysite.wsgi or shop:create_app()",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.root_is_free_for("module")?;
            text(value).map(|module| settings.module = Some(module.to_owned()))
        },
    },
    Entry {
        name: "wsgi-file",
        aliases: &["file"],
        short: None,
        value: Some("FILE[:CALLABLE]"),
        group: Group::Application,
        help: "Serve a callable of a Python file",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.root_is_free_for("wsgi-file")?;
            settings.wsgi_file = Some(match value.to_str() {
                Some(text) => file_and_callable(text),
                None => (path(value)?, None),
            });
            non_empty((), value.is_empty())
        },
    },
    Entry {
        name: "callable",
        aliases: &[],
        short: None,
        value: Some("NAME"),
        group: Group::Application,
        help: "The callable where none is named with the module",
        default: |settings| settings.callable.clone(),
        apply: |settings, value| text(value).map(|name| settings.callable = name.to_owned()),
    },
    Entry {
        name: "mount",
        aliases: &[],
        short: None,
        value: Some("/PREFIX=APP"),
        group: Group::Application,
        help: "Serve MOD[:CALLABLE] or FILE.py[:CALLABLE] for paths under the prefix, which becomes SCRIPT_NAME; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            let (prefix, target) = mount(text(value)?)?;
            if prefix == "/" {
                settings.root_is_free_for("mount")?;
            }
            if settings.mounts.iter().any(|(other, _)| *other == prefix) {
                return Err(format!("another application is served at {prefix} already"));
            }
            settings.mounts.push((prefix, target));
            Ok(())
        },
    },
    Entry {
        name: "need-app",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Application,
        help: "Do not start without an application, instead of serving a page that says that the server works",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.need_app = true;
            Ok(())
        },
    },
];

pub(super) fn mount(text: &str) -> Result<(String, Target), String> {
    let expected = "expected /PREFIX=MODULE[:CALLABLE] or /PREFIX=FILE.py[:CALLABLE]";
    let (prefix, target) = text.split_once('=').map(|(prefix, target)| (prefix.trim_end(), target.trim_start())).ok_or(expected)?;
    if !prefix.starts_with('/') || target.is_empty() {
        return Err(expected.to_owned());
    }
    let mut prefix = prefix.trim_end_matches('/').to_owned();
    if prefix.is_empty() {
        let _ = write!(prefix, "/");
    }
    // Not what ends in `.wsgi`: that is how Django names the module of each of its projects.
    let (file, callable) = file_and_callable(target);
    let is_file = target.contains('/') || file.extension().is_some_and(|end| end == "py");
    Ok((prefix, if is_file { Target::File(file, callable) } else { Target::Module(target.to_owned()) }))
}

/// `FILE.py:CALLABLE` or `FILE.wsgi:CALLABLE`, or a file alone.
fn file_and_callable(text: &str) -> (PathBuf, Option<String>) {
    match text.rsplit_once(':') {
        Some((file, callable)) if !callable.is_empty() && (file.ends_with(".py") || file.ends_with(".wsgi")) => {
            (file.into(), Some(callable.to_owned()))
        }
        _ => (text.into(), None),
    }
}
