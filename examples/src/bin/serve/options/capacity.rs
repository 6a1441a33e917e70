//! How much at once.

use super::values::number;
use super::{Entry, Group};

pub(super) static ENTRIES: &[Entry] = &[
    Entry {
        name: "threads",
        aliases: &[],
        short: None,
        value: Some("N"),
        group: Group::Capacity,
        help: "How many requests run at once, each on a thread of its own",
        default: |settings| settings.threads.to_string(),
        apply: |settings, value| number(value, 1..=4096).map(|n| settings.threads = n),
    },
    Entry {
        name: "max-connections",
        aliases: &[],
        short: None,
        value: Some("N"),
        group: Group::Capacity,
        help: "How many connections may be open; further ones wait to be accepted",
        default: |settings| settings.max_connections.to_string(),
        apply: |settings, value| number(value, 1..=1_000_000).map(|n| settings.max_connections = n),
    },
];
