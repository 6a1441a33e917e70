//! `start_response`: what it refuses, what it keeps, when it raises.

use wsgi_tests::column::{End, Feature, Request, Seen, collect};
use wsgi_tests::matrix::{Site, matrix};

// clauses: 6, 8, 9, 48, 49, 50, 51, 54, 55, 56, 71
#[test]
fn what_must_not_be_sent_is_refused_in_start_response_by_name() {
    // What the call does wrong, and what the message must say of it: the argument or the position, the type or the value.
    let calls: &[(&str, &[&str])] = &[
        ("status bytes", &["status", "bytes"]),
        ("status int", &["status", "int"]),
        ("status none", &["status", "None"]),
        ("status empty", &["status"]),
        ("status no reason", &["status", "200"]),
        ("status no space", &["status", "200OK"]),
        ("status two spaces", &["status"]),
        ("status leading space", &["status"]),
        ("status trailing space", &["status"]),
        ("status letters", &["status", "abc OK"]),
        ("status short", &["status", "20 OK"]),
        ("status long", &["status", "2000 OK"]),
        ("status cr", &["status"]),
        ("status lf", &["status"]),
        ("status crlf", &["status"]),
        ("status nul", &["status"]),
        ("status outside latin-1", &["status", "U+00FF"]),
        ("status surrogate", &["status"]),
        ("status informational", &["status", "100"]),
        ("headers tuple", &["headers", "tuple"]),
        ("headers dict", &["headers", "dict"]),
        ("headers none", &["headers", "None"]),
        ("headers list subclass", &["headers", "Many"]),
        ("headers generator", &["headers", "generator"]),
        ("header list", &["headers[1]", "list"]),
        ("header str", &["headers[1]", "str"]),
        ("header one", &["headers[1]"]),
        ("header three", &["headers[1]"]),
        ("name bytes", &["headers[1]", "bytes"]),
        ("name empty", &["headers[1]"]),
        ("name colon", &["headers[1]", "X-A:"]),
        ("name space", &["headers[1]", "X A"]),
        ("name trailing space", &["headers[1]"]),
        ("name crlf", &["headers[1]"]),
        ("name outside ascii", &["headers[1]"]),
        ("value bytes", &["headers[1]", "bytes"]),
        ("value int", &["headers[1]", "int"]),
        ("value none", &["headers[1]", "None"]),
        ("value cr", &["headers[1]"]),
        ("value lf", &["headers[1]"]),
        ("value crlf", &["headers[1]"]),
        ("value folded", &["headers[1]"]),
        ("value nul", &["headers[1]"]),
        ("value delete", &["headers[1]"]),
        ("value outside latin-1", &["headers[1]", "U+00FF"]),
        ("value surrogate", &["headers[1]"]),
        ("length word", &["headers[1]", "five"]),
        ("length signed", &["headers[1]"]),
        ("length negative", &["headers[1]"]),
        ("length list", &["headers[1]"]),
        ("length twice", &["headers[2]"]),
        ("hop connection", &["headers[1]", "Connection"]),
        ("hop keep-alive", &["headers[1]", "Keep-Alive"]),
        ("hop transfer-encoding", &["headers[1]"]),
        ("hop te", &["headers[1]"]),
        ("hop upgrade", &["headers[1]"]),
        ("hop trailers", &["headers[1]"]),
        ("hop proxy-authenticate", &["headers[1]"]),
        ("hop proxy-authorization", &["headers[1]"]),
        ("exc_info word", &["exc_info", "'error'"]),
        ("exc_info short", &["exc_info"]),
        ("no headers", &["argument"]),
        ("four", &["argument"]),
    ];
    matrix("faulty/start_response_calls").run(|site| {
        let mut wrong = Vec::new();
        for (call, expected) in calls {
            let before = site.count("raised");
            let seen = site.get(&format!("/{}", call.replace(' ', "%20")));
            let (kind, message) = site.notes::<(String, String)>("raised").split_off(before).pop().expect("a note");
            let named = expected.iter().all(|part| message.contains(part) || (*part == "None" && message.contains("NoneType")));
            if kind == "nothing" || !named || seen.code() != 500 || seen.field("set-cookie").is_some() {
                wrong.push(format!("{call}: {} {kind}: {message}", seen.code()));
            } else if !site.errors().contains(&message) {
                wrong.push(format!("{call}: wsgi.errors does not say {message:?}"));
            }
            if kind != "nothing" && message.contains("got (") && message.len() > 600 {
                wrong.push(format!("{call}: a message of {} bytes", message.len()));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

// clauses: 57, 58, 59, 80
#[test]
fn a_head_can_be_replaced_with_exc_info_until_the_first_block_that_is_not_empty() {
    matrix("replaced_late").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.code(), reason(site, &seen, "Replaced"), seen.end), (500, "Replaced", End::Clean));
        assert_eq!((seen.field("x-first"), seen.field("x-second"), seen.field("content-type")), (None, Some("yes"), Some("text/html")));
        assert_eq!(seen.text(), "an error page");
        assert_eq!(site.count("asked again after an empty block"), 1);
    });
}

// clauses: 59, 63
#[test]
fn a_replaced_head_leaves_nothing_of_the_first_and_no_reference_to_the_exception() {
    matrix("replaced_early").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.code(), seen.field("x-first"), seen.field("x-second")), (503, None, Some("yes")));
        assert_eq!(seen.text(), "an error page");
        let (before, after): (u32, u32) = site.noted("references");
        assert_eq!(before, after, "start_response kept the exception");
    });
}

