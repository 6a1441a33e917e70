//! The `X-Forwarded-*` fields, which no standard describes and nearly every proxy sends.

use super::node::{Node, is_host, parse_port};
use super::{Field, Scheme};
use crate::wire::{Error, Known, RequestHead, decoded};

/// What the fields of one request say, each as the proxy nearest to us has left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) scheme: Option<Scheme>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    /// Decoded, without a `/` at its end. Empty: the field says that there is no prefix.
    pub(super) prefix: Option<Vec<u8>>,
}

/// Reads what `reads` says, but for `X-Forwarded-For`, of which only as much is looked at as is needed.
///
/// Of a list the last counts: some proxies add to a field instead of replacing it, and what stands before may be anybody's.
///
/// # Errors
/// A value that cannot be used.
pub(super) fn parse(head: &RequestHead, reads: impl Fn(Field) -> bool) -> Result<Fields, Error> {
    let wrong = |name: &str, value: &str, expected: &str| Error::malformed(format!("{name} field is {value:?}, expected {expected}"));
    let mut fields = Fields::default();
    if let Some(value) = last(head.get(Known::HttpXForwardedProto).filter(|_| reads(Field::Proto))) {
        fields.scheme = Some(Scheme::parse(&value).ok_or_else(|| wrong("X-Forwarded-Proto", &value, "http or https"))?);
    }
    if let Some(value) = last(head.get(Known::HttpXForwardedHost).filter(|_| reads(Field::Host))) {
        if !is_host(&value) {
            return Err(wrong("X-Forwarded-Host", &value, "a host and perhaps a port"));
        }
        fields.host = Some(value);
    }
    if let Some(value) = last(head.get(Known::HttpXForwardedPort).filter(|_| reads(Field::Port))) {
        fields.port = Some(parse_port(&value, 1).ok_or_else(|| wrong("X-Forwarded-Port", &value, "a port"))?);
    }
    if let Some(value) = last(head.get_named(b"HTTP_X_FORWARDED_PREFIX").filter(|_| reads(Field::Prefix))) {
        fields.prefix = Some(prefix(&value).ok_or_else(|| wrong("X-Forwarded-Prefix", &value, "a path such as /shop"))?);
    }
    Ok(fields)
}

/// The addresses of `X-Forwarded-For`, the proxy nearest to us first. What cannot be read is an error only for who gets that far.
pub(super) fn chain(head: &RequestHead) -> impl Iterator<Item = Result<Node, Error>> + '_ {
    head.get(Known::HttpXForwardedFor).unwrap_or_default().rsplit(|&byte| byte == b',').map(text).filter(|text| !text.is_empty()).map(
        |text| {
            Node::parse_loosely(&text).ok_or_else(|| Error::malformed(format!("X-Forwarded-For field has {text:?}, expected an address")))
        },
    )
}

/// The last that is something in a list with commas.
fn last(value: Option<&[u8]>) -> Option<String> {
    value?.rsplit(|&byte| byte == b',').map(text).find(|text| !text.is_empty())
}

fn text(bytes: &[u8]) -> String {
    bytes.trim_ascii().iter().map(|&byte| byte as char).collect()
}

/// A path that can stand in front of all others: where it begins with two slashes, a program that redirects to it would name another host.
fn prefix(value: &str) -> Option<Vec<u8>> {
    let trimmed = value.trim_end_matches('/');
    let path: Vec<u8> = decoded(trimmed.as_bytes()).collect::<Option<_>>()?;
    let plain = path.iter().all(|&byte| byte > b' ' && byte != 0x7f && !b"\\?#".contains(&byte));
    let climbs = path.split(|&byte| byte == b'/').any(|part| part == b"." || part == b"..");
    let rooted = value.starts_with('/') && trimmed.is_ascii() && !path.starts_with(b"//");
    (plain && !climbs && rooted).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(name: &str, value: &str) -> RequestHead {
        let mut head = RequestHead::default();
        head.variable(name.as_bytes(), value.as_bytes());
        head
    }

    #[test]
    fn the_last_of_a_list_counts_and_what_is_empty_says_nothing() {
        let scheme = |value| parse(&head("HTTP_X_FORWARDED_PROTO", value), |_| true).map(|fields| fields.scheme);
        assert_eq!(scheme("http, HTTPS"), Ok(Some(Scheme::Https)));
        assert_eq!(scheme("https,http , "), Ok(Some(Scheme::Http)));
        assert_eq!(scheme(" , "), Ok(None));
        assert_eq!(scheme("evil, http"), Ok(Some(Scheme::Http)));
        for value in ["ws", "https http", "on"] {
            assert_eq!(scheme(value).unwrap_err().status(), 400);
        }
        let port = |value| parse(&head("HTTP_X_FORWARDED_PORT", value), |_| true).map(|fields| fields.port);
        assert_eq!(port("8443"), Ok(Some(8443)));
        for value in ["0", "-1", "65536", "80 80", "http"] {
            assert!(port(value).is_err(), "{value}");
        }
        let host = |value| parse(&head("HTTP_X_FORWARDED_HOST", value), |_| true).map(|fields| fields.host);
        assert_eq!(host("inner, example.org:8080").unwrap().as_deref(), Some("example.org:8080"));
        assert!(host("a/b").is_err());
    }

    #[test]
    fn a_prefix_is_a_decoded_path_that_stays_on_this_host() {
        let prefix = |value| parse(&head("HTTP_X_FORWARDED_PREFIX", value), |_| true).map(|fields| fields.prefix);
        for (value, decoded) in [("/shop", "/shop"), ("/shop/", "/shop"), ("/", ""), ("/a/b%C3%A9", "/a/bé"), ("/x, /shop", "/shop")] {
            assert_eq!(prefix(value).unwrap().unwrap(), decoded.as_bytes(), "{value}");
        }
        for value in ["shop", "//evil.example", "/%2Fevil.example", "/a/../b", "/a%00", "/%", "/a?b", "/a#b", "/\\evil", "/é", "https://a"]
        {
            assert!(prefix(value).is_err(), "{value}");
        }
    }

    #[test]
    fn the_chain_is_read_from_its_end_and_no_further_than_needed() {
        let head = head("HTTP_X_FORWARDED_FOR", "garbage, 192.0.2.1:80,, 2001:db8::1 ,unknown");
        let mut chain = chain(&head);
        assert_eq!(chain.next(), Some(Ok(Node::Hidden)));
        assert_eq!(chain.next(), Some(Ok(Node::Address("2001:db8::1".parse().unwrap(), None))));
        assert_eq!(chain.next(), Some(Ok(Node::Address("192.0.2.1".parse().unwrap(), Some(80)))));
        assert!(chain.next().unwrap().is_err());
        assert_eq!(chain.next(), None);
    }
}
