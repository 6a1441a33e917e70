//! Who may connect to a listener.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::wire::Address;

/// Who may connect to a listener. Unix sockets are always open to whom the file's mode lets in.
///
/// A peer of a uwsgi, FastCGI or SCGI socket chooses `REMOTE_ADDR`, `REMOTE_USER` and `HTTPS` as it likes, so that only a web server should
/// be able to reach one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowFrom {
    /// Every address.
    Anyone,
    /// The machine itself. The default of protocols that trust their peers.
    Loopback,
    /// The machine itself, and these.
    Networks(Vec<Network>),
}

/// A block of IP addresses, such as `10.0.0.0/8`, `192.0.2.7` or `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// IPv4 as IPv6-mapped, so that a peer of a dual-stack socket is the same peer.
    bits: u128,
    mask: u128,
    shown: (IpAddr, u8),
}

/// A text that is no [`Network`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a network: expected an IP address, or one with a prefix length, such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl AllowFrom {
    /// Whether this peer may connect.
    pub fn allows(&self, peer: &Address) -> bool {
        let Address::Tcp(peer) = peer else { return true };
        match self {
            AllowFrom::Anyone => true,
            AllowFrom::Loopback => peer.ip().to_canonical().is_loopback(),
            AllowFrom::Networks(networks) => {
                peer.ip().to_canonical().is_loopback() || networks.iter().any(|network| network.contains(peer.ip()))
            }
        }
    }
}

impl Network {
    /// Whether the address is one of the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        bits(address) & self.mask == self.bits
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length.parse::<u8>().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.unwrap_or(most);
        if length > most {
            return Err(wrong());
        }
        let mask = u128::MAX.checked_shl(u32::from(most - length)).unwrap_or(0);
        // The upper 96 bits of a mapped address are the same for all of IPv4.
        let mask = if address.is_ipv4() { mask | u128::MAX << 32 } else { mask };
        Ok(Network { bits: bits(address) & mask, mask, shown: (address, length) })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.shown.0, self.shown.1)
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
    .to_bits()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_share_its_prefix() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("10.1.2.3/8", "10.9.9.9", "9.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::ffff:11.0.0.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{network} {inside}");
            assert!(!network.contains(outside.parse().unwrap()), "{network} {outside}");
        }
        assert!("::/0".parse::<Network>().unwrap().contains("203.0.113.9".parse().unwrap()));
        for text in ["", "10.0.0.0/33", "::/129", "10.0.0/8", "host", "10.0.0.0/", "10.0.0.0/-1"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_machine_itself_is_always_allowed() {
        let peer = |text: &str| Address::Tcp(SocketAddr::new(text.parse().unwrap(), 1));
        let networks = AllowFrom::Networks(vec!["10.0.0.0/8".parse().unwrap()]);
        for allow in [&AllowFrom::Loopback, &networks] {
            for inside in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
                assert!(allow.allows(&peer(inside)));
            }
            assert!(allow.allows(&Address::Unix(None)));
            assert!(!allow.allows(&peer("192.0.2.1")));
        }
        assert!(networks.allows(&peer("10.2.3.4")) && !AllowFrom::Loopback.allows(&peer("10.2.3.4")));
        assert!(AllowFrom::Anyone.allows(&peer("192.0.2.1")));
    }
}
