//! The client's codec: packets, and replies in every way in which they could arrive.

use bytes::BytesMut;
use wsgi_core::wire::{BodyLength, HeadError, Known, RequestHead};
use wsgi_uwsgi_proto::client::{self, EncodeError, Event, Reply, ReplyError, ReplyHead};

// The packet ---------------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_packet_is_a_header_and_variables_with_their_lengths() {
    let mut out = b"before".to_vec();
    client::encode(5, [("A", "bc"), ("D", "")], &mut out).unwrap();
    assert_eq!(out, b"before\x05\x0c\0\0\x01\0A\x02\0bc\x01\0D\0\0");
    let mut out = Vec::new();
    client::encode::<&[u8], &[u8]>(client::MANAGE_PATH_INFO, [], &mut out).unwrap();
    assert_eq!(out, [30, 0, 0, 0]);
    assert_eq!((client::PING, client::PONG), ([100, 0, 0, 0], [100, 0, 0, 1]));
}

#[test]
fn what_does_not_fit_leaves_nothing_behind() {
    let most = "v".repeat(65535 - 5);
    let more = "v".repeat(65535 - 4);
    let mut out = b"before".to_vec();
    client::encode(0, [("A", &most)], &mut out).unwrap();
    assert_eq!((&out[6..10], out.len()), (&[0, 0xff, 0xff, 0][..], 6 + 4 + 65535));
    out.truncate(6);
    for (variables, error) in [
        (&[("A", &more[..])][..], EncodeError::TooLarge { bytes: 65536 }),
        (&[("A", &most), ("B", "")], EncodeError::TooLarge { bytes: 65540 }),
        (&[(&"n".repeat(70_000)[..], "")], EncodeError::TooLarge { bytes: 70_004 }),
        (&[("A", "x"), ("", "y")], EncodeError::EmptyName { index: 1 }),
    ] {
        assert_eq!(client::encode(0, variables.iter().copied(), &mut out), Err(error));
        assert_eq!(out, b"before");
    }
    assert_eq!(
        EncodeError::TooLarge { bytes: 65536 }.to_string(),
        "uwsgi packet would hold at least 65536 bytes of variables, expected at most 65535"
    );
}

#[test]
fn a_head_that_came_otherwise_becomes_a_packet_if_its_body_has_a_length() {
    let mut head = RequestHead::default();
    head.set(Known::RequestMethod, b"POST");
    head.variable(b"HTTP_X_FOO", b"\xff");
    let (mut from_head, mut from_pairs) = (Vec::new(), Vec::new());
    client::encode_head(client::WSGI, &head, &mut from_head).unwrap();
    client::encode(client::WSGI, [(&b"REQUEST_METHOD"[..], &b"POST"[..]), (b"HTTP_X_FOO", b"\xff")], &mut from_pairs).unwrap();
    assert_eq!(from_head, from_pairs);
    head.set_body(BodyLength::Unknown);
    assert_eq!(client::encode_head(client::WSGI, &head, &mut from_head), Err(EncodeError::UnknownLength));
    assert_eq!(from_head, from_pairs);
}

// The reply ----------------------------------------------------------------------------------------------------------------------------------

