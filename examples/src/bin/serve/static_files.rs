//! The options of static files: how they are written, and what they put in front of the application.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use regex::bytes::{Regex, RegexBuilder};
use wsgi_core::files::{Served, StaticFiles};

use crate::Failure;

/// What the options say. Relative paths count from `--chdir`.
#[derive(Clone, Debug, Default)]
pub(crate) struct StaticSettings {
    pub(crate) places: Vec<Place>,
    pub(crate) safe: Vec<PathBuf>,
    pub(crate) indexes: Vec<String>,
    pub(crate) skipped: Vec<String>,
    pub(crate) mime_files: Vec<PathBuf>,
    pub(crate) expiries: Vec<Expiry>,
    pub(crate) dotfiles: bool,
}

/// Where files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// `--static-map /PREFIX=PATH`
    Map(String, PathBuf),
    /// `--static-map2 /PREFIX=DIR`
    MapWhole(String, PathBuf),
    /// `--check-static DIR`
    Check(PathBuf),
}

/// How long copies of some files are fresh.
#[derive(Clone, Debug)]
pub(crate) struct Expiry {
    subject: Subject,
    seconds: u64,
    since: Since,
}

/// Which files.
#[derive(Clone, Debug)]
enum Subject {
    /// By what they are called.
    Matching(Against, Regex),
    /// With this type.
    Type(String),
}

/// What a pattern is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Against {
    /// The path of the file.
    Path,
    PathInfo,
    RequestUri,
}

/// Since when the seconds are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Since {
    Now,
    /// The file's last change.
    Change,
}

impl StaticSettings {
    /// Opens every folder and reads every file of types. `None`: there are no static files to serve.
    ///
    /// # Errors
    /// The first that is not there, or makes no sense.
    pub(crate) fn open(&self, chdir: &Path) -> Result<Option<StaticFiles>, Failure> {
        if self.places.is_empty() {
            return Ok(None);
        }
        let mut files = StaticFiles::new().dotfiles(self.dotfiles);
        for place in &self.places {
            files = match place {
                Place::Map(prefix, path) => files.map(prefix, chdir.join(path)),
                Place::MapWhole(prefix, path) => files.map_whole(prefix, chdir.join(path)),
                Place::Check(path) => files.check(chdir.join(path)),
            }
            .map_err(|error| Failure::mistake(place.option(), place.path().to_string_lossy(), error))?;
        }
        for path in &self.safe {
            let safe = files.safe(chdir.join(path));
            files = safe.map_err(|error| Failure::mistake("static-safe", path.to_string_lossy(), error))?;
        }
        for name in &self.indexes {
            files = files.index(name);
        }
        for end in &self.skipped {
            files = files.skip(end);
        }
        for path in &self.mime_files {
            let typed = with_types(files, &chdir.join(path));
            files = typed.map_err(|error| Failure::mistake("mime-file", path.to_string_lossy(), error))?;
        }
        if !self.expiries.is_empty() {
            let expiries = self.expiries.clone();
            files = files.fresh_for(move |file| expiries.iter().find_map(|expiry| expiry.of(file)));
        }
        Ok(Some(files))
    }

    /// Each place in a line, for the start.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.places.iter().map(|place| match place {
            Place::Map(prefix, path) => format!("files at {prefix} from {}", path.display()),
            Place::MapWhole(prefix, path) => format!("files at {prefix} from {}", path.join(prefix.trim_matches('/')).display()),
            Place::Check(path) => format!("files from {}", path.display()),
        })
    }
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Place::Map(_, path) | Place::MapWhole(_, path) | Place::Check(path) => path,
        }
    }

    fn option(&self) -> &'static str {
        match self {
            Place::Map(..) => "static-map",
            Place::MapWhole(..) => "static-map2",
            Place::Check(_) => "check-static",
        }
    }
}

impl Expiry {
    /// Reads `PATTERN SECONDS`.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn matching(text: &str, against: Against, since: Since) -> Result<Expiry, String> {
        let expected = "expected a pattern, a space and seconds, such as '\\.css$ 3600'";
        let (pattern, seconds) = text.rsplit_once(' ').ok_or(expected)?;
        let seconds = seconds_in(seconds).ok_or(expected)?;
        // Paths are bytes. The last line of what is wrong with a pattern says it; those before show where.
        let regex = RegexBuilder::new(pattern.trim_end()).unicode(false).build().map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default();
            format!("the pattern is not understood: {}", reason.trim_start_matches("error: "))
        })?;
        Ok(Expiry { subject: Subject::Matching(against, regex), seconds, since })
    }

    /// Reads `TYPE=SECONDS`.
    ///
    /// # Errors
    /// What was expected instead.
    pub(crate) fn of_type(text: &str, since: Since) -> Result<Expiry, String> {
        let expected = "expected a type, '=' and seconds, such as text/css=3600";
        let (kind, seconds) = text.split_once('=').filter(|(kind, _)| kind.contains('/')).ok_or(expected)?;
        let seconds = seconds_in(seconds).ok_or(expected)?;
        Ok(Expiry { subject: Subject::Type(kind.trim().to_ascii_lowercase()), seconds, since })
    }

    /// How long a copy of the file is fresh; nothing if this is not about it.
    fn of(&self, file: &Served<'_>) -> Option<Duration> {
        let matches = match &self.subject {
            Subject::Matching(Against::Path, pattern) => pattern.is_match(file.path.as_os_str().as_encoded_bytes()),
            Subject::Matching(Against::PathInfo, pattern) => pattern.is_match(file.path_info),
            Subject::Matching(Against::RequestUri, pattern) => pattern.is_match(file.request_uri),
            Subject::Type(kind) => same_type(kind, file.content_type),
        };
        let seconds = Duration::from_secs(self.seconds);
        matches.then(|| match self.since {
            Since::Now => seconds,
            Since::Change => {
                let end = file.modified.checked_add(seconds);
                end.and_then(|end| end.duration_since(SystemTime::now()).ok()).unwrap_or_default()
            }
        })
    }
}

