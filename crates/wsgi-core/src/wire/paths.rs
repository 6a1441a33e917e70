//! Where the application's own path begins: `SCRIPT_NAME` and `PATH_INFO`, which front servers fill in different ways.
//!
//! HTTP has one path, CGI has two variables, and the servers that speak uwsgi, FastCGI or SCGI were made for scripts that are files: many send
//! the whole path as `SCRIPT_NAME` and no `PATH_INFO`. A WSGI application wants the prefix under which it is mounted in `SCRIPT_NAME`, and the
//! path after it in `PATH_INFO` (PEP 3333, "environ Variables"). A codec fills its [`RequestHead`] with what was sent, and then calls
//! [`Paths::apply`].
//!
//! **Percent-encoding.** `SCRIPT_NAME`, `PATH_INFO` and `DOCUMENT_URI` arrive decoded and are never decoded again. `REQUEST_URI` arrives as
//! the client sent it, and is decoded once where it has to be used.
//!
//! **Out of scope:** which application a path belongs to ([`Mount`](crate::Mount)), and merging of slashes or dots in a path.

use std::fmt;
use std::str::FromStr;

use super::request_head::hex;
use super::{Error, Known, RequestHead};

/// How a request's path is found and split.
///
/// What front servers send for `/app/x%20y` when the application is theirs from `/` on, and where they contradict each other:
///
/// | front server | `SCRIPT_NAME` | `PATH_INFO` | right with |
/// |---|---|---|---|
/// | nginx, `fastcgi_params` | `/app/x y` | – | [`Auto`](PathRule::Auto) |
/// | the same, with `fastcgi_param PATH_INFO $fastcgi_script_name` | `/app/x y` | `/app/x y` | `Auto` |
/// | nginx, `uwsgi_params` | – | `/app/x y` | `Auto` |
/// | nginx, `scgi_params` | – | – (`DOCUMENT_URI` is `/app/x y`) | `Auto` |
/// | Apache, `ProxyPass … fcgi:` | `/app/x y` | – | `Auto` |
/// | the same, with `proxy-fcgi-pathinfo` | `/app/x y` | `/app/x%20y`, not decoded | `Auto` |
/// | HAProxy, `fcgi-app` | `/app/x y` | – | `Auto` |
/// | Caddy, `transport fastcgi` | empty | `/app/x y` | `Auto` |
/// | lighttpd, `"/" =>` with `fix-root-scriptname` | empty | `/app/x y` | `Auto` |
/// | lighttpd, `"/" =>` without it | `/app` | `/x y` | [`Whole`](PathRule::Whole) |
///
/// And when the front server was told that the application is mounted at `/app`:
///
/// | front server | `SCRIPT_NAME` | `PATH_INFO` | right with |
/// |---|---|---|---|
/// | any of the first table | the whole path, or nothing | the whole path, or nothing | `Auto` and [`mount("/app")`](Paths::mount) |
/// | lighttpd, `"/app" =>`; HAProxy, `path-info`; Caddy, `split`; nginx, `fastcgi_split_path_info`; Apache, `SetHandler` | `/app` | `/x y` | `Auto` |
/// | those, for `/app` itself | `/app` | – or empty | `Auto` and `mount("/app")`, for it looks like a whole path |
///
/// ```
/// use wsgi_core::wire::{Known, PathRule, Paths, RequestHead};
///
/// let mut head = RequestHead::default();
/// head.set(Known::ScriptName, b"/app/x y"); // as nginx does it
/// Paths::new(PathRule::Auto).mount("/app").apply(&mut head)?;
/// assert_eq!(head.get(Known::ScriptName), Some(&b"/app"[..]));
/// assert_eq!(head.get(Known::PathInfo), Some(&b"/x y"[..]));
/// # Ok::<(), wsgi_core::wire::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Paths {
    rule: PathRule,
    mount: Vec<u8>,
}

/// Which of a front server's variables are believed. An empty variable is as good as none (RFC 3875, 4.1), in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PathRule {
    /// Where the front server sends both variables, it has split the path, and both stay; unless both are the whole path. Where it sends one,
    /// that is the whole path, and where it sends none, `DOCUMENT_URI` is, or else `REQUEST_URI`. A whole path is split behind the mount
    /// prefix, `SCRIPT_NAME := prefix, PATH_INFO := what comes after`; the prefix is empty by default.
    #[default]
    Auto,
    /// Both variables are right as they are, also if one is missing. The mount prefix means nothing.
    Given,
    /// However the front server splits the path, it is put together again and split behind the mount prefix.
    Whole,
    /// The path is what the client asked for in `REQUEST_URI`, decoded here, and split behind the mount prefix; without that variable as
    /// [`Whole`](PathRule::Whole).
    ///
    /// For front servers that rewrite the path on its way to a script. The application sees slashes and dots that the front server has
    /// merged away, so what it protects by path (`location /admin`) may be reached by another.
    RequestUri,
}

