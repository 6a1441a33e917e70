//! The variables that are the same for every request of a connection: rendered once, copied per request.

use std::net::{IpAddr, SocketAddr};

use wsgi_core::wire::{Address, Known, Link, RequestHead};

/// The two ends of a connection as text.
#[derive(Debug)]
pub(crate) struct Ends {
    /// `REMOTE_ADDR`, `REMOTE_PORT`, `SERVER_NAME`, `SERVER_PORT`, one behind the other.
    text: Box<str>,
    /// Where each of the first three ends.
    cuts: [u8; 3],
    secure: bool,
}

impl Ends {
    pub(crate) fn new(link: &Link) -> Ends {
        let (remote_addr, remote_port) = match &link.remote {
            Address::Tcp(address) => (canonical(address).to_string(), address.port().to_string()),
            // A Unix socket's peer has no address; programs expect a string nevertheless.
            Address::Unix(_) => (String::new(), String::new()),
        };
        let (server_name, server_port) = match &link.local {
            Address::Tcp(address) => (name_of(canonical(address)), address.port().to_string()),
            // Neither may be empty (PEP 3333, clause 19), so these are made up.
            Address::Unix(_) => ("localhost".to_string(), if link.secure { "443" } else { "80" }.to_string()),
        };
        let parts = [remote_addr, remote_port, server_name, server_port];
        let end = |count: usize| parts[..count].iter().map(String::len).sum::<usize>() as u8;
        Ends { cuts: [end(1), end(2), end(3)], text: parts.concat().into(), secure: link.secure }
    }

    /// Sets the connection's variables.
    pub(crate) fn fill(&self, server_name: Option<&str>, head: &mut RequestHead) {
        let [a, b, c] = self.cuts.map(usize::from);
        let text = self.text.as_bytes();
        head.set(Known::RemoteAddr, &text[..a]);
        if a < b {
            head.set(Known::RemotePort, &text[a..b]);
        }
        head.set(Known::ServerName, server_name.map_or(&text[b..c], str::as_bytes));
        head.set(Known::ServerPort, &text[c..]);
        if self.secure {
            head.set(Known::RequestScheme, b"https");
            head.set(Known::Https, b"on");
        } else {
            head.set(Known::RequestScheme, b"http");
        }
    }
}

/// A listener for IPv6 that also takes IPv4 sees those peers as `::ffff:192.0.2.1`, which no list of addresses expects.
pub(crate) fn canonical(address: &SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn name_of(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(local: &str, remote: &str, secure: bool, server_name: Option<&str>) -> Vec<String> {
        let address = |text: &str| match text.parse() {
            Ok(address) => Address::Tcp(address),
            Err(_) => Address::Unix(Some(text.into())),
        };
        let mut head = RequestHead::default();
        Ends::new(&Link { local: address(local), remote: address(remote), secure }).fill(server_name, &mut head);
        let line =
            |(name, value): (wsgi_core::wire::Name<'_>, &[u8])| format!("{}={}", name.as_bytes().escape_ascii(), value.escape_ascii());
        head.iter().map(line).collect()
    }

    #[test]
    fn addresses_of_tcp() {
        assert_eq!(
            variables("192.0.2.1:8000", "198.51.100.200:54321", false, None),
            ["REMOTE_ADDR=198.51.100.200", "REMOTE_PORT=54321", "SERVER_NAME=192.0.2.1", "SERVER_PORT=8000", "REQUEST_SCHEME=http"]
        );
        assert_eq!(
            variables("[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe]:443", "[::ffff:198.51.100.7]:1", true, None),
            [
                "REMOTE_ADDR=198.51.100.7",
                "REMOTE_PORT=1",
                "SERVER_NAME=[2001:db8:ffff:ffff:ffff:ffff:ffff:fffe]",
                "SERVER_PORT=443",
                "REQUEST_SCHEME=https",
                "HTTPS=on"
            ]
        );
    }

    #[test]
    fn a_unix_socket_has_a_name_and_a_port_but_its_peer_has_none() {
        let seen = variables("/run/x.sock", "", false, None);
        assert_eq!(seen[..3], ["REMOTE_ADDR=", "SERVER_NAME=localhost", "SERVER_PORT=80"]);
        assert_eq!(variables("/run/x.sock", "", true, None)[2], "SERVER_PORT=443");
        assert_eq!(variables("/run/x.sock", "", false, Some("www.example.org"))[1], "SERVER_NAME=www.example.org");
    }
}
