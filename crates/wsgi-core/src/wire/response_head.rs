//! A status and fields that are safe to send: building one is the validation.

use http::StatusCode;

use super::{is_token, parse_decimal, push_decimal};

/// The head of a reply. It cannot hold what must not be sent: a control character, a hop-by-hop field, a second `Content-Length`.
///
/// A reply of 1xx or 204 must not have a `Content-Length` at all (RFC 9110, 8.6). Frameworks give it one, so that is no error: it is checked
/// and then left out of the fields.
///
/// Fields are kept as they go out (`Name: value`, each ended by CR LF), which is what HTTP, uwsgi, FastCGI and SCGI all send.
///
/// ```
/// use wsgi_core::wire::ResponseHead;
///
/// let mut head = ResponseHead::new(b"200 OK")?;
/// head.field(b"Content-Type", b"text/plain")?;
/// assert!(head.field(b"X-Bad", b"split\r\nSet-Cookie: a").is_err());
/// assert!(head.field(b"Connection", b"close").is_err());
/// assert_eq!(head.lines(), b"Content-Type: text/plain\r\n");
/// # Ok::<(), wsgi_core::wire::HeadError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    /// `200 OK`.
    status_line: Vec<u8>,
    code: u16,
    lines: Vec<u8>,
    content_length: Option<u64>,
    has_date: bool,
    has_server: bool,
}

/// Why a status or a field cannot be sent. PEP 3333 makes these the application's errors, to be raised in `start_response`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// Not three digits, one space, and a reason without surrounding white space or control characters.
    #[error("must be three digits, one space and a reason, such as \"200 OK\"")]
    Status,
    /// A code below 200, which cannot be the final one.
    #[error("code must be 200 to 999, since 1xx replies are not final")]
    Informational,
    /// The name is not a token (RFC 9110, 5.6.2).
    #[error("name must be a field name: letters, digits and any of !#$%&'*+-.^_`|~")]
    Name,
    /// The value holds a control character.
    #[error("value must not contain control characters")]
    Value,
    /// The field belongs to the connection, which is the server's (PEP 3333, "Other HTTP Features").
    #[error("is a hop-by-hop field, which only the server may send")]
    HopByHop,
    /// A `Content-Length` that is not a decimal number.
    #[error("value must be a decimal number of bytes")]
    ContentLength,
    /// A second `Content-Length`.
    #[error("is given more than once")]
    Repeated,
}

impl ResponseHead {
    /// Begins a reply with a status such as `200 OK`.
    ///
    /// # Errors
    /// Anything but three digits from 200 up, one space, and a reason without control characters or surrounding white space.
    pub fn new(status: &[u8]) -> Result<ResponseHead, HeadError> {
        let mut head = ResponseHead::default();
        head.reset(status)?;
        Ok(head)
    }

