//! From the path of a request to the name of a file below a folder.

/// A name relative to a folder. It has no empty component, none that is `.` or `..`, and no NUL; an empty one is the folder itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) path: Vec<u8>,
    /// A `/` came last, so a folder is meant.
    pub(super) folder: bool,
}

impl Name {
    /// The file that a decoded path names. `None`: it names none.
    ///
    /// Empty components do not count, as in the file system. `.` and `..` name nothing: clients resolve them before they ask (RFC 3986, 5.2.4), and
    /// whoever sends them would have one file under many paths. Percent-encoding was undone before, once, so that an encoded `/` is one like any
    /// other; a backslash is a letter of a name. A component that begins with a dot names nothing unless `dotfiles`, but for `.well-known` at the
    /// top (RFC 8615).
    pub(super) fn of(path: &[u8], dotfiles: bool) -> Option<Name> {
        let mut name = Vec::with_capacity(path.len());
        for component in path.split(|&byte| byte == b'/').filter(|component| !component.is_empty()) {
            let hidden = component[0] == b'.' && !dotfiles && !(name.is_empty() && component == b".well-known");
            if hidden || matches!(component, b"." | b"..") || component.contains(&0) {
                return None;
            }
            if !name.is_empty() {
                name.push(b'/');
            }
            name.extend_from_slice(component);
        }
        Some(Name { path: name, folder: path.is_empty() || path.ends_with(b"/") })
    }

    /// The name of something in the folder that this is.
    pub(super) fn join(&self, name: &str) -> Vec<u8> {
        if self.path.is_empty() { name.as_bytes().to_vec() } else { [&self.path, b"/".as_slice(), name.as_bytes()].concat() }
    }
}

/// Where a path without a `/` at its end is sent to, so that what the page links to is found beside it.
///
/// The reference is relative, so that whatever stands before the path on its way here stays; and it begins with `./`, so that it can be taken
/// neither for another host (`//host`) nor for a scheme (`a:`). It is relative to what the client has asked for, which is `uri` where the protocol
/// tells: what it has written as `%2F` separates nothing there.
pub(super) fn with_slash(uri: &[u8], path: &[u8], query: &[u8]) -> Vec<u8> {
    let last = |path| <[u8]>::rsplit(path, |&byte| byte == b'/').next().unwrap_or_default();
    let written = last(uri.split(|&byte| byte == b'?').next().unwrap_or_default());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte);
    let mut reference = b"./".to_vec();
    if written.is_empty() {
        encode(last(path), plain, &mut reference);
    } else {
        encode(written, |byte| plain(byte) || byte == b'%', &mut reference);
    }
    reference.push(b'/');
    if !query.is_empty() {
        reference.push(b'?');
        // It is encoded already, or ought to be.
        encode(query, |byte| byte.is_ascii_graphic(), &mut reference);
    }
    reference
}

fn encode(text: &[u8], keeps: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    for &byte in text {
        if keeps(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Random;
    use super::*;

    #[test]
    fn paths_and_the_files_they_name() {
        for (path, name) in [
            ("/css/base.css", Some(("css/base.css", false))),
            ("css/base.css", Some(("css/base.css", false))),
            ("//css///base.css", Some(("css/base.css", false))),
            ("/css/", Some(("css", true))),
            ("/", Some(("", true))),
            ("", Some(("", true))),
            ("/a b\\c\u{e9}", Some(("a b\\c\u{e9}", false))),
            ("/..\\..\\etc", None),
            ("/...", None),
            ("/a..b/c.", Some(("a..b/c.", false))),
            ("/.well-known/acme", Some((".well-known/acme", false))),
            ("/a/.well-known/acme", None),
            ("/.well-known/.x", None),
            ("/.git/config", None),
            ("/a/.env", None),
            ("/..", None),
            ("/a/../b", None),
            ("/a/./b", None),
            ("/.", None),
            ("/a\0b", None),
        ] {
            let name = name.map(|(path, folder)| Name { path: path.as_bytes().to_vec(), folder });
            assert_eq!(Name::of(path.as_bytes(), false), name, "{path:?}");
        }
        assert!(Name::of(b"/.git/config", true).is_some() && Name::of(b"/...", true).is_some());
        assert!(Name::of(b"/../x", true).is_none() && Name::of(b"/x/.", true).is_none());
    }

    #[test]
    fn a_name_never_leaves_its_folder_whatever_the_path() {
        let mut random = Random::new(2);
        for _ in 0..200_000 {
            let path: Vec<u8> = (0..random.below(14)).map(|_| *random.of(b"/..ab\0\\")).collect();
            for dotfiles in [false, true] {
                let Some(name) = Name::of(&path, dotfiles) else { continue };
                let path = std::path::Path::new(std::str::from_utf8(&name.path).unwrap());
                assert!(path.components().all(|component| matches!(component, std::path::Component::Normal(_))), "{path:?}");
                assert_eq!(path.components().collect::<std::path::PathBuf>().as_os_str(), path.as_os_str());
                assert!(!name.path.contains(&0));
            }
        }
    }

    #[test]
    fn a_redirection_stays_where_it_is() {
        for (path, query, reference) in [
            ("/static/admin", "", "./admin/"),
            ("/static", "a=b&c", "./static/?a=b&c"),
            ("//evil.example", "", "./evil.example/"),
            ("/javascript:alert(1)", "", "./javascript:alert(1)/"),
            ("/a b\r\nX: y\u{e9}", "", "./a%20b%0D%0AX:%20y%C3%A9/"),
            ("/a?b#c", "", "./a%3Fb%23c/"),
            ("/a%2e\\b", "x\r\ny", "./a%252e%5Cb/?x%0D%0Ay"),
        ] {
            assert_eq!(String::from_utf8(with_slash(b"", path.as_bytes(), query.as_bytes())).unwrap(), reference);
        }
        for (uri, reference) in [
            ("/static%2Fadmin?x", "./static%2Fadmin/"),
            ("//evil.example", "./evil.example/"),
            ("http://host/a:b", "./a:b/"),
            ("/a\r\n\\#", "./a%0D%0A%5C%23/"),
            ("/", "./admin/"),
        ] {
            assert_eq!(String::from_utf8(with_slash(uri.as_bytes(), b"/static/admin", b"")).unwrap(), reference);
        }
    }
}
