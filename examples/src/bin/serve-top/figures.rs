//! What a server tells when it is asked.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use wsgi_core::metrics::Snapshot;

/// The figures of each process, and when they were told.
pub(crate) struct Figures {
    pub(crate) each: Vec<Snapshot>,
    pub(crate) at: Instant,
}

impl Figures {
    /// Asks the address for them. Blocks for some seconds at most.
    ///
    /// # Errors
    /// A sentence that says why there are none.
    pub(crate) fn ask(address: &str) -> Result<Figures, String> {
        let reply = fetch(address).map_err(|error| format!("cannot ask {address}: {error}"))?;
        let body = reply.strip_prefix("HTTP/1.1 200 ").and_then(|rest| rest.split_once("\r\n\r\n"));
        let foreign = || format!("{address} answers, but not as serve --stats does");
        let (_, body) = body.ok_or_else(foreign)?;
        let mut json: serde_json::Value = serde_json::from_str(body).map_err(|_| foreign())?;
        let each = json.get_mut("wsgi").map(serde_json::Value::take).ok_or_else(foreign)?;
        Ok(Figures { each: serde_json::from_value(each).map_err(|error| format!("{}: {error}", foreign()))?, at: Instant::now() })
    }
}

fn fetch(address: &str) -> io::Result<String> {
    if address.contains('/') {
        let stream = UnixStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        return exchange(stream);
    }
    let full = if address.starts_with(':') { format!("127.0.0.1{address}") } else { address.to_owned() };
    let found: Vec<SocketAddr> = full.to_socket_addrs()?.collect();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in found {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                return exchange(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn exchange(mut stream: impl Read + Write) -> io::Result<String> {
    stream.write_all(b"GET /stats HTTP/1.1\r\nHost: stats\r\nConnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.take(LONGEST_REPLY).read_to_end(&mut reply)?;
    String::from_utf8(reply).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the answer is not text"))
}

const PATIENCE: Duration = Duration::from_secs(5);
/// Far more than a thousand processes have to tell.
const LONGEST_REPLY: u64 = 64 << 20;
