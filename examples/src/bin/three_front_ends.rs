//! One Python application over three protocols: `cargo run -p wsgi-examples --bin three_front_ends`, then <http://127.0.0.1:8000/>.
//!
//! A web server may come to the same application by `uwsgi_pass 127.0.0.1:3031` or `fastcgi_pass 127.0.0.1:9000`. Three arguments replace the
//! three addresses.

use std::error::Error;

use wsgi_core::server::{Listener, Server};
use wsgi_core::wsgi::Interpreter;
use wsgi_fastcgi::FastCgi;
use wsgi_http::Http1;
use wsgi_uwsgi_proto::Uwsgi;

fn main() -> Result<(), Box<dyn Error>> {
    let apps = concat!(env!("CARGO_MANIFEST_DIR"), "/apps");
    let application = Interpreter::builder().python_path(apps).start()?.load("hello:application")?;

    let mut arguments = std::env::args().skip(1);
    let mut bind = |scheme: &str, usual: &str| -> Result<Listener, Box<dyn Error>> {
        let listener = Listener::bind(&arguments.next().as_deref().unwrap_or(usual).parse()?)?;
        println!("listening on {scheme}://{}", listener.local_address());
        Ok(listener)
    };
    let http = bind("http", "127.0.0.1:8000")?;
    let uwsgi = bind("uwsgi", "127.0.0.1:3031")?;
    let fastcgi = bind("fastcgi", "127.0.0.1:9000")?;

    Server::new(application)
        .listen(http, Http1::new())
        .listen(uwsgi, Uwsgi::new())
        .listen(fastcgi, FastCgi::new())
        .threads(4)
        .start()?
        .wait();
    Ok(())
}
