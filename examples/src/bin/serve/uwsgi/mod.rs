//! uWSGI's options that do nothing here: each with the reason, and with what to do instead where something is to be done.
//!
//! Together with [`options::entries`](crate::options::entries), which holds those that do something, this is the one table of all options: the command
//! line and configuration files are judged by it, and `docs/options.md` is made from it.

mod differences;
mod ignored;
mod refused;

pub(crate) use differences::difference;

/// Options of uWSGI that have one reason in common.
pub(crate) struct Row {
    /// Names, chief ones first. One that ends in `*` stands for all that begin so: `cache*` for `cache2` and `cache-store`.
    pub(crate) names: &'static [&'static str],
    pub(crate) letter: Option<char>,
    pub(crate) takes: Takes,
    /// A sentence's end, behind "is ignored:" or its like.
    pub(crate) reason: &'static str,
    /// Values that ask for what is the case anyhow, besides those that [turn it off](is_off).
    harmless: &'static [&'static str],
    /// Whether a value such as 0 is no way to turn it off.
    zero_is_a_value: bool,
    /// Values that are refused although others are ignored, and why.
    refuses: Option<fn(&str) -> Option<&'static str>>,
}

/// Whether a value follows on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Takes {
    Nothing,
    Value,
    /// Where the next argument is no option.
    Maybe,
}

/// What becomes of an option that does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server does the same without it, or what it asks for has no meaning here.
    Ignored,
    /// The server does not start with it.
    Refused,
}

impl Row {
    const fn flags(names: &'static [&'static str], reason: &'static str) -> Row {
        Row { names, letter: None, takes: Takes::Nothing, reason, harmless: &[], zero_is_a_value: false, refuses: None }
    }

    const fn values(names: &'static [&'static str], reason: &'static str) -> Row {
        Row { takes: Takes::Value, ..Row::flags(names, reason) }
    }

    const fn family(names: &'static [&'static str], reason: &'static str) -> Row {
        Row { takes: Takes::Maybe, ..Row::flags(names, reason) }
    }

    const fn letter(self, letter: char) -> Row {
        Row { letter: Some(letter), ..self }
    }

    /// What becomes of it with this value, and why.
    pub(crate) fn judge(&self, fate: Fate, value: &str) -> (Fate, &'static str) {
        if let Some(reason) = self.refuses.and_then(|refuses| refuses(value)) {
            return (Fate::Refused, reason);
        }
        let asks_for_nothing = self.harmless.contains(&value) || (is_off(value) && !self.zero_is_a_value);
        if fate != Fate::Ignored && asks_for_nothing { (Fate::Ignored, ASKS_FOR_NOTHING) } else { (fate, self.reason) }
    }

    fn is(&self, name: &str) -> bool {
        self.names.iter().any(|known| match known.strip_suffix('*') {
            // Names have dashes and no underscores, which is what variables have: `cache_dir` is none of uWSGI's options.
            Some(beginning) => name.strip_prefix(beginning).is_some_and(|rest| {
                let apart =
                    beginning.ends_with('-') || rest.is_empty() || rest.starts_with(|next: char| next == '-' || next.is_ascii_digit());
                apart && !rest.contains('_')
            }),
            None => *known == name,
        })
    }
}

/// Every row with what becomes of its options, those with one fate together.
pub(crate) fn rows() -> impl Iterator<Item = (Fate, &'static Row)> {
    let ignored = ignored::ROWS.iter().map(|row| (Fate::Ignored, row));
    let refused = refused::ROWS.iter().map(|row| (Fate::Refused, row));
    ignored.chain(refused)
}

/// The row of this option: a name that is written out counts before one that begins so.
pub(crate) fn find(name: &str) -> Option<(Fate, &'static Row)> {
    rows().find(|(_, row)| row.names.contains(&name)).or_else(|| rows().find(|(_, row)| row.is(name)))
}

/// The row of this letter, and the name that it stands for.
pub(crate) fn find_letter(letter: char) -> Option<(&'static str, &'static Row)> {
    rows().find(|(_, row)| row.letter == Some(letter)).map(|(_, row)| (row.names[0], row))
}

/// Every name that is written out.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    rows().flat_map(|(_, row)| row.names).copied().filter(|name| !name.ends_with('*'))
}

/// Whether uWSGI understands the value of a flag as no.
pub(crate) fn is_off(value: &str) -> bool {
    ["0", "false", "off", "no"].iter().any(|off| value.eq_ignore_ascii_case(off))
}

const ASKS_FOR_NOTHING: &str = "with this value it asks for what is the case";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::options;

    /// Whoever builds an option moves it from here to there, and is told here if they forget.
    #[test]
    fn no_name_and_no_letter_has_two_fates() {
        let mut seen = BTreeSet::new();
        for name in options::entries().flat_map(options::Entry::names).chain(names()) {
            assert!(seen.insert(name.to_owned()), "{name} is in the table twice");
        }
        let letters = options::entries().filter_map(|entry| entry.short).chain(rows().filter_map(|(_, row)| row.letter));
        for letter in letters {
            assert!(seen.insert(format!("-{letter}")), "-{letter} is in the table twice");
        }
    }

    #[test]
    fn every_option_of_uwsgi_has_its_fate() {
        let missing: Vec<&str> = ALL_NAMES.lines().filter(|name| options::find(name).is_none() && find(name).is_none()).collect();
        assert_eq!(missing, Vec::<&str>::new());
        assert!(ALL_NAMES.lines().count() > 600);
        assert!(names().count() > 200);
    }

    #[test]
    fn reasons_end_a_sentence() {
        for (_, row) in rows() {
            assert!(!row.reason.ends_with('.') && !row.reason.is_empty() && !row.reason.contains('\n'), "{:?}", row.names);
            assert!(!row.reason.contains('|'), "it would break the document's tables: {:?}", row.names);
        }
    }

    #[test]
    fn values_can_change_a_fate() {
        let judged = |name: &str, value: &str| {
            let (fate, row) = find(name).unwrap();
            row.judge(fate, value).0
        };
        assert_eq!(judged("cheaper-step", "2"), Fate::Ignored);
        assert_eq!(judged("idle", "60"), Fate::Ignored);
        assert_eq!(judged("async", "0"), Fate::Ignored);
        assert_eq!(judged("async", "10"), Fate::Refused);
        assert_eq!(judged("harakiri-queue-threshold", "0"), Fate::Ignored);
        assert_eq!(judged("harakiri-queue-threshold", "9"), Fate::Refused);
        assert_eq!(judged("plugins", "python3, http"), Fate::Ignored);
        assert_eq!(judged("plugins", "python3,gevent"), Fate::Refused);
        assert_eq!(judged("umask", "0"), Fate::Refused);
        assert_eq!(judged("add-header", "Connection: close"), Fate::Ignored);
        assert_eq!(judged("add-header", "X-Frame-Options: DENY"), Fate::Refused);
        assert_eq!(judged("route-if", "x"), Fate::Refused);
        assert_eq!(judged("hook-master-start", "unix_signal:15 gracefully_kill_them_all"), Fate::Ignored);
        assert_eq!(judged("hook-master-start", "unix_signal:15 reload"), Fate::Refused);
        assert!(find("no-such-option").is_none());
        assert!(find("cache2").is_some() && find("cache-store").is_some());
        assert!(find("cache_dir").is_none() && find("caches").is_none() && find("route-my_prefix").is_none());
        assert_eq!(find_letter('T').map(|(name, _)| name), Some("enable-threads"));
    }

    /// The names in the option tables of uWSGI's core and of its plugins for Python and HTTP.
    const ALL_NAMES: &str = include_str!("all_names.txt");
}
