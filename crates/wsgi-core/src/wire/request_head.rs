//! One request's CGI variables, flat in one buffer.

use std::ops::Range;

use super::known::fold;
use super::{Error, Known};

/// One request's CGI variables (RFC 3875, 4.1), flat in one buffer that the next request reuses.
///
/// Codecs fill it: those that carry CGI variables with [`variable`](Self::variable), HTTP with [`target`](Self::target) and
/// [`field`](Self::field), which are the one home of the rules for `HTTP_*` names, underscores, duplicates and percent-encoding. Values are
/// bytes, as they were sent; nothing is assumed about their encoding.
///
/// ```
/// use wsgi_core::wire::{Known, RequestHead, Underscores};
///
/// let mut head = RequestHead::default();
/// head.set(Known::RequestMethod, b"GET");
/// head.target(b"/caf%C3%A9?q=%20")?;
/// head.field(b"Accept-Language", b"fr", Underscores::Drop)?;
/// assert_eq!(head.get(Known::PathInfo), Some("/café".as_bytes()));
/// assert_eq!(head.get(Known::QueryString), Some(&b"q=%20"[..]));
/// assert_eq!(head.get(Known::HttpAcceptLanguage), Some(&b"fr"[..]));
/// # Ok::<(), wsgi_core::wire::Error>(())
/// ```
#[derive(Clone)]
pub struct RequestHead {
    text: Vec<u8>,
    variables: Vec<Variable>,
    /// One more than the index into `variables` of each known name, 0 where absent.
    index: [u32; Known::COUNT],
    body: BodyLength,
}

#[derive(Clone)]
struct Variable {
    name: NameRef,
    value: Range<u32>,
}

#[derive(Clone)]
enum NameRef {
    Known(Known),
    Other(Range<u32>),
}

impl NameRef {
    fn of<'a>(&self, text: &'a [u8]) -> Name<'a> {
        match self {
            NameRef::Known(known) => Name::Known(*known),
            NameRef::Other(range) => Name::Other(&text[range.start as usize..range.end as usize]),
        }
    }
}

/// The name of a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name<'a> {
    /// One of the names that nearly every request carries.
    Known(Known),
    /// Any other, in its CGI spelling (`HTTP_X_FOO`).
    Other(&'a [u8]),
}

impl Name<'_> {
    /// The CGI spelling.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Name::Known(known) => known.as_str().as_bytes(),
            Name::Other(name) => name,
        }
    }
}

/// How long the body of a request is, as far as its head tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// There is none.
    #[default]
    Empty,
    /// As many bytes as `CONTENT_LENGTH` says; at least one.
    Known(u64),
    /// Until the protocol says that it ends (chunked HTTP, a FastCGI stream without `CONTENT_LENGTH`).
    Unknown,
}

/// What happens to an HTTP field with `_` in its name, which CGI cannot tell from `-`: a peer could use it to forge the field that a proxy
/// sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Underscores {
    /// The field is left out, as nginx does by default.
    #[default]
    Drop,
    /// The request is refused.
    Refuse,
    /// The field is kept, and joins the one with `-` if both are there.
    Keep,
}

impl Default for RequestHead {
    fn default() -> Self {
        RequestHead { text: Vec::new(), variables: Vec::new(), index: [0; Known::COUNT], body: BodyLength::Empty }
    }
}

impl RequestHead {
    /// Forgets everything but the memory, so that the next request costs no allocation.
    pub fn clear(&mut self) {
        self.text.clear();
        self.text.shrink_to(KEPT_BYTES);
        self.variables.clear();
        self.index = [0; Known::COUNT];
        self.body = BodyLength::Empty;
    }

    /// Sets a known variable, replacing what it was.
    pub fn set(&mut self, name: Known, value: &[u8]) {
        let value = self.push(value);
        self.place(name, value);
    }

    /// Takes away a known variable.
    pub fn remove(&mut self, name: Known) {
        let at = std::mem::take(&mut self.index[name as usize]);
        if at != 0 {
            self.variables.remove(at as usize - 1);
            for other in &mut self.index {
                *other -= u32::from(*other > at);
            }
        }
    }

