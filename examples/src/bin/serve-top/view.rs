//! Figures as a page of text.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wsgi_core::metrics::{Counters, Health, Histogram, Snapshot};

use crate::figures::Figures;

/// The page. With `earlier` figures, rates and times are those since then; without, those since the start.
pub(crate) fn render(address: &str, figures: &Figures, earlier: Option<&Figures>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let sum = Snapshot::sum(&figures.each);
    let before = earlier.map(|earlier| Snapshot::sum(&earlier.each));
    let up = Duration::from_secs(now.saturating_sub(sum.started));
    let over = earlier.map_or(up, |earlier| figures.at.duration_since(earlier.at));
    let before = before.unwrap_or_default();
    let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / over.as_secs_f64().max(0.001);

    let mut page = String::new();
    let counters = &sum.counters;
    let mut line = |text: String| _ = writeln!(page, "{}", text.trim_end());
    line(format!("{address} · {} · up {} · {} processes", word(sum.health()), duration(up), figures.each.len()));
    line(format!(
        "requests {} · {:.1}/s · {}· refused {} · failed {} · aborted {} · lost {}",
        counters.requests(),
        rate(counters.requests(), before.counters.requests()),
        shares(counters),
        counters.refused,
        counters.exceptions,
        counters.aborted,
        counters.lost,
    ));
    line(format!(
        "in {}/s · out {}/s · memory {}",
        bytes(rate(sum.received_bytes, before.received_bytes)),
        bytes(rate(sum.sent_bytes, before.sent_bytes)),
        bytes(sum.resident_bytes as f64),
    ));
    let connections = &sum.connections;
    line(format!(
        "threads {} of {} busy · connections: {} idle, {} reading, {} handling, {} writing, {} lingering",
        sum.busy(),
        sum.capacity,
        connections.idle,
        connections.reading,
        connections.handling,
        connections.writing,
        connections.lingering,
    ));
    for backlog in sum.listeners.iter().filter(|backlog| backlog.most > 0) {
        line(format!("{}: {} of {} wait to be accepted", backlog.address, backlog.waiting, backlog.most));
    }

    line(String::new());
    line(format!("{:<12}{:>10}{:>10}{:>10}{:>10}", "time in", "mean", "50% under", "90% under", "99% under"));
    for ((name, histogram), (_, then)) in counters.times.named().into_iter().zip(before.counters.times.named()) {
        let histogram = histogram.since(then);
        let quantile = |share| histogram.quantile(share).map_or("-".to_owned(), brief);
        let mean = if histogram.count() == 0 { "-".to_owned() } else { brief(histogram.mean()) };
        line(format!("{name:<12}{mean:>10}{:>10}{:>10}{:>10}", quantile(0.5), quantile(0.9), quantile(0.99)));
    }

    line(String::new());
    line(format!(
        "{:>6}{:>9}{:>12}{:>10}{:>8}{:>10}{:>12}{:>10}  state",
        "worker", "pid", "requests", "req/s", "busy", "mean", "memory", "replaced"
    ));
    for snapshot in &figures.each {
        // The same process: one that was replaced has begun to count anew.
        let then = earlier.and_then(|earlier| earlier.each.iter().find(|then| then.pid == snapshot.pid));
        let since = |histogram: &Histogram| then.map_or_else(|| histogram.clone(), |then| histogram.since(&then.counters.times.whole));
        let own = Duration::from_secs(now.saturating_sub(snapshot.started));
        let over = if then.is_some() { over } else { own };
        let requests = since(&snapshot.counters.times.whole);
        line(format!(
            "{:>6}{:>9}{:>12}{:>10.1}{:>8}{:>10}{:>12}{:>10}  {}",
            snapshot.worker,
            snapshot.pid,
            snapshot.counters.requests(),
            requests.count() as f64 / over.as_secs_f64().max(0.001),
            format!("{}/{}", snapshot.busy(), snapshot.capacity),
            brief(requests.mean()),
            bytes(snapshot.resident_bytes as f64),
            snapshot.restarts,
            word(snapshot.health()),
        ));
    }
    page
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Ready => "ready",
        Health::Starting => "starting",
        Health::Stopping => "stopping",
        Health::Stuck => "stuck",
        _ => "unknown",
    }
}

/// The share of each class of statuses that there was.
fn shares(counters: &Counters) -> String {
    let all = counters.requests();
    let names = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];
    let some = names.iter().zip(counters.replies).filter(|(_, count)| *count > 0);
    some.map(|(name, count)| format!("{name} {:.1}% ", count as f64 * 100.0 / all as f64)).collect()
}

fn bytes(count: f64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut count, mut unit) = (count, 0);
    while count >= 1024.0 && unit + 1 < units.len() {
        count /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count:.0} B") } else { format!("{count:.1} {}", units[unit]) }
}

/// A short time with three digits or so.
fn brief(time: Duration) -> String {
    let micros = time.as_micros();
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

/// A long time.
fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn rates_and_times_are_those_since_the_figures_before() {
        let at = Instant::now();
        let mut then = Snapshot::default();
        then.pid = 7;
        then.counters.replies[2] = 100;
        then.counters.times.whole.counts[0] = 100;
        then.started = 1;
        let mut now = then.clone();
        now.counters.replies[2] = 150;
        now.counters.replies[5] = 50;
        // The hundred new ones took a millisecond each.
        now.counters.times.whole.counts[4] = 100;
        now.counters.times.whole.sum_nanos = 100_000_000;
        now.sent_bytes = 4096;
        let figures = |snapshot, at| Figures { each: vec![snapshot], at };
        let page = render("here", &figures(now, at + Duration::from_secs(2)), Some(&figures(then, at)));
        assert!(page.contains("requests 200 · 50.0/s · 2xx 75.0% 5xx 25.0% · refused 0"), "{page}");
        assert!(page.contains(" · out 2.0 KiB/s · "), "{page}");
        let whole = page.lines().find(|line| line.starts_with("whole ")).unwrap();
        assert_eq!(whole.split_whitespace().collect::<Vec<_>>().join(" "), "whole 1.0 ms 1.0 ms 1.0 ms 1.0 ms");
        assert!(page.lines().last().unwrap().contains("       200      50.0"), "{page}");
    }

    #[test]
    fn a_server_that_has_counted_nothing_has_a_page_too() {
        let page = render("here", &Figures { each: vec![Snapshot::default()], at: Instant::now() }, None);
        assert!(page.contains("requests 0 · 0.0/s") && page.contains("here · starting"), "{page}");
        assert!(render("here", &Figures { each: Vec::new(), at: Instant::now() }, None).contains("0 processes"));
    }
}
