//! Rust in front of Python: `cargo run -p wsgi-examples --bin rust_in_front`, then `curl -i http://127.0.0.1:8000/` and `/healthz`.
//!
//! `/healthz` is answered in Rust, and Python hears nothing of it. Everything else goes to Python, and how long that took is printed.

use std::error::Error;
use std::time::Instant;

use http::StatusCode;
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::{Known, ResponseHead};
use wsgi_core::wsgi::Interpreter;
use wsgi_core::{Exchange, Handler};
use wsgi_http::Http1;

/// Answers health checks itself, and times what another handler does.
struct InFront<H>(H);

impl<H: Handler> Handler for InFront<H> {
    fn handle(&self, exchange: &mut dyn Exchange) {
        let path = exchange.head().get(Known::PathInfo).unwrap_or_default().to_vec();
        if path == b"/healthz" {
            let text = b"fine\n";
            exchange.start(&ResponseHead::plain(StatusCode::OK, text.len() as u64));
            exchange.data(text);
            return exchange.finish();
        }
        let started = Instant::now();
        self.0.handle(exchange);
        println!("{} took {:?}", String::from_utf8_lossy(&path), started.elapsed());
    }

    /// Python needs something on every thread that calls it; a handler around another must pass this on.
    fn thread(&self, work: &mut dyn FnMut()) {
        self.0.thread(work);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let interpreter = Interpreter::builder().python_path(concat!(env!("CARGO_MANIFEST_DIR"), "/apps")).start()?;
    let handler = InFront(interpreter.load("hello")?);

    let listener = Listener::bind(&"127.0.0.1:8000".parse()?)?;
    println!("http://{}/", listener.local_address());
    Server::new(handler).listen(listener, Http1::new()).threads(4).start()?.wait();
    Ok(())
}