    /// Takes away every variable that `keep` says no to, by its name.
    pub fn retain(&mut self, mut keep: impl FnMut(Name<'_>) -> bool) {
        let text = &self.text;
        self.variables.retain(|variable| keep(variable.name.of(text)));
        self.index = [0; Known::COUNT];
        for (at, variable) in self.variables.iter().enumerate() {
            if let NameRef::Known(known) = variable.name {
                self.index[known as usize] = at as u32 + 1;
            }
        }
    }

    /// Makes one known variable a part of another's value, without copying it. What of the part is beyond that value does not count.
    pub fn share(&mut self, name: Known, from: Known, part: Range<usize>) {
        let whole = match self.index[from as usize] {
            0 => 0..0,
            at => self.variables[at as usize - 1].value.clone(),
        };
        let end = whole.start + part.end.min(whole.len()) as u32;
        let start = end.min(whole.start + part.start.min(whole.len()) as u32);
        self.place(name, start..end);
    }

    /// Takes a variable of a protocol that carries CGI variables (uwsgi, FastCGI, SCGI). The last of several with one name counts.
    ///
    /// Left out are `HTTP_CONTENT_TYPE` and `HTTP_CONTENT_LENGTH`, which repeat `CONTENT_TYPE` and `CONTENT_LENGTH` (nginx sends both), and
    /// `HTTP_PROXY`, which programs mistake for an environment variable ("httpoxy").
    pub fn variable(&mut self, name: &[u8], value: &[u8]) {
        if matches!(name, b"HTTP_CONTENT_TYPE" | b"HTTP_CONTENT_LENGTH" | b"HTTP_PROXY") {
            return;
        }
        match Known::from_variable(name) {
            Some(known) => self.set(known, value),
            None => {
                let value = self.push(value);
                match self.find_other(|other| other == name) {
                    Some(at) => self.variables[at].value = value,
                    None => {
                        let name = self.push(name);
                        self.variables.push(Variable { name: NameRef::Other(name), value });
                    }
                }
            }
        }
    }

    /// Takes a field of an HTTP request. `name` is a token (RFC 9110, 5.1) in any case; the codec has checked that.
    ///
    /// Repeated fields are joined with `,`, and `Cookie` with `; ` (RFC 9110, 5.3; RFC 9113, 8.2.3). `Proxy` is left out.
    ///
    /// # Errors
    /// A second `Host`, `Content-Length` or `Content-Type`, of which there must be one; a `_` where it is to be refused.
    pub fn field(&mut self, name: &[u8], value: &[u8], underscores: Underscores) -> Result<(), Error> {
        if let Some(known) = Known::from_field(name) {
            let at = self.index[known as usize] as usize;
            if at == 0 {
                self.set(known, value);
                return Ok(());
            }
            let separator: &[u8] = match known {
                Known::HttpHost | Known::ContentLength | Known::ContentType => {
                    return Err(Error::malformed(format!("request has more than one {} field", String::from_utf8_lossy(name))));
                }
                Known::HttpCookie => b"; ",
                _ => b",",
            };
            self.append(at - 1, separator, value);
            return Ok(());
        }
        // Only now, for none of the known names has one.
        if name.contains(&b'_') {
            return match underscores {
                Underscores::Drop => Ok(()),
                Underscores::Refuse => {
                    Err(Error::malformed(format!("field name {:?} contains an underscore", String::from_utf8_lossy(name))))
                }
                Underscores::Keep => {
                    let name: Vec<u8> = name.iter().map(|&byte| if byte == b'_' { b'-' } else { byte }).collect();
                    self.field(&name, value, underscores)
                }
            };
        }
        if name.eq_ignore_ascii_case(b"Proxy") {
            return Ok(());
        }
        let same = |other: &[u8]| {
            other
                .strip_prefix(b"HTTP_")
                .is_some_and(|other| other.len() == name.len() && other.iter().zip(name).all(|(&a, &b)| a == fold(b)))
        };
        match self.find_other(same) {
            Some(at) => self.append(at, b",", value),
            None => {
                let start = self.text.len();
                self.text.extend_from_slice(b"HTTP_");
                self.text.extend(name.iter().map(|&byte| fold(byte)));
                let name = start as u32..self.text.len() as u32;
                let value = self.push(value);
                self.variables.push(Variable { name: NameRef::Other(name), value });
            }
        }
        Ok(())
    }

    /// Takes the target of an HTTP request line (RFC 9112, 3.2): `PATH_INFO` with percent-encoding undone once, `QUERY_STRING` as it is, and
    /// the whole as `REQUEST_URI` and `RAW_URI`.
    ///
    /// Of an absolute target (`http://host/path`), the authority is `HTTP_HOST`, and the `Host` field must not replace it (RFC 9112, 3.2.2):
    /// it is set here, so the codec leaves that field out. `*` is the server as a whole; WSGI has no word for that, and gets `/`, with the
    /// `*` in `REQUEST_URI`. A `;` in the path is a part of it.
    ///
    /// # Errors
    /// A target that is none of these, or a `%` without two hexadecimal digits.
    pub fn target(&mut self, target: &[u8]) -> Result<(), Error> {
        let mut rest = target;
        if target == b"*" {
            rest = b"/";
        } else if target.first() != Some(&b'/') {
            let (authority, path) = absolute(target).ok_or_else(|| {
                Error::malformed(format!("request target {:?} is neither a path nor a URI", String::from_utf8_lossy(target)))
            })?;
            self.set(Known::HttpHost, authority);
            rest = path;
        }
        let (path, query) = match rest.iter().position(|&byte| byte == b'?') {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &rest[..0]),
        };
        let start = self.text.len();
        if path.is_empty() {
            self.text.push(b'/');
        }
        let mut path = path;
        while let Some(at) = path.iter().position(|&byte| byte == b'%') {
            self.text.extend_from_slice(&path[..at]);
            let digits = path.get(at + 1..at + 3).and_then(|pair| Some(hex(pair[0])? << 4 | hex(pair[1])?));
            self.text.push(digits.ok_or_else(|| Error::malformed("request target has a '%' without two hexadecimal digits"))?);
            path = &path[at + 3..];
        }
        self.text.extend_from_slice(path);
        let end = self.text.len();
        self.place(Known::PathInfo, start as u32..end as u32);
        self.set(Known::QueryString, query);
        let uri = self.push(target);
        self.place(Known::RequestUri, uri.clone());
        self.place(Known::RawUri, uri);
        Ok(())
    }

