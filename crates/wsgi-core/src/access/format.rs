//! What a line looks like: uWSGI's grammar, Apache's, and the formats that have a name.

use std::ffi::CString;
use std::str::FromStr;

use super::escape::Escape;
use super::line::{Line, Unit, What};
use super::times;

/// What a line of an access log looks like.
///
/// Read from the name of a format (`uwsgi`, `uwsgi-micros`, `common`, `combined`, `json`), or from a text in one of two grammars: uWSGI's, in
/// which `%(addr)` stands for a variable, or Apache's, in which `%h` or `%{Referer}i` does. A point in time can be written by `strftime`:
/// `%(ftime:%Y-%m-%d)` or `%{%Y-%m-%d}t`. A text that begins with `{` makes JSON: what it holds is escaped as JSON asks.
///
/// ```
/// use wsgi_core::access::Format;
///
/// assert!("%(addr) \"%(method) %(uri)\" %(status) %(size) in %(micros)".parse::<Format>().is_ok());
/// assert!("%h %l %u %t \"%r\" %>s %b".parse::<Format>().is_ok());
/// assert_eq!("%(adr)".parse::<Format>().unwrap_err().to_string(), "log format has no variable \"adr\"");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    items: Vec<Item>,
    escape: Escape,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Item {
    Text(Vec<u8>),
    What(What),
}

/// A text that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Not a variable of uWSGI's that is known here.
    #[error("log format has no variable {0:?}")]
    Variable(String),
    /// Not a directive of Apache's that is known here.
    #[error("log format has no directive {0:?}")]
    Directive(String),
    /// A variable or a directive is not ended.
    #[error("log format ends inside {0:?}")]
    Unended(String),
    /// There is no variable and no directive, so every line would be the same.
    #[error("log format {0:?} is neither uwsgi, common, combined nor json, and names nothing such as %(uri) or %r")]
    Constant(String),
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Format, FormatError> {
        if text == MICROS {
            return NAMED[0].1.replace("%(msecs) msecs", "%(micros) micros").parse();
        }
        let text = NAMED.iter().find(|(name, _)| *name == text).map_or(text, |(_, meaning)| *meaning);
        let items = if text.contains("%(") { uwsgi(text)? } else { apache(text)? };
        if !items.iter().any(|item| matches!(item, Item::What(_))) {
            return Err(FormatError::Constant(text.to_owned()));
        }
        let escape = if text.trim_start().starts_with('{') { Escape::Json } else { Escape::Text };
        Ok(Format { items, escape })
    }
}

impl Format {
    /// Appends a line, without its end.
    pub(super) fn render(&self, line: &Line<'_>, out: &mut Vec<u8>) {
        let mut quoted = false;
        for item in &self.items {
            match item {
                Item::Text(text) => {
                    quoted ^= text.iter().filter(|&&byte| byte == b'"').count() % 2 == 1;
                    out.extend_from_slice(text);
                }
                // A space that no quotes enclose would begin another column.
                Item::What(what) if self.escape == Escape::Text && !quoted => line.write(what, Escape::Word, out),
                Item::What(what) => line.write(what, self.escape, out),
            }
        }
    }

    pub(super) fn wants_reply(&self) -> bool {
        self.items.iter().any(|item| matches!(item, Item::What(What::ReplyField(_))))
    }
}

/// `%(name)` is a variable; everything else is text.
fn uwsgi(text: &str) -> Result<Vec<Item>, FormatError> {
    let mut items = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("%(") {
        push_text(&mut items, before);
        let (name, after) = after.split_once(')').ok_or_else(|| FormatError::Unended(format!("%({after}")))?;
        items.push(Item::What(variable(name).ok_or_else(|| FormatError::Variable(name.to_owned()))?));
        rest = after;
    }
    push_text(&mut items, rest);
    Ok(items)
}

