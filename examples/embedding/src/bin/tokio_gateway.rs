//! One Python application by HTTP/1.1, HTTP/2, uwsgi and FastCGI, in a program that runs on tokio:
//! `cargo run -p wsgi-embedding --bin tokio_gateway`, then <http://127.0.0.1:8000/> or `curl --http2-prior-knowledge`, and Ctrl-C to end it.
//!
//! Each protocol is a `Frontend`, and so can be whatever else a program has on tokio. A web server may come to the same application by
//! `uwsgi_pass 127.0.0.1:3031` or `fastcgi_pass 127.0.0.1:9000`. Three arguments replace the three addresses.

use std::error::Error;
use std::time::Duration;

use wsgi_core::gateway::{Endpoint, Frontend, Gateway};
use wsgi_core::server::Listener;
use wsgi_core::wire::Dialect;
use wsgi_core::wsgi::Interpreter;
use wsgi_fastcgi::FastCgi;
use wsgi_http::Http1;
use wsgi_http::hyper::Hyper;
use wsgi_uwsgi_proto::Uwsgi;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let apps = concat!(env!("CARGO_MANIFEST_DIR"), "/../apps");
    let python = Interpreter::builder().python_path(apps).start()?;
    let application = python.load("hello:application")?;

    let mut arguments = std::env::args().skip(1);
    let mut address = |usual: &str| arguments.next().unwrap_or_else(|| usual.to_owned());
    let frontends: Vec<Box<dyn Frontend>> = vec![
        Box::new(Hyper::new(Listener::bind(&address("127.0.0.1:8000").parse()?)?, Http1::new())),
        endpoint(&address("127.0.0.1:3031"), Uwsgi::new())?,
        endpoint(&address("127.0.0.1:9000"), FastCgi::new())?,
    ];
    for frontend in &frontends {
        println!("listening on {}", frontend.name());
    }

    let gateway = Gateway::new(application).frontends(frontends).threads(4);
    let handle = gateway.handle();
    tokio::spawn(async move {
        // The first ends it when the running requests are done, the second at once.
        while tokio::signal::ctrl_c().await.is_ok() {
            if handle.watch().has_begun() { handle.hurry() } else { handle.shutdown() }
        }
    });
    gateway.run().await?;
    python.stop(Duration::from_secs(5));
    Ok(())
}

fn endpoint(address: &str, dialect: impl Dialect + 'static) -> Result<Box<dyn Frontend>, Box<dyn Error>> {
    Ok(Box::new(Endpoint::new(Listener::bind(&address.parse()?)?, dialect)))
}
