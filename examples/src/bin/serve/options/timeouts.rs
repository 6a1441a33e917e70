//! How long anything may take.

use super::values::{in_seconds, seconds};
use super::{Entry, Group};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "head-timeout",
        aliases: &["http-headers-timeout"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "From the first byte of a request to the end of its head",
        default: |settings| in_seconds(settings.timeouts.head),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.head = time),
    },
    Entry {
        name: "body-timeout",
        aliases: &["http-timeout"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For each wait for more of a request's body",
        default: |settings| in_seconds(settings.timeouts.body),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.body = time),
    },
    Entry {
        name: "write-timeout",
        aliases: &["so-send-timeout", "socket-send-timeout", "so-write-timeout", "socket-write-timeout"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For each wait for the client to take more of a reply",
        default: |settings| in_seconds(settings.timeouts.write),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.write = time),
    },
    Entry {
        name: "socket-timeout",
        aliases: &[],
        short: Some('z'),
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "Both of --body-timeout and --write-timeout",
        default: |_| String::new(),
        apply: |settings, value| {
            let time = seconds(value)?;
            settings.timeouts.body = time;
            settings.timeouts.write = time;
            Ok(())
        },
    },
    Entry {
        name: "keep-alive-timeout",
        aliases: &["keep-alive"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "Between the requests of one connection",
        default: |settings| in_seconds(settings.timeouts.idle),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.idle = time),
    },
    Entry {
        name: "http-keepalive",
        aliases: &[],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "The same, as uWSGI has it, where 1 or nothing means that connections are kept, which they always are",
        default: |_| String::new(),
        apply: |settings, value| {
            // The key alone, in a file.
            if !["", "1", "true"].iter().any(|on| value == *on) {
                settings.timeouts.idle = seconds(value)?;
            }
            Ok(())
        },
    },
    Entry {
        name: "graceful-timeout",
        aliases: &["shutdown-timeout", "reload-mercy", "worker-reload-mercy"],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For requests that run when the server is to end, and then for Python's own threads",
        default: |settings| in_seconds(settings.timeouts.shutdown),
        apply: |settings, value| seconds(value).map(|time| settings.timeouts.shutdown = time),
    },
];