    /// Says how long the body is.
    pub fn set_body(&mut self, body: BodyLength) {
        self.body = body;
    }

    /// How long the body is.
    pub fn body(&self) -> BodyLength {
        self.body
    }

    /// The value of a known variable.
    pub fn get(&self, name: Known) -> Option<&[u8]> {
        match self.index[name as usize] {
            0 => None,
            at => Some(self.bytes(&self.variables[at as usize - 1].value)),
        }
    }

    /// The value of any variable, by its CGI name.
    pub fn get_named(&self, name: &[u8]) -> Option<&[u8]> {
        match Known::from_variable(name) {
            Some(known) => self.get(known),
            None => self.find_other(|other| other == name).map(|at| self.bytes(&self.variables[at].value)),
        }
    }

    /// Whether the request came by TLS, as far as its variables tell: D15, `HTTPS` and `REQUEST_SCHEME` come from the server in front, or from the
    /// codec; never from a field of the request.
    pub(crate) fn is_secure(&self) -> bool {
        let is =
            |name, expected: &[&[u8]]| self.get(name).is_some_and(|value| expected.iter().any(|text| value.eq_ignore_ascii_case(text)));
        is(Known::Https, &[b"on", b"1", b"https"]) || is(Known::RequestScheme, &[b"https"])
    }

