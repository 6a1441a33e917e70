//! What `--help` prints.

use std::fmt::Write as _;

use crate::options::{self, Entry, entries};
use crate::uwsgi::{self, Fate};

/// The options that are needed most, each in a line or two.
pub(crate) fn short() -> String {
    let mut text = String::from(INTRODUCTION);
    write_groups(&mut text, &MOST_NEEDED.iter().filter_map(|name| options::find(name)).collect::<Vec<_>>());
    text + "\nserve --help all lists all options; docs/options.md has them too, and docs/from-uwsgi.md is for those who come from uWSGI.\n"
}

/// All options, and the names of those of uWSGI's that do nothing.
pub(crate) fn all() -> String {
    let mut text = String::from(INTRODUCTION);
    write_groups(&mut text, &entries().collect::<Vec<_>>());
    for (fate, title) in
        [(Fate::Ignored, "Accepted and ignored"), (Fate::Refused, "Refused; serve --check FILE says why, and what to do instead")]
    {
        let names: Vec<&str> = uwsgi::rows().filter(|(other, _)| *other == fate).flat_map(|(_, row)| row.names).copied().collect();
        let _ = writeln!(text, "\n{title}:");
        for line in wrap(&names.join(", "), WIDTH - 2) {
            let _ = writeln!(text, "  {line}");
        }
    }
    text
}

fn write_groups(text: &mut String, entries: &[&Entry]) {
    let mut group = None;
    for entry in entries {
        if group != Some(entry.group) {
            group = Some(entry.group);
            let _ = writeln!(text, "\n{}:", entry.group.title());
        }
        write_entry(text, entry);
    }
}

/// The option in a column of its own, and its sentence beside it, or below where the option is too long.
fn write_entry(text: &mut String, entry: &Entry) {
    let letter = entry.short.map_or_else(|| "    ".to_owned(), |letter| format!("-{letter}, "));
    let value = entry.value.map(|value| format!(" {value}")).unwrap_or_default();
    let option = format!("  {letter}--{}{value}", entry.name);

    let mut sentence = entry.help.to_owned();
    let default = entry.default_value();
    if !default.is_empty() {
        let _ = write!(sentence, " [default:{NO_BREAK}{default}]");
    }
    if !entry.aliases.is_empty() {
        let aliases: Vec<String> = entry.aliases.iter().map(|alias| format!("--{alias}")).collect();
        let _ = write!(sentence, " [also: {}]", aliases.join(", "));
    }

    let mut lines = wrap(&sentence, WIDTH - COLUMN).into_iter();
    if option.len() < COLUMN {
        let _ = writeln!(text, "{option:COLUMN$}{}", lines.next().unwrap_or_default());
    } else {
        let _ = writeln!(text, "{option}");
    }
    for line in lines {
        let _ = writeln!(text, "{:COLUMN$}{line}", "");
    }
}

fn wrap(sentence: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in sentence.split(' ').map(|word| word.replace(NO_BREAK, " ")) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(&word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

const INTRODUCTION: &str = "\
Serves Python web applications (WSGI, PEP 3333).

Usage: serve [OPTIONS] [FILE.ini|FILE.toml]...

  serve                                                              a page that says that it works
  serve --module mysite.wsgi --chdir /srv/mysite --home /srv/venv    a Django project in a virtualenv
  serve --http :8000 --wsgi-file app.py --callable app --threads 4   a file, on all interfaces
  serve uwsgi.ini                                                    what a file of uWSGI's says
  serve --check uwsgi.ini                                            what would become of that file

Every option can stand in a file, or in a variable: WSGI_SERVE_THREADS=4 is --threads 4, as is UWSGI_THREADS=4.
TERM and INT end it gracefully, a second one cuts short what still runs, a third one ends it at once.
";

/// What `--help` shows, in the order of the table.
const MOST_NEEDED: &[&str] = &[
    "http",
    "https",
    "socket",
    "chmod-socket",
    "module",
    "wsgi-file",
    "callable",
    "mount",
    "static-map",
    "chdir",
    "home",
    "pythonpath",
    "env",
    "threads",
    "processes",
    "max-requests",
    "uid",
    "limit-post",
    "harakiri",
    "graceful-timeout",
    "ini",
    "config",
    "check",
    "log-level",
    "help",
    "version",
];

const WIDTH: usize = 100;
const COLUMN: usize = 36;
/// A space at which lines are not broken.
const NO_BREAK: char = '\u{a0}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shows_every_option_within_the_width() {
        let text = all();
        for entry in entries() {
            for name in entry.names() {
                assert!(text.contains(&format!("--{name}")), "{name}");
            }
            assert!(text.contains(&entry.default_value()), "{}", entry.name);
        }
        for (_, row) in uwsgi::rows() {
            assert!(row.names.iter().all(|name| text.contains(name)), "{:?}", row.names);
        }
        for line in text.lines().filter(|line| !line.starts_with("Every option") && !line.starts_with("TERM")) {
            assert!(line.len() <= WIDTH + 3 && line.trim_end() == line, "{line:?}");
        }
        let module = text.lines().find(|line| line.starts_with("  -w, --module MOD[:CALLABLE] ")).unwrap();
        assert!(module[COLUMN..].starts_with("Serve a callable"), "{module:?}");
        assert!(text.contains("[default: 127.0.0.1:8000]"), "{text}");
    }

    #[test]
    fn short_fits_on_a_screen_or_two_and_is_in_the_order_of_the_table() {
        let text = short();
        assert!(text.lines().count() < 100, "{text}");
        let at = |name: &&str| entries().position(|entry| entry.name == *name).expect("a chief name");
        assert!(MOST_NEEDED.is_sorted_by_key(at));
        assert!(MOST_NEEDED.iter().all(|name| text.contains(&format!("--{name}"))));
    }
}
