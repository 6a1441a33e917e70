//! HTTPS as a codec, without a socket: a client of `rustls` at one end, the codec at the other, and bytes between them cut in every way.

mod common;

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use rustls::{ClientConnection, HandshakeKind};
use wsgi_core::wire::{Address, CloseReason, Dialect, Error, Event, HttpDate, Link, Next, Protocol, RequestHead, ResponseHead};
use wsgi_http::Http1;
use wsgi_http::tls::{Certificates, CertificatesError, Tls};

use common::{Site, TLS12, TLS13, client_of};

/// A client and a codec, and what is between them.
struct Pair {
    client: ClientConnection,
    codec: Box<dyn Protocol>,
    input: BytesMut,
    head: RequestHead,
    out: Vec<u8>,
    /// What the codec has understood.
    events: Vec<Event>,
}

impl Pair {
    fn new(site: &Site, client: ClientConnection) -> Pair {
        Pair::of(&Tls::new(Http1::new(), &site.certificates()), client)
    }

    fn of(tls: &Tls, client: ClientConnection) -> Pair {
        let address = |text: &str| Address::Tcp(text.parse().unwrap());
        let codec = tls.connect(&Link { local: address("127.0.0.1:8443"), remote: address("127.0.0.1:5"), secure: false });
        Pair { client, codec, input: BytesMut::new(), head: RequestHead::default(), out: Vec::new(), events: Vec::new() }
    }

