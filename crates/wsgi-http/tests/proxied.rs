//! HTTP behind the PROXY protocol: the header and the request are told apart wherever the network cuts them.

use wsgi_core::proxies::Proxied;
use wsgi_core::wire::{Address, Dialect, Error, Link, Protocol, feed};
use wsgi_http::Http1;

fn connect() -> Box<dyn Protocol> {
    let end = |text: &str| Address::Tcp(text.parse().unwrap());
    Proxied::new(Http1::new()).connect(&Link { local: end("10.0.0.2:8000"), remote: end("10.0.0.1:50000"), secure: false })
}

const REQUESTS: &[u8] = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn every_request_of_a_connection_is_the_clients() {
    let version_2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01\xc6\x33\x64\x02\x12\x67\0\x50";
    for (header, remote, port, server) in [
        (&b"PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n"[..], "192.0.2.1", "4711", "198.51.100.2"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 4711 80\r\n", "2001:db8::1", "4711", "[2001:db8::2]"),
        (version_2, "192.0.2.1", "4711", "198.51.100.2"),
        (b"PROXY UNKNOWN\r\n", "10.0.0.1", "50000", "10.0.0.2"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\x00\0\x03abc", "10.0.0.1", "50000", "10.0.0.2"),
    ] {
        let seen = feed::every_way(connect, &[header, REQUESTS].concat());
        assert_eq!(seen.end, feed::End::Closed, "{}", header.escape_ascii());
        let paths: Vec<_> = seen.requests.iter().map(|request| request.get("PATH_INFO").unwrap()).collect();
        assert_eq!(paths, [b"/a", b"/b"]);
        for request in &seen.requests {
            assert_eq!(request.get("REMOTE_ADDR"), Some(remote.as_bytes()));
            assert_eq!(request.get("REMOTE_PORT"), Some(port.as_bytes()));
            assert_eq!(request.get("SERVER_NAME"), Some(server.as_bytes()));
        }
    }
}

#[test]
fn a_connection_without_a_header_is_none() {
    for bytes in [REQUESTS, b"PROXY TCP4 a b c d\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"] {
        let seen = feed::every_way(connect, bytes);
        assert!(seen.requests.is_empty());
        assert!(matches!(seen.end, feed::End::Refused(Error::Malformed(_))), "{seen:?}");
    }
    assert_eq!(feed::every_way(connect, b"").end, feed::End::Closed);
    assert_eq!(feed::every_way(connect, b"PROXY TCP4 192").end, feed::End::Refused(Error::Truncated("header of the PROXY protocol")));
    // A header may come twice only in the eyes of an attacker.
    let twice = feed::every_way(connect, b"PROXY UNKNOWN\r\nPROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n");
    assert!(twice.requests.is_empty() && matches!(twice.end, feed::End::Refused(_)), "{twice:?}");
}

#[test]
fn the_peer_of_a_connection_without_a_header_hears_nothing_and_a_shutdown_reaches_the_codec_that_comes_later() {
    use bytes::BytesMut;
    use wsgi_core::wire::{Event, HttpDate, Next, RequestHead, ResponseHead};

    let (mut head, mut out, date) = (RequestHead::default(), Vec::new(), HttpDate::from_unix(0));
    let mut connection = connect();
    let error = connection.poll(&mut BytesMut::from(REQUESTS), &mut head, &mut out).unwrap_err();
    assert!(error.to_string().starts_with("connection begins with \"PO\", expected the header"), "{error}");
    connection.refuse(&error, &date, &mut out);
    connection.seal(&mut out);
    assert!(out.is_empty() && !connection.idle());

    let mut connection = connect();
    assert!(connection.idle());
    connection.close_after_reply();
    let mut input = BytesMut::from(&b"PROXY UNKNOWN\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"[..]);
    assert_eq!(connection.poll(&mut input, &mut head, &mut out), Ok(Event::Head));
    assert_eq!(connection.poll(&mut input, &mut head, &mut out), Ok(Event::EndOfBody));
    connection.start(&ResponseHead::plain(http::StatusCode::OK, 0), &date, &mut out);
    assert!(matches!(connection.finish(&mut out), Next::Close(_)));
    assert!(String::from_utf8(out).unwrap().to_lowercase().contains("connection: close"));
}
