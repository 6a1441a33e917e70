//! What is told of requests.

use std::time::Duration;

use wsgi_core::access::Format;

use super::listening::address;
use super::values::{flag, number, optional_text, text};
use super::{Entry, Group};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "log-format",
        aliases: &["logformat"],
        short: None,
        value: Some("FORMAT"),
        group: Group::Seeing,
        help: "Log each request: uwsgi, common, combined, json, or a format of your own, such as %(addr) %(uri) %(status) or %h %r %>s",
        default: |_| String::new(),
        apply: |settings, value| {
            let format = text(value)?;
            format.parse::<Format>().map_err(|error| error.to_string())?;
            settings.seeing.format = Some(format.to_owned());
            Ok(())
        },
    },
    Entry {
        name: "log-micros",
        aliases: &[],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Microseconds instead of milliseconds where requests are logged in uWSGI's own format",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.micros = true;
            Ok(())
        },
    },
    Entry {
        name: "log-date",
        aliases: &["logdate"],
        short: None,
        value: Some("[FORMAT]"),
        group: Group::Seeing,
        help: "What %(ftime) is in a format of log lines, by strftime, such as %Y-%m-%dT%H:%M:%S, if log-format-strftime is set",
        default: |_| String::new(),
        apply: |settings, value| {
            let format = optional_text(value)?;
            settings.seeing.date = format.map(str::to_owned);
            Ok(())
        },
    },
    Entry {
        name: "log-format-strftime",
        aliases: &["logformat-strftime"],
        short: None,
        value: None,
        group: Group::Seeing,
        help: "Write %(ftime) as log-date says; %(ftime:FORMAT) does without either",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.seeing.strftime = true;
            Ok(())
        },
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
        name: "log-big",
        aliases: &[],
        short: None,
        value: Some("BYTES"),
        group: Group::Seeing,
        help: "Log requests whose reply had a body of at least so many bytes",
        default: |_| String::new(),
        apply: |settings, value| {
            let bytes = number(value, 0..=u64::MAX)?;
            settings.seeing.choice.larger_than = Some(bytes).filter(|bytes| *bytes > 0);
            Ok(())
        },
    },
    Entry {
        name: "log-sendfile",
        aliases: &[],
        short: None,
        value: Some("[true]"),
        group: Group::Seeing,
        help: "Log requests that were answered with a file",
        default: |_| String::new(),
        apply: |settings, value| flag(value).map(|on| settings.seeing.choice.files = on),
    },
    Entry {
        name: "log-ioerror",
        aliases: &[],
        short: None,
        value: Some("[true]"),
        group: Group::Seeing,
        help: "Log requests whose client went away, or did not read, while the application still ran",
        default: |_| String::new(),
        apply: |settings, value| flag(value).map(|on| settings.seeing.choice.lost = on),
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
