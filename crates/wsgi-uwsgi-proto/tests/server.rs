//! The server's codecs of both protocols: every request in every way in which it could arrive, and every form of reply.

use bytes::BytesMut;
use wsgi_core::wire::feed::{self, End, Transcript};
use wsgi_core::wire::{
    Address, BodyLength, CloseReason, Dialect, Error, Event, HttpDate, Known, Limits, Link, Next, PathRule, Paths, Protocol, RequestHead,
    ResponseHead,
};
use wsgi_uwsgi_proto::{Scgi, Uwsgi, client};

// The request --------------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_request_of_nginx_is_understood() {
    let mut expected: Vec<_> = NGINX
        .iter()
        .copied()
        .filter(|(name, _)| !matches!(*name, "CONTENT_LENGTH" | "SERVER_NAME" | "HTTP_CONTENT_LENGTH" | "HTTP_PROXY" | "UWSGI_FILE"))
        .chain([("SCRIPT_NAME", ""), ("RAW_URI", "/caf%C3%A9?q=1"), ("SERVER_NAME", "localhost")])
        .collect();
    feed::check(uwsgi, &packet(NGINX, ""), &Transcript::new(ANSWERED).request(&expected, ""));
    expected.extend([("SCGI", "1"), ("CONTENT_LENGTH", "0")]);
    let given: Vec<_> = NGINX.iter().map(|&(name, value)| if name == "CONTENT_LENGTH" { (name, "0") } else { (name, value) }).collect();
    feed::check(scgi, &netstring(&given, ""), &Transcript::new(ANSWERED).request(&expected, ""));
}

#[test]
fn values_are_any_bytes_and_the_last_of_a_name_counts() {
    let variables: [(&[u8], &[u8]); 6] = [
        (b"REQUEST_METHOD", b"POST"),
        (b"REQUEST_METHOD", b"GET"),
        (b"PATH_INFO", b"/\xff\0\r\n"),
        (b"X_EMPTY", b"not for long"),
        (b"\xe9", b"\xff"),
        (b"X_EMPTY", b""),
    ];
    let mut bytes = Vec::new();
    client::encode(client::WSGI, variables, &mut bytes).unwrap();
    let seen = feed::every_way(uwsgi, &bytes);
    let request = &seen.requests[0];
    assert_eq!(request.get("REQUEST_METHOD"), Some(&b"GET"[..]));
    assert_eq!(request.get("PATH_INFO"), Some(&b"/\xff\0\r\n"[..]));
    assert_eq!(request.get("X_EMPTY"), Some(&b""[..]));
    assert!(request.variables.contains(&(vec![0xe9], vec![0xff])));
    assert_eq!(seen.end, ANSWERED);
}

#[test]
fn a_body_is_as_long_as_it_says_and_what_follows_is_left() {
    for (make, bytes) in BOTH {
        let given = [&GET[..], &[("CONTENT_LENGTH", "5")]].concat();
        for (sent, body) in [("12345", "12345"), ("12345 and more", "12345")] {
            let seen = feed::every_way(make, &bytes(&given, sent)).without(&["SCGI"]);
            assert_eq!(
                seen,
                Transcript::new(ANSWERED).request(&[&given[..], &[("REMOTE_ADDR", ""), ("SERVER_NAME", "localhost")]].concat(), body)
            );
        }
        let seen = feed::every_way(make, &bytes(&given, "1234"));
        assert_eq!(seen.end, End::Refused(Error::Truncated("body")));
        assert_eq!((&seen.requests[0].body[..], seen.requests[0].complete), (&b"1234"[..], false));
        assert_eq!(seen.requests[0].length, BodyLength::Known(5));
    }
}

