//! A command line, read by the table of options.

use std::ffi::{OsStr, OsString};

use lexopt::Arg;

use crate::configuration::meant;
use crate::grammar::{Fault, Origin, Reader};
use crate::options::{self, Entry};
use crate::uwsgi::{self, Takes};

/// Takes in all that a command line asks for. The first argument is the first option, not the program. Files that stand alone come last, as
/// uWSGI has it.
///
/// # Errors
/// One sentence that says what is wrong with which argument, or with which file that one names.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>, reader: &mut Reader) -> Result<(), Fault> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut files = Vec::new();
    while let Some(argument) = parser.next().map_err(|error| fault(wrong_syntax(&error)))? {
        let (key, shown, takes) = match argument {
            Arg::Long(name) => {
                let takes = takes(name).ok_or_else(|| fault(unknown(name)))?;
                (name.to_owned(), format!("--{name}"), takes)
            }
            Arg::Short(letter) => {
                let name = long_name(letter).ok_or_else(|| fault(unknown_letter(letter)))?;
                (name.to_owned(), format!("-{letter}"), takes(name).unwrap_or(Takes::Nothing))
            }
            Arg::Value(value) => {
                files.push(configuration_file(&value).ok_or_else(|| fault(unexpected(&value)))?.to_owned());
                continue;
            }
        };
        let value = match takes {
            Takes::Value => parser.value().map_err(|_| fault(missing(&key, &shown)))?,
            Takes::Maybe => possible_value(&mut parser).unwrap_or_default(),
            Takes::Nothing => OsString::new(),
        };
        let origin = Origin::Argument(shown);
        match key.as_str() {
            "help" if followed_by_all(&mut parser) => reader.give("help-all", value, origin)?,
            "check" => {
                let file = value.to_str().ok_or_else(|| origin.fault(format!("{value:?}: expected UTF-8")))?.to_owned();
                reader.give(&key, value, origin.clone())?;
                reader.load(&file, &origin)?;
            }
            _ => reader.give(&key, value, origin)?,
        }
    }
    files.iter().try_for_each(|file| reader.load(file, &Origin::Argument("the command line".to_owned())))
}

/// Whether a value follows the option, if there is one of this name.
fn takes(name: &str) -> Option<Takes> {
    match options::find(name) {
        Some(Entry { value: Some(kind), .. }) if kind.starts_with('[') => Some(Takes::Maybe),
        Some(Entry { value: Some(_), .. }) => Some(Takes::Value),
        Some(Entry { value: None, .. }) => Some(Takes::Nothing),
        None => uwsgi::find(name).map(|(_, row)| row.takes).or_else(|| logic(name)),
    }
}

/// uWSGI has its loops and conditions on the command line too.
fn logic(name: &str) -> Option<Takes> {
    match name {
        "else" | "end" | "endif" | "end-if" | "endfor" | "end-for" | "if-reload" | "if-not-reload" => Some(Takes::Nothing),
        "for" | "for-times" => Some(Takes::Value),
        _ => name.starts_with("if-").then_some(Takes::Value),
    }
}

fn long_name(letter: char) -> Option<&'static str> {
    let honoured = options::find_short(letter).map(|entry| entry.name);
    honoured.or_else(|| uwsgi::find_letter(letter).map(|(name, _)| name))
}

/// The value of an option that need not have one: the next argument, unless that is an option.
fn possible_value(parser: &mut lexopt::Parser) -> Option<OsString> {
    if let Some(value) = parser.optional_value() {
        return Some(value);
    }
    parser.try_raw_args()?.next_if(|next| !next.as_encoded_bytes().starts_with(b"-") && configuration_file(next).is_none())
}

/// `--help all`
fn followed_by_all(parser: &mut lexopt::Parser) -> bool {
    parser.try_raw_args().is_some_and(|mut rest| rest.next_if(|next| next == "all").is_some())
}

/// The argument, if it is the name of a file with options, possibly with its section.
fn configuration_file(argument: &OsStr) -> Option<&str> {
    let text = argument.to_str()?;
    let file = text.rsplit_once(':').map_or(text, |(file, _)| file);
    (file.ends_with(".ini") || text.ends_with(".ini") || text.ends_with(".toml")).then_some(text)
}

fn missing(key: &str, shown: &str) -> String {
    let kind = options::find(key).and_then(|entry| entry.value).unwrap_or("VALUE");
    format!("{shown} needs a value: {shown} {kind}")
}

fn unknown(name: &str) -> String {
    match meant(name) {
        Some(meant) => format!("unknown option --{name}: did you mean --{meant}?"),
        None => format!("unknown option --{name}: --help all lists all there are"),
    }
}

fn unknown_letter(letter: char) -> String {
    format!("unknown option -{letter}: --help all lists all there are")
}

