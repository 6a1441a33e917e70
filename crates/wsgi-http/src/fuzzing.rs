//! The bodies of the fuzz targets, beside the code that they check. No part of the interface.

use bytes::BytesMut;
use wsgi_core::wire::{
    Address, Dialect, Error, Event, HttpDate, Limits, Link, Next, Protocol, RequestHead, ResponseHead, Underscores, feed,
};

use crate::Http1;
use crate::head::UNEXPLAINED;

/// Any bytes give events or an [`Error`], never a panic, never growth past the limits; all splits agree.
///
/// The first byte chooses the settings, the second a place to cut.
pub fn requests(bytes: &[u8]) {
    let [settings, cut, input @ ..] = bytes else { return };
    let limits = match settings & 3 {
        0 => Limits::default(),
        1 => Limits { head_bytes: 100, fields: 3, body_bytes: Some(10) },
        2 => Limits { head_bytes: 1000, fields: 200, body_bytes: None },
        _ => Limits { head_bytes: 300, fields: 8, body_bytes: Some(1000) },
    };
    let underscores = match settings >> 2 & 3 {
        0 => Underscores::Drop,
        1 => Underscores::Refuse,
        _ => Underscores::Keep,
    };
    let http = Http1::new().limits(limits.clone()).underscores(underscores);
    let make = || http.connect(&link());

    let whole = if input.len() <= SHORT {
        feed::every_way(make, input)
    } else {
        let whole = feed::pieces(make, [input]);
        assert_eq!(feed::pieces(make, input.chunks(1)), whole, "a byte at a time");
        let (a, b) = input.split_at(usize::from(*cut) * input.len() / 256);
        assert_eq!(feed::pieces(make, [a, b]), whole, "cut");
        whole
    };

    let held: usize = whole.requests.iter().flat_map(|request| &request.variables).map(|(name, value)| name.len() + value.len()).sum();
    // The target counts three times, each field once; and each request has the variables of its connection.
    assert!(held <= 3 * input.len() + 512 * whole.requests.len(), "{held} bytes of variables from {} bytes", input.len());
    for request in &whole.requests {
        assert!(request.variables.len() <= limits.fields + 20);
        assert!(limits.body_bytes.is_none_or(|limit| request.body.len() as u64 <= limit));
        assert!(request.get("SERVER_PROTOCOL") == Some(b"HTTP/1.0") || request.get("HTTP_HOST").is_some());
        for (name, value) in &request.variables {
            // A control character can only come out of percent-encoding.
            assert!(name == b"PATH_INFO" || !value.iter().any(|&byte| byte < 0x20 && byte != b'\t' || byte == 0x7f));
            assert!(name.iter().all(|&byte| byte.is_ascii_graphic() && !byte.is_ascii_lowercase()));
        }
    }
    if let feed::End::Refused(Error::Malformed(text)) = &whole.end {
        assert_ne!(text, UNEXPLAINED);
    }

    what_waits_is_bounded(&mut *make(), input, &limits);
}