#[test]
fn modifier_30_takes_the_prefix_off_the_path() {
    for (script, path, expected) in [
        ("/app", "/app/x", ("/app", "/x")),
        ("/app", "/app", ("/app", "")),
        ("/app/", "/app/x", ("/app", "/x")),
        ("/app", "/apple", ("/app", "/apple")),
        ("/app", "/x", ("/app", "/x")),
        ("/", "/x", ("", "/x")),
        ("", "/x", ("", "/x")),
    ] {
        let given = [("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", script), ("PATH_INFO", path), ("REQUEST_URI", path)];
        let seen = feed::every_way(uwsgi, &packet_of(client::MANAGE_PATH_INFO, &given, ""));
        let of = |name| std::str::from_utf8(seen.requests[0].get(name).unwrap()).unwrap();
        assert_eq!((of("SCRIPT_NAME"), of("PATH_INFO")), expected, "{script} {path}");
    }
    // Where there is no prefix to take off, the path is split as any other.
    let mounted = Uwsgi::new().paths(Paths::default().mount("/a"));
    for script in ["", "/"] {
        let given = [("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", script), ("PATH_INFO", "/a/b")];
        let seen = feed::every_way(|| mounted.connect(&link()), &packet_of(client::MANAGE_PATH_INFO, &given, ""));
        assert_eq!((seen.requests[0].get("SCRIPT_NAME"), seen.requests[0].get("PATH_INFO")), (Some(&b"/a"[..]), Some(&b"/b"[..])));
    }
}

#[test]
fn prefix_and_path_are_found_by_the_rule_that_is_set() {
    let auto = Paths::default();
    let mounted = Paths::default().mount("/a");
    let whole = Paths::new(PathRule::Whole);
    for (paths, sent, expected) in [
        // nginx, uwsgi_params and scgi_params
        (&auto, &[("PATH_INFO", "/a/b"), ("REQUEST_URI", "/a%2Fb")][..], ("", "/a/b")),
        (&auto, &[("DOCUMENT_URI", "/a/b"), ("REQUEST_URI", "/a%2Fb")], ("", "/a/b")),
        (&mounted, &[("DOCUMENT_URI", "/a/b"), ("REQUEST_URI", "/a%2Fb")], ("/a", "/b")),
        (&auto, &[("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b")], ("/a", "/b")),
        // Apache: mod_proxy_scgi, and mod_proxy_uwsgi at a prefix
        (&auto, &[("SCRIPT_NAME", "/a/b"), ("REQUEST_URI", "/a/b?q")], ("", "/a/b")),
        (&auto, &[("SCRIPT_NAME", "/a/"), ("PATH_INFO", "/"), ("REQUEST_URI", "/a/")], ("/a", "/")),
        // lighttpd without fix-root-scriptname
        (&whole, &[("SCRIPT_NAME", "/a"), ("PATH_INFO", "/b")], ("", "/a/b")),
    ] {
        let given = [&[("REQUEST_METHOD", "GET")], sent].concat();
        let (uwsgi, scgi) = (Uwsgi::new().paths(paths.clone()), Scgi::new().paths(paths.clone()));
        for seen in [
            feed::every_way(|| uwsgi.connect(&link()), &packet(&given, "")),
            feed::every_way(|| scgi.connect(&link()), &netstring(&given, "")),
        ] {
            let of = |name| std::str::from_utf8(seen.requests[0].get(name).unwrap()).unwrap();
            assert_eq!((of("SCRIPT_NAME"), of("PATH_INFO")), expected, "{sent:?}");
        }
    }
}

