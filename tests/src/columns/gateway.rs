//! What the gateways of these columns have in common: the client's request in the words of CGI, and the reply back.
//!
//! A gateway is what a web server has in front of an application server. The ones here call and fill the variables as nginx does, whose
//! three files (`uwsgi_params`, `fastcgi_params`, `scgi_params`) differ, and then add the client's fields as `HTTP_*`. Unlike nginx they
//! leave slashes and dots in the path as they are, so that a case sees what the server makes of them.

use std::net::SocketAddr;

use wsgi_core::wire::ResponseHead;

use crate::client::latin1;
use crate::column::{Body, Head, Request, Version};

/// Names and values in order.
pub(super) type Variables = Vec<(String, Vec<u8>)>;

/// The address that each gateway says its client has. Nothing of the loopback sockets that the tests use can be mistaken for it.
pub(super) const CLIENT: &str = "198.51.100.7:54321";

/// The variables of a request: first those of a file of parameters, then the client's fields.
///
/// # Panics
/// A parameter that is not known here.
pub(super) fn variables(request: &Request, params: &[(&str, &str)]) -> Variables {
    let fields = fields(request);
    let mut variables: Variables = params.iter().map(|(name, value)| ((*name).to_owned(), expand(value, request, &fields))).collect();
    variables.extend(fields);
    variables
}

/// The address of the gateways' client.
pub(super) fn client() -> SocketAddr {
    CLIENT.parse().expect("an address")
}

/// The head of a reply, whose fields break nothing.
pub(super) fn head(reply: &ResponseHead) -> Head {
    let line = latin1(reply.status_line());
    let (_, reason) = line.split_once(' ').unwrap_or_else(|| panic!("no space after the code: {line:?}"));
    let fields = reply.fields().map(|(name, value)| (latin1(name), latin1(value))).collect();
    let head = Head { code: reply.code(), reason: reason.to_owned(), fields };
    assert!(head.fields("content-length").len() <= 1, "a reply with more than one Content-Length: {head:?}");
    if head.code == 204 {
        // What was sent: a ResponseHead has it, and keeps it out of its fields.
        assert_eq!(reply.content_length(), None, "a 204 reply with a framing field: {head:?}");
    }
    head
}

/// A reply is whole: a panic if this came behind it.
pub(super) fn nothing_follows(input: &[u8]) {
    let some = latin1(&input[..input.len().min(100)]);
    assert!(input.is_empty(), "{} bytes follow a whole reply: {some:?}", input.len());
}

/// The client's fields as variables: those of one name in one, as nginx joins them since 1.23.
fn fields(request: &Request) -> Variables {
    let mut variables = Variables::new();
    let mut add = |name: &str, value: &[u8]| {
        let name = format!("HTTP_{}", name.to_ascii_uppercase().replace('-', "_"));
        match variables.iter_mut().find(|(other, _)| *other == name) {
            Some((_, values)) => {
                values.extend_from_slice(if name == "HTTP_COOKIE" { b"; " } else { b", " });
                values.extend_from_slice(value);
            }
            None => variables.push((name, value.to_vec())),
        }
    };
    if request.version == Version::Http11 && !request.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        add("Host", b"localhost");
    }
    for (name, value) in &request.fields {
        add(name, value);
    }
    // nginx sends what frames the body along with the other fields, also where it has taken the chunks off.
    match &request.body {
        Body::None => {}
        Body::Whole(body) => add("Content-Length", body.len().to_string().as_bytes()),
        Body::Later(Some(length)) => add("Content-Length", length.to_string().as_bytes()),
        Body::Chunked(_) | Body::Later(None) => add("Transfer-Encoding", b"chunked"),
    }
    variables
}

/// The value of a parameter: a variable by nginx's name, or a text.
fn expand(value: &str, request: &Request, fields: &Variables) -> Vec<u8> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let field = |name: &str| fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone()).unwrap_or_default();
    let text = match value {
        "$document_uri" | "$fastcgi_script_name" => return decoded(path),
        "$content_type" => return field("HTTP_CONTENT_TYPE"),
        // Of the client's request. What a gateway gathers before it hands it on it counts itself.
        "$content_length" => return field("HTTP_CONTENT_LENGTH"),
        "$query_string" => query,
        "$request_method" => &request.method,
        "$request_uri" => &request.target,
        "$document_root" => "/var/www/html",
        "$server_protocol" => request.version.as_str(),
        "$scheme" => "http",
        "$remote_addr" => CLIENT.rsplit_once(':').expect("a port").0,
        "$remote_port" => CLIENT.rsplit_once(':').expect("a port").1,
        "$remote_user" => "",
        "$server_addr" => "203.0.113.80",
        "$server_port" => "8080",
        "$server_name" => "front.test",
        text if !text.starts_with('$') => text,
        unknown => panic!("nginx may know {unknown}, these gateways do not"),
    };
    text.as_bytes().to_vec()
}

/// Without percent-encoding.
fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = path.bytes();
    let mut decoded = Vec::new();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits: String = bytes.by_ref().take(2).map(char::from).collect();
                u8::from_str_radix(&digits, 16).unwrap_or_else(|_| panic!("a gateway refuses {path:?} itself"))
            }
            byte => byte,
        });
    }
    decoded
}
