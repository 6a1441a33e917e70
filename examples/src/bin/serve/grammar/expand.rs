//! Placeholders in a value: `$(name)`, `@(name)`, `%(name)`.

/// The text with each `MARKER(name)` replaced by what `value` gives for the name, or left where it gives nothing. Names may hold parentheses that
/// are balanced. What is empty or not closed stays as it is. What is put in is not looked at again.
///
/// # Errors
/// The first of `value`, and a text that would become longer than [`LONGEST`].
pub(super) fn expand(text: &str, marker: char, mut value: impl FnMut(&str) -> Result<Option<String>, String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(&[marker, '('].iter().collect::<String>()) {
        let inside = &rest[start + marker.len_utf8() + 1..];
        let Some(length) = closing(inside) else { break };
        let end = start + marker.len_utf8() + 1 + length + 1;
        out.push_str(&rest[..start]);
        match if length == 0 { None } else { value(&inside[..length])? } {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[start..end]),
        }
        rest = &rest[end..];
        if out.len() > LONGEST {
            return Err(format!("the value becomes longer than {LONGEST} bytes"));
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the parenthesis closes that was opened before.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.bytes().position(|byte| match byte {
        b'(' => {
            depth += 1;
            false
        }
        b')' if depth == 0 => true,
        b')' => {
            depth -= 1;
            false
        }
        _ => false,
    })
}

/// Of any value.
pub(super) const LONGEST: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn braced(text: &str) -> String {
        expand(text, '$', |name| Ok((name != "no").then(|| format!("<{name}>")))).unwrap()
    }

    #[test]
    fn names_are_replaced_and_the_rest_is_left() {
        for (text, expanded) in [
            ("", ""),
            ("a", "a"),
            ("$(a)", "<a>"),
            ("x$(a)y$(b)z", "x<a>y<b>z"),
            ("$(a(b)c)", "<a(b)c>"),
            ("$()", "$()"),
            ("$(no)", "$(no)"),
            ("$(a", "$(a"),
            ("$$(a)", "$<a>"),
            ("%(a) @(b) $a", "%(a) @(b) $a"),
            ("ü$(ö)", "ü<ö>"),
        ] {
            assert_eq!(braced(text), expanded, "{text}");
        }
    }

    #[test]
    fn mistakes_and_growth_end_it() {
        assert_eq!(expand("$(a)", '$', |_| Err("no".to_owned())), Err("no".to_owned()));
        assert!(expand(&"$(a)".repeat(3), '$', |_| Ok(Some("x".repeat(LONGEST / 2)))).is_err());
    }
}
