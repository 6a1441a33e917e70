//! Every file in `tests/requests`, in every way in which its bytes could arrive. The format is described in the README there.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use bytes::BytesMut;
use wsgi_core::wire::{
    Address, BodyLength, Dialect, Error, Event, HttpDate, Limits, Link, Next, Protocol, RequestHead, ResponseHead, Underscores, feed,
};
use wsgi_http::Http1;

/// A pair of files.
struct Case {
    name: String,
    bytes: Vec<u8>,
    expected: String,
    http: Http1,
    secure: bool,
}

impl Case {
    fn read(path: &Path) -> Case {
        let text = std::fs::read_to_string(path).unwrap();
        let (mut limits, mut underscores, mut secure, mut bytes) = (Limits::default(), Underscores::Drop, false, Vec::new());
        for line in text.lines() {
            if let Some(settings) = line.strip_prefix("#!") {
                for setting in settings.split_whitespace() {
                    match setting.split_once('=') {
                        Some(("head_bytes", count)) => limits.head_bytes = count.parse().unwrap(),
                        Some(("fields", count)) => limits.fields = count.parse().unwrap(),
                        Some(("body_bytes", count)) => limits.body_bytes = Some(count.parse().unwrap()),
                        Some(("underscores", "keep")) => underscores = Underscores::Keep,
                        Some(("underscores", "refuse")) => underscores = Underscores::Refuse,
                        None if setting == "secure" => secure = true,
                        _ => panic!("{}: unknown setting {setting}", path.display()),
                    }
                }
            } else if !line.starts_with('#') {
                bytes.extend(unescape(line));
            }
        }
        Case {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            bytes,
            expected: std::fs::read_to_string(path.with_extension("expect")).unwrap(),
            http: Http1::new().limits(limits).underscores(underscores),
            secure,
        }
    }

    /// Every case of a folder.
    fn all(folder: &str) -> Vec<Case> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests").join(folder);
        let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().filter(|path| path.extension().is_some_and(|extension| extension == "http")).map(|path| Case::read(path)).collect()
    }

    fn codec(&self) -> Box<dyn Protocol> {
        let address = |text: &str| Address::Tcp(text.parse().unwrap());
        self.http.connect(&Link { local: address("127.0.0.1:8000"), remote: address("127.0.0.1:54321"), secure: self.secure })
    }

    /// The transcript of the expectation, in the words of [`describe`].
    fn expectation(&self) -> String {
        // Values are compared as bytes: an escape may be written in more than one way.
        let lines = self.expected.lines().map(|line| unescape(line).escape_ascii().to_string());
        lines.fold(String::new(), |text, line| text + &line + "\n")
    }
}

