//! Headers, whole and in pieces, right and wrong.

use super::*;
use crate::proxies::tests::vary;

fn tcp_ends(source: &str, destination: &str) -> Option<Ends> {
    Some((Address::Tcp(source.parse().unwrap()), Address::Tcp(destination.parse().unwrap())))
}

/// A header of version 2.
fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[0x20 | command, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
}

const IPV4: &[u8] = &[192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0, 80];

fn value(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], &(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// The same header with its checksum, which stands behind the addresses of IPv4.
fn with_checksum(values: &[u8]) -> Vec<u8> {
    let mut header = version_2(1, 0x11, &[IPV4, &value(CRC32C, &[0; 4]), values].concat());
    let sum = crc32c(&header);
    header[31..35].copy_from_slice(&sum.to_be_bytes());
    header
}

/// Every header that is right, and what it says.
fn good() -> Vec<(Vec<u8>, Option<Ends>)> {
    let v4 = || tcp_ends("192.0.2.1:4711", "198.51.100.2:80");
    let v6 = || tcp_ends("[2001:db8::1]:4711", "[2001:db8::2]:80");
    let unix = |text: &str| [text.as_bytes(), &vec![0; PATH_BYTES - text.len()]].concat();
    let mut ipv6 = Vec::new();
    for last in [1, 2] {
        ipv6.extend_from_slice(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
    }
    ipv6.extend_from_slice(&[0x12, 0x67, 0, 80]);
    let ssl = value(0x20, &[&[1, 0, 0, 0, 0][..], &value(0x21, b"TLSv1.3")].concat());
    let authority = value(0x02, b"example.org");
    let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
    vec![
        (b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n".to_vec(), v4()),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n".to_vec(), v6()),
        (b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n".to_vec(), tcp_ends("0.0.0.0:0", "255.255.255.255:65535")),
        (b"PROXY UNKNOWN\r\n".to_vec(), None),
        (longest.into_bytes(), None),
        (version_2(1, 0x11, IPV4), v4()),
        (version_2(1, 0x21, &ipv6), v6()),
        (version_2(1, 0x11, &[IPV4, &ssl, &authority, &value(0x04, &[0; 9])].concat()), v4()),
        (with_checksum(&[]), v4()),
        (with_checksum(&[ssl, authority].concat()), v4()),
        (
            version_2(1, 0x31, &[unix("/run/a.sock"), unix("/run/b.sock")].concat()),
            Some((Address::Unix(Some("/run/a.sock".into())), Address::Unix(Some("/run/b.sock".into())))),
        ),
        (version_2(1, 0x31, &[0; 2 * PATH_BYTES]), Some((Address::Unix(None), Address::Unix(None)))),
        (version_2(0, 0x00, &[]), None),
        (version_2(0, 0x11, &[IPV4, b"whatever"].concat()), None),
        (version_2(1, 0x00, b"whatever"), None),
        (version_2(1, 0x11, &[IPV4, &value(0x04, &vec![0; LONGEST_BINARY - 31])].concat()), v4()),
    ]
}

#[test]
fn a_header_is_taken_when_it_is_whole_wherever_it_is_cut() {
    for (header, ends) in good() {
        for cut in 0..header.len() {
            assert_eq!(parse(&header[..cut]), Ok(None), "{cut} of {}", header.escape_ascii());
        }
        let expected = Header { bytes: header.len(), ends };
        assert_eq!(parse(&header).as_ref(), Ok(&Some(expected.clone())), "{}", header.escape_ascii());
        assert_eq!(parse(&[&header, &b"GET / HTTP/1.1\r\n"[..]].concat()), Ok(Some(expected)));
    }
}

#[test]
fn what_is_no_header_is_refused() {
    let text = [
        "GET / HTTP/1.1\r\n",
        "\x16\x03\x01",
        "proxy TCP4 192.0.2.1 198.51.100.2 4711 80\r\n",
        "PROXX",
        "PROXY \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80 \r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.2 4711 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 4711 080\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +4711 80\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 4711 80\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 4711 80\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 4711 80\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.2 4711 80\r\n",
    ];
    for header in text {
        assert_eq!(parse(header.as_bytes()).unwrap_err().status(), 400, "{header:?}");
    }
    let binary = [
        version_2(2, 0x11, IPV4),
        version_2(1, 0x12, IPV4),
        version_2(1, 0x41, IPV4),
        version_2(1, 0x11, &IPV4[..11]),
        version_2(1, 0x21, IPV4),
        version_2(1, 0x31, &[0; 215]),
        version_2(1, 0x11, &[IPV4, &[4]].concat()),
        version_2(1, 0x11, &[IPV4, &[4, 0]].concat()),
        version_2(1, 0x11, &[IPV4, &[4, 0, 2, 1]].concat()),
        version_2(1, 0x11, &[IPV4, &value(CRC32C, &[0; 3])].concat()),
        version_2(1, 0x11, &[IPV4, &value(CRC32C, &[0; 4])].concat()),
        [SIGNATURE, &[0x11]].concat(),
    ];
    for header in binary {
        assert_eq!(parse(&header).unwrap_err().status(), 400, "{}", header.escape_ascii());
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_has_come() {
    let line = format!("PROXY UNKNOWN {}", "x".repeat(200));
    assert_eq!(parse(&line.as_bytes()[..LONGEST_LINE - 1]), Ok(None));
    assert_eq!(parse(&line.as_bytes()[..LONGEST_LINE]), Err(Error::HeadTooLarge { limit: LONGEST_LINE }));
    let long = version_2(1, 0x11, &vec![0; LONGEST_BINARY - FIXED_BYTES + 1]);
    assert_eq!(parse(&long[..FIXED_BYTES]), Err(Error::HeadTooLarge { limit: LONGEST_BINARY }));
}

#[test]
fn a_single_wrong_bit_is_found_by_the_checksum() {
    let header = with_checksum(&value(0x02, b"example.org"));
    for at in FIXED_BYTES..header.len() {
        for bit in 0..8 {
            let mut wrong = header.clone();
            wrong[at] ^= 1 << bit;
            // Only one in the type or the length of a value can hide the sum itself; the addresses are always under it.
            let hides = (28..31).contains(&at);
            assert!(parse(&wrong).is_err() || hides, "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn headers_that_are_nearly_sound() {
    for (header, _) in good() {
        // What is longer has bytes that mean nothing.
        vary(&header[..header.len().min(200)], b"\r\n\0 .:0129PROXY\x03\x11\xff", 500, check_header);
    }
}
