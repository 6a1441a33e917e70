//! What is counted of requests: by each thread for itself, and added up when somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::histogram::{Counting, Histogram, more};
use crate::observe::{Outcome, Seen};

/// What was counted of requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Counters {
    /// Requests that were handled, by the hundreds of their status: `replies[2]` had 2xx. `replies[0]` are statuses from 600 on.
    pub replies: [u64; 6],
    /// Requests that no handler saw, since they could not be understood, were too large, or did not come in time.
    pub refused: u64,
    /// Replies that were begun and given up.
    pub aborted: u64,
    /// Replies whose peer went away.
    pub lost: u64,
    /// Requests whose application has failed.
    pub exceptions: u64,
    /// Bytes of requests' bodies.
    pub request_body_bytes: u64,
    /// Bytes of replies' bodies.
    pub reply_body_bytes: u64,
    /// Where the time went.
    pub times: Times,
}

/// Where the time of requests went, one value a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Times {
    /// Waiting for a thread, or since a proxy took the request in, where that is believed.
    pub queue: Histogram,
    /// Waiting for the Python interpreter.
    pub attaching: Histogram,
    /// In the application.
    pub working: Histogram,
    /// Waiting for the request's body.
    pub reading: Histogram,
    /// Waiting for the peer to take the reply.
    pub writing: Histogram,
    /// From the handler's beginning to its end: all but the queue.
    pub whole: Histogram,
}

impl Times {
    /// Each with its name.
    pub fn named(&self) -> [(&'static str, &Histogram); 6] {
        [
            ("queue", &self.queue),
            ("attaching", &self.attaching),
            ("working", &self.working),
            ("reading", &self.reading),
            ("writing", &self.writing),
            ("whole", &self.whole),
        ]
    }
}

impl Counters {
    /// How many requests were handled.
    pub fn requests(&self) -> u64 {
        self.replies.iter().sum()
    }

    /// Adds what another thread or process has counted.
    pub fn add(&mut self, other: &Counters) {
        self.replies.iter_mut().zip(other.replies).for_each(|(count, more)| *count += more);
        self.refused += other.refused;
        self.aborted += other.aborted;
        self.lost += other.lost;
        self.exceptions += other.exceptions;
        self.request_body_bytes += other.request_body_bytes;
        self.reply_body_bytes += other.reply_body_bytes;
        let Times { queue, attaching, working, reading, writing, whole } = &mut self.times;
        for (mine, (_, theirs)) in [queue, attaching, working, reading, writing, whole].into_iter().zip(other.times.named()) {
            mine.add(theirs);
        }
    }
}

/// The counters of one thread, which only that thread writes. On cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Local {
    /// One more than the nanoseconds at which the request that runs began, 0 if none does.
    busy: AtomicU64,
    /// How many it has run.
    requests: AtomicU64,
    replies: [AtomicU64; 6],
    aborted: AtomicU64,
    lost: AtomicU64,
    exceptions: AtomicU64,
    request_body_bytes: AtomicU64,
    reply_body_bytes: AtomicU64,
    queue: Counting,
    attaching: Counting,
    working: Counting,
    reading: Counting,
    writing: Counting,
    whole: Counting,
}

impl Local {
    pub(super) fn begin(&self, at: Duration) {
        self.busy.store(at.as_nanos() as u64 + 1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        more(&self.requests, 1);
        self.busy.store(0, Ordering::Relaxed);
    }

    /// `queued`: where a proxy tells how long.
    pub(super) fn end(&self, seen: &Seen<'_>, queued: Option<Duration>) {
        let class = usize::from(seen.status / 100);
        more(&self.replies[if class < 6 { class } else { 0 }], 1);
        match seen.outcome {
            Outcome::Whole => {}
            Outcome::Aborted => more(&self.aborted, 1),
            Outcome::Lost => more(&self.lost, 1),
        }
        if seen.raised {
            more(&self.exceptions, 1);
        }
        more(&self.request_body_bytes, seen.received_bytes);
        more(&self.reply_body_bytes, seen.body_bytes);
        let spent = &seen.spent;
        self.queue.count(queued.unwrap_or(spent.queued));
        self.attaching.count(spent.attaching);
        self.working.count(spent.working());
        self.reading.count(spent.reading);
        self.writing.count(spent.writing);
        self.whole.count(spent.whole);
    }

    /// When the request that runs began.
    pub(super) fn busy_since(&self) -> Option<Duration> {
        self.busy.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_nanos)
    }

    /// How many requests the thread has run.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn read(&self) -> Counters {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            replies: std::array::from_fn(|class| load(&self.replies[class])),
            refused: 0,
            aborted: load(&self.aborted),
            lost: load(&self.lost),
            exceptions: load(&self.exceptions),
            request_body_bytes: load(&self.request_body_bytes),
            reply_body_bytes: load(&self.reply_body_bytes),
            times: Times {
                queue: self.queue.read(),
                attaching: self.attaching.read(),
                working: self.working.read(),
                reading: self.reading.read(),
                writing: self.writing.read(),
                whole: self.whole.read(),
            },
        }
    }
}
