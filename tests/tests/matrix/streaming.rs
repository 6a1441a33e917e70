//! When blocks go out, and what an iterable may be.

use wsgi_tests::column::{Broken, End, Feature, Request};
use wsgi_tests::matrix::matrix;

// clauses: 58, 75, 76
#[test]
fn generator_block_is_flushed_before_the_next_is_asked_for() {
    for target in ["/", "/?16"] {
        matrix("gated_blocks").run(|site| {
            let mut client = site.ask(Request::get(target));
            assert_eq!(client.head().unwrap().code, 200);
            assert_eq!(client.block().unwrap().as_deref(), Some(&b"first"[..]));
            // The generator is only now allowed to go on.
            site.open_gate("second");
            assert_eq!(client.block().unwrap().as_deref(), Some(&b"second"[..]));
            site.open_gate("third");
            assert_eq!(client.block().unwrap().as_deref(), Some(&b"third"[..]));
            assert_eq!(client.block(), Ok(None));
            site.wait_for("closed");
        });
    }
}

// clauses: 76, 84
#[test]
fn written_block_is_flushed_before_write_returns() {
    matrix("write_gated").run(|site| {
        let mut client = site.ask(Request::get("/"));
        assert_eq!(client.head().unwrap().code, 200);
        assert_eq!(client.block().unwrap().as_deref(), Some(&b"first"[..]));
        site.open_gate("second");
        assert_eq!(client.block().unwrap().as_deref(), Some(&b"second"[..]));
        site.open_gate("third");
        assert_eq!(client.block().unwrap().as_deref(), Some(&b"third"[..]));
        assert_eq!(client.block(), Ok(None));
    });
}

// clauses: 80, 58
#[test]
fn empty_blocks_send_nothing_and_end_nothing() {
    matrix("empty_items").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.text().as_str(), seen.end), ("onetwo", End::Clean));
    });
    for target in ["/", "/?none"] {
        matrix("only_empty").run(|site| {
            let seen = site.get(target);
            let reusable = !site.lacks(Feature::KeepAlive);
            assert_eq!((seen.code(), seen.body().len(), seen.end, seen.reusable), (200, 0, End::Clean, reusable));
        });
    }
}

// clauses: 77
#[test]
fn blocks_are_bytes_and_nothing_changes_them() {
    matrix("all_bytes").run(|site| {
        let mut expected: Vec<u8> = (0..=255).collect();
        expected.extend_from_slice(b"\r\n\n\r0\r\n\r\n");
        expected.extend((0..=255).rev());
        assert_eq!(site.get("/").body(), expected);
    });
}

// clauses: 81, 82
#[test]
fn close_is_called_once_at_the_normal_end() {
    matrix("many_blocks").run(|site| {
        let seen = site.get("/?count=50&size=3000");
        assert_eq!((seen.body().len(), seen.end), (150_000, End::Clean));
        assert_eq!(site.noted::<usize>("yielded"), 50);
        site.wait_for("closed");
        assert_eq!(site.count("closed"), 1);
    });
}

// clauses: 83
#[test]
fn no_other_attribute_of_the_iterable_is_used() {
    matrix("attributes").run(|site| {
        assert_eq!(site.get("/").text(), "watched");
        site.wait_for("closed");
        let looked_at: Vec<String> = site.notes("attribute");
        assert!(looked_at.iter().all(|name| matches!(name.as_str(), "close" | "__class__")), "{looked_at:?}");
    });
}

// clauses: 10, 81
#[test]
fn an_iterable_needs_no_close_and_no_iterator() {
    matrix("no_close").run(|site| {
        let seen = site.get("/");
        assert_eq!((seen.text().as_str(), seen.end), ("by subscript", End::Clean));
    });
}

// clauses: 75, 76, 77
#[test]
fn a_large_reply_reaches_a_client_that_reads_late() {
    matrix("many_blocks").run(|site| {
        for target in ["/?count=1&size=20000000", "/?count=300&size=65536&declare"] {
            let mut client = site.ask(Request::get(target));
            assert_eq!(client.head().unwrap().code, 200);
            // The application has yielded more than any socket takes; others are served meanwhile.
            assert_eq!(site.get("/?count=1&size=1").code(), 200);
            let mut length = 0;
            while let Some(block) = client.block().unwrap() {
                length += block.len();
            }
            assert_eq!(length, if target.contains("300") { 300 * 65536 } else { 20_000_000 });
        }
    });
}

// clauses: 81, 75
#[test]
fn a_client_that_leaves_closes_an_endless_reply() {
    matrix("endless").run(|site| {
        let mut client = site.ask(Request::get("/"));
        assert_eq!(client.head().unwrap().code, 200);
        assert!(client.block().unwrap().is_some());
        client.leave();
        site.wait_for("closed");
        // The validator's wrapper is no generator, so there the closing does not pass through GeneratorExit alone.
        site.wait_for("left");
        assert_eq!(site.count("closed"), 1);
        let errors = site.errors();
        assert!(!errors.contains("Traceback"), "a client that leaves is not the application's error: {errors}");
    });
}

// clauses: 81
#[test]
fn a_client_that_leaves_while_the_application_waits_is_noticed_at_the_next_blocks() {
    matrix("gated_blocks").run(|site| {
        let mut client = site.ask(Request::get("/"));
        client.head().unwrap();
        client.block().unwrap();
        client.leave();
        site.open_gate("second");
        site.open_gate("third");
        site.wait_for("closed");
        assert_eq!(site.count("closed"), 1);
    });
}

// clauses: D18
#[test]
fn an_application_can_ask_whether_its_client_is_still_there() {
    matrix("disconnected").run(|site| {
        let client = site.ask(Request::get("/"));
        assert!(site.noted::<bool>("offered"));
        assert!(!site.noted::<bool>("at first"));
        client.leave();
        assert!(site.noted::<bool>("noticed"));
    });
}

// clauses: D12
#[test]
fn early_hints_go_out_before_the_answer_and_never_after_it() {
    matrix("early_hints").needs(Feature::Informational).run(|site| {
        let mut client = site.ask(Request::get("/"));
        let hints = client.head().unwrap();
        assert_eq!((hints.code, hints.reason.as_str()), (103, "Early Hints"));
        assert_eq!(hints.fields("link"), ["</style.css>; rel=preload; as=style", "</script.js>; rel=preload"]);
        site.open_gate("answer");
        let head = client.head().unwrap();
        assert_eq!((head.code, head.field("link")), (200, None));
        let mut body = Vec::new();
        while let Some(block) = client.block().unwrap() {
            body.extend(block);
        }
        assert_eq!(body, b"first second");
        assert_eq!((site.count("taken"), site.count("refused")), (0, 4), "{:?}", site.notes::<String>("taken"));
    });
}

// clauses: D12
#[test]
fn early_hints_are_nothing_to_a_client_of_http_1_0() {
    matrix("early_hints").needs(Feature::Http10).run(|site| {
        site.open_gate("answer");
        let seen = site.send(Request::get("/").version(wsgi_tests::column::Version::Http10));
        assert_eq!((seen.informational.len(), seen.text().as_str()), (0, "first second"));
        assert_ne!(seen.end, End::Aborted(Broken::Truncated));
    });
}
