//! One connection: the codec of HTTP inside, TLS around it.
//!
//! ```text
//!   Silent ──▶ Handshake ──▶ Open ──close_notify──▶ HalfClosed
//!     │            │           │                        │
//!     │ a letter   └─ error ───┴──▶ Failed ◀── error ───┘
//!     └──▶ Clear
//! ```

use std::io::{Read, Write};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use rustls::{AlertDescription, ServerConfig, ServerConnection};
use wsgi_core::wire::{CloseReason, Error, Event, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};

use super::names;
use crate::Config;
use crate::codec::Connection;

/// The server's half of one HTTPS connection.
pub(super) struct Session {
    tls: ServerConnection,
    http: Connection,
    phase: Phase,
    /// What was decrypted and not yet understood.
    plain: BytesMut,
    /// What was queued and not yet encrypted: less than a record, but for what a caller queues in one go.
    queued: Vec<u8>,
    /// The connection ends in good order, so that the peer is told by `close_notify` behind what is queued.
    closing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing came yet.
    Silent,
    Handshake,
    Open,
    /// The peer has said that it sends nothing more. It may still be sent to (RFC 8446, 6.1).
    HalfClosed,
    /// The peer speaks HTTP without TLS.
    Clear,
    /// TLS has failed. Its alert is all that the peer hears.
    Failed,
}

impl Session {
    pub(super) fn new(tls: Arc<ServerConfig>, http: Arc<Config>, link: &Link) -> Session {
        let link = Link { secure: true, ..link.clone() };
        // The only thing that it checks is the size of fragments, which nobody here sets.
        let tls = ServerConnection::new(tls).expect("a configuration that rustls made is valid");
        Session {
            tls,
            http: Connection::new(http, &link),
            phase: Phase::Silent,
            plain: BytesMut::new(),
            queued: Vec::new(),
            closing: false,
        }
    }

    /// Decrypts one record. False if there is no whole one.
    ///
    /// Only whole ones are given to `rustls`, so that what waits is the caller's to keep, who keeps no more than came.
    fn take_record(&mut self, input: &mut BytesMut, out: &mut Vec<u8>) -> Result<bool, Error> {
        if self.phase == Phase::Silent {
            match input.first() {
                None => return Ok(false),
                // Every record begins with a control character, and every method with a letter.
                Some(b'A'..=b'Z') => {
                    self.phase = Phase::Clear;
                    return Err(Error::malformed("plain HTTP came to a port that expects TLS: the address begins with https://"));
                }
                Some(_) => self.phase = Phase::Handshake,
            }
        }
        let Some(len) = record_len(input) else { return Ok(false) };
        let mut record = &input[..len];
        // In parts, as `rustls` reads a few KiB at once; and not at all behind `close_notify`, where nothing counts any more.
        while !record.is_empty() && matches!(self.phase, Phase::Handshake | Phase::Open) {
            let read = self.tls.read_tls(&mut record).map_err(|error| rustls::Error::General(error.to_string()));
            let outcome = read.and_then(|_| self.tls.process_new_packets());
            // An alert, if that failed.
            self.transmit(out);
            match outcome {
                Ok(state) => {
                    let at = self.plain.len();
                    self.plain.resize(at + state.plaintext_bytes_to_read(), 0);
                    let read = self.tls.reader().read_exact(&mut self.plain[at..]);
                    debug_assert!(read.is_ok());
                    if self.phase == Phase::Handshake && !self.tls.is_handshaking() {
                        self.phase = Phase::Open;
                    }
                    if state.peer_has_closed() {
                        self.peer_closed()?;
                    }
                }
                Err(error) => return Err(self.fail(explain(&error, self.phase))),
            }
        }
        input.advance(len);
        Ok(true)
    }

    fn peer_closed(&mut self) -> Result<(), Error> {
        if self.phase == Phase::Handshake {
            return Err(self.fail(Error::Truncated(HANDSHAKE)));
        }
        self.phase = Phase::HalfClosed;
        Ok(())
    }

    fn fail(&mut self, error: Error) -> Error {
        self.phase = Phase::Failed;
        self.plain.clear();
        self.queued = Vec::new();
        error
    }

    /// Encrypts whatever of what is queued makes whole records.
    fn seal_whole_records(&mut self, out: &mut Vec<u8>) {
        let whole = self.queued.len() - self.queued.len() % RECORD_BYTES;
        if whole > 0 {
            let mut queued = std::mem::take(&mut self.queued);
            self.encrypt(&queued[..whole], out);
            queued.drain(..whole);
            self.queued = queued;
        }
    }

