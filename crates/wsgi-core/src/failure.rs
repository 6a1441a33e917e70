//! An error that must be given again and again.

use std::io;

use crate::wire::Error;

/// An [`io::Error`] that can be given more than once.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: io::ErrorKind,
    text: String,
    /// What the peer did wrong, if it was that: it says what to answer.
    peer: Option<Error>,
}

impl Failure {
    pub(crate) fn new(kind: io::ErrorKind, text: String) -> Failure {
        Failure { kind, text, peer: None }
    }

    pub(crate) fn of(error: &io::Error) -> Failure {
        let peer = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()).cloned();
        Failure { peer, ..Failure::new(error.kind(), error.to_string()) }
    }

    /// The same, for another place that gives it.
    pub(crate) fn again(&self) -> Failure {
        Failure { kind: self.kind, text: self.text.clone(), peer: self.peer.clone() }
    }

    pub(crate) fn error(&self) -> io::Error {
        match &self.peer {
            Some(error) => error.clone().into(),
            None => io::Error::new(self.kind, self.text.clone()),
        }
    }
}
