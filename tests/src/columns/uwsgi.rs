//! uwsgi, as behind nginx with `uwsgi_pass`, over a TCP loopback socket and over a Unix socket, and on tokio.

use wsgi_uwsgi_proto::{Uwsgi, client};

use super::gateway::Variables;
use super::serving::{Serving, Transport, Way};
use super::until_close::{Behind, Tongue};
use super::{GATEWAY_LACKS, GATEWAY_LACKS_ON_UNIX};
use crate::column::{Column, Feature, Front, Served};

/// Behind a TCP socket.
pub(super) const UWSGI_OVER_TCP: UwsgiPass = UwsgiPass { way: Way::Engine, transport: Transport::Tcp };

/// Behind a Unix socket.
pub(super) const UWSGI_OVER_UNIX: UwsgiPass = UwsgiPass { way: Way::Engine, transport: Transport::Unix };

/// Behind a TCP socket, on tokio.
pub(super) const UWSGI_ON_TOKIO: UwsgiPass = UwsgiPass { way: Way::Tokio, transport: Transport::Tcp };

/// A listener that speaks uwsgi.
pub(super) struct UwsgiPass {
    way: Way,
    transport: Transport,
}

impl Column for UwsgiPass {
    fn name(&self) -> &'static str {
        match (self.way, self.transport) {
            (Way::Engine, Transport::Tcp) => "engine-uwsgi-tcp",
            (Way::Engine, Transport::Unix) => "engine-uwsgi-unix",
            (Way::Tokio, _) => "tokio-uwsgi",
        }
    }

    fn lacks(&self) -> &'static [Feature] {
        match self.transport {
            Transport::Tcp => GATEWAY_LACKS,
            Transport::Unix => GATEWAY_LACKS_ON_UNIX,
        }
    }

    fn serve(&self, served: Served) -> Box<dyn Front> {
        Box::new(Behind { serving: Serving::start(served, self.way, self.transport, Uwsgi::new()), tongue: TONGUE })
    }
}

fn encode(variables: &Variables) -> Vec<u8> {
    let mut packet = Vec::new();
    let variables = variables.iter().map(|(name, value)| (name, value));
    client::encode(client::WSGI, variables, &mut packet).unwrap_or_else(|error| panic!("{error}"));
    packet
}

const TONGUE: Tongue = Tongue { params: PARAMS, encode, begins: b"HTTP/1.1 " };

/// `uwsgi_params`: the path is in `PATH_INFO`, and there is no `SCRIPT_NAME`.
const PARAMS: &[(&str, &str)] = &[
    ("QUERY_STRING", "$query_string"),
    ("REQUEST_METHOD", "$request_method"),
    ("CONTENT_TYPE", "$content_type"),
    ("CONTENT_LENGTH", "$content_length"),
    ("REQUEST_URI", "$request_uri"),
    ("PATH_INFO", "$document_uri"),
    ("DOCUMENT_ROOT", "$document_root"),
    ("SERVER_PROTOCOL", "$server_protocol"),
    ("REQUEST_SCHEME", "$scheme"),
    ("REMOTE_ADDR", "$remote_addr"),
    ("REMOTE_PORT", "$remote_port"),
    ("SERVER_PORT", "$server_port"),
    ("SERVER_NAME", "$server_name"),
];