    /// Queues bytes past HTTP, and encrypts them from where they lie as far as they make whole records.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let missing = RECORD_BYTES - self.queued.len() % RECORD_BYTES;
        let (first, rest) = bytes.split_at(missing.min(bytes.len()));
        self.queued.extend_from_slice(first);
        self.seal_whole_records(out);
        let (whole, last) = rest.split_at(rest.len() - rest.len() % RECORD_BYTES);
        self.encrypt(whole, out);
        self.queued.extend_from_slice(last);
    }

    /// A record at a time, so that `rustls` holds no more than one.
    fn encrypt(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for piece in bytes.chunks(RECORD_BYTES) {
            if self.tls.writer().write_all(piece).is_err() {
                // More was sent under one key than it is good for, and TLS 1.2 knows no other: what is missing shows.
                self.phase = Phase::Failed;
                return;
            }
            self.transmit(out);
        }
    }

    fn transmit(&mut self, out: &mut Vec<u8>) {
        while self.tls.wants_write() {
            if self.tls.write_tls(out).is_err() {
                return;
            }
        }
    }

    /// The reply is over.
    fn follow(&mut self, next: Next) -> Next {
        if self.phase == Phase::Failed {
            return Next::Close(CloseReason::Aborted);
        }
        match next {
            // An idle connection is to be small.
            Next::Request if self.plain.is_empty() => self.plain = BytesMut::new(),
            Next::Request => {}
            Next::Close(reason) => {
                self.closing = matches!(
                    reason,
                    CloseReason::Peer | CloseReason::EndOfReply | CloseReason::UnreadBody | CloseReason::Refused | CloseReason::Shutdown
                );
            }
        }
        next
    }
}

impl Protocol for Session {
    fn poll(&mut self, input: &mut BytesMut, head: &mut RequestHead, out: &mut Vec<u8>) -> Result<Event, Error> {
        loop {
            match self.phase {
                Phase::Open | Phase::HalfClosed => {
                    let mut event = self.http.poll(&mut self.plain, head, &mut self.queued);
                    if event == Ok(Event::NeedInput) && self.phase == Phase::HalfClosed {
                        input.clear();
                        event = self.http.end(&mut self.plain);
                    }
                    match event {
                        Ok(Event::NeedInput) => {}
                        Ok(Event::Head) => {
                            names::describe(&self.tls, |name, value| head.variable(name, value.as_bytes()));
                            return event;
                        }
                        Ok(Event::Closed) => {
                            self.closing = true;
                            return event;
                        }
                        _ => return event,
                    }
                }
                Phase::Clear | Phase::Failed => return Ok(Event::Closed),
                Phase::Silent | Phase::Handshake => {}
            }
            if !self.take_record(input, out)? {
                return Ok(Event::NeedInput);
            }
        }
    }

    fn end(&mut self, input: &mut BytesMut) -> Result<Event, Error> {
        match self.phase {
            Phase::Silent | Phase::Clear | Phase::Failed => Ok(Event::Closed),
            Phase::Handshake => Err(Error::Truncated(HANDSHAKE)),
            Phase::Open if !input.is_empty() => Err(Error::Truncated("TLS record")),
            // Without `close_notify` anyone on the way could have ended the connection here (RFC 8446, 6.1). But no request of HTTP ends
            // where its stream does, so that there is nothing that a forged end could make look whole.
            Phase::Open | Phase::HalfClosed => self.http.end(&mut self.plain),
        }
    }

    fn expect_body(&mut self, _: &mut Vec<u8>) {
        self.http.expect_body(&mut self.queued);
    }

    fn inform(&mut self, head: &ResponseHead, _: &mut Vec<u8>) {
        self.http.inform(head, &mut self.queued);
    }

    fn start(&mut self, head: &ResponseHead, date: &HttpDate, _: &mut Vec<u8>) {
        self.http.start(head, date, &mut self.queued);
    }

    fn bodiless(&self) -> bool {
        self.http.bodiless()
    }

    fn data(&mut self, block: &[u8], out: &mut Vec<u8>) {
        if block.len() >= RECORD_BYTES && self.http.raw(block.len() as u64, &mut self.queued) {
            self.pass(block, out);
            self.http.raw_end(&mut self.queued);
        } else {
            self.http.data(block, &mut self.queued);
        }
        self.seal_whole_records(out);
    }

