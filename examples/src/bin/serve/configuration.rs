//! All that was given, judged by the table of options: what is honoured, what is ignored, and what is refused.
//!
//! What stands in files gives way to `UWSGI_*` variables, these to `WSGI_SERVE_*` variables, and these to the command line. Options that may be
//! repeated add up.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::Mistake;
use crate::command_line;
use crate::grammar::{Fault, Kind, Origin, Reader, Setting, Vocabulary, World};
use crate::gunicorn;
use crate::nearest::nearest;
use crate::options::{self, Entry, Settings, entries};
use crate::uwsgi::{self, Fate};

/// What the server is to do, and what has become of everything that was said about it.
#[derive(Debug)]
pub(crate) struct Configuration {
    pub(crate) settings: Settings,
    pub(crate) judged: Vec<Judged>,
}

/// A setting and what has become of it.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) setting: Setting,
    pub(crate) verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Honoured,
    /// A part of the grammar, which has had its effect.
    Read,
    /// A condition in this line does not hold.
    Skipped(usize),
    /// No option, and taken for a variable.
    Variable {
        used: bool,
        /// The option that has nearly the same name, where nothing uses the variable.
        meant: Option<&'static str>,
    },
    Ignored(&'static str),
    Refused(&'static str),
    /// A sentence about the value or the key, with its place.
    Wrong(String),
}

/// Something to be said when the server starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    Ignored(String),
    Warning(String),
}

/// Reads and judges everything.
///
/// # Errors
/// What cannot be read or understood.
pub(crate) fn load(arguments: impl IntoIterator<Item = OsString>, world: World) -> Result<Configuration, Fault> {
    let mut reader = Reader::new(world, VOCABULARY);
    reader.environment()?;
    command_line::read(arguments, &mut reader)?;
    let (settings, used) = reader.finish()?;
    let mut judged: Vec<Judged> = settings
        .into_iter()
        .map(|setting| {
            let used = used.contains(&setting.key);
            Judged { verdict: first_verdict(&setting, used), setting }
        })
        .collect();
    let settings = apply(&mut judged);
    if settings.strict {
        refuse_variables(&mut judged);
    }
    Ok(Configuration { settings, judged })
}

impl Configuration {
    /// Why nothing can be started with this: the first reason, in one sentence.
    pub(crate) fn refusal(&self) -> Option<String> {
        let mut refusals = self.judged.iter().filter_map(Judged::refusal);
        let (place, first) = refusals.next()?;
        let others = refusals.count();
        Some(match place {
            Origin::File(path, _) if others > 0 => format!("{first} (serve --check {} shows this and {others} more)", path.display()),
            _ => first,
        })
    }

    /// The sentence of the mistake with its place. A default and what the environment sets have none.
    pub(crate) fn placed(&self, Mistake { option, part, sentence }: &Mistake) -> String {
        let is_it = |setting: &Setting| options::find(&setting.key).is_some_and(|entry| entry.names().any(|name| name == *option));
        let given = self.judged.iter().filter(|judged| judged.verdict == Verdict::Honoured && is_it(&judged.setting));
        let given = given.map(|judged| &judged.setting).filter(|setting| setting.value.to_string_lossy().contains(part));
        // The one that has its way.
        match given.max_by_key(|setting| setting.origin.rank()) {
            Some(setting) => format!("{}: {sentence}", setting.origin.shown(&setting.key)),
            None => sentence.clone(),
        }
    }

    /// What is to be said about the rest, once each.
    pub(crate) fn notices(&self) -> Vec<Notice> {
        let mut notices: Vec<Notice> = Vec::new();
        for notice in self.judged.iter().filter_map(Judged::notice) {
            if !notices.contains(&notice) {
                notices.push(notice);
            }
        }
        for (name, _) in &self.settings.environment {
            if TOO_LATE.iter().any(|beginning| name.starts_with(beginning)) {
                notices.push(Notice::Warning(format!("env sets {name} when Python runs already: set it where the server is started")));
            }
        }
        notices
    }
}

impl Judged {
    fn shown(&self) -> String {
        self.setting.origin.shown(&self.setting.key)
    }