#[test]
fn other_packets_are_refused_by_name() {
    for modifier1 in (0..=255).filter(|modifier1| !matches!(modifier1, 0 | 30 | 100)) {
        let seen = feed::every_way(uwsgi, &packet_of(modifier1, &GET, ""));
        let error = refusal(&seen).to_string();
        assert!(error.contains(&format!("modifier1 {modifier1} (")), "{modifier1}: {error}");
    }
    for (modifier1, text) in [
        (22, "uwsgi modifier1 22 (evaluation of code; expected 0 or 30) is not implemented"),
        (173, "uwsgi modifier1 173 (RPC; expected 0 or 30) is not implemented"),
        (201, "uwsgi modifier1 201 (unknown; expected 0 or 30) is not implemented"),
    ] {
        let seen = feed::every_way(uwsgi, &packet_of(modifier1, &GET, ""));
        assert_eq!((refusal(&seen).to_string(), refusal(&seen).status().as_u16()), (text.to_owned(), 501));
    }
    let mut bytes = packet_of(30, &GET, "");
    bytes[3] = 1;
    let seen = feed::every_way(uwsgi, &bytes);
    assert_eq!(refusal(&seen).to_string(), "uwsgi modifier2 1 with modifier1 30 (expected modifier2 0) is not implemented");
}

#[test]
fn a_ping_is_answered_and_ends_the_connection() {
    assert_eq!(feed::every_way(uwsgi, &client::PING), Transcript::new(End::Closed));
    let (mut codec, mut out) = (uwsgi(), Vec::new());
    let mut input = BytesMut::from(&client::PING[..]);
    assert_eq!(codec.poll(&mut input, &mut RequestHead::default(), &mut out), Ok(Event::Closed));
    assert_eq!(out, client::PONG);
    assert!(input.is_empty());
    for bytes in [b"\x64\0\0\x01", b"\x64\x01\0\0"] {
        assert_eq!(refusal(&feed::every_way(uwsgi, bytes)).status(), 400);
    }
}

#[test]
fn packets_that_are_not_sound_are_refused() {
    for (bytes, text) in [
        (packet(&[], ""), "variables have no REQUEST_METHOD"),
        (packet(&[("SERVER_PROTOCOL", "HTTP/1.1")], ""), "variables have no REQUEST_METHOD"),
        (packet(&[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/%")], ""), "REQUEST_URI has a '%' without two hexadecimal digits"),
        (packet(&[&GET[..], &[("CONTENT_LENGTH", "x")]].concat(), ""), "CONTENT_LENGTH is \"x\", expected a decimal number"),
        (b"\0\x05\0\0\x01\0A\x01\0".to_vec(), "ends 0 bytes into the value at byte 3, expected 1 bytes"),
        (b"\0\x06\0\0\x01\0A\0\0\0".to_vec(), "ends inside the length of a name at byte 5"),
        (b"\0\x04\0\0\0\0\0\0".to_vec(), "empty name at byte 0"),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "got an HTTP request; a browser needs a port for HTTP, and nginx has uwsgi_pass for this one"),
        (b"\x16\x03\x01\x02\0\x01\0\x01".to_vec(), "this port speaks uwsgi, got a TLS handshake"),
        (b"\x01\x01\0\x01\0\x08\0\0".to_vec(), "got a FastCGI record; nginx needs uwsgi_pass in place of fastcgi_pass"),
        (netstring(&GET, ""), "got an SCGI request; nginx needs uwsgi_pass in place of scgi_pass"),
    ] {
        let seen = feed::every_way(uwsgi, &bytes);
        assert!(refusal(&seen).to_string().contains(text), "{}: {}", bytes.escape_ascii(), refusal(&seen));
        assert_eq!(refusal(&seen).status(), 400);
    }
}

#[test]
fn netstrings_that_are_not_sound_are_refused() {
    for (bytes, text) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "got an HTTP request; a browser needs a port for HTTP, and nginx has scgi_pass for this one"),
        (&packet(&GET, ""), "this port speaks SCGI, got a uwsgi packet"),
        (b"\x01\x01\0\x01\0\x08\0\0", "got a FastCGI record"),
        (b":::::", "netstring has byte 0x3a in its length, expected digits and ':'"),
        (b"012:CONTENT", "netstring has byte 0x31 in its length"),
        (b"1 2:", "netstring has byte 0x20 in its length"),
        (b"0:,,", "does not end with NUL"),
        (b"1:x,", "does not end with NUL"),
        (b"1:\0,", "\"\" has no value"),
        (b"24:CONTENT_LENGTH\x000\0SCGI\x001\0.", "ends with byte 0x2e, expected ','"),
        (b"17:CONTENT_LENGTH\x000\0,", "no variable SCGI with the value 1"),
        (b"24:CONTENT_LENGTH\x000\0SCGI\x002\0,", "no variable SCGI with the value 1"),
        (b"24:SCGI\x001\0CONTENT_LENGTH\x000\0,", "does not begin with CONTENT_LENGTH and a number"),
        (b"23:CONTENT_LENGTH\0\0SCGI\x001\0,", "does not begin with CONTENT_LENGTH and a number"),
        (b"24:CONTENT_LENGTH\0a\0SCGI\x001\0,", "variables have no REQUEST_METHOD"),
        (b"27:CONTENT_LENGTH\x000\0SCGI\x001\0\0x\0,", "empty name"),
        (b"26:CONTENT_LENGTH\x000\0SCGI\x001\0X\0,", "\"X\" has no value"),
        (&netstring(&[&GET[..], &[("CONTENT_LENGTH", "a")]].concat(), ""), "CONTENT_LENGTH is \"a\""),
    ] {
        let seen = feed::every_way(scgi, bytes);
        assert!(refusal(&seen).to_string().contains(text), "{}: {}", bytes.escape_ascii(), refusal(&seen));
        assert_eq!(refusal(&seen).status(), 400);
    }
}

