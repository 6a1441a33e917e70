//! The server's half of one connection: which request it is at, what of it is still to come, and what is said to records beside it.
//!
//! ```text
//!              ┌───────────────────── finish, with KEEP_CONN ─────────────────────┐
//!              ▼                                                                  │
//!   Idle ─BEGIN_REQUEST─▶ Params ─empty PARAMS─▶ Ready ─STDIN─▶ Body ─empty STDIN─▶ Ended
//!    ▲                      │                      │   └── empty STDIN and no CONTENT_LENGTH ──▲
//!    └────ABORT_REQUEST─────┴──────────────────────┘            │
//!                                                 ABORT_REQUEST, a short STDIN: Err
//! ```
//!
//! A request is understood when its first `STDIN` record begins, not before: without a `CONTENT_LENGTH` only that tells whether it has a
//! body. Records of any other request than the one that is being answered mean nothing, be it one that was refused or one that is answered
//! already and whose `STDIN` is still on its way.

use std::ops::Range;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use wsgi_core::wire::{BodyLength, CloseReason, Ends, Error, Event, Foreign, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};

use crate::params::{self, Pairs};
use crate::record::{self, FIXED_BYTES, Header, KEEP_CONN, MOST_UNPADDED, RESPONDER, kind, status};
use crate::reply::{self, Reply};
use crate::request::{self, Facts, Settings};

/// The server's half of one FastCGI connection.
#[derive(Debug)]
pub(crate) struct Connection {
    settings: Arc<Settings>,
    ends: Ends,
    standing: Standing,
    /// The record whose header was taken, as far as it is still to come.
    record: Rest,
    request: Option<Request>,
    /// How many bytes that belong to no request may still come before the next one begins.
    stray: usize,
    /// The server is shutting down.
    closing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Nothing was received.
    New,
    /// The peer speaks FastCGI.
    Good,
    /// The peer speaks something else, and perhaps what it is is known.
    Foreign(Option<Foreign>),
    /// The peer broke the protocol, so where the next record begins cannot be told.
    Broken,
    /// There is nothing more to read or to say.
    Over,
}

/// What is still to come of a record.
#[derive(Clone, Copy, Debug)]
struct Rest {
    meaning: Meaning,
    content: u16,
    padding: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Params,
    Stdin,
    /// Nothing: it is thrown away.
    Stray,
}

#[derive(Debug)]
struct Request {
    id: u16,
    keep: bool,
    head_only: bool,
    /// The web server has given the request up.
    aborted: bool,
    stage: Stage,
    reply: Reply,
}

#[derive(Debug)]
enum Stage {
    /// The parameters, as far as they came.
    Params(Vec<u8>),
    /// The parameters are complete.
    Ready(Vec<u8>),
    Body {
        /// The length that was declared.
        length: Option<u64>,
        seen: u64,
    },
    Ended {
        /// [`Event::EndOfBody`] was given.
        told: bool,
    },
}

impl Connection {
    pub(crate) fn new(settings: Arc<Settings>, link: &Link) -> Connection {
        Connection {
            settings,
            ends: Ends::of(link),
            standing: Standing::New,
            record: Rest { meaning: Meaning::Stray, content: 0, padding: 0 },
            request: None,
            stray: STRAY_BYTES,
            closing: false,
        }
    }