    /// Whether the server does not start for it, and the sentence that says so.
    pub(crate) fn refusal(&self) -> Option<(&Origin, String)> {
        let sentence = match &self.verdict {
            Verdict::Wrong(sentence) => sentence.clone(),
            Verdict::Refused(reason) => format!("{} is refused: {reason}", self.shown()),
            _ => return None,
        };
        Some((&self.setting.origin, sentence))
    }

    fn notice(&self) -> Option<Notice> {
        Some(match self.verdict {
            Verdict::Ignored(reason) => Notice::Ignored(format!("{} is ignored: {reason}", self.shown())),
            Verdict::Variable { used: false, meant: Some(meant) } => {
                Notice::Warning(format!("{} is no option, and nothing uses it as a variable: did you mean {meant}?", self.shown()))
            }
            Verdict::Variable { used: false, meant: None } if matches!(self.setting.origin, Origin::File(..)) => {
                Notice::Warning(format!("{} is no option, and nothing uses it as a variable", self.shown()))
            }
            _ => return None,
        })
    }
}

/// What can be said without the values of honoured options.
fn first_verdict(setting: &Setting, used: bool) -> Verdict {
    match setting.kind {
        Kind::Directive => return Verdict::Read,
        Kind::Skipped(line) => return Verdict::Skipped(line),
        // Whoever declares a variable knows that it is none.
        Kind::Variable => return Verdict::Variable { used: true, meant: None },
        Kind::Given => {}
    }
    if options::find(&setting.key).is_some() {
        if ASKED_FOR.contains(&setting.key.as_str()) && !matches!(setting.origin, Origin::Argument(_)) {
            return Verdict::Wrong(format!("{}: only the command line can ask for it", setting.origin.shown(&setting.key)));
        }
        return Verdict::Honoured;
    }
    if let Some((fate, row)) = uwsgi::find(&setting.key) {
        return match row.judge(fate, &setting.value.to_string_lossy()) {
            (Fate::Ignored, reason) => Verdict::Ignored(reason),
            (Fate::Refused, reason) => Verdict::Refused(reason),
        };
    }
    // What is our own has no variables: there a name that is no option is a slip.
    let own = match &setting.origin {
        Origin::Own(_) => true,
        Origin::File(path, _) => Path::new(&**path).extension().is_some_and(|end| end == "toml"),
        _ => false,
    };
    if own { Verdict::Wrong(no_option(setting)) } else { Verdict::Variable { used, meant: if used { None } else { meant(&setting.key) } } }
}

/// Applies what is honoured, in the order of what counts more, and finds what is wrong with it.
fn apply(judged: &mut [Judged]) -> Settings {
    let mut order: Vec<usize> = (0..judged.len()).filter(|index| judged[*index].verdict == Verdict::Honoured).collect();
    order.sort_by_key(|index| judged[*index].setting.origin.rank());
    let mut settings = Settings::default();
    for (position, index) in order.iter().enumerate() {
        let Judged { setting, .. } = &judged[*index];
        let Some(entry) = options::find(&setting.key) else { continue };
        let outcome = if entry.value.is_some() {
            options::set(&mut settings, entry, &setting.origin.shown(&setting.key), &setting.value)
        } else {
            // A flag that is turned off later was never on.
            let off_later = || order[position + 1..].iter().any(|later| is_turned_off(&judged[*later].setting, entry));
            match flag(&setting.value) {
                Some(true) if !off_later() => options::set(&mut settings, entry, &setting.origin.shown(&setting.key), OsStr::new("")),
                Some(_) => Ok(()),
                None => Err(format!("{} {:?}: expected true or false", setting.origin.shown(&setting.key), setting.value)),
            }
        };
        if let Err(mut sentence) = outcome {
            let value = setting.value.to_string_lossy();
            if matches!(setting.origin, Origin::File(..)) && [" ;", " #", "\t;", "\t#"].iter().any(|comment| value.contains(comment)) {
                sentence += "; a comment has a line of its own";
            }
            judged[*index].verdict = Verdict::Wrong(sentence);
        }
    }
    settings.settle();
    let need_app = |judged: &&mut Judged| judged.verdict == Verdict::Honoured && judged.setting.key == "need-app";
    if settings.need_app && settings.targets().is_empty() {
        if let Some(Judged { setting, verdict }) = judged.iter_mut().rfind(need_app) {
            *verdict = Verdict::Wrong(format!(
                "{}: no application is named: give --module, --wsgi-file or --mount",
                setting.origin.shown(&setting.key)
            ));
        }
    }
    settings
}

