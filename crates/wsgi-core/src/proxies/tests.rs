//! What is believed of whom.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::*;

fn proxies(trusted: &[&str]) -> Proxies {
    let fields = FIELDS.map(|(_, field)| field);
    trusted.iter().fold(Proxies::new().fields(fields), |proxies, text| proxies.trust(text.parse().unwrap()))
}

fn head(remote: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = RequestHead::default();
    for (name, value) in [
        ("REMOTE_ADDR", remote),
        ("REMOTE_PORT", "40000"),
        ("SERVER_PORT", "8000"),
        ("REQUEST_SCHEME", "http"),
        ("HTTP_HOST", "inner:8000"),
        ("HTTP_COOKIE", "a=b"),
        ("SCRIPT_NAME", ""),
        ("PATH_INFO", "/a"),
    ]
    .iter()
    .chain(fields)
    {
        head.variable(name.as_bytes(), value.as_bytes());
    }
    head
}

/// One variable after the proxies were applied; empty where there is none.
fn after(proxies: &Proxies, remote: &str, fields: &[(&str, &str)], variable: &str) -> String {
    let mut head = head(remote, fields);
    proxies.apply(&mut head).unwrap();
    String::from_utf8(head.get_named(variable.as_bytes()).unwrap_or_default().to_vec()).unwrap()
}

fn client(proxies: &Proxies, remote: &str, fields: &[(&str, &str)]) -> String {
    format!("{} {}", after(proxies, remote, fields, "REMOTE_ADDR"), after(proxies, remote, fields, "REMOTE_PORT"))
}

const FOR: &str = "HTTP_X_FORWARDED_FOR";
const PROTO: &str = "HTTP_X_FORWARDED_PROTO";
const HOST: &str = "HTTP_X_FORWARDED_HOST";
const FORWARDED: &str = "HTTP_FORWARDED";

#[test]
fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
    let proxies = proxies(&["10.0.0.0/8", "fd00::/8"]);
    for (value, expected) in [
        ("198.51.100.7", "198.51.100.7 "),
        ("6.6.6.6, 198.51.100.7", "198.51.100.7 "),
        ("6.6.6.6, 198.51.100.7, 10.0.0.2, fd00::1", "198.51.100.7 "),
        ("garbage, 198.51.100.7:4711", "198.51.100.7 4711"),
        ("[2001:db8::1]:80, 10.0.0.2", "2001:db8::1 80"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3 "),
        ("unknown, 10.0.0.2", "10.0.0.2 "),
        ("unknown", "10.0.0.1 40000"),
        ("", "10.0.0.1 40000"),
    ] {
        assert_eq!(client(&proxies, "10.0.0.1", &[(FOR, value)]), expected, "{value}");
    }
    for (value, expected) in [
        ("for=198.51.100.7", "198.51.100.7 "),
        ("for=6.6.6.6, for=\"198.51.100.7:1\", for=10.0.0.2", "198.51.100.7 1"),
        ("for=6.6.6.6, for=_secret, for=10.0.0.2", "10.0.0.2 "),
        ("for=6.6.6.6, proto=https, for=10.0.0.2", "10.0.0.2 "),
        ("for=6.6.6.6, for=unknown", "10.0.0.1 40000"),
    ] {
        assert_eq!(client(&proxies, "10.0.0.1", &[(FORWARDED, value)]), expected, "{value}");
    }
}