#[test]
fn replies_of_every_form_are_understood() {
    for (bytes, code, reason, fields, body) in [
        // With a status line, as from uWSGI.
        ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", 200, "OK", &[("A", "b")][..], "body"),
        ("HTTP/1.0 404 Not  Found\r\n\r\n", 404, "Not  Found", &[], ""),
        ("HTTP/2 200\r\n\r\n", 200, "", &[], ""),
        ("HTTP/1.1 200 \r\n\r\n", 200, "", &[], ""),
        ("HTTP/1.1 999 Caf\u{e9}\r\n\r\n", 999, "Caf\u{e9}", &[], ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody and more", 200, "OK", &[("Content-Length", "4")], "body"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore", 200, "OK", &[("content-length", "0")], ""),
        ("HTTP/1.1 204 No Content\r\n\r\nmore", 204, "No Content", &[], ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", 304, "Not Modified", &[("Content-Length", "10")], ""),
        ("HTTP/1.1 302 Found\r\nLocation: /x\r\nStatus: 200 OK\r\n\r\n", 302, "Found", &[("Location", "/x"), ("Status", "200 OK")], ""),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nb", 200, "OK", &[], "b"),
        // Without, as from a CGI script.
        ("Status: 404 Not Found\r\nA: b\r\n\r\nbody", 404, "Not Found", &[("A", "b")], "body"),
        ("A: b\r\nstatus: 201\r\n\r\n", 201, "", &[("A", "b")], ""),
        ("Content-Type: text/html\n\nbody", 200, "", &[("Content-Type", "text/html")], "body"),
        ("location: /x\r\n\r\n", 302, "", &[("location", "/x")], ""),
        ("Location: /x\r\nStatus: 301 Moved\r\n\r\n", 301, "Moved", &[("Location", "/x")], ""),
        // Fields as they may be written.
        ("HTTP/1.1 200 OK\nA:b\nA: \t c\td \t\r\nEmpty:\r\n\n", 200, "OK", &[("A", "b"), ("A", "c\td"), ("Empty", "")], ""),
        ("HTTP/1.1 200 OK\r\nA: caf\u{e9}: x\r\n\r\n", 200, "OK", &[("A", "caf\u{e9}: x")], ""),
    ] {
        let seen = every_way(Reply::new(), bytes.as_bytes()).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!((seen.head.code(), &text(seen.head.reason())[..]), (code, reason), "{bytes:?}");
        assert!(
            seen.head.fields().eq(fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))),
            "{bytes:?}: {:?}",
            seen.head
        );
        assert_eq!(text(&seen.body), body, "{bytes:?}");
    }
}

#[test]
fn a_reply_to_head_has_no_body_whatever_it_declares() {
    let seen = every_way(Reply::to(b"HEAD"), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").unwrap();
    assert_eq!((seen.head.content_length(), &seen.body[..]), (Some(10), &b""[..]));
    assert!(every_way(Reply::to(b"GET"), b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").is_err());
}

#[test]
fn replies_that_are_none_are_errors() {
    for (bytes, text) in [
        ("\r\n", "reply begins with an empty line, expected a status or a field"),
        ("HTTP/1.1 20 OK\r\n\r\n", "reply has the status \"20 OK\", expected three digits and a reason"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "reply has the status \"2000 OK\""),
        ("HTTP/1.1 099 OK\r\n\r\n", "reply has the status \"099 OK\""),
        ("HTTP/1.1 +20 OK\r\n\r\n", "reply has the status \"+20 OK\""),
        ("HTTP/1.1  200 OK\r\n\r\n", "reply has the status \" 200 OK\""),
        ("HTTP/1.1 200\tOK\r\n\r\n", "reply has the status \"200\\tOK\""),
        ("HTTP/1.1 200 O\rK\r\n\r\n", "reply has the status \"200 O\\rK\""),
        ("HTTP/1.1\r\n\r\n", "reply has the status line \"HTTP/1.1\", expected HTTP/1.1 and three digits"),
        ("HTTP/x.1 200 OK\r\n\r\n", "reply has the status line"),
        ("Status: OK\r\n\r\n", "reply has the status \"OK\""),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "reply switches protocols"),
        ("hello\r\n\r\n", "reply has the line \"hello\", expected a status or a field"),
        ("HTTP/1.1 200 OK\r\nhello\r\n\r\n", "reply has the line \"hello\", expected a field"),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "reply has the line \": b\""),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "reply has the line \"A : b\""),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "reply has the line \" c\""),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "reply has the field \"A: b\\rc\", expected no control characters"),
        ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "expected no control characters"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "expected a decimal number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "more than one Content-Length"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "expected a body without transfer coding"),
    ] {
        match every_way(Reply::new(), bytes.as_bytes()) {
            Err(ReplyError::Malformed(error)) if error.contains(text) => {}
            seen => panic!("{bytes:?}: {seen:?}"),
        }
    }
}

