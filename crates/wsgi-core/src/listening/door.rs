//! Accepting: who may come in by a listener, and what becomes known of them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::SocketFlags;

use super::{AllowFrom, Listener};
use crate::wire::{Address, Link};

/// What is known of a listener when connections come in by it.
pub(crate) struct Door {
    local: Address,
    /// The listener is bound to every address, so each connection has to be asked for its own.
    wildcard: bool,
    allow: AllowFrom,
    /// The peer that was refused last, so that one that tries again and again is logged once.
    refused: Mutex<Option<IpAddr>>,
}

impl Door {
    /// `trusts_peer`: what is spoken lets the peer say who the client is, so that by default only the machine itself may come in.
    pub(crate) fn new(listener: &Listener, trusts_peer: bool) -> Door {
        Door {
            local: listener.local_address().clone(),
            wildcard: matches!(listener.local_address(), Address::Tcp(address) if address.ip().is_unspecified()),
            allow: listener.allowed().cloned().unwrap_or(if trusts_peer { AllowFrom::Loopback } else { AllowFrom::Anyone }),
            refused: Mutex::new(None),
        }
    }

    /// What the listener is bound to.
    pub(crate) fn local(&self) -> &Address {
        &self.local
    }

    /// Lets nobody in any more who does not wait already ([`Listener::turn_away`]).
    pub(crate) fn close(&self, listener: &Listener) {
        if let Err(error) = listener.turn_away() {
            tracing::debug!(target: "wsgi", "who connects to {} in this moment may be lost: {error}", self.local);
        }
    }

    /// The next connection that is let in, without waiting; the others are closed. The socket does not block. None: nobody waits.
    pub(crate) fn accept(&self, listener: &Listener) -> io::Result<Option<(OwnedFd, Link)>> {
        loop {
            match rustix::net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok((socket, remote)) => {
                    let remote = match remote.map(SocketAddr::try_from) {
                        Some(Ok(address)) => Address::Tcp(address),
                        _ => Address::Unix(None),
                    };
                    if self.lets_in(&remote) {
                        let link = self.link(&socket, remote);
                        return Ok(Some((socket, link)));
                    }
                }
                Err(Errno::WOULDBLOCK) => return Ok(None),
                // The peer was faster than we, or we were interrupted: the next one may be waiting.
                Err(Errno::INTR | Errno::CONNABORTED | Errno::PROTO) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether this peer may come in. The log says so if not.
    pub(crate) fn lets_in(&self, peer: &Address) -> bool {
        let allowed = self.allow.allows(peer);
        if let (false, Address::Tcp(address)) = (allowed, peer) {
            let last = self.refused.lock().unwrap_or_else(PoisonError::into_inner).replace(address.ip());
            if last != Some(address.ip()) {
                tracing::warn!(target: "wsgi", "connection from {} to {} refused: the address is not allowed here", address.ip(), self.local);
            }
        }
        allowed
    }

    /// The ends of a connection that came in.
    pub(crate) fn link(&self, socket: impl AsFd, remote: Address) -> Link {
        let own = || rustix::net::getsockname(socket).ok().and_then(|address| SocketAddr::try_from(address).ok());
        let local = if self.wildcard { own().map(Address::Tcp) } else { None };
        Link { local: local.unwrap_or_else(|| self.local.clone()), remote, secure: false }
    }
}
