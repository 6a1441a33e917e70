//! A stream as hyper reads and writes it: with a deadline for each write, and given back when hyper is done with it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

use super::respond::Traffic;

/// A stream that is lent to hyper.
pub(super) struct Lent<S> {
    stream: Option<S>,
    back: Option<oneshot::Sender<S>>,
    traffic: Arc<Traffic>,
    limit: Duration,
    /// Runs while the peer takes nothing.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<S> Lent<S> {
    /// The stream, and where it comes back. A peer that takes nothing for `limit` is given up.
    pub(super) fn new(stream: S, limit: Duration, traffic: Arc<Traffic>) -> (Lent<S>, oneshot::Receiver<S>) {
        let (back, returned) = oneshot::channel();
        (Lent { stream: Some(stream), back: Some(back), traffic, limit, sleep: None }, returned)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lent<S> {
    fn stream(&mut self) -> Pin<&mut S> {
        Pin::new(self.stream.as_mut().expect("it is given back in drop only"))
    }

    fn written(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = poll {
            self.traffic.wrote(bytes);
        }
        self.in_time(context, poll)
    }

    fn in_time<R>(&mut self, context: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if poll.is_ready() {
            self.sleep = None;
            return poll;
        }
        let limit = self.limit;
        ready!(self.sleep.get_or_insert_with(|| Box::pin(sleep(limit))).as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, format!("peer took longer than {limit:?} to take its reply"))))
    }
}

impl<S> Drop for Lent<S> {
    fn drop(&mut self) {
        if let (Some(stream), Some(back)) = (self.stream.take(), self.back.take()) {
            // Whoever does not wait for it wants it closed.
            let _ = back.send(stream);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Lent<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Lent<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let poll = self.stream().poll_write(context, bytes);
        self.written(context, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.stream().poll_flush(context);
        self.in_time(context, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Under TLS the good end has a word of its own, which must not stand behind a reply that is not whole.
        if self.traffic.aborted().is_some() {
            return Poll::Ready(Ok(()));
        }
        self.stream().poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let poll = self.stream().poll_write_vectored(context, parts);
        self.written(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }
}