#[test]
fn what_others_say_is_taken_away_and_nothing_else() {
    let said = [
        (FOR, "1.2.3.4"),
        (PROTO, "https"),
        (FORWARDED, "for=\"broken"),
        ("HTTP_X_FORWARDED_SSL", "on"),
        ("HTTP_X_REAL_IP", "1.2.3.4"),
        ("HTTP_X_FORWARDED", "x"),
        ("HTTP_X_FORWARDEDX", "y"),
    ];
    for (trusted, remote) in [
        (&["10.0.0.0/8"][..], "192.0.2.1"),
        (&[], "10.0.0.1"),
        (&["10.0.0.0/8"], ""),
        (&["0.0.0.0/0", "::/0"], "unix:"),
        (&["unix"], "10.0.0.1"),
        (&["unix"], "nonsense"),
    ] {
        let mut head = head(remote, &said);
        proxies(trusted).apply(&mut head).unwrap();
        let left: Vec<_> = head
            .iter()
            .map(|(name, _)| String::from_utf8_lossy(name.as_bytes()).into_owned())
            .filter(|name| name.contains("FORWARDED") || name.contains("REAL"))
            .collect();
        assert_eq!(left, ["HTTP_X_FORWARDED", "HTTP_X_FORWARDEDX"], "{trusted:?} {remote}");
        assert_eq!(head.get(Known::RemoteAddr), Some(remote.as_bytes()));
        assert_eq!((head.get(Known::HttpHost), head.get(Known::HttpCookie)), (Some(&b"inner:8000"[..]), Some(&b"a=b"[..])));
    }
}

#[test]
fn anyone_and_unix_are_words() {
    for (trusted, remote, expected) in [
        ("*", "203.0.113.5", "198.51.100.7 "),
        ("*", "", "198.51.100.7 "),
        ("unix", "", "198.51.100.7 "),
        ("unix", "unix:", "198.51.100.7 "),
    ] {
        assert_eq!(client(&proxies(&[trusted]), remote, &[(FOR, "6.6.6.6, 198.51.100.7")]), expected, "{trusted} {remote}");
    }
    for text in ["*", "unix", "10.0.0.0/8", "::1/128"] {
        assert_eq!(text.parse::<Trusted>().unwrap().to_string(), text);
    }
    assert!("**".parse::<Trusted>().is_err());
    for text in ["for", "proto", "host", "port", "prefix", "forwarded"] {
        assert_eq!(text.parse::<Field>().unwrap().to_string(), text);
    }
    assert!("all".parse::<Field>().is_err());
}

#[test]
fn scheme_host_and_port_follow_what_is_told() {
    let proxies = proxies(&["10.0.0.0/8"]);
    for (fields, https, scheme, host, port) in [
        (&[(PROTO, "https")][..], "on", "https", "inner:8000", "8000"),
        (&[(PROTO, "https"), (HOST, "example.org")], "on", "https", "example.org", "443"),
        (&[(PROTO, "http"), (HOST, "example.org")], "", "http", "example.org", "80"),
        (&[(HOST, "example.org:81")], "", "http", "example.org:81", "81"),
        (&[(PROTO, "https"), (HOST, "example.org"), ("HTTP_X_FORWARDED_PORT", "8443")], "on", "https", "example.org", "8443"),
        (&[("HTTPS", "on"), (PROTO, "http"), (HOST, "a")], "", "http", "a", "80"),
        // What the application takes for TLS.
        (&[("HTTPS", "1"), (HOST, "a")], "1", "http", "a", "443"),
        (&[("REQUEST_SCHEME", "HTTPS"), (HOST, "a")], "", "HTTPS", "a", "443"),
        (&[(FOR, "1.2.3.4")], "", "http", "inner:8000", "8000"),
        (
            &[(
                FORWARDED,
                "for=6.6.6.6;proto=http;host=evil, for=1.2.3.4;proto=https;host=\"example.org:444\", for=10.0.0.2;proto=http;host=inner",
            )],
            "on",
            "https",
            "example.org:444",
            "444",
        ),
        (&[(FORWARDED, "proto=https;host=example.org")], "on", "https", "example.org", "443"),
    ] {
        let seen = ["HTTPS", "REQUEST_SCHEME", "HTTP_HOST", "SERVER_PORT"].map(|name| after(&proxies, "10.0.0.1", fields, name));
        assert_eq!(seen, [https, scheme, host, port], "{fields:?}");
    }
}

