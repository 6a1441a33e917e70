//! What the crates say to the log (`tracing`, target `wsgi`), kept so that a test can wait for a line.

use std::fmt::Write as _;
use std::sync::{Condvar, Mutex, Once};
use std::time::Instant;

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::DEADLINE;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static MORE: Condvar = Condvar::new();

/// Begins to keep what is logged from now on, by any thread of this process.
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Keeper).expect("nobody else listens"));
}

/// The line that contains all of these, once it is there; a panic when it does not come. Cases run at the same time, so one of the parts
/// should be theirs alone.
pub fn line_with(parts: &[&str]) -> String {
    let end = Instant::now() + DEADLINE;
    let mut lines = LINES.lock().expect("no panic while it is held");
    loop {
        if let Some(line) = lines.iter().find(|line| parts.iter().all(|part| line.contains(part))) {
            return line.clone();
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let count = lines.len();
            drop(lines);
            panic!("none of {count} lines of the log has all of {parts:?}");
        }
        lines = MORE.wait_timeout(lines, left).expect("no panic while it is held").0;
    }
}

struct Keeper;

impl Subscriber for Keeper {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::DEBUG && metadata.target() == "wsgi"
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        LINES.lock().expect("no panic while it is held").push(line.0);
        MORE.notify_all();
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