fn is_turned_off(setting: &Setting, entry: &Entry) -> bool {
    entry.names().any(|name| name == setting.key) && flag(&setting.value) == Some(false)
}

/// Whether a value says yes or no.
pub(crate) fn flag(value: &OsStr) -> Option<bool> {
    let value = value.to_str()?;
    let on = ["", "1", "true", "on", "yes"].iter().any(|on| value.eq_ignore_ascii_case(on));
    if on { Some(true) } else { uwsgi::is_off(value).then_some(false) }
}

fn refuse_variables(judged: &mut [Judged]) {
    for Judged { setting, verdict } in judged {
        if matches!(verdict, Verdict::Variable { .. }) && setting.kind == Kind::Given && matches!(setting.origin, Origin::File(..)) {
            *verdict = Verdict::Wrong(format!("{}, and strict is set", no_option(setting)));
        }
    }
}

fn no_option(setting: &Setting) -> String {
    let shown = setting.origin.shown(&setting.key);
    match meant(&setting.key) {
        Some(meant) => format!("{shown} is no option: did you mean {meant}?"),
        None => format!("{shown} is no option"),
    }
}

/// The option that was meant by a name that is none.
pub(crate) fn meant(key: &str) -> Option<&'static str> {
    // `http: :80` and `http :80` are keys without a value.
    let key = key.split([':', ' ']).next().unwrap_or(key);
    gunicorn::called_here(key).or_else(|| nearest(key, entries().flat_map(Entry::names).chain(uwsgi::names())))
}

const VOCABULARY: Vocabulary = Vocabulary {
    is_option: |key| options::find(key).is_some() || uwsgi::find(key).is_some(),
    // A log's format has placeholders of its own. So may have what is not honoured, such as a hook, and it keeps its value as it is.
    has_own_placeholders: |key| match options::find(key) {
        Some(entry) => entry.name == "log-format",
        None => uwsgi::find(key).is_some(),
    },
};

/// What is printed instead of serving: a file that has its name as a variable shall not end the server.
const ASKED_FOR: &[&str] = &["check", "help", "help-all", "version"];

