//! Sums in placeholders: `%(workers + 2 * 3)`, from left to right, and without an operator between them two values are put together.

/// The value of an expression, whose parts stand apart by spaces. A name that `value` does not know counts as nothing, as it does for uWSGI.
///
/// # Errors
/// Something that is no number is to be counted with, or the result is too large.
pub(super) fn evaluate(expression: &str, mut value: impl FnMut(&str) -> Result<Option<String>, String>) -> Result<String, String> {
    let mut result = String::new();
    let mut operator = None;
    for part in expression.split(' ').filter(|part| !part.is_empty()) {
        match part {
            "+" | "-" | "*" | "/" => operator = Some(part),
            "++" | "--" => {
                let step = if part == "++" { 1 } else { -1 };
                result = number(&result)?.checked_add(step).ok_or(TOO_LARGE)?.to_string();
            }
            _ => {
                let digits = part.bytes().all(|byte| byte.is_ascii_digit());
                let operand = if digits { part.to_owned() } else { value(part)?.unwrap_or_default() };
                result = match operator.take() {
                    None => result + &operand,
                    Some(operator) => calculate(number(&result)?, operator, number(&operand)?)?.to_string(),
                };
            }
        }
    }
    Ok(result)
}

fn calculate(left: i64, operator: &str, right: i64) -> Result<i64, String> {
    let result = match operator {
        "+" => left.checked_add(right),
        "-" => left.checked_sub(right),
        "*" => left.checked_mul(right),
        // uWSGI's answer to a division by zero.
        _ if right == 0 => Some(0),
        _ => left.checked_div(right),
    };
    result.ok_or_else(|| TOO_LARGE.to_owned())
}

fn number(text: &str) -> Result<i64, String> {
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| format!("{text:?} is not a number that can be counted with")) }
}

const TOO_LARGE: &str = "the result is too large";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_run_from_left_to_right() {
        let value = |name: &str| {
            Ok(match name {
                "foo" => Some("17".to_owned()),
                "bar" => Some("30".to_owned()),
                "word" => Some("x".to_owned()),
                _ => None,
            })
        };
        for (expression, result) in [
            ("foo + bar + 3", "50"),
            ("foo + bar + 3 * 2", "100"),
            ("foo ++", "18"),
            ("foo --", "16"),
            ("foo bar ++", "1731"),
            ("bar / 0", "0"),
            ("bar / 4", "7"),
            ("foo - bar", "-13"),
            ("none + 1", "1"),
            (" ", ""),
        ] {
            assert_eq!(evaluate(expression, value).as_deref(), Ok(result), "{expression}");
        }
        assert_eq!(evaluate("word + 1", value), Err("\"x\" is not a number that can be counted with".to_owned()));
        assert_eq!(evaluate("9223372036854775807 ++", value), Err(TOO_LARGE.to_owned()));
        assert_eq!(evaluate("9223372036854775807 * 2", value), Err(TOO_LARGE.to_owned()));
    }
}
