//! `for` and `if`: lines that repeat those below them, or decide about them, up to their end.

use std::rc::Rc;

use super::World;

/// What is done with the lines up to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// Each line once for every item, which stands for `%(_)`.
    Repeat(Rc<[String]>),
    /// Each line once or not at all. The text stands for `%(_)`.
    When(bool, String),
}

/// Whether the key ends a block.
pub(super) fn ends(key: &str) -> bool {
    matches!(key, "end" | "endfor" | "endif" | "end-for" | "end-if")
}

/// Whether the key begins a block.
pub(super) fn begins(key: &str) -> bool {
    key == "for" || key.starts_with("for-") || key.starts_with("if-") || SHORT.iter().any(|(short, _)| *short == key)
}

/// The block that a key begins. `option` gives the value of a key that was set before.
///
/// # Errors
/// A sentence about what is not understood.
pub(super) fn begin(key: &str, value: &str, world: &World, option: impl Fn(&str) -> Option<String>) -> Result<Block, String> {
    let key = SHORT.iter().find(|(short, _)| *short == key).map_or(key, |(_, long)| long);
    match key {
        "for" => return Ok(Block::Repeat(value.split(' ').filter(|item| !item.is_empty()).map(str::to_owned).collect())),
        "for-times" => {
            let times: usize = value
                .parse()
                .ok()
                .filter(|times| *times <= MOST)
                .ok_or_else(|| format!("expected a number up to {MOST}, got {value:?}"))?;
            return Ok(Block::Repeat((1..=times).map(|number| number.to_string()).collect()));
        }
        _ => {}
    }
    let (negated, test) = match key.strip_prefix("if-") {
        Some(test) => test.strip_prefix("not-").map_or((false, test), |test| (true, test)),
        None => return Err(unsupported(key)),
    };
    let path = || world.absolute(value);
    // `NAME` or `NAME=VALUE`.
    let compare = |get: &dyn Fn(&str) -> Option<String>| {
        let (name, expected) = value.split_once('=').map_or((value, None), |(name, expected)| (name, Some(expected)));
        let got = get(name);
        (got.as_deref().is_some_and(|got| expected.is_none_or(|expected| got == expected)), got.unwrap_or_default())
    };
    let (holds, text) = match test {
        "env" => compare(&|name| world.variable(name).map(|value| value.to_string_lossy().into_owned())),
        "opt" | "option" => compare(&option),
        "exists" => (path().exists(), value.to_owned()),
        "file" => (path().is_file(), value.to_owned()),
        "dir" | "directory" => (path().is_dir(), value.to_owned()),
        "hostname" => (value == world.host, value.to_owned()),
        // A reload is a start here.
        "reload" => (false, String::new()),
        "plugin" => (BUILT_IN.iter().any(|name| value.starts_with(name)), value.to_owned()),
        _ => return Err(unsupported(key)),
    };
    Ok(Block::When(holds != negated, text))
}

fn unsupported(key: &str) -> String {
    let instead = match key {
        "for-glob" | "for-readline" => "write the items out with for",
        "if-hostname-match" | "if-not-hostname-match" => "write if-hostname",
        _ => {
            "there are for, for-times, if-env, if-opt, if-exists, if-file, if-dir, if-hostname, if-reload and if-plugin, the last eight also with if-not-"
        }
    };
    format!("{key} is not supported: {instead}")
}

/// Names of uWSGI's plugins whose work is done here, or how they begin.
const BUILT_IN: &[&str] = &["python", "http"];

/// Old names.
const SHORT: &[(&str, &str)] =
    &[("ifenv", "if-env"), ("ifexists", "if-exists"), ("ifplugin", "if-plugin"), ("iffile", "if-file"), ("ifdir", "if-dir")];

const MOST: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> World {
        World {
            variables: [("HOME".into(), "/root".into()), ("EMPTY".into(), "".into())].into(),
            directory: std::env::temp_dir(),
            host: "box".to_owned(),
            ..World::default()
        }
    }

    fn begun(key: &str, value: &str) -> Result<Block, String> {
        begin(key, value, &world(), |name| (name == "threads").then(|| "4".to_owned()))
    }

    #[test]
    fn conditions_hold_or_not() {
        for (key, value, holds) in [
            ("if-env", "HOME", true),
            ("ifenv", "HOME", true),
            ("if-env", "EMPTY", true),
            ("if-env", "HOME=/root", true),
            ("if-env", "HOME=/", false),
            ("if-env", "NONE", false),
            ("if-not-env", "NONE", true),
            ("if-not-env", "HOME=/", true),
            ("if-opt", "threads", true),
            ("if-opt", "threads=4", true),
            ("if-not-opt", "threads=5", true),
            ("if-exists", "/", true),
            ("if-exists", ".", true),
            ("if-not-exists", "/no/such", true),
            ("if-file", "/", false),
            ("if-dir", "/", true),
            ("if-not-dir", "/", false),
            ("if-hostname", "box", true),
            ("if-not-hostname", "box", false),
            ("if-reload", "", false),
            ("if-not-reload", "", true),
            ("if-plugin", "python3", true),
            ("if-plugin", "php", false),
        ] {
            assert!(matches!(begun(key, value), Ok(Block::When(got, _)) if got == holds), "{key} = {value}");
        }
        assert_eq!(begun("if-env", "HOME=/root"), Ok(Block::When(true, "/root".to_owned())));
    }

    #[test]
    fn loops_have_items() {
        assert_eq!(begun("for", " a  b "), Ok(Block::Repeat(["a".to_owned(), "b".to_owned()].into())));
        assert_eq!(begun("for-times", "2"), Ok(Block::Repeat(["1".to_owned(), "2".to_owned()].into())));
        assert_eq!(begun("for-times", "0"), Ok(Block::Repeat([].into())));
        assert_eq!(begun("for-times", "100000"), Err("expected a number up to 1000, got \"100000\"".to_owned()));
        for key in ["for-glob", "if-hostname-match", "if-moon"] {
            assert!(begins(key) && begun(key, "x").unwrap_err().starts_with(&format!("{key} is not supported: ")), "{key}");
        }
    }
}