/// The names and meanings of uWSGI's `core/logging.c`, and after them ours.
fn variable(name: &str) -> Option<What> {
    if let Some(name) = name.strip_prefix("var.") {
        return Some(What::Cgi(name.as_bytes().to_vec()));
    }
    if let Some(form) = name.strip_prefix("ftime:") {
        return strftime(form);
    }
    Some(match name {
        "addr" => What::Address,
        "user" => What::User,
        "method" => What::Method,
        "uri" => What::Uri,
        "proto" => What::Protocol,
        "host" => What::Host,
        "uagent" => What::Agent,
        "referer" => What::Referer,
        "status" => What::Status,
        "rsize" => What::BodyBytes,
        "hsize" => What::HeadBytes,
        "size" => What::AllBytes,
        "cl" => What::ContentLength,
        "received" => What::ReceivedBytes,
        "headers" => What::Fields,
        // Reading and writing fail together: what is lost is the connection.
        "ioerr" | "rerr" | "werr" => What::Lost,
        "micros" => What::Micros,
        "msecs" => What::Millis,
        "secs" => What::Seconds,
        "time" => What::Began(Unit::Seconds),
        "tmsecs" => What::Began(Unit::Millis),
        "tmicros" => What::Began(Unit::Micros),
        "epoch" => What::Epoch,
        "ctime" => What::Local(times::CTIME),
        "ltime" | "ftime" => What::Local(times::APACHE),
        "pid" => What::Pid,
        "wid" => What::Worker,
        "vars" => What::Variables,
        "pktsize" => What::VariableBytes,
        // A request is answered on one thread, and modifiers choose plugins, of which there is one.
        "switches" => What::Constant("1"),
        "core" | "modifier1" | "modifier2" => What::Constant("0"),
        "path" => What::Path,
        "port" => What::Port,
        "number" => What::Number,
        "id" => What::RequestId,
        "outcome" => What::Outcome,
        "rfc3339" => What::Rfc3339,
        "attach_micros" => What::AttachingMicros,
        "read_micros" => What::ReadingMicros,
        "write_micros" => What::WritingMicros,
        _ => return None,
    })
}

/// Apache's `mod_log_config`: `%`, perhaps `<` or `>`, perhaps `{...}`, and a letter.
fn apache(text: &str) -> Result<Vec<Item>, FormatError> {
    let mut items = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        push_text(&mut items, before);
        let directive = after;
        let unended = || FormatError::Unended(format!("%{directive}"));
        let mut after = after.strip_prefix(['<', '>']).unwrap_or(after);
        let mut argument = None;
        if let Some(inside) = after.strip_prefix('{') {
            let (name, behind) = inside.split_once('}').ok_or_else(unended)?;
            (argument, after) = (Some(name), behind);
        }
        let letter = after.chars().next().ok_or_else(unended)?;
        rest = &after[letter.len_utf8()..];
        if (argument, letter) == (None, '%') {
            push_text(&mut items, "%");
            continue;
        }
        let whole = &directive[..directive.len() - rest.len()];
        items.push(Item::What(directive_of(argument, letter).ok_or_else(|| FormatError::Directive(format!("%{whole}")))?));
    }
    push_text(&mut items, rest);
    Ok(items)
}

fn directive_of(argument: Option<&str>, letter: char) -> Option<What> {
    Some(match (argument, letter) {
        (None | Some("c"), 'a') | (None, 'h') => What::Address,
        (None, 'l') => What::Constant("-"),
        (None, 'u') => What::User,
        (None, 't') => What::Local(BRACKETED),
        (None, 'r') => What::RequestLine,
        (None, 's') => What::Status,
        (None, 'b') => What::BodyBytesOrDash,
        (None, 'B') => What::BodyBytes,
        (None, 'O') => What::AllBytes,
        (None, 'D') | (Some("us"), 'T') => What::Micros,
        (None | Some("s"), 'T') => What::Seconds,
        (Some("ms"), 'T') => What::Millis,
        (None, 'm') => What::Method,
        (None, 'U') => What::Path,
        (None, 'q') => What::Query,
        (None, 'H') => What::Protocol,
        (None, 'v' | 'V') => What::Server,
        (None | Some("canonical"), 'p') => What::ServerPort,
        (Some("remote"), 'p') => What::Port,
        (None | Some("pid"), 'P') => What::Pid,
        (None, 'X') => What::Connection,
        (None, 'L') => What::RequestId,
        (Some("sec"), 't') => What::Began(Unit::Seconds),
        (Some("msec"), 't') => What::Began(Unit::Millis),
        (Some("usec"), 't') => What::Began(Unit::Micros),
        // What else Apache knows in this place is no form of strftime, which would print it as it is.
        (Some(form), 't') if form.contains('%') && !form.starts_with("begin:") && !form.starts_with("end:") => return strftime(form),
        (Some(field), 'i') => What::Cgi(cgi_name(field)),
        (Some(name), 'e') => What::Cgi(name.as_bytes().to_vec()),
        (Some(field), 'o') => What::ReplyField(field.as_bytes().to_vec()),
        _ => return None,
    })
}

fn strftime(form: &str) -> Option<What> {
    let form = CString::new(form).ok()?;
    // There are as many as an operator writes.
    Some(What::Local(Box::leak(form.into_boxed_c_str())))
}

/// The variable of a field of a request (RFC 3875, 4.1.18).
fn cgi_name(field: &str) -> Vec<u8> {
    let name = field.to_ascii_uppercase().replace('-', "_");
    match name.as_str() {
        "CONTENT_TYPE" | "CONTENT_LENGTH" => name.into_bytes(),
        _ => format!("HTTP_{name}").into_bytes(),
    }
}

