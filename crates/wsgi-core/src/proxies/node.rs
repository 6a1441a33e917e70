//! One end of a hop as a proxy names it: an address, or a word that keeps it secret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who made a request to a proxy, as that proxy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// An address, and the port if it is told.
    Address(IpAddr, Option<u16>),
    /// `unknown`, or an identifier that means something to the proxy alone (RFC 7239, 6.2 and 6.3).
    Hidden,
}

impl Node {
    /// A `node` of RFC 7239, 6, without the quotation marks around it: an IPv6 address is in brackets, and a port may be a secret too.
    pub(super) fn parse(text: &str) -> Option<Node> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (name, port) = rest.split_once(']')?;
                (Node::Address(name.parse::<Ipv6Addr>().ok()?.to_canonical(), None), after_colon(port)?)
            }
            None => {
                let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
                let hidden = name.eq_ignore_ascii_case("unknown") || is_obfuscated(name);
                (if hidden { Node::Hidden } else { Node::Address(name.parse::<Ipv4Addr>().ok()?.into(), None) }, port)
            }
        };
        let port = match port {
            None => None,
            Some(port) if is_obfuscated(port) => None,
            Some(port) => Some(parse_port(port, 0)?),
        };
        Some(match name {
            Node::Address(address, _) => Node::Address(address, port),
            Node::Hidden => Node::Hidden,
        })
    }

    /// The same in `X-Forwarded-For`, which no standard describes: there an IPv6 address may also stand without brackets.
    pub(super) fn parse_loosely(text: &str) -> Option<Node> {
        match text.parse::<Ipv6Addr>() {
            Ok(address) => Some(Node::Address(address.to_canonical(), None)),
            Err(_) => Node::parse(text),
        }
    }
}

/// Whether this is a host and perhaps a port: letters, digits, `.`, `-` and `_`, or an IPv6 address in brackets. Of what RFC 3986 allows in
/// the name of a host no more than what hosts have.
pub(super) fn is_host(text: &str) -> bool {
    let (valid, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address.parse::<Ipv6Addr>().is_ok(), after_colon(port)),
            None => return false,
        },
        None => {
            let (name, port) = text.split_once(':').map_or((text, None), |(name, port)| (name, Some(port)));
            (!name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)), Some(port))
        }
    };
    valid && port.is_some_and(|port| port.is_none_or(|port| parse_port(port, 1).is_some()))
}

/// The port of a host, if it has one.
pub(super) fn port_of(host: &str) -> Option<u16> {
    let (_, port) = host.rsplit_once(':')?;
    parse_port(port, 1)
}

/// A number of at most five digits, at least `least`.
pub(super) fn parse_port(text: &str, least: u16) -> Option<u16> {
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port >= least)
}

/// What follows the colon behind a bracket: `None` if there is something else, `Some(None)` if there is nothing.
fn after_colon(text: &str) -> Option<Option<&str>> {
    if text.is_empty() { Some(None) } else { text.strip_prefix(':').map(Some) }
}

/// RFC 7239, 6.3.
fn is_obfuscated(text: &str) -> bool {
    text.strip_prefix('_')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_read_by_the_letter() {
        let address = |text: &str, port| Some(Node::Address(text.parse().unwrap(), port));
        for (text, node) in [
            ("192.0.2.43", address("192.0.2.43", None)),
            ("192.0.2.43:47011", address("192.0.2.43", Some(47011))),
            ("192.0.2.43:_port", address("192.0.2.43", None)),
            ("[2001:db8:cafe::17]", address("2001:db8:cafe::17", None)),
            ("[2001:db8:cafe::17]:4711", address("2001:db8:cafe::17", Some(4711))),
            ("[::ffff:192.0.2.1]", address("192.0.2.1", None)),
            ("unknown", Some(Node::Hidden)),
            ("Unknown:80", Some(Node::Hidden)),
            ("_hidden", Some(Node::Hidden)),
            ("_SEVKISEK:_x", Some(Node::Hidden)),
        ] {
            assert_eq!(Node::parse(text), node, "{text}");
            assert_eq!(Node::parse_loosely(text), node, "{text}");
        }
        for text in [
            "",
            "_",
            "_a b",
            "host",
            "2001:db8::1",
            "[192.0.2.1]",
            "[::1",
            "[::1]80",
            "[::1%eth0]",
            "1.2.3",
            "1.2.3.4:",
            "1.2.3.4:99999",
            "1.2.3.4:+1",
            "1.2.3.4:_",
        ] {
            assert_eq!(Node::parse(text), None, "{text}");
        }
        assert_eq!(Node::parse_loosely("2001:db8::1"), address("2001:db8::1", None));
    }

    #[test]
    fn hosts_are_names_or_addresses_with_or_without_a_port() {
        for (host, port) in [
            ("example.org", None),
            ("a_b-c.:8080", Some(8080)),
            ("[::1]:443", Some(443)),
            ("192.0.2.1:1", Some(1)),
            ("[2001:db8::1]", None),
        ] {
            assert!(is_host(host), "{host}");
            assert_eq!(port_of(host), port, "{host}");
        }
        for host in ["", ":80", "a:", "a:0", "a:70000", "a b", "a/b", "a@b", "[::1", "[a]", "a,b", "a:1:2", "é"] {
            assert!(!is_host(host), "{host}");
        }
    }
}
