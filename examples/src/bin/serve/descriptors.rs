//! How many descriptors this process may open: each connection needs one.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the soft limit, which is 1,024 on many systems for the sake of old programs, as far as needed and as the hard limit allows. If that
/// is not far enough, the engine stops accepting for a while when it comes to the limit.
pub(crate) fn allow(connections: usize) {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OTHERS;
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!("cannot raise the limit of open files: {error}");
        }
    }
}

/// Files, database connections and what else applications open.
const OTHERS: u64 = 1024;