    fn seal(&mut self, out: &mut Vec<u8>) {
        let queued = std::mem::take(&mut self.queued);
        if matches!(self.phase, Phase::Open | Phase::HalfClosed) {
            self.encrypt(&queued, out);
            if self.closing {
                self.tls.send_close_notify();
                self.transmit(out);
            }
        }
    }

    fn finish(&mut self, _: &mut Vec<u8>) -> Next {
        let next = self.http.finish(&mut self.queued);
        self.follow(next)
    }

    fn abort(&mut self, _: &mut Vec<u8>) -> Next {
        let next = self.http.abort(&mut self.queued);
        self.follow(next)
    }

    fn refuse(&mut self, error: &Error, date: &HttpDate, out: &mut Vec<u8>) {
        match self.phase {
            Phase::Clear => self.http.refuse(error, date, out),
            Phase::Open | Phase::HalfClosed => {
                let before = self.queued.len();
                self.http.refuse(error, date, &mut self.queued);
                // Nothing was added to a reply that had begun, and that must not look whole.
                self.closing = self.queued.len() > before;
            }
            Phase::Silent | Phase::Handshake | Phase::Failed => {}
        }
    }

    fn idle(&self) -> bool {
        match self.phase {
            Phase::Silent => true,
            Phase::Open => self.plain.is_empty() && self.http.idle(),
            Phase::Handshake | Phase::HalfClosed | Phase::Clear | Phase::Failed => false,
        }
    }

    fn farewell(&mut self, out: &mut Vec<u8>) {
        self.closing = true;
        self.seal(out);
    }

    fn close_after_reply(&mut self) {
        self.http.close_after_reply();
    }
}

/// The bytes of the record at the front; none if it is not whole. What is no record (RFC 8446, 5.1) is for TLS to refuse, now.
fn record_len(input: &[u8]) -> Option<usize> {
    let &[kind, major, _, high, low, ..] = input else { return None };
    let len = 5 + usize::from(u16::from_be_bytes([high, low]));
    if !matches!(kind, 20..=23) || major != 3 || len > LONGEST_RECORD {
        return Some(input.len());
    }
    (len <= input.len()).then_some(len)
}

/// What went wrong, as an operator can use it.
fn explain(error: &rustls::Error, phase: Phase) -> Error {
    let during = if phase == Phase::Handshake { "TLS handshake failed" } else { "TLS failed" };
    Error::malformed(match error {
        rustls::Error::AlertReceived(
            alert @ (AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown),
        ) => format!("{during}: the client does not accept the certificate (alert {alert:?})"),
        rustls::Error::AlertReceived(alert) => format!("{during}: the client gave up (alert {alert:?})"),
        rustls::Error::PeerIncompatible(why) => {
            format!("{during}: nothing in common with the client ({why:?}), expected TLS 1.2 or 1.3 with ECDHE")
        }
        rustls::Error::NoApplicationProtocol => format!("{during}: the client speaks no protocol that is spoken here, expected http/1.1"),
        rustls::Error::InvalidMessage(why) if phase == Phase::Handshake => format!("{during}: what came is not TLS ({why:?})"),
        rustls::Error::DecryptError => format!("{during}: a record was not encrypted with the key of its connection"),
        other => format!("{during}: {other}"),
    })
}

const HANDSHAKE: &str = "TLS handshake";
/// The most plain bytes of a record (RFC 8446, 5.1).
const RECORD_BYTES: usize = 16 * 1024;
/// The most bytes of a record with its header: what TLS 1.2 allows for encryption is more than what TLS 1.3 does (RFC 5246, 6.2.3).
const LONGEST_RECORD: usize = 5 + RECORD_BYTES + 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_when_it_is_whole_and_what_is_none_at_once() {
        assert_eq!(record_len(b"\x16\x03\x01\x00"), None);
        assert_eq!(record_len(b"\x16\x03\x01\x00\x02a"), None);
        assert_eq!(record_len(b"\x16\x03\x01\x00\x02abc"), Some(7));
        assert_eq!(record_len(b"\x17\x03\x03\x48\x00"), None);
        for none in [&b"\x17\x03\x03\x48\x01ab"[..], b"\x16\x04\x00\x00\x02ab", b"\x80\x2e\x01\x03\x01ab"] {
            assert_eq!(record_len(none), Some(7));
        }
    }
}
