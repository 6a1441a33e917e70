//! The two ends of a connection, as far as a codec must know them.

use std::net::SocketAddr;
use std::path::PathBuf;

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket; the connecting side has no path.
    Unix(Option<PathBuf>),
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(Some(path)) => path.display().fmt(f),
            Address::Unix(None) => f.write_str("unix"),
        }
    }
}

/// What a codec learns of the connection that it is made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// This end.
    pub local: Address,
    /// The other end: `REMOTE_ADDR` and `REMOTE_PORT` of protocols that do not carry their own.
    pub remote: Address,
    /// Whether the connection is under TLS: `https` and `HTTPS=on`.
    pub secure: bool,
}