/// A transcript, in the words of an `.expect` file. Variables come in the order in which they stand there.
fn describe(seen: &feed::Transcript, order: &str) -> String {
    let mut text = String::new();
    let mut sections = order.split("---\n");
    for (at, request) in seen.requests.iter().enumerate() {
        if at > 0 {
            text.push_str("---\n");
        }
        let mut variables: BTreeMap<String, &[u8]> =
            request.variables.iter().map(|(name, value)| (name.escape_ascii().to_string(), &value[..])).collect();
        for constant in CONSTANTS {
            assert!(variables.remove(*constant).is_some(), "{constant} is missing");
        }
        let places = sections.next().unwrap_or_default();
        let place = |name: &str| places.lines().position(|line| line.starts_with(&format!("{name}:"))).unwrap_or(usize::MAX);
        let mut names: Vec<_> = variables.into_iter().collect();
        names.sort_by_key(|(name, _)| place(name));
        for (name, value) in names {
            let line = format!("{name}: {}", value.escape_ascii());
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
        match request.length {
            BodyLength::Empty => text.push_str("length: none\n"),
            BodyLength::Known(length) => writeln!(text, "length: {length}").unwrap(),
            BodyLength::Unknown => text.push_str("length: chunked\n"),
        }
        if !request.body.is_empty() {
            writeln!(text, "body: {}", request.body.escape_ascii()).unwrap();
        }
    }
    match &seen.end {
        feed::End::Closed => text.push_str("end: closed\n"),
        feed::End::Close(reason) => writeln!(text, "end: close: {}", reason.explain()).unwrap(),
        feed::End::Refused(error) => {
            writeln!(text, "refused: {} {}", error.status().as_u16(), error.to_string().as_bytes().escape_ascii()).unwrap();
        }
    }
    text
}

/// Runs a check over every case of a folder, and says all that failed.
#[track_caller]
fn check_all(folder: &str, at_least: usize, check: impl Fn(&Case) -> Result<(), String>) {
    let cases = Case::all(folder);
    assert!(cases.len() >= at_least, "only {} cases in {folder}", cases.len());
    let failures: Vec<String> =
        cases.iter().filter_map(|case| check(case).err().map(|error| format!("{folder}/{}:\n{error}", case.name))).collect();
    assert!(failures.is_empty(), "{} of {} cases failed\n\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn same(seen: String, expected: String) -> Result<(), String> {
    if seen == expected { Ok(()) } else { Err(format!("seen\n{seen}\nexpected\n{expected}")) }
}

#[test]
fn valid_requests_are_understood_however_they_arrive() {
    check_all("valid", 40, |case| {
        let seen = feed::every_way(|| case.codec(), &case.bytes);
        if matches!(seen.end, feed::End::Refused(_)) || seen.requests.iter().any(|request| !request.complete) {
            return Err(format!("is not valid: {:?}", seen.end));
        }
        same(describe(&seen, &case.expectation()), case.expectation())
    });
}

#[test]
fn invalid_requests_are_refused_however_they_arrive() {
    check_all("invalid", 120, |case| {
        let seen = feed::every_way(|| case.codec(), &case.bytes);
        if !matches!(seen.end, feed::End::Refused(_)) {
            return Err(format!("is not invalid: {:?}", seen.end));
        }
        same(describe(&seen, &case.expectation()), case.expectation())
    });
}

/// Nothing that is only cut short is refused for anything else, and nothing is made up: the requests are those of the whole, up to the cut.
#[test]
fn every_truncation_of_a_valid_request_waits_for_more() {
    check_all("valid", 40, |case| {
        let whole = feed::pieces(|| case.codec(), [&case.bytes[..]]);
        for end in 0..case.bytes.len() {
            let seen = feed::pieces(|| case.codec(), [&case.bytes[..end]]);
            match &seen.end {
                feed::End::Closed | feed::End::Refused(Error::Truncated(_)) => {}
                other if *other == whole.end => {}
                other => return Err(format!("cut at {end}, gives {other:?}")),
            }
            for (at, (request, of_whole)) in seen.requests.iter().zip(&whole.requests).enumerate() {
                let sound = request.variables == of_whole.variables
                    && request.length == of_whole.length
                    && of_whole.body.starts_with(&request.body);
                let last = at + 1 == seen.requests.len();
                let cut_here = last && seen.end == feed::End::Refused(Error::Truncated("body"));
                if !sound || !(request.complete || cut_here) {
                    return Err(format!("cut at {end}, reads {request:?}"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn pieces_of_any_size_make_no_difference() {
    let mut state = 1_u64;
    let mut next = |most: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (state >> 33) as usize % most
    };
    let cases: Vec<Case> = Case::all("valid").into_iter().chain(Case::all("invalid")).collect();
    for case in cases {
        let whole = feed::pieces(|| case.codec(), [&case.bytes[..]]);
        for most in [2, 3, 7, 20, 60] {
            for _ in 0..10 {
                let (mut rest, mut pieces) = (&case.bytes[..], Vec::new());
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(next(most).min(rest.len()));
                    pieces.push(piece);
                    rest = after;
                }
                assert_eq!(feed::pieces(|| case.codec(), pieces.iter().copied()), whole, "{} in {pieces:?}", case.name);
            }
        }
    }
}

/// A refusal is a whole reply: the status of the error, its text, a length, and the announcement that this is the end.
#[test]
fn every_refusal_is_a_whole_reply_that_closes() {
    check_all("invalid", 120, |case| {
        let mut codec = case.codec();
        let (mut input, mut head, mut out) = (BytesMut::from(&case.bytes[..]), RequestHead::default(), Vec::new());
        let date = HttpDate::from_unix(0);
        let error = loop {
            match codec.poll(&mut input, &mut head, &mut out) {
                Ok(Event::NeedInput) => break codec.end(&mut input).expect_err("is refused"),
                Ok(Event::EndOfBody) => {
                    codec.start(&ResponseHead::plain(http::StatusCode::OK, 0), &date, &mut out);
                    assert_eq!(codec.finish(&mut out), Next::Request);
                }
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        out.clear();
        codec.refuse(&error, &date, &mut out);
        let reply = String::from_utf8(out).unwrap();
        let (fields, body) = reply.split_once("\r\n\r\n").ok_or("no end of the head")?;
        let mut lines = fields.split("\r\n");
        same(lines.next().unwrap_or_default().to_string(), format!("HTTP/1.1 {}", error.status()))?;
        let lines: Vec<_> = lines.collect();
        for line in ["Connection: close", "Content-Type: text/plain; charset=utf-8", "Date: Thu, 01 Jan 1970 00:00:00 GMT"] {
            if !lines.contains(&line) {
                return Err(format!("no {line} in {fields}"));
            }
        }
        if !lines.contains(&&format!("Content-Length: {}", body.len())[..]) {
            return Err(format!("{} bytes under {fields}", body.len()));
        }
        if !body.bytes().all(|byte| byte == b'\n' || (0x20..0x7f).contains(&byte)) {
            return Err(format!("{body:?} is not plain"));
        }
        same(body.to_string(), format!("{error}\n"))?;
        // It was the last word.
        let mut more = Vec::new();
        codec.refuse(&error, &date, &mut more);
        codec.start(&ResponseHead::plain(http::StatusCode::OK, 0), &date, &mut more);
        assert!(more.is_empty());
        assert_eq!(codec.poll(&mut input, &mut head, &mut more), Ok(Event::Closed));
        Ok(())
    });
}

#[test]
fn files_come_in_pairs() {
    for folder in ["valid", "invalid"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requests").join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let other = path.with_extension(if path.extension().unwrap() == "http" { "expect" } else { "http" });
            assert!(other.exists(), "{} is missing", other.display());
        }
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        let kind = rest.as_bytes()[at + 1];
        rest = &rest[at + 2..];
        match kind {
            b'r' => bytes.push(b'\r'),
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'0' => bytes.push(0),
            b'\\' => bytes.push(b'\\'),
            b'x' => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            b'{' => {
                let (inside, after) = rest.split_once('}').unwrap();
                let (count, repeated) = inside.split_once(':').unwrap();
                for _ in 0..count.parse().unwrap() {
                    bytes.extend(unescape(repeated));
                }
                rest = after;
            }
            other => panic!("unknown escape \\{} in {text:?}", other as char),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// The variables that every request of a connection has.
const CONSTANTS: &[&str] =
    &["REMOTE_ADDR", "REMOTE_PORT", "SERVER_NAME", "SERVER_PORT", "SERVER_SOFTWARE", "GATEWAY_INTERFACE", "REQUEST_SCHEME"];