#[test]
fn a_request_that_is_cut_short_anywhere_is_truncated_and_never_whole() {
    let given = [&GET[..], &[("CONTENT_LENGTH", "3"), ("HTTP_X", "")]].concat();
    for (make, bytes) in BOTH {
        let (head, whole) = (bytes(&given, "").len(), bytes(&given, "abc"));
        for cut in 0..whole.len() {
            let seen = feed::every_way(make, &whole[..cut]);
            match cut {
                0 => assert_eq!(seen, Transcript::new(End::Closed)),
                _ if cut < head => assert_eq!(seen, Transcript::new(End::Refused(Error::Truncated("head")))),
                _ => {
                    assert_eq!(seen.end, End::Refused(Error::Truncated("body")));
                    assert_eq!((seen.requests[0].body.len(), seen.requests[0].complete), (cut - head, false));
                }
            }
        }
        assert_eq!(feed::every_way(make, &whole).end, ANSWERED);
    }
}

#[test]
fn no_length_in_a_packet_can_lie() {
    let given = [&GET[..], &[("CONTENT_LENGTH", "3")]].concat();
    let whole = packet(&given, "abc");
    let truth = &feed::every_way(uwsgi, &whole).requests[0];
    // Where each length stands, and whose it is: the size of the packet, then those of names and values.
    let mut places = vec![(1, "")];
    let mut at = 4;
    for (name, value) in &given {
        places.push((at, *name));
        at += 2 + name.len();
        places.push((at, name));
        at += 2 + value.len();
    }
    for (place, owner) in places {
        let told = u16::from_le_bytes([whole[place], whole[place + 1]]);
        let near = told.saturating_sub(40)..told.saturating_add(40);
        for lie in near.chain([0, 0xff, 0x100, 0x7fff, 0x8000, 0xfffe, 0xffff]).filter(|&lie| lie != told) {
            let mut bytes = whole.clone();
            bytes[place..place + 2].copy_from_slice(&lie.to_le_bytes());
            let seen = feed::every_way(uwsgi, &bytes);
            match seen.requests.first() {
                None => assert!(matches!(seen.end, End::Refused(Error::Malformed(_) | Error::Truncated("head"))), "{seen:#?}"),
                // A packet that ends between two variables is sound, without those behind it; so is a name or a value that swallows what
                // comes next up to where an entry could go on. Either way nothing else is changed.
                Some(request) => {
                    let shown = || format!("{lie} for {told} at {place}: {}", bytes.escape_ascii());
                    assert!(place == 1 && lie < told || !owner.is_empty() && lie > told, "{}", shown());
                    let changed: Vec<_> = request.variables.iter().filter(|variable| !truth.variables.contains(variable)).collect();
                    let lost = |name: &[u8], value: &[u8]| name == b"PATH_INFO" && value.is_empty();
                    assert!(changed.iter().all(|(name, value)| name.starts_with(owner.as_bytes()) || lost(name, value)), "{}", shown());
                }
            }
        }
    }
}