    /// Every variable once, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (Name<'_>, &[u8])> {
        self.variables.iter().map(|variable| (variable.name.of(&self.text), self.bytes(&variable.value)))
    }

    fn bytes(&self, range: &Range<u32>) -> &[u8] {
        &self.text[range.start as usize..range.end as usize]
    }

    fn push(&mut self, bytes: &[u8]) -> Range<u32> {
        let start = self.text.len() as u32;
        self.text.extend_from_slice(bytes);
        start..self.text.len() as u32
    }

    fn place(&mut self, name: Known, value: Range<u32>) {
        match self.index[name as usize] {
            0 => {
                self.variables.push(Variable { name: NameRef::Known(name), value });
                self.index[name as usize] = self.variables.len() as u32;
            }
            at => self.variables[at as usize - 1].value = value,
        }
    }

    /// Joins a repeated field to the variable at `at`; in place if that was the last thing written.
    fn append(&mut self, at: usize, separator: &[u8], value: &[u8]) {
        let Range { start, end } = self.variables[at].value;
        let mut start = start as usize;
        if end as usize != self.text.len() {
            let copy = self.text.len();
            self.text.extend_from_within(start..end as usize);
            start = copy;
        }
        self.text.extend_from_slice(separator);
        self.text.extend_from_slice(value);
        self.variables[at].value = start as u32..self.text.len() as u32;
    }

    fn find_other(&self, same: impl Fn(&[u8]) -> bool) -> Option<usize> {
        self.variables.iter().position(|variable| matches!(&variable.name, NameRef::Other(name) if same(self.bytes(name))))
    }
}

impl std::fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        f.debug_map().entries(self.iter().map(|(name, value)| (text(name.as_bytes()), text(value)))).finish()
    }
}

/// Splits `scheme://authority/path` into authority and the rest; none if it is no such URI.
fn absolute(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let scheme = target.iter().position(|&byte| byte == b':')?;
    if !target[..scheme].eq_ignore_ascii_case(b"http") && !target[..scheme].eq_ignore_ascii_case(b"https") {
        return None;
    }
    let rest = target[scheme..].strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    // RFC 9110, 4.2.1 and 4.2.4: an empty host is invalid, and user information is to be treated as an error.
    if end == 0 || rest[..end].contains(&b'@') {
        return None;
    }
    Some((&rest[..end], &rest[end..]))
}

