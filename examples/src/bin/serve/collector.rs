//! Standard output and error of all processes of this server, collected line by line and handed on: to syslog, to sockets, to several places.
//!
//! ```text
//!  stdout, stderr of this process, its workers, and what they start ──▶ a pipe ──▶ thread ──▶ Lines, one for each place
//! ```
//!
//! Whoever writes never waits for a place: the thread reads on, and lines that a place does not take are kept up to a bound, then dropped and counted.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use wsgi_core::access::{Destination, Lines};

use crate::Failure;

/// What collects, until [`end`](Self::end).
pub(crate) struct Collector {
    sinks: Vec<Lines>,
    /// Until the end. The descriptor is closed when that is wanted.
    running: Mutex<Option<(JoinHandle<()>, OwnedFd)>>,
    /// Standard output and error, as they were.
    output: Arc<OwnedFd>,
    error: Arc<OwnedFd>,
}

impl Collector {
    /// Makes standard output and error what is collected from.
    ///
    /// # Errors
    /// A place cannot be opened; the system does not let us.
    pub(crate) fn begin(places: impl IntoIterator<Item = Destination>) -> Result<Collector, Failure> {
        let failed = |error: io::Error| Failure::SetUp(format!("cannot collect what is logged: {error}"));
        let output = Arc::new(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
        let error = Arc::new(io::stderr().as_fd().try_clone_to_owned().map_err(failed)?);
        let mut sinks = Vec::new();
        for place in places {
            let told = Arc::clone(&error);
            // The log cannot say that it is broken: whoever looks at what was standard error before learns it.
            let complain = move |sentence: &str| {
                let _ = told.try_clone().and_then(|told| File::from(told).write_all(format!("serve: {sentence}\n").as_bytes()));
            };
            let lines = Lines::of_the_log(place.clone(), complain);
            sinks.push(lines.map_err(|error| Failure::SetUp(format!("cannot log to {place}: {error}")))?);
        }
        let started = || -> io::Result<_> {
            let (from, to) = pipe_with(PipeFlags::CLOEXEC)?;
            let (ended, running) = pipe_with(PipeFlags::CLOEXEC)?;
            let theirs = sinks.clone();
            let reader = thread::Builder::new()
                .name("serve-log".to_owned())
                .spawn(move || hand_on(File::from(from), &ended, |line| push(&theirs, line)))?;
            rustix::stdio::dup2_stdout(&to)?;
            rustix::stdio::dup2_stderr(&to)?;
            Ok((reader, running))
        };
        let running = Mutex::new(Some(started().map_err(failed)?));
        Ok(Collector { sinks, running, output, error })
    }

    /// The lines to each place.
    pub(crate) fn lines(&self) -> &[Lines] {
        &self.sinks
    }

    /// What standard output and error were before.
    ///
    /// # Errors
    /// There are no more descriptors.
    pub(crate) fn before(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        Ok((self.output.try_clone()?, self.error.try_clone()?))
    }

    /// Gives standard output and error back, and waits until what was written to them is where it belongs, if that takes no longer than some
    /// seconds. Nothing is left to be done a second time.
    pub(crate) fn end(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((reader, running)) = running.take() else { return };
        let _ = io::stdout().flush();
        let given_back = rustix::stdio::dup2_stdout(&self.output).and_then(|()| rustix::stdio::dup2_stderr(&self.error));
        drop(running);
        // It does not wait for others, who may have the pipe open for as long as they like.
        let _ = reader.join();
        for lines in &self.sinks {
            if !lines.finish(PATIENCE) && given_back.is_ok() {
                crate::say(&format!("serve: leaving without the last lines of the log, which {} does not take\n", lines.destination()));
            }
        }
    }
}

/// Reads until nobody writes any more, or until the end is wanted and all is read that was written before that: whoever writes on could keep us.
fn hand_on(mut from: File, ended: &OwnedFd, mut push: impl FnMut(&[u8])) {
    let mut text = Vec::new();
    let mut block = vec![0; BLOCK];
    let mut left = None;
    while left != Some(0) {
        if left.is_none() {
            let mut waited = [PollFd::new(&from, PollFlags::IN), PollFd::new(ended, PollFlags::IN)];
            if poll(&mut waited, None).is_ok() && !waited[1].revents().is_empty() {
                left = Some(rustix::io::ioctl_fionread(&from).map_or(0, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX)));
                continue;
            }
        }
        let room = left.unwrap_or(BLOCK).min(BLOCK);
        match from.read(&mut block[..room]) {
            Ok(0) => break,
            Ok(count) => {
                left = left.map(|left| left - count);
                text.extend_from_slice(&block[..count]);
                let whole = match text.iter().rposition(|&byte| byte == b'\n') {
                    Some(at) => at + 1,
                    // Somebody writes no lines: in pieces, then.
                    None if text.len() >= BLOCK => text.len(),
                    None => continue,
                };
                text[..whole].split_inclusive(|&byte| byte == b'\n').for_each(&mut push);
                text.drain(..whole);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    text.split_inclusive(|&byte| byte == b'\n').for_each(push);
}

/// A line to each place, with an end if it has none.
fn push(sinks: &[Lines], line: &[u8]) {
    for sink in sinks {
        match line.ends_with(b"\n") {
            true => sink.push(line),
            false => sink.push(&[line, b"\n"].concat()),
        }
    }
}

/// How much is read at once, and how long a line may become.
const BLOCK: usize = 64 * 1024;
/// How long the last lines may take at the end.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_writes_on_and_on_does_not_hold_up_the_end() {
        let (from, to) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (ended, running) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut to = File::from(to);
        to.write_all(b"one\ntwo").unwrap();
        drop(running);
        let mut seen = Vec::new();
        hand_on(File::from(from), &ended, |line| {
            assert!(seen.len() < 9, "{seen:?}");
            seen.push(String::from_utf8_lossy(line).into_owned());
            to.write_all(b"more\n").unwrap();
        });
        assert_eq!(seen, ["one\n", "two"]);
    }
}
