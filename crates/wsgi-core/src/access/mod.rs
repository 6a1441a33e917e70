//! Access logs: one line for each request, in uWSGI's format, Apache's, or JSON.
//!
//! ```text
//!  Observed ──Seen──▶ AccessLog: is it wanted? ──Format──▶ a line ──▶ Lines: bounded buffer ─▶ thread ─▶ file, stream, syslog
//! ```
//!
//! No client can forge a line or a column: what it sent is escaped as the format asks. No request waits for the disk: lines that find the buffer
//! full are dropped, and counted.
//!
//! **In scope:** formats, which requests are logged, files that are renamed, truncated or full, that are renamed here when they are large
//! ([`Rotation`]), and sockets that come and go. **Out of scope:** what there is to tell, which is
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

mod datagrams;
mod descriptor;
mod destination;
mod escape;
mod format;
mod line;
mod lines;
mod log_file;
mod rotation;
mod times;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub use self::datagrams::{Datagrams, Receiver};
pub use self::destination::Destination;
pub use self::format::{Format, FormatError};
use self::line::{Line, Place};
pub use self::lines::Lines;
pub use self::log_file::LogFile;
pub use self::rotation::Rotation;
use crate::observe::{Observer, Outcome, Refusal, Seen};

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
    /// Those whose reply had a body of at least so many bytes.
    pub larger_than: Option<u64>,
    /// Those that were answered with a file, or a part of one.
    pub files: bool,
    /// Those whose client went away, or did not read.
    pub lost: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Choice {
            all: true,
            client_errors: false,
            server_errors: false,
            slower_than: None,
            empty: false,
            larger_than: None,
            files: false,
            lost: false,
        }
    }
}

impl Choice {
    /// No request at all: what the others of [`Choice`] are added to.
    pub fn none() -> Choice {
        Choice { all: false, ..Choice::default() }
    }

    fn wants(&self, seen: &Seen<'_>) -> bool {
        self.wants_status(seen.status)
            || self.server_errors && seen.outcome != Outcome::Whole
            || self.slower_than.is_some_and(|bound| seen.spent.whole >= bound)
            || self.empty && seen.body_bytes == 0
            || self.larger_than.is_some_and(|bound| seen.body_bytes >= bound)
            || self.files && seen.file
            || self.lost && seen.outcome == Outcome::Lost
    }

    /// Of a request that was refused: nothing was sent but that.
    fn wants_refused(&self, status: u16) -> bool {
        self.wants_status(status) || self.empty || self.slower_than == Some(Duration::ZERO)
    }

    fn wants_status(&self, status: u16) -> bool {
        self.all || self.client_errors && (400..500).contains(&status) || self.server_errors && status >= 500
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
        if self.choice.wants(seen) {
            self.write(&Line::of(seen, number, &self.place));
        }
    }

    fn refused(&self, refusal: &Refusal<'_>) {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if self.choice.wants_refused(refusal.error.status().as_u16()) {
            self.write(&Line::refused(refusal, number, &self.place));
        }
    }

    fn wants_reply(&self) -> bool {
        self.format.wants_reply()
    }
}
