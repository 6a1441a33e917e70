//! The header of the PROXY protocol, as its specification has it (haproxy.org, `proxy-protocol.txt`, sections 2.1 and 2.2).

use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::str::FromStr;

use super::crc32c::crc32c;
use crate::wire::{Address, Error};

/// The client, and what it connected to.
pub(super) type Ends = (Address, Address);

/// A header that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// How many bytes it takes.
    pub(super) bytes: usize,
    /// `None`: what the connection itself says.
    pub(super) ends: Option<Ends>,
}

/// Reads the header at the front of `input`. `None`: it is not whole.
///
/// # Errors
/// There is no header, or it is broken. This is said as soon as it is certain.
pub(super) fn parse(input: &[u8]) -> Result<Option<Header>, Error> {
    let same = |signature: &[u8]| input.iter().zip(signature).take_while(|(a, b)| a == b).count();
    match [SIGNATURE, WORD].map(|signature| (same(signature), same(signature) == signature.len().min(input.len()))) {
        _ if input.is_empty() => Ok(None),
        [(_, true), _] => binary(input),
        [_, (_, true)] => text(input),
        [(a, _), (b, _)] => {
            // Up to the first byte that is wrong, so that it is the same however much has come.
            let seen = input[..=a.max(b)].escape_ascii();
            Err(Error::malformed(format!("connection begins with \"{seen}\", expected the header of the PROXY protocol")))
        }
    }
}

/// Version 1: a line of text.
fn text(input: &[u8]) -> Result<Option<Header>, Error> {
    let Some(end) = input.iter().take(LONGEST_LINE).position(|&byte| byte == b'\n') else {
        return if input.len() < LONGEST_LINE { Ok(None) } else { Err(Error::HeadTooLarge { limit: LONGEST_LINE }) };
    };
    let line = &input[..=end];
    let wrong = || {
        Error::malformed(format!(
            "header of the PROXY protocol is \"{}\", expected PROXY TCP4 or TCP6, two addresses and two ports",
            line.escape_ascii()
        ))
    };
    let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok()).ok_or_else(wrong)?;
    let ends = match text.split(' ').collect::<Vec<_>>()[..] {
        // Whatever follows is to be ignored.
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", "TCP4", source, destination, from, to] => Some(tcp::<Ipv4Addr>([source, destination], [from, to]).ok_or_else(wrong)?),
        ["PROXY", "TCP6", source, destination, from, to] => Some(tcp::<Ipv6Addr>([source, destination], [from, to]).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    };
    Ok(Some(Header { bytes: line.len(), ends }))
}

fn tcp<A: FromStr + Into<IpAddr>>(addresses: [&str; 2], ports: [&str; 2]) -> Option<Ends> {
    let end = |at: usize| {
        // No sign, and no zero in front.
        let port: u16 = ports[at].parse().ok().filter(|port: &u16| port.to_string() == ports[at])?;
        Some(Address::Tcp(SocketAddr::new(addresses[at].parse::<A>().ok()?.into(), port)))
    };
    Some((end(0)?, end(1)?))
}

/// Version 2: 16 bytes, then addresses, then values by type and length.
fn binary(input: &[u8]) -> Result<Option<Header>, Error> {
    // Byte by byte, so that what is wrong is said before the rest has come.
    if let Some(&version) = input.get(12).filter(|&&byte| byte >> 4 != 2 || byte & 0x0f > 1) {
        return Err(Error::malformed(format!("PROXY protocol has version and command {version:#04x}, expected 0x20 or 0x21")));
    }
    let &[command, family, high, low] = match input.get(12..16).and_then(|bytes| bytes.try_into().ok()) {
        Some(bytes) => bytes,
        None => return Ok(None),
    };
    let bytes = FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if bytes > LONGEST_BINARY {
        return Err(Error::HeadTooLarge { limit: LONGEST_BINARY });
    }
    let Some(whole) = input.get(..bytes) else { return Ok(None) };
    let rest = &whole[FIXED_BYTES..];
    if command & 0x0f == 0 || family == 0x00 {
        return Ok(Some(Header { bytes, ends: None }));
    }
    let ends = match family {
        0x11 => inet::<4>(rest),
        0x21 => inet::<16>(rest),
        0x31 => unix(rest),
        _ => {
            return Err(Error::malformed(format!(
                "PROXY protocol has address family {family:#04x}, expected TCP over IPv4 or IPv6, or a Unix stream"
            )));
        }
    };
    let (ends, values) =
        ends.ok_or_else(|| Error::malformed(format!("PROXY protocol has {} bytes of addresses for family {family:#04x}", rest.len())))?;
    check(whole, bytes - values.len())?;
    Ok(Some(Header { bytes, ends: Some(ends) }))
}

