//! The figures in the text format of Prometheus, version 0.0.4.

use std::fmt::Write as _;

use super::histogram::BOUNDS_MICROS;
use super::snapshot::Snapshot;

/// The figures of each process, told apart by the label `worker`, for Prometheus to add up. Of those with one number, the sum is told.
pub fn prometheus(snapshots: &[Snapshot]) -> String {
    let snapshots = &by_worker(snapshots);
    let mut text = Text(String::new());
    let all = |value: fn(&Snapshot) -> u64| snapshots.iter().map(move |snapshot| (snapshot, String::new(), value(snapshot)));

    let classes = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
    let replies = snapshots.iter().flat_map(|snapshot| {
        let each = classes.iter().zip(snapshot.counters.replies);
        each.map(move |(class, count)| (snapshot, format!("status=\"{class}\""), count))
    });
    text.family("wsgi_requests_total", "counter", "Requests that were handled, by status.", replies);
    text.family("wsgi_refused_requests_total", "counter", "Requests that no handler saw.", all(|snapshot| snapshot.counters.refused));
    text.family(
        "wsgi_aborted_replies_total",
        "counter",
        "Replies that were begun and given up.",
        all(|snapshot| snapshot.counters.aborted),
    );
    text.family("wsgi_lost_replies_total", "counter", "Replies whose peer went away.", all(|snapshot| snapshot.counters.lost));
    text.family("wsgi_exceptions_total", "counter", "Requests whose application failed.", all(|snapshot| snapshot.counters.exceptions));
    text.family(
        "wsgi_request_body_bytes_total",
        "counter",
        "Bytes of requests' bodies.",
        all(|snapshot| snapshot.counters.request_body_bytes),
    );
    text.family("wsgi_reply_body_bytes_total", "counter", "Bytes of replies' bodies.", all(|snapshot| snapshot.counters.reply_body_bytes));
    text.family("wsgi_received_bytes_total", "counter", "Bytes from peers.", all(|snapshot| snapshot.received_bytes));
    text.family("wsgi_sent_bytes_total", "counter", "Bytes to peers.", all(|snapshot| snapshot.sent_bytes));

    let name = "wsgi_request_seconds";
    text.head(name, "histogram", "Where the time of requests went; whole is all but the queue.");
    for snapshot in snapshots {
        for (stage, histogram) in snapshot.counters.times.named() {
            let labels = format!("worker=\"{}\",stage=\"{stage}\"", snapshot.worker);
            let mut below = 0;
            for (count, bound) in histogram.counts.iter().zip(BOUNDS_MICROS.iter().map(Some).chain([None])) {
                below += count;
                let bound = bound.map_or("+Inf".to_owned(), |micros| (*micros as f64 / 1e6).to_string());
                text.line(format_args!("{name}_bucket{{{labels},le=\"{bound}\"}} {below}"));
            }
            text.line(format_args!("{name}_sum{{{labels}}} {}", histogram.sum_nanos as f64 / 1e9));
            text.line(format_args!("{name}_count{{{labels}}} {below}"));
        }
    }

    text.family("wsgi_threads", "gauge", "Requests that may run at once.", all(|snapshot| snapshot.capacity));
    text.family("wsgi_busy_threads", "gauge", "Requests that run.", all(Snapshot::busy));
    let connections = snapshots.iter().flat_map(|snapshot| {
        let now = &snapshot.connections;
        [("idle", now.idle), ("reading", now.reading), ("handling", now.handling), ("writing", now.writing), ("lingering", now.lingering)]
            .map(|(state, count)| (snapshot, format!("state=\"{state}\""), count))
    });
    text.family("wsgi_connections", "gauge", "Open connections, by what they are at.", connections);
    let backlogs = snapshots.iter().flat_map(|snapshot| {
        snapshot
            .listeners
            .iter()
            .map(move |backlog| (snapshot, format!("address=\"{}\"", label(&backlog.address)), u64::from(backlog.waiting)))
    });
    text.family("wsgi_backlog", "gauge", "Connections that wait to be accepted.", backlogs);
    text.family(
        "wsgi_ready",
        "gauge",
        "Whether requests can be answered.",
        all(|snapshot| (snapshot.health() == super::Health::Ready).into()),
    );
    text.family("wsgi_restarts_total", "counter", "How often this worker was replaced.", all(|snapshot| snapshot.restarts));
    text.family("wsgi_resident_memory_bytes", "gauge", "Resident memory.", all(|snapshot| snapshot.resident_bytes));
    text.family("wsgi_virtual_memory_bytes", "gauge", "Virtual memory.", all(|snapshot| snapshot.virtual_bytes));
    text.family("wsgi_start_time_seconds", "gauge", "When the process began, since the Unix epoch.", all(|snapshot| snapshot.started));
    text.0
}

/// One for each number: while a process is replaced there are two, and no series may be told twice.
fn by_worker(snapshots: &[Snapshot]) -> Vec<Snapshot> {
    let mut each: Vec<Snapshot> = Vec::new();
    for snapshot in snapshots {
        match each.iter_mut().find(|other| other.worker == snapshot.worker) {
            Some(other) => {
                // Both have counted from the first one on.
                let restarts = other.restarts.max(snapshot.restarts);
                other.merge(snapshot);
                other.restarts = restarts;
            }
            None => each.push(snapshot.clone()),
        }
    }
    each
}

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}"));
    }

    /// A name, and its values with the labels that tell them apart.
    fn family<'a>(&mut self, name: &str, kind: &str, help: &str, values: impl Iterator<Item = (&'a Snapshot, String, u64)>) {
        self.head(name, kind, help);
        for (snapshot, labels, value) in values {
            let comma = if labels.is_empty() { "" } else { "," };
            self.line(format_args!("{name}{{worker=\"{}\"{comma}{labels}}} {value}", snapshot.worker));
        }
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Into a string, which takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A value of a label, as the format wants it escaped.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Prometheus takes nothing at all of a page on which two lines are about the same thing.
    #[test]
    fn no_series_is_told_twice_while_one_process_takes_the_place_of_another() {
        let mut snapshots: Vec<Snapshot> =
            [(1, 10), (1, 11), (2, 12)].map(|(worker, pid)| Snapshot { worker, pid, ..Snapshot::default() }).into();
        (snapshots[0].counters.replies[2], snapshots[1].counters.replies[2]) = (5, 6);
        (snapshots[0].restarts, snapshots[1].restarts) = (3, 4);
        let text = prometheus(&snapshots);
        let names: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0).collect();
        let mut seen = HashSet::new();
        for name in &names {
            assert!(seen.insert(name), "{name} is told twice");
        }
        assert!(text.contains("\nwsgi_requests_total{worker=\"1\",status=\"2xx\"} 11\n"), "{text}");
        assert!(text.contains("\nwsgi_restarts_total{worker=\"1\"} 4\n"), "{text}");
        assert!(text.contains("\nwsgi_threads{worker=\"2\"} 0\n"), "{text}");
    }
}
