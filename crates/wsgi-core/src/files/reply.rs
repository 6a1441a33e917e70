//! From a file to a reply: its status, its fields, and the bytes that are asked for.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::StatusCode;

use super::codings::Coding;
use super::conditions::{Validators, Verdict};
use super::folder::Opened;
use super::ranges::{self, Asked};
use super::types;
use crate::exchange::{Exchange, Part};
use crate::wire::{HttpDate, Known, RequestHead, ResponseHead};

/// A file, and what is to be told of it.
pub(super) struct Found<'a> {
    pub(super) opened: Opened,
    /// The type of the file, not of what it is compressed into.
    pub(super) kind: &'a str,
    pub(super) coding: Option<Coding>,
    /// Another client may be sent it in another coding.
    pub(super) varies: bool,
    pub(super) fresh: Option<Duration>,
}

/// A reply that is ready to be sent.
#[derive(Debug)]
pub(super) struct Answer {
    head: ResponseHead,
    body: Body,
}

#[derive(Debug)]
enum Body {
    None,
    Text(String),
    Parts(Vec<Part>),
}

impl Answer {
    /// A status and its name as text.
    pub(super) fn plain(status: StatusCode) -> Answer {
        let text = format!("{}\n", status.canonical_reason().unwrap_or("Error"));
        let mut head = ResponseHead::plain(status, text.len() as u64);
        put(&mut head, b"X-Content-Type-Options", b"nosniff");
        Answer { head, body: Body::Text(text) }
    }

    /// A method that files do not have.
    pub(super) fn not_allowed() -> Answer {
        Answer::plain(StatusCode::METHOD_NOT_ALLOWED).with(b"Allow", b"GET, HEAD")
    }

    /// Another path is meant.
    pub(super) fn moved(reference: &[u8]) -> Answer {
        Answer::plain(StatusCode::MOVED_PERMANENTLY).with(b"Location", reference)
    }

    /// A file, or as much of it as a `GET` or `HEAD` asks for under its conditions.
    pub(super) fn file(request: &RequestHead, found: Found<'_>) -> Answer {
        let now = SystemTime::now();
        let Opened { size, modified, .. } = found.opened;
        let validators = Validators::new(modified, size, found.coding.map_or("", Coding::name), now);
        let reads = request.get(Known::RequestMethod) == Some(b"GET");
        let asked = match validators.judge(request) {
            Verdict::Failed => return Answer::plain(StatusCode::PRECONDITION_FAILED),
            Verdict::NotModified => {
                let mut head = ResponseHead::of(StatusCode::NOT_MODIFIED);
                found.describe_state(&validators, now, &mut head);
                return Answer { head, body: Body::None };
            }
            // Only `GET` has ranges (RFC 9110, 14.2).
            Verdict::Send if reads => match request.get(Known::HttpRange).map_or(Asked::Whole, |range| ranges::parse(range, size)) {
                // `Content-Encoding` would be said of what separates the parts as well.
                Asked::Parts(ranges) if ranges.len() > 1 && found.coding.is_some() => Asked::Whole,
                asked => asked,
            },
            Verdict::Send | Verdict::SendWhole => Asked::Whole,
        };
        let mut head = ResponseHead::of(match asked {
            Asked::Whole => StatusCode::OK,
            Asked::Parts(_) => StatusCode::PARTIAL_CONTENT,
            Asked::Nothing => {
                let range = format!("bytes */{size}");
                return Answer::plain(StatusCode::RANGE_NOT_SATISFIABLE).with(b"Content-Range", range.as_bytes());
            }
        });
        let kind = format!("{}{}", found.kind, types::parameters(found.kind));
        let (kind, parts) = match asked {
            Asked::Parts(ranges) if ranges.len() > 1 => {
                let boundary = boundary();
                (format!("multipart/byteranges; boundary={boundary}"), found.multipart(&ranges, &kind, &boundary))
            }
            Asked::Parts(ranges) => {
                let range = ranges.into_iter().next().unwrap_or_default();
                put(&mut head, b"Content-Range", content_range(&range, size).as_bytes());
                (kind, vec![found.part(range)])
            }
            Asked::Whole | Asked::Nothing => (kind, vec![found.part(0..size)]),
        };
        put(&mut head, b"Content-Type", kind.as_bytes());
        head.set_content_length(parts.iter().map(length).sum());
        if let Some(coding) = found.coding {
            put(&mut head, b"Content-Encoding", coding.name().as_bytes());
        }
        put(&mut head, b"Accept-Ranges", b"bytes");
        // What somebody has uploaded as a picture is not to be run as a script.
        put(&mut head, b"X-Content-Type-Options", b"nosniff");
        found.describe_state(&validators, now, &mut head);
        Answer { head, body: if reads { Body::Parts(parts) } else { Body::None } }
    }

