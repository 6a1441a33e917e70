//! Access logs: one line for each request, in uWSGI's format, Apache's, or JSON.
//!
//! ```text
//!  Observed ──Seen──▶ AccessLog: is it wanted? ──Format──▶ a line ──▶ Lines: bounded buffer ─▶ thread ─▶ file, stdout, stderr
//! ```
//!
//! No client can forge a line or a column: what it sent is escaped as the format asks. No request waits for the disk: lines that find the buffer
//! full are dropped, and counted.
//!
//! **In scope:** formats, which requests are logged, files that are renamed, truncated or full. **Out of scope:** what there is to tell, which is
//! [`observe`](crate::observe)'s.
//!
//! ```
//! use std::sync::Arc;
//! use wsgi_core::access::{AccessLog, Destination, Format, Lines};
//! use wsgi_core::observe::{Observed, Observer};
//! # struct Hello;
//! # impl wsgi_core::Handler for Hello { fn handle(&self, _: &mut dyn wsgi_core::Exchange) {} }
//!
//! let lines = Lines::open(Destination::StandardOutput)?;
//! let log: Arc<dyn Observer> = Arc::new(AccessLog::new("combined".parse::<Format>()?, lines));
//! let handler = Observed::new(Hello, [Arc::clone(&log)]);
//! // Server::new(handler).observer(log): requests that cannot be understood have a line too.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod escape;
mod format;
mod line;
mod lines;
mod times;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::format::{Format, FormatError};
use self::line::{Line, Place};
pub use self::lines::{Destination, Lines};
use crate::observe::{Observer, Refusal, Seen};

/// A line about each request, or about some.
pub struct AccessLog {
    format: Format,
    lines: Lines,
    choice: Choice,
    place: Place,
    requests: AtomicU64,
}

/// Which requests are logged: all, or those of which one of the others is true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// All of them; the default.
    pub all: bool,
    /// Those that were answered with 4xx.
    pub client_errors: bool,
    /// Those that were answered with 5xx, or whose reply was given up.
    pub server_errors: bool,
    /// Those whose handler took at least this long.
    pub slower_than: Option<Duration>,
    /// Those whose reply had no body.
    pub empty: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Choice { all: true, client_errors: false, server_errors: false, slower_than: None, empty: false }
    }
}

impl Choice {
    /// No request at all: what the others of [`Choice`] are added to.
    pub fn none() -> Choice {
        Choice { all: false, ..Choice::default() }
    }

    fn wants(&self, status: u16, whole: bool, took: Duration, body: u64) -> bool {
        self.all
            || self.client_errors && (400..500).contains(&status)
            || self.server_errors && (status >= 500 || !whole)
            || self.slower_than.is_some_and(|bound| took >= bound)
            || self.empty && body == 0
    }
}

impl AccessLog {
    /// A log of every request.
    pub fn new(format: Format, lines: Lines) -> AccessLog {
        AccessLog { format, lines, choice: Choice::default(), place: Place::default(), requests: AtomicU64::new(0) }
    }

    /// Which requests are logged.
    pub fn choose(mut self, choice: Choice) -> AccessLog {
        self.choice = choice;
        self
    }

    /// The number of this process among those of one server, for `%(wid)`; 0 by default.
    pub fn worker(mut self, number: u32) -> AccessLog {
        self.place.worker = number;
        self
    }

    /// Takes the address of the client from the first entry of `X-Forwarded-For`, where there is one. Any client may send that: for servers
    /// that only a trusted proxy can reach.
    pub fn believe_forwarded_for(mut self, believe: bool) -> AccessLog {
        self.place.forwarded_for = believe;
        self
    }

    /// Where the lines go.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    fn write(&self, line: &Line<'_>) {
        thread_local! {
            static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        BUFFER.with_borrow_mut(|buffer| {
            buffer.clear();
            self.format.render(line, buffer);
            buffer.push(b'\n');
            self.lines.push(buffer);
        });
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessLog")
            .field("format", &self.format)
            .field("lines", &self.lines)
            .field("choice", &self.choice)
            .finish_non_exhaustive()
    }
}

impl Observer for AccessLog {
    fn ended(&self, seen: &Seen<'_>) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        let whole = seen.outcome == crate::observe::Outcome::Whole;
        if self.choice.wants(seen.status, whole, seen.spent.whole, seen.body_bytes) {
            self.write(&Line::of(seen, number, &self.place));
        }
    }

    fn refused(&self, refusal: &Refusal<'_>) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.choice.wants(refusal.error.status().as_u16(), true, Duration::ZERO, 0) {
            self.write(&Line::refused(refusal, number, &self.place));
        }
    }

    fn wants_reply(&self) -> bool {
        self.format.wants_reply()
    }
}
