//! Where the application's own path begins: `SCRIPT_NAME` and `PATH_INFO`, which front servers fill in different ways.

use wsgi_core::wire::{Error, Known, RequestHead};

/// What the `SCRIPT_NAME` that the front server sends is taken for.
///
/// Either way, `SCRIPT_NAME` comes out without a trailing `/` and `PATH_INFO` with a leading one; only the path of a mounted application
/// may be empty. Where the front server sends no `PATH_INFO` (SCGI of nginx and of Apache), the whole path is looked for in `DOCUMENT_URI`,
/// then in `SCRIPT_NAME`, then in `REQUEST_URI`, where it is percent-decoded; nothing else is ever decoded, for the front server has done
/// that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ScriptName {
    /// The prefix under which the application is mounted, and `PATH_INFO` is what comes after it.
    ///
    /// A `SCRIPT_NAME` without `PATH_INFO` is such a prefix if the whole path goes on after it, at a `/`. If not, it is the whole path, as
    /// with Apache's `mod_proxy_scgi`, and becomes `PATH_INFO`: a front server that means a prefix and nothing after it must send
    /// `PATH_INFO`, empty.
    #[default]
    Prefix,
    /// The front server's guess, which does not count: `SCRIPT_NAME` and `PATH_INFO` together are the path, and the application stands at
    /// its root.
    ///
    /// For lighttpd's `mod_scgi` without `fix-root-scriptname`, and others that take the first segment of a path for a script.
    Guess,
}

/// Makes both variables what the application expects (PEP 3333, clauses 14 and 15; D17).
///
/// # Errors
/// There is no path at all.
pub(crate) fn settle(head: &mut RequestHead, meaning: ScriptName) -> Result<(), Error> {
    match (head.get(Known::ScriptName).unwrap_or_default(), head.get(Known::PathInfo)) {
        // As nginx and most gateways send it: nothing to do.
        (b"", Some([b'/', ..])) => {
            if head.get(Known::ScriptName).is_none() {
                head.set(Known::ScriptName, b"");
            }
            return Ok(());
        }
        ([b'/', .., last], Some([b'/', ..])) if *last != b'/' && meaning == ScriptName::Prefix => return Ok(()),
        _ => {}
    }
    let mut script = head.get(Known::ScriptName).unwrap_or_default().to_vec();
    let mut path = match head.get(Known::PathInfo) {
        Some(path) => path.to_vec(),
        None => {
            let whole = whole(head)?;
            match after(&whole, &script) {
                Some(rest) if !script.is_empty() && !rest.is_empty() => rest.to_vec(),
                _ => {
                    script.clear();
                    whole
                }
            }
        }
    };
    let mut slash = false;
    while script.last() == Some(&b'/') {
        script.pop();
        slash = true;
    }
    if !script.is_empty() && script[0] != b'/' {
        script.insert(0, b'/');
    }
    // `/app/` and `x` are `/app` and `/x`; `/app` and nothing is the application's root without a slash, which is another path.
    if path.first() != Some(&b'/') && (slash || script.is_empty() || !path.is_empty()) {
        path.insert(0, b'/');
    }
    if meaning == ScriptName::Guess {
        script.append(&mut path);
        std::mem::swap(&mut script, &mut path);
    }
    head.set(Known::ScriptName, &script);
    head.set(Known::PathInfo, &path);
    Ok(())
}

/// Takes `SCRIPT_NAME` from the front of `PATH_INFO`, if it is there and ends at a `/`.
pub(crate) fn strip_script_name(head: &mut RequestHead) {
    let (Some(script), Some(path)) = (head.get(Known::ScriptName), head.get(Known::PathInfo)) else { return };
    let script = script.strip_suffix(b"/").unwrap_or(script);
    if script.is_empty() {
        return;
    }
    if let Some(rest) = after(path, script) {
        let rest = rest.to_vec();
        head.set(Known::PathInfo, &rest);
    }
}

/// What comes after `prefix` in `path`, if that is where a segment ends.
fn after<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(prefix).filter(|rest| matches!(rest, [] | [b'/', ..]))
}

/// The path as the front server saw it, decoded.
fn whole(head: &RequestHead) -> Result<Vec<u8>, Error> {
    if let Some(path) = present(head, Known::DocumentUri) {
        return Ok(path.to_vec());
    }
    // Before REQUEST_URI, which is what the client wrote: here dots are resolved, slashes merged and rewriting is done, and the front server's
    // rules for paths went by it.
    if let Some(path) = present(head, Known::ScriptName) {
        return Ok(path.to_vec());
    }
    let Some(uri) = present(head, Known::RequestUri) else {
        return Err(Error::malformed(
            "variables have no path, expected PATH_INFO, or one of DOCUMENT_URI, SCRIPT_NAME and REQUEST_URI to derive it from",
        ));
    };
    let mut decoded = RequestHead::default();
    decoded.target(uri)?;
    Ok(decoded.get(Known::PathInfo).unwrap_or_default().to_vec())
}

