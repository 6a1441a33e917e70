//! The bodies of the fuzz targets, beside the code that they check. No part of the interface.

use bytes::BytesMut;
use wsgi_core::wire::{Address, Dialect, Limits, Link, PathRule, Paths, ResponseHead, feed};

use crate::client::{Event, Reply};
use crate::{Scgi, Uwsgi};

/// Any bytes give events or an error, never a panic, never growth past the limits; all splits agree. Of uwsgi.
///
/// The first byte chooses the settings.
pub fn packets(bytes: &[u8]) {
    let [settings, input @ ..] = bytes else { return };
    let (limits, paths) = settings_of(*settings);
    requests(&Uwsgi::new().limits(limits.clone()).paths(paths), input, &limits);
}

/// The same of SCGI.
pub fn netstrings(bytes: &[u8]) {
    let [settings, input @ ..] = bytes else { return };
    let (limits, paths) = settings_of(*settings);
    requests(&Scgi::new().limits(limits.clone()).paths(paths), input, &limits);
}

/// The same of replies: any bytes give events or an error, and all splits agree.
///
/// The first byte chooses the settings, the second a place to cut.
pub fn replies(bytes: &[u8]) {
    let [settings, cut, input @ ..] = bytes else { return };
    let limit = if settings & 1 == 0 { 65536 } else { 50 };
    let limits = Limits { head_bytes: limit, fields: limit / 20, body_bytes: None };
    let reply = Reply::to(if settings & 2 == 0 { b"GET" } else { b"HEAD" }).limits(limits);
    let whole = read(reply.clone(), &mut [input].into_iter(), limit);
    assert_eq!(read(reply.clone(), &mut input.chunks(1), limit), whole, "a byte at a time");
    let (a, b) = input.split_at(usize::from(*cut) * input.len() / 256);
    assert_eq!(read(reply, &mut [a, b].into_iter(), limit), whole, "cut");
}

fn settings_of(byte: u8) -> (Limits, Paths) {
    let limits = match byte & 3 {
        0 => Limits::default(),
        1 => Limits { head_bytes: 100, fields: 4, body_bytes: Some(10) },
        2 => Limits { head_bytes: 1000, fields: 200, body_bytes: None },
        _ => Limits { head_bytes: 300, fields: 8, body_bytes: Some(1000) },
    };
    (limits, Paths::new(if byte & 4 == 0 { PathRule::Auto } else { PathRule::Whole }).mount(if byte & 8 == 0 { "" } else { "/a" }))
}

fn requests(dialect: &dyn Dialect, input: &[u8], limits: &Limits) {
    let make = || dialect.connect(&Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false });
    let whole = if input.len() <= SHORT {
        feed::every_way(make, input)
    } else {
        let whole = feed::pieces(make, [input]);
        assert_eq!(feed::pieces(make, input.chunks(1)), whole, "a byte at a time");
        whole
    };
    assert!(whole.requests.len() <= 1);
    for request in &whole.requests {
        let held: usize = request.variables.iter().map(|(name, value)| name.len() + value.len()).sum();
        // A path can count as several variables; those that are added are short.
        assert!(held <= 4 * limits.head_bytes.min(input.len()) + 100, "{held} bytes of variables from {} bytes", input.len());
        assert!(request.variables.len() <= limits.fields + 6);
        assert!(limits.body_bytes.is_none_or(|limit| request.body.len() as u64 <= limit));
        let get = |name| request.get(name).expect("is always there");
        assert!(!get("REQUEST_METHOD").is_empty() && !get("SERVER_PROTOCOL").is_empty());
        let _ = (get("SCRIPT_NAME"), get("PATH_INFO"));
        assert!(!request.variables.iter().any(|(name, _)| name.is_empty() || name.starts_with(b"UWSGI_") || name == b"HTTP_PROXY"));
    }
}

/// What a reply is read as: its head in words, its body, and how it ended.
fn read(mut reply: Reply, pieces: &mut dyn Iterator<Item = &[u8]>, limit: usize) -> (String, Vec<u8>, String) {
    let (mut input, mut head, mut body) = (BytesMut::new(), ResponseHead::default(), Vec::new());
    let (mut text, mut ended) = (String::new(), false);
    let end = loop {
        let event = if ended { reply.end(&mut input, &mut head) } else { reply.poll(&mut input, &mut head) };
        match event {
            Ok(Event::NeedInput) => {
                assert!(!ended && input.len() <= limit);
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => ended = true,
                }
            }
            Ok(Event::Head) => {
                assert!(text.is_empty() && (200..=999).contains(&head.code()));
                text = format!("{head:?}");
            }
            Ok(Event::Body(piece)) => {
                assert!(!text.is_empty() && !piece.is_empty());
                body.extend_from_slice(&piece);
            }
            Ok(Event::End) => break "end".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    assert!(head.content_length().is_none_or(|length| body.len() as u64 <= length));
    (text, body, end)
}

const SHORT: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{self, MANAGE_PATH_INFO, WSGI};

    /// Runs a target over bytes that are not random, but vary: each test of this kind is the same everywhere.
    fn vary(seed: &[u8], seasoning: &[u8], target: impl Fn(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..150 {
            let mut bytes = seed.to_vec();
            for _ in 0..1 + (state >> 60 & 3) {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                match state >> 20 & 3 {
                    0 => bytes[at] = (state >> 24) as u8,
                    1 => bytes.insert(at, seasoning[(state >> 24) as usize % seasoning.len()]),
                    2 if bytes.len() > 1 => drop(bytes.remove(at)),
                    _ => bytes[at] = bytes[at].wrapping_add(1),
                }
            }
            target(&bytes);
        }
    }

    #[test]
    fn packets_that_are_nearly_sound() {
        for modifier1 in [WSGI, MANAGE_PATH_INFO] {
            let variables = [("REQUEST_METHOD", "POST"), ("PATH_INFO", "/a/b"), ("SCRIPT_NAME", "/a"), ("CONTENT_LENGTH", "3"), ("X", "")];
            for settings in 0..16 {
                let mut seed = vec![settings];
                client::encode(modifier1, variables, &mut seed).unwrap();
                seed.extend_from_slice(b"abc");
                vary(&seed, b"\0\x01\x0f/\xff", packets);
            }
        }
    }

    #[test]
    fn netstrings_that_are_nearly_sound() {
        for settings in 0..16 {
            let text = "CONTENT_LENGTH\x003\0SCGI\x001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/a?b\0SCRIPT_NAME\0/a\0";
            let seed = [&[settings][..], format!("{}:{text},abc", text.len()).as_bytes()].concat();
            vary(&seed, b"\0,:019/%", netstrings);
        }
    }

    #[test]
    fn replies_that_are_nearly_sound() {
        for settings in 0..4 {
            for reply in [
                "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc",
                "Status: 404 Not Found\r\nLocation: /\r\n\r\nabc",
                "HTTP/1.1 103 Early Hints\n\nHTTP/1.0 204 No Content\n\n",
            ] {
                vary(&[&[settings, 0x80][..], reply.as_bytes()].concat(), b"\r\n :\t\0HS1", replies);
            }
        }
    }
}
