//! One request's conversation in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;

use bytes::Bytes;
use http::{Extensions, StatusCode};

use crate::Exchange;
use crate::exchange::copy_file;
use crate::wire::{RequestHead, ResponseHead};

/// What goes to the client, at the moment at which a server has sent it: before the application is asked for the next block.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Sent<'a> {
    /// A reply before the final one, such as 103 Early Hints.
    Informational(&'a ResponseHead),
    /// The head of the final reply.
    Head(&'a ResponseHead),
    /// A block of its body.
    Block(&'a [u8]),
    /// Nothing: the application asks whether the client is still there.
    Nothing,
}

/// See [`Request::observe`](super::Request::observe).
pub(super) type Observer<'a> = Box<dyn FnMut(Sent<'_>) -> bool + Send + 'a>;
/// See [`Request::body_from`](super::Request::body_from).
pub(super) type Source<'a> = Box<dyn FnMut(usize) -> io::Result<Bytes> + Send + 'a>;

/// Where the body of a request comes from.
#[derive(Default)]
pub(super) struct Input<'a> {
    pub(super) pieces: VecDeque<Bytes>,
    /// What comes after the pieces: the end, unless it is one of these.
    pub(super) then: Then<'a>,
}

#[derive(Default)]
pub(super) enum Then<'a> {
    #[default]
    End,
    /// The client goes away.
    Breaks,
    /// More, from here; at most this many bytes, where that is declared.
    Source(Source<'a>, Option<u64>),
}

/// An exchange without a peer.
pub(super) struct Memory<'a> {
    pub(super) head: RequestHead,
    pub(super) extensions: Extensions,
    pub(super) input: Input<'a>,
    pub(super) multithread: bool,
    pub(super) for_head: bool,
    /// The client speaks HTTP/1.0, which has no informational replies.
    pub(super) http10: bool,
    pub(super) leave_after: Option<usize>,
    pub(super) observer: Option<Observer<'a>>,
    /// What has come of it.
    pub(super) reply: Reply,
}

/// What the client gets.
#[derive(Default)]
pub(super) struct Reply {
    pub(super) informational: Vec<ResponseHead>,
    pub(super) head: Option<ResponseHead>,
    pub(super) body: Vec<u8>,
    /// Where each block ends in `body`.
    pub(super) ends: Vec<usize>,
    /// Bytes of the request's body that were read.
    pub(super) read: u64,
    finished: bool,
    aborted: bool,
    /// The client has left.
    left: bool,
    /// What of the above the observer has seen.
    shown: Shown,
}

#[derive(Default)]
struct Shown {
    informational: usize,
    head: bool,
    blocks: usize,
}

impl Reply {
    /// The blocks of the body.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| &self.body[begin..end])
    }

    /// Whether it is whole.
    pub(super) fn whole(&self) -> bool {
        self.finished && !self.aborted && !self.left
    }

    /// Whether the client was gone before its end.
    pub(super) fn left(&self) -> bool {
        self.left
    }
}

impl Memory<'_> {
    /// Ends the conversation as a server does when the handler has returned.
    pub(super) fn conclude(&mut self) {
        if self.reply.head.is_none() {
            self.refuse(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error\n");
        }
        self.show();
    }

    /// No body goes to this client.
    fn silent(&self) -> bool {
        self.for_head || self.reply.head.as_ref().is_some_and(ResponseHead::bodiless)
    }

    /// Whether the client has seen as much as it wanted to.
    fn gone(&mut self) -> bool {
        self.reply.left |= self.leave_after.is_some_and(|blocks| self.reply.ends.len() >= blocks && !self.reply.finished);
        self.reply.left
    }

    fn push(&mut self, block: &[u8]) {
        // Asked before: the block that the client leaves after it has got.
        if !self.gone() {
            self.reply.body.extend_from_slice(block);
            self.reply.ends.push(self.reply.body.len());
        }
    }

    /// Shows the observer what it has not seen.
    fn show(&mut self) {
        let Memory { observer: Some(observer), reply, .. } = self else { return };
        let mut there = !reply.left;
        let mut see = |sent| there = there && observer(sent);
        for head in &reply.informational[reply.shown.informational..] {
            see(Sent::Informational(head));
        }
        if let Some(head) = reply.head.as_ref().filter(|_| !reply.shown.head) {
            see(Sent::Head(head));
        }
        reply.blocks().skip(reply.shown.blocks).for_each(|block| see(Sent::Block(block)));
        reply.shown = Shown { informational: reply.informational.len(), head: reply.head.is_some(), blocks: reply.ends.len() };
        reply.left = !there;
    }
}

impl Exchange for Memory<'_> {
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
        if self.reply.head.is_none() && !self.http10 {
            self.reply.informational.push(head.clone());
        }
    }

    fn start(&mut self, head: &ResponseHead) {
        self.reply.head.get_or_insert_with(|| head.clone());
    }

    fn started(&self) -> bool {
        self.reply.head.is_some()
    }

    fn data(&mut self, block: &[u8]) {
        if !block.is_empty() && !self.silent() {
            self.push(block);
        }
    }

    fn finish(&mut self) {
        self.reply.finished = true;
    }

    fn abort(&mut self) {
        self.reply.aborted = true;
    }

    fn read(&mut self, max: usize) -> io::Result<Bytes> {
        let Input { pieces, then } = &mut self.input;
        let piece = match (pieces.front_mut(), then) {
            _ if max == 0 => Bytes::new(),
            (Some(piece), _) if piece.len() > max => piece.split_to(max),
            (Some(_), _) => pieces.pop_front().unwrap_or_default(),
            (None, Then::End) => Bytes::new(),
            (None, Then::Source(_, Some(0))) => Bytes::new(),
            (None, Then::Source(source, left)) => {
                let mut piece = source(max)?;
                if let Some(left) = left {
                    piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= piece.len() as u64;
                }
                piece
            }
            (None, Then::Breaks) => {
                let text = format!("the client went away after {} bytes of the request's body", self.reply.read);
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
        };
        self.reply.read += piece.len() as u64;
        Ok(piece)
    }

    fn read_ready(&mut self, max: usize) -> Option<io::Result<Bytes>> {
        let waits = self.input.pieces.is_empty() && matches!(self.input.then, Then::Source(..));
        (!waits).then(|| self.read(max))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.show();
        // A client that leaves after the last block has got the whole reply.
        if self.reply.left || self.gone() {
            return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client has left"));
        }
        Ok(())
    }

    fn send_file(&mut self, file: &File, range: Range<u64>) -> io::Result<()> {
        if !self.silent() {
            let mut block = Vec::new();
            copy_file(file, range, |piece| {
                block.extend_from_slice(piece);
                Ok(())
            })?;
            self.data(&block);
        }
        self.flush()
    }

    fn disconnected(&mut self) -> bool {
        if let Some(observer) = &mut self.observer {
            self.reply.left = self.reply.left || !observer(Sent::Nothing);
        }
        self.gone()
    }

    fn multithread(&self) -> bool {
        self.multithread
    }
}
