//! Lines on their way to a file: a bounded buffer, and a thread that writes.
//!
//! ```text
//!  push ──▶ buffer, at most 1 MiB ──▶ thread: one write for all that has come in 20 ms
//!             └ full: the line is dropped and counted
//! ```
//!
//! A file is opened for appending, so that what several processes write does not mix, a file that was truncated grows from its beginning
//! (`copytruncate`), and one that was renamed is written on until [`Lines::reopen`]. Into a pipe go at most 4,096 bytes at once, which the system
//! keeps together (`PIPE_BUF`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Destination {
    /// The process's standard output.
    StandardOutput,
    /// The process's standard error.
    StandardError,
    /// A file, which is created if there is none.
    File(PathBuf),
}

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
    state: Mutex<State>,
    /// Wakes the thread that writes.
    bell: Condvar,
    /// Wakes whoever waits for it.
    done: Condvar,
    capacity: usize,
}

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

    /// The same with a buffer of so many bytes.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn with_capacity(destination: Destination, bytes: usize) -> io::Result<Lines> {
        let output = Output::open(&destination)?;
        let state = Mutex::new(State { idle: true, ..State::default() });
        let shared = Arc::new(Shared { destination, state, bell: Condvar::new(), done: Condvar::new(), capacity: bytes });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("wsgi-access-log".to_owned()).spawn(move || writer.run(output))?;
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

    /// Opens the destination anew, after a file was renamed or standard error became another. What was pushed before is written to the old one. If that cannot be done, the log says so and the old file is written on.
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
                    output.reopen(&self.destination);
                }
                self.lock().ending
            });
            if !written {
                break;
            }
            batch.clear();
            batch.shrink_to(self.capacity / 4);
            if dropped > 0 {
                tracing::warn!(target: "wsgi", "access log: {dropped} lines were dropped, since {} was too slow", self.destination);
            }
            if reopen {
                output.reopen(&self.destination);
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
            match output.file.write(output.piece(batch)) {
                Ok(0) => {}
                Ok(count) => {
                    batch = &batch[count..];
                    if told {
                        let lost = std::mem::take(&mut self.lock().untold);
                        tracing::info!(target: "wsgi", "access log: {} is written again, {lost} lines were lost meanwhile", self.destination);
                        told = false;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => output.wait(),
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!(target: "wsgi", "access log: cannot write to {}: {error}", self.destination);
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
}

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Destination::StandardOutput => f.write_str("standard output"),
            Destination::StandardError => f.write_str("standard error"),
            Destination::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// An open destination.
struct Output {
    file: File,
    /// How much is written at once.
    most: usize,
}

impl Output {
    fn open(destination: &Destination) -> io::Result<Output> {
        let file = match destination {
            Destination::StandardOutput => File::from(io::stdout().as_fd().try_clone_to_owned()?),
            Destination::StandardError => File::from(io::stderr().as_fd().try_clone_to_owned()?),
            Destination::File(path) => OpenOptions::new().append(true).create(true).open(path)?,
        };
        // A regular file takes what it is given in one piece.
        let most = if file.metadata()?.is_file() { CAPACITY } else { PIPE_BYTES };
        Ok(Output { file, most })
    }

    fn reopen(&mut self, destination: &Destination) {
        match Output::open(destination) {
            Ok(output) => *self = output,
            Err(error) => {
                tracing::error!(target: "wsgi", "access log: cannot open {destination} anew, so the old file is written on: {error}")
            }
        }
    }

    /// Whole lines, as many as go at once; a single one if it is longer.
    fn piece<'a>(&self, batch: &'a [u8]) -> &'a [u8] {
        if batch.len() <= self.most {
            return batch;
        }
        let fits = batch[..self.most].iter().rposition(|&byte| byte == b'\n');
        let end = fits.or_else(|| batch.iter().position(|&byte| byte == b'\n')).map_or(batch.len(), |at| at + 1);
        &batch[..end]
    }

    /// Waits until a pipe that somebody has made non-blocking takes more.
    fn wait(&self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let _ = poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&Timespec { tv_sec: 1, tv_nsec: 0 }));
    }
}

/// How many bytes may wait to be written: some ten thousand lines.
const CAPACITY: usize = 1 << 20;
/// What a pipe takes without mixing it with what others write (`PIPE_BUF` of Linux).
const PIPE_BYTES: usize = 4096;
/// How long a line waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// How soon a file that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