/// What a codec leaves in the caller's buffer when it wants more is less than one head; of a body it leaves nothing.
fn what_waits_is_bounded(codec: &mut dyn Protocol, bytes: &[u8], limits: &Limits) {
    let (mut input, mut head, mut out) = (BytesMut::new(), RequestHead::default(), Vec::new());
    let mut in_body = false;
    for byte in bytes.chunks(1) {
        input.extend_from_slice(byte);
        loop {
            match codec.poll(&mut input, &mut head, &mut out) {
                Ok(Event::NeedInput) => break assert!(input.len() < if in_body { 1 } else { limits.head_bytes }),
                Ok(Event::Head) => in_body = true,
                Ok(Event::EndOfBody) => {
                    in_body = false;
                    codec.start(&ok(Some(0)), &HttpDate::from_unix(0), &mut out);
                    if codec.finish(&mut out) != Next::Request {
                        return;
                    }
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}

/// Any order of calls is taken without a panic; and what was queued up to a [`Next::Request`] reads as whole replies and nothing more.
///
/// The first byte chooses the request, each of the others is a call.
pub fn replies(bytes: &[u8]) {
    let [request, calls @ ..] = bytes else { return };
    let request = REQUESTS[usize::from(*request) % REQUESTS.len()];
    let mut codec = Http1::new().connect(&link());
    let (mut input, mut head, mut out) = (BytesMut::from(request), RequestHead::default(), Vec::new());
    let date = HttpDate::from_unix(0);
    let mut replies = 0;
    // What `raw` announced is the caller's to send.
    let mut announced = 0;
    let mut broken = false;
    for &call in calls {
        let size = usize::from(call >> 4);
        let block = &b"0123456789abcdef"[..size];
        if announced > 0 && call & 15 != 7 {
            // Here the grammar is kept, or there is nothing to be said of the outcome.
            out.extend(std::iter::repeat_n(b'r', std::mem::take(&mut announced)));
            codec.raw_end(&mut out);
        }
        match call & 15 {
            0 => {
                // A request that was read is followed by another, so that there is always something to answer.
                if let Ok(Event::NeedInput) = codec.poll(&mut input, &mut head, &mut out) {
                    input.extend_from_slice(request);
                }
            }
            1 => codec.start(&ok(Some(size as u64)), &date, &mut out),
            2 => codec.start(&ok(None), &date, &mut out),
            3..=5 => codec.data(block, &mut out),
            6 => {
                if codec.raw(size as u64, &mut out) {
                    announced = size;
                }
            }
            7 => {
                if announced == 0 {
                    codec.raw_end(&mut out);
                }
            }
            8 => codec.expect_body(&mut out),
            9 => codec.inform(&ResponseHead::early_hints(), &mut out),
            10 => {
                if let Ok(head) = ResponseHead::new(if size & 1 == 0 { b"204 No Content" } else { b"304 Not Modified" }) {
                    codec.start(&head, &date, &mut out);
                }
            }
            11 if size == 0 => codec.refuse(&Error::malformed("fuzzed"), &date, &mut out),
            12 if size == 0 => broken = matches!(codec.abort(&mut out), Next::Close(_)),
            13 if size == 0 => codec.close_after_reply(),
            _ => match codec.finish(&mut out) {
                Next::Request => replies += 1,
                Next::Close(_) => broken = true,
            },
        }
        if broken {
            return;
        }
        if codec.idle() || replies > 0 && call & 15 > 13 {
            assert_eq!(whole_replies(&out, request.starts_with(b"HEAD")), Some(replies), "{}", out.escape_ascii());
        }
    }
}

/// How many final replies these bytes are; none if they are not whole.
fn whole_replies(mut bytes: &[u8], bodiless: bool) -> Option<usize> {
    let mut replies = 0;
    while !bytes.is_empty() {
        let mut fields = [httparse::EMPTY_HEADER; 16];
        let mut reply = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(end) = reply.parse(bytes).ok()? else { return None };
        bytes = &bytes[end..];
        let code = reply.code?;
        if code < 200 {
            continue;
        }
        replies += 1;
        let value = |name: &str| reply.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
        let (length, coding) = (value("content-length"), value("transfer-encoding"));
        assert!(length.is_none() || coding.is_none());
        if bodiless || matches!(code, 204 | 304) {
            assert!(coding.is_none() && (code != 204 || length.is_none()));
            continue;
        }
        match length {
            Some(length) => bytes = bytes.get(std::str::from_utf8(length).ok()?.parse().ok()?..)?,
            None => {
                assert_eq!(coding, Some(&b"chunked"[..]));
                loop {
                    let Ok(httparse::Status::Complete((start, size))) = httparse::parse_chunk_size(bytes) else { return None };
                    let rest = bytes.get(start + size as usize..)?;
                    bytes = rest.strip_prefix(b"\r\n")?;
                    if size == 0 {
                        break;
                    }
                }
            }
        }
    }
    Some(replies)
}

fn link() -> Link {
    let address = |port| Address::Tcp(([127, 0, 0, 1], port).into());
    Link { local: address(80), remote: address(1), secure: false }
}

fn ok(length: Option<u64>) -> ResponseHead {
    let mut head = ResponseHead::new(b"200 OK").unwrap_or_default();
    if let Some(length) = length {
        head.set_content_length(length);
    }
    head
}

const SHORT: usize = 100;
const REQUESTS: [&[u8]; 6] = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a target over bytes that are not random, but vary: each test of this kind is the same everywhere.
    fn vary(seed: &[u8], target: impl Fn(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..300 {
            let mut bytes = seed.to_vec();
            for _ in 0..1 + state % 4 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                match state >> 20 & 3 {
                    0 => bytes[at] = (state >> 24) as u8,
                    1 => bytes.insert(at, b"\r\n :;,0\t\0"[(state >> 24) as usize % 9]),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.extend_from_within(..at),
                }
            }
            target(&bytes);
        }
    }

    #[test]
    fn requests_that_are_nearly_sound() {
        for request in REQUESTS {
            vary(&[&b"\x00\x80"[..], request].concat(), requests);
            vary(&[&b"\x01\x80"[..], request, request].concat(), requests);
        }
    }

    #[test]
    fn calls_in_any_order() {
        for request in 0..REQUESTS.len() as u8 {
            vary(&[request, 0, 0, 8, 0, 9, 0x51, 0x53, 14, 0, 0, 2, 0x36, 7, 0x43, 14, 0, 10, 14, 0, 0x22, 0x23, 15], replies);
        }
    }

    #[test]
    fn half_replies_are_told_from_whole_ones() {
        let mut text = String::from("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        assert_eq!(whole_replies(text.as_bytes(), false), Some(1));
        text.push_str("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        assert_eq!(whole_replies(text.as_bytes(), false), Some(2));
        assert_eq!(whole_replies(&text.as_bytes()[..text.len() - 1], false), None);
    }
}