#[test]
fn a_prefix_goes_before_the_name_of_the_script() {
    let proxies = proxies(&["10.0.0.0/8"]);
    let prefix = ("HTTP_X_FORWARDED_PREFIX", "/shop/");
    assert_eq!(after(&proxies, "10.0.0.1", &[prefix], "SCRIPT_NAME"), "/shop");
    assert_eq!(after(&proxies, "10.0.0.1", &[prefix, ("SCRIPT_NAME", "/app")], "SCRIPT_NAME"), "/shop/app");
    assert_eq!(after(&proxies, "10.0.0.1", &[prefix], "PATH_INFO"), "/a");
}

#[test]
fn both_kinds_may_agree_and_complete_each_other_but_not_contradict() {
    let both = proxies(&["10.0.0.0/8"]);
    let agree = [(FOR, "6.6.6.6, 1.2.3.4"), (FORWARDED, "for=9.9.9.9, for=\"1.2.3.4:5\";proto=https")];
    assert_eq!(client(&both, "10.0.0.1", &agree), "1.2.3.4 5");
    assert_eq!(after(&both, "10.0.0.1", &agree, "HTTPS"), "on");
    for (fields, field) in [
        ([(FOR, "1.2.3.4"), (FORWARDED, "for=127.0.0.1")], Field::For),
        ([(PROTO, "http"), (FORWARDED, "proto=https")], Field::Proto),
        ([(HOST, "a"), (FORWARDED, "host=b")], Field::Host),
    ] {
        let mut contradicting = head("10.0.0.1", &fields);
        let error = both.apply(&mut contradicting).unwrap_err();
        assert!(error.to_string().starts_with("Forwarded and X-Forwarded-* contradict each other about the "), "{error}");
        assert_eq!(error.status(), 400);
        assert_eq!(format!("{contradicting:?}"), format!("{:?}", head("10.0.0.1", &fields)));
        // Whoever says which of them proxies set, has no contradiction.
        for (chosen, left, gone) in [(field, fields[0].0, FORWARDED), (Field::Forwarded, FORWARDED, fields[0].0)] {
            let mut head = head("10.0.0.1", &fields);
            both.clone().fields([chosen]).apply(&mut head).unwrap();
            assert!(head.get_named(left.as_bytes()).is_some() && head.get_named(gone.as_bytes()).is_none());
        }
    }
}

#[test]
fn what_a_proxy_may_merely_pass_on_is_not_read_unasked_and_taken_away() {
    let usual = Proxies::new().trust("10.0.0.0/8".parse().unwrap());
    let mut head = head(
        "10.0.0.1",
        &[
            (FOR, "198.51.100.7"),
            (PROTO, "https"),
            (HOST, "evil"),
            ("HTTP_X_FORWARDED_PORT", "evil"),
            ("HTTP_X_FORWARDED_PREFIX", "/evil"),
            (FORWARDED, "for=\"evil"),
            ("HTTP_X_REAL_IP", "evil"),
            ("HTTP_X_FORWARDED_SSL", "evil"),
        ],
    );
    usual.apply(&mut head).unwrap();
    assert!(!format!("{head:?}").contains("evil"), "{head:?}");
    let value = |name: &str| head.get_named(name.as_bytes());
    assert_eq!(
        (value("REMOTE_ADDR"), value("HTTPS"), value("HTTP_HOST")),
        (Some(&b"198.51.100.7"[..]), Some(&b"on"[..]), Some(&b"inner:8000"[..]))
    );
    assert_eq!((value(FOR), value(PROTO)), (Some(&b"198.51.100.7"[..]), Some(&b"https"[..])));
}

#[test]
fn what_a_trusted_proxy_says_and_cannot_be_read_is_refused() {
    let proxies = proxies(&["10.0.0.0/8"]);
    for field in [
        (FOR, "evil"),
        (FOR, "1.2.3.4, evil, 10.0.0.2"),
        (PROTO, "gopher"),
        (HOST, "a b"),
        (FORWARDED, "for=\"evil, for=1.2.3.4"),
        ("HTTP_X_FORWARDED_PREFIX", "//evil"),
    ] {
        assert_eq!(proxies.apply(&mut head("10.0.0.1", &[field])).unwrap_err().status(), 400, "{field:?}");
    }
}