    fn understand(&mut self, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Event, Error> {
        loop {
            match &mut self.request {
                Some(Request { aborted: true, .. }) => return Err(aborted()),
                Some(Request { stage: Stage::Ended { told: true }, .. }) => return Ok(Event::NeedInput),
                Some(Request { stage: Stage::Ended { told }, .. }) => {
                    *told = true;
                    return Ok(Event::EndOfBody);
                }
                _ => {}
            }
            if let Some(event) = self.take_rest(input)? {
                return Ok(event);
            }
            if self.standing == Standing::New {
                let Some(&first) = input.first_chunk() else { return Ok(Event::NeedInput) };
                if first[0] != record::VERSION {
                    let foreign = Foreign::recognise(first);
                    self.standing = Standing::Foreign(foreign);
                    return Err(foreign.map_or_else(|| unknown(first), |foreign| foreign.refusal("FastCGI", "fastcgi_pass")));
                }
                self.standing = Standing::Good;
            }
            let Some(header) = Header::parse(input)? else { return Ok(Event::NeedInput) };
            if let Some(event) = self.open(header, input, head, out)? {
                return Ok(event);
            }
        }
    }

    /// Takes what has come of the record that was begun. `None` once nothing of it is left.
    fn take_rest(&mut self, input: &mut BytesMut) -> Result<Option<Event>, Error> {
        let mut count = usize::from(self.record.content).min(input.len());
        let mut piece = None;
        match (self.record.meaning, self.request.as_mut().map(|request| &mut request.stage)) {
            _ if count == 0 => {}
            (Meaning::Params, Some(Stage::Params(params))) => {
                params.extend_from_slice(&input[..count]);
                input.advance(count);
            }
            (Meaning::Stdin, Some(Stage::Body { length, seen })) => {
                let wanted = match (*length, self.settings.limits.body_bytes) {
                    // RFC 3875, 4.2: beyond the declared length nothing is to be read, even if there is more.
                    (Some(length), _) => length.saturating_sub(*seen),
                    (None, Some(limit)) if *seen == limit => return Err(Error::BodyTooLarge { limit }),
                    // What is within the limit is given first, wherever it is cut.
                    (None, Some(limit)) => {
                        count = usize::try_from(limit - *seen).map_or(count, |left| left.min(count));
                        u64::MAX
                    }
                    (None, None) => u64::MAX,
                };
                *seen = seen.saturating_add(count as u64);
                let mut bytes = input.split_to(count);
                bytes.truncate(usize::try_from(wanted).unwrap_or(usize::MAX));
                piece = Some(bytes).filter(|bytes| !bytes.is_empty());
            }
            _ => {
                self.spend(count)?;
                input.advance(count);
            }
        }
        self.record.content -= count as u16;
        if let Some(bytes) = piece {
            return Ok(Some(Event::Body(bytes.freeze())));
        }
        if self.record.content == 0 {
            let count = usize::from(self.record.padding).min(input.len());
            input.advance(count);
            self.record.padding -= count as u8;
        }
        Ok(if self.record.content > 0 || self.record.padding > 0 { Some(Event::NeedInput) } else { None })
    }

    /// Understands a record by its header, which is at the front of `input`.
    fn open(&mut self, header: Header, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Option<Event>, Error> {
        if header.id == 0 {
            return self.manage(header, input, out);
        }
        let request = self.request.as_mut().filter(|request| request.id == header.id);
        match (header.kind, request.map(|request| &mut request.stage)) {
            (kind::BEGIN_REQUEST, None) => self.begin(header, input, out),
            (kind::BEGIN_REQUEST, Some(_)) => Err(Error::malformed(format!("FastCGI request {} begins again before its end", header.id))),
            (kind::ABORT_REQUEST, Some(stage)) => {
                let understood = matches!(stage, Stage::Body { .. });
                self.take_header(header, Meaning::Stray, input);
                self.give_up(understood, out)
            }
            (kind::PARAMS, Some(Stage::Params(params))) => {
                let limit = self.settings.limits.head_bytes;
                if params.len() + usize::from(header.content) > limit {
                    return Err(Error::HeadTooLarge { limit });
                }
                // The usual case: everything is here, in one record. Then nothing is kept, or copied but into the head.
                if params.is_empty() {
                    if let Some((stream, stdin_at, stdin)) = whole_params(header, input) {
                        let facts = request::understand(&input[stream], &self.settings, &self.ends, head)?;
                        input.advance(stdin_at);
                        return Ok(self.understood(facts, stdin, input, head));
                    }
                }
                if header.content == 0 {
                    let params = std::mem::take(params);
                    self.stage(Stage::Ready(params));
                }
                self.take_header(header, Meaning::Params, input);
                Ok(None)
            }
            (kind::STDIN, Some(Stage::Ready(params))) => {
                let facts = request::understand(params, &self.settings, &self.ends, head)?;
                Ok(self.understood(facts, header, input, head))
            }
            (kind::STDIN, Some(Stage::Body { length, seen })) => {
                if header.content == 0 {
                    if let Some(length) = length.filter(|&length| *seen < length) {
                        return Err(Error::malformed(format!(
                            "FastCGI request's STDIN ended after {seen} bytes, expected the {length} of its CONTENT_LENGTH"
                        )));
                    }
                    self.stage(Stage::Ended { told: false });
                }
                self.take_header(header, Meaning::Stdin, input);
                Ok(None)
            }
            (kind::PARAMS, Some(_)) => Err(Error::malformed("FastCGI request has PARAMS after their end")),
            (kind::STDIN, Some(_)) => Err(Error::malformed("FastCGI request has STDIN before the end of its PARAMS")),
            // Of another request; or of a kind that an application neither needs nor has to answer: the rest of them, known or not.
            _ => self.ignore(header, input),
        }
    }

    fn begin(&mut self, header: Header, input: &mut BytesMut, out: &mut Vec<u8>) -> Result<Option<Event>, Error> {
        let Header { id, content, .. } = header;
        if content != FIXED_BYTES {
            return Err(Error::malformed(format!("FastCGI BEGIN_REQUEST has {content} bytes, expected {FIXED_BYTES}")));
        }
        let Some(&[role_high, role_low, flags, ..]) = input.get(Header::BYTES..Header::BYTES + usize::from(FIXED_BYTES)) else {
            return Ok(Some(Event::NeedInput));
        };
        let role = u16::from_be_bytes([role_high, role_low]);
        if let Some(request) = &mut self.request {
            request.reply.seal();
            record::push_end_request(id, status::CANT_MPX_CONN, out);
            return self.ignore(header, input);
        }
        self.take_header(header, Meaning::Stray, input);
        self.record.content = 0;
        input.advance(usize::from(content));
        if role != RESPONDER {
            record::push_end_request(id, status::UNKNOWN_ROLE, out);
            return Err(Error::NotImplemented(match role {
                2 => "FastCGI role 2 (authorizer)".into(),
                3 => "FastCGI role 3 (filter)".into(),
                _ => format!("FastCGI role {role}").into(),
            }));
        }
        self.stray = STRAY_BYTES;
        self.request = Some(Request {
            id,
            keep: flags & KEEP_CONN != 0,
            head_only: false,
            aborted: false,
            stage: Stage::Params(Vec::new()),
            reply: Reply::new(id),
        });
        Ok(None)
    }

    /// The head is understood; `stdin`, the first record of the body, is at the front of `input`.
    fn understood(&mut self, facts: Facts, stdin: Header, input: &mut BytesMut, head: &mut RequestHead) -> Option<Event> {
        let request = self.request.as_mut()?;
        request.head_only = facts.head_only;
        request.stage = Stage::Body { length: facts.length, seen: 0 };
        head.set_body(match (facts.length, stdin.content) {
            (None | Some(0), 0) => {
                request.stage = Stage::Ended { told: false };
                self.take_header(stdin, Meaning::Stdin, input);
                BodyLength::Empty
            }
            (Some(0), _) => BodyLength::Empty,
            (None, _) => BodyLength::Unknown,
            (Some(length), _) => BodyLength::Known(length),
        });
        Some(Event::Head)
    }

    /// The web server wants no reply any more.
    fn give_up(&mut self, understood: bool, out: &mut Vec<u8>) -> Result<Option<Event>, Error> {
        let Some(request) = &mut self.request else { return Ok(None) };
        if understood {
            // Whoever reads the body learns of it, and makes an end of the reply.
            request.aborted = true;
            return Err(aborted());
        }
        record::push_end_request(request.id, status::REQUEST_COMPLETE, out);
        let keep = request.keep;
        self.request = None;
        if keep {
            return Ok(None);
        }
        self.standing = Standing::Over;
        Ok(Some(Event::Closed))
    }

    /// A record that is no request's.
    fn manage(&mut self, header: Header, input: &mut BytesMut, out: &mut Vec<u8>) -> Result<Option<Event>, Error> {
        let answer = match header.kind {
            kind::BEGIN_REQUEST..=kind::DATA => {
                return Err(Error::malformed(format!("FastCGI record of type {} has request id 0, expected a request's", header.kind)));
            }
            // Answers, to questions that nobody asked.
            kind::GET_VALUES_RESULT | kind::UNKNOWN_TYPE => return self.ignore(header, input),
            kind::GET_VALUES if header.content > VALUES_BYTES => {
                return Err(Error::malformed(format!("FastCGI GET_VALUES has {} bytes, expected at most {VALUES_BYTES}", header.content)));
            }
            kind::GET_VALUES => {
                let Some(names) = input.get(Header::BYTES..Header::BYTES + usize::from(header.content)) else {
                    return Ok(Some(Event::NeedInput));
                };
                (kind::GET_VALUES_RESULT, self.values(names)?)
            }
            unknown => (kind::UNKNOWN_TYPE, vec![unknown, 0, 0, 0, 0, 0, 0, 0]),
        };
        if let Some(request) = &mut self.request {
            request.reply.seal();
        }
        record::push(answer.0, 0, &answer.1, out);
        self.ignore(header, input)
    }

    /// The values of those names that are known.
    fn values(&self, names: &[u8]) -> Result<Vec<u8>, Error> {
        let mut values = Vec::new();
        for pair in Pairs::new(names) {
            let (name, _) = pair?;
            let value = match name {
                // A connection carries one request at a time, so there are as many of one as of the other.
                b"FCGI_MAX_CONNS" | b"FCGI_MAX_REQS" => self.settings.connections,
                b"FCGI_MPXS_CONNS" => 0,
                _ => continue,
            };
            params::push(name, value.to_string().as_bytes(), &mut values);
        }
        Ok(values)
    }

    fn ignore(&mut self, header: Header, input: &mut BytesMut) -> Result<Option<Event>, Error> {
        self.spend(Header::BYTES)?;
        self.take_header(header, Meaning::Stray, input);
        Ok(None)
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        let left = self.stray.checked_sub(bytes);
        self.stray = left.ok_or_else(|| {
            Error::malformed(format!("FastCGI connection carries more than {STRAY_BYTES} bytes that belong to no open request"))
        })?;
        Ok(())
    }

    fn take_header(&mut self, header: Header, meaning: Meaning, input: &mut BytesMut) {
        input.advance(Header::BYTES);
        self.record = Rest { meaning, content: header.content, padding: header.padding };
    }

    fn stage(&mut self, stage: Stage) {
        if let Some(request) = &mut self.request {
            request.stage = stage;
        }
    }

    fn over(&mut self, reason: CloseReason) -> Next {
        self.standing = Standing::Over;
        Next::Close(reason)
    }

    /// The reply is queued.
    fn after(&mut self, request: &Request) -> Next {
        if !matches!(request.stage, Stage::Ended { .. }) && (!request.keep || self.closing || self.standing == Standing::Broken) {
            // Closing with input unread would reset the connection, and the reply with it.
            return self.over(CloseReason::UnreadBody);
        }
        if !request.keep {
            return self.over(CloseReason::Peer);
        }
        if self.closing {
            return self.over(CloseReason::Shutdown);
        }
        Next::Request
    }
}

impl Protocol for Connection {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Event, Error> {
        if !matches!(self.standing, Standing::New | Standing::Good) {
            return Ok(Event::Closed);
        }
        let result = self.understand(input, head, out);
        if result.is_err() && self.standing == Standing::Good && !self.request.as_ref().is_some_and(|request| request.aborted) {
            self.standing = Standing::Broken;
        }
        result
    }

    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
        match &mut self.request {
            Some(Request { stage: Stage::Params(_) | Stage::Ready(_), .. }) => Err(Error::Truncated("head")),
            Some(Request { stage: Stage::Body { .. }, .. }) => Err(Error::Truncated("body")),
            Some(Request { stage: Stage::Ended { told }, .. }) if !*told => {
                *told = true;
                Ok(Event::EndOfBody)
            }
            None if !input.is_empty() && !matches!(self.standing, Standing::Over) => Err(Error::Truncated("head")),
            _ => Ok(Event::Closed),
        }
    }

    fn expect_body(&mut self, _: &mut Vec<u8>) {}

    fn start(&mut self, head: &ResponseHead, _: &HttpDate, out: &mut Vec<u8>) {
        if let Some(Request { aborted: false, head_only, reply, .. }) = &mut self.request {
            reply.start(head, *head_only, out);
        }
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        if let Some(Request { aborted: false, reply, .. }) = &mut self.request {
            reply.data(block, out);
        }
    }

    fn bodiless(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.reply.bodiless())
    }