    /// Begins anew, keeping the memory. On an error the head is empty and not to be sent.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn reset(&mut self, status: &[u8]) -> Result<(), HeadError> {
        self.clear();
        let [a, b, c, b' ', reason @ ..] = status else { return Err(HeadError::Status) };
        let ([first, .., last] | [first @ last]) = reason else { return Err(HeadError::Status) };
        if ![a, b, c].iter().all(|digit| digit.is_ascii_digit())
            || *first == b' '
            || *last == b' '
            || reason.iter().any(|&byte| is_control(byte))
        {
            return Err(HeadError::Status);
        }
        let code = [a, b, c].iter().fold(0, |code, &digit| code * 10 + u16::from(digit - b'0'));
        if code < 200 {
            return Err(HeadError::Informational);
        }
        self.code = code;
        self.status_line.extend_from_slice(status);
        Ok(())
    }

    /// Forgets everything but the memory.
    fn clear(&mut self) {
        self.status_line.clear();
        self.code = 0;
        self.lines.clear();
        self.content_length = None;
        self.has_date = false;
        self.has_server = false;
    }

    /// A reply of plain text of `length` bytes.
    pub fn plain(status: StatusCode, length: u64) -> ResponseHead {
        let mut head = ResponseHead::of(status);
        head.lines.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
        head.set_content_length(length);
        head
    }

    /// An informational reply, 103 Early Hints, to be filled with fields for [`Protocol::inform`](super::Protocol::inform).
    pub fn early_hints() -> ResponseHead {
        ResponseHead { code: 103, status_line: b"103 Early Hints".to_vec(), ..ResponseHead::default() }
    }

    /// A reply with a status and no fields yet.
    pub fn of(status: StatusCode) -> ResponseHead {
        let reason = status.canonical_reason().unwrap_or("Unknown");
        ResponseHead { code: status.as_u16(), status_line: format!("{} {reason}", status.as_str()).into_bytes(), ..ResponseHead::default() }
    }

    /// Adds a field. Names that repeat stay apart, as `Set-Cookie` needs.
    ///
    /// # Errors
    /// What must not be sent; see [`HeadError`]. The head is as it was before.
    pub fn field(&mut self, name: &[u8], value: &[u8]) -> Result<(), HeadError> {
        // Folds, since without an early exit the compiler takes many bytes at a time; this runs for every field of every reply.
        if name.is_empty() || !name.iter().fold(true, |good, &byte| good & is_token(byte)) {
            return Err(HeadError::Name);
        }
        if value.iter().fold(false, |bad, &byte| bad | is_control(byte)) {
            return Err(HeadError::Value);
        }
        match special(name) {
            Special::None => {}
            Special::HopByHop => return Err(HeadError::HopByHop),
            Special::Date => self.has_date = true,
            Special::Server => self.has_server = true,
            Special::ContentLength if self.content_length.is_some() => return Err(HeadError::Repeated),
            Special::ContentLength => {
                self.content_length = Some(parse_decimal(value).ok_or(HeadError::ContentLength)?);
                if self.lengthless() {
                    return Ok(());
                }
            }
        }
        self.lines.reserve(name.len() + value.len() + 4);
        self.lines.extend_from_slice(name);
        self.lines.extend_from_slice(b": ");
        self.lines.extend_from_slice(value);
        self.lines.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// Adds a `Content-Length` that was derived. Nothing if there is one already.
    pub fn set_content_length(&mut self, length: u64) {
        if self.content_length.is_none() {
            self.content_length = Some(length);
            if self.lengthless() {
                return;
            }
            self.lines.extend_from_slice(b"Content-Length: ");
            push_decimal(length, &mut self.lines);
            self.lines.extend_from_slice(b"\r\n");
        }
    }

    /// The status code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The code and the reason, such as `404 Not Found`.
    pub fn status_line(&self) -> &[u8] {
        &self.status_line
    }

    /// Every field as it goes out: `Name: value`, CR LF, and so on, without the empty line that ends a head.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Every field as name and value.
    pub fn fields(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        // Neither names nor values hold a colon-space or CR LF before these ends: names are tokens, values have no control characters.
        self.lines.split(|&byte| byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], &line[colon + 2..]))
        })
    }

    /// The length of the body, where it was declared, be it among the fields or not.
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Whether the fields hold a `Date`.
    pub fn has_date(&self) -> bool {
        self.has_date
    }

    /// Whether the fields hold a `Server`.
    pub fn has_server(&self) -> bool {
        self.has_server
    }

    /// Whether a reply with this status must not tell a length: 1xx, 204.
    fn lengthless(&self) -> bool {
        matches!(self.code, 100..=199 | 204)
    }

    /// Whether a reply with this status never has a body: 1xx, 204, 304 (RFC 9110, 6.4.1).
    pub fn bodiless(&self) -> bool {
        matches!(self.code, 100..=199 | 204 | 304)
    }
}

enum Special {
    None,
    Date,
    Server,
    ContentLength,
    HopByHop,
}

