//! The bodies of the fuzz targets, beside the code that they check. No part of the interface.

use bytes::BytesMut;
use wsgi_core::wire::{
    Address, BodyLength, Dialect, Event, HttpDate, Limits, Link, Next, PathRule, Paths, RequestHead, ResponseHead, feed,
};

use crate::FastCgi;
use crate::client::{self, Reply, ReplyError, Request};

/// Any bytes give events or an [`Error`](wsgi_core::wire::Error), never a panic, never growth past the limits; all splits agree.
///
/// The first byte chooses the settings, the second a place to cut.
pub fn requests(bytes: &[u8]) {
    let [settings, cut, input @ ..] = bytes else { return };
    let (fastcgi, limits) = settings_of(*settings);
    let make = || fastcgi.connect(&link());
    let whole = if input.len() <= SHORT {
        feed::every_way(make, input)
    } else {
        let whole = feed::pieces(make, [input]);
        assert_eq!(feed::pieces(make, input.chunks(1)), whole, "a byte at a time");
        let (a, b) = input.split_at(usize::from(*cut) * input.len() / 256);
        assert_eq!(feed::pieces(make, [a, b]), whole, "cut");
        whole
    };
    for request in &whole.requests {
        let held: usize = request.variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        // A path can count as several variables; those that are added are short.
        assert!(held <= 4 * limits.head_bytes.min(input.len()) + 200, "{held} bytes of variables from {} bytes", input.len());
        assert!(request.variables.len() <= limits.fields + 10);
        assert!(limits.body_bytes.is_none_or(|limit| request.body.len() as u64 <= limit));
        match request.length {
            BodyLength::Empty => assert!(request.body.is_empty()),
            BodyLength::Known(length) => {
                assert!(if request.complete { request.body.len() as u64 == length } else { request.body.len() as u64 <= length })
            }
            BodyLength::Unknown => assert_eq!(request.get("CONTENT_LENGTH"), None),
        }
        for name in ["REQUEST_METHOD", "SERVER_NAME", "SERVER_PROTOCOL"] {
            assert!(!request.get(name).expect("is always there").is_empty());
        }
        assert!(request.get("SERVER_PORT").is_none_or(|port| !port.is_empty()));
        let path = request.get("PATH_INFO").expect("is always there");
        assert!(request.get("SCRIPT_NAME").is_some() && matches!(path, [] | [b'/', ..]), "{}", path.escape_ascii());
    }
    what_waits_is_bounded(&fastcgi, input);
}