#[test]
fn the_length_of_a_netstring_cannot_lie() {
    let whole = netstring(&[&GET[..], &[("CONTENT_LENGTH", "3")]].concat(), "abc");
    let (digits, rest) = whole.split_at(whole.iter().position(|&byte| byte == b':').unwrap());
    let told: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
    for lie in (0..told + 40).chain([65535, 65536, 65537, 1 << 40, usize::MAX]).filter(|&lie| lie != told) {
        let seen = feed::every_way(scgi, &[lie.to_string().as_bytes(), rest].concat());
        assert!(seen.requests.is_empty());
        assert!(matches!(seen.end, End::Refused(Error::Malformed(_) | Error::Truncated("head") | Error::HeadTooLarge { .. })), "{seen:#?}");
    }
    let unbounded = Scgi::new().limits(Limits { head_bytes: usize::MAX, ..Limits::default() });
    let seen = feed::every_way(|| unbounded.connect(&link()), b"99999999999999999999999999999999999999:x");
    assert_eq!(refusal(&seen), &Error::Truncated("head"));
}

#[test]
fn limits_hold_exactly() {
    let given = [&GET[..], &[("CONTENT_LENGTH", "10")]].concat();
    let bytes = [packet(&given, "0123456789"), netstring(&given, "0123456789")];
    let head_bytes = [packet(&given, "").len() - "....".len(), netstring(&given, "").len() - "99:,".len()];
    assert!(bytes[1].starts_with(format!("{}:", head_bytes[1]).as_bytes()));
    let fields = [given.len(), given.len() + 1];
    for (change, fits) in [(-1, false), (0, true), (1, true)] {
        let moved = |number: usize| number.checked_add_signed(change).unwrap();
        for which in [0, 1] {
            for (limits, status) in [
                (Limits { head_bytes: moved(head_bytes[which]), ..Limits::default() }, 431),
                (Limits { fields: moved(fields[which]), ..Limits::default() }, 431),
                (Limits { body_bytes: Some(moved(10) as u64), ..Limits::default() }, 413),
            ] {
                let (uwsgi, scgi) = (Uwsgi::new().limits(limits.clone()), Scgi::new().limits(limits));
                let make = || if which == 0 { uwsgi.connect(&link()) } else { scgi.connect(&link()) };
                let seen = feed::every_way(make, &bytes[which]);
                if fits { assert_eq!(seen.end, ANSWERED, "{seen:#?}") } else { assert_eq!(refusal(&seen).status(), status) }
            }
        }
    }
}

#[test]
fn a_packet_can_be_as_large_as_its_size_can_say() {
    let value = "v".repeat(65535 - (packet(&GET, "").len() - 4) - (2 + "HTTP_X".len() + 2));
    let bytes = packet(&[&GET[..], &[("HTTP_X", &value)]].concat(), "");
    assert_eq!(bytes[..4], [0, 0xff, 0xff, 0]);
    let seen = feed::every_way(uwsgi, &bytes);
    assert_eq!(seen.requests[0].get("HTTP_X").map(<[u8]>::len), Some(value.len()));
    assert_eq!(seen.end, ANSWERED);
}