impl Paths {
    /// Finds paths by this rule. The mount prefix is empty.
    pub fn new(rule: PathRule) -> Paths {
        Paths { rule, mount: Vec::new() }
    }

    /// Sets the prefix under which the front server shows the application, such as `/app`, decoded. A trailing `/` means nothing.
    ///
    /// It matches at a `/` only: `/app` takes `/app` and `/app/x`. A path that it does not match, such as `/apple`, stays whole in
    /// `PATH_INFO`, with an empty `SCRIPT_NAME`.
    pub fn mount(mut self, prefix: &str) -> Paths {
        let prefix = prefix.trim_matches('/');
        self.mount = if prefix.is_empty() { Vec::new() } else { format!("/{prefix}").into_bytes() };
        self
    }

    /// Makes `SCRIPT_NAME` and `PATH_INFO` of a request what WSGI wants. Without any path in its variables, a request gets an empty
    /// `PATH_INFO`.
    ///
    /// # Errors
    /// A `REQUEST_URI` that has to be decoded and cannot be.
    pub fn apply(&self, head: &mut RequestHead) -> Result<(), Error> {
        match self.rule {
            PathRule::Given => {
                for name in [Known::ScriptName, Known::PathInfo] {
                    if head.get(name).is_none() {
                        head.set(name, b"");
                    }
                }
                Ok(())
            }
            PathRule::RequestUri if present(head, Known::RequestUri) => self.split_decoded(head),
            rule => self.split_variables(head, rule == PathRule::Auto),
        }
    }

    fn split_variables(&self, head: &mut RequestHead, believe: bool) -> Result<(), Error> {
        let script = head.get(Known::ScriptName).unwrap_or_default();
        let info = head.get(Known::PathInfo).unwrap_or_default();
        match (script, info) {
            (b"" | b"/", b"") if present(head, Known::DocumentUri) => self.split(head, Known::DocumentUri),
            (b"", b"") if present(head, Known::RequestUri) => return self.split_decoded(head),
            (_, b"") => match head.get(Known::DocumentUri).and_then(|whole| after(whole, script)) {
                // nginx with `fastcgi_split_path_info`, but no `PATH_INFO`.
                Some(b"") | None => self.split(head, Known::ScriptName),
                Some(rest) if believe => {
                    let end = script.len() + rest.len();
                    head.share(Known::PathInfo, Known::DocumentUri, script.len()..end);
                    lead(head);
                }
                Some(_) => self.split(head, Known::DocumentUri),
            },
            (b"" | b"/", _) => self.split(head, Known::PathInfo),
            _ if repeats(script, info, head.get(Known::RequestUri)) => self.split(head, Known::ScriptName),
            (_, info) => {
                let script = script.strip_suffix(b"/").unwrap_or(script);
                let (end, slash) = (script.len(), slash(info));
                if believe && !slash.is_empty() {
                    let info = [slash, info].concat();
                    head.set(Known::PathInfo, &info);
                } else if !believe {
                    let whole = [script, slash, info].concat();
                    head.set(Known::PathInfo, &whole);
                    self.split(head, Known::PathInfo);
                    return Ok(());
                }
                head.share(Known::ScriptName, Known::ScriptName, 0..end);
                lead(head);
            }
        }
        Ok(())
    }

    /// Splits the whole path, which is in the variable `from`.
    fn split(&self, head: &mut RequestHead, from: Known) {
        let whole = head.get(from).unwrap_or_default();
        if !whole.is_empty() && whole[0] != b'/' {
            let whole = [b"/", whole].concat();
            head.set(Known::PathInfo, &whole);
            return self.split(head, Known::PathInfo);
        }
        // Without a prefix, none is compared: an empty vector has no memory, and there some processors take 70 ns to compare nothing.
        let cut = if !self.mount.is_empty() && after(whole, &self.mount).is_some() { self.mount.len() } else { 0 };
        // Both become parts of the same text, so `from` is replaced last.
        let [first, second] = match from {
            Known::ScriptName => [(Known::PathInfo, cut..whole.len()), (Known::ScriptName, 0..cut)],
            _ => [(Known::ScriptName, 0..cut), (Known::PathInfo, cut..whole.len())],
        };
        for (name, part) in [first, second] {
            head.share(name, from, part);
        }
    }