/// Reads `/PREFIX=PATH`.
///
/// # Errors
/// What was expected instead.
pub(crate) fn map(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=').map(|(prefix, path)| (prefix.trim_end(), path.trim_start())) {
        Some((prefix, path)) if prefix.starts_with('/') && !path.is_empty() => Ok((prefix.to_owned(), path.into())),
        _ => Err("expected /PREFIX=DIR, such as /static=/srv/static".to_owned()),
    }
}

/// Reads the end of names that are not looked for, with or without its dot.
pub(crate) fn extension(text: &str) -> String {
    if text.starts_with('.') { text.to_owned() } else { format!(".{text}") }
}

fn seconds_in(text: &str) -> Option<u64> {
    text.trim().parse().ok().filter(|seconds| *seconds <= LONGEST)
}

/// Adds the types of a file as `/etc/mime.types` is one: a type, and the extensions of it.
fn with_types(mut files: StaticFiles, path: &Path) -> Result<StaticFiles, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(kind) = words.next() else { continue };
        let wrong = |reason: &str| format!("{}, line {number}: {kind:?} {reason}", path.display());
        if !kind.contains('/') || kind.contains(';') {
            return Err(wrong("is not a type such as text/css"));
        }
        for extension in words {
            files = files.content_type(extension, kind).map_err(|error| wrong(&error.to_string()))?;
        }
    }
    Ok(files)
}

/// Whether two types are one, which has had other names: `/etc/mime.types`, and who wrote rules with it, may use them.
fn same_type(one: &str, other: &str) -> bool {
    fn today(kind: &str) -> &str {
        match kind {
            "application/javascript" | "application/x-javascript" => "text/javascript",
            "application/xml" => "text/xml",
            "image/vnd.microsoft.icon" => "image/x-icon",
            "application/font-woff" => "font/woff",
            "application/font-woff2" => "font/woff2",
            kind => kind,
        }
    }
    today(one) == today(other)
}

/// A hundred years, far below what a time can hold.
const LONGEST: u64 = 3_153_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_a_prefix_and_a_path() {
        assert_eq!(map("/static=/srv/static"), Ok(("/static".to_owned(), "/srv/static".into())));
        assert_eq!(map("/static = /srv/static"), Ok(("/static".to_owned(), "/srv/static".into())));
        assert_eq!(map("/=a=b"), Ok(("/".to_owned(), "a=b".into())));
        for text in ["/static", "static=/srv", "/static=", "=", ""] {
            assert_eq!(map(text).unwrap_err(), "expected /PREFIX=DIR, such as /static=/srv/static", "{text}");
        }
        assert_eq!((extension("php"), extension(".php")), (".php".to_owned(), ".php".to_owned()));
    }

    #[test]
    fn expiries_are_read() {
        assert!(Expiry::matching("/foo/(.*)\\.jpg  3600", Against::Path, Since::Now).is_ok_and(|expiry| expiry.seconds == 3600));
        assert!(Expiry::matching("a b 0", Against::Path, Since::Now).is_ok_and(|expiry| expiry.seconds == 0));
        for text in ["\\.jpg", "\\.jpg x", "\\.jpg -1", "\\.jpg 99999999999", ""] {
            let error = Expiry::matching(text, Against::Path, Since::Now).unwrap_err();
            assert!(error.starts_with("expected a pattern, a space and seconds"), "{text}: {error}");
        }
        let error = Expiry::matching("(a 1", Against::Path, Since::Now).unwrap_err();
        assert_eq!(error, "the pattern is not understood: unclosed group");
        let error = Expiry::matching("a(?!b) 1", Against::Path, Since::Now).unwrap_err();
        assert!(error.contains("look-around") && error.lines().count() == 1, "{error}");
        assert!(Expiry::of_type("Text/CSS=60", Since::Now).is_ok());
        for text in ["text/css", "css=60", "text/css=x", ""] {
            assert!(Expiry::of_type(text, Since::Now).unwrap_err().starts_with("expected a type"), "{text}");
        }
        assert!(same_type("application/javascript", "text/javascript") && !same_type("text/css", "text/html"));
    }
}
