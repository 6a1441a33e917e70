//! A command line, read by the table of options.

use std::ffi::{OsStr, OsString};

use lexopt::Arg;

use crate::nearest::nearest;
use crate::options::{self, Entry, Settings, TABLE};

/// The settings that a command line asks for. The first argument is the first option, not the program.
///
/// # Errors
/// One sentence that says what is wrong with which argument.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Settings, String> {
    let mut settings = Settings::default();
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next().map_err(|error| wrong_syntax(&error))? {
        let (entry, shown) = match argument {
            Arg::Long(name) => (options::find(name).ok_or_else(|| unknown(name))?, format!("--{name}")),
            Arg::Short(letter) => (options::find_short(letter).ok_or_else(|| unknown_letter(letter))?, format!("-{letter}")),
            Arg::Value(value) => return Err(unexpected(&value)),
        };
        match entry.value {
            Some(kind) => {
                let value = parser.value().map_err(|_| format!("{shown} needs a value: {shown} {kind}"))?;
                options::set(&mut settings, entry, &shown, &value)?;
            }
            None => options::set(&mut settings, entry, &shown, OsStr::new(""))?,
        }
    }
    Ok(settings)
}

fn unknown(name: &str) -> String {
    match nearest(name, TABLE.iter().flat_map(Entry::names)) {
        Some(meant) => format!("unknown option --{name}: did you mean --{meant}?"),
        None => format!("unknown option --{name}: --help lists all there are"),
    }
}

fn unknown_letter(letter: char) -> String {
    format!("unknown option -{letter}: --help lists all there are")
}

fn unexpected(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    if text.ends_with(".py") {
        format!("unexpected argument {value:?}: to serve a file, write --wsgi-file {text}")
    } else {
        format!("unexpected argument {value:?}: to serve a module, write --module {text}")
    }
}

/// What `lexopt` itself minds, which is a value where none belongs.
fn wrong_syntax(error: &lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => format!("{option} takes no value, got {value:?}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Action;

    fn parsed(arguments: &[&str]) -> Result<Settings, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn values_follow_a_space_or_an_equals_sign() {
        for arguments in
            [&["--threads", "4", "-w", "mysite.wsgi"][..], &["--threads=4", "-wmysite.wsgi"], &["--threads=4", "-w=mysite.wsgi"]]
        {
            let settings = parsed(arguments).unwrap();
            assert_eq!((settings.threads, settings.module.as_deref()), (4, Some("mysite.wsgi")), "{arguments:?}");
        }
    }

    #[test]
    fn every_name_is_taken_in_both_forms() {
        for entry in TABLE.iter().filter(|entry| entry.value.is_some()) {
            for name in entry.names() {
                // What is wrong, if anything, is the value.
                let [apart, joined] = [parsed(&[&format!("--{name}"), "x"]), parsed(&[&format!("--{name}=x")])];
                let texts = [apart.err().unwrap_or_default(), joined.err().unwrap_or_default()];
                assert_eq!(texts[0], texts[1]);
                assert!(texts[0].is_empty() || texts[0].starts_with(&format!("--{name} \"x\": ")), "{}", texts[0]);
            }
        }
    }

    #[test]
    fn a_repeatable_option_adds_up_and_another_takes_the_last() {
        let settings = parsed(&["--http", ":1", "--http", ":2", "--pp", "a", "--pythonpath=b", "--threads=1", "--threads=2"]).unwrap();
        assert_eq!(settings.listen.len(), 2);
        assert_eq!(settings.python_path, [std::path::Path::new("a"), std::path::Path::new("b")]);
        assert_eq!(settings.threads, 2);
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        for (arguments, sentence) in [
            (&["--modul", "x"][..], "unknown option --modul: did you mean --module?"),
            (&["--wsgi_file=x"], "unknown option --wsgi_file: did you mean --wsgi-file?"),
            (&["--thread", "4"], "unknown option --thread: did you mean --threads?"),
            (&["--xyzzy"], "unknown option --xyzzy: --help lists all there are"),
            (&["-q"], "unknown option -q: --help lists all there are"),
            (&["--module"], "--module needs a value: --module MOD[:CALLABLE]"),
            (&["-w"], "-w needs a value: -w MOD[:CALLABLE]"),
            (&["--help=me"], "--help takes no value, got \"me\""),
            (&["mysite.wsgi"], "unexpected argument \"mysite.wsgi\": to serve a module, write --module mysite.wsgi"),
            (&["app.py"], "unexpected argument \"app.py\": to serve a file, write --wsgi-file app.py"),
            (&["--threads", "x"], "--threads \"x\": expected a number from 1 to 4096"),
        ] {
            assert_eq!(parsed(arguments).unwrap_err(), sentence);
        }
    }

    #[test]
    fn help_and_version_are_asked_for() {
        assert_eq!(parsed(&["-h"]).unwrap().action, Action::Help);
        assert_eq!(parsed(&["--version"]).unwrap().action, Action::Version);
        assert_eq!(parsed(&[]).unwrap().action, Action::Serve);
    }
}