    /// Splits the path of `REQUEST_URI`.
    fn split_decoded(&self, head: &mut RequestHead) -> Result<(), Error> {
        let path = head.get(Known::RequestUri).and_then(path_of);
        let path = path.ok_or_else(|| Error::malformed("REQUEST_URI is neither a path nor a URI"))?;
        let whole = decoded(path).collect::<Option<Vec<u8>>>();
        let whole = whole.ok_or_else(|| Error::malformed("REQUEST_URI has a '%' without two hexadecimal digits"))?;
        head.set(Known::PathInfo, &whole);
        self.split(head, Known::PathInfo);
        Ok(())
    }
}

impl FromStr for PathRule {
    type Err = UnknownPathRule;

    /// `auto`, `given`, `whole` or `request-uri`.
    fn from_str(text: &str) -> Result<PathRule, UnknownPathRule> {
        NAMES.iter().find(|(name, _)| *name == text).map(|&(_, rule)| rule).ok_or_else(|| UnknownPathRule(text.to_owned()))
    }
}

impl fmt::Display for PathRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAMES.iter().find(|(_, rule)| rule == self).map_or("", |(name, _)| name))
    }
}

/// A text that names no [`PathRule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown rule for paths {0:?}, expected auto, given, whole or request-uri")]
pub struct UnknownPathRule(String);

/// Puts a `/` in front of a script's name that has none; an empty one stays so.
fn lead(head: &mut RequestHead) {
    let script = head.get(Known::ScriptName).unwrap_or_default();
    if !script.is_empty() && script[0] != b'/' {
        let script = [b"/", script].concat();
        head.set(Known::ScriptName, &script);
    }
}

fn present(head: &RequestHead, name: Known) -> bool {
    head.get(name).is_some_and(|value| !value.is_empty())
}

/// What comes after `prefix`, where that ends at a `/` or with the path.
fn after<'a>(path: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    path.strip_prefix(prefix).filter(|rest| matches!(rest, [] | [b'/', ..]))
}

/// What stands between a prefix and this rest of a path.
fn slash(rest: &[u8]) -> &'static [u8] {
    if rest.starts_with(b"/") { b"" } else { b"/" }
}

/// Whether `script` is already the whole path that the client asked for, and `info` says it again: as it is, or not decoded.
///
/// The request's own target decides, since `/a/a` below the mount `/a` is sent as `/a` twice too.
fn repeats(script: &[u8], info: &[u8], uri: Option<&[u8]>) -> bool {
    let Some(path) = uri.and_then(path_of) else { return false };
    (info == script || info == path) && decoded(path).eq(script.iter().copied().map(Some))
}

/// The path of a request's target: without a query, and without the scheme and authority of the absolute form (RFC 9112, 3.2).
fn path_of(target: &[u8]) -> Option<&[u8]> {
    let path = &target[..target.iter().position(|&byte| byte == b'?').unwrap_or(target.len())];
    match path {
        [b'/', ..] => Some(path),
        // The server as a whole, for which CGI has no word.
        b"*" => Some(b"/"),
        _ => {
            let rest = &path[path.windows(3).position(|window| window == b"://")? + 3..];
            Some(rest.iter().position(|&byte| byte == b'/').map_or(b"/", |slash| &rest[slash..]))
        }
    }
}

/// The bytes of a percent-encoded path; `None` in place of a `%` that two hexadecimal digits do not follow.
pub(crate) fn decoded(path: &[u8]) -> impl Iterator<Item = Option<u8>> + '_ {
    let mut rest = path;
    std::iter::from_fn(move || {
        let (&first, others) = rest.split_first()?;
        rest = others;
        if first != b'%' {
            return Some(Some(first));
        }
        let byte = others.get(..2).and_then(|pair| Some(hex(pair[0])? << 4 | hex(pair[1])?));
        rest = others.get(2..).unwrap_or_default();
        Some(byte)
    })
}

const NAMES: [(&str, PathRule); 4] =
    [("auto", PathRule::Auto), ("given", PathRule::Given), ("whole", PathRule::Whole), ("request-uri", PathRule::RequestUri)];

#[cfg(test)]
mod tests {
    use super::*;
    use Known::{DocumentUri as Document, PathInfo as Info, RequestUri as Uri, ScriptName as Script};

