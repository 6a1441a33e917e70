//! What the programs of this package share: how they are told to end, and how they do.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use wsgi_core::Interpreter;
use wsgi_core::workers::Workers;

/// Any error, to be printed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Serves until the process gets TERM or INT, and then finishes the requests that run.
///
/// # Errors
/// Signals cannot be caught, or the listener fails.
pub async fn serve(listener: TcpListener, app: Router) -> std::io::Result<()> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    println!("listening on http://{}/", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        })
        .await
}

/// Ends the threads that call Python, and then Python.
pub fn end(workers: &Workers, python: &Interpreter) {
    workers.shutdown();
    let stuck = workers.wait(Duration::from_secs(10));
    if stuck > 0 {
        tracing::warn!("{stuck} requests are still inside the application");
    }
    python.stop(Duration::from_secs(5));
}
