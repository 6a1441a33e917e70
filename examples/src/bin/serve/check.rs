//! What `--check` prints: every setting with what would become of it.

use std::fmt::Write as _;

use crate::configuration::{Configuration, Judged, Verdict};
use crate::options;
use crate::uwsgi;

/// A line for each setting and one for all, and whether the server would start.
pub(crate) fn report(configuration: &Configuration) -> (String, bool) {
    let mut text = String::new();
    for judged in &configuration.judged {
        if judged.setting.key != "check" {
            let _ = writeln!(text, "{}", line(judged));
        }
    }
    let counts = [
        (count(configuration, |verdict| *verdict == Verdict::Honoured), "honoured"),
        (count(configuration, |verdict| matches!(verdict, Verdict::Ignored(_))), "ignored"),
        (count(configuration, |verdict| matches!(verdict, Verdict::Refused(_))), "refused"),
        (count(configuration, |verdict| matches!(verdict, Verdict::Wrong(_))), "wrong"),
    ];
    let starts = counts[2..].iter().all(|(count, _)| *count == 0);
    let counted: Vec<String> = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let end = if starts { "the server would start" } else { "the server would not start" };
    let _ = writeln!(text, "{}: {end}", if counted.is_empty() { "nothing is set".to_owned() } else { counted.join(", ") });
    (text, starts)
}

fn count(configuration: &Configuration, is: fn(&Verdict) -> bool) -> usize {
    configuration.judged.iter().filter(|judged| judged.setting.key != "check" && is(&judged.verdict)).count()
}

/// `x.ini:3: ignored: master = true (...)`
fn line(Judged { setting, verdict }: &Judged) -> String {
    let value = setting.value.to_string_lossy();
    let pair = if value.is_empty() { setting.key.clone() } else { format!("{} = {value}", setting.key) };
    let said = |word: &str, note: Option<String>| match note {
        Some(note) => format!("{word}: {pair} ({note})"),
        None => format!("{word}: {pair}"),
    };
    let said = match verdict {
        Verdict::Honoured => {
            said("honoured", options::find(&setting.key).and_then(|entry| uwsgi::difference(entry.name)).map(str::to_owned))
        }
        Verdict::Read => said("read", None),
        Verdict::Skipped(line) => said("skipped", Some(format!("the condition in line {line} does not hold"))),
        Verdict::Variable { used: true, .. } => said("variable", None),
        Verdict::Variable { meant: Some(meant), .. } => said("variable", Some(format!("nothing uses it: did you mean {meant}?"))),
        Verdict::Variable { .. } => said("variable", Some("nothing uses it".to_owned())),
        Verdict::Ignored(reason) => said("ignored", Some((*reason).to_owned())),
        Verdict::Refused(reason) => said("refused", Some((*reason).to_owned())),
        // The sentence begins with its place.
        Verdict::Wrong(sentence) => format!("wrong: {}", sentence.strip_prefix(&setting.origin.prefix("")).unwrap_or(sentence)),
    };
    setting.origin.prefix(said)
}
