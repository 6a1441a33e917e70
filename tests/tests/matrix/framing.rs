//! How long a reply is, and how its end can be told from a failure.

use wsgi_tests::column::{Body, End, Feature, Request, Version, collect};
use wsgi_tests::log;
use wsgi_tests::matrix::matrix;

// clauses: 12, 69
#[test]
fn the_length_of_a_single_block_is_derived() {
    for (kind, derived) in [("list", true), ("tuple", true), ("sized", true), ("iterator", false), ("two", false)] {
        matrix("one_block").run(|site| {
            let seen = site.get(&format!("/?{kind}"));
            assert_eq!((seen.text().as_str(), seen.end), ("twelve bytes", End::Clean), "{kind}");
            match seen.field("content-length") {
                Some(length) => assert_eq!(length, "12", "{kind}"),
                // PEP 3333 allows to derive it and asks for it nowhere; the validator's iterator has no length.
                None => assert!(!derived || kind == "sized" || site.validated(), "{kind} could have had its length derived"),
            }
        });
    }
}

// clauses: 68, 70
#[test]
fn a_reply_of_unknown_length_keeps_the_connection_with_http_1_1() {
    matrix("lazy_start").needs(Feature::KeepAlive).run(|site| {
        let mut client = site.open();
        let coding = (!site.lacks(Feature::Http1)).then_some("chunked");
        for _ in 0..3 {
            client.send(&Request::get("/")).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!((seen.text().as_str(), seen.field("transfer-encoding"), seen.reusable), ("lazy block", coding, true));
        }
    });
}

// clauses: 20, 68, 70
#[test]
fn a_reply_of_unknown_length_ends_with_the_connection_for_http_1_0() {
    matrix("lazy_start").needs(Feature::Http10).run(|site| {
        // The connection of FastCGI is another than the client's, and not of HTTP/1.0.
        let reusable = site.lacks(Feature::Http1) && !site.lacks(Feature::KeepAlive);
        for keep_alive in [false, true] {
            let mut request = Request::get("/").version(Version::Http10);
            if keep_alive {
                request = request.field("Connection", "keep-alive");
            }
            let seen = site.send(request);
            assert_eq!(
                (seen.text().as_str(), seen.end, seen.field("transfer-encoding"), seen.reusable),
                ("lazy block", End::Clean, None, reusable)
            );
        }
    });
}

// clauses: 66
#[test]
fn a_reply_never_exceeds_its_declared_length_and_is_not_asked_for_more() {
    matrix("faulty/too_long").run(|site| {
        for (query, text, yielded) in
            [("4:four,more,yet", "four", 1), ("6:four,more,yet", "fourmo", 2), ("0:four,more", "", 1), ("8:four,more,yet", "fourmore", 2)]
        {
            let before = site.count("yielded");
            let mut client = site.open();
            client.send(&Request::get(&format!("/?{query}"))).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!((seen.text().as_str(), seen.end), (text, End::Clean), "{query}");
            assert!(site.count("yielded") - before <= yielded + 1, "{query}: iterated on after its length was reached");
            // What was cut must not stand before the next reply.
            if seen.reusable {
                client.send(&Request::get("/?2:ok")).unwrap();
                assert_eq!(collect(client.as_mut()).text(), "ok");
            }
        }
        site.wait_for("closed");
    });
}

// clauses: 66
#[test]
fn write_past_the_declared_length_raises() {
    matrix("faulty/write_too_long").run(|site| {
        let seen = site.get("/");
        let (kind, message): (String, String) = site.noted("raised");
        assert_ne!(kind, "nothing");
        assert!(message.contains('8'), "it does not say how much was declared: {message}");
        assert!(seen.head.is_none() || seen.code() == 500 || seen.body().len() <= 8);
    });
}

// clauses: 67
#[test]
fn a_reply_shorter_than_its_declared_length_is_logged_and_seen_by_the_client() {
    for how in ["one", "two", "none", "write"] {
        matrix("faulty/too_short").run(|site| {
            let path = site.unique_path();
            let seen = site.get(&format!("{path}?{how}"));
            // Either nothing was sent yet and the client hears of an error, or it can tell that bytes are missing.
            assert!(seen.end != End::Clean || seen.code() == 500, "{how}: {seen:?}");
            log::line_with(&[&path, "100"]);
            site.wait_for("closed");
            assert_eq!(site.count("closed"), 1);
        });
    }
}

