//! A name for each request, so that what several logs say of it can be put together.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::wire::Known;
use crate::{Exchange, Handler};

/// A handler that sees to it that each request has an `X-Request-ID`, and that whatever is logged while it is handled says so.
///
/// What the client or a proxy in front sends is kept if it is 1 to 128 letters, digits and any of `-_.:/+=@`; otherwise it is replaced by a new
/// one. The application finds it as `environ["HTTP_X_REQUEST_ID"]`, and an access log as `%(id)`. The handlers behind run inside a
/// [`tracing`] span with the name `request` and the field `id`: an event on the thread of the request belongs to it, and the program's subscriber
/// decides what that looks like.
///
/// An [`Observed`](crate::observe::Observed) handler should stand in front of this one: it looks at the request when this one has returned.
#[derive(Clone, Debug)]
pub struct Identified<H>(H);

impl<H: Handler> Identified<H> {
    /// A handler all of whose requests have a name.
    pub fn new(handler: H) -> Identified<H> {
        Identified(handler)
    }
}

impl<H: Handler> Handler for Identified<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        if !exchange.head().get(Known::HttpXRequestId).is_some_and(is_id) {
            let id = new_id();
            exchange.head_mut().set(Known::HttpXRequestId, id.as_bytes());
        }
        let span = {
            let id = exchange.head().get(Known::HttpXRequestId).unwrap_or_default();
            tracing::info_span!(target: "wsgi", "request", id = %String::from_utf8_lossy(id))
        };
        span.in_scope(|| self.0.handle(exchange));
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        self.0.thread(work);
    }
}

fn is_id(text: &[u8]) -> bool {
    (1..=128).contains(&text.len()) && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte))
}

/// 32 hexadecimal digits: a number of this process that nobody can guess, and the request's own.
fn new_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: OnceLock<(u64, RandomState)> = OnceLock::new();
    let (process, keys) = PROCESS.get_or_init(|| (RandomState::new().hash_one(std::process::id()), RandomState::new()));
    format!("{process:016x}{:016x}", keys.hash_one(NEXT.fetch_add(1, Ordering::Relaxed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_is_kept_if_it_can_stand_in_a_log() {
        for id in ["a", "0b1c-2d", "Root=1-67891233-abcdef012345678912345678", "a/b+c=@x.y:z_"] {
            assert!(is_id(id.as_bytes()), "{id}");
        }
        for id in ["", "a b", "a\"b", "a\nb", "é", &"x".repeat(129)] {
            assert!(!is_id(id.as_bytes()), "{id}");
        }
        let ids: std::collections::HashSet<String> = (0..1000).map(|_| new_id()).collect();
        assert!(ids.len() == 1000 && ids.iter().all(|id| id.len() == 32 && is_id(id.as_bytes())));
    }
}
