//! How much a request may be.

use super::values::number;
use super::{Entry, Group};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "limit-post",
        aliases: &[],
        short: None,
        value: Some("BYTES"),
        group: Group::Limits,
        help: "The size of a request's body, 0 for no limit but 1 GiB where its length is not known beforehand; larger ones are answered with 413",
        default: |settings| settings.limits.body_bytes.unwrap_or(0).to_string(),
        apply: |settings, value| number(value, 0..=u64::MAX).map(|n| settings.limits.body_bytes = Some(n).filter(|n| *n > 0)),
    },
    Entry {
        name: "buffer-size",
        aliases: &[],
        short: Some('b'),
        value: Some("BYTES"),
        group: Group::Limits,
        help: "The size of a request's head; larger ones are answered with 431",
        default: |settings| settings.limits.head_bytes.to_string(),
        apply: |settings, value| number(value, 256..=16 * 1024 * 1024).map(|n| settings.limits.head_bytes = n),
    },
    Entry {
        name: "limit-request-fields",
        aliases: &[],
        short: None,
        value: Some("N"),
        group: Group::Limits,
        help: "The number of header fields in a request; more are answered with 431",
        default: |settings| settings.limits.fields.to_string(),
        apply: |settings, value| number(value, 1..=65_535).map(|n| settings.limits.fields = n),
    },
    Entry {
        name: "wsgi-manage-chunked-input",
        aliases: &["stream-chunked"],
        short: None,
        value: None,
        group: Group::Limits,
        help: "Hand on a body of unknown length as it comes, without CONTENT_LENGTH, for applications that read to its end; otherwise it is read first",
        default: |_| String::new(),
        apply: |settings, _| {
            settings.requests.stream_unsized = true;
            Ok(())
        },
    },
];
