//! A client with what a browser adds to HTTP and frameworks need: cookies, forms, a connection that is used again.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::client::Wire;
use crate::column::{Body, Conversation, Request, Seen};

/// A browser with one window.
pub struct Browser {
    address: SocketAddr,
    /// What it takes the server's name to be.
    host: String,
    wire: Option<Wire>,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    /// A browser that will only ever talk to this server.
    pub fn new(address: SocketAddr) -> Browser {
        Browser { address, host: address.to_string(), wire: None, cookies: BTreeMap::new() }
    }

    /// Sets the name under which it knows the server.
    pub fn host(mut self, name: &str) -> Browser {
        self.host = name.to_owned();
        self
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    /// Asks for a page.
    pub fn get(&mut self, target: &str) -> Seen {
        self.send(Request::get(target))
    }

    /// Sends a form without files.
    pub fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Seen {
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
        self.send(Request::post(target, body.join("&")).field("Content-Type", "application/x-www-form-urlencoded"))
    }

    /// Sends a form with a file, whose field is called `file`.
    pub fn upload(&mut self, target: &str, fields: &[(&str, &str)], file_name: &str, content: &[u8]) -> Seen {
        let boundary = "-----a-boundary-that-is-in-no-file-74c1b3";
        let mut body = Vec::with_capacity(content.len() + 1024);
        for (name, value) in fields {
            body.extend(format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes());
        }
        let disposition = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"");
        body.extend(format!("--{boundary}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n").bytes());
        body.extend_from_slice(content);
        body.extend(format!("\r\n--{boundary}--\r\n").bytes());
        self.send(Request::post(target, body).field("Content-Type", format!("multipart/form-data; boundary={boundary}")))
    }

    /// Sends a body in chunks, without saying its length.
    pub fn chunked(&mut self, target: &str, pieces: &[&[u8]]) -> Seen {
        self.send(Request::new("POST", target).body(Body::Chunked(pieces.iter().map(|piece| piece.to_vec()).collect())))
    }

    /// Sends any request, with the cookies, and on the connection of the one before if that may be used again.
    pub fn send(&mut self, mut request: Request) -> Seen {
        request = request.field("Host", &self.host);
        if !self.cookies.is_empty() {
            let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.field("Cookie", pairs.join("; "));
        }
        let mut wire = self.wire.take().unwrap_or_else(|| Wire::tcp(self.address).expect("a connection"));
        wire.send(&request).unwrap_or_else(|error| panic!("{} {}: {error}", request.method, request.target));
        let seen = wire.reply();
        for cookie in seen.fields("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
            }
        }
        if seen.reusable {
            self.wire = Some(wire);
        }
        seen
    }
}

/// As in `application/x-www-form-urlencoded`.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}
