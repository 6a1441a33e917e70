//! What is told of requests, and where.

use std::ffi::OsStr;
use std::time::Duration;

use wsgi_core::access::Destination;

use super::listening::address;
use super::values::{number, path, text};
use super::{Entry, Group};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "access-log",
        aliases: &["req-logger", "logger-req"],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Log each request to a file, or to standard output if it is -; USR1 opens it anew after it was renamed",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.access_log = Some(destination(value)?);
            Ok(())
        },
    },
    Entry {
        name: "log-format",
        aliases: &["logformat"],
        short: None,
        value: Some("FORMAT"),
        group: Group::Seeing,
        help: "Log each request: uwsgi, common, combined, json, or a format of your own, such as %(addr) %(uri) %(status) or %h %r %>s",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.format = Some(text(value)?.parse().map_err(|error: wsgi_core::access::FormatError| error.to_string())?);
            Ok(())
        },
    },
    Entry {
        name: "logto",
        aliases: &[],
        short: None,
        value: Some("FILE"),
        group: Group::Seeing,
        help: "Log everything to a file, requests included: it becomes standard output and error; USR1 opens it anew",
        default: |_| String::new(),
        apply: |settings, value| path(value).map(|file| settings.seeing.log_to = Some(file)),
    },
    Entry {
        name: "disable-logging",
        aliases: &["disable-log"],
        short: Some('L'),
        value: None,
        group: Group::Seeing,
        help: "Log no requests but those that the options below choose",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.disable = true;
            Ok(())
        },
    },
    Entry {
        name: "log-4xx",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log requests that were answered with 4xx",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.choice.client_errors = true;
            Ok(())
        },
    },
    Entry {
        name: "log-5xx",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log requests that were answered with 5xx, or whose reply was given up",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.choice.server_errors = true;
            Ok(())
        },
    },
    Entry {
        name: "log-slow",
        aliases: &[],
        short: None,
        value: Some("MS"),
        group: Group::Seeing,
        help: "Log requests that took at least so many milliseconds",
        default: |_| String::new(),
        apply: |settings, value| {
            let millis = number(value, 0..=86_400_000)?;
            settings.seeing.choice.slower_than = Some(Duration::from_millis(millis)).filter(|time| !time.is_zero());
            Ok(())
        },
    },
    Entry {
        name: "log-zero",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log requests whose reply had no body",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.choice.empty = true;
            Ok(())
        },
    },
    Entry {
        name: "log-x-forwarded-for",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Log the first address of X-Forwarded-For as the client's; only where a trusted proxy sets it",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.forwarded_for = true;
            Ok(())
        },
    },
    Entry {
        name: "log-req-id",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Give each request an X-Request-ID that has none, and log what applications write to wsgi.errors and sys.stderr with it",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.request_ids = true;
            Ok(())
        },
    },
    Entry {
        name: "stats",
        aliases: &["stats-server"],
        short: None,
        value: Some("ADDR"),
        group: Group::Seeing,
        help: "Tell figures on a port of its own: /metrics for Prometheus, /stats as uWSGI does, /healthz and /readyz; uwsgitop and serve-top read it",
        default: |_| String::new(),
        apply: |settings, value| {
            settings.seeing.stats = Some(address(text(value)?)?);
            Ok(())
        },
    },
    Entry {
        name: "stats-request-start",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Take the time in the queue from X-Request-Start, such as t=1732182358.123; only where a trusted proxy sets it",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.request_start = true;
            Ok(())
        },
    },
];

/// A file, also as uWSGI's loggers name it, or standard output.
fn destination(value: &OsStr) -> Result<Destination, String> {
    if value == "-" || value == "stdio" || value == "stdio:" {
        return Ok(Destination::StandardOutput);
    }
    let Some(text) = value.to_str() else { return Ok(Destination::File(path(value)?)) };
    let file = text.strip_prefix("file:").unwrap_or(text);
    // uWSGI's other loggers.
    if ["syslog", "rsyslog", "socket:", "udp:", "redislog:", "mongodblog:", "pipe:", "fd:"].iter().any(|logger| file.starts_with(logger)) {
        return Err("expected a file, or - for standard output".to_owned());
    }
    Ok(Destination::File(path(OsStr::new(file))?))
}
