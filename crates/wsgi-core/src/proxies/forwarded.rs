//! The `Forwarded` field of RFC 7239.

use super::Scheme;
use super::node::{Node, is_host};
use crate::wire::{Error, is_token};

/// What one proxy says of the request that it got (RFC 7239, 4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    /// Who made the request.
    pub(super) from: Option<Node>,
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Option<String>,
}

/// Reads a field, or several that were joined by commas. The proxy nearest to us is the last.
///
/// By the letter of RFC 7239, but that white space around `;` is overlooked, which several programs write.
///
/// # Errors
/// What the grammar does not allow anywhere in the field: where its parts end cannot be told then, as a quotation mark may hide a comma.
pub(super) fn parse(field: &[u8]) -> Result<Vec<Element>, Error> {
    let mut reader = Reader { rest: field };
    let mut elements = Vec::new();
    loop {
        reader.skip_space();
        let mut element = Element::default();
        let mut empty = true;
        let end = loop {
            reader.skip_space();
            if let Some(name) = reader.token() {
                let name = name.to_ascii_lowercase();
                reader.expect(b'=')?;
                let value = reader.value()?;
                let wrong = |expected: &str| Error::malformed(format!("Forwarded field has {name}={value:?}, expected {expected}"));
                let twice = match name.as_str() {
                    "for" => element.from.replace(Node::parse(&value).ok_or_else(|| wrong("an address"))?).is_some(),
                    "proto" => element.scheme.replace(Scheme::parse(&value).ok_or_else(|| wrong("http or https"))?).is_some(),
                    "host" if is_host(&value) => element.host.replace(value).is_some(),
                    "host" => return Err(wrong("a host and perhaps a port")),
                    // `by`, and what the registry may hold one day. Clients can send thousands, which are not worth remembering.
                    _ => false,
                };
                if twice {
                    return Err(Error::malformed(format!("Forwarded field has {name:?} twice in one element")));
                }
                empty = false;
            }
            reader.skip_space();
            match reader.next() {
                Some(b';') => {}
                Some(b',') => break false,
                None => break true,
                Some(byte) => return Err(unexpected(byte)),
            }
        };
        // Nothing between two commas is nothing (RFC 9110, 5.6.1.2).
        if !empty {
            elements.push(element);
        }
        if end {
            return Ok(elements);
        }
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn token(&mut self) -> Option<String> {
        let end = self.rest.iter().position(|&byte| !is_token(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!token.is_empty()).then(|| token.iter().map(|&byte| byte as char).collect())
    }

    fn expect(&mut self, expected: u8) -> Result<(), Error> {
        match self.next() {
            Some(byte) if byte == expected => Ok(()),
            Some(byte) => Err(unexpected(byte)),
            None => Err(cut_short()),
        }
    }

    /// A token, or a quoted string with its backslashes undone (RFC 9110, 5.6.4).
    fn value(&mut self) -> Result<String, Error> {
        if self.rest.first() != Some(&b'"') {
            return self.token().ok_or_else(|| self.rest.first().map_or_else(cut_short, |&byte| unexpected(byte)));
        }
        self.next();
        let mut value = String::new();
        loop {
            let byte = match self.next().ok_or_else(cut_short)? {
                b'"' => return Ok(value),
                b'\\' => self.next().ok_or_else(cut_short)?,
                byte => byte,
            };
            if byte < b' ' && byte != b'\t' || byte == 0x7f {
                return Err(unexpected(byte));
            }
            // One character for each byte; what is not ASCII is nowhere allowed, and stands in the error.
            value.push(byte as char);
        }
    }
}

fn unexpected(byte: u8) -> Error {
    Error::malformed(format!("Forwarded field has an unexpected '{}'", byte.escape_ascii()))
}

fn cut_short() -> Error {
    Error::malformed("Forwarded field ends in the middle")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> Element {
        Element { from: Node::parse(text), ..Element::default() }
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (field, elements) in [
            ("for=\"_gazonk\"", vec![from("_gazonk")]),
            ("For=\"[2001:db8:cafe::17]:4711\"", vec![from("[2001:db8:cafe::17]:4711")]),
            ("for=192.0.2.60;proto=http;by=203.0.113.43", vec![Element { scheme: Some(Scheme::Http), ..from("192.0.2.60") }]),
            ("for=192.0.2.43, for=198.51.100.17", vec![from("192.0.2.43"), from("198.51.100.17")]),
            ("for=_hidden, for=_SEVKISEK", vec![from("_hidden"), from("_SEVKISEK")]),
            (
                "for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown",
                vec![from("192.0.2.43"), from("[2001:db8:cafe::17]"), from("unknown")],
            ),
        ] {
            assert_eq!(parse(field.as_bytes()).unwrap(), elements, "{field}");
        }
    }

    #[test]
    fn quotes_hide_what_separates_and_empty_parts_are_nothing() {
        let field = br#" , host="a\.b:80" ; proto=HTTPS;ext="x,y;for=\"1.2.3.4", ,;;,for=192.0.2.1;"#;
        let first = Element { host: Some("a.b:80".to_owned()), scheme: Some(Scheme::Https), from: None };
        assert_eq!(parse(field).unwrap(), [first, from("192.0.2.1")]);
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn what_the_grammar_does_not_allow_is_refused_wherever_it_stands() {
        for field in [
            "for",
            "for=",
            "=1.2.3.4",
            "for =1.2.3.4",
            "for= 1.2.3.4",
            "for=\"1.2.3.4",
            "for=\"1.2.3.4\\",
            "for=1.2.3.4:80",
            "for=[::1]",
            "for=\"::1\"",
            "for=1.2.3.4 for=1.2.3.4",
            "for=1.2.3.4;for=1.2.3.4",
            "for=1.2.3.4;FOR=5.6.7.8",
            "proto=h2",
            "proto=\"\"",
            "host=\"a b\"",
            "host=\"\"",
            "for=\"1.2.3.4\"x",
            "for=\"é\"",
            "x=\"\u{1}\"",
            "for=\"evil, for=192.0.2.1",
        ] {
            assert!(parse(field.as_bytes()).is_err(), "{field}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let mut random = crate::proxies::tests::Random::new(7239);
        for _ in 0..500 {
            let elements: Vec<Element> = (0..random.below(4))
                .map(|_| Element {
                    from: Some(random.node()),
                    scheme: [None, Some(Scheme::Http), Some(Scheme::Https)][random.below(3)],
                    host: [None, Some("example.org:8080".to_owned()), Some("[::1]".to_owned())][random.below(3)].clone(),
                })
                .collect();
            let written: Vec<String> = elements.iter().map(|element| write(element, &mut random)).collect();
            assert_eq!(parse(written.join([",", ", ", " ,\t"][random.below(3)]).as_bytes()).unwrap(), elements, "{written:?}");
        }
    }

    fn write(element: &Element, random: &mut crate::proxies::tests::Random) -> String {
        let mut pairs = vec![match element.from {
            Some(Node::Address(std::net::IpAddr::V4(address), None)) => format!("for={address}"),
            Some(Node::Address(std::net::IpAddr::V4(address), Some(port))) => format!("For=\"{address}:{port}\""),
            Some(Node::Address(std::net::IpAddr::V6(address), None)) => format!("for=\"[{address}]\""),
            Some(Node::Address(std::net::IpAddr::V6(address), Some(port))) => format!("FOR=\"[{address}]:{port}\""),
            Some(Node::Hidden) => "for=_a.B-1".to_owned(),
            None => "by=unknown".to_owned(),
        }];
        pairs.extend(
            element.scheme.map(|scheme| if scheme == Scheme::Https { "proto=https".to_owned() } else { "proto=\"http\"".to_owned() }),
        );
        pairs.extend(element.host.as_ref().map(|host| format!("host=\"{host}\"")));
        if random.below(2) == 0 {
            pairs.reverse();
        }
        pairs.join([";", "; "][random.below(2)])
    }
}