#[test]
fn a_reply_that_is_cut_short_is_noticed_wherever_it_can_be() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody";
    let head = whole.len() - 4;
    for cut in 0..whole.len() {
        let part = if cut < head { "head" } else { "body" };
        assert_eq!(every_way(Reply::new(), &whole[..cut]).unwrap_err(), ReplyError::Truncated(part), "{cut}");
    }
    let open = b"HTTP/1.1 200 OK\r\n\r\nbody";
    assert_eq!(every_way(Reply::new(), &open[..open.len() - 2]).unwrap().body, b"bo");
}

#[test]
fn a_head_is_no_longer_than_the_limit() {
    let bytes = b"HTTP/1.1 200 OK\r\n\r\nbody";
    let head = bytes.len() - 4;
    assert_eq!(every_way(Reply::new().head_bytes(head), bytes).unwrap().body, b"body");
    assert_eq!(every_way(Reply::new().head_bytes(head - 1), bytes).unwrap_err(), ReplyError::HeadTooLarge { limit: head - 1 });
    assert_eq!(every_way(Reply::new(), &[b'x'; 70_000]).unwrap_err(), ReplyError::HeadTooLarge { limit: 65536 });
}

#[test]
fn a_head_can_be_handed_on() {
    let bytes = b"Status: 404\r\nConnection: close\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n";
    let head = every_way(Reply::new(), bytes).unwrap().head;
    let response = head.response().unwrap();
    assert_eq!(response.status_line(), b"404 Not Found");
    assert_eq!(response.lines(), b"Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n");
    assert_eq!(head.field(b"SET-COOKIE"), Some(&b"a"[..]));
    assert_eq!(every_way(Reply::new(), b"HTTP/1.1 799\r\n\r\n").unwrap().head.response().unwrap().status_line(), b"799 Unknown");
    let tabbed = every_way(Reply::new(), b"A: b\tc\r\n\r\n").unwrap().head;
    assert_eq!(tabbed.response().unwrap_err(), HeadError::Value);
    assert_eq!(format!("{head:?}"), r#"404  [("Connection", "close"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("Content-Length", "0")]"#);
}

// --------------------------------------------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
struct Seen {
    head: ReplyHead,
    body: Vec<u8>,
}

/// Reads a reply whole, a byte at a time and cut at every place, with the server's end behind it, and returns what all of that gave.
#[track_caller]
fn every_way(reply: Reply, bytes: &[u8]) -> Result<Seen, ReplyError> {
    let whole = read(reply.clone(), [bytes]);
    let same = |seen: Result<Seen, ReplyError>, way: &str| {
        assert_eq!(format!("{seen:?}"), format!("{whole:?}"), "{way}: {}", bytes.escape_ascii());
    };
    same(read(reply.clone(), bytes.chunks(1)), "a byte at a time");
    for at in (0..=bytes.len()).step_by(1 + bytes.len() / 2048) {
        let (a, b) = bytes.split_at(at);
        same(read(reply.clone(), [a, b]), "cut");
    }
    whole
}

fn read<'a>(mut reply: Reply, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Seen, ReplyError> {
    let mut pieces = pieces.into_iter();
    let (mut input, mut head, mut body) = (BytesMut::new(), ReplyHead::default(), Vec::new());
    let (mut heads, mut ended) = (0, false);
    loop {
        let event = if ended { reply.end(&mut input, &mut head)? } else { reply.poll(&mut input, &mut head)? };
        match event {
            Event::NeedInput => {
                assert!(!ended);
                assert_eq!(reply.poll(&mut input, &mut head), Ok(Event::NeedInput));
                match pieces.next() {
                    Some(piece) => input.extend_from_slice(piece),
                    None => ended = true,
                }
            }
            Event::Head => heads += 1,
            Event::Body(piece) => {
                assert!(heads == 1 && !piece.is_empty());
                body.extend_from_slice(&piece);
            }
            Event::End => {
                assert_eq!(heads, 1);
                assert_eq!(reply.poll(&mut input, &mut head), Ok(Event::End), "again");
                return Ok(Seen { head, body });
            }
        }
    }
}
