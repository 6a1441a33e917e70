//! What the two halves of one call share, and the half of the handler: an [`Exchange`] whose peer is a task.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Extensions, StatusCode};

use super::{Job, Reply, Shared, after};
use crate::exchange::{self, Caller, Exchange, Outcome, Told};
use crate::failure::Failure;
use crate::wire::{Known, RequestHead, ResponseHead};

/// What the two halves share. The lock is held for moments only.
pub(super) struct Crossing {
    state: Mutex<State>,
    /// The handler waits here, for more of the body or for its reply to be taken.
    changed: Condvar,
    /// How many requests of these workers are withdrawn and still in the queue.
    withdrawn: Arc<AtomicUsize>,
}

#[derive(Default)]
pub(super) struct State {
    /// A thread has taken the request, or none ever will.
    taken: bool,
    input: VecDeque<Bytes>,
    input_bytes: usize,
    /// Nothing follows what is in `input`, because that is all or because it broke off.
    input_end: Option<Result<(), Failure>>,
    /// The handler has asked for the body, so the caller may ask its peer for it.
    asked: bool,
    reply: VecDeque<Reply>,
    reply_bytes: usize,
    /// The head of the reply is in `reply`, or was taken.
    started: bool,
    /// The last of it is, or was.
    over: bool,
    /// The task that waits for the handler to do something.
    task: Option<Waker>,
    handler_waits: bool,
    /// The caller has withdrawn the request, and why.
    gone: Option<Failure>,
    /// The caller says that its peer is gone, though not that it gave up.
    hung_up: bool,
}

impl Crossing {
    /// Of a request that is about to be queued. `withdrawn` counts those that nobody waits for any more.
    pub(super) fn new(body: Bytes, whole: bool, withdrawn: &Arc<AtomicUsize>) -> Crossing {
        let input_bytes = body.len();
        let input = if body.is_empty() { VecDeque::new() } else { VecDeque::from([body]) };
        let state = State { input, input_bytes, input_end: whole.then_some(Ok(())), ..State::default() };
        Crossing { state: Mutex::new(state), changed: Condvar::new(), withdrawn: Arc::clone(withdrawn) }
    }

    /// Whether nobody waits for the reply.
    pub(super) fn abandoned(&self) -> bool {
        self.lock().gone.is_some()
    }

    /// Notes that the request is not in the queue. Whether anybody waits for the reply.
    pub(super) fn take(&self) -> bool {
        let mut state = self.lock();
        let wanted = state.gone.is_none();
        if !std::mem::replace(&mut state.taken, true) && !wanted {
            self.withdrawn.fetch_sub(1, Ordering::Relaxed);
        }
        wanted
    }

    pub(super) fn poll_wanted(&self, context: &mut Context<'_>) -> Poll<bool> {
        let mut state = self.lock();
        if state.over || state.input_end.is_some() {
            Poll::Ready(false)
        } else if state.asked && state.input_bytes < AHEAD_BYTES {
            Poll::Ready(true)
        } else {
            state.register(context)
        }
    }

    pub(super) fn poll_reply(&self, context: &mut Context<'_>) -> Poll<Reply> {
        let mut state = self.lock();
        match state.reply.pop_front() {
            Some(reply) => {
                let weight = reply.weight();
                if weight > 0 {
                    state.reply_bytes -= weight;
                    self.tell_handler(state);
                }
                Poll::Ready(reply)
            }
            // Whoever asks again after the end must not wait for ever.
            None if state.over => Poll::Ready(Reply::End),
            None => state.register(context),
        }
    }

    pub(super) fn take_rest(&self) -> Option<Bytes> {
        let mut state = self.lock();
        match state.reply.make_contiguous() {
            [Reply::End] => {
                state.reply.clear();
                Some(Bytes::new())
            }
            [Reply::Block(block), Reply::End] => {
                let block = std::mem::take(block);
                state.reply.clear();
                state.reply_bytes = 0;
                Some(block)
            }
            _ => None,
        }
    }

