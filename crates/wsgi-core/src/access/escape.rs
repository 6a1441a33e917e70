//! What a client sent, written so that it cannot be taken for anything else.

use std::io::Write as _;

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Escape {
    /// As Apache does: `\"`, `\\`, and `\xhh` for what is not printable ASCII.
    Text,
    /// The same, and for spaces too: for columns that no quotes enclose.
    Word,
    /// As a part of a JSON string, of ASCII alone. What is not UTF-8 becomes U+FFFD.
    Json,
}

impl Escape {
    /// Appends at most [`LONGEST`] bytes or so of a value; what is cut off is shown as `...`.
    pub(super) fn write(self, value: &[u8], out: &mut Vec<u8>) {
        let end = out.len() + LONGEST;
        match self {
            Escape::Text | Escape::Word => {
                for &byte in value {
                    if out.len() >= end {
                        return out.extend_from_slice(b"...");
                    }
                    match byte {
                        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                        b' ' if self == Escape::Text => out.push(byte),
                        b'!'..=b'~' => out.push(byte),
                        _ => out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
                    }
                }
            }
            Escape::Json => {
                for chunk in value.utf8_chunks() {
                    let broken = if chunk.invalid().is_empty() { "" } else { "\u{fffd}" };
                    for character in chunk.valid().chars().chain(broken.chars()) {
                        if out.len() >= end {
                            return out.extend_from_slice(b"...");
                        }
                        match character {
                            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                            ' '..='~' => out.push(character as u8),
                            _ => {
                                for &unit in &*character.encode_utf16(&mut [0; 2]) {
                                    // Into a vector, which takes everything.
                                    let _ = write!(out, "\\u{unit:04x}");
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// So that a line stays within what a pipe takes in one piece, however long the address and the fields of a request are.
pub(super) const LONGEST: usize = 1000;
const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(escape: Escape, value: &[u8]) -> String {
        let mut out = Vec::new();
        escape.write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn nothing_that_a_client_sends_ends_a_line_or_a_quote() {
        let all: Vec<u8> = (0..=255).collect();
        for escape in [Escape::Text, Escape::Word] {
            let text = escaped(escape, &all);
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            assert!(!text.replace("\\\"", "").contains('"'));
        }
        assert_eq!(escaped(Escape::Text, b"a b\"\\\n\xc3\xa9"), r#"a b\"\\\x0a\xc3\xa9"#);
        assert_eq!(escaped(Escape::Word, b"a b"), r"a\x20b");
    }

    #[test]
    fn json_is_json_whatever_the_bytes() {
        assert_eq!(escaped(Escape::Json, "\"é\u{2028}😀\0".as_bytes()), r#"\"\u00e9\u2028\ud83d\ude00\u0000"#);
        assert_eq!(escaped(Escape::Json, b"a\xffb\xc3"), r"a\ufffdb\ufffd");
    }

    #[test]
    fn a_long_value_is_cut() {
        for escape in [Escape::Text, Escape::Word, Escape::Json] {
            for value in [&[b'a'; 70_000][..], &[0; 70_000]] {
                let text = escaped(escape, value);
                assert!(text.ends_with("...") && text.len() < LONGEST + 12, "{}", text.len());
            }
        }
    }
}
