//! What the system tells of this process.

use std::fs;

/// Resident and virtual memory in bytes; zeros where `/proc` does not tell.
pub(super) fn memory() -> (u64, u64) {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = text.split_ascii_whitespace().map(|number| number.parse().unwrap_or(0));
    let page = rustix::param::page_size() as u64;
    let virtual_bytes = pages.next().unwrap_or(0) * page;
    (pages.next().unwrap_or(0) * page, virtual_bytes)
}
