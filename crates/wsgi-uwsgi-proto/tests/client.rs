//! The client's codec: packets, and replies in every way in which they could arrive.

use bytes::BytesMut;
use wsgi_core::wire::{BodyLength, Known, Limits, RequestHead, ResponseHead};
use wsgi_uwsgi_proto::client::{self, EncodeError, Event, Reply, ReplyError};

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
    for (bytes, status, lines, body) in [
        // With a status line, as from uWSGI.
        ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", "200 OK", "A: b\r\n", "body"),
        ("HTTP/1.0 404 Not  Found\r\n\r\n", "404 Not  Found", "", ""),
        ("HTTP/2 200\r\n\r\n", "200 OK", "", ""),
        ("HTTP/1.1 404 \r\n\r\n", "404 Not Found", "", ""),
        ("HTTP/1.1 799\r\n\r\n", "799 Unknown", "", ""),
        ("HTTP/1.1 999 Caf\u{e9} \t\r\n\r\n", "999 Caf\u{e9}", "", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody and more", "200 OK", "Content-Length: 4\r\n", "body"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nmore", "200 OK", "content-length: 0\r\n", ""),
        ("HTTP/1.1 204 No Content\r\n\r\nmore", "204 No Content", "", ""),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "304 Not Modified", "Content-Length: 10\r\n", ""),
        ("HTTP/1.1 302 Found\r\nStatus: 200 OK\r\n\r\n", "302 Found", "Status: 200 OK\r\n", ""),
        ("HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\nTE: x\r\n\r\n", "200 OK", "A: b\r\n", ""),
        ("HTTP/1.1 100\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nb", "200 OK", "", "b"),
        // Without, as from a CGI script.
        ("Status: 404 Nowhere\r\nA: b\r\n\r\nbody", "404 Nowhere", "A: b\r\n", "body"),
        ("A: b\r\nstatus: 201\r\n\r\n", "201 Created", "A: b\r\n", ""),
        ("Content-Type: text/html\n\nbody", "200 OK", "Content-Type: text/html\r\n", "body"),
        ("location: /x\r\n\r\n", "302 Found", "location: /x\r\n", ""),
        ("Location: /x\r\nStatus: 301 Moved\r\n\r\n", "301 Moved", "Location: /x\r\n", ""),
        // Fields as they may be written.
        ("HTTP/1.1 200 OK\nA:b\nA: \t c\td \t\r\nEmpty:\r\n\n", "200 OK", "A: b\r\nA: c d\r\nEmpty: \r\n", ""),
        ("HTTP/1.1 200 OK\r\nA: caf\u{e9}: x\r\n\r\n", "200 OK", "A: caf\u{e9}: x\r\n", ""),
    ] {
        let seen = every_way(reply(), bytes.as_bytes()).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!((&*text(seen.head.status_line()), &*text(seen.head.lines())), (status, lines), "{bytes:?}");
        assert_eq!(text(&seen.body), body, "{bytes:?}");
    }
}

#[test]
fn a_reply_to_head_has_no_body_whatever_it_declares() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";
    let seen = every_way(Reply::to(b"HEAD"), bytes).unwrap();
    assert_eq!((seen.head.content_length(), &seen.body[..]), (Some(10), &b""[..]));
    assert_eq!(every_way(Reply::to(b"GET"), bytes).unwrap_err(), ReplyError::Truncated("body"));
}

#[test]
fn replies_that_are_none_are_errors() {
    for (bytes, text) in [
        ("\r\n", "reply begins with an empty line, expected a status or a field"),
        ("HTTP/1.1 20 OK\r\n\r\n", "reply has the status \"20 OK\": must be three digits"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "reply has the status \"2000 OK\""),
        ("HTTP/1.1 099 OK\r\n\r\n", "reply has the status \"099 OK\""),
        ("HTTP/1.1 099\r\n\r\n", "reply has the status \"099\": expected three digits and a reason"),
        ("HTTP/1.1 +20 OK\r\n\r\n", "reply has the status \"+20 OK\""),
        ("HTTP/1.1  200 OK\r\n\r\n", "reply has the status \" 200 OK\""),
        ("HTTP/1.1 200\tOK\r\n\r\n", "reply has the status \"200\\tOK\""),
        ("HTTP/1.1 200 O\rK\r\n\r\n", "reply has the status \"200 O\\rK\""),
        ("HTTP/1.1 200 OK\r\r\n\r\n", "reply has the status \"200 OK\\r\""),
        ("HTTP/1.1 \r\n\r\n", "reply has the status \"\""),
        ("HTTP/1.1\r\n\r\n", "reply has the status line \"HTTP/1.1\": expected HTTP/1.1 and a status"),
        ("HTTP/x.1 200 OK\r\n\r\n", "reply has the status line"),
        ("Status: OK\r\n\r\n", "reply has the status \"OK\""),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "reply switches protocols"),
        ("Status: 101\r\n\r\n", "reply switches protocols"),
        ("hello\r\n\r\n", "reply has the line \"hello\": expected a field"),
        ("HTTP/1.1 200 OK\r\nhello\r\n\r\n", "reply has the line \"hello\": expected a field"),
        ("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "reply has the field \": b\": name must be"),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "reply has the field \"A : b\": name must be"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "reply has the line \" c\""),
        ("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "reply has the field \"A: b\\rc\": value must not contain control characters"),
        ("HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n", "value must not contain control characters"),
        ("HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", "value must not contain control characters"),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "must be a decimal number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", "is given more than once"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "expected a body without transfer coding"),
    ] {
        match every_way(reply(), bytes.as_bytes()) {
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
        assert_eq!(every_way(reply(), &whole[..cut]).unwrap_err(), ReplyError::Truncated(part), "{cut}");
    }
    let open = b"HTTP/1.1 200 OK\r\n\r\nbody";
    assert_eq!(every_way(reply(), &open[..open.len() - 2]).unwrap().body, b"bo");
}

#[test]
fn a_head_is_no_longer_than_the_limits() {
    let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\nbody";
    let with = |head_bytes, fields| every_way(reply().limits(Limits { head_bytes, fields, body_bytes: None }), bytes).map(|seen| seen.body);
    let head = bytes.len() - 4;
    assert_eq!(with(head, 2), Ok(b"body".to_vec()));
    assert_eq!(with(head - 1, 2), Err(ReplyError::HeadTooLarge { limit: head - 1 }));
    assert_eq!(with(head, 1), Err(ReplyError::Malformed("reply head has more than 1 fields".into())));
    let short = reply().limits(Limits { head_bytes: 10, ..Limits::default() });
    assert_eq!(every_way(short.clone(), &bytes[..10]).unwrap_err(), ReplyError::Truncated("head"));
    assert_eq!(every_way(short, &bytes[..11]).unwrap_err(), ReplyError::HeadTooLarge { limit: 10 });
    assert_eq!(every_way(reply(), &[b'x'; 70_000]).unwrap_err(), ReplyError::HeadTooLarge { limit: 65536 });
}

// --------------------------------------------------------------------------------------------------------------------------------------------

fn reply() -> Reply {
    Reply::to(b"GET")
}

#[derive(Clone, Debug)]
struct Seen {
    head: ResponseHead,
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
    let (mut input, mut head, mut body) = (BytesMut::new(), ResponseHead::default(), Vec::new());
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
