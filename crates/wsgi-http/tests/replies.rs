//! What goes out, to the byte, and what the codec says comes next.

use bytes::BytesMut;
use wsgi_core::wire::{Address, CloseReason, Dialect, Error, Event, HttpDate, Limits, Link, Next, Protocol, RequestHead, ResponseHead};
use wsgi_http::Http1;

/// A codec with its caller's buffers.
struct Peer {
    codec: Box<dyn Protocol>,
    input: BytesMut,
    head: RequestHead,
    out: Vec<u8>,
}

impl Peer {
    fn new() -> Peer {
        Peer::of(Http1::new().server_software("test/1").unwrap())
    }

    fn of(http: Http1) -> Peer {
        let link = Link { local: Address::Unix(None), remote: Address::Unix(None), secure: false };
        Peer { codec: http.connect(&link), input: BytesMut::new(), head: RequestHead::default(), out: Vec::new() }
    }

    /// Sends, and has the head read.
    #[track_caller]
    fn asks(request: &str) -> Peer {
        let mut peer = Peer::new();
        peer.sends(request);
        assert_eq!(peer.poll(), Ok(Event::Head));
        peer
    }

    fn sends(&mut self, text: &str) {
        self.input.extend_from_slice(text.as_bytes());
    }

    fn poll(&mut self) -> Result<Event, Error> {
        self.codec.poll(&mut self.input, &mut self.head, &mut self.out)
    }

    fn end(&mut self) -> Result<Event, Error> {
        self.codec.end(&mut self.input)
    }

    fn start(&mut self, head: &ResponseHead) {
        self.codec.start(head, &date(), &mut self.out);
    }

    fn data(&mut self, block: &str) {
        self.codec.data(block.as_bytes(), &mut self.out);
    }

    fn raw(&mut self, len: u64) -> bool {
        self.codec.raw(len, &mut self.out)
    }

    fn finish(&mut self) -> Next {
        self.codec.finish(&mut self.out)
    }

    /// Reads the body to its end.
    #[track_caller]
    fn reads(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            match self.poll() {
                Ok(Event::Body(bytes)) => body.extend_from_slice(&bytes),
                Ok(Event::EndOfBody) => return body,
                other => panic!("{other:?} inside a body"),
            }
        }
    }

    /// What was queued since this was last asked.
    fn heard(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.out)).unwrap()
    }
}

fn date() -> HttpDate {
    HttpDate::from_unix(784_111_777)
}

/// A reply without fields.
fn reply(status: &str, length: Option<u64>) -> ResponseHead {
    let mut head = ResponseHead::new(status.as_bytes()).unwrap();
    if let Some(length) = length {
        head.set_content_length(length);
    }
    head
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
const GET10: &str = "GET / HTTP/1.0\r\n\r\n";
const GET10_KEEP: &str = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
const EXPECT: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
const ADDED: &str = "Server: test/1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

#[test]
fn a_known_length_is_declared_and_the_connection_stays() {
    let mut peer = Peer::asks(GET);
    let mut head = reply("200 OK", None);
    head.field(b"Content-Type", b"text/plain").unwrap();
    head.field(b"Set-Cookie", b"a").unwrap();
    head.field(b"Set-Cookie", b"b").unwrap();
    head.set_content_length(10);
    peer.start(&head);
    peer.data("hello");
    peer.data("");
    peer.data("world");
    assert_eq!(peer.finish(), Next::Request);
    assert_eq!(
        peer.heard(),
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 10\r\n{ADDED}\r\nhelloworld"
        )
    );
}

#[test]
fn an_unknown_length_is_chunked() {
    let mut peer = Peer::asks(GET);
    peer.start(&reply("200 OK", None));
    peer.data("hello");
    peer.data("");
    peer.data(&"x".repeat(26));
    assert_eq!(peer.finish(), Next::Request);
    let chunks = format!("5\r\nhello\r\n1a\r\n{}\r\n0\r\n\r\n", "x".repeat(26));
    assert_eq!(peer.heard(), format!("HTTP/1.1 200 OK\r\n{ADDED}Transfer-Encoding: chunked\r\n\r\n{chunks}"));
}

