//! The lines of an ini file, as uWSGI reads them.

/// A key and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    pub(super) content: Content<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// `[name]`
    Section(&'a str),
    /// `key = value`, or a key alone, whose value is empty.
    Pair(&'a str, &'a str),
    /// A section's head without its end.
    Broken,
}

/// All lines that say something. Comments take whole lines: what follows a value belongs to it.
pub(super) fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split('\n').enumerate().filter_map(|(index, line)| {
        let line = trim(line);
        let content = match line.chars().next()? {
            '#' | ';' => return None,
            '[' => line[1..].strip_suffix(']').map_or(Content::Broken, Content::Section),
            _ => {
                let (key, value) = line.split_once('=').unwrap_or((line, ""));
                Content::Pair(trim(key), trim(value))
            }
        };
        Some(Line { number: index + 1, content })
    })
}

/// uWSGI knows these and no others.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, Content<'_>)> {
        lines(text).map(|line| (line.number, line.content)).collect()
    }

    #[test]
    fn pairs_sections_comments_and_bare_keys() {
        use Content::{Broken, Pair, Section};
        let text = "\u{feff}# one\n[uwsgi]\r\n; two\n  http = :80 \r\n\nmaster\nenv = A=B # c\nempty =\n=x\n[open\nlast=1";
        let expected = [
            (2, Section("uwsgi")),
            (4, Pair("http", ":80")),
            (6, Pair("master", "")),
            (7, Pair("env", "A=B # c")),
            (8, Pair("empty", "")),
            (9, Pair("", "x")),
            (10, Broken),
            (11, Pair("last", "1")),
        ];
        assert_eq!(read(text), expected);
        assert_eq!(read(""), []);
        assert_eq!(read("["), [(1, Broken)]);
    }
}
