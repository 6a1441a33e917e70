//! Where a redirect leads, and with what (RFC 9110, 15.4; RFC 3986, 5.2).

/// Where a client goes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) secure: bool,
    /// Path and query.
    pub(super) target: String,
}

/// How a request goes on after a redirect with this status; `None` if the status is no redirect. Whether the method becomes `GET`, and the
/// body is left out.
pub(super) fn becomes_get(status: u16, method: &str) -> Option<bool> {
    match status {
        // RFC 9110, 15.4.2 and 15.4.3: for historical reasons a POST becomes a GET, as in all browsers.
        301 | 302 => Some(method == "POST"),
        303 => Some(!matches!(method, "GET" | "HEAD")),
        307 | 308 => Some(false),
        _ => None,
    }
}

/// What a `Location` means in answer to a request for `target` of `host`; `None` if it leads to another host, or to no HTTP at all.
pub(super) fn follow(location: &str, secure: bool, host: &str, target: &str) -> Option<Place> {
    let location = location.split('#').next().unwrap_or_default();
    let (secure, rest) = match scheme(location) {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return None,
        None => (secure, location),
    };
    if let Some(rest) = rest.strip_prefix("//") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        if !authority.eq_ignore_ascii_case(host) {
            return None;
        }
        let (path, query) = split(rest);
        return Some(Place { secure, target: join(&without_dots(path), query) });
    }
    let (path, query) = split(rest);
    let (base, base_query) = split(target);
    let target = if path.is_empty() {
        join(base, query.or(base_query))
    } else if path.starts_with('/') {
        join(&without_dots(path), query)
    } else {
        let folder = &base[..base.rfind('/').map_or(0, |at| at + 1)];
        join(&without_dots(&format!("{folder}{path}")), query)
    };
    Some(Place { secure, target })
}

/// The scheme in lower case, where there is one, and what follows its colon.
fn scheme(location: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = location.split_once(':')?;
    if scheme.is_empty() || scheme.contains(['/', '?']) {
        return None;
    }
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some(("http", rest)),
        "https" => Some(("https", rest)),
        _ => Some(("other", rest)),
    }
}

fn split(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

fn join(path: &str, query: Option<&str>) -> String {
    let path = if path.is_empty() { "/" } else { path };
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            _ => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_may_be_relative_in_every_way() {
        for (location, expected) in [
            ("/login", "/login"),
            ("/a/../b/./c", "/b/c"),
            ("next", "/shop/next"),
            ("../up?x=1", "/up?x=1"),
            ("..", "/"),
            ("./", "/shop/"),
            ("?page=2", "/shop/cart?page=2"),
            ("", "/shop/cart?q=1"),
            ("#part", "/shop/cart?q=1"),
            ("http://localhost", "/"),
            ("HTTP://LOCALHOST?q", "/?q"),
            ("//localhost/x#y", "/x"),
            ("/a:b", "/a:b"),
        ] {
            let place = follow(location, false, "localhost", "/shop/cart?q=1");
            assert_eq!(place, Some(Place { secure: false, target: expected.to_owned() }), "{location}");
        }
    }

    #[test]
    fn it_may_change_the_scheme_but_not_the_host() {
        let place = follow("https://localhost/x", false, "localhost", "/").unwrap();
        assert!(place.secure);
        assert!(follow("/x", true, "localhost", "/").unwrap().secure);
        for other in ["http://example.org/", "//localhost.example.org/", "http://localhost:81/", "mailto:a@localhost", "ftp://localhost/"] {
            assert_eq!(follow(other, false, "localhost", "/"), None, "{other}");
        }
    }

    #[test]
    fn the_status_says_whether_the_method_stays() {
        let table = [(301, "POST", Some(true)), (302, "PUT", Some(false)), (303, "PUT", Some(true)), (303, "HEAD", Some(false))];
        for (status, method, expected) in table {
            assert_eq!(becomes_get(status, method), expected, "{status} {method}");
        }
        assert_eq!((becomes_get(307, "POST"), becomes_get(308, "POST")), (Some(false), Some(false)));
        assert_eq!((becomes_get(304, "GET"), becomes_get(300, "GET")), (None, None));
    }
}
