//! The figures of one process at one time, or of several together.

use serde::{Deserialize, Serialize};

use super::counters::Counters;
use crate::server::{Connections, Listening};

/// The figures of one process at one time. Written as one line of JSON, in which a field that is missing is zero and one that is not known is
/// passed over, so that processes of different versions understand each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The number of the process among those of one server.
    pub worker: u32,
    /// Its id.
    pub pid: u32,
    /// When it began, in seconds since the Unix epoch.
    pub started: u64,
    /// How often processes with this number were replaced.
    pub restarts: u64,
    /// The application is loaded.
    pub ready: bool,
    /// A shutdown has begun.
    pub stopping: bool,
    /// All threads have been in one request each for too long.
    pub stuck: bool,
    /// How many requests may run at once.
    pub capacity: u64,
    /// The threads that have run a request.
    pub threads: Vec<Thread>,
    /// What was counted of requests.
    pub counters: Counters,
    /// Open connections.
    pub connections: Connections,
    /// Bytes from peers, since the start, whatever they belong to.
    pub received_bytes: u64,
    /// Bytes to peers.
    pub sent_bytes: u64,
    /// The sockets that accept. Processes may have them in common.
    pub listeners: Vec<Backlog>,
    /// Resident memory.
    pub resident_bytes: u64,
    /// Virtual memory.
    pub virtual_bytes: u64,
}

/// A thread that runs requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thread {
    /// How many it has run.
    pub requests: u64,
    /// For how long it has been running one, if it is.
    pub busy_millis: Option<u64>,
}

/// A socket that accepts, and how many connections wait there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Backlog {
    /// Where.
    pub address: String,
    /// How many wait; 0 where the system does not tell.
    pub waiting: u32,
    /// How many may; 0 where the system does not tell.
    pub most: u32,
}

impl From<&Listening> for Backlog {
    fn from(listening: &Listening) -> Backlog {
        let (waiting, most) = listening.backlog.unwrap_or_default();
        Backlog { address: listening.address.to_string(), waiting, most }
    }
}

/// Whether requests can be answered; the best first, since several processes are as well as the best of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Health {
    /// They can.
    Ready,
    /// The application is not loaded yet.
    Starting,
    /// All threads have been in one request each for too long. Only this one may need somebody to end the process.
    Stuck,
    /// A shutdown has begun.
    Stopping,
}

impl Snapshot {
    /// One line of JSON, without its end.
    pub fn to_line(&self) -> String {
        // Numbers, texts and lists of these can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What [`to_line`](Self::to_line) has written.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn from_line(line: &str) -> Result<Snapshot, serde_json::Error> {
        serde_json::from_str(line)
    }

    /// Of a process that has ended, what is still true: what it has counted, and whether it was about to end.
    pub fn counted(&self) -> Snapshot {
        Snapshot {
            counters: self.counters.clone(),
            received_bytes: self.received_bytes,
            sent_bytes: self.sent_bytes,
            stopping: self.stopping,
            ..Snapshot::default()
        }
    }

    /// How many threads run a request.
    pub fn busy(&self) -> u64 {
        self.threads.iter().filter(|thread| thread.busy_millis.is_some()).count() as u64
    }

    /// Whether requests can be answered.
    pub fn health(&self) -> Health {
        match self {
            Snapshot { stopping: true, .. } => Health::Stopping,
            Snapshot { stuck: true, .. } => Health::Stuck,
            Snapshot { ready: false, .. } => Health::Starting,
            _ => Health::Ready,
        }
    }

    /// Adds the figures of another process. What cannot be added is: `pid` and `worker` stay; `started` is the earlier one; ready is whoever
    /// of them is, and stopping or stuck are only all together. Of a socket that both have, the longer backlog counts.
    pub fn merge(&mut self, other: &Snapshot) {
        self.started = match (self.started, other.started) {
            (0, time) | (time, 0) => time,
            (one, another) => one.min(another),
        };
        self.restarts += other.restarts;
        if other.health() < self.health() {
            (self.ready, self.stopping, self.stuck) = (other.ready, other.stopping, other.stuck);
        }
        self.capacity += other.capacity;
        self.threads.extend(other.threads.iter().cloned());
        self.counters.add(&other.counters);
        let Connections { idle, reading, handling, writing, lingering } = other.connections;
        self.connections.idle += idle;
        self.connections.reading += reading;
        self.connections.handling += handling;
        self.connections.writing += writing;
        self.connections.lingering += lingering;
        self.received_bytes += other.received_bytes;
        self.sent_bytes += other.sent_bytes;
        for backlog in &other.listeners {
            match self.listeners.iter_mut().find(|mine| mine.address == backlog.address) {
                Some(mine) => (mine.waiting, mine.most) = (mine.waiting.max(backlog.waiting), mine.most.max(backlog.most)),
                None => self.listeners.push(backlog.clone()),
            }
        }
        self.resident_bytes += other.resident_bytes;
        self.virtual_bytes += other.virtual_bytes;
    }

    /// The figures of several processes together; those of none are all zero.
    pub fn sum<'a>(snapshots: impl IntoIterator<Item = &'a Snapshot>) -> Snapshot {
        let mut snapshots = snapshots.into_iter();
        let mut sum = snapshots.next().cloned().unwrap_or_default();
        snapshots.for_each(|other| sum.merge(other));
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_one_of_another_version_too() {
        let mut snapshot = Snapshot { pid: 7, threads: vec![Thread { requests: 3, busy_millis: Some(9) }], ..Snapshot::default() };
        snapshot.counters.replies[2] = 5;
        snapshot.connections.idle = 2;
        snapshot.listeners.push(Backlog { address: "127.0.0.1:80".to_owned(), waiting: 1, most: 128 });
        let line = snapshot.to_line();
        assert!(!line.contains('\n'));
        assert_eq!(Snapshot::from_line(&line).unwrap(), snapshot);
        assert_eq!(Snapshot::from_line(r#"{"pid":7,"novelty":[1]}"#).unwrap(), Snapshot { pid: 7, ..Snapshot::default() });
        assert!(Snapshot::from_line("7").is_err());

        let mut both = snapshot.clone();
        both.merge(&Snapshot { ready: true, ..snapshot.clone() });
        assert_eq!((both.counters.requests(), both.busy(), both.connections.idle, both.pid), (10, 2, 4, 7));
        assert_eq!((both.listeners, both.ready), (snapshot.listeners.clone(), true));
        assert_eq!(Snapshot::sum(&[]), Snapshot::default());
        assert_eq!(Snapshot::sum([&snapshot]), snapshot);
    }

    /// While one of several is replaced, requests can be answered only if one of them can answer them.
    #[test]
    fn several_are_as_well_as_the_best_of_them() {
        let with = |ready, stopping, stuck| Snapshot { ready, stopping, stuck, ..Snapshot::default() };
        let ready = with(true, false, false);
        let starting = with(false, false, false);
        let stopping = with(true, true, false);
        let stuck = with(true, false, true);
        let health = |each: &[&Snapshot]| Snapshot::sum(each.iter().copied()).health();
        assert_eq!(health(&[]), Health::Starting);
        assert_eq!(health(&[&ready, &starting, &stopping, &stuck]), Health::Ready);
        assert_eq!(health(&[&stopping, &starting]), Health::Starting);
        assert_eq!(health(&[&stuck, &starting]), Health::Starting);
        assert_eq!(health(&[&stopping, &stuck]), Health::Stuck);
        assert_eq!(health(&[&stuck, &stopping]), Health::Stuck);
        assert_eq!(health(&[&stopping, &stopping]), Health::Stopping);
    }
}
