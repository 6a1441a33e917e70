//! Two Python applications under one roof: `cargo run -p wsgi-examples --bin mounts`, then <http://127.0.0.1:8000/shop/>.
//!
//! Each sees its own prefix as `SCRIPT_NAME` and the rest as `PATH_INFO`, so neither knows where it is mounted.

use std::error::Error;

use wsgi_core::Mount;
use wsgi_core::server::{Listener, Server};
use wsgi_core::wsgi::Interpreter;
use wsgi_http::Http1;

fn main() -> Result<(), Box<dyn Error>> {
    let interpreter = Interpreter::builder().python_path(concat!(env!("CARGO_MANIFEST_DIR"), "/apps")).start()?;
    let handler = Mount::new()
        .at("/shop", interpreter.load("shop:create_app()")?)
        .at("/hello", interpreter.load("hello")?)
        .otherwise(interpreter.load("links")?);

    let listener = Listener::bind(&"127.0.0.1:8000".parse()?)?;
    println!("http://{}/", listener.local_address());
    Server::new(handler).listen(listener, Http1::new()).threads(4).start()?.wait();
    Ok(())
}
