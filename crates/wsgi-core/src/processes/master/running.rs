//! A master at work: one thread that waits for signals, workers and the clock, and does what the [`Crew`]'s rules say.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait, waitpid};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

use super::{Ended, Master};
use crate::listening::queue::Fullness;
use crate::listening::{HALF_WAY, Watch};
use crate::processes::channel::Received;
use crate::processes::crew::{Act, Backlog, Crew, End};
use crate::processes::signals;
use crate::processes::spawn::{self, Hand};
use crate::processes::systemd::Notifier;
use crate::processes::{Named, Shares};

/// A master at work.
pub(super) struct Running {
    master: Master,
    crew: Crew<Pid>,
    shares: Shares,
    /// Of each socket.
    watches: Vec<(Watch, Fullness)>,
    hands: Vec<Hand>,
    /// The next master, while it starts.
    successor: Option<Successor>,
    /// All workers were ready once.
    announced: bool,
    reloading: bool,
    /// The system does not let workers be started, which was said.
    cannot_start: bool,
    /// How many times somebody asked for the end.
    ending: u32,
    /// Somebody has, and workers still accept.
    leaving: Option<Leaving>,
    outcome: Option<Ended>,
    /// When memory and files are to be looked at again.
    look_at: Instant,
    watchdog_at: Instant,
    notifier: Notifier,
}

/// A master that is to take over.
struct Successor {
    hand: Hand,
    /// When it is killed if it has neither taken over nor ended. `None`: it was, or may take any time.
    until: Option<Instant>,
}

/// The time between being asked to end, and ending.
struct Leaving {
    until: Option<Instant>,
    /// Nobody new is let in.
    turned_away: bool,
}

impl Running {
    /// # Errors
    /// The system gives no memory for what workers share.
    pub(super) fn new(master: Master) -> io::Result<Running> {
        let now = Instant::now();
        let notifier = Notifier::from_environment();
        Ok(Running {
            crew: Crew::new(master.rules.clone()),
            watches: master.sockets.iter().map(|_| Default::default()).collect(),
            shares: Shares::new(master.rules.size)?,
            hands: Vec::new(),
            successor: None,
            announced: false,
            reloading: false,
            cannot_start: false,
            ending: 0,
            leaving: None,
            outcome: None,
            look_at: now,
            watchdog_at: now,
            notifier,
            master,
        })
    }

    pub(super) fn run(&mut self) -> io::Result<Ended> {
        loop {
            self.signals();
            self.listen();
            self.reap();
            self.look();
            self.leave();
            while let Some(act) = self.crew.act(Instant::now()) {
                self.perform(act)?;
            }
            self.announce();
            if let Some(outcome) = self.outcome.filter(|_| self.crew.is_empty() && self.successor.is_none()) {
                return Ok(outcome);
            }
            self.wait()?;
        }
    }

