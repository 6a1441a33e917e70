//! `docs/options.md` says what the table says.

use std::fmt::Write as _;
use std::path::Path;

use crate::options::{Entry, entries};
use crate::uwsgi::{self, Fate, Row};

fn document() -> String {
    let mut text = String::from(HEAD);
    let mut group = None;
    for entry in entries() {
        if group != Some(entry.group) {
            group = Some(entry.group);
            let _ = write!(text, "\n### {}\n\n| option | what it does | default |\n|---|---|---|\n", entry.group.title());
        }
        write_entry(&mut text, entry);
    }
    for (fate, title, about) in SECTIONS {
        let _ = write!(text, "\n## {title}\n\n{about}\n\n| option | why |\n|---|---|\n");
        for (_, row) in uwsgi::rows().filter(|(other, _)| other == fate) {
            let _ = writeln!(text, "| {} | {} |", names(row), escaped(row.reason));
        }
    }
    text
}

fn write_entry(text: &mut String, entry: &Entry) {
    let value = entry.value.map(|value| format!(" {value}")).unwrap_or_default();
    let mut option = format!("`--{}{value}`", entry.name);
    for other in entry.short.iter().map(|letter| format!("-{letter}")).chain(entry.aliases.iter().map(|alias| format!("--{alias}"))) {
        let _ = write!(option, " `{other}`");
    }
    let mut what = entry.help.to_owned();
    if let Some(difference) = uwsgi::difference(entry.name) {
        let _ = write!(what, ". *From uWSGI:* {difference}");
    }
    let default = entry.default_value();
    let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
    let _ = writeln!(text, "| {option} | {} | {default} |", escaped(&what));
}

fn names(row: &Row) -> String {
    let names = row.names.iter().map(|name| format!("`{name}`"));
    names.chain(row.letter.map(|letter| format!("`-{letter}`"))).collect::<Vec<_>>().join(" ")
}

/// What Markdown would take for its own.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace(" *.", " \\*.")
}

const HEAD: &str = "\
# Options of `serve`

<!-- Made from the table of options: UPDATE_OPTIONS=1 cargo test -p wsgi-examples --bin serve document -->

Each option can be given on the command line (`--threads 4`, `--threads=4`), in an ini file as uWSGI reads it (`threads = 4` in the section
`[uwsgi]`), in TOML (`threads = 4`), and in a variable (`WSGI_SERVE_THREADS=4`, or uWSGI's own `UWSGI_THREADS=4`). The command line counts more
than `WSGI_SERVE_*`, these more than `UWSGI_*`, and these more than files; what may be repeated adds up. What is printed instead of serving
(`--check`, `--help`, `--help-all`, `--version`) is asked for on the command line alone. The grammar of files, and what differs
from uWSGI, is in [from-uwsgi.md](from-uwsgi.md). `serve --check FILE` says of a file, line by line, what becomes of it.

## Honoured
";

const SECTIONS: &[(Fate, &str, &str)] = &[
    (Fate::Ignored, "Accepted and ignored", "uWSGI's options that need nothing done. Each is told in one line when the server starts."),
    (
        Fate::Refused,
        "Refused",
        "The server does not start with one of these, since an application that relies on it would not run as its operator believes. Each says what to do\ninstead. With a value that asks for nothing, such as `cheaper = 0`, it is ignored. A name that ends in `*` stands for all that begin so: `cache*` for `cache2` and `cache-store`.",
    ),
];

#[test]
fn options_md_is_what_the_table_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").join("docs/options.md");
    let expected = document();
    if std::env::var_os("UPDATE_OPTIONS").is_some() {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("docs can be made");
        std::fs::write(&file, &expected).expect("docs/options.md can be written");
    }
    let stands = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(stands == expected, "docs/options.md is out of date: UPDATE_OPTIONS=1 cargo test -p wsgi-examples --bin serve document");
}