#[test]
fn nothing_is_left_of_what_the_head_held_before() {
    let (mut head, mut out) = (RequestHead::default(), Vec::new());
    for (make, bytes) in BOTH {
        head.set(Known::PathInfo, b"/before");
        head.set(Known::HttpCookie, b"before");
        let mut input = BytesMut::from(&bytes(&GET, "")[..]);
        assert_eq!(make().poll(&mut input, &mut head, &mut out), Ok(Event::Head));
        assert_eq!((head.get(Known::PathInfo), head.get(Known::HttpCookie)), (Some(&b"/"[..]), None));
    }
    assert_eq!((Uwsgi::new().name(), Scgi::new().name()), ("uwsgi", "scgi"));
    assert!(Uwsgi::new().trusts_peer() && Scgi::new().trusts_peer());
}

// The reply ----------------------------------------------------------------------------------------------------------------------------------

#[test]
fn a_reply_is_a_status_the_fields_and_the_body_as_it_is() {
    use CloseReason::{EndOfReply, Reset};
    for (method, status, length, blocks, expected, end) in [
        ("GET", "200 OK", Some(5), &["ab", "", "cde"][..], "200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nabcde", EndOfReply),
        ("GET", "404 Not Found", None, &["ab", "cde"], "404 Not Found\r\nX-A: 1\r\n\r\nabcde", EndOfReply),
        ("GET", "200 OK", None, &[], "200 OK\r\nX-A: 1\r\n\r\n", EndOfReply),
        ("GET", "200 OK", Some(0), &[], "200 OK\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n", EndOfReply),
        ("HEAD", "200 OK", Some(5), &["abcde"], "200 OK\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n", EndOfReply),
        ("HEAD", "200 OK", None, &["abcde"], "200 OK\r\nX-A: 1\r\n\r\n", EndOfReply),
        ("GET", "204 No Content", Some(5), &["abcde"], "204 No Content\r\nX-A: 1\r\n\r\n", EndOfReply),
        ("GET", "304 Not Modified", Some(5), &["abcde"], "304 Not Modified\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n", EndOfReply),
        // More than was declared is not sent, less is no clean end.
        ("GET", "200 OK", Some(3), &["ab", "cde", "f"], "200 OK\r\nX-A: 1\r\nContent-Length: 3\r\n\r\nabc", EndOfReply),
        ("GET", "200 OK", Some(6), &["abcde"], "200 OK\r\nX-A: 1\r\nContent-Length: 6\r\n\r\nabcde", Reset),
    ] {
        for ((make, bytes), form) in BOTH.into_iter().zip(["HTTP/1.1 ", "Status: "]) {
            let mut codec = asked(make(), &bytes(&[("REQUEST_METHOD", method), ("PATH_INFO", "/")], ""));
            let mut out = Vec::new();
            codec.expect_body(&mut out);
            codec.inform(&ResponseHead::early_hints(), &mut out);
            codec.close_after_reply();
            codec.start(&head(status, length), &date(), &mut out);
            assert_eq!(codec.bodiless(), method == "HEAD" || status.starts_with("204") || status.starts_with("304"));
            for block in blocks {
                codec.data(block.as_bytes(), &mut out);
            }
            assert_eq!(codec.finish(&mut out), Next::Close(end));
            assert_eq!(String::from_utf8(out).unwrap(), format!("{form}{expected}"));
            assert_eq!(codec.poll(&mut BytesMut::from("x"), &mut RequestHead::default(), &mut Vec::new()), Ok(Event::Closed));
        }
    }
}

#[test]
fn large_blocks_may_go_past_the_codec_if_they_are_within_the_length() {
    let mut out = Vec::new();
    let mut codec = asked(uwsgi(), &packet(&GET, ""));
    assert!(!codec.raw(1, &mut out), "before the head");
    codec.start(&head("200 OK", Some(10)), &date(), &mut out);
    out.clear();
    assert!(codec.raw(4, &mut out));
    codec.raw_end(&mut out);
    assert!(!codec.raw(7, &mut out));
    codec.data(b"01", &mut out);
    assert!(codec.raw(4, &mut out));
    codec.raw_end(&mut out);
    assert_eq!(out, b"01");
    assert_eq!(codec.finish(&mut out), Next::Close(CloseReason::EndOfReply));

    let mut codec = asked(uwsgi(), &packet(&GET, ""));
    codec.start(&head("200 OK", None), &date(), &mut out);
    assert!(codec.raw(u64::MAX, &mut out));
    let mut codec = asked(uwsgi(), &packet(&[("REQUEST_METHOD", "HEAD"), ("PATH_INFO", "/")], ""));
    codec.start(&head("200 OK", Some(10)), &date(), &mut out);
    assert!(!codec.raw(10, &mut out));
}

