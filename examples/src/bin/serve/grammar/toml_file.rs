//! Options in TOML: keys are names of options, arrays give an option several times, tables give it `KEY=VALUE`.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A key, its value as text, and the number of its line. A flag that is on has the value `true`.
pub(super) type Pair = (String, String, usize);

/// Every pair of a file.
///
/// # Errors
/// The line and a sentence about what is not understood.
pub(super) fn pairs(text: &str) -> Result<Vec<Pair>, (usize, String)> {
    let line = |offset: usize| 1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| (line(error.span().map_or(0, |span| span.start)), one_line(error.message())))?;
    let mut pairs = Vec::new();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().replace('_', "-");
        each(&name, value, 0, &mut |value, at| pairs.push((name.clone(), value, at))).map_err(|(at, sentence)| (line(at), sentence))?;
    }
    // The parser sorts keys by name; what was written first comes first.
    pairs.sort_by_key(|(_, _, at)| *at);
    Ok(pairs.into_iter().map(|(key, value, at)| (key, value, line(at))).collect())
}

fn each(name: &str, value: &Spanned<DeValue<'_>>, depth: u8, give: &mut dyn FnMut(String, usize)) -> Result<(), (usize, String)> {
    let at = value.span().start;
    match value.get_ref() {
        DeValue::Table(_) if name == "uwsgi" => Err((at, "options stand in no section here: take [uwsgi] away".to_owned())),
        DeValue::Array(values) if depth == 0 => values.iter().try_for_each(|value| each(name, value, 1, give)),
        DeValue::Table(table) if depth == 0 => table.iter().try_for_each(|(key, value)| {
            let text =
                scalar(value.get_ref()).ok_or_else(|| (at, format!("{name}.{} must be text, a number or a boolean", key.get_ref())))?;
            give(format!("{}={text}", key.get_ref()), value.span().start);
            Ok(())
        }),
        value => {
            let text =
                scalar(value).ok_or_else(|| (at, format!("{name} must be text, a number, a boolean, or an array or a table of these")))?;
            give(text, at);
            Ok(())
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_values_become_text_in_the_order_of_the_file() {
        let text = "threads = 4\nwsgi_file = 'app.py'\nhttp = [\":80\", \":81\"]\nneed-app = true\nhead-timeout = 2.5\n\n[env]\nA = \"b\"\nC = 1\n";
        let expected = [
            ("threads", "4", 1),
            ("wsgi-file", "app.py", 2),
            ("http", ":80", 3),
            ("http", ":81", 3),
            ("need-app", "true", 4),
            ("head-timeout", "2.5", 5),
            ("env", "A=b", 8),
            ("env", "C=1", 9),
        ];
        let pairs = pairs(text).unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(key, value, line)| (key.as_str(), value.as_str(), *line)).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn what_is_not_understood_has_its_line() {
        for (text, line, part) in [
            ("a = 1\nb = ", 2, ""),
            ("a = 1\n\na = 2", 3, "duplicate key"),
            ("a = 2020-01-01", 1, "a must be text"),
            ("x = 1\na = [[1]]", 2, "a must be text"),
            ("[a.b]\nc = 1", 1, "a.b must be text"),
            ("x = 1\n[uwsgi]\nthreads = 1", 2, "take [uwsgi] away"),
        ] {
            let (got, sentence) = pairs(text).unwrap_err();
            assert!(got == line && sentence.contains(part) && !sentence.contains('\n'), "{text}: {got} {sentence}");
        }
    }
}
