//! An axum program on one thread with a route in Rust and an application behind the others.
//!
//! ```text
//! embedded HOST:PORT MODULE [THREADS]
//! ```
//!
//! `/rust` is answered by Rust, everything else by `MODULE:application`, on so many threads, 1 by default. `inline` beside this file is what it is
//! compared with: the same without a second thread.

use std::error::Error;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use wsgi_core::Interpreter;
use wsgi_core::workers::Workers;
use wsgi_http::tower::WsgiService;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(module)) = (arguments.next(), arguments.next()) else {
        return Err("usage: embedded HOST:PORT MODULE [THREADS]".into());
    };
    let threads = arguments.next().map_or(Ok(1), |number| number.parse())?;
    let python = Interpreter::builder().python_path(std::env::current_dir()?).start()?;
    let workers = Workers::builder(python.load(&format!("{module}:application"))?).threads(threads).start()?;
    let app = Router::new().route("/rust", get(|| async { "Hello, world!\n" })).fallback_service(WsgiService::new(workers));
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = TcpListener::bind(address).await?.tap_io(|stream| {
            // Slower, but not wrong.
            let _ = stream.set_nodelay(true);
        });
        Ok(axum::serve(listener, app).await?)
    })
}