#[test]
fn whatever_a_client_sends_the_proxies_settle_who_it_is() {
    let proxies = proxies(&["10.0.0.0/8", "fd00::/8"]);
    let mut random = Random::new(42);
    for _ in 0..2_000 {
        let client = random.outside();
        let inner: Vec<IpAddr> = (0..random.below(3)).map(|_| random.inside()).collect();
        let peer = random.inside().to_string();
        let forged: Vec<String> = (0..random.below(3)).map(|_| random.text()).collect();
        let chain = std::iter::once(client).chain(inner);
        let chain: Vec<IpAddr> = chain.collect();
        let value = forged.iter().cloned().chain(chain.iter().map(IpAddr::to_string)).collect::<Vec<_>>().join(", ");
        assert_eq!(after(&proxies, &peer, &[(FOR, &value)], "REMOTE_ADDR"), client.to_string(), "{value}");

        let element = |address: &IpAddr| match address {
            IpAddr::V4(address) => format!("for={address}"),
            IpAddr::V6(address) => format!("for=\"[{address}]\""),
        };
        let forged = (0..random.below(3)).map(|_| format!("for=_forged;proto=https;host={}", random.below(9)));
        let value = forged.chain(chain.iter().map(element)).collect::<Vec<_>>().join(",");
        assert_eq!(after(&proxies, &peer, &[(FORWARDED, &value)], "REMOTE_ADDR"), client.to_string(), "{value}");
        assert_eq!(after(&proxies, &peer, &[(FORWARDED, &value)], "HTTPS"), "", "{value}");

        // Nothing of what an outsider says reaches anybody.
        let outsider = random.outside().to_string();
        let text = random.text();
        let mut head =
            head(&outsider, &[(FOR, &value), (FORWARDED, &text), (PROTO, &text), (HOST, &text), ("HTTP_X_FORWARDED_PREFIX", &text)]);
        proxies.apply(&mut head).unwrap();
        assert!(!format!("{head:?}").contains("FORWARDED"));
        assert_eq!(head.get(Known::RemoteAddr), Some(outsider.as_bytes()));
    }
}

/// Runs a target over bytes that are not random, but vary around `seed`: each test of this kind is the same everywhere.
pub(super) fn vary(seed: &[u8], seasoning: &[u8], times: usize, target: impl Fn(&[u8])) {
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    target(seed);
    for _ in 0..times {
        let mut bytes = seed.to_vec();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes.insert(at, seasoning[random.below(seasoning.len())]),
                2 if bytes.len() > 1 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
        }
        target(&bytes);
    }
}

/// Numbers that look random and are the same in every run (xorshift64).
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }

    pub(super) fn node(&mut self) -> Node {
        let port = [None, Some(self.below(65_536) as u16)][self.below(2)];
        match self.below(4) {
            0 => Node::Hidden,
            1 => Node::Address(self.inside(), port),
            _ => Node::Address(self.outside(), port),
        }
    }

    fn inside(&mut self) -> IpAddr {
        match self.below(2) {
            0 => Ipv4Addr::new(10, self.below(256) as u8, 0, self.below(256) as u8).into(),
            _ => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, self.below(65_536) as u16).into(),
        }
    }

    fn outside(&mut self) -> IpAddr {
        match self.below(2) {
            0 => Ipv4Addr::new(198, 51, 100, self.below(256) as u8).into(),
            _ => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, self.below(65_536) as u16).into(),
        }
    }

    /// What a client might think of, without the commas that separate.
    fn text(&mut self) -> String {
        ["6.6.6.6", "10.0.0.1", "127.0.0.1", "", "unknown", "_x", "[::1]:1", "\"", "for=1.2.3.4", "https", "a b"][self.below(11)].to_owned()
    }
}