    fn raw(&mut self, len: u64, out: &mut Vec<u8>) -> bool {
        match &mut self.request {
            Some(Request { aborted: false, reply, .. }) => reply.raw(len, out),
            _ => false,
        }
    }

    fn raw_limit(&self) -> u64 {
        MOST_UNPADDED.into()
    }

    fn raw_end(&mut self, out: &mut Vec<u8>) {
        if let Some(request) = &mut self.request {
            request.reply.raw_end(out);
        }
    }

    fn log(&mut self, text: &[u8], out: &mut Vec<u8>) -> bool {
        match &mut self.request {
            Some(Request { aborted: false, reply, .. }) if self.settings.log_to_peer => {
                reply.log(text, out);
                true
            }
            _ => false,
        }
    }

    fn withdraws(&self) -> bool {
        true
    }

    fn withdrawn(&mut self, input: &[u8]) -> bool {
        let Some(request) = &mut self.request else { return false };
        let mut at = usize::from(self.record.content) + usize::from(self.record.padding);
        while let Some(Ok(Some(header))) = input.get(at..).map(Header::parse) {
            if (header.kind, header.id) == (kind::ABORT_REQUEST, request.id) {
                // What of the reply is still to come is nobody's; the record itself will belong to no request.
                request.aborted = true;
            }
            at += Header::BYTES + header.rest();
        }
        request.aborted
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Next {
        let Some(mut request) = self.request.take() else { return self.over(CloseReason::Aborted) };
        if request.aborted {
            record::push_end_request(request.id, status::REQUEST_COMPLETE, out);
        } else if request.reply.complete() {
            request.reply.finish(out);
        } else {
            // Nothing was started, or less was sent than was declared.
            request.reply.abort(out);
            return self.over(CloseReason::Aborted);
        }
        self.after(&request)
    }

    fn abort(&mut self, out: &mut Vec<u8>) -> Next {
        match &self.request {
            Some(Request { aborted: true, .. }) | None => self.finish(out),
            Some(_) => {
                if let Some(request) = &mut self.request {
                    request.reply.abort(out);
                }
                self.request = None;
                self.over(CloseReason::Aborted)
            }
        }
    }

    fn refuse(&mut self, error: &Error, _: &HttpDate, out: &mut Vec<u8>) {
        match (self.standing, self.request.take()) {
            (Standing::Foreign(foreign), _) => {
                if let Some(status) = foreign.and_then(Foreign::before_status) {
                    reply::refuse_foreign(status, error, out);
                }
            }
            (_, Some(Request { aborted: true, id, .. })) => record::push_end_request(id, status::REQUEST_COMPLETE, out),
            // Whatever were added now would be taken for a part of what was begun.
            (_, Some(mut request)) if request.reply.started() => request.reply.abort(out),
            (_, Some(mut request)) => request.reply.refuse(error, request.head_only, out),
            (_, None) => {}
        }
        self.standing = Standing::Over;
    }

    fn idle(&self) -> bool {
        self.request.is_none() && self.record.content == 0 && matches!(self.standing, Standing::New | Standing::Good)
    }

    fn close_after_reply(&mut self) {
        self.closing = true;
    }
}

/// Finds the whole stream of a request's parameters in `input`, at whose front its first record is: one record, the empty one that ends the
/// stream, and the header of the first `STDIN`. Gives where the stream is, where that last header is, and the header.
fn whole_params(header: Header, input: &[u8]) -> Option<(Range<usize>, usize, Header)> {
    let at = |at: usize| Header::parse(input.get(at..)?).ok()?.filter(|other| other.id == header.id);
    let end_at = Header::BYTES + header.rest();
    let end = at(end_at).filter(|end| (end.kind, end.content) == (kind::PARAMS, 0))?;
    let stdin_at = end_at + Header::BYTES + end.rest();
    let stdin = at(stdin_at).filter(|stdin| stdin.kind == kind::STDIN)?;
    let stream = Header::BYTES..Header::BYTES + usize::from(header.content);
    (header.content > 0).then_some((stream, stdin_at, stdin))
}

/// Says that the first bytes of a connection are nobody's.
fn unknown(first: [u8; 4]) -> Error {
    Error::malformed(format!("this port speaks FastCGI, got \"{}\", expected a record of version 1", first.escape_ascii()))
}

fn aborted() -> Error {
    Error::malformed("the web server aborted the request")
}

/// What a connection may carry between two requests that begin: the rest of a body whose request is answered already, questions, requests
/// that are refused. An engine throws away about as much of a body that nobody reads.
const STRAY_BYTES: usize = 1 << 20;
/// More than every name that there is, many times.
const VALUES_BYTES: u16 = 1024;
