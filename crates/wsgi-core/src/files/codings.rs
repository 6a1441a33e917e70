//! Which of the files that were compressed beforehand a client takes (RFC 9110, 12.5.3).

/// A content coding for which a file may have a compressed one beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Brotli,
    Zstandard,
    Gzip,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Brotli => "br",
            Coding::Zstandard => "zstd",
            Coding::Gzip => "gzip",
        }
    }

    /// What is appended to the name of a file.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Coding::Brotli => ".br",
            Coding::Zstandard => ".zst",
            Coding::Gzip => ".gz",
        }
    }
}

/// The codings that a client takes rather than none, the best first: by its weights, and among equals the smallest of the usual files first.
pub(super) fn accepted(field: Option<&[u8]>) -> Vec<Coding> {
    // Without the field any will do, but who does not name one is likely to know none.
    let Some(field) = field else { return Vec::new() };
    let mut weights = [None; PREFERRED.len()];
    let (mut identity, mut others) = (None, None);
    for member in field.split(|&byte| byte == b',') {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        // A weight that cannot be understood is none that can be relied on.
        let weight = parts.next().map_or(Some(FULL), weight).unwrap_or(0);
        if name.eq_ignore_ascii_case(b"identity") {
            identity = Some(weight);
        } else if name == b"*" {
            others = Some(weight);
        } else if let Some(at) = PREFERRED.iter().position(|coding| is(*coding, name)) {
            weights[at] = Some(weight);
        }
    }
    // Unless it is named, the file as it is comes last, and is never refused: a client that takes nothing is better off with it than without.
    let least = identity.unwrap_or(1).max(1);
    let weighed = PREFERRED.iter().zip(weights).map(|(coding, weight)| (*coding, weight.or(others).unwrap_or(0)));
    let mut taken: Vec<(Coding, u16)> = weighed.filter(|(_, weight)| *weight >= least).collect();
    // Stable: equals stay in our order.
    taken.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    taken.into_iter().map(|(coding, _)| coding).collect()
}

fn is(coding: Coding, name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(coding.name().as_bytes()) || (coding == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
}

/// Thousandths, of `q=0.5` and its like (RFC 9110, 12.4.2).
fn weight(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', rest @ ..] = parameter else { return None };
    let text = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let (whole, fraction) = match text {
        [whole] => (whole, &text[..0]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let digits = fraction.iter().chain(b"000").take(3);
    let thousandths =
        digits.map(|digit| digit.is_ascii_digit().then(|| u16::from(digit - b'0'))).try_fold(0, |sum, digit| Some(sum * 10 + digit?))?;
    match whole {
        b'0' => Some(thousandths),
        b'1' if thousandths == 0 => Some(FULL),
        _ => None,
    }
}

const FULL: u16 = 1000;
const PREFERRED: [Coding; 3] = [Coding::Brotli, Coding::Zstandard, Coding::Gzip];

#[cfg(test)]
mod tests {
    use super::Coding::{Brotli, Gzip, Zstandard};
    use super::*;

    #[test]
    fn the_weights_of_the_client_come_first_and_then_our_own_order() {
        for (field, codings) in [
            ("", &[][..]),
            ("gzip", &[Gzip]),
            ("GZIP", &[Gzip]),
            ("x-gzip", &[Gzip]),
            ("gzip, deflate, br, zstd", &[Brotli, Zstandard, Gzip]),
            ("gzip;q=1.0, br;q=0.8, zstd;q=0.9", &[Gzip, Zstandard, Brotli]),
            ("gzip ; q = 0.5 ,br; Q=0.500", &[Brotli, Gzip]),
            ("br;q=0, gzip", &[Gzip]),
            ("br;q=0.000", &[]),
            ("*", &[Brotli, Zstandard, Gzip]),
            ("*;q=0.5, gzip", &[Gzip, Brotli, Zstandard]),
            ("*, br;q=0", &[Zstandard, Gzip]),
            ("*;q=0", &[]),
            ("identity", &[]),
            ("identity, gzip", &[Gzip]),
            ("identity, gzip;q=0.9", &[]),
            ("identity;q=0.5, gzip;q=0.9, br;q=0.4", &[Gzip]),
            ("identity;q=0, gzip;q=0", &[]),
            ("gzip;q=0.001", &[Gzip]),
            ("gzip;q=1.5", &[]),
            ("gzip;q=0.1234", &[]),
            ("gzip;q=", &[]),
            ("gzip;level=9", &[]),
            ("gzip;q=-1", &[]),
            ("gzipped, brotli", &[]),
        ] {
            assert_eq!(accepted(Some(field.as_bytes())), codings, "{field:?}");
        }
        assert_eq!(accepted(None), []);
    }
}