pub(super) fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// What one head keeps for the next; a larger one gives its memory back.
const KEPT_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn of_target(target: &str) -> Result<RequestHead, Error> {
        let mut head = RequestHead::default();
        head.target(target.as_bytes()).map(|()| head)
    }

    #[test]
    fn the_path_is_decoded_once_and_the_query_not_at_all() {
        for (target, path, query) in [
            ("/", "/", ""),
            ("/a%2Fb%20c?x=%41", "/a/b c", "x=%41"),
            ("/%2541", "/%41", ""),
            ("/a;b=c?d?e", "/a;b=c", "d?e"),
            ("//a//b", "//a//b", ""),
            ("/?", "/", ""),
            ("*", "/", ""),
            ("http://example.org", "/", ""),
            ("HTTP://example.org:80?q", "/", "q"),
            ("http://example.org/a%20b?q", "/a b", "q"),
        ] {
            let head = of_target(target).unwrap();
            assert_eq!(head.get(Known::PathInfo), Some(path.as_bytes()), "{target}");
            assert_eq!(head.get(Known::QueryString), Some(query.as_bytes()), "{target}");
            assert_eq!(head.get(Known::RequestUri), Some(target.as_bytes()));
            assert_eq!(head.get(Known::RawUri), Some(target.as_bytes()));
        }
        assert_eq!(of_target("http://example.org:8080/").unwrap().get(Known::HttpHost), Some(&b"example.org:8080"[..]));
    }

    #[test]
    fn targets_that_are_none_of_the_four_forms_are_refused() {
        for target in ["", "a", "/%", "/%4", "/%zz", "/%+1", "ftp://h/", "http:/h", "http:///x", "http://u@h/", "example.org:443"] {
            assert!(of_target(target).is_err(), "{target}");
        }
    }

    #[test]
    fn repeated_fields_are_joined_wherever_their_values_lie() {
        let mut head = RequestHead::default();
        for (name, value) in
            [("X-A", "1"), ("Cookie", "a=1"), ("x-a", "2"), ("Accept", "q"), ("X-A", "3"), ("cookie", "b=2"), ("ACCEPT", "r")]
        {
            head.field(name.as_bytes(), value.as_bytes(), Underscores::Drop).unwrap();
        }
        assert_eq!(head.get_named(b"HTTP_X_A"), Some(&b"1,2,3"[..]));
        assert_eq!(head.get(Known::HttpCookie), Some(&b"a=1; b=2"[..]));
        assert_eq!(head.get(Known::HttpAccept), Some(&b"q,r"[..]));
        assert_eq!(head.iter().count(), 3);
    }

    #[test]
    fn fields_of_which_there_is_one_are_refused_when_repeated() {
        for name in ["Host", "Content-Length", "Content-Type"] {
            let mut head = RequestHead::default();
            head.field(name.as_bytes(), b"1", Underscores::Drop).unwrap();
            let error = head.field(name.to_lowercase().as_bytes(), b"1", Underscores::Drop).unwrap_err();
            assert_eq!(error.status(), 400);
        }
    }

    #[test]
    fn underscores_and_proxy_cannot_forge_a_variable() {
        let mut head = RequestHead::default();
        head.field(b"X-User", b"alice", Underscores::Drop).unwrap();
        head.field(b"X_User", b"mallory", Underscores::Drop).unwrap();
        head.field(b"Content_Length", b"5", Underscores::Drop).unwrap();
        head.field(b"PROXY", b"http://evil", Underscores::Drop).unwrap();
        head.variable(b"HTTP_PROXY", b"http://evil");
        assert_eq!(head.get_named(b"HTTP_X_USER"), Some(&b"alice"[..]));
        assert_eq!(head.iter().count(), 1);
        assert!(head.field(b"X_User", b"mallory", Underscores::Refuse).is_err());
        head.field(b"X_User", b"bob", Underscores::Keep).unwrap();
        assert_eq!(head.get_named(b"HTTP_X_USER"), Some(&b"alice,bob"[..]));
        head.field(b"x_forwarded-for", b"::1", Underscores::Keep).unwrap();
        assert_eq!(head.get(Known::HttpXForwardedFor), Some(&b"::1"[..]));
    }

    #[test]
    fn what_is_left_is_found_where_it_was() {
        let mut head = RequestHead::default();
        for (name, value) in [("HTTP_X_A", "1"), ("PATH_INFO", "/a"), ("HTTP_X_B", "2"), ("HTTP_HOST", "h"), ("QUERY_STRING", "q")] {
            head.variable(name.as_bytes(), value.as_bytes());
        }
        head.retain(|name| !matches!(name, Name::Known(Known::PathInfo) | Name::Other(b"HTTP_X_A")));
        let seen: Vec<_> = head.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        assert_eq!(
            seen,
            [("HTTP_X_B", "2"), ("HTTP_HOST", "h"), ("QUERY_STRING", "q")]
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
        );
        assert_eq!((head.get(Known::PathInfo), head.get_named(b"HTTP_X_A")), (None, None));
        assert_eq!((head.get(Known::HttpHost), head.get(Known::QueryString)), (Some(&b"h"[..]), Some(&b"q"[..])));
        head.set(Known::PathInfo, b"/b");
        assert_eq!(head.get(Known::PathInfo), Some(&b"/b"[..]));
    }

    #[test]
    fn variables_replace_and_are_removed() {
        let mut head = RequestHead::default();
        head.variable(b"X", b"1");
        head.variable(b"PATH_INFO", b"/a");
        head.variable(b"QUERY_STRING", b"q");
        head.variable(b"X", b"2");
        head.variable(b"HTTP_CONTENT_LENGTH", b"9");
        head.share(Known::RawUri, Known::PathInfo, 1..9);
        head.share(Known::DocumentUri, Known::RequestUri, 0..1);
        assert_eq!((head.get(Known::RawUri), head.get(Known::DocumentUri)), (Some(&b"a"[..]), Some(&b""[..])));
        for name in [Known::RawUri, Known::DocumentUri, Known::PathInfo, Known::PathInfo] {
            head.remove(name);
        }
        let seen: Vec<_> = head.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        assert_eq!(seen, [(b"X".to_vec(), b"2".to_vec()), (b"QUERY_STRING".to_vec(), b"q".to_vec())]);
        assert_eq!(head.get(Known::QueryString), Some(&b"q"[..]));
        head.clear();
        assert_eq!(head.iter().count(), 0);
        assert_eq!(head.get(Known::QueryString), None);
    }
}
