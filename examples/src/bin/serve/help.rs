//! What `--help` prints.

use std::fmt::Write as _;

use crate::options::{Entry, TABLE};

pub(crate) fn help() -> String {
    let mut text = String::from(INTRODUCTION);
    let mut group = None;
    for entry in TABLE {
        if group != Some(entry.group) {
            group = Some(entry.group);
            let _ = writeln!(text, "\n{}:", entry.group.title());
        }
        write_entry(&mut text, entry);
    }
    text
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

Usage: serve [OPTIONS]

  serve                                                              a page that says that it works
  serve --module mysite.wsgi --chdir /srv/mysite --home /srv/venv    a Django project in a virtualenv
  serve --http :8000 --wsgi-file app.py --callable app --threads 4   a file, on all interfaces

TERM and INT end it gracefully, a second one cuts short what still runs, a third one ends it at once.
";

const WIDTH: usize = 100;
const COLUMN: usize = 36;
/// A space at which lines are not broken.
const NO_BREAK: char = '\u{a0}';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_shows_every_option_within_the_width() {
        let text = help();
        for entry in TABLE {
            for name in entry.names() {
                assert!(text.contains(&format!("--{name}")), "{name}");
            }
            assert!(text.contains(&entry.default_value()), "{}", entry.name);
        }
        for line in text.lines() {
            assert!(line.len() <= WIDTH + 3 && line.trim_end() == line, "{line:?}");
        }
        let module = text.lines().find(|line| line.starts_with("  -w, --module MOD[:CALLABLE] ")).unwrap();
        assert!(module[COLUMN..].starts_with("Serve a callable"), "{module:?}");
        assert!(text.contains("[default: 127.0.0.1:8000]"), "{text}");
    }
}
