//! For tests of codecs: the same bytes in every way in which they could arrive must mean the same.
//!
//! A network may cut a stream anywhere. [`every_way`] hands a codec the same bytes whole, one at a time, in two pieces cut at every place,
//! and with bytes of something else behind them; it asserts that all of that gives one [`Transcript`], and returns it. [`check`] compares the
//! transcript with what a test expects. [`pieces`] is one such run, for tests that choose the cuts themselves.
//!
//! **In scope:** the requests that a codec reads, the errors that it answers, and how both end. Each request that was read to its end gets an
//! empty reply of 200, so that the next one on the connection has its turn.
//! **Out of scope:** replies with a body, `expect_body`, `inform` and `abort`, which no cut of the input can change.
//!
//! ```
//! use bytes::{Buf, BytesMut};
//! use wsgi_core::wire::{CloseReason, Error, Event, HttpDate, Known, Link, Next, Protocol, RequestHead, ResponseHead, feed};
//!
//! /// Lines of text: each is a path, and the whole request.
//! #[derive(Default)]
//! struct Lines {
//!     reading: bool,
//! }
//!
//! impl Protocol for Lines {
//!     fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, Error> {
//!         if std::mem::take(&mut self.reading) {
//!             return Ok(Event::EndOfBody);
//!         }
//!         let Some(end) = input.iter().position(|&byte| byte == b'\n') else { return Ok(Event::NeedInput) };
//!         if !input.starts_with(b"/") {
//!             return Err(Error::malformed("path does not begin with '/'"));
//!         }
//!         head.clear();
//!         head.set(Known::PathInfo, &input[..end]);
//!         input.advance(end + 1);
//!         self.reading = true;
//!         Ok(Event::Head)
//!     }
//!
//!     fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
//!         if input.is_empty() { Ok(Event::Closed) } else { Err(Error::Truncated("head")) }
//!     }
//!
//!     fn expect_body(&mut self, _: &mut Vec<u8>) {}
//!     fn start(&mut self, _: &ResponseHead, _: &HttpDate, _: &mut Vec<u8>) {}
//!     fn data(&mut self, _: &[u8], _: &mut Vec<u8>) {}
//!     fn finish(&mut self, _: &mut Vec<u8>) -> Next {
//!         Next::Request
//!     }
//!     fn refuse(&mut self, _: &Error, _: &HttpDate, _: &mut Vec<u8>) {}
//!     fn idle(&self) -> bool {
//!         !self.reading
//!     }
//!     fn close_after_reply(&mut self) {}
//! }
//!
//! let make = || Box::new(Lines::default()) as Box<dyn Protocol>;
//!
//! let seen = feed::every_way(make, b"/a\n/b\n/c");
//! assert_eq!(seen.requests.len(), 2);
//! assert_eq!(seen.requests[1].get("PATH_INFO"), Some(&b"/b"[..]));
//! assert_eq!(seen.end, feed::End::Refused(Error::Truncated("head")));
//!
//! feed::check(make, b"/a\n", &feed::Transcript::new(feed::End::Closed).request(&[("PATH_INFO", "/a")], ""));
//! ```

use bytes::BytesMut;

use super::{BodyLength, CloseReason, Error, Event, HttpDate, Next, Protocol, RequestHead, ResponseHead};

/// What a codec made of some bytes, up to where it or they ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// The requests whose head was understood, in order.
    pub requests: Vec<Request>,
    /// How it ended.
    pub end: End,
}

/// One request, as a codec read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The variables by name and value, sorted.
    pub variables: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, joined.
    pub body: Vec<u8>,
    /// What the head said of the body's length.
    pub length: BodyLength,
    /// Whether the body's end was seen.
    pub complete: bool,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer's last byte was between requests.
    Closed,
    /// The codec closed the connection after a reply.
    Close(CloseReason),
    /// The codec refused what it got, or the peer's last byte was inside a request ([`Error::Truncated`]).
    Refused(Error),
}

impl Transcript {
    /// A transcript without requests, to be compared with what a codec makes.
    pub fn new(end: End) -> Transcript {
        Transcript { requests: Vec::new(), end }
    }

    /// Adds a request that is read to its end. The length is taken to be known.
    pub fn request(mut self, variables: &[(&str, &str)], body: &str) -> Transcript {
        let mut variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect();
        variables.sort();
        let length = if body.is_empty() { BodyLength::Empty } else { BodyLength::Known(body.len() as u64) };
        self.requests.push(Request { variables, body: body.as_bytes().to_vec(), length, complete: true });
        self
    }

    /// Takes these variables out of every request: those that a test has no interest in, such as the addresses.
    pub fn without(mut self, names: &[&str]) -> Transcript {
        for request in &mut self.requests {
            request.variables.retain(|(name, _)| !names.iter().any(|other| other.as_bytes() == name));
        }
        self
    }
}

impl Request {
    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let found = self.variables.iter().find(|(other, _)| other == name.as_bytes());
        found.map(|(_, value)| &value[..])
    }
}

