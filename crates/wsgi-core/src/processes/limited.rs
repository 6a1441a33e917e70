//! A handler that counts, so that a process that has answered enough requests is replaced.

use super::Worker;
use crate::{Exchange, Handler};

/// A handler around another. Made by [`Worker::limited`].
#[derive(Debug)]
pub struct Limited<H> {
    handler: H,
    worker: Worker,
}

impl<H> Limited<H> {
    pub(super) fn new(handler: H, worker: Worker) -> Limited<H> {
        Limited { handler, worker }
    }
}

impl<H: Handler> Handler for Limited<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        self.worker.count();
        self.handler.handle(exchange);
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        self.handler.thread(work);
    }
}