/// Beginnings of variables that Python and the loader look at before any application is imported.
const TOO_LATE: &[&str] = &["PYTHON", "LD_", "MALLOC_"];

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an ini file with this text, with these variables and arguments.
    fn loaded(text: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Configuration {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let file = std::env::temp_dir().join(format!("serve-configuration-{}-{number}.ini", std::process::id()));
        std::fs::write(&file, format!("[uwsgi]\n{text}")).unwrap();
        let arguments = arguments.iter().map(OsString::from).chain([file.clone().into()]);
        let configuration = load(arguments, World::with_variables(variables)).unwrap();
        std::fs::remove_file(&file).unwrap();
        configuration
    }

    fn sentence(text: &str) -> String {
        let refusal = loaded(text, &[], &[]).refusal().unwrap_or_default();
        refusal.split_once(".ini:").map(|(_, rest)| rest.to_owned()).unwrap_or(refusal)
    }

    #[test]
    fn the_command_line_counts_more_than_variables_and_these_more_than_files() {
        let text = "threads = 1\nhttp = :1\nneed-app = true\n";
        let variables = [("UWSGI_THREADS", "2"), ("UWSGI_HTTP", ":2")];
        assert_eq!(loaded(text, &[], &[]).settings.threads, 1);
        assert_eq!(loaded(text, &variables, &[]).settings.threads, 2);
        let more = [variables[0], variables[1], ("WSGI_SERVE_THREADS", "3"), ("WSGI_SERVE_NEED_APP", "no")];
        assert_eq!(loaded(text, &more, &[]).settings.threads, 3);
        let settings = loaded(text, &more, &["--threads", "4", "--http", ":3"]).settings;
        assert_eq!((settings.threads, settings.listen.len(), settings.need_app), (4, 3, false));
        assert!(loaded(text, &variables, &["--need-app"]).settings.need_app);
    }

    #[test]
    fn each_setting_has_its_verdict() {
        let text = "base = /srv\nchdir = %(base)\nvacuum = true\nharakiri-queue-threshold = 4\nemperor = x\nproceses = 2\nspeed = 9\nthreads = many\nharakiri-queue-threshold = 0\nset-ph = a=b\nif-env = NONE\nhttp = :1\nendif\n";
        let configuration = loaded(text, &[], &[]);
        let words: Vec<&str> = configuration
            .judged
            .iter()
            .map(|judged| match &judged.verdict {
                Verdict::Honoured => "honoured",
                Verdict::Read => "read",
                Verdict::Skipped(_) => "skipped",
                Verdict::Variable { used: true, .. } => "variable",
                Verdict::Variable { meant: Some(meant), .. } => meant,
                Verdict::Variable { .. } => "unused",
                Verdict::Ignored(_) => "ignored",
                Verdict::Refused(_) => "refused",
                Verdict::Wrong(_) => "wrong",
            })
            .collect();
        let expected = [
            "variable",
            "honoured",
            "ignored",
            "refused",
            "refused",
            "processes",
            "unused",
            "wrong",
            "ignored",
            "variable",
            "read",
            "skipped",
            "read",
        ];
        assert_eq!(words, expected);
        assert_eq!(configuration.notices().len(), 4, "{:?}", configuration.notices());
        let refusal = configuration.refusal().unwrap();
        assert!(
            refusal.contains(":5: harakiri-queue-threshold is refused: ") && refusal.ends_with(".ini shows this and 2 more)"),
            "{refusal}"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(sentence("\nthreads = many"), "3: threads \"many\": expected a number from 1 to 4096");
        assert_eq!(sentence("module ="), "2: module \"\": expected a value");
        assert_eq!(sentence("need-app = maybe"), "2: need-app \"maybe\": expected true or false");
        assert_eq!(
            sentence("threads = 4 ; four"),
            "2: threads \"4 ; four\": expected a number from 1 to 4096; a comment has a line of its own"
        );
        assert_eq!(sentence("check = all"), "2: check: only the command line can ask for it");
        assert_eq!(sentence("version"), "2: version: only the command line can ask for it");
        assert_eq!(sentence("strict\nhttp: :80"), "3: http: :80 is no option: did you mean http?, and strict is set");
        assert_eq!(sentence("strict\nbind = :80"), "3: bind is no option: did you mean http?, and strict is set");
        assert_eq!(sentence("strict\nspeed = 9"), "3: speed is no option, and strict is set");
        assert_eq!(sentence("threds = 9\nstrict = true"), "2: threds is no option: did you mean threads?, and strict is set");
        assert_eq!(sentence("strict = true\nset-ph = speed=9\nhttp = :%(speed)"), "");
        assert!(sentence("emperor = /etc/x").starts_with("2: emperor is refused: there is no Emperor"));
        let configuration = loaded("", &[("WSGI_SERVE_THREDS", "4")], &[]);
        assert_eq!(configuration.refusal().as_deref(), Some("WSGI_SERVE_THREDS is no option: did you mean threads?"));
        let configuration = loaded("", &[("UWSGI_THREADS", "x")], &[]);
        assert_eq!(configuration.refusal().as_deref(), Some("UWSGI_THREADS \"x\": expected a number from 1 to 4096"));
    }

    #[test]
    fn a_variable_that_comes_too_late_is_told() {
        let notices = loaded("env = PYTHONOPTIMIZE=1\nenv = A=b", &[], &[]).notices();
        assert_eq!(notices.len(), 1);
        assert!(matches!(&notices[0], Notice::Warning(text) if text.contains("PYTHONOPTIMIZE")));
    }

    #[test]
    fn foreign_variables_that_mean_nothing_here_are_left_alone() {
        let configuration = loaded(
            "",
            &[
                ("UWSGI_PORT_8000_TCP_ADDR", "10.0.0.1"),
                ("UWSGI_SERVICE_HOST", "10.0.0.1"),
                ("UWSGI_PORT", "tcp://10.0.0.1:80"),
                ("UWSGI_VERSION", "2.0.31"),
            ],
            &[],
        );
        assert_eq!((configuration.refusal(), configuration.notices()), (None, Vec::new()));
    }
}