/// Drives a codec over `input` in every way, and compares the transcript with the one that is expected.
///
/// # Panics
/// As [`every_way`] does, and if the transcript is another one.
#[track_caller]
pub fn check(make: impl Fn() -> Box<dyn Protocol>, input: &[u8], expected: &Transcript) {
    let seen = every_way(make, input);
    assert_eq!(&seen, expected, "of {}", show(input));
}

/// Drives a codec over `input` in every way in which it could arrive, and returns the transcript that they all gave.
///
/// The ways: whole; a byte at a time; in two pieces, cut at every place (of inputs beyond 2 KiB, at 512 places spread over them); and whole
/// and a byte at a time with other bytes behind the last complete request, which must stay in `input` untouched.
///
/// # Panics
/// If two ways differ in their events or in the bytes that the codec queued, or if the codec breaks the grammar of [`Protocol`]: an empty
/// [`Event::Body`], a second [`Event::EndOfBody`], a [`Event::NeedInput`] that the next `poll` takes back, a changed `RequestHead`, a
/// connection that is not idle where nothing was sent.
#[track_caller]
pub fn every_way(make: impl Fn() -> Box<dyn Protocol>, input: &[u8]) -> Transcript {
    let whole = run(&make, &mut std::iter::once(input), usize::MAX);

    let bytewise = run(&make, &mut input.chunks(1), usize::MAX);
    assert!(bytewise == whole, "{} gives, a byte at a time, {bytewise:#?}\nbut whole, {whole:#?}", show(input));

    let step = if input.len() <= ALL_CUTS { 1 } else { input.len().div_ceil(SOME_CUTS) };
    for at in (0..=input.len()).step_by(step) {
        let (a, b) = input.split_at(at);
        let cut = run(&make, &mut [a, b].into_iter(), usize::MAX);
        assert!(cut == whole, "{} gives, cut at {at}, {cut:#?}\nbut whole, {whole:#?}", show(input));
    }

    let complete = whole.completed_by_poll;
    if complete > 0 {
        let alone = run(&make, &mut std::iter::once(input), complete);
        let trailed = [input, TRAILING].concat();
        for (way, seen) in [
            ("whole", run(&make, &mut std::iter::once(&trailed[..]), complete)),
            ("a byte at a time", run(&make, &mut trailed.chunks(1), complete)),
        ] {
            let expected = Run { left: [&alone.left, TRAILING].concat(), ..alone.clone() };
            assert!(seen == expected, "{} gives, {way} and with bytes behind it, {seen:#?}\nbut alone, {expected:#?}", show(input));
        }
    }
    whole.transcript
}

/// Drives a codec over the pieces of an input once, and returns what it made of them.
///
/// # Panics
/// If the codec breaks the grammar of [`Protocol`], as in [`every_way`].
#[track_caller]
pub fn pieces<'a>(make: impl Fn() -> Box<dyn Protocol>, pieces: impl IntoIterator<Item = &'a [u8]>) -> Transcript {
    run(&make, &mut pieces.into_iter(), usize::MAX).transcript
}

/// One run: what is compared between runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    transcript: Transcript,
    /// Every byte that the codec queued.
    out: Vec<u8>,
    /// What was not consumed. Empty after a refusal: how much of a bad request is taken before it is refused means nothing.
    left: Vec<u8>,
    /// The requests whose end did not depend on the peer's.
    completed_by_poll: usize,
}

/// Drives a codec until the pieces end, the connection is over, or as many requests as `stop_after` are complete.
#[track_caller]
fn run(make: &impl Fn() -> Box<dyn Protocol>, pieces: &mut dyn Iterator<Item = &[u8]>, stop_after: usize) -> Run {
    let mut codec = make();
    let (mut input, mut head, mut out) = (BytesMut::new(), RequestHead::default(), Vec::new());
    let mut requests: Vec<Request> = Vec::new();
    let mut completed_by_poll = 0;
    let mut ended = false;
    let date = HttpDate::from_unix(0);
    assert!(codec.idle(), "a codec that has seen nothing is not idle");
    let end = loop {
        let open = requests.last().is_some_and(|request| !request.complete);
        let event = if ended { codec.end(&mut input) } else { codec.poll(&mut input, &mut head, &mut out) };
        match event {
            Ok(Event::NeedInput) => {
                assert!(!ended, "end() asks for input");
                let before = input.clone();
                let again = codec.poll(&mut input, &mut head, &mut out);
                assert!(again == Ok(Event::NeedInput) && input == before, "poll() asks for input, and then without any gives {again:?}");
                if let (Some(request), true) = (requests.last(), open) {
                    assert_eq!(request.variables, variables(&head), "the head changed while the body was read");
                }
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => ended = true,
                }
            }
            Ok(Event::Head) => {
                assert!(!ended && !open, "a head where none can be");
                requests.push(Request { variables: variables(&head), body: Vec::new(), length: head.body(), complete: false });
            }
            Ok(Event::Body(bytes)) => {
                assert!(open && !bytes.is_empty(), "an empty piece of a body, or one without a head");
                requests.last_mut().expect("is open").body.extend_from_slice(&bytes);
            }
            Ok(Event::EndOfBody) => {
                assert!(open, "the end of a body that is not open");
                let request = requests.last_mut().expect("is open");
                assert_eq!(request.variables, variables(&head), "the head changed while the body was read");
                request.complete = true;
                completed_by_poll += usize::from(!ended);
                if completed_by_poll == stop_after {
                    break End::Closed;
                }
                codec.start(&ResponseHead::plain(http::StatusCode::OK, 0), &date, &mut out);
                match codec.finish(&mut out) {
                    Next::Request => {
                        assert!(codec.idle() || !input.is_empty(), "the next request has not begun, but the codec is not idle")
                    }
                    Next::Close(reason) => break End::Close(reason),
                }
            }
            Ok(Event::Closed) => {
                assert!(!open, "closed in good order inside a request");
                break End::Closed;
            }
            Err(error) => {
                codec.refuse(&error, &date, &mut out);
                input.clear();
                pieces.for_each(drop);
                break End::Refused(error);
            }
        }
    };
    let mut left = input.to_vec();
    pieces.for_each(|piece| left.extend_from_slice(piece));
    Run { transcript: Transcript { requests, end }, out, left, completed_by_poll }
}