    /// Blocks until something happens, or is to be done.
    fn wait(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let mut until = self.crew.next_deadline();
        let mut sooner = |at: Instant| until = Some(until.map_or(at, |until| until.min(at)));
        if self.looks() {
            sooner(self.look_at);
        }
        if let Some(at) = self.leaving.as_ref().and_then(|leaving| leaving.until) {
            sooner(at);
        }
        if self.notifier.watchdog_interval().is_some() {
            sooner(self.watchdog_at);
        }
        self.successor.iter().filter_map(|successor| successor.until).for_each(&mut sooner);
        let timeout = until.map(|until| until.saturating_duration_since(now).max(Duration::from_millis(1)));
        let timeout = timeout.map(|time| Timespec::try_from(time).unwrap_or(Timespec { tv_sec: 60, tv_nsec: 0 }));
        let mut waited: Vec<PollFd<'_>> = vec![PollFd::new(&self.master.signals, PollFlags::IN)];
        let hands = self.hands.iter().chain(self.successor.iter().map(|successor| &successor.hand)).filter(|hand| !hand.deaf);
        let channels = hands.map(|hand| &hand.channel).chain(&self.master.predecessor);
        waited.extend(channels.map(|channel| PollFd::new(channel, PollFlags::IN)));
        match poll(&mut waited, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn signals(&mut self) {
        for signal in self.master.signals.come() {
            let name = signals::name(signal);
            match signal {
                SIGTERM | SIGINT if self.may_wait() => self.announce_end(name),
                SIGTERM | SIGINT => self.end(name),
                SIGQUIT => {
                    self.end(name);
                    if self.ending == 1 {
                        self.end(name);
                    }
                }
                SIGHUP => self.reload(name),
                SIGUSR2 => self.upgrade(),
                SIGUSR1 => {
                    tracing::info!(target: "wsgi", "{name}: opening logs anew");
                    self.reopen();
                }
                SIGCHLD => {}
                _ => tracing::debug!(target: "wsgi", "{name}: nothing to do"),
            }
        }
    }

    /// Whether there is somebody who serves until balancers have learned of the end.
    fn may_wait(&self) -> bool {
        !self.master.shutdown_delay.is_zero() && self.announced && !self.is_ending()
    }

    fn is_ending(&self) -> bool {
        self.ending > 0 || self.leaving.is_some() || self.outcome.is_some()
    }

    /// Somebody asks for the end, and everybody is to hear of it first.
    fn announce_end(&mut self, name: &str) {
        let delay = self.master.shutdown_delay;
        self.is_to_end(Ended::Stopped);
        self.order_all(&[spawn::ANNOUNCE]);
        tracing::info!(target: "wsgi", "{name}: ending in {delay:?}, for balancers to hear of it");
        self.leaving = Some(Leaving { until: Instant::now().checked_add(delay), turned_away: false });
    }

    /// Ends when that has been announced for long enough.
    fn leave(&mut self) {
        let now = Instant::now();
        let Some(leaving) = self.leaving.as_ref().filter(|leaving| leaving.until.is_some_and(|until| until <= now)) else { return };
        if !leaving.turned_away && self.turn_away() {
            self.leaving = Some(Leaving { until: Some(now + HALF_WAY), turned_away: true });
        } else {
            self.end("it was announced for long enough");
        }
    }

    /// Lets nobody new in where somebody may be half way in. Whether there is such a place.
    fn turn_away(&self) -> bool {
        self.master.sockets.iter().filter(|socket| socket.listener.turn_away_ahead()).count() > 0
    }

    /// Tells those who have to know before anything ends.
    fn is_to_end(&mut self, how: Ended) {
        if how == Ended::Stopped {
            self.tell(Notifier::stopping);
            self.dismiss_successor();
        }
        if let Some(ending) = self.master.on_ending.take() {
            ending(how);
        }
    }

    /// Somebody asks for the end, for the first time or again.
    fn end(&mut self, name: &str) {
        self.ending += 1;
        match self.ending {
            1 => {
                tracing::info!(target: "wsgi", "{name}: ending when the running requests are done");
                if self.leaving.take().is_none() {
                    self.is_to_end(Ended::Stopped);
                }
                self.outcome.get_or_insert(Ended::Stopped);
                self.crew.stop(if self.outcome == Some(Ended::Replaced) { Backlog::Others } else { Backlog::Ours });
                self.close_sockets();
            }
            2 => {
                tracing::info!(target: "wsgi", "{name} again: cutting short what still runs");
                self.crew.hurry(HURRY, Instant::now());
                self.order_all(&[spawn::HURRY]);
                if let Some(Successor { hand, until: Some(until) }) = &mut self.successor {
                    kill(hand.pid, Signal::TERM);
                    *until = (*until).min(Instant::now() + HURRY);
                }
            }
            _ => {
                tracing::warn!(target: "wsgi", "{name} again: killing the workers");
                let successor = self.successor.iter().map(|successor| successor.hand.pid);
                self.crew.ids().into_iter().chain(successor).for_each(|pid| kill(pid, Signal::KILL));
            }
        }
    }

    fn reopen(&mut self) {
        (self.master.on_reopen)();
        self.order_all(&[spawn::REOPEN]);
    }

    fn reload(&mut self, why: &str) {
        if self.is_ending() {
            return tracing::info!(target: "wsgi", "{why}: no worker is replaced: this server is ending");
        }
        if self.master.reopen_on_reload {
            self.reopen();
        }
        tracing::info!(target: "wsgi", "{why}: replacing the workers one after the other");
        self.reloading = true;
        self.tell(Notifier::reloading);
        self.crew.reload();
    }

    /// Starts the next master.
    fn upgrade(&mut self) {
        let refused = if self.is_ending() {
            "this one is ending"
        } else if self.successor.is_some() {
            "it is starting already"
        } else if self.master.predecessor.is_some() {
            "the one before this has not ended yet"
        } else if rustix::process::getpid() == Pid::INIT {
            "a container ends with its first process: send HUP for new workers, or start a new container"
        } else {
            ""
        };
        if !refused.is_empty() {
            tracing::warn!(target: "wsgi", "USR2: no new master is started: {refused}");
            return;
        }
        match self.master.program.successor(&self.master.sockets) {
            Ok(hand) => {
                tracing::info!(target: "wsgi", "USR2: process {} starts, to take over", hand.pid);
                // It has so long for its first worker, and so long for the others.
                let until = Instant::now().checked_add(self.master.rules.start.saturating_mul(2));
                self.successor = Some(Successor { hand, until });
            }
            Err(error) => tracing::error!(target: "wsgi", "USR2: no new master can be started, this one goes on: {error}"),
        }
    }

    /// Leaves the sockets to the workers, who accept what waits in them. The last one that closes its own ends the queue.
    fn close_sockets(&mut self) {
        // As long as another master serves them, they are its.
        let ours = self.master.predecessor.is_none() || self.announced;
        for Named { name, listener } in self.master.sockets.drain(..) {
            if let Some(Err(error)) = ours.then(|| listener.turn_away()) {
                tracing::debug!(target: "wsgi", "who connects to {name} in this moment may be lost: {error}");
            }
        }
    }

    /// Tells the next master that it need not be: this one ends, and waits for it, since it has the sockets too.
    fn dismiss_successor(&mut self) {
        if let Some(Successor { hand, until }) = &mut self.successor {
            kill(hand.pid, Signal::TERM);
            *until = Instant::now().checked_add(self.master.rules.grace);
        }
    }

    /// Hears what other processes have to say.
    fn listen(&mut self) {
        let mut said = Vec::new();
        let successor = self.successor.iter_mut().map(|successor| &mut successor.hand);
        for hand in self.hands.iter_mut().chain(successor).filter(|hand| !hand.deaf) {
            loop {
                match hand.channel.receive(false) {
                    Ok(Received::Message(message)) => said.push((hand.pid, message.words)),
                    Ok(Received::Nothing) => break,
                    // Its end is told by the system, with its status.
                    Ok(Received::End) | Err(_) => {
                        hand.deaf = true;
                        break;
                    }
                }
            }
        }
        for (pid, words) in said {
            let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
            self.heard(pid, &words);
        }
        if matches!(self.master.predecessor.as_ref().map(|channel| channel.receive(false)), Some(Ok(Received::End) | Err(_))) {
            self.master.predecessor = None;
            if !self.announced && self.outcome.is_none() {
                tracing::warn!(target: "wsgi", "the master before this one has ended before this one was ready");
                self.take_over();
            }
        }
    }

    fn heard(&mut self, pid: Pid, words: &[&[u8]]) {
        let text = |word: &[u8]| String::from_utf8_lossy(word).into_owned();
        if self.is_successor(pid) {
            if words == [spawn::READY] && !self.is_ending() {
                self.replaced(pid);
            }
            return;
        }
        let Some(number) = self.crew.number(pid) else { return };
        match words {
            [spawn::READY] => {
                let lifetime = self.master.max_lifetime.map(|(time, delta)| time + delta.mul_f64(random() as f64 / u64::MAX as f64));
                if self.crew.ready(pid, lifetime, Instant::now()) {
                    tracing::debug!(target: "wsgi", "worker {number} (process {pid}) is ready");
                }
                if let Some(hand) = self.hands.iter_mut().find(|hand| hand.pid == pid) {
                    hand.ready = true;
                    if self.leaving.is_some() {
                        order(hand, &[spawn::ANNOUNCE]);
                    }
                }
            }
            [spawn::RENEW, why] => self.renew(pid, &text(why)),
            [spawn::RELOAD, why] => self.reload(&text(why)),
            [spawn::LEAVING] => {
                tracing::info!(target: "wsgi", "worker {number} (process {pid}) ends by itself: another takes its place");
                self.crew.leaves(pid, Instant::now());
            }
            [spawn::REPORT, report] => (self.master.on_report)(number, report),
            _ => tracing::debug!(target: "wsgi", "worker {number} (process {pid}) says what is not known: {words:?}"),
        }
    }

    fn renew(&mut self, pid: Pid, why: &str) {
        // Who sends TERM to all of a group, as timeout(1) does and systemd by default, has none replaced.
        if self.crew.renew(pid) && self.outcome.is_none() {
            let number = self.crew.number(pid).unwrap_or(0);
            tracing::info!(target: "wsgi", "worker {number} (process {pid}) is to be replaced: {why}");
        }
    }

    /// The next master serves.
    fn replaced(&mut self, pid: Pid) {
        self.is_to_end(Ended::Replaced);
        tracing::info!(target: "wsgi", "process {pid} has taken over: ending when the running requests are done");
        self.notifier.succeeded_by(process_id(pid));
        self.successor = None;
        self.outcome = Some(Ended::Replaced);
        for Named { mut listener, .. } in self.master.sockets.drain(..) {
            listener.leave_file();
        }
        self.crew.stop(Backlog::Others);
    }

    /// Learns which processes have ended.
    fn reap(&mut self) {
        let known: Vec<Pid> = self.crew.ids().into_iter().chain(self.successor.iter().map(|successor| successor.hand.pid)).collect();
        for pid in known {
            if let Ok(Some((_, status))) = waitpid(Some(pid), WaitOptions::NOHANG) {
                self.ended(pid, status);
            }
        }
        // Who has lost its parent becomes a child of the first process.
        if rustix::process::getpid() == Pid::INIT {
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                self.ended(pid, status);
            }
        }
    }

    fn ended(&mut self, pid: Pid, status: WaitStatus) {
        let status = ExitStatus::from_raw(status.as_raw());
        if self.is_successor(pid) {
            self.successor = None;
            if self.outcome.is_none() {
                tracing::error!(target: "wsgi", "process {pid}, which was to take over, ended before it was ready ({status}): this one goes on");
            }
            return;
        }
        // What it has said last: that it leaves in order, say.
        self.listen();
        if let Some(number) = self.crew.number(pid) {
            (self.master.on_ended)(number, process_id(pid));
        }
        let served = self.hands.iter().any(|hand| hand.pid == pid && hand.ready);
        self.hands.retain(|hand| hand.pid != pid);
        match self.crew.ended(pid, Instant::now()) {
            None => tracing::debug!(target: "wsgi", "process {pid}, of which nobody else takes care, has ended ({status})"),
            Some(End::Asked) if status.success() || self.ending > 1 || !served => {
                tracing::debug!(target: "wsgi", "process {pid} has ended")
            }
            Some(End::Asked) => tracing::warn!(target: "wsgi", "process {pid} was to end, and did not in order: {status}"),
            Some(End::Died { number }) => {
                tracing::error!(target: "wsgi", "worker {number} (process {pid}) died: {status}");
            }
            Some(End::StartFailed { number }) => {
                tracing::error!(target: "wsgi", "worker {number} (process {pid}) ended before it was ready: {status}");
            }
            Some(End::ReloadFailed { number }) => {
                tracing::error!(
                    target: "wsgi",
                    "the new worker {number} (process {pid}) ended before it was ready ({status}): the workers stay as they were"
                );
                self.reloading = false;
                let count = self.count();
                self.tell(|service| service.ready(&format!("{count}, reload failed")));
            }
            Some(End::FirstFailed { number }) => {
                if self.master.keep_trying && self.master.predecessor.is_none() {
                    tracing::error!(target: "wsgi", "worker {number} (process {pid}) ended before it was ready: {status}: trying again");
                } else {
                    self.outcome = Some(Ended::NotStarted(status));
                    self.crew.stop(Backlog::Ours);
                    self.dismiss_successor();
                }
            }
        }
    }

    /// # Errors
    /// The very first worker cannot be started.
    fn perform(&mut self, act: Act<Pid>) -> io::Result<()> {
        match act {
            Act::Start { number, generation, replaces } => {
                let max_requests = self.master.max_requests.map(|(requests, delta)| requests + random() % delta.saturating_add(1).max(1));
                match self.master.program.worker(number, max_requests, &self.shares, &self.master.sockets) {
                    Ok(hand) => {
                        tracing::debug!(target: "wsgi", "worker {number} starts (process {})", hand.pid);
                        if std::mem::take(&mut self.cannot_start) {
                            tracing::info!(target: "wsgi", "workers can be started again");
                        }
                        self.crew.started(hand.pid, number, generation, replaces, Instant::now());
                        self.hands.push(hand);
                    }
                    // Nobody serves, and nobody has said that it is worth waiting for.
                    Err(error) if !self.announced && self.hands.is_empty() && !self.master.keep_trying => return Err(error),
                    Err(error) => {
                        // It is tried again and again.
                        if !std::mem::replace(&mut self.cannot_start, true) {
                            tracing::error!(target: "wsgi", "worker {number} cannot be started, which is tried again: {error}");
                        }
                        self.crew.not_started(Instant::now());
                    }
                }
            }
            Act::Stop { id, backlog } => {
                let Some(hand) = self.hands.iter().find(|hand| hand.pid == id) else { return Ok(()) };
                let words = [spawn::STOP, spawn::DRAIN];
                order(hand, if backlog == Backlog::Ours { &words } else { &words[..1] });
                if !hand.ready || hand.deaf {
                    // It does not listen to orders: not yet, and then it has nothing to finish, or no more.
                    kill(id, Signal::TERM);
                }
                if self.ending > 1 {
                    order(hand, &[spawn::HURRY]);
                }
            }
            Act::Kill { id, why } => {
                tracing::error!(target: "wsgi", "worker {} (process {id}) is killed: {why}", self.crew.number(id).unwrap_or(0));
                kill(id, Signal::KILL);
            }
        }
        Ok(())
    }

    /// Looks at what says nothing by itself: the clock, memory, files.
    fn look(&mut self) {
        let now = Instant::now();
        if let Some(interval) = self.notifier.watchdog_interval() {
            if self.watchdog_at <= now {
                self.watchdog_at = now + interval;
                self.tell(Notifier::watchdog);
            }
        }
        if let Some(Successor { hand, until }) = &mut self.successor {
            if until.take_if(|until| *until <= now).is_some() {
                tracing::error!(target: "wsgi", "process {}, which was to take over, is killed: it has taken too long", hand.pid);
                kill(hand.pid, Signal::KILL);
            }
        }
        if !self.looks() || self.look_at > now {
            return;
        }
        self.look_at = now + LOOK;
        let (max_resident, max_address_space) = (self.master.max_resident, self.master.max_address_space);
        for pid in if max_resident.or(max_address_space).is_some() { self.crew.settled() } else { Vec::new() } {
            let Some(memory) = Memory::of(pid) else { continue };
            let over = |bytes: u64, max: Option<u64>| max.filter(|max| bytes > *max).map(|max| (bytes >> 20, max >> 20));
            if let Some((got, allowed)) = over(memory.resident, max_resident) {
                self.renew(pid, &format!("it holds {got} MiB of memory, {allowed} are allowed"));
            } else if let Some((got, allowed)) = over(memory.address_space, max_address_space) {
                self.renew(pid, &format!("its address space has {got} MiB, {allowed} are allowed"));
            }
        }
        if let Some(file) = self.master.touched.look() {
            self.reload(&format!("{file:?} was touched"));
        }
        if self.master.reopen_when.as_mut().is_some_and(|due| due()) {
            self.reopen();
        }
        self.look_after_sockets();
    }

    /// Says of queues that they are full, and binds sockets anew whose files are gone. The workers of now cannot be given them.
    fn look_after_sockets(&mut self) {
        // The next master has the sockets of now, and sees for itself when it is ready. At the end there are no new workers for a new one.
        if self.successor.is_some() || self.master.predecessor.is_some() || self.is_ending() {
            return;
        }
        let mut renewed = false;
        for (socket, (file, queue)) in self.master.sockets.iter_mut().zip(&mut self.watches) {
            queue.look(&socket.listener);
            if let Some(new) = file.look(&socket.listener) {
                socket.listener = new;
                renewed = true;
            }
        }
        if renewed {
            self.reload("for the new socket");
        }
    }

    fn is_successor(&self, pid: Pid) -> bool {
        self.successor.as_ref().is_some_and(|successor| successor.hand.pid == pid)
    }

    fn looks(&self) -> bool {
        let Master { max_resident, max_address_space, touched, reopen_when, sockets, .. } = &self.master;
        max_resident.is_some() || max_address_space.is_some() || !touched.is_empty() || reopen_when.is_some() || !sockets.is_empty()
    }

    /// Says when all workers are there, for the first time and after a reload.
    fn announce(&mut self) {
        if self.outcome.is_some() || (self.announced && !self.reloading) || !self.crew.is_complete() {
            return;
        }
        let count = self.count();
        self.tell(|service| service.ready(&count));
        if std::mem::take(&mut self.reloading) {
            tracing::info!(target: "wsgi", "reloaded: {count} ready");
        }
        if std::mem::replace(&mut self.announced, true) {
            return;
        }
        if let Some(ready) = self.master.on_ready.take() {
            ready();
        }
        if self.master.predecessor.is_some() {
            self.take_over();
        }
        if let Some(Err(error)) = self.master.predecessor.as_ref().map(|predecessor| predecessor.send(&[spawn::READY], &[])) {
            tracing::warn!(target: "wsgi", "the master before this one was not told that it may end: {error}");
        }
    }

    /// Tells the service manager, unless another master is the service, still or already. It hears from the one before who is the next.
    fn tell(&self, how: impl FnOnce(&Notifier)) {
        let not_yet = self.master.predecessor.is_some() && !self.announced;
        if !not_yet && self.outcome != Some(Ended::Replaced) {
            how(&self.notifier);
        }
    }

    /// From now on this master is the one that is known by the PID file, and whose the files of sockets are.
    fn take_over(&mut self) {
        for error in self.master.pid_files.iter().filter_map(|file| file.write().err()) {
            tracing::error!(target: "wsgi", "{error}");
        }
        for Named { listener, .. } in self.master.sockets.iter_mut().filter(|socket| socket.listener.is_bound()) {
            if let Err(error) = listener.take_file() {
                tracing::warn!(target: "wsgi", "the file of a socket will not be removed at the end: {error}");
            }
        }
    }

    fn count(&self) -> String {
        match self.crew.serving() {
            1 => "1 worker".to_owned(),
            count => format!("{count} workers"),
        }
    }

    fn order_all(&self, words: &[&[u8]]) {
        self.hands.iter().for_each(|hand| order(hand, words));
    }
}

fn process_id(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

fn order(hand: &Hand, words: &[&[u8]]) {
    // One that is gone is about to be found so; one that does not listen is killed when its time is up.
    if let Err(error) = hand.channel.send(words, &[]) {
        tracing::debug!(target: "wsgi", "process {} was not told: {error}", hand.pid);
    }
}

fn kill(pid: Pid, signal: Signal) {
    // It is our own child, not waited for yet, so the number is still its own.
    if let Err(error) = kill_process(pid, signal) {
        tracing::warn!(target: "wsgi", "cannot send a signal to process {pid}: {error}");
    }
}

/// How many bytes a process has.
struct Memory {
    address_space: u64,
    resident: u64,
}

impl Memory {
    fn of(pid: Pid) -> Option<Memory> {
        let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        let mut pages = text.split_whitespace().map(|number| number.parse::<u64>().ok());
        let mut bytes = || pages.next()?.map(|pages| pages * rustix::param::page_size() as u64);
        Some(Memory { address_space: bytes()?, resident: bytes()? })
    }
}

/// A number that nobody foresees, and that nobody relies on.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

const HURRY: Duration = Duration::from_secs(5);
/// How often memory and files are looked at.
const LOOK: Duration = Duration::from_secs(1);
