//! Which name was meant by one that does not exist.

/// The name with the fewest typing mistakes to `text`, if they are few for its length.
pub(crate) fn nearest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let text = text.to_ascii_lowercase().replace('_', "-");
    let (distance, name) = names.map(|name| (distance(&text, name), name)).min()?;
    (distance <= text.len() / 3).then_some(name)
}

/// How many letters have to be added, removed, changed or swapped with their neighbour.
fn distance(from: &str, to: &str) -> usize {
    let (from, to) = (from.as_bytes(), to.as_bytes());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i; to.len() + 1];
        for j in 1..=to.len() {
            let changed = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            row[j] = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_mistakes() {
        for (from, to, mistakes) in
            [("", "", 0), ("a", "", 1), ("threads", "threads", 0), ("thraeds", "threads", 1), ("tread", "threads", 2)]
        {
            assert_eq!(distance(from, to), mistakes, "{from} {to}");
            assert_eq!(distance(to, from), mistakes, "{to} {from}");
        }
    }

    #[test]
    fn only_near_names_are_offered() {
        let names = || ["module", "mount", "threads"].into_iter();
        assert_eq!(nearest("MODULES", names()), Some("module"));
        assert_eq!(nearest("mnt", names()), None);
        assert_eq!(nearest("processes", names()), None);
    }
}
