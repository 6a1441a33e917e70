//! Ports for programs that must be told theirs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

/// An address of this machine on which nobody listens.
///
/// The port is from below those that the system gives to clients, so that no connection takes it before its server does; test programs that
/// run at the same time begin at different ones.
pub fn free() -> SocketAddr {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..RANGE {
        let next = std::process::id().wrapping_mul(997).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed));
        let port = LOWEST + u16::try_from(next % RANGE).expect("the range is of ports");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no free port from {LOWEST} on");
}

const LOWEST: u16 = 20_000;
const RANGE: u32 = 12_000;