/// What a codec leaves in the caller's buffer when it wants more is less than its longest record that has to be whole; what it queues by
/// itself is no more than it was sent.
fn what_waits_is_bounded(fastcgi: &FastCgi, bytes: &[u8]) {
    let mut codec = fastcgi.connect(&link());
    let (mut input, mut head, mut out) = (BytesMut::new(), RequestHead::default(), Vec::new());
    for (at, byte) in bytes.chunks(1).enumerate() {
        input.extend_from_slice(byte);
        loop {
            match codec.poll(&mut input, &mut head, &mut out) {
                Ok(Event::NeedInput) => break assert!(input.len() < 8 + 1024 && out.len() <= 4 * (at + 1)),
                Ok(Event::EndOfBody) => {
                    out.clear();
                    codec.start(&ResponseHead::plain(http::StatusCode::OK, 0), &HttpDate::from_unix(0), &mut out);
                    if codec.finish(&mut out) != Next::Request {
                        return;
                    }
                    out.clear();
                }
                Ok(Event::Closed) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}

/// Any bytes give events or a [`ReplyError`], and all splits agree.
///
/// The first byte chooses the settings, the second a place to cut.
pub fn replies(bytes: &[u8]) {
    let [settings, cut, input @ ..] = bytes else { return };
    let limits = Limits { head_bytes: if settings & 1 == 0 { 65_536 } else { 50 }, fields: 5, body_bytes: None };
    let mut reply = Reply::to(Request::new(1), if settings & 2 == 0 { b"GET" } else { b"HEAD" }).limits(limits);
    if settings & 12 == 12 {
        reply.discard();
    }
    let whole = read(reply.clone(), &mut [input].into_iter());
    assert_eq!(read(reply.clone(), &mut input.chunks(1)), whole, "a byte at a time");
    let (a, b) = input.split_at(usize::from(*cut) * input.len() / 256);
    assert_eq!(read(reply, &mut [a, b].into_iter()), whole, "cut");
}

/// What a reply is read as: its head in words, its body, its log, and how it ended.
type Read = (String, Vec<u8>, Vec<u8>, Result<client::End, ReplyError>);

fn read(mut reply: Reply, pieces: &mut dyn Iterator<Item = &[u8]>) -> Read {
    let (mut input, mut head) = (BytesMut::new(), ResponseHead::default());
    let (mut text, mut body, mut log) = (String::new(), Vec::new(), Vec::new());
    let end = loop {
        match reply.poll(&mut input, &mut head) {
            Ok(client::Event::NeedInput) => {
                assert!(input.len() < 16);
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => break reply.end(),
                }
            }
            Ok(client::Event::Head) => {
                assert!(text.is_empty() && (200..=999).contains(&head.code()));
                text = format!("{head:?}");
            }
            Ok(client::Event::Body(piece)) => {
                assert!(!text.is_empty() && !piece.is_empty());
                body.extend_from_slice(&piece);
            }
            Ok(client::Event::Log(piece)) => {
                assert!(!piece.is_empty());
                log.extend_from_slice(&piece);
            }
            Ok(client::Event::End(end)) => break Ok(end),
            Err(error) => break Err(error),
        }
    };
    assert!(text.is_empty() || head.content_length().is_none_or(|length| body.len() as u64 <= length));
    (text, body, log, end)
}

/// Any order of calls is taken without a panic; and what was queued in an order that the grammar allows is understood by the client as it was
/// meant, however much of it the caller sent in between.
///
/// Each byte is a call.
pub fn conversations(bytes: &[u8]) {
    let mut codec = FastCgi::new().log_to_peer(true).connect(&link());
    let (mut input, mut head, mut out, mut sent) = (BytesMut::new(), RequestHead::default(), Vec::new(), Vec::new());
    let request = Request::new(1).keep_connection(true);
    let date = HttpDate::from_unix(0);
    let (mut asked, mut started, mut body, mut log, mut left) = (false, false, Vec::new(), Vec::new(), None);
    let mut broken = false;
    for &call in bytes {
        let block = &b"0123456789abcdef"[..usize::from(call >> 4)];
        match call & 15 {
            0 | 1 if !asked && !broken => {
                let mut made = Vec::new();
                assert!(request.begin([("REQUEST_METHOD", "GET")], &mut made).is_ok());
                request.end_body(&mut made);
                input.extend_from_slice(&made);
                assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
                (asked, started, left) = (true, false, None);
                body.clear();
                log.clear();
                sent.clear();
            }
            2 | 3 => {
                let length = (call & 1 == 0).then_some(u64::from(call >> 4));
                let mut head = ResponseHead::of(http::StatusCode::OK);
                length.into_iter().for_each(|length| head.set_content_length(length));
                codec.start(&head, &date, &mut out);
                if asked && !started {
                    (started, left) = (true, length);
                }
            }
            4..=6 => {
                codec.data(block, &mut out);
                if asked && started {
                    let some = &block[..left.map_or(block.len(), |left| block.len().min(left as usize))];
                    body.extend_from_slice(some);
                    left = left.map(|left| left - some.len() as u64);
                }
            }
            7 | 8 => {
                if codec.raw(block.len() as u64, &mut out) {
                    assert!(asked && started);
                    out.extend_from_slice(block);
                    body.extend_from_slice(block);
                    left = left.map(|left| left - block.len() as u64);
                    codec.raw_end(&mut out);
                }
            }
            9 => {
                if codec.log(block, &mut out) {
                    log.extend_from_slice(block);
                }
            }
            10 | 11 => sent.extend(out.drain(..out.len().min(usize::from(call >> 4) * 8))),
            12 => {
                // Bytes that are none: the connection is over.
                input.extend_from_slice(block);
                let _ = codec.poll(&mut input, &mut head, &mut out);
                broken |= !block.is_empty();
            }
            13 if call >> 4 == 0 => {
                let _ = codec.abort(&mut out);
                broken = true;
            }
            14 if call >> 4 == 0 => {
                codec.refuse(&wsgi_core::wire::Error::malformed("x"), &date, &mut out);
                broken = true;
            }
            15 => {
                let next = codec.finish(&mut out);
                if asked && !broken {
                    let whole = started && left.is_none_or(|left| left == 0);
                    assert_eq!(next == Next::Request, whole, "{next:?}");
                    sent.append(&mut out);
                    let (_, seen_body, seen_log, end) = read(Reply::to(request, b"GET"), &mut sent.chunks(7));
                    assert_eq!((&seen_log, end.is_ok()), (&log, whole));
                    if whole {
                        assert_eq!(seen_body, body);
                    }
                }
                broken |= next != Next::Request;
                asked = false;
                out.clear();
            }
            _ => {
                let _ = (codec.idle(), codec.withdrawn(block));
                codec.expect_body(&mut out);
            }
        }
    }
}

fn settings_of(byte: u8) -> (FastCgi, Limits) {
    let limits = match byte & 3 {
        0 => Limits::default(),
        1 => Limits { head_bytes: 100, fields: 4, body_bytes: Some(10) },
        2 => Limits { head_bytes: 1000, fields: 200, body_bytes: None },
        _ => Limits { head_bytes: 300, fields: 8, body_bytes: Some(1000) },
    };
    let rule = [PathRule::Auto, PathRule::Auto, PathRule::Whole, PathRule::RequestUri][usize::from(byte >> 2 & 3)];
    let paths = Paths::new(rule).mount(if byte & 16 == 0 { "" } else { "/a" });
    (FastCgi::new().limits(limits.clone()).paths(paths).log_to_peer(byte & 32 != 0), limits)
}

fn link() -> Link {
    Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false }
}

const SHORT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a target over bytes that are not random, but vary: each test of this kind is the same everywhere.
    fn vary(seed: &[u8], target: impl Fn(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..1000 {
            let mut bytes = seed.to_vec();
            for _ in 0..1 + (state >> 60 & 3) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                match state >> 20 & 3 {
                    0 => bytes[at] = (state >> 24) as u8,
                    1 => bytes.insert(at, (state >> 24) as u8),
                    2 if bytes.len() > 1 => drop(bytes.remove(at)),
                    _ => bytes[at] = bytes[at].wrapping_add(1),
                }
            }
            target(&bytes);
        }
    }

    fn request(variables: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let request = Request::new(1).keep_connection(true);
        request.begin(variables.iter().copied(), &mut out).unwrap();
        request.body(body, &mut out);
        request.end_body(&mut out);
        out
    }

    #[test]
    fn requests_that_are_nearly_sound() {
        for settings in 0..64 {
            let first = request(&[("REQUEST_METHOD", "POST"), ("SCRIPT_NAME", "/a/b"), ("CONTENT_LENGTH", "3")], b"abc");
            let second = request(&[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a%20?b")], b"");
            vary(&[&[settings, 100], &first[..], &second[..]].concat(), requests);
        }
    }

    #[test]
    fn replies_that_are_nearly_sound() {
        let mut codec = FastCgi::new().log_to_peer(true).connect(&link());
        let (mut head, mut out) = (RequestHead::default(), Vec::new());
        let mut input = BytesMut::from(&request(&[("REQUEST_METHOD", "GET")], b"")[..]);
        assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
        codec.log(b"log", &mut out);
        codec.start(&ResponseHead::plain(http::StatusCode::OK, 5), &HttpDate::from_unix(0), &mut out);
        codec.data(b"hello", &mut out);
        assert_eq!(codec.finish(&mut out), Next::Request);
        for settings in 0..16 {
            vary(&[&[settings, 100], &out[..]].concat(), replies);
        }
    }

    #[test]
    fn calls_in_any_order() {
        let usual = [0x00, 0x03, 0x54, 0xfa, 0x37, 0x39, 0x2a, 0x64, 0x0f, 0x00, 0x92, 0x54, 0x47, 0x0f];
        vary(&usual, conversations);
        vary(&[&usual[..], &usual[..], &[0x33, 0x0d], &usual[..]].concat(), conversations);
    }
}
