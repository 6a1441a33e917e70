//! Lines on their way to a file or a socket: a bounded buffer, and a thread that writes.
//!
//! ```text
//!  push ──▶ buffer, at most 1 MiB ──▶ thread: one write for all that has come in 20 ms
//!             └ full: the line is dropped and counted
//! ```
//!
//! A file is opened for appending, so that what several processes write does not mix, a file that was truncated grows from its beginning
//! (`copytruncate`), and one that was renamed is written on until [`Lines::reopen`]. Into a pipe go at most 4,096 bytes at once, which the system
//! keeps together (`PIPE_BUF`).

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::destination::{Destination, Output};

/// A writer of lines. Clones write to the same file; when the last is dropped, what was pushed is written, if that takes no longer than a second.
#[derive(Clone)]
pub struct Lines {
    owner: Arc<Owner>,
}

/// What the writers have in common, and the thread has not.
struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    destination: Destination,
    /// Who is told of failures besides the log.
    complain: Option<Complain>,
    state: Mutex<State>,
    /// Wakes the thread that writes.
    bell: Condvar,
    /// Wakes whoever waits for it.
    done: Condvar,
    capacity: usize,
}

type Complain = Box<dyn Fn(&str) + Send + Sync>;

#[derive(Default)]
struct State {
    buffer: Vec<u8>,
    /// Lines that found no room since the log last said so.
    untold: u64,
    /// Since the beginning.
    dropped: u64,
    reopen: bool,
    ending: bool,
    /// The thread has nothing in its hands.
    idle: bool,
}

impl Lines {
    /// Opens the destination and starts the thread that writes.
    ///
    /// # Errors
    /// The file cannot be opened, or the system gives no thread.
    pub fn open(destination: Destination) -> io::Result<Lines> {
        Lines::with_capacity(destination, CAPACITY)
    }

