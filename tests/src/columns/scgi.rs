//! SCGI, as behind nginx with `scgi_pass`, over a Unix socket, and on tokio.

use wsgi_uwsgi_proto::Scgi;

use super::GATEWAY_LACKS_ON_UNIX;
use super::gateway::Variables;
use super::serving::{Serving, Transport, Way};
use super::until_close::{Behind, Tongue};
use crate::column::{Column, Feature, Front, Served};

/// Behind a Unix socket. What TCP has of its own, resets, is that of uwsgi, whose replies these are.
pub(super) const SCGI_OVER_UNIX: ScgiPass = ScgiPass { way: Way::Engine };

/// The same on tokio.
pub(super) const SCGI_ON_TOKIO: ScgiPass = ScgiPass { way: Way::Tokio };

/// A Unix socket on which SCGI is spoken.
pub(super) struct ScgiPass {
    way: Way,
}

impl Column for ScgiPass {
    fn name(&self) -> &'static str {
        match self.way {
            Way::Engine => "engine-scgi-unix",
            Way::Tokio => "tokio-scgi",
        }
    }

    fn lacks(&self) -> &'static [Feature] {
        GATEWAY_LACKS_ON_UNIX
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        Box::new(Behind { serving: Serving::start(served, self.way, Transport::Unix, Scgi::new()), tongue: TONGUE })
    }
}

/// A netstring. `CONTENT_LENGTH` is always a number, and stands first, as do the parameters.
fn encode(variables: &Variables) -> Vec<u8> {
    let mut pairs = Vec::new();
    for (name, value) in variables {
        let value = if name == "CONTENT_LENGTH" && value.is_empty() { b"0" } else { value.as_slice() };
        for part in [name.as_bytes(), value] {
            assert!(!part.contains(&0), "SCGI has no way to send {part:?}");
            pairs.extend_from_slice(part);
            pairs.push(0);
        }
    }
    let mut request = format!("{}:", pairs.len()).into_bytes();
    request.append(&mut pairs);
    request.push(b',');
    request
}

const TONGUE: Tongue = Tongue { params: PARAMS, encode, begins: b"Status: " };

/// `scgi_params` behind what nginx puts there itself, `CONTENT_LENGTH`: the path is in `DOCUMENT_URI`, which CGI does not know.
const PARAMS: &[(&str, &str)] = &[
    ("CONTENT_LENGTH", "$content_length"),
    ("REQUEST_METHOD", "$request_method"),
    ("REQUEST_URI", "$request_uri"),
    ("QUERY_STRING", "$query_string"),
    ("CONTENT_TYPE", "$content_type"),
    ("DOCUMENT_URI", "$document_uri"),
    ("DOCUMENT_ROOT", "$document_root"),
    ("SCGI", "1"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("SERVER_PORT", "$server_port"),
    ("SERVER_NAME", "$server_name"),
];