#[test]
fn an_unknown_length_in_http10_ends_with_the_connection() {
    for request in [GET10, GET10_KEEP] {
        let mut peer = Peer::asks(request);
        peer.start(&reply("200 OK", None));
        peer.data("hello");
        assert_eq!(peer.finish(), Next::Close(CloseReason::Peer));
        assert_eq!(peer.heard(), format!("HTTP/1.1 200 OK\r\n{ADDED}Connection: close\r\n\r\nhello"));
        assert_eq!(peer.poll(), Ok(Event::Closed));
    }
}

#[test]
fn http10_is_told_whether_the_connection_stays() {
    for (request, option, next) in [(GET10, "close", Next::Close(CloseReason::Peer)), (GET10_KEEP, "keep-alive", Next::Request)] {
        let mut peer = Peer::asks(request);
        peer.start(&reply("200 OK", Some(2)));
        peer.data("hi");
        assert_eq!(peer.heard(), format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{ADDED}Connection: {option}\r\n\r\nhi"));
        assert_eq!(peer.finish(), next);
    }
}

#[test]
fn a_peer_that_asks_to_close_is_obeyed() {
    let mut peer = Peer::asks("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    peer.start(&reply("200 OK", None));
    assert_eq!(peer.finish(), Next::Close(CloseReason::Peer));
    assert_eq!(peer.heard(), format!("HTTP/1.1 200 OK\r\n{ADDED}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n"));
}

#[test]
fn head_has_no_body_whatever_the_application_sends() {
    for (length, line) in [(Some(5), "Content-Length: 5\r\n"), (None, "")] {
        let mut peer = Peer::asks(HEAD);
        assert!(!peer.codec.bodiless());
        peer.start(&reply("200 OK", length));
        assert!(peer.codec.bodiless() && !peer.raw(5));
        peer.data("hello");
        assert_eq!(peer.finish(), Next::Request);
        assert_eq!(peer.heard(), format!("HTTP/1.1 200 OK\r\n{line}{ADDED}\r\n"));
    }
}

/// RFC 9110, 8.6 and 15.3.5: a 204 has no length at all; a 304 may have that of the reply that it stands for.
#[test]
fn statuses_without_body_have_none() {
    let mut peer = Peer::asks(GET);
    let mut head = reply("204 No Content", None);
    head.field(b"X-A", b"1").unwrap();
    head.field(b"content-length", b"0").unwrap();
    head.field(b"X-B", b"2: 3").unwrap();
    peer.start(&head);
    peer.data("hello");
    assert_eq!(peer.finish(), Next::Request);
    assert_eq!(peer.heard(), format!("HTTP/1.1 204 No Content\r\nX-A: 1\r\nX-B: 2: 3\r\n{ADDED}\r\n"));

    for (length, line) in [(Some(5), "Content-Length: 5\r\n"), (None, "")] {
        let mut peer = Peer::asks(GET);
        peer.start(&reply("304 Not Modified", length));
        peer.data("hello");
        assert_eq!(peer.finish(), Next::Request);
        assert_eq!(peer.heard(), format!("HTTP/1.1 304 Not Modified\r\n{line}{ADDED}\r\n"));
    }
}

#[test]
fn the_application_may_give_its_own_date_and_server() {
    let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    for (given, added) in
        [(&["DATE"][..], "Server: test/1\r\n".to_string()), (&["server"], date.to_string()), (&["Server", "Date"], String::new())]
    {
        let mut peer = Peer::asks(GET);
        let (mut head, mut lines) = (reply("200 OK", Some(0)), String::from("Content-Length: 0\r\n"));
        for name in given {
            head.field(name.as_bytes(), b"mine").unwrap();
            lines += &format!("{name}: mine\r\n");
        }
        peer.start(&head);
        assert_eq!(peer.heard(), format!("HTTP/1.1 200 OK\r\n{lines}{added}\r\n"));
    }
}

#[test]
fn never_more_than_the_declared_length_goes_out() {
    let mut peer = Peer::asks(GET);
    peer.start(&reply("200 OK", Some(5)));
    peer.heard();
    peer.data("hel");
    assert!(!peer.raw(3), "three bytes where two are owed");
    peer.data("lo, world");
    peer.data("!");
    assert!(!peer.raw(1));
    assert_eq!(peer.heard(), "hello");
    assert_eq!(peer.finish(), Next::Request);
    assert_eq!(peer.heard(), "");
}

/// A peer that saw a clean end would take what it has for whole, or wait for the rest.
#[test]
fn less_than_the_declared_length_is_no_end() {
    let mut peer = Peer::asks(GET);
    peer.start(&reply("200 OK", Some(5)));
    peer.data("hell");
    peer.heard();
    assert_eq!(peer.finish(), Next::Close(CloseReason::Aborted));
    assert_eq!(peer.heard(), "");
    assert_eq!(peer.poll(), Ok(Event::Closed));
}

/// Where the framing shows that something is missing, a close will do; where the close is the end of the body, only a reset shows it.
#[test]
fn what_is_given_up_does_not_end_cleanly() {
    for (request, length, reason) in [
        (GET, None, CloseReason::Aborted),
        (GET, Some(6), CloseReason::Aborted),
        (GET10_KEEP, Some(6), CloseReason::Aborted),
        (GET10, None, CloseReason::Reset),
    ] {
        let mut peer = Peer::asks(request);
        peer.start(&reply("200 OK", length));
        peer.data("hello");
        peer.heard();
        assert_eq!(peer.codec.abort(&mut peer.out), Next::Close(reason));
        peer.data("more");
        assert_eq!(peer.finish(), Next::Close(CloseReason::Aborted));
        assert_eq!(peer.heard(), "");
        assert_eq!(peer.poll(), Ok(Event::Closed));
    }
}

#[test]
fn a_reply_that_was_never_started_is_no_reply() {
    let mut peer = Peer::asks(GET);
    peer.data("hello");
    assert_eq!(peer.finish(), Next::Close(CloseReason::Aborted));
    assert_eq!(peer.heard(), "");
}

#[test]
fn raw_bytes_are_framed_like_others() {
    let mut peer = Peer::asks(GET);
    peer.start(&reply("200 OK", Some(12)));
    peer.heard();
    assert!(peer.raw(10));
    assert_eq!(peer.heard(), "");
    peer.codec.raw_end(&mut peer.out);
    peer.data("xyz");
    assert_eq!(peer.heard(), "xy");
    assert_eq!(peer.finish(), Next::Request);

    let mut peer = Peer::asks(GET);
    assert!(!peer.raw(1), "before the head");
    peer.start(&reply("200 OK", None));
    peer.heard();
    assert!(!peer.raw(0), "an empty chunk would be the last");
    assert!(peer.raw(0x1234));
    assert_eq!(peer.heard(), "1234\r\n");
    peer.codec.raw_end(&mut peer.out);
    peer.codec.raw_end(&mut peer.out);
    assert_eq!(peer.heard(), "\r\n");
    assert_eq!(peer.finish(), Next::Request);
    assert_eq!(peer.heard(), "0\r\n\r\n");

    let mut peer = Peer::asks(GET10);
    peer.start(&reply("200 OK", None));
    peer.heard();
    assert!(peer.raw(10));
    peer.codec.raw_end(&mut peer.out);
    assert_eq!(peer.heard(), "");
    assert_eq!(peer.finish(), Next::Close(CloseReason::Peer));
}

#[test]
fn a_raw_chunk_that_is_not_ended_is_no_end_of_a_reply() {
    let mut peer = Peer::asks(GET);
    peer.start(&reply("200 OK", None));
    assert!(peer.raw(10));
    assert_eq!(peer.finish(), Next::Close(CloseReason::Aborted));
}

#[test]
fn a_peer_that_waits_is_told_to_continue_once() {
    let mut peer = Peer::asks(EXPECT);
    assert_eq!(peer.poll(), Ok(Event::NeedInput));
    assert_eq!(peer.heard(), "", "not before the application wants the body");
    peer.codec.expect_body(&mut peer.out);
    peer.codec.expect_body(&mut peer.out);
    assert_eq!(peer.heard(), "HTTP/1.1 100 Continue\r\n\r\n");
    peer.sends("hello");
    assert_eq!(peer.reads(), b"hello");
    peer.start(&reply("200 OK", Some(0)));
    assert_eq!(peer.finish(), Next::Request);
    assert!(!peer.heard().contains("Connection"));
}

#[test]
fn a_peer_that_does_not_wait_is_not_told_to_continue() {
    for (request, rest) in [
        // The body is behind the head already, some of it or all.
        ("h", "ello"),
        ("hello", ""),
    ] {
        let mut peer = Peer::asks(&format!("{EXPECT}{request}"));
        peer.codec.expect_body(&mut peer.out);
        peer.sends(rest);
        assert_eq!(peer.reads(), b"hello");
        assert_eq!(peer.heard(), "");
    }
    // It came while nobody had asked for it.
    let mut peer = Peer::asks(EXPECT);
    peer.sends("he");
    assert!(matches!(peer.poll(), Ok(Event::Body(_))));
    peer.codec.expect_body(&mut peer.out);
    assert_eq!(peer.heard(), "");
    // HTTP/1.0 knows no such reply; without an expectation or a body there is nothing to say.
    for request in [&EXPECT.replace("1.1", "1.0"), POST, GET, "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n"] {
        let mut peer = Peer::asks(request);
        peer.codec.expect_body(&mut peer.out);
        assert_eq!(peer.heard(), "");
    }
}

/// RFC 9110, 10.1.1: the peer may send the body nevertheless, or not; so nothing that comes can be taken for the next request.
#[test]
fn a_reply_in_place_of_continue_closes_and_says_so() {
    let mut peer = Peer::asks(EXPECT);
    peer.start(&reply("403 Forbidden", Some(0)));
    assert_eq!(peer.heard(), format!("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n{ADDED}Connection: close\r\n\r\n"));
    peer.codec.expect_body(&mut peer.out);
    assert_eq!(peer.heard(), "", "never after the head of the reply");
    assert_eq!(peer.finish(), Next::Close(CloseReason::UnreadBody));
}

#[test]
fn a_body_that_was_not_read_closes() {
    let mut peer = Peer::asks(&format!("{POST}hel"));
    assert_eq!(peer.poll(), Ok(Event::Body("hel".into())));
    peer.start(&reply("200 OK", Some(0)));
    assert!(peer.heard().ends_with("Connection: close\r\n\r\n"), "a peer that is done sending would use the connection again");
    assert_eq!(peer.finish(), Next::Close(CloseReason::UnreadBody));

    // That its end was not asked for is no matter, if it was read up to there.
    let mut peer = Peer::asks(&format!("{POST}hello{GET}"));
    assert_eq!(peer.poll(), Ok(Event::Body("hello".into())));
    peer.start(&reply("200 OK", Some(0)));
    assert_eq!(peer.finish(), Next::Request);
    assert_eq!(peer.poll(), Ok(Event::Head));

    let mut peer = Peer::asks(GET);
    peer.start(&reply("200 OK", Some(0)));
    assert_eq!(peer.finish(), Next::Request);
}

/// nginx, as a proxy, speaks HTTP/1.0 and asks to close unless it is told otherwise. An application that answered 413 to an upload which
/// nginx was still sending had its answer destroyed by the reset that follows a close with unread input.
#[test]
fn an_unread_body_is_why_the_connection_closes_even_if_it_closes_anyway() {
    for (request, length) in [
        ("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nab", Some(2)),
        ("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\n\r\nab", Some(2)),
        ("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nab", None),
    ] {
        let mut peer = Peer::asks(request);
        peer.start(&reply("413 Content Too Large", length));
        peer.data("no");
        assert_eq!(peer.finish(), Next::Close(CloseReason::UnreadBody), "{request}");
    }
}

#[test]
fn a_body_may_be_read_while_the_reply_goes_out() {
    let mut peer = Peer::asks(POST);
    peer.start(&reply("200 OK", None));
    assert!(peer.heard().ends_with("Connection: close\r\n\r\n"), "nobody knows yet that it will be read");
    for byte in ["h", "e", "l", "l", "o"] {
        peer.sends(byte);
        let Ok(Event::Body(bytes)) = peer.poll() else { panic!("no body") };
        peer.codec.data(&bytes, &mut peer.out);
    }
    assert_eq!(peer.poll(), Ok(Event::EndOfBody));
    assert_eq!(peer.poll(), Ok(Event::NeedInput), "the end comes once");
    assert_eq!(peer.finish(), Next::Close(CloseReason::UnreadBody));
    assert_eq!(peer.heard(), "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n");
}

#[test]
fn early_hints_go_to_those_who_know_them() {
    let mut hints = ResponseHead::early_hints();
    hints.field(b"Link", b"</a.css>; rel=preload").unwrap();
    hints.field(b"Content-Length", b"5").unwrap();
    let mut peer = Peer::asks(GET);
    peer.codec.inform(&hints, &mut peer.out);
    peer.codec.inform(&hints, &mut peer.out);
    let one = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    assert_eq!(peer.heard(), format!("{one}{one}"));
    peer.codec.inform(&reply("200 OK", None), &mut peer.out);
    assert_eq!(peer.heard(), "", "a final reply is none");
    peer.start(&reply("200 OK", Some(0)));
    peer.heard();
    peer.codec.inform(&hints, &mut peer.out);
    assert_eq!(peer.heard(), "", "after the head of the reply");

    let mut peer = Peer::asks(GET10_KEEP);
    peer.codec.inform(&hints, &mut peer.out);
    assert_eq!(peer.heard(), "");
}

#[test]
fn a_server_that_shuts_down_says_so_in_replies_that_start_from_then_on() {
    let mut peer = Peer::asks(&format!("{GET}{GET}"));
    peer.start(&reply("200 OK", Some(0)));
    peer.codec.close_after_reply();
    assert_eq!(peer.finish(), Next::Request, "the peer was not told, and may have sent another request");
    assert!(!peer.heard().contains("Connection"));
    assert_eq!(peer.poll(), Ok(Event::Head));
    peer.start(&reply("200 OK", Some(0)));
    assert!(peer.heard().contains("Connection: close\r\n"));
    assert_eq!(peer.finish(), Next::Close(CloseReason::Shutdown));
}

#[test]
fn a_connection_is_idle_between_requests_only() {
    let mut peer = Peer::new();
    assert!(peer.codec.idle());
    assert_eq!(peer.poll(), Ok(Event::NeedInput));
    assert!(peer.codec.idle(), "asked, but nothing came");
    peer.sends("\r\n");
    assert_eq!(peer.poll(), Ok(Event::NeedInput));
    assert!(peer.codec.idle(), "an empty line is no loss");
    peer.sends("G");
    assert_eq!(peer.poll(), Ok(Event::NeedInput));
    assert!(!peer.codec.idle());
    peer.sends(&GET[1..]);
    assert_eq!(peer.poll(), Ok(Event::Head));
    assert!(!peer.codec.idle());
    assert_eq!(peer.poll(), Ok(Event::EndOfBody));
    peer.start(&reply("200 OK", Some(0)));
    assert!(!peer.codec.idle());
    assert_eq!(peer.finish(), Next::Request);
    assert!(peer.codec.idle());
}

#[test]
fn the_end_of_the_input_is_judged_by_where_it_comes() {
    let mut peer = Peer::new();
    assert_eq!(peer.end(), Ok(Event::Closed));
    peer.sends("\r\n");
    assert_eq!(peer.end(), Ok(Event::Closed));

    let mut peer = Peer::new();
    peer.sends("GET / HT");
    assert_eq!(peer.poll(), Ok(Event::NeedInput));
    assert_eq!(peer.end(), Err(Error::Truncated("head")));

    let mut peer = Peer::asks(&format!("{POST}hel"));
    assert_eq!(peer.end(), Ok(Event::Body("hel".into())), "what came is still good");
    assert_eq!(peer.end(), Err(Error::Truncated("body")));
    assert_eq!(peer.end(), Err(Error::Truncated("body")));

    // The peer has sent its request and no more; it may still read the reply.
    let mut peer = Peer::asks(GET);
    assert_eq!(peer.end(), Ok(Event::EndOfBody));
    assert_eq!(peer.end(), Ok(Event::Closed));
    peer.start(&reply("200 OK", Some(2)));
    peer.data("hi");
    assert_eq!(peer.finish(), Next::Request);
    assert!(peer.heard().ends_with("\r\n\r\nhi"));
    assert_eq!(peer.end(), Ok(Event::Closed));
}

#[test]
fn a_refusal_says_why() {
    let mut peer = Peer::new();
    peer.sends("GET / HTTP/1.1\r\n\r\n");
    let error = peer.poll().unwrap_err();
    assert_eq!(peer.poll().unwrap_err(), error, "the same if asked again");
    peer.codec.refuse(&error, &date(), &mut peer.out);
    let text = "request of HTTP/1.1 has no Host field\n";
    let fields =
        format!("Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nX-Content-Type-Options: nosniff\r\n", text.len());
    assert_eq!(peer.heard(), format!("HTTP/1.1 400 Bad Request\r\n{fields}{ADDED}Connection: close\r\n\r\n{text}"));
}

#[test]
fn a_request_that_is_refused_leaves_no_variables() {
    for request in
        ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "GET /% HTTP/1.1\r\nHost: a\r\n\r\n"]
    {
        let mut peer = Peer::new();
        peer.sends(request);
        assert!(peer.poll().is_err());
        assert_eq!(peer.head.iter().count(), 0, "{:?}", peer.head);
    }
}

#[test]
fn a_refusal_of_head_has_no_body() {
    let timeout = Error::Timeout { what: "head", seconds: 10 };
    // Whole and wrong, whole but without its end, and with an end that is wrong.
    for request in ["HEAD / HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n", "\r\nHEAD / HTTP/2.0\r\n", "HEAD /\0"] {
        let mut peer = Peer::new();
        peer.sends(request);
        let error = peer.poll().err().unwrap_or(timeout.clone());
        peer.codec.refuse(&error, &date(), &mut peer.out);
        let heard = peer.heard();
        assert!(heard.starts_with("HTTP/1.1 ") && heard.ends_with("Connection: close\r\n\r\n"), "{request:?}: {heard}");
    }
    let mut peer = Peer::asks(HEAD);
    peer.codec.refuse(&timeout, &date(), &mut peer.out);
    assert!(peer.heard().ends_with("\r\n\r\n"));
    let mut peer = Peer::asks(GET);
    peer.codec.refuse(&timeout, &date(), &mut peer.out);
    let heard = peer.heard();
    assert!(
        heard.starts_with("HTTP/1.1 408 Request Timeout\r\n") && heard.ends_with("\r\n\r\npeer took longer than 10 s to send its head\n")
    );
}

#[test]
fn a_refusal_never_follows_a_reply_that_was_started() {
    let mut peer = Peer::asks(&format!("{}x", POST.replace("Content-Length: 5", "Transfer-Encoding: chunked")));
    peer.start(&reply("200 OK", None));
    peer.heard();
    let error = peer.poll().unwrap_err();
    peer.codec.refuse(&error, &date(), &mut peer.out);
    assert_eq!(peer.heard(), "");
    assert_eq!(peer.finish(), Next::Close(CloseReason::UnreadBody));
}

#[test]
fn a_refusal_is_small_whatever_it_quotes() {
    let mut peer = Peer::new();
    peer.sends(&format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(60_000)));
    let error = peer.poll().unwrap_err();
    peer.codec.refuse(&error, &date(), &mut peer.out);
    assert!(peer.heard().len() < 1000);
}