fn special(name: &[u8]) -> Special {
    let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
    // Sorted by length first, since this runs for every field of every reply.
    match name.len() {
        2 if is(b"te") => Special::HopByHop,
        4 if is(b"date") => Special::Date,
        6 if is(b"server") => Special::Server,
        7 if is(b"upgrade") || is(b"trailer") => Special::HopByHop,
        // So spelt in RFC 2616, 13.5.1, which PEP 3333 names, and thus in `wsgiref`.
        8 if is(b"trailers") => Special::HopByHop,
        10 if is(b"connection") || is(b"keep-alive") => Special::HopByHop,
        14 if is(b"content-length") => Special::ContentLength,
        17 if is(b"transfer-encoding") => Special::HopByHop,
        18 if is(b"proxy-authenticate") => Special::HopByHop,
        19 if is(b"proxy-authorization") => Special::HopByHop,
        _ => Special::None,
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_three_digits_a_space_and_a_reason() {
        for status in ["200 OK", "404 Not Found", "999 X", "200 Caf\u{e9}"] {
            let latin1: Vec<u8> = status.chars().map(|c| c as u8).collect();
            assert!(ResponseHead::new(&latin1).is_ok(), "{status}");
        }
        for status in [
            "", "200", "200 ", "200  OK", "200 OK ", " 200 OK", "20 OK", "2000 OK", "abc OK", "200 O\rK", "200 O\tK", "200\tOK", "200 OK\n",
        ] {
            assert_eq!(ResponseHead::new(status.as_bytes()).unwrap_err(), HeadError::Status, "{status:?}");
        }
        assert_eq!(ResponseHead::new(b"100 Continue").unwrap_err(), HeadError::Informational);
    }

    #[test]
    fn what_must_not_be_sent_cannot_be_added() {
        let mut head = ResponseHead::new(b"200 OK").unwrap();
        for (name, value, error) in [
            ("", "x", HeadError::Name),
            ("X:", "x", HeadError::Name),
            ("X Y", "x", HeadError::Name),
            ("X\u{e9}", "x", HeadError::Name),
            ("X", "a\r\nb", HeadError::Value),
            ("X", "a\0", HeadError::Value),
            ("X", "a\tb", HeadError::Value),
            ("X", "\u{7f}", HeadError::Value),
            ("Connection", "close", HeadError::HopByHop),
            ("TRANSFER-ENCODING", "chunked", HeadError::HopByHop),
            ("Upgrade", "h2c", HeadError::HopByHop),
            ("Trailer", "X-Sum", HeadError::HopByHop),
            ("Content-Length", "", HeadError::ContentLength),
            ("Content-Length", "+1", HeadError::ContentLength),
            ("Content-Length", "1, 1", HeadError::ContentLength),
            ("Content-Length", "99999999999999999999", HeadError::ContentLength),
        ] {
            assert_eq!(head.field(name.as_bytes(), value.as_bytes()), Err(error), "{name}: {value}");
            assert_eq!(head.lines(), b"");
        }
        head.field(b"content-length", b"5").unwrap();
        assert_eq!(head.field(b"Content-Length", b"5"), Err(HeadError::Repeated));
        head.set_content_length(7);
        assert_eq!(head.content_length(), Some(5));
    }

    #[test]
    fn a_reply_that_must_not_tell_a_length_does_not() {
        for head in [ResponseHead::new(b"204 No Content").unwrap(), ResponseHead::early_hints()] {
            let (mut given, mut derived) = (head.clone(), head);
            given.field(b"X-A", b"1").unwrap();
            given.field(b"content-LENGTH", b"5").unwrap();
            given.field(b"X-B", b"2").unwrap();
            assert_eq!((given.lines(), given.content_length()), (&b"X-A: 1\r\nX-B: 2\r\n"[..], Some(5)));
            assert_eq!(given.field(b"Content-Length", b"5"), Err(HeadError::Repeated));
            derived.set_content_length(0);
            assert_eq!(derived.field(b"Content-Length", b"x"), Err(HeadError::Repeated));
            assert_eq!(derived.lines(), b"");
        }
        assert!(ResponseHead::plain(StatusCode::NOT_MODIFIED, 5).lines().ends_with(b"Content-Length: 5\r\n"));
        assert_eq!(ResponseHead::new(b"204 None").unwrap().field(b"Content-Length", b"x"), Err(HeadError::ContentLength));
    }

    #[test]
    fn fields_come_back_as_they_were_given() {
        let mut head = ResponseHead::new(b"200 OK").unwrap();
        let given: [(&[u8], &[u8]); 4] = [(b"Set-Cookie", b"a: b; c"), (b"Set-Cookie", b""), (b"date", b"caf\xe9"), (b"SERVER", b"x")];
        for (name, value) in given {
            head.field(name, value).unwrap();
        }
        assert!(head.fields().eq(given));
        assert!(head.has_date() && head.has_server());
        head.reset(b"204 No Content").unwrap();
        assert!(head.bodiless() && !head.has_date() && !head.has_server() && head.lines().is_empty());
        head.reset(b"304 Not Modified").unwrap();
        head.set_content_length(1_234_567_890_123);
        assert_eq!(head.lines(), b"Content-Length: 1234567890123\r\n");
    }
}