fn push_text(items: &mut Vec<Item>, text: &str) {
    if text.is_empty() {
        return;
    }
    match items.last_mut() {
        Some(Item::Text(before)) => before.extend_from_slice(text.as_bytes()),
        _ => items.push(Item::Text(text.as_bytes().to_vec())),
    }
}

const BRACKETED: &std::ffi::CStr = c"[%d/%b/%Y:%H:%M:%S %z]";

/// uWSGI's with `log-micros`.
const MICROS: &str = "uwsgi-micros";

/// uWSGI's own is the first.
const NAMED: &[(&str, &str)] = &[
    (
        "uwsgi",
        "[pid: %(pid)|app: 0|req: %(number)/%(number)] %(addr) (%(user)) {%(vars) vars in %(pktsize) bytes} [%(ctime)] %(method) %(uri) => \
         generated %(rsize) bytes in %(msecs) msecs (%(proto) %(status)) %(headers) headers in %(hsize) bytes (%(switches) switches on core 0)",
    ),
    ("common", "%h %l %u %t \"%r\" %>s %b"),
    ("combined", "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\""),
    (
        "json",
        "{\"time\":\"%(rfc3339)\",\"addr\":\"%(addr)\",\"user\":\"%(user)\",\"method\":\"%(method)\",\"host\":\"%(host)\",\"uri\":\"%(uri)\",\
         \"proto\":\"%(proto)\",\"status\":%(status),\"bytes\":%(rsize),\"received\":%(received),\"micros\":%(micros),\"attach_micros\":%(attach_micros),\
         \"read_micros\":%(read_micros),\"write_micros\":%(write_micros),\"outcome\":\"%(outcome)\",\"referer\":\"%(referer)\",\
         \"agent\":\"%(uagent)\",\"id\":\"%(id)\",\"pid\":%(pid),\"worker\":%(wid)}",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_grammars_are_read() {
        for (name, _) in NAMED {
            assert!(name.parse::<Format>().is_ok(), "{name}");
        }
        let micros: Format = MICROS.parse().unwrap();
        assert!(micros.items.contains(&Item::What(What::Micros)) && !micros.items.contains(&Item::What(What::Millis)));
        let format: Format = "%(ftime:%H:%M) %(ftime)".parse().unwrap();
        assert_eq!(format.items, [Item::What(What::Local(c"%H:%M")), Item::Text(b" ".to_vec()), Item::What(What::Local(times::APACHE))]);
        let both = [
            "%(addr) - %(user) [%(ltime)] \"%(uagent)\"".parse::<Format>(),
            "%h - %u %{[%d/%b/%Y:%H:%M:%S %z]}t \"%{User-Agent}i\"".parse(),
        ];
        for format in both {
            let format = format.unwrap();
            assert_eq!(format.items.len(), 8 - usize::from(!matches!(&format.items[5], Item::Text(_))), "{format:?}");
        }
        // In uWSGI's grammar a lone percent sign is one.
        let format: Format = "100% %(uri)%".parse().unwrap();
        assert_eq!(format.items, [Item::Text(b"100% ".to_vec()), Item::What(What::Uri), Item::Text(b"%".to_vec())]);
        let format: Format = "100%% %U".parse().unwrap();
        assert_eq!(format.items, [Item::Text(b"100% ".to_vec()), Item::What(What::Path)]);
        let format: Format = "%{Content-Type}i %{X-Id}i %{Server}o".parse().unwrap();
        assert!(format.items.contains(&Item::What(What::Cgi(b"CONTENT_TYPE".to_vec()))));
        assert!(format.items.contains(&Item::What(What::Cgi(b"HTTP_X_ID".to_vec()))));
        assert!(format.wants_reply());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, sentence) in [
            ("%(addr) %(nonsense)", "log format has no variable \"nonsense\""),
            ("%(addr", "log format ends inside \"%(addr\""),
            ("%h %y", "log format has no directive \"%y\""),
            ("%h %{x}z", "log format has no directive \"%{x}z\""),
            ("%h %{begin:sec}t", "log format has no directive \"%{begin:sec}t\""),
            ("%h %{end:%H}t", "log format has no directive \"%{end:%H}t\""),
            ("%h %{msec_frac}t", "log format has no directive \"%{msec_frac}t\""),
            ("%h %{}t", "log format has no directive \"%{}t\""),
            ("%h %", "log format ends inside \"%\""),
            ("%h %{Referer", "log format ends inside \"%{Referer\""),
            ("apache", "log format \"apache\" is neither uwsgi, common, combined nor json, and names nothing such as %(uri) or %r"),
        ] {
            assert_eq!(text.parse::<Format>().unwrap_err().to_string(), sentence);
        }
    }
}
