//! HTTP/1 on the wire: order, keep-alive, and requests that break the protocol.

use wsgi_core::wire::Limits;
use wsgi_tests::client::latin1;
use wsgi_tests::column::{End, Feature, Http};
use wsgi_tests::matrix::{Matrix, matrix};

fn http1(fixture: &'static str) -> Matrix {
    matrix(fixture).needs(Feature::Http1)
}

// clauses: 3
#[test]
fn pipelined_requests_are_answered_in_order() {
    http1("hello").run(|site| {
        let mut client = site.wire();
        let requests: String = (1..=20).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
        client.raw(requests.as_bytes()).unwrap();
        for _ in 1..=20 {
            let seen = client.reply();
            assert_eq!((seen.text().as_str(), seen.reusable), ("Hello, world!\n", true));
        }
        let paths: Vec<String> = (1..=20).map(|n| format!("/{n}")).collect();
        assert_eq!(site.notes::<String>("called"), paths);
    });
}

// clauses: 73
#[test]
fn a_request_that_comes_byte_by_byte_is_one_request() {
    http1("input_steps").run(|site| {
        let mut client = site.wire();
        let request = "POST /?read=100 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n4;ext=1\r\n two\r\n0\r\nX-Trailer: a\r\n\r\n";
        for byte in request.as_bytes() {
            client.raw(&[*byte]).unwrap();
        }
        assert_eq!(client.reply().text(), "read");
        assert_eq!(site.noted::<Vec<Vec<u8>>>("pieces"), [b"one two"]);
    });
}

// clauses: 68, 73
#[test]
fn the_client_may_end_or_keep_the_connection() {
    http1("hello").run(|site| {
        for (request, keeps) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false),
            ("GET / HTTP/1.0\r\n\r\n", false),
            ("GET / HTTP/1.0\r\nConnection: close\r\n\r\n", false),
        ] {
            let mut client = site.wire();
            client.raw(request.as_bytes()).unwrap();
            let seen = client.reply();
            assert_eq!((seen.text().as_str(), seen.reusable), ("Hello, world!\n", keeps), "{request:?}");
            if !keeps {
                assert_eq!(client.rest(), (Vec::new(), Ok(())), "{request:?} does not end the connection");
            }
        }
        let mut client = site.wire();
        for _ in 0..2 {
            // A server may keep a connection of HTTP/1.0 open if it says so.
            client.raw(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").unwrap();
            let seen = client.reply();
            assert_eq!(seen.code(), 200);
            if !seen.reusable {
                break;
            }
        }
    });
}

