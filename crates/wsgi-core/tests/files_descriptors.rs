//! What static files are when the process has no descriptor left: alone in its process, for it takes them all.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use wsgi_core::files::StaticFiles;
use wsgi_core::server::{Listener, Server};
use wsgi_core::wire::{Address, Known};
use wsgi_core::{Exchange, Handler};

#[path = "serving/lines.rs"]
#[allow(dead_code)]
mod lines;

struct Application;

impl Handler for Application {
    fn handle(&self, exchange: &mut dyn Exchange) {
        exchange.refuse(http::StatusCode::NOT_FOUND, "application");
    }
}

/// The protocol of these tests has no methods.
struct Get(StaticFiles);

impl Handler for Get {
    fn handle(&self, exchange: &mut dyn Exchange) {
        exchange.head_mut().set(Known::RequestMethod, b"GET");
        self.0.handle(exchange);
    }
}

/// An application that is asked for what it does not have says that it is not there, and caches keep that.
#[test]
fn a_file_or_an_index_that_cannot_be_opened_now_is_not_the_applications() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("docs")).unwrap();
    fs::write(folder.path().join("docs/index.html"), "page").unwrap();
    let files = StaticFiles::new().map("/static", folder.path()).unwrap().index("index.html").otherwise(Application);
    let listener = Listener::bind(&"127.0.0.1:0".parse().unwrap()).unwrap();
    let Address::Tcp(address) = *listener.local_address() else { panic!("bound to TCP") };
    let running = Server::new(Get(files)).listen(listener, lines::lines).start().unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut ask = |path: &str, expected: &str| {
        stream.write_all(format!("{path} 0\n").as_bytes()).unwrap();
        let mut reply = vec![0; expected.len()];
        stream.read_exact(&mut reply).unwrap();
        assert_eq!(String::from_utf8_lossy(&reply), expected, "{path}");
    };
    ask("/static/docs/", "200 4\npage");
    ask("/static/none", "404 11\napplication");

    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(256);
    setrlimit(Resource::Nofile, limit).unwrap();
    let taken: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    for path in ["/static/docs/", "/static/docs/index.html"] {
        ask(path, "503 20\nService Unavailable\n");
    }
    drop(taken);
    ask("/static/docs/", "200 4\npage");
    running.handle().hurry();
    running.wait();
}