// clauses: 81, 88
#[test]
fn a_failure_in_mid_stream_never_looks_like_a_clean_end() {
    for (how, version, feature) in [
        ("second", Version::Http11, Some(Feature::Breaks)),
        ("second:100", Version::Http11, None),
        ("second:100", Version::Http10, Some(Feature::Http10)),
        ("second", Version::Http10, Some(Feature::Reset)),
        ("written", Version::Http11, Some(Feature::Breaks)),
        ("written", Version::Http10, Some(Feature::Reset)),
        ("second%20and%20close", Version::Http11, Some(Feature::Breaks)),
    ] {
        let case = matrix("faulty/raises");
        let case = if let Some(feature) = feature { case.needs(feature) } else { case };
        case.run(|site| {
            let mut client = site.ask(Request::get(&format!("/?{how}")).version(version));
            assert_eq!(client.head().unwrap().code, 200, "{how}");
            assert_eq!(client.block().unwrap().as_deref(), Some(&b"first"[..]), "{how}");
            site.open_gate("raise");
            assert!(client.block().is_err(), "{how}, {}: the reply ends as if it were whole", version.as_str());
            if how != "written" {
                site.wait_for("closed");
                assert_eq!(site.count("closed"), 1);
            }
            site.errors_with("Broken");
            assert_eq!(site.get("/?close").text(), "first second", "others are still served");
        });
    }
}

// clauses: D16
#[test]
fn head_204_and_304_have_no_body_but_are_iterated_and_closed() {
    for (method, status) in
        [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Not Modified"), ("HEAD", "404 Not Found"), ("HEAD", "204 No Content")]
    {
        matrix("status").run(|site| {
            let mut client = site.open();
            for n in 1..=2 {
                client.send(&Request::new(method, &format!("/?{}", status.replace(' ', "%20")))).unwrap();
                // The client is strict: a byte of a body would stand where the next reply begins.
                let seen = collect(client.as_mut());
                assert_eq!(
                    (seen.code().to_string().as_str(), seen.body().len(), seen.end),
                    (&status[..3], 0, End::Clean),
                    "{method} {status}"
                );
                assert_eq!(seen.field("x-status"), Some(&status[..3]));
                if !seen.reusable {
                    client = site.open();
                }
                while site.count("closed") < n {
                    std::thread::yield_now();
                }
                assert_eq!(site.count("iterated"), n, "{method} {status}");
            }
        });
    }
}

// clauses: D16
#[test]
fn a_declared_length_stays_with_head_and_goes_with_204() {
    matrix("sized_status").run(|site| {
        let head = site.send(Request::new("HEAD", "/?200%20OK"));
        assert_eq!((head.field("content-length"), head.body().len()), (Some("11"), 0));
        // The client refuses a Content-Length in a 204 by itself.
        let none = site.get("/?204%20No%20Content");
        assert_eq!((none.code(), none.body().len(), none.end), (204, 0, End::Clean));
        let not_modified = site.get("/?304%20Not%20Modified");
        assert_eq!((not_modified.code(), not_modified.body().len(), not_modified.end), (304, 0, End::Clean));
    });
}

// clauses: 66, 70
#[test]
fn a_declared_length_frames_the_reply() {
    matrix("declared").run(|site| {
        let mut client = site.open();
        for _ in 0..2 {
            client.send(&Request::get("/")).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!(
                (seen.text().as_str(), seen.field("content-length"), seen.field("transfer-encoding")),
                ("four five", Some("9"), None)
            );
            if !seen.reusable {
                client = site.open();
            }
        }
    });
}

// clauses: 68, 73
#[test]
fn a_connection_goes_on_after_each_kind_of_reply() {
    matrix("status").needs(Feature::KeepAlive).run(|site| {
        let mut client = site.open();
        let body = Body::Chunked(vec![b"a body that nobody reads".to_vec()]);
        for (request, code) in [
            (Request::get("/?200%20OK"), 200),
            (Request::new("HEAD", "/?200%20OK"), 200),
            (Request::get("/?404%20Not%20Found"), 404),
            (Request::get("/?204%20No%20Content"), 204),
            (Request::get("/?500%20Broken"), 500),
            (Request::new("POST", "/?200%20OK").body(body), 200),
            (Request::get("/?304%20Not%20Modified"), 304),
            (Request::get("/?599%20Last"), 599),
        ] {
            client.send(&request).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!((seen.code(), seen.end), (code, End::Clean));
            assert!(seen.reusable, "{code} ends the connection");
        }
    });
}
