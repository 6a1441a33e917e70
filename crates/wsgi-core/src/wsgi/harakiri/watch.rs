//! The two threads that watch: one keeps the time and never enters Python, the other does that for it.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use pyo3::Python;
use tracing::Span;

use super::slots::{Phase, Slot};
use super::{OnStuck, SLOTS, Stuck, python};
use crate::clock;

/// What the handler and the threads share.
pub(super) struct Watch {
    identity: usize,
    limit: Duration,
    grace: Duration,
    on_stuck: OnStuck,
    slots: Mutex<Vec<Arc<Slot>>>,
    ended: Mutex<bool>,
    bell: Condvar,
    /// The tracebacks of all threads were written already, for want of a better way.
    dumped: AtomicBool,
}

/// A request that is to be interrupted.
struct Job {
    slot: Arc<Slot>,
    serial: u64,
}

impl Watch {
    pub(super) fn start(limit: Duration, grace: Duration, on_stuck: OnStuck) -> io::Result<Arc<Watch>> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let watch = Arc::new(Watch {
            identity: NEXT.fetch_add(1, Ordering::Relaxed),
            limit,
            grace,
            on_stuck,
            slots: Mutex::default(),
            ended: Mutex::new(false),
            bell: Condvar::new(),
            dumped: AtomicBool::new(false),
        });
        let (jobs, work) = channel::<Job>();
        let interrupter = Arc::clone(&watch);
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        // It ends with the other thread, which has the sender.
        spawn("wsgi-interrupter").spawn(move || work.iter().for_each(|job| interrupter.interrupt(&job)))?;
        let timer = Arc::clone(&watch);
        spawn("wsgi-harakiri").spawn(move || timer.run(&jobs))?;
        Ok(watch)
    }

    /// This thread's slot.
    pub(super) fn slot(&self) -> Arc<Slot> {
        SLOTS.with_borrow_mut(|mine| {
            if let Some(slot) = mine.iter().find(|slot| slot.watch == self.identity) {
                return Arc::clone(slot);
            }
            let slot = Arc::new(Slot::new(self.identity));
            self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&slot));
            mine.push(Arc::clone(&slot));
            slot
        })
    }

    pub(super) fn running(&self) -> usize {
        self.all()
            .iter()
            .filter(|slot| {
                let state = slot.lock();
                state.began.is_some() && state.phase != Phase::Stuck
            })
            .count()
    }

    pub(super) fn end(&self) {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    /// The slots of threads that live.
    fn all(&self) -> Vec<Arc<Slot>> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| Arc::strong_count(slot) > 1);
        slots.clone()
    }

    fn run(&self, jobs: &Sender<Job>) {
        let tick = (self.limit.min(self.grace) / 8).clamp(Duration::from_millis(10), Duration::from_millis(250));
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        while !*ended {
            ended = self.bell.wait_timeout(ended, tick).unwrap_or_else(PoisonError::into_inner).0;
            drop(ended);
            for slot in self.all() {
                self.look(&slot, jobs);
            }
            ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn look(&self, slot: &Arc<Slot>, jobs: &Sender<Job>) {
        let mut state = slot.lock();
        let over = |since: u64, time: Duration| u128::from(clock::now().saturating_sub(since)) >= time.as_millis();
        let Some(began) = state.began else { return };
        match state.phase {
            Phase::Running if over(began, self.limit) => {
                state.phase = Phase::Asked(clock::now());
                // It ends with this thread.
                let _ = jobs.send(Job { slot: Arc::clone(slot), serial: state.serial });
            }
            Phase::Asked(since) if over(since, self.grace.min(ENTER_WITHIN)) => {
                state.interrupt();
                let (request, span) = (state.request.to_string(), state.span.clone());
                drop(state);
                let _inside = span.as_ref().map(Span::enter);
                tracing::error!(
                    target: "wsgi",
                    request,
                    "request takes longer than {:?}, and no thread can run Python: the tracebacks of all threads go to standard error",
                    self.limit
                );
                if !self.dumped.swap(true, Ordering::Relaxed) {
                    python::dump_all();
                }
            }
            Phase::Interrupted(since) if over(since, self.grace) => {
                state.cut_off();
            }
            Phase::CutOff(since) if over(since, BACK_WITHIN) => {
                state.phase = Phase::Stuck;
                let stuck = Stuck {
                    request: state.request.to_string(),
                    since: state.since(),
                    python_is_blocked: self.dumped.load(Ordering::Relaxed),
                };
                let span = state.span.clone();
                drop(state);
                let _inside = span.as_ref().map(Span::enter);
                tracing::error!(target: "wsgi", request = stuck.request, "thread does not come back from its request after {:.1?}", stuck.since);
                (self.on_stuck)(&stuck);
            }
            _ => {}
        }
    }

    /// Logs where the thread of a request is, and interrupts it, if that is still the one.
    fn interrupt(&self, job: &Job) {
        Python::attach(|py| {
            // From here on other threads run Python again.
            self.dumped.store(false, Ordering::Relaxed);
            let thread = job.slot.thread;
            let traceback = match python::traceback_of(py, thread) {
                Ok(Some(traceback)) => traceback,
                Ok(None) => "no Python code\n".to_owned(),
                Err(error) => format!("what cannot be found out: {error}\n"),
            };
            let mut state = job.slot.lock();
            if state.began.is_none() || state.serial != job.serial {
                return;
            }
            if !state.told {
                state.raised = python::raise(py, thread);
            }
            if let Phase::Asked(_) = state.phase {
                state.interrupt();
            }
            let (request, span) = (state.request.to_string(), state.span.clone());
            drop(state);
            let _inside = span.as_ref().map(Span::enter);
            // The request first, as what is in fields stands behind the text.
            tracing::error!(target: "wsgi", "{request} takes longer than {:?}; its thread is in\n{}", self.limit, traceback.trim_end());
        });
    }
}

/// How long it may take to enter Python before somebody is taken to keep everybody out.
const ENTER_WITHIN: Duration = Duration::from_secs(2);
/// How long a thread may take to find that its client was cut off.
const BACK_WITHIN: Duration = Duration::from_secs(1);
