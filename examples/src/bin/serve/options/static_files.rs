//! What is served without the application. How values are understood is in [`static_files`](crate::static_files).

use std::ffi::OsStr;

use super::values::{path, text};
use super::{Entry, Group, Settings};
use crate::static_files::{Against, Expiry, Place, Since, extension, map};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "static-map",
        aliases: &[],
        short: None,
        value: Some("/PREFIX=DIR"),
        group: Group::StaticFiles,
        help: "Serve the paths under the prefix from files in a folder, or the prefix from a file; what is not there goes to the application; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| {
            let (prefix, path) = map(text(value)?)?;
            settings.static_files.places.push(Place::Map(prefix, path));
            Ok(())
        },
    },
    Entry {
        name: "static-map2",
        aliases: &[],
        short: None,
        value: Some("/PREFIX=DIR"),
        group: Group::StaticFiles,
        help: "The same, with the prefix as a part of the path below the folder",
        default: |_| String::new(),
        apply: |settings, value| {
            let (prefix, path) = map(text(value)?)?;
            settings.static_files.places.push(Place::MapWhole(prefix, path));
            Ok(())
        },
    },
    Entry {
        name: "check-static",
        aliases: &["static-check"],
        short: None,
        value: Some("DIR"),
        group: Group::StaticFiles,
        help: "Look for every path in a folder before the application is asked; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|directory| settings.static_files.places.push(Place::Check(directory))),
    },
    Entry {
        name: "static-index",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::StaticFiles,
        help: "Serve the file of this name for a folder that has one, such as index.html; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| text(value).map(|name| settings.static_files.indexes.push(name.to_owned())),
    },
    Entry {
        name: "static-safe",
        aliases: &[],
        short: None,
        value: Some("DIR"),
        group: Group::StaticFiles,
        help: "Follow symbolic links into this folder too, and not only those that stay in their own; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|directory| settings.static_files.safe.push(directory)),
    },
    Entry {
        name: "static-skip-ext",
        aliases: &[],
        short: None,
        value: Some("EXT"),
        group: Group::StaticFiles,
        help: "Leave paths that end like this to the application, such as .php; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| text(value).map(|end| settings.static_files.skipped.push(extension(end))),
    },
    Entry {
        name: "static-dotfiles",
        aliases: &[],
        short: None,
        value: None,
        group: Group::StaticFiles,
        help: "Serve files and folders whose names begin with a dot, such as .git, and not only .well-known",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.static_files.dotfiles = true;
            Ok(())
        },
    },
    Entry {
        name: "mime-file",
        aliases: &["mimefile"],
        short: None,
        value: Some("FILE"),
        group: Group::StaticFiles,
        help: "Types by extension, as in /etc/mime.types, before those that are built in; may be repeated",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.static_files.mime_files.push(file)),
    },
    Entry {
        name: "static-expires",
        aliases: &[],
        short: None,
        value: Some("'PATTERN SECONDS'"),
        group: Group::StaticFiles,
        help: "How long clients may keep a file whose path on disk matches the regular expression; of all of these rules the first that matches counts",
        default: |_| String::new(),
        apply: |settings, value| expires(settings, value, Against::Path, Since::Now),
    },
    Entry {
        name: "static-expires-path-info",
        aliases: &[],
        short: None,
        value: Some("'PATTERN SECONDS'"),
        group: Group::StaticFiles,
        help: "The same by PATH_INFO",
        default: |_| String::new(),
        apply: |settings, value| expires(settings, value, Against::PathInfo, Since::Now),
    },
    Entry {
        name: "static-expires-uri",
        aliases: &[],
        short: None,
        value: Some("'PATTERN SECONDS'"),
        group: Group::StaticFiles,
        help: "The same by the path and query that the client sent",
        default: |_| String::new(),
        apply: |settings, value| expires(settings, value, Against::RequestUri, Since::Now),
    },
    Entry {
        name: "static-expires-type",
        aliases: &[],
        short: None,
        value: Some("TYPE=SECONDS"),
        group: Group::StaticFiles,
        help: "The same by type, such as text/css",
        default: |_| String::new(),
        apply: |settings, value| expires_type(settings, value, Since::Now),
    },
    Entry {
        name: "static-expires-mtime",
        aliases: &[],
        short: None,
        value: Some("'PATTERN SECONDS'"),
        group: Group::StaticFiles,
        help: "As --static-expires, counted from the file's last change",
        default: |_| String::new(),
        apply: |settings, value| expires(settings, value, Against::Path, Since::Change),
    },
    Entry {
        name: "static-expires-path-info-mtime",
        aliases: &[],
        short: None,
        value: Some("'PATTERN SECONDS'"),
        group: Group::StaticFiles,
        help: "As --static-expires-path-info, counted from the file's last change",
        default: |_| String::new(),
        apply: |settings, value| expires(settings, value, Against::PathInfo, Since::Change),
    },
    Entry {
        name: "static-expires-uri-mtime",
        aliases: &[],
        short: None,
        value: Some("'PATTERN SECONDS'"),
        group: Group::StaticFiles,
        help: "As --static-expires-uri, counted from the file's last change",
        default: |_| String::new(),
        apply: |settings, value| expires(settings, value, Against::RequestUri, Since::Change),
    },
    Entry {
        name: "static-expires-type-mtime",
        aliases: &[],
        short: None,
        value: Some("TYPE=SECONDS"),
        group: Group::StaticFiles,
        help: "As --static-expires-type, counted from the file's last change",
        default: |_| String::new(),
        apply: |settings, value| expires_type(settings, value, Since::Change),
    },
];

fn expires(settings: &mut Settings, value: &OsStr, against: Against, since: Since) -> Result<(), String> {
    settings.static_files.expiries.push(Expiry::matching(text(value)?, against, since)?);
    Ok(())
}

fn expires_type(settings: &mut Settings, value: &OsStr, since: Since) -> Result<(), String> {
    settings.static_files.expiries.push(Expiry::of_type(text(value)?, since)?);
    Ok(())
}