    /// The same for lines that are the program's own log: where that cannot be written to, it cannot say so either, and what is wrong with it is
    /// told to `complain` too. That is called on the thread that writes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn of_the_log(destination: Destination, complain: impl Fn(&str) + Send + Sync + 'static) -> io::Result<Lines> {
        Lines::start(destination, CAPACITY, Some(Box::new(complain)))
    }

    /// The same with a buffer of so many bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn with_capacity(destination: Destination, bytes: usize) -> io::Result<Lines> {
        Lines::start(destination, bytes, None)
    }

    fn start(destination: Destination, bytes: usize, complain: Option<Complain>) -> io::Result<Lines> {
        let output = Output::open(&destination)?;
        let state = Mutex::new(State { idle: true, ..State::default() });
        let shared = Arc::new(Shared { destination, complain, state, bell: Condvar::new(), done: Condvar::new(), capacity: bytes });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("wsgi-log".to_owned()).spawn(move || writer.run(output))?;
        Ok(Lines { owner: Arc::new(Owner { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// Hands over a line, with its end. Never waits for the file: a line that finds no room is dropped and counted.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.owner.shared.lock();
        if state.ending || state.buffer.len() + line.len() > self.owner.shared.capacity {
            state.untold += 1;
            state.dropped += 1;
            return;
        }
        let (was_empty, was_low) = (state.buffer.is_empty(), state.buffer.len() < self.owner.shared.capacity / 2);
        state.buffer.extend_from_slice(line);
        let urgent = was_low && state.buffer.len() >= self.owner.shared.capacity / 2;
        drop(state);
        if was_empty || urgent {
            self.owner.shared.bell.notify_one();
        }
    }

    /// How many lines were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.owner.shared.lock().dropped
    }

    /// Where they go.
    pub fn destination(&self) -> &Destination {
        &self.owner.shared.destination
    }

    /// Opens the destination anew, after a file was renamed or standard error became another. What was pushed before is written to the old one. If
    /// that cannot be done, the log says so and the old one is written on.
    pub fn reopen(&self) {
        self.owner.shared.lock().reopen = true;
        self.owner.shared.bell.notify_one();
    }

    /// Waits until what was pushed is written, and the file is reopened if that was asked for. False if it was not within this time.
    pub fn flush(&self, patience: Duration) -> bool {
        self.owner.shared.wait_idle(patience)
    }

    /// Writes what was pushed and ends; what is pushed from now on is dropped. False if it is not done within this time, and the thread is left.
    pub fn finish(&self, patience: Duration) -> bool {
        self.owner.finish(patience)
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").field("destination", &self.owner.shared.destination).finish_non_exhaustive()
    }
}

impl Owner {
    fn finish(&self, patience: Duration) -> bool {
        self.shared.lock().ending = true;
        self.shared.bell.notify_one();
        let done = self.shared.wait_idle(patience);
        if done {
            if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
                let _ = thread.join();
            }
        }
        done
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.finish(Duration::from_secs(1));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_idle(&self, patience: Duration) -> bool {
        let mut state = self.lock();
        let until = Instant::now() + patience;
        loop {
            if state.idle && state.buffer.is_empty() && !state.reopen {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.bell.notify_one();
            state = self.done.wait_timeout(state, left.min(GATHER)).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Writes until the end is wanted.
    fn run(&self, mut output: Output) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            state.idle = true;
            self.done.notify_all();
            while state.buffer.is_empty() && !state.reopen && !state.ending {
                state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            // A moment for others to join, so that a busy server does not wake this thread for each line.
            if !state.reopen && !state.ending && state.buffer.len() < self.capacity / 2 {
                state = self.bell.wait_timeout(state, GATHER).unwrap_or_else(PoisonError::into_inner).0;
            }
            std::mem::swap(&mut batch, &mut state.buffer);
            let (mut reopen, ending, dropped) = (std::mem::take(&mut state.reopen), state.ending, std::mem::take(&mut state.untold));
            state.idle = false;
            drop(state);

            if ending && batch.is_empty() {
                break;
            }
            let written = self.write(&mut output, &batch, &mut |output| {
                // While it fails, what was asked for meanwhile may be what helps.
                if std::mem::take(&mut reopen) | std::mem::take(&mut self.lock().reopen) {
                    self.reopen_output(output);
                }
                self.lock().ending
            });
            if !written {
                break;
            }
            batch.clear();
            batch.shrink_to(self.capacity / 4);
            if dropped > 0 {
                tracing::warn!(target: "wsgi", "{dropped} lines of a log were dropped, since {} was too slow", self.destination);
            }
            if reopen {
                self.reopen_output(&mut output);
            }
        }
        let mut state = self.lock();
        state.idle = true;
        state.buffer.clear();
        state.reopen = false;
        self.done.notify_all();
    }

    /// Writes all of it, however long that takes: a full disk is tried again and again, and said once. False if `give_up` says so meanwhile.
    fn write(&self, output: &mut Output, mut batch: &[u8], give_up: &mut dyn FnMut(&mut Output) -> bool) -> bool {
        let mut told = false;
        while !batch.is_empty() {
            match output.write(batch) {
                Ok(0) => {}
                Ok(count) => {
                    batch = &batch[count..];
                    if told {
                        let lost = std::mem::take(&mut self.lock().untold);
                        let told_to = &self.destination;
                        tracing::info!(target: "wsgi", "{told_to} takes lines of the log again, {lost} were lost meanwhile");
                        told = false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => output.wait(),
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        self.complain(&format!("cannot log to {}: {error}", self.destination));
                    }
                    if give_up(output) {
                        return false;
                    }
                    let state = self.lock();
                    drop(self.bell.wait_timeout_while(state, RETRY, |state| !state.ending && !state.reopen));
                }
            }
        }
        true
    }

    fn reopen_output(&self, output: &mut Output) {
        match Output::open(&self.destination) {
            Ok(opened) => *output = opened,
            Err(error) => self.complain(&format!("cannot open {} anew, so the old one is written on: {error}", self.destination)),
        }
    }

    fn complain(&self, sentence: &str) {
        tracing::error!(target: "wsgi", "{sentence}");
        self.complain.iter().for_each(|complain| complain(sentence));
    }
}

/// How many bytes may wait to be written: some ten thousand lines.
const CAPACITY: usize = 1 << 20;
/// How long a line waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// How soon a file that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
