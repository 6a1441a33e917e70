//! The figures as uWSGI's `--stats` has them, for the tools that read those: `uwsgitop`, exporters, scripts.

use rustix::process::{getgid, getuid};
use serde_json::{Value, json};

use super::snapshot::{Health, Snapshot};

/// JSON with the names of uWSGI 2.0 (`core/stats.c`): a worker for each process, and a core for each thread. Times are in microseconds.
///
/// What uWSGI has and this server has not (signals, harakiri of threads, modifiers) is there as zero. What is not in uWSGI's is under the key
/// `wsgi`: the snapshots as [`Snapshot::to_line`] writes them; and under `wsgi_sum` all of them together, which are no worker and no process.
pub fn uwsgi(snapshots: &[Snapshot]) -> String {
    let sum = Snapshot::sum(snapshots);
    let queue: u64 = sum.listeners.iter().map(|backlog| u64::from(backlog.waiting)).sum();
    let sockets: Vec<Value> = sum
        .listeners
        .iter()
        .map(|backlog| {
            json!({
                "name": backlog.address,
                "proto": "wsgi",
                "queue": backlog.waiting,
                "max_queue": backlog.most,
                "shared": 0,
                "can_offload": 0,
            })
        })
        .collect();
    let value = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "listen_queue": queue,
        "listen_queue_errors": 0,
        "signal_queue": 0,
        "load": sum.busy(),
        "pid": std::process::id(),
        "uid": getuid().as_raw(),
        "gid": getgid().as_raw(),
        "cwd": std::env::current_dir().map(|path| path.display().to_string()).unwrap_or_default(),
        "locks": [],
        "sockets": sockets,
        "workers": snapshots.iter().map(worker).collect::<Vec<Value>>(),
        "wsgi": snapshots,
        "wsgi_sum": Snapshot { worker: 0, pid: 0, ..sum },
    });
    format!("{value:#}\n")
}

fn worker(snapshot: &Snapshot) -> Value {
    let counters = &snapshot.counters;
    let working = &counters.times.whole;
    let cores: Vec<Value> = (0..snapshot.capacity as usize)
        .map(|id| {
            let thread = snapshot.threads.get(id).cloned().unwrap_or_default();
            json!({
                "id": id,
                "requests": thread.requests,
                "static_requests": 0,
                "routed_requests": 0,
                "offloaded_requests": 0,
                "write_errors": 0,
                "read_errors": 0,
                "in_request": u8::from(thread.busy_millis.is_some()),
                "vars": [],
                "req_info": {},
            })
        })
        .collect();
    json!({
        "id": snapshot.worker,
        "pid": snapshot.pid,
        "accepting": u8::from(snapshot.health() == Health::Ready),
        "requests": counters.requests(),
        "delta_requests": counters.requests(),
        "exceptions": counters.exceptions,
        "harakiri_count": 0,
        "signals": 0,
        "signal_queue": 0,
        "status": if snapshot.busy() > 0 { "busy" } else { "idle" },
        "rss": snapshot.resident_bytes,
        "vsz": snapshot.virtual_bytes,
        "running_time": working.sum_nanos / 1000,
        "last_spawn": snapshot.started,
        "respawn_count": snapshot.restarts + 1,
        "tx": snapshot.sent_bytes,
        "avg_rt": working.mean().as_micros() as u64,
        "apps": [],
        "cores": cores,
    })
}