    /// A pair that has done its handshake.
    fn open(site: &Site, versions: &[&'static rustls::SupportedProtocolVersion]) -> Pair {
        let mut pair = Pair::new(site, site.client(versions));
        pair.shake_hands();
        pair
    }

    fn shake_hands(&mut self) {
        while self.client.is_handshaking() || self.client.wants_write() {
            let flight = self.client_sends();
            assert_eq!(self.gets(&flight), Ok(Event::NeedInput));
            self.client_reads().unwrap();
        }
        assert!(self.codec.idle());
    }

    /// What the client has to say, encrypted.
    fn client_sends(&mut self) -> Vec<u8> {
        let mut flight = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut flight).unwrap();
        }
        flight
    }

    fn encrypted(&mut self, text: &str) -> Vec<u8> {
        self.client.writer().write_all(text.as_bytes()).unwrap();
        self.client_sends()
    }

    /// Gives the codec these bytes, and what it makes of them: the first event but a piece of a body.
    fn gets(&mut self, bytes: &[u8]) -> Result<Event, Error> {
        self.input.extend_from_slice(bytes);
        self.poll()
    }

    fn poll(&mut self) -> Result<Event, Error> {
        loop {
            let event = self.codec.poll(&mut self.input, &mut self.head, &mut self.out)?;
            self.events.push(event.clone());
            if !matches!(event, Event::Body(_)) {
                return Ok(event);
            }
        }
    }

    fn body(&self) -> Vec<u8> {
        self.events.iter().flat_map(|event| if let Event::Body(piece) = event { piece.to_vec() } else { Vec::new() }).collect()
    }

    /// Has the client read what was sent so far.
    fn client_reads(&mut self) -> Result<String, rustls::Error> {
        self.codec.seal(&mut self.out);
        let mut bytes = &std::mem::take(&mut self.out)[..];
        let mut text = String::new();
        while !bytes.is_empty() {
            self.client.read_tls(&mut bytes).unwrap();
            self.client.process_new_packets()?;
            let mut some = Vec::new();
            match self.client.reader().read_to_end(&mut some) {
                Ok(_) => text.push_str("[closed]"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            text.insert_str(text.len() - if text.ends_with("[closed]") { 8 } else { 0 }, std::str::from_utf8(&some).unwrap());
        }
        Ok(text)
    }

    fn answers(&mut self, text: &str) -> Next {
        self.codec.start(&ok(Some(text.len() as u64)), &date(), &mut self.out);
        self.codec.data(text.as_bytes(), &mut self.out);
        self.codec.finish(&mut self.out)
    }

    fn refuses(&mut self, error: &Error) {
        self.codec.refuse(error, &date(), &mut self.out);
    }

    fn variable(&self, name: &str) -> Option<String> {
        let found = self.head.iter().find(|(other, _)| other.as_bytes() == name.as_bytes());
        found.map(|(_, value)| String::from_utf8(value.to_vec()).unwrap())
    }
}

fn date() -> HttpDate {
    HttpDate::from_unix(784_111_777)
}

fn ok(length: Option<u64>) -> ResponseHead {
    let mut head = ResponseHead::new(b"200 OK").unwrap();
    if let Some(length) = length {
        head.set_content_length(length);
    }
    head
}

/// The records of a stream, each whole.
fn records(mut stream: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !stream.is_empty() {
        let (record, rest) = stream.split_at(5 + usize::from(u16::from_be_bytes([stream[3], stream[4]])));
        records.push(record);
        stream = rest;
    }
    records
}

const GET: &str = "GET /a?b HTTP/1.1\r\nHost: localhost\r\n\r\n";
const GET_CLOSE: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
const GET10: &str = "GET / HTTP/1.0\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n01234";

#[test]
fn a_request_says_how_it_came_and_its_reply_is_one_record() {
    let site = Site::new();
    for (versions, protocol, ciphers) in [(TLS12, "TLSv1.2", &["ECDHE-ECDSA-"][..]), (TLS13, "TLSv1.3", &["TLS_AES_", "TLS_CHACHA20_"])] {
        let mut pair = Pair::open(&site, versions);
        for _ in 0..3 {
            let request = pair.encrypted(GET);
            assert_eq!(pair.gets(&request), Ok(Event::Head));
            for (name, value) in [
                ("HTTPS", "on"),
                ("REQUEST_SCHEME", "https"),
                ("SERVER_PORT", "8443"),
                ("REMOTE_PORT", "5"),
                ("SSL_PROTOCOL", protocol),
                ("SSL_TLS_SNI", "localhost"),
                ("SSL_SESSION_RESUMED", "Initial"),
            ] {
                assert_eq!(pair.variable(name).as_deref(), Some(value), "{name}");
            }
            let cipher = pair.variable("SSL_CIPHER").unwrap();
            assert!(ciphers.iter().any(|begin| cipher.starts_with(begin)), "{cipher}");
            assert_eq!(pair.poll(), Ok(Event::EndOfBody));
            assert_eq!(pair.answers("hello"), Next::Request);
            assert!(pair.out.is_empty(), "something went out before anyone wanted to send");
            pair.codec.seal(&mut pair.out);
            assert_eq!(records(&pair.out).len(), 1);
            let before = pair.out.len();
            pair.codec.seal(&mut pair.out);
            assert_eq!(pair.out.len(), before, "sealing nothing adds something");
            let reply = pair.client_reads().unwrap();
            assert!(reply.starts_with("HTTP/1.1 200 OK\r\n") && reply.ends_with("\r\n\r\nhello"), "{reply}");
            assert!(pair.codec.idle());
        }
    }
}

#[test]
fn a_client_cannot_forge_what_tls_says() {
    let site = Site::new();
    let mut pair = Pair::open(&site, TLS13);
    let request = pair.encrypted(
        "GET / HTTP/1.1\r\nHost: localhost\r\nSSL-PROTOCOL: a\r\nSSL_CIPHER: b\r\nSSL-TLS-SNI: c\r\nSSL-CLIENT-VERIFY: SUCCESS\r\nHTTPS: off\r\n\r\n",
    );
    assert_eq!(pair.gets(&request), Ok(Event::Head));
    assert_eq!((pair.variable("SSL_PROTOCOL").as_deref(), pair.variable("SSL_TLS_SNI").as_deref()), (Some("TLSv1.3"), Some("localhost")));
    assert_ne!(pair.variable("SSL_CIPHER").as_deref(), Some("b"));
    assert_eq!((pair.variable("HTTPS").as_deref(), pair.variable("SSL_CLIENT_VERIFY")), (Some("on"), None));
}

/// Runs a handshake, a request with a body and its reply. Every flight of the client is handed over in the pieces that `cut` makes of it.
fn session(site: &Site, versions: &[&'static rustls::SupportedProtocolVersion], cut: impl Fn(&[u8]) -> Vec<Vec<u8>>) -> (String, usize) {
    let mut pair = Pair::new(site, site.client(versions));
    let mut longest = 0;
    let mut event = Event::NeedInput;
    let mut hand_over = |pair: &mut Pair, flight: Vec<u8>| {
        longest = longest.max(flight.len());
        for piece in cut(&flight).into_iter().filter(|piece| !piece.is_empty()) {
            assert_ne!(event, Event::EndOfBody, "the request is over before its last byte");
            event = pair.gets(&piece).unwrap();
            while event == Event::Head {
                event = pair.poll().unwrap();
            }
        }
    };
    while pair.client.is_handshaking() || pair.client.wants_write() {
        let flight = pair.client_sends();
        hand_over(&mut pair, flight);
        pair.client_reads().unwrap();
    }
    let request = [pair.encrypted(POST), pair.encrypted("56789")].concat();
    hand_over(&mut pair, request);
    assert_eq!(event, Event::EndOfBody);
    let body = String::from_utf8(pair.body()).unwrap();
    assert_eq!(pair.answers(&body), Next::Request);
    (pair.client_reads().unwrap(), longest)
}

#[test]
fn the_stream_may_be_cut_anywhere() {
    let site = Site::new();
    for versions in [TLS12, TLS13] {
        let (whole, longest) = session(&site, versions, |flight| vec![flight.to_vec()]);
        assert!(whole.ends_with("\r\n\r\n0123456789"), "{whole}");
        let (bytewise, _) = session(&site, versions, |flight| flight.iter().map(|byte| vec![*byte]).collect());
        assert_eq!(bytewise, whole);
        for at in 1..longest {
            let (cut, _) = session(&site, versions, |flight| {
                let (a, b) = flight.split_at(at.min(flight.len()));
                vec![a.to_vec(), b.to_vec()]
            });
            assert_eq!(cut, whole, "cut at {at}");
        }
    }
}

#[test]
fn a_stream_that_ends_inside_a_record_or_a_handshake_or_a_request_is_truncated() {
    let site = Site::new();
    for versions in [TLS12, TLS13] {
        let mut silent = Pair::new(&site, site.client(versions));
        assert_eq!(silent.codec.end(&mut silent.input), Ok(Event::Closed));

        let hello = silent.client_sends();
        for end in [1, 4, 5, hello.len() - 1, hello.len()] {
            let mut pair = Pair::new(&site, site.client(versions));
            assert_eq!(pair.gets(&hello[..end]), Ok(Event::NeedInput));
            assert!(!pair.codec.idle() || !pair.input.is_empty());
            assert_eq!(pair.codec.end(&mut pair.input), Err(Error::Truncated("TLS handshake")), "{end} of {}", hello.len());
        }

        // Each record of a request in its turn, with a byte missing and without.
        let mut pair = Pair::open(&site, versions);
        assert_eq!(pair.codec.end(&mut pair.input), Ok(Event::Closed), "between requests nothing is lost");
        for (text, place) in [("POST / HTTP/1.1\r\n", "head"), ("Host: a\r\nContent-Length: 10\r\n\r\n", "body"), ("01234", "body")] {
            let record = pair.encrypted(text);
            let (but_one, last) = record.split_at(record.len() - 1);
            assert!(pair.gets(but_one).is_ok());
            assert_eq!(pair.codec.end(&mut pair.input), Err(Error::Truncated("TLS record")));
            let mut event = pair.gets(last);
            if event == Ok(Event::Head) {
                event = pair.poll();
            }
            assert_eq!(event, Ok(Event::NeedInput));
            assert_eq!(pair.codec.end(&mut pair.input), Err(Error::Truncated(place)));
        }
        let record = pair.encrypted("56789");
        assert_eq!(pair.gets(&record), Ok(Event::EndOfBody));
        assert_eq!(pair.body(), b"0123456789");
    }
}

#[test]
fn close_notify_is_an_end_between_requests_and_nowhere_else() {
    let site = Site::new();
    for versions in [TLS12, TLS13] {
        for (text, ended) in [("", Ok(Event::Closed)), ("GET /", Err(Error::Truncated("head"))), (POST, Err(Error::Truncated("body")))] {
            let mut pair = Pair::open(&site, versions);
            let record = pair.encrypted(text);
            if pair.gets(&record) == Ok(Event::Head) {
                assert_eq!(pair.poll(), Ok(Event::NeedInput));
            }
            pair.client.send_close_notify();
            let farewell = pair.client_sends();
            assert_eq!(pair.gets(&farewell), ended, "{text:?}");
            assert_eq!(pair.codec.end(&mut pair.input), ended, "{text:?}");
            match ended {
                Ok(_) => assert_eq!(pair.client_reads().unwrap(), "[closed]"),
                // The peer may still read, and hears why.
                Err(error) => {
                    pair.refuses(&error);
                    let reply = pair.client_reads().unwrap();
                    assert!(reply.starts_with("HTTP/1.1 400 ") && reply.ends_with("[closed]"), "{reply}");
                }
            }
        }
        // A request that is whole is answered although its peer has said that it sends nothing more.
        let mut pair = Pair::open(&site, versions);
        let request = pair.encrypted(GET);
        pair.client.send_close_notify();
        let request = [request, pair.client_sends()].concat();
        assert_eq!((pair.gets(&request), pair.poll()), (Ok(Event::Head), Ok(Event::EndOfBody)));
        assert_eq!(pair.answers("hello"), Next::Request);
        assert_eq!(pair.poll(), Ok(Event::Closed));
        let reply = pair.client_reads().unwrap();
        assert!(reply.ends_with("\r\n\r\nhello[closed]"), "{reply}");
    }
}

#[test]
fn close_notify_follows_a_reply_that_is_whole_and_no_other() {
    let site = Site::new();
    for versions in [TLS12, TLS13] {
        let ask = |request: &str| {
            let mut pair = Pair::open(&site, versions);
            let request = pair.encrypted(request);
            assert_eq!(pair.gets(&request), Ok(Event::Head));
            pair
        };
        for (request, length) in [(GET_CLOSE, Some(5)), (GET_CLOSE, None), (GET10, Some(5)), (GET10, None)] {
            let mut whole = ask(request);
            assert_eq!(whole.poll(), Ok(Event::EndOfBody));
            whole.codec.start(&ok(length), &date(), &mut whole.out);
            whole.codec.data(b"hello", &mut whole.out);
            assert_eq!(whole.codec.finish(&mut whole.out), Next::Close(CloseReason::Peer));
            let reply = whole.client_reads().unwrap();
            assert!(reply.contains("hello") && reply.ends_with("[closed]"), "{reply}");

            for by_finish in [false, true] {
                let mut broken = ask(request);
                assert_eq!(broken.poll(), Ok(Event::EndOfBody));
                broken.codec.start(&ok(length), &date(), &mut broken.out);
                broken.codec.data(b"hell", &mut broken.out);
                let next = match by_finish {
                    true if length.is_none() => continue,
                    true => broken.codec.finish(&mut broken.out),
                    false => broken.codec.abort(&mut broken.out),
                };
                let until_close = (request, length) == (GET10, None);
                assert_eq!(next, Next::Close(if until_close { CloseReason::Reset } else { CloseReason::Aborted }));
                let reply = broken.client_reads().unwrap();
                assert!(reply.contains("hell") && !reply.contains("[closed]"), "{reply}");
            }
        }
        let mut unread = ask(POST);
        assert_eq!(unread.answers("early"), Next::Close(CloseReason::UnreadBody));
        assert!(unread.client_reads().unwrap().ends_with("early[closed]"));

        let mut idle = Pair::open(&site, versions);
        idle.codec.farewell(&mut idle.out);
        assert_eq!(records(&idle.out).len(), 1);
        assert_eq!(idle.client_reads().unwrap(), "[closed]");

        let mut late = Pair::open(&site, versions);
        let half = late.encrypted("GET /");
        assert_eq!(late.gets(&half), Ok(Event::NeedInput));
        late.refuses(&Error::Timeout { what: "head", seconds: 30 });
        let reply = late.client_reads().unwrap();
        assert!(reply.starts_with("HTTP/1.1 408 ") && reply.ends_with("[closed]"), "{reply}");
    }
    // Before the handshake is done there is nobody to talk to.
    let mut early = Pair::new(&site, site.client(TLS13));
    early.codec.farewell(&mut early.out);
    early.refuses(&Error::Timeout { what: "head", seconds: 30 });
    early.codec.seal(&mut early.out);
    assert!(early.out.is_empty());
}

#[test]
fn a_large_block_is_one_chunk_in_full_records() {
    let site = Site::new();
    let block = "0123456789abcdef".repeat(20_000);
    for length in [None, Some(block.len() as u64 + 3)] {
        let mut pair = Pair::open(&site, TLS13);
        let request = pair.encrypted(GET_CLOSE);
        assert_eq!((pair.gets(&request), pair.poll()), (Ok(Event::Head), Ok(Event::EndOfBody)));
        pair.codec.start(&ok(length), &date(), &mut pair.out);
        assert!(!pair.codec.raw(1 << 20, &mut pair.out), "bytes may not go out as they are");
        pair.codec.data(b"abc", &mut pair.out);
        pair.codec.data(block.as_bytes(), &mut pair.out);
        // All of these may be sent at once, without another word.
        let full = records(&pair.out);
        assert_eq!(full.len(), block.len() / 16384);
        assert!(full.iter().all(|record| record.len() == full[0].len()), "a record is not full");
        assert_eq!(pair.codec.finish(&mut pair.out), Next::Close(CloseReason::Peer));
        let reply = pair.client_reads().unwrap();
        let body = match length {
            None => format!("\r\n\r\n3\r\nabc\r\n{:x}\r\n{block}\r\n0\r\n\r\n[closed]", block.len()),
            Some(_) => format!("\r\n\r\nabc{block}[closed]"),
        };
        assert!(reply.ends_with(&body), "{}", &reply[..400]);
    }
    // To HEAD none of it goes out.
    let mut pair = Pair::open(&site, TLS13);
    let request = pair.encrypted("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((pair.gets(&request), pair.poll()), (Ok(Event::Head), Ok(Event::EndOfBody)));
    pair.codec.start(&ok(None), &date(), &mut pair.out);
    pair.codec.data(block.as_bytes(), &mut pair.out);
    assert_eq!(pair.codec.finish(&mut pair.out), Next::Request);
    assert!(pair.client_reads().unwrap().ends_with("\r\n\r\n"));
}

#[test]
fn many_requests_in_one_record_and_one_in_many_are_the_same() {
    let site = Site::new();
    let mut pair = Pair::open(&site, TLS13);
    let mut input = pair.encrypted(&GET.repeat(50));
    for byte in GET.as_bytes() {
        input.extend(pair.encrypted(std::str::from_utf8(&[*byte]).unwrap()));
    }
    let mut event = pair.gets(&input);
    for n in 0..51 {
        assert_eq!((event, pair.poll()), (Ok(Event::Head), Ok(Event::EndOfBody)), "{n}");
        assert_eq!(pair.answers(&n.to_string()), Next::Request);
        assert_eq!(pair.codec.idle(), n >= 49, "the rest of the requests is forgotten");
        assert!(pair.client_reads().unwrap().ends_with(&format!("\r\n\r\n{n}")));
        event = pair.poll();
    }
    assert_eq!(event, Ok(Event::NeedInput));
}

#[test]
fn plain_http_gets_a_sentence_without_tls() {
    let site = Site::new();
    for text in [GET, "POST / HTTP/1.1\r\nHost: a\r\n", "G"] {
        let mut pair = Pair::new(&site, site.client(TLS13));
        let error = pair.gets(text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("plain HTTP") && error.to_string().contains("https://"), "{error}");
        pair.refuses(&error);
        pair.codec.seal(&mut pair.out);
        let reply = String::from_utf8(std::mem::take(&mut pair.out)).unwrap();
        assert!(reply.starts_with("HTTP/1.1 400 Bad Request\r\n") && reply.contains("Connection: close\r\n"), "{reply}");
        assert!(reply.ends_with(&format!("\r\n\r\n{error}\n")), "{reply}");
        assert_eq!(pair.codec.end(&mut pair.input), Ok(Event::Closed));
    }
}

#[test]
fn garbage_is_refused_and_harms_nothing() {
    let site = Site::new();
    for garbage in [
        &b"\0\0\0\0\0\0\0\0"[..],
        b"\x80\x2e\x01\x03\x01\x00\x15\x00",
        b"\x16\x03\x01\xff\xff\x01",
        b"\x16\x03\x01\x00\x04abcd",
        b"\x16\x02\x00\x00\x04abcd",
        b"\x17\x03\x03\x00\x04abcd",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x14\x03\x03\x00\x01\x02",
        b"SSH-2.0-OpenSSH\r\n",
    ] {
        for way in [vec![garbage], garbage.chunks(1).collect()] {
            let mut pair = Pair::new(&site, site.client(TLS13));
            let result = way.into_iter().map(|piece| pair.gets(piece)).find(|result| result != &Ok(Event::NeedInput));
            let error = result.expect("it is not waited for more").unwrap_err();
            let text = error.to_string();
            assert!(text.starts_with("TLS handshake failed: ") || garbage.starts_with(b"S"), "{text}");
            pair.refuses(&error);
            pair.codec.seal(&mut pair.out);
            assert!(garbage.starts_with(b"S") || pair.out.is_empty() || pair.out.starts_with(&[0x15]), "an alert or nothing");
            assert_eq!(pair.poll(), Ok(Event::Closed));
        }
    }
    // A record of which one bit was changed on the way.
    for versions in [TLS12, TLS13] {
        let mut pair = Pair::open(&site, versions);
        let head = pair.encrypted(POST);
        let mut rest = pair.encrypted("56789");
        *rest.last_mut().unwrap() ^= 1;
        assert_eq!((pair.gets(&head), pair.poll()), (Ok(Event::Head), Ok(Event::NeedInput)));
        let error = pair.gets(&rest).unwrap_err();
        assert_eq!(error.to_string(), "TLS failed: a record was not encrypted with the key of its connection");
        // The handler may not know yet, and answers. Nothing of that may go out behind the alert.
        let told = pair.out.len();
        assert_eq!(pair.answers("hello"), Next::Close(CloseReason::Aborted));
        pair.codec.seal(&mut pair.out);
        assert_eq!(pair.out.len(), told);
        assert!(matches!(pair.client_reads(), Err(rustls::Error::AlertReceived(_))));
    }
}

#[test]
fn a_handshake_that_fails_is_told_in_words() {
    let site = Site::new();
    let tls = Tls::new(Http1::new(), &site.certificates());
    let mut h2 = Pair::of(&tls, client_of(site.client_config(TLS13, &["h2"])));
    let hello = h2.client_sends();
    assert_eq!(
        h2.gets(&hello).unwrap_err().to_string(),
        "TLS handshake failed: the client speaks no protocol that is spoken here, expected http/1.1"
    );
    assert!(h2.client_reads().is_err(), "the client hears of it");

    // The hello of a client that speaks TLS 1.1 and nothing newer.
    let mut old = Pair::of(&tls, site.client(TLS12));
    let mut hello = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02".to_vec();
    hello.extend([7; 32]);
    hello.extend(b"\x00\x00\x02\xc0\x0a\x01\x00");
    let text = old.gets(&hello).unwrap_err().to_string();
    assert!(text.starts_with("TLS handshake failed: nothing in common with the client ("), "{text}");
    assert!(text.ends_with("), expected TLS 1.2 or 1.3 with ECDHE"), "{text}");

    let other = Site::new();
    for versions in [TLS12, TLS13] {
        let mut distrustful = Pair::of(&tls, other.client(versions));
        let hello = distrustful.client_sends();
        assert_eq!(distrustful.gets(&hello), Ok(Event::NeedInput));
        assert!(distrustful.client_reads().is_err());
        let alert = distrustful.client_sends();
        let text = distrustful.gets(&alert).unwrap_err().to_string();
        assert!(text.starts_with("TLS handshake failed: the client does not accept the certificate (alert "), "{text}");
    }

    for alpn in [&[][..], &["http/1.0"], &["h2", "http/1.1"]] {
        let mut pair = Pair::of(&tls, client_of(site.client_config(TLS13, alpn)));
        pair.shake_hands();
        let chosen = pair.client.alpn_protocol().map(|name| String::from_utf8(name.to_vec()).unwrap());
        assert_eq!(chosen.as_deref(), alpn.last().copied());
    }
}

#[test]
fn a_session_is_resumed_also_after_the_certificate_has_changed() {
    let mut site = Site::new();
    for versions in [TLS12, TLS13] {
        let certificates = site.certificates();
        let tls = Tls::new(Http1::new(), &certificates);
        let config = site.client_config(versions, &["http/1.1"]);
        for (kind, word) in [(HandshakeKind::Full, "Initial"), (HandshakeKind::Resumed, "Resumed"), (HandshakeKind::Resumed, "Resumed")] {
            let mut pair = Pair::of(&tls, client_of(config.clone()));
            pair.shake_hands();
            assert_eq!(pair.client.handshake_kind(), Some(kind));
            let request = pair.encrypted(GET);
            assert_eq!(pair.gets(&request), Ok(Event::Head));
            assert_eq!(pair.variable("SSL_SESSION_RESUMED").as_deref(), Some(word));
            if kind == HandshakeKind::Resumed {
                site.renew();
                certificates.reload().unwrap();
            }
        }
    }
}

/// Whether a client that trusts only what the site's files hold now goes on with the handshake.
fn shows_the_certificate_of(site: &Site, tls: &Tls) -> bool {
    let mut pair = Pair::of(tls, site.client(TLS13));
    let hello = pair.client_sends();
    assert_eq!(pair.gets(&hello), Ok(Event::NeedInput));
    pair.client_reads().is_ok()
}

#[test]
fn certificates_are_reloaded_for_new_connections_and_a_bad_one_changes_nothing() {
    let mut site = Site::new();
    let certificates = site.certificates();
    let tls = Tls::new(Http1::new(), &certificates);
    let trusts = |site: &Site| shows_the_certificate_of(site, &tls);
    let mut before = Pair::of(&tls, site.client(TLS13));
    before.shake_hands();
    assert!(trusts(&site));
    site.renew();
    assert!(!trusts(&site), "it was reloaded without being asked");
    certificates.reload().unwrap();
    assert!(trusts(&site));
    fs::write(site.chain(), "nothing").unwrap();
    assert!(matches!(certificates.reload(), Err(CertificatesError::NoCertificate(_))));
    assert!(trusts(&site), "the certificate that could be used is gone");

    let request = before.encrypted(GET);
    assert_eq!(before.gets(&request), Ok(Event::Head), "a connection that stood has lost its keys");
}

#[test]
fn files_that_change_are_noticed_at_the_next_handshake() {
    let mut site = Site::new();
    let certificates = site.certificates().watch(std::time::Duration::ZERO);
    let tls = Tls::new(Http1::new(), &certificates);
    let trusts = |site: &Site| shows_the_certificate_of(site, &tls);
    assert!(trusts(&site));
    site.renew();
    assert!(trusts(&site));
    let key = fs::read(site.key()).unwrap();
    fs::remove_file(site.key()).unwrap();
    assert!(trusts(&site), "the key that could be used is gone");
    fs::write(site.key(), key).unwrap();
    assert!(trusts(&site));
    // Another server's look is its own.
    let config = certificates.server_config(&[b"h2", b"http/1.1"]);
    assert_eq!(config.alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_with_its_file() {
    let (site, other) = (Site::new(), Site::new());
    let at = |name: &str, text: &str| {
        let path = site.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let told = |chain: &Path, key: &Path| {
        let text = Certificates::load(chain, key).unwrap_err().to_string();
        assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
        text
    };
    let missing = site.folder.path().join("missing.pem");
    let empty = at("empty.pem", "");
    let key_text = fs::read_to_string(site.key()).unwrap();
    let chain_text = fs::read_to_string(site.chain()).unwrap();
    let torn = at("torn.pem", &chain_text[..chain_text.len() / 2]);
    let foreign = at("foreign.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let encrypted = at("encrypted.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
    let old = at(
        "old.pem",
        "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n",
    );
    let broken = at("broken.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");

    let relative = PathBuf::from("no/such/chain.pem");
    let here = std::env::current_dir().unwrap().join(&relative);

    for (chain, key, text) in [
        // Where it was looked for: `serve --chdir` counts from elsewhere than who has started it.
        (&relative, &site.key(), format!("cannot read {here:?}: No such file or directory")),
        (&PathBuf::new(), &site.key(), "cannot read \"\": ".to_owned()),
        (&missing, &site.key(), format!("cannot read {missing:?}: No such file or directory")),
        (&site.chain(), &missing, format!("cannot read {missing:?}: No such file or directory")),
        (&empty, &site.key(), format!("no certificate in {empty:?}, expected PEM")),
        (&site.key(), &site.key(), format!("no certificate in {:?}, expected PEM", site.key())),
        (&torn, &site.key(), format!("{torn:?} is not sound PEM: ")),
        (&foreign, &site.key(), format!("the certificate in {foreign:?} cannot be used: ")),
        (&site.chain(), &empty, format!("no private key in {empty:?}, expected PEM")),
        (&site.chain(), &site.chain(), format!("no private key in {:?}, expected PEM", site.chain())),
        (&site.chain(), &encrypted, format!("the private key in {encrypted:?} is encrypted")),
        (&site.chain(), &old, format!("the private key in {old:?} is encrypted")),
        (&site.chain(), &broken, format!("the private key in {broken:?} cannot be used: ")),
        (&site.chain(), &other.key(), format!("the private key in {:?} does not fit the certificate in {:?}", other.key(), site.chain())),
    ] {
        let told = told(chain, key);
        assert!(told.starts_with(&text), "{told:?}, expected {text:?}");
    }
    // Both in one file, in either order, is a common way.
    for both in [[&key_text[..], &chain_text].concat(), [&chain_text[..], &key_text].concat()] {
        let both = at("both.pem", &both);
        assert!(Certificates::load(&both, &both).is_ok());
    }
}
