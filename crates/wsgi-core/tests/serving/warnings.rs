//! What a server says to its operator.

use std::sync::{Mutex, Once};

/// What this process logs, kept from the first call on.
pub(crate) struct Warnings;

static KEPT: Once = Once::new();
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Warnings {
    pub(crate) fn keep() -> Warnings {
        KEPT.call_once(|| tracing::subscriber::set_global_default(Warnings).expect("nobody else listens"));
        Warnings
    }

    pub(crate) fn count(&self, part: &str) -> usize {
        WARNINGS.lock().unwrap().iter().filter(|line| line.contains(part)).count()
    }
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 += &format!(" {value:?}");
            }
        }
        let mut line = Line(String::new());
        event.record(&mut line);
        WARNINGS.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}