// clauses: 60
#[test]
fn exc_info_after_the_head_raises_that_very_exception_with_its_traceback() {
    matrix("exc_info_after_block").run(|site| {
        let mut client = site.ask(Request::get("/"));
        assert_eq!(client.head().unwrap().code, 200);
        assert_eq!(client.block().unwrap().as_deref(), Some(&b"first"[..]));
        site.open_gate("fail");
        assert_eq!(site.noted::<String>("raised"), "the same");
        assert!(site.noted::<Vec<String>>("frames").contains(&"fail".to_owned()), "its traceback is lost");
        site.wait_for("closed");
        assert!(site.lacks(Feature::Breaks) || client.block().is_err(), "the reply ends as if it were whole");
        // Behind the reply, since it may have come with it.
        site.errors_with("after the first block");
    });
}

// clauses: 61
#[test]
fn an_application_that_swallows_that_exception_cannot_change_what_was_sent() {
    matrix("faulty/traps").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.code(), site.count("trapped")), (200, 1));
        assert!(seen.text().starts_with("first"));
    });
}

// clauses: 62
#[test]
fn a_second_call_without_exc_info_is_an_error_also_if_the_first_raised() {
    matrix("faulty/starts_twice").run(|site| {
        assert_eq!(site.get("/").code(), 500);
        assert_eq!(site.get("/?error").code(), 500);
        let second = site.notes::<(String, String)>("second");
        assert!(second.iter().all(|(kind, message)| kind != "taken" && message.contains("start_response")), "{second:?}");
        assert_eq!(site.notes::<String>("first")[0], "taken");
        assert_ne!(site.notes::<String>("first")[1], "taken");
    });
}

// clauses: 64
#[test]
fn the_first_step_of_the_iteration_may_call_start_response() {
    matrix("lazy_start").run(|site| {
        let seen = site.get("/");
        let reason = reason(site, &seen, "Lazily");
        assert_eq!((seen.code(), reason, seen.field("x-lazy"), seen.text().as_str()), (203, "Lazily", Some("yes"), "lazy block"));
    });
}

// clauses: 65
#[test]
fn a_body_without_start_response_is_an_error() {
    for (fixture, target) in [("faulty/never_starts", "/"), ("faulty/never_starts", "/?nothing"), ("faulty/starts_late", "/")] {
        matrix(fixture).run(|site| {
            let seen = site.get(target);
            assert_eq!(seen.code(), 500);
            assert!(!seen.text().contains("block") && !seen.text().contains("early"), "{:?}", seen.text());
            site.errors_with("start_response");
            site.wait_for("closed");
        });
    }
}

// clauses: 9, 49, 53, D7
#[test]
fn headers_go_out_as_they_were_given() {
    matrix("headers").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.code(), reason(site, &seen, "Tr\u{e8}s bien")), (200, "Tr\u{e8}s bien"));
        assert_eq!(seen.fields("set-cookie"), ["a=1; Path=/", "b=2; Path=/", "c=3"]);
        assert_eq!(seen.field("x-empty"), Some(""));
        assert_eq!(seen.field("x-latin"), Some("caf\u{e9} \u{ff}"));
        assert_eq!(seen.field("x-colon"), Some("a: b, c"));
        assert_eq!(seen.fields("content-type"), ["text/plain"]);
    });
}

// clauses: 52, 53
#[test]
fn date_and_server_are_added_unless_the_application_gave_them_in_any_case() {
    matrix("headers").run(|site| {
        let seen = site.get("/");
        if site.lacks(Feature::Origin) {
            // The web server adds them.
            assert_eq!((seen.field("date"), seen.field("server")), (None, None));
        } else {
            assert_eq!(seen.fields("date").len(), 1);
            assert!(seen.field("date").unwrap_or_default().ends_with(" GMT"));
        }
        let seen = site.get("/?own");
        assert_eq!(seen.fields("date"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
        assert_eq!(seen.fields("server"), ["an application"]);
        assert_eq!(seen.fields("content-length"), ["4"]);
    });
}

// clauses: 47, 84, 85
#[test]
fn written_blocks_come_before_those_that_are_yielded() {
    matrix("write").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.text().as_str(), seen.end), ("one two three", End::Clean));
        assert_ne!(seen.field("content-length"), Some("5"), "the length of the list is not the length of the body");
    });
    matrix("write_only").run(|site| assert_eq!(site.get("/").text(), "written"));
}

// clauses: 86
#[test]
fn write_inside_the_iteration_keeps_the_order() {
    matrix("faulty/uses_write_in_iteration").run(|site| {
        let seen = site.get("/");
        // PEP 3333 forbids it to applications and leaves open what servers do: in order, or refused so that the client can tell.
        assert!(seen.text() == "one two three" || (seen.end != End::Clean && "one two three".starts_with(&seen.text())), "{seen:?}");
    });
}

// clauses: 58
#[test]
fn nothing_is_sent_before_the_application_returns_even_where_the_length_is_zero() {
    matrix("no_length_zero").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.code(), seen.field("content-length"), seen.body().len(), seen.end), (200, Some("0"), 0, End::Clean));
    });
}

// clauses: 78, 79
#[test]
fn a_middleware_that_iterates_block_by_block_is_served_as_any_application() {
    matrix("middleware").run(|site| {
        let mut client = site.ask(Request::get("/"));
        let seen = collect(client.as_mut());
        assert_eq!((seen.text().as_str(), seen.field("x-middleware")), ("written ab", Some("yes")));
        site.wait_for("closed");
    });
}

/// The reason, or what is expected where none is sent.
fn reason<'a>(site: &Site, seen: &'a Seen, expected: &'a str) -> &'a str {
    if site.lacks(Feature::Reason) { expected } else { seen.reason() }
}