#[test]
fn a_reply_that_breaks_off_is_reset_and_one_before_the_body_was_read_lingers() {
    for length in [None, Some(10)] {
        let (mut codec, mut out) = (asked(uwsgi(), &packet(&GET, "")), Vec::new());
        codec.start(&head("200 OK", length), &date(), &mut out);
        codec.data(b"half", &mut out);
        assert_eq!(codec.abort(&mut out), Next::Close(CloseReason::Reset));
    }
    let unread = packet(&[&GET[..], &[("CONTENT_LENGTH", "3")]].concat(), "ab");
    let (mut codec, mut out) = (asked(uwsgi(), &unread), Vec::new());
    codec.start(&head("200 OK", Some(0)), &date(), &mut out);
    assert_eq!(codec.finish(&mut out), Next::Close(CloseReason::UnreadBody));
    let mut codec = asked(uwsgi(), &packet(&GET, ""));
    assert_eq!(codec.finish(&mut out), Next::Close(CloseReason::Aborted), "without a reply");
}

#[test]
fn a_refusal_is_a_whole_reply_in_the_form_that_the_peer_reads() {
    for (make, bytes, expected) in [
        (uwsgi as Make, &b"\x16\0\0\0"[..], "HTTP/1.1 501 Not Implemented\r\n"),
        (uwsgi, b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"),
        (scgi, b"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"),
        (scgi, b"24:CONTENT_LENGTH\x000\0SCGI\x001\0,", "Status: 400 Bad Request\r\n"),
    ] {
        let (mut codec, mut out, mut head) = (make(), Vec::new(), RequestHead::default());
        let error = codec.poll(&mut BytesMut::from(bytes), &mut head, &mut out).unwrap_err();
        codec.refuse(&error, &date(), &mut out);
        let body = format!("{error}\n");
        let fields = format!("Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n", body.len());
        assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}{fields}X-Content-Type-Options: nosniff\r\n\r\n{body}"));
        assert!(!codec.idle());
    }
    // Nothing may follow what was begun, nor the head of a reply to HEAD.
    let error = Error::Timeout { what: "body", seconds: 1 };
    let (mut codec, mut out) = (asked(uwsgi(), &packet(&GET, "")), Vec::new());
    codec.start(&head("200 OK", None), &date(), &mut out);
    out.clear();
    codec.refuse(&error, &date(), &mut out);
    assert!(out.is_empty());
    let mut codec = asked(uwsgi(), &packet(&[("REQUEST_METHOD", "HEAD"), ("PATH_INFO", "/")], ""));
    codec.refuse(&error, &date(), &mut out);
    assert!(out.starts_with(b"HTTP/1.1 408 ") && out.ends_with(b"\r\n\r\n"));
}

// --------------------------------------------------------------------------------------------------------------------------------------------

type Variables<'a> = &'a [(&'a str, &'a str)];
type Make = fn() -> Box<dyn Protocol>;
type Pack = fn(Variables, &str) -> Vec<u8>;

/// Both protocols: a codec, and the bytes of a request.
const BOTH: [(Make, Pack); 2] = [(uwsgi, packet), (scgi, netstring)];

/// How a request that was read to its end ends when it is answered.
const ANSWERED: End = End::Close(CloseReason::EndOfReply);

const GET: [(&str, &str); 4] = [("REQUEST_METHOD", "GET"), ("PATH_INFO", "/"), ("SCRIPT_NAME", ""), ("SERVER_PROTOCOL", "HTTP/1.1")];