#[test]
fn calls_out_of_order_do_nothing() {
    let mut peer = Peer::new();
    peer.start(&reply("200 OK", Some(1)));
    peer.data("x");
    peer.codec.expect_body(&mut peer.out);
    peer.codec.inform(&ResponseHead::early_hints(), &mut peer.out);
    peer.codec.raw_end(&mut peer.out);
    assert!(!peer.raw(1));
    assert_eq!(peer.heard(), "");

    let mut peer = Peer::asks(GET);
    peer.start(&reply("200 OK", Some(1)));
    peer.heard();
    peer.start(&reply("500 Internal Server Error", Some(1)));
    assert_eq!(peer.heard(), "", "one request has one reply");
}

#[test]
fn a_name_for_the_server_must_be_fit_for_a_field() {
    assert!(Http1::new().server_software("a\r\nb").is_err());
    let mut peer = Peer::of(Http1::new().limits(Limits::default()));
    peer.sends(GET);
    assert_eq!(peer.poll(), Ok(Event::Head));
    peer.start(&reply("200 OK", Some(0)));
    assert!(peer.heard().contains(concat!("Server: wsgi-rs/", env!("CARGO_PKG_VERSION"), "\r\n")));
}

/// It is sent by somebody who cannot reach the codec, and so knows neither the date nor the server's name.
#[test]
fn the_last_word_of_a_request_is_what_the_codec_would_have_answered() {
    assert_eq!(Peer::new().codec.last_word(), None);
    for method in ["GET", "HEAD"] {
        let mut peer = Peer::asks(&format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let word = String::from_utf8(peer.codec.last_word().unwrap().to_vec()).unwrap();
        let text = "504 Gateway Timeout\n";
        peer.start(&ResponseHead::plain(http::StatusCode::GATEWAY_TIMEOUT, text.len() as u64));
        peer.data(text);
        let answer = String::from_utf8(peer.out.clone()).unwrap();
        let lines: Vec<&str> =
            answer.split_inclusive("\r\n").filter(|line| !line.starts_with("Date: ") && !line.starts_with("Server: ")).collect();
        assert_eq!(word, lines.concat());
        assert_eq!(peer.codec.last_word(), None);
    }
}