    pub(super) fn push_input(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let mut state = self.lock();
        if state.input_end.is_none() {
            state.input_bytes += piece.len();
            state.input.push_back(piece);
            self.tell_handler(state);
        }
    }

    pub(super) fn end_input(&self, end: Result<(), Failure>) {
        let mut state = self.lock();
        state.input_end.get_or_insert(end);
        self.tell_handler(state);
    }

    pub(super) fn hang_up(&self) {
        self.lock().hung_up = true;
    }

    /// The first reason counts.
    pub(super) fn withdraw(&self, why: Failure) {
        let mut state = self.lock();
        if !state.input.is_empty() {
            // What is thrown away below must not look like the body's end.
            state.input_end = None;
        }
        if state.gone.is_none() && !state.taken {
            self.withdrawn.fetch_add(1, Ordering::Relaxed);
        }
        state.gone.get_or_insert(why);
        // Nobody will take it, and the handler may run for long yet.
        let unused = (std::mem::take(&mut state.reply), std::mem::take(&mut state.input), state.task.take());
        self.tell_handler(state);
        drop(unused);
    }

    fn tell_handler(&self, state: MutexGuard<'_, State>) {
        let waits = state.handler_waits;
        drop(state);
        if waits {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Caller for Crossing {
    fn end_body(&self, error: io::Error) {
        self.end_input(Err(Failure::of(&error)));
    }

    fn give_up(&self) {
        let mut state = self.lock();
        if !std::mem::replace(&mut state.over, true) {
            if state.started {
                state.reply.push_back(Reply::Aborted);
            } else {
                let text = format!("{}\n", StatusCode::GATEWAY_TIMEOUT);
                state.reply_bytes += text.len();
                let head = ResponseHead::plain(StatusCode::GATEWAY_TIMEOUT, text.len() as u64);
                state.reply.extend([Reply::Head(head), Reply::Block(text.into()), Reply::End]);
            }
        }
        // For the handler, should it come back.
        state.gone.get_or_insert(Failure::new(io::ErrorKind::ConnectionAborted, "the reply was given up".to_owned()));
        let task = state.task.take();
        self.tell_handler(state);
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl State {
    fn register<R>(&mut self, context: &mut Context<'_>) -> Poll<R> {
        match &mut self.task {
            Some(task) => task.clone_from(context.waker()),
            None => self.task = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// What `read` gives, if that needs no waiting, and the task to wake since there is room again.
    fn take_input(&mut self, max: usize) -> Option<(io::Result<Bytes>, Option<Waker>)> {
        if let Some(piece) = self.input.front_mut() {
            let taken = if piece.len() > max { piece.split_to(max) } else { self.input.pop_front().unwrap_or_default() };
            let full = self.input_bytes >= AHEAD_BYTES;
            self.input_bytes -= taken.len();
            let room = full && self.input_bytes < AHEAD_BYTES && self.input_end.is_none();
            return Some((Ok(taken), if room { self.task.take() } else { None }));
        }
        match &self.input_end {
            Some(Ok(())) => Some((Ok(Bytes::new()), None)),
            Some(Err(failure)) => Some((Err(failure.error()), None)),
            None => self.gone.as_ref().map(|why| (Err(why.error()), None)),
        }
    }
}

/// One request, while its handler runs.
pub(super) struct Crossed<'a> {
    shared: &'a Shared,
    crossing: Arc<Crossing>,
    head: RequestHead,
    extensions: Extensions,
    peer_log: bool,
    /// What is queued and stays here until it is flushed: what goes before the blocks, the blocks as one, and the end.
    front: Vec<Reply>,
    blocks: BytesMut,
    end: Option<Reply>,
    started: bool,
    /// The reply has no body, whatever the handler gives: it is one to `HEAD`, or its status says so.
    silent: bool,
    /// How much of a declared length is still to come.
    owed: Option<u64>,
    /// The end is queued, or handed over.
    ended: bool,
    /// Why the reply cannot be taken any more.
    lost: Option<Failure>,
}

impl<'a> Crossed<'a> {
    pub(super) fn new(job: Job, shared: &'a Shared) -> Crossed<'a> {
        let Job { head, extensions, peer_log, crossing, .. } = job;
        let (front, blocks) = (Vec::new(), BytesMut::new());
        let (started, silent, ended) = (false, false, false);
        Crossed { shared, crossing, head, extensions, peer_log, front, blocks, end: None, started, silent, owed: None, ended, lost: None }
    }

    /// Makes up for what the handler left out, and hands over what is queued.
    pub(super) fn conclude(mut self) {
        if !self.started && !self.ended {
            self.refuse(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error\n");
        }
        if !self.ended {
            self.abort();
        }
        if self.lost.is_some() {
            // The end after that gap would make the reply look whole.
            self.front.clear();
            self.blocks.clear();
            self.end = Some(Reply::Aborted);
        }
        let crossing = Arc::clone(&self.crossing);
        self.hand_over(crossing.lock());
    }

    /// Moves what is queued to the caller, and wakes its task.
    fn hand_over(&mut self, mut state: MutexGuard<'_, State>) {
        let over = state.over || state.gone.is_some();
        if over {
            self.front.clear();
            self.blocks.clear();
            self.end = None;
        }
        if self.front.is_empty() && self.blocks.is_empty() && self.end.is_none() {
            state.over |= self.ended;
            return;
        }
        state.started |= self.started;
        state.reply_bytes += self.front.iter().map(Reply::weight).sum::<usize>();
        state.reply.extend(self.front.drain(..));
        if !self.blocks.is_empty() {
            state.reply_bytes += self.blocks.len();
            state.reply.push_back(Reply::Block(self.blocks.split().freeze()));
        }
        if let Some(end) = self.end.take() {
            state.reply.push_back(end);
            state.over = true;
        }
        wake(state);
    }

    /// Waits until the caller has done something, at most until then. None: it has not.
    fn wait<'s>(&self, mut state: MutexGuard<'s, State>, until: Instant) -> Option<MutexGuard<'s, State>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        state.handler_waits = true;
        let (mut state, _) = self.crossing.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
        state.handler_waits = false;
        Some(state)
    }

    /// Waits for the caller to send more of the body.
    fn wait_for_body(&self) -> Result<(), Failure> {
        let limit = self.shared.body_timeout;
        let until = after(limit);
        let mut state = self.crossing.lock();
        if !std::mem::replace(&mut state.asked, true) {
            wake(state);
            state = self.crossing.lock();
        }
        while state.input.is_empty() && state.input_end.is_none() && state.gone.is_none() {
            state = self.wait(state, until).ok_or_else(|| late(limit, "send its body"))?;
        }
        Ok(())
    }

    /// Waits until there is room for what is queued, and hands it over.
    fn send(&mut self) -> Result<(), Failure> {
        let crossing = Arc::clone(&self.crossing);
        let limit = self.shared.write_timeout;
        let mut state = crossing.lock();
        let mut before = state.reply_bytes;
        let mut until = None;
        while state.reply_bytes >= REPLY_BYTES && state.gone.is_none() {
            // Only what is taken gives the peer more time.
            if state.reply_bytes < before {
                (before, until) = (state.reply_bytes, None);
            }
            let until = *until.get_or_insert_with(|| after(limit));
            state = self.wait(state, until).ok_or_else(|| late(limit, "take its reply"))?;
        }
        if let Some(why) = &state.gone {
            return Err(why.again());
        }
        self.hand_over(state);
        Ok(())
    }

    fn lose(&mut self, failure: Failure) -> io::Error {
        self.front.clear();
        self.blocks.clear();
        self.lost.get_or_insert(failure).error()
    }
}

impl Exchange for Crossed<'_> {
    fn head(&self) -> &RequestHead {
        &self.head
    }

    fn head_mut(&mut self) -> &mut RequestHead {
        &mut self.head
    }

    fn extensions(&self) -> Option<&Extensions> {
        Some(&self.extensions)
    }

    fn extensions_mut(&mut self) -> Option<&mut Extensions> {
        Some(&mut self.extensions)
    }

    fn inform(&mut self, head: &ResponseHead) {
        if !self.started {
            self.front.push(Reply::Inform(head.clone()));
        }
    }

    fn start(&mut self, head: &ResponseHead) {
        if !self.started && !self.ended {
            self.started = true;
            self.silent = head.bodiless() || self.head.get(Known::RequestMethod) == Some(b"HEAD");
            self.owed = head.content_length().filter(|_| !self.silent);
            self.front.push(Reply::Head(head.clone()));
        }
    }

    fn started(&self) -> bool {
        self.started
    }

    fn data(&mut self, block: &[u8]) {
        if !self.started || self.ended || self.silent || self.lost.is_some() {
            return;
        }
        let mut admitted = block;
        if let Some(owed) = &mut self.owed {
            admitted = &block[..usize::try_from(*owed).map_or(block.len(), |owed| owed.min(block.len()))];
            *owed -= admitted.len() as u64;
        }
        self.blocks.extend_from_slice(admitted);
    }

    fn finish(&mut self) {
        if self.started && !self.ended {
            self.ended = true;
            // Less than was declared is not whole, whatever the handler says.
            self.end = Some(if self.owed.is_some_and(|owed| owed > 0) { Reply::Aborted } else { Reply::End });
        }
    }

    fn abort(&mut self) {
        if !self.ended {
            self.ended = true;
            self.end = Some(Reply::Aborted);
        }
    }

    fn log(&mut self, text: &[u8]) -> bool {
        let taken = self.peer_log && !self.ended && self.lost.is_none() && !self.crossing.abandoned();
        if taken && !text.is_empty() {
            self.front.push(Reply::Log(Bytes::copy_from_slice(text)));
        }
        taken
    }

    fn read(&mut self, max: usize) -> io::Result<Bytes> {
        loop {
            if let Some(result) = self.read_ready(max) {
                return result;
            }
            // Before waiting: what is queued may be what the peer waits for.
            if let Err(failure) = self.send() {
                return Err(self.lose(failure));
            }
            if let Err(failure) = self.wait_for_body() {
                self.crossing.end_input(Err(failure));
            }
        }
    }

    fn read_ready(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        if max == 0 {
            return Some(Ok(Bytes::new()));
        }
        let (result, task) = self.crossing.lock().take_input(max)?;
        if let Some(task) = task {
            task.wake();
        }
        Some(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        match &self.lost {
            Some(failure) => Err(failure.error()),
            None => self.send().map_err(|failure| self.lose(failure)),
        }
    }

    fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        if !self.started || self.ended {
            return Ok(());
        }
        if self.silent {
            return self.flush();
        }
        exchange::copy_file(file, range, |block| {
            self.data(block);
            self.flush()
        })
    }

    fn when_over(&mut self, told: Told) -> Option<Told> {
        let outcome = match (&self.lost, &self.end) {
            (Some(_), _) => Outcome::Lost,
            (None, Some(Reply::Aborted)) => Outcome::Aborted,
            // The caller has what it takes.
            _ => return Some(told),
        };
        told(outcome, None);
        None
    }

    fn disconnected(&mut self) -> bool {
        let state = self.crossing.lock();
        self.lost.is_some() || state.gone.is_some() || state.hung_up
    }

    fn caller(&self) -> Option<Arc<dyn Caller>> {
        Some(Arc::<Crossing>::clone(&self.crossing))
    }

    fn multithread(&self) -> bool {
        self.shared.threads > 1
    }

    fn multiprocess(&self) -> bool {
        self.shared.multiprocess
    }
}

/// Wakes the task that waits, after the lock is released: it may run at once.
fn wake(mut state: MutexGuard<'_, State>) {
    let task = state.task.take();
    drop(state);
    if let Some(task) = task {
        task.wake();
    }
}

fn late(limit: Duration, what: &str) -> Failure {
    Failure::new(io::ErrorKind::TimedOut, format!("peer took longer than {limit:?} to {what}"))
}

/// From this many bytes of a request's body on that the handler has not read, the caller is not asked for more.
const AHEAD_BYTES: usize = 64 * 1024;
/// From this many bytes of a reply on that the caller has not taken, the handler waits.
const REPLY_BYTES: usize = 64 * 1024;