// clauses: 15, D5, D6, D7
#[test]
fn an_absolute_target_names_the_host_and_a_star_the_server() {
    http1("environ").run(|site| {
        let mut client = site.wire();
        client.raw(b"GET http://other.test:81/a%20b?c HTTP/1.1\r\nHost: a\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!((client.reply().code(), client.reply().code()), (200, 200));
        let environs: Vec<std::collections::HashMap<String, String>> = site.notes("text");
        let absolute = &environs[0];
        assert_eq!(
            (absolute["HTTP_HOST"].as_str(), absolute["PATH_INFO"].as_str(), absolute["QUERY_STRING"].as_str()),
            ("other.test:81", "/a b", "c")
        );
        assert_eq!((environs[1]["REQUEST_METHOD"].as_str(), environs[1]["REQUEST_URI"].as_str()), ("OPTIONS", "*"));
    });
}

/// A body that fits what the head says, so that a server that took the request would answer it.
const CHUNKED: &str = "4\r\nbody\r\n0\r\n\r\n";

// clauses: 73, D7, D11
#[test]
fn a_request_that_breaks_the_protocol_is_refused_closed_and_never_seen_by_the_application() {
    let refused: &[(u16, &str, String)] = &[
        (400, "no host", "GET / HTTP/1.1\r\n\r\n".into()),
        (400, "two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".into()),
        (400, "two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody".into()),
        (400, "a length twice", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody".into()),
        (400, "a list of lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4, 4\r\n\r\nbody".into()),
        (400, "a signed length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nbody".into()),
        (400, "a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -4\r\n\r\nbody".into()),
        (400, "a hexadecimal length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x4\r\n\r\nbody".into()),
        (
            400,
            "length and coding",
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED}"),
        ),
        (
            400,
            "two codings",
            format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED}"),
        ),
        (400, "chunked twice", format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n{CHUNKED}")),
        (400, "coding in 1.0", format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n{CHUNKED}")),
        (400, "space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A : b\r\n\r\n".into()),
        (400, "a folded line", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n".into()),
        (400, "a bare LF", "GET / HTTP/1.1\nHost: a\n\n".into()),
        (400, "a bare CR", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n".into()),
        (400, "NUL", "GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n".into()),
        (400, "no colon", "GET / HTTP/1.1\r\nHost: a\r\nX-A\r\n\r\n".into()),
        (400, "an empty name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n".into()),
        (400, "two spaces in the first line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (505, "no version, as in HTTP/0.9", "GET /\r\nHost: a\r\n\r\n".into()),
        (400, "a bad escape", "GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (400, "no path", "GET path HTTP/1.1\r\nHost: a\r\n\r\n".into()),
        (505, "a version to come", "GET / HTTP/2.0\r\nHost: a\r\n\r\n".into()),
        (501, "an unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".into()),
        (417, "an unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: magic\r\n\r\nbody".into()),
        (400, "TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".into()),
    ];
    http1("hello").needs(Feature::Strict).run(|site| {
        let mut bystander = site.wire();
        let mut wrong = Vec::new();
        for (code, what, request) in refused {
            let mut client = site.wire();
            // A second, good request behind it must not be taken up: where it begins is not known.
            client.raw(format!("{request}GET /behind HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).ok();
            let seen = client.reply();
            let got = seen.head.as_ref().map(|head| head.code);
            if got != Some(*code) || seen.reusable || seen.end != End::Clean {
                wrong.push(format!("{what}: {got:?}, expected {code}; reusable {}, {:?}", seen.reusable, seen.end));
            }
            let (rest, _) = client.rest();
            if !rest.is_empty() {
                wrong.push(format!("{what}: something follows: {:?}", latin1(&rest)));
            }
        }
        if site.count("called") != 0 {
            wrong.push(format!("the application was called: {:?}", site.notes::<String>("called")));
        }
        bystander.raw(b"GET /bystander HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(bystander.reply().text(), "Hello, world!\n");
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

// clauses: 73, D11
#[test]
fn a_broken_chunk_is_an_error_and_never_the_end_of_the_body() {
    http1("input_steps").run(|site| {
        for body in [
            "zz\r\nbody\r\n0\r\n\r\n",
            "4\r\nbodyXX0\r\n\r\n",
            "-4\r\nbody\r\n0\r\n\r\n",
            "4\nbody\n0\n\n",
            "fffffffffffffffff\r\n",
            "4 \r\nbody\r\n0\r\n\r\n",
        ] {
            if body.starts_with("4 ") && site.lacks(Feature::Strict) {
                continue;
            }
            let mut client = site.wire();
            client.raw(format!("POST /?read=100 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}").as_bytes()).unwrap();
            let seen = client.reply();
            assert!(seen.head.is_none() || seen.code() == 400 || seen.code() == 500, "{body:?}: {seen:?}");
            assert!(!seen.reusable, "{body:?}");
        }
        assert_eq!(site.count("pieces"), 0, "{:?}", site.notes::<Vec<Vec<u8>>>("pieces"));
    });
}

// clauses: D11
#[test]
fn what_is_too_large_is_refused_by_its_own_status() {
    let limits = Limits { head_bytes: 4096, fields: 20, body_bytes: Some(1000) };
    http1("hello").needs(Feature::Strict).http(Http { limits, ..Http::default() }).run(|site| {
        let fields: String = (0..30).map(|n| format!("X-{n}: a\r\n")).collect();
        for (code, what, request) in [
            (431, "a long field", format!("GET / HTTP/1.1\r\nHost: a\r\nX-A: {}\r\n\r\n", "b".repeat(5000))),
            (431, "many fields", format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")),
            (414, "a long target", format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "b".repeat(5000))),
            (413, "a long body", format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n{}", "b".repeat(1001))),
            (
                413,
                "a long chunked body",
                format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}\r\n0\r\n\r\n", "b".repeat(1001)),
            ),
        ] {
            let mut client = site.wire();
            client.raw(request.as_bytes()).ok();
            let seen = client.reply();
            assert_eq!(seen.head.as_ref().map(|head| head.code), Some(code), "{what}: {:?}", seen.end);
            assert!(!seen.reusable, "{what}");
        }
        assert_eq!(site.get("/").code(), 200);
        assert_eq!(site.count("called"), 1);
    });
}

// clauses: 76
#[test]
fn a_block_goes_out_as_one_chunk() {
    http1("gated_blocks").run(|site| {
        site.open_gate("second");
        site.open_gate("third");
        let mut client = site.wire();
        client.raw(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").unwrap();
        assert_eq!(client.reply().blocks, [&b"first"[..], b"second", b"third"]);
    });
}
