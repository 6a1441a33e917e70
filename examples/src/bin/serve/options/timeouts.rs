//! How long anything may take.

use super::values::{in_seconds, seconds, seconds_or_never};
use super::{Entry, Group};
use crate::uwsgi::is_off;

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
        aliases: &[],
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
        name: "http-timeout",
        aliases: &["socket-timeout"],
        short: Some('z'),
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For each wait for a client: body-timeout and write-timeout together",
        default: |settings| in_seconds(settings.timeouts.body),
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
            if value.to_str().is_some_and(is_off) {
                return Err("connections are always kept, expected for how many seconds".to_owned());
            }
            // The key alone, in a file.
            if !["", "1", "true"].iter().any(|on| value == *on) {
                settings.timeouts.idle = seconds(value)?;
            }
            Ok(())
        },
    },
    Entry {
        name: "harakiri",
        aliases: &[],
        short: Some('t'),
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For a whole request, 0 for no limit: it is then interrupted, its traceback logged and 504 answered; if its thread does not come back, the process is replaced, or ends with status 70 where there is no master",
        default: |_| String::new(),
        apply: |settings, value| seconds_or_never(value).map(|time| settings.requests.harakiri = time),
    },
    Entry {
        name: "harakiri-graceful-timeout",
        aliases: &[],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "For a request to end when --harakiri has interrupted it; then its client is cut off, with 504 where nothing was sent",
        default: |settings| in_seconds(settings.requests.harakiri_grace),
        apply: |settings, value| seconds(value).map(|time| settings.requests.harakiri_grace = time),
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
    Entry {
        name: "shutdown-delay",
        aliases: &[],
        short: None,
        value: Some("SECONDS"),
        group: Group::Timeouts,
        help: "Go on accepting for so long when the server is told to end, while /readyz of --stats says 503 and replies close their connections, so that a balancer in front sends its requests elsewhere; a second signal cuts it short",
        default: |settings| in_seconds(settings.shutdown_delay),
        apply: |settings, value| seconds_or_never(value).map(|time| settings.shutdown_delay = time.unwrap_or_default()),
    },
];
