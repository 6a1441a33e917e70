//! A gateway: takes HTTP, and asks a uwsgi or FastCGI server for the answers. There is no Python in it.
//!
//! ```text
//! client ─HTTP─▶ Http1, the engine ─▶ Gateway: a Handler ─uwsgi or FastCGI─▶ upstream, such as uWSGI, PHP-FPM or `serve`
//!                                     ├ call:      one request and its reply, in either protocol
//!                                     └ upstream:  where it listens, and its connections
//! ```
//!
//! `cargo run -p wsgi-gateway -- --http :8080 --uwsgi 127.0.0.1:3031`
//!
//! **In scope:** bodies that stream both ways, upstreams that are down, slow, or break off, FastCGI connections that are kept.
//! **Out of scope:** several upstreams, TLS, caching, variables for scripts that are files (`SCRIPT_FILENAME`).

mod call;
mod gateway;
mod upstream;

use std::error::Error;
use std::io;
use std::process::exit;
use std::time::Duration;

use lexopt::prelude::*;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use wsgi_core::server::{ListenAddress, Listener, Server};
use wsgi_core::wire::Limits;
use wsgi_http::Http1;

use crate::call::Protocol;
use crate::gateway::Gateway;
use crate::upstream::Upstream;

fn main() {
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    if let Err(error) = run() {
        eprintln!("gateway: {error}");
        exit(1);
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let options = Options::parse(lexopt::Parser::from_env()).unwrap_or_else(|error| {
        eprintln!("gateway: {error}\n{USAGE}");
        exit(2);
    });
    let (protocol, address) = options.upstream;
    let gateway = Gateway::new(Upstream::new(protocol, address)?, options.timeout);
    let listener = Listener::bind(&options.http)?;
    let http = Http1::new().limits(Limits { body_bytes: Some(BODY_BYTES), ..Limits::default() });

    // Before the line that others may wait for: from then on a signal ends it in order.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    println!("listening on http://{}/", listener.local_address());
    let running = Server::new(gateway).listen(listener, http).threads(options.threads).start()?;
    signals.forever().next();
    running.handle().shutdown();
    running.wait();
    Ok(())
}

struct Options {
    http: ListenAddress,
    upstream: (Protocol, ListenAddress),
    /// How many requests are under way at once.
    threads: usize,
    timeout: Duration,
}

impl Options {
    fn parse(mut arguments: lexopt::Parser) -> Result<Options, lexopt::Error> {
        let (mut http, mut upstream, mut threads, mut timeout) = (None, None, 32, 60);
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("http") => http = Some(arguments.value()?.parse()?),
                Long("uwsgi") => upstream = Some((Protocol::Uwsgi, arguments.value()?.parse()?)),
                Long("fastcgi") => upstream = Some((Protocol::FastCgi, arguments.value()?.parse()?)),
                Long("threads") => threads = arguments.value()?.parse()?,
                Long("timeout") => timeout = arguments.value()?.parse()?,
                Long("help") => {
                    println!("{USAGE}");
                    exit(0);
                }
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(Options {
            http: http.ok_or("--http is missing")?,
            upstream: upstream.ok_or("--uwsgi or --fastcgi is missing")?,
            threads,
            timeout: Duration::from_secs(timeout),
        })
    }
}

const USAGE: &str = "\
usage: gateway --http ADDR (--uwsgi ADDR | --fastcgi ADDR) [--threads N] [--timeout SECONDS]
ADDR is HOST:PORT, :PORT or the path of a Unix socket";
/// The longest body of a request. For uwsgi, bodies of unknown length are gathered on the disk, which must not be filled.
const BODY_BYTES: u64 = 1 << 30;