fn present(head: &RequestHead, name: Known) -> Option<&[u8]> {
    head.get(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(Known, &str)]) -> RequestHead {
        let mut head = RequestHead::default();
        for (name, value) in variables {
            head.set(*name, value.as_bytes());
        }
        head
    }

    fn both(head: &RequestHead) -> (&str, &str) {
        let text = |name| std::str::from_utf8(head.get(name).expect("is always there")).unwrap();
        (text(Known::ScriptName), text(Known::PathInfo))
    }

    use Known::{DocumentUri as Document, PathInfo as Path, RequestUri as Request, ScriptName as Script};

    #[test]
    fn prefix_and_path_come_out_right_for_each_front_server() {
        for (sent, expected) in [
            // nginx, `include uwsgi_params`
            (&[(Path, "/a/b"), (Request, "/a/b?q"), (Document, "/a/b")][..], ("", "/a/b")),
            // nginx, with a prefix of the operator's
            (&[(Script, "/app"), (Path, "/x")], ("/app", "/x")),
            (&[(Script, "/app"), (Path, "")], ("/app", "")),
            // the same, with a slash too many or too few
            (&[(Script, "/app/"), (Path, "/x")], ("/app", "/x")),
            (&[(Script, "/app/"), (Path, "x")], ("/app", "/x")),
            (&[(Script, "/app"), (Path, "x")], ("/app", "/x")),
            (&[(Script, "app"), (Path, "/x")], ("/app", "/x")),
            (&[(Script, "/app/"), (Path, "")], ("/app", "/")),
            // Apache, `ProxyPass /app/ uwsgi://…/`, asked for /app/
            (&[(Script, "/app/"), (Path, "/"), (Request, "/app/")], ("/app", "/")),
            // the server's root
            (&[(Script, "/"), (Path, "/x")], ("", "/x")),
            (&[(Script, "/"), (Path, "")], ("", "/")),
            (&[(Script, ""), (Path, "")], ("", "/")),
            (&[(Path, "")], ("", "/")),
            // nginx, `include scgi_params`
            (&[(Request, "/caf%C3%A9%2541?q"), (Document, "/café%41")], ("", "/café%41")),
            (&[(Request, "/caf%C3%A9%2541?q")], ("", "/café%41")),
            (&[(Request, "*")], ("", "/")),
            (&[(Request, "http://example.org/x?y")], ("", "/x")),
            (&[(Script, "/app"), (Document, "/app/x")], ("/app", "/x")),
            (&[(Script, "/app"), (Document, "/apple")], ("", "/apple")),
            // Apache, mod_proxy_scgi
            (&[(Script, "/a/b"), (Request, "/a/b?q")], ("", "/a/b")),
            (&[(Script, "/a/b")], ("", "/a/b")),
            (&[(Script, "/a/b"), (Request, "//a/./b")], ("", "/a/b")),
            // An empty variable is none, except PATH_INFO.
            (&[(Document, ""), (Request, ""), (Script, "/a")], ("", "/a")),
        ] {
            let mut head = of(sent);
            settle(&mut head, ScriptName::Prefix).unwrap();
            assert_eq!(both(&head), expected, "{sent:?}");
        }
    }

    #[test]
    fn a_guess_is_undone() {
        for (sent, expected) in [
            (&[(Script, "/foo"), (Path, "/bar")][..], ("", "/foo/bar")),
            (&[(Script, "/foo"), (Path, "")], ("", "/foo")),
            (&[(Script, "/foo")], ("", "/foo")),
            (&[(Script, "/"), (Path, "")], ("", "/")),
            (&[(Path, "/bar")], ("", "/bar")),
            (&[(Script, "/foo"), (Document, "/foo/bar")], ("", "/foo/bar")),
        ] {
            let mut head = of(sent);
            settle(&mut head, ScriptName::Guess).unwrap();
            assert_eq!(both(&head), expected, "{sent:?}");
        }
    }

    #[test]
    fn no_path_at_all_is_an_error_and_so_is_one_that_cannot_be_decoded() {
        for sent in [&[][..], &[(Script, "")], &[(Request, "/%zz")], &[(Request, "nonsense")]] {
            assert_eq!(settle(&mut of(sent), ScriptName::Prefix).unwrap_err().status(), 400, "{sent:?}");
        }
    }

    #[test]
    fn a_prefix_is_stripped_at_a_boundary_only() {
        for (script, path, expected) in [
            ("/app", "/app/x", "/x"),
            ("/app", "/app", ""),
            ("/app/", "/app/x", "/x"),
            ("/app", "/apple", "/apple"),
            ("/app", "/x", "/x"),
            ("/", "/x", "/x"),
            ("", "/x", "/x"),
        ] {
            let mut head = of(&[(Script, script), (Path, path)]);
            strip_script_name(&mut head);
            assert_eq!(both(&head), (script, expected));
        }
        let mut head = of(&[(Path, "/x")]);
        strip_script_name(&mut head);
        assert_eq!(head.get(Path), Some(&b"/x"[..]));
    }
}