    type Sent<'a> = &'a [(Known, &'a str)];

    fn applied(paths: &Paths, sent: Sent<'_>) -> Result<RequestHead, Error> {
        let mut head = RequestHead::default();
        for (name, value) in sent {
            head.set(*name, value.as_bytes());
        }
        paths.apply(&mut head).map(|()| head)
    }

    #[track_caller]
    fn check(paths: &Paths, sent: Sent<'_>, script: &str, info: &str) {
        let head = applied(paths, sent).unwrap();
        let text = |name| std::str::from_utf8(head.get(name).expect("is always there")).unwrap();
        assert_eq!((text(Script), text(Info)), (script, info), "{paths:?} of {sent:?}");
        let others = sent.iter().filter(|(name, _)| ![Script, Info].contains(name));
        others.for_each(|(name, value)| assert_eq!(head.get(*name), Some(value.as_bytes()), "{name:?} is changed"));
    }

    /// What each server really sends for `/app/caf%C3%A9%20%2541?q=1` (nginx 1.22, Apache 2.4.71, lighttpd 1.4.69, HAProxy 2.6, Caddy 2.6).
    const URI: (Known, &str) = (Uri, "/app/caf%C3%A9%20%2541?q=1");
    const WHOLE: &str = "/app/café %41";

    #[test]
    fn a_whole_path_is_found_wherever_the_front_server_puts_it() {
        for sent in [
            // nginx, fastcgi_params
            &[(Script, WHOLE), URI, (Document, WHOLE)][..],
            // nginx with a PATH_INFO of its own
            &[(Script, WHOLE), (Info, WHOLE), URI, (Document, WHOLE)],
            &[(Script, WHOLE), (Info, ""), URI, (Document, WHOLE)],
            // nginx, uwsgi_params and scgi_params
            &[(Info, WHOLE), URI, (Document, WHOLE)],
            &[URI, (Document, WHOLE)],
            // Apache, plain and with proxy-fcgi-pathinfo
            &[(Script, WHOLE), URI],
            &[(Script, WHOLE), (Info, "/app/caf%C3%A9%20%2541"), URI],
            // HAProxy
            &[URI, (Script, WHOLE)],
            // Caddy
            &[(Script, ""), (Info, WHOLE), URI, (Document, "")],
            // lighttpd with fix-root-scriptname
            &[URI, (Script, ""), (Info, WHOLE)],
            // whoever sends nothing else
            &[URI],
            &[(Uri, "http://example.org/app/caf%C3%A9%20%2541")],
        ] {
            check(&Paths::default(), sent, "", WHOLE);
            check(&Paths::new(PathRule::Whole), sent, "", WHOLE);
            check(&Paths::new(PathRule::RequestUri), sent, "", WHOLE);
            check(&Paths::default().mount("/app"), sent, "/app", "/café %41");
            check(&Paths::new(PathRule::Whole).mount("/app"), sent, "/app", "/café %41");
            check(&Paths::new(PathRule::RequestUri).mount("/app"), sent, "/app", "/café %41");
            check(&Paths::default().mount("/ap"), sent, "", WHOLE);
        }
    }

    #[test]
    fn a_path_that_the_front_server_has_split_stays_split() {
        for sent in [
            // lighttpd at a prefix, HAProxy with path-info, Apache with SetHandler
            &[(Script, "/app"), (Info, "/café %41"), URI][..],
            // Caddy with split
            &[(Script, "/app"), (Info, "/café %41"), URI, (Document, "/app")],
            // nginx with fastcgi_split_path_info, with and without PATH_INFO
            &[(Script, "/app"), (Info, "/café %41"), URI, (Document, WHOLE)],
            &[(Script, "/app"), URI, (Document, WHOLE)],
        ] {
            check(&Paths::default(), sent, "/app", "/café %41");
            check(&Paths::default().mount("/app"), sent, "/app", "/café %41");
        }
        // At the prefix itself only the mount tells a prefix from a whole path.
        for sent in [&[(Script, "/app"), (Uri, "/app")][..], &[(Script, "/app"), (Info, ""), (Uri, "/app"), (Document, "/app")]] {
            check(&Paths::default(), sent, "", "/app");
            check(&Paths::default().mount("/app/"), sent, "/app", "");
        }
        // A path below the mount that repeats its name is no whole path.
        check(&Paths::default(), &[(Script, "/a"), (Info, "/a"), (Uri, "/a/a")], "/a", "/a");
        check(&Paths::default(), &[(Script, "/a"), (Info, "/a"), (Uri, "/a")], "", "/a");
        // Rewritten on the way: /app to /app/index.
        check(&Paths::default(), &[(Script, "/app"), (Info, "/index"), (Uri, "/app")], "/app", "/index");
    }

    #[test]
    fn a_wrong_split_is_undone_where_that_is_asked_for() {
        // lighttpd at "/" without fix-root-scriptname
        let sent = &[(Script, "/app"), (Info, "/café %41"), URI];
        check(&Paths::new(PathRule::Whole), sent, "", WHOLE);
        check(&Paths::new(PathRule::Whole).mount("/other"), sent, "", WHOLE);
        check(&Paths::new(PathRule::Given), sent, "/app", "/café %41");
        check(&Paths::new(PathRule::Given).mount("/app"), &[(Script, WHOLE)], WHOLE, "");
        check(&Paths::new(PathRule::Given), &[(Info, "/x")], "", "/x");
        // A front server that rewrites.
        let sent = &[(Script, "/index.py"), (Info, ""), (Uri, "/a%2Fb//c/../d?x")];
        check(&Paths::new(PathRule::RequestUri), sent, "", "/a/b//c/../d");
        check(&Paths::new(PathRule::RequestUri), &[(Script, "/a"), (Info, "/b")], "", "/a/b");
    }

    #[test]
    fn the_root_is_a_path_and_not_a_script() {
        for sent in [
            &[(Script, "/"), (Uri, "/")][..],
            &[(Script, "/"), (Info, "/"), (Uri, "/")],
            &[(Script, "/"), (Info, ""), (Uri, "/?q")],
            &[(Script, ""), (Info, "/"), (Uri, "/")],
            &[(Uri, "*")],
            &[(Uri, "http://example.org")],
        ] {
            check(&Paths::default(), sent, "", "/");
            check(&Paths::new(PathRule::Whole), sent, "", "/");
        }
        check(&Paths::default(), &[(Script, "/"), (Info, "/x")], "", "/x");
        check(&Paths::default(), &[(Script, "/"), (Info, "x")], "", "/x");
        for sent in [&[(Script, "/a/"), (Info, "x")], &[(Script, "/a"), (Info, "x")], &[(Script, "/a/"), (Info, "/x")]] {
            check(&Paths::default(), sent, "/a", "/x");
            check(&Paths::new(PathRule::Whole), sent, "", "/a/x");
        }
        // Whoever leaves out the first slash.
        for sent in [&[(Script, "a/x")][..], &[(Info, "a/x")], &[(Script, "a"), (Info, "x")]] {
            check(&Paths::new(PathRule::Whole), sent, "", "/a/x");
            check(&Paths::default().mount("/a"), sent, "/a", "/x");
        }
        check(&Paths::default(), &[(Script, "a/"), (Info, "/x")], "/a", "/x");
        check(&Paths::default(), &[], "", "");
        check(&Paths::default(), &[(Uri, "")], "", "");
    }

    #[test]
    fn a_mount_matches_at_a_slash_only() {
        for (mount, script, info) in [
            ("/app", "/app", "/x/y"),
            ("app/", "/app", "/x/y"),
            ("/app/x", "/app/x", "/y"),
            ("/app/x/y", "/app/x/y", ""),
            ("/ap", "", "/app/x/y"),
            ("/app/x/y/z", "", "/app/x/y"),
            ("/", "", "/app/x/y"),
            ("", "", "/app/x/y"),
        ] {
            check(&Paths::default().mount(mount), &[(Script, "/app/x/y")], script, info);
            check(&Paths::default().mount(mount), &[(Info, "/app/x/y")], script, info);
        }
    }

    #[test]
    fn a_target_that_cannot_be_decoded_is_refused_only_where_it_is_needed() {
        for uri in ["/%", "/%4", "/%zz", "/a%+1", "a", "?q"] {
            assert_eq!(applied(&Paths::default(), &[(Uri, uri)]).unwrap_err().status(), 400, "{uri}");
            let path = format!("/{}", uri.trim_start_matches('/'));
            check(&Paths::default(), &[(Script, uri), (Uri, uri)], "", &path);
            check(&Paths::default(), &[(Script, uri), (Info, "/x"), (Uri, uri)], &path, "/x");
        }
    }

    #[test]
    fn rules_have_names() {
        for (name, rule) in NAMES {
            assert_eq!(name.parse(), Ok(rule));
            assert_eq!(rule.to_string(), name);
        }
        assert_eq!(
            "Auto".parse::<PathRule>().unwrap_err().to_string(),
            "unknown rule for paths \"Auto\", expected auto, given, whole or request-uri"
        );
    }
}
