//! `wsgi.input`.

use wsgi_tests::column::{Body, Broken, End, Feature, Request, collect};
use wsgi_tests::fixture::sha256;
use wsgi_tests::matrix::{Site, matrix};

/// What the steps in the query give of this body, a list of pieces each.
fn steps(site: &Site, query: &str, body: &[u8]) -> Vec<Vec<Vec<u8>>> {
    let before = site.count("pieces");
    let seen = site.send(Request::post(&format!("/?{query}"), body));
    assert_eq!(seen.text(), "read");
    assert!(site.notes::<bool>("exact").iter().all(|exact| *exact), "something is not exactly bytes");
    site.notes("pieces").split_off(before)
}

/// One piece.
fn one(text: &str) -> Vec<Vec<u8>> {
    vec![text.as_bytes().to_vec()]
}

/// Several pieces.
fn all(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// A length that no server reads to its end before it calls the application.
const LONG: u64 = 1_000_000;

/// A line of so many bytes.
fn long_line(length: u64) -> Vec<u8> {
    let mut line = vec![b'x'; length as usize];
    line[length as usize - 1] = b'\n';
    line
}

// clauses: 11, 30, 38, 40, 42
#[test]
fn read_gives_up_to_the_size_and_then_nothing_again_and_again() {
    matrix("input_steps").run(|site| {
        let read = steps(site, "read=4&read=0&read=100&read=1&read=1&read=-1", b"0123456789");
        assert_eq!(read, [one("0123"), one(""), one("456789"), one(""), one(""), one("")]);
        assert_eq!(steps(site, "read=-1&read=-1", b"all"), [one("all"), one("")]);
    });
}

// clauses: 41, 42
#[test]
fn read_without_a_size_gives_the_rest() {
    matrix("input_read_all").run(|site| {
        assert_eq!(site.send(Request::post("/", "the whole\nbody")).text(), "the whole\nbody");
        assert_eq!(site.noted::<Vec<u8>>("again"), b"");
        assert_eq!(site.get("/").text(), "");
        let big = vec![b'x'; 1_000_000];
        assert_eq!(site.send(Request::post("/", big.clone())).body(), big);
    });
}

// clauses: 38, 42
#[test]
fn readline_keeps_the_line_end_and_gives_what_is_left_at_last() {
    matrix("input_steps").run(|site| {
        let lines = steps(site, "readline=&readline=&readline=&readline=&readline=", b"one\n\nthree\r\nlast");
        assert_eq!(lines, [one("one\n"), one("\n"), one("three\r\n"), one("last"), one("")]);
    });
}

// clauses: 43
#[test]
fn readline_stops_at_its_size() {
    matrix("input_steps").run(|site| {
        let lines = steps(site, "readline=3&readline=0&readline=3&readline=1&readline=-1&readline=99&readline=2", b"abcd\nefgh\nij");
        assert_eq!(lines, [one("abc"), one(""), one("d\n"), one("e"), one("fgh\n"), one("ij"), one("")]);
    });
}

// clauses: 38, 44
#[test]
fn readlines_gives_lines_with_or_without_a_hint() {
    matrix("input_steps").run(|site| {
        assert_eq!(steps(site, "readlines=&readlines=", b"a\nb\nc"), [all(&["a\n", "b\n", "c"]), vec![]]);
        // The hint may be ignored, but no line may be lost or cut.
        let hinted = steps(site, "readlines=3&readlines=", b"aa\nbb\ncc\ndd");
        assert_eq!(hinted.concat(), all(&["aa\n", "bb\n", "cc\n", "dd"]));
        assert!(!hinted[0].is_empty());
    });
}

// clauses: 38
#[test]
fn iteration_gives_every_line() {
    matrix("input_steps").run(|site| {
        assert_eq!(steps(site, "iterate=&iterate=", b"one\n\ntwo\nend"), [all(&["one\n", "\n", "two\n", "end"]), vec![]]);
        assert_eq!(steps(site, "iterate=", b"\n\n"), [all(&["\n", "\n"])]);
    });
}

// clauses: 38
#[test]
fn the_ways_to_read_can_be_mixed() {
    matrix("input_steps").run(|site| {
        let mixed = steps(site, "readline=&read=2&next=&readline=2&readlines=&read=5", b"line one\nline two\nline three\nfour\n");
        assert_eq!(mixed, [one("line one\n"), one("li"), one("ne two\n"), one("li"), all(&["ne three\n", "four\n"]), one("")]);
    });
}

// clauses: 38, 43
#[test]
fn a_line_of_a_megabyte_comes_whole_or_in_the_sizes_asked_for() {
    matrix("input_steps").run(|site| {
        let mut body = vec![b'x'; 1 << 20];
        body.extend_from_slice(b"\nend");
        let lines = steps(site, "readline=&readline=", &body);
        assert_eq!((lines[0][0].len(), lines[1].clone()), ((1 << 20) + 1, one("end")));
        let pieces = steps(site, "readline=1000000&readline=&readline=", &body);
        assert_eq!(pieces.iter().map(|piece| piece[0].len()).collect::<Vec<_>>(), [1_000_000, (1 << 20) + 1 - 1_000_000, 3]);
    });
}

// clauses: 38, 42
#[test]
fn a_request_without_a_body_reads_as_empty_in_every_way() {
    matrix("input_steps").run(|site| {
        assert_eq!(site.get("/?read=5&readline=&readline=5&readlines=&iterate=&read=5").text(), "read");
        assert_eq!(site.notes::<Vec<Vec<u8>>>("pieces"), [one(""), one(""), one(""), vec![], vec![], one("")]);
        assert_eq!(steps(site, "read=5&readline=", b""), [one(""), one("")]);
    });
}

// clauses: 40
#[test]
fn a_body_ends_where_its_length_says_and_the_next_request_begins() {
    matrix("input_steps").needs(Feature::Http1).run(|site| {
        let mut client = site.wire();
        let second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
        client.raw(format!("POST /?read=1000 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody{second}").as_bytes()).unwrap();
        assert_eq!(client.reply().text(), "read");
        assert_eq!(client.reply().text(), "read");
        assert_eq!(site.notes::<Vec<Vec<u8>>>("pieces"), [one("body")]);
    });
}

// clauses: 73, D2, D3
#[test]
fn a_chunked_upload_reaches_an_application_that_reads_content_length_only() {
    matrix("input_by_length").run(|site| {
        let pieces = vec![b"one ".to_vec(), b"two ".to_vec(), vec![b'x'; 300_000]];
        let seen = site.send(Request::new("POST", "/").body(Body::Chunked(pieces.clone())));
        assert_eq!(seen.body(), pieces.concat());
        assert_eq!(site.noted::<usize>("length"), 300_008);
        assert_eq!(site.noted::<String>("transfer encoding"), "absent");
        assert_eq!(site.send(Request::new("POST", "/").body(Body::Chunked(vec![]))).body(), b"");
    });
}

// clauses: 40, 73
#[test]
fn a_chunked_upload_ends_for_one_who_reads_on() {
    matrix("input_steps").run(|site| {
        let pieces = vec![b"on".to_vec(), b"e\ntw".to_vec(), b"o\n".to_vec()];
        let seen = site.send(Request::new("POST", "/?readline=&read=100&read=100&readline=").body(Body::Chunked(pieces)));
        assert_eq!(seen.text(), "read");
        assert_eq!(site.notes::<Vec<Vec<u8>>>("pieces"), [one("one\n"), one("two\n"), one(""), one("")]);
    });
}

// clauses: 30
#[test]
fn a_body_is_streamed_as_it_comes() {
    matrix("input_lines").run(|site| {
        let mut client = site.ask(Request::new("POST", "/").body(Body::Later(Some(LONG))));
        client.send_body(b"one\n").unwrap();
        // The rest is not sent before the application has the first line.
        assert_eq!(site.noted::<Vec<u8>>("line"), b"one\n");
        client.send_body(b"two\n").unwrap();
        client.send_body(&long_line(LONG - 8)).unwrap();
        assert_eq!(collect(client.as_mut()).text(), "all lines");
        assert_eq!(site.notes::<Vec<u8>>("line"), [b"one\n".to_vec(), b"two\n".to_vec(), long_line(LONG - 8)]);
    });
}

// clauses: 30, 76
#[test]
fn a_reply_can_answer_each_line_of_a_body_that_is_still_being_sent() {
    matrix("input_duplex").needs(Feature::Duplex).run(|site| {
        let mut client = site.ask(Request::new("POST", "/").body(Body::Later(Some(LONG))));
        client.send_body(b"one\n").unwrap();
        assert_eq!(client.head().unwrap().code, 200);
        assert_eq!(client.block().unwrap().as_deref(), Some(&b"ONE\n"[..]));
        client.send_body(b"two\n").unwrap();
        assert_eq!(client.block().unwrap().as_deref(), Some(&b"TWO\n"[..]));
        client.send_body(&long_line(LONG - 8)).unwrap();
        let mut last = Vec::new();
        while let Some(block) = client.block().unwrap() {
            last.extend(block);
        }
        assert!(last == long_line(LONG - 8).to_ascii_uppercase());
    });
}

// clauses: 30, 38
#[test]
fn a_large_body_arrives_unchanged() {
    matrix("input_digest").run(|site| {
        let body: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert_eq!(site.send(Request::post("/", body.clone())).text(), format!("3000000 {}", sha256(&body)));
    });
}

// clauses: 40, 42
#[test]
fn a_client_that_leaves_inside_its_body_is_an_error_and_no_end() {
    matrix("input_steps").run(|site| {
        let mut client = site.ask(Request::new("POST", "/?read=10&read=10").body(Body::Later(Some(LONG))));
        client.send_body(b"0123456789").unwrap();
        site.wait_for("pieces");
        client.leave();
        let (step, is_os_error, error): (String, bool, String) = site.noted("raised");
        assert_eq!(step, "read", "{error}");
        assert!(is_os_error, "frameworks catch OSError for this, got {error}");
    });
}

// clauses: 40, 42
#[test]
fn a_client_that_stops_sending_inside_its_body_is_an_error_in_every_way_to_read() {
    for step in ["read=1000000", "readline=", "readlines=", "iterate=", "read=-1"] {
        matrix("input_steps").needs(Feature::HalfClose).run(|site| {
            let mut client = site.ask(Request::new("POST", &format!("/?{step}")).body(Body::Later(Some(LONG))));
            client.send_body(b"part of it").unwrap();
            client.stop_sending();
            let (_, is_os_error, error): (String, bool, String) = site.noted("raised");
            assert!(is_os_error, "{step}: {error}");
            assert_eq!(site.count("pieces"), 0, "{step} gave a part as if it were the whole");
        });
    }
}

// clauses: 40, 42
#[test]
fn a_short_body_that_breaks_off_never_reaches_the_application_as_whole() {
    matrix("input_steps").run(|site| {
        let mut client = site.ask(Request::new("POST", "/?read=-1").body(Body::Later(Some(100))));
        client.send_body(b"part of it").unwrap();
        client.stop_sending();
        let seen = collect(client.as_mut());
        assert!(seen.head.is_none() || seen.code() >= 400, "{seen:?}");
        assert_eq!(site.count("pieces"), 0, "a part was given as if it were the whole");
    });
}

// clauses: 73
#[test]
fn a_chunked_body_that_breaks_off_never_reaches_the_application_as_whole() {
    matrix("input_by_length").needs(Feature::UnknownLength).run(|site| {
        let mut client = site.ask(Request::new("POST", "/").body(Body::Later(None)));
        client.send_body(b"part of it").unwrap();
        client.stop_sending();
        let seen = collect(client.as_mut());
        assert!(seen.head.is_none() || seen.code() >= 400, "{seen:?}");
        assert_eq!(site.get("/").code(), 200, "others are still served");
    });
}

// clauses: 89
#[test]
fn a_client_that_expects_100_hears_it_when_the_application_first_reads() {
    matrix("input_gated").needs(Feature::Http1).run(|site| {
        let mut client = site.wire();
        client.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").unwrap();
        site.wait_for("called");
        assert!(!client.stirs(), "100 Continue went out before the application read");
        site.open_gate("read");
        let head = wsgi_tests::column::Conversation::head(&mut client).unwrap();
        assert_eq!((head.code, head.reason.as_str()), (100, "Continue"));
        client.raw(b"body").unwrap();
        let seen = client.reply();
        assert_eq!((seen.informational.len(), seen.text().as_str()), (0, "body"));
        assert!(seen.reusable);
    });
}

// clauses: 89
#[test]
fn a_client_that_expects_100_hears_the_final_answer_alone_where_nobody_reads() {
    matrix("input_unread").needs(Feature::Http1).run(|site| {
        let mut client = site.wire();
        client.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").unwrap();
        let seen = client.reply();
        assert_eq!((seen.informational.len(), seen.text().as_str()), (0, "not read"));
        // The client may or may not send the body now: the connection cannot be used again. hyper ends it without saying so.
        assert!(!seen.reusable || site.lacks(Feature::Strict));
        assert!(client.rest().0.is_empty());
    });
}

// clauses: 89
#[test]
fn a_body_that_came_at_once_needs_no_100() {
    matrix("input_gated").needs(Feature::Http1).run(|site| {
        site.open_gate("read");
        let mut client = site.wire();
        client.raw(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody").unwrap();
        assert_eq!(client.reply().text(), "body");
    });
}

// clauses: 89
#[test]
fn a_client_of_http_1_0_never_hears_100() {
    matrix("input_gated").needs(Feature::Http1).run(|site| {
        site.open_gate("read");
        let mut client = site.wire();
        client.raw(b"POST / HTTP/1.0\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n").unwrap();
        client.raw(b"body").unwrap();
        let seen = client.reply();
        assert_eq!((seen.informational.len(), seen.text().as_str()), (0, "body"));
    });
}

// clauses: 40
#[test]
fn an_unread_body_is_not_taken_for_the_next_request() {
    matrix("input_unread").needs(Feature::KeepAlive).run(|site| {
        let mut client = site.open();
        let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
        client.send(&Request::post("/", smuggled)).unwrap();
        assert_eq!(collect(client.as_mut()).text(), "not read");
        client.send(&Request::get("/second").field("Connection", "close")).ok();
        let seen = collect(client.as_mut());
        assert!(seen.head.is_none() || seen.text() == "not read");
        assert!(site.count("called") <= 2, "the body was taken for a request");
    });
}

// clauses: 40
#[test]
fn a_client_that_sends_a_large_body_nobody_reads_still_gets_its_answer() {
    matrix("input_unread").run(|site| {
        let mut client = site.open();
        let size = 8 << 20;
        client.send(&Request::new("POST", "/").body(Body::Later(Some(size as u64)))).unwrap();
        // Larger than all socket buffers together; the server may close while it is being sent, once the answer is out.
        client.send_body(&vec![b'x'; size]).ok();
        let seen = collect(client.as_mut());
        assert_eq!(seen.head.as_ref().map(|head| head.code), Some(200), "{:?}", seen.end);
        assert_ne!(seen.end, End::Aborted(Broken::Silent));
        assert_eq!(site.get("/").text(), "not read", "others are still served");
    });
}
