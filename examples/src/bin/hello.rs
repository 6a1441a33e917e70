//! The least program that serves a Python application: `cargo run -p wsgi-examples --bin hello`, then <http://127.0.0.1:8000/>.

use std::error::Error;

use wsgi_core::server::{Listener, Server};
use wsgi_core::wsgi::Interpreter;
use wsgi_http::Http1;

fn main() -> Result<(), Box<dyn Error>> {
    let apps = concat!(env!("CARGO_MANIFEST_DIR"), "/apps");
    let application = Interpreter::builder().python_path(apps).start()?.load("hello:application")?;
    let listener = Listener::bind(&"127.0.0.1:8000".parse()?)?;
    println!("http://{}/", listener.local_address());
    Server::new(application).listen(listener, Http1::new()).threads(4).start()?.wait();
    Ok(())
}