fn variables(head: &RequestHead) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut variables: Vec<_> = head.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
    variables.sort();
    variables
}

fn show(input: &[u8]) -> String {
    let some = &input[..input.len().min(SHOWN)];
    format!("\"{}\"{}", some.escape_ascii(), if some.len() < input.len() { " and more" } else { "" })
}

/// Bytes that begin no request of any protocol here.
const TRAILING: &[u8] = b"\xff\xfe trailing";
const ALL_CUTS: usize = 2048;
const SOME_CUTS: usize = 512;
const SHOWN: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts bytes up to a full stop; with the fault that a test asks for.
    struct Faulty {
        fault: &'static str,
        count: u64,
        polls: usize,
        reading: bool,
    }

    fn make(fault: &'static str) -> impl Fn() -> Box<dyn Protocol> {
        move || Box::new(Faulty { fault, count: 0, polls: 0, reading: false })
    }

    impl Protocol for Faulty {
        fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, _: &mut Vec<u8>) -> Result<Event, Error> {
            self.polls += 1;
            if self.reading {
                self.reading = false;
                return Ok(if self.fault == "empty body" { Event::Body(bytes::Bytes::new()) } else { Event::EndOfBody });
            }
            let end = input.iter().position(|&byte| byte == b'.');
            let taken = input.split_to(end.map_or(input.len(), |at| at + 1));
            self.count += taken.len() as u64;
            if end.is_none() {
                return Ok(if self.fault == "changes its mind" && self.polls % 2 == 0 { Event::Closed } else { Event::NeedInput });
            }
            if self.fault == "takes too much" {
                input.clear();
            }
            head.clear();
            head.set(
                super::super::Known::PathInfo,
                if self.fault == "counts polls" { self.polls } else { self.count as usize }.to_string().as_bytes(),
            );
            self.reading = true;
            Ok(Event::Head)
        }

        fn end(&mut self, _: &mut BytesMut) -> Result<Event, Error> {
            Ok(Event::Closed)
        }

        fn expect_body(&mut self, _: &mut Vec<u8>) {}
        fn start(&mut self, _: &ResponseHead, _: &HttpDate, _: &mut Vec<u8>) {}
        fn data(&mut self, _: &[u8], _: &mut Vec<u8>) {}
        fn finish(&mut self, _: &mut Vec<u8>) -> Next {
            Next::Close(CloseReason::EndOfReply)
        }
        fn refuse(&mut self, _: &Error, _: &HttpDate, _: &mut Vec<u8>) {}
        fn idle(&self) -> bool {
            true
        }
        fn close_after_reply(&mut self) {}
    }

    #[test]
    fn a_sound_codec_passes() {
        check(make(""), b"abc.", &Transcript::new(End::Close(CloseReason::EndOfReply)).request(&[("PATH_INFO", "4")], ""));
    }

    #[test]
    #[should_panic(expected = "a byte at a time")]
    fn a_codec_that_depends_on_the_pieces_is_caught() {
        every_way(make("counts polls"), b"abc.");
    }

    #[test]
    #[should_panic(expected = "with bytes behind it")]
    fn a_codec_that_takes_what_is_not_its_own_is_caught() {
        every_way(make("takes too much"), b"abc.");
    }

    #[test]
    #[should_panic(expected = "without any gives")]
    fn a_codec_that_changes_its_mind_is_caught() {
        every_way(make("changes its mind"), b"abc.");
    }

    #[test]
    #[should_panic(expected = "empty piece")]
    fn an_empty_piece_of_a_body_is_caught() {
        every_way(make("empty body"), b"abc.");
    }

    #[test]
    fn variables_can_be_left_out_and_looked_up() {
        let seen = every_way(make(""), b"abc.");
        assert_eq!(seen.requests[0].get("PATH_INFO"), Some(&b"4"[..]));
        assert_eq!(seen.requests[0].get("HTTP_HOST"), None);
        assert!(seen.without(&["PATH_INFO"]).requests[0].variables.is_empty());
    }
}