fn inet<const N: usize>(rest: &[u8]) -> Option<(Ends, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = rest.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let (to, rest) = rest.split_first_chunk::<2>()?;
    let end = |address: &[u8; N], port: &[u8; 2]| Address::Tcp(SocketAddr::new(IpAddr::from(*address), u16::from_be_bytes(*port)));
    Some(((end(source, from), end(destination, to)), rest))
}

fn unix(rest: &[u8]) -> Option<(Ends, &[u8])> {
    let (source, rest) = rest.split_at_checked(PATH_BYTES)?;
    let (destination, rest) = rest.split_at_checked(PATH_BYTES)?;
    // Up to the first zero. One that begins with it is no path, but an abstract name or none.
    let end = |path: &[u8]| {
        let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
        Address::Unix((!path.is_empty()).then(|| OsStr::from_bytes(path).into()))
    };
    Some(((end(source), end(destination)), rest))
}

/// Walks over the values from `at` on, and verifies the checksum if one of them is that.
fn check(whole: &[u8], at: usize) -> Result<(), Error> {
    let mut at = at;
    while at < whole.len() {
        let value = whole.get(at..at + 3).and_then(|head| {
            let end = at + 3 + usize::from(u16::from_be_bytes([head[1], head[2]]));
            Some((head[0], at + 3..end, whole.get(at + 3..end)?))
        });
        let (kind, range, value) = value.ok_or_else(|| Error::malformed("PROXY protocol has a value that is longer than its header"))?;
        if kind == CRC32C {
            let sent = value
                .try_into()
                .map(u32::from_be_bytes)
                .map_err(|_| Error::malformed(format!("PROXY protocol has a checksum of {} bytes, expected 4", value.len())))?;
            // As it was before the sum stood there (section 2.2.3).
            let computed = crc32c(whole[..range.start].iter().chain(&[0; 4]).chain(&whole[range.end..]));
            if computed != sent {
                return Err(Error::malformed(format!("PROXY protocol has the checksum {sent:#010x}, expected {computed:#010x}")));
            }
        }
        at = range.end;
    }
    Ok(())
}

/// Parses every beginning of `input`, as the network may cut it. Panics if they do not agree.
#[cfg(any(fuzzing, test))]
pub(in crate::proxies) fn check_header(input: &[u8]) {
    let whole = parse(input);
    match &whole {
        Ok(Some(header)) => assert!((1..=input.len().min(LONGEST_BINARY)).contains(&header.bytes)),
        Ok(None) => assert!(input.len() < LONGEST_BINARY),
        Err(_) => {}
    }
    // Whatever is said first is said of all that is longer, and nothing before it.
    let told = (0..=input.len()).find(|&end| parse(&input[..end]) != Ok(None));
    for end in told.unwrap_or(input.len())..=input.len() {
        assert_eq!(parse(&input[..end]), whole, "{} bytes", end);
    }
    if let Ok(Some(header)) = whole {
        assert_eq!(told, Some(header.bytes), "nothing is read behind a header");
    }
}

const WORD: &[u8] = b"PROXY ";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
const FIXED_BYTES: usize = 16;
/// Far more than any proxy sends: those that pass on a client's certificate send some hundred bytes.
const LONGEST_BINARY: usize = 4096;
const PATH_BYTES: usize = 108;
const CRC32C: u8 = 0x03;

#[cfg(test)]
mod tests;
