//! What a request passes on its way to an application.
//!
//! ```text
//!  engine ─▶ access log, metrics ─▶ trusted proxies ─▶ static files ─▶ harakiri ─▶ applications
//! ```
//!
//! What sees requests is outermost, so that it counts all of them, those that anything behind it refuses or answers, and all of their time. It looks
//! at a request when that is over, and so tells the client that proxies have named. Proxies come next, so that everybody behind them knows the
//! client, and a request that they refuse reaches nobody; only names of requests (`log-req-id`) are given before. Static files are outside of
//! `harakiri`: they hold no thread, however slowly the client reads, and there is no Python to interrupt. What is no file goes on inwards, so that
//! `harakiri` watches nothing but applications.

use std::sync::Arc;

use wsgi_core::files::StaticFiles;
use wsgi_core::{Handler, Mount};

use crate::Failure;
use crate::options::Settings;
use crate::replacement::Replacement;
use crate::seeing::Seeing;
use crate::threads;

/// Puts everything in front of the applications that the settings ask for.
///
/// # Errors
/// The system gives no thread.
pub(crate) fn compose(
    settings: &Settings,
    applications: Mount,
    files: Option<StaticFiles>,
    replacement: &Replacement,
    seeing: &Seeing,
) -> Result<Arc<dyn Handler>, Failure> {
    let watched = settings.requests.watched(applications, replacement);
    let mut handler = watched.map_err(|error| Failure::SetUp(format!("cannot watch requests: {}", threads::explain(&error))))?;
    if let Some(files) = files {
        handler = Arc::new(files.otherwise(handler));
    }
    Ok(seeing.around(settings.requests.behind_proxies(handler)))
}
