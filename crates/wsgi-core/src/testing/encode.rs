//! Bodies as browsers make them: forms, with and without files.

use std::fmt::Write as _;

/// Fields and files, as a browser sends them from a form with `enctype="multipart/form-data"` (RFC 7578).
///
/// ```
/// use wsgi_core::testing::Multipart;
///
/// let form = Multipart::new().text("title", "A cat").file("picture", "cat.png", "image/png", b"\x89PNG...");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Multipart {
    parts: Vec<(String, Vec<u8>)>,
}

impl Multipart {
    /// A form with nothing in it.
    pub fn new() -> Multipart {
        Multipart::default()
    }

    /// Adds a field.
    pub fn text(self, name: &str, value: &str) -> Multipart {
        self.part(format!("Content-Disposition: form-data; name=\"{}\"\r\n", quoted(name)), value.as_bytes())
    }

    /// Adds a file.
    pub fn file(self, name: &str, file_name: &str, content_type: &str, content: impl AsRef<[u8]>) -> Multipart {
        let head = format!(
            "Content-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\nContent-Type: {content_type}\r\n",
            quoted(name),
            quoted(file_name)
        );
        self.part(head, content.as_ref())
    }

    fn part(mut self, head: String, content: &[u8]) -> Multipart {
        self.parts.push((head, content.to_vec()));
        self
    }

    /// The value of `Content-Type`, and the body.
    pub(super) fn encode(&self) -> (String, Vec<u8>) {
        // The same form always gives the same bytes, with a boundary that none of its parts contains.
        let boundary = (0..)
            .map(|number| format!("wsgi-rs-boundary-{number}"))
            .find(|boundary| !self.parts.iter().any(|(_, content)| contains(content, boundary.as_bytes())))
            .unwrap_or_default();
        let mut body = Vec::new();
        for (head, content) in &self.parts {
            body.extend_from_slice(format!("--{boundary}\r\n{head}\r\n").as_bytes());
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        (format!("multipart/form-data; boundary={boundary}"), body)
    }
}

fn contains(content: &[u8], part: &[u8]) -> bool {
    content.windows(part.len()).any(|window| window == part)
}

/// As browsers write names (HTML, 4.10.21.8).
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

/// `application/x-www-form-urlencoded`, which is also how browsers write queries.
pub(super) fn form<N: AsRef<str>, V: AsRef<str>>(pairs: &[(N, V)]) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        escape(name.as_ref(), &mut out);
        out.push('=');
        escape(value.as_ref(), &mut out);
    }
    out
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'*' | b'-' | b'.' | b'_' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_written_as_browsers_write_it() {
        assert_eq!(form(&[("a b", "c&d=e"), ("é", "+~*-._"), ("", "")]), "a+b=c%26d%3De&%C3%A9=%2B%7E*-._&=");
        assert_eq!(form::<&str, &str>(&[]), "");
    }

    #[test]
    fn parts_stand_between_boundaries_that_none_of_them_contains() {
        let (kind, body) = Multipart::new().text("a", "1").file("f\"", "x\r\n.txt", "text/plain", "--wsgi-rs-boundary-0--").encode();
        assert_eq!(kind, "multipart/form-data; boundary=wsgi-rs-boundary-1");
        let expected = "--wsgi-rs-boundary-1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
            --wsgi-rs-boundary-1\r\nContent-Disposition: form-data; name=\"f%22\"; filename=\"x%0D%0A.txt\"\r\nContent-Type: text/plain\r\n\r\n\
            --wsgi-rs-boundary-0--\r\n--wsgi-rs-boundary-1--\r\n";
        assert_eq!(String::from_utf8(body).unwrap(), expected);
    }
}
