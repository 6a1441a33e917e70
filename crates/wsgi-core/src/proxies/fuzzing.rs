//! The bodies of the fuzz targets, beside the code that they check. No part of the interface.

use std::net::IpAddr;

use super::node::is_host;
use super::proxied::check_header;
use super::{FIELDS, Kind, Proxies};
use crate::wire::{Known, RequestHead};

/// Whatever fields come, they are believed of a trusted proxy or refused, and taken from everybody else: never a panic, and never a value that
/// is more than an address, a host, a port, a scheme or a path. What a client has written before them does not change what a proxy adds.
///
/// The first byte chooses which fields are read. Then come the values of all of them, with a zero between two.
pub fn fields(bytes: &[u8]) {
    let [settings, values @ ..] = bytes else { return };
    let read = FIELDS.iter().enumerate().filter(|(at, _)| settings >> at & 1 == 1).map(|(_, (_, field))| *field);
    let proxies = Proxies::new().trust(PROXIES.parse().expect("a network")).fields(read);
    let values: Vec<&[u8]> = values.split(|&byte| byte == 0).take(NAMES.len()).collect();
    let head = |remote: &str| {
        let mut head = RequestHead::default();
        for (name, value) in [("REMOTE_ADDR", remote), ("REMOTE_PORT", "40000"), ("SERVER_PORT", "8000"), ("HTTP_HOST", "inner")] {
            head.variable(name.as_bytes(), value.as_bytes());
        }
        NAMES.iter().zip(&values).for_each(|(name, value)| head.variable(name.as_bytes(), value));
        head
    };

    let mut strangers = head("192.0.2.1");
    proxies.apply(&mut strangers).expect("what nobody reads cannot be wrong");
    assert!(strangers.iter().all(|(name, _)| Kind::of(name).is_none()) && strangers.iter().count() == 4);
    assert_eq!(strangers.get(Known::RemoteAddr), Some(&b"192.0.2.1"[..]));

    let mut theirs = head(NEAREST);
    match proxies.apply(&mut theirs) {
        Ok(()) => what_is_set_is_sound(&theirs),
        Err(_) => assert_eq!(format!("{theirs:?}"), format!("{:?}", head(NEAREST)), "a request that is refused is as it was"),
    }

    for (at, joint) in [(0, ", "), (FIELDS.len() - 1, ", for=")] {
        let (name, field) = (NAMES[at], FIELDS[at].1);
        let proxies = proxies.clone().fields([field]);
        let mut head = head(NEAREST);
        let added = [values.get(at).copied().unwrap_or_default(), joint.as_bytes(), b"198.51.100.7"].concat();
        head.variable(name.as_bytes(), &added);
        match proxies.apply(&mut head) {
            Ok(()) => assert_eq!(head.get(Known::RemoteAddr), Some(&b"198.51.100.7"[..]), "{}", added.escape_ascii()),
            Err(_) => assert!(name == "HTTP_FORWARDED", "only of a field with quotation marks the end cannot always be told"),
        }
    }
}

fn what_is_set_is_sound(head: &RequestHead) {
    let value = |name| head.get(name).map(|value| std::str::from_utf8(value).expect("text"));
    assert!(value(Known::RemoteAddr).expect("is never taken away").parse::<IpAddr>().is_ok());
    assert!(value(Known::RemotePort).is_none_or(|port| port.parse::<u16>().is_ok()));
    assert!(value(Known::ServerPort).expect("is never taken away").parse::<u16>().is_ok_and(|port| port > 0));
    assert!(value(Known::HttpHost).is_some_and(is_host));
    let https = value(Known::RequestScheme) == Some("https");
    assert!(value(Known::Https) == https.then_some("on") && (https || matches!(value(Known::RequestScheme), None | Some("http"))));
    if let Some(script) = head.get(Known::ScriptName) {
        assert!(script.starts_with(b"/") && !script.starts_with(b"//") && !script.ends_with(b"/"), "{}", script.escape_ascii());
        assert!(!script.split(|&byte| byte == b'/').any(|part| part == b".." || part == b"."), "{}", script.escape_ascii());
        assert!(!script.iter().any(|&byte| byte <= b' ' || byte == 0x7f || b"\\?#".contains(&byte)), "{}", script.escape_ascii());
    }
}

/// Any bytes are a header of the PROXY protocol, the beginning of one, or an error; never a panic, never growth past the limits; and whichever of
/// these they are is the same wherever they are cut.
pub fn header(bytes: &[u8]) {
    check_header(bytes);
}

/// In the order of [`FIELDS`].
const NAMES: [&str; FIELDS.len()] = [
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PREFIX",
    "HTTP_FORWARDED",
];
const PROXIES: &str = "10.0.0.0/8";
const NEAREST: &str = "10.0.0.1";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxies::tests::vary;

    #[test]
    fn fields_that_are_nearly_sound() {
        for settings in 0..64 {
            for values in [
                ["6.6.6.6, 198.51.100.7:1", "https", "example.org:80", "8443", "/shop", "for=198.51.100.7;proto=https;host=example.org"],
                [
                    "[2001:db8::7]:80, 10.0.0.2",
                    "http, https",
                    "[::1]",
                    "443,80",
                    "/a%20b/",
                    "for=_x, for=\"[2001:db8::7]:80\"; by=unknown, for=10.0.0.2",
                ],
                ["unknown, ::ffff:10.0.0.2", "", "", "", "/a/../b, //c/%2e%2e", "for=1.2.3.4;x=\"a\\\"b, for=\", ,;"],
            ] {
                let seed = [&[settings], values.join("\0").as_bytes()].concat();
                vary(&seed, b"\0\",;=:.[]_/%\\ \t1a\xff", 150, fields);
            }
        }
    }
}