/// What nginx 1.22 sends for a browser with Debian's `uwsgi_params`, and three variables that must not come through.
const NGINX: Variables<'static> = &[
    ("QUERY_STRING", "q=1"),
    ("REQUEST_METHOD", "GET"),
    ("CONTENT_TYPE", ""),
    ("CONTENT_LENGTH", ""),
    ("REQUEST_URI", "/caf%C3%A9?q=1"),
    ("PATH_INFO", "/caf\u{e9}"),
    ("DOCUMENT_ROOT", "/usr/share/nginx/html"),
    ("SERVER_PROTOCOL", "HTTP/1.1"),
    ("REQUEST_SCHEME", "http"),
    ("REMOTE_ADDR", "127.0.0.1"),
    ("REMOTE_PORT", "39654"),
    ("SERVER_PORT", "8080"),
    ("SERVER_NAME", ""),
    ("HTTP_HOST", "localhost"),
    ("HTTP_USER_AGENT", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("HTTP_ACCEPT", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("HTTP_ACCEPT_LANGUAGE", "en-US,en;q=0.5"),
    ("HTTP_ACCEPT_ENCODING", "gzip, deflate, br"),
    ("HTTP_CONNECTION", "keep-alive"),
    ("HTTP_COOKIE", "csrftoken=abcdefghijklmnopqrstuvwxyz; sessionid=0123456789"),
    ("HTTP_UPGRADE_INSECURE_REQUESTS", "1"),
    ("HTTP_CONTENT_LENGTH", ""),
    ("HTTP_PROXY", "http://evil.example"),
    ("UWSGI_FILE", "/tmp/evil.py"),
];

fn packet(variables: Variables, body: &str) -> Vec<u8> {
    packet_of(client::WSGI, variables, body)
}

fn packet_of(modifier1: u8, variables: Variables, body: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    client::encode(modifier1, variables.iter().copied(), &mut bytes).unwrap();
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// The same request by SCGI, with the variables that it must have.
fn netstring(variables: Variables, body: &str) -> Vec<u8> {
    let length = variables.iter().find(|(name, _)| *name == "CONTENT_LENGTH").map_or("0", |(_, value)| value);
    let mut text = format!("CONTENT_LENGTH\0{length}\0SCGI\x001\0");
    for (name, value) in variables.iter().filter(|(name, _)| *name != "CONTENT_LENGTH") {
        text.push_str(&format!("{name}\0{value}\0"));
    }
    format!("{}:{text},{body}", text.len()).into_bytes()
}

fn link() -> Link {
    Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false }
}

fn uwsgi() -> Box<dyn Protocol> {
    Uwsgi::new().connect(&link())
}

fn scgi() -> Box<dyn Protocol> {
    Scgi::new().connect(&link())
}

fn date() -> HttpDate {
    HttpDate::from_unix(0)
}

fn refusal(seen: &Transcript) -> &Error {
    match &seen.end {
        End::Refused(error) if seen.requests.is_empty() => error,
        _ => panic!("{seen:#?}"),
    }
}

fn head(status: &str, length: Option<u64>) -> ResponseHead {
    let mut head = ResponseHead::new(status.as_bytes()).unwrap();
    head.field(b"X-A", b"1").unwrap();
    if let Some(length) = length {
        head.set_content_length(length);
    }
    head
}

/// A codec that has read this request, as far as it goes.
fn asked(mut codec: Box<dyn Protocol>, request: &[u8]) -> Box<dyn Protocol> {
    let (mut input, mut head, mut out) = (BytesMut::from(request), RequestHead::default(), Vec::new());
    assert_eq!(codec.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    loop {
        match codec.poll(&mut input, &mut head, &mut out) {
            Ok(Event::Body(_)) => {}
            Ok(Event::EndOfBody | Event::NeedInput) => break,
            event => panic!("{event:?}"),
        }
    }
    assert!(out.is_empty() && !codec.idle());
    codec
}
