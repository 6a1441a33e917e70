//! Numbers in decimal, as heads have them, without the formatting machinery.

/// A number of digits and nothing else, not even the sign that [`str::parse`] takes. `None` also if it exceeds 64 bits.
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    let number = text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|_| !text.is_empty())
}

/// Appends a number.
pub(crate) fn push_decimal(mut number: u64, out: &mut Vec<u8>) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_comes_back_as_it_was() {
        for number in [0, 7, 10, 1_234_567_890, u64::MAX] {
            let mut out = b"=".to_vec();
            push_decimal(number, &mut out);
            assert_eq!(out, format!("={number}").as_bytes());
            assert_eq!(parse_decimal(&out[1..]), Some(number));
        }
        for text in ["", "-1", "+1", " 1", "1 ", "18446744073709551616", "\u{661}"] {
            assert_eq!(parse_decimal(text.as_bytes()), None, "{text}");
        }
    }
}