    fn with(mut self, name: &[u8], value: &[u8]) -> Answer {
        put(&mut self.head, name, value);
        self
    }

    /// Sends it. A small file is read here, and goes out with its head; the rest of a large one is left to the exchange.
    pub(super) fn send(self, exchange: &mut dyn Exchange) {
        let bytes = match self.body {
            Body::None => Vec::new(),
            Body::Text(text) => text.into_bytes(),
            Body::Parts(parts) if parts.iter().map(length).sum::<u64>() > SMALL_BYTES => {
                exchange.start(&self.head);
                exchange.finish_with(parts);
                return;
            }
            Body::Parts(parts) => match read(&parts) {
                Ok(bytes) => bytes,
                Err(error) => {
                    tracing::error!(target: "wsgi", "cannot read a static file: {error}");
                    return Answer::plain(StatusCode::INTERNAL_SERVER_ERROR).send(exchange);
                }
            },
        };
        exchange.start(&self.head);
        exchange.data(&bytes);
        exchange.finish();
    }
}

impl Found<'_> {
    fn part(&self, range: Range<u64>) -> Part {
        Part::File { file: self.opened.file.clone(), range }
    }

    /// The fields that a client keeps with its copy: they come with 200, 206 and 304 alike (RFC 9110, 15.4.5).
    fn describe_state(&self, validators: &Validators, now: SystemTime, head: &mut ResponseHead) {
        put(head, b"ETag", validators.etag.as_bytes());
        put(head, b"Last-Modified", HttpDate::from_unix(validators.modified).as_bytes());
        if self.varies {
            put(head, b"Vary", b"Accept-Encoding");
        }
        if let Some(fresh) = self.fresh {
            let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            put(head, b"Cache-Control", format!("max-age={}", fresh.as_secs()).as_bytes());
            put(head, b"Expires", HttpDate::from_unix(now.as_secs().saturating_add(fresh.as_secs())).as_bytes());
        }
    }

    /// Several ranges as one body (RFC 9110, 14.6).
    fn multipart(&self, ranges: &[Range<u64>], kind: &str, boundary: &str) -> Vec<Part> {
        let size = self.opened.size;
        let mut parts = Vec::with_capacity(2 * ranges.len() + 1);
        for range in ranges {
            let content_range = content_range(range, size);
            let text = format!("\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {content_range}\r\n\r\n");
            parts.extend([Part::Bytes(text.into()), self.part(range.clone())]);
        }
        parts.push(Part::Bytes(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
        parts
    }
}

fn read(parts: &[Part]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(parts.iter().map(length).sum::<u64>() as usize);
    for part in parts {
        match part {
            Part::Bytes(text) => bytes.extend_from_slice(text),
            Part::File { file, range } => {
                let at = bytes.len();
                bytes.resize(at + length(part) as usize, 0);
                file.read_exact_at(&mut bytes[at..], range.start)?;
            }
        }
    }
    Ok(bytes)
}

fn length(part: &Part) -> u64 {
    match part {
        Part::Bytes(bytes) => bytes.len() as u64,
        Part::File { range, .. } => range.end - range.start,
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

/// What nobody can have put into a file beforehand.
fn boundary() -> String {
    // Each state has keys of its own.
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}

/// Adds a field. All values are made here, or were looked at when they were set.
fn put(head: &mut ResponseHead, name: &[u8], value: &[u8]) {
    let added = head.field(name, value);
    debug_assert!(added.is_ok(), "{added:?}: {:?}", String::from_utf8_lossy(value));
}

/// What is sent in one piece with its head, rather than by two system calls.
const SMALL_BYTES: u64 = 64 * 1024;
