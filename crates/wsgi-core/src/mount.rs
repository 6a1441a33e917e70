//! Several handlers under one roof: which path prefix belongs to which.

use std::sync::Arc;

use http::StatusCode;

use crate::exchange::{Exchange, Handler};
use crate::wire::{Known, RequestHead};

/// A handler that hands each request to the one that is mounted at the longest matching prefix of its path.
///
/// A prefix matches at a `/` boundary only: `/app` takes `/app` and `/app/x`, not `/apple`. What matched moves from `PATH_INFO` to the end
/// of `SCRIPT_NAME`, as the contract says (RFC 3875, 4.1.13; PEP 3333, "environ Variables"). Paths are compared decoded.
///
/// ```
/// # use wsgi_core::{Exchange, Handler, Mount};
/// # struct Shop; impl Handler for Shop { fn handle(&self, _: &mut dyn Exchange) {} }
/// # struct Site; impl Handler for Site { fn handle(&self, _: &mut dyn Exchange) {} }
/// let handler = Mount::new().at("/shop", Shop).otherwise(Site);
/// ```
#[derive(Clone, Default)]
pub struct Mount {
    /// Longest prefix first.
    places: Vec<(Vec<u8>, Arc<dyn Handler>)>,
    otherwise: Option<Arc<dyn Handler>>,
}

impl Mount {
    /// A table with nothing in it, which answers 404 to everything.
    pub fn new() -> Mount {
        Mount::default()
    }

    /// Mounts a handler at a prefix such as `/shop`. A trailing `/` is ignored; the prefix `/` or the empty one is the same as
    /// [`otherwise`](Self::otherwise). A prefix that is mounted twice goes to the later handler.
    pub fn at(mut self, prefix: &str, handler: impl Handler + 'static) -> Mount {
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return self.otherwise(handler);
        }
        let prefix = if prefix.starts_with('/') { prefix.to_owned() } else { format!("/{prefix}") }.into_bytes();
        self.places.retain(|(other, _)| *other != prefix);
        let at = self.places.partition_point(|(other, _)| other.len() > prefix.len());
        self.places.insert(at, (prefix, Arc::new(handler)));
        self
    }

    /// The handler of every path that no prefix matches; without one, those get a 404.
    pub fn otherwise(mut self, handler: impl Handler + 'static) -> Mount {
        self.otherwise = Some(Arc::new(handler));
        self
    }

    fn handlers(&self) -> impl Iterator<Item = &Arc<dyn Handler>> {
        self.places.iter().map(|(_, handler)| handler).chain(&self.otherwise)
    }
}

impl std::fmt::Debug for Mount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mount")
            .field("places", &self.places.iter().map(|(prefix, _)| prefix.escape_ascii().to_string()).collect::<Vec<_>>())
            .field("otherwise", &self.otherwise.is_some())
            .finish_non_exhaustive()
    }
}

impl Handler for Mount {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let path = exchange.head().get(Known::PathInfo).unwrap_or_default();
        let found = self
            .places
            .iter()
            .find(|(prefix, _)| path.strip_prefix(prefix.as_slice()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/'));
        match (found, &self.otherwise) {
            (Some((prefix, handler)), _) => {
                shift(exchange.head_mut(), prefix);
                handler.handle(exchange);
            }
            (None, Some(handler)) => handler.handle(exchange),
            (None, None) => exchange.refuse(StatusCode::NOT_FOUND, "Not Found\n"),
        }
    }

    fn thread(&self, work: &mut dyn FnMut()) {
        nest(&mut self.handlers(), work);
    }
}

/// Runs `work` inside every handler's own `thread`.
fn nest(handlers: &mut dyn Iterator<Item = &Arc<dyn Handler>>, work: &mut dyn FnMut()) {
    match handlers.next() {
        Some(handler) => handler.thread(&mut || nest(handlers, work)),
        None => work(),
    }
}

/// Moves `prefix` from the path to the script's name.
fn shift(head: &mut RequestHead, prefix: &[u8]) {
    let rest = head.get(Known::PathInfo).unwrap_or_default()[prefix.len()..].to_vec();
    let script = [head.get(Known::ScriptName).unwrap_or_default(), prefix].concat();
    head.set(Known::PathInfo, &rest);
    head.set(Known::ScriptName, &script);
}
