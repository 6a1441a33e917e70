//! Applications that fail: the client hears of it, the log has the traceback, `close()` is called, the server goes on.

use wsgi_tests::column::{End, Feature, Request, collect};
use wsgi_tests::matrix::{Site, matrix};

fn still_serves(site: &Site) {
    site.open_gate("raise");
    assert_eq!(site.get("/?close").text(), "first second", "others are still served");
}

// clauses: 81, 87
#[test]
fn an_exception_before_the_head_is_a_500_with_its_traceback_in_the_log() {
    for (how, text, closes) in [
        ("before", "before start_response()", false),
        ("after", "after start_response()", false),
        ("iter", "in __iter__", true),
        ("first", "in the iteration", true),
        ("empty", "in the iteration", true),
        ("first:100", "in the iteration", true),
    ] {
        matrix("faulty/raises").run(|site| {
            site.open_gate("raise");
            let seen = site.get(&format!("/?{how}"));
            assert_eq!((seen.code(), seen.end), (500, End::Clean), "{how}");
            assert!(!seen.text().contains("Broken") && !seen.text().contains("raises.py"), "the client sees inside: {:?}", seen.text());
            let errors = site.errors_with(text);
            assert!(errors.contains("Traceback (most recent call last)") && errors.contains("raises.py"), "{how}: {errors}");
            if closes {
                site.wait_for("closed");
                assert_eq!(site.count("closed"), 1, "{how}");
            }
            still_serves(site);
        });
    }
}

// clauses: 81, 87
#[test]
fn an_exception_in_close_is_logged_and_the_reply_stands() {
    matrix("faulty/raises").run(|site| {
        let seen = site.get("/?close");
        assert_eq!((seen.code(), seen.text().as_str()), (200, "first second"));
        site.errors_with("in close()");
        assert_eq!(site.count("closed"), 1);
        still_serves(site);
    });
}

// clauses: 87
#[test]
fn a_connection_can_be_used_again_after_a_500() {
    matrix("faulty/raises").needs(Feature::KeepAlive).run(|site| {
        let mut client = site.open();
        for how in ["before", "after", "close"] {
            client.send(&Request::get(&format!("/?{how}"))).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!(seen.code(), if how == "close" { 200 } else { 500 });
            assert!(seen.reusable, "nothing is wrong with the connection after {how:?}");
        }
    });
}

// clauses: 87
#[test]
fn a_500_to_head_has_no_body() {
    matrix("faulty/raises").run(|site| {
        let mut client = site.open();
        for method in ["HEAD", "GET"] {
            // The client is strict: a byte of a body would stand where the next reply begins.
            client.send(&Request::new(method, "/?before")).unwrap();
            let seen = collect(client.as_mut());
            assert_eq!((seen.code(), seen.end, seen.body().is_empty()), (500, End::Clean, method == "HEAD"));
            if !seen.reusable {
                client = site.open();
            }
        }
    });
}

// clauses: 81, 87
#[test]
fn an_application_cannot_end_the_process_by_what_it_raises() {
    for kind in ["exit", "interrupt", "generator", "base"] {
        matrix("faulty/exits").run(|site| {
            assert_eq!(site.get(&format!("/?{kind}:call")).code(), 500, "{kind}");
            let seen = site.get(&format!("/?{kind}:iteration"));
            assert!(seen.text() == "first" || site.lacks(Feature::Remains));
            assert!(seen.end != End::Clean || site.lacks(Feature::Breaks), "{kind}");
            site.wait_for("closed");
            let name = match kind {
                "exit" => "SystemExit",
                "interrupt" => "KeyboardInterrupt",
                "generator" => "GeneratorExit",
                _ => "BaseException",
            };
            site.errors_with(name);
            assert_eq!(site.get("/?none").text(), "still here");
        });
    }
}

// clauses: 6, 10, 11, 81
#[test]
fn an_item_that_is_no_bytes_is_named_by_position_and_type() {
    for (kind, name) in [
        ("str", "str"),
        ("int", "int"),
        ("none", "NoneType"),
        ("bytearray", "bytearray"),
        ("memoryview", "memoryview"),
        ("subclass", "Subclass"),
        ("list", "list"),
        ("object", "Secret"),
    ] {
        matrix("faulty/items").run(|site| {
            let first = site.get(&format!("/?{kind}:first"));
            assert_eq!((first.code(), first.end), (500, End::Clean), "{kind}");
            site.wait_for("closed");
            let errors = site.errors_with(name);
            assert!(errors.contains('0'), "the position is missing: {errors}");
            let later = site.get(&format!("/?{kind}:later"));
            assert!(later.text() == "good" || site.lacks(Feature::Remains), "{kind}: {}", later.text());
            assert!(later.end != End::Clean || site.lacks(Feature::Breaks), "{kind}");
            let errors = site.errors_with("2");
            assert!(errors.len() < 20_000, "the log quotes {} bytes", errors.len());
        });
    }
}

// clauses: 11, 47, 84
#[test]
fn write_refuses_what_is_no_bytes() {
    for kind in ["str", "int", "none", "bytearray", "memoryview", "subclass"] {
        matrix("faulty/items").run(|site| {
            assert_eq!(site.get(&format!("/?{kind}:write")).code(), 500, "{kind}");
            let (error, message): (String, String) = site.noted("raised");
            assert_eq!(error, "TypeError", "{kind}: {message}");
            assert!(message.contains("bytes"), "{kind}: {message}");
        });
    }
}

// clauses: 10
#[test]
fn a_result_that_is_no_iterable_of_bytes_is_an_error() {
    for (kind, name) in [("none", "NoneType"), ("int", "int"), ("str", "str"), ("bytes", "int"), ("dict", "str")] {
        matrix("faulty/returns").run(|site| {
            let seen = site.get(&format!("/?{kind}"));
            assert_eq!((seen.code(), seen.end), (500, End::Clean), "{kind}");
            site.errors_with(name);
        });
    }
}

// clauses: 87
#[test]
fn one_failing_client_leaves_the_others_alone() {
    matrix("faulty/raises").run(|site| {
        let mut other = site.ask(Request::get("/?second"));
        assert_eq!(other.head().unwrap().code, 200);
        for _ in 0..5 {
            assert_eq!(site.get("/?before").code(), 500);
        }
        assert_eq!(other.block().unwrap().as_deref(), Some(&b"first"[..]));
    });
}