fn unexpected(value: &OsStr) -> String {
    let text = value.to_string_lossy();
    if text.ends_with("gunicorn.conf.py") {
        format!("unexpected argument {value:?}: it is a program of Gunicorn's, docs/from-gunicorn.md says what its settings become")
    } else if text.ends_with(".py") {
        format!("unexpected argument {value:?}: to serve a file, write --wsgi-file {text}")
    } else if [".xml", ".yaml", ".yml", ".json"].iter().any(|end| text.ends_with(end)) {
        format!("unexpected argument {value:?}: only ini and TOML files are understood")
    } else {
        format!("unexpected argument {value:?}: to serve a module, write --module {text}")
    }
}

fn fault(sentence: String) -> Fault {
    Fault { origin: None, sentence }
}

/// What `lexopt` itself minds, which is a value where none belongs.
fn wrong_syntax(error: &lexopt::Error) -> String {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => format!("{option} takes no value, got {value:?}"),
        other => other.to_string(),
    }
}

/// The settings that a command line asks for where there is nothing else.
///
/// # Errors
/// The first thing that is wrong, in one sentence.
#[cfg(test)]
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<options::Settings, String> {
    let world = crate::grammar::World::default();
    let configuration = crate::configuration::load(arguments, world).map_err(|fault| fault.to_string())?;
    configuration.refusal().map_or(Ok(configuration.settings), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Action, Settings, entries};

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
        let reads = ["ini", "config", "include", "check", "set", "set-ph", "set-placeholder"];
        for entry in entries().filter(|entry| entry.value.is_some()) {
            for name in entry.names().filter(|name| !reads.contains(name)) {
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
    fn letters_stand_together_and_options_that_do_nothing_have_their_values() {
        let settings =
            parsed(&["-MTi", "-s:1", "--master", "--memory-report", "full", "--log-date", "--threads=3", "-p1", "-w", "a"]).unwrap();
        assert_eq!((settings.listen.len(), settings.threads, settings.module.as_deref()), (1, 3, Some("a")));
        let settings = parsed(&["-Mp4"]).unwrap();
        assert_eq!((settings.processes.master, settings.processes.count), (true, 4));
        let settings =
            parsed(&["--for=1 2", "--http=:%(_)", "--endfor", "--set-ph", "n=4", "--threads=%(n)", "-S", "buffer-size=9000"]).unwrap();
        assert_eq!((settings.listen.len(), settings.threads, settings.limits.head_bytes), (2, 4, 9000));
    }

    #[test]
    fn what_is_wrong_is_one_sentence() {
        for (arguments, sentence) in [
            (&["--modul", "x"][..], "unknown option --modul: did you mean --module?"),
            (&["--wsgi_file=x"], "unknown option --wsgi_file: did you mean --wsgi-file?"),
            (&["--thread", "4"], "unknown option --thread: did you mean --threads?"),
            (&["--bind", ":80"], "unknown option --bind: did you mean --http?"),
            (&["--xyzzy"], "unknown option --xyzzy: --help all lists all there are"),
            (&["-q"], "unknown option -q: --help all lists all there are"),
            (&["--module"], "--module needs a value: --module MOD[:CALLABLE]"),
            (&["-w"], "-w needs a value: -w MOD[:CALLABLE]"),
            (&["--harakiri-queue-threshold"], "--harakiri-queue-threshold needs a value: --harakiri-queue-threshold VALUE"),
            (&["--help=me"], "--help takes no value, got \"me\""),
            (&["mysite.wsgi"], "unexpected argument \"mysite.wsgi\": to serve a module, write --module mysite.wsgi"),
            (&["app.py"], "unexpected argument \"app.py\": to serve a file, write --wsgi-file app.py"),
            (
                &["gunicorn.conf.py"],
                "unexpected argument \"gunicorn.conf.py\": it is a program of Gunicorn's, docs/from-gunicorn.md says what its settings become",
            ),
            (&["app.xml"], "unexpected argument \"app.xml\": only ini and TOML files are understood"),
            (&["/no/x.ini"], "the command line: cannot read \"/no/x.ini\": No such file or directory (os error 2)"),
            (&["/no/x.toml"], "the command line: cannot read \"/no/x.toml\": No such file or directory (os error 2)"),
            (&["--ini", "/no/x.ini:a"], "--ini: cannot read \"/no/x.ini\": No such file or directory (os error 2)"),
            (&["--threads", "x"], "--threads \"x\": expected a number from 1 to 4096"),
            (&["--threads=%(n)"], "--threads: nothing is called \"n\", for which threads has the placeholder %(n)"),
            (&["--set-ph", "threads=4"], "--set-ph: threads is an option, and cannot be a placeholder"),
        ] {
            assert_eq!(parsed(arguments).unwrap_err(), sentence);
        }
    }

    #[test]
    fn help_and_version_are_asked_for() {
        assert_eq!(parsed(&["-h"]).unwrap().action, Action::Help);
        assert_eq!(parsed(&["--help", "--threads=1"]).unwrap().action, Action::Help);
        assert_eq!(parsed(&["--help", "all"]).unwrap().action, Action::HelpAll);
        assert_eq!(parsed(&["--help-all"]).unwrap().action, Action::HelpAll);
        assert_eq!(parsed(&["--version"]).unwrap().action, Action::Version);
        assert_eq!(parsed(&[]).unwrap().action, Action::Serve);
    }
}
