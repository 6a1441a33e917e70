//! What a request's variables must be before an application sees them.

use wsgi_core::wire::{Ends, Error, Known, Limits, Paths, RequestHead};

use crate::params::Pairs;

/// What every connection of a listener has in common.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) paths: Paths,
    pub(crate) log_to_peer: bool,
    /// What a web server that asks is told of how many connections, and so requests, it may have open.
    pub(crate) connections: u32,
}

/// What the codec itself must know of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// The body's length, as far as it is declared.
    pub(crate) length: Option<u64>,
    /// The reply has no body.
    pub(crate) head_only: bool,
}

/// Fills `head` from the whole stream of a request's parameters.
pub(crate) fn understand(stream: &[u8], settings: &Settings, ends: &Ends, head: &mut RequestHead) -> Result<Facts, Error> {
    head.clear();
    for (count, pair) in Pairs::new(stream).enumerate() {
        let (name, value) = pair?;
        if count == settings.limits.fields {
            return Err(Error::TooManyFields { limit: settings.limits.fields });
        }
        head.variable(name, value);
    }
    // Caddy's word for a chunked body.
    if head.get(Known::ContentLength) == Some(b"-1") {
        head.remove(Known::ContentLength);
    }
    let length = ends.complete(head, &settings.limits, Some(&settings.paths))?;
    if head.get(Known::GatewayInterface).is_none() {
        head.set(Known::GatewayInterface, b"CGI/1.1");
    }
    Ok(Facts { length, head_only: head.get(Known::RequestMethod) == Some(b"HEAD") })
}

#[cfg(test)]
mod tests {
    use wsgi_core::wire::{Address, Link};

    use super::*;
    use crate::FastCgi;
    use crate::params;

    fn of(variables: &[(&str, &str)], local: &str, remote: &str, limits: Limits) -> Result<(RequestHead, Facts), Error> {
        let address = |text: &str| text.parse().map_or(Address::Unix(None), Address::Tcp);
        let ends = Ends::of(&Link { local: address(local), remote: address(remote), secure: false });
        let mut stream = Vec::new();
        variables.iter().for_each(|(name, value)| assert!(params::push(name.as_bytes(), value.as_bytes(), &mut stream)));
        let mut head = RequestHead::default();
        let facts = understand(&stream, &FastCgi::new().limits(limits).settings, &ends, &mut head)?;
        Ok((head, facts))
    }

    #[test]
    fn what_cgi_asks_for_is_added() {
        let (head, _) = of(&[("REQUEST_METHOD", "GET")], "192.0.2.1:9000", "unix", Limits::default()).unwrap();
        for (name, value) in [("GATEWAY_INTERFACE", "CGI/1.1"), ("SERVER_PORT", "9000"), ("REMOTE_ADDR", "")] {
            assert_eq!(head.get_named(name.as_bytes()), Some(value.as_bytes()), "{name}");
        }
    }

    #[test]
    fn caddys_word_for_a_chunked_body_is_no_length() {
        let of = |text| of(&[("REQUEST_METHOD", "POST"), ("CONTENT_LENGTH", text)], "unix", "unix", Limits::default());
        for (text, length) in [("-1", None), ("", None), ("007", Some(7))] {
            let (head, facts) = of(text).unwrap();
            assert_eq!((facts.length, head.get(Known::ContentLength).is_some()), (length, length.is_some()), "{text}");
        }
        assert_eq!(of("-2").unwrap_err().status(), 400);
    }

    #[test]
    fn variables_are_counted_and_the_method_is_needed() {
        let variables = [("REQUEST_METHOD", "HEAD"), ("A", ""), ("B", "")];
        let limits = |fields| Limits { fields, ..Limits::default() };
        assert!(of(&variables, "unix", "unix", limits(3)).unwrap().1.head_only);
        assert_eq!(of(&variables, "unix", "unix", limits(2)).unwrap_err(), Error::TooManyFields { limit: 2 });
        for variables in [&[][..], &[("REQUEST_METHOD", "")]] {
            assert_eq!(of(variables, "unix", "unix", limits(3)).unwrap_err().status(), 400);
        }
    }
}
